"""A trace in two lines, for screens too small for a waterfall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vs_tui.domain.instants import Instant, format_duration
from vs_tui.domain.model import Span
from vs_tui.store.api import Baseline, Trace
from vs_tui.tui import faces
from vs_tui.tui.look import Look
from vs_tui.tui.paint import Piece, fit
from vs_tui.tui.widgets.framed import Framed


class TraceStrip(Framed):
    """The steps of a trace as short bars, and where it stands."""

    can_focus = False

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self._trace: Trace | None = None
        self._baselines: Mapping[str, Baseline] = {}
        self._now: Instant = 0

    @property
    def count(self) -> int:
        return 2

    def show(self, trace: Trace, baselines: Mapping[str, Baseline], now: Instant) -> None:
        self._trace, self._baselines, self._now = trace, baselines, now
        self.refresh()

    def tick(self, now: Instant) -> None:
        if self._trace is not None and any(s.in_flight for s in self._trace.spans):
            self._now = now
            self.refresh()

    def paint_head(self, y: int, width: int) -> Sequence[Piece]:
        return ()

    def paint_row(self, index: int, width: int) -> tuple[Sequence[Piece], bool]:
        if self._trace is None:
            return (), False
        return (self._steps(width) if index == 0 else self._facts(width)), False

    def _steps(self, width: int) -> list[Piece]:
        assert self._trace is not None
        steps = [s for s in self._trace.spans if s.operation not in ("stage", "review", "push")]
        pieces: list[Piece] = [(" ", "text")]
        for span in steps[-6:]:
            glyph, _, role = faces.state(
                span, self.look.glyphs, self._now, self._baselines.get(span.key)
            )
            took = format_duration(span.elapsed(self._now))
            label = faces.kind(span) if span.operation != "build" else span.name
            pieces += [
                (fit(label, min(len(label), 10)).rstrip() + " ", "text"),
                (f"{glyph} {took}", role),
                ("  ", "text"),
            ]
        return pieces

    def _facts(self, width: int) -> list[Piece]:
        assert self._trace is not None
        spans = self._trace.spans
        now = next((s for s in reversed(spans) if s.in_flight and s.operation != "issue"), None)
        facts: list[str] = []
        if now is not None:
            stage = f" ({now.stage})" if now.stage else ""
            facts.append(f"now: {now.name}{stage}")
            if now.actor:
                facts.append(f"by {now.actor}")
        commit = next((_commit(s) for s in reversed(spans) if _commit(s)), "")
        if commit:
            facts.append(f"commit {commit}")
        for operation, word in (("pull_request", "PR"), ("issue", "issue")):
            found = next((s for s in spans if s.operation == operation), None)
            if found is not None:
                facts.append(f"{word} {found.attributes.get('vcs.change.id') or found.ref[-12:]}")
        dot = f" {self.look.glyphs.dot} "
        return [(fit(" " + dot.join(facts), width, ellipsis=self.look.glyphs.ellipsis), "dim")]


def _commit(span: Span) -> str:
    return str(span.attributes.get("vcs.ref.head.revision", ""))[:7]
