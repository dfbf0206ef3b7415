"""Team platform: infrastructure on GitHub built by Jenkins, a nightly data load that sends custom
events, and a search index whose releases plyzen's script reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vs_tui.demo import other_tools
from vs_tui.demo.github import Pull, Repo
from vs_tui.demo.other_tools import Build
from vs_tui.demo.world import PLAT, World, after, slug, title_of, working
from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND, Instant

PER_WEEK: Final = 6
TABLES: Final = ("orders", "payments", "stock")


@dataclass(slots=True)
class Infra:
    """The repository, the number of applied changes, and the numbers of those that go wrong."""

    repo: Repo
    fails: frozenset[int] = frozenset({6, 31})
    alarms: frozenset[int] = frozenset({12, 33})
    """Numbers of the changes after which an alert fires."""
    applied: int = 0
    free_at: Instant = 0


def infra(world: World) -> Infra:
    return Infra(Repo(world, "acme/infra", world.sha()))


def tell(world: World, start: Instant, weeks: int) -> Infra:
    """Send all work of team platform in the weeks from `start`."""
    found = infra(world)
    merged: list[tuple[Instant, Pull]] = []
    for position, at in enumerate(world.mornings(start, weeks, PER_WEEK)):
        title = title_of("platform", position)
        change = propose(world, found, title, at)
        planned = plan(world, change, change.created_at + 6 * SECOND, position % 7 == 5)
        reviewer = world.other(PLAT, change.author)
        approved = after(planned, world.between(20 * MINUTE, 7 * HOUR))
        change.review(approved, reviewer)
        change.merged_by = reviewer
        merged.append((approved + world.between(MINUTE, 30 * MINUTE), change))
    for at, change in sorted(merged, key=lambda entry: entry[0]):
        apply(world, found, change, at)
    for day in range(weeks * 7):
        load(world, start + day * DAY + 2 * HOUR, failing=day % 11 == 8)
        if day % 7 in (1, 3):
            index(world, start + day * DAY + 13 * HOUR, day, "ok" if day % 5 else "alarm")
    return found


def propose(world: World, found: Infra, title: str, at: Instant, hurry: bool = False) -> Pull:
    """Send an issue, and later the branch and the pull request that closes it."""
    author = world.rng.choice(PLAT)
    number = world.number("infra number")
    opened = at if hurry else working(at - world.between(HOUR, 3 * DAY))
    found.repo.issue(
        opened, "opened", number, title, author, opened, author, labels=("infrastructure",)
    )
    pushed = at + 30 * SECOND if hurry else after(at, world.between(30 * MINUTE, 7 * HOUR))
    branch, head = f"{number}-{slug(title)}", world.sha()
    written = max(pushed - world.between(3 * MINUTE, 25 * MINUTE), opened + 5 * SECOND)
    found.repo.push(pushed, branch, head, f"{title} (#{number})", written, author)
    change = Pull(
        found.repo,
        world.number("infra number"),
        world.identifier("pull", 2_100_000_000),
        title,
        branch,
        author,
        pushed + world.between(20 * SECOND, 2 * MINUTE),
        head,
        text=f"Fixes #{number}",
        reviewers=(world.other(PLAT, author),),
        additions=world.rng.randrange(2, 90),
        deletions=world.rng.randrange(0, 40),
    )
    change.send(change.created_at, "opened")
    change.labels = (str(number), title)  # what `apply` closes
    return change


def plan(world: World, change: Pull, at: Instant, failing: bool = False) -> Instant:
    """Run Jenkins' plan of a pull request; a failing plan is fixed by a commit and run again."""
    while True:
        job = Build(
            f"infra/PR-{change.number}",
            world.number(f"infra/PR-{change.number}"),
            change.repo.full_name,
            change.branch,
            change.head,
            change.author,
            world.between(2 * SECOND, 20 * SECOND),
            at,
        )
        took = world.between(60 * SECOND, 200 * SECOND)
        if not failing:
            return job.send(world, took)
        ended = job.send(world, took, "terraform: a provider could not be fetched")
        failing = False
        at = ended + world.between(3 * MINUTE, 20 * MINUTE)
        change.amend(at, "Pin the provider", at - MINUTE, SECOND)
        at += 4 * SECOND


def apply(world: World, found: Infra, change: Pull, at: Instant) -> Instant:
    """Merge, build main and apply it to production."""
    at = max(at, found.free_at + 2 * MINUTE)
    number, title = int(change.labels[0]), change.labels[1]
    change.labels = ()
    repo, login = found.repo, change.merged_by
    change.merge(at, login)
    created, sha = change.created_at - HOUR, change.merge_sha
    repo.issue(at + SECOND, "closed", number, title, change.author, created, login)
    repo.push(at + SECOND, "main", sha, f"{title} (#{change.number})", at, login)
    main = Build(
        "infra/main",
        world.number("infra/main"),
        repo.full_name,
        "main",
        sha,
        login,
        world.between(2 * SECOND, 15 * SECOND),
        at + 5 * SECOND,
    )
    built = main.send(world, world.between(80 * SECOND, 240 * SECOND))
    found.applied += 1
    rollout = Build(
        "infra-apply",
        world.number("infra-apply"),
        repo.full_name,
        "main",
        sha,
        login,
        world.between(SECOND, 8 * SECOND),
        built + 4 * SECOND,
        cause=f'Started by upstream project "infra/main" build number {main.number}',
        parameters={"type": "deploy", "ENVIRONMENT": "production", "VERSION": sha[:12]},
    )
    took = world.between(100 * SECOND, 360 * SECOND)
    if found.applied in found.fails:
        found.free_at = rollout.send(world, took, "terraform: the state is locked")
        return found.free_at
    found.free_at = rollout.send(world, took)
    if found.applied in found.alarms:
        began, text = found.free_at + 9 * MINUTE, "Message age above 10 minutes"
        alert = ("QueueLagging", text, "infra", sha[:12], began)
        other_tools.alertmanager(world, began, *alert)
        ended = began + 47 * MINUTE
        other_tools.alertmanager(world, ended, *alert, ended)
    return found.free_at


def load(world: World, at: Instant, failing: bool = False) -> Instant:
    """Send the data load: a pipeline of three steps, as custom events."""
    identifier = f"{world.number('load'):04d}"
    parent = f"pipeline-acme-data-{identifier}"
    other_tools.custom(
        world, at, "pipeline", identifier, "start", name="Nightly load", team="platform"
    )
    began = at + 2 * SECOND
    for table in TABLES:
        broken = failing and table == "payments"
        step = f"{identifier}-{table}"
        other_tools.custom(world, began, "task", step, "start", name=f"load {table}", parent=parent)
        began += world.between(80 * SECOND, 280 * SECOND)
        other_tools.custom(
            world, began, "task", step, "end", error=broken, rows=world.rng.randrange(9**6)
        )
        began += SECOND
        if broken:
            break
    other_tools.custom(world, began, "pipeline", identifier, "end", error=failing)
    return began


def index(world: World, at: Instant, number: int, ending: str) -> Instant:
    """Send a release of the search index: built, deployed and tested. With `alarm` its test fails,
    and a later one passes."""
    version = f"2026.{number}"
    for activity, took in (("build", 4 * MINUTE), ("deploy", 3 * MINUTE), ("smoke-test", MINUTE)):
        stage = "build" if activity == "build" else "production"
        result = "failure" if ending == "alarm" and activity == "smoke-test" else "success"
        other_tools.plyzen(world, at, version, stage, activity, "start")
        at += took + world.between(0, 90 * SECOND)
        other_tools.plyzen(world, at, version, stage, activity, "finish", result)
        at += 5 * SECOND
    if ending == "alarm":
        at += 20 * MINUTE
        other_tools.plyzen(world, at, version, "production", "smoke-test", "start")
        other_tools.plyzen(
            world, at + 50 * SECOND, version, "production", "smoke-test", "finish", "success"
        )
    return at
