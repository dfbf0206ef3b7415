"""Finds what the commit of a deployment contains, from the history of branches (`vcs_history`)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from vs_tui.store import rows
from vs_tui.store.folding.branch_stretches import (
    CLOCKS_APART,
    FIRST_SHIPS,
    Commit,
    Contained,
    Merge,
    Stretch,
    cut_from,
    take_away,
    unlisted,
)
from vs_tui.store.folding.merge_sources import traced
from vs_tui.store.folding.pushed_requests import SINCE, pushed
from vs_tui.store.folding.vcs_history import (
    COMMITS_APART,
    PUSH,
    begins,
    default_branches,
    is_shared,
)

MAX_CARRIED: Final = 5
"""Most branches that are followed from a change to production."""


_MERGED: Final = f"SELECT key FROM vcs_history WHERE kind = 0 AND key {rows.KEYS}"
# Pull requests with a commit, of theirs or by which they were merged, that another branch than
# their base has, too.
_TOLD: Final = (
    "SELECT DISTINCT m.key FROM vcs_commits m CROSS JOIN vcs_history r ON r.key = m.key "
    f"CROSS JOIN vcs_commits c ON c.project = m.project AND {begins('m.commit_id', 'c')} "
    "CROSS JOIN vcs_history h ON h.key = c.key AND h.branch <> r.branch "
    f"WHERE r.kind = 0 AND m.key {rows.KEYS}"
)
_HISTORY: Final = (
    rows.asked("project", "branch", "after", "until")
    + f"SELECT a.n, h.kind, h.key, h.at, h.branch, h.source, {SINCE} FROM asked a "
    "CROSS JOIN vcs_history h ON h.project = a.project AND h.branch IN (a.branch, '') "
    f"AND h.at > a.after - {CLOCKS_APART} AND h.at <= a.until + {COMMITS_APART + CLOCKS_APART} "
    f"WHERE h.at > a.after - h.kind * {CLOCKS_APART} "
    f"AND h.at <= a.until + {COMMITS_APART} + h.kind * {CLOCKS_APART} ORDER BY h.at, h.key"
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
    merges += pushed(db, stretches, pushes, found)
    merges += unlisted(db, stretches, pushes, found)
    merges = traced(db, [stretches[merge.stretch].project for merge in merges], merges)
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
            or ((back or deep) and is_shared(merge.source, own.project, defaults))
        ):
            found[merge.stretch].promotions.add(merge.key)  # merged back from where it leads to
        elif back or merge.since is None or deep:
            # With `back` its own branch was deployed before it was merged.
            found[merge.stretch].pull_requests[merge.key] = merge.at
        else:
            stretch = Stretch(own.project, merge.source, merge.since, merge.end, through)
            carried.append((merge, stretch))
    if carried:
        carried += _cut_off(db, carried, defaults)
        below = contained(db, [stretch for _, stretch in carried])
        known = {key for brought in below for key in brought.pull_requests}
        merged = {key for (key,) in rows.select_in(db, _MERGED, known)}
        whole = _by_merge(carried, below)
        standing = _standing(db, stretches, whole, defaults)
        empty = [merge.key for merge, brought in whole.items() if not brought]
        told = {key for (key,) in rows.select_in(db, _TOLD, empty)}.union(pushes)
        for merge, brought in whole.items():
            own_found, project = found[merge.stretch], stretches[merge.stretch].project
            leads = (brought or merge.key in told) and is_shared(merge.source, project, defaults)
            if leads or merge.key in standing:
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


_BRANCH: Final = f"SELECT key, branch FROM vcs_history WHERE key {rows.KEYS}"


def _standing(
    db: sqlite3.Connection,
    stretches: Sequence[Stretch],
    whole: Mapping[Merge, Contained],
    defaults: Mapping[str, str],
) -> set[str]:
    """The pull requests of branches of any name that have nothing but other pull requests: an
    integration branch, an environment's, a release."""
    listed = [(stretches[merge.stretch].project, merge, own) for merge, own in whole.items()]
    on_base = _on_base(db, listed)
    pushes = {c.push for brought in whole.values() for c in brought.commits.values()}
    branches = dict(rows.select_in(db, _BRANCH, pushes))

    def of_others(commit: Commit, merge: Merge) -> bool:
        branch = branches.get(commit.push, "")
        project = stretches[merge.stretch].project
        return branch != merge.source and is_shared(branch, project, defaults)

    found = set()
    for merge, brought in whole.items():
        own = [commit for commit in brought.commits.values() if not of_others(commit, merge)]
        is_carrying = brought.pull_requests or len(own) < len(brought.commits)
        if is_carrying and on_base.issuperset((merge.key, commit.commit_id) for commit in own):
            found.add(merge.key)
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
        if source.startswith("release") and is_shared(source, project, defaults):
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
    """The merges without those that another pull request stands for, which become promotions: a
    hotfix is merged into main and into develop, so it comes to main by its own pull request and not
    with develop."""
    others: dict[str, set[str]] = {}
    for key, base in rows.select_in(db, _OTHER_BASES, {merge.key for merge in merges}):
        others.setdefault(key, set()).add(base)

    left = []
    for merge in merges:
        own, stretch = found[merge.stretch], stretches[merge.stretch]
        if merge.key in own.apart or (merge.since is None and merge.key in own.promotions):
            continue
        if others.get(merge.key, set()).isdisjoint((stretch.branch, *stretch.through)):
            left.append(merge)
        else:
            own.promotions.add(merge.key)
    return left


_CARRYING: Final = (
    f"SELECT h.project, h.key, h.at, h.branch, h.source, {SINCE} FROM vcs_history h "
    f"WHERE h.kind = 0 AND h.source <> '' AND h.key {rows.KEYS}"
)
_ON_BASE: Final = (
    rows.asked("project", "branch", "at", "commit_id")
    + "SELECT a.n FROM asked a CROSS JOIN vcs_commits c ON c.project = a.project "
    "AND c.commit_id = a.commit_id CROSS JOIN vcs_history h ON h.key = c.key AND h.kind = 1 "
    f"AND h.branch = a.branch AND h.at < a.at - {CLOCKS_APART}"
)


def _on_base(
    db: sqlite3.Connection, brought: Iterable[tuple[str, Merge, Contained]]
) -> set[tuple[str, str]]:
    """(pull request, commit) of what each base had before. `brought` are (project, merge, what it
    brought)."""
    asked = [
        (project, m.base, m.at, sha, m.key) for project, m, own in brought for sha in own.commits
    ]
    found = rows.select_in(db, _ON_BASE, [row[:4] for row in asked])
    return {(asked[n][4], asked[n][3]) for (n,) in found}


def _leading(db: sqlite3.Connection, requests: Iterable[str]) -> list[tuple[Stretch, Merge]]:
    listed = list(rows.select_in(db, _CARRYING, requests))
    projects = [row[0] for row in listed]
    defaults = default_branches(db, set(projects))
    merges = traced(db, projects, [Merge(0, *row[1:]) for row in listed])
    return [
        (Stretch(project, m.source, m.since, m.end, (m.base,)), m)
        for project, m in zip(projects, merges, strict=True)
        if m.since is not None and is_shared(m.source, project, defaults)
    ]


def promotions_among(db: sqlite3.Connection, requests: Iterable[str]) -> set[str]:
    """The merged pull requests that took a shared branch further."""
    return {merge.key for _, merge in _leading(db, requests)}


def carried_by(db: sqlite3.Connection, requests: Iterable[str]) -> dict[str, Contained]:
    """Pull request that took a shared branch further -> the changes that it carried, without
    commits that its base had before. Others are absent."""
    leading = _leading(db, requests)
    carried = contained(db, [stretch for stretch, _ in leading])
    found = {merge.key: own for (_, merge), own in zip(leading, carried, strict=True)}
    brought = [(stretch.project, merge, found[merge.key]) for stretch, merge in leading]
    for key, sha in _on_base(db, brought):
        found[key].commits.pop(sha, None)
    return found
