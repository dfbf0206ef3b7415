"""Lead time by stage, the bottleneck, and stages that became slower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from vs_tui.metrics.facts import Build, Change, Deployment
from vs_tui.metrics.statistics import mean, median, percentile
from vs_tui.model.time import Duration, Instant

STAGES: Final = ("coding", "pickup", "review", "merge wait", "build", "deploy wait", "deploy")
Stages = Mapping[str, Duration]
"""Stage -> microseconds; a stage with an unknown start or end is absent."""

REGRESSION_FACTOR: Final = 1.25
MIN_HISTORY: Final = 5
"""Fewest values from which a stage's usual duration is computed."""


def stages_of(
    change: Change, started: Instant | None, build: Build | None, deployment: Deployment
) -> dict[str, Duration]:
    """The duration of each stage whose start and end are known.

    coding: start to ready for review; pickup: to the first review; review: to the last approval, or
    else to the merge; merge wait: to the merge; build: to the end of the build, with its time in
    the queue; deploy wait: to the deploy's start; deploy: to its end.

    A build that began before the merge is not a stage: deploy wait then begins at the merge. A
    build that continues during the deploy counts only up to the deploy's start, so that no time
    counts twice.
    """
    merged = change.merged_at
    ready = change.opened_at
    if ready is not None and change.ready_at is not None:
        ready = max(ready, change.ready_at)
        if change.reviewed_at is not None:
            ready = min(ready, change.reviewed_at)
    reviewed = change.approved_at if change.approved_at is not None else merged
    if change.reviewed_at is None:
        reviewed = None
    made = build if build and (merged is None or build.started_at >= merged) else None
    built = made.ended_at if made else None
    if built is not None:
        built = min(built, deployment.started_at)
    queued = merged if merged is not None or made is None else made.started_at
    moments: tuple[tuple[str, Instant | None, Instant | None], ...] = (
        ("coding", started, ready),
        ("pickup", ready, change.reviewed_at),
        ("review", change.reviewed_at, reviewed),
        ("merge wait", reviewed, merged),
        ("build", queued, built),
        ("deploy wait", built if built is not None else merged, deployment.started_at),
        ("deploy", deployment.started_at, deployment.ended_at),
    )
    return {
        stage: max(end - begin, 0)
        for stage, begin, end in moments
        if begin is not None and end is not None
    }


@dataclass(frozen=True, slots=True)
class StageTime:
    """Duration of one stage, over the changes for which it is known."""

    stage: str
    n: int
    median: float | None
    p90: float | None
    share: float | None
    """Share of the sum of all stages' mean durations. A stage that is mostly short but sometimes
    very long has a small median and a large share."""
    mean: float | None = None


def breakdown(values: Mapping[str, Sequence[Duration]]) -> list[StageTime]:
    """All stages in order, from sorted durations; stages without values have n = 0."""
    means = {name: mean(found) or 0.0 for name, found in values.items() if found}
    whole = sum(means.values())
    return [
        StageTime(
            stage=name,
            n=len(found),
            median=median(found),
            p90=percentile(found, 90),
            share=means[name] / whole if name in means and whole else None,
            mean=means.get(name),
        )
        for name in STAGES
        for found in (values.get(name, ()),)
    ]


def bottleneck(times: Sequence[StageTime]) -> str:
    """The stage with the largest share of the lead time; empty without values."""
    known = [time for time in times if time.share]
    return max(known, key=lambda time: time.share or 0).stage if known else ""


@dataclass(frozen=True, slots=True)
class Regression:
    """A stage, or any series, that takes longer than before."""

    name: str
    median: float
    before: float
    n: int
    n_before: int

    @property
    def factor(self) -> float:
        return self.median / self.before


def regression(
    name: str, recent: Sequence[Duration], history: Sequence[Duration]
) -> Regression | None:
    """A regression if the recent median is at least 25 % above the history's median and above its
    75th percentile. Both lists are sorted. None if not, or if either has fewer than MIN_HISTORY
    values."""
    if len(recent) < MIN_HISTORY or len(history) < MIN_HISTORY:
        return None
    now, usual, upper = median(recent), median(history), percentile(history, 75)
    if not now or not usual or upper is None:
        return None
    if now < usual * REGRESSION_FACTOR or now <= upper:
        return None
    return Regression(name, now, usual, len(recent), len(history))


def regressions(
    recent: Mapping[str, Sequence[Duration]], history: Mapping[str, Sequence[Duration]]
) -> list[Regression]:
    """All regressed stages, worst first."""
    found = [regression(name, values, history.get(name, ())) for name, values in recent.items()]
    return sorted((r for r in found if r is not None), key=lambda r: -r.factor)
