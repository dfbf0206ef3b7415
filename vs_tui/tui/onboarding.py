"""Texts of an empty list: how to get the first event, or that nothing matches the filter."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

NOTHING_MATCHES: Final = (
    "",
    "nothing matches",
    "",
    "{filter} changes the filter, {time} the time range, {team} the team; {back} clears the filter",
)


_ROOM: Final = 64
_DEFAULT_URL: Final = "http://127.0.0.1:5000"
_EVENT: Final = '{"type":"build","id":"1","action":"start"}'


def curl(
    url: str,
    path: str,
    body: str,
    *,
    open_mode: bool,
    program: str,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """The parts of a `curl` command that posts a body to the receiver; join them with blanks to
    paste it. The shell reads the token with `program`, the command that starts this program, so the
    text does not contain the token."""
    proof = f'-H "Authorization: Bearer $({program} secret show token)"'
    # curl reads a file where -d begins with an @.
    data = "--data-raw" if body.startswith("@") else "-d"
    return [
        f"curl {shlex.quote(f'{url or _DEFAULT_URL}{path}')}",
        *([] if open_mode else [proof]),
        *(f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()),
        f"{data} {shlex.quote(body)}",
    ]


def trial(url: str, open_mode: bool, program: str) -> list[str]:
    """The parts of a `curl` command that sends a first event."""
    return curl(url, "/customhttp", _EVENT, open_mode=open_mode, program=program)


def _wrapped(part: str) -> list[str]:
    """A part wrapped to the screen's width. A shell joins lines that end with a backslash, also
    within double quotes."""
    return textwrap.wrap(part, _ROOM, break_long_words=False, break_on_hyphens=False)


def cannot_receive(why: str) -> tuple[str, ...]:
    """Text for a database without deliveries while nothing can be received."""
    return ("", "Nothing was received yet, and nothing can be:", *_wrapped(why))


def first_steps(url: str, open_mode: bool, program: str) -> tuple[str, ...]:
    """Text for a database without deliveries; fits into 76 columns."""
    url = url or _DEFAULT_URL
    port = urlsplit(url).port or 5000
    first, *middle, last = trial(url, open_mode, program)
    return (
        "",
        "Nothing was received yet. Point a tool's webhook, content type JSON, at",
        f"    {url}/github",
        "    also /gitlab /jenkins /jira /customhttp ...; {sources} lists them, with secrets",
        "",
        f"From outside this machine: ngrok http {port}",
        "",
        "Or try it now ({yank} copies it):",
        f"    {first} \\",
        *(f"         {line} \\" for part in middle for line in _wrapped(part)),
        f"         {last}",
        "",
        f"Or see it with sample data: {program} demo",
    )
