"""What is behind a number: its deployments, changes or episodes, its spread and its stages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from vs_tui.metrics.columns import UNKNOWN
from vs_tui.metrics.dora import METRICS, as_known, measure, recoveries
from vs_tui.metrics.facts import Kind
from vs_tui.metrics.ledger import NO_TEAM, Group, Ledger, bit_of
from vs_tui.metrics.report import (
    WEEKDAYS,
    Behind,
    Detail,
    explain_stages,
    histogram,
)
from vs_tui.metrics.statistics import Runs
from vs_tui.metrics.windows import Window
from vs_tui.model.time import Duration, Instant
from vs_tui.store import rows
from vs_tui.store.metrics import compared, group_of, team_ledger
from vs_tui.store.metrics_members import places

MAX_BEHIND: Final = 250
_Verdict = Mapping[str, Any]
"""As `verdict_text` wrote it: a list takes little of it, and there may be much."""
_KEYS: Final = "IN (SELECT value FROM json_each(?))"


def read_detail(db: sqlite3.Connection, window: Window, team: str, metric: str) -> Detail:
    """One metric of one team (`` is all). ValueError names the metrics."""
    if metric not in METRICS:
        raise ValueError(f"'{metric}' is no metric; use one of {', '.join(METRICS)}")
    ledger = team_ledger(db, window, team, stages=metric == "lead")
    figure = measure(ledger, window, only=(metric,), **compared(db, window, team))[metric]
    stages, slowest, slower = explain_stages(ledger, window) if metric == "lead" else ([], "", [])
    own = [
        number
        for number, place in places(db).items()
        if not team or team in (place.team or NO_TEAM).split("\n")
    ]
    return Detail(
        team=team,
        figure=figure,
        window=window,
        distribution=_distribution(metric, ledger, window),
        stages=stages,
        bottleneck=slowest,
        regressions=slower,
        behind=_LONGEST[metric](db, ledger, window, group_of(team))
        if metric in _LONGEST
        else _behind(db, window, own, metric),
        of=figure.n + figure.open + figure.unknown,
        marks=_marks(db, window, own, metric),
    )


def _marks(
    db: sqlite3.Connection, window: Window, places: Sequence[int], metric: str
) -> dict[str, int]:
    """Why deployments failed, or repaired -> how many."""
    flag, column, index = (
        ("rework", "repair", "repairs") if metric == "rework" else ("failed", "reasons", "failed")
    )
    if metric not in ("fail", "restore", "rework"):
        return {}
    sql = (
        f"SELECT {column}, COUNT(*) FROM dora_deployments INDEXED BY dora_deployments_{index} "
        f"WHERE {flag} = 1 AND unit <> 1 "
        f"AND ended_at >= ? AND ended_at < ? AND place {_KEYS} GROUP BY 1 ORDER BY 2 DESC LIMIT 6"
    )
    found = db.execute(sql, (window.since, window.until, rows.as_json(places)))
    return {text if metric == "rework" else _said(text.split(",")): n for text, n in found}


def _distribution(metric: str, ledger: Ledger, window: Window) -> list[tuple[str, int]]:
    if metric == "lead":
        return histogram(metric, ledger.changes.spread("lead", window.since, window.until))
    if metric == "restore":
        start, stop = window.contained(ledger.episodes.column("at"))
        took = recoveries(ledger.episodes, start, stop, window.end)
        return histogram(metric, Runs([sorted(value for value in took if value != UNKNOWN)]))
    column = {"deploys": "ok", "fail": "failed", "rework": "rework"}[metric]
    hits = as_known(ledger, window.now).deployments.column(column)
    counts = [0] * len(WEEKDAYS)
    for day, start, stop in window.day_slices(ledger.deployments.column("at")):
        counts[day.weekday()] += hits.count(1, start, stop)
    return list(zip(WEEKDAYS, counts, strict=True))


_SEEN: Final = (
    "EXISTS (SELECT 1 FROM dora_episodes e WHERE e.deployment = d.key AND e.started_at <= :now)"
)
"""Failures that could be seen at the moment that is looked back to."""
_COUNTED: Final = {
    "deploys": ("outcome = 'ok'",),
    "fail": (
        f"failed = 1 AND {_SEEN}",
        f"outcome IN ('ok', 'failed') AND NOT (failed = 1 AND {_SEEN})",
    ),
    "rework": ("rework = 1", "rework = 0 AND outcome IN ('ok', 'failed')"),
}
"""What a metric stands on: what it is about first, then the others that it counts."""


def _behind(
    db: sqlite3.Connection, window: Window, places: Sequence[int], metric: str
) -> list[Behind]:
    bound = {
        "since": window.since,
        "until": window.until,
        "now": window.now,
        "places": rows.as_json(places),
    }
    found: list[Behind] = []
    for condition in _COUNTED[metric]:
        sql = (
            f"SELECT verdict FROM dora_deployments d WHERE {condition} AND unit <> 1 "
            "AND ended_at >= :since AND ended_at < :until "
            "AND place IN (SELECT value FROM json_each(:places)) "
            "ORDER BY ended_at DESC, key LIMIT :most"
        )
        texts = db.execute(sql, {**bound, "most": MAX_BEHIND - len(found)})
        found += [_deployment(orjson.loads(text), metric, window.now) for (text,) in texts]
    return found


_WORDS: Final = {
    "deploy": "deploy failed",
    "test": "test failed",
    "incident": "incident",
    "rollback": "rolled back",
    "revert": "reverted",
}


def _said(reasons: Iterable[str]) -> str:
    return ", ".join(_WORDS[reason] for reason in reasons)


def _shown(
    verdict: _Verdict,
    *,
    key: str = "",
    title: str = "",
    result: str,
    value: Duration | None,
    note: str,
) -> Behind:
    """A line about a deployment, or about something of it."""
    found = verdict["deployment"]
    return Behind(
        at=found["ended_at"],
        trace_id=found["trace_id"],
        key=key or found["run_of"] or found["key"],
        title=title or found["name"],
        service=found["service"],
        version=found["version"] or found["commit"][:8],
        result=result,
        value=value,
        note=note,
    )


def _deployment(verdict: _Verdict, metric: str, now: Instant) -> Behind:
    """A frequency counts what succeeded by its own result, whatever was seen of it later."""
    found, repair = verdict["deployment"], verdict["rework"]
    reasons = dict.fromkeys(s["kind"] for s in verdict["signals"] if s["started_at"] <= now)
    note = repair if metric == "rework" else _said(reasons)
    return _shown(
        verdict,
        result="failed" if reasons and metric != "deploys" else "ok",
        value=max(found["ended_at"] - found["started_at"], 0),
        note=note or repair,
    )


def _episodes(db: sqlite3.Connection, ledger: Ledger, window: Window, _: Group) -> list[Behind]:
    """The open ones, then the longest."""
    episodes, now = ledger.episodes, window.end
    start, stop = window.contained(episodes.column("at"))
    ids, began = episodes.column("id")[start:stop], episodes.column("began")[start:stop]
    took = recoveries(episodes, start, stop, now)
    seen = [entry for entry in zip(took, began, ids, strict=True) if entry[1] <= now]
    # A duration of UNKNOWN is one that lasts: those come first, the oldest of them before others.
    shown = sorted(seen, key=lambda e: (e[0] != UNKNOWN, e[1] if e[0] == UNKNOWN else -e[0]))
    shown = shown[:MAX_BEHIND]
    sql = f"SELECT id, verdict FROM dora_deployments WHERE id {_KEYS}"
    verdicts = dict(rows.select_in(db, sql, {id_ for _, _, id_ in shown}))
    return [_episode(orjson.loads(verdicts[id_]), at, duration, now) for duration, at, id_ in shown]


def _episode(verdict: _Verdict, began: Instant, took: Duration, now: Instant) -> Behind:
    lasts = took == UNKNOWN
    return _shown(
        verdict,
        result="open" if lasts else "ok",
        value=max(now - began, 0) if lasts else took,
        note=_said(dict.fromkeys(signal["kind"] for signal in verdict["signals"])),
    )


def _changes(db: sqlite3.Connection, ledger: Ledger, window: Window, group: Group) -> list[Behind]:
    """Those that took longest, of all that count in the window."""
    ids = ledger.changes.greatest("lead", MAX_BEHIND, window.since, window.until)
    sql = (
        "SELECT d.verdict, c.change, c.lead FROM dora_deployments d CROSS JOIN dora_changes c "
        f"ON c.deployment = d.key WHERE c.first & {bit_of(group)} AND d.id {_KEYS} "
        f"ORDER BY c.lead DESC, c.at DESC, c.change LIMIT {MAX_BEHIND}"
    )
    found = rows.select_in(db, sql, dict.fromkeys(ids))
    return [_change(orjson.loads(text), change, lead) for text, change, lead in found]


def _change(verdict: _Verdict, key: str, lead: Duration) -> Behind:
    shipped = next(each for each in verdict["shipped"] if each["change"]["key"] == key)
    is_span = shipped["change"]["kind"] == Kind.PULL_REQUEST
    return _shown(
        verdict,
        key=key if is_span else "",
        title=shipped["change"]["title"] or key,
        result="ok",
        value=None if lead == UNKNOWN else lead,
        note=f"from {shipped['basis']}" if shipped["basis"] else "begin not known",
    )


_LONGEST: Final = {"lead": _changes, "restore": _episodes}
"""What is shown by how long it took, not by when it was."""
