"""Finds the commit of a deployment in the history of branches."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

from vs_tui.model import keys
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import CLOCK_SKEW
from vs_tui.store import rows
from vs_tui.store.folding.branch_stretches import Row
from vs_tui.store.folding.pushed_requests import merged_together
from vs_tui.store.folding.vcs_history import DEFAULT_BRANCH, begins


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
    f"AND {begins('a.commit_id', 'c')} "
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
            shared = [place for place in places if keys.is_shared_branch(place[0], default)]
            own = shared or places
        found[deploy.key] = own[0] if own else (branch, deploy.taken)
    return found
