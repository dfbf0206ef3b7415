"""Bodies of deliveries as lines that can be folded: JSON indented, other text unchanged, binary
data as hex. Secrets are never shown, and texts of senders are cleaned.

Parsing JSON loses nothing: numbers keep their digits, and repeated names stay.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vs_tui.model.display import clean, clean_block
from vs_tui.tui.paint import Piece

MAX_PRETTY: Final = 4 * 1024 * 1024
"""Bytes; of a larger body only the first characters are shown, unparsed."""
MAX_LINES: Final = 20_000
LONG_TEXT: Final = 70
"""Characters; a longer string unfolds into lines of this length."""
SMALL_BLOCK: Final = 8
"""Lines; a longer block starts folded, except the outermost."""
_HEX_BYTES: Final = 4 * 1024
_RAW_CHARACTERS: Final = 64 * 1024
HIDDEN: Final = "**** hidden: a secret"

_SECRET_NAME: Final = re.compile(
    r"(?:^|[_.\-])(?:token|secret|password|passwd|api[_\-]?key|private[_\-]?key|authorization|"
    r"credentials?)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class DocLine:
    """A line of a document. A line that opens a block holds the number of lines in the block."""

    pieces: tuple[Piece, ...]
    depth: int = 0
    block: int = 0
    """Lines that folding hides; 0: nothing to fold."""
    folded_pieces: tuple[Piece, ...] = ()
    """Text shown instead while the block is folded."""
    folds: bool = False
    """Whether the block starts folded."""
    path: str = ""
    """Name of the line within the document; folds are kept by it when the text changes."""
    target: str = ""
    """Ref of the span that Enter opens."""
    repeats: bool = False
    """Whether this line only repeats, wrapped, the line that opened the block."""


class _Raw(str):
    """A number with the digits that were sent, or a constant such as NaN."""

    __slots__ = ()


class _Pairs(list[tuple[str, Any]]):
    """The members of an object, in their order."""


def hide(text: str, known: Sequence[str]) -> str:
    """The text with each of our own secrets replaced."""
    for secret in known:
        if len(secret) >= 6:
            text = text.replace(secret, HIDDEN)
    return text


def is_secret_name(name: str) -> bool:
    """Whether a header or a JSON member of this name holds a secret."""
    # Split `accessToken` and `apiKey` like `access_token` and `api_key`.
    return bool(_SECRET_NAME.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)))


def is_text(body: bytes) -> bool:
    """Whether a body is text in UTF-8."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def body_lines(body: bytes, known: Sequence[str] = ()) -> list[DocLine]:
    """A body as lines; `known` are secrets to hide anywhere in it."""
    if not body:
        return [DocLine((("the body is empty, or was not kept", "dim"),))]
    if not is_text(body):
        return _hex_lines(body)
    text = body.decode()
    if len(body) <= MAX_PRETTY:
        parsed = _parsed(text)
        if parsed is not None:
            return _limited(_block("body", None, parsed[0], 0, known))
    shown = hide(text[:_RAW_CHARACTERS], known)
    lines = [DocLine(((line, "text"),)) for line in clean_block(shown)]
    if len(text) > _RAW_CHARACTERS:
        lines.append(_more(f"{len(text) - _RAW_CHARACTERS} more characters"))
    return _limited(lines)


def plain(body: bytes, known: Sequence[str] = ()) -> str:
    """A body as text for the clipboard: unfolded, without secrets."""
    return "\n".join(
        "  " * line.depth + "".join(text for text, _ in line.pieces)
        for line in body_lines(body, known)
        if not line.repeats
    )


def _parsed(text: str) -> tuple[Any] | None:
    try:
        return (
            json.loads(
                text,
                parse_int=_Raw,
                parse_float=_Raw,
                parse_constant=_Raw,
                object_pairs_hook=_Pairs,
            ),
        )
    except (ValueError, RecursionError):
        return None


def _block(
    path: str, name: str | None, value: Any, depth: int, known: Sequence[str]
) -> list[DocLine]:
    """The lines of one JSON value; `name` is None unless the value is a member of an object."""
    head: tuple[Piece, ...] = ()
    if name is not None:
        head = ((f'"{clean(hide(name, known))}"', "run"), (": ", "dim"))
    if name is not None and is_secret_name(name) and value not in (None, "", False, True):
        return [DocLine((*head, (HIDDEN, "wait")), depth, path=path)]
    if isinstance(value, _Pairs):
        return _container(path, head, value, depth, known, "{}")
    if isinstance(value, list):
        return _container(path, head, value, depth, known, "[]")
    return _scalar(path, head, value, depth, known)


def _container(
    path: str, head: tuple[Piece, ...], value: Any, depth: int, known: Sequence[str], signs: str
) -> list[DocLine]:
    if not value:
        return [DocLine((*head, (signs, "dim")), depth, path=path)]
    inner: list[DocLine] = []
    for index, entry in enumerate(value):
        if isinstance(value, _Pairs):
            inner += _block(f"{path}.{entry[0]}", entry[0], entry[1], depth + 1, known)
        else:
            inner += _block(f"{path}[{index}]", None, entry, depth + 1, known)
        if len(inner) > MAX_LINES:
            inner.append(_more(f"{len(value) - index - 1} more entries"))
            break
    one, many = ("member", "members") if signs == "{}" else ("entry", "entries")
    count = f" {len(value)} {one if len(value) == 1 else many}"
    opening = DocLine(
        (*head, (signs[0], "dim")),
        depth,
        block=len(inner) + 1,
        folded_pieces=(*head, (f"{signs[0]} ... {signs[1]}", "dim"), (count, "dim")),
        folds=depth > 0 and len(inner) > SMALL_BLOCK,
        path=path,
    )
    return [opening, *inner, DocLine(((signs[1], "dim"),), depth)]


def _scalar(
    path: str, head: tuple[Piece, ...], value: Any, depth: int, known: Sequence[str]
) -> list[DocLine]:
    if value is None or isinstance(value, bool):
        return [DocLine((*head, (json.dumps(value), "dim")), depth, path=path)]
    if isinstance(value, _Raw):
        return [DocLine((*head, (clean(value, 400), "match")), depth, path=path)]
    text = hide(str(value), known)
    quoted: Piece = (clean(json.dumps(text, ensure_ascii=False)), "text")
    if len(text) <= LONG_TEXT and "\n" not in text:
        return [DocLine((*head, quoted), depth, path=path)]
    wrapped = [
        DocLine(((part, "text"),), depth + 1, repeats=True)
        for line in clean_block(text, 200_000) or [""]
        for part in textwrap.wrap(line, LONG_TEXT, drop_whitespace=False) or [""]
    ]
    return [
        DocLine(
            (*head, quoted),
            depth,
            block=len(wrapped),
            folded_pieces=(*head, quoted),
            folds=True,
            path=path,
        ),
        *wrapped,
    ]


def _limited(lines: list[DocLine]) -> list[DocLine]:
    if len(lines) <= MAX_LINES:
        return lines
    return [*lines[:MAX_LINES], _more(f"{len(lines) - MAX_LINES} more lines")]


def _more(what: str) -> DocLine:
    return DocLine(((f"{what}; `vs-tui record` writes whole deliveries", "dim"),))


def _hex_lines(body: bytes) -> list[DocLine]:
    """A binary body, such as protobuf, in the format of hexdump."""
    lines = [DocLine(((f"binary, {len(body)} bytes", "dim"),))]
    lines += [DocLine(((text, "text"),)) for text in _hex(body[:_HEX_BYTES])]
    if len(body) > _HEX_BYTES:
        lines.append(_more(f"{len(body) - _HEX_BYTES} more bytes"))
    return lines


def _hex(body: bytes) -> Iterator[str]:
    for start in range(0, len(body), 16):
        chunk = body[start : start + 16]
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in chunk)
        yield f"{start:06x}  {chunk.hex(' '):<47}  {shown}"
