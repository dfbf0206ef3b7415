"""Histories of build servers: runs again, approvals, matrices, cancelled and older runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.metrics.http.ci import Buildkite, Circle, Notified, teamcity
from tests.metrics.http.clock import sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import ORDERS, RULES, Tell, of_projects, told_in
from tests.metrics.http.others import Jenkins, alertmanager
from tests.metrics.http.presets import millis
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted


def circle_of(story: Story, name: str, *clocks: str) -> Circle:
    """A repository on GitHub whose commits `c1`, `c2` and so on were pushed at these times."""
    own = GitHub(story, f"acme/{name}")
    for n, clock in enumerate(clocks, 1):
        own.push((f"{name} c{n}", clock))
    return Circle(story, own.name)


def circle_run_again(story: Story, name: str) -> Wanted:
    """`Rerun workflow from failed` is another workflow of the same pipeline."""
    ci = circle_of(story, name, "08:00")
    ci.job(1, "08:30", "08:40", "failed", commit=f"{name} c1")
    ci.workflow(1, "08:25", "08:40", "failed", commit=f"{name} c1")
    ci.job(1, "08:50", "09:00", commit=f"{name} c1", run=2)
    ci.workflow(1, "08:49", "09:00", commit=f"{name} c1", run=2)
    return {"lead": (1.0, 1), "fail": (0, 1), "rework": (0, 1), "successes": 1}


def circle_new_pipeline(story: Story, name: str) -> Wanted:
    """The same commit in a new pipeline is a new run."""
    ci = circle_of(story, name, "08:00")
    ci.job(1, "08:30", "08:40", "failed", commit=f"{name} c1")
    ci.job(2, "08:50", "09:00", commit=f"{name} c1")
    return {"lead": (1.0, 1), "fail": (1, 2), "rework": (0, 2), "recovery": (20.0, 1)}


def circle_hold(story: Story, name: str) -> Wanted:
    """The workflow waits for an approval while production fails."""
    ci = circle_of(story, name, "06:00", "08:00")
    ci.job(1, "06:50", "07:00", commit=f"{name} c1")
    ci.job(2, "08:05", "08:10", commit=f"{name} c2", name="build")
    ci.job(2, "12:00", "12:10", commit=f"{name} c2")
    ci.workflow(2, "08:04", "12:10", commit=f"{name} c2")
    alertmanager(story, name, "10:00", "12:10")
    return {"lead": (2.5833, 2), "fail": (1, 2), "rework": (1, 2), "recovery": (130.0, 1)}


def circle_matrix(*, mended: bool) -> Tell:
    def tell(story: Story, name: str) -> Wanted:
        ci = circle_of(story, name, "08:00")
        ci.job(1, "09:00", "09:10", commit=f"{name} c1", name="deploy-production-eu")
        ci.job(1, "09:00", "09:08", "failed", commit=f"{name} c1", name="deploy-production-us")
        ci.workflow(1, "08:59", "09:10", "failed", commit=f"{name} c1")
        if not mended:
            return {"lead": (None, 0), "fail": (1, 1), "open": 1, "successes": 0}
        us = "deploy-production-us"
        ci.job(1, "09:20", "09:30", commit=f"{name} c1", name=us, run=2)
        return {"lead": (1.5, 1), "fail": (0, 1), "rework": (0, 1), "successes": 1}

    return tell


def in_a_row(tool: type[Any]) -> Tell:
    """The second region begins after the first one failed: that is no retry."""

    def tell(story: Story, name: str) -> Wanted:
        circle_of(story, name, "08:00")
        ci = tool(story, f"acme/{name}")
        ci.job(1, "09:00", "09:08", "failed", commit=f"{name} c1", name="deploy-production-eu")
        done = "success" if tool is Circle else "passed"
        ci.job(1, "09:10", "09:18", done, commit=f"{name} c1", name="deploy-production-us")
        return {"lead": (None, 0), "fail": (1, 1), "open": 1, "successes": 0}

    return tell


def circle_tags(story: Story, name: str) -> Wanted:
    """The whole workflow of the tag before is run again: a rollback."""
    ci = circle_of(story, name, "08:00", "09:30")
    ci.job(1, "08:50", "09:00", commit=f"{name} c1", tag="v1.1.0")
    ci.job(2, "09:50", "10:00", commit=f"{name} c2", tag="v1.2.0")
    ci.job(1, "10:30", "10:36", commit=f"{name} c1", tag="v1.1.0", run=2)
    return {"lead": (0.75, 2), "fail": (1, 3), "rework": (1, 3), "recovery": (6.0, 1)}


def circle_cancelled(story: Story, name: str) -> Wanted:
    ci = circle_of(story, name, "08:00", "09:12")
    ci.job(1, "09:00", "09:05", "canceled", commit=f"{name} c1")
    ci.job(2, "09:10", "09:10", "unauthorized", commit=f"{name} c1")
    ci.job(3, "09:20", "09:30", commit=f"{name} c2")
    return {"lead": (0.9, 2), "fail": (0, 1), "rework": (0, 1), "successes": 1}


def circle_by_rule(story: Story, name: str) -> Wanted:
    """The workflow counts by a rule, and its second run is another attempt."""
    ci = circle_of(story, name, "08:00")
    ci.job(1, "08:30", "08:40", "failed", commit=f"{name} c1", name="upload", workflow="ship_x")
    ci.workflow(1, "08:30", "08:40", "failed", commit=f"{name} c1", name="ship_x")
    ci.job(1, "08:50", "09:00", commit=f"{name} c1", name="upload", workflow="ship_x", run=2)
    ci.workflow(1, "08:50", "09:00", commit=f"{name} c1", name="ship_x", run=2)
    return {"lead": (1.0, 1), "fail": (0, 1), "rework": (0, 1), "successes": 1}


def circle_of_a_branch(story: Story, name: str) -> Wanted:
    own = GitHub(story, f"acme/{name}")
    ci = Circle(story, own.name)
    own.pull(1, "08:00", "10:00", commits=[(f"{name} p", "07:30")], pushed=True)
    ci.job(1, "08:10", "08:20", "failed", commit=f"{name} p", name="deploy-preview",
           branch="feature/1")  # fmt: skip
    ci.job(2, "10:20", "10:30", commit=own.merge_of(1))
    return {"lead": (3.0, 1), "fail": (0, 1), "successes": 1}


def approved_after_a_newer_one(story: Story, name: str) -> Wanted:
    """An older commit that is approved later takes the newer one back."""
    ci = circle_of(story, name, "08:00", "09:00")
    ci.job(2, "09:50", "10:00", commit=f"{name} c2")
    ci.job(1, "11:00", "11:06", commit=f"{name} c1")
    return {"lead": (1.5, 2), "fail": (1, 2), "rework": (1, 2), "recovery": (6.0, 1)}


def circle_of_an_app(story: Story, name: str) -> Wanted:
    """With the GitHub App the commit is in the parameters of the trigger."""
    ci = circle_of(story, name, "08:00")
    ci.job(1, "08:50", "09:00", commit=f"{name} c1")
    body = story.posts[-1].body
    body["project"]["slug"] = "circleci/ab12/cd34"
    body["pipeline"] = {
        "id": "pp",
        "number": 1,
        "trigger_parameters": {
            "git": {
                "checkout_sha": sha(f"{name} c1"),
                "branch": "main",
                "repo_owner": "acme",
                "repo_name": name,
                "repo_url": f"https://github.com/acme/{name}",
                "default_branch": "main",
                "author_login": "ann",
            }
        },
    }
    return {"lead": (1.0, 1), "fail": (0, 1)}


def kite_of(story: Story, name: str, *clocks: str) -> Buildkite:
    circle_of(story, name, *clocks)
    return Buildkite(story, f"acme/{name}")


def kite_retry(story: Story, name: str) -> Wanted:
    ci = kite_of(story, name, "08:00")
    ci.build(1, "08:20", "08:50", commit=f"{name} c1")
    ci.job(1, "08:30", "08:40", "failed", commit=f"{name} c1", key="a", build="08:20")
    ci.job(1, "08:41", "08:50", commit=f"{name} c1", key="b", retry_of="a", retries=1,
           build="08:20")  # fmt: skip
    return {"lead": (0.8333, 1), "fail": (0, 1), "rework": (0, 1), "successes": 1}


def kite_block(story: Story, name: str) -> Wanted:
    ci = kite_of(story, name, "06:00", "08:00")
    ci.job(1, "06:50", "07:00", commit=f"{name} c1")
    ci.build(1, "06:40", "07:00", commit=f"{name} c1")
    ci.job(2, "08:05", "08:10", commit=f"{name} c2", name="test", build="08:04")
    ci.build(2, "08:04", "08:10", "passed", commit=f"{name} c2", blocked=True)
    ci.job(2, "12:00", "12:10", commit=f"{name} c2", build="08:04")
    ci.build(2, "08:04", "12:10", "passed", commit=f"{name} c2")
    alertmanager(story, name, "10:00", "12:10")
    return {"lead": (2.5833, 2), "fail": (1, 2), "rework": (1, 2), "recovery": (130.0, 1)}


def kite_parallel(*, mended: bool) -> Tell:
    def tell(story: Story, name: str) -> Wanted:
        ci = kite_of(story, name, "08:00")
        c = f"{name} c1"
        ci.build(1, "08:50", "09:10", "failed", commit=c)
        for n in range(3):
            word = "failed" if n == 1 else "passed"
            ci.job(1, "09:00", f"09:1{n}", word, commit=c, key=f"k{n}", group=n, build="08:50")
        if not mended:
            return {"lead": (None, 0), "fail": (1, 1), "open": 1, "successes": 0}
        ci.job(1, "09:20", "09:30", commit=c, key="k1 again", group=1, retry_of="k1", retries=1,
               build="08:50")  # fmt: skip
        return {"lead": (1.5, 1), "fail": (0, 1), "rework": (0, 1), "successes": 1}

    return tell


def kite_limited(story: Story, name: str) -> Wanted:
    """A concurrency limit keeps the job waiting; an alert then is about the one before."""
    ci = kite_of(story, name, "06:00", "08:00")
    ci.job(1, "06:50", "07:00", commit=f"{name} c1")
    ci.job(2, "12:00", "12:10", commit=f"{name} c2", scheduled="08:10", build="08:04")
    alertmanager(story, name, "10:00", "12:10")
    return {"lead": (2.5833, 2), "fail": (1, 2), "rework": (1, 2), "recovery": (130.0, 1)}


def kite_rebuilt(job: str, *, regions: int = 1) -> Tell:
    """`Rebuild` makes another build, of the same commit: the second attempt fails, too."""

    def tell(story: Story, name: str) -> Wanted:
        ci = kite_of(story, name, "08:00")
        told: dict[str, Any] = {"commit": f"{name} c1", "name": job}
        for n, clock, end, state in (
            (1, "08:30", "08:40", "failed"),
            (2, "08:42", "08:45", "failed"),
            (3, "08:50", "09:00", "passed"),
        ):
            former = {"id": f"acme/{name}-{name}-build-{n - 1}", "number": n - 1}
            again = {"rebuilt_from": former if n > 1 else None}
            for region in range(regions):
                word = state if region == regions - 1 else "passed"
                group = region if regions > 1 else None
                ci.job(n, clock, end, word, key=f"{n}.{region}", group=group, more=again, **told)
            ci.build(n, clock, end, state, commit=f"{name} c1", **again)
        return {"lead": (1.0, 1), "fail": (0, 1), "rework": (0, 1), "successes": 1}

    return tell


def kite_cancelled(story: Story, name: str) -> Wanted:
    ci = kite_of(story, name, "08:00", "08:32")
    ci.job(1, "08:30", "08:33", "canceled", commit=f"{name} c1")
    ci.build(1, "08:29", "08:33", "canceled", commit=f"{name} c1")
    ci.job(2, "08:50", "09:00", commit=f"{name} c2")
    return {"lead": (0.7333, 2), "fail": (0, 1), "rework": (0, 1), "successes": 1}


def kite_timed_out(story: Story, name: str) -> Wanted:
    ci = kite_of(story, name, "08:00", "09:00")
    ci.job(1, "08:30", "09:30", "timed_out", commit=f"{name} c1")
    ci.job(2, "09:40", "09:50", commit=f"{name} c2")
    return {"lead": (1.3333, 2), "fail": (1, 2), "rework": (0, 2), "recovery": (20.0, 1)}


def kite_triggered(story: Story, name: str) -> Wanted:
    """A trigger step begins a build of the pipeline that deploys, of the same repository."""
    ci = kite_of(story, name, "08:00")
    ship = Buildkite(story, ci.name, f"{name}-ship")
    ci.build(1, "08:10", "08:20", commit=f"{name} c1")
    below = {"triggered_from": {"build_id": f"acme/{name}-{name}-build-1", "build_number": 1}}
    ship.build(9, "08:20", "09:00", commit=f"{name} c1", **below)
    ship.job(9, "08:50", "09:00", commit=f"{name} c1", more=below, build="08:20")
    return {"lead": (1.0, 1), "fail": (0, 1), "successes": 1}


def kite_triggered_elsewhere(story: Story, name: str) -> Wanted:
    """The pipeline that deploys has a repository of its own: what it ships is not known."""
    ci = kite_of(story, name, "08:00")
    ci.build(1, "08:10", "08:20", commit=f"{name} c1")
    ship = Buildkite(story, f"acme/{name}-ops")
    below = {"triggered_from": {"build_id": f"acme/{name}-{name}-build-1", "build_number": 1}}
    ship.build(9, "08:20", "09:00", commit="HEAD", **below)
    ship.job(9, "08:50", "09:00", commit="HEAD", more=below, build="08:20")
    wanted: Wanted = {"lead": (None, 0), "unknown": 1, "fail": (0, 1), "successes": 1}
    return wanted | {"project": f"acme/{name}-ops"}


def kite_soft_failed(story: Story, name: str) -> Wanted:
    """A deploy that may fail has failed all the same."""
    ci = kite_of(story, name, "08:00", "09:00")
    ci.job(1, "08:30", "08:40", "failed", commit=f"{name} c1", soft_failed=True)
    ci.job(2, "09:20", "09:30", commit=f"{name} c2")
    return {"lead": (1.0, 2), "fail": (1, 2), "rework": (0, 2), "recovery": (50.0, 1)}


def kite_rolled_back(story: Story, name: str) -> Wanted:
    ci = kite_of(story, name, "08:00", "09:00")
    ci.job(1, "08:30", "08:40", commit=f"{name} c1")
    ci.job(2, "09:30", "09:40", commit=f"{name} c2")
    ci.job(3, "10:00", "10:07", commit=f"{name} c1")
    return {"lead": (0.6667, 2), "fail": (1, 3), "rework": (1, 3), "recovery": (7.0, 1)}


def teamcity_with_a_commit(story: Story, name: str) -> Wanted:
    """TeamCity names no repository, but the commit."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} c1", "08:00"))
    teamcity(story, 4001, "Deploy TC", name, "08:30", "08:40", "FAILURE", commit=f"{name} c1")
    teamcity(story, 4002, "Deploy TC", name, "08:50", "09:00", commit=f"{name} c1")
    return {"fail": (1, 2), "rework": (0, 2), "recovery": (20.0, 1), "project": name}


def teamcity_interrupted(story: Story, name: str) -> Wanted:
    teamcity(story, 4101, "Deploy TC", name, "08:30", "08:40", "interrupted", commit=f"{name} 1")
    teamcity(story, 4102, "Deploy TC", name, "08:50", "09:00", commit=f"{name} 2")
    teamcity(story, 4103, "Build", name, "09:50", "10:00", "FAILURE", commit=f"{name} 3")
    wanted: Wanted = {"lead": (None, 0), "unknown": 1, "fail": (0, 1), "successes": 1}
    return wanted | {"project": name}


def drone_told(
    story: Story, name: str, n: int, status: str, began: str, end: str, **more: object
) -> None:
    build = {
        "id": n,
        "number": n,
        "event": "promote",
        "status": status,
        "deploy_to": "production",
        "after": sha(f"{name} c1"),
        "target": "main",
        "source": "main",
        "created": millis("08:10") // 1000,
        "started": millis(began) // 1000 if began else 0,
        "finished": millis(end) // 1000 if end else 0,
        "updated": millis(end or began or "08:10") // 1000,
        "author_login": "kim",
        **more,
    }
    repo = {"slug": f"acme/{name}", "name": name}
    story.add("/drone", {"event": "build", "action": "updated", "repo": repo, "build": build})


def drone_waits(story: Story, name: str) -> Wanted:
    """A promotion waits for an approval; one is declined, one is run again as a new build."""
    circle_of(story, name, "08:00")
    drone_told(story, name, 1, "success", "08:20", "08:30")
    drone_told(story, name, 2, "blocked", "", "")
    drone_told(story, name, 2, "declined", "", "09:00")
    drone_told(story, name, 3, "blocked", "", "")
    drone_told(story, name, 3, "running", "12:00", "")
    drone_told(story, name, 3, "failure", "12:00", "12:10")
    drone_told(story, name, 4, "success", "12:20", "12:30")
    alertmanager(story, name, "10:00", "12:05")
    return {"lead": (0.5, 1), "fail": (2, 3), "recovery": (72.5, 2)}


def drone_restarted(story: Story, name: str) -> Wanted:
    """A restart is another build, which names the one before; so does a promotion."""
    circle_of(story, name, "08:00")
    drone_told(story, name, 1, "success", "08:10", "08:12", event="push", deploy_to="")
    drone_told(story, name, 2, "failure", "08:20", "08:30", parent=1)
    drone_told(story, name, 3, "error", "08:32", "08:33", parent=2)
    drone_told(story, name, 4, "success", "08:50", "09:00", parent=3)
    drone_told(story, name, 5, "success", "09:10", "09:20", parent=1)
    return {"lead": (1.0, 1), "fail": (0, 2), "rework": (0, 2), "successes": 2}


def jenkins_retried(story: Story, name: str) -> Wanted:
    circle_of(story, name, "08:00")
    own = Notified(story, f"deploy-{name}-prod", f"acme/{name}")
    own.build(1, "08:30", "08:40", "FAILURE", commit=f"{name} c1")
    own.build(2, "08:41", "08:45", "ABORTED", commit=f"{name} c1")
    own.build(3, "08:50", "09:00", commit=f"{name} c1")
    other = Notified(story, f"deploy-{name}-staging", f"acme/{name}")
    other.build(1, "08:10", "08:20", "FAILURE", commit=f"{name} c1")
    return {"lead": (1.0, 1), "fail": (1, 2), "rework": (0, 2), "recovery": (20.0, 1)}


def jenkins_again(cause: str, *, newer: bool = False) -> Tell:
    """A build that is run again is a further attempt, unless it takes a newer commit."""

    def tell(story: Story, name: str) -> Wanted:
        circle_of(story, name, "08:00", "08:45")
        own = Jenkins(story, f"acme/{name}")
        own.deploy("08:40", False, began="08:30", commit=f"{name} c1")
        own.deploy("09:00", began="08:50", commit=f"{name} c{1 + newer}")
        for post in story.posts[-2:]:
            post.body["buildCause"] = cause
        if newer:
            wanted: Wanted = {"lead": (0.625, 2), "fail": (1, 2), "recovery": (20.0, 1)}
            return wanted | {"rework": (0, 2)}
        return {"lead": (1.0, 1), "fail": (0, 1), "rework": (0, 1), "successes": 1}

    return tell


def jenkins_parameters(story: Story, name: str) -> Wanted:
    """One job deploys to the environment that a parameter names."""
    circle_of(story, name, "08:00")
    own = Notified(story, f"deploy-{name}", f"acme/{name}")
    own.build(1, "08:10", "08:20", "FAILURE", commit=f"{name} c1", ENV="staging")
    own.build(2, "08:30", "08:40", "FAILURE", commit=f"{name} c1", ENV="Production")
    own.build(3, "08:50", "09:00", commit=f"{name} c1", ENV="production")
    return {"lead": (1.0, 1), "fail": (1, 2), "rework": (0, 2), "recovery": (20.0, 1)}


def jenkins_queued(story: Story, name: str) -> Wanted:
    circle_of(story, name, "06:00", "08:00")
    own = Notified(story, f"deploy-{name}-prod", f"acme/{name}")
    own.build(1, "06:50", "07:00", commit=f"{name} c1")
    own.build(2, "12:00", "12:10", commit=f"{name} c2", queued="08:10")
    alertmanager(story, name, "10:00", "12:10", "prod")
    return {"lead": (2.5833, 2), "fail": (1, 2), "rework": (1, 2), "recovery": (130.0, 1)}


def jenkins_multibranch(story: Story, name: str) -> Wanted:
    """A multibranch project that deploys: the build of a pull request goes to a preview."""
    own = GitHub(story, f"acme/{name}")
    job = Notified(story, f"acme/deploy-{name}/main", own.name)
    own.pull(7, "08:00", "09:00", commits=[(f"{name} p", "07:40")], pushed=True)
    job.build(1, "08:10", "08:20", "FAILURE", job=f"acme/deploy-{name}/PR-7", commit=f"{name} p",
              branch="PR-7", environment="preview")  # fmt: skip
    job.build(1, "09:10", "09:20", "FAILURE", commit=own.merge_of(7), environment="production")
    job.build(2, "09:30", "09:40", commit=own.merge_of(7), environment="production")
    return {"lead": (2.0, 1), "fail": (1, 2), "rework": (0, 2), "recovery": (20.0, 1)}


def jenkins_matrix(story: Story, name: str) -> Wanted:
    """A matrix job and its cells are one deployment."""
    job = f"deploy-{name}-prod"
    own = Notified(story, job)
    for n, began, end, words in ((1, "08:30", "08:40", "SSS"), (2, "09:30", "09:40", "FSF")):
        cells = [f"{job}/REGION={region}" for region in ("eu", "us")]
        for path, word in zip([job, *cells], words, strict=True):
            status = "SUCCESS" if word == "S" else "FAILURE"
            own.build(n, began, end, status, job=path)
            if path != job:  # a cell's URL has no `job/` before its name
                for post in story.posts[-3:]:
                    for holder in (post.body, post.body["build"]):
                        holder["url"] = holder["url"].replace("/job/REGION", "/REGION")
                    full = post.body["build"]["full_url"]
                    post.body["build"]["full_url"] = full.replace("/job/REGION", "/REGION")
    return {"fail": (1, 2), "open": 1, "successes": 1, "project": job}


HISTORIES: dict[str, Tell] = {
    "cc-again": circle_run_again,
    "cc-new": circle_new_pipeline,
    "cc-hold": circle_hold,
    "cc-matrix": circle_matrix(mended=False),
    "cc-mended": circle_matrix(mended=True),
    "cc-row": in_a_row(Circle),
    "bk-row": in_a_row(Buildkite),
    "cc-tags": circle_tags,
    "cc-cancelled": circle_cancelled,
    "cc-rule": circle_by_rule,
    "cc-branch": circle_of_a_branch,
    "cc-late": approved_after_a_newer_one,
    "cc-app": circle_of_an_app,
    "bk-retry": kite_retry,
    "bk-block": kite_block,
    "bk-parallel": kite_parallel(mended=False),
    "bk-mended": kite_parallel(mended=True),
    "bk-limited": kite_limited,
    "bk-rebuilt": kite_rebuilt("Deploy production"),
    "bk-rebuilt-regions": kite_rebuilt("Deploy production", regions=2),
    "jk-rebuilt": jenkins_again("Rebuilds build #1"),
    "jk-replayed": jenkins_again("Started by user Ann, Replayed #1"),
    "jk-stage": jenkins_again("Restarted from build #1, stage Deploy"),
    "jk-naginator": jenkins_again("Started by Naginator after build #1 failure"),
    "jk-upstream": jenkins_again(
        'Started by upstream project "acme/deploy-jk-upstream" build number 1'
    ),
    "jk-newer": jenkins_again("Rebuilds build #1", newer=True),
    "dr-restarted": drone_restarted,
    "bk-cancelled": kite_cancelled,
    "bk-timed-out": kite_timed_out,
    "bk-triggered": kite_triggered,
    "bk-elsewhere": kite_triggered_elsewhere,
    "bk-soft": kite_soft_failed,
    "bk-back": kite_rolled_back,
    "tc-commit": teamcity_with_a_commit,
    "tc-interrupted": teamcity_interrupted,
    "dr-waits": drone_waits,
    "jk-retried": jenkins_retried,
    "jk-queued": jenkins_queued,
    "jk-places": jenkins_parameters,
    "jk-branches": jenkins_multibranch,
    "jk-matrix": jenkins_matrix,
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_history_of_a_build_has_the_values_computed_by_hand(configured, order) -> None:
    assert told_in(order, configured(RULES), of_projects(HISTORIES)) == {}
