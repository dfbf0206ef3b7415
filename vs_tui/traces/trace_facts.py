"""The facts about a trace that the rules of the next action use: its spans, sorted by kind.

What bots do and when something was last updated are never evidence: only what people and machines
did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Final, Protocol

from vs_tui.model.time import DAY, MINUTE, Duration, Instant, parse_instant
from vs_tui.model.vocabulary import Span, State, Status
from vs_tui.traces.steps import step_name

SILENT_P90S: Final = 3
SILENT_AT_LEAST: Final = 10 * MINUTE
"""A machine step is lost after this time without an event, if it is also this many times its 90th
percentile."""
SILENT_WITHOUT_HISTORY: Final = DAY
MACHINES: Final = frozenset({"pipeline", "build", "test", "deploy"})
NO_MACHINES: Final = frozenset(
    {"issue", "pull_request", "review", "push", "sprint", "incident", "release", "stage"}
)
CONTEXT: Final = frozenset({"issue", "pull_request", "sprint"})
"""Operations that stay open while people work on others."""
_COLUMNS: Final = (
    ("unblock", ("block", "on hold", "waiting", "impeded")),
    ("review", ("review",)),
    ("test", ("qa", "test", "verif", "accept", "uat", "valid")),
    ("release", ("deploy", "release", "ship", "ready to go", "staging")),
)
"""(work to do on an issue, words in the name of a column that mean it)."""
NOT_BEGUN: Final = frozenset({"", "open", "opened", "new", "to do", "todo", "backlog", "triage"})
"""Board columns, in lower case, in which work on an issue has not begun."""
_BOT: Final = ("[bot]", "-bot")


class Usual(Protocol):
    """Durations of the last successes of a series."""

    @property
    def n(self) -> int: ...

    @property
    def p50(self) -> Duration: ...

    @property
    def p90(self) -> Duration: ...


class TraceFacts:
    """The spans of a trace, sorted by kind, as the rules need them."""

    def __init__(
        self,
        spans: Iterable[Span],
        now: Instant,
        usual: Mapping[str, Usual],
        deploys: bool,
        superseded: frozenset[str] = frozenset(),
        shipped: Sequence[Span] = (),
    ) -> None:
        self.spans = [span for span in spans if not is_phase(span)]
        self.now = now
        self.usual = usual
        self.goes_on_to_deploy = deploys
        """Whether most merged changes of this project went on to a deploy."""
        self.superseded = superseded
        """Keys of runs that a newer one of another trace has replaced."""
        self.shipped = [span for span in shipped if span.status is Status.OK]
        """Deploys of other traces that took this one's change along."""

    def of(self, operation: str) -> list[Span]:
        return [span for span in self.spans if span.operation == operation]

    @cached_property
    def incidents(self) -> list[Span]:
        """The open incidents."""
        return [span for span in self.spans if span.in_flight and is_incident(span)]

    @cached_property
    def issue(self) -> Span | None:
        issues = self.of("issue")
        return newest_of([span for span in issues if not is_incident(span)] or issues)

    @cached_property
    def change(self) -> Span | None:
        """The open change, else the one opened last."""
        changes = self.of("pull_request")
        return newest_of([c for c in changes if c.in_flight]) or newest_of(changes)

    @cached_property
    def machines(self) -> list[Span]:
        return [span for span in self.spans if is_machine(span)]

    @cached_property
    def flying(self) -> list[Span]:
        """The innermost machine steps in flight; a run whose jobs are in flight is left out."""
        flying = [span for span in self.machines if span.in_flight]
        above = {span.parent_key for span in flying}
        return [span for span in flying if span.key not in above]

    @cached_property
    def working(self) -> list[Span]:
        return [span for span in self.flying if span.state is not State.WAITING]

    def is_silent(self, step: Span) -> bool:
        """Whether a step has been without an event for too long. A step without its own history,
        such as a new job, is judged by the history of its run."""
        known = next((self.usual[s.key] for s in self.upwards(step) if s.key in self.usual), None)
        return is_silent(step, known, self.now)

    def upwards(self, step: Span) -> list[Span]:
        """A step, its run, and the runs above that."""
        by_key = {span.key: span for span in self.machines}
        found: list[Span] = []
        above: Span | None = step
        while above is not None and above not in found:
            found.append(above)
            above = by_key.get(above.parent_key)
        return found

    @cached_property
    def runs(self) -> list[Span]:
        """Machine steps that are not part of another one."""
        keys = {span.key for span in self.machines}
        return [span for span in self.machines if span.parent_key not in keys]

    @cached_property
    def gates(self) -> list[Span]:
        """Steps that wait for a person, unless their run ended without them or a newer run of the
        same name went past them."""
        by_key = {span.key: span for span in self.machines}
        found = []
        for gate in self.flying:
            run = by_key.get(gate.parent_key)
            held = run is None or run.in_flight
            if gate.state is State.WAITING and held and gate.key not in self.superseded:
                newer = (s for s in self.machines if s.at > gate.at and is_same_series(s, gate))
                if not any(s.status is Status.OK for s in newer):
                    found.append(gate)
        return found

    @cached_property
    def failed_run(self) -> Span | None:
        """The newest failed run, unless a newer one of its series has begun."""
        newest: dict[tuple[str, ...], Span] = {}
        for run in sorted(self.runs, key=lambda s: (s.at, s.attempt)):
            newest[series_of(run)] = run
        failed = [run for run in newest.values() if run.status.failed]
        return newest_of([run for run in failed if run.key not in self.superseded])

    def failed_step(self, run: Span) -> Span:
        """The step of a failed run that failed first, else the run itself."""
        below = [s for s in self.machines if s.parent_key == run.key]
        last: dict[tuple[str, str], Span] = {}
        for step in sorted(below, key=lambda s: (s.at, s.attempt)):
            last[step_name(step)] = step  # a second try replaces the first
        failed = [step for step in last.values() if step.status.failed]
        return min(failed, key=lambda s: (s.ended_at or s.at, s.key), default=run)

    @cached_property
    def reviews(self) -> dict[str, Span]:
        """The last verdict of each reviewer, without bots and comments."""
        found: dict[str, Span] = {}
        change = self.change
        for review in sorted(self.of("review"), key=lambda s: s.at):
            if change is not None and review.parent_key not in (change.key, ""):
                continue
            if not is_bot(review.actor) and verdict(review) != "commented":
                found[review.actor] = review
        return found

    @cached_property
    def pushed_at(self) -> Instant:
        """The time of the last push, or of the run that it started; 0 if there was none."""
        pushes = [s.at for s in self.of("push")]
        runs = [s.at for s in self.runs if s.operation != "deploy"]
        return max([*pushes, *runs], default=0)

    @property
    def dropped(self) -> bool:
        """Whether the work was given up: its change was closed without a merge."""
        change = self.change
        return change is not None and change.status is Status.CANCELLED

    @property
    def merged_at(self) -> Instant | None:
        change = self.change
        return change.ended_at if change is not None and change.status is Status.OK else None

    @cached_property
    def deploys(self) -> list[Span]:
        return sorted(self.of("deploy"), key=lambda s: s.at)


def is_silent(span: Span, usual: Usual | None, now: Instant) -> bool:
    """Whether a machine step has been without an event for longer than any run takes."""
    if not span.in_flight or span.state is State.WAITING:
        return False
    limit = max(SILENT_P90S * usual.p90, SILENT_AT_LEAST) if usual else SILENT_WITHOUT_HISTORY
    return now - max(span.last_event_at, min(span.at, now)) > limit


def is_machine(span: Span) -> bool:
    """Whether a machine does this step; phases do not count."""
    return span.operation not in NO_MACHINES


def is_incident(span: Span) -> bool:
    """Whether a span is an incident: one by its operation, or an issue of that type, as in Jira."""
    kind = str(span.attributes.get("vs.issue.type", "")).lower()
    return span.operation == "incident" or (
        span.operation == "issue" and kind in ("incident", "[system] incident")
    )


def is_draft(change: Span) -> bool:
    return is_set(change, "vs.pr.draft")


def is_set(span: Span, attribute: str) -> bool:
    return span.attributes.get(attribute) in (True, 1)


def is_begun(issue: Span) -> bool:
    """Whether the tracker says that somebody works on the issue."""
    category = issue.attributes.get("vs.issue.category")
    if category is not None:
        return category == "indeterminate"
    return issue.state is State.RUNNING and issue.stage.lower() not in NOT_BEGUN


def column_verb(issue: Span) -> str:
    """The work to do on an issue, from the name of its column; `code` if the name says nothing
    more."""
    words = f" {issue.stage.lower()} "
    return next((verb for verb, parts in _COLUMNS if any(p in words for p in parts)), "code")


def is_bot(name: str) -> bool:
    return name.lower().endswith(_BOT)


def is_approved(e: TraceFacts) -> bool:
    """Whether somebody approved, every request for changes is answered, and no further approval is
    required."""
    verdicts = [verdict(review) for review in e.reviews.values()]
    if e.change is not None and is_set(e.change, "vs.pr.approvals_missing"):
        return False
    return "approved" in verdicts and "changes_requested" not in verdicts


def acknowledged_by(incident: Span) -> tuple[str, ...]:
    """The person who acknowledged an incident."""
    assigned = named(incident, "vs.incident.assignees") or named(incident, "vs.issue.assignees")
    if assigned or incident.stage != "acknowledged":
        return assigned
    return people(incident.actor)


def severity_rank(incident: Span) -> int:
    """0 for the worst severity; 9 if none is stated."""
    word = severity(incident).lower()
    digits = [int(character) for character in word if character.isdigit()]
    ranks = {"critical": 1, "blocker": 1, "high": 2, "major": 2, "error": 2, "medium": 3,
             "warning": 3, "low": 4, "minor": 4, "info": 5}  # fmt: skip
    return digits[0] if digits else ranks.get(word, 9)


def severity(incident: Span) -> str:
    found = incident.attributes.get("vs.incident.severity") or incident.attributes.get(
        "vs.issue.severity", ""
    )
    return str(found)


def is_answered(review: Span, change: Span, e: TraceFacts) -> bool:
    """Whether something was pushed after a review requested changes."""
    if verdict(review) != "changes_requested":
        return False
    seen = review.attributes.get("vcs.ref.head.revision")
    head = change.attributes.get("vcs.ref.head.revision")
    return bool(seen and head and seen != head) or e.pushed_at > review.at


_VERDICTS: Final = {
    "approved": "approved",
    "approval": "approved",
    "approve": "approved",
    "changes_requested": "changes_requested",
    "requested_changes": "changes_requested",
    "rejected": "changes_requested",
    "needs_work": "changes_requested",
    "unapproved": "withdrawn",
    "unapproval": "withdrawn",
    "dismissed": "withdrawn",
}


def verdict(review: Span) -> str:
    word = str(review.attributes.get("vs.review.state", "")).lower().replace(" ", "_")
    return _VERDICTS.get(word, "commented")


def series_of(run: Span) -> tuple[str, ...]:
    return (run.project, run.environment, run.service, *step_name(run))


def is_same_series(one: Span, other: Span) -> bool:
    return series_of(one) == series_of(other)


def newest_of(spans: Sequence[Span]) -> Span | None:
    return max(spans, key=lambda s: (s.at, s.key), default=None)


def named(span: Span, attribute: str) -> tuple[str, ...]:
    found = str(span.attributes.get(attribute) or "")
    return tuple(name.strip() for name in found.split(",") if name.strip())


def people(name: str) -> tuple[str, ...]:
    return (name,) if name and not is_bot(name) else ()


def attribute_instant(span: Span, attribute: str) -> Instant:
    return parse_instant(span.attributes.get(attribute)) or 0


def is_phase(span: Span) -> bool:
    return span.operation == "stage" and span.key.startswith(f"{span.parent_key}/")
