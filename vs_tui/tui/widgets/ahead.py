"""Expected steps that have not begun, as rows below their run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Span, State, Status
from vs_tui.store.queries.reader_protocol import Baseline
from vs_tui.traces.trace_tree import Row, children_of
from vs_tui.traces.upcoming import PastRun, Upcoming, upcoming
from vs_tui.tui import span_format

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
