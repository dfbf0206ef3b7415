"""Folding: the set of a span's events in, the span and its stages out.

The result depends on the set only: any order of arrival, any duplication and any late
delivery give the same span, because events are put into one canonical order first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, NamedTuple

from vs_tui.model.time import DAY, Duration, Instant, iso
from vs_tui.model.vocabulary import (
    ROLLOUT_AT,
    STATUS_OF,
    Event,
    Key,
    Operation,
    Scalar,
    Seek,
    Span,
    State,
    Status,
)
from vs_tui.traces.push_log import PUSH_LOG, whole_push
from vs_tui.traces.span_events import in_snapshot_order, in_time_order, words_of

_RUNS: Final = frozenset({Operation.PIPELINE, Operation.BUILD, Operation.DEPLOY, Operation.TEST})
_IDLE_PHASES: Final = frozenset({"queued", "pending", "waiting"})

_attempt: Final = itemgetter(Event._fields.index("attempt"))
_as_of: Final = itemgetter(Event._fields.index("as_of"))
WAITING_LIMIT: Final[Duration] = 30 * DAY
"""How long a span may wait for a person before its timeout counts: as long as GitHub lets a
deployment wait for its approval."""
FEW_ATTRIBUTES: Final = 32
"""So many are never too much, as each is short."""
MOST_LOG: Final = 512 * 1024
"""Characters of a push's commits, which may be thousands; they do not count to the others."""
MOST_ATTRIBUTES: Final = 64 * 1024
"""Characters of the attributes of one span; the rest stays in its deliveries."""
LEFT_OUT: Final = "vs.attributes.left_out"
RESULT_SLOT: Final = "result"
"""The slot of a note that holds the result of a span whose end another event states: one with an
`error` says that it failed, whenever it ended. `result:PART` is the result of one part, which
counts only where the whole has none."""


class Folded(NamedTuple):
    """What the events of one key add up to."""

    span: Span
    phases: Sequence[tuple[str, Instant]]
    """The phases it went through and when each began, in time order."""
    snapshots: Sequence[Event]
    """Its events as they are known now, the latest snapshot last."""

    @property
    def stages(self) -> tuple[Span, ...]:
        """Phases as child spans, in time order."""
        return tuple(stages_of(self.span, self.phases, self.full_ref))

    @property
    def offers(self) -> tuple[Key, ...]:
        return offers_of(self.snapshots)

    @property
    def full_ref(self) -> str:
        """The unambiguous readable ref; empty where that is the key."""
        for event in reversed(self.snapshots):
            if found := event.full_ref:
                return found if found != self.span.key else ""
        return ""

    @property
    def seeks(self) -> tuple[Seek, ...]:
        return seeks_of(self.snapshots)


def offers_of(events: Iterable[Event]) -> tuple[Key, ...]:
    """The keys that a span offers: those of all its events, and the refs under its former names."""
    told = list(events)
    keys = [key for event in told for key in event.offers]
    return tuple(dict.fromkeys([*keys, *former_refs(told)]))


def former_refs(events: Sequence[Event]) -> list[Key]:
    """The refs of a renamed span, by all of which it is still found; empty if it has one name."""
    found: list[Key] = []
    if len(events) == 1:
        return found
    for names in ({e.ref for e in events if e.ref}, {e.full_ref for e in events if e.full_ref}):
        if len(names) > 1:
            found += [Key("ref", name) for name in sorted(names)]
    return found


def seeks_of(events: Iterable[Event]) -> tuple[Seek, ...]:
    """The keys that a span seeks: those of its newest restating snapshots, and all keys from other
    events.

    A corrected title, a removed parent or an edited description takes effect.
    """
    told = list(events)
    if len(told) == 1:
        return tuple(dict.fromkeys(told[0].seeks))
    newest: dict[str, Event] = {}
    for event in told:
        if part := event.restates:
            newest[part] = max(newest.get(part, event), event, key=_by_relations)
    return tuple(
        dict.fromkeys(
            seek
            for event in told
            if not event.restates or newest[event.restates] is event
            for seek in event.seeks
        )
    )


def _by_relations(event: Event) -> tuple[Instant, Instant, int, tuple[Seek, ...]]:
    # The tail only decides between snapshots of one instant, so that arrival does not.
    return (event.snapshot_at, event.occurred_at, event.state, event.seeks)


@dataclass(slots=True)
class _Course:
    """The course of a span's states: an episode runs from a start to an end."""

    state: State = State.NOTE
    changed_at: Instant = 0
    ended_at: Instant | None = None
    closed: Duration = 0
    reopens: int = 0
    begun: bool = False
    error: str = ""

    def see(self, event: Event) -> None:
        state = event.state
        if state is State.NOTE:
            return
        if self.state < State.OK:
            if state >= State.OK:
                self.ended_at, self.error = event.occurred_at, event.error
            self._set(event)
        elif state >= State.OK:
            self._end_again(event)
        elif event.holds_after_end(begun=self.begun, ended_at=self.changed_at):
            self.closed += event.occurred_at - self.changed_at
            self.reopens += 1
            self.ended_at, self.error = None, ""
            self._set(event)

    def _end_again(self, event: Event) -> None:
        # The first end stands, unless the source knows better or it is a tie.
        if event.replaces_end(self.state) or event.occurred_at == self.changed_at:
            self.ended_at, self.error = event.occurred_at, event.error
            self._set(event)

    def _set(self, event: Event) -> None:
        self.begun = self.begun or not event.state.terminal
        self.state, self.changed_at = event.state, event.occurred_at


def fold(events: Iterable[Event]) -> Folded:
    """Fold the events of one span key; at least one is needed.

    - State: the latest by (instant, rank); once ended it stays ended unless a later event
      `supersedes`. A reopen starts a new episode of the same span.
    - Start: the earliest the payloads state, else the first state seen before the end. An end
      without a start leaves it None: missing is shown as missing.
    - Names and attributes: the latest snapshot that has them.
    """
    ordered = in_time_order(events)
    course = _Course()
    for event in ordered:
        course.see(event)
    _judge(course, ordered)
    snapshots = in_snapshot_order(ordered)
    latest = snapshots[-1]
    words: Sequence[str] = words_of(latest)
    for event in reversed(snapshots[:-1]):
        words = [word or before for word, before in zip(words, words_of(event), strict=True)]
    actor, url, ref, operation, source, project, service, environment, trace_id, name = words
    attributes: dict[str, Scalar] = {}
    for event in snapshots:
        attributes.update(event.attributes)
    if operation == Operation.PUSH and len(snapshots) > 1:
        attributes |= whole_push(snapshots)
    if len(attributes) > FEW_ATTRIBUTES:
        attributes = bounded(attributes)
    started = _started_at(ordered, course)
    phases = _phases(ordered, course)
    if trace_id:
        attributes["vs.trace_id"] = trace_id
    if operation == Operation.DEPLOY and (begun := _rollout_at(started, phases)):
        attributes[ROLLOUT_AT] = begun
    span = Span(
        key=latest.key,
        ref=ref or latest.key,
        source=source,
        # Plain, as it is stored: sources name it by a class of its own.
        operation=str(operation) or "build",
        name=name or latest.key,
        state=course.state,
        status=STATUS_OF.get(course.state, Status.IN_FLIGHT),
        started_at=started,
        ended_at=course.ended_at,
        project=project,
        # Alerts, images and tools spell one service in different cases.
        service=service.lower(),
        environment=environment,
        actor=actor,
        url=url,
        attempt=max(map(_attempt, ordered)),
        stage=phases[-1][0] if phases else "",
        stage_at=phases[-1][1] if phases else None,
        last_event_at=max(ordered[-1].occurred_at, *map(_as_of, ordered)),
        reopens=course.reopens,
        active=_active(started, course),
        error=course.error,
        attributes=attributes,
    )
    return Folded(span, phases, snapshots)


def _rollout_at(started: Instant | None, phases: Sequence[tuple[str, Instant]]) -> str:
    """When the first phase after the idle ones began; empty if the deploy did not wait."""
    if started is None or not phases or phases[0][0] not in _IDLE_PHASES:
        return ""
    begun = next((at for name, at in phases if name not in _IDLE_PHASES), started)
    return (iso(begun) or "") if begun > started else ""


def bounded(attributes: dict[str, Scalar]) -> dict[str, Scalar]:
    """The attributes, without the longest where all are too much;
    `vs.attributes.left_out` says how many."""
    sizes = {name: len(name) + len(str(value)) for name, value in attributes.items()}
    over = sum(sizes.values()) - MOST_ATTRIBUTES - min(sizes.get(PUSH_LOG, 0), MOST_LOG)
    if over <= 0:
        return attributes
    left = dict(attributes)
    # Ours go last: metrics and screens are made of them.
    for name in sorted(sizes, key=lambda name: (name.startswith("vs."), -sizes[name], name)):
        if over <= 0:
            break
        del left[name]
        over -= sizes[name]
    return {**left, LEFT_OUT: len(attributes) - len(left)}


def with_timeout(span: Span, now: Instant, timeouts: Mapping[str, Duration]) -> Span:
    """The span as it stands at `now`: `timed_out` once its operation's timeout has passed.

    The end is the start of its present phase plus the timeout whenever it is looked at, so that
    a rebuild gives the same row; a late end folds the real one over it. What waits for a person
    (an approval, a manual job) hangs on nothing that can break: see WAITING_LIMIT.
    """
    limit = timeouts.get(span.operation)
    if limit is None or not span.in_flight or span.started_at is None:
        return span
    if span.state is State.WAITING:
        limit = max(limit, WAITING_LIMIT)
    begun = span.started_at if not span.reopens else span.last_event_at
    begun = max(begun, span.stage_at or begun)
    if now - begun < limit:
        return span
    return span._replace(status=Status.TIMED_OUT, ended_at=begun + limit, error="timeout")


def _judge(course: _Course, ordered: Sequence[Event]) -> None:
    """If a failed result arrives separately from the end (see RESULT_SLOT), turn the end into an
    error."""
    if course.state is not State.OK:
        return
    told = [event for event in ordered if event.slot.startswith(RESULT_SLOT)]
    whole = [event for event in told if event.slot == RESULT_SLOT]
    errors = [event.error for event in whole or told if event.error]
    if errors:
        course.state, course.error = State.ERROR, max(errors)


def _started_at(ordered: Sequence[Event], course: _Course) -> Instant | None:
    stated = [e.started_at for e in ordered if e.started_at is not None]
    if stated:
        return min(stated)
    seen = [e.occurred_at for e in ordered if e.state is not State.NOTE and not e.state.terminal]
    if seen:
        # The clock of the start may be ahead of that of the end.
        return min(seen) if course.ended_at is None else min(*seen, course.ended_at)
    # Nothing but notes: it exists from its first note on.
    return ordered[0].occurred_at if course.ended_at is None else None


def _active(started: Instant | None, course: _Course) -> Duration | None:
    if started is None or course.ended_at is None:
        return None
    return max(course.ended_at - started - course.closed, 0)


def _phases(ordered: Sequence[Event], course: _Course) -> list[tuple[str, Instant]]:
    """The stages entered, in order, each once per visit; those from the end on are no phases."""
    phases: list[tuple[str, Instant]] = []
    for event in ordered:
        if not event.stage:
            continue
        if course.ended_at is not None and event.occurred_at >= course.ended_at:
            break
        if not phases or phases[-1][0] != event.stage:
            phases.append((event.stage, event.occurred_at))
    return phases


def _last_phase(span: Span, name: str) -> str:
    """The name of a phase without a later one. A queued run that came to a result has also run, at
    an unknown time, so the name gets ` or running`."""
    ran = span.operation in _RUNS and span.status in (Status.OK, Status.ERROR)
    return f"{name} or running" if ran and name in _IDLE_PHASES else name


def stages_of(
    span: Span, phases: Sequence[tuple[str, Instant]], full_ref: str = ""
) -> Iterable[Span]:
    """The phases of a span as its children, of its team and in its trace; `full_ref` is its
    readable ref where its key has an id."""
    visits: dict[str, int] = {}
    for index, (name, began) in enumerate(phases):
        visits[name] = visits.get(name, 0) + 1
        suffix = "" if visits[name] == 1 else f"~{visits[name]}"
        is_last = index + 1 == len(phases)
        key = f"{span.key}/{name}{suffix}"
        told = _last_phase(span, name) if is_last else name
        yield Span(
            key=key,
            ref=f"{full_ref}/{name}{suffix}" if full_ref else key,
            source=span.source,
            operation="stage",
            name=told,
            # An earlier phase was left for the next one; only the last shares the span's fate.
            status=span.status if is_last else Status.OK,
            state=span.state if is_last else State.OK,
            error=span.error if is_last else "",
            started_at=began,
            ended_at=span.ended_at if is_last else phases[index + 1][1],
            project=span.project,
            team=span.team,
            service=span.service,
            environment=span.environment,
            actor=span.actor,
            last_event_at=span.last_event_at,
            attributes={"vs.stage": told},
            trace_id=span.trace_id,
            parent_key=span.key,
        )
