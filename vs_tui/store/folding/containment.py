"""Finds what the commit of a deployment contains, from the history of branches (`vcs_history`).

Each query handles a whole batch in one statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from vs_tui.model import keys
from vs_tui.model.time import Instant
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
    HEAD,
    PUSH,
    default_branches,
    named,
)

MAX_CARRIED: Final = 5
"""Most branches that are followed from a change to production."""


_TOGETHER: Final = (
    "SELECT c.key, MAX(r.at) FROM vcs_commits c CROSS JOIN vcs_history h ON h.key = c.key "
    f"AND h.kind = 1 CROSS JOIN vcs_commits p ON p.project = c.project AND {named('p', 'c')} "
    "CROSS JOIN vcs_history r ON r.key = p.key AND r.kind = 0 "
    f"AND r.branch = h.branch WHERE c.key {rows.KEYS} "
    f"AND p.title <> '{HEAD}' GROUP BY c.key HAVING COUNT(DISTINCT r.key) > 1"
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
    f"SELECT c.key, MIN(c.at), h.key, h.at, h.branch, h.source, {_SINCE}, MAX(c.at) "
    "FROM vcs_commits c "
    f"CROSS JOIN vcs_commits p ON p.project = c.project AND {named('p', 'c')} "
    "CROSS JOIN vcs_history h ON h.key = p.key AND h.kind = 0 "
    f"WHERE c.key {rows.KEYS} GROUP BY c.key, h.key"
)
_ABOVE: Final = (
    "SELECT s.key, 0, p.key, h.at, h.branch, h.source, NULL, 0 FROM spans s CROSS JOIN spans p "
    "ON p.key = s.parent_key AND p.operation = 'pull_request' LEFT JOIN vcs_history h "
    f"ON h.key = p.key WHERE s.parent_key <> '' AND s.key {rows.KEYS}"
)
_MERGED: Final = f"SELECT key FROM vcs_history WHERE kind = 0 AND key {rows.KEYS}"
_COMMITS: Final = (
    "SELECT commit_id, key, at, COALESCE(authored, (SELECT MIN(o.authored) FROM vcs_commits o "
    "WHERE o.project = c.project AND o.commit_id = c.commit_id)), title, paths, reverts "
    f"FROM vcs_commits c WHERE key {rows.KEYS} ORDER BY at, commit_id"
)


# Commits of pushes that another push brought to another branch, without a pull request.
_ALONE: Final = (
    "SELECT DISTINCT c.project, c.key, c.commit_id, h.branch FROM vcs_commits c "
    "CROSS JOIN vcs_history p ON p.key = c.key CROSS JOIN vcs_commits o ON o.project = c.project "
    "AND o.commit_id = c.commit_id AND o.key <> c.key CROSS JOIN vcs_history h ON h.key = o.key "
    "AND h.kind = 1 AND h.branch <> p.branch CROSS JOIN spans s ON s.key = o.key "
    "AND s.parent_key = '' WHERE NOT EXISTS (SELECT 1 FROM vcs_commits x CROSS JOIN vcs_commits m "
    f"ON m.project = x.project AND {named('m', 'x')} "
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
        deep = len(through) >= MAX_CARRIED
        # It came to where this leads by itself.
        if (base != own.branch and base in own.through) or (deep and merge.key in pushes):
            continue
        if merge.since is not None and (
            merge.source in own.through
            or ((back or deep) and keys.is_shared_branch(merge.source, defaults[own.project]))
        ):
            found[merge.stretch].promotions.add(merge.key)  # merged back from where it leads to
        elif back or merge.since is None or deep:
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
        whole = _by_merge(carried, below)
        standing = _standing(db, stretches, whole)
        for merge, brought in whole.items():
            own_found, project = found[merge.stretch], stretches[merge.stretch].project
            is_shared = keys.is_shared_branch(merge.source, defaults[project])
            if brought and (is_shared or merge.key in standing):
                own_found.update(brought)
                own_found.promotions.add(merge.key)
            else:  # stacked ones; the pushes to its branch are its own commits
                own_found.pull_requests.update(
                    (key, at) for key, at in brought.pull_requests.items() if key in merged
                )
                own_found.pull_requests[merge.key] = merge.at
    return found


# Pull requests whose head is a commit of one of another branch, which was merged elsewhere.
_HEADS: Final = (
    "SELECT DISTINCT m.key FROM vcs_commits m CROSS JOIN vcs_history r ON r.key = m.key "
    "CROSS JOIN vcs_commits o ON o.project = m.project AND o.commit_id = m.commit_id "
    "CROSS JOIN vcs_history h ON h.key = o.key AND h.kind = 0 AND h.source <> r.source "
    f"AND h.branch NOT IN (r.branch, '') AND h.at <= r.at WHERE m.key {rows.KEYS}"
)


def _standing(
    db: sqlite3.Connection, stretches: Sequence[Stretch], whole: Mapping[Merge, Contained]
) -> set[str]:
    """The pull requests of branches of any name that have nothing but other pull requests: an
    integration branch, an environment's, a release."""
    asked = [
        (stretches[merge.stretch].project, merge.base, merge.at, sha)
        for merge, brought in whole.items()
        for sha in brought.commits
    ]
    on_base = {sha for (sha,) in rows.select_in(db, _ON_BASE, asked)}
    found = {
        merge.key
        for merge, brought in whole.items()
        if brought.pull_requests and brought.commits.keys() <= on_base
    }
    return {key for (key,) in rows.select_in(db, _HEADS, found)}


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
    0, key, when and into what it was merged, its source, when that was merged before, time of the
    last commit)."""
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
    requested: list[set[str]] = [set() for _ in stretches]
    for push, listed in pushes.items():
        requests, pushed = brought.get(push, []), commits.get(push, [])
        later = together[push] - pushed[-1].at if push in together else 0
        for n in listed:
            after, until = stretches[n].after, stretches[n].until
            own = [commit for commit in pushed if after < commit.at + later <= until]
            # The time of a push may differ from that of the merge by which a deploy is placed.
            known = requests if own or push in together else ()
            away = {key for at, key, *_ in known if at and not after < at + later <= until}
            found[n].apart |= away
            leading = {request[1] for request in requests if _leads_on(request, stretches[n])}
            if keys.is_shared_branch(stretches[n].branch):
                found[n].promotions |= leading
            brought_here = [request for request in requests if request[1] not in leading]
            if own and brought_here:
                here = [request for request in brought_here if request[1] not in away]
                merges += _brought(db, n, stretches[n], here, found[n], own[-1].at)
                requested[n] |= {commit.commit_id for commit in own}
                own = [commit for commit in own if (push, commit.commit_id) in alone]
            if own:
                found[n].commits.update(
                    (commit.commit_id, commit)
                    for commit in own
                    if len(pushed) == 1 or not commit.title.startswith("Merge ")
                )
    for own_found, shas in zip(found, requested, strict=True):
        for sha in shas & own_found.commits.keys():  # an import tells each commit by itself, too
            if (own_found.commits[sha].push, sha) not in alone:
                del own_found.commits[sha]
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


def _on_their_way(db: sqlite3.Connection, requests: Sequence[Row], stretch: Stretch) -> list[Row]:
    """Of the pull requests of one source into several bases, those by which it came to a branch:
    into the branch itself, else into one that was merged there, else into the default branch, else
    those merged last. A feature is merged into staging to be tried, and into main to be shipped."""
    if len({request[4] or request[1] for request in requests}) == len(requests):
        return list(requests)
    branch, default = stretch.branch, default_branches(db, [stretch.project])[stretch.project]
    leading = {source for *_, base, source, _, _ in requests if base == branch}

    def rank(request: Row) -> tuple[bool, bool, bool, Instant]:
        _, _, at, base, *_ = request
        return base in (branch, ""), base in leading, base == default, at or 0

    base_of = {request[4]: request[3] for request in sorted(requests, key=rank)}
    return [r for r in requests if not r[4] or r[3] == base_of[r[4]]]


def _brought(
    db: sqlite3.Connection,
    n: int,
    stretch: Stretch,
    requests: Sequence[Row],
    found: Contained,
    pushed_at: Instant,
) -> list[Merge]:
    """The merges of the pull requests that a push brought to a stretch."""
    merges = []
    found.apart |= {request[1] for request in requests}
    requests = _on_their_way(db, requests, stretch)
    found.apart -= {request[1] for request in requests}
    by_commits = any(request[0] for request in requests)
    carries = any(
        by_commit and base not in (stretch.branch, "") for by_commit, _, _, base, *_ in requests
    )
    ends = {last for *_, base, _, _, last in requests if base not in (stretch.branch, "")}
    for by_commit, key, at, base, source, since, _ in requests:
        if by_commits and not by_commit:
            continue  # commits are stronger evidence than the parent of a push
        if at is None:
            found.pull_requests.setdefault(key, pushed_at)
        elif base in (stretch.branch, ""):
            is_shared = keys.is_shared_branch(source) or by_commit in ends
            if carries and since is None and source and is_shared:
                found.promotions.add(key)  # of a branch that was cut from where these were merged
            # A pull request in the stretch has its own row, whichever clock is ahead.
            if not stretch.after < at <= stretch.until:
                merges.append(Merge(n, key, min(at, stretch.until), base, source, since))
        elif by_commit:
            merges.append(Merge(n, key, at, base, source, since))
    return merges
