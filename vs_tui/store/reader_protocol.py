"""What a reader of the store answers: the one interface that the dashboard, the JSON API and
the commands see. SQLite implements it on the same machine, an HTTP client from another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from vs_tui.model.errors import Explained
from vs_tui.model.time import Duration, Instant
from vs_tui.model.vocabulary import Link, Span, Verdict

if TYPE_CHECKING:
    from vs_tui.traces.board import Board
    from vs_tui.traces.upcoming import PastRun


@dataclass(frozen=True, slots=True)
class SpanPage:
    """Some spans of a list, and where the next ones begin."""

    items: Sequence[Span]
    next: str = ""
    """Where the next page begins, if pages are read one after the other; empty at the end."""
    searched: Instant | None = None
    """Spans that ended before this were not looked at yet: ask again. None when nothing more is
    to be found for this page."""


COUNTED: Final = 10_000
"""Matches are counted, and kept in another order than `live`, up to here; people are shown
`10000+` beyond."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What the header says about a list."""

    matched: int
    """At most `COUNTED`."""
    total: int
    """Without the filter; at most `COUNTED`."""
    in_flight: int
    failed: int
    """Ended with an error in the last 24 hours."""
    more: bool = False
    """Whether more may match than were found so far."""
    more_in_all: bool = False
    """Whether there are more than `total`."""
    searched: Instant | None = None
    """What ended before this was not counted yet: ask again. None when all was that is counted."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The tree of spans of one piece of work, and every edge between them."""

    trace_id: str
    root: Span
    spans: Sequence[Span]
    """All of them, the root included, by start."""
    links: Sequence[Link]
    """Primary links are the tree; the others connect within it or to other traces."""
    linked: Sequence[Span] = ()
    """Spans of other traces that a link names."""


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
    """None while anything is in flight."""


@dataclass(frozen=True, slots=True)
class TracePage:
    """Some traces of a list."""

    items: Sequence[TraceSummary]
    more: bool = False
    """Whether there are more of them."""
    searched: Instant | None = None
    """As of a `SpanPage`."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """How long spans of one series took: their last successes, at most 20."""

    n: int
    p50: Duration
    p90: Duration


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
    """How often the same delivery came again."""
    status: int
    """The HTTP status it was answered with."""


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Some deliveries of a list, and how many there are."""

    items: Sequence[DeliveryRow]
    matched: int = 0
    """Found so far, at most `COUNTED`."""
    more: bool = False
    """Whether more may match than were found so far."""
    searched: Instant | None = None
    """Deliveries received before this were not looked at yet: ask again. None at the end."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many deliveries came in a time."""

    counts: Mapping[str, Mapping[str, int]]
    """Source -> verdict -> deliveries; repeats count with what they repeat."""
    until: Instant | None = None
    """What came later was not looked at yet: ask again. None when all was."""


@dataclass(frozen=True, slots=True)
class DeliveryDetail:
    """A delivery as it arrived, secrets never stored, and what became of it."""

    row: DeliveryRow
    path: str
    headers: Mapping[str, str]
    body: bytes
    sha256: str
    dedupe_key: str
    span_refs: Sequence[str]
    """Refs of the spans it touched."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is new since a point of the change feed."""

    seq: int
    """Pass it to the next call."""
    keys: Sequence[str]
    """Keys of changed spans; when `truncated`, re-read everything instead."""
    deliveries: int
    """Highest delivery id."""
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """What a source has sent."""

    source: str
    last_received_at: Instant | None
    last_kind: str
    counts: Mapping[str, int]
    """Verdict -> deliveries, since the database exists."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the store can take deliveries, and how full it is."""

    ready: bool
    trouble: str = ""
    """What is wrong and what to do; empty when ready."""
    spans: int = 0
    deliveries: int = 0
    behind: int = 0
    """Deliveries that are stored and not folded yet."""
    lag: Duration = 0
    """How long they have been seen to wait."""
    clock: str = ""
    """What waits because the clock is wrong; empty when nothing does."""
    path: str = ""
    export_trouble: str = ""
    """Why the OTLP collector takes nothing; empty when it does, or when nothing is sent."""
    clock_ahead: Duration = 0
    """How far the receiver's clock is ahead of this machine's."""


class Unreachable(Explained):
    """What is read from does not answer; the message says what to check. What was read before is
    still on screen, and reading is tried again."""


class Reader(Protocol):
    """Reads what is committed. Every method is safe to call while deliveries arrive."""

    async def spans(
        self,
        filter: str = "",
        *,
        limit: int = 500,
        sort: str = "live",
        at: Instant | None = None,
    ) -> SpanPage:
        """Spans that match a filter (see domain.filters; ValueError says what is accepted), as
        they stand or stood at a moment. Answers in time for a screen: with what was found so far.

        `sort`: `live` (in flight first, then the latest ended), `started`, `ended`, `duration`,
        `name`, each also with a leading `-` to reverse; of the newest `COUNTED` matches.
        """

    async def counts(self, filter: str = "", *, at: Instant | None = None) -> Counts:
        """How many match, and how it stands or stood."""

    async def span(self, ref: str) -> Span | None:
        """By key, ref or alias."""

    async def trace(self, trace_id: str) -> Trace | None:
        """By the id of the trace, or of any trace that became part of it."""

    async def traces(
        self, filter: str = "", *, limit: int = 200, at: Instant | None = None
    ) -> TracePage:
        """Traces that hold a matching span: those in flight first, then the latest ended."""

    async def board(
        self, filter: str = "", *, finished_for: Duration | None = None, at: Instant | None = None
    ) -> Board:
        """The traces that are open or ended within a time, with where they stand; the filter knows
        the terms of traces."""

    async def baselines(self, spans: Sequence[Span]) -> Mapping[str, Baseline]:
        """By span key: the history of the span's series; absent without any success."""

    async def past_runs(
        self, spans: Sequence[Span], *, at: Instant | None = None
    ) -> Mapping[str, Sequence[PastRun]]:
        """By span key: the steps of its series' last successes (before a moment); absent without
        any."""

    async def deliveries(self, filter: str = "", *, limit: int = 200) -> DeliveryPage:
        """Newest first. Filter words match source, kind, verdict and reason;
        `source:`, `verdict:`, `kind:` narrow one of them."""

    async def received(self, since: Instant, until: Instant | None = None) -> Tally:
        """What came since an instant, or until another."""

    async def delivery(self, delivery_id: int) -> DeliveryDetail | None: ...

    async def changes(self, since: int) -> Changes:
        """Spans that changed after `since` (0: all that is). Cheap when nothing did."""

    async def sources(self) -> Sequence[SourceHealth]: ...

    async def teams(self) -> Sequence[str]:
        """Team names in use or configured."""

    async def health(self) -> Health: ...

    async def close(self) -> None: ...
