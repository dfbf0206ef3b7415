"""Histories of runs that wait, never end, are nested or move, and of teams."""

from __future__ import annotations

import pytest

from tests.metrics.http.ci import Buildkite, Notified, Otlp, teamcity
from tests.metrics.http.clock import at, number, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import (
    ORDERS,
    RULES,
    Tell,
    differing,
    mapped,
    of_projects,
    told_in,
)
from tests.metrics.http.others import Script, alertmanager
from tests.metrics.http.presets import cdevent, millis
from tests.metrics.http.story import Story, send
from tests.metrics.http.test_histories import Wanted
from tests.metrics.http.test_histories_of_builds import circle_of, drone_told, kite_of
from tests.metrics.http.test_histories_of_trackers import jira

CONFIG = (
    RULES
    + """
[[metrics.deployments]]
filter = 'kind:pipeline name:"w-ship-*"'
environment = "production"
service = "{project}"
[sources.rollout]
[[sources.rollout.events]]
operation = "deploy"
id = "id"
attempt = "try"
state = "state"
states = {waiting = "waiting", running = "running", ok = "ok", failed = "error", off = "cancelled"}
at = "at"
project = "repo"
repository = "repo"
commit = "commit"
service = "app"
environment = "env"
reopens = "state == 'running'"
"""
)

LONG = ("2026-03-02", "2026-05-01")
"""Long enough for what waits for a person to time out."""


def rule_blocked_forever(story: Story, name: str) -> Wanted:
    """A build that nobody unblocks never began to deploy."""
    ci = Buildkite(story, f"acme/{name}", f"w-ship-{name}")
    circle_of(story, name, "08:00", "09:30")
    ci.build(1, "08:50", "09:00", commit=f"{name} c1")
    ci.build(2, "09:40", "09:45", "passed", commit=f"{name} c2", blocked=True)
    return {"lead": (1.0, 1), "fail": (0, 1), "successes": 1, "window": LONG}


def job_never_picked_up(story: Story, name: str) -> Wanted:
    ci = kite_of(story, name, "08:00", "09:30")
    ci.job(1, "08:50", "09:00", commit=f"{name} c1")
    ci.job(2, "09:40", commit=f"{name} c2")
    story.posts.pop()  # it never starts
    return {"lead": (1.0, 1), "fail": (0, 1), "successes": 1}


def job_never_ends(story: Story, name: str) -> Wanted:
    ci = kite_of(story, name, "08:00", "09:30")
    ci.job(1, "08:50", "09:00", commit=f"{name} c1")
    ci.job(2, "09:40", commit=f"{name} c2")
    return {"lead": (1.0, 1), "fail": (1, 2), "open": 1, "successes": 1}


def drone_blocked_forever(story: Story, name: str) -> Wanted:
    circle_of(story, name, "08:00")
    drone_told(story, name, 1, "success", "08:20", "08:30")
    drone_told(story, name, 2, "blocked", "", "")
    return {"lead": (0.5, 1), "fail": (0, 1), "successes": 1, "window": LONG}


def mapped_waits(story: Story, name: str) -> Wanted:
    """Waits for good; another one waits and is stopped; a third waits, fails and is tried again."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} c1", "08:00"))
    for key, states in (
        ("a", (("waiting", "08:10", 1),)),
        ("b", (("waiting", "08:20", 1), ("off", "08:30", 1))),
        ("c", (("waiting", "08:30", 1), ("running", "09:00", 1), ("failed", "09:10", 1),
               ("running", "09:20", 2), ("ok", "09:30", 2))),
    ):  # fmt: skip
        for state, clock, attempt in states:
            body = {"id": f"{name}-{key}", "state": state, "at": at(clock), "try": attempt}
            body |= {"repo": own.name, "commit": sha(f"{name} c1"), "app": name, "env": "prod"}
            story.add("/rollout", body)
    wanted: Wanted = {"lead": (1.5, 1), "fail": (0, 1), "rework": (0, 1), "successes": 1}
    return wanted | {"window": LONG}


def github_waits_forever(story: Story, name: str) -> Wanted:
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} c1", "08:00"))
    own.deploy("09:00", commit=f"{name} c1")
    own.deploy("10:00", commit=f"{name} c2", state="waiting")
    own.deploy("10:30", commit=f"{name} c3", state="queued")
    for post in list(story.posts):
        status = post.body.get("deployment_status", {})
        if status.get("state") == "in_progress" and post.body["deployment"]["sha"] != sha(
            f"{name} c1"
        ):
            story.posts.remove(post)
    return {"lead": (1.0, 1), "fail": (0, 1), "successes": 1}


def queued_again_and_left(story: Story, name: str) -> Wanted:
    """A failure is not forgotten while the deploy waits to be tried again."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} c1", "08:00"))
    own.deploy("09:00", False, commit=f"{name} c1")
    body = story.posts[-1].body
    told = {"state": "queued", "id": 77, "created_at": at("09:30"), "updated_at": at("09:30")}
    status = body["deployment_status"] | told
    deployment = body["deployment"] | {"updated_at": at("09:30")}
    story.add("/github", body | {"deployment_status": status, "deployment": deployment},
              X_GitHub_Event="deployment_status")  # fmt: skip
    return {"fail": (1, 1), "open": 1, "successes": 0}


def retry_never_picked_up(story: Story, name: str) -> Wanted:
    ci = kite_of(story, name, "08:00")
    ci.job(1, "08:30", "08:40", "failed", commit=f"{name} c1", key="a")
    ci.job(1, "08:41", commit=f"{name} c1", key="b", retry_of="a", retries=1)
    story.posts.pop()
    return {"fail": (1, 1), "open": 1, "successes": 0}


def branch_deployed_before_its_merge(story: Story, name: str) -> Wanted:
    """A build of a pull request deploys to production; the merge ships it no second time."""
    own = GitHub(story, f"acme/{name}")
    ci = Buildkite(story, own.name)
    own.push((f"{name} base", "06:00"))
    ci.job(1, "06:50", "07:00", commit=f"{name} base")
    own.pull(4, "08:00", "11:00", commits=[(f"{name} p", "08:00")], pushed=True)
    of = {"branch": "feature/4", "pull_request": {"id": "4", "base": "main"}}
    ci.job(2, "09:00", "09:10", commit=f"{name} p", more=of)
    ci.job(3, "11:10", "11:20", commit=own.merge_of(4))
    return {"lead": (1.0833, 2), "fail": (0, 3), "successes": 3}


def jenkins_downstream(story: Story, name: str) -> Wanted:
    """A job that deploys what its upstream built has no checkout: what it ships is not known."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} c1", "08:00"))
    begin = int(millis("08:10"))
    up = {"ciUrl": "https://ci.example.com/", "jobName": f"build-{name}", "number": 5,
          "fullJobName": f"build-{name}", "buildUrl": f"job/build-{name}/5/"}  # fmt: skip
    up |= {"scmInfo": {"url": f"git@github.com:{own.name}.git", "commit": sha(f"{name} c1"),
                       "branch": "origin/main"}, "parameters": {}}  # fmt: skip
    story.add("/jenkins", up | {"result": "INPROGRESS", "startTime": begin, "queueTime": 0})
    story.add(
        "/jenkins", up | {"result": "SUCCESS", "endTime": begin + 600_000, "duration": 600_000}
    )
    down = {"ciUrl": "https://ci.example.com/", "jobName": f"deploy-{name}", "number": 3,
            "fullJobName": f"deploy-{name}", "buildUrl": f"job/deploy-{name}/3/",
            "parameters": {"environment": "production", "service": name},
            "buildCause": f'Started by upstream project "build-{name}" build number 5'}  # fmt: skip
    begin = int(millis("08:50"))
    story.add("/jenkins", down | {"result": "INPROGRESS", "startTime": begin, "queueTime": 0})
    story.add(
        "/jenkins", down | {"result": "SUCCESS", "endTime": begin + 600_000, "duration": 600_000}
    )
    return {"lead": (None, 0), "unknown": 1, "fail": (0, 1), "successes": 1,
            "project": f"deploy-{name}"}  # fmt: skip


def teamcity_chain(story: Story, name: str) -> Wanted:
    """A composite build and the builds of its chain are one deployment."""
    for n, (began, ok) in enumerate((("09:00", True), ("10:00", False))):
        c = f"{name} {n}"
        hour = began[:2]
        teamcity(story, 5000 + 10 * n, "Deploy TC all", name, began, f"{hour}:20",
                 "SUCCESS" if ok else "FAILURE", commit=c)  # fmt: skip
        teamcity(story, 5001 + 10 * n, "Deploy TC eu", name, f"{hour}:01", f"{hour}:10", commit=c)
        teamcity(story, 5002 + 10 * n, "Deploy TC us", name, f"{hour}:01", f"{hour}:19",
                 "SUCCESS" if ok else "FAILURE", commit=c)  # fmt: skip
    return {"fail": (1, 2), "successes": 1, "open": 1, "project": name}


def bamboo_releases(story: Story, name: str) -> Wanted:
    for n, (version, end, status) in enumerate(
        (("release-7", "09:00", "Successful"), ("release-8", "10:00", "Failed"),
         ("release-8", "10:20", "Successful"), ("release-7", "11:00", "Successful"))
    ):  # fmt: skip
        found = {"deploymentResultId": f"{name}-{n}", "deploymentProjectId": name}
        found |= {"environmentName": "Production", "deploymentVersionName": version}
        for word, clock in (("Unknown", at(end)[:14] + "00:00Z"), (status, at(end))):
            if word == "Unknown":
                clock = at(f"{int(end[:2]) - 1}:55") if end.endswith("00") else at("10:15")
            story.add(
                "/bamboo",
                {
                    "uuid": f"{name}{n}{word}",
                    "timestamp": clock,
                    "notification": "x",
                    "deployment": found | {"status": word},
                },
            )
    return {"fail": (2, 4), "rework": (1, 4), "recovery": (12.5, 2), "project": name}


def cdevents_change(story: Story, name: str) -> Wanted:
    """A change that is merged, built into an artifact and deployed."""
    own = {"source": f"/{name}"}
    repository = {"id": f"acme/{name}", "source": "git.example"}
    cdevent(story, "change.created", "12", "07:00", repository=repository, **own)
    cdevent(story, "change.merged", "12", "08:00", repository=repository, **own)
    purl = f"pkg:oci/{name}@sha256%3A{sha(name)}"
    cdevent(story, "artifact.packaged", purl, "08:10", change={"id": "12", "source": f"/{name}"},
            **own)  # fmt: skip
    cdevent(story, "service.deployed", f"{name}-svc", "09:00", artifactId=purl,
            environment={"id": "production"}, **own)  # fmt: skip
    return {"lead": (2.0, 1), "fail": (0, 1), "project": name}


def jira_moved(story: Story, name: str) -> Wanted:
    """An incident that is moved to another project is about what is deployed there."""
    Script(story, "JMA").deploy("10:00", version="1")
    Script(story, "JMB").deploy("10:00", version="1")
    jira(story, "JMA-1", "created", "10:10", "new", "Open", "10:10", project="JMA")
    jira(story, "JMB-7", "updated", "10:20", "new", "Open", "10:10", project="JMB")
    jira(story, "JMB-7", "updated", "10:40", "done", "Done", "10:10", "Done", project="JMB")
    same = number("JMA-1")
    for post in story.posts:
        if post.path == "/jira":
            issue = post.body["issue"]
            issue["id"] = str(same)
            issue["self"] = f"https://acme.atlassian.net/rest/api/2/issue/{same}"
    changed = [{"field": "Key", "fromString": "JMA-1", "toString": "JMB-7"}]
    story.posts[-2].body["changelog"] = {"items": changed}
    return {"fail": (1, 1), "recovery": (30.0, 1), "open": 0, "project": "JMB"}


def jira_left(story: Story, name: str) -> Wanted:
    return {"fail": (0, 1), "open": 0, "project": "JMA"}


def otel_of_two_repositories(story: Story, name: str) -> Wanted:
    """One release deploys two repositories; each has its own changes and result."""
    own, other = Otlp(story, f"acme/{name}"), Otlp(story, f"acme/{name}-ui")
    for repo, clock in ((own, "08:00"), (other, "08:30")):
        GitHub(story, repo.name).push((f"{repo.name} c", clock))
    own.span("release", "release", "08:50", "09:20", cicd__pipeline__name="release")
    for repo, ok in ((own, True), (other, False)):
        repo.deploy("09:10", ok, began="09:00", commit=f"{repo.name} c", trace="release",
                    name=f"deploy {repo.name}", key=repo.name)  # fmt: skip
    return {"lead": (1.1667, 1), "fail": (0, 1), "successes": 1}


def overlapping_alerts(story: Story, name: str) -> Wanted:
    """A fix that is cancelled repairs nothing; the next one does."""
    ci = circle_of(story, name, "08:00", "09:00", "09:40")
    ci.job(1, "08:20", "08:30", commit=f"{name} c1")
    alertmanager(story, name, "08:50", "10:05")
    ci.job(2, "09:10", "09:15", "canceled", commit=f"{name} c2")
    ci.job(3, "09:50", "10:00", commit=f"{name} c3")
    return {"lead": (0.5, 3), "fail": (1, 2), "rework": (1, 2), "recovery": (75.0, 1)}


def notified_at_its_end_only(story: Story, name: str) -> Wanted:
    """Without a start the rollback's duration is not known: neither is its recovery short."""
    own = Notified(story, f"deploy-{name}-prod", f"acme/{name}")
    for n, (end, version) in enumerate((("09:00", "1"), ("10:00", "2"), ("10:30", "1"))):
        own.build(n + 1, f"{end[:3]}{int(end[3:]):02d}", end, version=version, commit="")
        first, *_ = story.posts[-3:]
        story.posts.remove(first)
        for post in story.posts[-2:]:
            post.body["build"].pop("duration")
    return {"fail": (1, 3), "rework": (1, 3), "project": f"deploy-{name}-prod"}


HISTORIES: dict[str, Tell] = {
    "w-blocked": rule_blocked_forever,
    "w-agentless": job_never_picked_up,
    "w-endless": job_never_ends,
    "w-drone": drone_blocked_forever,
    "w-mapped": mapped_waits,
    "w-github": github_waits_forever,
    "w-queued": queued_again_and_left,
    "w-retry": retry_never_picked_up,
    "w-early": branch_deployed_before_its_merge,
    "w-down": jenkins_downstream,
    "w-chain": teamcity_chain,
    "w-bamboo": bamboo_releases,
    "w-change": cdevents_change,
    "w-moved": jira_moved,
    "w-left": jira_left,
    "w-two": otel_of_two_repositories,
    "w-alerts": overlapping_alerts,
    "w-ends": notified_at_its_end_only,
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_history_that_waits_has_the_values_computed_by_hand(configured, order) -> None:
    with mapped(CONFIG):
        assert told_in(order, configured(CONFIG), of_projects(HISTORIES)) == {}


def test_a_change_ships_though_what_links_it_comes_last(configured) -> None:
    story, server = Story(), configured("")
    wanted = cdevents_change(story, "w-last")
    created, merged, packaged, deployed = story.posts
    send(server, [deployed, merged, created, packaged])
    assert differing(server, {"w-last": wanted}) == {}
