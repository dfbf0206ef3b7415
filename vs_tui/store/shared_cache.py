"""The SQLite cache of a node that follows a shared log, filled from the log's entries.

One transaction stores the entries and the node's position in the log, so that each entry is stored
once, whenever the node dies. The functions run on the writer's thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from vs_tui.log import sqlite_log
from vs_tui.log.delivery import flagged
from vs_tui.log.postgres import BEGINNING, REPEAT, Entry, Position
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Verdict
from vs_tui.store.folding import transaction
from vs_tui.store.schema import StoreError

_KEPT_TABLES: Final = ("meta", "exported_spans", "notified", "counted_facts", "counted_totals")
"""Tables about the node itself, so that it does not send or count anything again. Refused requests
and waiting notices are deleted, because they may name a person who is forgotten."""


@dataclass(frozen=True, slots=True)
class Place:
    """The position of a node in the log."""

    epoch: str = ""
    position: Position = BEGINNING
    prune: int = 0
    """Number of the newest deletion that the node knows."""


def check(db: sqlite3.Connection, name: str, log: str) -> None:
    """StoreError if the file holds deliveries that are in no shared log."""
    marked = db.execute("SELECT 1 FROM meta WHERE name = 'log_cache'").fetchone()
    if not marked and db.execute("SELECT 1 FROM deliveries LIMIT 1").fetchone():
        raise StoreError(
            f"{name} holds deliveries of its own, and the log {log} does not: move them with "
            f"`vs-tui db copy-log {name} {log}`, then choose another file with --db"
        )
    db.execute("REPLACE INTO meta VALUES ('log_cache', ?)", (log,))


def place(db: sqlite3.Connection) -> Place:
    rows = db.execute("SELECT name, value FROM meta WHERE name LIKE 'log\\_%' ESCAPE '\\'")
    found = {name: str(value) for name, value in rows}
    return Place(
        found.get("log_epoch", ""),
        Position.parse(found.get("log_position", "0-0")),
        int(found.get("log_prune", 0)),
    )


def set_place(db: sqlite3.Connection, reached: Place) -> None:
    db.executemany(
        "REPLACE INTO meta VALUES (?, ?)",
        [
            ("log_epoch", reached.epoch),
            ("log_position", str(reached.position)),
            ("log_prune", reached.prune),
        ],
    )


def start_over(db: sqlite3.Connection, folding: transaction.Folding, reached: Place) -> None:
    """Delete everything that was read; the caller commits, and then reads from the beginning.

    Ids continue from the current ones, so that the projector's position stays below the new ones.
    """
    sqlite_log.set_position(db, sqlite_log.head(db))
    db.execute("DELETE FROM meta WHERE name IN ('teams', 'teams_from')")
    for (table,) in db.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    ).fetchall():
        if table not in _KEPT_TABLES:
            db.execute(f"DELETE FROM {table}")
    folding.cache.clear()
    folding.bodies.clear()
    sqlite_log.set_generation(db, transaction.next_seq(db))
    set_place(db, reached)


def store(
    db: sqlite3.Connection, folding: transaction.Folding, entries: Sequence[Entry], reached: Place
) -> list[tuple[int, int]]:
    """Store entries as deliveries, in order. Returns (own id, id in the log) of the new ones."""
    next_id = sqlite_log.head(db) + 1
    stored: list[tuple[object, ...]] = []
    numbers: list[tuple[int, int]] = []
    repeated: dict[int, int] = {}
    tallies: dict[tuple[str, Verdict], tuple[int, Instant, str]] = {}
    for entry in entries:
        name = entry.source, Verdict(entry.verdict)
        n, at, _ = tallies.get(name, (0, 0, ""))
        tallies[name] = n + 1, max(at, entry.received_at), entry.kind
        if entry.verdict == REPEAT:
            repeated[entry.original] = repeated.get(entry.original, 0) + 1
            continue
        if entry.duplicates:
            repeats = entry.source, Verdict.DUPLICATE
            n, at, kind = tallies.get(repeats, (0, 0, entry.kind))
            tallies[repeats] = n + entry.duplicates, max(at, entry.received_at), kind
        reason = entry.reason
        if earlier := folding.bodies.first(entry.path, entry.sha256, entry.id):
            reason = flagged(reason, earlier)
        stored.append((next_id, entry.id, *entry[1:10], reason, *entry[11:15]))
        numbers.append((next_id, entry.id))
        next_id += 1
    db.executemany(_INSERT, stored)
    db.executemany(
        "UPDATE deliveries SET duplicates = duplicates + ? WHERE log_id = ?",
        [(n, log_id) for log_id, n in repeated.items()],
    )
    sqlite_log.count(db, tallies)
    set_place(db, reached)
    return numbers


def missing(db: sqlite3.Connection, log_ids: Sequence[int]) -> list[int]:
    """The entries that this node has no delivery of."""
    listed = orjson.dumps(list(log_ids)).decode()
    sql = (
        "SELECT value FROM json_each(?) WHERE value NOT IN "
        "(SELECT log_id FROM deliveries WHERE log_id IS NOT NULL AND log_id IN "
        "(SELECT value FROM json_each(?)))"
    )
    return [number for (number,) in db.execute(sql, (listed, listed))]


_INSERT: Final = (
    "INSERT INTO deliveries (id, log_id, source, kind, path, headers, body, sha256, received_at, "
    "dedupe, verdict, reason, status, duplicates, adapter, keys) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
