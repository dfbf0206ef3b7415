"""What figures are made of: deployments, the changes they shipped first and the episodes they
caused, as columns a group.

The store keeps these columns, so that no window has to assess anything again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from vs_tui.metrics.assessment import Assessed
from vs_tui.metrics.columns import UNKNOWN, Record, Shape, Strand, pages_of
from vs_tui.metrics.failures import Episode
from vs_tui.metrics.lead_time import Basis
from vs_tui.metrics.stages import STAGES, Stages
from vs_tui.model.time import Instant

BASES: Final = tuple(Basis)

DEPLOYMENTS: Final = Shape((), ("took",), ("ok", "failed", "rework"))
"""Finished ones, at their end."""
BEGUN: Final = Shape()
"""Deploys at their start, whatever became of them."""
CHANGES: Final = Shape((), ("lead",), ("basis",))
"""At the end of the deployment that shipped them first; `basis` is an index in BASES."""
STAGE_TIMES: Final = Shape((), STAGES)
"""The stages of the same changes."""
EPISODES: Final = Shape(("began", "cleared"))
"""At the end of the deployment that failed."""
MERGES: Final = Shape()
"""Merged pull requests of an author."""
TICKETS: Final = Shape(("spent",))
"""Finished tickets of a type, and the time worked on them."""


class Place(NamedTuple):
    """Whose deployments they are, and where they went."""

    team: str
    project: str
    service: str
    environment: str
    product: str


class Group(NamedTuple):
    """Whose records a strand holds."""

    level: str
    """`all`, `team`, `project`, `service`, `environment` or `product`."""
    team: str
    """Only those of this team; all teams' for ``."""
    name: str


ALL: Final = "all"
TEAM: Final = "team"
NO_TEAM: Final = "(no team)"
"""Deployments of projects that no team lists."""
SERVICE: Final = "service"
EVERYONE: Final = Group(ALL, "", "")
NAMED: Final = ("project", SERVICE, "environment", "product")


_LEVELS: Final = (ALL, TEAM, *NAMED)


def bit_of(group: Group) -> int:
    """Of the groups that one deployment counts in, each has a bit of its own."""
    return 1 << (2 * _LEVELS.index(group.level) + bool(group.team))


def groups_of(place: Place) -> list[Group]:
    """Every group that a deployment to a place counts in."""
    found = [EVERYONE]
    teams = place.team.split("\n") if place.team else [NO_TEAM]
    found += [Group(TEAM, team, "") for team in teams]
    for level in NAMED:
        name = str(getattr(place, level))
        if name:
            found.append(Group(level, "", name))
            found += [Group(level, team, name) for team in teams]
    return found


@dataclass(slots=True)
class Ledger:
    """The columns of one group."""

    deployments: Strand = field(default_factory=lambda: Strand(DEPLOYMENTS))
    changes: Strand = field(default_factory=lambda: Strand(CHANGES))
    episodes: Strand = field(default_factory=lambda: Strand(EPISODES))
    stages: Strand = field(default_factory=lambda: Strand(STAGE_TIMES))
    """Empty where they were not read."""


def deployment_record(id_: int, started: Instant, ended: Instant, *flags: bool) -> Record:
    """A record of DEPLOYMENTS; `flags`: ok, failed, rework."""
    return (id_, ended, max(ended - started, 0), *map(int, flags))


def episode_record(id_: int, at: Instant, episode: Episode) -> Record:
    """A record of EPISODES; `at`: the end of the deployment."""
    ended = UNKNOWN if episode.ended_at is None else episode.ended_at
    return (id_, at, episode.started_at, ended)


def stage_times(stages: Stages) -> list[int]:
    """Stages as the columns hold them."""
    return [stages.get(stage, UNKNOWN) for stage in STAGES]


def place_of(verdict: Assessed) -> Place:
    """Where a counted deployment belongs."""
    found = verdict.deployment
    return Place(found.team, found.project, found.service, found.environment, found.product)


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
        if known is None or (shipment.at, shipment.deployment) < (known.at, known.deployment):
            first[name] = shipment
    return {name: shipment.deployment for name, shipment in first.items()}


def ledger_of(verdicts: Sequence[Assessed]) -> Ledger:
    """The ledger of verdicts in memory, all as one group."""
    first = first_of_each(
        Shipment(shipped.change.key, verdict.deployment.ended_at, verdict.deployment.key, EVERYONE)
        for verdict in verdicts
        for shipped in verdict.shipped
    )
    found: Mapping[Shape, list[Record]] = {
        shape: [] for shape in (DEPLOYMENTS, CHANGES, EPISODES, STAGE_TIMES)
    }
    for number, verdict in enumerate(verdicts):
        own = verdict.deployment
        if not own.finished:
            continue
        flags = (own.ok, verdict.failed, bool(verdict.rework))
        found[DEPLOYMENTS].append(deployment_record(number, own.started_at, own.ended_at, *flags))
        for episode in verdict.episodes:
            found[EPISODES].append(episode_record(number, own.ended_at, episode))
        for shipped in verdict.shipped:
            if first[shipped.change.key, EVERYONE] == own.key:
                lead = UNKNOWN if shipped.lead is None else shipped.lead
                basis = BASES.index(shipped.basis)
                found[CHANGES].append((number, own.ended_at, lead, basis))
                times = stage_times(shipped.stages)
                found[STAGE_TIMES].append((number, own.ended_at, *times))
    return Ledger(*(Strand(shape, pages_of(shape, records)) for shape, records in found.items()))
