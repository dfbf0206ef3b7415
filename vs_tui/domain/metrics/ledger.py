"""Verdicts as columns in time order: a window is a slice of each, whatever its length.

The store keeps these columns a week at a time, so that no window has to assess anything again.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Final, NamedTuple

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
    stages: Stages


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
    lead: array[int] = field(default_factory=_instants)
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
                ledger.stages.extend(change.stages.get(stage, UNKNOWN) for stage in STAGES)
                bases.append(change.basis)
            for episode in entry.episodes:
                ledger.broke_at.append(entry.ended)
                ledger.began.append(episode.started_at)
                ledger.cleared.append(UNKNOWN if episode.ended_at is None else episode.ended_at)
                ledger.episode_place.append(place)
        ledger.basis = bytes(bases)
        return ledger

    def only(self, places: Iterable[int]) -> Ledger:
        """The part of it that happened at these places."""
        wanted = frozenset(places)
        rows = bytes(map(wanted.__contains__, self.place))
        changes = bytes(map(wanted.__contains__, self.change_place))
        episodes = bytes(map(wanted.__contains__, self.episode_place))
        wide = bytes(flag for flag in changes for _ in STAGES) if self.stages else b""

        def picked(column: Sequence[int], chosen: bytes) -> array[int]:
            return array("q", compress(column, chosen))

        return Ledger(
            started=picked(self.started, rows),
            ended=picked(self.ended, rows),
            ok=bytes(compress(self.ok, rows)),
            failed=bytes(compress(self.failed, rows)),
            rework=bytes(compress(self.rework, rows)),
            place=picked(self.place, rows),
            shipped_at=picked(self.shipped_at, changes),
            lead=picked(self.lead, changes),
            basis=bytes(compress(self.basis, changes)),
            change_place=picked(self.change_place, changes),
            stages=picked(self.stages, wide),
            broke_at=picked(self.broke_at, episodes),
            began=picked(self.began, episodes),
            cleared=picked(self.cleared, episodes),
            episode_place=picked(self.episode_place, episodes),
        )


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
                shipped.stages,
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
