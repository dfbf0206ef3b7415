"""The bars of a waterfall, drawn cell by cell: spans, waits before them, axis and minimap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.cells import cell_len

from vs_tui.model.time import Duration, Instant, format_duration
from vs_tui.model.vocabulary import Span, State
from vs_tui.store.reader_protocol import Baseline, Trace
from vs_tui.traces.axis import Axis, offset_text, ticks
from vs_tui.traces.trace_tree import Gap, end_at, gaps
from vs_tui.tui import span_format
from vs_tui.tui.paint import Piece
from vs_tui.tui.theme import Look

CONTEXT: Final = frozenset({"issue", "pull_request", "sprint", "incident"})
"""Open while others work: drawn as a line, not as a bar."""
_IDLE_STAGES: Final = ("queued", "waiting")


@dataclass(frozen=True, slots=True)
class Scene:
    """What all bars of a waterfall have in common."""

    look: Look
    axis: Axis
    width: int
    now: Instant
    baselines: Mapping[str, Baseline]
    waits: Mapping[str, Gap] = field(default_factory=dict)
    """Key of the span that ended a wait -> the wait."""

    def expected_end(self, span: Span) -> Instant | None:
        """When history lets it end: its start and the median; None when that has passed."""
        baseline = self.baselines.get(span.key)
        if not span.in_flight or baseline is None or span.started_at is None:
            return None
        expected = span.started_at + baseline.p50
        return expected if expected > self.now else None


class Canvas:
    """A line of cells with a role each."""

    def __init__(self, width: int) -> None:
        self.width = max(width, 0)
        self._signs = [" "] * self.width
        self._roles = ["text"] * self.width

    def fill(self, first: int, until: int, sign: str, role: str) -> None:
        """Put one sign into [first, until), as far as that is on the canvas."""
        for column in range(max(first, 0), min(until, self.width)):
            self._signs[column], self._roles[column] = sign, role

    def write(self, column: int, text: str, role: str) -> bool:
        """Put a text of narrow characters where all of it fits; whether it did."""
        if column < 0 or column + len(text) > self.width:
            return False
        for offset, sign in enumerate(text):
            self._signs[column + offset], self._roles[column + offset] = sign, role
        return True

    def free(self, first: int, until: int) -> bool:
        """Whether nothing is drawn in [first, until), and all of it is on the canvas."""
        on_canvas = 0 <= first <= until <= self.width
        return on_canvas and not "".join(self._signs[first:until]).strip()

    @property
    def text(self) -> str:
        """All signs."""
        return "".join(self._signs)

    def pieces(self) -> list[Piece]:
        """Runs of one role."""
        found: list[Piece] = []
        for sign, role in zip(self._signs, self._roles, strict=True):
            if found and found[-1][1] == role:
                found[-1] = (found[-1][0] + sign, role)
            else:
                found.append((sign, role))
        return found


def bar(span: Span, scene: Scene, *, hidden_failed: int = 0, parent: bool = False) -> list[Piece]:
    """A span's line: the wait before it, its bar, and dots to where history lets it end."""
    canvas = Canvas(scene.width)
    axis, glyphs, width = scene.axis, scene.look.glyphs, scene.width
    left, right = axis.column(span.at), axis.column(end_at(span, scene.now))
    first = min(max(int(left), 0), width - 1)
    last = max(min(int(-(-right // 1)), width), first + 1)
    wait = scene.waits.get(span.key)
    if right < 0 or left >= width:
        return canvas.pieces()
    sign, role = _stroke(span, scene, hidden_failed, parent)
    canvas.fill(first, last, sign, role)
    if span.in_flight and right <= width:
        stale = span_format.is_stale(span, scene.baselines.get(span.key), scene.now)
        canvas.fill(last - 1, last, glyphs.stale if stale else glyphs.tip, role)
    expected = scene.expected_end(span)
    if expected is not None:
        canvas.fill(last, int(axis.column(expected)) + 1, glyphs.expected, "expected")
    if wait is not None:
        _draw_wait(canvas, wait, first, last, scene)
    return canvas.pieces()


def dotted(begins: Instant, ends: Instant, scene: Scene) -> list[Piece]:
    """The line of what has not begun, at its expected place."""
    canvas = Canvas(scene.width)
    left, right = scene.axis.column(begins), scene.axis.column(ends)
    first = min(max(int(left), 0), scene.width - 1)
    if right >= 0 and left < scene.width:
        last = max(min(int(-(-right // 1)), scene.width), first + 1)
        canvas.fill(first, last, scene.look.glyphs.expected, "expected")
    return canvas.pieces()


def _stroke(span: Span, scene: Scene, hidden_failed: int, parent: bool) -> tuple[str, str]:
    glyphs = scene.look.glyphs
    thin = parent or span.operation in CONTEXT
    if span.status.failed or hidden_failed:
        return glyphs.line if thin else glyphs.bar, "bar_fail"
    if span.in_flight and span.state is State.QUEUED and not thin:
        return glyphs.expected, "gap"
    if span.in_flight:
        role = "bar_wait" if span.state is State.WAITING else "bar_run"
        return glyphs.line if thin else glyphs.partial, role
    if span.operation == "stage" and span.name in _IDLE_STAGES:
        return glyphs.expected, "gap"
    return glyphs.line if thin else glyphs.bar, "bar_ok"


def _draw_wait(canvas: Canvas, wait: Gap, first: int, last: int, scene: Scene) -> None:
    begin = max(int(scene.axis.column(wait.begins)), 0)
    canvas.fill(begin, first, scene.look.glyphs.gap, "gap")
    text = f"{wait.name} {format_duration(wait.duration).strip()}"
    if not text.isascii() and cell_len(text) != len(text):
        return  # a custom operation's name; the detail names its wait
    # The name ends where the span begins, as nothing else is in this line before it; without
    # room there it stands behind.
    if len(text) < first:
        canvas.write(first - len(text) - 1, f"{text} ", "gap")
    elif canvas.free(last + 1, last + 3 + len(text)):
        canvas.write(last + 1, f"({text})", "gap")


def axis_line(scene: Scene, root: Span | None, origin: Instant, ends: tuple[str, str]) -> str:
    """Ticks from `origin` on, now, and the expected end of the root. An axis that draws waits
    short has no even ticks: it shows the clock at both `ends`."""
    canvas = Canvas(scene.width)
    axis, glyphs, width = scene.axis, scene.look.glyphs, scene.width
    column = int(axis.column(scene.now))
    # Where the root has ended and something below it goes on, there is a now as well.
    if axis.begin <= scene.now < axis.end and 0 <= column < width:
        text = f"{glyphs.now}now"
        canvas.write(min(column, width - len(text)), text, "dim")
    if root is not None and root.in_flight:
        expected = scene.expected_end(root)
        if expected is not None and root.started_at is not None:
            text = f"~{format_duration(expected - root.started_at).strip()}"
            _place(canvas, min(int(axis.column(expected)), width - len(text)), text)
    if not axis.breaks:
        for tick in _ticks(axis, origin, width):
            _place(canvas, int(axis.column(tick)), _offset(tick - origin))
        return canvas.text
    begin, end = ends
    _place(canvas, 0, begin)
    _place(canvas, width - len(end), end)
    for broken in axis.breaks:
        _place(canvas, int(broken) + 1, glyphs.gap)
    return canvas.text


def _place(canvas: Canvas, column: int, text: str) -> None:
    """Write where there is room, with a space to what is there already."""
    before, after = max(column - 1, 0), min(column + len(text) + 1, canvas.width)
    if canvas.free(before, after):
        canvas.write(column, text, "dim")


def _ticks(axis: Axis, origin: Instant, width: int) -> list[Instant]:
    """Round offsets from the origin within the axis."""
    even = ticks(axis.begin, axis.end, width)
    step = even[1] - even[0] if len(even) > 1 else max(axis.end - axis.begin, 1)
    first = -(-(axis.begin - origin) // step)
    last = (axis.end - origin) // step
    return [origin + n * step for n in range(first, min(last, first + 50) + 1)]


def _offset(offset: Duration) -> str:
    text = offset_text(offset)
    return text if len(text) < 4 else format_duration(offset).strip()


def minimap(spans: Sequence[Span], whole: tuple[Instant, Instant], scene: Scene) -> list[Piece]:
    """The whole trace in one line: how many spans are at work in each column, and between
    brackets what the waterfall shows of it."""
    begin, end = whole
    width = scene.width
    counts = [0] * width
    scale = width / max(end - begin, 1)
    parents = {span.parent_key for span in spans}
    for span in spans:
        if span.operation in CONTEXT or (span.key in parents and span.operation != "build"):
            continue
        first = int((span.at - begin) * scale)
        last = int((end_at(span, scene.now) - begin) * scale)
        for column in range(max(first, 0), min(last + 1, width)):
            counts[column] += 1
    sparks = scene.look.glyphs.sparks
    top = max(max(counts, default=0), 1)
    shown = (int((scene.axis.begin - begin) * scale), int((scene.axis.end - begin) * scale))
    canvas = Canvas(width)
    for column, count in enumerate(counts):
        inside = shown[0] <= column <= shown[1]
        sign = sparks[max(round(count / top * (len(sparks) - 1)), 1)] if count else " "
        canvas.fill(column, column + 1, sign, "bar_run" if inside else "gap")
    if shown[0] > 0:
        canvas.write(min(shown[0], width - 1), "[", "key")
    if shown[1] < width:
        canvas.write(max(min(shown[1], width - 1), 0), "]", "key")
    return canvas.pieces()


def waits_of(trace: Trace, now: Instant) -> dict[str, Gap]:
    """Key of the span that ended a wait -> the wait."""
    return {gap.until: gap for gap in gaps(trace.spans, now)}
