"""What each branch of a repository got, and when: merged pull requests and pushed commits.

A deployment ships what its commit contains. Containment is read from these rows: the pushes and
merges of the deployed branch up to the deployed commit, and what they carried from other branches.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from vs_tui.model import keys
from vs_tui.model.time import DAY, SECOND, Instant, parse_instant
from vs_tui.model.vocabulary import Span, Status
from vs_tui.store import rows

FIRST_SHIPS: Final = 30 * DAY
"""The first deployment known of a branch ships what came to it in this time before: what is older
was probably shipped by one that was never reported."""
MAX_CARRIED: Final = 5
"""Branches on the way from a change to production that are followed."""
PULL_REQUEST, PUSH = 0, 1
_DEFAULTS: Final = ("main", "master", "trunk")
_KEYS: Final = "IN (SELECT value FROM json_each(?))"
_IN_PUSH: Final = 1_000
"""Commits of one push are this many microseconds apart at most, the newest at the push's time."""

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
CREATE INDEX vcs_history_from ON vcs_history (project, source, at) WHERE source <> '';
CREATE TABLE vcs_commits (
    project TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    authored INTEGER,
    title TEXT NOT NULL,
    paths TEXT NOT NULL,
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
    ok INTEGER NOT NULL,
    branch TEXT NOT NULL,
    position INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX vcs_deploys_of
    ON vcs_deploys (project, service, environment, branch, started_at, ok, position);
CREATE TRIGGER vcs_gone AFTER DELETE ON spans
    WHEN OLD.operation IN ('pull_request', 'push', 'deploy') BEGIN
    DELETE FROM vcs_history WHERE key = OLD.key;
    DELETE FROM vcs_commits WHERE key = OLD.key;
    DELETE FROM vcs_deploys WHERE key = OLD.key;
END;
"""


class Position(NamedTuple):
    """Where a deployed commit stands: a branch, and up to when it has what came to the branch."""

    branch: str
    at: Instant
    known: bool
    """Whether the commit was found; else the time that it was taken counts."""


class Commit(NamedTuple):
    """One pushed commit that belongs to no known pull request."""

    commit_id: str
    push: str
    at: Instant
    authored: Instant | None
    title: str
    paths: tuple[str, ...]


@dataclass(slots=True)
class Contained:
    """What a stretch of a branch brought."""

    pull_requests: dict[str, Instant] = field(default_factory=dict)
    """Key -> when it came to its branch."""
    commits: dict[str, Commit] = field(default_factory=dict)

    def update(self, other: Contained) -> None:
        self.pull_requests.update(other.pull_requests)
        self.commits.update(other.commits)

    def __bool__(self) -> bool:
        return bool(self.pull_requests or self.commits)


def write_history(db: sqlite3.Connection, spans: Iterable[Span]) -> dict[str, Instant]:
    """Bring the rows of changed pull requests and pushes up to date.

    Returns the repositories whose history changed, each with the earliest moment of a change.
    """
    found: dict[str, Instant] = {}
    changed = [s for s in spans if s.operation in ("pull_request", "push", "deploy")]
    for span in changed:
        default = span.attributes.get("vs.default_branch")
        if isinstance(default, str) and default:
            db.execute(
                "INSERT INTO vcs_defaults VALUES (?, ?, ?) ON CONFLICT (project) DO UPDATE SET "
                "branch = excluded.branch, at = excluded.at WHERE excluded.at > at",
                (span.project, default, span.last_event_at),
            )
    for span in changed:
        if span.operation == "deploy":
            continue
        before = db.execute("SELECT * FROM vcs_history WHERE key = ?", (span.key,)).fetchone()
        row, commits = _rows_of(span)
        stored = db.execute(
            "SELECT * FROM vcs_commits WHERE key = ? ORDER BY commit_id", (span.key,)
        ).fetchall()
        if before == row and stored == sorted(commits, key=lambda c: str(c[1])):
            continue
        for each in (before, row):
            if each is not None:
                found[each[1]] = min(each[3], found.get(each[1], each[3]))
        db.execute("DELETE FROM vcs_history WHERE key = ?", (span.key,))
        db.execute("DELETE FROM vcs_commits WHERE key = ?", (span.key,))
        if row is not None:
            db.execute("INSERT INTO vcs_history VALUES (?, ?, ?, ?, ?, ?)", row)
            db.executemany(
                "INSERT OR IGNORE INTO vcs_commits VALUES (?, ?, ?, ?, ?, ?, ?)", commits
            )
    return found


def _rows_of(span: Span) -> tuple[tuple[Any, ...] | None, list[tuple[Any, ...]]]:
    """(history row, commit rows) of a pull request or push; nothing while it is not merged."""
    names = span.attributes
    head = keys.branch_name(str(names.get("vcs.ref.head.name", "")))
    revision = str(names.get("vcs.ref.head.revision", "")).lower()
    if span.operation == "pull_request":
        if span.status is not Status.OK or span.ended_at is None:
            return None, []
        base = keys.branch_name(str(names.get("vcs.ref.base.name", "")))
        row = (span.key, span.project, base, span.ended_at, PULL_REQUEST, head)
        shas = {revision, str(names.get("vs.pr.merge_commit", "")).lower()} - {""}
        return row, [(span.project, sha, span.key, span.ended_at, None, "", "") for sha in shas]
    if names.get("vcs.ref.head.type") == "tag" or span.started_at is None:
        return None, []
    row = (span.key, span.project, head, span.started_at, PUSH, "")
    log = _log(names.get("vs.push.log"))
    if not any(sha == revision for sha, *_ in log) and revision:
        at = parse_instant(names.get("vs.commit.first_at"))
        log.append((revision, at, span.name, ()))
    newest = len(log) - 1
    commits = {
        sha: (
            *(span.project, sha, span.key, span.started_at - (newest - n) % _IN_PUSH),
            *(authored, title, "\n".join(paths)),
        )
        for n, (sha, authored, title, paths) in enumerate(log)
    }
    return row, list(commits.values())


def _log(text: object) -> list[tuple[str, Instant | None, str, Sequence[str]]]:
    """The commits of `vs.push.log`, oldest first; anything else than ours reads as none."""
    if not isinstance(text, str):
        return []
    try:
        return [
            (str(sha), None if at is None else int(at) * SECOND, str(title), [*map(str, paths)])
            for sha, at, title, paths in orjson.loads(text)
        ]
    except (ValueError, TypeError):
        return []


class Repository:
    """Questions about the history of one project."""

    def __init__(self, db: sqlite3.Connection, project: str) -> None:
        self._db = db
        self._project = project
        self._default: str | None = None

    @property
    def default(self) -> str:
        """The default branch as told, else `main` or the like where it has a history."""
        if self._default is None:
            sql = "SELECT branch FROM vcs_defaults WHERE project = ?"
            row = self._db.execute(sql, (self._project,)).fetchone()
            if row is None:
                known = (name for name in _DEFAULTS if self._has(name))
                row = (next(known, ""),)
            if not row[0]:
                sql = (
                    "SELECT branch FROM vcs_history WHERE project = ? AND kind = 0 "
                    "AND branch <> '' GROUP BY 1 ORDER BY COUNT(*) DESC, branch LIMIT 1"
                )
                row = self._db.execute(sql, (self._project,)).fetchone() or ("",)
            self._default = str(row[0])
        return self._default

    def _has(self, branch: str) -> bool:
        sql = "SELECT 1 FROM vcs_history WHERE project = ? AND branch = ? LIMIT 1"
        return self._db.execute(sql, (self._project, branch)).fetchone() is not None

    def position(self, ref: str, commit: str, taken: Instant, until: Instant) -> Position:
        """Where the commit of a deployment stands.

        `taken`: when its commit was taken, for one that is not found; `until`: its end.
        """
        named = ref if ref and self._has(ref) else ""
        branch = named or self.default
        if len(commit) >= 7:
            sql = (
                "SELECT h.kind, h.branch, c.at FROM vcs_commits c JOIN vcs_history h "
                "ON h.key = c.key WHERE c.project = ? AND c.commit_id >= ? AND c.commit_id < ? "
                "AND h.at <= ? ORDER BY h.kind, h.at"
            )
            bound = (self._project, commit, commit + "g", until)
            found = self._db.execute(sql, bound).fetchall()
            own = [row for row in found if row[1] in (branch, "")]
            if own:
                return Position(branch, own[0][2], known=True)
            if found and not named:
                shared = [row for row in found if self._is_shared(row[1])]
                if shared:
                    return Position(shared[0][1], shared[0][2], known=True)
        return Position(branch, taken, known=False)

    def _is_shared(self, branch: str) -> bool:
        return keys.is_shared_branch(branch, self.default)

    def contained(self, branch: str, after: Instant | None, until: Instant) -> Contained:
        """What came to a branch in `(after, until]`; in the last 30 days before where `after` is
        not known."""
        return self._contained(
            branch, until - FIRST_SHIPS if after is None else after, until, (), MAX_CARRIED
        )

    def _contained(
        self, branch: str, after: Instant, until: Instant, seen: tuple[str, ...], depth: int
    ) -> Contained:
        found = Contained()
        if not depth or branch in seen:
            return found
        sql = (
            "SELECT key, at, kind, source, branch FROM vcs_history WHERE project = ? "
            "AND branch IN (?, '') AND at > ? AND at <= ? ORDER BY at, key"
        )
        bound = (self._project, branch, after, until + _IN_PUSH)
        history = self._db.execute(sql, bound).fetchall()
        for key, at, kind, source, _ in history:
            if kind == PULL_REQUEST and at <= until:
                self._add(found, key, at, source, branch, seen, depth)
        pushes = [key for key, _, kind, *_ in history if kind == PUSH]
        if pushes:
            self._add_pushes(found, pushes, branch, after, until, seen, depth)
        return found

    def _add(
        self,
        found: Contained,
        key: str,
        at: Instant,
        source: str,
        branch: str,
        seen: tuple[str, ...],
        depth: int,
    ) -> None:
        """A merged pull request, or what it carried where it only promotes a shared branch."""
        if source and source != branch and self._has(source):
            sql = (
                "SELECT MAX(at) FROM vcs_history WHERE project = ? AND branch = ? "
                "AND source = ? AND at < ?"
            )
            last = self._db.execute(sql, (self._project, branch, source, at)).fetchone()[0]
            since = at - FIRST_SHIPS if last is None else last
            carried = self._contained(source, since, at, (*seen, branch), depth - 1)
            if self._is_shared(source):
                if carried:
                    found.update(carried)
                    return
            else:  # a stacked pull request; the pushes to its branch are its own commits
                found.pull_requests.update(carried.pull_requests)
        found.pull_requests[key] = at

    def _add_pushes(
        self,
        found: Contained,
        pushes: Sequence[str],
        branch: str,
        after: Instant,
        until: Instant,
        seen: tuple[str, ...],
        depth: int,
    ) -> None:
        """The commits of pushes; those that a pull request brought count as that one."""
        sql = (
            "SELECT DISTINCT c.key, h.key, h.at, h.source, h.branch FROM vcs_commits c "
            "JOIN vcs_commits p ON p.project = c.project AND p.commit_id = c.commit_id "
            f"JOIN vcs_history h ON h.key = p.key AND h.kind = 0 WHERE c.key {_KEYS}"
        )
        brought: dict[str, list[tuple[str, Instant, str, str]]] = {}
        for push, *request in rows.select_in(self._db, sql, pushes):
            brought.setdefault(push, []).append(tuple(request))
        sql = (
            "SELECT s.key, p.key, p.status, p.ended_at FROM spans s JOIN spans p "
            "ON p.key = s.parent_key AND p.operation = 'pull_request' "
            f"WHERE s.parent_key <> '' AND s.key {_KEYS}"
        )
        parents = {row[0]: row[1:] for row in rows.select_in(self._db, sql, pushes)}
        for push, own in self._commits(pushes, after, until).items():
            if push in brought:
                for key, at, source, base in brought[push]:
                    # One into this branch is listed by its own row, whichever clock is ahead.
                    if base not in (branch, ""):
                        self._add(found, key, at, source, base, (*seen, branch), depth - 1)
                    elif not after < at <= until:
                        at_end = min(at, until)
                        self._add(found, key, at_end, source, base, (*seen, branch), depth - 1)
            elif push in parents:
                key, _, ended = parents[push]
                if ended is None or not self._is_other(key, branch, after, until):
                    found.pull_requests.setdefault(key, own[-1].at)
            else:
                for commit in own:
                    if len(own) == 1 or not commit.title.startswith("Merge "):
                        found.commits[commit.commit_id] = commit

    def _commits(
        self, pushes: Sequence[str], after: Instant, until: Instant
    ) -> dict[str, list[Commit]]:
        """Push -> those of its commits that came in `(after, until]`, oldest first."""
        sql = (
            "SELECT commit_id, key, at, authored, title, paths FROM vcs_commits "
            f"WHERE key {_KEYS} ORDER BY at, commit_id"
        )
        found: dict[str, list[Commit]] = {}
        for sha, push, at, authored, title, paths in rows.select_in(self._db, sql, pushes):
            if after < at <= until:
                files = tuple(paths.split("\n")) if paths else ()
                found.setdefault(push, []).append(Commit(sha, push, at, authored, title, files))
        return found

    def _is_other(self, key: str, branch: str, after: Instant, until: Instant) -> bool:
        """Whether a merged pull request is counted by its own row, or belongs to another base."""
        sql = "SELECT branch, at FROM vcs_history WHERE key = ?"
        row = self._db.execute(sql, (key,)).fetchone()
        return row is not None and not (row[0] in (branch, "") and not after < row[1] <= until)

    def paths_of(self, pull_requests: Iterable[str]) -> dict[str, set[str]]:
        """The files that merged pull requests touched; absent where no push told of them."""
        found: dict[str, set[str]] = {}
        sql = (
            "SELECT h.key, c.paths FROM vcs_history h JOIN vcs_history p ON p.project = h.project "
            "AND p.kind = 1 AND p.branch = h.source AND p.at <= h.at AND p.at > h.at - ?1 "
            "JOIN vcs_commits c ON c.key = p.key WHERE h.source <> '' AND h.kind = 0 "
            "AND h.key IN (SELECT value FROM json_each(?2)) UNION SELECT m.key, c.paths "
            "FROM vcs_commits m JOIN vcs_commits o ON o.project = m.project "
            "AND o.commit_id = m.commit_id JOIN vcs_history p ON p.key = o.key AND p.kind = 1 "
            "JOIN vcs_commits c ON c.key = p.key "
            "WHERE m.key IN (SELECT value FROM json_each(?2))"
        )
        listed = list(pull_requests)
        for key, paths in self._db.execute(sql, (3 * FIRST_SHIPS, rows.as_json(listed))):
            if paths:
                found.setdefault(key, set()).update(paths.split("\n"))
        return found
