"""Finds spans whose tool does not report their end: jobs of ended runs, and timeouts.

Some tools end a run and never report the end of its jobs. Such a job is cancelled at the end of its
run; later events about it count as before. Events of scripts (`customhttp`) are left alone, because
a script's background work may end after it. A deploy is cancelled only if its parent was cancelled;
otherwise only its own end event decides how it ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Rule, State
from vs_tui.store import rows
from vs_tui.store.folding.span_folding import Change, Context, refold
from vs_tui.store.folding.stored_events import EventCache
from vs_tui.traces.folding import WAITING_LIMIT

_RUN: Final = frozenset({"pipeline", "build"})
_JOB: Final = frozenset({"build", "test", "stage", "deploy"})
_RULES: Final = (Rule.STRUCTURE.value, Rule.EXPLICIT.value, Rule.TRACEPARENT.value)
_JOBS: Final = f"""
SELECT c.key, c.status, c.ended_at, p.ended_at,
    p.status IN ('ok', 'error', 'cancelled') AND p.ended_at IS NOT NULL
        AND MAX(COALESCE(c.stage_at, 0), COALESCE(c.started_at, 0)) <= p.ended_at
        AND (c.operation <> 'deploy' OR p.status = 'cancelled')
FROM spans c JOIN spans p ON p.key = c.parent_key
JOIN links l ON l.child = c.key AND l.parent = p.key AND l.rule IN {_RULES}
WHERE c.derived = 0 AND c.parent_key <> '' AND c.state < {int(State.OK)} AND c.source = p.source
    AND c.source <> 'customhttp'
    AND c.operation IN ('build', 'test', 'stage', 'deploy') AND p.operation IN ('pipeline', 'build')
    AND (c.operation <> 'deploy' OR l.rule = 'structure')
    AND c.{{}} IN (SELECT value FROM json_each(?))
"""


def end_with_parents(
    connection: sqlite3.Connection, changes: Sequence[Change], context: Context, cache: EventCache
) -> list[Change]:
    """Cancel the jobs whose run has ended, and reopen those whose run goes on. Returns their
    changes. The result depends only on the spans, not on their order of arrival."""
    wanted = _wanted(connection, changes)
    if not wanted:
        return []
    return refold(connection, wanted, replace(context, ended_with_parent=wanted), cache)


def _wanted(connection: sqlite3.Connection, changes: Sequence[Change]) -> dict[str, Instant | None]:
    """Jobs whose state does not fit their run -> the time at which they end, or None to reopen
    them."""
    spans = [change.new for change in changes if change.new.source != "customhttp"]
    runs = [span.key for span in spans if span.operation in _RUN]
    jobs = [span.key for span in spans if span.operation in _JOB and not span.state.terminal]
    found: list[tuple[str, str, Instant | None, Instant, int]] = []
    for column, keys in (("parent_key", runs), ("key", jobs)):
        if keys:
            found += rows.select_in(connection, _JOBS.format(column), keys)
    return {
        key: run_ended if over else None
        for key, status, ended, run_ended, over in found
        if (status != "cancelled" or ended != run_ended if over else status == "cancelled")
    }


def due_timeouts(
    connection: sqlite3.Connection, timeouts: dict[str, int], now: Instant
) -> list[str]:
    """Keys of spans in flight whose timeout has passed, and of spans that were timed out too early
    by a wrong clock."""
    due: list[str] = []
    for operation, limit in timeouts.items():
        sql = (
            "SELECT key FROM spans WHERE status = 'in_flight' AND derived = 0 AND operation = ?1 "
            "AND started_at <= ?2 AND MAX(started_at, COALESCE(stage_at, 0)) "
            "<= CASE state WHEN ?3 THEN ?4 ELSE ?2 END LIMIT 1000"
        )
        before, long_before = now - limit, now - max(limit, WAITING_LIMIT)
        values = (operation, before, int(State.WAITING), long_before)
        due.extend(key for (key,) in connection.execute(sql, values))
    # These timed out by a wrong clock; a rebuild would show them in flight.
    sql = (
        "SELECT key FROM spans WHERE status IN ('error', 'timed_out') AND derived = 0 "
        "AND ended_at > ? AND status = 'timed_out' LIMIT 1000"
    )
    due.extend(key for (key,) in connection.execute(sql, (now,)))
    return due
