"""Care for the database: backup, verify, prune, stats. Each works beside a running receiver,
except prune, which writes and therefore needs the lock."""

from __future__ import annotations

import os
import sqlite3
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from vs_tui.domain.instants import Instant, iso
from vs_tui.store.schema import SCHEMA_VERSION, StoreError, open_reader

PRUNE_CHUNK: Final = 2_000
_CHECK_LIMIT: Final = 20


def backup(source: Path, target: Path) -> None:
    """Copy a database that may be in use, and check the copy; StoreError leaves no half copy."""
    if target.exists():
        raise StoreError(f"{target} exists; choose another name or remove it first")
    target.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    reader = open_reader(source)
    copy = sqlite3.connect(target)
    try:
        reader.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        found = copy.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise StoreError(f"the backup failed: {error}; {target} was removed") from error
    finally:
        copy.close()
        reader.close()
    if found != "ok":
        target.unlink(missing_ok=True)
        raise StoreError(f"the copy is damaged ({found}); run `vs-tui db verify` on {source}")


def verify(path: Path) -> list[str]:
    """What is wrong with a database, [] when nothing: structure, bodies, and counters."""
    try:
        connection = open_reader(path)
    except StoreError as error:
        return [str(error)]
    try:
        problems = [
            f"structure: {row[0]}"
            for row in connection.execute(f"PRAGMA integrity_check({_CHECK_LIMIT})")
            if row[0] != "ok"
        ]
        # SQLite has no checksums: a flipped bit inside a value passes its own check.
        for delivery_id, body, digest in connection.execute(
            "SELECT id, body, sha256 FROM deliveries WHERE length(sha256) > 0"
        ):
            if sha256(body).digest() != digest:
                problems.append(f"delivery {delivery_id}: the body does not match its hash")
                if len(problems) >= _CHECK_LIMIT:
                    break
        orphans = connection.execute(
            "SELECT COUNT(*) FROM spans WHERE derived = 0 "
            "AND key NOT IN (SELECT DISTINCT key FROM events)"
        ).fetchone()[0]
        if orphans:
            problems.append(f"{orphans} spans have no events; run `vs-tui db rebuild`")
    except sqlite3.DatabaseError as error:
        problems = [f"cannot be read to its end: {error}"]
    finally:
        connection.close()
    return problems


def prune(connection: sqlite3.Connection, before: Instant, *, dry_run: bool) -> dict[str, Any]:
    """Delete traces whose last event is older than `before` and in which nothing is in flight,
    with their deliveries. A delivery that also touched a younger trace stays."""
    traces = [
        row[0]
        for row in connection.execute(
            "SELECT trace_id FROM spans GROUP BY trace_id "
            "HAVING MAX(last_event_at) < ? AND SUM(status = 'in_flight') = 0",
            (before,),
        )
    ]
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS pruned (key TEXT PRIMARY KEY)")
    connection.execute("DELETE FROM pruned")
    for start in range(0, len(traces), PRUNE_CHUNK):
        chunk = traces[start : start + PRUNE_CHUNK]
        connection.execute(
            "INSERT OR IGNORE INTO pruned SELECT key FROM spans "
            f"WHERE trace_id IN ({', '.join('?' * len(chunk))})",
            chunk,
        )
    doomed = (
        "SELECT id FROM deliveries WHERE received_at < ? AND NOT EXISTS "
        "(SELECT 1 FROM json_each(deliveries.keys) k "
        "WHERE k.value NOT IN (SELECT key FROM pruned))"
    )
    spans = connection.execute("SELECT COUNT(*) FROM pruned").fetchone()[0]
    deliveries = connection.execute(f"SELECT COUNT(*) FROM ({doomed})", (before,)).fetchone()[0]
    result = {
        "ok": True,
        "older_than": iso(before),
        "traces": len(traces),
        "spans": spans,
        "deliveries": deliveries,
        "deleted": not dry_run,
    }
    if dry_run:
        return result
    connection.execute(f"DELETE FROM deliveries WHERE id IN ({doomed})", (before,))
    for table, column in (
        ("events", "key"),
        ("offers", "key"),
        ("seeks", "key"),
        ("links", "child"),
        ("links", "parent"),
        ("spans", "key"),
    ):
        connection.execute(f"DELETE FROM {table} WHERE {column} IN (SELECT key FROM pruned)")
    connection.execute("DELETE FROM rejections WHERE received_at < ?", (before,))
    return result


def stats(path: Path) -> dict[str, Any]:
    """Counts, sizes and versions."""
    connection = open_reader(path)
    try:
        counts = {
            table: connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
            for table in ("deliveries", "rejections", "events", "spans", "links")
        }
        verdicts = dict(connection.execute("SELECT verdict, SUM(n) FROM counts GROUP BY verdict"))
        oldest, newest = connection.execute(
            "SELECT MIN(received_at), MAX(received_at) FROM deliveries"
        ).fetchone()
        free = connection.execute("PRAGMA freelist_count").fetchone()[0]
        page = connection.execute("PRAGMA page_size").fetchone()[0]
    finally:
        connection.close()
    wal = path.with_name(path.name + "-wal")
    return {
        "database": str(path),
        "bytes": path.stat().st_size,
        "wal_bytes": wal.stat().st_size if wal.exists() else 0,
        "free_bytes": free * page,
        "schema": SCHEMA_VERSION,
        "sqlite": sqlite3.sqlite_version,
        **counts,
        "received": sum(verdicts.values()),
        "verdicts": [f"{verdict} {n}" for verdict, n in sorted(verdicts.items())],
        "oldest": iso(oldest) or "-",
        "newest": iso(newest) or "-",
    }
