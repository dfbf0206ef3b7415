"""Folding everything again from the deliveries, after an adapter changed or out of doubt.

    deliveries -> read again -> events -> spans -> links -> places -> read models

The steps are those of `folder` and `linker`, taken once for all instead of once a transaction;
reading, folding and linking are pure and are spread over the cores. Most spans are told of by
deliveries that came close together: whoever reads those folds them, too, and only the others are
folded once all is read. One transaction: readers see
the old state until the new one is complete, and a kill in the middle leaves the old one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol

import orjson

from vs_tui.log.same_bodies import with_flag_of
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, Verdict
from vs_tui.store import batch, metrics_members, proximity, rows
from vs_tui.store.assign_parents import place_all
from vs_tui.store.crowds import find_crowds
from vs_tui.store.linker import Child, Wanted, write_links
from vs_tui.store.processes import Processes, collecting_seldom, cores
from vs_tui.store.rebuild_tables import NewTables
from vs_tui.store.rows import Row
from vs_tui.store.shipped_changes import relink_shipped
from vs_tui.store.span_folding import Context, load_spans, rows_anew

CHUNK: Final = 500
"""Deliveries, or spans, that are one task."""
WORTH_PROCESSES: Final = 5_000
"""Deliveries from which on starting processes pays."""


class Reading(Protocol):
    """What an adapter made of a stored delivery."""

    @property
    def kind(self) -> str: ...
    @property
    def events(self) -> Sequence[Event]: ...
    @property
    def verdict(self) -> Verdict: ...
    @property
    def reason(self) -> str: ...


Parse = Callable[[str, str, Mapping[str, str], bytes, Instant], Reading]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild found."""

    deliveries: int
    spans: int
    quarantined: int
    kept: int
    """Deployments whose traces were pruned: they count as they were judged."""


def rebuild(
    connection: sqlite3.Connection,
    folding: batch.Folding,
    parse: Parse,
    progress: Progress = lambda _done, _total: None,
    processes: int | None = None,
) -> Rebuilt:
    """Drop all that is derived and fold every delivery again.

    Quarantined deliveries that can be read now become accepted. The caller's transaction. With
    `processes` (by default one a core, none for little) `parse` must be picklable.
    """
    kept = metrics_members.forget(connection)
    folding.cache.clear()
    folding.context.seq = batch.next_seq(connection)
    total = rows.number(connection, "SELECT COUNT(*) FROM deliveries")
    if processes is None:
        processes = cores() if total >= WORTH_PROCESSES else 1
    tables = NewTables(connection)
    with collecting_seldom(), Processes(processes) as crew:
        context = replace(folding.context, timeouts=dict(folding.context.timeouts))
        reading = partial(_read_some, parse, context)
        _read_all(connection, crew, tables, reading, lambda done: progress(done // 2, total))
        tables.fill("events")
        _fold_together(connection, crew, tables, context)
        _fill(connection, tables)
        progress(total * 3 // 4, total)
        _link_all(connection, crew, folding)
    place_all(connection)
    tables.index(placed=True)
    _ship_all(connection, folding)
    _read_models(connection, folding)
    progress(total, total)
    return Rebuilt(
        deliveries=total,
        spans=rows.number(connection, "SELECT COUNT(*) FROM spans"),
        quarantined=rows.number(
            connection, "SELECT COUNT(*) FROM deliveries WHERE verdict = 'quarantined'"
        ),
        kept=kept,
    )


_STORED: Final = (
    "SELECT id, source, kind, path, headers, body, received_at, verdict, reason FROM deliveries"
)


class _Read(NamedTuple):
    """What one task made of some deliveries."""

    deliveries: int
    tables: Mapping[str, list[Row]]
    """Rows to gather; those of the spans are as if there were no other deliveries."""
    corrections: list[Row]


def _read_all(
    connection: sqlite3.Connection,
    crew: Processes,
    tables: NewTables,
    reading: Callable[[Sequence[Row]], tuple[Any, ...]],
    progress: Callable[[int], None],
) -> None:
    """The events of all deliveries, and the spans as each task alone sees them."""
    done = 0
    for found in map(
        _Read._make, crew.map(reading, _chunks(connection, f"{_STORED} WHERE id > ?"))
    ):
        for table, gathered in found.tables.items():
            tables.gather(table, gathered)
        _correct(connection, [_Correction._make(correction) for correction in found.corrections])
        done += found.deliveries
        progress(done)


def _chunks(connection: sqlite3.Connection, sql: str) -> Iterator[list[Row]]:
    last = 0
    while found := connection.execute(f"{sql} ORDER BY 1 LIMIT {CHUNK}", (last,)).fetchall():
        last = found[-1][0]
        yield found


def _read_some(parse: Parse, context: Context, stored: Sequence[Row]) -> tuple[Any, ...]:
    """A plain _Read."""
    told: dict[str, dict[bytes, tuple[Event, bytes]]] = {}
    corrections: list[Row] = []
    for row in stored:
        events, correction = _reread(row, parse)
        for event in events:
            digest, data = rows.event_data(event)
            told.setdefault(event.key, {})[digest] = event, data
        if correction is not None:
            corrections.append(tuple(correction))
    tables: dict[str, list[Row]] = {"told": [(key,) for key in told]}
    tables["events"] = [
        (key, digest, data) for key, found in told.items() for digest, (_, data) in found.items()
    ]
    spans, offers, seeks = (tables.setdefault(name, []) for name in ("spans", "offers", "seeks"))
    for key, found in told.items():
        events = [event for event, _ in found.values()]
        spans += rows_anew(events, context)
        offered, sought = rows.key_rows(key, events)
        offers += offered
        seeks += sought
    return tuple(_Read(len(stored), tables, corrections))


def _fold_together(
    connection: sqlite3.Connection, crew: Processes, tables: NewTables, context: Context
) -> None:
    """The spans that several tasks were told of, out of all their events."""
    connection.execute("CREATE TEMP TABLE together (key TEXT PRIMARY KEY) WITHOUT ROWID")
    connection.execute(
        "INSERT INTO temp.together SELECT key FROM temp.new_told GROUP BY key HAVING COUNT(*) > 1"
    )
    connection.execute(
        "DELETE FROM temp.new_spans WHERE IIF(derived, parent_key, key) IN temp.together"
    )
    told = connection.execute(
        "SELECT e.key, e.data FROM temp.together t CROSS JOIN events e ON e.key = t.key "
        "ORDER BY e.key"
    )
    keys = ([data for _, data in found] for _, found in groupby(told, itemgetter(0)))
    # A snapshot that one task read may take back what another one sought.
    connection.execute("DELETE FROM temp.new_seeks WHERE key IN temp.together")
    connection.execute("DELETE FROM temp.new_offers WHERE key IN temp.together")
    tasks = iter(lambda: list(islice(keys, CHUNK)), [])
    for spans, offers, seeks in crew.map(partial(_fold_some, context), tasks):
        tables.gather("spans", spans)
        tables.gather("offers", offers)
        tables.gather("seeks", seeks)
    connection.execute("DROP TABLE temp.together")
    tables.forget("told")


def _fold_some(
    context: Context, told: Sequence[Sequence[bytes]]
) -> tuple[list[Row], list[Row], list[Row]]:
    """The rows of spans, and of what they offer and seek, out of all their events."""
    spans: list[Row] = []
    offers: list[Row] = []
    seeks: list[Row] = []
    for found in told:
        events = [rows.event_of(data) for data in found]
        spans += rows_anew(events, context)
        offered, sought = rows.key_rows(events[0].key, events)
        offers += offered
        seeks += sought
    return spans, offers, seeks


def _fill(connection: sqlite3.Connection, tables: NewTables) -> None:
    """Store the spans, and what they offer and seek."""
    tables.fill("spans", "offers", "seeks")
    find_crowds(connection)
    tables.index(placed=False)
    # More than one span has the short ref: they go by their keys.
    connection.execute(
        "UPDATE spans SET ref = IIF(full_ref = '', key, full_ref) "
        "WHERE short_ref <> key AND short_ref IN (SELECT short_ref "
        "FROM spans WHERE short_ref <> key GROUP BY short_ref HAVING COUNT(*) > 1)"
    )


def _link_all(connection: sqlite3.Connection, crew: Processes, folding: batch.Folding) -> None:
    """All links but those of what deploys shipped."""
    sql = (
        f"SELECT s.rowid, s.attributes, {proximity.NODE_COLUMNS.format('s')} FROM spans s "
        "WHERE s.derived = 0 AND s.rowid > ?"
    )
    wanted = (
        Wanted(connection, {row[2]: _child(row) for row in found}, folding.disabled_rules)
        for found in _chunks(connection, sql)
    )
    for links in crew.map(_link_some, wanted):
        connection.executemany("INSERT INTO links VALUES (?, ?, ?, ?, ?)", links)


def _child(row: Row) -> Child:
    decided = '"vs.pin"' in row[1] or '"vs.cut:' in row[1]
    return Child(proximity.node_of(row[2:]), orjson.loads(row[1]) if decided else {})


def _link_some(wanted: Wanted) -> list[Row]:
    return [rows.link_row(link) for links in wanted.links().values() for link in links]


def _ship_all(connection: sqlite3.Connection, folding: batch.Folding) -> None:
    """What every deploy shipped; needs the places of all spans."""
    for deploys in _span_keys(connection, "operation = 'deploy' AND derived = 0"):
        spans = load_spans(connection, deploys)
        shipped = relink_shipped(connection, (), spans, (), folding.disabled_rules)
        write_links(connection, {}, {key: new for key, (_, new) in shipped.items()})


def _read_models(connection: sqlite3.Connection, folding: batch.Folding) -> None:
    for work in folding.after_rebuild:
        work(connection)
    if not folding.after_rebuild:
        for keys in _span_keys(connection, "derived = 0"):
            for hook in folding.after_fold:
                hook(connection, keys)


def _span_keys(connection: sqlite3.Connection, where: str) -> Iterator[list[str]]:
    """Keys of spans in order of time, a chunk at a time."""
    sql = f"SELECT rowid, key FROM spans WHERE {where} AND rowid > ?"
    for found in _chunks(connection, sql):
        yield [key for _, key in found]


def refold_one(
    connection: sqlite3.Connection, folding: batch.Folding, parse: Parse, delivery_id: int
) -> str:
    """Read one delivery again; says what came of it. The caller's transaction."""
    row = connection.execute(f"{_STORED} WHERE id = ?", (delivery_id,)).fetchone()
    if row is None:
        return "refused requests are not kept whole; ask the sender to send it again"
    folding.context.seq = batch.next_seq(connection)
    events, correction = _reread(row, parse)
    _correct(connection, [correction] if correction else [])
    batch.fold_and_link(connection, events, folding)
    verdict = connection.execute(
        "SELECT verdict FROM deliveries WHERE id = ?", (delivery_id,)
    ).fetchone()[0]
    return f"delivery {delivery_id}: {verdict}, {len(events)} events"


class _Correction(NamedTuple):
    """A delivery that reads otherwise than it did."""

    delivery_id: int
    source: str
    before: str
    kind: str
    verdict: str
    reason: str
    keys: str


def _reread(row: Row, parse: Parse) -> tuple[list[Event], _Correction | None]:
    delivery_id, source, kind, path, headers, body, received_at, verdict, reason = row
    reading = parse(source, path, orjson.loads(headers), body, received_at)
    events = list(reading.events) if reading.verdict is Verdict.ACCEPTED else []
    now = with_flag_of(reading.reason, reason)
    if (reading.kind, reading.verdict.value, now) == (kind, verdict, reason):
        return events, None
    keys = orjson.dumps(list(dict.fromkeys(event.key for event in events))).decode()
    return events, _Correction(
        delivery_id, source, verdict, reading.kind, reading.verdict.value, now, keys
    )


def _correct(connection: sqlite3.Connection, corrections: Sequence[_Correction]) -> None:
    for found in corrections:
        connection.execute(
            "UPDATE deliveries SET kind = ?, verdict = ?, reason = ?, keys = ? WHERE id = ?",
            (found.kind, found.verdict, found.reason, found.keys, found.delivery_id),
        )
        _recount(connection, found.source, found.before, found.verdict)


def _recount(connection: sqlite3.Connection, source: str, before: str, after: str) -> None:
    if before == after:
        return
    connection.execute(
        "UPDATE counts SET n = n - 1 WHERE source = ? AND verdict = ?", (source, before)
    )
    connection.execute(
        "INSERT INTO counts SELECT source, ?, 1, last_at, last_kind FROM counts "
        "WHERE source = ? AND verdict = ? "
        "ON CONFLICT (source, verdict) DO UPDATE SET n = n + 1",
        (after, source, before),
    )
