"""Finds what the commit of a deployment contains, from the history of branches (`vcs_history`).

Each query handles a whole batch in one statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from vs_tui.model import keys
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import CLOCK_SKEW
from vs_tui.store import rows
from vs_tui.store.folding.branch_stretches import (
    CLOCKS_APART,
    FIRST_SHIPS,
    Commit,
    Contained,
    Merge,
    Row,
    Stretch,
    cut_from,
    take_away,
    unlisted,
)
from vs_tui.store.folding.vcs_history import (
    COMMITS_APART,
    DEFAULT_BRANCH,
    PUSH,
    default_branches,
)

MAX_CARRIED: Final = 5
"""Most branches that are followed from a change to production."""


class Deployed(NamedTuple):
    """A deployment whose commit is searched in the history of its project."""

    key: str
    project: str
    ref: str
    commit: str
    taken: Instant
    """Time at which its commit was taken; used if the commit is not found."""
    ended_at: Instant


_FIND: Final = (
    rows.asked("key", "project", "ref", "commit_id", "taken", "ended")
    + f"SELECT a.key, {DEFAULT_BRANCH.format('a.project')}, EXISTS (SELECT 1 FROM vcs_history r "
    "WHERE r.project = a.project AND r.branch = a.ref), h.branch, c.at, h.key, h.at FROM asked a "
    "LEFT JOIN vcs_commits c ON length(a.commit_id) >= 7 AND c.project = a.project "
    "AND c.commit_id >= a.commit_id AND c.commit_id < a.commit_id || 'g' "
    # The clock of the host may be ahead of that of the tool that deploys.
    f"LEFT JOIN vcs_history h ON h.key = c.key AND h.at <= a.ended + {CLOCK_SKEW} "
    "ORDER BY h.kind, h.at, h.key"
)


def positions(
    db: sqlite3.Connection, deploys: Sequence[Deployed]
) -> dict[str, tuple[str, Instant]]:
    """Deployment -> position of its commit: a branch, and the time up to which it has that branch's
    changes."""
    seen: dict[str, list[Row]] = {}
    for key, *place in rows.select_in(db, _FIND, map(tuple, deploys)):
        seen.setdefault(key, []).append(tuple(place))
    merged = merged_together(db, {row[4] for found in seen.values() for row in found})
    found = {}
    for deploy in deploys:
        default, is_branch, *_ = seen[deploy.key][0]
        named = deploy.ref and is_branch
        branch = deploy.ref if named else default
        known = [row[2:] for row in seen[deploy.key] if row[2] is not None]
        places = [
            *(
                (name, merged[key] - at + pushed)
                for name, pushed, key, at in known
                if key in merged
            ),
            *((name, at) for name, at, *_ in known),
        ]
        own = [(branch, at) for name, at in places if name in (branch, "")]
        if not own:  # the commit says more than the name of a branch
            own = [place for place in places if keys.is_shared_branch(place[0], default)]
        found[deploy.key] = own[0] if own else (branch, deploy.taken)
    return found


_TOGETHER: Final = (
    "SELECT c.key, MAX(r.at) FROM vcs_commits c CROSS JOIN vcs_history h ON h.key = c.key "
    "AND h.kind = 1 CROSS JOIN vcs_commits p ON p.project = c.project "
    "AND p.commit_id = c.commit_id CROSS JOIN vcs_history r ON r.key = p.key AND r.kind = 0 "
    f"AND r.branch = h.branch WHERE c.key {rows.KEYS} "
    "GROUP BY c.key HAVING COUNT(DISTINCT r.key) > 1"
)


def merged_together(db: sqlite3.Connection, pushes: Iterable[str]) -> dict[str, Instant]:
    """Push of a merge queue, which merged several pull requests -> when the last one was merged.
    Its newest commit has this position; the others come before it in their order."""
    return dict(rows.select_in(db, _TOGETHER, pushes))


# For a merged pull request `h`: the previous merge of its source's history into its base.
_SINCE: Final = (
    "CASE WHEN h.source NOT IN ('', h.branch) AND EXISTS (SELECT 1 FROM vcs_history s "
    "WHERE s.project = h.project AND s.branch = h.source) THEN COALESCE((SELECT p.at "
    "FROM vcs_history p WHERE p.project = h.project AND p.source = h.source AND p.source <> '' "
    "AND p.branch = h.branch AND p.at < h.at ORDER BY p.at DESC LIMIT 1), "
    f"h.at - {FIRST_SHIPS}) END"
)
_HISTORY: Final = (
    rows.asked("project", "branch", "after", "until")
    + f"SELECT a.n, h.kind, h.key, h.at, h.branch, h.source, {_SINCE} FROM asked a "
    "CROSS JOIN vcs_history h ON h.project = a.project AND h.branch IN (a.branch, '') "
    f"AND h.at > a.after - h.kind * {CLOCKS_APART} "
    f"AND h.at <= a.until + {COMMITS_APART} + h.kind * {CLOCKS_APART} ORDER BY h.at, h.key"
)
# The pull requests with the commits of a push, and the parents of a push.
_BROUGHT: Final = (
    f"SELECT c.key, MIN(c.at), h.key, h.at, h.branch, h.source, {_SINCE} FROM vcs_commits c "
    # Bitbucket Cloud gives the first twelve digits of a pull request's commits.
    "CROSS JOIN vcs_commits p ON p.project = c.project "
    "AND p.commit_id IN (c.commit_id, substr(c.commit_id, 1, 12)) "
    "CROSS JOIN vcs_history h ON h.key = p.key AND h.kind = 0 "
    f"WHERE c.key {rows.KEYS} GROUP BY c.key, h.key"
)
_ABOVE: Final = (
    "SELECT s.key, 0, p.key, h.at, h.branch, h.source, NULL FROM spans s CROSS JOIN spans p "
    "ON p.key = s.parent_key AND p.operation = 'pull_request' LEFT JOIN vcs_history h "
    f"ON h.key = p.key WHERE s.parent_key <> '' AND s.key {rows.KEYS}"
)
_MERGED: Final = f"SELECT key FROM vcs_history WHERE kind = 0 AND key {rows.KEYS}"
_COMMITS: Final = (
    "SELECT commit_id, key, at, authored, title, paths, reverts FROM vcs_commits "
    f"WHERE key {rows.KEYS} ORDER BY at, commit_id"
)


# Commits of pushes that another push brought to another branch, without a pull request.
_ALONE: Final = (
    "SELECT DISTINCT c.project, c.key, c.commit_id, h.branch FROM vcs_commits c "
    "CROSS JOIN vcs_history p ON p.key = c.key CROSS JOIN vcs_commits o ON o.project = c.project "
    "AND o.commit_id = c.commit_id AND o.key <> c.key CROSS JOIN vcs_history h ON h.key = o.key "
    "AND h.kind = 1 AND h.branch <> p.branch CROSS JOIN spans s ON s.key = o.key "
    "AND s.parent_key = '' WHERE NOT EXISTS (SELECT 1 FROM vcs_commits x CROSS JOIN vcs_commits m "
    "ON m.project = x.project AND m.commit_id IN (x.commit_id, substr(x.commit_id, 1, 12)) "
    "CROSS JOIN vcs_history r ON r.key = m.key AND r.kind = 0 WHERE x.key = o.key) "
    f"AND c.key {rows.KEYS}"
)


def contained(db: sqlite3.Connection, stretches: Sequence[Stretch]) -> list[Contained]:
    """The changes in each stretch, including those carried to it from other branches."""
    found = [Contained() for _ in stretches]
    merges: list[Merge] = []
    pushes: dict[str, list[int]] = {}
    for n, kind, key, at, *names in rows.select_in(db, _HISTORY, map(tuple, stretches)):
        if kind == PUSH:
            pushes.setdefault(key, []).append(n)
        elif at <= stretches[n].until:
            merges.append(Merge(n, key, at, *names))
    merges += _pushed(db, stretches, pushes, found)
    merges += unlisted(db, stretches, pushes, found)
    merges = _left(db, stretches, merges, found)
    take_away(db, stretches, pushes, found, merges)
    sourced = {stretches[merge.stretch].project for merge in merges if merge.since is not None}
    defaults = default_branches(db, sourced)
    carried: list[tuple[Merge, Stretch]] = []
    for merge in merges:
        own = stretches[merge.stretch]
        base = merge.base or own.branch
        through = (*own.through, *dict.fromkeys((own.branch, base)))
        back = merge.since is not None and merge.source in through
        if back and keys.is_shared_branch(merge.source, defaults[own.project]):
            found[merge.stretch].promotions.add(merge.key)  # merged back from where it leads to
        elif merge.key in pushes and len(through) >= MAX_CARRIED:
            continue
        elif back or merge.since is None or len(through) >= MAX_CARRIED:
            # With `back` its own branch was deployed before it was merged.
            found[merge.stretch].pull_requests[merge.key] = merge.at
        else:
            stretch = Stretch(own.project, merge.source, merge.since, merge.at, through)
            carried.append((merge, stretch))
    if carried:
        carried += _cut_off(db, carried, defaults)
        below = contained(db, [stretch for _, stretch in carried])
        known = {key for brought in below for key in brought.pull_requests}
        merged = {key for (key,) in rows.select_in(db, _MERGED, known)}
        for merge, brought in _by_merge(carried, below).items():
            own_found, project = found[merge.stretch], stretches[merge.stretch].project
            if brought and keys.is_shared_branch(merge.source, defaults[project]):
                own_found.update(brought)
                own_found.promotions.add(merge.key)
            else:  # stacked ones; the pushes to its branch are its own commits
                own_found.pull_requests.update(
                    (key, at) for key, at in brought.pull_requests.items() if key in merged
                )
                own_found.pull_requests[merge.key] = merge.at
    return found


def _by_merge(
    carried: Iterable[tuple[Merge, Stretch]], brought: Iterable[Contained]
) -> dict[Merge, Contained]:
    whole: dict[Merge, Contained] = {}
    for (merge, _), part in zip(carried, brought, strict=True):
        whole.setdefault(merge, Contained()).update(part)
    return whole


def _cut_off(
    db: sqlite3.Connection, carried: Sequence[tuple[Merge, Stretch]], defaults: Mapping[str, str]
) -> list[tuple[Merge, Stretch]]:
    """What carried release branches have of the branch that they were cut from."""
    found = []
    for n, branches in cut_from(db, [stretch for _, stretch in carried]).items():
        merge, (project, source, *_, through) = carried[n]
        if source.startswith("release") and keys.is_shared_branch(source, defaults[project]):
            found += [
                (merge, Stretch(project, branch, at - FIRST_SHIPS, at, (*through, source)))
                for branch, at in branches.items()
                if branch not in through
            ]
    return found


# The other branches into which the same commits of the same branch were merged.
_OTHER_BASES: Final = (
    "SELECT r.key, o.branch FROM vcs_history r CROSS JOIN vcs_commits c ON c.key = r.key "
    "CROSS JOIN vcs_commits d ON d.project = c.project AND d.commit_id = c.commit_id "
    "CROSS JOIN vcs_history o ON o.key = d.key AND o.kind = 0 AND o.source = r.source "
    f"AND o.branch <> r.branch WHERE r.kind = 0 AND r.source <> '' AND r.key {rows.KEYS}"
)


def _left(
    db: sqlite3.Connection,
    stretches: Sequence[Stretch],
    merges: Sequence[Merge],
    found: Sequence[Contained],
) -> list[Merge]:
    """The merges without those that another pull request stands for: a hotfix is merged into main
    and into develop, so it comes to main by its own pull request and not with develop."""
    others: dict[str, set[str]] = {}
    for key, base in rows.select_in(db, _OTHER_BASES, {merge.key for merge in merges}):
        others.setdefault(key, set()).add(base)

    def is_left(merge: Merge) -> bool:
        own, stretch = found[merge.stretch], stretches[merge.stretch]
        if merge.key in own.apart or (merge.since is None and merge.key in own.promotions):
            return False
        return others.get(merge.key, set()).isdisjoint((stretch.branch, *stretch.through))

    return [merge for merge in merges if is_left(merge)]


_CARRYING: Final = (
    f"SELECT h.key, h.project, h.source, {_SINCE}, h.at, h.branch FROM vcs_history h "
    f"WHERE h.kind = 0 AND h.source <> '' AND h.key {rows.KEYS}"
)
_ON_BASE: Final = (
    rows.asked("project", "branch", "at", "commit_id")
    + "SELECT c.commit_id FROM asked a CROSS JOIN vcs_commits c ON c.project = a.project "
    "AND c.commit_id = a.commit_id CROSS JOIN vcs_history h ON h.key = c.key AND h.kind = 1 "
    f"AND h.branch = a.branch AND h.at < a.at - {CLOCKS_APART}"
)


def carried_by(db: sqlite3.Connection, requests: Iterable[str]) -> dict[str, Contained]:
    """Pull request that took a shared branch further -> the changes that it carried, without
    commits that its base had before. Others are absent."""
    found = {}
    for key, project, source, since, at, base in rows.select_in(db, _CARRYING, requests):
        default = default_branches(db, [project])[project]
        if since is not None and keys.is_shared_branch(source, default):
            own = contained(db, [Stretch(project, source, since, at, (base,))])[0]
            asked = [(project, base, at, sha) for sha in own.commits]
            for (sha,) in rows.select_in(db, _ON_BASE, asked):
                own.commits.pop(sha, None)
            found[key] = own
    return found


def requests_of(db: sqlite3.Connection, pushes: Iterable[str]) -> dict[str, list[Row]]:
    """Push -> its pull requests, by their commits and by its parent: (time of the first commit or
    0, key, when and into what it was merged, its source, when that was merged before)."""
    listed = list(pushes)
    found: dict[str, list[Row]] = {}
    for sql in (_BROUGHT, _ABOVE):
        for push, *request in rows.select_in(db, sql, listed):
            found.setdefault(push, []).append(tuple(request))
    return found


def _pushed(
    db: sqlite3.Connection,
    stretches: Sequence[Stretch],
    pushes: Mapping[str, Sequence[int]],
    found: Sequence[Contained],
) -> list[Merge]:
    """The pull requests whose commits were pushed. Commits without a pull request, and the pull
    requests of a merge queue that belong to another stretch, are added to `found`."""
    brought = requests_of(db, pushes)
    commits: dict[str, list[Commit]] = {}
    for sha, push, at, authored, title, paths, back in rows.select_in(db, _COMMITS, pushes):
        files = tuple(paths.split("\n")) if paths else ()
        commits.setdefault(push, []).append(Commit(sha, push, at, authored, title, files, back))
    merges = []
    together = merged_together(db, pushes)
    alone = _alone(db, [push for push in pushes if push in brought])
    for push, listed in pushes.items():
        requests, pushed = brought.get(push, []), commits.get(push, [])
        later = together[push] - pushed[-1].at if push in together else 0
        for n in listed:
            after, until = stretches[n].after, stretches[n].until
            away = {
                key
                for at, key, *_ in requests
                if push in together and at and not after < at + later <= until
            }
            found[n].apart |= away
            own = [commit for commit in pushed if after < commit.at + later <= until]
            leading = {request[1] for request in requests if _leads_on(request, stretches[n])}
            if keys.is_shared_branch(stretches[n].branch):
                found[n].promotions |= leading
            brought_here = [request for request in requests if request[1] not in leading]
            if own and brought_here:
                here = [request for request in brought_here if request[1] not in away]
                merges += _brought(n, stretches[n], here, found[n], own[-1].at)
                own = [commit for commit in own if (push, commit.commit_id) in alone]
            if own:
                found[n].commits.update(
                    (commit.commit_id, commit)
                    for commit in own
                    if len(own) == 1 or not commit.title.startswith("Merge ")
                )
    return merges


def _alone(db: sqlite3.Connection, pushes: Iterable[str]) -> set[tuple[str, str]]:
    """(push, commit) of what came with pull requests, but to a shared branch before without any."""
    listed = list(rows.select_in(db, _ALONE, pushes))
    defaults = default_branches(db, {row[0] for row in listed})
    return {
        (push, commit)
        for project, push, commit, branch in listed
        if keys.is_shared_branch(branch, defaults[project])
    }


def _leads_on(request: Row, stretch: Stretch) -> bool:
    """Whether a pull request takes the branch of a stretch further: what was pushed there came
    without it."""
    is_further = stretch.through or keys.is_shared_branch(stretch.branch)
    return bool(is_further) and request[4] == stretch.branch


def _on_their_way(requests: Sequence[Row], branch: str) -> list[Row]:
    """Of the pull requests of one source into several bases, those by which it came to a branch:
    into the branch itself, else into one that was merged there, else those merged last. A feature
    is merged into staging to be tried, and into main to be shipped."""
    leading = {source for *_, base, source, _ in requests if base == branch}

    def rank(request: Row) -> tuple[bool, bool, Instant]:
        _, _, at, base, *_ = request
        return base in (branch, ""), base in leading, at or 0

    base_of = {request[4]: request[3] for request in sorted(requests, key=rank)}
    return [r for r in requests if not r[4] or r[3] == base_of[r[4]]]


def _brought(
    n: int, stretch: Stretch, requests: Sequence[Row], found: Contained, pushed_at: Instant
) -> list[Merge]:
    """The merges of the pull requests that a push brought to a stretch."""
    merges = []
    requests = _on_their_way(requests, stretch.branch)
    by_commits = any(request[0] for request in requests)
    carries = any(
        by_commit and base not in (stretch.branch, "") for by_commit, _, _, base, *_ in requests
    )
    for by_commit, key, at, base, source, since in requests:
        if by_commits and not by_commit:
            continue  # commits are stronger evidence than the parent of a push
        if at is None:
            found.pull_requests.setdefault(key, pushed_at)
        elif base in (stretch.branch, ""):
            if carries and since is None and source and keys.is_shared_branch(source):
                found.promotions.add(key)  # of a branch that was cut from where these were merged
            # A pull request in the stretch has its own row, whichever clock is ahead.
            if not stretch.after < at <= stretch.until:
                merges.append(Merge(n, key, min(at, stretch.until), base, source, since))
        elif by_commit:
            merges.append(Merge(n, key, at, base, source, since))
    return merges


def paths_of(db: sqlite3.Connection, pull_requests: Iterable[str]) -> dict[str, set[str]]:
    """Merged pull request -> files that it touched; absent if no push listed any."""
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
    for key, paths in db.execute(sql, (3 * FIRST_SHIPS, rows.as_json(listed))):
        if paths:
            found.setdefault(key, set()).update(paths.split("\n"))
    return found
