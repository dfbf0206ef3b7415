"""How each tool reaches the receiver, from adapters and configuration, for the dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vs_tui.config import Config, Secrets, complete_secrets
from vs_tui.tui.source_status import Connection


def connections(config: Config, *, with_secrets: bool = True) -> Sequence[Connection]:
    """One connection for each source; imports every adapter. Without secrets on a machine that is
    not the receiver's."""
    from vs_tui.sources.registry import sources

    secrets = config.secrets if with_secrets else Secrets()
    found = []
    for source in sources().values():
        own = next(iter(secrets.sources.get(source.name, ())), "")
        signs = bool(own) or (not with_secrets and bool(source.signature_headers))
        found.append(
            Connection(
                name=source.name,
                title=source.title,
                paths=tuple(source.paths),
                proof=_header(source.signature_headers) if signs else "",
                token_in_url=source.token_in_url,
                kept_as=source.name if signs else "token",
                secret=own or secrets.token,
                token=secrets.token,
                form=getattr(source, "form", None),  # a package's source may be any object
            )
        )
    return found


def with_new_secrets(config: Config) -> Config:
    """The configuration with a secret for every signing source: a new source, such as one of a
    package installed later, has none yet. Unchanged with --no-auth."""
    from vs_tui.sources.registry import signing_sources

    if config.no_auth or config.secrets_path == Path():
        return config
    stored = complete_secrets(config.secrets_path, signing_sources)
    sources = {**stored.sources, **config.secrets.sources}
    return replace(config, secrets=replace(config.secrets, sources=sources))


def _header(names: Sequence[str]) -> str:
    """The first of a tool's headers, in the case of its documentation."""
    return "-".join(part.capitalize() for part in names[0].split("-")) if names else ""
