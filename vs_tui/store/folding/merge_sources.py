"""From where merges took what they brought, and how far their bases had come there before."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from vs_tui.model.time import Instant
from vs_tui.store import rows
from vs_tui.store.folding.branch_stretches import CLOCKS_APART, FIRST_SHIPS, Merge
from vs_tui.store.folding.pushed_requests import had_it
from vs_tui.store.folding.vcs_history import HEAD, begins, default_branches, is_shared

# Where the head of a pull request was the head of another branch than its base, before its own.
_CUT_AS: Final = (
    "SELECT m.key, h.branch, c.at FROM vcs_commits m CROSS JOIN vcs_history r ON r.key = m.key "
    f"CROSS JOIN vcs_commits c ON c.project = m.project AND {begins('m.commit_id', 'c')} "
    f"AND c.title <> '{HEAD}' CROSS JOIN vcs_history h ON h.key = c.key AND h.at = c.at "
    f"AND h.branch NOT IN (r.branch, r.source, '') AND h.at < r.at + {CLOCKS_APART} "
    f"WHERE r.kind = 0 AND (m.title = '{HEAD}' OR NOT EXISTS (SELECT 1 FROM vcs_commits o "
    "WHERE o.key = m.key AND o.commit_id <> m.commit_id)) "
    f"AND NOT {had_it('r.source', 'c')} "
    f"AND m.key {rows.KEYS} ORDER BY c.at, h.branch"
)
# How far a base had come on a source before: to the last head of the source that the base had, in
# its commits or as what they were made on.
_CAME: Final = (
    rows.asked("project", "source", "base", "at")
    + "SELECT a.n, (SELECT q.at FROM vcs_history q CROSS JOIN vcs_commits x ON x.key = q.key "
    "AND x.at = q.at WHERE q.project = a.project AND q.branch = a.source AND q.kind = 1 "
    f"AND q.at < a.at AND q.at > a.at - {FIRST_SHIPS} "
    "AND (EXISTS (SELECT 1 FROM vcs_commits d CROSS JOIN vcs_history b ON b.key = d.key "
    "AND b.branch = a.base AND b.at < a.at WHERE d.project = a.project "
    "AND d.commit_id = x.commit_id AND d.at >= x.at) "
    "OR EXISTS (SELECT 1 FROM vcs_history b WHERE b.project = a.project "
    "AND b.base = x.commit_id AND b.base <> '' AND +b.branch = a.base AND +b.at >= x.at "
    "AND +b.at <= a.at)) ORDER BY q.at DESC LIMIT 1) FROM asked a"
)


def traced(db: sqlite3.Connection, projects: Sequence[str], merges: Sequence[Merge]) -> list[Merge]:
    """The merges with how far their bases had come on their sources before. A source that was cut
    from a shared branch, without a commit of its own, stands for that branch."""
    defaults = default_branches(db, set(projects))
    placed = list(zip(projects, merges, strict=True))
    named = {
        merge.key: project
        for project, merge in placed
        if merge.source and (merge.since is None or not is_shared(merge.source, project, defaults))
    }
    cut: dict[str, tuple[str, Instant]] = {}
    for key, branch, at in rows.select_in(db, _CUT_AS, named):
        if is_shared(branch, named[key], defaults):
            cut.setdefault(key, (branch, at))
    found = [*merges]
    for n, merge in enumerate(merges):
        if merge.key in cut:
            source, until = cut[merge.key]
            found[n] = merge._replace(source=source, since=until - FIRST_SHIPS, until=until)
    told = [(n, merge.since) for n, merge in enumerate(found) if merge.since is not None]
    asked = [(projects[n], found[n].source, found[n].base, found[n].at) for n, _ in told]
    for index, at in rows.select_in(db, _CAME, asked):
        n, since = told[index]
        found[n] = found[n]._replace(since=max(at or since, since))
    return found
