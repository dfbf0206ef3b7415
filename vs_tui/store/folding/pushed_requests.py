"""What pushes bring to a branch: the pull requests of their commits, and commits without one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from vs_tui.model.grouping import grouped
from vs_tui.model.time import Instant
from vs_tui.store import rows
from vs_tui.store.folding.branch_stretches import (
    FIRST_SHIPS,
    Commit,
    Contained,
    Merge,
    Request,
    Stretch,
)
from vs_tui.store.folding.vcs_history import HEAD, SHORT, default_branches, is_shared, named

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


SINCE: Final = (
    "CASE WHEN h.source NOT IN ('', h.branch) AND EXISTS (SELECT 1 FROM vcs_history s "
    "WHERE s.project = h.project AND s.branch = h.source) THEN COALESCE((SELECT p.at "
    "FROM vcs_history p WHERE p.project = h.project AND p.source = h.source AND p.source <> '' "
    "AND p.branch = h.branch AND p.at < h.at ORDER BY p.at DESC LIMIT 1), "
    f"h.at - {FIRST_SHIPS}) END"
)
"""SQL: for a merged pull request `h` the time of the previous merge of its source into its base, if
its source has a history."""


def had_it(branch: str, commit: str, or_at_once: bool = False) -> str:
    """SQL: a branch had a commit before this push of it, or, if this is asked, with it."""
    before = "<=" if or_at_once else "<"
    return (
        "EXISTS (SELECT 1 FROM vcs_commits y CROSS JOIN vcs_history z ON z.key = y.key "
        f"AND z.kind = 1 AND z.branch = {branch} AND z.at {before} {commit}.at "
        f"WHERE y.project = {commit}.project AND y.commit_id = {commit}.commit_id)"
    )


# The pull requests with the commits of a push, and the parents of a push.
_BROUGHT: Final = (
    f"SELECT c.key, MIN(c.at), h.key, h.at, h.branch, h.source, {SINCE}, MAX(c.at), "
    f"MAX(IIF(p.title = '{HEAD}' AND NOT {had_it('h.source', 'c')}, "
    "c.at, 0)) FROM vcs_commits c "
    f"CROSS JOIN vcs_commits p ON p.project = c.project AND {named('p', 'c')} "
    "CROSS JOIN vcs_history h ON h.key = p.key AND h.kind = 0 "
    f"WHERE c.key {rows.KEYS} GROUP BY c.key, h.key"
)
_ABOVE: Final = (
    "SELECT s.key, 0, p.key, h.at, h.branch, h.source, NULL, 0, 0 FROM spans s CROSS JOIN spans p "
    "ON p.key = s.parent_key AND p.operation = 'pull_request' LEFT JOIN vcs_history h "
    f"ON h.key = p.key WHERE s.parent_key <> '' AND s.key {rows.KEYS}"
)
_COMMITS: Final = (
    "SELECT commit_id, key, at, COALESCE(authored, (SELECT MIN(o.authored) FROM vcs_commits o "
    "WHERE o.project = c.project AND o.commit_id = c.commit_id)), title, paths, reverts "
    f"FROM vcs_commits c WHERE key {rows.KEYS} ORDER BY at, commit_id"
)


# Where the commits of pushes were up to then, and whether a pull request brought them there.
_PLACES: Final = (
    "WITH places AS (SELECT c.project, c.key, c.commit_id, h.branch, h.at, o.key AS place "
    "FROM vcs_commits c CROSS JOIN vcs_history p ON p.key = c.key CROSS JOIN vcs_commits o "
    "ON o.project = c.project AND o.commit_id = c.commit_id CROSS JOIN vcs_history h "
    "ON h.key = o.key AND h.kind = 1 AND h.at <= p.at AND (o.key = c.key OR h.branch <> p.branch) "
    f"WHERE c.key {rows.KEYS}), requested AS MATERIALIZED (SELECT h.key, EXISTS (SELECT 1 "
    "FROM vcs_history r WHERE r.key = s.parent_key AND r.branch IN (h.branch, '')) OR EXISTS ("
    "SELECT 1 FROM vcs_commits x CROSS JOIN vcs_commits m ON m.project = x.project "
    f"AND {named('m', 'x')} CROSS JOIN vcs_history r ON r.key = m.key AND r.kind = 0 "
    "AND r.branch IN (h.branch, '') WHERE x.key = h.key) AS is_requested "
    "FROM (SELECT DISTINCT place FROM places) u CROSS JOIN vcs_history h ON h.key = u.place "
    "CROSS JOIN spans s ON s.key = h.key) "
    "SELECT project, key, commit_id, branch, at, place = key, (SELECT is_requested "
    "FROM requested WHERE requested.key = place) FROM places"
)


def requests_of(db: sqlite3.Connection, pushes: Iterable[str]) -> dict[str, list[Request]]:
    """Push -> its pull requests, by their commits and by its parent."""
    listed = list(pushes)
    return grouped(
        (push, Request(*request))
        for sql in (_BROUGHT, _ABOVE)
        for push, *request in rows.select_in(db, sql, listed)
    )


_MADE: Final = f"SELECT key, commit_id FROM vcs_commits WHERE title <> '{HEAD}' AND key {rows.KEYS}"
"""SQL: the commits by which pull requests were merged."""


def pushed(
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
    # Of some hosts a merge tells all that it brought, unless another branch had it before.
    merging = {push for push, own in commits.items() if len(own) == 1 and _is_merge(own[0])}
    alone = _alone(db, [push for push in pushes if push in brought or push in merging])
    heads: dict[str, list[str]] = grouped(
        rows.select_in(db, _MADE, {r.key for own in brought.values() for r in own})
    )
    defaults = default_branches(db, {stretch.project for stretch in stretches})
    requested: list[set[str]] = [set() for _ in stretches]
    for push, listed in pushes.items():
        requests, pushed = brought.get(push, []), commits.get(push, [])
        later = together[push] - pushed[-1].at if push in together else 0
        for n in listed:
            stretch = stretches[n]
            project, branch, after, until, through = stretch
            is_shared_here = is_shared(branch, project, defaults)
            own = [commit for commit in pushed if after < commit.at + later <= until]
            # The time of a push may differ from that of the merge by which a deploy is placed.
            known = requests if own or push in together else ()
            away = {r.key for r in known if r.first and not after < r.first + later <= until}
            found[n].apart |= away
            leading = set[str]()
            if is_shared_here or through:
                leading = {r.key for r in requests if _leads_on(r, branch, pushed)}
            if is_shared_here:
                found[n].promotions |= leading
            brought_here = [request for request in requests if request.key not in leading]
            if own and brought_here:
                here = [request for request in brought_here if request.key not in away]
                merges += _brought(n, stretch, here, found[n], own[-1].at, defaults)
                requested[n] |= {commit.commit_id for commit in own}
                own = [commit for commit in own if (push, commit.commit_id) in alone]
            made = {sha for key in leading for sha in heads.get(key, ())}
            own = [c for c in own if made.isdisjoint((c.commit_id, c.commit_id[:SHORT]))]
            found[n].commits |= {
                c.commit_id: c
                for c in own
                if not _is_merge(c) or (push in merging and (push, c.commit_id) not in alone)
            }
    for own_found, shas in zip(found, requested, strict=True):
        for sha in shas & own_found.commits.keys():  # an import tells each commit by itself, too
            if (own_found.commits[sha].push, sha) not in alone:
                del own_found.commits[sha]
    return merges


def _is_merge(commit: Commit) -> bool:
    return commit.title.startswith("Merge ")


def _alone(db: sqlite3.Connection, pushes: Iterable[str]) -> set[tuple[str, str]]:
    """(push, commit) of what came with pull requests, but to a shared branch before without any."""
    listed = list(rows.select_in(db, _PLACES, pushes))
    defaults = default_branches(db, {row[0] for row in listed})
    shared = grouped(
        ((push, commit), (at, not by_request))
        for project, push, commit, branch, at, is_own, by_request in listed
        if is_shared(branch, project, defaults) and (by_request or not is_own)
    )
    return {commit for commit, places in shared.items() if min(places)[1]}


def _leads_on(request: Request, branch: str, pushed: Sequence[Commit]) -> bool:
    """Whether a pull request takes a branch further, by itself or by one that was cut from it: what
    was pushed there came without it."""
    is_cut = request.source and request.base not in ("", branch)
    is_head = bool(pushed) and request.head == pushed[-1].at
    return request.source == branch or bool(is_cut and is_head)


def _on_their_way(requests: Sequence[Request], branch: str, default: str) -> list[Request]:
    """Of the pull requests of one source into several bases, those by which it came to a branch:
    into the branch itself, else into one that was merged there, else into the default branch, else
    those merged last. A feature is merged into staging to be tried, and into main to be shipped."""
    if len({request.source or request.key for request in requests}) == len(requests):
        return list(requests)
    leading = {request.source for request in requests if request.base == branch}

    def rank(request: Request) -> tuple[bool, bool, bool, Instant]:
        base = request.base
        return base in (branch, ""), base in leading, base == default, request.at or 0

    base_of = {request.source: request.base for request in sorted(requests, key=rank)}
    return [r for r in requests if not r.source or r.base == base_of[r.source]]


def _brought(
    n: int,
    stretch: Stretch,
    requests: Sequence[Request],
    found: Contained,
    pushed_at: Instant,
    defaults: Mapping[str, str],
) -> list[Merge]:
    """The merges of the pull requests that a push brought to a stretch."""
    merges = []
    found.apart |= {request.key for request in requests}
    requests = _on_their_way(requests, stretch.branch, defaults[stretch.project])
    found.apart -= {request.key for request in requests}
    by_commits = any(request.first for request in requests)
    elsewhere = [request for request in requests if request.base not in (stretch.branch, "")]
    carries = any(request.first for request in elsewhere)
    ends = {request.last for request in elsewhere}
    for first, key, at, base, source, since, *_ in requests:
        if by_commits and not first:
            continue  # commits are stronger evidence than the parent of a push
        if at is None:
            found.pull_requests.setdefault(key, pushed_at)
        elif base in (stretch.branch, ""):
            # It has nothing of its own if it begins where another one ends.
            leads = is_shared(source, stretch.project, defaults) or first in ends
            if carries and since is None and source and leads:
                found.promotions.add(key)  # of a branch that was cut from where these were merged
            # A pull request in the stretch has its own row, whichever clock is ahead.
            if not stretch.after < at <= stretch.until:
                merges.append(Merge(n, key, min(at, stretch.until), base, source, since))
        elif first:
            merges.append(Merge(n, key, at, base, source, since))
    return merges
