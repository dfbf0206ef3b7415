"""How tools reach the receiver, and which settings let others reach it, too.

The public URL is the configured one, else that of an ngrok agent on this machine, whose local API
reports it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from vs_tui.cli.common import CommandError
from vs_tui.cli.http_client import HttpError, get, is_loopback
from vs_tui.config import Config, Secrets, complete_secrets, readable_by_others
from vs_tui.model.display import shown_url

if TYPE_CHECKING:
    from vs_tui.tui.source_status import Connection

AGENT: Final = "http://127.0.0.1:4040/api"
SECONDS: Final = 0.5


def refuse_open(config: Config) -> None:
    """Raise CommandError if others could reach an open receiver without --no-auth-public. A tunnel
    that starts later is detected request by request."""
    if not config.no_auth or config.no_auth_public:
        return
    where = config.public_url or (agent_url(config.port) if config.port else "")
    host = f"[{config.host}]" if ":" in config.host else config.host
    if not where and not is_loopback(f"http://{host}"):
        where = f"{host}:{config.port}"
    if where:
        raise CommandError(
            f"without authentication everyone who finds {shown_url(where)} could send and "
            "read: leave no_auth out (`vs-tui secret show token` prints the token), or say "
            "--no-auth-public if that is meant"
        )


async def find_public_url(configured: str, port: int) -> str:
    """The public URL; empty if unknown. The agent is asked in a thread because it may be slow."""
    return shown_url(configured) or await asyncio.to_thread(agent_url, port)


def agent_url(port: int, agent: str = AGENT) -> str:
    """The URL of the agent's tunnel to our port; empty without an agent or such a tunnel. Agents
    list tunnels, newer ones also endpoints (https://ngrok.com/docs/agent/api):
    `tunnels[].public_url` and `.config.addr`; `endpoints[].url` and `.upstream.url`."""
    for resource in ("tunnels", "endpoints"):
        try:
            listed = get(f"{agent}/{resource}", SECONDS).fields.get(resource)
        except (OSError, HttpError):
            continue
        pairs = map(_ends, listed if isinstance(listed, list) else [])
        urls = [url for url, behind in pairs if _is_web(url) and _leads_to(behind, port)]
        # An agent may offer http and https for one port; secrets belong into https.
        for url in sorted(urls, key=lambda url: not url.startswith("https://")):
            return url
    return ""


def _ends(tunnel: Any) -> tuple[str, str]:
    """(public URL, address behind it) of a tunnel or endpoint; empty where unknown."""
    if not isinstance(tunnel, dict):
        return "", ""
    config, upstream = tunnel.get("config"), tunnel.get("upstream")
    behind = config.get("addr") if isinstance(config, dict) else None
    if isinstance(upstream, dict):
        behind = upstream.get("url")
    return str(tunnel.get("public_url") or tunnel.get("url") or ""), str(behind or "")


def _is_web(url: str) -> bool:
    try:
        return url.startswith(("https://", "http://")) and bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _leads_to(address: str, port: int) -> bool:
    """Whether an address, which may be a bare port, is our port."""
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        return address == str(port) or parts.port == port
    except ValueError:
        return False


def connections(config: Config, *, with_secrets: bool = True) -> Sequence[Connection]:
    """One connection for each tool; imports every adapter. Without secrets on a machine that is
    not the receiver's."""
    from vs_tui.model.request_advice import shown_header
    from vs_tui.sources.dispatch import tools
    from vs_tui.tui.source_status import Connection

    secrets = config.secrets if with_secrets else Secrets()
    found = []
    for source in tools().values():
        own = next(iter(secrets.sources.get(source.name, ())), "")
        signs = bool(own) or (not with_secrets and bool(source.signature_headers))
        found.append(
            Connection(
                name=source.name,
                title=source.title,
                paths=tuple(source.paths),
                proof=shown_header(source.signature_headers[0]) if signs else "",
                token_in_url=source.token_in_url,
                makes_secret=signs and getattr(source, "makes_secret", False),
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
    from vs_tui.sources.dispatch import signing_sources

    if config.no_auth or config.secrets_path == Path():
        return config
    stored = complete_secrets(config.secrets_path, signing_sources)
    sources = {**stored.sources, **config.secrets.sources}
    return replace(config, secrets=replace(config.secrets, sources=sources))


def risks(config: Config) -> Iterator[str]:
    """One sentence for each, with what to do."""
    if os.geteuid() == 0:
        yield "running as root: run it as a user of its own, it needs no privileges"
    if config.log and config.log.has_password and config.origins.get("log") == "flag":
        yield "the password in --log shows in `ps`: use PGPASSFILE, VS_LOG_FILE or [log] url"
    for path in (config.secrets_path, config.path):
        # The configuration is no secret by itself; commands and URLs in it may hold one.
        if readable_by_others(path) and (path == config.secrets_path or _may_hold_secrets(config)):
            yield f"{path} can be read by other users: chmod 600 {path}"


def _may_hold_secrets(config: Config) -> bool:
    stored = config.log is not None and config.log.has_password
    return stored or "@" in config.public_url or bool(config.watch_command)
