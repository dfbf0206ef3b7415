"""The checks of `vs-tui doctor` on the metrics: what counts, and what is left out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Final

from vs_tui.cli.common import now
from vs_tui.cli.doctor_checks import Finding
from vs_tui.config import Config

MOST_NAMED: Final = 8


def metrics_findings(config: Config) -> Iterator[Finding]:
    """Environments, rules and teams of the metrics, with the number of spans of each."""
    from vs_tui.store.metrics.coverage import read_coverage
    from vs_tui.store.schema import StoreError

    if not config.db.is_file():
        return
    try:
        coverage = read_coverage(config.db, _filters(config), config.teams, now())
    except (StoreError, sqlite3.DatabaseError):
        return  # the database's own check says why
    yield from _environments(config, coverage.deploys)
    for text, matches in coverage.matched.items():
        status = "ok" if matches else "warn"
        advice = "" if matches else "try the filter with `vs-tui ls`"
        yield Finding(status, "metrics", f"the rule {text!r} matches {matches} spans", advice)
    if coverage.without_team:
        total = sum(coverage.without_team.values())
        yield Finding(
            "warn",
            "teams",
            f"{total} deploys of projects without a team: {_listed(coverage.without_team)}",
            "add the projects to [teams.NAME]; until then they count in `(no team)`",
        )
    for project, names in coverage.shared.items():
        yield Finding(
            "ok",
            "teams",
            f"{project} is listed by {' and '.join(names)}: it counts for each of them",
        )


def _filters(config: Config) -> list[str]:
    """The filters of rules that make further spans count."""
    return [*(rule.filter for rule in config.metrics.deployments), *config.metrics.incidents]


def _environments(config: Config, deploys: Mapping[str, int]) -> Iterator[Finding]:
    """The environments that count."""
    if not deploys:
        return
    counted = {e: n for e, n in deploys.items() if config.environments.is_production(e)}
    others = {e: n for e, n in deploys.items() if e not in counted}
    found = f"production by name: {_listed(counted) or 'no deploy'}"
    if others:
        found += f"; not counted unless the tool says production: {_listed(others)}"
    if counted:
        yield Finding("ok", "environments", found)
    else:
        advice = "[environments] production says which names count"
        yield Finding("warn", "environments", found, advice)


def _listed(counts: Mapping[str, int]) -> str:
    """`NAME N, NAME N and 3 more`, largest first."""
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    shown = ", ".join(f"{name or 'no name'} {n}" for name, n in ordered[:MOST_NAMED])
    more = len(ordered) - MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
