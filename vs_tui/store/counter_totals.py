"""Delivery totals that only grow. Counted facts are remembered by the 8 bytes of their hash, so
that a restart, a rebuild or a pruned trace neither counts a fact twice nor removes it.

The totals are updated from the change feed when they are requested.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

import orjson

from vs_tui.metrics.counted import PART, Place
from vs_tui.metrics.counters import (
    MOST_SERIES,
    OTHER,
    WATCHED,
    Count,
    Labels,
    Total,
    add,
    counts_of,
    finished,
    incident,
    shipped,
)
from vs_tui.metrics.report import IncidentFact
from vs_tui.metrics.rules import MetricRules
from vs_tui.model.grouping import grouped
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Operation, Span
from vs_tui.store import rows
from vs_tui.store.metrics.first_shipment import FIRST_OF_PROJECT
from vs_tui.store.metrics.judged_rows import places

AT_ONCE: Final = 2_000
_POSITION: Final = "counted_position"
_SINCE: Final = "counted_since"
_WATCHED: Final = ", ".join(f"'{operation}'" for operation in WATCHED)


class NewCounts(NamedTuple):
    """The facts in a part of the change feed."""

    counts: Sequence[Count]
    """The facts that are not counted yet."""
    read_to: int
    """The change number to continue from."""
    more: bool
    since: Instant | None
    """The earliest time of judged facts that may have changed; None if none did."""


def read_position(db: sqlite3.Connection) -> int:
    """The change number up to which everything is counted; 0 at the beginning."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (_POSITION,)).fetchone()
    position = 0 if row is None else int(row[0])
    # After a rebuild the feed may start again; counted facts are known by their hash.
    return position if position <= rows.number(db, "SELECT MAX(changed) FROM spans") else 0


def read_changes(
    db: sqlite3.Connection, after: int, rules: MetricRules, limit: int = AT_ONCE
) -> NewCounts:
    """The facts in spans that changed after a change number; reads about `limit` spans."""
    sql = "SELECT changed FROM spans WHERE changed > ? ORDER BY changed LIMIT 1 OFFSET ?"
    row = db.execute(sql, (after, limit)).fetchone()
    last = rows.number(db, "SELECT MAX(changed) FROM spans") if row is None else int(row[0])
    sql = (
        f"SELECT {rows.SELECT_SPAN} FROM spans WHERE changed > ? AND changed <= ? "
        f"AND derived = 0 AND (operation IN ({_WATCHED}) "
        "OR EXISTS (SELECT 1 FROM metric_deploys d WHERE d.key = spans.key))"
    )
    spans = {span.key: span for span in map(rows.span_of, db.execute(sql, (after, last)))}
    since = _since(db, spans.values())
    counting = rows.known(db, "metric_deploys", spans)
    _add_reviewed(db, spans)
    below = _below(db, [key for key, s in spans.items() if s.operation == Operation.PULL_REQUEST])
    counts = [
        count
        for key, span in spans.items()
        for count in counts_of(span, below.get(key, ()), rules, counts=key in counting)
    ]
    return NewCounts(_new(db, counts), max(last, after), row is not None, since)


def _since(db: sqlite3.Connection, spans: Iterable[Span]) -> Instant | None:
    """The earliest time of deployments, changes and incidents that these spans may affect."""
    listed = list(spans)
    found = [span.at for span in listed]
    sql = f"SELECT MIN(at) FROM dora_signals WHERE span {rows.KEYS} AND span <> ''"
    found += [at for (at,) in rows.select_in(db, sql, [s.key for s in listed]) if at is not None]
    return min(found, default=None)


def first_fact(db: sqlite3.Connection) -> Instant | None:
    """The time of the first judged fact."""
    sql = "SELECT MIN(at) FROM (SELECT MIN(ended_at) AS at FROM dora_deployments UNION ALL {})"
    incidents = "SELECT MIN(started_at) FROM dora_incidents"
    found: Instant | None = db.execute(sql.format(incidents)).fetchone()[0]
    return found


def read_facts(db: sqlite3.Connection, since: Instant, until: Instant) -> Sequence[Count]:
    """Judged facts of a time range that are not counted yet: deployments to production, the changes
    they shipped, and incidents."""
    known = places(db)
    labels = {id_: _labels(place) for id_, place in known.items()}
    bounds = (rows.as_json(list(known)), since, until)
    within = f"place {rows.KEYS} AND {{0}} >= ? AND {{0}} < ?"
    counts: list[Count] = []
    sql = (
        "SELECT key, place, outcome = 'ok', failed_at IS NOT NULL, ended_at - started_at "
        f"FROM dora_deployments WHERE {within.format('ended_at')} AND unit <> {PART} "
        "AND outcome IN ('ok', 'failed')"
    )
    for key, place, ok, failed, took in db.execute(sql, bounds):
        counts += finished(key, labels[place], ok=bool(ok), failed=bool(failed), took=took)
    sql = (
        f"SELECT change, place, lead FROM dora_changes c WHERE {within.format('at')} "
        f"AND {FIRST_OF_PROJECT} AND lead IS NOT NULL"
    )
    for change, place, lead in db.execute(sql, bounds):
        counts += shipped(change, labels[place], lead)
    sql = (
        "SELECT i.key, i.team, COALESCE(s.project, ''), COALESCE(s.environment, ''), "
        "i.started_at, i.restored_at, i.finished_at, i.deployed_at "
        "FROM dora_incidents i LEFT JOIN spans s ON s.key = i.key "
        "WHERE i.started_at >= ? AND i.started_at < ?"
    )
    for key, team, project, environment, *times in db.execute(sql, (since, until)):
        fact = IncidentFact._make(times)
        counts += incident(key, Labels(project, _one_team(team), environment), fact)
    return _new(db, counts)


def _labels(place: Place) -> Labels:
    return Labels(place.project, _one_team(place.team), place.environment)


def _one_team(team: str) -> str:
    """The first of several teams: a series has one team, and a sum over all must not count
    twice."""
    return team.split("\n", maxsplit=1)[0]


def _new(db: sqlite3.Connection, counts: Iterable[Count]) -> list[Count]:
    """The facts that are not counted yet."""
    by_id = {_id_of(count): count for count in counts}
    sql = f"SELECT id FROM counted_facts WHERE id {rows.KEYS}"
    for (known,) in rows.select_in(db, sql, list(by_id)):
        del by_id[known]
    return list(by_id.values())


def _add_reviewed(db: sqlite3.Connection, spans: dict[str, Span]) -> None:
    """Add the pull requests of the reviews among these spans."""
    parents = {s.parent_key for s in spans.values() if s.operation == Operation.REVIEW}
    sql = (
        f"SELECT {rows.SELECT_SPAN} FROM spans WHERE operation = 'pull_request' AND key {rows.KEYS}"
    )
    for row in rows.select_in(db, sql, sorted(parents - spans.keys())):
        span = rows.span_of(row)
        spans[span.key] = span


def _below(db: sqlite3.Connection, keys: Sequence[str]) -> dict[str, list[Span]]:
    """Pull request -> its reviews and pushes."""
    sql = (
        f"SELECT {rows.SELECT_SPAN} FROM spans WHERE operation IN ('review', 'push') "
        f"AND parent_key {rows.KEYS} AND parent_key <> ''"
    )
    spans = map(rows.span_of, rows.select_in(db, sql, keys))
    return grouped((span.parent_key, span) for span in spans)


def keep_counts(db: sqlite3.Connection, counts: Iterable[Count]) -> None:
    """Add the facts that are not counted yet to the totals."""
    by_id = {_id_of(count): count for count in _new(db, counts)}
    db.executemany("INSERT INTO counted_facts VALUES (?)", [(id_,) for id_ in by_id])
    totals = {(total.name, total.labels): total for total in read_totals(db)} if by_id else {}
    series = {labels for _, labels in totals}
    changed = {}
    for count in by_id.values():
        labels = count.labels
        if labels not in series and len(series) >= MOST_SERIES:
            labels = Labels(OTHER)
        series.add(labels)
        place = (count.name, labels)
        changed[place] = totals[place] = add(
            totals.get(place) or Total(count.name, labels), count.value
        )
    db.executemany(
        "REPLACE INTO counted_totals VALUES (?, ?, ?, ?, ?)",
        [
            (t.name, _text(t.labels), t.n, t.sum, orjson.dumps(t.buckets).decode())
            for t in changed.values()
        ],
    )


def keep_position(db: sqlite3.Connection, position: int, now: Instant) -> None:
    """Store the change number up to which everything is counted."""
    db.execute("REPLACE INTO meta VALUES (?, ?)", (_POSITION, position))
    db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (_SINCE, now))


def read_since(db: sqlite3.Connection) -> Instant:
    """The time at which counting began; 0 before."""
    return rows.number(db, f"SELECT value FROM meta WHERE name = '{_SINCE}'")


def recent_series(db: sqlite3.Connection, limit: int = 50) -> list[tuple[str, str, str]]:
    """(source, operation, project) of the latest changed spans, most frequent first."""
    return db.execute(
        "SELECT source, operation, project FROM (SELECT source, operation, project FROM spans "
        "WHERE derived = 0 ORDER BY changed DESC LIMIT 20000) "
        "GROUP BY 1, 2, 3 ORDER BY COUNT(*) DESC, 1, 2, 3 LIMIT ?",
        (limit,),
    ).fetchall()


def read_totals(db: sqlite3.Connection) -> list[Total]:
    """All totals, sorted by name and labels."""
    found = db.execute("SELECT name, labels, n, total, buckets FROM counted_totals ORDER BY 1, 2")
    return [
        Total(name, Labels(*orjson.loads(labels)), n, total, tuple(orjson.loads(buckets)))
        for name, labels, n, total, buckets in found
    ]


def _text(labels: Labels) -> str:
    return orjson.dumps([*labels]).decode()


def _id_of(count: Count) -> int:
    return int.from_bytes(sha256(count.fact.encode()).digest()[:8], "big", signed=True)
