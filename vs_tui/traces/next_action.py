"""Where a trace stands and who acts next, by the first rule of one table that holds.

The same rules serve the dashboard, `vs-tui ls --by trace`, `/api/traces` and the filter. What bots
do and when something was last updated are never evidence: only what people and machines did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final, Protocol

from vs_tui.model.time import DAY, MINUTE, Duration, Instant, parse_instant
from vs_tui.model.vocabulary import Span, State, Status
from vs_tui.traces.compare import step_name

SILENT_P90S: Final = 3
SILENT_AT_LEAST: Final = 10 * MINUTE
"""A machine that was silent for this long, and for so many times what nine of ten runs take, is
lost."""
SILENT_WITHOUT_HISTORY: Final = DAY
MACHINES: Final = frozenset({"pipeline", "build", "test", "deploy"})
_NO_MACHINES: Final = frozenset(
    {"issue", "pull_request", "review", "push", "sprint", "incident", "release", "stage"}
)
_NOT_BEGUN: Final = frozenset({"", "open", "opened", "new", "to do", "todo", "backlog", "triage"})
"""Columns of a board, in lower case, in which nobody works on an issue."""
_BOT: Final = ("[bot]", "-bot")


class Section(StrEnum):
    """Where a trace is listed, in the order of the list."""

    INCIDENT = "incident"
    RUNNING = "running"
    WAITING = "waiting"
    FINISHED = "finished"
    NOT_STARTED = "not_started"


class Usual(Protocol):
    """How long the last successes of a series took."""

    @property
    def n(self) -> int: ...

    @property
    def p50(self) -> Duration: ...

    @property
    def p90(self) -> Duration: ...


@dataclass(frozen=True, slots=True)
class NextAction:
    """What is going on in a trace now, and who acts next."""

    section: Section
    rule: str
    """The name of the rule that decided."""
    verb: str
    """What is done or has to be done: `CI`, `deploy`, `review`, `merge`, `fix`."""
    what: str = ""
    """What it is done to, such as the name of a job or an environment."""
    who: tuple[str, ...] = ()
    """People who act next; empty while a machine works and where the trace has ended."""
    nobody: str = ""
    """What to say where nobody is known: `nobody`, `anyone`, `nobody asked`."""
    since: Instant | None = None
    """When it began to wait or to run; when a finished trace ended."""
    step: Span | None = None
    """The span that it speaks of."""
    more: int = 0
    """Other steps that run at the same time."""
    why: str = ""
    """One sentence with the evidence."""


class Evidence:
    """What the rules look at: a trace's spans, sorted by what they are."""

    def __init__(
        self,
        spans: Iterable[Span],
        now: Instant,
        usual: Mapping[str, Usual],
        deploys: bool,
        superseded: frozenset[str] = frozenset(),
    ) -> None:
        self.spans = [span for span in spans if not _is_phase(span)]
        self.now = now
        self.usual = usual
        self.goes_on_to_deploy = deploys
        """Whether most merged changes of this project went on to a deploy."""
        self.superseded = superseded
        """Keys of runs that a newer one of another trace has replaced."""

    def of(self, operation: str) -> list[Span]:
        return [span for span in self.spans if span.operation == operation]

    @cached_property
    def incidents(self) -> list[Span]:
        return sorted((span for span in self.of("incident") if span.in_flight), key=lambda s: s.at)

    @cached_property
    def issue(self) -> Span | None:
        return _newest(self.of("issue"))

    @cached_property
    def change(self) -> Span | None:
        """The change that is open, else the one that was opened last."""
        changes = self.of("pull_request")
        return _newest([c for c in changes if c.in_flight]) or _newest(changes)

    @cached_property
    def machines(self) -> list[Span]:
        return [span for span in self.spans if span.operation not in _NO_MACHINES]

    @cached_property
    def flying(self) -> list[Span]:
        """The innermost machine steps in flight: a run whose jobs are in flight is not counted."""
        flying = [span for span in self.machines if span.in_flight]
        above = {span.parent_key for span in flying}
        return [span for span in flying if span.key not in above]

    @cached_property
    def working(self) -> list[Span]:
        return [span for span in self.flying if span.state is not State.WAITING]

    @cached_property
    def runs(self) -> list[Span]:
        """Machine steps that are no part of another one."""
        keys = {span.key for span in self.machines}
        return [span for span in self.machines if span.parent_key not in keys]

    @cached_property
    def gates(self) -> list[Span]:
        """Steps that wait for a person, unless their run has ended without them or a newer run of
        the same name has passed them."""
        by_key = {span.key: span for span in self.machines}
        found = []
        for gate in self.flying:
            run = by_key.get(gate.parent_key)
            held = run is None or run.in_flight
            if gate.state is State.WAITING and held and gate.key not in self.superseded:
                newer = (s for s in self.machines if s.at > gate.at and _same(s, gate))
                if not any(s.status is Status.OK for s in newer):
                    found.append(gate)
        return found

    @cached_property
    def failed_run(self) -> Span | None:
        """The newest run that failed, unless a newer one of its series began."""
        newest: dict[tuple[str, ...], Span] = {}
        for run in sorted(self.runs, key=lambda s: (s.at, s.attempt)):
            newest[_series(run)] = run
        failed = [run for run in newest.values() if run.status.failed]
        return _newest([run for run in failed if run.key not in self.superseded])

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
        """The last verdict of each reviewer; bots and comments are none."""
        found: dict[str, Span] = {}
        change = self.change
        for review in sorted(self.of("review"), key=lambda s: s.at):
            if change is not None and review.parent_key not in (change.key, ""):
                continue
            if not is_bot(review.actor) and _verdict(review) != "commented":
                found[review.actor] = review
        return found

    @cached_property
    def pushed_at(self) -> Instant:
        """When something was pushed last: a push, or the run that one started; 0: never."""
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


Rule = Callable[[Evidence], NextAction | None]


def next_action(
    spans: Iterable[Span],
    now: Instant,
    *,
    usual: Mapping[str, Usual] | None = None,
    goes_on_to_deploy: bool = False,
    superseded: frozenset[str] = frozenset(),
) -> NextAction:
    """Where a trace stands at `now`. `usual` is the history of its machine steps by key;
    `goes_on_to_deploy`, whether most merged changes of its project are deployed later;
    `superseded`, keys of runs that a newer one of another trace has replaced."""
    return decide(Evidence(spans, now, usual or {}, goes_on_to_deploy, superseded))


def decide(evidence: Evidence) -> NextAction:
    """What the first rule that holds says."""
    for rule in RULES:
        found = rule(evidence)
        if found is not None:
            return found
    raise AssertionError("the last rule always holds")


# The rules, in their order.


def incident_is_open(e: Evidence) -> NextAction | None:
    if not e.incidents:
        return None
    incident = min(e.incidents, key=lambda s: (severity_rank(s), s.at, s.key))
    who = acknowledged_by(incident)
    return NextAction(
        Section.INCIDENT, "incident", "restore", incident.environment, who,
        "nobody has it", incident.started_at, incident, len(e.incidents) - 1,
        f"{incident.name} is open",
    )  # fmt: skip


def machine_is_silent(e: Evidence) -> NextAction | None:
    if not e.working or not all(is_silent(s, e.usual.get(s.key), e.now) for s in e.working):
        return None
    step = max(e.working, key=lambda s: (s.last_event_at, s.key))
    since = max(step.last_event_at, step.at)
    return NextAction(
        Section.WAITING, "silent", "check", "silent", _people(step.actor), "nobody", since, step,
        len(e.working) - 1, f"nothing was heard of {step.name} for longer than its usual time",
    )  # fmt: skip


def machine_works(e: Evidence) -> NextAction | None:
    if not e.working:
        return None
    begun = [s for s in e.working if s.state is not State.QUEUED]
    step = _decides_the_end(begun or e.working, e)
    verb, what = _words(step, e)
    if not begun:
        verb, what = "queued", ""
    since = step.stage_at if step.state is State.QUEUED and step.stage_at else step.started_at
    return NextAction(
        Section.RUNNING, "machine", verb, what, since=since, step=step,
        more=len(begun or e.working) - 1, why=f"{step.name} is in flight",
    )  # fmt: skip


def gate_waits(e: Evidence) -> NextAction | None:
    if not e.gates:
        return None
    gate = min(e.gates, key=lambda s: (s.stage_at or s.at, s.key))
    verb = "start" if gate.operation in ("build", "test") else "approve"
    what = gate.environment or ("" if gate.operation == "deploy" else _job_name(gate))
    who = _named(gate, "vs.deploy.reviewers")
    return NextAction(
        Section.WAITING, "gate", verb, what, who, "anyone", gate.stage_at or gate.started_at,
        gate, len(e.gates) - 1, f"{gate.name} waits for a person",
    )  # fmt: skip


def run_failed(e: Evidence) -> NextAction | None:
    run = e.failed_run
    if run is None or e.dropped:
        return None
    step, change, merged = e.failed_step(run), e.change, e.merged_at
    if change is None:
        scheduled = str(run.attributes.get("vs.run.event", "")) == "schedule"
        who = () if scheduled else _people(run.actor)
    elif merged is not None and run.at >= merged:
        who = _named(change, "vs.pr.merged_by") or _people(change.actor)
    else:
        who = _people(change.actor)
    what = f"deploy {run.environment}".strip() if run.operation == "deploy" else _job_name(step)
    return NextAction(
        Section.WAITING, "failed", "fix", what, who, "nobody", run.ended_at, step,
        why=f"{run.name} failed and no newer run of it began",
    )  # fmt: skip


def code_is_written(e: Evidence) -> NextAction | None:
    change, issue = e.change, e.issue
    if change is not None:
        if not change.in_flight or not is_draft(change):
            return None
        since = max(change.at, e.pushed_at if e.pushed_at <= e.now else 0)
        return NextAction(
            Section.WAITING, "draft", "code", "draft", _people(change.actor), "nobody",
            since, change, why="the change is a draft",
        )  # fmt: skip
    if issue is None or not issue.in_flight:
        return None
    assignees = _named(issue, "vs.issue.assignees")
    pushes = e.of("push")
    if not (assignees or pushes or is_begun(issue)):
        return None
    who = assignees or _people(pushes[-1].actor if pushes else "")
    evidence = "is in progress" if is_begun(issue) else "is assigned" if assignees else "has pushes"
    since = issue.stage_at or (e.pushed_at or issue.at)
    return NextAction(
        Section.WAITING, "code", "code", "", who, "nobody", since, issue,
        why=f"{issue.name} {evidence}, and there is no change yet",
    )  # fmt: skip


def change_was_asked_for(e: Evidence) -> NextAction | None:
    change = e.change
    if change is None or not change.in_flight:
        return None
    asked = [r for r in e.reviews.values() if _verdict(r) == "changes_requested"]
    if not asked:
        return None
    last = max(asked, key=lambda r: (r.at, r.key))
    if _is_answered(last, change, e):
        return None
    return NextAction(
        Section.WAITING, "changes_requested", "change", "", _people(change.actor), "nobody",
        last.at, last, why=f"{last.actor} asked for changes and nothing was pushed since",
    )  # fmt: skip


def review_is_missing(e: Evidence) -> NextAction | None:
    change = e.change
    if change is None or not change.in_flight or is_approved(e):
        return None
    answered = {
        name
        for name, review in e.reviews.items()
        if _verdict(review) != "withdrawn" and not _is_answered(review, change, e)
    }
    asked = [n for n in _named(change, "vs.pr.reviewers") if n not in answered and not is_bot(n)]
    again = [r for r in e.reviews.values() if _verdict(r) == "changes_requested"]
    asked += [r.actor for r in again if r.actor and r.actor not in asked]
    since = max(change.at, _instant(change, "vs.pr.ready_at"), e.pushed_at if again else 0)
    return NextAction(
        Section.WAITING, "review", "review", "", tuple(asked), "nobody asked", since, change,
        why="the change is open and not approved",
    )  # fmt: skip


def approved_change_waits(e: Evidence) -> NextAction | None:
    change = e.change
    if change is None or not change.in_flight:
        return None
    approvals = [r for r in e.reviews.values() if _verdict(r) == "approved"]
    last = max(approvals, key=lambda r: (r.at, r.key), default=change)
    return NextAction(
        Section.WAITING, "merge", "merge", "", _people(change.actor), "nobody", last.at, change,
        why=f"approved by {', '.join(sorted(r.actor for r in approvals))}, not merged",
    )  # fmt: skip


def merged_waits_for_a_deploy(e: Evidence) -> NextAction | None:
    merged = e.merged_at
    if merged is None or not e.goes_on_to_deploy:
        return None
    deployed = (d.status is Status.OK or d.key in e.superseded for d in e.deploys)
    if any(done and d.at >= merged - MINUTE for d, done in zip(e.deploys, deployed, strict=True)):
        return None
    return NextAction(
        Section.WAITING, "next_deploy", "next deploy", "", (), "nobody", merged, e.change,
        why="merged; most changes of this project went on to a deploy, which takes it along",
    )  # fmt: skip


def issue_waits_for_a_start(e: Evidence) -> NextAction | None:
    issue = e.issue
    if issue is None or not issue.in_flight or e.change is not None or e.machines:
        return None
    return NextAction(
        Section.NOT_STARTED, "not_started", "", since=issue.at, step=issue,
        why="an open issue without any sign of work",
    )  # fmt: skip


def everything_ended(e: Evidence) -> NextAction | None:
    verb, what, step = _outcome(e)
    at = step.ended_at if step is not None and step.ended_at else None
    if at is None:
        ends = [s.ended_at for s in e.spans if s.ended_at is not None]
        at = max(ends, default=max((s.last_event_at for s in e.spans), default=None))
    return NextAction(
        Section.FINISHED, "ended", verb, what, since=at, step=step, why="nothing is left to do"
    )


RULES: Final[tuple[Rule, ...]] = (
    incident_is_open,
    machine_is_silent,
    machine_works,
    gate_waits,
    run_failed,
    code_is_written,
    change_was_asked_for,
    review_is_missing,
    approved_change_waits,
    merged_waits_for_a_deploy,
    issue_waits_for_a_start,
    everything_ended,
)
"""The first that holds decides."""


# What the rules ask.


def is_silent(span: Span, usual: Usual | None, now: Instant) -> bool:
    """Whether a machine step says nothing for longer than it ever takes."""
    if not span.in_flight or span.state is State.WAITING:
        return False
    limit = max(SILENT_P90S * usual.p90, SILENT_AT_LEAST) if usual else SILENT_WITHOUT_HISTORY
    return now - max(span.last_event_at, min(span.at, now)) > limit


def is_draft(change: Span) -> bool:
    return change.attributes.get("vs.pr.draft") in (True, 1)


def is_begun(issue: Span) -> bool:
    """Whether its tracker says that somebody works on it."""
    category = issue.attributes.get("vs.issue.category")
    if category is not None:
        return category == "indeterminate"
    return issue.state is State.RUNNING and issue.stage.lower() not in _NOT_BEGUN


def is_bot(name: str) -> bool:
    return name.lower().endswith(_BOT)


def is_approved(e: Evidence) -> bool:
    """Whether somebody approved and nobody who asked for changes waits for an answer."""
    verdicts = [_verdict(review) for review in e.reviews.values()]
    return "approved" in verdicts and "changes_requested" not in verdicts


def acknowledged_by(incident: Span) -> tuple[str, ...]:
    """Who took an incident on."""
    named = _named(incident, "vs.incident.assignees") or _named(incident, "vs.issue.assignees")
    if named or incident.stage != "acknowledged":
        return named
    return _people(incident.actor)


def severity_rank(incident: Span) -> int:
    """0 for the worst; 9 where none is told."""
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


def _is_answered(review: Span, change: Span, e: Evidence) -> bool:
    """Whether something was pushed after a review asked for changes."""
    if _verdict(review) != "changes_requested":
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


def _verdict(review: Span) -> str:
    word = str(review.attributes.get("vs.review.state", "")).lower().replace(" ", "_")
    return _VERDICTS.get(word, "commented")


def _decides_the_end(steps: Sequence[Span], e: Evidence) -> Span:
    """Of steps that run at once the one that is expected to end last."""

    def left(step: Span) -> Duration:
        usual = e.usual.get(step.key)
        return usual.p50 - (step.elapsed(e.now) or 0) if usual else -1

    return min(steps, key=lambda s: (-max(left(s), -1), min(s.at, e.now), s.key))


def _words(step: Span, e: Evidence) -> tuple[str, str]:
    """(verb, what) of a machine step."""
    deploy = step if step.operation == "deploy" else None
    parent = next((s for s in e.machines if s.key == step.parent_key), None)
    if deploy is None and parent is not None and parent.operation == "deploy":
        deploy = parent
    if deploy is not None:
        return "deploy", deploy.environment or deploy.service
    if parent is not None:
        return _run_name(parent), _job_name(step)
    if step.operation in ("pipeline", "build", "test"):
        return _run_name(step), ""
    return step.operation.replace("_", " "), step.name


def _run_name(run: Span) -> str:
    name = str(run.attributes.get("cicd.pipeline.name") or run.name)
    return "CI" if name == run.project else name  # GitLab's pipelines have no name


def _job_name(step: Span) -> str:
    return step_name(step)[1]


def _outcome(e: Evidence) -> tuple[str, str, Span | None]:
    """(verb, what, the span) of what a finished trace came to."""
    if e.dropped:
        return "closed", "unmerged", e.change
    deploys = [d for d in e.deploys if d.status is Status.OK]
    if deploys:
        last = deploys[-1]
        return last.environment or "deployed", _version(last), last
    if e.merged_at is not None:
        return "merged", "", e.change
    issue = e.issue
    if issue is not None and not issue.in_flight:
        return ("closed" if issue.status is Status.CANCELLED else "done"), "", issue
    incidents = e.of("incident")
    if incidents:
        return "restored", "", incidents[-1]
    last_run = _newest(e.runs)
    if last_run is not None:
        cancelled = last_run.status is Status.CANCELLED
        return "cancelled" if cancelled else "passed", _run_name(last_run), last_run
    return "done", "", _newest(e.spans)


def _version(deploy: Span) -> str:
    found = deploy.attributes.get("service.version") or deploy.attributes.get("vcs.ref.head.name")
    return str(found or "")[:20]


def _series(run: Span) -> tuple[str, ...]:
    return (run.project, run.environment, run.service, *step_name(run))


def _same(one: Span, other: Span) -> bool:
    return _series(one) == _series(other)


def _newest(spans: Sequence[Span]) -> Span | None:
    return max(spans, key=lambda s: (s.at, s.key), default=None)


def _named(span: Span, attribute: str) -> tuple[str, ...]:
    found = str(span.attributes.get(attribute) or "")
    return tuple(name.strip() for name in found.split(",") if name.strip())


def _people(name: str) -> tuple[str, ...]:
    return (name,) if name and not is_bot(name) else ()


def _instant(span: Span, attribute: str) -> Instant:
    return parse_instant(span.attributes.get(attribute)) or 0


def _is_phase(span: Span) -> bool:
    return span.operation == "stage" and span.key.startswith(f"{span.parent_key}/")
