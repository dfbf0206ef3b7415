"""What is behind a number: its deployments, changes or episodes, its spread and its stages."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Final

from vs_tui.domain.instants import Instant
from vs_tui.domain.metrics.assessment import Assessed
from vs_tui.domain.metrics.dora import METRICS, measure
from vs_tui.domain.metrics.failures import Episode
from vs_tui.domain.metrics.ledger import UNKNOWN, Ledger
from vs_tui.domain.metrics.report import (
    WEEKDAYS,
    Behind,
    Detail,
    explain_stages,
    histogram,
)
from vs_tui.domain.metrics.windows import Window, day_of
from vs_tui.store import metrics_pages as pages
from vs_tui.store import rows
from vs_tui.store.metrics import team_ledger
from vs_tui.store.metrics_rows import verdict_of

MAX_BEHIND: Final = 500
_KEYS: Final = "IN (SELECT value FROM json_each(?))"


def read_detail(db: sqlite3.Connection, window: Window, team: str, metric: str) -> Detail:
    """One metric of one team (`` is all). ValueError names the metrics."""
    if metric not in METRICS:
        raise ValueError(f"'{metric}' is no metric; use one of {', '.join(METRICS)}")
    ledger = team_ledger(db, window, team, pages.STAGE_TIMES if metric == "lead" else ())
    figure = measure(ledger, window)[metric]
    stages, slowest, slower = explain_stages(ledger, window) if metric == "lead" else ([], "", [])
    behind = _behind(db, window, team, metric)
    return Detail(
        team=team,
        figure=figure,
        window=window,
        distribution=_distribution(metric, ledger, window, behind),
        stages=stages,
        bottleneck=slowest,
        regressions=slower,
        behind=behind[:MAX_BEHIND],
        of=_count(metric, ledger, window),
        marks=_marks(behind),
    )


def _count(metric: str, ledger: Ledger, window: Window) -> int:
    if metric == "lead":
        start, stop = window.contained(ledger.shipped_at)
        return stop - start
    if metric == "restore":
        start, stop = window.contained(ledger.broke_at)
        return stop - start
    start, stop = window.contained(ledger.ended)
    hits = {"fail": ledger.failed, "rework": ledger.rework}.get(metric)
    return stop - start if hits is None else hits.count(1, start, stop)


def _marks(behind: Sequence[Behind]) -> dict[str, int]:
    return dict(Counter(entry.note for entry in behind if entry.note).most_common(6))


def _distribution(
    metric: str, ledger: Ledger, window: Window, behind: Sequence[Behind]
) -> list[tuple[str, int]]:
    if metric == "lead":
        start, stop = window.contained(ledger.shipped_at)
        return histogram(metric, [int(v) for v in ledger.lead[start:stop] if v != UNKNOWN])
    if metric == "restore":
        start, stop = window.contained(ledger.broke_at)
        pairs = zip(ledger.began[start:stop], ledger.cleared[start:stop], strict=True)
        return histogram(metric, [b - a for a, b in pairs if b != UNKNOWN])
    start, stop = window.contained(ledger.ended)
    moments = ledger.ended[start:stop] if metric == "deploys" else [entry.at for entry in behind]
    counts = Counter(day_of(at, window.zone).weekday() for at in moments)
    return [(name, counts[number]) for number, name in enumerate(WEEKDAYS)]


_WHICH: Final = {
    "deploys": "",
    "lead": "AND d.outcome = 'ok'",
    "fail": "AND d.failed = 1",
    "restore": "AND d.failed = 1",
    "rework": "AND d.rework = 1",
}


def _behind(db: sqlite3.Connection, window: Window, team: str, metric: str) -> list[Behind]:
    own = [number for number, place in pages.places(db).items() if team in ("", place.team)]
    sql = (
        "SELECT d.key, d.verdict FROM dora_deployments d WHERE d.ended_at >= ? "
        "AND d.ended_at < ? AND d.unit <> 1 AND d.outcome IN ('ok', 'failed') "
        f"{_WHICH[metric]} AND d.place {_KEYS} ORDER BY d.ended_at DESC, d.key LIMIT ?"
    )
    bound = (window.since, window.until, rows.as_json(own), MAX_BEHIND)
    verdicts = {key: verdict_of(text) for key, text in db.execute(sql, bound)}
    if metric == "lead":
        found = _changes(db, verdicts)
        return sorted(found, key=lambda entry: -(entry.value or -1))
    if metric == "restore":
        episodes = [_episode(v, e, window.end) for v in verdicts.values() for e in v.episodes]
        return sorted(episodes, key=lambda entry: (entry.result != "open", -(entry.value or 0)))
    return [_deployment(verdict, metric) for verdict in verdicts.values()]


_WORDS: Final = {"deploy": "deploy failed", "test": "test failed", "incident": "incident"}


def _reasons(verdict: Assessed) -> str:
    return ", ".join(_WORDS[reason] for reason in verdict.reasons)


def _deployment(verdict: Assessed, metric: str) -> Behind:
    found = verdict.deployment
    note = verdict.rework if metric == "rework" else _reasons(verdict)
    return Behind(
        at=found.ended_at,
        trace_id=found.trace_id,
        key=found.key,
        title=found.name,
        service=found.service,
        version=found.version or found.commit[:8],
        result="failed" if verdict.failed else "ok",
        value=found.duration,
        note=note or verdict.rework,
    )


def _episode(verdict: Assessed, episode: Episode, now: Instant) -> Behind:
    found = verdict.deployment
    lasting = episode.ended_at is None
    return Behind(
        at=found.ended_at,
        trace_id=found.trace_id,
        key=found.key,
        title=found.name,
        service=found.service,
        version=found.version or found.commit[:8],
        result="open" if lasting else "ok",
        value=max(now - episode.started_at, 0) if lasting else episode.duration,
        note=_reasons(verdict),
    )


def _changes(db: sqlite3.Connection, verdicts: dict[str, Assessed]) -> list[Behind]:
    """The changes that count in these deployments."""
    sql = (
        f"SELECT deployment, change FROM dora_changes WHERE first & {pages.FIRST_OF_ALL} "
        f"AND deployment {_KEYS}"
    )
    counted = set(rows.select_in(db, sql, verdicts))
    return [
        Behind(
            at=verdict.deployment.ended_at,
            trace_id=verdict.deployment.trace_id,
            key=shipped.change.key,
            title=shipped.change.title or shipped.change.key,
            service=verdict.deployment.service,
            version=verdict.deployment.version or verdict.deployment.commit[:8],
            result="ok",
            value=shipped.lead,
            note=f"from {shipped.basis.value}" if shipped.basis else "begin not known",
        )
        for verdict in verdicts.values()
        for shipped in verdict.shipped
        if (verdict.deployment.key, shipped.change.key) in counted
    ]
