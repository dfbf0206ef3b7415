"""Texts of a span for lists: state as glyph and word, age, ratio; and short facts about a trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from typing import Final

from vs_tui.model.display import clean
from vs_tui.model.filters import QUIET_BY_NATURE
from vs_tui.model.time import DAY, HOUR, MINUTE, Instant, to_datetime
from vs_tui.model.vocabulary import Span, State, Status
from vs_tui.store.queries.reader_protocol import Trace
from vs_tui.traces.baseline import Baseline
from vs_tui.traces.standing import FEWEST
from vs_tui.tui.theme import Glyphs

SKEW: Final = 2 * MINUTE
"""Smaller differences between clocks are ignored."""
LONG_RATIO: Final = 1.5
"""A span that takes this multiple of its median, or more, is marked as long."""
STALE_P90S: Final = 3
_PLAIN_ERRORS: Final = frozenset({"failure", "failed", "error"})
"""Error texts that say only that the span failed."""
_IDLE: Final = {State.QUEUED: "queued", State.WAITING: "waiting"}
_NAMED_ABOVE: Final = frozenset({"pull_request", "pipeline", "deploy", "issue"})
_KINDS: Final = {
    "pull_request": "pr",
    "pipeline": "pipeline",
    "incident": "incident",
    "release": "release",
}


def kind(span: Span) -> str:
    """The operation's short name for a column."""
    return kind_of(span.operation)


def kind_of(operation: str) -> str:
    """The short name of an operation."""
    return _KINDS.get(operation, operation.replace("_", " "))


def kind_in_tree(span: Span) -> str:
    """The kind to show before a name in a tree, with a space. Empty for a stage, and for a name
    that begins with the kind."""
    word = clean(kind(span), 12)  # a custom type can be any text
    named = span.operation == "stage" or span.name.lower().startswith(word)
    return "" if named else f"{word} "


def is_phase(span: Span) -> bool:
    """Whether the span is a phase that folding made of its parent. A phase needs no link: its key
    is the parent's key plus its name. A `stage` sent by a tool has its own key."""
    return span.operation == "stage" and span.key.startswith(f"{span.parent_key}/")


def is_stale(span: Span, baseline: Baseline | None, now: Instant) -> bool:
    """Whether a running span has had no event for three times its p90, at least ten minutes.
    Without history the limit is a day. It is shown as stale, not as a bar that runs for ever."""
    if not span.in_flight or span.operation in QUIET_BY_NATURE or span.state is not State.RUNNING:
        return False
    limit = max(STALE_P90S * baseline.p90, 10 * MINUTE) if baseline else DAY
    return now - max(span.last_event_at, span.at) > limit


def state(
    span: Span, glyphs: Glyphs, now: Instant, baseline: Baseline | None = None
) -> tuple[str, str, str]:
    """(glyph, word of at most six letters, role) of a span's state."""
    if span.status is Status.OK:
        return glyphs.ok, "merged" if span.operation == "pull_request" else "ok", "ok"
    if span.status is Status.ERROR:
        return glyphs.fail, "fail", "fail"
    if span.status is Status.TIMED_OUT:
        return glyphs.fail, "lost", "fail"
    if span.status is Status.CANCELLED:
        return glyphs.cancel, "cancel", "cancel"
    if span.state is State.QUEUED:
        return glyphs.queue, "queue", "queue"
    if span.state is State.WAITING:
        return glyphs.wait, "wait", "wait"
    if is_stale(span, baseline, now):
        return glyphs.stale, "stale", "stale"
    if span.operation == "incident":
        return glyphs.fail, "open", "fail"
    if span.operation in QUIET_BY_NATURE:
        return glyphs.open_mark, "open", "run"
    return glyphs.run, "run", "run"


def starts_ahead(span: Span, now: Instant) -> bool:
    """Whether the span starts in the future, so that the sender's clock is wrong."""
    return span.in_flight and span.started_at is not None and span.started_at - now > SKEW


def impossible_starts_last(spans: Sequence[Span], now: Instant) -> list[Span]:
    """Spans with those in flight first. Among these, spans that start in the future come last, so
    that they do not push out spans that have begun."""
    return sorted(spans, key=lambda s: (not s.in_flight, starts_ahead(s, now)))


def title(span: Span) -> str:
    """The span's name; for a deploy also its environment."""
    if span.operation == "deploy" and span.environment and span.environment not in span.name:
        return f"{span.name} → {span.environment}"
    return span.name


def trace_id(text: str) -> str:
    """A trace id, shortened for a title."""
    return text if len(text) <= 10 else f"{text[:4]}…{text[-2:]}"


def says_more(stage: str) -> bool:
    """Whether a stage's name says more than that the span is running."""
    return stage not in ("", "running")


def stage(
    span: Span,
    baseline: Baseline | None,
    zone: tzinfo | None,
    now: Instant,
    below: Sequence[Span] = (),
) -> str:
    """The span's position. In flight it is the stage, or the running spans `below` if the stage
    says no more than the state; otherwise the end time and the error. It is a clock time, because
    an age would repaint a quiet screen. `-` if unknown."""
    if is_stale(span, baseline, now):
        return "no event"
    if span.in_flight:
        if says_more(span.stage):
            return span.stage
        if span.state in _IDLE:
            return span.stage or _IDLE[span.state]
        return _at_work(below) or span.stage or "-"
    ended = minute(span.ended_at, zone, now)
    if span.status is Status.OK:
        return ended
    is_plain = span.error in _PLAIN_ERRORS or span.status is Status.TIMED_OUT
    error = "" if is_plain else span.error
    return f"{ended} {error or span.stage}".rstrip()


def _at_work(spans: Sequence[Span]) -> str:
    """The span that began last, and the number of others: `test +1`. Pull requests, pipelines,
    deploys and issues are named by their kind: an issue is at its `pr`."""
    if not spans:
        return ""
    last = max(spans, key=lambda span: span.at)
    word = kind(last) if last.operation in _NAMED_ABOVE else last.name
    return word if len(spans) == 1 else f"{word} +{len(spans) - 1}"


def usual(baseline: Baseline | None) -> Baseline | None:
    """The baseline, if it has enough values to be a usual time; else None."""
    return baseline if baseline is not None and baseline.n >= FEWEST else None


def ratio(span: Span, baseline: Baseline | None, now: Instant) -> float | None:
    """Elapsed time divided by the usual one; None if that is unknown, and for a failed span."""
    elapsed, known = span.elapsed(now), usual(baseline)
    if known is None or elapsed is None or known.p50 <= 0:
        return None
    if not span.in_flight and span.status is not Status.OK:
        return None
    return elapsed / known.p50


def ratio_text(
    span: Span, baseline: Baseline | None, glyphs: Glyphs, now: Instant
) -> tuple[str, str]:
    """(`1.8x ▲`, role), six cells: with a mark if the span runs long; `-` without history, nothing
    for one that has just begun."""
    if is_stale(span, baseline, now):
        return "lost? ", "stale"
    found = ratio(span, baseline, now)
    if found is None:
        return "   -  ", "dim"
    if found < 0.05:  # never "0.0x", which looks like a fault
        return ("      " if span.in_flight else "<0.1x "), "dim"
    digits = 1 if found < 9.95 else 0  # keep a cell for the mark
    text = f"{found:.{digits}f}x" if found < 99.5 else ">99x"
    if found >= LONG_RATIO and span.in_flight:
        return f"{text:>4} {glyphs.long}", "wait"
    return f"{text:>4}  ", "dim"


def clock(instant: Instant | None, zone: tzinfo | None, now: Instant) -> str:
    """A time in the user's time zone: `09:41:07` today, `20 Nov 09:41` on other days, the date
    alone beyond 300 days."""
    if instant is None:
        return "-"
    local = to_datetime(instant).astimezone(zone)
    today = to_datetime(now).astimezone(zone)
    if local.date() == today.date():
        return local.strftime("%H:%M:%S")
    if abs((today - local).days) < 300:
        return local.strftime("%d %b %H:%M")
    return local.strftime("%Y-%m-%d")


def zone_name(instant: Instant, zone: tzinfo | None) -> str:
    """The short name of the user's time zone at an instant: `UTC`, `CEST`, `-03`."""
    return to_datetime(instant).astimezone(zone).tzname() or ""


def minute(instant: Instant | None, zone: tzinfo | None, now: Instant) -> str:
    """A time for a narrow column: `09:41` today, `20 Nov` on other days, `Nov 2025` beyond 300
    days."""
    if instant is None:
        return "-"
    local, today = (to_datetime(at).astimezone(zone) for at in (instant, now))
    if local.date() == today.date():
        return local.strftime("%H:%M")
    return local.strftime("%d %b" if abs((today - local).days) < 300 else "%b %Y")


def local_zone() -> tzinfo | None:
    """The machine's time zone."""
    return datetime.now().astimezone().tzinfo


def zone_named(name: str) -> tzinfo | None:
    """A time zone by its name; the machine's for an empty string."""
    if not name:
        return local_zone()
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def since(instant: Instant | None, now: Instant) -> str:
    """Time passed, in one unit: `2s`, `5m`, `3h`, `2d`."""
    if instant is None:
        return "-"
    elapsed = max(now - instant, 0)
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE)):
        if elapsed >= size:
            return f"{elapsed // size}{unit}"
    return f"{elapsed // 1_000_000}s"


_REFERRED: Final = (("pull_request", "PR"), ("issue", "issue"))


def trace_facts(trace: Trace, clock: Callable[[Instant], str], now: Instant) -> list[str]:
    """Cleaned facts, the most telling first; empty if nothing is known."""
    spans = trace.spans  # without linked spans, which belong to other traces
    found: list[str] = []
    commit = next((sha for s in reversed(spans) if (sha := _commit(s))), "")
    if commit:
        found.append(f"commit {commit}")
    for operation, word in _REFERRED:
        span = next((s for s in spans if s.operation == operation), None)
        if span is not None:
            found.append(f"{word} {_number_of(span)}{_ended(span, clock)}")
    first = min(trace.spans, key=lambda s: s.at)
    if first.key != trace.root.key or first.operation in ("issue", "pull_request"):
        how = "" if first.key == trace.root.key else f" with a {kind(first)}"
        found.append(f"began {since(first.at, now)} ago{how}")
    return [clean(text, 80) for text in found]


def _commit(span: Span) -> str:
    return str(span.attributes.get("vcs.ref.head.revision", ""))[:7]


def _number_of(span: Span) -> str:
    name = span.name.split(" ", 1)[0]
    if name.startswith(("#", "!")):
        return name
    return str(span.attributes.get("vcs.change.id") or span.ref.rpartition("-")[2])


def _ended(span: Span, clock: Callable[[Instant], str]) -> str:
    if span.ended_at is None:
        return ""
    merged = span.operation == "pull_request" and span.status is Status.OK
    word = "merged" if merged else "closed"
    return f" {word} {clock(span.ended_at)}"
