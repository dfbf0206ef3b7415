"""What a deploy shipped: the changes merged since what its target had before, up to the moment
its commit was taken.

A pipeline works on the commit that was there when it began, so a change that was merged while it
ran is not in its deploy. Everything is answered from the spans as they stand once their parents
are known, in both directions, so that the order of arrival changes nothing; every question is
asked for a whole batch in one statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from vs_tui.model.time import DAY, Instant
from vs_tui.model.vocabulary import Link, Rule, Span
from vs_tui.store import proximity, rows
from vs_tui.store.span_folding import Change, load_spans
from vs_tui.traces.correlation import MAX_LINKS, Node, cuts, links_of

MAX_SHIPPED: Final = 50
"""Changes that one deploy is said to ship; the newest ones."""
FIRST_SHIPS: Final = 7 * DAY
"""The first deploy known of a target ships what was merged in this time before it: what is older
was probably shipped by one that nobody told of."""
_TARGET: Final = (
    "{0}.project = {1}.project AND {0}.service = {1}.service AND {0}.environment = {1}.environment"
)
_RUNS: Final = ("build", "pipeline")
# What is above a change says nothing about when a commit of it was taken.
_CHANGES: Final = "('sprint', 'issue', 'pull_request')"
_TAKEN: Final = (
    "(WITH RECURSIVE up(parent, at) AS (SELECT {0}.parent_key, {0}.started_at "
    "UNION SELECT u.parent_key, CASE WHEN u.operation IN "
    f"{_RUNS} THEN u.started_at END FROM up CROSS JOIN spans u ON u.key = up.parent "
    f"WHERE u.operation NOT IN {_CHANGES}) SELECT MIN(at) FROM up)"
)
"""SQL: when the commit of the deploy with alias {0} was taken: the earliest start among the runs
above it, else its own. Never after its own start; the searches below rely on that."""


def relink_shipped(
    connection: sqlite3.Connection,
    changes: Sequence[Change],
    relinked: Mapping[str, Span],
    moved: Iterable[str],
    disabled: Collection[Rule],
) -> dict[str, tuple[list[Link], list[Link]]]:
    """Deploy -> its SHIPS links (as stored, as they should be), for all that may have others.

    `relinked`: spans whose other links were looked at; `moved`: those that have a new parent.
    """
    found = set(_affected(connection, changes, moved)).difference(relinked)
    known = {**relinked, **load_spans(connection, found)}
    deploys = {key: span for key, span in known.items() if span.operation == "deploy"}
    if not deploys:
        return {}
    repeats = _repeats(connection, list(deploys))
    shipped: dict[str, list[tuple[Rule, Node]]] = {}
    for child, node in _shipped(connection, [key for key in deploys if key not in repeats]):
        shipped.setdefault(child, []).append((Rule.SHIPS, node))
    stored = rows.links_above(connection, deploys)
    shipping = {}
    for key, span in deploys.items():
        before = [link for link in stored.get(key, ()) if link.rule is Rule.SHIPS]
        others = {link.parent for link in stored.get(key, ()) if link.rule is not Rule.SHIPS}
        after = links_of(
            Node.of(span),
            (),
            lambda _: (),
            cut=others.union(cuts(span.attributes)),
            extra=shipped.get(key, ()),
            disabled=disabled,
        )
        shipping[key] = (before, after[: max(MAX_LINKS - len(others), 0)])
    return shipping


def _affected(
    connection: sqlite3.Connection, changes: Sequence[Change], moved: Iterable[str]
) -> Iterator[str]:
    """Deploys that may ship others than before these changes."""
    deploys: set[tuple[str, str, str, Instant]] = set()
    merged: set[tuple[str, Instant]] = set()
    versions: list[str] = []
    cut_off = set(moved)
    for change in changes:
        old, new = change.old, change.new
        for span in (old, new):
            if span is None:
                continue
            if span.operation == "deploy" and span.started_at is not None:
                deploys.add((span.project, span.service, span.environment, span.started_at))
            elif span.operation == "pull_request" and span.ended_at is not None:
                merged.add((span.project, span.ended_at))
        if new.operation == "deploy":
            versions.append(new.key)
        elif old is not None and (
            (old.started_at, old.operation) != (new.started_at, new.operation)
        ):
            # Below a new one is only what has moved there.
            cut_off.add(new.key)
    for key, *deploy in _deploys_below(connection, cut_off):
        yield key
        deploys.add((deploy[0], deploy[1], deploy[2], deploy[3]))
    yield from _next_deploys(connection, deploys)
    yield from _deploys_after_merges(connection, merged)
    yield from _same_version(connection, versions)


def _deploys_below(
    connection: sqlite3.Connection, keys: Iterable[str]
) -> Iterator[tuple[Any, ...]]:
    """(key, project, service, environment, start) of the deploys whose cut-off these decide."""
    sql = (
        "WITH RECURSIVE below(key) AS (SELECT value FROM json_each(?) "
        "UNION SELECT s.key FROM below CROSS JOIN spans s ON s.parent_key <> '' "
        "AND s.parent_key = below.key AND s.derived = 0 "
        f"WHERE s.operation NOT IN {_CHANGES}) "
        "SELECT s.key, s.project, s.service, s.environment, s.started_at FROM below "
        "CROSS JOIN spans s ON s.key = below.key "
        "WHERE s.operation = 'deploy' AND s.started_at IS NOT NULL"
    )
    return rows.select_in(connection, sql, keys)


def _next_deploys(
    connection: sqlite3.Connection, deploys: Iterable[tuple[str, str, str, Instant]]
) -> Iterator[str]:
    """The deploys of the same target up to the next success that took its commit later: what
    they shipped depends on the ones before."""
    sql = (
        "WITH moved AS (SELECT json_extract(value, '$[0]') AS project, "
        "json_extract(value, '$[1]') AS service, json_extract(value, '$[2]') AS environment, "
        "json_extract(value, '$[3]') AS moment FROM json_each(?)) "
        "SELECT s.key FROM moved CROSS JOIN spans s ON s.operation = 'deploy' "
        f"AND {_TARGET.format('s', 'moved')} AND s.started_at > moved.moment "
        f"AND s.started_at <= {_first_success('moved', '>')}"
    )
    return _column(connection, sql, deploys)


def _deploys_after_merges(
    connection: sqlite3.Connection, merged: Iterable[tuple[str, Instant]]
) -> Iterator[str]:
    """For each target of the repository, the deploys from the merge to the first success that
    took its commit later."""
    # The targets are found by skipping from one to the next in the index of deploys.
    sql = (
        "WITH RECURSIVE merge AS (SELECT json_extract(value, '$[0]') AS project, "
        "json_extract(value, '$[1]') AS moment FROM json_each(?)), "
        "target(id) AS (SELECT (SELECT rowid FROM spans WHERE operation = 'deploy' "
        "AND project = repo.project ORDER BY service, environment LIMIT 1) "
        "FROM (SELECT DISTINCT project FROM merge) repo "
        "UNION ALL SELECT COALESCE("
        "(SELECT n.rowid FROM spans n WHERE n.operation = 'deploy' AND n.project = c.project "
        "AND n.service = c.service AND n.environment > c.environment "
        "ORDER BY n.environment LIMIT 1), "
        "(SELECT n.rowid FROM spans n WHERE n.operation = 'deploy' AND n.project = c.project "
        "AND n.service > c.service ORDER BY n.service, n.environment LIMIT 1)) "
        "FROM target CROSS JOIN spans c ON c.rowid = target.id) "
        "SELECT s.key FROM merge CROSS JOIN target CROSS JOIN spans c "
        "ON c.rowid = target.id AND c.project = merge.project "
        f"CROSS JOIN spans s ON s.operation = 'deploy' AND {_TARGET.format('s', 'c')} "
        f"AND s.started_at >= merge.moment AND s.started_at <= {_first_success('c', '>=')}"
    )
    return _column(connection, sql, merged)


def _first_success(of: str, after: str) -> str:
    """SQL: when the first success of a target began, from `moment` on, that took its commit at
    `moment` or later: no deploy after it depends on anything before `moment`."""
    return (
        "COALESCE((SELECT x.started_at FROM spans x WHERE x.operation = 'deploy' "
        f"AND {_TARGET.format('x', of)} AND x.started_at {after} moment "
        f"AND x.status = 'ok' AND {_TAKEN.format('x')} >= moment "
        "ORDER BY x.started_at LIMIT 1), 9223372036854775807)"
    )


# `via` of the artifacts that a deploy offers; a moving version is offered by nothing.
_VERSIONS: Final = "o.via IN ('sha', 'version') AND o.token LIKE 'artifact:%'"
_SAME_OFFER: Final = "p.token = o.token AND p.scope = o.scope AND p.value = o.value"
_CROWDED: Final = (
    "EXISTS (SELECT 1 FROM crowded_keys c WHERE c.token = o.token AND c.level = o.level)"
)
_SHARED: Final = (
    f"EXISTS (SELECT 1 FROM offers o CROSS JOIN offers p ON {_SAME_OFFER} "
    f"AND p.level = o.level AND p.key = {{0}}.key WHERE o.key = d.key AND {_VERSIONS})"
)
LAST_DEPLOYS: Final = 200
"""Deploys of a target that are looked through for a version that is deployed everywhere."""


def _same_version(connection: sqlite3.Connection, deploys: Sequence[str]) -> Iterator[str]:
    """Later deploys of the same versions to the same target: they may be repeats of these."""
    sql = (
        "SELECT e.key FROM spans d CROSS JOIN spans e ON e.operation = 'deploy' "
        f"AND {_TARGET.format('e', 'd')} AND e.started_at > d.started_at "
        "AND e.started_at <= COALESCE((SELECT x.started_at FROM spans x "
        f"WHERE x.operation = 'deploy' AND {_TARGET.format('x', 'd')} AND x.status = 'ok' "
        f"AND x.started_at > d.started_at AND {_SHARED.format('x')} "
        "ORDER BY x.started_at LIMIT 1), 9223372036854775807) "
        f"WHERE d.key IN (SELECT value FROM json_each(?)) AND {_SHARED.format('e')}"
    )
    return (key for (key,) in rows.select_in(connection, sql, deploys))


def _repeats(connection: sqlite3.Connection, deploys: Sequence[str]) -> set[str]:
    """The deploys of a version that the target had before: a rollback ships nothing new."""
    # Driven by the version: a version has few deploys, a target has many. Where a version has
    # many as well, by the last ones of the target.
    before = f"{_TARGET.format('e', 'd')} AND e.started_at < d.started_at AND e.status = 'ok'"
    by_version = (
        "SELECT d.key FROM spans d WHERE d.key IN (SELECT value FROM json_each(?)) "
        f"AND EXISTS (SELECT 1 FROM offers o CROSS JOIN offers p ON {_SAME_OFFER} "
        f"CROSS JOIN spans e ON e.key = p.key AND e.operation = 'deploy' AND {before} "
        f"WHERE o.key = d.key AND {_VERSIONS} AND NOT {_CROWDED})"
    )
    crowded = (
        "SELECT DISTINCT o.key FROM offers o WHERE o.key IN (SELECT value FROM json_each(?)) "
        f"AND {_VERSIONS} AND {_CROWDED}"
    )
    by_target = (
        "SELECT d.key FROM spans d WHERE d.key IN (SELECT value FROM json_each(?)) "
        "AND EXISTS (SELECT 1 FROM (SELECT e.key FROM spans e WHERE e.operation = 'deploy' "
        f"AND {before} ORDER BY e.started_at DESC LIMIT {LAST_DEPLOYS}) e "
        f"WHERE {_SHARED.format('e')})"
    )
    everywhere = [key for (key,) in rows.select_in(connection, crowded, deploys)]
    return {
        *(key for (key,) in rows.select_in(connection, by_version, deploys)),
        *(key for (key,) in rows.select_in(connection, by_target, everywhere)),
    }


def _shipped(connection: sqlite3.Connection, deploys: Sequence[str]) -> Iterator[tuple[str, Node]]:
    """(deploy, change): changes of its repository merged since the newest commit that a
    successful deploy before had taken, up to the one it took itself."""
    # The deploy before may have taken an older commit than one before that, where pipelines
    # overlap; whatever began before it took its commit cannot have a newer one.
    before = f"e.operation = 'deploy' AND {_TARGET.format('e', 'd')} AND e.status = 'ok'"
    last = (
        f"(SELECT {_TAKEN.format('e')} FROM spans e WHERE {before} "
        "AND e.started_at < d.started_at ORDER BY e.started_at DESC LIMIT 1)"
    )
    sql = (
        f"WITH d AS MATERIALIZED (SELECT d.key, d.project, {_TAKEN.format('d')} AS until, "
        f"COALESCE((SELECT MAX({_TAKEN.format('e')}) FROM spans e WHERE {before} "
        f"AND e.started_at < d.started_at AND e.started_at >= {last}), "
        f"{_TAKEN.format('d')} - {FIRST_SHIPS}) AS since "
        "FROM spans d WHERE d.key IN (SELECT value FROM json_each(?))) "
        f"SELECT d.key, {proximity.NODE_COLUMNS.format('s')} FROM d CROSS JOIN spans s "
        "ON s.rowid IN ("
        "SELECT m.rowid FROM spans m WHERE m.operation = 'pull_request' AND m.status = 'ok' "
        "AND m.project = d.project AND m.ended_at > d.since AND m.ended_at <= d.until "
        f"ORDER BY m.ended_at DESC, m.key LIMIT {MAX_SHIPPED})"
    )
    for child, *node in rows.select_in(connection, sql, deploys):
        yield child, proximity.node_of(node)


def _column(
    connection: sqlite3.Connection, sql: str, parameters: Iterable[tuple[Any, ...]]
) -> Iterator[str]:
    return (key for (key,) in rows.select_in(connection, sql, parameters))
