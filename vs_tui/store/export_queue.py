"""The queue of an OTLP export, kept in the store: the change feed lists the changed traces, and a
table has the spans that were sent, by the 8 bytes of their id. The state of each exporter is kept
for doctor.

Both survive a restart and a rebuild; a collector that is away for a day costs no memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import orjson

from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Link, Span, otel_span_id
from vs_tui.store import rows
from vs_tui.store.queries.filter_sql import span_where

_PREFIX: Final = "export_state."
_POSITION: Final = "export_position"


def read_position(db: sqlite3.Connection) -> int:
    """The change number up to which all traces were sent or skipped; 0 at the beginning."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (_POSITION,)).fetchone()
    position = 0 if row is None else int(row[0])
    # After a rebuild the feed may start again; sent spans are known by their id.
    return position if position <= rows.number(db, "SELECT MAX(changed) FROM spans") else 0


def changed_traces(
    db: sqlite3.Connection, after: int, limit: int
) -> tuple[list[tuple[int, str]], int, bool]:
    """([(first change number, trace id)] after a change number, the number read up to, whether
    there is more).

    It reads about `limit` spans, but always all spans of the last change number.
    """
    sql = "SELECT changed FROM spans WHERE changed > ? ORDER BY changed LIMIT 1 OFFSET ?"
    row = db.execute(sql, (after, limit)).fetchone()
    until = (1 << 62) if row is None else int(row[0])
    found = db.execute(
        "SELECT MIN(changed), trace_id, MAX(changed) FROM spans "
        "WHERE changed > ? AND changed <= ? GROUP BY trace_id ORDER BY 1",
        (after, until),
    ).fetchall()
    read_to = max((int(last) for _, _, last in found), default=after)
    return [(int(first), str(trace_id)) for first, trace_id, _ in found], read_to, row is not None


def is_over(db: sqlite3.Connection, trace_id: str) -> bool:
    """Whether every span of the trace has ended."""
    sql = "SELECT 1 FROM spans WHERE trace_id = ? AND status = 'in_flight' LIMIT 1"
    return db.execute(sql, (trace_id,)).fetchone() is None


def is_wanted(db: sqlite3.Connection, trace_id: str, filter_text: str, now: Instant) -> bool:
    """Whether a span of the trace matches the filter."""
    if not filter_text:
        return True
    where, parameters = span_where(filter_text, now)
    sql = f"SELECT 1 FROM spans WHERE trace_id = ? AND ({where}) LIMIT 1"
    return db.execute(sql, (trace_id, *parameters)).fetchone() is not None


def unsent_spans(db: sqlite3.Connection, trace_id: str) -> list[Span]:
    """The spans of the trace that were never sent, sorted by start."""
    sql = f"SELECT {rows.SELECT_SPAN} FROM spans WHERE trace_id = ? ORDER BY started_at, key"
    spans = [rows.span_of(row) for row in db.execute(sql, (trace_id,))]
    sent = _sent_among(db, [span.key for span in spans])
    return [span for span in spans if span.key not in sent]


def links_of(db: sqlite3.Connection, keys: Sequence[str]) -> dict[str, list[tuple[Link, str]]]:
    """Child -> links that are not primary, each with the trace id of its parent end."""
    sql = rows.SELECT_LINKS.format("child")
    links = [rows.link_of(row) for row in rows.select_in(db, sql, keys)]
    others = [link for link in links if not link.primary]
    sql = f"SELECT key, trace_id FROM spans WHERE key {rows.KEYS}"
    traces = dict(rows.select_in(db, sql, sorted({link.parent for link in others})))
    found: dict[str, list[tuple[Link, str]]] = {}
    for link in others:
        if link.parent in traces:
            found.setdefault(link.child, []).append((link, traces[link.parent]))
    return found


def mark_sent(db: sqlite3.Connection, keys: Iterable[str], position: int) -> None:
    """Store that these spans were sent, and the position in the change feed."""
    db.executemany(
        "INSERT OR IGNORE INTO exported_spans VALUES (?)", [(_number(key),) for key in keys]
    )
    db.execute("REPLACE INTO meta VALUES (?, ?)", (_POSITION, position))


def _sent_among(db: sqlite3.Connection, keys: Sequence[str]) -> set[str]:
    by_number = {_number(key): key for key in keys}
    sql = f"SELECT span_id FROM exported_spans WHERE span_id {rows.KEYS}"
    return {by_number[number] for (number,) in rows.select_in(db, sql, list(by_number))}


def _number(key: str) -> int:
    """The span's id as a signed 64-bit integer for SQLite."""
    return int.from_bytes(otel_span_id(key), "big", signed=True)


@dataclass
class ExportState:
    """Counts and last errors of an exporter since the receiver started."""

    sent: int = 0
    refused: int = 0
    """Spans or data points that the collector rejected for good."""
    refusal: str = ""
    """The collector's last message about rejected items."""
    waiting: int = 0
    """Traces that were read from the change feed and are not finished or not sent yet."""
    trouble: str = ""
    """Why the last request failed; empty if it was accepted."""
    trouble_since: Instant | None = None


def keep_state(db: sqlite3.Connection, signal: str, state: ExportState) -> None:
    """Store the state in the database, where `vs-tui doctor` reads it even if the receiver is
    stopped."""
    text = orjson.dumps(asdict(state)).decode()
    db.execute("REPLACE INTO meta VALUES (?, ?)", (_PREFIX + signal, text))


def read_states(db: sqlite3.Connection) -> Mapping[str, ExportState]:
    """Signal -> the state that was stored last."""
    sql = "SELECT name, value FROM meta WHERE name GLOB ? ORDER BY name"
    return {
        name.removeprefix(_PREFIX): ExportState(**orjson.loads(text))
        for name, text in db.execute(sql, (f"{_PREFIX}*",))
    }
