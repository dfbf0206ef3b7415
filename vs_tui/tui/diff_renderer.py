"""An app that sends the terminal only the cells that changed, and nothing while the terminal is
behind.

Textual sends every repainted line whole: 1.5 kB for a cell that counts seconds. On a slow line late
pictures are useless: changes are merged and sent after the line has taken the previous output.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar, runtime_checkable

from rich.cells import cell_len
from rich.color import Color, ColorSystem
from rich.console import Console
from rich.style import Style
from textual import events
from textual.geometry import Offset
from textual.strip import Strip

from vs_tui.tui.textual_internals import (
    ChopsUpdate,
    CompositorUpdate,
    LayoutUpdate,
    UpdatingApp,
    color_system,
    driver_of,
    link_opening,
)

Result = TypeVar("Result")
_NEAR: Final = 4
"""Changed cells at most this far apart are sent in one run, with the equal cells between them; that
is cheaper than moving the cursor."""
_UNKNOWN: Final = "\0"
_NARROW_SIGNS: Final = (
    "\x20-\x7e\xa1-\xac\xae-\u02ff\u0370-\u0482\u048a-\u052f\u2010-\u2027\u2030-\u205e"
    "\u2190-\u21ff\u2200-\u22ff\u2500-\u25fc\u25ff\u2713\u2717\u2800-\u28ff"
)
_NARROW: Final = re.compile(f"[{_NARROW_SIGNS}]*")
"""Texts in which every terminal gives each character one cell. With other texts, such as joined
emoji, a terminal may be a cell off."""
_WIDE: Final = re.compile(
    f"(?:(?! )[{_NARROW_SIGNS}])?[^{_NARROW_SIGNS}]+(?: [^{_NARROW_SIGNS}]+)*"
)
"""Such other words, with the character before them, because marks combine with it."""


class Code(NamedTuple):
    """A style in parts, each as parameters of SGR, the escape sequence for styles."""

    attributes: str = ""
    front: str = ""
    back: str = ""
    link: str = ""
    """Escape sequence that opens a hyperlink."""


class Whole(NamedTuple):
    """A text that is sent whole, because terminals disagree on its width. Each of its cells in a
    line holds this object and an unknown character."""

    column: int
    rendered: str


_BARE: Final = Code()
_JOINERS: Final = "\u200c\u200d"
"""Not printable by themselves; emoji and scripts join with them."""
_END_OF_LINK: Final = "\x1b]8;;\x1b\\"


class Sheet:
    """Two buffers of the screen: the wanted content, and the content sent so far."""

    def __init__(self) -> None:
        self._codes: dict[Style | None, Code] = {}
        self._system: ColorSystem = ColorSystem.TRUECOLOR
        self._width = 0
        self._wanted: list[_Line] = []
        self._sent: list[_Line] = []
        self._touched: dict[int, int] = {}
        """Line that may differ -> number of the last update that changed it."""
        self._updates = 0

    def forget(self) -> None:
        """Send everything next time, because the terminal was resized or another program wrote to
        it."""
        self._sent = [_Line(self._width) for _ in self._wanted]
        self._touched = dict.fromkeys(range(len(self._wanted)), self._updates)

    def take(self, update: CompositorUpdate, console: Console) -> None:
        """Apply an update to the wanted content."""
        system = color_system(console)
        if system is not self._system:
            self._system = system
            self._codes.clear()
        if isinstance(update, LayoutUpdate):
            self._fit(update.region.right, update.region.bottom)
        self._updates += 1
        for y, x, strip in _strips(update):
            if y < len(self._wanted) and x < self._width:
                self._draw(self._wanted[y], x, strip)
                self._touched[y] = self._updates

    def _fit(self, width: int, height: int) -> None:
        if (width, height) != (self._width, len(self._wanted)):
            self._width = width
            self._wanted = [_Line(width) for _ in range(height)]
            self.forget()

    def _draw(self, line: _Line, x: int, strip: Strip) -> None:
        if _NARROW.fullmatch(strip.text) is not None:
            codes: list[Code | Whole] = []
            for segment in strip:
                codes += [self._code(segment.style)] * len(segment.text)
            line.put(x, strip.text, codes)
            return
        for segment in strip:
            code = self._code(segment.style)
            for text in _parts(segment.text):
                width = cell_len(text)
                if _NARROW.fullmatch(text) is not None:
                    line.put(x, text, [code] * width)
                else:
                    line.put(x, _UNKNOWN * width, [_whole(x, text, width, code)] * width)
                x += width

    def _code(self, style: Style | None) -> Code:
        code = self._codes.get(style)
        if code is None:
            if len(self._codes) > 4_096:
                self._codes.clear()
            code = self._codes[style] = _code_of(style, self._system) if style else _BARE
        return code

    def changes(self, most: int | None = None) -> str:
        """The text that brings the terminal up to date; empty if it is. The text counts as sent.

        After `most` characters no further line is started. Lines changed last come first, so that
        on a slow line the answer to a key does not wait for older content.
        """
        out = _Pen()
        for y in sorted(self._touched, key=lambda y: (-self._touched[y], y)):
            if most is not None and out.length >= most:
                break
            wanted, sent = self._wanted[y], self._sent[y]
            for first, until in wanted.differing(sent):
                for column, text, code in wanted.pieces(first, until):
                    if isinstance(code, Whole):
                        out.whole(y, code)
                    elif text[0] != _UNKNOWN:
                        out.move(y, column)
                        out.text(text, code)
            sent.text, sent.codes = wanted.text, wanted.codes.copy()
            del self._touched[y]
        return out.end()

    @property
    def changed(self) -> bool:
        """Whether lines may be left to send."""
        return bool(self._touched)


def _parts(text: str) -> Iterator[str]:
    """The parts of a text that are narrow, and those that are not."""
    end = 0
    for found in _WIDE.finditer(text):
        if found.start() > end:
            yield text[end : found.start()]
        yield found[0]
        end = found.end()
    if end < len(text):
        yield text[end:]


def _whole(column: int, text: str, width: int, code: Code) -> Whole:
    """The text on blanks, for a terminal that gives it fewer cells."""
    pen = _Pen()
    pen.text(f"{' ' * width}\x1b[{column + 1}G{_without_controls(text)}", code)
    return Whole(column, pen.end())


def _without_controls(text: str) -> str:
    """The text as it may be sent. Painters clean all texts; this is for one that forgets it."""
    if text.isprintable():
        return text
    return "".join(each for each in text if each.isprintable() or each in _JOINERS)


class _Line:
    """The characters of a line and their styles."""

    __slots__ = ("codes", "text")

    def __init__(self, width: int) -> None:
        self.text = _UNKNOWN * width
        self.codes: list[Code | Whole] = [_BARE] * width

    def put(self, x: int, text: str, codes: Sequence[Code | Whole]) -> None:
        """Replace the content from column `x` on; text beyond the line's end is dropped."""
        text = text[: len(self.text) - x]
        self.text = self.text[:x] + text + self.text[x + len(text) :]
        self.codes[x : x + len(text)] = codes[: len(text)]

    def differing(self, other: _Line) -> Iterator[tuple[int, int]]:
        """[first, until) of each run of columns that differs from another line of the same length.
        After a text that is sent whole the run goes on to the end, because a terminal that gives
        it more cells overwrites what follows."""
        if self.text == other.text and self.codes == other.codes:
            return
        cells = zip(self.text, other.text, self.codes, other.codes, strict=True)
        first, last = -1, -1
        for column, (sign, theirs, code, their_code) in enumerate(cells):
            if sign == theirs and (code is their_code or code == their_code):
                continue
            if first >= 0 and column - last > _NEAR:
                yield first, last + 1
                first = column
            first = column if first < 0 else first
            last = column
            if isinstance(code, Whole) or isinstance(their_code, Whole):
                last = len(self.text) - 1
                break
        if first >= 0:
            yield first, last + 1

    def pieces(self, first: int, until: int) -> Iterator[tuple[int, str, Code | Whole]]:
        """(column, text, code) of each run with one style."""
        begin = first
        for column in range(first + 1, until + 1):
            if column == until or self.codes[column] != self.codes[begin]:
                yield begin, self.text[begin:column], self.codes[begin]
                begin = column


class _Pen:
    """Writes text at positions and in styles; repeats a position or style only if it changed."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._code = _BARE
        self._place = (-1, -1)
        self.length = 0

    def whole(self, y: int, text: Whole) -> None:
        """Write a text that brings its own style."""
        self.move(y, text.column)
        self._style(_BARE)
        self._add(text.rendered)
        self._place = (-1, -1)  # the cursor's position is unknown now

    def move(self, y: int, x: int) -> None:
        if (y, x) != self._place:
            self._place = (y, x)
            self._add(f"\x1b[{y + 1};{x + 1}H")

    def text(self, text: str, code: Code) -> None:
        """Write narrow characters at the current position. After other characters the position is
        unknown, so move next."""
        self._style(code)
        self._add(text)
        y, x = self._place
        self._place = (y, x + len(text))

    def _style(self, code: Code) -> None:
        old = self._code
        if code is old or code == old:
            return
        if code.link != old.link:
            self._add(code.link or _END_OF_LINK)
        parts: list[str] = []
        fewer = old.attributes not in ("", code.attributes)
        if fewer or (old.front and not code.front) or (old.back and not code.back):
            parts, old = ["0"], _BARE
        for new, known in zip(code[:3], old[:3], strict=True):
            parts += [new] if new != known else []
        if parts:
            self._add(f"\x1b[{';'.join(parts)}m")
        self._code = code

    def _add(self, text: str) -> None:
        self._parts.append(text)
        self.length += len(text)

    def end(self) -> str:
        """Everything written, with the style reset at the end."""
        self._style(_BARE)
        return "".join(self._parts)


def _code_of(style: Style, system: ColorSystem) -> Code:
    """A style as Textual sends it, split into parts, because neighbouring colours often share a
    background."""

    def colour(found: Color | None, front: bool) -> str:
        return ";".join(found.downgrade(system).get_ansi_codes(front)) if found else ""

    attributes = Strip.render_ansi(style.without_color, system)
    return Code(
        attributes, colour(style.color, True), colour(style.bgcolor, False), link_opening(style)
    )


def _strips(update: CompositorUpdate) -> Iterator[tuple[int, int, Strip]]:
    """(line, column, strip) of each strip in an update."""
    if isinstance(update, LayoutUpdate):
        for y, strips in enumerate(update.strips, update.region.y):
            x = update.region.x
            for strip in strips:
                yield y, x, strip
                x += strip.cell_length
    elif isinstance(update, ChopsUpdate):
        for y in {y for y, _, _ in update.spans}:
            for x, chop in update.chops[y].items():
                if chop is not None:
                    yield y, x, chop


@runtime_checkable
class PacedDriver(Protocol):
    """A driver that knows whether the terminal has taken its output."""

    @property
    def at_once(self) -> int | None:
        """Most characters to send at once; None: no limit."""
        ...

    def call_when_taken(self, callback: Callable[[], None]) -> bool:
        """Returns whether output is still waiting for the terminal; if so, calls `callback` once it
        is taken."""
        ...


class DiffingApp(UpdatingApp[Result]):
    """An app with a diff between Textual's compositor and the driver."""

    def __init__(self) -> None:
        super().__init__()
        self._sheet = Sheet()
        self._cursor = Offset(-1, -1)
        """Position last sent for the terminal's cursor; input methods open there."""

    @property
    def behind(self) -> bool:
        """Whether the terminal has not yet taken earlier output (a slow line). Reading and painting
        can wait then."""
        return bool(getattr(driver_of(self), "behind", False))

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Resize):
            # Also the first event after ctrl+z and fg; a resize makes terminals move their content.
            self._sheet.forget()
            self._cursor = Offset(-1, -1)
        await super().on_event(event)

    def take_update(self, update: CompositorUpdate) -> None:
        self._sheet.take(update, self.console)
        self.send_changes()

    def redraw(self) -> None:
        """Send the whole screen again, for example after another program wrote over it."""
        driver = driver_of(self)
        if driver is not None and not self.is_headless:
            driver.write("\x1b[0m")
        self._sheet.forget()
        self._cursor = Offset(-1, -1)
        self.screen.refresh()

    def send_changes(self) -> None:
        """Send the painted changes that were not sent yet. If the terminal is behind, send them
        after it has taken the earlier output."""
        driver = driver_of(self)
        while driver is not None and self.runs:
            if isinstance(driver, PacedDriver) and driver.call_when_taken(self.send_changes):
                return
            text = self._sheet.changes(driver.at_once if isinstance(driver, PacedDriver) else None)
            cursor = self.screen.outer_size.clamp_offset(self.cursor_position)
            if text or cursor != self._cursor:
                self._cursor = cursor
                text += f"\x1b[{cursor.y + 1};{cursor.x + 1}H"
                driver.write(self.synchronised(text))
                driver.flush()
            if not self._sheet.changed:
                return
