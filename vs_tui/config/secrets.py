"""The token and the sources' secrets: a file of their own, readable by its owner only."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from vs_tui.config.errors import ConfigError

SIGNING_SOURCES: Final = (
    "github",
    "gitlab",
    "jira",
    "customhttp",
    "gitea",
    "bitbucket",
    "circleci",
    "buildkite",
    "linear",
    "pagerduty",
    "grafana",
    "trello",
    "plyzen",
)
"""Sources whose tool signs with a secret; one is created for each on the first start."""


TOKENS: Final = "tokens"
"""The section of secrets.toml with further tokens: those before a rotation."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The token and the secrets of the sources. Its repr never shows them."""

    token: str = field(default="", repr=False)
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def of(self, source: str) -> list[bytes]:
        """Secrets of a source, newest first; several are valid during a rotation."""
        return [secret.encode() for secret in self.sources.get(source, ()) if secret]

    @property
    def values(self) -> list[str]:
        """All of them, longest first: what must be masked wherever it stands."""
        found = {self.token, *(secret for group in self.sources.values() for secret in group)}
        return sorted(filter(None, found), key=len, reverse=True)

    @property
    def tokens(self) -> list[bytes]:
        """Every token that is valid: several are during a rotation, too."""
        return [token for token in (self.token.encode(), *self.of(TOKENS)) if token]


def read_secrets(path: Path) -> Secrets:
    """The secrets file; empty when there is none."""
    if not path.is_file():
        return Secrets()
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        # The parser's message may quote the line, and the line may be a secret.
        raise ConfigError(
            f"{path} cannot be read; fix it, or move it away to create a new one"
        ) from None
    sources = {
        name: tuple(str(secret) for secret in table.get("secrets", []))
        for name, table in document.items()
        if isinstance(table, dict)
    }
    return Secrets(str(document.get("token", "")), sources)


def write_secrets(path: Path, secrets: Secrets) -> None:
    """Replace the secrets file at once, readable by its owner only."""
    lines = [
        "# Created by vs-tui. Keep it private: mode 0600.",
        f"token = {json.dumps(secrets.token)}",
    ]
    for name, values in sorted(secrets.sources.items()):
        lines += ["", f"[{name}]", f"secrets = {json.dumps(list(values))}"]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)


def new_secret() -> str:
    """43 characters of the system's randomness."""
    from secrets import token_urlsafe

    return token_urlsafe(32)


def rotate(secrets: Secrets, source: str, *, keep: int = 1) -> Secrets:
    """A new first secret for a source (or `token`); the `keep` newest old ones stay valid."""
    if source == "token":
        former = tuple(filter(None, (secrets.token, *secrets.sources.get(TOKENS, ()))))[:keep]
        return Secrets(new_secret(), {**secrets.sources, TOKENS: former})
    old = secrets.sources.get(source, ())[:keep]
    return replace(secrets, sources={**secrets.sources, source: (new_secret(), *old)})


def complete_secrets(path: Path, found: Secrets) -> Secrets:
    """What was found and a new one for each that is missing, written to the file."""
    missing = [name for name in SIGNING_SOURCES if not found.sources.get(name)]
    if found.token and not missing:
        return found
    complete = Secrets(
        found.token or new_secret(),
        {**found.sources, **{name: (new_secret(),) for name in missing}},
    )
    write_secrets(path, complete)
    return complete


def readable_by_others(path: Path) -> bool:
    """Whether a file that holds secrets can be read by other users."""
    return path.is_file() and bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
