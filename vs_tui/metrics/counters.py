"""Delivery counters and histograms with em-metrics' names, and the counts that a span adds to them.

Each fact is counted once, when it is first known, so totals only grow, as Prometheus and OTLP
expect. Names, units and buckets: https://github.com/jsmrcaga/em-metrics (README, src/metrics).
Durations are in minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import starmap
from typing import Final, NamedTuple

from vs_tui.metrics.report import IncidentFact
from vs_tui.metrics.rules import DEFAULT_RULES, MetricRules, ticket_type
from vs_tui.metrics.span_facts import change_of
from vs_tui.model.time import MINUTE, Duration, Instant
from vs_tui.model.vocabulary import Operation, Span, Status

MOST_SERIES: Final = 1_000
"""Most combinations of attributes with a series of their own; the rest is counted as `other`."""
OTHER: Final = "other"


class Instrument(NamedTuple):
    """A counter, or a histogram if it has bounds."""

    name: str
    unit: str
    text: str
    bounds: tuple[float, ...] = ()
    """Upper bounds of the buckets; a last bucket has no bound."""


class Labels(NamedTuple):
    """Attributes of a total; empty ones are left out."""

    project_id: str = ""
    team_id: str = ""
    environment: str = ""
    ticket_type: str = ""


class Count(NamedTuple):
    """One fact to count."""

    fact: str
    """Identifies the fact, so that it is not counted twice."""
    name: str
    """Name of the instrument."""
    labels: Labels
    value: float = 1.0


class Total(NamedTuple):
    """The total of one series since counting began."""

    name: str
    labels: Labels
    n: int = 0
    sum: float = 0.0
    buckets: tuple[int, ...] = ()
    """Count of each bucket, not cumulative, the unbounded one last; empty for a counter."""


_DEPLOY: Final = (1.0, 5.0, 15.0, 20.0, 30.0, 60.0, 120.0)
_LINES: Final = (1.0, 10.0, 50.0, 100.0, 300.0, 750.0, 1250.0, 1700.0, 2500.0, 5000.0)
_REVIEWS: Final = (1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0)
_COMMENTS: Final = (1.0, 3.0, 5.0, 10.0, 30.0, 50.0, 100.0)
_REVIEW: Final = (5.0, 15.0, 30.0, 60.0, 180.0, 300.0, 900.0, 1800.0, 4320.0)
_MERGE: Final = (5.0, 15.0, 30.0, 60.0, 180.0, 300.0, 600.0, 900.0, 1500.0, 2400.0)
_LEAD: Final = (5.0, 15.0, 30.0, 60.0, 150.0, 300.0, 480.0, 900.0, 1440.0, 2880.0, 7200.0)
_RESTORE: Final = (1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0, 480.0, 900.0, 1440.0)
_TICKET: Final = (0.0, 30.0, 60.0, 120.0, 300.0, 480.0, 1440.0, 2880.0, 4320.0)
_TABLE: Final = (
    ("deployment_started", "deployment", "Deployments that began"),
    ("deployment_frequency", "deployment", "Deployments that succeeded"),
    ("change_failure_count", "deployment", "Deployments that failed"),
    ("deployment_duration", "minute", "Duration of ended deployments", _DEPLOY),
    ("lead_time_for_changes", "minute", "Lead time of each shipped change", _LEAD),
    ("time_to_restore", "minute", "Time to restore an incident", _RESTORE),
    ("time_to_detect", "minute", "Time from a deployment to the incident it caused", _RESTORE),
    ("incident_count", "incident", "Incidents that began"),
    ("incident_restored", "incident", "Incidents that were restored"),
    ("incident_finished", "incident", "Incidents that were finished"),
    ("pull_request_opened_count", "pull requests", "Pull requests opened"),
    ("pull_request_merged_count", "pull requests", "Pull requests merged"),
    ("pull_request_closed_count", "pull requests", "Pull requests closed without a merge"),
    ("pull_request_loc_added", "lines of code", "Lines added", _LINES),
    ("pull_request_loc_removed", "lines of code", "Lines removed", _LINES),
    ("pull_request_nb_reviews_per_pr", "reviews/pr", "Reviews of a merged pull request", _REVIEWS),
    ("pull_request_nb_comments_per_review", "comments", "Comments of each review", _COMMENTS),
    (
        "pull_request_time_to_first_review_minutes",
        "minute",
        "From opening to first review",
        _REVIEW,
    ),
    ("pull_request_time_to_approve_minutes", "minute", "From opening to approval", _REVIEW),
    ("pull_request_time_to_merge_minutes", "minute", "From opening to merge", _MERGE),
    ("time_per_ticket", "minute", "Time in progress of each finished ticket", _TICKET),
)
INSTRUMENTS: Final = {found.name: found for found in starmap(Instrument, _TABLE)}
"""Name -> instrument."""

WATCHED: Final = ("deploy", "incident", "pull_request", "review", "issue")
"""Operations whose changes are read. Spans of other operations are read if they count as
deployments."""


def counts_of(
    span: Span,
    below: Iterable[Span] = (),
    rules: MetricRules = DEFAULT_RULES,
    *,
    counts: bool = False,
) -> Iterator[Count]:
    """The counts that a span adds in its current state.

    `below` are the reviews and pushes of a pull request. `counts` is True for a production
    deployment, whose end is counted by `finished` instead.
    """
    labels = Labels(span.project, span.team, span.environment)
    if span.operation == Operation.DEPLOY or counts:
        yield from _counts(span.key, labels, deployment_started=_one(span.started_at is not None))
        ok = span.status is Status.OK
        if not counts and (ok or span.status.failed):
            yield from finished(span.key, labels, ok=ok, failed=not ok, took=span.duration or 0)
    elif span.operation == Operation.PULL_REQUEST:
        yield from _pull_request(span, list(below), labels, rules)
    elif span.operation == Operation.REVIEW:
        comments = _number(span, "vs.review.comments")
        yield from _counts(span.key, labels, pull_request_nb_comments_per_review=comments)
    elif span.operation == Operation.ISSUE and span.status is Status.OK:
        spent = minutes(span.duration if span.active is None else span.active)
        typed = labels._replace(ticket_type=ticket_type(span))
        yield from _counts(span.key, typed, time_per_ticket=spent)


def finished(
    key: str, labels: Labels, *, ok: bool, failed: bool, took: Duration
) -> Iterator[Count]:
    """The counts of a finished production deployment, by its verdict."""
    return _counts(
        key,
        labels,
        deployment_frequency=_one(ok),
        change_failure_count=_one(failed),
        deployment_duration=minutes(took if took > 0 else None),
    )


def shipped(change: str, labels: Labels, lead: Duration) -> Iterator[Count]:
    """The count of a change that its project shipped for the first time."""
    fact = f"{change}\n{labels.project_id}"
    return _counts(fact, labels, lead_time_for_changes=minutes(lead))


def incident(key: str, labels: Labels, fact: IncidentFact) -> Iterator[Count]:
    """The counts of an incident in its current state."""
    return _counts(
        key,
        labels,
        incident_count=1.0,
        incident_restored=_one(fact.restored_at is not None),
        time_to_restore=minutes(fact.time_to_restore),
        incident_finished=_one(fact.finished_at is not None),
        time_to_detect=minutes(fact.time_to_detect),
    )


def minutes(duration: Duration | None) -> float | None:
    """A duration in minutes; None stays None."""
    return None if duration is None else duration / MINUTE


def _counts(key: str, labels: Labels, **values: float | None) -> Iterator[Count]:
    """A count for each instrument with a value."""
    for name, value in values.items():
        if value is not None:
            yield Count(f"{name}\n{key}", name, labels, value)


def _one(happened: bool) -> float | None:
    return 1.0 if happened else None


def _number(span: Span, attribute: str) -> float | None:
    value = span.attributes.get(attribute)
    return float(value) if isinstance(value, int | float) else None


def _pull_request(
    span: Span, below: Sequence[Span], labels: Labels, rules: MetricRules
) -> Iterator[Count]:
    change = change_of(span, below, rules)
    merged = span.status is Status.OK
    reviews = sum(found.operation == Operation.REVIEW for found in below)

    def after(end: Instant | None) -> float | None:
        begin = change.opened_at
        return None if begin is None or end is None else minutes(max(end - begin, 0))

    return _counts(
        span.key,
        labels,
        pull_request_opened_count=1.0,
        pull_request_loc_added=_number(span, "vs.pr.additions"),
        pull_request_loc_removed=_number(span, "vs.pr.deletions"),
        pull_request_time_to_first_review_minutes=after(change.reviewed_at),
        pull_request_time_to_approve_minutes=after(change.approved_at),
        pull_request_merged_count=_one(merged),
        pull_request_nb_reviews_per_pr=float(reviews) if merged else None,
        pull_request_time_to_merge_minutes=after(change.merged_at),
        pull_request_closed_count=_one(span.status is Status.CANCELLED),
    )


def add(total: Total, value: float) -> Total:
    """The total with one more value."""
    bounds = INSTRUMENTS[total.name].bounds
    if not bounds:
        return total._replace(n=total.n + 1, sum=total.sum + value)
    buckets = list(total.buckets or (0,) * (len(bounds) + 1))
    buckets[sum(1 for bound in bounds if value > bound)] += 1
    return total._replace(n=total.n + 1, sum=total.sum + value, buckets=tuple(buckets))
