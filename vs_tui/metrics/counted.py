"""The input of figures: the deployments of a group in time order, the changes they shipped first,
and the failures they caused."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple, TypeVar

from vs_tui.metrics.failures import episodes
from vs_tui.model.grouping import grouped
from vs_tui.model.time import Duration, Instant

T = TypeVar("T", bound=Any)
SINGLE, PART, WHOLE = 0, 1, 2
"""A single deployment; one artifact of a product deployment; a whole product deployment."""
NO_TEAM: Final = "(no team)"
"""Name of the group for projects that no team lists."""
SERVICE: Final = "service"
GROUPS: Final = ("team", "project", SERVICE, "environment", "product", "all")
"""The levels by which metrics can be grouped."""


def teams_in(text: str) -> Sequence[str]:
    """The teams of a row, which are separated by line ends."""
    return text.split("\n") if text else (NO_TEAM,)


class Place(NamedTuple):
    """The owner and the destination of deployments."""

    team: str
    """Several teams are separated by line ends."""
    project: str
    service: str
    environment: str
    product: str

    @property
    def teams(self) -> Sequence[str]:
        return teams_in(self.team)

    def names(self, level: str) -> Sequence[str]:
        """Its groups at a level."""
        if level == "all":
            return ("",)
        if level == "team":
            return self.teams
        name = str(getattr(self, level))
        return (name,) if name else ()


class Group(NamedTuple):
    """A group at a level; limited to one team unless `team` is empty."""

    level: str
    team: str
    name: str


class Recovery(NamedTuple):
    """A failure from its first signal to its end."""

    at: Instant
    """End of the failed deployment."""
    began: Instant
    cleared: Instant | None
    deployment: str
    """The deployment's key."""

    def took(self, now: Instant) -> Duration | None:
        """Its duration; None if it is still open `now`."""
        if self.cleared is None or self.cleared > now:
            return None
        return max(self.cleared - self.began, 0)


UNKNOWN: Final = -1
"""Lead time of a change with an unknown start."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The counted items of one group, each list in time order. Deployments are listed by their
    end."""

    ended: Sequence[Instant] = ()
    ok: Sequence[Instant] = ()
    failed: Sequence[Instant] = ()
    """Failures that were known at the time of the report."""
    rework: Sequence[Instant] = ()
    changes: Sequence[tuple[Instant, Duration]] = ()
    """(time when the group first shipped it, lead time or UNKNOWN)."""
    starts: Mapping[str, int] = field(default_factory=dict)
    """Basis of the lead time (empty if unknown) -> number of changes in the window."""
    recoveries: Sequence[Recovery] = ()

    def within(self, since: Instant, until: Instant) -> Counted:
        """The items of `[since, until)`."""

        def part(items: Sequence[T], key: Callable[[T], Instant] | None = None) -> Sequence[T]:
            start = bisect_left(items, since, key=key)
            return items[start : bisect_left(items, until, start, key=key)]

        ended, ok, failed, rework = map(part, (self.ended, self.ok, self.failed, self.rework))
        changes = part(self.changes, itemgetter(0))
        recoveries = part(self.recoveries, attrgetter("at"))
        return Counted(ended, ok, failed, rework, changes, self.starts, recoveries)


def recoveries_of(
    signals: Iterable[tuple[str, Instant, Instant, Instant | None]],
) -> list[Recovery]:
    """Recoveries from the signals of failure, each (deployment, its end, start, end). Overlapping
    signals of one deployment are one failure. One whose start is unknown (its end is before it)
    took an unknown time, so it is left out."""
    signs = grouped(((at, key), (began, cleared)) for key, at, began, cleared in signals)
    return [
        Recovery(at, began, cleared, deployment)
        for (at, deployment), own in sorted(signs.items(), key=itemgetter(0))
        for began, cleared in (episodes(own) if len(own) > 1 else own)
        if cleared is None or began <= cleared
    ]
