"""One row of the list of traces: its name, the six cells of its track, and what happens now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from vs_tui.model.limits import DEFAULT_THRESHOLDS, Thresholds
from vs_tui.model.teams import Environments, People
from vs_tui.model.time import Duration, Instant
from vs_tui.model.vocabulary import Span, State, Status
from vs_tui.traces.baseline import Baseline
from vs_tui.traces.next_action import NextAction, Section, change_was_asked_for, decide, version_of
from vs_tui.traces.trace_facts import TraceFacts, Usual, is_approved, is_draft, is_incident

CELLS: Final = ("issue", "change", "review", "ci", "staging", "production")
"""The cells of the track, in order."""
FEWEST: Final = 5
"""Fewest past values from which a usual time is derived."""


class Cell(NamedTuple):
    """One station of a trace."""

    mark: str = ""
    """open, running, done, waiting, failed, expected, silent, dropped, followed (an incident came
    after it), shipped (by a deploy of another trace); empty: no part of this trace."""
    done: int = 0
    all: int = 0
    """Number of jobs or services, of which `done` have ended; 0 if there is nothing to count."""


class DeployBefore(NamedTuple):
    """The deploy before an incident."""

    name: str
    """Its service and version."""
    gap: Duration
    """Time from its end to the begin of the incident."""
    is_named: bool = False
    """Whether the incident names the deploy or its version; otherwise only the time suggests it."""


class Surroundings(NamedTuple):
    """Spans of other traces that have to do with an incident."""

    deploys: Sequence[tuple[Span, bool]] = ()
    """(deploy that the incident is linked to, whether the incident names it)."""
    fixes: Sequence[Sequence[Span]] = ()
    """The spans of each trace that names the incident."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a trace stands."""

    trace_id: str
    root: Span
    label: str
    """The short name that people use: `CORE-431`, `#829`; empty without a number."""
    title: str
    project: str
    team: str
    action: NextAction
    cells: tuple[Cell, ...]
    began_at: Instant
    """The first commit, else the opening of the change, else the begin of work on the issue."""
    last_sign_at: Instant
    usual: Usual | None = None
    """The usual duration of what happens now; None if too few are known."""
    thresholds: Thresholds = DEFAULT_THRESHOLDS
    after: DeployBefore | None = None
    """For an open incident: the deploy before it."""
    fix: str = ""
    """For an open incident: the label or title of the newest work that names it."""

    @property
    def section(self) -> Section:
        return self.action.section

    def waited(self, now: Instant) -> Duration | None:
        """Duration of the current wait or run."""
        since = self.action.since
        return None if since is None else max(now - since, 0)

    def over(self, now: Instant) -> float | None:
        """The time so far divided by the usual time; None if either is unknown."""
        waited = self.waited(now)
        if waited is None or self.usual is None or self.usual.p50 <= 0 or self.is_over:
            return None
        return waited / self.usual.p50

    def left(self, now: Instant) -> Duration | None:
        """Usual time left for a machine step; None if it is over or unknown."""
        waited = self.waited(now)
        if self.section is not Section.RUNNING or waited is None or self.usual is None:
            return None
        return self.usual.p50 - waited if waited < self.usual.p50 else None

    def is_long(self, now: Instant) -> bool:
        ratio = self.over(now)
        return ratio is not None and ratio >= self.thresholds.long

    def is_quiet(self, now: Instant) -> bool:
        return self.section is Section.WAITING and now - self.last_sign_at > self.thresholds.quiet

    @property
    def is_over(self) -> bool:
        return self.section is Section.FINISHED

    @property
    def failed(self) -> bool:
        return any(cell.mark == "failed" for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Custom:
    """Properties that the last finished traces of a project share; the next trace is expected to
    have them."""

    stations: frozenset[str] = frozenset()
    """The cells that at least half of them had."""
    deploys_later: bool = False
    """Whether at least half of the merged changes were deployed later."""
    waits: Mapping[str, Baseline] | None = None
    """Verb -> how long people usually take for it."""


def standing(
    trace_id: str,
    spans: Sequence[Span],
    now: Instant,
    *,
    usual: Mapping[str, Usual] | None = None,
    custom: Custom | None = None,
    environments: Environments | None = None,
    superseded: frozenset[str] = frozenset(),
    shipped: Sequence[Span] = (),
    around: Surroundings | None = None,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    people: People | None = None,
) -> Standing:
    """The row of a trace with at least one span."""
    custom, usual = custom or Custom(), usual or {}
    keys = {span.key for span in spans}
    root = next((span for span in spans if span.parent_key not in keys), spans[0])
    evidence = TraceFacts(spans, now, usual, custom.deploys_later, superseded, shipped)
    action = decide(evidence)
    action = replace(action, who=people.logins(action.who)) if people else action
    incident = action.step if action.rule == "incident" else None
    named = incident or evidence.issue or evidence.change or root
    near = around or Surroundings()
    first = spans if root.team else sorted(spans, key=lambda s: not s.team)
    return Standing(
        trace_id,
        root,
        label_of(named),
        named.name,
        (evidence.change or named).project or root.project,
        root.team or (first[0].team if first else ""),
        action,
        track(evidence, action, custom, environments or Environments()),
        _began_at(evidence, root),
        max((s.last_event_at for s in spans if not _is_bots(s)), default=root.last_event_at),
        _usual_of(action, usual, custom),
        thresholds,
        _deploy_before(incident, evidence, near) if incident else None,
        _fix_of(incident, evidence, near) if incident else "",
    )


def _deploy_before(incident: Span, e: TraceFacts, around: Surroundings) -> DeployBefore | None:
    """The deploy that an incident follows: one in its own trace above it, else the newest that it
    is linked to."""
    above = {span.key: span.parent_key for span in e.spans}
    deploys = {span.key: span for span in e.deploys}
    key, seen = incident.parent_key, {incident.key}
    while key and key not in seen:
        seen.add(key)
        if key in deploys:
            return _before(incident, deploys[key], is_named=True)
        key = above.get(key, "")
    begun = [(deploy, named) for deploy, named in around.deploys if deploy.at <= incident.at]
    if not begun:
        return None
    deploy, named = max(begun, key=lambda found: (found[1], found[0].at, found[0].key))
    return _before(incident, deploy, is_named=named)


def _before(incident: Span, deploy: Span, *, is_named: bool) -> DeployBefore:
    what = deploy.service or deploy.project.rpartition("/")[2] or deploy.name
    gap = max(incident.at - (deploy.ended_at or deploy.at), 0)
    return DeployBefore(f"{what} {version_of(deploy)}".strip(), gap, is_named)


def _fix_of(incident: Span, e: TraceFacts, around: Surroundings) -> str:
    """The newest work begun after the incident that names it, here or in another trace."""
    found: list[tuple[Instant, str]] = []
    for spans in (e.spans, *around.fixes):
        own = TraceFacts([s for s in spans if not is_incident(s)], e.now, {}, False)
        change = own.change
        work = change or own.issue
        if work is None or work.at < incident.at:
            continue
        named = own.issue or work
        label = str(named.attributes.get("vs.issue.key") or label_of(named) or named.name)
        found.append((work.at, label))
    return max(found, default=(0, ""))[1]


def label_of(span: Span) -> str:
    """`CORE-431`, `#829`, `!231`; empty if the name contains it or there is no number."""
    found = str(span.attributes.get("vs.issue.key") or "")
    if not found:
        names = ("vs.issue.number", "vcs.change.id", "vs.incident.number")
        number = next((span.attributes[name] for name in names if span.attributes.get(name)), "")
        if span.operation in ("issue", "pull_request", "incident") and number:
            sign = "!" if span.operation == "pull_request" and span.source == "gitlab" else "#"
            found = f"{sign}{number}"
    return "" if found and span.name.startswith(found) else found


def track(
    e: TraceFacts, action: NextAction, custom: Custom, environments: Environments
) -> tuple[Cell, ...]:
    """The six cells, in the order of `CELLS`."""
    over = action.section is Section.FINISHED
    staging, production = _deploys(e, environments)
    cells = [_cell_of(e.issue), _cell_of(e.change), _review(e), _jobs(e), staging, production]
    for deploy in e.shipped:
        place = len(CELLS) - (1 if _is_production(deploy, environments) else 2)
        if not cells[place].mark:
            cells[place] = Cell("shipped")
    expected = [] if over or cells[-1].mark else ["production"]
    if expected and not cells[-2].mark:
        expected += ["staging"]
        expected += ["ci"] if e.change is not None and e.change.in_flight else []
    for place, name in enumerate(CELLS):
        if name in expected and name in custom.stations and not cells[place].mark:
            cells[place] = Cell("expected")
    if production.mark == "done" and e.of("incident"):
        cells[-1] = production._replace(mark="followed")
    return tuple(cells)


def matches_text(found: Standing, word: str) -> bool:
    """Whether a plain word occurs in the row."""
    texts = (found.label, found.title, found.project, found.team, *found.action.who)
    return any(word.lower() in text.lower() for text in texts)


def custom_of(traces: Iterable[Sequence[Span]], environments: Environments) -> Custom:
    """The properties that the last finished traces of one project share; empty for fewer than three
    traces."""
    had: dict[str, int] = dict.fromkeys(CELLS, 0)
    waits: dict[str, list[Duration]] = {}
    count = deployed = 0
    for spans in traces:
        count += 1
        e = TraceFacts(spans, 0, {}, False)
        staging, production = _deploys(e, environments)
        cells = (_cell_of(e.issue), _cell_of(e.change), _review(e), _jobs(e), staging, production)
        for name, cell in zip(CELLS, cells, strict=True):
            had[name] += bool(cell.mark)
        deployed += any(d.status is Status.OK for d in e.deploys)
        for verb, took in _past_waits(e):
            waits.setdefault(verb, []).append(took)
    if count < 3:
        return Custom()
    return Custom(
        frozenset(name for name, n in had.items() if 2 * n >= count),
        2 * deployed >= count,
        {verb: Baseline(len(took), sorted(took)[len(took) // 2]) for verb, took in waits.items()},
    )


def _past_waits(e: TraceFacts) -> Iterable[tuple[str, Duration]]:
    change = e.change
    if change is not None and change.started_at is not None:
        approved = [r.at for r in e.reviews.values()]
        if approved:
            yield "review", max(min(approved) - change.started_at, 0)
            if change.ended_at is not None:
                yield "merge", max(change.ended_at - max(approved), 0)
    for span in e.spans:
        waited = span.attributes.get("vs.waited")
        if span.operation == "deploy" and isinstance(waited, int | float):
            yield "approve", int(waited)


def _usual_of(action: NextAction, usual: Mapping[str, Usual], custom: Custom) -> Usual | None:
    found: Usual | None = None
    if action.step is not None and action.rule in ("machine", "silent"):
        found = usual.get(action.step.key)
    elif action.section is Section.WAITING:
        found = (custom.waits or {}).get(action.verb)
    return found if found is not None and found.n >= FEWEST else None


def _began_at(e: TraceFacts, root: Span) -> Instant:
    pushes = [s.at for s in e.of("push")]
    if e.change is not None:
        return min([*pushes, e.change.at])
    if pushes:
        return min(pushes)
    issue = e.issue
    if issue is not None:
        return issue.stage_at or issue.at
    return root.at


def _is_bots(span: Span) -> bool:
    return span.attributes.get("vs.actor.type") == "bot"


def _cell_of(span: Span | None) -> Cell:
    if span is None:
        return Cell()
    if span.in_flight:
        return Cell("open")
    return Cell("dropped" if span.status is Status.CANCELLED else "done")


def _review(e: TraceFacts) -> Cell:
    change = e.change
    if change is None or is_draft(change):
        return Cell()
    if is_approved(e):
        return Cell("done")
    if not change.in_flight:
        return Cell()
    return Cell("failed" if change_was_asked_for(e) is not None else "waiting")


def _jobs(e: TraceFacts) -> Cell:
    """The jobs of the newest run; a second attempt replaces the first."""
    runs = [run for run in e.runs if run.operation != "deploy"]
    if not runs:
        return Cell()
    newest = max(runs, key=lambda s: (s.at, s.key))
    head = newest.attributes.get("vcs.ref.head.revision")
    series: dict[tuple[str, str], Span] = {}
    for run in sorted(runs, key=lambda s: (s.at, s.attempt)):
        if run is newest or (head and run.attributes.get("vcs.ref.head.revision") == head):
            series[run.operation, str(run.attributes.get("cicd.pipeline.name") or run.key)] = run
    jobs: dict[tuple[str, ...], Span] = {}
    for run in series.values():
        below = [s for s in e.machines if s.parent_key == run.key and s.operation != "deploy"]
        for step in sorted(below or [run], key=lambda s: (s.at, s.attempt)):
            name = step.attributes.get("cicd.pipeline.task.name") or step.name
            jobs[run.key, str(name)] = step
    found = list(jobs.values())
    ended = sum(not job.in_flight for job in found)
    whole = Cell("done", ended, len(found) if len(found) > 1 or ended < len(found) else 0)
    flying = [job for job in found if job.in_flight]
    failed = sum(job.status.failed for job in found)
    if failed:
        return Cell("failed", failed, len(found) if len(found) > 1 else 0)
    if flying:
        if all(e.is_silent(job) for job in flying):
            return whole._replace(mark="silent")
        if any(job.state is State.RUNNING for job in flying):
            return whole._replace(mark="running")
        waits = any(job.state is State.WAITING for job in flying)
        if waits and not e.gates:
            return Cell("done", ended, len(found))
        return whole._replace(mark="waiting" if waits else "expected")
    if all(job.status is Status.CANCELLED for job in found):
        return whole._replace(mark="dropped", all=0)
    return whole


def _deploys(e: TraceFacts, environments: Environments) -> tuple[Cell, Cell]:
    """(the last environment before production, production)."""
    newest: dict[tuple[str, str], Span] = {}
    for deploy in e.deploys:
        if deploy.environment and deploy.parent_key not in {d.key for d in e.deploys}:
            newest[deploy.environment, deploy.service] = deploy
    production = [d for d in newest.values() if _is_production(d, environments)]
    others = [d for d in newest.values() if not _is_production(d, environments)]
    last = max(others, key=lambda d: (d.at, d.key), default=None)
    staging = [d for d in others if last is not None and d.environment == last.environment]
    return _deployed(staging, e), _deployed(production, e)


def _is_production(deploy: Span, environments: Environments) -> bool:
    marked = deploy.attributes.get("vs.environment.production") in (True, 1)
    return marked or environments.is_production(deploy.environment)


def _deployed(deploys: Sequence[Span], e: TraceFacts) -> Cell:
    if not deploys:
        return Cell()
    done = sum(d.status is Status.OK for d in deploys)
    count = len(deploys) if len(deploys) > 1 else 0
    for mark, holds in (
        ("failed", any(d.status.failed for d in deploys)),
        ("running", any(d.in_flight and d.state is State.RUNNING for d in deploys)),
        ("waiting", any(d.in_flight and d.state is State.WAITING for d in deploys)),
        ("expected", any(d.in_flight for d in deploys)),
        ("done", done > 0),
    ):
        if holds:
            silent = mark == "running" and all(e.is_silent(d) for d in deploys if d.in_flight)
            return Cell("silent" if silent else mark, done if count else 0, count)
    return Cell("dropped")
