"""From changed spans to links and places in traces.

Recomputes the links of every span whose keys changed and of everyone that seeks what a
changed span offers; then moves subtrees to their root's trace. Runs inside the writer's
transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

from vs_tui.domain.correlation import (
    CUT_PREFIX,
    PIN_ATTRIBUTE,
    PROXIMITY_WINDOW,
    Match,
    Node,
    break_cycle,
    links_of,
)
from vs_tui.domain.model import Key, Link, Rule, Seek, Span, Status
from vs_tui.store import rows
from vs_tui.store.folder import Change, load_spans

MAX_SHIPPED = 50
MAX_DEPTH = 10_000
_NODE = "key, operation, COALESCE(started_at, ended_at, last_event_at), ended_at, status"


def relink(
    connection: sqlite3.Connection,
    changes: Sequence[Change],
    seq: int,
    disabled: frozenset[Rule] = frozenset(),
) -> None:
    """Bring links, parents and trace ids up to date after `changes`."""
    children = {change.new.key: change.new for change in changes}
    for key, span in load_spans(connection, _affected(connection, changes) - set(children)).items():
        children[key] = span
    if not children:
        return
    wanted = _Wanted(connection, children, disabled)
    before = _links_of(connection, children)
    after = {key: wanted.links(span) for key, span in children.items()}
    _write_links(connection, before, after)
    _place(connection, children, after, seq)


def _affected(connection: sqlite3.Connection, changes: Sequence[Change]) -> set[str]:
    """Keys of spans whose links may have changed with these spans."""
    tokens: dict[str, None] = {}
    keys: set[str] = set()
    for change in changes:
        if not change.material:
            continue
        for name in (change.new.key, change.short_ref):
            tokens[f"ref:{name}"] = None
        for offer in change.offers:
            tokens[rows.token(offer)] = None
        keys.update(_neighbours(connection, change))
    sql = "SELECT DISTINCT key FROM seeks WHERE token IN (SELECT value FROM json_each(?))"
    keys.update(key for (key,) in rows.select_in(connection, sql, tokens))
    pinned = [change.new.key for change in changes if change.old is None]
    sql = (
        "SELECT child FROM links WHERE rule = 'pinned' "
        "AND parent IN (SELECT value FROM json_each(?))"
    )
    keys.update(key for (key,) in rows.select_in(connection, sql, pinned))
    return keys


def _neighbours(connection: sqlite3.Connection, change: Change) -> Iterator[str]:
    """Spans linked by time: the next deploys of a repository, the incidents of a service."""
    span = change.new
    if span.operation == "deploy":
        for moment in {span.at, change.old.at if change.old else span.at}:
            yield from _column(
                connection,
                "SELECT key FROM spans WHERE operation = 'deploy' AND project = ? "
                "AND service = ? AND environment = ? AND started_at > ? "
                "ORDER BY started_at LIMIT 2",
                (span.project, span.service, span.environment, moment),
            )
            yield from _column(
                connection,
                "SELECT key FROM spans WHERE operation = 'incident' AND service = ? "
                "AND environment = ? AND started_at BETWEEN ? AND ?",
                (span.service, span.environment, moment, moment + PROXIMITY_WINDOW),
            )
    elif span.operation == "pull_request" and span.ended_at is not None:
        yield from _column(
            connection,
            "SELECT key FROM (SELECT key, MIN(started_at) FROM spans WHERE operation = 'deploy' "
            "AND project = ? AND started_at >= ? GROUP BY service, environment)",
            (span.project, span.ended_at),
        )
        yield from _column(
            connection,
            "SELECT child FROM links WHERE parent = ? AND rule = ?",
            (span.key, Rule.SHIPS.value),
        )


def _column(
    connection: sqlite3.Connection, sql: str, parameters: Sequence[object]
) -> Iterator[str]:
    return (row[0] for row in connection.execute(sql, parameters).fetchall())


class _Wanted:
    """The links that a set of spans should have; all they seek is read in a few queries."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        children: Mapping[str, Span],
        disabled: frozenset[Rule],
    ) -> None:
        self._connection = connection
        self._disabled = disabled
        self._seeks: dict[str, list[Seek]] = {}
        sql = (
            "SELECT key, token, rule, scope, value, via, link_only FROM seeks "
            "WHERE key IN (SELECT value FROM json_each(?))"
        )
        tokens: dict[str, None] = {}
        for key, *row in rows.select_in(connection, sql, children):
            tokens[row[0]] = None
            self._seeks.setdefault(key, []).append(rows.seek_of(row))
        pins = [str(span.attributes.get(PIN_ATTRIBUTE) or "") for span in children.values()]
        self._offers = self._read_offers(tokens, [pin for pin in pins if pin])

    def _read_offers(
        self, tokens: Iterable[str], pins: Sequence[str]
    ) -> dict[str, list[tuple[str, Key]]]:
        """token -> (owner, offered key)."""
        found: dict[str, list[tuple[str, Key]]] = {}
        names = [token[4:] for token in tokens if token.startswith("ref:")] + list(pins)
        sql = (
            "SELECT token, scope, value, key, via FROM offers "
            "WHERE token IN (SELECT value FROM json_each(?))"
        )
        for token, scope, value, key, via in rows.select_in(
            self._connection, sql, [*tokens, *(f"ref:{pin}" for pin in pins)]
        ):
            offered = rows.key_of((token, scope, value, via))
            found.setdefault(token, []).append((key, offered))
        sql = "SELECT key, key FROM spans WHERE key IN (SELECT value FROM json_each(?))"
        short = (
            "SELECT key, short_ref FROM spans WHERE short_ref <> key "
            "AND short_ref IN (SELECT value FROM json_each(?))"
        )
        for statement in (sql, short):
            for key, name in rows.select_in(self._connection, statement, names):
                found.setdefault(f"ref:{name}", []).append((key, Key("ref", name)))
        owners = {owner for entries in found.values() for owner, _ in entries}
        self._nodes = _nodes(self._connection, owners)
        return found

    def _matches(self, key: Key) -> Iterator[Match]:
        for owner, offered in self._offers.get(rows.token(key), ()):
            node = self._nodes.get(owner)
            if node is not None:
                yield Match(node, offered)

    def links(self, span: Span) -> list[Link]:
        cut = [
            name.removeprefix(CUT_PREFIX)
            for name, value in span.attributes.items()
            if name.startswith(CUT_PREFIX) and value
        ]
        pin = str(span.attributes.get(PIN_ATTRIBUTE) or "")
        pinned = next(self._matches(Key("ref", pin)), None) if pin else None
        return links_of(
            Node.of(span),
            self._seeks.get(span.key, ()),
            self._matches,
            pinned=pinned.node if pinned else None,
            cut=cut,
            extra=list(self._by_time(span)),
            disabled=self._disabled,
        )

    def _by_time(self, span: Span) -> Iterator[tuple[Rule, Node]]:
        if span.operation == "incident" and span.service:
            sql = (
                f"SELECT {_NODE} FROM spans WHERE operation = 'deploy' AND service = ? "
                "AND environment = ? AND started_at BETWEEN ? AND ? "
                "ORDER BY started_at DESC, key LIMIT 1"
            )
            bounds = (span.at - PROXIMITY_WINDOW, span.at)
            for row in self._connection.execute(sql, (span.service, span.environment, *bounds)):
                yield Rule.PROXIMITY, _node(row)
        elif span.operation == "deploy" and span.started_at is not None:
            for row in self._shipped(span):
                yield Rule.SHIPS, _node(row)

    def _shipped(self, deploy: Span) -> list[tuple[object, ...]]:
        previous = self._connection.execute(
            "SELECT MAX(started_at) FROM spans WHERE operation = 'deploy' AND project = ? "
            "AND service = ? AND environment = ? AND started_at < ? AND status = 'ok'",
            (deploy.project, deploy.service, deploy.environment, deploy.started_at),
        ).fetchone()[0]
        if previous is None:
            return []
        sql = (
            f"SELECT {_NODE} FROM spans WHERE operation = 'pull_request' "
            "AND status = 'ok' AND project = ? AND ended_at > ? AND ended_at <= ? "
            "ORDER BY ended_at DESC, key LIMIT ?"
        )
        return self._connection.execute(
            sql, (deploy.project, previous, deploy.started_at, MAX_SHIPPED)
        ).fetchall()


def _node(row: Sequence[object]) -> Node:
    key, operation, at, ended_at, status = row
    return Node(key, operation, at, ended_at, Status(status))  # type: ignore[arg-type]


def _nodes(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, Node]:
    sql = f"SELECT {_NODE} FROM spans WHERE key IN (SELECT value FROM json_each(?))"
    return {row[0]: _node(row) for row in rows.select_in(connection, sql, keys)}


def _links_of(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, list[Link]]:
    found: dict[str, list[Link]] = {}
    sql = (
        "SELECT child, parent, rule, why, is_primary FROM links "
        "WHERE child IN (SELECT value FROM json_each(?))"
    )
    for row in rows.select_in(connection, sql, keys):
        found.setdefault(row[0], []).append(rows.link_of(row))
    return found


def _write_links(
    connection: sqlite3.Connection,
    before: Mapping[str, Sequence[Link]],
    after: Mapping[str, Sequence[Link]],
) -> None:
    removed: list[tuple[str, str]] = []
    added: list[tuple[object, ...]] = []
    for child, links in after.items():
        old, new = set(before.get(child, ())), set(links)
        parents = {link.parent for link in new}
        removed.extend((child, link.parent) for link in old - new if link.parent not in parents)
        added.extend(rows.link_row(link) for link in new - old)
    if removed:
        connection.executemany("DELETE FROM links WHERE child = ? AND parent = ?", removed)
    if added:
        connection.executemany("INSERT OR REPLACE INTO links VALUES (?, ?, ?, ?, ?)", added)


def _place(
    connection: sqlite3.Connection,
    children: Mapping[str, Span],
    links: Mapping[str, Sequence[Link]],
    seq: int,
) -> None:
    """Write parents, then the trace ids of every subtree whose root changed."""
    wanted: dict[str, str] = {}
    for key, found in links.items():
        wanted[key] = next((link.parent for link in found if link.primary), "")
    moved = {key for key, parent in wanted.items() if children[key].parent_key != parent}
    if not moved:
        return
    # A ring broken earlier may be open again: its root gets its own parent back.
    for key in _broken_roots(connection, {children[key].trace_id for key in moved}):
        moved.add(key)
    parents: dict[str, str] = {}
    for key in sorted(moved):
        ring = _ring(connection, key)
        root = break_cycle(ring) if ring else ""
        for _, member in ring:
            parents[member] = "" if member == root else _primary_parent(connection, member)
        if not ring:
            parents[key] = _primary_parent(connection, key)
    connection.executemany(
        "UPDATE spans SET parent_key = ?, changed = ? WHERE key = ? AND parent_key <> ?",
        [(parent, seq, key, parent) for key, parent in parents.items()],
    )
    _spread_trace_ids(connection, parents, seq)


def _primary_parent(connection: sqlite3.Connection, key: str) -> str:
    row = connection.execute(
        "SELECT parent FROM links WHERE child = ? AND is_primary = 1", (key,)
    ).fetchone()
    return row[0] if row else ""


def _ring(connection: sqlite3.Connection, key: str) -> list[tuple[int, str]]:
    """(start, key) of every span in the ring of primary links through `key`; [] without one."""
    path, current = [key], _primary_parent(connection, key)
    while current and current != key:
        if current in path:
            return []  # it leads into a ring without being part of it
        path.append(current)
        current = _primary_parent(connection, current)
    if not current:
        return []
    return [(node.at, node.key) for node in _nodes(connection, path).values()]


def _broken_roots(connection: sqlite3.Connection, traces: Iterable[str]) -> list[str]:
    sql = (
        "SELECT s.key FROM spans s JOIN links l ON l.child = s.key AND l.is_primary = 1 "
        "WHERE s.parent_key = '' AND s.trace_id IN (SELECT value FROM json_each(?))"
    )
    return [key for (key,) in rows.select_in(connection, sql, traces)]


def _spread_trace_ids(connection: sqlite3.Connection, moved: Iterable[str], seq: int) -> None:
    roots: dict[str, str] = {key: _root_trace(connection, key) for key in moved}
    level = roots
    while level:
        connection.executemany(
            "UPDATE spans SET trace_id = ?, changed = ? WHERE key = ? AND trace_id <> ?",
            [(trace, seq, key, trace) for key, trace in level.items()],
        )
        sql = (
            "SELECT key, parent_key FROM spans WHERE parent_key <> '' "
            "AND parent_key IN (SELECT value FROM json_each(?))"
        )
        below = rows.select_in(connection, sql, level)
        level = {key: level[parent] for key, parent in below}


def _root_trace(connection: sqlite3.Connection, key: str) -> str:
    sql = "SELECT parent_key, own_trace_id FROM spans WHERE key = ?"
    parent, own = connection.execute(sql, (key,)).fetchone()
    for _ in range(MAX_DEPTH):
        if not parent:
            break
        parent, own = connection.execute(sql, (parent,)).fetchone()
    return str(own)
