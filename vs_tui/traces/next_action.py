"""Where a trace stands and who acts next, by the first rule of one table that holds.

The same rules serve the dashboard, `vs-tui ls --by trace`, `/api/traces` and the filter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vs_tui.model.time import MINUTE, Duration, Instant
from vs_tui.model.vocabulary import Span, State, Status
from vs_tui.traces.steps import step_name
from vs_tui.traces.trace_facts import (
    TraceFacts,
    acknowledged_by,
    attribute_instant,
    column_verb,
    is_answered,
    is_approved,
    is_begun,
    is_bot,
    is_draft,
    is_set,
    named,
    newest_of,
    people,
    severity_rank,
    verdict,
)


class Section(StrEnum):
    """Where a trace is listed, in the order of the list."""

    INCIDENT = "incident"
    RUNNING = "running"
    WAITING = "waiting"
    FINISHED = "finished"
    NOT_STARTED = "not_started"


@dataclass(frozen=True, slots=True)
class NextAction:
    """The current work in a trace, and the people who act next."""

    section: Section
    rule: str
    """The name of the rule that decided."""
    verb: str
    """The work done or to be done: `CI`, `deploy`, `review`, `merge`, `fix`."""
    what: str = ""
    """The object of the work, such as the name of a job or an environment."""
    who: tuple[str, ...] = ()
    """People who act next; empty while a machine works and where the trace has ended."""
    nobody: str = ""
    """Text to show if no person is known: `nobody`, `anyone`, `nobody asked`."""
    since: Instant | None = None
    """Start of the wait or run; the end of a finished trace."""
    step: Span | None = None
    """The span that it is about."""
    more: int = 0
    """Other steps that run at the same time."""
    why: str = ""
    """One sentence with the evidence."""


Rule = Callable[[TraceFacts], NextAction | None]


def decide(evidence: TraceFacts) -> NextAction:
    """Where a trace stands: the result of the first rule that applies."""
    for rule in RULES:
        found = rule(evidence)
        if found is not None:
            return found
    raise AssertionError("the last rule always holds")


# The rules, in their order.


def incident_is_open(e: TraceFacts) -> NextAction | None:
    if not e.incidents:
        return None
    incident = min(e.incidents, key=lambda s: (severity_rank(s), s.at, s.key))
    who = acknowledged_by(incident)
    return NextAction(
        Section.INCIDENT, "incident", "restore", incident.environment, who,
        "nobody has it", incident.started_at, incident, len(e.incidents) - 1,
        f"{incident.name} is open",
    )  # fmt: skip


def machine_is_silent(e: TraceFacts) -> NextAction | None:
    if not e.working or not all(e.is_silent(step) for step in e.working):
        return None
    step = max(e.working, key=lambda s: (s.last_event_at, s.key))
    since = max(step.last_event_at, step.at)
    who = people(e.upwards(step)[-1].actor) or people(step.actor)
    return NextAction(
        Section.WAITING, "silent", "check", "silent", who, "nobody", since, step,
        len(e.working) - 1, f"nothing was heard of {step.name} for longer than its usual time",
    )  # fmt: skip


def machine_works(e: TraceFacts) -> NextAction | None:
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


def gate_waits(e: TraceFacts) -> NextAction | None:
    if not e.gates:
        return None
    reviewers = "vs.deploy.reviewers"
    gate = min(e.gates, key=lambda s: (not named(s, reviewers), s.stage_at or s.at, s.key))
    environment = gate.environment or str(gate.attributes.get("vs.gate.environment", ""))
    starts = gate.operation in ("build", "test") and not environment
    verb = "start" if starts else "approve"
    what = environment or ("" if gate.operation == "deploy" else _job_name(gate))
    who = named(gate, reviewers)
    return NextAction(
        Section.WAITING, "gate", verb, what, who, "anyone", gate.stage_at or gate.started_at,
        gate, len(e.gates) - 1, f"{gate.name} waits for a person",
    )  # fmt: skip


def merge_queue_works(e: TraceFacts) -> NextAction | None:
    change = e.change
    if change is None or not change.in_flight or change.stage != "merge queue":
        return None
    return NextAction(
        Section.RUNNING, "merge_queue", "merge queue", since=change.stage_at, step=change,
        why="the change is in the merge queue",
    )  # fmt: skip


def run_failed(e: TraceFacts) -> NextAction | None:
    run = e.failed_run
    if run is None or e.dropped:
        return None
    step, change, merged = e.failed_step(run), e.change, e.merged_at
    if change is None:
        scheduled = str(run.attributes.get("vs.run.event", "")) == "schedule"
        who = () if scheduled else people(run.actor)
    elif merged is not None and run.at >= merged:
        who = named(change, "vs.pr.merged_by") or people(change.actor)
    else:
        who = people(change.actor)
    what = f"deploy {run.environment}".strip() if run.operation == "deploy" else _job_name(step)
    return NextAction(
        Section.WAITING, "failed", "fix", what, who, "nobody", run.ended_at, step,
        why=f"{run.name} failed and no newer run of it began",
    )  # fmt: skip


def code_is_written(e: TraceFacts) -> NextAction | None:
    change, issue = e.change, e.issue
    if change is not None and not is_reopened(issue, change):
        if not change.in_flight or not is_draft(change):
            return None
        since = max(change.at, e.pushed_at if e.pushed_at <= e.now else 0)
        return NextAction(
            Section.WAITING, "draft", "code", "draft", people(change.actor), "nobody",
            since, change, why="the change is a draft",
        )  # fmt: skip
    if issue is None or not issue.in_flight:
        return None
    assignees = named(issue, "vs.issue.assignees")
    pushes = e.of("push")
    if not (assignees or pushes or is_begun(issue)):
        return None
    who = assignees or people(pushes[-1].actor if pushes else "")
    evidence = "is in progress" if is_begun(issue) else "is assigned" if assignees else "has pushes"
    since = issue.stage_at or (e.pushed_at or issue.at)
    if change is not None and issue.stage_at is None:
        since = issue.last_event_at
    return NextAction(
        Section.WAITING, "code", column_verb(issue), "", who, "nobody", since, issue,
        why=f"{issue.name} {evidence}, and there is no open change",
    )  # fmt: skip


def is_reopened(issue: Span | None, change: Span) -> bool:
    """Whether an issue was reopened, or moved to another column, after its change ended."""
    if issue is None or not issue.in_flight or change.ended_at is None:
        return False
    moved = issue.stage_at is not None and issue.stage_at > change.ended_at and is_begun(issue)
    moved = moved and column_verb(issue) != "release"  # the deploy moves it on
    return moved or (issue.reopens > 0 and issue.last_event_at > change.ended_at)


def change_was_asked_for(e: TraceFacts) -> NextAction | None:
    change = e.change
    if change is None or not change.in_flight:
        return None
    asked = [r for r in e.reviews.values() if verdict(r) == "changes_requested"]
    if not asked:
        return None
    last = max(asked, key=lambda r: (r.at, r.key))
    if is_answered(last, change, e):
        return None
    return NextAction(
        Section.WAITING, "changes_requested", "change", "", people(change.actor), "nobody",
        last.at, last, why=f"{last.actor} asked for changes and nothing was pushed since",
    )  # fmt: skip


def change_is_blocked(e: TraceFacts) -> NextAction | None:
    change = e.change
    if change is None or not change.in_flight:
        return None
    if is_set(change, "vs.pr.conflict"):
        what, why = "conflict", "the change conflicts with its target branch"
    elif is_set(change, "vs.pr.threads_open") and is_approved(e):
        what, why = "threads", "threads that block the merge are not resolved"
    else:
        return None
    return NextAction(
        Section.WAITING, "blocked", "resolve", what, people(change.actor), "nobody",
        change.last_event_at, change, why=why,
    )  # fmt: skip


def review_is_missing(e: TraceFacts) -> NextAction | None:
    change = e.change
    if change is None or not change.in_flight or is_approved(e):
        return None
    answered = {
        name
        for name, review in e.reviews.items()
        if verdict(review) != "withdrawn" and not is_answered(review, change, e)
    }
    asked = [n for n in named(change, "vs.pr.reviewers") if n not in answered and not is_bot(n)]
    again = [r for r in e.reviews.values() if verdict(r) == "changes_requested"]
    asked += [r.actor for r in again if r.actor and r.actor not in asked]
    since = max(change.at, attribute_instant(change, "vs.pr.ready_at"), e.pushed_at if again else 0)
    more = is_set(change, "vs.pr.approvals_missing") and e.reviews
    nobody = "one more approval" if more else "nobody asked"
    return NextAction(
        Section.WAITING, "review", "review", "", tuple(asked), nobody, since, change,
        why="the change is open and not approved",
    )  # fmt: skip


def approved_change_waits(e: TraceFacts) -> NextAction | None:
    change = e.change
    if change is None or not change.in_flight:
        return None
    approvals = [r for r in e.reviews.values() if verdict(r) == "approved"]
    last = max(approvals, key=lambda r: (r.at, r.key), default=change)
    why = f"approved by {', '.join(sorted(r.actor for r in approvals))}, not merged"
    who, nobody = people(change.actor) or people(last.actor), "nobody"
    if is_set(change, "vs.pr.auto_merge"):
        who, nobody, why = (), "auto-merge", f"{why}; it merges once its checks have passed"
    return NextAction(Section.WAITING, "merge", "merge", "", who, nobody, last.at, change, why=why)


def merged_waits_for_a_deploy(e: TraceFacts) -> NextAction | None:
    merged = e.merged_at
    if merged is None or not e.goes_on_to_deploy or e.shipped:
        return None
    deployed = (d.status is Status.OK or d.key in e.superseded for d in e.deploys)
    if any(done and d.at >= merged - MINUTE for d, done in zip(e.deploys, deployed, strict=True)):
        return None
    return NextAction(
        Section.WAITING, "next_deploy", "next deploy", "", (), "nobody", merged, e.change,
        why="merged; most changes of this project went on to a deploy, which takes it along",
    )  # fmt: skip


def issue_waits_for_a_start(e: TraceFacts) -> NextAction | None:
    issue = e.issue
    if issue is None or not issue.in_flight:
        return None
    if (e.change is not None or e.machines) and not (e.change and is_reopened(issue, e.change)):
        return None
    return NextAction(
        Section.NOT_STARTED, "not_started", "", since=issue.at, step=issue,
        why="an open issue without any sign of work",
    )  # fmt: skip


def everything_ended(e: TraceFacts) -> NextAction | None:
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
    merge_queue_works,
    run_failed,
    code_is_written,
    change_was_asked_for,
    change_is_blocked,
    review_is_missing,
    approved_change_waits,
    merged_waits_for_a_deploy,
    issue_waits_for_a_start,
    everything_ended,
)
"""The first that holds decides."""


def _decides_the_end(steps: Sequence[Span], e: TraceFacts) -> Span:
    """The step expected to end last, of steps that run at the same time."""

    def left(step: Span) -> Duration:
        usual = e.usual.get(step.key)
        return usual.p50 - (step.elapsed(e.now) or 0) if usual else -1

    return min(steps, key=lambda s: (-max(left(s), -1), min(s.at, e.now), s.key))


def _words(step: Span, e: TraceFacts) -> tuple[str, str]:
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


def _outcome(e: TraceFacts) -> tuple[str, str, Span | None]:
    """(verb, what, the span) of what a finished trace came to."""
    if e.dropped:
        return "closed", "unmerged", e.change
    deploys = [d for d in e.deploys if d.status is Status.OK]
    if deploys:
        last = deploys[-1]
        return last.environment or "deployed", version_of(last), last
    if e.shipped:
        last = max(e.shipped, key=lambda d: (d.ended_at or d.at, d.key))
        return last.environment or "deployed", version_of(last), last
    if e.merged_at is not None:
        return "merged", "", e.change
    issue = e.issue
    if issue is not None and not issue.in_flight:
        return ("closed" if issue.status is Status.CANCELLED else "done"), "", issue
    incidents = e.of("incident")
    if incidents:
        return "restored", "", incidents[-1]
    last_run = newest_of(e.runs)
    if last_run is not None:
        cancelled = last_run.status is Status.CANCELLED
        return "cancelled" if cancelled else "passed", _run_name(last_run), last_run
    return "done", "", newest_of(e.spans)


def version_of(deploy: Span) -> str:
    """The version that a deploy brought; empty if it is unknown."""
    found = deploy.attributes.get("service.version") or deploy.attributes.get("vcs.ref.head.name")
    return str(found or "")[:20]
