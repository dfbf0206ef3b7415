"""The traces that are open or ended lately, updated from the change feed.

Only traces with a change are read and judged again, so a second with fifty events costs as much as
the traces of these events. What is kept of a trace is its row: with the spans of all open traces,
the dashboard took 40 MB more after a backlog. A filter looks for spans in the database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from secrets import token_hex
from typing import Final

from vs_tui.model.filters import Filter
from vs_tui.model.limits import DEFAULT_THRESHOLDS, Thresholds
from vs_tui.model.teams import Environments, People
from vs_tui.model.time import MINUTE, SECOND, Duration, Instant
from vs_tui.model.vocabulary import Span, all_as_of
from vs_tui.store import rows
from vs_tui.store.queries.filter_sql import where
from vs_tui.store.queries.read_traces import read_baselines
from vs_tui.store.queries.span_search import current_seq, follows
from vs_tui.store.queries.trace_surroundings import (
    LISTED,
    joined,
    replaceable,
    shipped,
    shipping,
    spans_of,
    succeeded,
    superseded,
    surroundings,
)
from vs_tui.traces.baseline import Baseline, series_of
from vs_tui.traces.board import Board, board, is_current, without_details
from vs_tui.traces.standing import Custom, Standing, Surroundings, custom_of, standing
from vs_tui.traces.trace_facts import is_incident, is_machine

MOST: Final = 5_000
"""Most traces in flight that are read."""
MOST_OVER: Final = 2_000
"""Most traces that ended lately. With 5,000 the dashboard took 153 MB while 37 builds a second were
received, each a trace of its own."""
AT_ONCE: Final = 50
"""Most traces whose spans are in memory at once."""
_FAILED: Final = 300
"""Most traces that are read because their last run failed, with nothing in flight."""
_PAST: Final = 10
"""Number of finished changes of a project from which the expectations for the next one come."""
_HISTORY_AGE: Final = MINUTE
_CUSTOM_AGE: Final = 10 * MINUTE
_AGAIN: Final = 10 * SECOND
"""Interval of the check whether a machine became silent."""
_AFRESH: Final = MINUTE
"""Interval of the check which traces are listed, because pruning does not appear in the change
feed."""
_ROUND: Final = 10 * MINUTE
"""Time in which every trace is judged again while others change; 5,000 at once take 3 s."""
_MANY_CHANGED: Final = MOST
"""Most changed spans whose traces are read; with more, everything is read again. To read everything
for each 2,500 spans of a burst took 1.7 times the CPU time."""


@dataclass(slots=True)
class _Trace:
    row: Standing
    judged_at: Instant
    keys: Sequence[str]
    """Keys of its spans."""
    incidents: Sequence[str]
    """Keys of its open incidents."""
    runs: frozenset[str]
    """Series of the runs that a success in another trace may replace."""
    seq: int = -1
    """Number of the last change when it was judged."""
    refreshed: int = 0
    """Number of the refresh that judged it."""


@dataclass(slots=True)
class TraceBoard:
    """The board's data; use it with one connection on one thread."""

    environments: Environments = field(default_factory=Environments)
    thresholds: Thresholds = DEFAULT_THRESHOLDS
    people: People = field(default_factory=People)
    _name: str = field(default_factory=lambda: token_hex(8))
    """Sets versions apart from those of another receiver or start."""
    _refreshed: int = 0
    _traces: dict[str, _Trace] = field(default_factory=dict)
    _trace_of: dict[str, str] = field(default_factory=dict)
    """Span key -> the trace with which it was read."""
    _seq: int = -1
    _looked_at: Instant = 0
    _read_at: Instant = 0
    _passed: set[str] = field(default_factory=set)
    """Traces that ended too long ago to be listed, of those that were judged."""
    _finished_for: Duration = 0
    """How long ago the traces that are kept may have finished."""
    _usual: dict[str, Baseline | None] = field(default_factory=dict)
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
        since: str = "",
    ) -> Board:
        """The traces that match a filter, now or as of a past moment. ValueError if the text is not
        a filter. With a team, spans of other teams are ignored. `since` is the version of a list
        that the caller has."""
        finished_for = self.thresholds.finished_for if finished_for is None else finished_for
        version = ""
        if at is None and not team:
            self._refresh(db, now, finished_for)
            version = f"{self._name}.{self._refreshed}"
            found = [trace.row for trace in self._traces.values()]
        else:
            now = now if at is None else at
            ids = _open_traces(db, now, finished_for, past=at is not None)
            found = [trace.row for trace in self._judged(db, ids, now, {}, at, team)]
        ids = {row.trace_id for row in found}
        made = board(
            found,
            text,
            now,
            lambda wanted: _having(db, ids, wanted, now, at, team),
            finished_for=finished_for,
        )
        name, _, number = since.partition(".")
        before = int(number) if version and name == self._name and number.isdecimal() else 0
        unchanged = {
            row.trace_id: place
            for place, row in enumerate(made.rows)
            if before and self._traces[row.trace_id].refreshed <= before
        }
        return replace(made, version=version, unchanged=unchanged)

    def rows_of(
        self, db: sqlite3.Connection, trace_ids: Sequence[str], now: Instant, team: str = ""
    ) -> dict[str, Standing]:
        """Trace id -> standing, for open and for long finished traces; with a team as `board`."""
        judged = self._judged(db, set(trace_ids), now, {}, team=team)
        return {trace.row.trace_id: trace.row for trace in judged}

    def _refresh(self, db: sqlite3.Connection, now: Instant, finished_for: Duration) -> None:
        seq, before, elapsed = current_seq(db), self._seq, now - self._looked_at
        self._seq = -1  # if this fails, everything is read again
        self._refreshed += 1
        changed: set[str] | None = None
        if elapsed >= 0 and finished_for <= self._finished_for and follows(db, before, seq):
            changed = self._changed(db, before) if seq != before else set()
        if changed is None:
            self._traces.clear()
            self._trace_of.clear()
            self._around.clear()
            self._passed.clear()
            self._read_at, self._finished_for = now, finished_for
            changed = _open_traces(db, now, finished_for)
        elif now - self._read_at >= _AFRESH:
            self._read_at = now
            listed = _open_traces(db, now, self._finished_for)
            for key in self._traces.keys() - listed:
                self._drop(key)
            self._passed &= listed
            changed |= listed - self._traces.keys() - self._passed
        again = self._due(db, before, seq, now, elapsed)
        if changed:  # any change may be the fix of an incident
            open_ = {i: key for key, trace in self._traces.items() for i in trace.incidents}
            again |= self._look_around(db, open_, self._around)
        for key in changed | again:
            self._drop(key)
        self._passed -= changed
        for trace in self._judged(db, changed | again, now, self._around):
            if is_current(trace.row, now, self._finished_for):
                trace.seq, trace.refreshed = seq, self._refreshed
                self._traces[trace.row.trace_id] = trace
                self._trace_of.update(dict.fromkeys(trace.keys, trace.row.trace_id))
            else:
                self._passed.add(trace.row.trace_id)
        over = [trace.row for trace in self._traces.values() if trace.row.is_over]
        if len(over) > MOST_OVER:
            over.sort(key=lambda row: row.action.since or 0)
            for row in over[:-MOST_OVER]:
                self._drop(row.trace_id)
        self._seq, self._looked_at = seq, now

    def _due(
        self, db: sqlite3.Connection, before: int, seq: int, now: Instant, elapsed: Duration
    ) -> set[str]:
        """Unchanged traces that may stand elsewhere: machines fall silent, deploys of other traces
        ship, runs replace, and what is usual moves with anything."""
        due = {
            key
            for key, trace in self._traces.items()
            if trace.row.action.rule in ("machine", "silent")
            and abs(now - trace.judged_at) > _AGAIN
        }
        if seq != before and self._traces:
            due |= shipping(db, before) & self._traces.keys()
            if runs := succeeded(db, before):
                due |= {k for k, trace in self._traces.items() if not runs.isdisjoint(trace.runs)}
        share = -(-len(self._traces) * min(elapsed, _AFRESH) // _ROUND)
        oldest = islice(self._traces.items(), share)  # judging moves a trace to the end
        return due | {key for key, trace in oldest if trace.seq != seq}

    def _drop(self, trace_id: str) -> None:
        if (trace := self._traces.pop(trace_id, None)) is None:
            return
        for key in trace.incidents:
            self._around.pop(key, None)
        for key in trace.keys:
            if self._trace_of.get(key) == trace_id:
                del self._trace_of[key]

    def _changed(self, db: sqlite3.Connection, since: int) -> set[str] | None:
        """Ids of traces with a change, including those that lost a span; None if there are too
        many."""
        sql = "SELECT key, trace_id FROM spans WHERE changed > ? LIMIT ?"
        found = db.execute(sql, (since, _MANY_CHANGED + 1)).fetchall()
        if len(found) > _MANY_CHANGED:
            return None
        before = (self._trace_of.get(key, trace_id) for key, trace_id in found)
        return {trace_id for _, trace_id in found} | set(before)

    def _judged(
        self,
        db: sqlite3.Connection,
        trace_ids: Collection[str],
        now: Instant,
        around: dict[str, Surroundings],
        at: Instant | None = None,
        team: str = "",
    ) -> Iterator[_Trace]:
        """Read and judge traces, a few at once; without those that have no span. `around` gets the
        surroundings of their open incidents."""
        for by_trace in _pieces(db, trace_ids, at, team):
            usual = self._usual_of(db, chain.from_iterable(by_trace.values()), now, at)
            incidents = {
                key: [span.key for span in spans if span.in_flight and is_incident(span)]
                for key, spans in by_trace.items()
            }
            self._look_around(db, {i: key for key, own in incidents.items() for i in own}, around)
            for key, spans in by_trace.items():
                row = without_details(self._judge(db, key, spans, now, usual, around, team))
                runs = frozenset(series_of(span) for span in replaceable(spans))
                yield _Trace(row, now, [span.key for span in spans], incidents[key], runs)

    def _usual_of(
        self, db: sqlite3.Connection, spans: Iterable[Span], now: Instant, at: Instant | None
    ) -> Mapping[str, Baseline | None]:
        """How long the machines in flight usually take, now or as was known at a past moment."""
        keys = {span.key for span in spans if span.in_flight and is_machine(span)}
        if at is not None:
            return read_baselines(db, sorted(keys), at)
        if not 0 <= now - self._usual_at < _HISTORY_AGE:
            self._usual.clear()
            self._usual_at = now
        if keys := keys - self._usual.keys():
            found = read_baselines(db, sorted(keys))
            self._usual.update((key, found.get(key)) for key in keys)
        return self._usual

    def _look_around(
        self,
        db: sqlite3.Connection,
        incidents: Mapping[str, str],
        around: dict[str, Surroundings],
    ) -> set[str]:
        """Read what other traces have to do with open incidents. Returns the traces for which that
        changed."""
        found = surroundings(db, list(incidents)) if incidents else {}
        changed = {key for key in incidents if found.get(key) != around.get(key)}
        for key in incidents:
            around.pop(key, None)
        around.update(found)
        return {incidents[key] for key in changed}

    def _judge(
        self,
        db: sqlite3.Connection,
        trace_id: str,
        spans: Sequence[Span],
        now: Instant,
        usual: Mapping[str, Baseline | None],
        around: Mapping[str, Surroundings],
        team: str = "",
    ) -> Standing:
        change = next((span for span in spans if span.operation == "pull_request"), None)
        project = change.project if change is not None else spans[0].project
        return standing(
            trace_id,
            spans,
            now,
            usual={s.key: known for s in spans if (known := usual.get(s.key)) is not None},
            custom=self._custom_of(db, project, now),
            environments=self.environments,
            superseded=superseded(db, spans),
            shipped=[s for s in shipped(db, spans) if not team or s.team == team],
            around=joined(around[s.key] for s in spans if s.key in around),
            thresholds=self.thresholds,
            people=self.people,
        )

    def _custom_of(self, db: sqlite3.Connection, project: str, now: Instant) -> Custom:
        known = self._custom.get(project)
        if known is not None and 0 <= now - known[0] < _CUSTOM_AGE:
            return known[1]
        sql = (
            "SELECT DISTINCT trace_id FROM (SELECT trace_id FROM spans WHERE project = ? "
            "AND operation = 'pull_request' AND status = 'ok' AND ended_at <= ? "
            "ORDER BY ended_at DESC LIMIT ?)"
        )
        ids = [row[0] for row in db.execute(sql, (project, now, _PAST))] if project else []
        custom = custom_of(spans_of(db, ids).values(), self.environments)
        if len(self._custom) > 1_000:
            self._custom.clear()
        self._custom[project] = now, custom
        return custom


def _open_traces(
    db: sqlite3.Connection, now: Instant, finished_for: Duration, *, past: bool = False
) -> set[str]:
    """Ids of traces with a span in flight, that ended lately, or whose last run failed."""
    flying = (
        "SELECT DISTINCT trace_id FROM spans INDEXED BY spans_in_flight WHERE "
        f"status = 'in_flight' AND {LISTED} AND operation <> 'sprint' LIMIT {MOST}"
    )
    ended = (
        f"SELECT trace_id FROM spans WHERE {LISTED} AND ended_at > ? "
        f"{'AND started_at <= ?' if past else ''} ORDER BY ended_at DESC LIMIT {4 * MOST_OVER}"
    )
    failed = (
        "SELECT trace_id FROM spans INDEXED BY spans_failed WHERE "
        f"status IN ('error', 'timed_out') AND {LISTED} AND ended_at > ? AND ended_at <= ? "
        f"ORDER BY ended_at DESC LIMIT {_FAILED}"
    )
    since = now - finished_for
    found = {row[0] for row in db.execute(flying)}
    recent = dict.fromkeys(row[0] for row in db.execute(ended, (since, now) if past else (since,)))
    found.update(islice(recent, MOST_OVER))
    return found | {row[0] for row in db.execute(failed, (now - DEFAULT_THRESHOLDS.quiet, now))}


def _having(
    db: sqlite3.Connection,
    trace_ids: Collection[str],
    wanted: Filter,
    now: Instant,
    at: Instant | None,
    team: str,
) -> set[str]:
    """The traces among these of which one span matches a filter; with a team, one of its spans."""
    if at is not None:
        return {
            key
            for by_trace in _pieces(db, trace_ids, at, team)
            for key, spans in by_trace.items()
            if any(wanted.matches(span, at) for span in spans)
        }
    condition, bound = where(wanted, now)
    sql = (
        f"SELECT DISTINCT trace_id FROM spans INDEXED BY spans_trace WHERE {LISTED} "
        f"AND trace_id {rows.KEYS} AND ? IN ('', team) AND ({condition})"
    )
    return {row[0] for row in db.execute(sql, (rows.as_json(trace_ids), team, *bound))}


def _pieces(
    db: sqlite3.Connection, trace_ids: Collection[str], at: Instant | None, team: str
) -> Iterator[dict[str, list[Span]]]:
    """As `spans_of`, a few traces at once; as of a past moment, or with the spans of a team only,
    if one is given."""
    ids = list(trace_ids)
    for n in range(0, len(ids), AT_ONCE):
        found = spans_of(db, ids[n : n + AT_ONCE], team)
        if at is not None:
            then = {key: all_as_of(spans, at) for key, spans in found.items()}
            found = {key: spans for key, spans in then.items() if spans}
        yield found
