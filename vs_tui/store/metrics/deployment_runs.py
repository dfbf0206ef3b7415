"""Finds the pipeline run and the job that made each deployment."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Final

from vs_tui.metrics.attempts import path_from
from vs_tui.metrics.facts import Deployment
from vs_tui.metrics.failures import ROLLBACK
from vs_tui.model.job_names import is_rollback_name
from vs_tui.store import rows
from vs_tui.store.metrics.counted_spans import attempts_around

_RUN_ABOVE: Final = (
    "WITH RECURSIVE up(start, key, parent, operation, attributes, depth) AS ("
    f"SELECT key, key, parent_key, operation, attributes, 0 FROM spans WHERE key {rows.KEYS} "
    "UNION ALL SELECT up.start, u.key, u.parent_key, u.operation, u.attributes, up.depth + 1 "
    "FROM up JOIN spans u ON u.key = up.parent WHERE up.depth < 6 "
    "AND u.operation IN ('build', 'pipeline', 'stage', 'deploy')) "
    "SELECT start, key, operation, json_extract(attributes, '$.\"cicd.pipeline.task.name\"'), "
    "json_extract(attributes, '$.\"cicd.pipeline.name\"'), "
    "json_extract(attributes, '$.\"cicd.pipeline.run.id\"') "
    "FROM up WHERE depth > 0 OR operation IN ('build', 'pipeline') ORDER BY start, depth"
)


def with_runs(db: sqlite3.Connection, deployments: Sequence[Deployment]) -> list[Deployment]:
    """The deployments with the run and the job above each, unless its sender names the run. A job
    that counts as a deployment is its own job, and a run without one above it its own run.

    A job also names its run, for senders that do not report the run itself (GitLab with only job
    events ticked). A run that is an attempt of another one has the name of the first. A run has the
    name by which a deployment that it made names it, so that a job that counts and the deployment
    that it made are of one run.
    """
    jobs: dict[str, str] = {}
    runs: dict[str, str] = {}
    named: dict[str, str] = {}
    above: dict[str, str] = {}
    told = {d.run for d in deployments}
    numbers: dict[str, str] = {}
    spans = {span for d in deployments for span in d.spans}
    for start, key, operation, task, pipeline, run in rows.select_in(db, _RUN_ABOVE, spans):
        own = f"{pipeline} {run}" if pipeline and run else ""
        numbers.setdefault(start, str(run or ""))
        if operation == "build" and task:
            jobs.setdefault(start, str(task))
        if operation == "pipeline" and key != start:
            # Attempts of a run may be spans of their own.
            runs.setdefault(start, own or key)
            above.setdefault(start, key)
        elif own and (operation == "pipeline" or (operation == "build" and task)):
            named.setdefault(start, own)
    first = _first_runs(db, above.values())
    found = []
    for d in deployments:
        attempts = [first[above[span]] for span in d.spans if above.get(span) in first]
        name, attempt = min(attempts, key=itemgetter(1), default=("", 0))
        run = d.run or name or runs.get(d.span) or named.get(d.span, "")
        same = f"{d.project}#{numbers.get(d.span)}"
        if not d.run and same in told:  # it made a deployment, which names the run
            run, attempt = same, max((n for _, n in attempts), default=1)
        leg = jobs.get(d.span, d.leg)
        marked = ROLLBACK if is_rollback_name(leg) else d.marked
        told_as = replace(d, run=run, leg=leg, run_attempt=d.run_attempt or attempt, marked=marked)
        found.append(told_as if run else d)
    return found


def _first_runs(db: sqlite3.Connection, runs: Collection[str]) -> dict[str, tuple[str, int]]:
    """Run that is one of several attempts -> (name of the first one, number of the attempt)."""
    earlier = dict(attempts_around(db, runs))
    tried = {*earlier, *earlier.values()}.intersection(runs)
    paths = {run: path_from(run, earlier) for run in tried}
    named = {
        key: f"{pipeline} {run}"
        for _, key, operation, _, pipeline, run in rows.select_in(
            db, _RUN_ABOVE, {path[-1] for path in paths.values()}
        )
        if operation == "pipeline" and pipeline and run
    }
    return {run: (named.get(path[-1], path[-1]), len(path)) for run, path in paths.items()}
