"""Sends finished traces to an OTLP collector while the receiver runs.

A trace is sent when every span in it has ended and nothing in it changed for `settle`; a span
that ends later is sent with its trace's id of then. Spans are sent once: a crash between the
collector's answer and our commit may send one batch (at most 512 spans and one trace) again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, Protocol, TypeVar

from aiohttp import ClientSession, DummyCookieJar

from vs_tui.export import otlp_http
from vs_tui.export.export_state import ExportState
from vs_tui.model.display import clean
from vs_tui.model.export_settings import ExportSettings
from vs_tui.model.time import SECOND, Instant
from vs_tui.store import export_queue as queue

log = logging.getLogger(__name__)
T = TypeVar("T")

LOOK_SECONDS: Final = 1.0
READ_AHEAD: Final = 2_000
"""Traces that wait for their settling or for the collector; more stay in the store unread."""
SPANS_AT_ONCE: Final = 512
"""Spans of one request; those of a single trace are split, too."""

Read = Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]]


class Store(Protocol):
    """The writer, as far as an exporter needs it."""

    async def transaction(self, work: Callable[[sqlite3.Connection, Any], T]) -> T: ...


@dataclass
class _Waiting:
    first: int
    """The change number from which this trace must be read again after a restart."""
    seen: float
    """When its last change was seen, by the monotonic clock."""


@dataclass
class TraceExporter:
    """Runs as a task beside the receiver; costs a query of one index a second when idle."""

    settings: ExportSettings
    read: Read
    store: Store
    clock: Callable[[], Instant]
    state: ExportState = field(default_factory=ExportState)
    _waiting: dict[str, _Waiting] = field(default_factory=dict)
    _read_to: int = 0
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="otlp traces")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        url = otlp_http.signal_url(self.settings.otlp, "traces")
        log.info("traces are sent to %s", otlp_http.shown_url(url))
        self._read_to = await self.read(queue.read_position)
        failures = 0
        async with ClientSession(cookie_jar=DummyCookieJar()) as session:
            while True:
                try:
                    await self._read_feed()
                    asked = await self._send_due(session, url)
                except sqlite3.Error as error:
                    asked = self._failed(type(error).__name__)
                except Exception:
                    log.exception("sending traces failed; it is tried again")
                    asked = self._failed("a bug, see the log")
                if self.state.trouble:
                    failures += 1
                    await asyncio.sleep(otlp_http.delay(failures, asked))
                else:
                    failures = 0
                    await asyncio.sleep(LOOK_SECONDS)

    async def _read_feed(self) -> None:
        if len(self._waiting) >= READ_AHEAD:
            return
        after = self._read_to
        found, read_to = await self.read(lambda db: queue.changed_traces(db, after, READ_AHEAD))
        seen = monotonic()
        for first, trace_id in found:
            known = self._waiting.get(trace_id)
            self._waiting[trace_id] = _Waiting(known.first if known else first, seen)
        self._read_to = read_to
        self.state.waiting = len(self._waiting)

    async def _send_due(self, session: ClientSession, url: str) -> float | None:
        """Send what has settled. Returns the seconds that the collector asks to wait."""
        settled = monotonic() - self.settings.settle / SECOND
        due = [trace_id for trace_id, entry in self._waiting.items() if entry.seen <= settled]
        while due:
            batch = await self._batch(due)
            for spans in _pieces(batch.spans):
                from vs_tui.export.otlp_traces import traces_request

                body = await asyncio.to_thread(traces_request, spans)
                posted = await otlp_http.post(session, url, body, self.settings.headers)
                if not posted.done:
                    return self._failed(posted.error, posted.retry_after)
                await self._settle(posted, spans)
            for trace_id in batch.traces:
                del self._waiting[trace_id]
            await self._remember(())
            due = due[len(batch.traces) :]
        self.state.waiting = len(self._waiting)
        self._recovered()
        return None

    async def _batch(self, due: Sequence[str]) -> _Batch:
        """The first of the due traces, until there are enough spans for a request."""
        from vs_tui.export.otlp_traces import ExportedSpan

        now, text = self.clock(), self.settings.filter

        def collect(db: sqlite3.Connection) -> _Batch:
            batch = _Batch()
            for trace_id in due:
                batch.traces.append(trace_id)
                if not queue.is_over(db, trace_id) or not queue.is_wanted(db, trace_id, text, now):
                    continue
                spans = queue.unsent_spans(db, trace_id)
                links = queue.links_of(db, [span.key for span in spans])
                batch.spans += [ExportedSpan(span, links.get(span.key, ())) for span in spans]
                if len(batch.spans) >= SPANS_AT_ONCE:
                    break
            return batch

        found: _Batch = await self.read(collect)
        return found

    async def _settle(self, posted: otlp_http.Posted, spans: Sequence[Any]) -> None:
        rejected, message = _rejected(posted, len(spans))
        self.state.sent += len(spans) - rejected
        self.state.refused += rejected
        if rejected or message:
            log.warning(
                "the collector refused %d of %d spans: %s",
                rejected,
                len(spans),
                clean(posted.error or message, 300),
            )
        await self._remember([exported.span.key for exported in spans])

    async def _remember(self, keys: Sequence[str]) -> None:
        """Keep what was sent, and up to where no trace waits any more."""
        firsts = [entry.first for entry in self._waiting.values()]
        position = min(firsts) - 1 if firsts else self._read_to
        await self.store.transaction(lambda db, _: queue.mark_sent(db, keys, position))

    def _failed(self, error: str, asked: float | None = None) -> float | None:
        if not self.state.trouble:
            self.state.trouble_since = self.clock()
            log.warning("the collector %s; traces wait in the database until it is back", error)
        self.state.trouble = error
        return asked

    def _recovered(self) -> None:
        if self.state.trouble:
            log.info("the collector takes traces again")
        self.state.trouble, self.state.trouble_since = "", None


@dataclass
class _Batch:
    traces: list[str] = field(default_factory=list)
    spans: list[Any] = field(default_factory=list)


def _pieces(spans: Sequence[T]) -> Sequence[Sequence[T]]:
    return [spans[at : at + SPANS_AT_ONCE] for at in range(0, len(spans), SPANS_AT_ONCE)]


def _rejected(posted: otlp_http.Posted, n: int) -> tuple[int, str]:
    """(spans that were refused for good, the collector's words) of a request that is over."""
    if posted.error:
        return n, posted.error
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceResponse,
    )

    response = ExportTraceServiceResponse()
    try:
        response.ParseFromString(posted.answer)
    except DecodeError:
        return 0, ""  # a 2xx with another body, such as JSON or nothing, accepts all
    partial = response.partial_success
    return min(max(partial.rejected_spans, 0), n), partial.error_message
