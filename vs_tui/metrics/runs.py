"""The deployments of one span that ran several times.

A sender without deployment ids reports a repeated deploy of a version as the same span, which is
reopened. Each run is a deployment; a retry, which has a higher attempt, is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from vs_tui.metrics.facts import Deployment, Outcome
from vs_tui.model.time import Instant, iso, parse_instant
from vs_tui.model.vocabulary import Event, Span, State

_TOLD: Final = "vs.run."
"""Prefix of plyzen's runs: `vs.run.TIME` is `start` or a result."""
_OUTCOMES: Final = {
    State.OK: Outcome.OK,
    State.ERROR: Outcome.FAILED,
    State.CANCELLED: Outcome.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a span, from a start to an end."""

    started_at: Instant
    ended_at: Instant | None
    outcome: Outcome
    reason: str = ""


def runs_told(span: Span) -> list[Run]:
    """The runs recorded in a span's attributes, in time order."""
    told = sorted(
        (at, str(value))
        for name, value in span.attributes.items()
        if name.startswith(_TOLD) and (at := parse_instant(name[len(_TOLD) :])) is not None
    )
    found: list[Run] = []
    begun: Instant | None = None
    for at, value in told:
        if value == "start":
            begun = at if begun is None else begun
            continue
        failed = value in ("failure", "diverse")
        outcome = Outcome.FAILED if failed else Outcome.OK
        found.append(Run(at if begun is None else begun, at, outcome, value if failed else ""))
        begun = None
    return found if begun is None else [*found, Run(begun, None, Outcome.PENDING)]


def runs_seen(events: Iterable[Event]) -> list[Run]:
    """The runs in the events of a reopened span, in time order. A later correction of an end is not
    another end."""
    found: list[Run] = []
    attempt = 0
    begun = False
    for event in sorted(events, key=lambda event: (event.occurred_at, event.state)):
        if event.state is State.NOTE:
            continue
        last = found[-1] if found else None
        if event.state.terminal:
            started = last.started_at if last else event.occurred_at
            run = Run(started, event.occurred_at, _OUTCOMES[event.state], event.error)
            found[-1:] = [run]
        elif last is None:
            found.append(Run(event.occurred_at, None, Outcome.PENDING))
        elif last.ended_at is not None and event.holds_after_end(begun=begun):
            if event.attempt > attempt > 0:
                found[-1] = Run(last.started_at, None, Outcome.PENDING)
            else:
                found.append(Run(event.occurred_at, None, Outcome.PENDING))
        begun = begun or not event.state.terminal
        attempt = max(attempt, event.attempt)
    return found


def each_run(deployment: Deployment, runs: list[Run]) -> list[Deployment]:
    """One deployment per run; the last one is the span in its current state."""
    if len(runs) < 2:
        return [deployment]
    return [
        *(
            replace(
                deployment,
                key=f"{deployment.key}#{iso(run.ended_at)}",
                run_of=deployment.key,
                started_at=run.started_at,
                ended_at=run.ended_at,
                outcome=run.outcome,
                reason=(run.reason or "failure") if run.outcome is Outcome.FAILED else "",
            )
            for run in runs[:-1]
            if run.ended_at is not None
        ),
        replace(deployment, started_at=runs[-1].started_at),
    ]
