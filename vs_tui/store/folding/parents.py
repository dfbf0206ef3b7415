"""Assigns parents and trace ids after links changed, and breaks rings of primary links.

It runs inside the writer's transaction, before anything reads the rows of new spans: these are
inserted here, once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vs_tui.model.vocabulary import Link, Rule, Span
from vs_tui.store import rows
from vs_tui.store.folding.span_folding import Change, load_nodes, write_spans
from vs_tui.traces.correlation import break_cycle


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Spans whose place in a trace may change although their parent is the same."""

    renamed: frozenset[str]
    """Roots that got a trace id of their own after other spans were placed below them."""
    restless: frozenset[str]
    """Spans whose start or link rule changed; in a ring of links these decide which span is the
    root."""

    @classmethod
    def of(
        cls,
        changes: Sequence[Change],
        before: Mapping[str, Sequence[Link]],
        after: Mapping[str, Sequence[Link]],
    ) -> Unsettled:
        known = [(change.old, change.new) for change in changes if change.old is not None]
        renamed = {
            new.key for old, new in known if not new.parent_key and old.trace_id != new.trace_id
        }
        moved = {new.key for old, new in known if old.at != new.at}
        ruled = {
            key
            for key, links in after.items()
            if key in before and primary(before[key]) != primary(links)
        }
        return cls(frozenset(renamed), frozenset(moved | ruled))


def assign_parents(
    connection: sqlite3.Connection,
    children: Mapping[str, Span],
    links: Mapping[str, Sequence[Link]],
    unsettled: Unsettled,
    seq: int,
    unplaced: Mapping[str, rows.Row],
) -> Collection[str]:
    """Write parents, then the trace ids of every subtree whose root changed. Returns the spans that
    may have a new parent."""
    wanted = {key: primary(found)[0] for key, found in links.items()}
    moved = {key for key, parent in wanted.items() if children[key].parent_key != parent}
    if not moved and not unsettled.renamed and not unsettled.restless:
        write_spans(connection, {}, unplaced.values())
        return moved
    # A ring that was broken may be open now: its root gets its own parent back.
    moved.update(_broken_roots(connection, {children[key].trace_id for key in moved}))
    above = primary_links_above(connection, moved | unsettled.restless)
    moved.update(unsettled.restless & _rings(above).keys())
    placed = _parents(connection, moved, above, unplaced)
    _write_places(connection, placed, unsettled.renamed, seq, unplaced)
    return placed.keys()


def primary(links: Sequence[Link]) -> tuple[str, str]:
    """The parent and the rule of the primary link; both empty for a root."""
    return next(((link.parent, link.rule.value) for link in links if link.primary), ("", ""))


def _parents(
    connection: sqlite3.Connection,
    moved: Iterable[str],
    above: Mapping[str, tuple[str, Rule]],
    unplaced: Mapping[str, rows.Row],
) -> dict[str, str]:
    """The parent of every moved span, and of all members of the rings they belong to."""
    parents: dict[str, str] = {}
    rings = _rings(above)
    for key in moved:
        if key in parents:
            continue
        ring = rings.get(key, ())
        root = ""
        if ring:
            nodes = load_nodes(connection, ring, unplaced)
            root = break_cycle([(above[name][1], nodes[name].at, name) for name in ring])
        for name in ring or (key,):
            parents[name] = above[name][0] if name in above and name != root else ""
    return parents


def primary_links_above(
    connection: sqlite3.Connection, keys: Iterable[str]
) -> dict[str, tuple[str, Rule]]:
    """Span -> (parent, rule), for these spans and all their ancestors."""
    sql = (
        "WITH RECURSIVE above(key) AS (SELECT value FROM json_each(?) "
        "UNION SELECT l.parent FROM above CROSS JOIN links l "
        "ON l.child = above.key AND l.is_primary = 1) "
        "SELECT l.child, l.parent, l.rule FROM above CROSS JOIN links l "
        "ON l.child = above.key AND l.is_primary = 1"
    )
    found = rows.select_in(connection, sql, keys)
    return {child: (parent, Rule(rule)) for child, parent, rule in found}


def _rings(above: Mapping[str, tuple[str, Rule]]) -> dict[str, Sequence[str]]:
    """Member -> ring, for every ring of primary links. Each link is followed only once, so that a
    chain of thousands of spans is not walked again for each of them."""
    found: dict[str, Sequence[str]] = {}
    seen: dict[str, str] = {}
    for start in above:
        key = start
        while key in above and key not in seen:
            seen[key] = start
            key = above[key][0]
        if key in above and seen[key] == start:  # the walk met itself: a ring starts here
            ring = [key]
            while (member := above[ring[-1]][0]) != key:
                ring.append(member)
            found.update(dict.fromkeys(ring, ring))
    return found


def _broken_roots(connection: sqlite3.Connection, traces: Iterable[str]) -> list[str]:
    sql = (
        "SELECT s.key FROM spans s JOIN links l ON l.child = s.key AND l.is_primary = 1 "
        f"WHERE s.parent_key = '' AND s.trace_id {rows.KEYS}"
    )
    return [key for (key,) in rows.select_in(connection, sql, traces)]


def _write_places(
    connection: sqlite3.Connection,
    placed: Mapping[str, str],
    renamed: Iterable[str],
    seq: int,
    unplaced: Mapping[str, rows.Row],
) -> None:
    """Write the parents and trace ids of the `placed` spans, then the trace ids of all spans below
    them and below `renamed` roots."""
    level = _root_traces(connection, placed.keys() | renamed, placed, unplaced)
    write_spans(connection, {}, _with_places(unplaced, placed, level))
    connection.executemany(
        "UPDATE spans SET parent_key = ?1, trace_id = COALESCE(?2, trace_id), changed = ?3 "
        "WHERE key = ?4 AND (parent_key <> ?1 OR trace_id <> COALESCE(?2, trace_id))",
        [
            (parent, level.get(key), seq, key)
            for key, parent in placed.items()
            if key not in unplaced
        ],
    )
    written = placed.keys() & level.keys() | unplaced.keys()
    told: set[str] = set()
    while level:
        told.update(level)
        connection.executemany(
            "UPDATE spans SET trace_id = ?, changed = ? WHERE key = ? AND trace_id <> ?",
            [(trace, seq, key, trace) for key, trace in level.items() if key not in written],
        )
        sql = f"SELECT key, parent_key FROM spans WHERE parent_key <> '' AND parent_key {rows.KEYS}"
        below = rows.select_in(connection, sql, level)
        level = {key: level[parent] for key, parent in below if key not in told}


def _with_places(
    unplaced: Mapping[str, rows.Row], placed: Mapping[str, str], traces: Mapping[str, str]
) -> Iterator[rows.Row]:
    """The rows of new spans and their phases with the parents and trace ids of these spans."""
    for key, row in unplaced.items():
        parent = placed.get(key, row[rows.PARENT_KEY])
        # A phase is in the trace of its span.
        trace = traces.get(key if key in placed else parent)
        values = list(row)
        values[rows.PARENT_KEY], values[rows.TRACE_ID] = parent, trace or row[rows.TRACE_ID]
        yield tuple(values)


def _root_traces(
    connection: sqlite3.Connection,
    keys: Iterable[str],
    placed: Mapping[str, str],
    unplaced: Mapping[str, rows.Row],
) -> dict[str, str]:
    """Span -> own trace id of its root, once the parents of `placed` are written."""
    sql = (
        "WITH RECURSIVE up(key) AS (SELECT value FROM json_each(?) "
        "UNION SELECT s.parent_key FROM up CROSS JOIN spans s ON s.key = up.key "
        "WHERE s.parent_key <> '') "
        "SELECT s.key, s.parent_key, s.own_trace_id FROM up CROSS JOIN spans s ON s.key = up.key"
    )
    wanted = list(keys)
    found = rows.select_in(connection, sql, {*wanted, *placed.values()} - {""})
    new = ((key, row[rows.PARENT_KEY], row[rows.OWN_TRACE_ID]) for key, row in unplaced.items())
    above = {key: (placed.get(key, parent), own) for key, parent, own in (*found, *new)}
    roots: dict[str, str] = {}
    for start in wanted:
        path, key = [], start
        while key in above and key not in roots:
            path.append(key)
            parent, roots[key] = above[key]
            key = parent or key
        roots.update(dict.fromkeys(path, roots.get(key, "")))
    return {key: roots[key] for key in wanted if roots.get(key)}
