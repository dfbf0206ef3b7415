"""Links a deploy to the changes it shipped: those its commit contains and no earlier deploy had.

Everything is computed from the stored spans and `vcs_history` once the parents are known, so that
the order of arrival does not matter.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from vs_tui.metrics.facts import Target, one_spelling
from vs_tui.metrics.failures import ROLLBACK
from vs_tui.metrics.span_facts import deployment_of
from vs_tui.model import keys
from vs_tui.model.artifacts import is_moving_version
from vs_tui.model.job_names import is_rollback_name
from vs_tui.model.vocabulary import Link, Rule, Span, cuts
from vs_tui.store import rows
from vs_tui.store.folding.branch_stretches import (
    CUT_AT,
    FIRST_SHIPS,
    Contained,
    Stretch,
    cut_from,
)
from vs_tui.store.folding.containment import contained
from vs_tui.store.folding.positions import Deployed, positions
from vs_tui.store.folding.span_folding import Change, load_nodes, load_spans
from vs_tui.store.folding.vcs_history import (
    UNLISTED,
    HistoryChange,
    begins,
    default_branches,
    write_history,
)
from vs_tui.traces.correlation import Node, links_of

_TARGET: Final = (
    "{0}.project = {1}.project AND {0}.service = {1}.service AND {0}.environment = {1}.environment"
)
# Spans above a change do not tell when one of its commits was taken.
_CHANGES: Final = "('sprint', 'issue', 'pull_request', 'push')"
_JOB: Final = "u.attributes ->> '$.\"cicd.pipeline.task.name\"'"
_TAKEN: Final = (
    "WITH RECURSIVE up(start, parent, at, job) AS (SELECT key, parent_key, started_at, '' "
    f"FROM spans WHERE key {rows.KEYS} UNION SELECT up.start, u.parent_key, CASE WHEN u.operation "
    f"IN ('build', 'pipeline') THEN u.started_at END, CASE WHEN {_JOB} LIKE '%back%' THEN {_JOB} "
    "ELSE '' END FROM up CROSS JOIN spans u ON u.key = up.parent "
    f"WHERE u.operation NOT IN {_CHANGES}) SELECT start, MIN(at), MAX(job) FROM up GROUP BY start"
)
"""SQL: (deploy, when its commit was taken, its job if that may be one that rolls back)."""


def relink_shipped(
    connection: sqlite3.Connection,
    changes: Sequence[Change],
    relinked: Mapping[str, Span],
    moved: Iterable[str],
    disabled: Collection[Rule],
) -> dict[str, tuple[list[Link], list[Link]]]:
    """Deploy -> its SHIPS links (stored ones, wanted ones), for all deploys that may have new ones.

    `relinked` are spans whose other links were recomputed; `moved` are spans with a new parent.
    """
    told = write_history(
        connection, [change.new for change in changes], [change.old for change in changes]
    )
    # What is below a new span has moved itself, and its history is told.
    moved = set(moved) - {change.new.key for change in changes if change.old is None}
    placed = _to_place(connection, changes, moved, told)
    known = {**relinked, **load_spans(connection, placed - relinked.keys())}
    steps = place_deploys(connection, {key: known[key] for key in placed})
    affected = {
        *placed,
        *(row[0] for row in rows.select_in(connection, _AFTER_DEPLOYS, _reached(steps))),
        *_after_history(connection, told, _with_history(moved, relinked)),
        *(key for key, span in relinked.items() if span.operation == "deploy"),
    }
    known.update(load_spans(connection, affected - known.keys()))
    deploys = {key: known[key] for key in affected if known[key].operation == "deploy"}
    if not deploys:
        return {}
    shipped = _nodes(connection, contained_in(connection, deploys))
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


_PLACED_BY: Final = (
    "WITH RECURSIVE below(key) AS (SELECT value FROM json_each(?1) UNION SELECT s.key FROM below "
    "CROSS JOIN spans s ON s.parent_key <> '' AND s.parent_key = below.key AND s.derived = 0 "
    f"WHERE s.operation NOT IN {_CHANGES}) "
    "SELECT d.key FROM below CROSS JOIN vcs_deploys d ON d.key = below.key "
    "UNION SELECT d.key FROM (SELECT json_extract(value, '$[0]') AS project, "
    "json_extract(value, '$[1]') AS commit_id FROM json_each(?2)) a CROSS JOIN vcs_deploys d "
    "ON d.project = a.project AND d.version >= substr(a.commit_id, 1, 7) AND d.version <> '' "
    "AND d.version <= a.commit_id AND substr(a.commit_id, 1, length(d.version)) = d.version "
    "UNION SELECT d.key FROM json_each(?3) a CROSS JOIN vcs_deploys d "
    "ON d.project = json_extract(a.value, '$[0]') AND d.ref = json_extract(a.value, '$[1]') "
    "AND d.ref NOT IN ('', d.branch) "
    "UNION SELECT key FROM vcs_deploys WHERE project IN (SELECT value FROM json_each(?4))"
)


_BESIDE: Final = (
    "SELECT DISTINCT o.project, o.commit_id FROM vcs_commits m CROSS JOIN vcs_commits c "
    f"ON c.project = m.project AND {begins('m.commit_id', 'c')} CROSS JOIN vcs_history h "
    "ON h.key = c.key AND h.kind = 1 CROSS JOIN vcs_commits o ON o.key = c.key "
    f"WHERE m.key {rows.KEYS}"
)


def _to_place(
    connection: sqlite3.Connection,
    changes: Sequence[Change],
    moved: Iterable[str],
    told: HistoryChange,
) -> set[str]:
    """Deploys whose commit may have a new position: the changed ones, those of changed commits and
    branches, and those below runs that moved."""
    own = {
        change.new.key
        for change in changes
        if "deploy" in (change.new.operation, change.old and change.old.operation)
    }
    later = {
        change.new.key
        for change in changes
        if (old := change.old) is not None
        and (old.started_at, old.operation) != (change.new.started_at, change.new.operation)
    }
    branches = {moment[:2] for moment in told.moments}
    asked: tuple[Collection[object], ...] = (
        later.union(moved),
        told.commits,
        branches,
        told.defaults,
    )
    if not any(asked):
        return own
    # Pull requests that one push brings have their places in it.
    merged = [c.new.key for c in changes if c.new.operation == "pull_request"]
    asked = (asked[0], {*told.commits, *rows.select_in(connection, _BESIDE, merged)}, *asked[2:])
    return own.union(
        key for (key,) in connection.execute(_PLACED_BY, [rows.as_json(each) for each in asked])
    )


def place_deploys(
    connection: sqlite3.Connection,
    deploys: Mapping[str, Span],
    counted: Mapping[str, tuple[str, str, str]] | None = None,
) -> list[tuple[Any, ...]]:
    """Store the position of each deploy's commit. Returns the rows that differ, old and new
    ones.

    `counted`: the targets of spans of other kinds that count as deployments by a rule; without it
    they keep theirs.
    """
    if not deploys:
        return []
    sql = f"SELECT * FROM vcs_deploys WHERE key {rows.KEYS}"
    before = set(rows.select_in(connection, sql, deploys))
    targets = {row[0]: row[1:4] for row in before} if counted is None else counted
    above = list(rows.select_in(connection, _TAKEN, deploys))
    taken = {key: at for key, at, _ in above if at is not None}
    undoing = {key for key, _, job in above if is_rollback_name(job)}
    read = {
        key: deployment_of(span)
        for key, span in deploys.items()
        if span.operation == "deploy" or key in targets
    }
    # Without a start only the commit tells what it ships.
    found = {key: d for key, d in read.items() if deploys[key].started_at is not None or d.commit}
    places = positions(
        connection,
        [
            Deployed(key, d.project, d.branch, d.commit, taken.get(key, d.started_at), d.ended_at)
            for key, d in found.items()
        ],
    )
    after = set()
    for key, d in found.items():
        version = "" if is_moving_version(d.version) else d.version
        version = d.commit or version or ",".join("@".join(part) for part in d.parts)
        place = d.target._replace(environment=one_spelling(d.environment))
        if deploys[key].operation != "deploy":
            place = Target(*targets[key])
        # The job of a rollback may name the version that it takes back.
        is_bringing = d.ok and d.marked != ROLLBACK and key not in undoing
        target = (key, *place, d.started_at, d.ended_at, int(is_bringing))
        after.add((*target, version, d.branch, *places[key]))
    gone = [(row[0],) for row in before - after]
    connection.executemany("DELETE FROM vcs_deploys WHERE key = ?", gone)
    sql = "INSERT INTO vcs_deploys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    connection.executemany(sql, after - before)
    return [*(before ^ after)]


def _reached(steps: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(*row[1:5], row[7], *row[9:]) for row in steps if row[6]]


# The deploys after a successful one, up to the first that has all of its changes.
_NEXT: Final = (
    "SELECT e.key FROM asked a CROSS JOIN vcs_deploys e "
    f"ON {_TARGET.format('e', 'a')} AND e.started_at > a.started_at AND e.started_at <= COALESCE(("
    f"SELECT f.started_at FROM vcs_deploys f WHERE {_TARGET.format('f', 'a')} AND f.ok = 1 "
    "AND f.started_at > a.started_at AND {} ORDER BY f.started_at LIMIT 1), 9223372036854775807)"
)
_AFTER_DEPLOYS: Final = (
    rows.asked("project", "service", "environment", "started_at", "version", "branch", "position")
    + _NEXT.format("f.branch = a.branch AND f.position >= a.position")
    + " UNION "
    + _NEXT.format("f.version = a.version")
    + " WHERE a.version <> '' AND e.version = a.version"
)
_AFTER_HISTORY: Final = (
    "WITH RECURSIVE asked(project, branch, at, key) AS (SELECT json_extract(value, '$[0]'), "
    "json_extract(value, '$[1]'), json_extract(value, '$[2]'), json_extract(value, '$[3]') "
    "FROM json_each(?1)), moved(project, branch, at, key) AS (SELECT * FROM asked "
    # pushes with the same commits, or below moved spans
    "UNION SELECT h.project, h.branch, h.at, h.key FROM json_each(?2) s CROSS JOIN vcs_commits c "
    "ON c.project = json_extract(s.value, '$[0]') AND c.commit_id = json_extract(s.value, '$[1]') "
    "CROSS JOIN vcs_history h ON h.key = c.key UNION SELECT h.project, h.branch, h.at, h.key "
    "FROM json_each(?3) s CROSS JOIN vcs_history h ON h.key = s.value "
    # the next merge of the same branch, which brings less after it
    "UNION SELECT n.project, n.branch, n.at, n.key FROM asked a CROSS JOIN vcs_history h "
    "ON h.key = a.key AND h.kind = 0 AND h.source <> '' CROSS JOIN vcs_history n "
    "ON n.project = h.project AND n.source = h.source AND n.source <> '' AND n.branch = h.branch "
    "AND n.at = (SELECT o.at FROM vcs_history o WHERE o.project = h.project "
    "AND o.source = h.source AND o.source <> '' AND o.branch = h.branch AND o.at > h.at "
    "ORDER BY o.at LIMIT 1) "
    # forced pushes, which may take it away
    "UNION SELECT h.project, h.branch, h.at, h.key FROM moved m CROSS JOIN vcs_history h "
    "ON h.project = m.project AND h.source >= '..' AND h.source < './' AND h.source <> '' "
    "AND h.at > m.at AND h.branch = m.branch "
    # pushes that may have brought it without listing it
    "UNION SELECT h.project, h.branch, h.at, h.key FROM moved m CROSS JOIN vcs_history h "
    f"ON h.project = m.project AND h.source = '{UNLISTED}' AND h.source <> '' AND h.at >= m.at "
    f"AND h.at < m.at + {FIRST_SHIPS} AND h.branch <> m.branch "
    # merges that carried it on to another branch
    "UNION SELECT h.project, h.branch, h.at, h.key FROM moved m CROSS JOIN vcs_history h "
    "ON h.project = m.project AND h.source = m.branch AND h.source <> '' AND h.at >= m.at "
    "AND h.at = (SELECT n.at FROM vcs_history n WHERE n.project = h.project "
    "AND n.source = h.source AND n.source <> '' AND n.branch = h.branch AND n.at >= m.at "
    "ORDER BY n.at LIMIT 1) "
    # merges of a release branch that was cut from its branch after it
    "UNION SELECT h.project, h.branch, h.at, h.key FROM moved m CROSS JOIN vcs_history h "
    "ON h.project = m.project AND h.source >= 'release' AND h.source < 'releaset' "
    f"AND h.source <> '' AND h.at >= m.at AND h.at < m.at + {FIRST_SHIPS} "
    "WHERE EXISTS (SELECT 1 FROM vcs_history r "
    f"CROSS JOIN vcs_commits c ON c.project = r.project AND c.commit_id = {CUT_AT.format('r')} "
    "CROSS JOIN vcs_history p ON p.key = c.key AND p.branch = m.branch AND p.at >= m.at "
    "WHERE r.project = h.project AND r.branch = h.source AND r.kind = 1) "
    "UNION SELECT h.project, h.branch, h.at, h.key FROM moved m "
    "CROSS JOIN vcs_commits c ON c.key = m.key CROSS JOIN vcs_commits d "
    "ON d.project = c.project AND d.commit_id = c.commit_id "
    "CROSS JOIN vcs_history h ON h.key = d.key AND h.kind = 1 "
    "UNION SELECT h.project, h.branch, h.at, h.key FROM moved m CROSS JOIN spans s "
    "ON s.parent_key = m.key AND s.parent_key <> '' CROSS JOIN vcs_history h ON h.key = s.key) "
    "SELECT e.key FROM moved m CROSS JOIN vcs_deploys e ON e.project = m.project "
    "AND e.ended_at >= m.at WHERE m.branch IN (e.branch, '') AND NOT EXISTS (SELECT 1 "
    f"FROM vcs_deploys f WHERE {_TARGET.format('f', 'e')} AND f.branch = e.branch AND f.ok = 1 "
    "AND f.position >= m.at AND f.started_at < e.started_at) "
    # deploys of a branch that was cut from a shared one after it
    "UNION SELECT e.key FROM moved m CROSS JOIN vcs_deploys e ON e.project = m.project "
    "AND e.ended_at >= m.at AND e.branch <> m.branch WHERE (m.branch IN (SELECT value "
    "FROM json_each(?4)) OR m.branch GLOB 'release*/*') AND EXISTS (SELECT 1 FROM vcs_history h "
    f"CROSS JOIN vcs_commits c ON c.project = h.project AND c.commit_id = {CUT_AT.format('h')} "
    "CROSS JOIN vcs_history p ON p.key = c.key AND p.branch = m.branch AND p.at >= m.at "
    "WHERE h.project = e.project AND h.branch = e.branch AND h.kind = 1 "
    f"AND h.at <= e.position AND h.at > e.position - {FIRST_SHIPS})"
)


def _with_history(moved: Iterable[str], known: Mapping[str, Span]) -> set[str]:
    """Those of these spans that may have a history of their own."""
    return {
        key for key in moved if key not in known or known[key].operation in ("pull_request", "push")
    }


def _after_history(
    connection: sqlite3.Connection, told: HistoryChange, moved: Collection[str]
) -> list[str]:
    """The first deploys with the changes that reached a branch, or were carried on, at changed
    moments."""
    if not told.moments and not moved:
        return []
    defaults = default_branches(connection, {project for project, *_ in told.moments})
    shared = {*keys.DEFAULT_BRANCHES, *defaults.values()}
    asked: tuple[Collection[object], ...] = (told.moments, told.commits, moved, shared)
    bound = [rows.as_json(each) for each in asked]
    return [key for (key,) in connection.execute(_AFTER_HISTORY, bound).fetchall()]


_BEFORE: Final = f"{_TARGET.format('e', 'd')} AND e.started_at < d.started_at AND e.ok = 1"
_HAD_IT: Final = (
    f"(d.version <> '' AND EXISTS (SELECT 1 FROM vcs_deploys e WHERE {_BEFORE} "
    "AND e.version = d.version AND e.version <> ''))"
)
# The newest position of the deploys before the first one is looked up, and then raised by those
# between each and the next, so that no deploy of a long history is compared with all others.
_OF_BRANCH: Final = "OVER (PARTITION BY project, service, environment, branch ORDER BY started_at)"
_STRETCHES: Final = (
    f"WITH d AS (SELECT *, LAG(started_at) {_OF_BRANCH} AS since FROM vcs_deploys d "
    f"WHERE d.key {rows.KEYS} AND NOT {_HAD_IT}), "
    "raised AS (SELECT d.*, CASE WHEN since IS NULL "
    f"THEN (SELECT e.position FROM vcs_deploys e WHERE {_BEFORE} AND e.branch = d.branch "
    "ORDER BY e.position DESC LIMIT 1) "
    f"ELSE (SELECT MAX(e.position) FROM vcs_deploys e WHERE {_BEFORE} "
    "AND +e.branch = d.branch AND e.started_at >= d.since) END AS newest FROM d) "
    f"SELECT key, project, branch, position, MAX(newest) {_OF_BRANCH} FROM raised"
)


def known_positions(
    connection: sqlite3.Connection, deploys: Iterable[str]
) -> dict[str, tuple[str, int]]:
    """Deploy whose commit is known from a push or a merge -> its branch and position there."""
    sql = (
        f"SELECT d.key, d.branch, d.position FROM vcs_deploys d WHERE d.key {rows.KEYS} "
        "AND length(d.version) >= 7 AND EXISTS (SELECT 1 FROM vcs_commits c "
        f"WHERE c.project = d.project AND {begins('d.version', 'c')})"
    )
    return {key: (branch, at) for key, branch, at in rows.select_in(connection, sql, deploys)}


def contained_in(connection: sqlite3.Connection, deploys: Iterable[str]) -> dict[str, Contained]:
    """Deploy -> the changes in its commit that no earlier deploy of its target had. Absent for a
    version that the target had before: a rollback ships nothing new."""
    found = {
        key: Stretch(project, branch, until - FIRST_SHIPS if after is None else after, until)
        for key, project, branch, until, after in rows.select_in(connection, _STRETCHES, deploys)
    }
    cuts = _cuts(connection, found)
    stretches = [*found.values(), *(stretch for _, stretch in cuts)]
    changes = contained(connection, stretches)
    shipped = dict(zip(found, changes, strict=False))
    for (key, _), brought in zip(cuts, changes[len(found) :], strict=True):
        shipped[key].update(brought)
    return shipped


def repeated(connection: sqlite3.Connection, deploys: Iterable[str]) -> set[str]:
    """Those of these deploys whose version their target had before."""
    sql = f"SELECT d.key FROM vcs_deploys d WHERE d.key {rows.KEYS} AND {_HAD_IT}"
    return {key for (key,) in rows.select_in(connection, sql, deploys)}


_HAD: Final = (
    "SELECT e.branch, MAX(e.position) FROM vcs_deploys d CROSS JOIN vcs_deploys e "
    f"ON {_BEFORE} WHERE d.key = ? GROUP BY e.branch"
)


def _cuts(
    connection: sqlite3.Connection, deploys: Mapping[str, Stretch]
) -> list[tuple[str, Stretch]]:
    """(deploy, stretch) of the branches from which a deployed branch was cut, after what earlier
    deploys of the target had of them."""
    found = []
    own = list(deploys.items())
    for n, branches in cut_from(connection, list(deploys.values())).items():
        key, stretch = own[n]
        had = dict(connection.execute(_HAD, (key,)).fetchall())
        others = [
            Stretch(stretch.project, branch, at - FIRST_SHIPS, at) for branch, at in had.items()
        ]
        for earlier in cut_from(connection, others).values():
            had.update({b: max(at, had.get(b, at)) for b, at in earlier.items()})
        for branch, at in branches.items():
            after = had.get(branch, at - FIRST_SHIPS)
            if after < at:
                through = (stretch.branch,)
                found.append((key, Stretch(stretch.project, branch, after, at, through)))
    return found


def _nodes(
    connection: sqlite3.Connection, contained: Mapping[str, Contained]
) -> dict[str, list[tuple[Rule, Node]]]:
    wanted = {
        key: [*found.pull_requests, *dict.fromkeys(c.push for c in found.commits.values())]
        for key, found in contained.items()
    }
    listed = {each for keys_ in wanted.values() for each in keys_}
    nodes = load_nodes(connection, listed)
    return {
        key: [(Rule.SHIPS, nodes[each]) for each in keys_ if each in nodes]
        for key, keys_ in wanted.items()
    }
