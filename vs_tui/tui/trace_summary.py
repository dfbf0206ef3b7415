"""A trace as of a moment, and short facts about it: commit, change, issue, age."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from vs_tui.model.display import clean
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Span, all_as_of
from vs_tui.store.queries.reader_protocol import Trace
from vs_tui.tui import span_format

_NAMED: Final = (("pull_request", "PR"), ("issue", "issue"))


def trace_facts(trace: Trace, clock: Callable[[Instant], str], now: Instant) -> list[str]:
    """Cleaned facts, the most telling first; empty if nothing is known."""
    spans = trace.spans  # without linked spans, which belong to other traces
    found: list[str] = []
    commit = next((sha for s in reversed(spans) if (sha := _commit(s))), "")
    if commit:
        found.append(f"commit {commit}")
    for operation, word in _NAMED:
        span = next((s for s in spans if s.operation == operation), None)
        if span is not None:
            found.append(f"{word} {_number(span)}{_ended(span, clock)}")
    first = min(trace.spans, key=lambda s: s.at)
    if first.key != trace.root.key or first.operation in ("issue", "pull_request"):
        how = "" if first.key == trace.root.key else f" with a {span_format.kind(first)}"
        found.append(f"began {span_format.since(first.at, now)} ago{how}")
    return [clean(text, 80) for text in found]


def going_on(spans: Sequence[Span]) -> Span | None:
    """The innermost span in flight; of several the one that began last, issues after all others."""
    parents = {s.parent_key for s in spans if s.in_flight}
    flying = [s for s in spans if s.in_flight and s.key not in parents]
    return max(flying, key=lambda s: (s.operation != "issue", s.at, s.key), default=None)


def _commit(span: Span) -> str:
    return str(span.attributes.get("vcs.ref.head.revision", ""))[:7]


def _number(span: Span) -> str:
    name = span.name.split(" ", 1)[0]
    if name.startswith(("#", "!")):
        return name
    return str(span.attributes.get("vcs.change.id") or span.ref.rpartition("-")[2])


def _ended(span: Span, clock: Callable[[Instant], str]) -> str:
    if span.ended_at is None:
        return ""
    word = "merged" if span.operation == "pull_request" and not span.status.failed else "closed"
    return f" {word} {clock(span.ended_at)}"


def trace_at(trace: Trace, at: Instant | None) -> Trace | None:
    """The trace as of `at`; None if all of it began later."""
    if at is None:
        return trace
    spans = all_as_of(trace.spans, at)
    if not spans:
        return None
    root = next((span for span in spans if span.key == trace.root.key), spans[0])
    return replace(trace, root=root, spans=spans, linked=all_as_of(trace.linked, at))
