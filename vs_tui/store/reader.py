"""Reading what is committed: `api.Reader` over a read-only SQLite connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from vs_tui.domain.instants import DAY, Instant
from vs_tui.domain.model import Link, Span, Verdict
from vs_tui.domain.past import as_of
from vs_tui.domain.upcoming import PastRun
from vs_tui.store import rows
from vs_tui.store.api import (
    COUNTED,
    Baseline,
    Changes,
    Counts,
    DeliveryDetail,
    DeliveryRow,
    Health,
    SourceHealth,
    SpanPage,
    Trace,
    TraceSummary,
)
from vs_tui.store.delivery_filter import delivery_where
from vs_tui.store.filter_sql import span_where
from vs_tui.store.metrics_spans import read_histories
from vs_tui.store.past_runs import read_past_runs
from vs_tui.store.schema import open_reader
from vs_tui.store.thread import connect, run_on
from vs_tui.store.trouble import file_at, is_displaced

T = TypeVar("T")
MAX_CHANGES: Final = 5_000
MAX_TRACE: Final = 5_000
"""Spans of one trace that are read; more than anyone can look at."""

_SELECT: Final = f"SELECT {rows.SELECT_SPAN} FROM spans"
_SORTS: Final = {
    "started": "started_at",
    "ended": "ended_at",
    "duration": "(ended_at - started_at)",
    "name": "name COLLATE NOCASE",
    "changed": "changed",
}


class SqliteReader:
    """One read-only connection on its own thread; open as many as there are viewers."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], Instant],
        *,
        team_names: Sequence[str] = (),
        trouble: Callable[[], str] = lambda: "",
    ) -> None:
        self.path = path
        self._clock = clock
        self._team_names = tuple(team_names)
        self._trouble = trouble
        self._totals: tuple[int, int] = (-1, 0)
        self._file = (0, 0)

    async def open(self) -> SqliteReader:
        """Connect; StoreError when the file is missing, damaged or of another version."""
        self._db = await connect(lambda: open_reader(self.path))
        self._file = file_at(self.path)
        return self

    async def close(self) -> None:
        await self._db.close()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function on the reader's thread: one hop for a whole answer."""
        return await run_on(self._db, work)

    async def spans(
        self,
        filter: str = "",
        *,
        limit: int = 500,
        cursor: str = "",
        sort: str = "live",
        at: Instant | None = None,
    ) -> SpanPage:
        where, parameters = span_where(filter, self._clock() if at is None else at)
        limit = max(1, min(limit, 10_000))
        if sort.lstrip("-") == "live":
            if "operation" not in where and "trace_id" not in where and "key" not in where:
                where = f"({where}) AND operation <> 'stage'"
            return await self.run(lambda db: _live(db, where, parameters, limit, cursor, at))
        return await self.run(lambda db: _sorted(db, where, parameters, limit, cursor, sort, at))

    async def counts(self, filter: str = "") -> Counts:
        where, parameters = span_where(filter, self._clock())
        since = self._clock() - DAY
        return await self.run(lambda db: self._counts(db, where, parameters, since))

    def _counts(
        self, db: sqlite3.Connection, where: str, parameters: Sequence[Any], since: Instant
    ) -> Counts:
        seq = _seq(db)
        if self._totals[0] != seq:
            sql = "SELECT COUNT(*) FROM spans WHERE derived = 0 AND operation <> 'stage'"
            self._totals = (seq, _one(db, sql))
        total = self._totals[1]
        matched = total
        if where not in ("", "1"):
            sql = (
                "SELECT COUNT(*) FROM (SELECT 1 FROM spans WHERE derived = 0 "
                f"AND operation <> 'stage' AND ({where}) ORDER BY rowid DESC LIMIT {COUNTED})"
            )
            matched = _one(db, sql, parameters)
        in_flight = _one(
            db,
            "SELECT COUNT(*) FROM spans WHERE status = 'in_flight' AND derived = 0 "
            "AND operation <> 'stage'",
        )
        failed = _one(
            db,
            "SELECT COUNT(*) FROM spans WHERE status IN ('error', 'timed_out') AND derived = 0 "
            "AND operation <> 'stage' AND ended_at >= ?",
            (since,),
        )
        return Counts(matched=matched, total=total, in_flight=in_flight, failed=failed)

    async def span(self, ref: str) -> Span | None:
        return await self.run(lambda db: find_span(db, ref))

    async def refs(self, keys: Iterable[str]) -> Mapping[str, str]:
        """The refs of spans by key; what is not known is left out."""
        wanted = {key for key in keys if key}
        sql = "SELECT key, ref FROM spans WHERE key IN (SELECT value FROM json_each(?))"
        return await self.run(lambda db: dict(rows.select_in(db, sql, wanted)))

    async def trace(self, trace_id: str) -> Trace | None:
        return await self.run(lambda db: _trace(db, trace_id))

    async def traces(
        self, filter: str = "", *, limit: int = 200, cursor: str = ""
    ) -> tuple[Sequence[TraceSummary], str]:
        where, parameters = span_where(filter, self._clock())
        start = int(cursor) if cursor.isdigit() else 0
        return await self.run(lambda db: _traces(db, where, parameters, limit, start))

    async def baselines(self, spans: Sequence[Span]) -> Mapping[str, Baseline]:
        keys = [span.key for span in spans]
        return await self.run(lambda db: _baselines(db, keys))

    async def past_runs(
        self, spans: Sequence[Span], *, at: Instant | None = None
    ) -> Mapping[str, Sequence[PastRun]]:
        keys = [span.key for span in spans]
        return await self.run(lambda db: read_past_runs(db, keys, at))

    async def deliveries(
        self, filter: str = "", *, limit: int = 200, before: int | None = None
    ) -> Sequence[DeliveryRow]:
        where, parameters = delivery_where(filter)
        return await self.run(lambda db: _deliveries(db, where, parameters, limit, before))

    async def delivery(self, delivery_id: int) -> DeliveryDetail | None:
        return await self.run(lambda db: _delivery(db, delivery_id))

    async def changes(self, since: int) -> Changes:
        return await self.run(lambda db: _changes(db, since))

    async def sources(self) -> Sequence[SourceHealth]:
        return await self.run(_sources)

    async def teams(self) -> Sequence[str]:
        """The configured teams, then any that a span has from an earlier configuration."""
        # `derived = 0` lets it use the index of what is in flight.
        sql = (
            "SELECT DISTINCT team FROM spans "
            "WHERE team <> '' AND status = 'in_flight' AND derived = 0"
        )
        used = await self.run(lambda db: [row[0] for row in db.execute(sql)])
        return list(dict.fromkeys([*self._team_names, *sorted(used)]))

    async def health(self) -> Health:
        trouble = self._trouble()
        if not trouble and is_displaced(self.path, self._file):
            trouble = f"{self.path} was moved, deleted or replaced: what is shown is the old one; "
            trouble += "start this again to see the new one"
        counted = await self.run(
            lambda db: (_one(db, "SELECT MAX(rowid) FROM spans"), _one(db, _LAST_DELIVERY))
        )
        return Health(
            ready=not trouble,
            trouble=trouble,
            spans=counted[0],
            deliveries=counted[1],
            path=str(self.path),
        )


_LAST_DELIVERY: Final = "SELECT MAX(id) FROM deliveries"


def _one(db: sqlite3.Connection, sql: str, parameters: Sequence[Any] = ()) -> int:
    row = db.execute(sql, parameters).fetchone()
    return int(row[0] or 0) if row else 0


def _seq(db: sqlite3.Connection) -> int:
    return _one(db, "SELECT value FROM meta WHERE name = 'seq'")


def find_span(db: sqlite3.Connection, ref: str) -> Span | None:
    """By key, by ref, by short ref (the latest, where several have it) or by an alias."""
    for where in (
        "key = ?",
        "short_ref = ? AND short_ref <> key ORDER BY started_at DESC, key LIMIT 1",
        "key IN (SELECT key FROM offers WHERE token = 'ref:' || ?) "
        "ORDER BY started_at DESC LIMIT 1",
    ):
        row = db.execute(f"{_SELECT} WHERE {where}", (ref,)).fetchone()
        if row:
            return rows.span_of(row)
    return None


def _live(
    db: sqlite3.Connection,
    where: str,
    parameters: Sequence[Any],
    limit: int,
    cursor: str,
    at: Instant | None,
) -> SpanPage:
    """In flight first, newest start first; then the latest ended."""
    offset = int(cursor) if cursor.isdigit() else 0
    if at is not None:
        open_then = "started_at <= ? AND (ended_at IS NULL OR ended_at > ?)"
        done_then = "ended_at <= ?"
        first = (
            f"{_SELECT} WHERE derived = 0 AND {open_then} AND ({where}) "
            "ORDER BY started_at DESC, key"
        )
        second = (
            f"{_SELECT} WHERE derived = 0 AND {done_then} AND ({where}) ORDER BY ended_at DESC, key"
        )
        bounds: tuple[tuple[Any, ...], tuple[Any, ...]] = ((at, at), (at,))
    else:
        first = (
            f"{_SELECT} WHERE status = 'in_flight' AND derived = 0 AND ({where}) "
            "ORDER BY started_at DESC, key"
        )
        second = (
            f"{_SELECT} WHERE ended_at IS NOT NULL AND derived = 0 AND ({where}) "
            "ORDER BY ended_at DESC, key"
        )
        bounds = ((), ())
    found = db.execute(f"{first} LIMIT ?", (*bounds[0], *parameters, offset + limit)).fetchall()
    missing = offset + limit + 1 - len(found)
    if missing > 0:
        found += db.execute(f"{second} LIMIT ?", (*bounds[1], *parameters, missing)).fetchall()
    spans = [rows.span_of(row) for row in found[offset : offset + limit]]
    if at is not None:
        spans = [as_of(span, at) for span in spans]
    more = len(found) > offset + limit
    return SpanPage(spans, str(offset + limit) if more else "")


def _sorted(
    db: sqlite3.Connection,
    where: str,
    parameters: Sequence[Any],
    limit: int,
    cursor: str,
    sort: str,
    at: Instant | None,
) -> SpanPage:
    name = sort.lstrip("-")
    if name not in _SORTS:
        raise ValueError(f"sort '{name}' is not known; use live, {', '.join(_SORTS)}")
    # Times and durations read best newest and longest first; names read from A to Z.
    descending = (name != "name") != sort.startswith("-")
    offset = int(cursor) if cursor.isdigit() else 0
    bound, extra = ("AND started_at <= ?", (at,)) if at is not None else ("", ())
    sql = (
        f"{_SELECT} WHERE ({where}) {bound} ORDER BY {_SORTS[name]} IS NULL, {_SORTS[name]} "
        f"{'DESC' if descending else 'ASC'}, key LIMIT ? OFFSET ?"
    )
    found = db.execute(sql, (*parameters, *extra, limit + 1, offset)).fetchall()
    spans = [rows.span_of(row) for row in found[:limit]]
    if at is not None:
        spans = [as_of(span, at) for span in spans]
    return SpanPage(spans, str(offset + limit) if len(found) > limit else "")


def _trace(db: sqlite3.Connection, trace_id: str) -> Trace | None:
    found = _trace_rows(db, trace_id)
    if not found:
        alias = db.execute(
            "SELECT trace_id FROM spans WHERE own_trace_id = ? AND own_trace_id <> trace_id "
            "LIMIT 1",
            (trace_id,),
        ).fetchone()
        if alias is None:
            return None
        trace_id = alias[0]
        found = _trace_rows(db, trace_id)
    spans = sorted((rows.span_of(row) for row in found), key=lambda s: (s.at, s.key))
    keys = {span.key for span in spans}
    root = next((s for s in spans if s.parent_key not in keys), spans[0])
    sql = (
        "SELECT child, parent, rule, why, is_primary FROM links WHERE {} "
        "IN (SELECT value FROM json_each(?)) ORDER BY child, is_primary DESC, parent"
    )
    links: dict[tuple[str, str], Link] = {}
    for column in ("child", "parent"):
        for row in rows.select_in(db, sql.format(column), keys):
            links[row[0], row[1]] = rows.link_of(row)
    outside = {end for pair in links for end in pair} - keys
    sql = f"{_SELECT} WHERE key IN (SELECT value FROM json_each(?))"
    linked = [rows.span_of(row) for row in rows.select_in(db, sql, sorted(outside)[:200])]
    return Trace(trace_id, root, spans, list(links.values()), linked)


def _trace_rows(db: sqlite3.Connection, trace_id: str) -> list[Any]:
    sql = f"{_SELECT} WHERE trace_id = ? ORDER BY started_at LIMIT ?"
    return db.execute(sql, (trace_id, MAX_TRACE)).fetchall()


def _traces(
    db: sqlite3.Connection, where: str, parameters: Sequence[Any], limit: int, start: int
) -> tuple[Sequence[TraceSummary], str]:
    """Traces that hold a matching span: those in flight first, then the latest ended."""
    wanted: dict[str, None] = {}
    for sql in (
        "SELECT trace_id FROM spans WHERE status = 'in_flight' AND derived = 0 "
        f"AND operation <> 'stage' AND ({where}) ORDER BY started_at DESC",
        "SELECT trace_id FROM spans WHERE ended_at IS NOT NULL AND derived = 0 "
        f"AND operation <> 'stage' AND ({where}) ORDER BY ended_at DESC",
    ):
        for (trace_id,) in db.execute(sql, parameters):
            wanted[trace_id] = None
            if len(wanted) > start + limit:
                break
        if len(wanted) > start + limit:
            break
    page = list(wanted)[start : start + limit]
    more = len(wanted) > start + limit
    return summaries(db, page), str(start + limit) if more else ""


def summaries(db: sqlite3.Connection, trace_ids: Sequence[str]) -> list[TraceSummary]:
    """One row a trace, in the order of the ids."""
    sql = (
        "SELECT trace_id, COUNT(*), SUM(status = 'in_flight'), "
        "SUM(status IN ('error', 'timed_out')), "
        "MIN(COALESCE(started_at, ended_at, last_event_at)), MAX(last_event_at), MAX(ended_at) "
        "FROM spans WHERE operation <> 'stage' "
        "AND trace_id IN (SELECT value FROM json_each(?)) GROUP BY trace_id"
    )
    totals = {row[0]: row[1:] for row in rows.select_in(db, sql, trace_ids)}
    sql = (
        f"{_SELECT} WHERE parent_key = '' AND trace_id IN (SELECT value FROM json_each(?)) "
        "ORDER BY COALESCE(started_at, ended_at, last_event_at) DESC"
    )
    roots = {span.trace_id: span for span in map(rows.span_of, rows.select_in(db, sql, trace_ids))}
    found = []
    for trace_id in trace_ids:
        if trace_id not in roots or trace_id not in totals:
            continue
        spans, in_flight, failed, started, last, ended = totals[trace_id]
        found.append(
            TraceSummary(
                trace_id=trace_id,
                root=roots[trace_id],
                spans=spans,
                in_flight=in_flight,
                failed=failed,
                started_at=started,
                last_event_at=last,
                ended_at=None if in_flight else ended,
            )
        )
    return found


def _baselines(db: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Baseline]:
    found = read_histories(db, keys)
    return {key: Baseline(h.n, round(h.median), h.p90) for key, h in found.items()}


_DELIVERY: Final = (
    "SELECT id, source, kind, received_at, verdict, reason, length(body) AS size, duplicates, "
    "status "
    "FROM deliveries"
)
_REJECTION: Final = (
    "SELECT -id AS id, source, kind, received_at, 'rejected' AS verdict, reason, size, "
    "repeats AS duplicates, status "
    "FROM rejections"
)


def _delivery_row(row: Sequence[Any]) -> DeliveryRow:
    values = list(row)
    values[4] = Verdict(values[4])
    return DeliveryRow(*values)


def _deliveries(
    db: sqlite3.Connection,
    where: str,
    parameters: Sequence[Any],
    limit: int,
    before: int | None,
) -> list[DeliveryRow]:
    """Stored and refused ones in one list, newest first; `before` pages through the stored."""
    limit = max(1, min(limit, 10_000))
    sql = f"SELECT * FROM ({_DELIVERY}) WHERE ({where}) AND id < ? ORDER BY id DESC LIMIT ?"
    newest = before if before is not None else 1 << 62
    found = [_delivery_row(r) for r in db.execute(sql, (*parameters, newest, limit))]
    until, since = 1 << 62, 0
    if before is not None:
        until = _one(db, "SELECT received_at FROM deliveries WHERE id = ?", (before,)) or until
    if len(found) == limit:
        since = found[-1].received_at
    sql = (
        f"SELECT * FROM ({_REJECTION}) WHERE ({where}) AND received_at >= ? AND received_at < ? "
        "ORDER BY received_at DESC LIMIT ?"
    )
    bounds = (since, until, limit)
    found += [_delivery_row(r) for r in db.execute(sql, (*parameters, *bounds))]
    found.sort(key=lambda r: (r.received_at, r.id), reverse=True)
    return found[:limit]


def _delivery(db: sqlite3.Connection, delivery_id: int) -> DeliveryDetail | None:
    if delivery_id < 0:
        row = db.execute(f"{_REJECTION} WHERE rejections.id = ?", (-delivery_id,)).fetchone()
        more = db.execute(
            "SELECT path, headers, body, x'', '', '[]' FROM rejections WHERE id = ?",
            (-delivery_id,),
        ).fetchone()
    else:
        row = db.execute(f"{_DELIVERY} WHERE id = ?", (delivery_id,)).fetchone()
        more = db.execute(
            "SELECT path, headers, body, sha256, dedupe, keys FROM deliveries WHERE id = ?",
            (delivery_id,),
        ).fetchone()
    if row is None or more is None:
        return None
    path, headers, body, sha256, dedupe, keys = more
    sql = "SELECT key, ref FROM spans WHERE key IN (SELECT value FROM json_each(?))"
    refs = dict(rows.select_in(db, sql, orjson.loads(keys)))
    return DeliveryDetail(
        row=_delivery_row(row),
        path=path,
        headers=orjson.loads(headers),
        body=body,
        sha256=sha256.hex(),
        dedupe_key=dedupe,
        span_refs=[refs.get(key, key) for key in orjson.loads(keys)],
    )


def _changes(db: sqlite3.Connection, since: int) -> Changes:
    seq = _seq(db)
    last = _one(db, _LAST_DELIVERY)
    if since <= 0:
        return Changes(seq, (), last, truncated=True)
    if seq == since:
        return Changes(seq, (), last)
    found = db.execute(
        "SELECT key FROM spans WHERE changed > ? ORDER BY changed LIMIT ?",
        (since, MAX_CHANGES + 1),
    ).fetchall()
    if len(found) > MAX_CHANGES:
        return Changes(seq, (), last, truncated=True)
    return Changes(seq, [key for (key,) in found], last)


def _sources(db: sqlite3.Connection) -> list[SourceHealth]:
    found: dict[str, tuple[int, str, dict[str, int]]] = {}
    for source, verdict, n, last_at, last_kind in db.execute(
        "SELECT source, verdict, n, last_at, last_kind FROM counts ORDER BY source"
    ):
        at, kind, counts = found.get(source, (0, "", {}))
        counts[verdict] = n
        found[source] = (last_at, last_kind, counts) if last_at >= at else (at, kind, counts)
    return [
        SourceHealth(name, at or None, kind, counts) for name, (at, kind, counts) in found.items()
    ]
