"""The interface for reading the store, used by the dashboard, the JSON API and the commands. SQLite
implements it on the same machine, an HTTP client on another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from vs_tui.model.errors import Explained
from vs_tui.model.time import Duration, Instant
from vs_tui.model.vocabulary import Link, Span, Verdict
from vs_tui.traces.baseline import Baseline

if TYPE_CHECKING:
    from vs_tui.traces.board import Board
    from vs_tui.traces.steps import PastRun


@dataclass(frozen=True, slots=True)
class SpanPage:
    """A page of a list of spans."""

    items: Sequence[Span]
    next: str = ""
    """Cursor of the next page, if pages are read one after the other; empty at the end."""
    searched: Instant | None = None
    """Spans that ended before this are not searched yet: call again. None if this page is
    complete."""


COUNTED: Final = 10_000
"""Most matches that are counted, and that can be sorted in an order other than `live`; beyond it
people see `10000+`."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers in the header of a list."""

    matched: int
    """Matches of the filter; at most `COUNTED`."""
    total: int
    """All spans; at most `COUNTED`."""
    in_flight: int
    failed: int
    """Failed spans that ended in the last 24 hours."""
    more: bool = False
    """Whether more spans may match than `matched`."""
    more_in_all: bool = False
    """Whether there may be more spans than `total`."""
    searched: Instant | None = None
    """Spans that ended before this are not counted yet: call again. None if the counts are
    complete."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The span tree of one piece of work, with all its links."""

    trace_id: str
    root: Span
    spans: Sequence[Span]
    """All spans including the root, sorted by start."""
    links: Sequence[Link]
    """Primary links form the tree; the others connect spans within it or lead to other traces."""
    linked: Sequence[Span] = ()
    """Spans of other traces at the ends of these links."""


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One row of the list of traces."""

    trace_id: str
    root: Span
    spans: int
    in_flight: int
    failed: int
    started_at: Instant
    last_event_at: Instant
    ended_at: Instant | None
    """None while any span is in flight."""


@dataclass(frozen=True, slots=True)
class TracePage:
    """A page of a list of traces."""

    items: Sequence[TraceSummary]
    more: bool = False
    """Whether there are more traces."""
    searched: Instant | None = None
    """As in `SpanPage`."""


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One row of the Events view."""

    id: int
    """Positive for stored deliveries, negative for rejected ones (kept in a bounded list)."""
    source: str
    kind: str
    received_at: Instant
    verdict: Verdict
    reason: str
    size: int
    """Bytes of the body."""
    duplicates: int
    """Number of repeats of this delivery."""
    status: int
    """The HTTP status of the answer."""


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """A page of a list of deliveries."""

    items: Sequence[DeliveryRow]
    matched: int = 0
    """Matches found so far; at most `COUNTED`."""
    more: bool = False
    """Whether more deliveries may match than `matched`."""
    searched: Instant | None = None
    """Deliveries received before this are not searched yet: call again. None if the page is
    complete."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Numbers of deliveries in a time range."""

    counts: Mapping[str, Mapping[str, int]]
    """Source -> verdict -> number. A repeat counts at the time of the delivery that it repeats."""
    until: Instant | None = None
    """Later deliveries are not counted yet: call again. None if all are."""


@dataclass(frozen=True, slots=True)
class DeliveryDetail:
    """A delivery as it arrived, without secrets, and its result."""

    row: DeliveryRow
    path: str
    headers: Mapping[str, str]
    body: bytes
    sha256: str
    dedupe_key: str
    span_refs: Sequence[str]
    """Refs of the spans that it touched."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes since a number of the change feed."""

    seq: int
    """The number to pass to the next call."""
    keys: Sequence[str]
    """Keys of changed spans; if `truncated`, read everything again instead."""
    deliveries: int
    """Highest delivery id."""
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """The deliveries of one source."""

    source: str
    last_received_at: Instant | None
    last_kind: str
    counts: Mapping[str, int]
    """Verdict -> deliveries, since the database was created."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the store can accept deliveries, and how full it is."""

    ready: bool
    trouble: str = ""
    """The problem and what to do; empty if ready."""
    spans: int = 0
    deliveries: int = 0
    behind: int = 0
    """Deliveries that are stored and not folded yet."""
    lag: Duration = 0
    """How long these deliveries have waited at least."""
    clock: str = ""
    """The actions that wait because the clock is wrong; empty if none waits."""
    path: str = ""
    export_trouble: str = ""
    """Why the OTLP collector takes nothing; empty if it works or if there is no export."""
    clock_ahead: Duration = 0
    """How far the receiver's clock is ahead of this machine's."""


class Unreachable(Explained):
    """The database or receiver does not answer; the message says what to check. The screen keeps
    the old data, and reading is tried again."""


class Reader(Protocol):
    """Reads committed data. Every method is safe to call while deliveries arrive."""

    async def spans(
        self,
        filter: str = "",
        *,
        limit: int = 500,
        sort: str = "live",
        at: Instant | None = None,
    ) -> SpanPage:
        """Spans that match a filter, now or as of a moment. It answers in time for a screen, with
        the matches found so far. ValueError explains the filter's syntax (see `model.filters`).

        `sort` is `live` (in flight first, then the latest ended), `started`, `ended`, `duration` or
        `name`, each also reversed by a leading `-`. It sorts the newest `COUNTED` matches.
        """

    async def counts(self, filter: str = "", *, at: Instant | None = None) -> Counts:
        """The numbers of a list's header, now or as of a moment."""

    async def span(self, ref: str) -> Span | None:
        """The span with this key, ref or alias."""

    async def trace(self, trace_id: str) -> Trace | None:
        """The trace with this id; also the id of a trace that became part of it."""

    async def traces(
        self, filter: str = "", *, limit: int = 200, at: Instant | None = None
    ) -> TracePage:
        """Traces with a matching span: those in flight first, then the latest ended."""

    async def board(
        self, filter: str = "", *, finished_for: Duration | None = None, at: Instant | None = None
    ) -> Board:
        """Traces that are open or ended within a time, each with its standing. The filter also
        accepts the terms of traces."""

    async def baselines(
        self, spans: Sequence[Span], *, at: Instant | None = None
    ) -> Mapping[str, Baseline]:
        """Span key -> durations of its series (before a moment); absent without a success."""

    async def past_runs(
        self, spans: Sequence[Span], *, at: Instant | None = None
    ) -> Mapping[str, Sequence[PastRun]]:
        """Span key -> steps of the last successes of its series (before a moment); absent without
        any."""

    async def deliveries(self, filter: str = "", *, limit: int = 200) -> DeliveryPage:
        """Deliveries, newest first. Words in the filter match source, kind, verdict and reason;
        `source:`, `verdict:` and `kind:` match one of them."""

    async def received(self, since: Instant, until: Instant | None = None) -> Tally:
        """Numbers of deliveries received since an instant, up to another if given."""

    async def delivery(self, delivery_id: int) -> DeliveryDetail | None: ...

    async def changes(self, since: int) -> Changes:
        """Spans that changed after `since`; 0 asks for everything. Cheap if nothing changed."""

    async def sources(self) -> Sequence[SourceHealth]: ...

    async def teams(self) -> Sequence[str]:
        """Names of teams that are configured or in use."""

    async def health(self) -> Health: ...

    async def close(self) -> None: ...
