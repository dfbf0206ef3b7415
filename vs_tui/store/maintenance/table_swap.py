"""Replaces tables by those of another file, while a receiver uses them.

The rows are copied in small transactions into fresh tables of the same schema. Then one short
transaction exchanges the root pages of fresh and used tables in SQLite's own schema table. This
takes as long for a million rows as for one, and names and indexes stay the same. A statement that
is reading goes on with the old rows to its end. The old tables are deleted in small transactions. A
process that dies in between leaves either the old or the new tables, whole, and fresh tables that
`drop_fresh` deletes.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Final

from vs_tui.log import sqlite_position
from vs_tui.store.folding import transaction
from vs_tui.store.lock import DatabaseLock, InUse
from vs_tui.store.schema import DERIVED_TABLES, HEARD_TABLES, LOG_TABLES, StoreError

FRESH: Final = "fresh_"
ROWS_AT_ONCE: Final = 500
"""Rows in one small transaction; a delivery waits only some milliseconds for it."""
_TABLE: Final = re.compile(r'^(CREATE TABLE\s+)"?(\w+)"?')
_INDEX: Final = re.compile(r'^(CREATE (?:UNIQUE )?INDEX\s+)"?(\w+)"?(\s+ON\s+)"?(\w+)"?')
_MODEL_META: Final = ("teams", "teams_from", "dora", "dora_from", "incidents")
"""Rows of `meta` that name the configuration of the read models. All others belong to the file."""


def empty_models(connection: sqlite3.Connection, folding: transaction.Folding) -> int:
    """Delete all derived data, so that the projector folds it from the beginning. Returns the
    number of deployments that are kept because their traces were pruned. Runs in the caller's
    transaction."""
    from vs_tui.store.metrics import judged_rows  # imported for a rebuild, not at every start

    kept = judged_rows.forget(connection)
    for table in remade_tables(connection):
        connection.execute(f"DELETE FROM {table}")
    sqlite_position.set_position(connection, 0)
    sqlite_position.set_generation(connection, transaction.next_seq(connection))
    folding.cache.clear()
    return kept


def remade_tables(db: sqlite3.Connection, log: str = "main") -> list[str]:
    """The tables that are made again from nothing but the log, which is in the schema `log`."""
    # The position, because all deliveries may be gone.
    sql = (
        "SELECT COUNT(*) < MAX(COALESCE(MAX(id), 0), COALESCE((SELECT CAST(value AS INTEGER) "
        f"FROM {log}.meta WHERE name = 'position'), 0)) FROM {log}.deliveries"
    )
    (is_pruned,) = db.execute(sql).fetchone()
    return [name for name in DERIVED_TABLES if not (is_pruned and name in HEARD_TABLES)]


def model_tables(db: sqlite3.Connection) -> list[str]:
    """The tables of derived data, including those that a rebuild keeps."""
    return [
        name
        for (name,) in db.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'")
        if name not in LOG_TABLES and not name.startswith(("sqlite_", FRESH))
    ]


@contextmanager
def small_transaction(db: sqlite3.Connection) -> Iterator[None]:
    """A transaction whose commit does not wait for the disk. Afterwards it pauses for as long as it
    took, so that others can write."""
    db.execute("PRAGMA synchronous = NORMAL")
    began = time.monotonic()
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
        db.execute("PRAGMA synchronous = FULL")
    time.sleep(time.monotonic() - began)


def copy_fresh(
    db: sqlite3.Connection, side: sqlite3.Connection, progress: Callable[[str, int, int], None]
) -> None:
    """Copy the tables of another file, which must not change meanwhile, into fresh tables."""
    drop_fresh(db)
    tables = model_tables(db)
    sql = (
        "SELECT type, name, tbl_name, sql FROM main.sqlite_schema "
        "WHERE type IN ('table', 'index') AND sql IS NOT NULL ORDER BY type DESC"
    )
    with small_transaction(db):
        for kind, name, table, made in db.execute(sql).fetchall():
            if table in tables:
                db.execute(_fresh_sql(kind, name, table, made))
    for number, table in enumerate(tables):
        progress("tables", number, len(tables))
        reading = side.execute(f"SELECT * FROM {table}")
        marks = ", ".join("?" * len(reading.description))
        insert = f"INSERT INTO main.{FRESH}{table} VALUES ({marks})"
        while found := reading.fetchmany(ROWS_AT_ONCE):
            with small_transaction(db):
                db.executemany(insert, found)


def _fresh_sql(kind: str, name: str, table: str, sql: str) -> str:
    """The statement that creates a table or an index under its fresh name."""
    pattern = _INDEX if kind == "index" else _TABLE
    wanted = (name, table) if kind == "index" else (name,)
    found = pattern.match(sql)
    assert found is not None and found.groups()[1::2] == wanted, sql
    parts = found.groups()  # (text before a name, name), once or twice
    fresh = [f"{lead}{FRESH}{known}" for lead, known in zip(parts[::2], parts[1::2], strict=True)]
    return "".join(fresh) + sql[found.end() :]


def exchange(db: sqlite3.Connection, made: Mapping[str, object], generation: int) -> None:
    """Exchange the fresh and the used tables, and take over the `meta` of the fresh ones, above all
    their position in the log. StoreError if the used ones were rebuilt since `generation`. The
    connection must be closed afterwards."""
    db.execute("BEGIN IMMEDIATE")
    try:
        found = dict(db.execute("SELECT name, value FROM main.meta").fetchall())
        if int(found.get("generation", 0)) != generation:
            raise StoreError("another command rebuilt everything meanwhile; run this again")
        _exchange_roots(db)
        _take_over(db, found, made)
        (cookie,) = db.execute("PRAGMA main.schema_version").fetchone()
        # Makes every other connection read the schema again.
        db.execute(f"PRAGMA main.schema_version = {cookie + 1}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _exchange_roots(db: sqlite3.Connection) -> None:
    roots = dict(
        db.execute("SELECT name, rootpage FROM main.sqlite_schema WHERE rootpage > 0").fetchall()
    )
    auto = "sqlite_autoindex_"
    fresh = {
        name: name.replace(f"{auto}{FRESH}", auto, 1).removeprefix(FRESH)
        for name in roots
        if name.startswith((FRESH, f"{auto}{FRESH}"))
    }
    pairs = chain.from_iterable(
        ((roots[used], name), (roots[name], used)) for name, used in fresh.items()
    )
    db.execute("PRAGMA writable_schema = ON")
    db.executemany("UPDATE main.sqlite_schema SET rootpage = ? WHERE name = ?", [*pairs])
    db.execute("PRAGMA writable_schema = OFF")


def _take_over(
    db: sqlite3.Connection, found: Mapping[str, object], made: Mapping[str, object]
) -> None:
    seq = max(int(str(known.get("seq", 0))) for known in (found, made)) + 1
    wanted = {"seq": seq, "generation": seq, "position": made.get("position", 0)}
    for name in _MODEL_META:
        # A receiver with another configuration makes its rows again at its next start.
        if name in made and found.get(name, made[name]) == made[name]:
            wanted[name] = made[name]
    db.executemany("DELETE FROM main.meta WHERE name = ?", [(name,) for name in _MODEL_META])
    db.executemany("REPLACE INTO main.meta VALUES (?, ?)", [*wanted.items()])


def drop_fresh(db: sqlite3.Connection) -> None:
    """Delete fresh tables, or the old ones after an exchange, in small transactions."""
    more = True
    while more:
        with small_transaction(db):
            more = _drop_some(db)


def _drop_some(db: sqlite3.Connection) -> bool:
    """Delete an index, some rows or a table. Returns whether there is more. Runs in the caller's
    transaction."""
    sql = (
        "SELECT type, name FROM main.sqlite_schema WHERE sql IS NOT NULL AND substr(name, 1, ?) = ?"
    )
    found = db.execute(f"{sql} ORDER BY type, name", (len(FRESH), FRESH)).fetchone()
    if found is None:
        return False
    kind, name = found
    if kind == "index":
        db.execute(f"DROP INDEX main.{name}")
        return True
    keys = "rowid"
    (without_rowid,) = db.execute("SELECT wr FROM pragma_table_list(?)", (name,)).fetchone()
    if without_rowid:
        columns = db.execute(f"PRAGMA main.table_info({name})").fetchall()
        keys = ", ".join(row[1] for row in sorted(columns, key=lambda row: row[5]) if row[5])
    deleted = db.execute(
        f"DELETE FROM main.{name} WHERE ({keys}) IN "
        f"(SELECT {keys} FROM main.{name} ORDER BY {keys} LIMIT {ROWS_AT_ONCE})"
    ).rowcount
    if deleted < ROWS_AT_ONCE:
        db.execute(f"DROP TABLE main.{name}")
    return True


def side_of(path: Path) -> Path:
    """The path of the file beside a database in which it is rebuilt."""
    return path.with_name(f"{path.name}.rebuild")


def remove_side(path: Path) -> None:
    """Delete the file of a rebuild; its lock stays until it is released."""
    for part in ("", "-wal", "-shm"):
        side = side_of(path)
        side.with_name(side.name + part).unlink(missing_ok=True)


def clear_leftovers(db: sqlite3.Connection, path: Path) -> bool:
    """Delete what a dead rebuild of the database at `path` has left, one step at a time. Returns
    whether there is more. Runs in the caller's transaction."""
    lock = DatabaseLock(side_of(path), temporary=True)
    try:
        lock.take()
    except InUse:
        return False
    try:
        remove_side(path)
        return _drop_some(db)
    finally:
        lock.release()
