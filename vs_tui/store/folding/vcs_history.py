"""The history of each branch of a repository: merged pull requests and pushed commits.

A deployment ships the changes that its commit contains. They are found in these rows: the pushes
and merges of the deployed branch up to the deployed commit, and the changes they carried from other
branches.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import MINUTE, Instant, parse_instant
from vs_tui.model.vocabulary import Span, Status
from vs_tui.store import rows
from vs_tui.traces.push_log import PUSH_LOG, commits_in

PULL_REQUEST, PUSH = 0, 1
FORCED: Final = ".."
"""What the source of a push that took commits away begins with, before the commit to which it set
its branch back (else its new head). No name of a branch contains it."""
UNDATED: Final = "?"
"""What the source ends with if the push has no commits of its own, and no time."""
HEAD: Final = "head"
"""The title of a pull request's own head in its commits, if it has a merge commit, too."""
UNLISTED: Final = "//"
"""The source of a push with commits that its host did not list. No branch has this name."""
COMMITS_APART: Final = 20_000
"""Commits of one push get times that are less than this many microseconds apart; the newest has the
time of the push."""


_Row = tuple[Any, ...]


SHORT: Final = 12
"""Digits of the commits of a pull request on Bitbucket Cloud."""


def begins(digits: str, commit: str) -> str:
    """SQL: a commit begins with these digits, found by its index."""
    return f"{commit}.commit_id >= {digits} AND {commit}.commit_id < {digits} || 'g'"


def named(request: str, commit: str) -> str:
    """SQL: a commit of a pull request is that of a push."""
    return f"{request}.commit_id IN ({commit}.commit_id, substr({commit}.commit_id, 1, {SHORT}))"


_OWN: Final = 7
"""Columns of a row of `vcs_history`; one of `vcs_commits` has more."""


@dataclass(slots=True)
class HistoryChange:
    """Changes in the history of branches."""

    moments: set[tuple[str, str, Instant, str]] = field(default_factory=set)
    """(project, branch, time, span) of rows that are new, changed or deleted."""
    commits: set[tuple[str, str]] = field(default_factory=set)
    """(project, commit) of these rows."""
    defaults: set[str] = field(default_factory=set)
    """Projects whose default branch changed."""


def write_history(
    db: sqlite3.Connection, spans: Iterable[Span], before: Iterable[Span | None] = ()
) -> HistoryChange:
    """Update the rows of changed pull requests and pushes. Returns what changed. `before` are these
    spans as they were stored, if they were."""
    told = HistoryChange()
    changed = {s.key: s for s in spans if s.operation in ("pull_request", "push")}
    if not changed:
        return told
    moved = [old for old in before if old and old.key in changed]
    moved = [old for old in moved if old.project != changed[old.key].project]
    defaults = default_branches(db, {span.project for span in (*changed.values(), *moved)})
    named = _write_defaults(db, changed.values(), moved)
    sql = (
        "SELECT h.*, c.* FROM vcs_history h LEFT JOIN vcs_commits c ON c.key = h.key "
        f"WHERE h.key {rows.KEYS}"
    )
    known: dict[str, set[_Row]] = {}
    for row in rows.select_in(db, sql, changed):
        known.setdefault(row[0], set()).update((row[:_OWN], *([row[_OWN:]] if row[_OWN] else ())))
    new: list[_Row] = []
    for key, span in changed.items():
        history, commits = _rows_of(span)
        old, now = known.get(key, set()), {*commits, *([history] if history else ())}
        if old == now:
            known.pop(key, None)
            continue
        new += now
        for each in old | now:
            if len(each) == _OWN:
                told.moments.add((*each[1:4], key))
            else:
                told.commits.add(each[:2])
    for table in ("vcs_history", "vcs_commits") if known else ():
        db.execute(f"DELETE FROM {table} WHERE key {rows.KEYS}", (rows.as_json(known),))
    sql = "INSERT INTO vcs_history VALUES (?, ?, ?, ?, ?, ?, ?)"
    db.executemany(sql, [row for row in new if len(row) == _OWN])
    sql = "INSERT INTO vcs_commits VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    db.executemany(sql, [row for row in new if len(row) > _OWN])
    _keep_order(db, told, new)
    # If the events name the same default branches as before, none of them changed.
    told_now = {project: branch for project, branch, _ in named}
    if any(told_now.get(project) != branch for project, branch in defaults.items()):
        after = default_branches(db, defaults)
        told.defaults = {name for name, branch in defaults.items() if branch != after[name]}
    return told


def _write_defaults(
    db: sqlite3.Connection, spans: Iterable[Span], moved: Iterable[Span]
) -> Sequence[_Row]:
    """Note the default branches that these spans name; the newest one counts. `moved` are spans as
    they were, in a project that they have left. Returns what the spans name."""
    named, left = _defaults_of(spans), _defaults_of(moved)
    # The row may come from a span that names another branch now, or has left the project.
    doubtful = _projects_of(db, left, "TRUE") + _projects_of(db, named, "n.value ->> 1 <> d.branch")
    db.executemany(
        "INSERT INTO vcs_defaults VALUES (?, ?, ?) ON CONFLICT (project) DO UPDATE SET "
        "branch = excluded.branch, at = excluded.at WHERE excluded.at > at",
        named,
    )
    for project in doubtful:
        db.execute("DELETE FROM vcs_defaults WHERE project = ?", project)
        db.execute(f"INSERT INTO vcs_defaults {_NEWEST_DEFAULT}", project)
    return named


def _defaults_of(spans: Iterable[Span]) -> list[_Row]:
    """(project, default branch, time) of the spans that name a default branch."""
    return [
        (span.project, name, span.last_event_at)
        for span in spans
        if (name := span.attributes.get("vs.default_branch")) and isinstance(name, str)
    ]


def _projects_of(db: sqlite3.Connection, named: Sequence[_Row], condition: str) -> list[_Row]:
    """Projects whose stored default branch is of the time of one of these rows."""
    sql = (
        "SELECT DISTINCT d.project FROM json_each(?) n CROSS JOIN vcs_defaults d "
        f"ON d.project = n.value ->> 0 AND d.at = n.value ->> 2 WHERE {condition}"
    )
    return db.execute(sql, (rows.as_json(named),)).fetchall() if named else []


_NEWEST_DEFAULT: Final = """
SELECT project, attributes ->> '$."vs.default_branch"' AS branch, last_event_at FROM spans
    WHERE project = ? AND operation IN ('pull_request', 'push') AND branch <> ''
    ORDER BY last_event_at DESC, branch LIMIT 1
"""


# The pushes that brought the merges among these commits: a push is not made before its merge. Some
# hosts tell it by a clock of its own, and where its commits are old and have no time of their push,
# only the merge has one. And those made on one of these in the same second, or by a clock behind.
_MISPLACED: Final = (
    rows.asked("project", "commit_id") + "SELECT h.key FROM asked a "
    f"CROSS JOIN vcs_commits m ON m.project = a.project AND {named('m', 'a')} AND m.title = '' "
    "CROSS JOIN vcs_history r ON r.key = m.key AND r.kind = 0 CROSS JOIN vcs_commits c "
    f"ON c.project = m.project AND {begins('m.commit_id', 'c')} "
    "CROSS JOIN vcs_history h ON h.key = c.key AND h.kind = 1 AND h.branch = r.branch "
    "AND h.at = c.at UNION SELECT n.key FROM asked a CROSS JOIN vcs_commits c "
    "ON c.project = a.project AND c.commit_id = a.commit_id CROSS JOIN vcs_history h "
    "ON h.key = c.key AND h.kind = 1 AND h.at = c.at CROSS JOIN vcs_history n "
    "ON n.project = h.project AND n.base = c.commit_id AND n.base <> '' AND n.branch = h.branch "
    "AND n.at <= h.at AND n.key <> h.key"
)
_MERGED_AT: Final = (
    "COALESCE((SELECT MAX(r.at) FROM vcs_commits c CROSS JOIN vcs_commits m "
    f"ON m.project = c.project AND {named('m', 'c')} AND m.title = '' CROSS JOIN vcs_history r "
    "ON r.key = m.key AND r.kind = 0 AND r.branch = u.branch WHERE c.key = u.key AND c.at = u.at "
    f"AND (r.at < s.started_at + {MINUTE} OR c.authored = s.started_at)), 0)"
)
MAX_LATE: Final = 10
"""Most pushes one after another that are kept in their order."""
_IN_ORDER: Final = (
    "WITH RECURSIVE down(key, hops) AS (SELECT value, 0 FROM json_each(?1) UNION SELECT n.key, "
    "hops + 1 FROM down CROSS JOIN vcs_history o ON o.key = down.key CROSS JOIN vcs_commits c "
    "ON c.key = o.key AND c.at = o.at CROSS JOIN vcs_history n ON n.project = o.project "
    "AND n.base = c.commit_id AND n.base <> '' AND n.branch = o.branch AND n.key <> o.key "
    f"WHERE hops < {MAX_LATE}), up(start, key, hops) AS (SELECT DISTINCT key, key, 0 FROM down "
    "UNION SELECT up.start, p.key, hops + 1 FROM up CROSS JOIN vcs_history o ON o.key = up.key "
    "CROSS JOIN vcs_commits c ON c.project = o.project AND c.commit_id = o.base "
    "CROSS JOIN vcs_history p ON p.key = c.key AND p.kind = 1 AND p.branch = o.branch "
    f"AND p.at = c.at AND p.key <> o.key AND p.source <> '{FORCED}' || c.commit_id "
    f"WHERE hops < {MAX_LATE}) "
    "SELECT h.project, h.branch, h.at, h.key, w.at FROM (SELECT start, "
    f"MAX(IIF(u.source GLOB '{FORCED}*[{UNDATED}]', 0, MAX(s.started_at, {_MERGED_AT})) "
    f"+ up.hops * {COMMITS_APART}) AS at "
    "FROM up CROSS JOIN vcs_history u ON u.key = up.key CROSS JOIN spans s "
    # a branch that was set back to an older commit has no order
    "ON s.key = up.key GROUP BY start HAVING SUM(up.key = start AND up.hops > 0) = 0) w "
    "CROSS JOIN vcs_history h ON h.key = w.start "
    "WHERE h.at <> w.at"
)


def _keep_order(db: sqlite3.Connection, told: HistoryChange, new: Iterable[_Row]) -> None:
    """Place pushes after the push that brought the commit which they were made on, and not before
    the pull request that they merged. GitLab, Bitbucket Cloud and Gitea do not tell when a push was
    made, and its commits may be old."""
    new = list(new)
    written = {(row[2], row[4]) for row in new if len(row) > _OWN}
    undated = {
        row[0] for row in new if len(row) == _OWN and (not row[3] or (row[0], row[3]) in written)
    }
    bases = {(row[1], row[6]) for row in new if len(row) == _OWN and row[6]}
    undated.update(key for (key,) in rows.select_in(db, _MISPLACED, told.commits | bases))
    for project, branch, before, key, at in rows.select_in(db, _IN_ORDER, undated):
        told.moments |= {(project, branch, before, key), (project, branch, at, key)}
        db.execute("UPDATE vcs_history SET at = ? WHERE key = ?", (at, key))
        sql = "UPDATE vcs_commits SET at = at + ? WHERE key = ? RETURNING project, commit_id"
        told.commits.update(db.execute(sql, (at - before, key)).fetchall())


def _rows_of(span: Span) -> tuple[_Row | None, list[_Row]]:
    """(history row, commit rows) of a merged pull request or a push; (None, []) for others."""
    names = span.attributes
    head = keys.branch_name(str(names.get("vcs.ref.head.name", "")))
    revision = str(names.get("vcs.ref.head.revision", "")).lower()
    if span.operation == "pull_request":
        if span.status is not Status.OK or span.ended_at is None:
            return None, []
        base = keys.branch_name(str(names.get("vcs.ref.base.name", "")))
        # The branch of a fork may have the name of one of the repository's own.
        source = "" if names.get("vs.pr.fork") is True else head
        row = (span.key, span.project, base, span.ended_at, PULL_REQUEST, source, "")
        merge = str(names.get("vs.pr.merge_commit", "")).lower()
        shas = {revision: HEAD if merge else "", merge: ""}
        own = (span.key, span.ended_at, None)
        return row, [(span.project, sha, *own, part, "", "") for sha, part in shas.items() if sha]
    if names.get("vcs.ref.head.type") == "tag" or span.started_at is None:
        return None, []
    log = commits_in(names.get(PUSH_LOG))
    onto = names.get("vs.push.onto") or revision
    source = f"{FORCED}{onto}" if names.get("vs.push.forced") is True else ""
    if not source and log and "~" in log[0][0]:
        source = UNLISTED
    before = keys.commit(names.get("vcs.ref.base.revision"))
    base = before.value if before else ""
    if names.get("vs.push.undated") is True:  # its place is after the push of what it took away
        return (span.key, span.project, head, 0, PUSH, source + UNDATED, base), []
    row = (span.key, span.project, head, span.started_at, PUSH, source, base)
    if not any(sha == revision for sha, *_ in log) and revision:
        at = parse_instant(names.get("vs.commit.first_at"))
        log.append((revision, at, span.name, (), ""))
    newest = len(log) - 1
    commits = {
        sha: (
            *(span.project, sha, span.key, span.started_at - (newest - n) % COMMITS_APART),
            *(authored, title, "\n".join(paths), reverts),
        )
        for n, (sha, authored, title, paths, reverts) in enumerate(log)
    }
    return row, list(commits.values())


DEFAULT_BRANCH: Final = """COALESCE(
    (SELECT branch FROM vcs_defaults WHERE project = {0}),
    (SELECT n.value FROM json_each('["main", "master", "trunk"]') n WHERE EXISTS (
        SELECT 1 FROM vcs_history h WHERE h.project = {0} AND h.branch = n.value)
     ORDER BY n.key LIMIT 1),
    (SELECT branch FROM (SELECT branch FROM vcs_history INDEXED BY vcs_history_from
        WHERE project = {0} AND source <> '' AND branch <> '' AND kind = 0 LIMIT 100)
     GROUP BY branch ORDER BY COUNT(*) DESC, branch LIMIT 1),
    '')"""


def default_branches(db: sqlite3.Connection, projects: Iterable[str]) -> dict[str, str]:
    """Project -> its default branch: the reported one, else `main`, `master` or `trunk` if it has a
    history, else the most frequent base among a hundred pull requests."""
    sql = f"SELECT p.value, {DEFAULT_BRANCH.format('p.value')} FROM json_each(?) p"
    return {row[0]: row[1] for row in rows.select_in(db, sql, projects)}


def is_shared(branch: str, project: str, defaults: Mapping[str, str]) -> bool:
    """Whether many changes target a branch. `defaults`: as from `default_branches`."""
    return keys.is_shared_branch(branch, defaults[project])
