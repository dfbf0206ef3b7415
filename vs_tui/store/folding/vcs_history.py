"""The history of each branch of a repository: merged pull requests and pushed commits.

A deployment ships the changes that its commit contains. They are found in these rows: the pushes
and merges of the deployed branch up to the deployed commit, and the changes they carried from other
branches.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from vs_tui.model import keys
from vs_tui.model.time import SECOND, Instant, parse_instant
from vs_tui.model.vocabulary import Span, Status
from vs_tui.store import rows

PULL_REQUEST, PUSH = 0, 1
FORCED: Final = ".."
"""What the source of a push that took commits away begins with, before the new head. No name of a
branch contains it."""
COMMITS_APART: Final = 20_000
"""Commits of one push get times that are less than this many microseconds apart; the newest has the
time of the push."""

CREATE_HISTORY: Final = """
CREATE TABLE vcs_history (
    key TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    branch TEXT NOT NULL,
    at INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    source TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX vcs_history_of ON vcs_history (project, branch, at, kind, source);
CREATE INDEX vcs_history_from ON vcs_history (project, source, at, branch) WHERE source <> '';
CREATE TABLE vcs_commits (
    project TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    authored INTEGER,
    title TEXT NOT NULL,
    paths TEXT NOT NULL,
    reverts TEXT NOT NULL,
    PRIMARY KEY (project, commit_id, key)
) WITHOUT ROWID;
CREATE INDEX vcs_commits_of ON vcs_commits (key);
CREATE TABLE vcs_defaults (
    project TEXT PRIMARY KEY,
    branch TEXT NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE vcs_deploys (
    key TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    ok INTEGER NOT NULL,
    version TEXT NOT NULL,
    ref TEXT NOT NULL,
    branch TEXT NOT NULL,
    position INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX vcs_deploys_after ON vcs_deploys (project, service, environment, started_at);
CREATE INDEX vcs_deploys_reached
    ON vcs_deploys (project, service, environment, branch, position, started_at) WHERE ok = 1;
CREATE INDEX vcs_deploys_version
    ON vcs_deploys (project, version, service, environment, started_at) WHERE version <> '';
CREATE INDEX vcs_deploys_unplaced ON vcs_deploys (project, ref) WHERE ref NOT IN ('', branch);
CREATE INDEX vcs_deploys_ended ON vcs_deploys (project, ended_at);
CREATE TRIGGER vcs_gone AFTER DELETE ON spans
    WHEN OLD.operation IN ('pull_request', 'push') BEGIN
    DELETE FROM vcs_history WHERE key = OLD.key;
    DELETE FROM vcs_commits WHERE key = OLD.key;
END;
CREATE TRIGGER vcs_undeployed AFTER DELETE ON spans BEGIN
    DELETE FROM vcs_deploys WHERE key = OLD.key;
END;
"""


_Row = tuple[Any, ...]


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
        known.setdefault(row[0], set()).update((row[:6], *([row[6:]] if row[6] else ())))
    new: list[_Row] = []
    for key, span in changed.items():
        history, commits = _rows_of(span)
        old, now = known.get(key, set()), {*commits, *([history] if history else ())}
        if old == now:
            known.pop(key, None)
            continue
        new += now
        for each in old | now:
            if len(each) == 6:
                told.moments.add((*each[1:4], key))
            else:
                told.commits.add(each[:2])
    for table in ("vcs_history", "vcs_commits") if known else ():
        db.execute(f"DELETE FROM {table} WHERE key {rows.KEYS}", (rows.as_json(known),))
    sql = "INSERT INTO vcs_history VALUES (?, ?, ?, ?, ?, ?)"
    db.executemany(sql, [row for row in new if len(row) == 6])
    sql = "INSERT INTO vcs_commits VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    db.executemany(sql, [row for row in new if len(row) > 6])
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
        row = (span.key, span.project, base, span.ended_at, PULL_REQUEST, source)
        shas = {revision, str(names.get("vs.pr.merge_commit", "")).lower()} - {""}
        return row, [(span.project, sha, span.key, span.ended_at, None, "", "", "") for sha in shas]
    if names.get("vcs.ref.head.type") == "tag" or span.started_at is None:
        return None, []
    forced = f"{FORCED}{revision}" if names.get("vs.push.forced") is True else ""
    row = (span.key, span.project, head, span.started_at, PUSH, forced)
    log = _log(names.get("vs.push.log"))
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


def _log(text: object) -> list[tuple[str, Instant | None, str, Sequence[str], str]]:
    """The commits in `vs.push.log`, oldest first; empty if it is not in our format."""
    if not isinstance(text, str):
        return []
    try:
        return [
            (
                *(str(sha), None if at is None else int(at) * SECOND, str(title)),
                [*map(str, paths)],
                str(reverts[0]) if reverts else "",
            )
            for sha, at, title, paths, *reverts in orjson.loads(text)
        ]
    except (ValueError, TypeError):
        return []


DEFAULT_BRANCH: Final = """COALESCE(
    (SELECT branch FROM vcs_defaults WHERE project = {0}),
    (SELECT n.value FROM json_each('["main", "master", "trunk"]') n WHERE EXISTS (
        SELECT 1 FROM vcs_history h WHERE h.project = {0} AND h.branch = n.value)
     ORDER BY n.key LIMIT 1),
    (SELECT branch FROM (SELECT branch FROM vcs_history INDEXED BY vcs_history_from
        WHERE project = {0} AND source <> '' AND branch <> '' LIMIT 100)
     GROUP BY branch ORDER BY COUNT(*) DESC, branch LIMIT 1),
    '')"""


def default_branches(db: sqlite3.Connection, projects: Iterable[str]) -> dict[str, str]:
    """Project -> its default branch: the reported one, else `main`, `master` or `trunk` if it has a
    history, else the most frequent base among a hundred pull requests."""
    sql = f"SELECT p.value, {DEFAULT_BRANCH.format('p.value')} FROM json_each(?) p"
    return {row[0]: row[1] for row in rows.select_in(db, sql, projects)}
