"""A trace in two lines, for screens with no room for a waterfall, and short facts about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rich.cells import cell_len

from vs_tui.model.display import clean
from vs_tui.model.time import Instant, format_duration
from vs_tui.model.vocabulary import Span, Status
from vs_tui.store.queries.reader_protocol import Baseline, Trace
from vs_tui.traces.steps import children_of
from vs_tui.tui import span_format
from vs_tui.tui.paint import Piece, fit, width_of
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.bars import PastRuns, expected_of
from vs_tui.tui.widgets.framed import Framed

_NAMED: Final = (("pull_request", "PR"), ("issue", "issue"))


def trace_facts(trace: Trace, clock: Callable[[Instant], str], now: Instant) -> list[str]:
    """Cleaned facts, the most telling first; empty if nothing is known."""
    spans = trace.spans  # without linked spans, which belong to other traces
    found: list[str] = []
    commit = next((sha for s in reversed(spans) if (sha := _commit(s))), "")
    if commit:
        found.append(f"commit {commit}")
    for operation, word in _NAMED:
        span = next((s for s in spans if s.operation == operation), None)
        if span is not None:
            found.append(f"{word} {_number(span)}{_ended(span, clock)}")
    first = min(trace.spans, key=lambda s: s.at)
    if first.key != trace.root.key or first.operation in ("issue", "pull_request"):
        how = "" if first.key == trace.root.key else f" with a {span_format.kind(first)}"
        found.append(f"began {span_format.since(first.at, now)} ago{how}")
    return [clean(text, 80) for text in found]


def going_on(spans: Sequence[Span]) -> Span | None:
    """The innermost span in flight; of several the one that began last, issues after all others."""
    parents = {s.parent_key for s in spans if s.in_flight}
    flying = [s for s in spans if s.in_flight and s.key not in parents]
    return max(flying, key=lambda s: (s.operation != "issue", s.at, s.key), default=None)


def _commit(span: Span) -> str:
    return str(span.attributes.get("vcs.ref.head.revision", ""))[:7]


def _number(span: Span) -> str:
    name = span.name.split(" ", 1)[0]
    if name.startswith(("#", "!")):
        return name
    return str(span.attributes.get("vcs.change.id") or span.ref.rpartition("-")[2])


def _ended(span: Span, clock: Callable[[Instant], str]) -> str:
    if span.ended_at is None:
        return ""
    merged = span.operation == "pull_request" and span.status is Status.OK
    word = "merged" if merged else "closed"
    return f" {word} {clock(span.ended_at)}"


_MAX_STEPS: Final = 6
_NAME: Final = 12
"""Most cells of a step's name."""
_SHORTEST_BAR: Final = 2


class TraceStrip(Framed):
    """The steps of a trace as bars by duration, and its current work."""

    can_focus = False

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.clock: Callable[[Instant], str] = lambda instant: span_format.clock(
            instant, span_format.local_zone(), self._now
        )
        self._trace: Trace | None = None
        self._baselines: Mapping[str, Baseline] = {}
        self._past: PastRuns = {}
        self._now: Instant = 0

    @property
    def count(self) -> int:
        return 2

    def show(
        self, trace: Trace, baselines: Mapping[str, Baseline], now: Instant, past: PastRuns
    ) -> None:
        """Show a trace as of `now`."""
        self._trace, self._baselines, self._now, self._past = trace, baselines, now, past
        self.refresh()

    def tick(self, now: Instant) -> None:
        """Set the time; repaints only if a span is in flight."""
        if self._trace is not None and any(s.in_flight for s in self._trace.spans):
            self._now = now
            self.refresh()

    def paint_head(self, y: int, width: int) -> Sequence[Piece]:
        return ()

    def paint_row(self, index: int, width: int) -> tuple[Sequence[Piece], bool]:
        if self._trace is None:
            return (), False
        return (self._bars(width) if index == 0 else self._facts(width)), False

    def _bars(self, width: int) -> list[Piece]:
        assert self._trace is not None
        root = self._trace.root
        total = format_duration(root.elapsed(self._now)).strip()
        baseline = self._baselines.get(root.key)
        if baseline is not None:
            total += f"/~{format_duration(baseline.p50).strip()}"
        steps = _steps(self._trace)
        names = [_short(s.name) for s in steps]
        room = width - 2 - len(total) - 2
        ahead = self._ahead(room // 3)
        room -= width_of(ahead)
        while steps and sum(cell_len(n) + _SHORTEST_BAR + 4 for n in names) > room:
            steps, names = steps[1:], names[1:]
        room -= sum(cell_len(n) + 4 for n in names)
        took = [max(s.elapsed(self._now) or 0, 1) for s in steps]
        pieces: list[Piece] = [(" ", "text")]
        used = 1
        for step, name, duration in zip(steps, names, took, strict=True):
            length = max(room * duration // max(sum(took), 1), _SHORTEST_BAR)
            length = min(length, max(room - _SHORTEST_BAR * (len(steps) - 1), _SHORTEST_BAR))
            glyph, bar, role = self._stroke(step, min(length, 14))
            pieces += [(f"{name} ", "text"), (glyph, role), (f"{bar}  ", role)]
            used += cell_len(name) + 2 + len(bar) + 2
        pieces += ahead
        used += width_of(ahead)
        pieces += [(" " * max(width - used - len(total) - 1, 1), "text"), (total, "text")]
        return pieces

    def _ahead(self, room: int) -> list[Piece]:
        """The expected next steps that fit into `room`."""
        assert self._trace is not None
        root, glyphs = self._trace.root, self.look.glyphs
        if span_format.is_stale(root, self._baselines.get(root.key), self._now):
            return []
        children = children_of(self._trace.spans).get(root.key, [])
        pieces: list[Piece] = []
        for step in expected_of(root, children, self._past, self._now):
            text = f"{_short(step.name)} {glyphs.queue}{glyphs.expected * _SHORTEST_BAR}  "
            if width_of([*pieces, (text, "dim")]) > room:
                break
            pieces.append((text, "dim"))
        return pieces

    def _stroke(self, span: Span, length: int) -> tuple[str, str, str]:
        glyphs = self.look.glyphs
        glyph, _, role = span_format.state(span, glyphs, self._now, self._baselines.get(span.key))
        if span.in_flight:
            return glyph, glyphs.partial * (length - 1) + glyphs.tip, role
        return glyph, glyphs.bar * length, role

    def _facts(self, width: int) -> list[Piece]:
        assert self._trace is not None
        facts: list[str] = []
        now = going_on(self._trace.spans)
        if now is not None:
            elapsed = format_duration(now.elapsed(self._now)).strip()
            facts.append(clean(f"now: {_doing(self._trace, now)} ({elapsed})", 60))
            if now.actor:
                facts.append(clean(f"by {now.actor}", 40))
        facts += trace_facts(self._trace, self.clock, self._now)
        dot = f" {self.look.glyphs.dot} "
        return [(fit(" " + dot.join(facts), width, ellipsis=self.look.glyphs.ellipsis), "dim")]


def _doing(trace: Trace, span: Span) -> str:
    """The current work of a span: its stage, or its name if the stage says only that it runs."""
    if span_format.is_phase(span):
        above = next((s for s in trace.spans if s.key == span.parent_key), span)
        span = above._replace(stage=span.name)
    if not span_format.says_more(span.stage):
        return span.name
    is_titled = span.key == trace.root.key
    return span.stage if is_titled else f"{span.name} {span.stage}"


def _short(name: str) -> str:
    return fit(clean(name), min(cell_len(clean(name)), _NAME))


def _steps(trace: Trace) -> list[Span]:
    """The last steps directly below the root; the root itself if it has none."""
    below = [s for s in trace.spans if s.parent_key == trace.root.key]
    steps = [s for s in below if s.started_at is not None and s.operation not in ("review", "push")]
    return (steps or [trace.root])[-_MAX_STEPS:]
