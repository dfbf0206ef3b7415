"""The rows of a waterfall: tree, bar and state, also of expected steps that have not begun."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from vs_tui.model.time import Instant, format_duration
from vs_tui.model.vocabulary import Span, State, Status
from vs_tui.traces.baseline import Baseline
from vs_tui.traces.outline import PSEUDO, Outline
from vs_tui.traces.steps import PastRun, Row, Upcoming, children_of, end_at, upcoming
from vs_tui.traces.time_axis import Axis
from vs_tui.traces.trace_facts import CONTEXT, is_machine
from vs_tui.tui import span_format
from vs_tui.tui.paint import Piece, cut, fit
from vs_tui.tui.theme import Look

LINES: Final = CONTEXT | {"incident"}
"""Operations that stay open while other work goes on; drawn as a line, not as a bar."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Data that all bars of a waterfall share."""

    look: Look
    axis: Axis
    now: Instant
    baselines: Mapping[str, Baseline]
    outline: Outline = field(default_factory=Outline)
    path: frozenset[str] = frozenset()
    """Keys of the spans on the critical path and of their parents."""

    @property
    def width(self) -> int:
        return self.axis.width

    def expected_end(self, span: Span) -> Instant | None:
        """Start plus median of a span in flight; None if that has passed or is unknown."""
        return expected_end(span, self.baselines.get(span.key), self.now)


def expected_end(span: Span, baseline: Baseline | None, now: Instant) -> Instant | None:
    """Start plus usual time of a span in flight; None if that has passed or is unknown. Issues and
    changes have none: people keep them open, so the axis should not extend to that time."""
    usual = span_format.usual(baseline)
    if not span.in_flight or usual is None or span.started_at is None or span.operation in LINES:
        return None
    expected = span.started_at + usual.p50
    return expected if expected > now else None


class Canvas:
    """A line of cells, each with a sign and a role."""

    def __init__(self, width: int) -> None:
        self.width = max(width, 0)
        self._signs = [" "] * self.width
        self._roles = ["text"] * self.width

    def fill(self, first: int, until: int, sign: str, role: str) -> None:
        """Fill [first, until) with one sign, within the canvas."""
        for column in range(max(first, 0), min(until, self.width)):
            self._signs[column], self._roles[column] = sign, role

    def write(self, column: int, text: str, role: str) -> bool:
        """Write a text of narrow characters if all of it fits; returns whether it did."""
        if column < 0 or column + len(text) > self.width:
            return False
        for offset, sign in enumerate(text):
            self._signs[column + offset], self._roles[column + offset] = sign, role
        return True

    def free(self, first: int, until: int) -> bool:
        """Whether [first, until) is empty and within the canvas."""
        on_canvas = 0 <= first <= until <= self.width
        return on_canvas and not "".join(self._signs[first:until]).strip()

    def put(self, column: int, text: str, role: str, *, until: int | None = None) -> bool:
        """Write into empty cells, if one free cell stays on each side; returns whether it did."""
        after = column + len(text)
        within = self.width if until is None else until
        if after > within or not self.free(max(column - 1, 0), min(after + 1, self.width)):
            return False
        return self.write(column, text, role)

    def pieces(self) -> list[Piece]:
        """A piece for each run of one role."""
        found: list[Piece] = []
        for sign, role in zip(self._signs, self._roles, strict=True):
            if found and found[-1][1] == role:
                found[-1] = (found[-1][0] + sign, role)
            else:
                found.append((sign, role))
        return found


def bar(row: Row, scene: Scene) -> list[Piece]:
    """A row's bar, with dots to its expected end. In a folded row, columns of hidden spans on the
    critical path are drawn full. `‹` and `›` mark a bar that continues outside the window."""
    canvas = Canvas(scene.width)
    span, glyphs = row.span, scene.look.glyphs
    ends = end_at(span, scene.now)
    first, last = scene.axis.cells(span.at, ends)
    sign, role = _stroke(row, scene)
    canvas.fill(first, last, sign, role)
    if row.folded:
        for hidden in row.below:
            if hidden.key in scene.path:
                full = glyphs.partial if hidden.in_flight else glyphs.bar
                canvas.fill(*scene.axis.cells(hidden.at, end_at(hidden, scene.now)), full, role)
    for broken in scene.axis.breaks:
        if span.at <= broken.begins and broken.ends <= ends:
            canvas.fill(*broken.cells, glyphs.left_out, "gap")
    if span.in_flight:
        stale = span_format.is_stale(span, scene.baselines.get(span.key), scene.now)
        tip = max(last - 1, first)
        canvas.fill(tip, tip + 1, glyphs.stale if stale else glyphs.tip, role)
    expected = scene.expected_end(span)
    reaches = last
    if expected is not None:
        reaches = scene.axis.cells(ends, expected)[1]
        canvas.fill(last, reaches, glyphs.expected, "expected")
    _mark_outside(canvas, scene, first, reaches, role)
    return canvas.pieces()


def dotted(begins: Instant, ends: Instant, scene: Scene) -> list[Piece]:
    """The line of an expected step, at its expected time."""
    canvas = Canvas(scene.width)
    first, last = scene.axis.cells(begins, ends)
    canvas.fill(first, last, scene.look.glyphs.expected, "expected")
    _mark_outside(canvas, scene, first, last, "expected")
    return canvas.pieces()


def _mark_outside(canvas: Canvas, scene: Scene, first: int, last: int, role: str) -> None:
    glyphs = scene.look.glyphs
    if first < 0:
        canvas.write(0, glyphs.before, role)
    if last > scene.width:
        canvas.write(scene.width - 1, glyphs.after, role)


def _stroke(row: Row, scene: Scene) -> tuple[str, str]:
    span, glyphs = row.span, scene.look.glyphs
    failed = span.status.failed or row.hidden_failed > 0
    if span.operation == "wait":
        return glyphs.idle, "bar_wait" if span.in_flight else "gap"
    if span.operation in LINES:
        role = "bar_fail" if failed else "bar_run" if span.in_flight else "bar_ok"
        return glyphs.line, role
    if span.in_flight:
        if span.state is State.QUEUED:
            return glyphs.expected, "gap"
        role = "bar_wait" if span.state is State.WAITING else "bar_run"
        return glyphs.idle if span.state is State.WAITING else glyphs.partial, role
    on_path = span.key in scene.path and not row.folded
    return glyphs.bar if on_path else glyphs.beside, "bar_fail" if failed else "bar_ok"


def on_path(row: Row, scene: Scene) -> tuple[bool, int]:
    """(whether the row is on the critical path, number of hidden spans on it)."""
    deciding = set(scene.outline.path.keys)
    return row.span.key in scene.path, sum(s.key in deciding for s in row.below)


def with_parents(keys: Sequence[str], spans: Sequence[Span]) -> frozenset[str]:
    """The keys and those of all their ancestors."""
    above = {span.key: span.parent_key for span in spans}
    found: set[str] = set()
    for one in keys:
        key = one
        while key and key not in found:
            found.add(key)
            key = above.get(key, "")
    return frozenset(found)


PastRuns = Mapping[str, Sequence[PastRun]]
"""Key of a span in flight -> last successful runs of its series."""


@dataclass(frozen=True, slots=True)
class Next:
    """An expected step, and a placeholder span for its row in the tree."""

    step: Upcoming
    place: Span


def expected_below(
    rows: Iterable[Row],
    spans: Iterable[Span],
    past: PastRuns,
    baselines: Mapping[str, Baseline],
    now: Instant,
) -> dict[str, Next]:
    """Row key -> expected step, for all unfolded runs."""
    below = children_of(spans)
    found: dict[str, Next] = {}
    for row in rows:
        run = row.span
        lost = span_format.is_stale(run, baselines.get(run.key), now)
        if row.folded or lost or run.key not in past:
            continue
        for step in expected_of(run, below.get(run.key, ()), past, now):
            key = f"{run.key}\0{step.operation}\0{step.name}"
            found[key] = Next(step, _place(key, run, step))
    return found


def expected_of(
    run: Span, children: Iterable[Span], past: PastRuns, now: Instant
) -> list[Upcoming]:
    """The expected steps of a run that have not begun."""
    return upcoming(run, children, past.get(run.key, ()), now)


def _place(key: str, run: Span, step: Upcoming) -> Span:
    return Span(
        key=key,
        ref="",
        source="",
        operation=step.operation,
        name=step.name,
        status=Status.IN_FLIGHT,
        state=State.QUEUED,
        started_at=step.begins,
        ended_at=None,
        parent_key=run.key,
    )


def runs_in_flight(
    spans: Sequence[Span], baselines: Mapping[str, Baseline], now: Instant
) -> list[Span]:
    """The outermost runs and deploys in which a machine works; without those that are lost."""
    by_key = {span.key: span for span in spans}
    tops: dict[str, Span] = {}
    for span in spans:
        if not span.in_flight or not is_machine(span):
            continue
        if span_format.is_stale(span, baselines.get(span.key), now):
            continue
        top = span
        while (above := by_key.get(top.parent_key)) is not None and is_machine(above):
            top = above
        tops[top.key] = top
    return list(tops.values())


NARROW = 90
_NO_STATE = frozenset({"wait", "group", "link"})


def widths(width: int) -> tuple[int, int, int]:
    """(label, bar, by) in columns; `by` is 0 on a narrow screen."""
    narrow = width < NARROW
    by = 0 if narrow else 9
    label = min(max(width * (38 if narrow else 34) // 100, 20), 44)
    # The other columns: duration 9, mark 3, state 8, a space after label and after state.
    return label, max(width - label - 23 - by, 8), by


def row_pieces(
    row: Row, scene: Scene, expected: Next | None, width: int, *, selected: bool, above: bool
) -> list[Piece]:
    """One row: tree, bar, duration, mark of the critical path, state, actor."""
    label, _, by = widths(width)
    glyphs = scene.look.glyphs
    edge = glyphs.cursor if selected else glyphs.above if above else " "
    pieces: list[Piece] = [(edge, "key" if selected else "dim")]
    if expected is not None:
        step = expected.step
        took = "~" + format_duration(step.ends - step.begins)
        pieces += [(text, "dim") for text, _ in _label(row, scene, label - 1)]
        pieces += [(" ", "text"), *dotted(step.begins, step.ends, scene)]
        pieces.append((f" {took:>8}    {glyphs.queue} {'next':<6}", "dim"))
        return [*pieces, (" " + fit(f"n={step.n}", by - 1), "dim")] if by else pieces
    span = row.span
    if span.operation == "link":
        ellipsis = glyphs.ellipsis
        text = _label(row, scene, width - 2)
        return [*pieces, *cut(text, width - 2, ellipsis)]
    pieces += _label(row, scene, label - 1)
    pieces.append((" ", "text"))
    pieces += bar(row, scene)
    decides, inside = on_path(row, scene)
    mark = f"{glyphs.critical}{inside or ''}"[:2] if decides or inside else ""
    pieces += [
        (f" {format_duration(span.elapsed(scene.now)):>8} ", "text"),
        (f"{mark:<2} ", "critical"),
    ]
    if span.operation in _NO_STATE:
        waiting = span.operation == "wait" and span.in_flight
        word = f"{glyphs.wait} wait" if waiting else f"{glyphs.ok} ok" if row.below else ""
        pieces.append((f"{word:<8}", "wait" if waiting else "ok"))
    else:
        sign, word, role = span_format.state(span, glyphs, scene.now, scene.baselines.get(span.key))
        pieces.append((f"{sign} {word:<6}", role))
    if by and PSEUDO not in span.key:
        pieces.append((" " + fit(span.actor or span.source, by - 1), "dim"))
    return pieces


def _label(row: Row, scene: Scene, width: int) -> list[Piece]:
    glyphs, span = scene.look.glyphs, row.span
    guides = "".join("  " if last else glyphs.pipe for last in row.lasts[:-1]) + (
        (glyphs.last if row.lasts[-1] else glyphs.branch) if row.lasts else ""
    )
    sign = (glyphs.folded if row.folded else glyphs.open) + " " if row.children else ""
    kind = ""
    if span.operation == "wait":
        kind = f"{glyphs.idle} "
    elif span.operation == "link":
        kind = glyphs.effect if row.depth == 0 else ""
    elif span.operation != "group" and span.key not in scene.outline.jobs:
        kind = span_format.kind_in_tree(span)
    name = span_format.title(span)
    if span.attempt > 1 and PSEUDO not in span.key:
        name += f", attempt {span.attempt}"
    hidden = sum(PSEUDO not in s.key for s in row.below)
    if row.folded and hidden and span.operation != "group":
        name += f" ({hidden})"
    if row.hidden_failed:
        name += f" {glyphs.fail}{row.hidden_failed}"
    role = "dim" if span.operation in ("stage", "wait", "group", "link") else "text"
    if span.status.failed or row.hidden_failed:
        role = "fail"
    guides = guides[max(len(guides) - (width // 2 & ~1), 0) :]  # the name gets half at least
    room = max(width - len(guides) - len(sign) - len(kind), 0)
    return [
        (guides, "frame"),
        (sign, "key"),
        (kind, "dim"),
        (fit(name, room, ellipsis=glyphs.ellipsis), role),
    ]
