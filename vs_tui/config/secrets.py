"""The token and the secrets of sources, in a file that only its owner can read."""

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

from vs_tui.model.errors import ConfigError
from vs_tui.model.request_signing import NAMED_TOKEN, signing_key

TOKENS: Final = "tokens"
"""Section of secrets.toml with tokens from before a rotation."""
NAMED: Final = "named_tokens"
"""Section of secrets.toml with the hashes of named tokens."""
SCOPES: Final = ("send", "read")
_TOKEN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


@dataclass(frozen=True, slots=True)
class NamedToken:
    """A token with one permission. Only its hash is stored, so it cannot be shown again."""

    name: str
    hash: str = field(repr=False)
    """SHA-256 in hex. Our own commands sign with it, so it is a secret, too."""
    scope: str
    """`send`: may deliver to every source, but read nothing. `read`: may read the API, but send
    nothing."""
    team: str = ""
    """The only team that a `read` token sees; empty for all."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The token and the secrets of the sources. Its repr never shows them."""

    token: str = field(default="", repr=False)
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    named: tuple[NamedToken, ...] = ()
    fixed: frozenset[str] = frozenset()
    """Sources whose secrets a variable or a flag sets, and `token` if it sets the token."""

    def of(self, source: str) -> list[bytes]:
        """The secrets of a source, newest first; several are valid during a rotation."""
        return [secret.encode() for secret in self.sources.get(source, ()) if secret]

    @property
    def values(self) -> list[str]:
        """Every secret, longest first, for masking."""
        found = {self.token, *(secret for group in self.sources.values() for secret in group)}
        found.update(token.hash for token in self.named)
        return sorted(filter(None, found), key=len, reverse=True)

    @property
    def tokens(self) -> list[bytes]:
        """Every valid token; there are several during a rotation."""
        return [token for token in (self.token.encode(), *self.of(TOKENS)) if token]


def read_secrets(path: Path) -> Secrets:
    """The content of the secrets file; empty without a file. ConfigError if it cannot be used."""
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
    named = _named(path, document.pop(NAMED, {}))
    sources = {name: _listed(path, name, each) for name, each in document.items()}
    return Secrets(token, sources, named)


def _named(path: Path, table: Any) -> tuple[NamedToken, ...]:
    try:
        found = tuple(NamedToken(name, **fields) for name, fields in table.items())
    except (AttributeError, TypeError):
        found = (NamedToken("", "", ""),)
    for token in found:
        texts = (token.hash, token.scope, token.team)
        if token.scope not in SCOPES or not all(isinstance(text, str) for text in texts):
            raise ConfigError(
                f"{path}: [{NAMED}] holds what `vs-tui secret add` did not write; remove it"
            )
    return found


def _listed(path: Path, name: str, table: Any) -> tuple[str, ...]:
    """The secrets of a section. Anything but a list of texts is refused: each letter of a text
    would become a secret, and the next rotation would drop a setting under another name."""
    found = table.get("secrets") if isinstance(table, dict) and len(table) == 1 else None
    if not isinstance(found, list) or not all(isinstance(secret, str) for secret in found):
        raise ConfigError(f'{path}: [{name}] must hold secrets = ["..."] and nothing else')
    return tuple(found)


def write_secrets(path: Path, secrets: Secrets) -> None:
    """Replace the secrets file atomically, with access for its owner only; the one that a link
    leads to is replaced, not the link."""
    from tempfile import mkstemp

    path = path.resolve()
    lines = ["# Created by vs-tui. Keep it private: mode 0600.", f"token = {_toml(secrets.token)}"]
    for name, values in sorted(secrets.sources.items()):
        shown = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)
        lines += ["", f"[{shown}]", f"secrets = {_toml(list(values))}"]
    for token in secrets.named:
        lines += ["", f"[{NAMED}.{_toml(token.name)}]"]
        for field_name in ("hash", "scope", "team"):
            lines.append(f"{field_name} = {_toml(getattr(token, field_name))}")
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
    """43 random characters from the system's generator."""
    from secrets import token_urlsafe

    return token_urlsafe(32)


def rotate(secrets: Secrets, source: str, *, keep: int = 1) -> Secrets:
    """Add a new first secret for a source (or `token`); the `keep` newest old ones stay valid."""
    if source == "token":
        former = tuple(filter(None, (secrets.token, *secrets.sources.get(TOKENS, ()))))[:keep]
        sources = {**secrets.sources, TOKENS: former}
        return replace(secrets, token=new_secret(), sources=sources)
    old = secrets.sources.get(source, ())[:keep]
    return replace(secrets, sources={**secrets.sources, source: (new_secret(), *old)})


def add_token(secrets: Secrets, name: str, scope: str, team: str = "") -> tuple[Secrets, str]:
    """The secrets with a new named token, and the token itself, which is not stored. ValueError
    says what is wrong with the name."""
    if not _TOKEN_NAME.fullmatch(name):
        raise ValueError("name a token with at most 40 letters, digits, dots and dashes")
    if any(token.name == name for token in secrets.named):
        raise ValueError(f"there is a token {name} already; revoke it, or choose another name")
    token = f"{NAMED_TOKEN}{new_secret()}"
    made = NamedToken(name, signing_key(token).decode(), scope, team)
    return replace(secrets, named=(*secrets.named, made)), token


def revoke_token(secrets: Secrets, name: str) -> Secrets:
    """The secrets without a named token. ValueError if there is no such token."""
    left = tuple(token for token in secrets.named if token.name != name)
    if len(left) == len(secrets.named):
        raise ValueError(f"there is no token {name}; `vs-tui secret list` names those there are")
    return replace(secrets, named=left)


def complete_secrets(path: Path, signing: Callable[[], Iterable[str]] = tuple) -> Secrets:
    """The secrets file, with a token and a secret for each source that `signing` names; missing
    ones are created. Two processes that start together get the same ones."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone_in(path.parent):
        found = read_secrets(path)
        missing = [name for name in signing() if not found.sources.get(name)]
        if found.token and not missing:
            return found
        made = {name: (new_secret(),) for name in missing}
        token, sources = found.token or new_secret(), {**found.sources, **made}
        complete = replace(found, token=token, sources=sources)
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
