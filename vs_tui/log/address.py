"""The URL of a PostgreSQL log: checks it, and shows it without its password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from vs_tui.model.display import clean, shown_url

SCHEMES: Final = ("postgresql", "postgres")
DEFAULT_SCHEMA: Final = "vs_tui"
_SCHEMA_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,50}")
EXAMPLE: Final = "postgresql://USER@HOST/DATABASE"
_SHOWN_PARAMETERS: Final = frozenset(
    {"host", "port", "user", "dbname", "service", "sslmode", "target_session_attrs"}
)
_MASK: Final = "(password)"


@dataclass(frozen=True)
class LogAddress:
    """A PostgreSQL URL in libpq's format. Its text form never holds the password."""

    url: str

    def __repr__(self) -> str:
        return f"LogAddress({self.shown})"

    def __str__(self) -> str:
        return self.shown

    @cached_property
    def shown(self) -> str:
        """The URL without password and without parameters that may hold a secret."""
        return clean(shown_url(self.url, user=True, parameters=_SHOWN_PARAMETERS))

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """All texts that must not be printed, longest first."""
        parts = urlsplit(self.url)
        password = parts.netloc.rpartition("@")[0].partition(":")[2]
        found = {password, unquote(password)}
        for key, value in parse_qsl(parts.query):
            if key not in _SHOWN_PARAMETERS and "pass" in key:
                found |= {value, quote(value), quote(value, safe="")}
        found.discard("")
        return tuple(sorted({*found, *([self.url] if found else [])}, key=len, reverse=True))

    @property
    def has_password(self) -> bool:
        return bool(self.secrets)

    def redact(self, text: str) -> str:
        """`text` without the password, in any form in which a library quotes it."""
        for secret in self.secrets:
            text = text.replace(secret, _MASK if secret != self.url else self.shown)
        return text


def parse_log_url(url: str) -> LogAddress:
    """The checked URL. The ValueError says how to write one; it never quotes the URL, which may
    hold a password."""
    try:
        parts = urlsplit(url)
        _ = parts.hostname
    except ValueError:
        raise ValueError(f"is not a URL; write {EXAMPLE}") from None
    if parts.scheme not in SCHEMES or not url.startswith(f"{parts.scheme}://"):
        raise ValueError(f"must begin with postgresql://, such as {EXAMPLE}")
    if parts.fragment:
        raise ValueError("holds a '#'; write it as %23 in a user name or password")
    return LogAddress(url)


def check_schema_name(name: str) -> str:
    """The name, if it needs no quotes in SQL; else ValueError."""
    if not _SCHEMA_NAME.fullmatch(name):
        raise ValueError(
            f"is '{name[:60]}', which is no name of a schema; use lower-case letters, digits and _"
        )
    return name
