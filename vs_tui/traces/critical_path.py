"""The waits of a trace, and its critical path: what decided when it ended, from first to last.

A wait is named by what is missing and by who can provide it. It is not a span: nothing counts it,
and exports show it as a gap. A wait for people begins with the event that made the next step
possible (a change is opened, a review approves), so a build of ten minutes does not hide a long
wait for review.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from vs_tui.model.time import MINUTE, SECOND, Duration, Instant
from vs_tui.model.vocabulary import Span, State, Status
from vs_tui.traces.steps import end_at
from vs_tui.traces.trace_facts import (
    CONTEXT,
    NOT_BEGUN,
    TraceFacts,
    attribute_instant,
    is_bot,
    is_draft,
    is_machine,
    is_phase,
    named,
    verdict,
)

SHORTEST: Final = MINUTE
"""Shortest wait that is shown."""
_TIES: Final = 20
QUEUES: Final = frozenset({"queued", "pending", "requested"})
GATES: Final = frozenset({"waiting"})
STATES: Final = QUEUES | GATES | {"running", "in_progress", "queued or running"}
"""Phases of a machine step that only name its state."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A time in which the trace waited."""

    key: str
    name: str
    parent: str
    """Key of the span below which it stands."""
    begins: Instant
    ends: Instant
    after: str = ""
    """Key of the span that began it; empty if nothing came before."""
    until: str = ""
    """Key of the span that ended it; empty while it lasts."""
    who: tuple[str, ...] = ()

    @property
    def duration(self) -> Duration:
        return self.ends - self.begins

    @property
    def is_open(self) -> bool:
        return not self.until


@dataclass(frozen=True, slots=True)
class Path:
    """The critical path: keys of spans and of waits, from first to last."""

    keys: tuple[str, ...] = ()
    waits: tuple[Wait, ...] = ()
    """The waits of at least a minute, by begin."""


@dataclass(frozen=True, slots=True)
class _Item:
    key: str
    begins: Instant
    ends: Instant
    parent: str = ""
    wait: Wait | None = field(default=None, compare=False)


def path_of(
    spans: Sequence[Span], now: Instant, expected: Mapping[str, Instant] | None = None
) -> Path:
    """The critical path, walked back from the span that ended last; in an open trace from the step
    that is expected to end last and from the current waits. Only leaves count: a parent that lasts
    as long as its children explains nothing. The path follows times only; parallel steps may have
    dependencies that no payload states."""
    if not spans:
        return Path()
    waits = [w for w in waits_of(spans, now) if w.ends > w.begins]
    items = [
        *_work(spans, waits, now),
        *(_Item(w.key, w.begins, w.ends, w.parent, w) for w in waits),
    ]
    if not items:
        items = [_Item(s.key, s.at, end_at(s, now), s.parent_key) for s in _leaves(spans)]
    items.sort(key=attrgetter("ends", "begins", "key"))
    ends = [item.ends for item in items]
    places = {item.key: place for place, item in enumerate(items)}
    by_key = {span.key: span for span in spans}
    flying = {s.key: s for s in spans if s.in_flight}
    later = expected or {}
    at_work = [i for i in items if i.key in flying and flying[i.key].state is not State.WAITING]
    last = max(
        at_work or items[-1:],
        key=lambda i: (later.get(i.key, i.ends), i.begins, i.key),
        default=None,
    )
    starts = [item for item in items if item.wait is not None and item.wait.is_open]
    starts += [last] if last is not None and last not in starts else []
    found: dict[str, _Item] = {}
    for start in starts:
        item: _Item | None = start
        while item is not None and item.key not in found:
            found[item.key] = item
            # The clock of a tool may tell an end before the begin.
            began = min(item.begins, item.ends)
            place = bisect_right(ends, began, 0, places[item.key]) - 1
            before = _nearest(items, place, item) if place >= 0 else None
            idle = _idle_from(before, began, by_key) if before is not None else began
            if before is not None and began - idle >= SHORTEST:
                gap = _unnamed(before.key, item, began, idle, by_key)
                found[gap.key] = _Item(gap.key, gap.begins, gap.ends, gap.parent, gap)
            item = before
    ordered = sorted(found.values(), key=lambda i: (min(i.begins, i.ends), i.ends, i.key))
    shown = [i.wait for i in ordered if i.wait is not None and i.wait.duration >= SHORTEST]
    kept = {w.key for w in shown}
    return Path(
        tuple(i.key for i in ordered if i.wait is None or i.key in kept),
        tuple(shown),
    )


def _idle_from(item: _Item, until: Instant, by_key: Mapping[str, Span]) -> Instant:
    """The time at which all work around an item had ended; a job may go on after its last step."""
    latest, step = item.ends, by_key.get(item.key)
    while step is not None and (above := by_key.get(step.parent_key)) is not None:
        if not is_machine(above) or above.ended_at is None or above.ended_at > until:
            break
        latest, step = max(latest, above.ended_at), above
    return latest


def _nearest(items: Sequence[_Item], place: int, after: _Item) -> _Item:
    """The item that ended last before another one; among those that ended within a second, a
    sibling."""
    last = items[place]
    for other in reversed(items[max(place - _TIES, 0) : place + 1]):
        if last.ends - other.ends > SECOND:
            break
        if other.parent == after.parent and other.wait is None:
            return last if last.wait is not None else other
    return last


def waits_of(spans: Sequence[Span], now: Instant) -> list[Wait]:
    """All waits with a known reason, on the critical path or not."""
    evidence = TraceFacts(spans, now, {}, False)
    found = [*_queues(spans, now), *_coding(spans, evidence, now), *_deploys(evidence, now)]
    for change in evidence.of("pull_request"):
        if change.started_at is not None:
            found += _review(change, evidence, now)
    return found


def _wait(
    kind: str,
    name: str,
    parent: str,
    begins: Instant,
    ends: Instant,
    *,
    after: str = "",
    until: str = "",
    who: Iterable[str] = (),
) -> Wait:
    return Wait(f"wait\0{kind}\0{parent}\0{begins}", name, parent, begins, ends, after, until,
                tuple(who))  # fmt: skip


def _unnamed(
    after: str, item: _Item, ends: Instant, begins: Instant, by_key: Mapping[str, Span]
) -> Wait:
    """A wait before an item without an event that says what was missing; it belongs to the
    outermost run that began with the item."""
    step = by_key.get(item.parent if item.wait is not None else item.key)
    while step is not None and (above := by_key.get(step.parent_key)) is not None:
        if not is_machine(above) or above.at < ends - SECOND:
            break
        step = above
    name = "nothing ran" + (f" before {step.name}" if step is not None else "")
    parent = step.parent_key if step is not None else item.parent
    until = step.key if step is not None else item.key
    return _wait("gap", name, parent, begins, ends, after=after, until=until)


def _leaves(spans: Sequence[Span]) -> list[Span]:
    kept = [s for s in spans if not _is_state(s)]
    parents = {s.parent_key for s in kept}
    return [s for s in kept if s.key not in parents and s.started_at is not None]


def _is_state(span: Span) -> bool:
    """Whether a phase only says that its span was queued, waited or ran."""
    return is_phase(span) and span.name in STATES


def _work(spans: Sequence[Span], waits: Iterable[Wait], now: Instant) -> list[_Item]:
    """Leaves in which a machine worked, or a person reviewed."""
    by_key = {span.key: span for span in spans}
    within = {w.parent: w for w in waits if w.key.startswith(("wait\0queue\0", "wait\0held\0"))}
    found = []
    for leaf in _leaves(spans):
        parent = by_key.get(leaf.parent_key)
        of_context = parent is not None and parent.operation in CONTEXT and is_phase(leaf)
        if leaf.operation in CONTEXT or of_context or leaf.operation == "push":
            continue
        begins, ends = leaf.at, end_at(leaf, now)
        held = within.get(leaf.key)
        if held is not None and held.begins <= begins and held.ends <= ends:
            begins = held.ends
        found.append(_Item(leaf.key, begins, ends, leaf.parent_key))
    return found


def _queues(spans: Sequence[Span], now: Instant) -> Iterable[Wait]:
    """Times in which a machine step waited for a runner or for a person."""
    by_key = {span.key: span for span in spans}
    for phase in spans:
        owner = by_key.get(phase.parent_key)
        if not is_phase(phase) or owner is None or not is_machine(owner):
            continue
        ends = end_at(phase, now)
        until = owner.key if phase.ended_at is not None else ""
        if phase.name in QUEUES:
            yield _wait("queue", "queued, no runner", owner.key, phase.at, ends,
                        after=owner.key, until=until)  # fmt: skip
        elif phase.name in GATES:
            who = named(owner, "vs.deploy.reviewers")
            yield _wait("held", _approval(owner, who), owner.key, phase.at, ends,
                        after=owner.key, until=until, who=who)  # fmt: skip


def _approval(deploy: Span, who: Sequence[str]) -> str:
    verb = "nobody approves" if deploy.operation == "deploy" else "nobody starts"
    what = deploy.environment or ("it" if deploy.operation == "deploy" else deploy.name)
    return f"{verb} {what}" + (f": {', '.join(who)}" if who else "")


def _coding(spans: Sequence[Span], e: TraceFacts, now: Instant) -> Iterable[Wait]:
    """From the first sign of work on an issue to its first change."""
    issue = e.issue
    if issue is None or issue.started_at is None:
        return
    changes = sorted((c for c in e.of("pull_request") if c.started_at), key=lambda c: c.at)
    first = changes[0] if changes else None
    if first is None and not issue.in_flight:
        return
    ends = first.at if first is not None else now
    phases = [s.at for s in spans if s.parent_key == issue.key and is_phase(s)
              and s.name.lower() not in NOT_BEGUN]  # fmt: skip
    signs = [at for at in (*phases, *(s.at for s in e.of("push"))) if issue.at <= at <= ends]
    until = first.key if first is not None else ""
    if signs and min(signs) > issue.at:
        yield _wait("start", "nobody has begun", issue.key, issue.at, min(signs),
                    after=issue.key, until=issue.key)  # fmt: skip
    begins = min(signs, default=issue.at)
    if first is None and (e.machines or not signs):
        return
    who = named(issue, "vs.issue.assignees") if first is None else ()
    name = "coding, until the pull request" + (f": {', '.join(who)}" if who else "")
    yield _wait("coding", name, issue.key, begins, ends, after=issue.key, until=until, who=who)


def _review(change: Span, e: TraceFacts, now: Instant) -> Iterable[Wait]:
    """The waits from opening a change to its merge: for a review, for changes, for the merge."""
    ends = end_at(change, now)
    closed = change.key if change.ended_at is not None else ""
    pushes = sorted((s for s in (*e.of("push"), *e.runs) if s.operation != "deploy"),
                    key=lambda s: s.at)  # fmt: skip
    reviews = [r for r in e.of("review") if r.parent_key == change.key and not is_bot(r.actor)]
    cursor = max(change.at, min(attribute_instant(change, "vs.pr.ready_at"), ends))
    if cursor > change.at:
        yield _wait("draft", "a draft", change.key, change.at, cursor,
                    after=change.key, until=change.key)  # fmt: skip
    after, approved, word = change.key, False, "nobody reviews"
    asked = named(change, "vs.pr.reviewers")
    for review in sorted(reviews, key=lambda r: (r.at, r.key)):
        begins = min(review.at, ends)
        if begins > cursor and not approved:
            yield _wait("review", _missing(word, asked), change.key, cursor, begins,
                        after=after, until=review.key, who=asked)  # fmt: skip
        if begins < cursor:
            continue
        after, cursor = review.key, min(max(end_at(review, now), begins), ends)
        state = verdict(review)
        if state == "changes_requested":
            approved, push = False, next((p for p in pushes if cursor < p.at <= ends), None)
            until = push.at if push is not None else ends
            who = (change.actor,) if change.actor else ()
            yield _wait("changes", _missing("changes asked", who), change.key, cursor, until,
                        after=after, until=push.key if push is not None else closed,
                        who=who)  # fmt: skip
            cursor, word = until, "nobody reviews it again"
            after = push.key if push is not None else after
        elif state in ("approved", "withdrawn"):
            approved = state == "approved"
    if cursor >= ends:
        return
    if approved:
        built = [end_at(run, now) for run in e.runs if end_at(run, now) <= ends]
        cursor = max([cursor, *(b for b in built if b <= ends)])
        yield _wait("merge", "approved, not merged", change.key, cursor, ends,
                    after=after, until=closed, who=(change.actor,))  # fmt: skip
    elif change.in_flight and is_draft(change):
        who = (change.actor,) if change.actor else ()
        yield _wait(
            "draft", _missing("a draft", who), change.key, cursor, ends, after=after, who=who
        )
    else:
        name = "reviewed, not merged" if reviews else "merged without a review"
        name = name if change.status is Status.OK else word
        yield _wait("review", name if closed else _missing(word, asked), change.key, cursor, ends,
                    after=after, until=closed, who=() if closed else asked)  # fmt: skip


def _missing(word: str, who: Sequence[str]) -> str:
    people = [name for name in who if name and not is_bot(name)]
    if not people:
        return word
    return f"{word}: {', '.join(people)}" + (" asked" if word.startswith("nobody rev") else "")


def _deploys(e: TraceFacts, now: Instant) -> Iterable[Wait]:
    """Before each deploy: from the end of what came before it, or from the merge."""
    merged = [c for c in e.of("pull_request") if c.status is Status.OK and c.ended_at is not None]
    deploys = [d for d in e.deploys if d.started_at is not None]
    keys = {d.key for d in deploys}
    for deploy in deploys:
        if deploy.parent_key in keys:
            continue
        before = [c for c in merged if (c.ended_at or 0) <= deploy.at]
        ended = [s for s in e.machines if s.key != deploy.key and end_at(s, now) <= deploy.at]
        last = max([*before, *ended], key=lambda s: (end_at(s, now), s.key), default=None)
        if last is None or not before:
            continue
        who = named(deploy, "vs.deploy.reviewers")
        name = _approval(deploy, who) if who or deploy.attributes.get("vs.waited") else ""
        if not name:
            environment = f" to {deploy.environment}" if deploy.environment else ""
            name = f"merged, not deployed{environment}"
        yield _wait("deploy", name, deploy.parent_key, end_at(last, now), deploy.at,
                    after=last.key, until=deploy.key, who=who)  # fmt: skip
