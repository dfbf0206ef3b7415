"""Team web: the shop, on its own GitLab; merged changes are deployed to production
automatically."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vs_tui.demo import gitlab
from vs_tui.demo.gitlab import run_job, run_pipeline
from vs_tui.demo.other_tools import Incident
from vs_tui.demo.world import WEB, World, after, slug, title_of, working
from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND, Instant

PER_WEEK: Final = 8


@dataclass(slots=True)
class Shop:
    """The project, the commit in production, and the number of deploys."""

    main: str
    production: str
    fails: frozenset[int] = frozenset()
    """Numbers of the production deploys that fail, counted from 1; each is run again."""
    rolled_back: frozenset[int] = frozenset()
    """Numbers of the production deploys that are followed by an incident and a rollback."""
    deploys: int = 0
    free_at: Instant = 0


@dataclass(slots=True)
class Change:
    """An issue and the merge request that closes it."""

    issue: int
    opened_at: Instant
    request: gitlab.MergeRequest
    labels: tuple[str, ...]


def shop(world: World) -> Shop:
    sha = world.sha()
    return Shop(sha, sha, fails=frozenset({9, 21, 41}), rolled_back=frozenset({15, 38}))


def tell(world: World, start: Instant, weeks: int) -> Shop:
    """Send all work of team web in the weeks from `start`."""
    found = shop(world)
    merged: list[tuple[Instant, Change, str]] = []
    for position, at in enumerate(world.mornings(start, weeks, PER_WEEK)):
        change = propose(world, found, title_of("web", position), at)
        green = check(world, change, ("", "unit", "", "")[position % 4])
        if position % 11 == 10:
            change.request.state, author = "closed", change.request.author
            gitlab.merge_request(world, after(green, 15 * HOUR), "close", change.request, author)
            continue
        reviewer = world.other(WEB, change.request.author)
        approved = after(green, world.between(25 * MINUTE, 9 * HOUR))
        gitlab.merge_request(world, approved, "approved", change.request, reviewer)
        merged.append((approved + world.between(MINUTE, 40 * MINUTE), change, reviewer))
    for at, change, reviewer in sorted(merged, key=lambda entry: entry[0]):
        ship(world, found, change, at, reviewer)
    return found


def propose(world: World, found: Shop, title: str, at: Instant, hurry: bool = False) -> Change:
    """Send an issue, and later its branch and merge request."""
    author = world.rng.choice(WEB)
    labels = ("bug",) if any(word in title for word in ("loses", "jump", "wrap", "twice")) else ()
    number = world.number("gl issue")
    opened = at if hurry else working(at - world.between(HOUR, 4 * DAY))
    gitlab.issue(world, opened, "open", number, title, author, opened, labels)
    pushed = at + 40 * SECOND if hurry else after(at, world.between(40 * MINUTE, 8 * HOUR))
    branch, head = f"{number}-{slug(title)}", world.sha()
    written = max(pushed - world.between(4 * MINUTE, 30 * MINUTE), opened + 10 * SECOND)
    gitlab.push(world, pushed, branch, found.main, [(head, title, written)], author)
    request = gitlab.MergeRequest(
        world.number("gl change"),
        title,
        branch,
        author,
        pushed + world.between(15 * SECOND, 2 * MINUTE),
        head,
        text=f"Closes #{number}",
        reviewers=(world.other(WEB, author),),
        labels=labels,
    )
    gitlab.merge_request(world, request.created_at, "open", request, author)
    return Change(number, opened, request, labels)


def check(world: World, change: Change, failing: str = "") -> Instant:
    """Run the merge request's pipeline until it is green; a failing job is fixed by a commit."""
    request = change.request
    at = request.created_at + 3 * SECOND
    while True:
        pipeline = _pipeline(world, request.branch, request.head, request.title, request.author, at)
        pipeline.source, pipeline.change = "merge_request_event", request
        pipeline.send(world, at, "pending")
        ended = run_pipeline(world, pipeline, failing)
        pipeline.send(world, ended, "failed" if failing else "success")
        if not failing:
            return ended
        failing = ""
        at = ended + world.between(4 * MINUTE, 30 * MINUTE)
        before, request.head = request.head, world.sha()
        commits = [(request.head, "Mend the unit tests", at - MINUTE)]
        gitlab.push(world, at, request.branch, before, commits, request.author)
        gitlab.merge_request(world, at + SECOND, "update", request, request.author, oldrev=before)
        at += 3 * SECOND


def ship(world: World, found: Shop, change: Change, at: Instant, reviewer: str) -> Instant:
    """Merge, build main, and deploy to staging and production."""
    request = change.request
    request.state, request.merge_sha = "merged", world.sha()
    gitlab.merge_request(world, at, "merge", request, reviewer)
    author, title = request.author, request.title
    gitlab.issue(
        world,
        at + 2 * SECOND,
        "close",
        change.issue,
        title,
        author,
        change.opened_at,
        change.labels,
    )
    message = f"Merge branch '{request.branch}' into 'main'\n\n{title}"
    commits = [(request.head, title, at - HOUR), (request.merge_sha, message, at)]
    gitlab.push(world, at + SECOND, "main", found.main, commits, reviewer)
    found.main = request.merge_sha
    pipeline = _pipeline(
        world, "main", found.main, message, reviewer, max(at + 3 * SECOND, found.free_at + MINUTE)
    )
    found.deploys += 1
    fails = found.deploys in found.fails
    ended = deploys(world, pipeline, fails=fails)
    if fails:
        retried = ended + world.between(8 * MINUTE, 25 * MINUTE)
        again = _pipeline(world, "main", found.main, message, reviewer, retried)
        again.source = "web"
        ended = deploys(world, again)
    found.free_at = ended
    if found.deploys in found.rolled_back:
        return _roll_back(world, found, ended)
    found.production = found.main
    return ended


def deploys(world: World, pipeline: gitlab.Pipeline, *, fails: bool = False) -> Instant:
    """Run a pipeline of main: build, test, staging, production."""
    staging, production = (
        pipeline.job(world, "deploy", f"deploy:{name}", name) for name in ("staging", "production")
    )
    pipeline.send(world, pipeline.created_at, "pending")
    tested = run_pipeline(world, pipeline, jobs=(staging, production))
    pipeline.finished_at = None
    staged = run_job(world, pipeline, staging, tested, world.between(30 * SECOND, 80 * SECOND))
    took = world.between(50 * SECOND, 160 * SECOND)
    shipped = run_job(world, pipeline, production, staged, took, not fails)
    pipeline.finished_at = shipped + SECOND
    pipeline.send(world, pipeline.finished_at, "failed" if fails else "success")
    return pipeline.finished_at


def _roll_back(world: World, found: Shop, ended: Instant) -> Instant:
    """Send an incident six minutes after the deploy, and deploy the previous version to
    production."""
    begun = ended + 6 * MINUTE
    number, title = 4_620 + world.number("incident"), "Checkout conversion fell by 40 %"
    incident = Incident(f"Q2SHOP{number}", number, title, "shop", begun, "Freja Holm")
    incident.send(world, begun, "triggered")
    incident.send(world, begun + 2 * MINUTE, "acknowledged")
    pipeline = _pipeline(
        world, "main", found.production, "Back to the last release", "freja", begun + 11 * MINUTE
    )
    pipeline.source = "web"
    job = pipeline.job(world, "deploy", "rollback:production", "production")
    pipeline.jobs.append(job)
    back = run_job(world, pipeline, job, pipeline.created_at, 70 * SECOND)
    pipeline.finished_at = back + SECOND
    pipeline.send(world, pipeline.finished_at, "success")
    incident.send(world, back + 4 * MINUTE, "resolved")
    found.free_at = back
    return back


def _pipeline(
    world: World, branch: str, sha: str, message: str, login: str, at: Instant
) -> gitlab.Pipeline:
    number = world.number("gl pipeline")
    identifier = world.identifier("gl pipeline id", 310_000)
    return gitlab.Pipeline(identifier, number, branch, sha, message, login, at)
