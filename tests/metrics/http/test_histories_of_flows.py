"""Flows of branches: releases and environments of any name, tags of old lines, stacked branches.

Each is told by every host, as its own graph of commits gives it."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import pytest

from tests.ingest.server import nearby
from tests.metrics.http.git import HOSTS, Git
from tests.metrics.http.orders import ORDERS, told_in
from tests.metrics.http.story import Story, command

Told = dict[str, Any]
RULES = """
[services.flow-web]
paths = ["web/**"]
[services.flow-api]
paths = ["api/**"]
"""


def begun(git: Git, default: str = "main") -> None:
    """The first commit is deployed after half an hour."""
    git.default = default
    git.commit("c0", "06:00", default)
    git.push(default, "06:00")
    git.deploy("06:30")


def shipped(*leads: float, fail: int = 0, rework: int = 0, deploys: int) -> Told:
    """What follows from the lead times in hours, with that of the first commit."""
    value = round(median((0.5, *leads)), 4)
    return {
        "lead": (value, len(leads) + 1),
        "unknown": 0,
        "fail": (fail, deploys),
        "rework": (rework, deploys),
    }


def release_of_any_name(git: Git, name: str = "v1.2") -> Told:
    """develop is cut for a release, which comes to main by a pull request; develop goes on."""
    begun(git)
    git.branch("develop")
    git.push("develop", "06:40")
    git.change(1, "a", "07:00", "07:30", "develop")
    git.change(2, "b", "07:40", "07:50", "develop", way="squash")
    git.branch(name, "develop")
    git.push(name, "08:00")
    git.change(3, "late", "08:10", "08:30", "develop")
    git.open(4, name, "09:00")
    git.land(4, "09:10")
    git.deploy("09:30")
    git.open(5, "develop", "10:00")
    git.land(5, "10:10")
    git.deploy("10:40")
    return shipped(2.5, 11 / 6, 2.5, deploys=3)


def release_without_a_known_name(git: Git) -> Told:
    return release_of_any_name(git, "sprint-42")


def release_with_a_fix(git: Git) -> Told:
    """The fix of the release comes by a pull request, and goes back to develop by another one."""
    begun(git)
    git.branch("develop")
    git.push("develop", "06:40")
    git.change(1, "a", "07:00", "07:30", "develop")
    git.branch("sprint-43", "develop")
    git.push("sprint-43", "07:40")
    git.change(2, "fix", "08:00", "08:20", "sprint-43")
    git.open(3, "sprint-43", "08:30")
    git.land(3, "08:40")
    git.open(4, "sprint-43", "08:50", "develop")
    git.land(4, "08:55")
    git.deploy("09:00")
    git.change(5, "b", "09:10", "09:30", "develop")
    git.open(6, "develop", "09:40")
    git.land(6, "09:45")
    git.deploy("10:10")
    return shipped(2, 1, 1, deploys=3)


def integration(git: Git, name: str = "integration") -> Told:
    """Two pull requests meet on a branch that comes to main by a third one."""
    begun(git)
    git.branch(name)
    git.push(name, "06:40")
    git.change(1, "a", "07:00", "07:30", name)
    git.change(2, "b", "08:00", "08:30", name, way="squash")
    git.open(3, name, "09:00")
    git.land(3, "09:30")
    git.deploy("10:00")
    return shipped(3, 2, deploys=2)


def integration_without_a_known_name(git: Git) -> Told:
    return integration(git, "project-orange")


def stacked_on_own_work(git: Git) -> Told:
    """As an integration branch, but with a commit of its own: it is a change, too."""
    begun(git)
    git.branch("feature/base")
    git.commit("own", "06:40", "feature/base")
    git.push("feature/base", "06:40")
    git.change(1, "a", "07:00", "07:30", "feature/base")
    git.change(2, "b", "08:00", "08:30", "feature/base", way="squash")
    git.open(3, "feature/base", "08:40")
    git.land(3, "09:00", way="squash")
    git.deploy("10:00")
    return shipped(3, 2, 10 / 3, deploys=2)


def environments_by_requests(git: Git) -> Told:
    begun(git, "int")
    for branch in ("acceptance", "live"):
        git.branch(branch)
        git.push(branch, "06:40")
    git.change(1, "a", "07:00", "08:00")
    git.change(2, "b", "08:00", "08:30", way="squash")
    git.open(3, "int", "09:00", "acceptance")
    git.land(3, "09:10")
    git.open(4, "acceptance", "09:30", "live")
    git.land(4, "09:40")
    git.deploy("10:00", ref="live")
    return shipped(3, 2, deploys=2)


def environments_by_pushes(git: Git) -> Told:
    """dev goes to qa and to prod, once by a fast-forward and once by a merge."""
    begun(git, "dev")
    for branch in ("qa", "prod"):
        git.branch(branch)
        git.push(branch, "06:10")
    git.change(1, "a", "07:00", "08:00")
    for branch, source in (("qa", "dev"), ("prod", "qa")):
        git.branch(branch, source)
        git.push(branch, "08:10")
    git.deploy("09:00", ref="prod")
    git.change(2, "b", "09:10", "09:20", way="squash")
    git.merge("qa", "dev", "09:30")
    git.push("qa", "09:30")
    git.merge("prod", "qa", "09:40")
    git.push("prod", "09:40")
    git.deploy("10:10", ref="prod")
    return shipped(2, 1, deploys=3)


def fixed_in_production(git: Git) -> Told:
    """A fix goes to prod, comes back to main by a pull request and to prod again with main."""
    begun(git)
    git.branch("prod")
    git.push("prod", "06:40")
    git.change(1, "a", "07:00", "08:00")
    git.change(2, "fix", "08:30", "09:00", "prod")
    git.deploy("09:30", ref="prod")
    git.open(3, "prod", "09:40")
    git.land(3, "09:45")
    git.open(4, "main", "10:00", "prod")
    git.land(4, "10:10")
    git.deploy("11:00", ref="prod")
    return shipped(1, 4, deploys=3)


def tag_of_an_old_line(git: Git) -> Told:
    """The tag of a fix on an old line has nothing that came to main since."""
    begun(git)
    old = git.commit("c1", "07:00")
    git.push("main", "07:05")
    git.deploy("08:00", old)
    git.commit("c2", "09:00")
    git.push("main", "09:05")
    git.commit("c3", "10:00")
    git.push("main", "10:05")
    git.branch("lts", old)
    fix = git.commit("picked", "10:00", "lts")
    git.push("lts", "10:30")
    git.deploy("11:00", fix, "v1.0.1")
    git.deploy("14:00")
    return shipped(1, 1, 5, 4, deploys=4)


def line_that_is_cut(git: Git) -> Told:
    """A release line is cut from main without new commits and gets a fix before its deployment."""
    begun(git)
    git.change(1, "a", "07:00", "08:00")
    git.change(2, "b", "08:10", "09:00", way="squash")
    git.branch("v1.x")
    git.push("v1.x", "09:10")
    git.change(3, "late", "09:20", "10:00")
    git.change(4, "fix", "10:00", "10:30", "v1.x")
    git.deploy("11:00", ref="v1.x")
    git.deploy("13:00")
    return shipped(4, 17 / 6, 1, 11 / 3, deploys=3)


def release_merged_by_hand(git: Git) -> Told:
    """release/1 has a commit and is merged into main and develop; the next release takes develop,
    whose merge of the first one is no change."""
    begun(git)
    git.branch("develop")
    git.push("develop", "06:40")
    git.change(1, "a", "07:00", "07:30", "develop")
    git.branch("release/1", "develop")
    git.commit("r", "08:00", "release/1")
    git.push("release/1", "08:05")
    git.change(2, "b", "08:10", "08:30", "develop")
    for branch in ("main", "develop"):
        git.merge(branch, "release/1", "09:00")
        git.push(branch, "09:00")
    git.deploy("09:30")
    git.branch("release/2", "develop")
    git.push("release/2", "10:00")
    git.merge("main", "release/2", "10:10")
    git.push("main", "10:10")
    git.deploy("10:30")
    return shipped(2.5, 1.5, 7 / 3, deploys=3)


def cut_from_another_branch(git: Git) -> Told:
    """The upper branch has the commit of the lower one, which comes to main before it."""
    begun(git)
    git.branch("feature/a")
    git.commit("a", "07:00", "feature/a")
    git.push("feature/a", "07:10")
    git.open(1, "feature/a", "07:10")
    git.branch("feature/b", "feature/a")
    git.commit("b", "08:00", "feature/b")
    git.push("feature/b", "08:10")
    git.open(2, "feature/b", "08:10")
    git.land(1, "09:00")
    git.deploy("09:30")
    git.land(2, "10:00", way="squash")
    git.deploy("10:30")
    return shipped(2.5, 2.5, deploys=3)


def feature_of_develop(git: Git) -> Told:
    """A feature of develop goes to main by mistake and takes develop along."""
    begun(git)
    git.branch("develop")
    git.push("develop", "06:40")
    git.change(1, "a", "07:00", "07:30", "develop")
    git.branch("feature/2", "develop")
    git.commit("b", "08:00", "feature/2")
    git.push("feature/2", "08:05")
    git.open(2, "feature/2", "07:00")
    git.land(2, "08:30")
    git.deploy("09:00")
    git.open(3, "develop", "09:10")
    git.land(3, "09:15")
    git.deploy("09:30")
    return shipped(2, 2, deploys=3)


def hotfix_deployed_and_merged_twice(git: Git) -> Told:
    """A hotfix is deployed from its branch, and merged into the release and into main."""
    begun(git)
    git.change(1, "a", "07:00", "07:30")
    git.branch("release/1")
    git.push("release/1", "07:40")
    git.deploy("08:00", ref="release/1")
    git.change(2, "b", "08:10", "08:30")
    git.branch("hotfix/1", "release/1")
    git.commit("h", "09:00", "hotfix/1")
    git.push("hotfix/1", "09:05")
    git.deploy("09:30", ref="hotfix/1")
    for identifier, base in ((3, "release/1"), (4, "main")):
        git.open(identifier, "hotfix/1", "09:40", base)
        git.land(identifier, "09:45")
    git.deploy("10:10")
    return shipped(1, 0.5, 2, rework=1, deploys=4)


def merged_by_hand_together(git: Git) -> Told:
    """Two branches are merged and pushed at once; the host finds their pull requests merged."""
    begun(git)
    for identifier, written in ((1, "07:00"), (2, "07:30")):
        git.begin(identifier, f"f{identifier}", written, source="c0")
    for identifier in (1, 2):
        git.merge("main", f"feature/{identifier}", f"08:0{identifier}")
        git.requests[identifier]["merge"] = git.heads["main"]
    for identifier in (1, 2):
        git.tell(identifier, "merged", "08:05")
    git.push("main", "08:05")
    git.deploy("09:00")
    return shipped(2, 1.5, deploys=2)


def services_by_a_branch(git: Git) -> Told:
    """One push takes changes of two services to prod; each deployment ships its own."""
    begun(git)
    git.branch("prod")
    git.push("prod", "06:40")
    git.change(1, "w", "07:00", "07:30", files=["web/a.ts"], way="squash")
    git.change(2, "x", "07:10", "07:40", files=["api/a.go"])
    git.change(3, "d", "07:20", "07:50", files=["docs/a.md"])
    git.branch("prod", "main")
    git.push("prod", "08:30")
    git.deploy("09:00", ref="prod", service="flow-web")
    git.deploy("10:00", ref="prod", service="flow-api")
    return shipped(2, 17 / 6, deploys=3)


def passing_environment(git: Git) -> Told:
    """GitHub says that the environment goes away again: it is that of one pull request."""
    begun(git)
    git.branch("feature/1")
    git.commit("a", "07:00", "feature/1")
    git.push("feature/1", "07:00")
    git.open(1, "feature/1", "07:10")
    git.deploy("07:20", ref="feature/1", environment="live-pr-1", production=False)
    for post in git.story.posts[-3:]:
        post.body["deployment"]["transient_environment"] = True
    git.land(1, "07:30")
    git.deploy("08:00")
    return shipped(1, deploys=2)


def mirrored(git: Git) -> Told:
    """A mirror has the same commits and tells of them, too."""
    begun(git)
    git.change(1, "a", "07:00", "07:30", way="squash")
    mirror = type(git)(git.story, f"{git.name}-mirror")
    mirror.parents, mirror.written, mirror.heads = git.parents, git.written, git.heads
    mirror.sha = git.sha
    mirror.push("main", "07:50")
    git.deploy("08:00")
    return shipped(1, deploys=2)


FLOWS: list[Callable[[Git], Told]] = [
    release_of_any_name,
    release_without_a_known_name,
    release_with_a_fix,
    integration,
    integration_without_a_known_name,
    stacked_on_own_work,
    environments_by_requests,
    environments_by_pushes,
    fixed_in_production,
    tag_of_an_old_line,
    line_that_is_cut,
    release_merged_by_hand,
    cut_from_another_branch,
    feature_of_develop,
    hotfix_deployed_and_merged_twice,
    merged_by_hand_together,
]


def told_by(host: str, flow: Callable[[Git], Told], name: str = "") -> Callable[[Story], Told]:
    def tell(story: Story) -> Told:
        git = HOSTS[host](story, f"acme/{name or flow.__name__}-{host}".replace("_", "-"))
        return {"project": git.name} | flow(git)

    return tell


HISTORIES = {f"{flow.__name__} {host}": told_by(host, flow) for flow in FLOWS for host in HOSTS} | {
    "services": told_by("hub", services_by_a_branch),
    "mirrored": told_by("server", mirrored),
    "passing": told_by("hub", passing_environment),
}


@pytest.mark.parametrize("order", [*ORDERS, "reverse"])
def test_every_flow_has_the_values_computed_by_hand(tmp_path, order) -> None:
    (tmp_path / "config.toml").write_text(RULES)
    with nearby(tmp_path) as server:
        assert told_in(order, server, HISTORIES) == {}
    if order == ORDERS[-1]:
        command(server, "db", "rebuild")
        with nearby(tmp_path) as server:
            assert told_in("none", server, HISTORIES) == {}
