"""Incident figures shown beside the five metrics: count, time to detect and time to restore."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from vs_tui.metrics.statistics import median, percentile, ratio
from vs_tui.metrics.windows import Window
from vs_tui.model.time import Duration, Instant

CREATING: frozenset[str] = frozenset(
    {"feature", "new feature", "story", "user story", "enhancement", "improvement", "epic"}
)
"""Ticket types that create something new, as opposed to repair and operation."""


class IncidentFact(NamedTuple):
    """One incident and the deployment it is linked to."""

    started_at: Instant
    restored_at: Instant | None
    finished_at: Instant | None
    deployed_at: Instant | None
    """End of the linked deployment; None without one."""

    @property
    def time_to_restore(self) -> Duration | None:
        if self.restored_at is None:
            return None
        return max(self.restored_at - self.started_at, 0)

    @property
    def time_to_detect(self) -> Duration | None:
        """Time from the end of the linked deployment; None without one, or if the incident began
        before that end."""
        if self.deployed_at is None or self.started_at < self.deployed_at:
            return None
        return self.started_at - self.deployed_at


@dataclass(frozen=True, slots=True)
class IncidentFigures:
    """Figures of the incidents that began in a window."""

    n: int
    linked: int
    """Incidents linked to a deployment."""
    restored: int
    finished: int
    restore_median: float | None
    restore_p90: int | None
    detect_median: float | None
    detect_n: int


def incident_figures(incidents: Iterable[IncidentFact], window: Window) -> IncidentFigures:
    """Counts and medians over the incidents that began in the window."""
    begun = [incident for incident in incidents if incident.started_at in window]
    restores = sorted(d for i in begun if (d := i.time_to_restore) is not None)
    detects = sorted(d for i in begun if (d := i.time_to_detect) is not None)
    return IncidentFigures(
        n=len(begun),
        linked=sum(1 for incident in begun if incident.deployed_at is not None),
        restored=len(restores),
        finished=sum(1 for incident in begun if incident.finished_at is not None),
        restore_median=median(restores),
        restore_p90=percentile(restores, 90),
        detect_median=median(detects),
        detect_n=len(detects),
    )


def innovation_ratio(spent: Mapping[str, int], creating: frozenset[str] = CREATING) -> float | None:
    """Time in finished tickets of creating types, divided by the time in all tickets with a type;
    None without any. `spent`: type in lower case -> time."""
    typed = {kind: time for kind, time in spent.items() if kind}
    created = sum(time for kind, time in typed.items() if kind in creating)
    return ratio(created, sum(typed.values()))


def merged_per_engineer(merged: int, engineers: int, window: Window) -> float | None:
    """Merged pull requests per engineer and week; None without engineers or time."""
    return ratio(merged, engineers * window.length / 7)
