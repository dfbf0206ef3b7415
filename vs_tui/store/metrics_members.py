"""Which records a judged deployment has in which group, as the tables of verdicts say now."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Collection, Iterable
from typing import Final

from vs_tui.metrics.columns import Record
from vs_tui.metrics.failures import Episode
from vs_tui.metrics.ledger import (
    SERVICE,
    Group,
    Place,
    bit_of,
    deployment_record,
    episode_record,
    groups_of,
)
from vs_tui.store import rows
from vs_tui.store.metrics_pages import Records, apply, clear
from vs_tui.store.metrics_work import remember

SINGLE, PART, WHOLE = 0, 1, 2
"""A deployment of its own; one artifact of a product deployment; a product deployment."""
AT_ONCE: Final = 4_000
_KEYS: Final = "IN (SELECT value FROM json_each(?))"
_STAGED: Final = ("all", "team")
"""Levels whose stages can be asked for."""


def counted_in(place: Place, unit: int) -> list[Group]:
    """The groups that a deployment counts in: by service the artifacts of a product count each, in
    other groups the product counts once."""
    return [g for g in groups_of(place) if unit != (WHOLE if g.level == SERVICE else PART)]


def records_of(db: sqlite3.Connection, keys: Collection[str]) -> Records:
    """The records of these deployments in every group that they count in; a change is one of the
    group's where it was shipped there first."""
    changes: dict[str, list[tuple[int, Record, Record]]] = {}
    sql = (
        "SELECT c.deployment, c.first, d.id, c.at, c.lead, c.basis, c.stages FROM dora_changes c "
        f"JOIN dora_deployments d ON d.key = c.deployment WHERE c.first > 0 AND d.key {_KEYS}"
    )
    for key, first, id_, at, lead, basis, stages in rows.select_in(db, sql, keys):
        times = (id_, at, *array("q", stages))
        changes.setdefault(key, []).append((first, (id_, at, lead, basis), times))
    episodes: dict[str, list[Episode]] = {}
    sql = f"SELECT deployment, started_at, ended_at FROM dora_episodes WHERE deployment {_KEYS}"
    for key, began, ended in rows.select_in(db, sql, keys):
        episodes.setdefault(key, []).append(Episode(began, ended))
    sql = (
        "SELECT d.key, d.id, d.unit, d.started_at, d.ended_at, d.outcome, d.failed, d.rework, "
        "p.team, p.project, p.service, p.environment, p.product "
        f"FROM dora_deployments d JOIN dora_places p ON p.id = d.place WHERE d.key {_KEYS}"
    )
    found: Records = {}
    for key, id_, unit, started, ended, outcome, failed, rework, *place in rows.select_in(
        db, sql, keys
    ):
        own: dict[str, list[Record]] = {"begun": [(id_, started)]}
        if outcome in ("ok", "failed"):
            flags = (outcome == "ok", bool(failed), bool(rework))
            own["deployments"] = [deployment_record(id_, started, ended, *flags)]
            own["episodes"] = [episode_record(id_, ended, e) for e in episodes.get(key, ())]
        shipped = changes.get(key, ())
        for group in counted_in(Place(*place), unit):
            bit = bit_of(group)
            counted = [(change, times) for first, change, times in shipped if first & bit]
            kinds = {**own, "changes": [change for change, _ in counted]}
            if group.level in _STAGED:
                kinds["stages"] = [times for _, times in counted]
            for kind, records in kinds.items():
                if records:
                    found.setdefault((group, kind), {})[id_] = tuple(sorted(records))
    return found


class Members:
    """The records of the deployments that an update touches, before and after it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._before: Records = {}
        self._seen: set[str] = set()

    def touch(self, keys: Iterable[str]) -> None:
        """Say which deployments will be changed, before they are."""
        fresh = set(keys) - self._seen
        for name, records in records_of(self._db, fresh).items():
            self._before.setdefault(name, {}).update(records)
        self._seen |= fresh

    def write(self) -> None:
        """Bring the pages to what the tables say now."""
        _write(self._db, self._seen, self._before)


def _write(db: sqlite3.Connection, keys: Collection[str], before: Records) -> None:
    """Many deployments some at a time, the oldest first: all at once would take much memory."""
    if len(keys) <= AT_ONCE:
        apply(db, before, records_of(db, keys))
        return
    apply(db, before, {})
    sql = f"SELECT key FROM dora_deployments WHERE key {_KEYS} ORDER BY ended_at"
    ordered = [row[0] for row in db.execute(sql, (rows.as_json(keys),))]
    for start in range(0, len(ordered), AT_ONCE):
        apply(db, {}, records_of(db, ordered[start : start + AT_ONCE]))


def places(db: sqlite3.Connection) -> dict[int, Place]:
    """All places by id."""
    sql = "SELECT id, team, project, service, environment, product FROM dora_places"
    return {row[0]: Place(*row[1:]) for row in db.execute(sql)}


def place_id(db: sqlite3.Connection, place: Place) -> int:
    """The id of a place; new ones get one."""
    return rows.id_of(db, "dora_places", Place._fields, place)


def pruned(db: sqlite3.Connection, keys: Iterable[str]) -> set[str]:
    """Those of these deployments whose spans were deleted; what was judged of them stays."""
    wanted = set(keys)
    sql = f"SELECT key FROM spans WHERE key {_KEYS}"
    return wanted - {row[0] for row in rows.select_in(db, sql, wanted)}


def forget(db: sqlite3.Connection) -> int:
    """Delete what can be judged anew; how many deployments stay because their spans are gone."""
    db.execute("DELETE FROM dora_deployments WHERE unit < 2 AND span IN (SELECT key FROM spans)")
    db.execute(
        "DELETE FROM dora_deployments WHERE unit = 2 AND product_group NOT IN "
        "(SELECT product_group FROM dora_deployments WHERE unit = 1)"
    )
    for table in ("dora_changes", "dora_episodes", "dora_blames"):
        db.execute(
            f"DELETE FROM {table} WHERE deployment NOT IN (SELECT key FROM dora_deployments)"
        )
    db.execute("DELETE FROM dora_incidents WHERE key IN (SELECT key FROM spans)")
    db.execute("DELETE FROM dora_places WHERE id NOT IN (SELECT place FROM dora_deployments)")
    clear(db)
    remember(db)
    _write(db, {row[0] for row in db.execute("SELECT key FROM dora_deployments")}, {})
    sql = "SELECT COUNT(*) FROM dora_deployments WHERE unit <> 1 AND outcome IN ('ok', 'failed')"
    return int(db.execute(sql).fetchone()[0])
