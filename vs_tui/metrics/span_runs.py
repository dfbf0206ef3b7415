"""The runs of a span that began again after its end: several runs are several deployments, tests or
incidents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple, TypeVar

from vs_tui.metrics.facts import Deployment, DeployOutcome, Test, one_spelling
from vs_tui.metrics.span_facts import OUTCOMES, commit_of, version_of
from vs_tui.model.time import Instant, iso, parse_instant
from vs_tui.model.vocabulary import CLOCK_SKEW, STATUS_OF, Event, Span, State

_TOLD: Final = "vs.run."
"""Prefix of plyzen's runs: `vs.run.TIME` is `start` or a result."""


class SpanRun(NamedTuple):
    """One run of a span, from a start to an end."""

    started_at: Instant
    ended_at: Instant | None = None
    outcome: DeployOutcome = DeployOutcome.PENDING
    told: Mapping[str, str] = {}
    """Its service, environment, version and commit, as far as its events tell them."""


def runs_told(span: Span) -> list[SpanRun]:
    """The runs recorded in a span's attributes, in time order."""
    told = sorted(
        (at, str(value))
        for name, value in span.attributes.items()
        if name.startswith(_TOLD) and (at := parse_instant(name[len(_TOLD) :])) is not None
    )
    found: list[SpanRun] = []
    begun: Instant | None = None
    for at, value in told:
        if value == "start":
            last = found[-1] if found else None
            has_no_start = last is not None and last.started_at == last.ended_at
            if begun is None and not (has_no_start and at - found[-1].started_at <= CLOCK_SKEW):
                begun = at
            continue
        failed = value in ("failure", "diverse")
        outcome = DeployOutcome.FAILED if failed else DeployOutcome.OK
        found.append(SpanRun(at if begun is None else begun, at, outcome))
        begun = None
    return found if begun is None else [*found, SpanRun(begun)]


def runs_seen(events: Iterable[Event]) -> list[SpanRun]:
    """The runs in the events of a reopened span, both in time order. A later correction of an end
    is not another end. An id that is used for several places is a span of the last one, so runs
    elsewhere are left out."""
    found: list[SpanRun] = []
    attempt = 0
    begun = False
    place = {"service": "", "environment": ""}
    told = list(events)
    for event in told:
        if event.state is State.NOTE:
            continue
        at, last = event.occurred_at, found[-1] if found else None
        if event.state.terminal:
            last = last or SpanRun(at)
            found[-1:] = [last._replace(ended_at=at, outcome=OUTCOMES[STATUS_OF[event.state]])]
        elif last is None:
            found.append(SpanRun(at))
        elif last.ended_at is not None and event.holds_after_end(
            begun=begun, ended_at=last.ended_at
        ):
            if event.attempt > attempt > 0:
                found[-1] = last._replace(ended_at=None, outcome=DeployOutcome.PENDING)
            else:
                found.append(SpanRun(at))
        about = {what: value for what, value in _told(event) if value}
        found[-1] = found[-1]._replace(told={**found[-1].told, **about})
        place |= about
        begun = begun or not event.state.terminal
        attempt = max(attempt, event.attempt)
    stated = [event.started_at for event in told if event.started_at is not None]
    if found and stated:
        found[0] = found[0]._replace(started_at=min(found[0].started_at, *stated))
    return [
        run
        for run in found
        if all(run.told.get(what) in (None, place[what]) for what in ("service", "environment"))
    ]


def _told(event: Event) -> Iterator[tuple[str, str]]:
    """What an event tells of what is deployed, and where."""
    yield "service", event.service.lower()
    yield "environment", one_spelling(event.environment)
    yield "version", version_of(event.attributes, event.service)
    yield "commit", commit_of(event.attributes)


Whole = TypeVar("Whole", Deployment, Test)


def named(whole: Whole, run: SpanRun) -> Whole:
    """A deployment or a test with the version and the commit that its run told."""
    version = run.told.get("version", whole.version)
    return replace(whole, version=version, commit=run.told.get("commit", whole.commit))


def each_run(deployment: Deployment, runs: list[SpanRun]) -> list[Deployment]:
    """One deployment per run; the last one is the span in its current state."""
    if not runs:
        return [deployment]
    return [
        *(
            replace(
                named(deployment, run),
                key=f"{deployment.key}#{iso(run.ended_at)}",
                run_of=deployment.key,
                started_at=run.started_at,
                ended_at=run.ended_at,
                outcome=run.outcome,
            )
            for run in runs[:-1]
            if run.ended_at is not None
        ),
        replace(deployment, started_at=max(deployment.started_at, runs[-1].started_at)),
    ]
