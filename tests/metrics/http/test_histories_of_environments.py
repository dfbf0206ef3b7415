"""Histories of environments, approvals, pipelines and services of hosts, computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.metrics.http.clock import at, number, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.orders import differing
from tests.metrics.http.others import Script, alertmanager
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted, begun, differences_in
from tests.metrics.http.test_histories_of_branches import Gitea, change
from tests.metrics.http.test_histories_of_work import deployer
from tests.metrics.http.tools import Azure, Bitbucket, BitbucketServer

Tell = Callable[[Story, str], Wanted]


def two_spellings(tool: type[Any], first: str, second: str) -> Tell:
    """Two tools spell one environment differently: the second deployment replaces the first."""

    def tell(story: Story, name: str) -> Wanted:
        own = tool(story, f"acme/{name}")
        flag = {"tier": "production"} if tool is GitLab else {"production": True}
        for n, place in ((1, first), (2, second)):
            own.push((f"{name} {n}", f"0{6 + n}:00"))
            own.deploy(f"0{6 + n}:30", commit=f"{name} {n}", environment=place, **flag)  # 0.5 h
        own.deploy("09:30", commit=f"{name} 1", environment=first, **flag)
        wanted: Wanted = {"lead": (0.5, 2), "fail": (1, 3), "rework": (1, 3), "recovery": (1.0, 1)}
        return wanted | {"changes": 2 / 3}

    return tell


def alert_of_another_spelling(story: Story, name: str) -> Wanted:
    begun(GitHub, story, name)
    alertmanager(story, name, "07:00", "07:30", environment="prd")
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def service_in_another_case(story: Story, name: str) -> Wanted:
    """`Shop-X` and `shop-x` are one service; its alert finds it, too."""
    own = GitHub(story, f"acme/{name}")
    service = f"Shop-{name}"
    own.push((f"{name} 1", "07:00"))
    own.deploy("07:30", commit=f"{name} 1", service=service)
    own.push((f"{name} 2", "08:00"))
    own.deploy("08:30", commit=f"{name} 2", service=service.lower())
    own.deploy("09:00", commit=f"{name} 1", service=service)
    alertmanager(story, service.lower(), "09:30", "10:00")
    return {"lead": (0.5, 2), "fail": (2, 3), "rework": (1, 3), "changes": 2 / 3}


def gated(story: Story, name: str, states: str) -> None:
    """A deployment with a status every hour from 10:00 on."""
    own = begun(GitHub, story, name)
    own.push((f"{name} 1", "09:00"))
    own.deploy("10:00", commit=f"{name} 1", began="10:00", state="-")
    last = story.posts.pop()
    for n, state in enumerate(states.split()):
        clock = at(f"{10 + n}:00")
        told = {"id": n, "state": state, "created_at": clock, "updated_at": clock}
        deployment = {**last.body["deployment"], "updated_at": clock}
        status = {**last.body["deployment_status"], **told}
        body = {**last.body, "deployment": deployment, "deployment_status": status}
        story.add("/github", body, **last.headers)


def approved(story: Story, name: str) -> Wanted:
    """It waits from 10:00 to 12:00; the alert of 10:30 is about the deployment before."""
    gated(story, name, "waiting queued in_progress success")
    alertmanager(story, name, "10:30", "10:45")
    return {"lead": (2.25, 2), "fail": (1, 2), "recovery": (15.0, 1)}


def never_approved(story: Story, name: str) -> Wanted:
    """The reviewer says no: nothing was deployed, so nothing failed."""
    gated(story, name, "waiting failure")
    return {"lead": (0.5, 1), "fail": (0, 1), "successes": 1}


def failed_in_the_queue(story: Story, name: str) -> Wanted:
    gated(story, name, "queued failure")
    return {"lead": (0.5, 1), "fail": (1, 2), "successes": 1}


def revert_of_one_service(story: Story, name: str) -> Wanted:
    """A change of web is reverted; api, which is deployed with it, has nothing to repair."""
    own = GitHub(story, f"acme/{name}")
    for n, clock in enumerate(("07", "08"), 1):
        text = f"{name} {n}" if n == 1 else f'Revert "{name} 1"\n\nThis reverts commit '
        text += "" if n == 1 else f"{sha(f'{name} 1')}."
        own.push((text, f"{clock}:00"), files=["web/a.ts"])
        for part in ("web", "api"):
            own.deploy(f"{clock}:30", commit=text, service=f"{name}-{part}")
    return {"fail": (1, 4), "rework": (1, 4), "recovery": (1.0, 1)}


def paths_of_a_fork(story: Story, name: str) -> Wanted:
    """The branch of a fork is not pushed here; the squashed commit lists the files."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} base", "06:00"), files=["web/a.ts", "api/b.py"])
    for part in ("web", "api"):
        own.deploy("06:30", commit=f"{name} base", service=f"{name}-{part}")
    own.pull(1, "07:00", "08:00", merge=f"{name} squash")
    for post in story.posts[-2:]:
        fork = own._repository() | {"id": 77, "full_name": f"eve/{name}"}
        post.body["pull_request"]["head"]["repo"] = fork
    own.push((f"{name} squash", "08:00"), files=["web/c.ts"])
    own.deploy("09:00", commit=f"{name} squash", service=f"{name}-api")
    own.deploy("10:00", commit=f"{name} squash", service=f"{name}-web")  # 3 h
    return {"lead": (1.75, 2), "unknown": 0, "changes": 2 / 4}


def promotion_of_a_monorepo(story: Story, name: str) -> Wanted:
    """develop has a change of each service; a release to main is deployed service by service."""
    own = GitHub(story, f"acme/{name}")
    own.pull(1, "07:00", "07:30", base="develop", commits=[(f"{name} w", "06:50")])
    own.push((f"{name} w", "06:50"), (own.merge_of(1), "07:30"), ref="develop", files=["web/a.ts"])
    own.pull(2, "07:10", "07:40", base="develop", commits=[(f"{name} a", "07:05")])
    own.push((f"{name} a", "07:05"), (own.merge_of(2), "07:40"), ref="develop", files=["api/b.py"])
    own.pull(3, "08:00", "08:10", head="develop", pushed=True)
    own.deploy("09:00", commit=own.merge_of(3), service=f"{name}-web")  # 2 h 10 min
    own.deploy("10:00", commit=own.merge_of(3), service=f"{name}-api")  # 2 h 55 min
    return {"lead": (2.5417, 2), "changes": 1.0}


def branch_deployed_and_left(story: Story, name: str) -> Wanted:
    """ChatOps deploys a branch, its pull request is closed, and main is deployed again."""
    own = begun(GitHub, story, name)
    own.pull(1, "08:00", commits=[(f"{name} c", "07:30")])
    own.deploy("09:00", commit=f"{name} c", ref="feature/1")  # 1.5 h
    own.pull(1, "08:00", closed="09:20")
    own.deploy("09:30", commit=f"{name} base")
    return {"lead": (1.0, 2), "fail": (1, 3), "rework": (1, 3), "recovery": (1.0, 1)}


def deployed_by_another_project(story: Story, name: str) -> Wanted:
    """A pipeline of a project for deployments: its commits were never told."""
    app = GitLab(story, f"acme/{name}-app")
    app.push((f"{name} 1", "07:00"))
    own = GitLab(story, f"acme/{name}")
    own.deploy("08:00", commit=f"{name} d")
    own.deploy("09:00", commit=f"{name} e")
    return {"lead": (None, 0), "unknown": 2, "fail": (0, 2)}


def merge_train(story: Story, name: str) -> Wanted:
    """Two merge requests of one train; their pipelines ran on refs of the train."""
    own = begun(GitLab, story, name)
    for n in (1, 2):
        own.pull(n, "07:00", f"08:0{n}", commits=[(f"{name} {n}", "06:50")], pushed=True)
        own.pipeline(80 + n, "07:50", f"08:0{n}", "success", [], commit=f"{name} train {n}")
        story.posts[-1].body["object_attributes"] |= {
            "ref": f"refs/merge-requests/{n}/train", "source": "merge_request_event",
        }  # fmt: skip
    own.deploy("08:50", commit=own.merge_of(2))  # 2 h each
    return {"lead": (2.0, 3), "fail": (0, 2), "changes": 1.5}


def child_pipelines(story: Story, name: str) -> Wanted:
    """A parent starts one child pipeline a region; both deploy to production at a time."""
    own = begun(GitLab, story, name)
    own.push((f"{name} 2", "07:00"))
    own.deploy("08:00", commit=f"{name} 2", began="07:50", job=701, key="eu")  # 1 h
    own.deploy("08:01", False, commit=f"{name} 2", began="07:51", job=702, key="us")
    own.deploy("08:30", commit=f"{name} 2", began="08:20", job=703, key="us again")  # 1.5 h
    return {"lead": (1.0, 2), "fail": (1, 3), "rework": (0, 3)}


def bitbucket_pipeline(story: Story, name: str) -> Wanted:
    """Bitbucket tells builds only; by a rule those named deploy-* are deployments."""
    own = Bitbucket(story, f"acme/{name}")
    for n, clock in enumerate(("07", "08"), 1):
        own.pull(n, f"{clock}:00", f"{clock}:20")
        for state, end in (("INPROGRESS", "30"), ("SUCCESSFUL", "40")):
            status = {
                "key": "deploy-prod", "name": "Deploy", "state": state, "refname": "main",
                "commit": {"hash": sha(own.merge_of(n))}, "url": "https://bitbucket.org/x",
                "created_on": at(f"{clock}:30"), "updated_on": at(f"{clock}:{end}"),
            }  # fmt: skip
            own.hook("repo:commit_status_updated", commit_status=status)
    return {"lead": (0.6667, 2), "fail": (0, 2), "changes": 1.0}


def stage_of_a_release_branch(story: Story, name: str) -> Wanted:
    """Azure: the stage Production fails, is run again in its run, and the next run follows."""
    own = Azure(story, "acme", name)
    own.push((f"{name} 1", "07:00"))
    own.stage(1, "Production", "07:30", "07:40", ok=False, commit=f"{name} 1")
    own.stage(1, "Production", "07:50", "08:00", commit=f"{name} 1")  # 1 h
    own.pull(2, "08:00", "08:30")
    own.stage(2, "Production", "09:00", "09:10", commit=own.merge_of(2))  # 70 min
    return {"lead": (1.0833, 2), "fail": (0, 2), "changes": 1.0}


def late_elsewhere(tool: type[Any]) -> Tell:
    """A commit of Friday is pushed on Monday, after a deployment that did not have it."""

    def tell(story: Story, name: str) -> Wanted:
        own = tool(story, f"acme/{name}")
        deploy = deployer(own, story)
        own.push((f"{name} 1", "07:00"))
        deploy("07:30", commit=f"{name} 1")
        own.push((f"{name} 2", "2026-02-27 12:00"))
        own.push((f"{name} 3", "2026-02-27 13:00"))
        deploy("10:00", commit=f"{name} 3")  # 70 and 69 h
        own.push((f"{name} 4", "10:30"))
        deploy("11:00", commit=f"{name} 4")
        return {"lead": (34.75, 4), "fail": (0, 3), "rework": (0, 3), "changes": 4 / 3}

    return tell


def queue_of_merges(story: Story, name: str) -> Wanted:
    """A merge queue that makes merge commits pushes the group at once."""
    own = begun(GitHub, story, name)
    for n in (1, 2):
        own.pull(n, "08:00", "12:00", commits=[(f"{name} {n}", f"0{n + 5}:45")])
    own.push(
        *((f"{name} 1", "06:45"), (own.merge_of(1), "11:50")),
        *((f"{name} 2", "07:45"), (own.merge_of(2), "11:51")),
        when="12:00",
    )
    own.deploy("12:45", commit=own.merge_of(1))  # 6 h
    own.deploy("13:45", commit=own.merge_of(2))  # 6 h
    return {"lead": (6.0, 3), "changes": 1.0}


def closed_and_pushed_by_hand(story: Story, name: str) -> Wanted:
    """A maintainer rebases the commits and pushes them: the pull request was closed, not merged."""
    own = begun(GitHub, story, name)
    own.pull(1, "08:00", commits=[(f"{name} a", "07:00"), (f"{name} b", "07:30")])
    own.push((f"{name} a2", "07:00"), (f"{name} b2", "07:30"), when="09:00")
    change(story, "closed", "09:01", state="closed", closed_at=at("09:01"))
    own.deploy("10:00", commit=f"{name} b2")  # 3 and 2.5 h
    return {"lead": (2.5, 3), "changes": 1.5}


def retargeted_by_the_rename(story: Story, name: str) -> Wanted:
    """master becomes main while a pull request is open: GitHub changes its base."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} base", "06:00"), ref="master")
    own.deploy("06:30", commit=f"{name} base", ref="master")
    own.pull(1, "07:00", base="master")
    own.pull(2, "07:10", "07:30", base="master", pushed=True)
    for post in story.posts:
        post.body["repository"]["default_branch"] = "master"
    base = {"ref": "main", "sha": sha("base"), "repo": own._repository()}
    first = next(p.body["pull_request"] for p in story.posts if "pull_request" in p.body)
    own.hook("pull_request", action="edited", number=1, changes={"base": {}},
             pull_request={**first, "base": base, "updated_at": at("07:40")})  # fmt: skip
    own.deploy("08:10", commit=own.merge_of(2))  # #2: 1 h
    merged = {"state": "closed", "merged": True, "merged_at": at("08:30"), "closed_at": at("08:30")}
    merged |= {"merge_commit_sha": sha(own.merge_of(1)), "updated_at": at("08:30"), "base": base}
    own.hook("pull_request", action="closed", number=1, pull_request={**first, **merged})
    own.push((own.merge_of(1), "08:30"), base=own.merge_of(2))
    own.deploy("09:00", commit=own.merge_of(1))  # #1: 2 h
    return {"lead": (1.0, 3), "fail": (0, 3), "rework": (0, 3), "changes": 1.0}


def gitea_release(story: Story, name: str) -> Wanted:
    """By a rule: Gitea's published release ships what came to main."""
    own = Gitea(story, f"acme/{name}")
    for n, clock in enumerate(("07", "08"), 1):
        own.pull(n, f"{clock}:00", f"{clock}:20", pushed=True)
        release = {
            "id": number(name) + n, "tag_name": f"v1.{n}", "name": f"1.{n}", "draft": False,
            "prerelease": False, "author": {"login": "bob"}, "target_commitish": "main",
            "created_at": at(f"{clock}:30"), "published_at": at(f"{clock}:40"), "body": "",
        }  # fmt: skip
        own.hook("release", action="published", release=release)
    return {"lead": (0.6667, 2), "fail": (0, 2), "changes": 1.0}


def truncated_push(story: Story, name: str) -> Wanted:
    """Bitbucket lists the newest five commits of a push and says that there are more."""
    own = Bitbucket(story, f"acme/{name}")
    deploy = Script(story, own.name, service=name).deploy
    own.push((f"{name} base", "06:00"))
    deploy("06:30", commit=sha(f"{name} base"))
    own.push(*((f"{name} {n}", "07:00") for n in range(5)))
    story.posts[-1].body["push"]["changes"][0]["truncated"] = True
    deploy("08:00", commit=sha(f"{name} 4"))  # 1 h each
    return {"lead": (1.0, 6), "unknown": 1}


def pushed_after_its_deployment(story: Story, name: str) -> Wanted:
    """The webhook of the push comes late, and another deployment is made before it."""
    own = begun(GitHub, story, name)
    own.push((f"{name} 2", "07:00"))
    push = story.posts.pop()
    own.deploy("08:00", commit=f"{name} 2")  # 1 h
    own.deploy("08:30", commit=f"{name} 2")
    story.posts.append(push)
    return {"lead": (0.75, 2), "fail": (0, 3), "rework": (0, 3), "changes": 2 / 3}


def squash_of_a_branch_that_goes_on(story: Story, name: str) -> Wanted:
    """A long branch is squashed into main twice by two pull requests."""
    own = begun(GitHub, story, name)
    own.pull(1, "07:10", "08:00", head="long", commits=[(f"{name} a", "07:00")],
             merge=f"{name} squash 1")  # fmt: skip
    own.push((f"{name} squash 1", "08:00"))
    own.deploy("09:00", commit=f"{name} squash 1")  # 2 h
    own.pull(2, "09:40", "10:00", head="long", commits=[(f"{name} b", "09:30")],
             merge=f"{name} squash 2")  # fmt: skip
    own.push((f"{name} squash 2", "10:00"))
    own.deploy("11:00", commit=f"{name} squash 2")  # 1.5 h
    return {"lead": (1.5, 3), "fail": (0, 3), "changes": 1.0}


def release_squashed_back(story: Story, name: str) -> Wanted:
    """Fixes of a release branch come back to main by one squashed pull request."""
    own = begun(GitHub, story, name)
    own.push((f"{name} m", "07:00"))
    own.pull(1, "07:30", "07:40", base="release/1", merge=f"{name} r1")
    own.push((f"{name} r1", "07:40"), ref="release/1", base=f"{name} m")
    own.deploy("08:00", commit=f"{name} r1", ref="release/1")  # m: 1 h, #1: 0.5 h
    own.pull(2, "08:10", "08:20", head="release/1", merge=f"{name} back")
    own.push((f"{name} back", "08:20"))
    own.push((f"{name} n", "08:30"))
    own.deploy("09:00", commit=f"{name} n")  # n: 0.5 h
    return {"lead": (0.5, 4), "fail": (0, 3), "rework": (0, 3), "changes": 4 / 3}


def environment_by_a_rollback_tool(story: Story, name: str) -> Wanted:
    """A person deploys an older commit by hand in another spelling; its task says what it is."""
    own = begun(GitHub, story, name)
    own.push((f"{name} 2", "07:00"))
    own.deploy("08:00", commit=f"{name} 2")  # 1 h
    own.deploy("08:30", commit=f"{name} base", environment="Production", production=True,
               task="rollback")  # fmt: skip
    wanted: Wanted = {"lead": (0.75, 2), "fail": (1, 3), "rework": (1, 3), "recovery": (1.0, 1)}
    return wanted


def hotfix_through_develop(story: Story, name: str) -> Wanted:
    """GitLab: a hotfix of production's tag, merged into main and develop, deployed from main."""
    own = begun(GitLab, story, name)
    own.pull(1, "07:00", "07:10", base="develop", pushed=True)
    own.pull(2, "08:00", "08:10", head="hotfix/2", pushed=True)
    own.deploy("08:30", commit=own.merge_of(2))  # 0.5 h, a repair
    own.pull(3, "08:20", "08:40", base="develop", head="main", pushed=True)
    own.pull(4, "09:00", "09:10", head="develop", pushed=True)
    own.deploy("10:00", commit=own.merge_of(4))  # #1: 3 h
    return {"lead": (0.5, 3), "fail": (0, 3), "rework": (1, 3), "changes": 1.0}


def server_release_branch(story: Story, name: str) -> Wanted:
    """Bitbucket Server: a release branch is cut from main and fixed there."""
    own = BitbucketServer(story, f"acme/{name}")
    deploy = Script(story, own.name, service=name).deploy
    own.push((f"{name} base", "06:00"))
    deploy("06:30", commit=sha(f"{name} base"))
    own.push((f"{name} m", "07:00"))
    own._heads["release/1"] = sha(f"{name} m")
    own.push((f"{name} fix", "07:30"), ref="release/1")
    deploy("08:00", commit=sha(f"{name} fix"), branch="release/1")  # 1 and 0.5 h
    return {"lead": (0.5, 3), "fail": (0, 2), "changes": 1.5}


def two_repositories_of_one_service(story: Story, name: str) -> Wanted:
    """Another repository deploys a service of the same name; its alert is its own."""
    own = begun(GitHub, story, name)
    other = GitHub(story, f"eve/{name}")
    other.push((f"{name} other", "06:00"))
    other.deploy("06:40", commit=f"{name} other")
    other.issue(3, "06:50", "07:00")
    own.push((f"{name} 2", "07:00"))
    own.deploy("08:00", commit=f"{name} 2")
    return {"lead": (0.75, 2), "fail": (0, 2), "rework": (0, 2)}


def deploys_of_a_tag_and_its_branch(story: Story, name: str) -> Wanted:
    """Each commit of main is deployed; a tag of the same commit is deployed again."""
    own = begun(GitHub, story, name)
    own.push((f"{name} 2", "07:00"))
    own.deploy("08:00", commit=f"{name} 2")  # 1 h
    own.deploy("08:20", version="v1.2.0")
    for post in story.posts[-3:]:
        post.body["deployment"]["sha"] = sha(f"{name} 2")
    own.push((f"{name} 3", "08:30"))
    own.deploy("09:00", commit=f"{name} 3")  # 0.5 h
    return {"lead": (0.5, 3), "fail": (0, 4), "rework": (0, 4), "changes": 3 / 4}


RULES = """
[[metrics.deployments]]
filter = 'kind:build name:"Deploy" project:acme/bucket-rule'
environment = "production"
[[metrics.deployments]]
filter = 'kind:release project:acme/tea-release'
environment = "production"
[services.back-one-web]
paths = ["web/**"]
[services.back-one-api]
paths = ["api/**"]
[services.fork-paths-web]
paths = ["web/**"]
[services.fork-paths-api]
paths = ["api/**"]
[services.mono-flow-web]
paths = ["web/**"]
[services.mono-flow-api]
paths = ["api/**"]
"""
HISTORIES: dict[str, Tell] = {
    "spelled-hub": two_spellings(GitHub, "prod", "production"),
    "spelled-lab": two_spellings(GitLab, "Production", "PRD"),
    "alert-prd": alert_of_another_spelling,
    "cased": service_in_another_case,
    "gate": approved,
    "gate-shut": never_approved,
    "queue-failed": failed_in_the_queue,
    "back-one": revert_of_one_service,
    "fork-paths": paths_of_a_fork,
    "mono-flow": promotion_of_a_monorepo,
    "branch-left": branch_deployed_and_left,
    "deployer": deployed_by_another_project,
    "merge-train": merge_train,
    "children": child_pipelines,
    "bucket-rule": bitbucket_pipeline,
    "azure-stage": stage_of_a_release_branch,
    "late-tea": late_elsewhere(Gitea),
    "late-cloud": late_elsewhere(Bitbucket),
    "queue-merges": queue_of_merges,
    "by-maintainer": closed_and_pushed_by_hand,
    "retargeted-main": retargeted_by_the_rename,
    "tea-release": gitea_release,
    "cut-short": truncated_push,
    "late-hook": pushed_after_its_deployment,
    "long-branch": squash_of_a_branch_that_goes_on,
    "squashed-back": release_squashed_back,
    "rollback-task": environment_by_a_rollback_tool,
    "through-develop": hotfix_through_develop,
    "server-cut": server_release_branch,
    "two-owners": two_repositories_of_one_service,
    "tag-again": deploys_of_a_tag_and_its_branch,
}


@pytest.mark.parametrize("order", ["reverse", "shuffled"])
def test_every_history_of_environments_has_the_values_computed_by_hand(tmp_path, order) -> None:
    (tmp_path / "config.toml").write_text(RULES)
    assert differences_in(order, tmp_path, HISTORIES, differing) == []
