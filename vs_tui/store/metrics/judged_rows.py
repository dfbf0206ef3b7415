"""Stores verdicts on deployments as rows: writes those that differ, and reads them back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from operator import itemgetter
from typing import Any, Final

import orjson

from vs_tui.metrics.counted import PART, SINGLE, WHOLE, Place
from vs_tui.metrics.facts import Deployment, DeployOutcome
from vs_tui.metrics.failures import Signal, in_order
from vs_tui.metrics.judging import Judged, group_of
from vs_tui.metrics.lead_time import STAGES, Shipped
from vs_tui.model.grouping import grouped
from vs_tui.store import rows
from vs_tui.store.metrics.first_shipment import MARK_AGAIN

OF_TARGET: Final = "project = ? AND service = ? AND environment = ?"
OF_ARTIFACTS: Final = (
    "project = ?1 AND environment = ?3 AND service IN (SELECT ?2 UNION SELECT service "
    "FROM dora_places WHERE project = ?1 AND service IN (SELECT value FROM json_each(?4)) UNION "
    "SELECT lower(product) FROM dora_places "
    "WHERE project = ?1 AND service IN (SELECT value FROM json_each(?4)))"
)
"""SQL: those of a target, and of the others to which artifacts are deployed alone or together."""
TOLD: Final = "(unit < 2 OR product_group = '')"
"""SQL: deployments that come from spans, not those that are put together from parts."""
WHOLE_SPANS: Final = "(unit = 1) = (product_group <> '')"
"""SQL: those of them that are whole spans, without the artifacts of a span that deploys several."""
PLACES: Final = (
    "place IN (SELECT id FROM dora_places "
    "WHERE project = ?1 AND ?2 IN (service, lower(product)) AND environment = ?3)"
)
"""SQL: the places of a target, given by its first three parameters. An artifact of a product has a
place of its own."""
STAGE_COLUMNS: Final = tuple(stage.replace(" ", "_") for stage in STAGES)
VERDICTS: Final[Mapping[str, str]] = {
    "dora_deployments": "*",
    "dora_changes": "deployment, change, kind, title, unit, place, at, lead, basis, "
    f"{', '.join(STAGE_COLUMNS)}, 0",
    "dora_signals": "*",
}
"""Table -> columns, the deployment's key first; the 0 is `again`, which is computed afterwards."""
TableRows = Mapping[str, set[tuple[Any, ...]]]
"""Table -> rows, the key first."""


def rows_of(verdict: Judged, unit: int, place: int) -> TableRows:
    """All rows of one deployment."""
    d = verdict.deployment
    deployment = (
        *(d.key, d.span, unit, place, *(d.whole or d).target),
        *(d.started_at, d.ended_at, d.outcome.value),
        *(verdict.failed_at, ",".join(verdict.reasons), verdict.rework, d.version_of(), d.commit),
        *(group_text(d), d.artifact, d.name, d.trace_id, run_text(d)),
    )
    counted = (unit, place, d.ended_at)
    changes = {
        (d.key, *change, *counted, lead, basis, *stages, 0)
        for *change, lead, basis, stages in verdict.shipped
    }
    signals = {(d.key, *signal, *counted) for signal in verdict.signals}
    return {"dora_deployments": {deployment}, "dora_changes": changes, "dora_signals": signals}


def group_text(deployment: Deployment) -> str:
    """The key that the parts of one product deployment share; empty for a single deployment."""
    group = group_of(deployment)
    return orjson.dumps(group).decode() if group else ""


def run_text(deployment: Deployment) -> str:
    """The key that all deploys of one version in one run share; empty without a run."""
    return f"{deployment.run}\n{deployment.version or deployment.commit}" if deployment.run else ""


def unit_of(verdict: Judged) -> int:
    if verdict.deployment.parts:
        return WHOLE
    return PART if verdict.deployment.whole or group_text(verdict.deployment) else SINGLE


def place_of(verdict: Judged) -> Place:
    """The place at which a deployment counts."""
    d = verdict.deployment
    return Place(d.team, d.project, d.service, d.environment, d.product)


def stored_rows(db: sqlite3.Connection, tables: Iterable[str], keys: Iterable[str]) -> TableRows:
    """The stored rows of these keys."""
    listed = list(keys)
    return {
        table: set(rows.select_in(db, _of_keys("SELECT {}", table), listed)) for table in tables
    }


def replace_rows(
    db: sqlite3.Connection, keys: Iterable[str], wanted: TableRows
) -> tuple[TableRows, TableRows]:
    """Replace the stored rows of these keys by the wanted ones. Returns (deleted, inserted): all
    rows of the keys that differ in any of the tables."""
    before = stored_rows(db, wanted, keys)
    differing = {row[0] for table in wanted for row in before[table] ^ wanted[table]}
    gone, come = (
        {table: {row for row in found[table] if row[0] in differing} for table in wanted}
        for found in (before, wanted)
    )
    if differing:
        delete_rows(db, wanted, differing)
    for table, found in come.items():
        for row in sorted(found, key=repr):
            db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
    return gone, come


def delete_rows(db: sqlite3.Connection, tables: Iterable[str], keys: Iterable[str]) -> None:
    """Delete all rows of these keys."""
    listed = rows.as_json(keys)
    for table in tables:
        db.execute(_of_keys("DELETE", table), (listed,))


def forget_moved(db: sqlite3.Connection, spans: Iterable[str]) -> None:
    """Delete the verdicts on spans whose events now belong to others, unlike those of pruned ones,
    which stay."""
    sql = f"SELECT key FROM dora_deployments WHERE span {rows.KEYS}"
    keys = [key for (key,) in rows.select_in(db, sql, list(spans))]
    changes = [row[1] for row in stored_rows(db, ["dora_changes"], keys)["dora_changes"]]
    delete_rows(db, VERDICTS, keys)
    db.execute(f"{MARK_AGAIN} WHERE change {rows.KEYS}", (rows.as_json(changes),))


def _of_keys(action: str, table: str) -> str:
    columns = VERDICTS.get(table, "*")
    key = "deployment" if table in ("dora_changes", "dora_signals") else "key"
    return f"{action.format(columns)} FROM {table} WHERE {key} {rows.KEYS}"


def forget(db: sqlite3.Connection) -> int:
    """Delete the verdicts that can be made again. Returns the number of deployments that stay
    because their spans are deleted."""
    sql = (
        f"SELECT key FROM dora_deployments WHERE {TOLD} AND span IN (SELECT key FROM spans) "
        f"UNION ALL SELECT key FROM dora_deployments WHERE NOT {TOLD} AND product_group NOT IN "
        "(SELECT product_group FROM dora_deployments WHERE unit = 1 "
        "AND span NOT IN (SELECT key FROM spans))"
    )
    delete_rows(db, VERDICTS, [key for (key,) in db.execute(sql)])
    for table in ("metric_incidents", "dora_work"):
        db.execute(f"DELETE FROM {table} WHERE key IN (SELECT key FROM spans)")
    db.execute("DELETE FROM dora_places WHERE id NOT IN (SELECT place FROM dora_deployments)")
    sql = "SELECT COUNT(*) FROM dora_deployments WHERE unit <> 1 AND outcome IN ('ok', 'failed')"
    return rows.number(db, sql)


def pruned(db: sqlite3.Connection, keys: Iterable[str]) -> set[str]:
    """The spans among these that were deleted; their verdicts stay."""
    wanted = set(keys)
    return wanted - rows.known(db, "spans", wanted)


def places(db: sqlite3.Connection) -> dict[int, Place]:
    """Id -> place, for all places."""
    sql = "SELECT id, team, project, service, environment, product FROM dora_places"
    return {row[0]: Place(*row[1:]) for row in db.execute(sql)}


_NAMED: Final = (
    *("key", "project", "service", "environment", "started_at", "ended_at", "version"),
    *("artifact", "name", "trace_id"),
)
"""Columns with the name of the field that they hold."""


def stored_deployments(
    db: sqlite3.Connection, where: str, *bound: object
) -> Iterator[tuple[Deployment, str]]:
    """(deployment as far as its row tells, why it is a repair) of the rows that meet a
    condition."""
    sql = (
        f"SELECT {', '.join(_NAMED)}, span, outcome, commit_id, "
        "(SELECT team FROM dora_places p WHERE p.id = place), repair "
        f"FROM dora_deployments WHERE {where}"
    )
    for *named, span, outcome, commit, team, repair in db.execute(sql, bound).fetchall():
        more = {"run_of": span, "outcome": DeployOutcome(outcome), "commit": commit, "team": team}
        yield Deployment(**dict(zip(_NAMED, named, strict=True)), **more), repair


def parts_of(db: sqlite3.Connection, group: str) -> list[Judged]:
    """The verdicts on the parts of a product deployment, with the fields that the product needs."""
    _, product, correlation, _ = orjson.loads(group)
    found = list(stored_deployments(db, f"product_group = ? AND unit = {PART}", group))
    stored = stored_rows(db, ("dora_signals", "dora_changes"), [d.key for d, _ in found])
    signals = grouped((row[0], Signal(*row[1:6])) for row in stored["dora_signals"])
    changes = sorted(stored["dora_changes"], key=itemgetter(1))
    shipped = grouped((row[0], Shipped._make((*row[1:4], *row[7:9], row[9:-1]))) for row in changes)
    return [
        Judged(
            replace(d, product=product, correlation=correlation),
            in_order(signals.get(d.key, ())),
            repair,
            tuple(shipped.get(d.key, ())),
        )
        for d, repair in found
    ]
