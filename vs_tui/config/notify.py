"""Read `[[notify]]`. A ValueError names the setting and the accepted values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from vs_tui.config.model import EVENTS, FORMATS, NotifyRule
from vs_tui.model.filters import FilterError, parse

_SETTINGS: Final = ("on", "format", "url", "headers", "command", "filter")
_WITHOUT_URL: Final = ("desktop", "command")


def read_rules(tables: Any) -> tuple[NotifyRule, ...]:
    """The rules of `[[notify]]`."""
    if not isinstance(tables, list):
        raise ValueError("notify must be tables: [[notify]]")
    return tuple(_rule(table) for table in tables)


def _rule(table: Any) -> NotifyRule:
    if not isinstance(table, Mapping):
        raise ValueError("notify must be tables: [[notify]]")
    if unknown := [name for name in table if name not in _SETTINGS]:
        accepted = ", ".join(_SETTINGS)
        raise ValueError(f"[[notify]] {unknown[0]} is not a setting; use one of {accepted}")
    on = _words("on", table.get("on", []))
    if not on or (unknown := [name for name in on if name not in EVENTS]):
        accepted = ", ".join(EVENTS)
        raise ValueError(f"[[notify]] on must be one or more of {accepted}")
    form = table.get("format", "")
    if form not in FORMATS:
        raise ValueError(f"[[notify]] format must be one of {', '.join(FORMATS)}")
    text = table.get("filter", "")
    _check_filter(text, on)
    command = _words("command", table.get("command", []))
    if (form == "command") != bool(command):
        raise ValueError(
            '[[notify]] command goes with format = "command", such as ["/opt/tell", "--loud"]'
        )
    headers = table.get("headers", {})
    if not isinstance(headers, Mapping) or not all(isinstance(v, str) for v in headers.values()):
        raise ValueError('[[notify]] headers must be texts, such as { Authorization = "..." }')
    return NotifyRule(on, form, _url(table.get("url", ""), form), headers, command, text)


def _words(name: str, value: Any) -> tuple[str, ...]:
    listed: Sequence[Any] = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(word, str) for word in listed):
        raise ValueError(f"[[notify]] {name} must be a list of texts")
    return tuple(listed)


def _check_filter(text: Any, on: Sequence[str]) -> None:
    if not isinstance(text, str):
        raise ValueError(f"[[notify]] filter must be a text, not {text!r}")
    for event in on:
        try:
            parse(text, traces=event == "waiting")
        except FilterError as error:
            raise ValueError(f"[[notify]] filter: {error}") from None


def _url(url: Any, form: str) -> str:
    """The URL of a rule. No message quotes it, because it may hold a secret."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        parts = None
    if form in _WITHOUT_URL:
        if url:
            raise ValueError(f'[[notify]] url has no use with format = "{form}"')
        return ""
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f'[[notify]] url must be a URL; format = "{form}" posts to it')
    return str(url)
