"""Finds the changes of applications that a deployment of another repository ships (GitOps): what
Argo CD or Flux applies is a commit of a repository of manifests, in which a bot sets the image. A
deployment of Argo CD names that repository, one of Flux has none of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from operator import itemgetter
from typing import Final

from vs_tui.model.grouping import grouped
from vs_tui.store import rows
from vs_tui.store.folding.branch_stretches import FIRST_SHIPS, Contained, Stretch
from vs_tui.store.folding.containment import contained
from vs_tui.store.folding.positions import Deployed, positions
from vs_tui.store.folding.vcs_history import begins

_EARLIER_ONES: Final = 5
"""Most deployments before one that are asked for the commits of applications that they had."""
_RULES: Final = "IN ('commit', 'built', 'version', 'hierarchy')"
"""SQL: rules of links that come from a commit or version, of the deployed image or of the message
of the commit that sets it."""
_REVISION: Final = "lower(json_extract(s.attributes, '$.\"vcs.ref.head.revision\"'))"
_NOT_ITS_OWN: Final = (  # a fork or a mirror has the same commits
    "NOT EXISTS (SELECT 1 FROM vcs_commits o WHERE o.project = s.home "
    "AND o.commit_id = c.commit_id)"
)
_NAMED: Final = (
    "WITH RECURSIVE up(deploy, child, key, depth) AS (SELECT child, child, parent, 1 FROM links "
    f"WHERE rule {_RULES} AND child {rows.KEYS} "
    "UNION SELECT up.deploy, up.key, l.parent, depth + 1 FROM up "
    "CROSS JOIN vcs_deploys d ON d.key = up.deploy CROSS JOIN spans s ON s.key = up.key "
    "AND s.operation IN ('push', 'pull_request') "
    f"CROSS JOIN links l ON l.child = up.key AND l.rule {_RULES} "
    "AND (s.project = d.project OR l.rule = 'hierarchy') WHERE depth < 3), "
    "found AS (SELECT DISTINCT up.deploy, up.child, s.*, d.ended_at AS until, d.project AS home "
    "FROM up CROSS JOIN vcs_deploys d ON d.key = up.deploy "
    "CROSS JOIN spans s ON s.key = up.key AND s.project <> d.project) "
    "SELECT s.deploy, s.project, c.commit_id, s.until, (SELECT p.project FROM spans p "
    "WHERE p.key = s.child) FROM found s CROSS JOIN vcs_commits c "
    f"ON c.key = s.key WHERE {_NOT_ITS_OWN} "
    "AND EXISTS (SELECT 1 FROM seeks k WHERE k.key = s.child "
    f"AND length(k.value) >= 7 AND {begins('k.value', 'c')}) "
    "UNION SELECT s.deploy, s.project, c.commit_id, s.until, '' FROM found s "
    f"CROSS JOIN vcs_commits c ON c.project = s.project AND c.commit_id = {_REVISION} "
    f"WHERE s.operation NOT IN ('push', 'pull_request') AND {_NOT_ITS_OWN}"
)
_EARLIER: Final = (
    rows.asked("key")
    + "SELECT d.key, e.key FROM asked a CROSS JOIN vcs_deploys d ON d.key = a.key "
    "CROSS JOIN vcs_deploys e ON e.key IN (SELECT key FROM vcs_deploys f "
    "WHERE f.project = d.project AND f.service = d.service AND f.environment = d.environment "
    f"AND f.started_at < d.started_at AND f.ok = 1 ORDER BY f.started_at DESC "
    f"LIMIT {_EARLIER_ONES})"
)


def applied(
    db: sqlite3.Connection, deploys: Collection[str]
) -> dict[str, list[tuple[str, Contained, bool]]]:
    """Deploy -> (another project of which it deploys a commit, what it ships of it, whether one of
    its commits names the deployed commit of yet another project). The projects are noted, so that
    late changes of theirs are found."""
    reached, setting = _positions(db, deploys)
    asked = [(key,) for key in {key for key, _ in reached}]
    earlier: dict[str, list[str]] = grouped(rows.select_in(db, _EARLIER, asked))
    had, _ = _positions(db, {before for own in earlier.values() for before in own})
    stretches = []
    for (key, project), (branch, at) in reached.items():
        known = [had[b, project] for b in earlier.get(key, ()) if (b, project) in had]
        after = max((at for name, at in known if name == branch), default=at - FIRST_SHIPS)
        stretches.append((key, Stretch(project, branch, after, at)))
    sql = "INSERT OR IGNORE INTO vcs_applications VALUES (?, ?)"
    db.executemany(sql, [(stretch.project, key) for key, stretch in stretches])
    changes = contained(db, [stretch for _, stretch in stretches])
    return grouped(
        (key, (stretch.project, brought, (key, stretch.project) in setting))
        for (key, stretch), brought in zip(stretches, changes, strict=True)
    )


def _positions(
    db: sqlite3.Connection, deploys: Collection[str]
) -> tuple[dict[tuple[str, str], tuple[str, int]], set[tuple[str, str]]]:
    """(deploy, project) -> the newest position there of a commit that it deploys; and those with a
    commit that names one of another project."""
    named, setting = dict[str, Deployed](), set[tuple[str, str]]()
    for key, project, sha, until, by in rows.select_in(db, _NAMED, deploys):
        name = f"{key}\n{project}\n{sha}"
        named[name] = Deployed(name, project, "", sha, 0, until)
        if by and by != project:
            setting.add((key, by))
    found: dict[tuple[str, str], tuple[str, int]] = {}
    for name, (branch, at) in positions(db, list(named.values())).items() if named else ():
        key, project, _ = name.split("\n")
        if at:  # else the commit reached no shared branch
            found[key, project] = max(
                (branch, at), found.get((key, project), ("", 0)), key=itemgetter(1)
            )
    return found, setting
