"""Finds the commits of each pull request."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from vs_tui.model.grouping import grouped
from vs_tui.model.time import MINUTE, Instant
from vs_tui.store import rows
from vs_tui.store.folding.vcs_history import (
    FORCED,
    HEAD,
    begins,
    default_branches,
    is_shared,
    named,
)

# Heads of pull requests and the pushes that brought them, the first one first.
_HEADS: Final = (
    "SELECT r.key, c.key, r.source, h.branch, r.project FROM vcs_history r "
    "CROSS JOIN vcs_commits m ON m.key = r.key CROSS JOIN vcs_commits c ON c.project = m.project "
    f"AND {begins('m.commit_id', 'c')} "
    "CROSS JOIN vcs_history h ON h.key = c.key AND h.kind = 1 AND h.at = c.at "
    f"WHERE r.source <> '' AND m.title = '{HEAD}' AND r.key {rows.KEYS} ORDER BY h.at, h.key"
)
# The pushes of pull requests: to its own branch or to its base, those below it and those of its
# head or merge. And what its branch had before it was opened: each push names the commit that it
# was made on, back to the last merge of the branch into that base or to a forced push that wrote
# no commit anew.
_PUSHES: Final = (
    "WITH RECURSIVE own(change, push) AS (SELECT s.parent_key, s.key FROM spans s "
    "CROSS JOIN vcs_history h ON h.key = s.key LEFT JOIN vcs_history r ON r.key = s.parent_key "
    f"WHERE s.operation = 'push' AND s.parent_key <> '' AND s.parent_key {rows.KEYS} "
    "AND h.branch IN (COALESCE(r.source, h.branch), COALESCE(r.branch, h.branch)) "
    "UNION SELECT r.key, c.key FROM json_each(?1) k CROSS JOIN vcs_history r ON r.key = k.value "
    "CROSS JOIN vcs_commits m ON m.key = r.key CROSS JOIN vcs_commits c ON c.project = m.project "
    f"AND {begins('m.commit_id', 'c')} "
    "CROSS JOIN vcs_history h ON h.key = c.key "
    "AND h.kind = 1 AND h.branch IN (r.source, r.branch) "
    "UNION SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?2) "
    "UNION SELECT own.change, p.key FROM own CROSS JOIN vcs_history r ON r.key = own.change "
    "CROSS JOIN vcs_history h ON h.key = own.push AND h.branch <> r.branch AND r.source <> '' "
    "CROSS JOIN vcs_commits c ON c.project = h.project AND c.commit_id = h.base "
    "CROSS JOIN vcs_history p ON p.key = c.key AND p.kind = 1 "
    f"AND p.branch = h.branch AND p.at <= h.at AND (h.source NOT GLOB '{FORCED}*' OR EXISTS ("
    "SELECT 1 FROM vcs_commits n CROSS JOIN vcs_history q ON q.project = h.project "
    "AND q.branch = h.branch AND q.at <= h.at AND q.key <> h.key CROSS JOIN vcs_commits o "
    "ON o.key = q.key AND o.authored = n.authored WHERE n.key = h.key)) "
    "WHERE NOT EXISTS (SELECT 1 FROM vcs_history m "
    "WHERE m.project = h.project AND m.source = h.branch AND m.source <> '' AND m.kind = 0 "
    "AND m.branch = r.branch AND m.key <> r.key AND m.at >= p.at AND m.at < h.at)) "
)
# Without the commits that the base had before: a branch that is brought up to date gets them, too,
# and one that was cut from the branch of another pull request has what that brought to the base,
# as they are or squashed.
_COMMITS: Final = (
    f"{_PUSHES} SELECT own.change, own.push, c.commit_id, c.at, c.authored, c.paths FROM own "
    "CROSS JOIN vcs_history h ON h.key = own.push CROSS JOIN vcs_commits c ON c.key = own.push "
    "LEFT JOIN vcs_history p ON p.key = own.change "
    "WHERE NOT EXISTS (SELECT 1 FROM vcs_commits o CROSS JOIN vcs_history b ON b.key = o.key "
    "AND b.kind = 1 AND (b.branch = p.branch AND (b.at < h.at OR b.at < p.at "
    "AND b.key NOT IN (SELECT w.push FROM own w WHERE w.change = own.change) "
    "AND EXISTS (SELECT 1 FROM vcs_commits x CROSS JOIN vcs_commits m ON m.project = x.project "
    f"AND {named('m', 'x')} CROSS JOIN vcs_history r ON r.key = m.key AND r.kind = 0 "
    "AND r.branch = b.branch AND r.key <> own.change WHERE x.key = b.key)) "
    "OR b.branch NOT IN (h.branch, '') AND b.at <= h.at AND EXISTS (SELECT 1 FROM vcs_history r "
    "WHERE r.project = b.project AND r.source = b.branch AND r.kind = 0 AND r.branch = p.branch "
    "AND r.key <> own.change AND r.at >= b.at AND r.at < p.at)) "
    "WHERE o.project = c.project AND o.commit_id = c.commit_id AND o.key <> c.key)"
)
_MERGED_BY: Final = (
    "SELECT c.key, r.key, c.commit_id, c.at FROM vcs_commits c CROSS JOIN vcs_history h "
    "ON h.key = c.key AND h.kind = 1 CROSS JOIN vcs_commits m ON m.project = c.project "
    f"AND {named('m', 'c')} CROSS JOIN vcs_history r ON r.key = m.key AND r.kind = 0 "
    f"AND r.branch = h.branch WHERE c.key {rows.KEYS}"
)
# What the branches of such pull requests had: hosts may list the commits of a push by their dates.
_HAD_BY: Final = (
    "SELECT c.key, r.key, c.commit_id, c.at FROM vcs_commits c CROSS JOIN vcs_history h "
    "ON h.key = c.key AND h.kind = 1 CROSS JOIN vcs_commits o ON o.project = c.project "
    "AND o.commit_id = c.commit_id AND o.key <> c.key CROSS JOIN vcs_history b ON b.key = o.key "
    "AND b.kind = 1 AND b.branch <> h.branch AND b.at <= h.at "
    "CROSS JOIN vcs_history r ON r.project = b.project "
    "AND r.source = b.branch AND r.source <> '' AND r.kind = 0 AND r.branch = h.branch "
    f"AND r.at <= h.at + {MINUTE} AND r.at > h.at - {MINUTE} WHERE c.key {rows.KEYS}"
)


_Known = tuple[str, str, Instant]
"""A pull request, a commit of it, and when that was pushed."""


@dataclass(slots=True)
class Own:
    """What the commits of a pull request tell."""

    first: Instant | None = None
    """When the first one was written; None if no push told of it."""
    paths: set[str] = field(default_factory=set)
    """The files that they touch; empty if no push listed any."""
    shas: set[str] = field(default_factory=set)


def own_commits(db: sqlite3.Connection, requests: Collection[str]) -> dict[str, Own]:
    """Pull request -> its commits, as far as pushes told of them."""
    bound = (rows.as_json(requests), rows.as_json(_borrowed(db, requests)))
    pushed = db.execute(_COMMITS, bound).fetchall()
    merges = rows.select_in(db, _MERGED_BY, {push for _, push, *_ in pushed})
    merged = grouped((push, (request, head, at)) for push, request, head, at in merges)
    several = [push for push, own in merged.items() if len({request for request, *_ in own}) > 1]
    branched = set[str]()
    for push, *had in rows.select_in(db, _HAD_BY, several):
        merged[push].append((had[0], had[1], had[2]))
        branched.add(had[0])
    found = {request: Own() for request in requests}
    for change, push, commit_id, at, authored, paths in pushed:
        if _is_own(change, commit_id, at, merged.get(push, ()), branched):
            own = found[change]
            own.shas.add(commit_id)
            own.paths.update(paths.split("\n") if paths else ())
            if authored is not None:  # the clock of its author may be ahead
                own.first = min(authored, at, authored if own.first is None else own.first)
    return found


def _borrowed(db: sqlite3.Connection, requests: Collection[str]) -> list[tuple[str, str]]:
    """(pull request, push) where the head was first pushed to another branch of its author: the
    pull request is opened anew from a branch with the same commits."""
    firsts: dict[str, tuple[str, ...]] = {}
    for request, *push in rows.select_in(db, _HEADS, requests):
        firsts.setdefault(request, tuple(push))
    others = {request: first for request, first in firsts.items() if first[1] != first[2]}
    defaults = default_branches(db, {project for *_, project in others.values()})
    return [
        (request, push)
        for request, (push, _, branch, project) in others.items()
        if not is_shared(branch, project, defaults)
    ]


def _is_own(
    change: str, commit_id: str, at: Instant, merged: Sequence[_Known], branched: Collection[str]
) -> bool:
    """Whether a commit of a push is of this pull request. A merge queue merges several in one push:
    the commits of each end with its merge, and begin after that of the one before. What no branch
    had is of those without a known branch, such as one of a fork, if there are any. `merged` are
    the pull requests into the pushed branch, each with its head and with its merge."""
    moments = grouped((request, committed) for request, _, committed in merged)
    ends = {request: max(own) for request, own in moments.items()}
    of = {known: request for request, known, _ in merged}
    if change not in ends or len(ends) == 1:
        return True
    if commit_id in of:
        return of[commit_id] == change
    ends = {request: end for request, end in ends.items() if request not in branched} or ends
    own = ends.get(change, 0)
    return max((end for end in ends.values() if end < own), default=0) < at <= own
