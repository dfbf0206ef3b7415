"""Reads the details of a number: its deployments, changes or failures, its distribution and its
stages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from vs_tui.metrics import texts
from vs_tui.metrics.counted import Recovery
from vs_tui.metrics.definitions import METRICS, Metric, Rows, Unit
from vs_tui.metrics.facts import Kind
from vs_tui.metrics.lead_time import STAGES, bottleneck, breakdown, regressions
from vs_tui.metrics.report import Detail, MetricRow, distribution, measure
from vs_tui.metrics.windows import Window
from vs_tui.model.grouping import grouped
from vs_tui.model.time import Duration
from vs_tui.store import rows
from vs_tui.store.metrics.judged_rows import STAGE_COLUMNS
from vs_tui.store.metrics.scorecards import OF_WINDOW, SHIPPED, Bound, Groups, group_of

MAX_BEHIND: Final = 250


def read_detail(db: sqlite3.Connection, window: Window, team: str, metric: str) -> Detail:
    """The details of one metric for one team (empty for all). The ValueError names the metrics."""
    if metric not in METRICS:
        raise ValueError(f"'{metric}' is no metric; use one of {', '.join(METRICS)}")
    definition = METRICS[metric]
    read, group = Groups(db), group_of(team)
    counted, bound = read.counted(window, group), read.bound(window, group)
    figure = measure(counted, window, read.before(window, group), only=(metric,))[metric]
    stages = _stages(db, bound) if definition.rows is Rows.CHANGES else {}
    before = {**bound, "since": window.previous.since, "until": window.previous.until}
    times = breakdown(stages) if stages else []
    if definition.rows is Rows.CHANGES:
        behind = _changes(db, bound)
    elif definition.rows is Rows.FAILURES:
        behind = _failures(db, counted.recoveries, window)
    else:
        behind = _deployments(db, bound, definition)
    return Detail(
        team=team,
        figure=figure,
        window=window,
        distribution=distribution(definition, counted, window),
        stages=times,
        bottleneck=bottleneck(times),
        regressions=regressions(stages, _stages(db, before)) if stages else (),
        behind=behind,
        of=figure.n + figure.open + figure.unknown,
        marks=_marks(db, bound, definition),
    )


def _stages(db: sqlite3.Connection, bound: Bound) -> dict[str, list[Duration]]:
    """Stage -> its sorted durations, over the changes shipped in a window."""
    sql = f"SELECT {', '.join(STAGE_COLUMNS)} FROM dora_changes c WHERE {SHIPPED}"
    found = db.execute(sql, bound).fetchall()
    return {
        stage: sorted([row[n] for row in found if row[n] is not None])
        for n, stage in enumerate(STAGES)
    }


def _marks(db: sqlite3.Connection, bound: Bound, metric: Metric) -> dict[str, int]:
    """Reason of a failure, or kind of repair -> number of deployments."""
    if metric.unit is not Unit.SHARE and metric.rows is not Rows.FAILURES:
        return {}
    sql = (
        f"SELECT {metric.note}, COUNT(*) FROM dora_deployments WHERE {OF_WINDOW} "
        f"AND {metric.note} <> '' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 6"
    )
    return {_said(text.split(",")): n for text, n in db.execute(sql, bound)}


_ROW: Final = (
    "d.ended_at, d.trace_id, {}, {}, d.service, "
    "CASE WHEN d.version = d.commit_id THEN substr(d.version, 1, 8) ELSE d.version END"
)
"""SQL: the first columns of a row, with its key and its title."""
_DEPLOYMENT: Final = _ROW.format("d.span", "d.name")
_CHANGE: Final = _ROW.format(
    f"CASE c.kind WHEN '{Kind.PULL_REQUEST}' THEN c.change ELSE d.span END",
    "CASE c.title WHEN '' THEN c.change ELSE c.title END",
)


def _deployments(db: sqlite3.Connection, bound: Bound, metric: Metric) -> list[MetricRow]:
    """The deployments of a metric, latest first. A frequency counts a success by its own result,
    whatever failed later."""
    sql = (
        f"SELECT {_DEPLOYMENT}, d.key, NULLIF(MAX(d.ended_at - d.started_at, 0), 0), d.repair, "
        f"{metric.first} AS first FROM dora_deployments d WHERE {OF_WINDOW} "
        f"AND {metric.counts} ORDER BY first DESC, ended_at DESC, key LIMIT {MAX_BEHIND}"
    )
    found = db.execute(sql, bound).fetchall()
    sql = (
        "SELECT deployment, kind FROM dora_signals WHERE started_at <= ? "
        f"AND deployment {rows.KEYS} ORDER BY started_at, kind, key"
    )
    listed = rows.as_json(row[-4] for row in found)
    reasons: dict[str, list[str]] = grouped(db.execute(sql, (bound["now"], listed)))
    lines = []
    for *row, key, took, repair, first in found:
        seen = dict.fromkeys(reasons.get(key, ()))
        said = {"reasons": _said(seen) or repair, "repair": repair}
        note = said[metric.note] if metric.note in said else metric.note.format(first=first)
        failed = seen and "= 'ok'" not in metric.counts
        lines.append(MetricRow._make((*row, "failed" if failed else "ok", took, note, "")))
    return lines


_WORDS: Final = {
    "deploy": "deploy failed",
    "test": "test failed",
    "incident": "incident",
    "rollback": "rolled back",
}


def _said(reasons: Iterable[str]) -> str:
    """Reasons of a failure, or why a deployment is a repair, in words."""
    return ", ".join(_WORDS.get(reason, reason) for reason in reasons)


def _failures(
    db: sqlite3.Connection, recoveries: Iterable[Recovery], window: Window
) -> list[MetricRow]:
    """The failures in the window: open ones first, then the longest."""
    now = window.now
    seen = [failure for failure in recoveries if failure.at in window and failure.began <= now]

    def rank(failure: Recovery) -> tuple[bool, Duration]:
        """Whether it is over, and how long it has lasted, negative."""
        took = failure.took(now)
        return (took is not None, -max(window.end - failure.began, 0) if took is None else -took)

    shown = sorted(seen, key=rank)[:MAX_BEHIND]
    sql = f"SELECT d.key, d.reasons, {_DEPLOYMENT} FROM dora_deployments d WHERE key {rows.KEYS}"
    found = rows.select_in(db, sql, {failure.deployment for failure in shown})
    deployments = {key: (row, _said(reasons.split(","))) for key, reasons, *row in found}
    lines = []
    for failure in shown:
        (row, reasons), (over, lasted) = deployments[failure.deployment], rank(failure)
        lines.append(MetricRow._make((*row, "ok" if over else "open", -lasted, reasons, "")))
    return lines


def _changes(db: sqlite3.Connection, bound: Bound) -> list[MetricRow]:
    """The changes in the window with the longest lead times."""
    stages = ", ".join(f"c.{name}" for name in STAGE_COLUMNS)
    sql = (
        f"SELECT {_CHANGE}, 'ok', c.lead, "
        f"CASE c.basis WHEN '' THEN 'begin not known' ELSE 'from ' || c.basis END, {stages} "
        f"FROM (SELECT * FROM dora_changes c WHERE {SHIPPED} "
        f"ORDER BY lead DESC, at DESC, change LIMIT {MAX_BEHIND}) "
        "c CROSS JOIN dora_deployments d ON d.key = c.deployment "
        "ORDER BY c.lead DESC, c.at DESC, c.change"
    )
    n = len(STAGES)
    found = db.execute(sql, bound)
    return [MetricRow._make((*row[:-n], _longest(row[-n:]))) for row in found]


def _longest(durations: Sequence[Duration | None]) -> str:
    """The longest stage with its duration, as text."""
    known = [(took, stage) for took, stage in zip(durations, STAGES, strict=True) if took]
    took, stage = max(known, default=(0, ""))
    return f"{stage} {texts.brief(took)}" if stage else ""
