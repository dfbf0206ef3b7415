"""A PostgreSQL log: its entries, its tables, and the SQL statements that store and read entries.
`{schema}` is replaced by its name; values are bound.

    deliveries   every entry; read in the order of (xid, id)
    prunes       the position that each deletion reached, for nodes that were away meanwhile
    notified     notices that a node claims until a time, or has sent
    meta         schema version; epoch, which changes when everything must be read again

Migrations run under an advisory lock, so that any number of nodes may start at once. A role that
may only read and write rows can use a log whose schema is current.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING, Final, NamedTuple

from vs_tui.model.errors import Explained

if TYPE_CHECKING:
    from psycopg import Connection

REPEAT: Final = "duplicate"
"""Verdict of an entry that only counts a repeat of an earlier delivery."""


class Position(NamedTuple):
    """A position in the log; everything up to and including it was read."""

    xid: int = 0
    id: int = 0

    def __str__(self) -> str:
        return f"{self.xid}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> Position:
        xid, _, number = text.partition("-")
        return cls(int(xid), int(number))


BEGINNING: Final = Position()


class Entry(NamedTuple):
    """A row of the log."""

    id: int
    source: str
    kind: str
    path: str
    headers: str
    """JSON"""
    body: bytes
    sha256: bytes
    received_at: int
    dedupe: str
    verdict: str
    reason: str
    status: int
    duplicates: int
    adapter: int
    keys: str
    """JSON"""
    original: int = 0
    """The delivery that this entry repeats; 0 for none."""
    xid: int = 0

    @property
    def position(self) -> Position:
        return Position(self.xid, self.id)


STORED_FIELDS: Final = Entry._fields[:-1]
COLUMNS: Final = ", ".join(STORED_FIELDS)


class AppendedEntry(NamedTuple):
    """The result of appending one entry."""

    id: int
    """The entry's id, or the id of the delivery that it repeats."""
    repeated: bool
    keys: str
    """Keys of the stored delivery, as JSON."""
    sha256: bytes = b""
    """Hash of the stored body."""
    reason: str = ""
    """The reason of the verdict, with a flag if the id was used with another body."""


@dataclass(frozen=True, slots=True)
class LogState:
    """The state of the log; a follower compares it with its own notes to see whether it can go
    on."""

    epoch: str
    prune: int
    """Number of the newest deletion."""
    complete: bool
    """Whether no entries were deleted or lost that the follower has not read."""


class LogAway(Explained):
    """The log cannot be reached or refuses to commit; the message says why, without secrets."""


_UNNEST: Final = (
    "unnest(%(source)s::text[], %(kind)s::text[], %(path)s::text[], %(headers)s::text[], "
    "%(body)b::bytea[], %(sha256)b::bytea[], %(received_at)s::bigint[], %(dedupe)s::text[], "
    "%(verdict)s::text[], %(reason)s::text[], %(status)s::int[], %(duplicates)s::int[], "
    "%(adapter)s::int[], %(keys)s::text[], %(original)s::bigint[]) WITH ORDINALITY AS i (source, "
    "kind, path, headers, body, sha256, received_at, dedupe, verdict, reason, status, duplicates, "
    "adapter, keys, original, place)"
)
_FIELDS: Final = COLUMNS.removeprefix("id, ")
_VALUES: Final = ", ".join(f"i.{name}" for name in STORED_FIELDS[1:])
# The unique index decides. If another transaction inserts the same name right now, this one waits
# and then counts a repeat. A body without an id becomes a new delivery after the window, and a run
# without an id after another delivery of that run.
APPEND: Final = f"""
WITH inserted AS (
    INSERT INTO {{schema}}.deliveries ({_FIELDS}, generation)
    SELECT {_VALUES}, COALESCE(
        l.generation + CASE WHEN (i.dedupe LIKE 'sha:%%' OR i.dedupe LIKE 'run:%%')
            AND abs(i.received_at - l.received_at) > %(window)s
            OR i.dedupe LIKE 'run:%%' AND i.sha256 <> l.sha256 THEN 1 ELSE 0 END, 0)
    FROM {_UNNEST}
    LEFT JOIN LATERAL (
        SELECT d.generation, d.received_at, d.sha256 FROM {{schema}}.deliveries d
        WHERE d.source = i.source AND d.dedupe = i.dedupe AND d.original = 0
        ORDER BY d.generation DESC LIMIT 1
    ) l ON true
    ORDER BY i.place
    ON CONFLICT (source, dedupe, generation) WHERE original = 0 DO NOTHING
    RETURNING id, source, dedupe
)
SELECT id, source, dedupe, (SELECT pg_notify(%(channel)s, '')) FROM inserted
"""
REPEATS: Final = f"""
WITH inserted AS (
    INSERT INTO {{schema}}.deliveries ({_FIELDS}, generation)
    SELECT {_VALUES}, 0 FROM {_UNNEST} ORDER BY i.place RETURNING 1
)
SELECT pg_notify(%(channel)s, '') WHERE EXISTS (SELECT 1 FROM inserted)
"""
STORED: Final = """
SELECT DISTINCT ON (d.source, d.dedupe) d.source, d.dedupe, d.id, d.keys, d.sha256
FROM unnest(%(sources)s::text[], %(dedupes)s::text[]) AS n (source, dedupe)
JOIN {schema}.deliveries d
    ON d.source = n.source AND d.dedupe = n.dedupe AND d.original = 0
ORDER BY d.source, d.dedupe, d.generation DESC
"""
READ: Final = f"""
SELECT {COLUMNS}, xid::text::bigint FROM (
    SELECT *, SUM(octet_length(body)) OVER (ORDER BY xid, id) - octet_length(body) AS before
    FROM (
        SELECT xid, {COLUMNS} FROM {{schema}}.deliveries
        WHERE (xid, id) > (%s::text::xid8, %s::bigint)
            AND xid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY xid, id LIMIT %s::int
    ) page
) sized WHERE before < %s::bigint ORDER BY xid, id
"""
# The log is complete if no later deletion reached beyond the position, and if the entry at the
# position exists or was deleted; a log that was restored from a backup has lost that entry.
STATE: Final = """
SELECT (SELECT value FROM {schema}.meta WHERE name = 'epoch'),
    COALESCE((SELECT MAX(generation) FROM {schema}.prunes), 0),
    NOT EXISTS (
        SELECT 1 FROM {schema}.prunes p WHERE p.generation > %(prune)s
        AND (p.xid, p.id) > (%(xid)s::text::xid8, %(id)s::bigint)
    ) AND (
        %(id)s::bigint = 0
        OR EXISTS (
            SELECT 1 FROM {schema}.deliveries d WHERE d.xid = %(xid)s::text::xid8 AND d.id = %(id)s
        ) OR EXISTS (
            SELECT 1 FROM {schema}.prunes p
            WHERE (p.xid, p.id) >= (%(xid)s::text::xid8, %(id)s::bigint)
        )
    )
"""
_WITH_IDS: Final = _UNNEST.replace(
    "unnest(", "unnest(%(id)s::bigint[], %(generation)s::int[], "
).replace("AS i (", "AS i (id, generation, ")
COPY: Final = f"""
INSERT INTO {{schema}}.deliveries (id, {_FIELDS}, generation)
SELECT i.id, {_VALUES}, i.generation
FROM {_WITH_IDS}
ORDER BY i.place ON CONFLICT (id) DO NOTHING
"""
SAME: Final = """
SELECT COUNT(*) FROM {schema}.deliveries d
JOIN unnest(%(id)s::bigint[], %(sha256)b::bytea[]) AS i (id, sha256)
    ON d.id = i.id AND d.sha256 = i.sha256
"""
SET_NEXT_ID: Final = """
SELECT setval(pg_get_serial_sequence('{schema}.deliveries', 'id'),
    GREATEST((SELECT MAX(id) FROM {schema}.deliveries), 1))
"""
CLAIM: Final = """
INSERT INTO {schema}.meta VALUES (%(name)s, %(now)s::bigint::text) ON CONFLICT (name) DO UPDATE
SET value = excluded.value WHERE meta.value::bigint <= %(now)s::bigint - %(every)s::bigint
RETURNING 1
"""
CLAIM_NOTICES: Final = """
INSERT INTO {schema}.notified (id, node, until)
SELECT id, %(node)s, now() + make_interval(secs => %(seconds)s)
FROM unnest(%(ids)s::bigint[]) AS given (id) ORDER BY id
ON CONFLICT (id) DO UPDATE SET node = excluded.node, until = excluded.until
WHERE NOT notified.sent AND (notified.node = excluded.node OR notified.until < now())
RETURNING id
"""
SENT_NOTICES: Final = "SELECT id FROM {schema}.notified WHERE sent AND id = ANY(%(ids)s)"
SETTLE_NOTICES: Final = """
WITH old AS (DELETE FROM {schema}.notified WHERE until < now() - interval '90 days')
UPDATE {schema}.notified SET sent = %(sent)s, until = now()
WHERE id = ANY(%(ids)s) AND node = %(node)s AND NOT sent
"""
OLD: Final = """
SELECT id, original, xid::text::bigint FROM {schema}.deliveries
WHERE received_at < %(before)s AND id > %(after)s
    AND (xid, id) <= (%(xid)s::text::xid8, %(id)s::bigint)
ORDER BY id LIMIT %(limit)s
"""
DELETE: Final = """
WITH deleted AS (DELETE FROM {schema}.deliveries WHERE id = ANY(%(ids)s) RETURNING xid, id),
last AS (SELECT xid, id FROM deleted ORDER BY xid DESC, id DESC LIMIT 1)
INSERT INTO {schema}.prunes (xid, id, at) SELECT xid, id, %(now)s FROM last
"""
REWRITE: Final = """
UPDATE {schema}.deliveries SET path = %(path)s, kind = %(kind)s, headers = %(headers)s,
    body = %(body)b, sha256 = %(sha256)b, dedupe = %(dedupe)s, reason = %(reason)s, keys = %(keys)s
WHERE id = %(id)s
"""
SUMMARY: Final = """
SELECT split_part(current_setting('server_version'), ' ', 1), reltuples,
    pg_size_pretty(pg_total_relation_size(c.oid)),
    (SELECT COUNT(*) FROM {schema}.deliveries
     WHERE xid >= pg_snapshot_xmin(pg_current_snapshot()))
FROM pg_catalog.pg_class c WHERE c.oid = '{schema}.deliveries'::regclass
"""
HEAD: Final = """
SELECT xid::text::bigint, id FROM {schema}.deliveries ORDER BY xid DESC, id DESC LIMIT 1
"""

SCHEMA_VERSION: Final = 2
OLDEST_SERVER: Final = 130_000
"""PostgreSQL 13, the first version with xid8 and pg_current_xact_id()."""

_V1: Final = """
CREATE TABLE {schema}.meta (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE {schema}.deliveries (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    source text NOT NULL,
    kind text NOT NULL,
    path text NOT NULL,
    headers text NOT NULL,
    body bytea NOT NULL,
    sha256 bytea NOT NULL,
    received_at bigint NOT NULL,
    dedupe text NOT NULL,
    generation integer NOT NULL,
    verdict text NOT NULL,
    reason text NOT NULL,
    status integer NOT NULL,
    duplicates integer NOT NULL DEFAULT 0,
    adapter integer NOT NULL,
    keys text NOT NULL,
    original bigint NOT NULL DEFAULT 0
);
CREATE INDEX deliveries_order ON {schema}.deliveries (xid, id);
CREATE UNIQUE INDEX deliveries_dedupe ON {schema}.deliveries (source, dedupe, generation)
    WHERE original = 0;
CREATE INDEX deliveries_received ON {schema}.deliveries (received_at);
CREATE TABLE {schema}.prunes (
    generation bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL,
    id bigint NOT NULL,
    at bigint NOT NULL
);
"""

_V2: Final = """
CREATE TABLE {schema}.notified (
    id bigint PRIMARY KEY,
    node text NOT NULL,
    until timestamptz NOT NULL,
    sent boolean NOT NULL DEFAULT false
);
"""

MIGRATIONS: Final[Sequence[str]] = (_V1, _V2)
"""MIGRATIONS[n] brings a log from version n to n + 1."""


class LogSchemaError(Exception):
    """The log cannot be used; the message says why and what to do."""


def prepare(connection: Connection[tuple[object, ...]], schema: str) -> None:
    """Create or upgrade the tables. `connection` is in autocommit mode."""
    version = connection.info.server_version
    if version < OLDEST_SERVER:
        raise LogSchemaError(f"the server is PostgreSQL {version // 10_000}; use 13 or later")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise LogSchemaError(
            f"the database has the encoding {encoding}; create one with ENCODING 'UTF8'"
        )
    if _version(connection, schema) != SCHEMA_VERSION:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"vs-tui {schema}"])
            _migrate(connection, schema)
    _check_order(connection, schema)


def _version(connection: Connection[tuple[object, ...]], schema: str) -> int:
    """The version of the log's schema; 0 if there is none."""
    # A query: to_regclass() may use a cached answer from before the wait for the lock.
    exists = "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = %s AND tablename = 'meta'"
    if connection.execute(exists, [schema]).fetchone() is None:
        return 0
    row = connection.execute(
        f"SELECT value FROM {schema}.meta WHERE name = 'schema_version'"
    ).fetchone()
    return int(str(row[0])) if row else 0


def _migrate(connection: Connection[tuple[object, ...]], schema: str) -> None:
    found = _version(connection, schema)
    if found > SCHEMA_VERSION:
        raise LogSchemaError(
            f"the log has schema {found}, this version knows up to {SCHEMA_VERSION}: upgrade vs-tui"
        )
    exists = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s"
    if connection.execute(exists, [schema]).fetchone() is None:
        connection.execute(f"CREATE SCHEMA {schema}")
    for script in MIGRATIONS[found:]:
        connection.execute(script.format(schema=schema))
    set_meta(connection, schema, "schema_version", str(SCHEMA_VERSION))
    if not found:
        set_meta(connection, schema, "epoch", token_hex(8))


def _check_order(connection: Connection[tuple[object, ...]], schema: str) -> None:
    """Renumber a log that was restored from a dump into a server with lower transaction ids.
    Otherwise its rows would stay invisible, and new rows would sort before them."""
    ahead = (
        f"SELECT 1 FROM {schema}.deliveries WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()) "
        "LIMIT 1"
    )
    if connection.execute(ahead).fetchone() is None:
        return
    with connection.transaction():
        connection.execute(f"LOCK TABLE {schema}.deliveries IN EXCLUSIVE MODE")
        if connection.execute(ahead).fetchone() is None:
            return
        connection.execute(f"UPDATE {schema}.deliveries SET xid = '3'")
        connection.execute(f"DELETE FROM {schema}.prunes")
        set_meta(connection, schema, "epoch", token_hex(8))


def set_meta(
    connection: Connection[tuple[object, ...]], schema: str, name: str, value: str
) -> None:
    connection.execute(
        f"INSERT INTO {schema}.meta VALUES (%s, %s) ON CONFLICT (name) DO UPDATE "
        "SET value = excluded.value",
        [name, value],
    )
