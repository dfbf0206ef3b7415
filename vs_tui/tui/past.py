"""The past: a trace as of a moment, and the steps of earlier runs of the spans in flight, read once
a minute, not once a paint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from vs_tui.model.time import SECOND, Instant
from vs_tui.model.vocabulary import Span, all_as_of
from vs_tui.store.queries.reader_protocol import Reader, Trace
from vs_tui.traces.steps import PastRun, has_steps

AGE: Final = 60 * SECOND
"""How long a cached history stays valid."""
MOST: Final = 5_000
"""Spans in the cache above which it is cleared."""


class Histories:
    """Past runs by span, as of the moment on screen."""

    def __init__(
        self,
        reader: Reader,
        clock: Callable[[], Instant],
        frozen_at: Callable[[], Instant | None],
    ) -> None:
        self._reader, self._clock, self._frozen_at = reader, clock, frozen_at
        self.runs: dict[str, Sequence[PastRun]] = {}
        """Span key -> last successful runs of its series."""
        self._read_at: dict[str, Instant] = {}
        self._moment: Instant | None = None

    async def learn(self, spans: Sequence[Span]) -> None:
        """Read the past runs of those spans for which steps can be expected."""
        moment, now = self._frozen_at(), self._clock()
        if moment != self._moment or len(self._read_at) > MOST:
            self._moment = moment
            self.runs.clear()
            self._read_at.clear()
        missing = [
            span for span in spans if has_steps(span) and now - self._read_at.get(span.key, 0) > AGE
        ]
        if missing:
            found = await self._reader.past_runs(missing, at=moment)
            self._read_at.update(dict.fromkeys((span.key for span in missing), now))
            self.runs.update(found)


def trace_at(trace: Trace, at: Instant | None) -> Trace | None:
    """The trace as of `at`; None if all of it began later."""
    if at is None:
        return trace
    spans = all_as_of(trace.spans, at)
    if not spans:
        return None
    root = next((span for span in spans if span.key == trace.root.key), spans[0])
    return replace(trace, root=root, spans=spans, linked=all_as_of(trace.linked, at))
