"""The worked examples A1 to B7 with the payloads of each host, each CI and each alerting tool."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import pytest

from tests.metrics.http.ci import Buildkite, Circle, Notified, Otlp
from tests.metrics.http.clock import before, sha
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.orders import ORDERS, of_projects, told_in
from tests.metrics.http.others import Jenkins, Script, alertmanager, pagerduty
from tests.metrics.http.presets import (
    datadog,
    grafana_irm,
    newrelic,
    opsgenie,
    rootly,
    sentry_alert,
    servicenow,
)
from tests.metrics.http.story import Story, command
from tests.metrics.http.test_histories import Wanted
from tests.metrics.http.test_histories_of_branches import Gitea
from tests.metrics.http.test_histories_of_operations import chosen, incident_io, statuspage
from tests.metrics.http.tools import Azure, Bitbucket, BitbucketServer

Deploy = Callable[..., None]
Alarm = Callable[[Story, str, str, str], None]


# --- Tools that deploy: deploy(end, ok, commit=, began=)


def by_circle(story: Story, name: str) -> Deploy:
    ci, runs = Circle(story, name), iter(range(1, 100))

    def deploy(end: str, ok: bool = True, *, commit: str, began: str = "") -> None:
        n, start = next(runs), began or before(end)
        ci.job(n, start, end, "success" if ok else "failed", commit=commit)
        ci.workflow(n, start, end, "success" if ok else "failed", commit=commit)

    return deploy


def by_buildkite(story: Story, name: str) -> Deploy:
    ci, runs = Buildkite(story, name), iter(range(1, 100))

    def deploy(end: str, ok: bool = True, *, commit: str, began: str = "") -> None:
        n, start, state = next(runs), began or before(end), "passed" if ok else "failed"
        ci.job(n, start, end, state, commit=commit)
        ci.build(n, start, end, state, commit=commit)

    return deploy


def by_jenkins(story: Story, name: str) -> Deploy:
    return Jenkins(story, name).deploy


def by_notified_jenkins(story: Story, name: str) -> Deploy:
    ci, runs = Notified(story, f"deploy-{name.rpartition('/')[2]}", name), iter(range(1, 100))

    def deploy(end: str, ok: bool = True, *, commit: str, began: str = "") -> None:
        status = "SUCCESS" if ok else "FAILURE"
        start = began or before(end)
        ci.build(next(runs), start, end, status, commit=commit, environment="production")

    return deploy


def by_otlp(story: Story, name: str) -> Deploy:
    own = Otlp(story, name, service__name=name.rpartition("/")[2])

    def deploy(end: str, ok: bool = True, *, commit: str, began: str = "") -> None:
        own.deploy(end, ok, commit=commit, began=began, trace=end)

    return deploy


def by_script(story: Story, name: str) -> Deploy:
    own = Script(story, name, name.rpartition("/")[2])

    def deploy(end: str, ok: bool = True, *, commit: str, began: str = "") -> None:
        own.deploy(end, ok, commit=sha(commit), began=began)

    return deploy


DEPLOYERS = (by_circle, by_buildkite, by_jenkins, by_notified_jenkins, by_otlp, by_script)


# --- Tools that alert: alarm(story, service, began, end)


def of_opsgenie(story: Story, service: str, began: str, end: str) -> None:
    opsgenie(story, service, began, ("Create", began), ("Acknowledge", began), ("Close", end))


def of_datadog(story: Story, service: str, began: str, end: str) -> None:
    datadog(story, service, began, ("Triggered", began), ("Recovered", end))


def of_newrelic(story: Story, service: str, began: str, end: str) -> None:
    newrelic(story, service, began, ("ACTIVATED", began), ("CLOSED", end))


def of_sentry(story: Story, service: str, began: str, end: str) -> None:
    sentry_alert(story, service, began, ("critical", ""), ("resolved", end))


def of_rootly(story: Story, service: str, began: str, end: str) -> None:
    named = {"services": [{"name": service}]}
    rootly(story, f"{service}{began}", began, ("created", began), ("resolved", end), **named)


def of_statuspage(story: Story, service: str, began: str, end: str) -> None:
    told = (("investigating", began), ("resolved", end))
    statuspage(story, f"{service}{began}", *told, components=(service,))


def of_incident_io(story: Story, service: str, began: str, end: str) -> None:
    fields = [chosen("Affected services", service)]
    told = (("live", began), ("closed", end))
    incident_io(story, f"{service}{began}", began, *told, custom_field_entries=fields)


def of_grafana(story: Story, service: str, began: str, end: str) -> None:
    """Grafana Alerting: Alertmanager's shape, version 1, both alerts in one body at the end."""
    alertmanager(story, service, began, end)
    for post in story.posts[-2:]:
        post.body.update(version="1", orgId=1, state="alerting", title="[FIRING:1]")
    story.posts[-2:] = [
        type(post)("/grafana", post.body, post.headers) for post in story.posts[-2:]
    ]


def of_grafana_irm(story: Story, service: str, began: str, end: str) -> None:
    told = (("alert group created", began, ""), ("resolve", end, end))
    grafana_irm(story, service, began, *told)


def of_servicenow(story: Story, service: str, began: str, end: str) -> None:
    told = (("1", began, "", ""), ("6", end, end, ""))
    servicenow(story, service, f"INC{sha(service + began)[:6]}", began, *told)


ALARMS: tuple[Alarm, ...] = (
    *(alertmanager, pagerduty, of_opsgenie, of_datadog, of_newrelic, of_sentry, of_rootly),
    *(of_statuspage, of_incident_io, of_grafana, of_grafana_irm, of_servicenow),
)


# --- Hosts


def host_of(tool: type[Any], story: Story, name: str) -> Any:
    return tool(story, "acme", name) if tool is Azure else tool(story, f"acme/{name}")


def pull(own: Any, number: int, opened: str, merged: str) -> None:
    """A pull request of unknown commits and the push of its merge."""
    more = {"pushed": True} if isinstance(own, GitLab | Gitea) else {}
    own.pull(number, opened, merged, **more)


HOSTS = (Gitea, GitLab, Bitbucket, BitbucketServer, Azure)
Tell = Callable[[Any, Deploy, Alarm, str], Wanted]


def a2(own: Any, deploy: Deploy, alarm: Alarm, service: str) -> Wanted:
    """#1 of Monday 09:00, #2 of Tuesday to Wednesday; on Friday 10:00 the merge of #1: 97 h."""
    pull(own, 1, "Mon 09:00", "Mon 10:00")
    pull(own, 2, "Tue 09:00", "Wed 10:00")
    deploy("Fri 10:00", commit=own.merge_of(1))
    return {"lead": (97.0, 1), "unknown": 0}


def a3(own: Any, deploy: Deploy, alarm: Alarm, service: str) -> Wanted:
    """60 pull requests, each open for an hour, merged every minute from 09:00 on; one deploy at
    10:29: a median of 119.5 minutes."""
    for n in range(1, 61):
        pull(own, n, f"08:{n - 1:02}", f"09:{n - 1:02}")
    deploy("10:29", commit=own.merge_of(60))
    return {"lead": (1.9917, 60), "unknown": 0}


def a4(own: Any, deploy: Deploy, alarm: Alarm, service: str) -> Wanted:
    """Opened Monday 09:00; the only push seen is Wednesday's, of the merge: 53 h."""
    pull(own, 1, "Mon 09:00", "Wed 13:00")
    deploy("Wed 14:00", commit=own.merge_of(1))
    return {"lead": (53.0, 1), "unknown": 0}


def a5(own: Any, deploy: Deploy, alarm: Alarm, service: str) -> Wanted:
    """A pull request of 48 h, then three deploys of commits nothing is known of."""
    pull(own, 1, "Mon 09:00", "Wed 08:00")
    deploy("Wed 09:00", commit=own.merge_of(1))
    for n, day in enumerate(("Thu", "Fri", "Sat")):
        deploy(f"{day} 09:00", commit=f"{own.name} unknown {n}")
    return {"lead": (48.0, 1), "unknown": 3}


def a6(own: Any, deploy: Deploy, alarm: Alarm, service: str) -> Wanted:
    """Pushes at 08:00 and 10:00, deployed 11:00: 3 h and 1 h."""
    own.push((f"{own.name} one", "08:00"))
    own.push((f"{own.name} two", "10:00"))
    deploy("11:00", commit=f"{own.name} two")
    return {"lead": (2.0, 2), "unknown": 0}


def pushed(own: Any, *clocks: str) -> list[str]:
    """Commits of main, each in a push of its own."""
    names = [f"{own.name} {clock}" for clock in clocks]
    for name, clock in zip(names, clocks, strict=True):
        own.push((name, clock))
    return names


def b1(own: Any, deploy: Deploy, alarm: Alarm, service: str) -> Wanted:
    """The second deploy fails, an alert two minutes later: one of two, once."""
    one, two = pushed(own, "08:00", "09:30")
    deploy("09:00", commit=one)
    deploy("10:00", False, commit=two)
    alarm(own.story, service, "10:02", "10:30")
    return {"fail": (1, 2), "open": 1, "rework": (0, 2)}


def b1_in_the_rollout(own: Any, deploy: Deploy, alarm: Alarm, service: str) -> Wanted:
    """An alert in the middle of a rollout that succeeds blames the rollout."""
    one, two = pushed(own, "08:00", "09:30")
    deploy("09:00", commit=one)
    deploy("10:20", began="10:00", commit=two)
    alarm(own.story, service, "10:10", "10:40")
    return {"fail": (1, 2), "recovery": (30.0, 1), "rework": (0, 2)}


def b2(own: Any, deploy: Deploy, alarm: Alarm, service: str) -> Wanted:
    one, two = pushed(own, "09:00", "10:40")
    deploy("10:00", commit=one)
    alarm(own.story, service, "10:30", "11:05")
    deploy("11:00", commit=two)
    return {"fail": (1, 2), "rework": (1, 2), "recovery": (35.0, 1)}


def b3(own: Any, deploy: Deploy, alarm: Alarm, service: str) -> Wanted:
    """v1, v2, v1 again within six minutes."""
    one, two = pushed(own, "08:00", "09:30")
    deploy("09:00", commit=one)
    deploy("10:00", commit=two)
    deploy("10:30", began="10:24", commit=one)
    return {"fail": (1, 3), "rework": (1, 3), "recovery": (6.0, 1), "lead": (0.75, 2)}


def b5(own: Any, deploy: Deploy, alarm: Alarm, service: str) -> Wanted:
    """A deploy fails and is run again 4 minutes later as a new run of the same commit."""
    (one,) = pushed(own, "08:00")
    deploy("09:00", False, began="08:58", commit=one)
    deploy("09:05", began="09:04", commit=one)
    return {"fail": (1, 2), "rework": (0, 2), "recovery": (5.0, 1), "lead": (1.0833, 1)}


def c3(own: Any, deploy: Deploy, alarm: Alarm, service: str) -> Wanted:
    """An alarm without a version at 12:00: the deployment of 11:00 failed."""
    one, two = pushed(own, "08:00", "10:00")
    deploy("09:00", commit=one)
    deploy("11:00", commit=two)
    alarm(own.story, service, "12:00", "12:20")
    return {"fail": (1, 2), "recovery": (20.0, 1), "rework": (0, 2)}


def r4(own: Any, deploy: Deploy, alarm: Alarm, service: str) -> Wanted:
    """Fails 10:00 and 10:20, succeeds 11:00: 60 and 40 minutes."""
    one, two = pushed(own, "08:00", "09:30")
    deploy("09:00", commit=one)
    deploy("10:00", False, commit=two)
    deploy("10:20", False, commit=two)
    deploy("11:00", commit=two)
    return {"fail": (2, 4), "recovery": (50.0, 2), "rework": (0, 4)}


def two_alarms(own: Any, deploy: Deploy, alarm: Alarm, service: str) -> Wanted:
    """B6 with alarms 10..40 and 100..160 minutes after the deploy: two failures of one of one."""
    (one,) = pushed(own, "08:00")
    deploy("10:00", commit=one)
    alarm(own.story, service, "10:10", "10:40")
    alarm(own.story, service, "11:40", "12:40")
    return {"fail": (1, 1), "recovery": (45.0, 2), "rework": (0, 1)}


def overlapping(own: Any, deploy: Deploy, alarm: Alarm, service: str) -> Wanted:
    """R3 with two tools: alarms 10:00..10:30 and 10:20..11:10 are one failure of 70 minutes."""
    (one,) = pushed(own, "08:00")
    deploy("09:50", commit=one)
    alarm(own.story, service, "10:00", "10:30")
    alertmanager(own.story, service, "10:20", "11:10", job="other")
    return {"fail": (1, 1), "recovery": (70.0, 1), "rework": (0, 1)}


def addressed(own: Any, number: int, opened: str, merged: str, side: str, ref: str) -> None:
    """A pull request whose `target` or `source` is another branch than usual, without its push."""
    start, heads = len(own.story.posts), {**own._heads}
    own.pull(number, opened, merged)
    own._heads = heads
    own.story.posts.pop()
    for post in own.story.posts[start:]:
        if isinstance(own, Bitbucket):
            names = {"target": "destination", "source": "source"}
            post.body["pullrequest"][names[side]]["branch"]["name"] = ref
        elif isinstance(own, BitbucketServer):
            names = {"target": "toRef", "source": "fromRef"}
            post.body["pullRequest"][names[side]]["id"] = f"refs/heads/{ref}"
        else:
            post.body["resource"][f"{side}RefName"] = f"refs/heads/{ref}"


def a1(own: Any, deploy: Deploy, alarm: Alarm, service: str) -> Wanted:
    """A change of develop ships when develop does: 26 h; the commit before it took 6 h."""
    base = f"{own.name} base"
    own.push((base, "06:00"))
    own.push((base, "06:00"), ref="develop")
    for number, opened, merged, target in (
        (1, "09:00", "10:00", "develop"),
        (2, "Tue 09:50", "Tue 10:00", "main"),
    ):
        is_last = target == "main"
        if isinstance(own, GitLab | Gitea):
            more = {"head": "develop"} if is_last else {"base": "develop"}
            own.pull(number, opened, merged, pushed=True, **more)
        else:
            side = "source" if is_last else "target"
            addressed(own, number, opened, merged, side, "develop")
            own.push((own.merge_of(number), merged), ref=target)
        if not is_last:
            for clock in ("12:00", "14:00"):
                deploy(clock, commit=base)
    deploy("Tue 11:00", commit=own.merge_of(2))
    return {"lead": (16.0, 2), "unknown": 0}


LEADS: tuple[Tell, ...] = (a1, a2, a3, a4, a5, a6)
FAILURES: tuple[Tell, ...] = (
    *(b1, b1_in_the_rollout, b2, b3, b5, c3, r4, two_alarms, overlapping),
)


def told(tell: Tell, tool: type[Any], deployer: Any, alarm: Alarm) -> Callable[..., Wanted]:
    def history(story: Story, name: str) -> Wanted:
        own = host_of(tool, story, name)
        return tell(own, deployer(story, own.name), alarm, name)

    return history


def histories() -> dict[str, Any]:
    """Each example with each host, and with each alerting tool; the CIs take turns."""
    found: dict[str, Any] = {}
    deployers, hosts = cycle(DEPLOYERS), cycle(HOSTS)
    for tell in LEADS:
        for tool in HOSTS:
            for deployer in [next(deployers) for _ in range(1 if tell is a3 else 2)]:
                key = f"we-{tell.__name__}-{tool.__name__}-{deployer.__name__}".lower()
                found[key.replace("_", "-")] = told(tell, tool, deployer, alertmanager)
    for tell in FAILURES:
        for alarm in ALARMS:
            tool, deployer = next(hosts), next(deployers)
            key = f"we-{tell.__name__}-{tool.__name__}-{deployer.__name__}-{alarm.__name__}".lower()
            found[key.replace("_", "-")] = told(tell, tool, deployer, alarm)
        next(deployers)
    return found


REGIONS = ("eu", "us", "ap")


def circle_regions(*waves: tuple[str, str, str]) -> Callable[..., Wanted]:
    """B4 on CircleCI: regions of one pipeline deploy at once, in each wave with these results; a
    wave is the workflow run again from its start."""

    def history(story: Story, name: str) -> Wanted:
        own = host_of(Gitea, story, name)
        (one,) = pushed(own, "08:00")
        ci = Circle(story, own.name)
        for run, results in enumerate(waves, 1):
            began, end = f"09:{run}0", f"09:{run}2"
            for region, result in zip(REGIONS, results, strict=True):
                job = f"deploy-production-{region}"
                ci.job(1, began, end, result, commit=one, name=job, run=run)
            status = "failed" if "failed" in results else "success"
            ci.workflow(1, began, end, status, commit=one, run=run)
        failed = "failed" in waves[-1]
        return {"fail": (int(failed), 1), "successes": int(not failed)}

    return history


def buildkite_regions(again: bool) -> Callable[..., Wanted]:
    """B4 on Buildkite: parallel jobs, of which the failed one is retried alone, or not."""

    def history(story: Story, name: str) -> Wanted:
        own = host_of(Bitbucket, story, name)
        (one,) = pushed(own, "08:00")
        ci = Buildkite(story, own.name)
        for group, result in enumerate(("passed", "failed", "passed")):
            key = f"job {group}"
            ci.job(1, "08:58", "09:00", result, commit=one, key=key, group=group)
        if again:
            more: dict[str, Any] = {"key": "again", "group": 1, "retry_of": "job 1", "retries": 1}
            ci.job(1, "09:05", "09:07", commit=one, **more)
        ci.build(1, "08:57", "09:07", "passed" if again else "failed", commit=one)
        return {"fail": (0 if again else 1, 1), "successes": int(again)}

    return history


def b7_of_gitea(story: Story, name: str) -> Wanted:
    """An issue with the label incident, half an hour after the deploy, closed an hour later."""
    own = host_of(Gitea, story, name)
    (one,) = pushed(own, "08:00")
    by_circle(story, own.name)("10:00", commit=one)
    own.issue(7, "10:30", "11:30")
    return {"fail": (1, 1), "recovery": (60.0, 1)}


_PASS, _FAIL = ("success",) * 3, ("success", "failed", "success")
OTHERS = {
    "we-b4-circle": circle_regions(_FAIL),
    "we-b4-circle-again": circle_regions(_FAIL, _PASS),
    "we-b4-circle-thrice": circle_regions(_FAIL, _FAIL, _PASS),
    "we-b4-buildkite": buildkite_regions(again=False),
    "we-b4-buildkite-again": buildkite_regions(again=True),
    "we-b7-gitea": b7_of_gitea,
}
HISTORIES = of_projects(histories() | OTHERS)


@pytest.mark.parametrize("order", (*ORDERS, "reverse"))
def test_every_worked_example_of_a_tool_has_the_values_computed_by_hand(configured, order) -> None:
    server = configured("")
    assert told_in(order, server, HISTORIES) == {}
    if order == "reverse":
        command(server, "db", "rebuild")
        assert told_in("none", server, HISTORIES) == {}
