"""Histories of everyday work: branches that are named again or brought up to date, deployments that
queue, schedules, environments that are stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.metrics.http.clock import at, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.others import Script
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted, begun, differences, differences_in
from tests.metrics.http.test_histories_of_branches import Gitea
from tests.metrics.http.tools import Bitbucket, BitbucketServer

Tell = Callable[[Story, str], Wanted]


def deployer(own: Any, story: Story) -> Callable[..., None]:
    """Deploys by a script, for hosts without deployments of their own."""
    if type(own) in (GitHub, GitLab):
        return own.deploy
    script = Script(story, own.name, service=own.name.rpartition("/")[2])

    def deploy(end: str, ok: bool = True, *, commit: str) -> None:
        script.deploy(end, ok, commit=sha(commit))

    return deploy


def branch_named_again(tool: type[Any]) -> Tell:
    """Two pull requests from branches of one name: the second has not the commits of the first."""

    def tell(story: Story, name: str) -> Wanted:
        own = tool(story, f"acme/{name}")
        deploy = deployer(own, story)
        for n, day in ((1, ""), (2, "Tue ")):
            commits = [(f"{name} {n}", f"{day}07:00")]
            times = (f"{day}07:10", f"{day}08:00")
            own.pull(n, *times, head="patch-1", commits=commits, pushed=True)
            deploy(f"{day}09:00", commit=own.merge_of(n))  # 2 h
        return {"lead": (2.0, 2), "changes": (2, 2)}

    return tell


def brought_up_to_date(tool: type[Any], *, merge: bool = True) -> Tell:
    """main, with a commit of Friday, is merged into the branch of a pull request, or the branch is
    rebased on it: that commit is none of the pull request's."""

    def tell(story: Story, name: str) -> Wanted:
        own = tool(story, f"acme/{name}")
        deploy = deployer(own, story)
        own.push((f"{name} base", "2026-02-27 10:00"), ref="main")
        deploy("2026-02-27 11:00", commit=f"{name} base")
        own.pull(1, "07:30", head="feature/1", commits=[(f"{name} c", "07:00")])
        own.push((f"{name} old", "2026-02-27 12:00"), ref="main", when="08:00")
        again = f"Merge main {name}" if merge else f"{name} c again"
        own.push(
            (f"{name} old", "2026-02-27 12:00"),
            (again, "08:30" if merge else "07:00"),
            ref="feature/1",
            when="08:30",
        )
        tip: dict[str, Any] = {"last_commit": {"id": sha(again), "message": "x"}}
        if tool is not GitLab:
            ref = {"ref": "feature/1", "sha": sha(again), "repo": own._repository()}
            tip = {"head": ref}
        own.pull(1, "07:30", "09:00", pushed=True, **tip)
        deploy("11:00", commit=own.merge_of(1))  # #1: 4 h; old: 71 h
        return {"lead": (37.5, 2), "changes": (2, 1)}

    return tell


def nightly(story: Story, name: str) -> Wanted:
    """The same commit is deployed each night."""
    own = begun(GitHub, story, name)
    for day in ("Tue", "Wed", "Thu"):
        own.deploy(f"{day} 02:00", commit=f"{name} base")
    return {"lead": (0.5, 1), "fail": (0, 4), "rework": (0, 4), "changes": (1, 4)}


def incident_of_another_repository(story: Story, name: str) -> Wanted:
    own = begun(GitHub, story, name)
    ops = GitHub(story, f"acme/{name}-ops")
    ops.issue(1, "07:00", "07:30")
    own.deploy("08:00", commit=f"{name} 2")
    return {"fail": (0, 2), "rework": (0, 2)}


def stopped_environment(story: Story, name: str) -> Wanted:
    """Jobs that stop, verify or prepare an environment deploy nothing."""
    own = GitLab(story, f"acme/{name}")
    own.push((f"{name} 1", "08:00"))
    own.deploy("09:00", commit=f"{name} 1")
    for n, action in enumerate(("stop", "verify", "prepare", "access")):
        own.pipeline(70 + n, "10:00", "10:10", "failed", [(80 + n, "j", "failed", "10:10")])
        for build in story.posts[-1].body["builds"]:
            build["environment"]["action"] = action
    return {"fail": (0, 1), "changes": (1, 1)}


def release_tag_of_a_merge(story: Story, name: str) -> Wanted:
    """A pull request for the release, a tag on its merge commit, and the tag is deployed."""
    own = begun(GitHub, story, name)
    own.pull(1, "08:00", "09:00", pushed=True)
    own.pull(2, "09:00", "10:00", author="release-please[bot]", title="chore: 1.1.0", pushed=True)
    tagged = {"ref": "refs/tags/v1.1.0", "after": sha(own.merge_of(2)), "commits": []}
    story.add("/github", {**story.posts[-1].body, **tagged}, X_GitHub_Event="push")
    own.deploy("11:00", version="v1.1.0")
    for post in story.posts[-3:]:
        post.body["deployment"]["sha"] = sha(own.merge_of(2))
    return {"lead": (2.0, 3), "fail": (0, 2), "changes": (3, 2)}  # 0.5, 3 and 2 h


def replaced_in_the_queue(story: Story, name: str) -> Wanted:
    """Three commits; the deploy of the second is cancelled for that of the third."""
    own = GitHub(story, f"acme/{name}")
    for n, clock in enumerate(("08:00", "08:10", "08:20"), 1):
        own.push((f"{name} {n}", clock))
    own.deploy("09:00", commit=f"{name} 1")  # 1 h
    own.deploy("09:05", commit=f"{name} 2", state="inactive")
    own.deploy("09:20", commit=f"{name} 3")  # 1 h 10 and 1 h
    return {"lead": (1.0, 3), "fail": (0, 2), "changes": (3, 2)}


def fix_after_a_failed_deploy(story: Story, name: str) -> Wanted:
    """The next commit repairs the pipeline: the first change ships with it."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} 1", "08:00"))
    own.deploy("09:00", False, commit=f"{name} 1")
    own.push((f"{name} 2", "09:30"))
    own.deploy("10:00", commit=f"{name} 2")  # 2 and 0.5 h
    wanted: Wanted = {"lead": (1.25, 2), "fail": (1, 2), "rework": (0, 2), "recovery": (60.0, 1)}
    return wanted


def review_app(story: Story, name: str) -> Wanted:
    own = begun(GitLab, story, name)
    own.pull(1, "08:00", commits=[(f"{name} c", "07:30")])
    own.deploy("08:30", False, commit=f"{name} c", environment="review/1", tier="development",
               ref="feature/1")  # fmt: skip
    return {"fail": (0, 1), "changes": (1, 1)}


def two_deploys_wait_for_one_merge(story: Story, name: str) -> Wanted:
    """A pull request of two weeks, merged and deployed after lunch."""
    own = begun(GitHub, story, name)
    own.pull(1, "2026-02-16 12:00", "Tue 11:00", pushed=True)
    own.pull(2, "Tue 10:00", "Tue 11:30", pushed=True)
    own.deploy("Tue 12:00", commit=own.merge_of(2))  # 15 d and 2 h
    return {"lead": (2.0, 3), "changes": (3, 2)}


def updated_elsewhere(tool: type[Any]) -> Tell:
    """The same on hosts without deployments: a commit of Friday comes with an update."""

    def tell(story: Story, name: str) -> Wanted:
        own = tool(story, f"acme/{name}")
        deploy = deployer(own, story)
        own.push((f"{name} old", "2026-02-27 12:00"))
        deploy("2026-02-27 13:00", commit=f"{name} old")
        updated = (
            (f"{name} c", "07:00"),
            (f"{name} old", "2026-02-27 12:00"),
            (f"{name} m", "08:00"),
        )
        own.pull(1, "07:30", "09:00", commits=updated)
        deploy("11:00", commit=own.merge_of(1))  # 4 h
        return {"lead": (4.0, 1), "changes": (1, 1)}

    return tell


def releases_are_deployments(story: Story, name: str) -> Wanted:
    """By a rule: a published release ships what came to main before it."""
    own = GitHub(story, f"acme/{name}")
    for number, (opened, merge, released) in enumerate(
        (("07:00", "08:00", "09:00"), ("09:30", "10:00", "12:00")), 1
    ):
        own.pull(number, opened, merge, pushed=True)
        release = {
            "id": number, "tag_name": f"v1.{number}", "name": f"1.{number}", "draft": False,
            "prerelease": False, "author": {"login": "bob"}, "target_commitish": "main",
            "created_at": at(merge), "published_at": at(released), "body": "",
            "html_url": f"{own.full}/releases/v1.{number}",
        }  # fmt: skip
        own.hook("release", action="published", release=release)
    return {"lead": (2.25, 2), "fail": (0, 2), "changes": (2, 2)}  # 2 and 2.5 h


def runs_are_deployments(story: Story, name: str) -> Wanted:
    """By a rule: a run ships all that came to main since the one before it."""
    own = GitHub(story, f"acme/{name}")
    own.pull(1, "07:00", "08:00", pushed=True)
    own.pull(2, "07:30", "08:30", pushed=True)
    own.pull(3, "08:00", "08:50", pushed=True)
    own.run(1, "08:55", "09:00", name="Ship", commit=own.merge_of(2))  # 2 and 1.5 h
    own.run(2, "09:55", "10:00", name="Ship", commit=own.merge_of(3))  # 2 h
    return {"lead": (2.0, 3), "fail": (0, 2), "changes": (3, 2)}


def pushes_are_deployments(story: Story, name: str) -> Wanted:
    """By a rule: what is pushed to main is live."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} 1", "08:00"), when="09:00")  # 1 h
    own.pull(2, "09:30", "10:00", pushed=True)  # 0.5 h
    own.push((f"{name} 3", "10:00"), ref="develop", when="11:00")
    return {"lead": (0.75, 2), "fail": (0, 2), "changes": (2, 2)}


def merged_by_hand_on_the_host(story: Story, name: str) -> Wanted:
    """The commits of a pull request are pushed to main: GitHub closes it as merged by its head."""
    own = begun(GitHub, story, name)
    commits = [(f"{name} c1", "07:00"), (f"{name} c2", "07:30")]
    own.pull(1, "08:00", "09:00", commits=commits, merge=f"{name} c2")
    own.push(*commits, when="09:00")
    own.deploy("10:00", commit=f"{name} c2")  # 3 h
    return {"lead": (1.75, 2), "changes": (2, 2)}


def squash_reverted_by_its_commit(story: Story, name: str) -> Wanted:
    """GitLab: the reverted commit is the squashed one of a merge request."""
    own = begun(GitLab, story, name)
    own.pull(1, "08:00", "09:00", merge_commit_sha=None, squash_commit_sha=sha(f"{name} sq"))
    own.push((f"{name} sq", "09:00"))
    own.deploy("10:00", commit=f"{name} sq")
    words = f"Take it out\n\nThis reverts commit {sha(f'{name} sq')}"
    own.push((words, "10:30"))
    own.deploy("11:00", commit=words)
    return {"fail": (1, 3), "rework": (1, 3), "recovery": (1.0, 1), "changes": (3, 3)}


def two_reverted_at_once(story: Story, name: str) -> Wanted:
    """One commit takes back two, of two deployments."""
    own = begun(GitHub, story, name)
    for n, clock in ((1, "08:00"), (2, "09:00")):
        own.push((f"{name} {n}", clock))
        own.deploy(f"{clock[:3]}30", commit=f"{name} {n}")
    lines = "\n".join(f"This reverts commit {sha(f'{name} {n}')}." for n in (1, 2))
    own.push((f"Take both out\n\n{lines}", "10:00"))
    own.deploy("10:30", commit=f"Take both out\n\n{lines}")
    return {"fail": (2, 4), "rework": (1, 4), "recovery": (1.0, 2)}


def feature_flag_revert_quoted(story: Story, name: str) -> Wanted:
    """A description that only quotes or mentions a revert takes nothing back."""
    own = begun(GitHub, story, name)
    own.pull(1, "08:00", "08:30", pushed=True)
    own.deploy("09:00", commit=own.merge_of(1))
    text = f"> Reverts {own.full}#1\n\nNo: it reverts to the old colours.\n<!-- Reverts #1 -->"
    own.pull(2, "09:10", "09:30", body=text, pushed=True)
    own.deploy("10:00", commit=own.merge_of(2))
    return {"fail": (0, 3), "rework": (0, 3)}


def jobs_are_deployments(story: Story, name: str) -> Wanted:
    """By a rule: regions of one run are jobs; the older commit of the next run takes it back."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} 1", "07:00"))
    own.push((f"{name} 2", "08:00"))
    for n, region in enumerate(("eu", "us")):
        own.job(20 + n, "08:50", "09:00", run=(2, 1), name=f"ship ({region})", commit=f"{name} 2")
    own.run(2, "08:45", "09:01", name="CI", commit=f"{name} 2")  # 2 and 1 h
    own.job(30, "09:50", "10:00", run=(3, 1), name="ship (eu)", commit=f"{name} 1")
    own.run(3, "09:45", "10:01", name="CI", commit=f"{name} 1")
    return {"lead": (1.5, 2), "fail": (1, 2), "rework": (1, 2), "changes": (2, 2)}


def jobs_and_their_deployments(story: Story, name: str) -> Wanted:
    """By a rule, and the jobs name an environment, so that GitHub tells of deployments, too."""
    own = GitHub(story, f"acme/{name}")
    for n, (commit, end, run, ok) in enumerate((("1", "09:00", (5, 1), True),
            ("2", "10:00", (6, 1), False), ("2", "10:20", (6, 2), True))):  # fmt: skip
        if run[1] == 1:
            own.push((f"{name} {commit}", {"1": "08:00", "2": "09:30"}[commit]))
        began = {"09:00": "08:50", "10:00": "09:50", "10:20": "10:10"}[end]
        own.job(40 + n, began, end, ok, run=run, name="ship", commit=f"{name} {commit}")
        own.deploy(end, ok, began=began, run=run, job=40 + n, commit=f"{name} {commit}")
        result = "success" if ok else "failure"
        own.run(run[0], began, end, result, name="CI", attempt=run[1], commit=f"{name} {commit}")
    return {"lead": (0.9167, 2), "fail": (0, 2), "changes": (2, 2)}


def gitlab_jobs_are_deployments(story: Story, name: str) -> Wanted:
    """By a rule: the job of a pipeline, retried once."""
    own = GitLab(story, f"acme/{name}")
    own.push((f"{name} 1", "08:00"))
    own.pull(2, "08:10", "08:30", pushed=True)
    jobs = [(701, "ship it", "failed", "09:10")]
    own.pipeline(70, "09:00", "09:10", "failed", jobs, commit=own.merge_of(2))
    jobs.append((702, "ship it", "success", "09:30"))
    own.pipeline(70, "09:00", "09:30", "success", jobs, commit=own.merge_of(2))
    return {"lead": (1.4167, 2), "fail": (0, 1), "changes": (2, 1)}  # 90 and 80 min


def develop_and_hotfix_to_both(story: Story, name: str) -> Wanted:
    """Git flow: the hotfix goes to main and is merged back; the release takes develop."""
    own = begun(GitHub, story, name)
    own.pull(1, "07:00", "07:30", base="develop", pushed=True)
    own.pull(2, "08:00", "08:10", head="hotfix/1.0.1", pushed=True)
    own.deploy("08:30", commit=own.merge_of(2))  # 0.5 h, a repair
    own.pull(3, "08:32", "08:40", head="hotfix/1.0.1", base="develop", pushed=True)
    own.pull(4, "09:00", "09:10", base="develop", pushed=True)
    own.pull(5, "09:20", "09:30", head="develop", pushed=True)
    own.deploy("10:00", commit=own.merge_of(5))  # #1: 3 h, #4: 1 h, #3: 1 h 28 min
    return {"fail": (0, 3), "rework": (1, 3), "changes": (5, 3)}


def deployed_while_it_is_open(story: Story, name: str) -> Wanted:
    """A pull request is kept up to date for days; deployments of main do not ship it."""
    own = GitLab(story, f"acme/{name}")
    own.push((f"{name} base", "06:00"))
    own.deploy("06:30", commit=f"{name} base")  # 0.5 h
    own.pull(1, "07:00", head="feature/1", commits=[(f"{name} c", "06:50")])
    for n, clock in ((1, "08"), (2, "10")):
        own.push((f"{name} m{n}", f"{clock}:00"))
        both = ((f"{name} m{n}", f"{clock}:00"), (f"{name} up{n}", f"{clock}:05"))
        own.push(*both, ref="feature/1")
        own.deploy(f"{clock}:30", commit=f"{name} m{n}")  # 0.5 h
    return {"lead": (0.5, 3), "changes": (3, 3)}


def promoted_by_squash(story: Story, name: str) -> Wanted:
    """develop is squashed into main: its pull requests ship, not the squashed commit."""
    own = begun(GitHub, story, name)
    own.pull(1, "07:00", "07:30", base="develop", pushed=True)
    own.pull(2, "07:10", "07:40", base="develop", pushed=True)
    own.pull(3, "08:00", "08:10", head="develop", merge=f"{name} squash")
    own.push((f"{name} squash", "08:10"))
    own.deploy("09:00", commit=f"{name} squash")  # 2 h and 1 h 50 min
    own.pull(4, "09:10", "09:20", base="develop", pushed=True)
    own.pull(5, "09:30", "09:40", head="develop", merge=f"{name} squash 2")
    own.push((f"{name} squash 2", "09:40"))
    own.deploy("10:10", commit=f"{name} squash 2")  # 1 h
    return {"lead": (1.4167, 4), "fail": (0, 3), "changes": (4, 3)}


def redeployed_after_a_failed_newer_one(story: Story, name: str) -> Wanted:
    """The newer one failed; the older version again is a rollback, then the newer one ships."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} a", "08:00"))
    own.deploy("08:30", commit=f"{name} a")  # 0.5 h
    own.push((f"{name} b", "09:00"))
    own.deploy("09:30", False, commit=f"{name} b")
    own.deploy("09:40", commit=f"{name} a")
    own.deploy("10:00", commit=f"{name} b")  # 1 h
    return {"lead": (0.75, 2), "fail": (1, 4), "rework": (1, 4), "recovery": (10.0, 1)}


def issue_closed_by_the_fix(story: Story, name: str) -> Wanted:
    """The incident is closed by the merge of the fix, before its deployment ends: no repair."""
    own = begun(GitHub, story, name)
    own.issue(5, "07:00", "08:00")
    own.pull(6, "07:30", "08:00", title="Fix it, closes #5", pushed=True)
    own.deploy("08:20", commit=own.merge_of(6))
    return {"fail": (1, 2), "rework": (0, 2), "recovery": (60.0, 1)}


def cancelled_run_and_another(story: Story, name: str) -> Wanted:
    """GitHub cancels the run that waits; the last one deploys both commits."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} 1", "08:00"))
    own.push((f"{name} 2", "08:30"))
    own.run(41, "08:05", "08:35", "cancelled", name="Ship", commit=f"{name} 1")
    own.run(42, "08:35", "09:00", name="Ship", commit=f"{name} 2")  # 1 and 0.5 h
    return {"lead": (0.75, 2), "fail": (0, 1), "changes": (2, 1)}


def rule_of_a_run_that_failed(story: Story, name: str) -> Wanted:
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} 1", "08:00"))
    own.run(51, "08:20", "08:30", "failure", name="Ship", commit=f"{name} 1")
    own.push((f"{name} 2", "08:40"))
    own.run(52, "08:50", "09:00", name="Ship", commit=f"{name} 2")  # 60 and 20 min
    return {"lead": (0.6667, 2), "fail": (1, 2), "recovery": (30.0, 1), "changes": (2, 1)}


RULES = """
[[metrics.deployments]]
filter = 'kind:pipeline name:"Ship*" project:acme/cancelled-run'
environment = "production"
[[metrics.deployments]]
filter = 'kind:pipeline name:"Ship*" project:acme/failed-run'
environment = "production"
[[metrics.deployments]]
filter = 'kind:build name:"ship*" project:acme/by-job'
environment = "production"
[[metrics.deployments]]
filter = 'kind:build name:"ship*" project:acme/both-jobs'
environment = "production"
service = "{project}"
[[metrics.deployments]]
filter = 'kind:build name:"ship*" project:acme/by-lab-job'
environment = "production"
[[metrics.deployments]]
filter = 'kind:pipeline name:"Ship*" project:acme/by-run'
environment = "production"
[[metrics.deployments]]
filter = 'kind:release project:acme/by-release'
environment = "production"
[[metrics.deployments]]
filter = 'kind:push project:acme/by-push branch:main'
environment = "production"
"""
HISTORIES: dict[str, Tell] = {
    **{f"again-{tool.__name__}".lower(): branch_named_again(tool)
       for tool in (GitHub, GitLab, Gitea)},
    **{f"updated-{tool.__name__}".lower(): brought_up_to_date(tool)
       for tool in (GitHub, GitLab, Gitea)},
    **{f"rebased-{tool.__name__}".lower(): brought_up_to_date(tool, merge=False)
       for tool in (GitHub, GitLab, Gitea)},
    **{f"update-{tool.__name__}".lower(): updated_elsewhere(tool)
       for tool in (Bitbucket, BitbucketServer)},
    "by-release": releases_are_deployments,
    "by-run": runs_are_deployments,
    "by-job": jobs_are_deployments,
    "both-jobs": jobs_and_their_deployments,
    "by-lab-job": gitlab_jobs_are_deployments,
    "git-flow": develop_and_hotfix_to_both,
    "kept-open": deployed_while_it_is_open,
    "squash-flow": promoted_by_squash,
    "failed-newer": redeployed_after_a_failed_newer_one,
    "closed-by-fix": issue_closed_by_the_fix,
    "cancelled-run": cancelled_run_and_another,
    "failed-run": rule_of_a_run_that_failed,
    "by-push": pushes_are_deployments,
    "by-head": merged_by_hand_on_the_host,
    "squash-reverted": squash_reverted_by_its_commit,
    "both-reverted": two_reverted_at_once,
    "quoted": feature_flag_revert_quoted,
    "nightly": nightly,
    "no-ops": incident_of_another_repository,
    "stopped": stopped_environment,
    "released": release_tag_of_a_merge,
    "replaced": replaced_in_the_queue,
    "fixed-pipeline": fix_after_a_failed_deploy,
    "review-app": review_app,
    "two-weeks": two_deploys_wait_for_one_merge,
}  # fmt: skip


@pytest.mark.parametrize("order", ["as sent", "shuffled"])
def test_every_history_of_work_has_the_values_computed_by_hand(tmp_path, order) -> None:
    (tmp_path / "config.toml").write_text(RULES)
    assert differences_in(order, tmp_path, HISTORIES, differences) == []
