"""The token and the sources' secrets: a file of their own, readable by its owner only."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from vs_tui.config.errors import ConfigError

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
    """The secrets file; empty when there is none. ConfigError when it cannot be used."""
    if not path.is_file():
        return Secrets()
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        # The parser's message may quote the line, and the line may be a secret.
        raise ConfigError(
            f"{path} cannot be read; fix it, or move it away to create a new one"
        ) from None
    token = document.pop("token", "")
    if not isinstance(token, str):
        raise ConfigError(f'{path}: token must be a text; write token = "..."')
    return Secrets(token, {name: _listed(path, name, each) for name, each in document.items()})


def _listed(path: Path, name: str, table: Any) -> tuple[str, ...]:
    """The secrets of a section. What is no list of texts is refused: of a text each letter would
    be a secret, and what is under another name would be dropped by the next rotation."""
    found = table.get("secrets") if isinstance(table, dict) and len(table) == 1 else None
    if not isinstance(found, list) or not all(isinstance(secret, str) for secret in found):
        raise ConfigError(f'{path}: [{name}] must hold secrets = ["..."] and nothing else')
    return tuple(found)


def write_secrets(path: Path, secrets: Secrets) -> None:
    """Replace the secrets file at once, readable by its owner only."""
    from tempfile import mkstemp

    lines = ["# Created by vs-tui. Keep it private: mode 0600.", f"token = {_toml(secrets.token)}"]
    for name, values in sorted(secrets.sources.items()):
        shown = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)
        lines += ["", f"[{shown}]", f"secrets = {_toml(list(values))}"]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")
        out.flush()
        os.fsync(out.fileno())
    Path(temporary).replace(path)


def _toml(value: str | list[str]) -> str:
    # JSON's escapes are TOML's, but for pairs of surrogates and a bare DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


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


def complete_secrets(path: Path, signing: Callable[[], Iterable[str]] = tuple) -> Secrets:
    """The secrets file, with a new token and a new secret for each source that `signing` names
    where they are missing. Two processes that start at once find the same ones."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone_in(path.parent):
        found = read_secrets(path)
        missing = [name for name in signing() if not found.sources.get(name)]
        if found.token and not missing:
            return found
        made = {name: (new_secret(),) for name in missing}
        complete = Secrets(found.token or new_secret(), {**found.sources, **made})
        try:
            write_secrets(path, complete)
        except OSError:
            if not found.token:
                raise
            # Mounted read-only: a source without a secret takes no signature, the others go on.
            return found
    return complete


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some file systems cannot lock; there two first starts at once are as they may be.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def readable_by_others(path: Path) -> bool:
    """Whether a file that holds secrets can be read by other users."""
    return path.is_file() and bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
