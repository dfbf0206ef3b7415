"""Histories that OpenTelemetry, scripts, trackers, CDEvents and mapped tools tell."""

from __future__ import annotations

from typing import Any

import pytest

from tests.metrics.http.ci import Otlp, trello
from tests.metrics.http.clock import at, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import ORDERS, RULES, Tell, mapped, of_projects, told_in
from tests.metrics.http.others import Script, alertmanager
from tests.metrics.http.presets import cdevent, millis
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted
from tests.metrics.http.test_histories_of_trackers import jira

CONFIG = (
    RULES
    + """
[[metrics.incidents]]
filter = 'source:trello'
[sources.gocd]
[[sources.gocd.events]]
operation = "'pipeline'"
id = "join('/', [pipeline.name, to_string(pipeline.counter)])"
state = "'running'"
at = "pipeline.created"
name = "pipeline.name"
project = "pipeline.repo"
repository = "pipeline.repo"
commit = "pipeline.revision"
[[sources.gocd.events]]
when = "contains(pipeline.stage.name, 'deploy')"
operation = "'deploy'"
id = "join('/', [pipeline.name, to_string(pipeline.counter), to_string(pipeline.stage.counter)])"
parent = "join('', ['pipeline-', pipeline.name, '/', to_string(pipeline.counter)])"
state = "pipeline.stage.state"
states = {Building = "running", Passed = "ok", Failed = "error", Cancelled = "cancelled"}
name = "pipeline.stage.name"
project = "pipeline.repo"
repository = "pipeline.repo"
commit = "pipeline.revision"
environment = "'production'"
service = "pipeline.name"
started_at = "pipeline.stage.began"
ended_at = "pipeline.stage.ended"
attempt = "pipeline.stage.counter"
[sources.travis]
[[sources.travis.events]]
operation = "deploy"
id = "id"
state = "state"
states = {started = "running", passed = "ok", failed = "error", canceled = "cancelled"}
at = "at"
reopens = "state == 'started'"
project = "repository"
repository = "repository"
commit = "commit"
service = "name"
environment = "'production'"
"""
)


def otel_of(story: Story, name: str, *clocks: str, **resource: Any) -> Otlp:
    own = GitHub(story, f"acme/{name}")
    for n, clock in enumerate(clocks, 1):
        own.push((f"{name} c{n}", clock))
    return Otlp(story, own.name, **resource)


def otel_deploys(story: Story, name: str) -> Wanted:
    own = otel_of(story, name, "08:00", "10:00")
    own.deploy("09:00", began="08:50", commit=f"{name} c1")
    own.deploy("11:00", False, began="10:50", commit=f"{name} c2")
    own.deploy("11:20", began="11:10", commit=f"{name} c2")
    own.deploy("11:30", False, began="11:25", commit=f"{name} c2", environment="staging")
    return {"lead": (1.1667, 2), "fail": (1, 3), "rework": (0, 3), "recovery": (20.0, 1)}


def otel_matrix(story: Story, name: str) -> Wanted:
    """Tasks of one run deploy to regions; one fails."""
    own = otel_of(story, name, "08:00")
    for n, region in enumerate(("eu", "us", "ap")):
        own.deploy(f"09:1{n}", n != 1, began="09:00", commit=f"{name} c1", trace="run",
                   name=f"deploy {region}", parent="ship", key=region,
                   cicd__pipeline__task__name=f"deploy {region}")  # fmt: skip
    own.span("run", "ship", "08:50", "09:20", ok=False, cicd__pipeline__name="ship",
             cicd__pipeline__run__id=f"{name} 1", cicd__pipeline__result="failure")  # fmt: skip
    return {"lead": (None, 0), "fail": (1, 1), "open": 1, "successes": 0}


def otel_retried(story: Story, name: str) -> Wanted:
    own = otel_of(story, name, "08:00")
    for key, began, end, ok in (("a", "08:30", "08:40", False), ("b", "08:41", "08:50", True)):
        own.deploy(end, ok, began=began, commit=f"{name} c1", trace="run", parent="ship", key=key,
                   cicd__pipeline__task__name="deploy")  # fmt: skip
    own.span("run", "ship", "08:20", "08:51", cicd__pipeline__name="ship")
    return {"lead": (0.8333, 1), "fail": (0, 1), "rework": (0, 1), "successes": 1}


def otel_regions_in_a_row(story: Story, name: str) -> Wanted:
    """The next region begins after one failed: no retry, because its span has another name."""
    own = otel_of(story, name, "08:00")
    for began, end, region in (("09:00", "09:05", "eu"), ("09:06", "09:12", "us")):
        own.deploy(end, region == "us", began=began, commit=f"{name} c1", trace="run", key=region,
                   name=f"deploy {region}", parent="ship")  # fmt: skip
    own.span("run", "ship", "08:50", "09:20", ok=False, cicd__pipeline__name="ship")
    return {"fail": (1, 1), "open": 1, "successes": 0}


def otel_environments(story: Story, name: str) -> Wanted:
    """One run deploys to staging, where it fails, and to production."""
    own = otel_of(story, name, "08:00")
    for n, place in enumerate(("staging", "production")):
        own.deploy(f"09:{n}5", place == "production", began=f"09:{n}0", commit=f"{name} c1",
                   trace="run", key=place, parent="ship", environment=place,
                   cicd__pipeline__task__name=f"deploy {place}")  # fmt: skip
    own.span("run", "ship", "08:50", "09:20", cicd__pipeline__name="ship")
    return {"lead": (1.25, 1), "fail": (0, 1), "successes": 1}


def otel_versions(story: Story, name: str) -> Wanted:
    own = Otlp(story, f"acme/{name}")
    own.deploy("09:00", began="08:50", version="1.2.0")
    own.deploy("10:00", began="09:50", version="1.3.0")
    own.deploy("10:30", began="10:22", version="1.2.0", trace="again")
    return {"lead": (None, 0), "unknown": 2, "fail": (1, 3), "rework": (1, 3), "recovery": (8.0, 1)}


def otel_tests(story: Story, name: str) -> Wanted:
    """A suite fails before the deployment and after it, and passes on a retest."""
    own = otel_of(story, name, "08:00")
    own.deploy("10:00", began="09:50", commit=f"{name} c1", trace="run", parent="ship")
    own.span("run", "ship", "09:00", "10:01", cicd__pipeline__name="ship")
    about = {"test__suite__name": "smoke", "service__name": name,
             "deployment__environment__name": "production"}  # fmt: skip
    own.span("run", "smoke", "09:30", "09:35", ok=False, parent="ship", key="before", **about)
    own.span("t1", "smoke", "10:03", "10:05", ok=False, **about)
    own.span("t2", "smoke", "10:18", "10:20", **about)
    return {"lead": (2.0, 1), "fail": (1, 1), "recovery": (15.0, 1), "successes": 1}


def otel_cancelled(story: Story, name: str) -> Wanted:
    own = otel_of(story, name, "08:00")
    own.deploy("08:40", began="08:30", commit=f"{name} c1",
               cicd__pipeline__task__run__result="cancellation")  # fmt: skip
    own.deploy("08:45", began="08:44", commit=f"{name} c1", trace="skip",
               cicd__pipeline__task__run__result="skip")  # fmt: skip
    own.deploy("09:00", began="08:50", commit=f"{name} c1",
               cicd__pipeline__task__run__result="success")  # fmt: skip
    own.deploy("", began="10:50", commit=f"{name} c1", trace="goes on")
    story.posts.pop()
    return {"lead": (1.0, 1), "fail": (0, 1), "successes": 1}


def otel_services(story: Story, name: str) -> Wanted:
    """One trace releases two services of one repository; one of them fails."""
    own = otel_of(story, name, "08:00")
    for n, part in enumerate(("api", "web")):
        own.deploy(f"09:1{n}", not n, began="09:00", commit=f"{name} c1", trace="run",
                   name=f"deploy {part}", key=part, parent="ship",
                   service__name=f"{name}-{part}")  # fmt: skip
    own.span("run", "ship", "08:50", "09:20", cicd__pipeline__name="ship")
    return {"lead": (1.1667, 1), "fail": (1, 2), "open": 1, "successes": 1}


def otel_nested(story: Story, name: str) -> Wanted:
    """A deploy's steps name the environment, too, and are no deployments of their own."""
    own = otel_of(story, name, "08:00")
    own.deploy("09:10", began="09:00", commit=f"{name} c1", trace="run", key="whole")
    own.deploy("09:05", began="09:01", commit=f"{name} c1", trace="run", key="helm",
               name="helm upgrade", parent="whole")  # fmt: skip
    own.deploy("09:09", began="09:06", commit=f"{name} c1", trace="run", key="check",
               name="wait for rollout", parent="whole")  # fmt: skip
    return {"lead": (1.1667, 1), "fail": (0, 1), "successes": 1}


def otel_run_again(story: Story, name: str) -> Wanted:
    """Runs count by a rule; a run that is run again is another trace with the same id."""
    own = otel_of(story, name, "08:00")
    for n, (began, end, ok) in enumerate((("08:30", "08:40", False), ("08:50", "09:00", True))):
        own.span(f"run{n}", "ship_it", began, end, ok=ok, cicd__pipeline__name="ship_it",
                 cicd__pipeline__run__id=f"{name} 77", vcs__ref__head__revision=sha(f"{name} c1"),
                 cicd__pipeline__result="success" if ok else "failure")  # fmt: skip
    return {"lead": (1.0, 1), "fail": (0, 1), "rework": (0, 1), "successes": 1}


def otel_alert(story: Story, name: str) -> Wanted:
    """An alert during a rollout is about the rollout; its fix repairs."""
    own = otel_of(story, name, "08:00", "09:20")
    own.deploy("08:30", began="08:20", commit=f"{name} c1")
    own.deploy("10:10", began="10:00", commit=f"{name} c2")
    alertmanager(story, name, "10:05", "10:40")
    own.deploy("10:40", began="10:30", commit=f"{name} c3")
    return {"fail": (1, 3), "rework": (1, 3), "recovery": (35.0, 1)}


def otel_no_environment(story: Story, name: str) -> Wanted:
    """Without an environment nothing says that it is production."""
    own = otel_of(story, name, "08:00")
    own.deploy("09:00", began="08:50", commit=f"{name} c1", environment="")
    own.deploy("10:00", began="09:50", commit=f"{name} c1")
    return {"lead": (2.0, 1), "fail": (0, 1), "successes": 1}


def card(*told: tuple[str, str, str], wanted: Wanted) -> Tell:
    """A board is a project; its cards count as incidents by a rule."""

    def tell(story: Story, name: str) -> Wanted:
        Script(story, name).deploy("10:00", version="1")
        trello(story, f"{name} card", name, *told)
        return wanted | {"project": name}

    return tell


def ticket(*told: Any, wanted: Wanted) -> Tell:
    """A ticket of Jira, told by (event, time, category, type, resolution)."""

    def tell(story: Story, name: str) -> Wanted:
        key = name.replace("-", "").upper()
        Script(story, key).deploy("10:00", version="1")
        for event, clock, category, kind, resolution in told:
            jira(story, f"{key}-1", event, clock, category, category, "10:10", resolution,
                 itype=kind, project=key)  # fmt: skip
        return wanted | {"project": key}

    return tell


def ticket_before_the_fix(story: Story, name: str) -> Wanted:
    """The fix names the ticket in its branch and is deployed by a script."""
    key = "JIFIX"
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} c1", "07:00"))
    script = Script(story, own.name, service=name)
    script.deploy("08:00", began="07:50", commit=sha(f"{name} c1"))
    jira(story, f"{key}-1", "created", "09:00", "new", "Open", "09:00", project=key)
    own.pull(1, "09:10", "09:20", head=f"{key}-1-null-check", pushed=True)
    script.deploy("10:00", began="09:30", commit=sha(own.merge_of(1)))
    jira(story, f"{key}-1", "updated", "10:05", "done", "Done", "09:00", "Done", project=key)
    return {"lead": (0.9167, 2), "fail": (0, 2), "rework": (0, 2)}


def issue_of_linear(*told: Any, wanted: Wanted) -> Tell:
    """An issue of Linear, told by (action, time, type of the state, labels)."""

    def tell(story: Story, name: str) -> Wanted:
        key = name.replace("-", "").upper()
        Script(story, key).deploy("10:00", version="1")
        for action, clock, kind, labels in told:
            data = {
                "id": f"{name}-uuid",
                "identifier": f"{key}-1",
                "title": "Down",
                "createdAt": at("10:10"),
                "updatedAt": at(clock),
                "labels": [{"id": label, "name": label} for label in labels],
                "state": {"id": kind, "name": kind, "type": kind},
                "team": {"id": "t", "key": key, "name": key},
                "url": f"https://linear.app/acme/issue/{key}-1",
            }
            data |= {"completedAt": at(clock)} if kind == "completed" else {}
            data |= {"canceledAt": at(clock)} if kind == "canceled" else {}
            body = {"action": action, "type": "Issue", "createdAt": at(clock), "data": data}
            story.add("/linear", body | {"webhookTimestamp": millis(clock)})
        return wanted | {"project": key}

    return tell


def issue_untyped(story: Story, name: str) -> Wanted:
    """The type of an issue is taken away: it was no incident."""
    own = GitHub(story, f"acme/{name}")
    own.deploy("10:00", commit=f"{name} c1")
    own.issue(3, "10:10", "10:40", labels=())
    opened, closed = (post.body["issue"] for post in story.posts[-2:])
    opened["type"], closed["type"] = {"id": 9, "name": "Incident"}, None
    return {"fail": (0, 1), "open": 0, "successes": 1}


def script_nested(story: Story, name: str) -> Wanted:
    """A pipeline's deploys are one deployment; a failed region fails it; a new pipeline mends."""
    own = Script(story, name)
    for n, (began, us) in enumerate((("09:00", False), ("09:30", True))):
        run = f"{name}-run{n}"
        own.span("pipeline", began, "" if n else "09:15", us, key=run, environment="", service="")
        for region, ok in (("eu", True), ("us", us)):
            begin, end = (began, "09:10") if not n else (began, "09:40")
            own.span("deploy", begin, end, ok, key=f"{run}-{region}", version="1",
                     parent=f"vstrace-customhttp-pipeline-{name}-{run}")  # fmt: skip
    return {"fail": (1, 2), "rework": (0, 2), "recovery": (30.0, 1), "project": name}


def script_retried(story: Story, name: str) -> Wanted:
    own = Script(story, name)
    own.span("pipeline", "09:00", "09:40", key=f"{name}-run", environment="", service="")
    parent = f"vstrace-customhttp-pipeline-{name}-{name}-run"
    own.span("deploy", "09:00", "09:10", False, key=f"{name}-a", version="1", parent=parent)
    own.span("deploy", "09:11", "09:20", key=f"{name}-b", version="1", parent=parent)
    return {"fail": (0, 1), "rework": (0, 1), "successes": 1, "project": name}


def script_regions_in_a_row(story: Story, name: str) -> Wanted:
    own = Script(story, name)
    own.span("pipeline", "09:00", "09:40", False, key=f"{name}-run", environment="", service="")
    parent = f"vstrace-customhttp-pipeline-{name}-{name}-run"
    for began, end, region in (("09:00", "09:10", "eu"), ("09:11", "09:20", "us")):
        own.span("deploy", began, end, region == "us", key=f"{name}-{region}", version="1",
                 parent=parent, name=f"deploy {region}")  # fmt: skip
    return {"fail": (1, 1), "open": 1, "successes": 0, "project": name}


def script_annotated(story: Story, name: str) -> Wanted:
    """`vs-tui run` and `vscli` write tags as a list, names in any case and null; a mark comes
    later."""
    own = Script(story, name)
    own.deploy("09:00", version="1")
    body = {"Type": "deploy", "ID": f"{name}-go", "Namespace": name, "ParentID": None}
    tags = [f"service|{name}", "environment|production", "version|2"]
    story.add("/customhttp", body | {"Action": "start", "Timestamp": at("10:00"), "Tags": tags})
    story.add("/customhttp", body | {"Action": "annotate", "Tags": ["vs.rework|true"],
                                     "Timestamp": at("10:01")})  # fmt: skip
    story.add("/customhttp", body | {"Action": "end", "Timestamp": at("10:10"), "Error": False})
    return {"fail": (0, 2), "rework": (1, 2), "successes": 2, "project": name}


def script_by_name_only(story: Story, name: str) -> Wanted:
    """A deploy without an environment is none of production."""
    own = Script(story, name)
    own.span("deploy", "08:50", "09:00", key=f"{name}-x", environment="", version="1",
             name="deploy to production")  # fmt: skip
    own.deploy("10:00", version="2")
    return {"fail": (0, 1), "successes": 1, "unknown": 1, "project": name}


def script_without_versions(story: Story, name: str) -> Wanted:
    """What a deploy without a version and a commit ships is one unknown change."""
    own = Script(story, name)
    own.deploy("09:00", key=f"{name}-1")
    own.deploy("10:00", False, key=f"{name}-2")
    own.deploy("10:20", key=f"{name}-3")
    wanted: Wanted = {"lead": (None, 0), "unknown": 2, "changes": 1.0, "fail": (1, 3)}
    return wanted | {"rework": (0, 3), "recovery": (20.0, 1), "project": name}


def go_cd(story: Story, name: str) -> Wanted:
    """A stage is run again in its pipeline; the pipeline of the commit before is run again."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} c1", "08:00"))
    own.push((f"{name} c2", "09:00"))
    for counter, stage, began, end, state in (
        (1, 1, "08:20", "08:30", "Failed"),
        (1, 2, "08:40", "08:50", "Passed"),
        (2, 1, "09:20", "09:30", "Passed"),
        (1, 3, "10:00", "10:05", "Passed"),
    ):
        pipeline = {"name": name, "counter": counter, "repo": own.name, "created": at(began)}
        pipeline["revision"] = sha(f"{name} c{counter}")
        told = {"name": "deploy-prod", "counter": stage, "began": at(began)}
        story.add("/gocd", {"pipeline": pipeline | {"stage": told | {"state": "Building"}}})
        done = told | {"state": state, "ended": at(end)}
        story.add("/gocd", {"pipeline": pipeline | {"stage": done}})
    return {"lead": (0.6667, 2), "fail": (1, 3), "rework": (1, 3), "recovery": (5.0, 1)}


def travis(story: Story, name: str) -> Wanted:
    """A restarted job keeps its id."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} c1", "08:00"))
    for state, clock in (
        ("started", "08:30"),
        ("failed", "08:40"),
        ("started", "08:50"),
        ("passed", "09:00"),
    ):
        body = {"id": f"{name}-1", "state": state, "at": at(clock), "repository": own.name}
        story.add("/travis", body | {"commit": sha(f"{name} c1"), "name": name})
    return {"lead": (1.0, 1), "successes": 1}


def cdevents_told(story: Story, name: str) -> Wanted:
    """A service is upgraded; an incident names it; the next upgrade repairs."""
    about = {"environment": {"id": "production"}, "source": f"/{name}"}
    for version, clock in (("1.0", "09:00"), ("1.1", "10:00"), ("1.2", "10:40")):
        artifact = f"pkg:oci/{name}@{version}"
        kind = "service.deployed" if version == "1.0" else "service.upgraded"
        cdevent(story, kind, name, clock, artifactId=artifact, **about)
    for kind, clock in (("incident.detected", "10:10"), ("incident.resolved", "10:45")):
        cdevent(story, kind, f"{name}-i1", clock, service={"id": name}, **about)
    return {"fail": (1, 3), "recovery": (35.0, 1), "project": name}


_DONE = ("move", "10:45", "Done")
HISTORIES: dict[str, Tell] = {
    "ot-deploys": otel_deploys,
    "ot-matrix": otel_matrix,
    "ot-retried": otel_retried,
    "ot-row": otel_regions_in_a_row,
    "ot-places": otel_environments,
    "cu-row": script_regions_in_a_row,
    "ot-versions": otel_versions,
    "ot-tests": otel_tests,
    "ot-cancelled": otel_cancelled,
    "ot-services": otel_services,
    "ot-nested": otel_nested,
    "ot-again": otel_run_again,
    "ot-alert": otel_alert,
    "ot-nowhere": otel_no_environment,
    "tr-done": card(
        ("createCard", "10:10", "To Do"), ("move", "10:20", "Doing"), _DONE,
        wanted={"fail": (1, 1), "recovery": (35.0, 1)},
    ),
    "tr-again": card(
        ("createCard", "10:10", "To Do"), ("move", "10:30", "Done"), ("move", "10:40", "Doing"),
        ("move", "11:00", "Done"), wanted={"fail": (1, 1), "recovery": (20.0, 2)},
    ),
    "tr-archived": card(
        ("createCard", "10:10", "To Do"), _DONE, ("closed", "Tue 10:00", "true"),
        wanted={"fail": (1, 1), "recovery": (35.0, 1)},
    ),
    "tr-complete": card(
        ("createCard", "10:10", "To Do"), ("dueComplete", "10:40", "true"),
        wanted={"fail": (1, 1), "recovery": (30.0, 1)},
    ),
    "tr-deleted": card(
        ("createCard", "10:10", "To Do"), ("deleteCard", "10:20", ""),
        wanted={"fail": (0, 1), "recovery": (None, 0), "open": 0},
    ),
    "ji-demoted": ticket(
        ("created", "10:10", "new", "Incident", ""),
        ("updated", "10:30", "indeterminate", "Bug", ""),
        ("updated", "10:50", "done", "Bug", "Fixed"), wanted={"fail": (0, 1), "open": 0},
    ),
    "ji-promoted": ticket(
        ("created", "10:10", "new", "Bug", ""),
        ("updated", "10:30", "indeterminate", "Incident", ""),
        ("updated", "10:50", "done", "Incident", "Fixed"),
        wanted={"fail": (1, 1), "recovery": (40.0, 1)},
    ),
    "ji-wont": ticket(
        ("created", "10:10", "new", "Incident", ""),
        ("updated", "10:30", "done", "Incident", "Won't Do"), wanted={"fail": (0, 1), "open": 0},
    ),
    "ji-deleted": ticket(
        ("created", "10:10", "new", "Incident", ""),
        ("deleted", "10:30", "new", "Incident", ""), wanted={"fail": (0, 1), "open": 0},
    ),
    "ji-open": ticket(
        ("created", "10:10", "new", "[System] Incident", ""),
        ("updated", "10:30", "indeterminate", "[System] Incident", ""),
        wanted={"fail": (1, 1), "recovery": (None, 0), "open": 1},
    ),
    "gh-untyped": issue_untyped,
    "ji-fix": ticket_before_the_fix,
    "li-unlabelled": issue_of_linear(
        ("create", "10:10", "unstarted", ["Incident"]), ("update", "10:20", "started", []),
        ("update", "10:40", "completed", []), wanted={"fail": (0, 1), "open": 0},
    ),
    "li-again": issue_of_linear(
        ("create", "10:10", "triage", ["Incident"]), ("update", "10:20", "completed", ["Incident"]),
        ("update", "10:30", "started", ["Incident"]),
        ("update", "10:45", "completed", ["Incident"]),
        wanted={"fail": (1, 1), "recovery": (12.5, 2)},
    ),
    "li-canceled": issue_of_linear(
        ("create", "10:10", "triage", ["Incident"]), ("update", "10:20", "canceled", ["Incident"]),
        wanted={"fail": (0, 1), "open": 0},
    ),
    "cu-nested": script_nested,
    "cu-retried": script_retried,
    "cu-marked": script_annotated,
    "cu-name": script_by_name_only,
    "cu-bare": script_without_versions,
    "go-again": go_cd,
    "ty-again": travis,
    "cd-upgrades": cdevents_told,
}  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
def test_every_history_of_events_has_the_values_computed_by_hand(configured, order) -> None:
    with mapped(CONFIG):
        assert told_in(order, configured(CONFIG), of_projects(HISTORIES)) == {}
