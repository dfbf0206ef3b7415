"""A text with folds and a cursor: a delivery and its body. Bodies become lines: JSON indented,
other text unchanged, binary data as hex. Secrets are never shown, and texts of senders are cleaned.

Parsing JSON loses nothing: numbers keep their digits, and repeated names stay.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vs_tui.model.display import clean, clean_block
from vs_tui.tui.paint import Piece, cut
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.framed import CursorBox

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
        lines = _pretty(text, known)
        if lines is not None:
            return _limited(lines)
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


def _pretty(text: str, known: Sequence[str]) -> list[DocLine] | None:
    """The lines of a JSON text; None for other texts, and for one with many hundred levels."""
    try:
        value = json.loads(
            text,
            parse_int=_Raw,
            parse_float=_Raw,
            parse_constant=_Raw,
            object_pairs_hook=_Pairs,
        )
        return _block("body", None, value, 0, known)
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


class Document(CursorBox):
    """Lines of pieces. Folds are kept by path when the text changes. Only a line with a target can
    be opened."""

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.lines: Sequence[DocLine] = ()
        self._visible: list[int] = []
        self._chosen: dict[str, bool] = {}
        """path -> folded, for blocks that the user folded or unfolded."""

    @property
    def count(self) -> int:
        return len(self._visible)

    @property
    def line(self) -> DocLine | None:
        """The line under the cursor."""
        return self.lines[self._visible[self.cursor]] if self._visible else None

    def show(self, lines: Sequence[DocLine], *, start: bool) -> None:
        """Show a text; `start` puts the cursor on the first line with a target."""
        if list(lines) == list(self.lines) and not start:
            return
        anchor = self.cursor - self.first
        self.lines = lines
        self._arrange()
        if start:
            leads = (n for n, index in enumerate(self._visible) if lines[index].target)
            self.selected_key = self.keys[next(leads, 0)] if self.keys else ""
            self.scroll_to(y=0, animate=False, force=True, immediate=True)
        self.scroll_to_row(self.cursor, anchor=None if start else anchor)
        self.refresh()

    def is_folded(self, line: DocLine) -> bool:
        return bool(line.block) and self._chosen.get(line.path, line.folds)

    def _arrange(self) -> None:
        """Compute the visible lines."""
        self._visible = []
        index = 0
        while index < len(self.lines):
            self._visible.append(index)
            line = self.lines[index]
            index += 1 + (line.block if self.is_folded(line) else 0)
        seen: Counter[tuple[str, str]] = Counter()  # members of an object may share a name
        keys = []
        for index in self._visible:
            name = (self.lines[index].path, self.lines[index].target)
            seen[name] += 1
            keys.append(f"{name} {seen[name]}")
        self.set_keys(keys)
        self.resized()

    def toggle(self) -> None:
        """Fold or unfold the block of the line under the cursor."""
        line = self.line
        if line is not None and line.block:
            self._chosen[line.path] = not self.is_folded(line)
            self._arrange()
            self.refresh()

    def fold_all(self, folded: bool) -> None:
        """Fold all blocks except the outermost, or unfold all."""
        at = self._visible[self.cursor] if self._visible else 0
        for line in self.lines:
            if line.block and line.path:
                self._chosen[line.path] = folded and line.depth > 0
        self._arrange()
        # The cursor stays on its line, or moves to the line that folds it.
        before = [n for n, index in enumerate(self._visible) if index <= at]
        self.selected_key = self.keys[before[-1]] if before else ""
        self.scroll_to_row(self.cursor)
        self.refresh()

    def open_row(self) -> None:
        """Open the target of the line, or fold its block."""
        line = self.line
        if line is not None and line.target:
            self.post_message(self.Opened(self, line.target))
        else:
            self.toggle()

    def act(self, action: str) -> bool:
        if action in ("fold_body", "unfold_body"):
            self.fold_all(action == "fold_body")
            return True
        return super().act(action) or action == "open"

    def paint_row(self, index: int, width: int) -> tuple[Sequence[Piece], bool]:
        line = self.lines[self._visible[index]]
        folded = self.is_folded(line)
        glyphs = self.look.glyphs
        mark = (glyphs.folded if folded else glyphs.open) if line.block else " "
        selected = index == self.cursor and self.has_focus
        head: list[Piece] = [
            (glyphs.cursor if selected else " ", "key"),
            ("  " * line.depth, "text"),
            (f"{mark} ", "dim"),
        ]
        pieces = line.folded_pieces if folded else line.pieces
        return cut([*head, *pieces], width, glyphs.ellipsis), selected

    def on_focus(self) -> None:
        self.refresh_row(self.cursor)

    def on_blur(self) -> None:
        self.refresh_row(self.cursor)
