"""Series of spans whose durations can be compared, and the durations that are usual in one: the
expected ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from vs_tui.metrics.statistics import median, percentile
from vs_tui.model.time import Duration, Instant
from vs_tui.model.vocabulary import Span


def series_of(span: Span, stage_of: str = "") -> str:
    """The series whose durations can be compared: runs of one workflow, jobs of one name in one
    workflow, deploys of one service to one environment, changes of one repository. The series of a
    phase is the same phase of its span's series (`stage_of`)."""
    if stage_of:
        return f"{stage_of}|{span.name}"
    names = span.attributes
    label = names.get("cicd.pipeline.name") or ""
    if task := names.get("cicd.pipeline.task.name"):
        label = f"{label}>{task}"
    if span.operation == "deploy":
        label = f"{span.service}>{span.environment}"
    elif not label and span.operation not in ("issue", "pull_request", "sprint", "incident"):
        label = span.name
    return f"{span.project}|{span.operation}|{label}"


HISTORY: Final = 20
"""Number of last successes that give the usual duration of a series."""


class Baseline(NamedTuple):
    """Durations to compare with: of the last successes of a series (at most HISTORY), or of the
    last waits of one kind."""

    n: int
    p50: Duration
    p90: Duration = 0

    def is_overdue(self, started_at: Instant, now: Instant) -> bool:
        """Whether what began then should have ended, by the 90th percentile."""
        return now > started_at + self.p90


def baseline_of(durations: Sequence[Duration]) -> Baseline | None:
    """The baseline for the durations of the last successes, in any order; None without values."""
    ordered = sorted(durations)
    middle, upper = median(ordered), percentile(ordered, 90)
    if middle is None or upper is None:
        return None
    return Baseline(len(ordered), round(middle), upper)
