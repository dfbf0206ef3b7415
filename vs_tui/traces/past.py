"""Spans as they stood at a past moment, for freeze and time travel."""

from __future__ import annotations

from collections.abc import Iterable

from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Span, State, Status


def as_of(span: Span, at: Instant) -> Span:
    """The span as it stood at a past moment: if it ended later, it is still in flight."""
    if span.ended_at is None or span.ended_at <= at:
        return span
    return span._replace(
        status=Status.IN_FLIGHT, state=State.RUNNING, ended_at=None, error="", active=None
    )


def all_as_of(spans: Iterable[Span], at: Instant) -> list[Span]:
    """The spans that had begun at a past moment, as they stood then."""
    return [as_of(span, at) for span in spans if span.at <= at]
