"""Everyday histories on each git host: deployed again, rolled back, from forks, branches and tags,
mirrored, with clocks apart."""

from __future__ import annotations

from typing import Any

import pytest

from tests.metrics.http.clock import sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.orders import ORDERS, Tell, of_projects, told_in
from tests.metrics.http.others import Script, alertmanager
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted
from tests.metrics.http.test_histories_of_branches import Gitea
from tests.metrics.http.test_histories_of_reverts import HOSTS, hosted
from tests.metrics.http.tools import Azure

RULES = """
[services.api-labs]
paths = ["api/**"]
[services.web-labs]
paths = ["web/**"]
"""
WITH_BRANCHES = (GitHub, GitLab, Gitea)


def deployed_again(tool: type[Any]) -> Tell:
    """The same commit again is a deployment and brings nothing."""

    def tell(story: Story, name: str) -> Wanted:
        own, deploy, _ = hosted(tool, story, name)
        own.push((f"{name} 1", "07:00"))
        for clock in ("08:00", "09:00"):
            deploy(clock, commit=f"{name} 1")  # 1 h
        wanted: Wanted = {"lead": (0.75, 2), "fail": (0, 3), "rework": (0, 3)}
        return wanted | {"changes": 2 / 3}

    return tell


def rolled_back(tool: type[Any]) -> Tell:
    """An older commit over a newer one, and then forward with both."""

    def tell(story: Story, name: str) -> Wanted:
        own, deploy, _ = hosted(tool, story, name)
        own.push((f"{name} 1", "07:00"))
        deploy("07:30", commit=f"{name} 1")  # 0.5 h
        own.push((f"{name} 2", "08:00"))
        deploy("08:30", commit=f"{name} 2")  # 0.5 h
        deploy("08:50", commit=f"{name} 1", began="08:45")
        own.push((f"{name} 3", "09:00"))
        deploy("10:00", commit=f"{name} 3")  # 1 h
        wanted: Wanted = {"lead": (0.5, 4), "fail": (1, 5), "rework": (1, 5)}
        return wanted | {"recovery": (5.0, 1), "changes": 4 / 5}

    return tell


def merged_later(tool: type[Any]) -> Tell:
    """A1 on each host: `develop` ships once it is merged into main."""

    def tell(story: Story, name: str) -> Wanted:
        own, deploy, _ = hosted(tool, story, name)
        own.pull(1, "07:00", "07:30", base="develop", pushed=True)
        own.push((f"{name} 2", "08:00"))
        deploy("09:00", commit=f"{name} 2")  # 1 h
        own.pull(3, "09:10", "09:30", head="develop", pushed=True)
        deploy("10:00", commit=own.merge_of(3))  # 3 h
        return {"lead": (1.0, 3), "fail": (0, 3), "changes": 1.0}

    return tell


def stacked(tool: type[Any]) -> Tell:
    """Three pull requests, each upon the other, merged from the top down into main."""

    def tell(story: Story, name: str) -> Wanted:
        own, deploy, _ = hosted(tool, story, name)
        own.pull(3, "07:20", "08:00", base="feature/2", pushed=True)
        own.pull(2, "07:10", "08:10", base="feature/1", pushed=True)
        deploy("08:20", commit=f"{name} base")
        own.pull(1, "07:00", "08:30", pushed=True)
        deploy("09:00", commit=own.merge_of(1))  # 100, 110 and 120 min
        return {"lead": (1.75, 4), "fail": (0, 3), "changes": 4 / 3}

    return tell


def from_a_fork(tool: type[Any]) -> Tell:
    """The fork's branch is `main`, and the fork tells of its own pushes as well."""

    def tell(story: Story, name: str) -> Wanted:
        own, deploy, _ = hosted(tool, story, name)
        fork = tool(story, f"eve/{name}")
        fork.push((f"{name} theirs", "07:00"))
        own.pull(1, "07:10", head="main")
        head = {"ref": "main", "sha": sha(f"{name} theirs"), "repo": fork._repository()}
        request = story.posts[-1].body["pull_request"]
        request["head"] = head
        own.pull(1, "07:10", "08:00", head="main", pushed=True)
        for post in story.posts[-3:]:
            if "pull_request" in post.body:
                post.body["pull_request"]["head"] = head
        fork.push((f"{name} more", "08:30"))
        deploy("09:00", commit=own.merge_of(1))  # from 07:10, or 07:00 as its commit
        return {"changes": 1.0, "fail": (0, 2), "unknown": 0}

    return tell


def mirrored(story: Story, name: str) -> Wanted:
    """GitLab is mirrored to GitHub under the same path; both tell of each push."""
    hub, lab = GitHub(story, f"acme/{name}"), GitLab(story, f"acme/{name}")
    for n, clock in ((1, "07:00"), (2, "08:00")):
        lab.push((f"{name} {n}", clock))
        hub.push((f"{name} {n}", clock))
        lab.deploy(f"{clock[:2]}:30", commit=f"{name} {n}")
    return {"lead": (0.5, 2), "changes": 1.0, "fail": (0, 2), "rework": (0, 2)}


def same_commit_in_a_fork(story: Story, name: str) -> Wanted:
    """The fork pushed the commit first, and deploys it, too."""
    own, fork = GitHub(story, f"acme/{name}"), GitHub(story, f"eve/{name}")
    fork.push((f"{name} 1", "07:00"))
    fork.deploy("07:30", commit=f"{name} 1")
    own.push((f"{name} 1", "07:00"), when="08:00")
    own.deploy("09:00", commit=f"{name} 1")  # 2 h
    return {"lead": (2.0, 1), "changes": 1.0, "fail": (0, 1)}


def skewed(tool: type[Any], began: str, end: str) -> Tell:
    """The clock of the deploying tool is behind: its deploy ends before the push that it names."""

    def tell(story: Story, name: str) -> Wanted:
        own, deploy, _ = hosted(tool, story, name)
        own.push((f"{name} 1", "07:00"), **({} if tool is Azure else {"when": "10:01"}))
        deploy(end, commit=f"{name} 1", began=began)
        own.push((f"{name} 2", "11:00"))
        deploy("12:00", commit=f"{name} 2")  # 1 h
        return {"fail": (0, 3), "rework": (0, 3), "unknown": 0, "changes": 1.0}

    return tell


def tagged(tool: type[Any]) -> Tell:
    """Tags are deployed; the second one is cut from a release branch with a fix."""

    def tell(story: Story, name: str) -> Wanted:
        own = tool(story, f"acme/{name}")
        deploy = own.deploy
        own.push((f"{name} 1", "07:00"))
        deploy("08:00", commit=f"{name} 1", version="v1.0.0")  # 1 h
        own.push((f"{name} 2", "08:30"))
        own.push((f"{name} fix", "09:00"), ref="release/1.0", base=f"{name} 1")
        deploy("09:30", commit=f"{name} fix", version="v1.0.1")  # 0.5 h
        own.push((f"{name} fix picked", "09:00"), when="09:40")
        deploy("10:00", commit=f"{name} fix picked", version="v1.1.0")  # 1.5 and 1 h
        return {"lead": (1.0, 4), "fail": (0, 3), "rework": (0, 3), "changes": 4 / 3}

    return tell


def services_with_paths(story: Story, name: str) -> Wanted:
    """Two services of one project on GitLab: one deploys on Monday, the other on Tuesday."""
    own = GitLab(story, f"acme/{name}")
    own.push((f"{name} 1", "07:00"), files=["web/a.ts"])
    own.push((f"{name} 2", "08:00"), files=["api/b.py"])
    own.push((f"{name} 3", "09:00"), files=["web/c.ts", "api/c.py"])
    for service, clock in (("web-labs", "10:00"), ("api-labs", "Tue 10:00")):
        script = Script(story, own.name, service=service)
        script.deploy(clock, commit=sha(f"{name} 3"))
    # 3 h and 1 h by web, 26 h by api; the third one was in production on Monday
    return {"lead": (3.0, 3), "changes": 3 / 2}


def azure_stages(story: Story, name: str) -> Wanted:
    """A stage fails and is run again in its run; staging does not count."""
    own = Azure(story, "acme", name)
    own.push((f"{name} 1", "07:00"))
    own.stage(1, "Deploy staging", "07:10", "07:20", False, commit=f"{name} 1")
    own.stage(1, "Deploy staging", "07:21", "07:30", commit=f"{name} 1")
    own.stage(1, "Deploy production", "07:30", "07:40", False, commit=f"{name} 1")
    own.stage(1, "Deploy production", "07:50", "08:00", commit=f"{name} 1")  # 1 h
    own.push((f"{name} 2", "09:00"))
    own.stage(2, "Deploy production", "09:10", "09:30", commit=f"{name} 2")  # 0.5 h
    return {"lead": (0.75, 2), "fail": (0, 2), "rework": (0, 2), "changes": 1.0}


def hotfix_in_an_incident(tool: type[Any]) -> Tell:
    """An incident is over with the deploy of a hotfix that is pushed to main."""

    def tell(story: Story, name: str) -> Wanted:
        own, deploy, pull = hosted(tool, story, name)
        own.push((f"{name} 1", "07:00"))
        deploy("08:00", commit=f"{name} 1")  # 1 h
        alertmanager(story, name, "08:10", "09:05")
        pull(2, "08:20", "08:40", title="Mend it")
        deploy("09:00", commit=own.merge_of(2))  # 40 min
        wanted: Wanted = {"lead": (0.6667, 3), "fail": (1, 3), "rework": (1, 3)}
        return wanted | {"recovery": (55.0, 1)}

    return tell


def each(name: str, tell: Any, tools: Any = HOSTS, *arguments: str) -> dict[str, Tell]:
    return {f"{name}-{tool.__name__.lower()}": tell(tool, *arguments) for tool in tools}


HISTORIES: dict[str, Tell] = {
    **each("again", deployed_again),
    **each("back", rolled_back),
    **each("later", merged_later, WITH_BRANCHES),
    **each("stacked", stacked, WITH_BRANCHES),
    **each("fork", from_a_fork, (GitHub, Gitea)),
    **each("skew", skewed, HOSTS, "09:55", "10:00"),
    **each("tagged", tagged, (GitHub, GitLab)),
    **each("mend", hotfix_in_an_incident),
    "mirror": mirrored,
    "fork-first": same_commit_in_a_fork,
    "labs": services_with_paths,
    "az-stages": azure_stages,
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_everyday_history_has_the_values_computed_by_hand(configured, order) -> None:
    assert told_in(order, configured(RULES), of_projects(HISTORIES)) == {}
