"""Verdicts as columns in time order: a window is a slice of each, whatever its length.

The store keeps these columns a week at a time, so that no window has to assess anything again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
        """A ledger a group of places; places without a group are left out. Without stages."""
        rows = _by_group(self.place, groups)
        changes = _by_group(self.change_place, groups)
        episodes = _by_group(self.episode_place, groups)
        return {
            group: Ledger(
                started=array("q", map(self.started.__getitem__, chosen)),
                ended=array("q", map(self.ended.__getitem__, chosen)),
                ok=bytes(map(self.ok.__getitem__, chosen)),
                failed=bytes(map(self.failed.__getitem__, chosen)),
                rework=bytes(map(self.rework.__getitem__, chosen)),
                shipped_at=array("q", map(self.shipped_at.__getitem__, changes.get(group, ()))),
                lead=array("d", map(self.lead.__getitem__, changes.get(group, ()))),
                basis=bytes(map(self.basis.__getitem__, changes.get(group, ()))),
                broke_at=array("q", map(self.broke_at.__getitem__, episodes.get(group, ()))),
                began=array("q", map(self.began.__getitem__, episodes.get(group, ()))),
                cleared=array("q", map(self.cleared.__getitem__, episodes.get(group, ()))),
            )
            for group, chosen in rows.items()
        }


def _by_group(places: Sequence[int], groups: Mapping[int, str]) -> dict[str, Sequence[int]]:
    """Group -> positions, in order. Sorted by group and cut, which C does faster than a loop of
    Python fills lists."""
    numbers = {group: number for number, group in enumerate(sorted(set(groups.values())))}
    number_of = {place: numbers[group] for place, group in groups.items()}
    nowhere = len(numbers)
    keys = [number_of.get(place, nowhere) for place in places]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    keys.sort()
    found: dict[str, Sequence[int]] = {}
    for group, number in numbers.items():
        start, stop = bisect_left(keys, number), bisect_right(keys, number)
        if stop > start:
            found[group] = order[start:stop]
    return found


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
