"""Copies the SQL views of docs/sql.md to tables in PostgreSQL, for tools that cannot read
SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from vs_tui.log.address import LogAddress
from vs_tui.log.postgres_connection import reason
from vs_tui.model.errors import Explained
from vs_tui.store.schema import open_reader

VIEWS: Final = ("v_spans", "v_links", "v_deployments", "v_changes", "v_incidents")
_AT_ONCE: Final = 1_000
_NUL: Final = "\0"
_TYPES: Final = (
    ("_at", "timestamptz"),
    ("_s", "double precision"),
    ("_us", "bigint"),
    ("attributes", "jsonb"),
    ("attempt", "integer"),
    ("reopens", "integer"),
)
"""End of a column's name -> its type. Other columns: flags are boolean, the rest is text."""


class NotExported(Explained):
    """PostgreSQL rejected the tables; the message gives the reason, without the password."""


def newest_change(path: Path) -> int:
    """The newest change number, which grows with every change of a span."""
    with closing(open_reader(path)) as db:
        return int(db.execute("SELECT COALESCE(MAX(changed), 0) FROM spans").fetchone()[0])


def export_tables(path: Path, address: LogAddress, schema: str) -> dict[str, int]:
    """Replace the rows of all tables by the database's current ones, in one transaction; returns
    the number of rows per table. Readers see the old rows until it is committed."""
    with closing(open_reader(path)) as db:
        db.execute("BEGIN")  # all views of one moment
        try:
            with psycopg.connect(address.url, connect_timeout=10) as connection:
                connection.execute(
                    sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema))
                )
                return {view: _copy(db, connection, schema, view) for view in VIEWS}
        except (psycopg.Error, OSError) as error:
            raise NotExported(f"{address.shown}: {reason(error, address)}") from None


def _copy(
    db: sqlite3.Connection, connection: psycopg.Connection[Any], schema: str, view: str
) -> int:
    cursor = db.execute(f"SELECT * FROM {view}")  # noqa: S608
    columns = [column[0] for column in cursor.description]
    types = [type_of(column) for column in columns]
    table = sql.Identifier(schema, view)
    _prepare(connection, schema, view, columns, types)
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    copied = 0
    connection.execute(sql.SQL("CREATE TEMP TABLE new (LIKE {}) ON COMMIT DROP").format(table))
    with (
        connection.cursor() as writing,
        writing.copy(sql.SQL("COPY new ({}) FROM STDIN").format(listed)) as copy,
    ):
        for row in _rows(cursor, types):
            copy.write_row(row)
            copied += 1
    connection.execute(sql.SQL("DELETE FROM {}").format(table))
    connection.execute(
        sql.SQL("INSERT INTO {table} ({names}) SELECT {names} FROM new").format(
            table=table, names=listed
        )
    )
    connection.execute("DROP TABLE new")
    return copied


def _prepare(
    connection: psycopg.Connection[Any],
    schema: str,
    view: str,
    columns: Sequence[str],
    types: Sequence[str],
) -> None:
    """Create the table, or replace one that has other columns."""
    found = connection.execute(
        "SELECT column_name FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name = %s",
        (schema, view),
    ).fetchall()
    table = sql.Identifier(schema, view)
    if {name for (name,) in found} == set(columns):
        return
    if found:
        connection.execute(sql.SQL("DROP TABLE {}").format(table))
    defined = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))
        for name, kind in zip(columns, types, strict=True)
    )
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(table, defined))


def type_of(column: str) -> str:
    """The PostgreSQL type of a view's column."""
    if column.startswith("is_") or column == "failed":
        return "boolean"
    return next((kind for end, kind in _TYPES if column.endswith(end)), "text")


def _rows(cursor: sqlite3.Cursor, types: Sequence[str]) -> Iterator[list[Any]]:
    """Rows for PostgreSQL, whose texts cannot contain NUL characters."""
    while rows := cursor.fetchmany(_AT_ONCE):
        for row in rows:
            yield [_value(value, kind) for value, kind in zip(row, types, strict=True)]


def _value(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "boolean":
        return bool(value)
    if kind == "jsonb":
        return str(value).replace("\\u0000", "\\ufffd")
    return value.replace(_NUL, "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value
