"""ValueStream's questions, for any kind of span and any grouping: how often, how long, how well,
how much at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vs_tui.metrics.statistics import Distribution, median, percentile, ratio
from vs_tui.model.time import Duration, Instant
from vs_tui.model.vocabulary import Status

if TYPE_CHECKING:
    from vs_tui.metrics.windows import Window

GROUPINGS: Final = (
    *("operation", "name", "project", "team", "service", "environment", "source", "actor"),
    *("status", "stage"),
)
"""What spans can be grouped by; any number of them together."""
HISTORY: Final = 20
"""Successes of a series that say how long it usually takes."""


@dataclass(frozen=True, slots=True)
class Item:
    """A span as far as durations are concerned."""

    group: tuple[str, ...]
    status: Status
    started_at: Instant | None
    ended_at: Instant | None


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """One group of spans in a window."""

    group: tuple[str, ...]
    started: int
    finished: int
    ok: int
    failed: int
    """With an error or timed out."""
    cancelled: int
    in_progress: int
    """At the end of the window."""
    success_ratio: float | None
    """ok / (ok + failed): a cancelled span says nothing about success."""
    throughput: float | None
    """Finished a day."""
    duration: Distribution
    """Of those that ended in the window, ok or failed, with a known start."""


def check_grouping(grouping: Sequence[str]) -> None:
    """ValueError when a name is none of GROUPINGS."""
    for name in grouping:
        if name not in GROUPINGS:
            accepted = ", ".join(GROUPINGS)
            raise ValueError(f"'{name}' cannot be grouped by; use one of {accepted}")


def duration_report(items: Iterable[Item], window: Window) -> list[GroupFigures]:
    """Figures a group, the groups with the most finished spans first."""
    groups: dict[tuple[str, ...], list[Item]] = {}
    for item in items:
        groups.setdefault(item.group, []).append(item)
    found = [_figures(group, members, window) for group, members in groups.items()]
    touched = [
        figures for figures in found if figures.started or figures.finished or figures.in_progress
    ]
    return sorted(touched, key=lambda figures: (-figures.finished, figures.group))


def _figures(group: tuple[str, ...], items: Sequence[Item], window: Window) -> GroupFigures:
    ended = [item for item in items if item.ended_at is not None and item.ended_at in window]
    ok = sum(1 for item in ended if item.status is Status.OK)
    failed = sum(1 for item in ended if item.status.failed)
    return GroupFigures(
        group=group,
        started=sum(1 for i in items if i.started_at is not None and i.started_at in window),
        finished=len(ended),
        ok=ok,
        failed=failed,
        cancelled=sum(1 for item in ended if item.status is Status.CANCELLED),
        in_progress=sum(1 for item in items if in_progress_at(item, window.end)),
        success_ratio=ratio(ok, ok + failed),
        throughput=ratio(len(ended), window.length),
        duration=Distribution.of(
            [
                max(item.ended_at - item.started_at, 0)
                for item in ended
                if item.ended_at is not None
                and item.started_at is not None
                and item.status is not Status.CANCELLED
            ]
        ),
    )


def in_progress_at(item: Item, moment: Instant) -> bool:
    """Whether it had begun and not yet ended."""
    if item.started_at is None or item.started_at > moment:
        return False
    return item.ended_at is None or item.ended_at > moment


@dataclass(frozen=True, slots=True)
class History:
    """How long the last successes of a series took (at most HISTORY of them)."""

    n: int
    median: float
    p90: Duration


def history_of(durations: Sequence[Duration]) -> History | None:
    """Of the durations of the last successes, in any order; None without any."""
    ordered = sorted(durations)
    middle, upper = median(ordered), percentile(ordered, 90)
    if middle is None or upper is None:
        return None
    return History(len(ordered), middle, upper)


@dataclass(frozen=True, slots=True)
class Expectation:
    """When an in-flight span should end, by its last successes."""

    n: int
    median_end: Instant
    p90_end: Instant
    overdue: bool
    """Whether even the 90th percentile has passed."""


def expected_end(started_at: Instant, history: History, now: Instant) -> Expectation:
    """Start plus what its series usually takes."""
    end = started_at + history.p90
    return Expectation(history.n, started_at + round(history.median), end, now > end)
