"""Sends finished traces to an OTLP collector while the receiver runs.

A trace is sent when all its spans have ended and nothing in it has changed for `settle`. A span
that ends later is sent with the id that its trace has then. Spans are sent once; only a crash
between the collector's answer and the commit can repeat one batch (at most 512 spans and one
trace).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

from aiohttp import ClientSession

from vs_tui.export.otlp_exporter import OtlpExporter, refused
from vs_tui.model.time import SECOND
from vs_tui.model.vocabulary import Span
from vs_tui.store import export_queue as queue

T = TypeVar("T")

LOOK_SECONDS: Final = 1.0
BACKLOG_SECONDS: Final = 0.05
"""Pause between two parts of a backlog."""
READ_AHEAD: Final = 2_000
"""Most traces in memory that wait to settle or to be sent; the rest stays in the store."""
SPANS_AT_ONCE: Final = 512
"""Most spans in one request; a larger trace is split."""


@dataclass
class _Waiting:
    first: int
    """The change number from which a restart must read this trace again."""
    seen: float
    """When its last change was read, on the monotonic clock."""


class _Batch(NamedTuple):
    traces: Sequence[str]
    spans: Sequence[Any]


@dataclass
class TraceExporter(OtlpExporter):
    """The task that sends traces, beside the receiver. When idle it costs one indexed query per
    second."""

    signal: ClassVar[str] = "traces"

    _waiting: dict[str, _Waiting] = field(default_factory=dict)
    _read_to: int = 0
    _behind: bool = False
    """Whether the change feed has unread changes."""

    async def _begin(self) -> None:
        self._read_to = await self.read(queue.read_position)

    def _pause(self) -> float:
        # The pause lets the receiver work while a backlog is sent.
        return BACKLOG_SECONDS if self._behind else LOOK_SECONDS

    async def _round(self, session: ClientSession) -> float | None:
        await self._read_feed()
        return await self._send_due(session)

    async def _read_feed(self) -> None:
        self._behind = False
        if len(self._waiting) >= READ_AHEAD:
            return
        after = self._read_to
        found, read_to, self._behind = await self.read(
            lambda db: queue.changed_traces(db, after, READ_AHEAD)
        )
        seen = monotonic()
        for first, trace_id in found:
            known = self._waiting.get(trace_id)
            self._waiting[trace_id] = _Waiting(known.first if known else first, seen)
        self._read_to = read_to
        self.state.waiting = len(self._waiting)

    async def _send_due(self, session: ClientSession) -> float | None:
        """Send the settled traces. Returns the seconds that the collector asks to wait, if any."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceResponse,
        )

        from vs_tui.export.otlp_traces import traces_request

        settled = monotonic() - self.settings.settle / SECOND
        due = [trace_id for trace_id, entry in self._waiting.items() if entry.seen <= settled]
        while due and not self._stopping.is_set():
            await self._give_way()
            batch = await self._batch(due)
            pieces = _pieces(batch.spans) or [()]
            for number, spans in enumerate(pieces, 1):
                if spans:
                    body = await asyncio.to_thread(traces_request, spans)
                    posted = await self._post(session, body)
                    if not posted.done:
                        self._failed(posted.error)
                        return posted.retry_after
                    n, answer = len(spans), ExportTraceServiceResponse()
                    self._count(n, *refused(posted, n, answer, "rejected_spans"))
                await self._remember(spans, batch.traces if number == len(pieces) else ())
            due = due[len(batch.traces) :]
        self.state.waiting = len(self._waiting)
        self._recovered()
        return None

    async def _batch(self, due: Sequence[str]) -> _Batch:
        """The first due traces, up to enough spans for a request."""
        from vs_tui.export.otlp_traces import ExportedSpan

        now, text = self.clock(), self.settings.filter

        def collect(db: sqlite3.Connection) -> _Batch:
            traces: list[str] = []
            spans: list[Span] = []
            for trace_id in due:
                traces.append(trace_id)
                if queue.is_over(db, trace_id) and queue.is_wanted(db, trace_id, text, now):
                    spans += queue.unsent_spans(db, trace_id)
                if len(spans) >= SPANS_AT_ONCE:
                    break
            links = queue.links_of(db, [span.key for span in spans])
            return _Batch(traces, [ExportedSpan(span, links.get(span.key, ())) for span in spans])

        found: _Batch = await self.read(collect)
        return found

    async def _remember(self, spans: Sequence[Any], over: Sequence[str]) -> None:
        """Store, in one transaction, the sent spans and the position in the change feed before the
        first trace that still waits; `over` are the traces that are done."""
        keys = [exported.span.key for exported in spans]
        left = set(over)
        firsts = [entry.first for id_, entry in self._waiting.items() if id_ not in left]
        position = min(firsts) - 1 if firsts else self._read_to
        await self.store.transaction(lambda db, _: queue.mark_sent(db, keys, position))
        for trace_id in over:
            del self._waiting[trace_id]


def _pieces(spans: Sequence[T]) -> list[Sequence[T]]:
    return [spans[at : at + SPANS_AT_ONCE] for at in range(0, len(spans), SPANS_AT_ONCE)]
