"""What figures are made of: the deployments of a group in time order, the changes they shipped
first, and the failures they caused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, NamedTuple

from vs_tui.metrics.failures import episodes
from vs_tui.model.time import Duration, Instant

SINGLE, PART, WHOLE = 0, 1, 2
"""A deployment of its own; one artifact of a product deployment; a product deployment."""
NO_TEAM: Final = "(no team)"
"""Deployments of projects that no team lists."""
SERVICE: Final = "service"
LEVELS: Final = ("all", "team", "project", SERVICE, "environment", "product")
"""What the metrics can be grouped by."""


def teams_in(text: str) -> Sequence[str]:
    """The teams that a row names, parted by line ends."""
    return text.split("\n") if text else (NO_TEAM,)


class Place(NamedTuple):
    """Whose deployments they are, and where they went."""

    team: str
    """Several are parted by line ends."""
    project: str
    service: str
    environment: str
    product: str

    @property
    def teams(self) -> Sequence[str]:
        return teams_in(self.team)

    def names(self, level: str) -> Sequence[str]:
        """The groups of a level that it is in."""
        if level == "all":
            return ("",)
        if level == "team":
            return self.teams
        name = str(getattr(self, level))
        return (name,) if name else ()


class Group(NamedTuple):
    """Of a level; only of one team, unless that is empty."""

    level: str
    team: str
    name: str

    @property
    def bit(self) -> int:
        """Of the groups that one deployment counts in, each has a bit of its own."""
        return 1 << (2 * LEVELS.index(self.level) + (self.level == "team" or bool(self.team)))

    @property
    def other_unit(self) -> int:
        """Of a product deployment a service counts its own part, every other group the whole."""
        return WHOLE if self.level == SERVICE else PART


def groups_of(place: Place, unit: int) -> list[Group]:
    """Every group that a deployment to a place counts in."""
    found = [Group("all", "", ""), *(Group("team", "", team) for team in place.teams)]
    for level in LEVELS[2:]:
        for name in place.names(level):
            found += [Group(level, team, name) for team in ("", *place.teams)]
    return [group for group in found if group.other_unit != unit]


class Recovery(NamedTuple):
    """A failure from its first sign to its end."""

    at: Instant
    """End of the deployment that failed."""
    began: Instant
    cleared: Instant | None
    deployment: str
    """Its key."""

    def took(self, end: Instant) -> Duration | None:
        """How long it lasted; None while it lasts at `end`."""
        if self.cleared is None or self.cleared > end:
            return None
        return max(self.cleared - self.began, 0)


UNKNOWN: Final = -1
"""The lead time of a change whose begin is not known."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What one group counts, each in time order: the ends of its deployments, ..."""

    ended: Sequence[Instant] = ()
    ok: Sequence[Instant] = ()
    failed: Sequence[Instant] = ()
    """As far as could be seen at the moment that is looked back to."""
    rework: Sequence[Instant] = ()
    changes: Sequence[tuple[Instant, Duration]] = ()
    """(shipped first in this group, lead time or UNKNOWN)."""
    starts: Mapping[str, int] = field(default_factory=dict)
    """Of the changes of the window: from which moment their lead time counts, empty where that is
    unknown -> how many."""
    recoveries: Sequence[Recovery] = ()


def recoveries_of(
    signals: Iterable[tuple[str, Instant, Instant, Instant | None]],
) -> list[Recovery]:
    """Of (deployment, its end, start, end) of each sign of failure: those of one deployment that
    overlap are one failure."""
    signs: dict[tuple[Instant, str], list[tuple[Instant, Instant | None]]] = {}
    for deployment, at, began, cleared in signals:
        signs.setdefault((at, deployment), []).append((began, cleared))
    return [
        Recovery(at, began, cleared, deployment)
        for (at, deployment), own in sorted(signs.items(), key=itemgetter(0))
        for began, cleared in (episodes(own) if len(own) > 1 else own)
    ]
