"""What a deploy shipped, as links: the changes its commit contains and no earlier deploy had.

Everything is answered from the spans and `vcs_history` as they stand once their parents are known,
so that the order of arrival changes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Link, Rule, Span
from vs_tui.store import proximity, rows
from vs_tui.store.span_folding import Change, load_spans
from vs_tui.store.vcs_history import Contained, Position, Repository, write_history
from vs_tui.traces.correlation import Node, cuts, links_of

_TARGET: Final = (
    "{0}.project = {1}.project AND {0}.service = {1}.service AND {0}.environment = {1}.environment"
)
_RUNS: Final = ("build", "pipeline")
_KEYS: Final = "IN (SELECT value FROM json_each(?))"
# What is above a change says nothing about when a commit of it was taken.
_CHANGES: Final = "('sprint', 'issue', 'pull_request', 'push')"
_TAKEN: Final = (
    "WITH RECURSIVE up(start, parent, at) AS (SELECT key, parent_key, started_at FROM spans "
    f"WHERE key {_KEYS} UNION SELECT up.start, u.parent_key, CASE WHEN u.operation IN {_RUNS} "
    "THEN u.started_at END FROM up CROSS JOIN spans u ON u.key = up.parent "
    f"WHERE u.operation NOT IN {_CHANGES}) SELECT start, MIN(at) FROM up GROUP BY start"
)


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
    repositories = write_history(connection, [change.new for change in changes])
    found = set(_affected(connection, changes, moved, repositories)).difference(relinked)
    known = {**relinked, **load_spans(connection, found)}
    deploys = {key: span for key, span in known.items() if span.operation == "deploy"}
    if not deploys:
        return {}
    shipped = _shipped(connection, deploys)
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
            most=len(shipped.get(key, ())),
        )
        shipping[key] = (before, after)
    return shipping


def taken_at(connection: sqlite3.Connection, deploys: Iterable[str]) -> dict[str, Instant]:
    """When the commit of each deploy was taken: the earliest start among the runs above it, else
    its own. Never after its own start."""
    found = rows.select_in(connection, _TAKEN, deploys)
    return {key: at for key, at in found if at is not None}


def _shipped(
    connection: sqlite3.Connection, deploys: Mapping[str, Span]
) -> dict[str, list[tuple[Rule, Node]]]:
    """Deploy -> the pull requests and pushes it shipped."""
    return _nodes(connection, contained_in(connection, place_deploys(connection, deploys)))


def place_deploys(connection: sqlite3.Connection, deploys: Mapping[str, Span]) -> list[str]:
    """Write where the commit of each deploy stands; the keys of those that have begun."""
    timed = {key: span for key, span in deploys.items() if span.started_at is not None}
    taken = taken_at(connection, timed)
    repositories: dict[str, Repository] = {}
    positions: dict[str, Position] = {}
    for key, span in sorted(timed.items(), key=lambda entry: entry[1].at):
        repository = repositories.setdefault(span.project, Repository(connection, span.project))
        ref = keys.branch_name(str(span.attributes.get("vcs.ref.head.name", "")))
        commit = str(span.attributes.get("vcs.ref.head.revision", "")).lower()
        until = span.ended_at if span.ended_at is not None else span.at
        positions[key] = repository.position(ref, commit, taken.get(key, span.at), until)
    connection.executemany(
        "INSERT OR REPLACE INTO vcs_deploys VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(key, span.project, span.service, span.environment, span.started_at),
                *(int(span.status == "ok"), positions[key].branch, positions[key].at),
            )
            for key, span in timed.items()
        ],
    )
    return list(timed)


def contained_in(connection: sqlite3.Connection, deploys: Iterable[str]) -> dict[str, Contained]:
    """Deploy -> what its commit contains and no earlier deploy of its target had; absent for one
    of a version that the target had before."""
    listed = list(deploys)
    sql = (
        "SELECT d.key, d.project, d.branch, d.position, (SELECT MAX(e.position) "
        f"FROM vcs_deploys e WHERE {_TARGET.format('e', 'd')} AND e.branch = d.branch "
        "AND e.started_at < d.started_at AND e.ok = 1) FROM vcs_deploys d "
        f"WHERE d.key {_KEYS}"
    )
    repeats = _repeats(connection, listed)
    repositories: dict[str, Repository] = {}
    found = {}
    for key, project, branch, position, after in rows.select_in(connection, sql, listed):
        if key not in repeats:
            repository = repositories.setdefault(project, Repository(connection, project))
            found[key] = repository.contained(branch, after, position)
    return found


def _nodes(
    connection: sqlite3.Connection, contained: Mapping[str, Contained]
) -> dict[str, list[tuple[Rule, Node]]]:
    wanted = {
        key: [*found.pull_requests, *dict.fromkeys(c.push for c in found.commits.values())]
        for key, found in contained.items()
    }
    sql = f"SELECT {proximity.NODE_COLUMNS.format('s')} FROM spans s WHERE s.key {_KEYS}"
    listed = {each for keys_ in wanted.values() for each in keys_}
    nodes = {row[0]: proximity.node_of(row) for row in rows.select_in(connection, sql, listed)}
    return {
        key: [(Rule.SHIPS, nodes[each]) for each in keys_ if each in nodes]
        for key, keys_ in wanted.items()
    }


def _affected(
    connection: sqlite3.Connection,
    changes: Sequence[Change],
    moved: Iterable[str],
    repositories: Mapping[str, Instant],
) -> Iterator[str]:
    """Deploys that may ship others than before these changes: those of changed repositories from
    the change on, those of changed targets from the changed deploy on, and of the same version."""
    targets: dict[tuple[str, str, str], Instant] = {}
    versions: list[str] = []
    cut_off = set(moved)
    for change in changes:
        old, new = change.old, change.new
        for span in (old, new):
            if span is not None and span.operation == "deploy" and span.started_at is not None:
                _touch(targets, (span.project, span.service, span.environment), span.started_at)
        if new.operation == "deploy":
            versions.append(new.key)
        elif old is None or (old.started_at, old.operation) != (new.started_at, new.operation):
            cut_off.add(new.key)
    for key, *target, at in _deploys_below(connection, cut_off):
        yield key
        _touch(targets, (target[0], target[1], target[2]), at)
    of_target = "project = ? AND service = ? AND environment = ?"
    for place, at in targets.items():
        yield from _from(connection, of_target, place, at)
    for project, at in repositories.items():
        yield from _from(connection, "project = ?", (project,), at)
    yield from _same_version(connection, versions)


def _touch(
    targets: dict[tuple[str, str, str], Instant], target: tuple[str, str, str], at: Instant
) -> None:
    targets[target] = min(at, targets.get(target, at))


def _from(
    connection: sqlite3.Connection, where: str, bound: Sequence[str], at: Instant
) -> Iterator[str]:
    sql = f"SELECT key FROM spans WHERE operation = 'deploy' AND {where} AND started_at >= ?"
    return (key for (key,) in connection.execute(sql, (*bound, at)).fetchall())


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
