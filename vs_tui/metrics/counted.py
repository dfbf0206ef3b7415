"""What figures are made of: the deployments of a group in time order, the changes they shipped
first, and the failures they caused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

from vs_tui.metrics.assessment import Assessed
from vs_tui.metrics.failures import episodes
from vs_tui.model.time import Duration, Instant

SINGLE, PART, WHOLE = 0, 1, 2
"""A deployment of its own; one artifact of a product deployment; a product deployment."""
NO_TEAM: Final = "(no team)"
"""Deployments of projects that no team lists."""
SERVICE: Final = "service"
LEVELS: Final = ("all", "team", "project", SERVICE, "environment", "product")
"""What the metrics can be grouped by."""


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
        return self.team.split("\n") if self.team else (NO_TEAM,)

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


class Deployed(NamedTuple):
    """A finished deployment."""

    at: Instant
    """Its end."""
    ok: int
    failed_at: Instant | None
    """The first sign that it failed; None: it did not."""
    is_rework: int
    took: Duration


class ShippedChange(NamedTuple):
    """A change, where it was shipped first in its group."""

    at: Instant
    lead: Duration | None
    """None: it is not known when the change began."""
    basis: str


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


@dataclass(frozen=True, slots=True)
class Counted:
    """What one group counts, each in time order."""

    deployments: Sequence[Deployed] = ()
    changes: Sequence[ShippedChange] = ()
    recoveries: Sequence[Recovery] = ()


def by_time(rows: Iterable[Any]) -> list[Any]:
    """Rows in the order of the moment that they begin with."""
    return sorted(rows, key=itemgetter(0))


def recoveries_of(signals: Iterable[Sequence[Any]]) -> list[Recovery]:
    """Of (deployment, its end, start, end) of each sign of failure: those of one deployment that
    overlap are one failure."""
    found = []
    for (deployment, at), own in groupby(sorted(signals, key=itemgetter(0, 2)), itemgetter(0, 1)):
        for began, cleared in episodes((row[2], row[3]) for row in own):
            found.append(Recovery(at, began, cleared, deployment))
    return by_time(found)


class Shipment(NamedTuple):
    """A change in one deployment, as far as it matters which of its deployments was first."""

    change: str
    at: Instant
    deployment: str
    group: Group


def first_of_each(shipments: Iterable[Shipment]) -> dict[tuple[str, Group], str]:
    """(change, group) -> the deployment of the group that shipped it first."""
    first: dict[tuple[str, Group], Shipment] = {}
    for shipment in shipments:
        name = (shipment.change, shipment.group)
        known = first.get(name)
        if known is None or shipment[1:3] < known[1:3]:
            first[name] = shipment
    return {name: shipment.deployment for name, shipment in first.items()}


def counted(verdicts: Iterable[Assessed]) -> Counted:
    """What verdicts come to, all in one group."""
    listed = [verdict for verdict in verdicts if verdict.deployment.finished]
    everyone = Group("all", "", "")
    first = first_of_each(
        Shipment(shipped.change.key, verdict.deployment.ended_at, verdict.deployment.key, everyone)
        for verdict in listed
        for shipped in verdict.shipped
    )
    return Counted(
        by_time(
            Deployed(d.ended_at, d.ok, v.failed_at, bool(v.rework), d.duration)
            for v in listed
            for d in (v.deployment,)
        ),
        by_time(
            ShippedChange(v.deployment.ended_at, shipped.lead, shipped.basis.value)
            for v in listed
            for shipped in v.shipped
            if first[shipped.change.key, everyone] == v.deployment.key
        ),
        recoveries_of(
            (v.deployment.key, v.deployment.ended_at, s.started_at, s.ended_at)
            for v in listed
            for s in v.signals
        ),
    )
