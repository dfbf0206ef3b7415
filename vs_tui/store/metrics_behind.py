"""What is behind a number: its deployments, changes or episodes, its spread and its stages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Final

from vs_tui.domain.instants import Instant
from vs_tui.domain.metrics.assessment import Assessed
from vs_tui.domain.metrics.columns import UNKNOWN
from vs_tui.domain.metrics.dora import METRICS, as_known, measure, recoveries
from vs_tui.domain.metrics.facts import Kind
from vs_tui.domain.metrics.failures import Episode
from vs_tui.domain.metrics.ledger import Group, Ledger, bit_of
from vs_tui.domain.metrics.report import (
    WEEKDAYS,
    Behind,
    Detail,
    explain_stages,
    histogram,
)
from vs_tui.domain.metrics.statistics import Runs
from vs_tui.domain.metrics.windows import Window
from vs_tui.store import rows
from vs_tui.store.metrics import compared, group_of, team_ledger
from vs_tui.store.metrics_members import places
from vs_tui.store.metrics_rows import verdict_of

MAX_BEHIND: Final = 250
_KEYS: Final = "IN (SELECT value FROM json_each(?))"


def read_detail(db: sqlite3.Connection, window: Window, team: str, metric: str) -> Detail:
    """One metric of one team (`` is all). ValueError names the metrics."""
    if metric not in METRICS:
        raise ValueError(f"'{metric}' is no metric; use one of {', '.join(METRICS)}")
    ledger = team_ledger(db, window, team, stages=metric == "lead")
    figure = measure(ledger, window, only=(metric,), **compared(db, window, team))[metric]
    stages, slowest, slower = explain_stages(ledger, window) if metric == "lead" else ([], "", [])
    own = [number for number, place in places(db).items() if team in ("", place.team)]
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
        found += [_deployment(verdict_of(text), metric, window.now) for (text,) in texts]
    return found


_WORDS: Final = {"deploy": "deploy failed", "test": "test failed", "incident": "incident"}


def _said(reasons: Iterable[str]) -> str:
    return ", ".join(_WORDS[reason] for reason in reasons)


def _deployment(verdict: Assessed, metric: str, now: Instant) -> Behind:
    """A frequency counts what succeeded by its own result, whatever was seen of it later."""
    found = verdict.deployment
    reasons = dict.fromkeys(s.kind for s in verdict.signals if s.started_at <= now)
    note = verdict.rework if metric == "rework" else _said(reasons)
    failed = bool(reasons) and metric != "deploys"
    return Behind(
        at=found.ended_at,
        trace_id=found.trace_id,
        key=found.span,
        title=found.name,
        service=found.service,
        version=found.version or found.commit[:8],
        result="failed" if failed else "ok",
        value=found.duration,
        note=note or verdict.rework,
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
    return [
        _episode(
            verdict_of(verdicts[id_]),
            Episode(at, None if duration == UNKNOWN else at + duration),
            now,
        )
        for duration, at, id_ in shown
    ]


def _episode(verdict: Assessed, episode: Episode, now: Instant) -> Behind:
    found = verdict.deployment
    lasting = episode.ended_at is None
    return Behind(
        at=found.ended_at,
        trace_id=found.trace_id,
        key=found.span,
        title=found.name,
        service=found.service,
        version=found.version or found.commit[:8],
        result="open" if lasting else "ok",
        value=max(now - episode.started_at, 0) if lasting else episode.duration,
        note=_said(verdict.reasons),
    )


def _changes(db: sqlite3.Connection, ledger: Ledger, window: Window, group: Group) -> list[Behind]:
    """Those that took longest, of all that count in the window."""
    changes = ledger.changes
    start, stop = window.contained(changes.column("at"))
    least = changes.spread("lead", window.since, window.until).greatest(MAX_BEHIND)
    ids, leads = changes.column("id")[start:stop], changes.column("lead")[start:stop]
    if least is not None:
        ids = list(compress(ids, [lead >= least for lead in leads]))
    sql = (
        "SELECT d.verdict, c.change FROM dora_deployments d CROSS JOIN dora_changes c "
        f"ON c.deployment = d.key WHERE c.first & {bit_of(group)} AND d.id {_KEYS} "
        f"ORDER BY c.lead DESC, c.at DESC, c.change LIMIT {MAX_BEHIND}"
    )
    found = rows.select_in(db, sql, dict.fromkeys(ids))
    return [_change(verdict_of(text), change) for text, change in found]


def _change(verdict: Assessed, change: str) -> Behind:
    found = verdict.deployment
    shipped = next(entry for entry in verdict.shipped if entry.change.key == change)
    is_span = shipped.change.kind is Kind.PULL_REQUEST
    return Behind(
        at=found.ended_at,
        trace_id=found.trace_id,
        key=shipped.change.key if is_span else found.span,
        title=shipped.change.title or shipped.change.key,
        service=found.service,
        version=found.version or found.commit[:8],
        result="ok",
        value=shipped.lead,
        note=f"from {shipped.basis.value}" if shipped.basis else "begin not known",
    )


_LONGEST: Final = {"lead": _changes, "restore": _episodes}
"""What is shown by how long it took, not by when it was."""
