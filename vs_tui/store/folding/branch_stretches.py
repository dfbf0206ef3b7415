"""What a stretch of a branch contains: types, and what single pushes add to it or take from it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final, NamedTuple

from vs_tui.model.grouping import grouped
from vs_tui.model.time import DAY, MINUTE, Instant
from vs_tui.store import rows
from vs_tui.store.folding.vcs_history import FORCED, UNDATED, UNLISTED, default_branches, is_shared

FIRST_SHIPS: Final = 30 * DAY
"""The first known deployment of a branch ships the changes of this time before it. Older changes
were probably shipped by a deployment that was never reported."""
CLOCKS_APART: Final = MINUTE
"""Most time between a merge and the push that makes it, by the clocks of one host."""
Row = tuple[Any, ...]


class Commit(NamedTuple):
    """One pushed commit that belongs to no known pull request."""

    commit_id: str
    push: str
    at: Instant
    authored: Instant | None
    title: str
    paths: tuple[str, ...]
    reverts: str
    """What it takes back, as `sources.reverts.reverted` gives it."""


@dataclass(slots=True)
class Contained:
    """The changes in a stretch of a branch."""

    pull_requests: dict[str, Instant] = field(default_factory=dict)
    """Key -> time at which it reached its branch."""
    commits: dict[str, Commit] = field(default_factory=dict)
    promotions: set[str] = field(default_factory=set)
    """Pull requests that only take other changes from branch to branch."""
    apart: set[str] = field(default_factory=set)
    """Pull requests that a merge queue pushed together with these, before or after the stretch."""

    def update(self, other: Contained) -> None:
        self.pull_requests.update(other.pull_requests)
        self.commits.update(other.commits)
        self.promotions |= other.promotions

    def __bool__(self) -> bool:
        return bool(self.pull_requests or self.commits)


class Stretch(NamedTuple):
    """The part of a branch's history in `(after, until]`."""

    project: str
    branch: str
    after: Instant
    until: Instant
    through: tuple[str, ...] = ()
    """The branches through which it was carried from there."""


class Merge(NamedTuple):
    """A pull request in a stretch."""

    stretch: int
    key: str
    at: Instant
    base: str
    source: str
    since: Instant | None
    """Position up to which its base had its source before; None if the source has no history of its
    own."""
    until: Instant | None = None
    """Position up to which it brought its source; None for all that it has when this is merged."""

    @property
    def end(self) -> Instant:
        return self.at if self.until is None else self.until


class Request(NamedTuple):
    """A pull request of a push."""

    first: Instant
    """Position of the first of its commits in the push; 0 if it is only the parent of the push."""
    key: str
    at: Instant | None
    """Time at which it was merged; None if it was not."""
    base: str
    source: str
    since: Instant | None
    """As for a `Merge`."""
    last: Instant
    """Position of the last of its commits in the push."""
    head: Instant
    """Position of its head in the push; 0 if that is not in it, or is what merged it, too."""


# The commit to which a forced push set its branch back, and the position after which it took
# commits away: that of this commit, or else the one before the oldest commit that it wrote anew,
# which has the time of its author still.
_AWAY: Final = (
    "SELECT h.key, h.at, h.onto, (SELECT MAX(c.at) FROM vcs_commits c CROSS JOIN vcs_history p "
    "ON p.key = c.key AND p.branch = h.branch WHERE c.project = h.project "
    "AND c.commit_id = h.onto AND c.at < h.at AND c.key <> h.key), "
    "(SELECT MIN(o.at) - 1 FROM vcs_commits n CROSS JOIN vcs_history p ON p.project = h.project "
    f"AND p.branch = h.branch AND p.kind = 1 AND p.at < h.at AND p.at >= h.at - {FIRST_SHIPS} "
    "CROSS JOIN vcs_commits o ON o.key = p.key AND o.authored = n.authored "
    "AND o.commit_id <> n.commit_id WHERE n.key = h.key) FROM (SELECT *, "
    f"rtrim(substr(source, {len(FORCED) + 1}), '{UNDATED}') AS onto FROM vcs_history "
    f"WHERE source >= '{FORCED}' AND source < './' AND key {rows.KEYS}) h"
)
# The commits of the pushes before it, and their pull requests; and whether they came back: they
# were pushed again, or another push came upon them later.
_TAKEN: Final = (
    "SELECT x.commit_id, x.key, s.last_event_at > f.at OR EXISTS (SELECT 1 FROM vcs_history z "
    "CROSS JOIN vcs_commits b ON b.project = z.project AND b.commit_id = z.base "
    "WHERE z.project = f.project AND z.branch = f.branch AND z.at > f.at AND z.kind = 1 "
    "AND b.at >= c.at AND b.at < f.at) FROM vcs_history f CROSS JOIN vcs_history p "
    "ON p.project = f.project AND p.branch = f.branch AND p.at > ?2 AND p.at < f.at AND p.kind = 1 "
    "CROSS JOIN spans s ON s.key = p.key "
    "CROSS JOIN vcs_commits c ON c.key = p.key CROSS JOIN vcs_commits x "
    "ON x.project = c.project AND x.commit_id = c.commit_id WHERE f.key = ?1"
)


def take_away(
    db: sqlite3.Connection,
    stretches: Sequence[Stretch],
    pushes: Mapping[str, Sequence[int]],
    found: Sequence[Contained],
    merges: list[Merge],
) -> None:
    """Remove what forced pushes took away from the branches of these stretches. Where it is not
    known what they took, it stays."""
    for push, until, onto, back, anew in rows.select_in(db, _AWAY, pushes):
        since = anew if back is None else back
        if since is None:
            continue
        head = "" if back is None else onto  # an earlier push brought it
        taken = db.execute(_TAKEN, (push, since)).fetchall()
        again = {name for *names, is_back in taken if is_back for name in names}
        gone = {name for *names, _ in taken for name in names} - again
        for n in (n for n in pushes[push] if until <= stretches[n].until):
            merges[:] = [
                m
                for m in merges
                if m.stretch != n or m.key in again or not (since < m.at < until or m.key in gone)
            ]
            own = found[n].commits
            for c in list(own.values()):
                is_head = c.push == push and c.commit_id == head
                is_gone = since < c.at < until and c.push != push and c.commit_id not in again
                if is_head or is_gone:
                    del own[c.commit_id]


# Where else the newest commits of a push with unlisted ones were.
_ELSEWHERE: Final = (
    "SELECT h.key, h.at, p.branch, MAX(x.at) FROM vcs_history h CROSS JOIN vcs_commits c "
    "ON c.key = h.key CROSS JOIN vcs_commits x ON x.project = c.project "
    "AND x.commit_id = c.commit_id CROSS JOIN vcs_history p ON p.key = x.key "
    "AND p.branch NOT IN (h.branch, '') AND x.at <= h.at "
    f"WHERE h.source = '{UNLISTED}' AND h.key {rows.KEYS} GROUP BY h.key, p.branch"
)


def unlisted(
    db: sqlite3.Connection,
    stretches: Sequence[Stretch],
    pushes: Mapping[str, Sequence[int]],
    found: Sequence[Contained],
) -> list[Merge]:
    """What pushes brought of another shared branch whose commits their host did not list."""
    merges = []
    elsewhere = grouped((row[0], row[1:]) for row in rows.select_in(db, _ELSEWHERE, pushes))
    projects = {push: stretches[pushes[push][0]].project for push in elsewhere}
    defaults = default_branches(db, set(projects.values())) if projects else {}
    for push, places in elsewhere.items():
        shared = [place for place in places if is_shared(place[1], projects[push], defaults)]
        for n in pushes[push]:
            own = [place for place in shared if place[1] not in stretches[n].through]
            if not own or not stretches[n].after < own[0][0] <= stretches[n].until:
                continue
            pushed_at, source, at = max(own, key=itemgetter(2, 1))
            for sha, commit in list(found[n].commits.items()):
                if commit.push == push and "~" in sha:
                    del found[n].commits[sha]
            merge = Merge(n, push, pushed_at, stretches[n].branch, source, at - FIRST_SHIPS, at)
            merges.append(merge)
    return merges


CUT_AT: Final = (
    "IIF({0}.base <> '', {0}.base, (SELECT n.commit_id FROM vcs_commits n WHERE n.key = {0}.key "
    "AND n.at = {0}.at))"
)
"""SQL: where a push may have cut its branch from another one: at the commit that it was made on, or
at its own if it made the branch (some hosts tell of a new branch without new commits)."""
# Pushes whose branch was cut from another one: that had the commit, and their own did not.
_CUT: Final = (
    rows.asked("project", "branch", "after", "until")
    + "SELECT DISTINCT a.n, x.at, p.branch FROM asked a CROSS JOIN vcs_history h "
    "ON h.project = a.project AND h.branch = a.branch AND h.kind = 1 "
    "AND h.at > a.after AND h.at <= a.until CROSS JOIN vcs_commits x ON x.project = h.project "
    f"AND x.commit_id = {CUT_AT.format('h')} CROSS JOIN vcs_history p ON p.key = x.key "
    "AND p.branch NOT IN (h.branch, '') WHERE IIF(h.base = '', p.kind = 1 AND p.at <= h.at, "
    "NOT EXISTS (SELECT 1 FROM vcs_commits o CROSS JOIN vcs_history q ON q.key = o.key "
    "WHERE o.project = h.project AND o.commit_id = h.base AND q.branch = h.branch))"
)


def cut_from(db: sqlite3.Connection, stretches: Sequence[Stretch]) -> dict[int, dict[str, Instant]]:
    """Number of a stretch -> shared branches that its branch was cut from within it, and up to
    when it has their changes: a release branch, or the default branch under a new name."""
    found: dict[int, dict[str, Instant]] = {}
    cuts = list(rows.select_in(db, _CUT, [stretch[:4] for stretch in stretches]))
    defaults = default_branches(db, {stretches[n].project for n, *_ in cuts}) if cuts else {}
    deployed = "SELECT 1 FROM vcs_deploys WHERE project = ? AND branch = ? AND ok = 1 LIMIT 1"
    for n, at, branch in cuts:
        project, own_branch, *_ = stretches[n]
        # the default branch may have had another name, under which it was deployed
        was_default = own_branch == defaults[project] and db.execute(deployed, (project, branch))
        if is_shared(branch, project, defaults) or (was_default and was_default.fetchone()):
            own = found.setdefault(n, {})
            own[branch] = max(at, own.get(branch, at))
    return found
