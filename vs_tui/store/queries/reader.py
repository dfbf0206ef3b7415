"""Reads committed data: the `Reader` protocol over a read-only SQLite connection."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, cast

from vs_tui.log import sqlite_position
from vs_tui.model import filters
from vs_tui.model.limits import DEFAULT_THRESHOLDS, READ_WAIT_SECONDS, Thresholds
from vs_tui.model.teams import Environments, People
from vs_tui.model.time import SECOND, Duration, Instant
from vs_tui.model.vocabulary import Link, Span
from vs_tui.store import clock as clocks
from vs_tui.store import rows
from vs_tui.store.queries.filter_sql import where as where_of
from vs_tui.store.queries.read_spans import (
    order_of,
    read_counts,
    read_found,
    read_live,
    read_sorted,
)
from vs_tui.store.queries.read_traces import (
    find_span,
    read_all_traces,
    read_baselines,
    read_found_traces,
    read_past_runs,
    read_trace,
)
from vs_tui.store.queries.reader_protocol import (
    Changes,
    Counts,
    DeliveryDetail,
    DeliveryPage,
    DeliveryRow,
    Health,
    SourceHealth,
    SpanPage,
    Tally,
    Trace,
    TracePage,
    TraceSummary,
)
from vs_tui.store.queries.span_search import Search, current_seq, follows, listed_where
from vs_tui.store.schema import connect, open_reader, run_on
from vs_tui.store.storage_errors import file_at, is_displaced
from vs_tui.traces.baseline import Baseline

if TYPE_CHECKING:
    from vs_tui.store.queries.trace_board import TraceBoard
    from vs_tui.traces.board import Board
    from vs_tui.traces.standing import Standing
    from vs_tui.traces.steps import PastRun

T = TypeVar("T")
MAX_CHANGES: Final = 5_000
POLL_SECONDS: Final = 0.01


class SqliteReader:
    """One read-only connection on its own thread; open one for each viewer.

    Modules that the first rows do not need are imported on use, because people wait for these rows.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], Instant],
        *,
        team_names: Sequence[str] = (),
        trouble: Callable[[], str] = lambda: "",
        export_trouble: Callable[[], str] = lambda: "",
        environments: Environments | None = None,
        thresholds: Thresholds = DEFAULT_THRESHOLDS,
        people: People | None = None,
    ) -> None:
        self.path = path
        self._clock = clock
        self._team_names = tuple(team_names)
        self._trouble = trouble
        self._export_trouble = export_trouble
        self._environments = environments or Environments()
        self._thresholds = thresholds
        self._people = people or People()
        self._board: TraceBoard | None = None
        self._begun: OrderedDict[Hashable, _Begun] = OrderedDict()
        self._file = (0, 0)
        self._waits_for = 0
        self._waits_since = 0.0

    def reconfigure(
        self,
        team_names: Sequence[str],
        environments: Environments,
        thresholds: Thresholds,
        people: People,
    ) -> None:
        """Use other settings from now on."""
        self._team_names, self._people = tuple(team_names), people
        self._environments, self._thresholds, self._board = environments, thresholds, None

    async def open(self) -> SqliteReader:
        """Connect. StoreError if the file is missing, damaged or of another version."""
        self._db = await connect(lambda: open_reader(self.path))
        self._file = file_at(self.path)
        return self

    async def close(self) -> None:
        await self._db.close()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function on the reader's thread: one thread switch for a whole answer."""
        return await run_on(self._db, work)

    async def caught_up(self, seconds: float = READ_WAIT_SECONDS) -> bool:
        """Wait until everything in the log by now is folded, linked and judged. Returns False after
        `seconds`."""
        head = await self.run(sqlite_position.head)

        def reached(db: sqlite3.Connection) -> bool:
            return sqlite_position.position(db) >= head and not rows.number(db, _UNSETTLED)

        deadline = time.monotonic() + seconds
        while not await self.run(reached):
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    # For screens: answers in time, with the matches found so far.

    async def spans(
        self,
        filter: str = "",
        *,
        limit: int = 500,
        sort: str = "live",
        at: Instant | None = None,
    ) -> SpanPage:
        limit = _some(limit)
        if sort.lstrip("-") != "live":
            order_of(sort)
        search = self._search(filter, at)
        return await self.run(lambda db: read_found(db, search, limit, sort, at))

    async def counts(self, filter: str = "", *, at: Instant | None = None) -> Counts:
        search, everything = self._search(filter, at), self._search("", at)
        now = self._clock()
        return await self.run(lambda db: read_counts(db, search, everything, at, now))

    async def traces(
        self, filter: str = "", *, limit: int = 200, at: Instant | None = None
    ) -> TracePage:
        search = self._search(filter, at)
        return await self.run(lambda db: read_found_traces(db, search, _some(limit), at))

    async def board(
        self,
        filter: str = "",
        *,
        finished_for: Duration | None = None,
        at: Instant | None = None,
        team: str = "",
        since: str = "",
    ) -> Board:
        now, traces = self._clock(), self._traces()
        return await self.run(
            lambda db: traces.board(db, filter, now, at, finished_for, team, since)
        )

    def now(self) -> Instant:
        """The current time, from which ages are measured."""
        return self._clock()

    async def standings(self, trace_ids: Sequence[str], team: str = "") -> Mapping[str, Standing]:
        """Trace id -> standing of that trace."""
        now, traces = self._clock(), self._traces()
        return await self.run(lambda db: traces.rows_of(db, trace_ids, now, team))

    def _traces(self) -> TraceBoard:
        from vs_tui.store.queries.trace_board import TraceBoard

        if self._board is None:
            self._board = TraceBoard(self._environments, self._thresholds, self._people)
        return self._board

    async def deliveries(self, filter: str = "", *, limit: int = 200) -> DeliveryPage:
        from vs_tui.store.queries.delivery_search import DeliverySearch

        search = self._kept(("deliveries", filter), lambda: DeliverySearch(filter, self._clock()))
        return await self.run(lambda db: search.page(db, _some(limit)))

    async def received(self, since: Instant, until: Instant | None = None) -> Tally:
        from vs_tui.store.queries.delivery_search import Counting

        counting = self._kept(("received", since, until), lambda: Counting(since, until))
        return await self.run(counting.tally)

    def _search(self, text: str, at: Instant | None) -> Search:
        return self._kept(("spans", text, at), lambda: Search(text, at, self._clock()))

    def _kept(self, name: Hashable, make: Callable[[], K]) -> K:
        """The search or count of the same question, if one is kept; else a new one."""
        found = self._begun.pop(name, None)
        if found is None or not found.fits(self._clock()):
            found = make()
        self._begun[name] = found
        while len(self._begun) > KEPT:
            self._begun.popitem(last=False)
        return cast("K", found)

    # For scripts: every page of all rows, however long it takes.

    async def all_spans(
        self,
        filter: str = "",
        *,
        limit: int = 500,
        cursor: str = "",
        sort: str = "live",
        at: Instant | None = None,
    ) -> SpanPage:
        """A page of all matching spans, with a cursor to the next page."""
        wanted, limit = filters.parse(filter), _some(limit)
        now = self._clock() if at is None else at
        if sort.lstrip("-") == "live":
            listed = listed_where(wanted, now)
            return await self.run(lambda db: read_live(db, listed, limit, cursor, at))
        condition = where_of(wanted, now)
        return await self.run(lambda db: read_sorted(db, condition, limit, cursor, sort, at))

    async def all_traces(
        self, filter: str = "", *, limit: int = 200, cursor: str = ""
    ) -> tuple[Sequence[TraceSummary], str]:
        """(traces, cursor to the next page)."""
        condition = where_of(filters.parse(filter), self._clock())
        return await self.run(lambda db: read_all_traces(db, condition, limit, cursor))

    async def all_deliveries(
        self, filter: str = "", *, limit: int = 200, cursor: str = ""
    ) -> tuple[Sequence[DeliveryRow], str]:
        """(deliveries, newest first; cursor to the next page)."""
        from vs_tui.store.queries.delivery_search import delivery_where
        from vs_tui.store.queries.read_deliveries import read_all_deliveries

        where, parameters = delivery_where(filter)
        return await self.run(lambda db: read_all_deliveries(db, where, parameters, limit, cursor))

    # Single spans, traces and deliveries, and the state of the store.

    async def span(self, ref: str) -> Span | None:
        return await self.run(lambda db: find_span(db, ref))

    async def known(self, keys: Sequence[str]) -> list[Span]:
        """The spans with these keys, in the order of the keys, read in one statement."""
        sql = f"SELECT {rows.SELECT_SPAN} FROM spans WHERE key {rows.KEYS}"
        found = await self.run(lambda db: [*map(rows.span_of, rows.select_in(db, sql, keys))])
        by_key = {span.key: span for span in found}
        return [by_key[key] for key in keys if key in by_key]

    async def refs(self, keys: Iterable[str]) -> Mapping[str, str]:
        """Key -> ref of that span; unknown keys are left out."""
        wanted = {key for key in keys if key}
        sql = f"SELECT key, ref FROM spans WHERE key {rows.KEYS}"
        return await self.run(lambda db: dict(rows.select_in(db, sql, wanted)))

    async def links(
        self, spans: Sequence[Span]
    ) -> tuple[Mapping[str, Sequence[Link]], Mapping[str, str]]:
        """(child -> links; key -> ref of the spans, their parents and the ends of their links)."""
        links = await self.run(lambda db: rows.links_above(db, {span.key for span in spans}))
        parents = {link.parent for found in links.values() for link in found}
        refs = await self.refs(parents.union(span.parent_key for span in spans))
        return links, {**refs, **{span.key: span.ref for span in spans}}

    async def trace(self, trace_id: str) -> Trace | None:
        return await self.run(lambda db: read_trace(db, trace_id))

    async def baselines(
        self, spans: Sequence[Span], *, at: Instant | None = None
    ) -> Mapping[str, Baseline]:
        keys = [span.key for span in spans]
        return await self.run(lambda db: read_baselines(db, keys, at))

    async def past_runs(
        self, spans: Sequence[Span], *, at: Instant | None = None, team: str = ""
    ) -> Mapping[str, Sequence[PastRun]]:
        keys = [span.key for span in spans]
        return await self.run(lambda db: read_past_runs(db, keys, at, team))

    async def delivery(self, delivery_id: int) -> DeliveryDetail | None:
        from vs_tui.store.queries.read_deliveries import read_delivery

        return await self.run(lambda db: read_delivery(db, delivery_id))

    async def changes(self, since: int) -> Changes:
        return await self.run(lambda db: _changes(db, since))

    async def sources(self) -> Sequence[SourceHealth]:
        from vs_tui.store.queries.read_deliveries import read_sources

        return await self.run(read_sources)

    async def teams(self) -> Sequence[str]:
        """The configured teams, then removed teams that spans in flight still have."""
        sql = (
            "SELECT DISTINCT team FROM spans INDEXED BY spans_in_flight "
            "WHERE team <> '' AND status = 'in_flight' AND derived = 0"
        )
        used = await self.run(lambda db: [row[0] for row in db.execute(sql)])
        return list(dict.fromkeys([*self._team_names, *sorted(used)]))

    async def health(self) -> Health:
        trouble = self._trouble()
        if not trouble and is_displaced(self.path, self._file):
            trouble = f"{self.path} was moved, deleted or replaced: what is shown is the old one; "
            trouble += "start this again to see the new one"
        counted = await self.run(
            lambda db: (
                rows.number(db, "SELECT MAX(rowid) FROM spans"),
                rows.number(db, _LAST_DELIVERY),
                sqlite_position.head(db),
                sqlite_position.position(db),
                clocks.trouble(db, self._clock()),
            )
        )
        spans, deliveries, head, position, clock = counted
        if position >= self._waits_for:
            # The deliveries seen last time are folded; measure those that wait now.
            self._waits_for, self._waits_since = head, time.monotonic()
        lag = time.monotonic() - self._waits_since if position < self._waits_for else 0.0
        return Health(
            ready=not trouble,
            trouble=trouble,
            spans=spans,
            deliveries=deliveries,
            behind=max(head - position, 0),
            lag=round(lag * SECOND),
            clock=clock,
            path=str(self.path),
            export_trouble=self._export_trouble(),
        )


class _Begun(Protocol):
    """A search or count in progress. `fits` returns whether it still answers its question."""

    def fits(self, now: Instant, /) -> bool: ...


K = TypeVar("K", bound=_Begun)
KEPT: Final = 12
"""Number of searches that are kept to be continued: a few screens of a few viewers."""


def _some(limit: int) -> int:
    return max(1, min(limit, 10_000))


_LAST_DELIVERY: Final = "SELECT MAX(id) FROM deliveries"
_UNSETTLED: Final = "SELECT " + " OR ".join(
    f"EXISTS (SELECT 1 FROM {table})" for table in ("renamed_spans", "link_queue", "judge_queue")
)
"""SQL: whether what is folded is still to be linked, judged, or folded again where a repository was
renamed. Until then an answer may miss a part of what its deliveries say."""


def _changes(db: sqlite3.Connection, since: int) -> Changes:
    seq = current_seq(db)
    last = rows.number(db, _LAST_DELIVERY)
    if since <= 0 or not follows(db, since, seq):
        return Changes(seq, (), last, truncated=True)
    if seq == since:
        return Changes(seq, (), last)
    found = db.execute(
        "SELECT key FROM spans WHERE changed > ? ORDER BY changed LIMIT ?",
        (since, MAX_CHANGES + 1),
    ).fetchall()
    if len(found) > MAX_CHANGES:
        return Changes(seq, (), last, truncated=True)
    return Changes(seq, [key for (key,) in found], last)
