"""Team core: two services on GitHub, tickets and sprints in Jira, deploys by GitHub Actions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from vs_tui.demo.github import Deployment, Pull, Repo, Run, Task, deploy, run_workflow
from vs_tui.demo.other_tools import Incident, Issue, Sprint
from vs_tui.demo.world import CORE, World, after, slug, title_of, working
from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND, Instant

LINT: Final = Task("lint", ("Set up job", "Ruff", "Mypy"), 25 * SECOND, 70 * SECOND)
TEST: Final = Task("test", ("Set up job", "Install", "Run tests"), 70 * SECOND, 300 * SECOND)
IMAGE: Final = Task("image", ("Set up job", "Build image", "Push"), 60 * SECOND, 200 * SECOND)
BROKEN: Final = Task(
    "test", ("Set up job", "Install", "Run tests"), 60 * SECOND, 200 * SECOND, failing=True
)
BOT: Final = "acme-release[bot]"
PER_WEEK: Final = 12


@dataclass(slots=True)
class Merge:
    """A merged pull request on its way to production."""

    change: Pull
    ticket: Issue
    at: Instant
    urgent: bool = False


@dataclass(slots=True)
class Service:
    """A repository that is deployed as one service, with the state of its deploys."""

    repo: Repo
    fails: frozenset[int]
    """Numbers of the production deploys that fail, counted from 1; a hotfix follows each."""
    rolled_back: frozenset[int]
    """Numbers of the production deploys that are followed by an incident and a rollback."""
    merges: list[Merge] = field(default_factory=list)
    waiting: list[Merge] = field(default_factory=list)
    """Merged, but not in production yet."""
    production: str = ""
    """The commit in production."""
    deploys: int = 0
    free_at: Instant = 0
    """When the last production deploy ended."""


def services(world: World) -> dict[str, Service]:
    checkout = Repo(world, "acme/checkout-api", world.sha())
    billing = Repo(world, "acme/billing", world.sha())
    found = {
        "checkout-api": Service(checkout, frozenset({7}), frozenset({14, 20})),
        "billing": Service(billing, frozenset({10, 18}), frozenset()),
    }
    for service in found.values():
        service.production = service.repo.main
    return found


def tell(world: World, start: Instant, weeks: int) -> dict[str, Service]:
    """Send all work of team core in the weeks from `start`."""
    found = services(world)
    sprints = _sprints(world, start, weeks)
    for position, at in enumerate(world.mornings(start, weeks, PER_WEEK)):
        service = found["checkout-api" if position % 2 else "billing"]
        sprint = next(found for found in sprints if at < found.ends_at)
        title = title_of("core", position)
        _ticket(world, service, sprint, title, at, position)
    for service in found.values():
        for merge in sorted(service.merges, key=lambda merge: merge.at):
            deliver(world, service, merge)
    return found


def _sprints(world: World, start: Instant, weeks: int) -> list[Sprint]:
    goals = ("Refunds without a person", "Faster invoices", "Ready for the holidays")
    found = []
    for position in range((weeks + 1) // 2):
        opens = start + position * 14 * DAY + 8 * HOUR
        closes = opens + 14 * DAY - HOUR
        sprint = Sprint(31 + position, f"Core {19 + position}", goals[position], opens, closes)
        sprint.send(world, opens, "started", "active")
        late = 5 * HOUR if position == 0 else -30 * MINUTE
        sprint.send(world, closes + late, "closed", "closed")
        found.append(sprint)
    return found


def _ticket(
    world: World, service: Service, sprint: Sprint, title: str, at: Instant, position: int
) -> None:
    author = world.rng.choice(CORE)
    kind = "Bug" if title.startswith("Fix") else "Story"
    created = working(at - world.between(2 * HOUR, 3 * DAY))
    ticket = Issue(
        world.number("ticket"), title, kind, world.other(CORE, author), author, created, sprint
    )
    ticket.points = world.rng.choice((1, 2, 3, 5))
    ticket.send(world, created, "created")
    ticket.move(world, at, "In Progress")
    if position % 17 == 16:
        ticket.move(world, after(at, 5 * HOUR), "Done", "Won't Do")
        return
    pushed = after(at, world.between(HOUR, 9 * HOUR))
    change = open_pull(world, service, ticket, author, pushed, draft=position % 9 == 4)
    opened = change.created_at
    ticket.move(world, opened + 30 * SECOND, "In Review")
    green = checks(world, change, opened + 5 * SECOND, ("", "flaky", "", "broken")[position % 4])
    if position % 13 == 12:
        closed = after(green, 20 * HOUR)
        change.close(closed, author)
        ticket.move(world, closed + 2 * MINUTE, "To Do")
        return
    reviewed = after(green, world.between(30 * MINUTE, 11 * HOUR))
    reviewer = world.other(CORE, author)
    if position % 5 == 2:
        change.review(reviewed, reviewer, "changes_requested")
        fixed = after(reviewed, world.between(20 * MINUTE, 4 * HOUR))
        amend(change, fixed, "Address the review")
        green = checks(world, change, fixed + 4 * SECOND)
        reviewed = after(green, world.between(20 * MINUTE, 5 * HOUR))
    change.review(reviewed, reviewer)
    merged = reviewed + world.between(2 * MINUTE, 50 * MINUTE)
    service.merges.append(merge(world, change, ticket, merged, reviewer))


def open_pull(
    world: World,
    service: Service,
    ticket: Issue,
    author: str,
    at: Instant,
    *,
    draft: bool = False,
    prefix: str = "feature",
) -> Pull:
    """Push a branch and open its pull request shortly after."""
    branch = f"{prefix}/{ticket.key}-{slug(ticket.summary)}"
    head = world.sha()
    written = max(at - world.between(5 * MINUTE, 50 * MINUTE), ticket.created_at + 10 * SECOND)
    title = f"{ticket.key} {ticket.summary}"
    service.repo.push(at, branch, head, title, written, author)
    change = Pull(
        service.repo,
        world.number(service.repo.full_name),
        world.identifier("pull", 2_100_000_000),
        title,
        branch,
        author,
        at + world.between(20 * SECOND, 3 * MINUTE),
        head,
        draft=draft,
        reviewers=() if draft else (world.other(CORE, author),),
        additions=world.rng.randrange(4, 420),
        deletions=world.rng.randrange(0, 160),
    )
    change.send(change.created_at, "opened")
    if draft:
        change.draft = False
        change.send(change.created_at + 40 * MINUTE, "ready_for_review")
    return change


def amend(change: Pull, at: Instant, message: str) -> None:
    """Push another commit to the branch, after comments."""
    change.commits += 1
    change.comments += 1
    change.amend(at, message, at - 4 * MINUTE, 2 * SECOND)


def checks(world: World, change: Pull, at: Instant, trouble: str = "") -> Instant:
    """Run a pull request's CI until it is green: `flaky` is run again, `broken` is fixed by a
    commit."""
    run = ci(change.repo, change.title, change.branch, change.head, change.author, at, change)
    if not trouble:
        return run_workflow(world, run, [LINT, TEST])
    failed = run_workflow(world, run, [LINT, BROKEN])
    again = failed + world.between(3 * MINUTE, 25 * MINUTE)
    if trouble == "flaky":
        second = replace(run, began_at=again, attempt=2)
        return run_workflow(world, second, [LINT, TEST])
    amend(change, again, "Mend the tests")
    return checks(world, change, again + 4 * SECOND)


def ci(
    repo: Repo, title: str, branch: str, sha: str, actor: str, at: Instant,
    change: Pull | None = None,
) -> Run:  # fmt: skip
    """The first attempt of a CI run."""
    identifier = repo.world.identifier("run", 18_000_000_000)
    number = repo.world.number(f"{repo.full_name} run")
    return Run(repo, identifier, number, title, branch, sha, actor, at, at, change=change)


def merge(
    world: World, change: Pull, ticket: Issue, at: Instant, login: str, urgent: bool = False
) -> Merge:
    """Squash and merge a pull request."""
    change.merge(at, login)
    ticket.move(world, at + MINUTE, "Ready to Deploy")
    return Merge(change, ticket, at, urgent)


def deliver(world: World, service: Service, merged: Merge) -> None:
    """Run CI on main, deploy to staging, and then to production: at once, or together with later
    merges."""
    change, repo, sha = merged.change, service.repo, merged.change.merge_sha
    title, at = f"{change.title} (#{change.number})", merged.at
    repo.push(at + SECOND, "main", sha, title, at, change.merged_by)
    run = ci(repo, title, "main", sha, change.merged_by, at + 4 * SECOND)
    built = run_workflow(world, run, [TEST, IMAGE])
    staged = _deployment(world, service, sha, "staging", built + 8 * SECOND, run=run)
    ready = deploy(world, staged, world.between(50 * SECOND, 150 * SECOND))
    service.waiting.append(merged)
    if len(service.waiting) < 3 and not merged.urgent and world.chance(0.28):
        return
    release(world, service, sha, ready, merged.urgent)


def release(world: World, service: Service, sha: str, ready: Instant, urgent: bool = False) -> None:
    """Deploy all waiting merges to production."""
    at = ready + 3 * MINUTE if urgent else after(ready, world.between(15 * MINUTE, 4 * HOUR))
    at = max(at, service.free_at + 5 * MINUTE)
    service.deploys += 1
    shipped = _deployment(world, service, sha, "production", at)
    took = world.between(80 * SECOND, 290 * SECOND)
    if service.deploys in service.fails:
        service.free_at = deploy(world, shipped, took, "failure", "health check failed")
        hotfix(world, service, service.free_at)
        return
    service.free_at = deploy(world, shipped, took)
    if service.deploys in service.rolled_back:
        _rollback(world, service)
        return
    service.production = sha
    for done in service.waiting:
        done.ticket.move(world, service.free_at + 90 * SECOND, "Done", "Done")
    service.waiting.clear()


def hotfix(world: World, service: Service, failed: Instant) -> None:
    """Send a bug ticket and a small change with a quick review, and deploy it at once."""
    author = world.rng.choice(CORE)
    at = failed + 9 * MINUTE
    number = world.number("ticket")
    ticket = Issue(number, "Fix the start-up probe", "Bug", author, author, at, points=1)
    ticket.send(world, at, "created")
    ticket.move(world, at + MINUTE, "In Progress")
    change = open_pull(world, service, ticket, author, at + 22 * MINUTE, prefix="hotfix")
    green = checks(world, change, change.created_at + 5 * SECOND)
    reviewer = world.other(CORE, author)
    change.review(green + 6 * MINUTE, reviewer)
    merged = merge(world, change, ticket, green + 8 * MINUTE, reviewer, urgent=True)
    deliver(world, service, merged)


def _rollback(world: World, service: Service) -> None:
    """Send an incident shortly after a deploy, and deploy the previous version again."""
    begun = service.free_at + 11 * MINUTE
    name, title = service.repo.name, "5xx rate above 3 % on POST /orders"
    number = 4_610 + world.number("incident")
    incident = Incident(f"Q1ACME{number}", number, title, name, begun, "Devi Rao")
    incident.send(world, begun, "triggered")
    incident.send(world, begun + 4 * MINUTE, "acknowledged")
    back = replace(
        _deployment(world, service, service.production, "production", begun + 17 * MINUTE),
        creator="devi",
        task="rollback",
        description="Back to the version before",
    )
    service.free_at = deploy(world, back, 95 * SECOND)
    incident.send(world, service.free_at + 6 * MINUTE, "resolved")
    hotfix(world, service, service.free_at + 50 * MINUTE)


def _deployment(
    world: World,
    service: Service,
    sha: str,
    environment: str,
    at: Instant,
    run: Run | None = None,
) -> Deployment:
    identifier = world.identifier("deployment", 3_300_000_000)
    return Deployment(service.repo, identifier, sha, environment, BOT, at, run=run)
