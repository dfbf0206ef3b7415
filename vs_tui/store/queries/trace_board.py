"""The traces that are open or ended lately, updated from the change feed.

Only traces with a change are read and judged again, so a second with fifty events costs as much as
the traces of these events.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from vs_tui.model.limits import DEFAULT_THRESHOLDS, Thresholds
from vs_tui.model.teams import Environments, People
from vs_tui.model.time import MINUTE, SECOND, Duration, Instant
from vs_tui.model.vocabulary import Rule, Span, Status, all_as_of
from vs_tui.store import rows
from vs_tui.store.queries.read_traces import read_histories
from vs_tui.store.queries.span_search import current_seq, follows
from vs_tui.traces.board import Board, Member, board
from vs_tui.traces.correlation import NAMED
from vs_tui.traces.standing import Custom, Standing, Surroundings, Waits, custom_of, standing
from vs_tui.traces.trace_facts import MACHINES, is_incident

MOST: Final = 5_000
"""Most traces that are read."""
_SHIPPED: Final = 50
"""Most deploys of other traces that are read for one change."""
_FAILED: Final = 300
"""Most traces that are read because their last run failed, with nothing in flight."""
_PAST: Final = 10
"""Number of finished changes of a project from which the expectations for the next one come."""
_HISTORY_AGE: Final = MINUTE
_CUSTOM_AGE: Final = 10 * MINUTE
_AGAIN: Final = 10 * SECOND
"""Interval of the check whether a machine became silent."""
_AFRESH: Final = MINUTE
"""Interval after which everything is read again, because pruning does not appear in the change
feed."""
_MANY_CHANGED: Final = 2_000
_NAMING: Final = 50
"""Most traces that name open incidents, of those begun last."""
_CERTAIN: Final = NAMED | {Rule.VERSION, Rule.COMMIT, Rule.BUILT}
"""Rules by which an incident names a deploy; others go by time."""
_LISTED: Final = "derived = 0 AND operation <> 'stage'"


@dataclass(slots=True)
class _Trace:
    spans: list[Span]
    row: Standing
    judged_at: Instant


@dataclass(slots=True)
class TraceBoard:
    """The board's data; use it with one connection on one thread."""

    environments: Environments = field(default_factory=Environments)
    thresholds: Thresholds = DEFAULT_THRESHOLDS
    people: People = field(default_factory=People)
    _traces: dict[str, _Trace] = field(default_factory=dict)
    _trace_of: dict[str, str] = field(default_factory=dict)
    """Span key -> the trace with which it was read."""
    _seq: int = -1
    _read_at: Instant = 0
    _usual: dict[str, Waits | None] = field(default_factory=dict)
    _usual_at: Instant = 0
    _custom: dict[str, tuple[Instant, Custom]] = field(default_factory=dict)
    _around: dict[str, Surroundings] = field(default_factory=dict)
    """Key of an open incident -> what other traces have to do with it, when it was read last."""

    def board(
        self,
        db: sqlite3.Connection,
        text: str,
        now: Instant,
        at: Instant | None = None,
        finished_for: Duration | None = None,
        team: str = "",
    ) -> Board:
        """The traces that match a filter, now or as of a past moment. ValueError if the text is not
        a filter. With a team, spans of other teams are ignored."""
        finished_for = self.thresholds.finished_for if finished_for is None else finished_for
        if at is None:
            self._refresh(db, now, finished_for)
            members: list[Member] = [(t.row, t.spans) for t in self._traces.values()]
        else:
            now, members = at, self._past(db, at, finished_for)
        if team:
            members = [
                (self._judge(db, row.trace_id, own, now, team), own)
                for row, spans in members
                if (own := [span for span in spans if span.team == team])
            ]
        return board(members, text, now, finished_for=finished_for)

    def rows_of(
        self, db: sqlite3.Connection, trace_ids: Sequence[str], now: Instant, team: str = ""
    ) -> dict[str, Standing]:
        """Trace id -> standing, for open and for long finished traces; with a team as `board`."""
        by_trace = _spans_of(db, trace_ids)
        if team:
            own = {k: [s for s in spans if s.team == team] for k, spans in by_trace.items()}
            by_trace = {key: spans for key, spans in own.items() if spans}
        self._learn(db, (s for spans in by_trace.values() for s in spans), now)
        self._look_around(db, by_trace)
        return {key: self._judge(db, key, spans, now, team) for key, spans in by_trace.items()}

    def _refresh(self, db: sqlite3.Connection, now: Instant, finished_for: Duration) -> None:
        seq = current_seq(db)
        changed: set[str] | None = None
        if 0 <= now - self._read_at < max(_AFRESH, 0) and follows(db, self._seq, seq):
            changed = self._changed(db) if seq != self._seq else set()
        if changed is None:
            self._traces.clear()
            self._trace_of.clear()
            self._read_at = now
            changed = _open_traces(db, now, finished_for)
        self._seq = seq
        again = {
            key
            for key, trace in self._traces.items()
            if key not in changed
            and trace.row.action.rule in ("machine", "silent")
            and abs(now - trace.judged_at) > _AGAIN
        }
        read = _spans_of(db, changed)
        for key in changed - read.keys():
            self._traces.pop(key, None)
        for key in again:
            read[key] = self._traces[key].spans
        if changed:  # any change may be the fix of an incident
            open_ = {
                key: trace.spans
                for key, trace in self._traces.items()
                if trace.row.action.rule == "incident"
            } | read
            for key in self._look_around(db, open_):
                read[key] = open_[key]
        self._learn(db, (span for spans in read.values() for span in spans), now)
        for key, spans in read.items():
            self._trace_of.update((span.key, key) for span in spans)
            self._traces[key] = _Trace(spans, self._judge(db, key, spans, now), now)

    def _changed(self, db: sqlite3.Connection) -> set[str] | None:
        """Ids of traces with a change, including those that lost a span; None if there are too
        many."""
        sql = "SELECT key, trace_id FROM spans WHERE changed > ? LIMIT ?"
        found = db.execute(sql, (self._seq, _MANY_CHANGED + 1)).fetchall()
        if len(found) > _MANY_CHANGED:
            return None
        before = (self._trace_of.get(key, trace_id) for key, trace_id in found)
        return {trace_id for _, trace_id in found} | set(before)

    def _past(self, db: sqlite3.Connection, at: Instant, finished_for: Duration) -> list[Member]:
        by_trace = _spans_of(db, _open_traces(db, at, finished_for, past=True))
        self._look_around(db, by_trace)
        found: list[Member] = []
        for key, spans in by_trace.items():
            then = all_as_of(spans, at)
            if then:
                found.append((self._judge(db, key, then, at), then))
        return found

    def _learn(self, db: sqlite3.Connection, spans: Iterable[Span], now: Instant) -> None:
        """Read how long the machines in flight usually take."""
        if not 0 <= now - self._usual_at < _HISTORY_AGE:
            self._usual.clear()
            self._usual_at = now
        keys = {
            span.key
            for span in spans
            if span.in_flight and span.operation in MACHINES and span.key not in self._usual
        }
        if keys:
            found = read_histories(db, sorted(keys))
            for key in keys:
                history = found.get(key)
                self._usual[key] = (
                    Waits(history.n, round(history.median), history.p90) if history else None
                )

    def _look_around(
        self, db: sqlite3.Connection, traces: Mapping[str, Sequence[Span]]
    ) -> list[str]:
        """Read what other traces have to do with the open incidents of these traces. Returns the
        traces for which that changed."""
        incidents = {
            span.key: trace_id
            for trace_id, spans in traces.items()
            for span in spans
            if span.in_flight and is_incident(span)
        }
        if not incidents:
            return []
        found = _surroundings(db, list(incidents))
        changed = [key for key in incidents if found.get(key) != self._around.get(key)]
        for key in incidents:
            self._around.pop(key, None)
        if len(self._around) > 1_000:
            self._around.clear()
        self._around.update(found)
        return [incidents[key] for key in changed]

    def _judge(
        self,
        db: sqlite3.Connection,
        trace_id: str,
        spans: Sequence[Span],
        now: Instant,
        team: str = "",
    ) -> Standing:
        change = next((span for span in spans if span.operation == "pull_request"), None)
        project = change.project if change is not None else spans[0].project
        usual = {
            span.key: known for span in spans if (known := self._usual.get(span.key)) is not None
        }
        return standing(
            trace_id,
            spans,
            now,
            usual=usual,
            custom=self._custom_of(db, project, now),
            environments=self.environments,
            superseded=_superseded(db, spans, has_change=change is not None),
            shipped=[s for s in _shipped(db, spans) if not team or s.team == team],
            around=_joined(self._around[s.key] for s in spans if s.key in self._around),
            thresholds=self.thresholds,
            people=self.people,
        )

    def _custom_of(self, db: sqlite3.Connection, project: str, now: Instant) -> Custom:
        known = self._custom.get(project)
        if known is not None and 0 <= now - known[0] < _CUSTOM_AGE:
            return known[1]
        sql = (
            "SELECT DISTINCT trace_id FROM (SELECT trace_id FROM spans WHERE project = ? "
            "AND operation = 'pull_request' AND status = 'ok' ORDER BY ended_at DESC LIMIT ?)"
        )
        ids = [row[0] for row in db.execute(sql, (project, _PAST))] if project else []
        custom = custom_of(_spans_of(db, ids).values(), self.environments)
        if len(self._custom) > 1_000:
            self._custom.clear()
        self._custom[project] = now, custom
        return custom


def _surroundings(db: sqlite3.Connection, incidents: Sequence[str]) -> dict[str, Surroundings]:
    """Incident -> the deploys it is linked to and the traces that name it; without those that have
    neither."""
    sql = (
        "SELECT l.child, l.parent, l.rule FROM links l JOIN spans d ON d.key = l.parent "
        f"WHERE d.operation = 'deploy' AND l.child {rows.KEYS}"
    )
    linked = list(rows.select_in(db, sql, incidents))
    sql = f"SELECT {rows.SELECT_SPAN} FROM spans WHERE key {rows.KEYS}"
    deploys = {
        span.key: span
        for row in rows.select_in(db, sql, {parent for _, parent, _ in linked})
        if (span := rows.span_of(row))
    }
    sql = (
        "SELECT DISTINCT o.key, s.trace_id FROM offers o JOIN seeks k ON k.token = o.token "
        "AND k.scope = o.scope AND k.value = o.value JOIN spans s ON s.key = k.key "
        f"JOIN spans i ON i.key = o.key WHERE o.key {rows.KEYS} "
        "AND s.operation IN ('issue', 'pull_request') AND s.started_at > i.started_at "
        f"AND s.trace_id <> i.trace_id ORDER BY s.started_at DESC LIMIT {_NAMING}"
    )
    naming = list(rows.select_in(db, sql, incidents))
    traces = _spans_of(db, {trace_id for _, trace_id in naming})
    return {
        key: Surroundings(
            tuple(
                (deploys[parent], Rule(rule) in _CERTAIN)
                for child, parent, rule in linked
                if child == key and parent in deploys
            ),
            tuple(traces[trace_id] for child, trace_id in naming if child == key),
        )
        for key in dict.fromkeys(row[0] for row in (*linked, *naming))
    }


def _joined(found: Iterable[Surroundings]) -> Surroundings:
    parts = list(found)
    return Surroundings(
        [deploy for part in parts for deploy in part.deploys],
        [spans for part in parts for spans in part.fixes],
    )


def _shipped(db: sqlite3.Connection, spans: Sequence[Span]) -> list[Span]:
    """Deploys of other traces that shipped a merged change of this trace."""
    merged = [s.key for s in spans if s.operation == "pull_request" and s.status is Status.OK]
    if not merged:
        return []
    sql = (
        f"SELECT {rows.SELECT_SPAN} FROM spans WHERE operation = 'deploy' AND key IN (SELECT child "
        f"FROM links WHERE rule = 'ships' AND parent {rows.KEYS}) "
        f"ORDER BY started_at LIMIT {_SHIPPED}"
    )
    own = {span.key for span in spans}
    found = [rows.span_of(row) for row in rows.select_in(db, sql, merged)]
    return [deploy for deploy in found if deploy.key not in own]


def _open_traces(
    db: sqlite3.Connection, now: Instant, finished_for: Duration, *, past: bool = False
) -> set[str]:
    """Ids of traces with a span in flight, that ended lately, or whose last run failed."""
    flying = (
        "SELECT DISTINCT trace_id FROM spans INDEXED BY spans_in_flight WHERE "
        f"status = 'in_flight' AND {_LISTED} AND operation <> 'sprint' LIMIT {MOST}"
    )
    ended = (
        f"SELECT trace_id FROM spans WHERE {_LISTED} AND ended_at > ? "
        f"{'AND started_at <= ?' if past else ''} ORDER BY ended_at DESC LIMIT {4 * MOST}"
    )
    failed = (
        "SELECT trace_id FROM spans INDEXED BY spans_failed WHERE "
        f"status IN ('error', 'timed_out') AND {_LISTED} AND ended_at > ? AND ended_at <= ? "
        f"ORDER BY ended_at DESC LIMIT {_FAILED}"
    )
    since = now - finished_for
    found = {row[0] for row in db.execute(flying)}
    found |= {row[0] for row in db.execute(ended, (since, now) if past else (since,))}
    return found | {row[0] for row in db.execute(failed, (now - DEFAULT_THRESHOLDS.quiet, now))}


def _spans_of(db: sqlite3.Connection, trace_ids: Iterable[str]) -> dict[str, list[Span]]:
    """Trace id -> its spans sorted by start, without phases and steps of jobs."""
    sql = (
        f"SELECT {rows.SELECT_SPAN} FROM spans WHERE {_LISTED} "
        f"AND trace_id {rows.KEYS} ORDER BY trace_id, started_at"
    )
    found: dict[str, list[Span]] = {}
    for row in rows.select_in(db, sql, trace_ids):
        span = rows.span_of(row)
        found.setdefault(span.trace_id, []).append(span)
    return found


def _superseded(
    db: sqlite3.Connection, spans: Sequence[Span], *, has_change: bool
) -> frozenset[str]:
    """Runs that failed or wait and that a later success in another trace has replaced. The run of a
    change is never replaced: a success on `main` does not fix a branch."""
    keys = [
        span.key
        for span in spans
        if span.operation in MACHINES
        and (span.status.failed or span.in_flight)
        and (span.operation == "deploy" or not has_change)
    ]
    sql = (
        f"SELECT s.key FROM spans s WHERE s.key {rows.KEYS} AND EXISTS ("
        "SELECT 1 FROM spans o WHERE o.series = s.series AND o.status = 'ok' "
        "AND o.ended_at > COALESCE(s.ended_at, s.started_at) AND o.started_at > s.started_at "
        "AND o.trace_id <> s.trace_id)"
    )
    return frozenset(row[0] for row in rows.select_in(db, sql, keys))
