"""Clean event text and URLs before they are shown. Only here are hostile characters removed.

Textual and Rich pass ESC, C1 and bidi characters on to the terminal, where they can change the
window title, write the clipboard or repaint the screen (kubectl's CVE-2021-25743 was of this kind).
Every screen and every command cleans event text here; the database keeps it raw.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

MAX_TEXT: Final = 2_000
_MAX_MARKS: Final = 4
"""Combining marks kept in a row; longer rows ("zalgo") would cover the neighbouring cells."""
_REPLACED: Final = "\ufffd"
_JOINER: Final = "\u200d"
"""Zero-width joiner, kept inside emoji only."""
_SELECTOR: Final = "\ufe0f"
"""Variation selector that asks for the coloured form of an emoji."""


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """One line of text without control, C1, bidi or other format characters.

    C0 controls become their visible pictures (ESC is ␛), all other such characters U+FFFD.
    """
    if text.isascii() and text.isprintable():
        return text[:limit]
    shown: list[str] = []
    marks = 0
    text = text[:limit]
    for index, character in enumerate(text):
        if unicodedata.category(character) in ("Mn", "Me") or unicodedata.combining(character):
            marks += 1
            if marks <= _MAX_MARKS and shown:
                shown.append(character)
        elif character.isprintable():
            shown.append(character)
            marks = 0
        else:
            shown.append(_visible(character, shown, text[index + 1 : index + 2]))
            marks = 0
    return "".join(shown)


def counted(number: int, one: str, many: str = "") -> str:
    """`1 event`, `2 events`; `many` is the plural if it is not `one` with an s."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


class Count(int):
    """A number for templates: `{n:deployment}` becomes `1 deployment` or `2 deployments`."""

    def __format__(self, noun: str) -> str:
        return counted(self, noun) if noun else str(int(self))


def clean_block(text: str, limit: int = 1_000_000) -> list[str]:
    """Several lines, each cleaned; tabs become spaces."""
    return [clean(line.expandtabs(4)) for line in text[:limit].splitlines()]


def clean_lines(text: str) -> str:
    """A message of one or more lines, each cleaned for a terminal."""
    return "\n".join(clean_block(text))


def escaped_json(text: str) -> str:
    r"""The same JSON value, with every character that could steer a terminal written as \uXXXX."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _json_escape(c) for c in text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _visible(character: str, before: list[str], after: str) -> str:
    code = ord(character)
    if character in "\n\r\t":
        return " "
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if before and character == _JOINER and _is_emoji(before[-1]) and _is_emoji(after):
        return character
    return _REPLACED


def _is_emoji(character: str) -> bool:
    """Whether a joiner may stand next to this character; next to any other it would join with what
    we paint."""
    if character in ("", _REPLACED):
        return False
    return character == _SELECTOR or unicodedata.category(character) in ("So", "Sk")


def shown_url(url: str, *, user: bool = False, parameters: Collection[str] = ()) -> str:
    """A URL without its password and query, which may hold a key; empty if it is not a URL. `user`
    keeps the user name, `parameters` those of the query. Text without a scheme, such as
    git@host:path, holds no password and stays as it is."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if "://" not in url:
        return url
    account, _, host = parts.netloc.rpartition("@")
    name = account.partition(":")[0]
    if user and account:
        host = f"{name}@{host}"
    kept = [pair for pair in parse_qsl(parts.query) if pair[0] in parameters]
    query = urlencode(kept, safe="/,:")
    # By hand: geturl() would make postgresql:///?a=b into another URL.
    tail = f"?{query}" * bool(query) + f"#{parts.fragment}" * bool(parts.fragment)
    return f"{parts.scheme}://{host}{parts.path}{tail}"
