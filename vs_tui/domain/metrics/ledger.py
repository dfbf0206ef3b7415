"""Verdicts as columns in time order: a window is a slice of each, whatever its length.

The store keeps these columns a week at a time, so that no window has to assess anything again.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from vs_tui.domain.instants import Instant
from vs_tui.domain.metrics.assessment import Assessed
from vs_tui.domain.metrics.failures import Episode
from vs_tui.domain.metrics.lead_time import Basis
from vs_tui.domain.metrics.stages import STAGES, Stages

UNKNOWN: Final = -1
"""An instant or a duration that is not known, or not over yet."""
BASES: Final = tuple(Basis)


class Place(NamedTuple):
    """Whose deployments they are, and where they went."""

    team: str
    project: str
    service: str
    environment: str
    product: str


class Sample(NamedTuple):
    """A change that counts, in the deployment that shipped it first."""

    shipped_at: Instant
    lead: int
    """UNKNOWN when nothing is known of the change's begin."""
    basis: int
    """Index in BASES."""
    stages: Sequence[int]
    """A duration a stage, in the order of STAGES; UNKNOWN where it is not known."""


class Entry(NamedTuple):
    """A finished deployment as far as figures go."""

    place: Place
    started: Instant
    ended: Instant
    ok: bool
    failed: bool
    rework: bool
    changes: Sequence[Sample]
    episodes: Sequence[Episode]


def _instants() -> array[int]:
    return array("q")


def _durations() -> array[float]:
    return array("d")


@dataclass(slots=True)
class Ledger:
    """Deployments, the changes they shipped first and the episodes they caused, each by the end
    of the deployment."""

    started: array[int] = field(default_factory=_instants)
    ended: array[int] = field(default_factory=_instants)
    ok: bytes = b""
    failed: bytes = b""
    rework: bytes = b""
    place: array[int] = field(default_factory=_instants)
    """Ids of `Place`s, which the keeper of the ledger gives out."""
    shipped_at: array[int] = field(default_factory=_instants)
    lead: array[float] = field(default_factory=_durations)
    """Whole microseconds; floats because Python sorts them in two thirds of the time."""
    basis: bytes = b""
    change_place: array[int] = field(default_factory=_instants)
    stages: array[int] = field(default_factory=_instants)
    """One value a stage and change, in the order of STAGES; empty when they were not read."""
    broke_at: array[int] = field(default_factory=_instants)
    began: array[int] = field(default_factory=_instants)
    cleared: array[int] = field(default_factory=_instants)
    episode_place: array[int] = field(default_factory=_instants)

    @classmethod
    def of(cls, entries: Iterable[Entry], id_of: Callable[[Place], int]) -> Ledger:
        """The columns of some entries."""
        ordered = sorted(entries, key=lambda e: (e.ended, e.started, e.place))
        ledger = cls(
            ok=bytes(e.ok for e in ordered),
            failed=bytes(e.failed for e in ordered),
            rework=bytes(e.rework for e in ordered),
        )
        bases = bytearray()
        for entry in ordered:
            place = id_of(entry.place)
            ledger.started.append(entry.started)
            ledger.ended.append(entry.ended)
            ledger.place.append(place)
            for change in entry.changes:
                ledger.shipped_at.append(entry.ended)
                ledger.lead.append(change.lead)
                ledger.change_place.append(place)
                ledger.stages.extend(change.stages)
                bases.append(change.basis)
            for episode in entry.episodes:
                ledger.broke_at.append(entry.ended)
                ledger.began.append(episode.started_at)
                ledger.cleared.append(UNKNOWN if episode.ended_at is None else episode.ended_at)
                ledger.episode_place.append(place)
        ledger.basis = bytes(bases)
        return ledger

    def split(self, groups: Mapping[int, str]) -> dict[str, Ledger]:
        """A ledger a group of places, in one pass; places without a group are left out."""
        found: dict[str, list[list[Any]]] = {}

        def columns(place: int) -> list[list[Any]] | None:
            group = groups.get(place)
            if group is None:
                return None
            return found.setdefault(group, [[] for _ in range(12)])

        for row in zip(
            self.place, self.started, self.ended, self.ok, self.failed, self.rework, strict=True
        ):
            if chosen := columns(row[0]):
                for column, value in zip(chosen[0:6], row, strict=True):
                    column.append(value)
        for change in zip(self.change_place, self.shipped_at, self.lead, self.basis, strict=True):
            if chosen := columns(change[0]):
                for column, value in zip(chosen[6:9], change[1:], strict=True):
                    column.append(value)
        for episode in zip(
            self.episode_place, self.broke_at, self.began, self.cleared, strict=True
        ):
            if chosen := columns(episode[0]):
                for column, value in zip(chosen[9:12], episode[1:], strict=True):
                    column.append(value)
        return {
            group: Ledger(
                place=array("q", c[0]),
                started=array("q", c[1]),
                ended=array("q", c[2]),
                ok=bytes(c[3]),
                failed=bytes(c[4]),
                rework=bytes(c[5]),
                shipped_at=array("q", c[6]),
                lead=array("d", c[7]),
                basis=bytes(c[8]),
                broke_at=array("q", c[9]),
                began=array("q", c[10]),
                cleared=array("q", c[11]),
            )
            for group, c in found.items()
        }


def stage_times(stages: Stages) -> list[int]:
    """Stages as the columns hold them."""
    return [stages.get(stage, UNKNOWN) for stage in STAGES]


def place_of(verdict: Assessed) -> Place:
    """Where a counted deployment belongs."""
    found = verdict.deployment
    return Place(found.team, found.project, found.service, found.environment, found.product)


def entry_of(verdict: Assessed, counted: Iterable[str]) -> Entry:
    """A verdict as an entry; `counted`: keys of the changes that it shipped first."""
    found, first = verdict.deployment, frozenset(counted)
    return Entry(
        place_of(verdict),
        found.started_at,
        found.ended_at,
        found.ok,
        verdict.failed,
        bool(verdict.rework),
        [
            Sample(
                shipped.deployed_at,
                UNKNOWN if shipped.lead is None else shipped.lead,
                BASES.index(shipped.basis),
                stage_times(shipped.stages),
            )
            for shipped in verdict.shipped
            if shipped.change.key in first
        ],
        verdict.episodes,
    )


class Shipment(NamedTuple):
    """A change in one deployment, as far as it matters which of its deployments was first."""

    change: str
    at: Instant
    deployment: str
    target: str


def first_of_each(
    shipments: Iterable[Shipment], *, per_target: bool = False
) -> dict[tuple[str, str], str]:
    """(change, target or ``) -> the deployment that shipped it first."""
    first: dict[tuple[str, str], Shipment] = {}
    for shipment in shipments:
        name = (shipment.change, shipment.target if per_target else "")
        known = first.get(name)
        if known is None or (shipment.at, shipment.deployment) < (known.at, known.deployment):
            first[name] = shipment
    return {name: shipment.deployment for name, shipment in first.items()}


def ledger_of(verdicts: Sequence[Assessed]) -> tuple[Ledger, Mapping[int, Place]]:
    """The ledger of verdicts in memory, with its places by id."""
    first = first_of_each(
        Shipment(shipped.change.key, verdict.deployment.ended_at, verdict.deployment.key, "")
        for verdict in verdicts
        for shipped in verdict.shipped
    )
    counted: dict[str, list[str]] = {}
    for (change, _), deployment in first.items():
        counted.setdefault(deployment, []).append(change)
    ids: dict[Place, int] = {}
    finished = [verdict for verdict in verdicts if verdict.deployment.finished]
    ledger = Ledger.of(
        (entry_of(verdict, counted.get(verdict.deployment.key, ())) for verdict in finished),
        lambda place: ids.setdefault(place, len(ids)),
    )
    return ledger, {number: place for place, number in ids.items()}
