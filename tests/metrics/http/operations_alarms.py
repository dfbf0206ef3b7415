"""Tools that alert in a random history of operations. They are told of an alarm's service,
environment and version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.metrics.http.clock import number
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.operations import SPELT, Alarm, clock
from tests.metrics.http.operations_tellers import ByGitLab
from tests.metrics.http.others import Script, alertmanager, pagerduty
from tests.metrics.http.presets import opsgenie, rootly
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories_of_trackers import jira
from tests.metrics.http.test_worked_examples_of_tools import (
    of_datadog,
    of_newrelic,
    of_servicenow,
)


def version(alarm: Alarm) -> str:
    return alarm.service.teller.version(alarm.version) if alarm.service and alarm.version else ""


def by_alertmanager(story: Story, alarm: Alarm, key: str) -> None:
    labels = {"alertname": key}
    if alarm.version and alarm.service:
        own = alarm.service.teller
        labels["version" if own.numbered else "commit"] = version(alarm)
        labels |= {} if own.numbered else {"repository": own.project}
    end = "" if alarm.end is None else clock(alarm.end)
    service = alarm.service.name if alarm.service else ""
    first = len(story.posts)
    alertmanager(story, service, clock(alarm.begin), end, alarm.environment, **labels)
    if not service:
        for post in story.posts[first:]:
            post.body["alerts"][0]["labels"].pop("service", None)


def by_grafana(story: Story, alarm: Alarm, key: str) -> None:
    """Grafana Alerting: Alertmanager's shape, version 1."""
    first = len(story.posts)
    by_alertmanager(story, alarm, key)
    about = {"version": "1", "orgId": 1, "state": "alerting", "title": "[FIRING:1]"}
    told = [replace(post, path="/grafana", body=post.body | about) for post in story.posts[first:]]
    story.posts[first:] = told


def by_moving_alertmanager(story: Story, alarm: Alarm, key: str) -> None:
    """Another replica takes over, whose alert began a minute later."""
    first = len(story.posts)
    by_alertmanager(story, alarm, key)
    if alarm.end is not None and alarm.end > alarm.begin + 2:
        began = clock(alarm.begin + 1)
        story.posts[first + 1].body["alerts"][0]["startsAt"] = began


def by_script(story: Story, alarm: Alarm, key: str) -> None:
    assert alarm.service
    end = "" if alarm.end is None else clock(alarm.end)
    name = "version" if alarm.service.teller.numbered else "commit"
    tags = {name: version(alarm), "environment": alarm.environment}
    if alarm.version and name == "commit":
        tags["repository"] = alarm.service.teller.project
    own = Script(story, f"alarms-{alarm.service.name}", alarm.service.name)
    parent = alarm.of.service.teller.ref(alarm.of) if alarm.of else ""
    own.span("incident", clock(alarm.begin), end, key=key, parent=parent, **tags)


def by_opsgenie(story: Story, alarm: Alarm, key: str) -> None:
    assert alarm.service
    told = [("Create", clock(alarm.begin))]
    told += [] if alarm.end is None else [("Close", clock(alarm.end))]
    opsgenie(story, alarm.service.name, key, *told, env=alarm.environment)


def by_pagerduty(story: Story, alarm: Alarm, key: str) -> None:
    assert alarm.service
    end = "" if alarm.end is None else clock(alarm.end)
    called = alarm.service.name
    if len({SPELT.get(place, place) for place in alarm.service.environments}) == 1:
        called = (called, f"{called}-prod", f"Production {called}")[number(key) % 3]
    pagerduty(story, called, clock(alarm.begin), end)


def as_duplicate(story: Story, alarm: Alarm, key: str) -> None:
    """A ticket that is closed as the duplicate of another one."""
    first = len(story.posts)
    by_jira(story, alarm, key)
    for post in story.posts[first + 1 :]:
        post.body["issue"]["fields"]["resolution"]["name"] = "Duplicate"


def by_jira(story: Story, alarm: Alarm, key: str) -> None:
    """An incident of another project that names the service as a component."""
    assert alarm.service
    name, began = f"OPS{number(key)}-1", clock(alarm.begin)
    project = name.partition("-")[0]
    own = [post for post in story.posts if post.body.get("issue", {}).get("key") == name]
    first = len(story.posts)
    if own:
        created = own[0].body["issue"]["fields"]["created"]
        jira(story, name, "updated", began, "indeterminate", "Work", created, project=project)
    else:
        created = began
        jira(story, name, "created", began, "new", "Open", began, project=project)
    if alarm.end is not None:
        end = clock(alarm.end)
        jira(story, name, "updated", end, "done", "Done", created, "Done", project=project)
    for post in story.posts[first:]:
        named = [{"id": one.name, "name": one.name} for one in (alarm.service, alarm.also) if one]
        post.body["issue"]["fields"]["components"] = named


def by_rootly(story: Story, alarm: Alarm, key: str) -> None:
    assert alarm.service
    named = {"services": [{"name": one.name} for one in (alarm.service, alarm.also) if one]}
    told = [("created", clock(alarm.begin))]
    told += [] if alarm.end is None else [("resolved", clock(alarm.end))]
    rootly(story, key, clock(alarm.begin), *told, **named)


def closed_by(tool: Callable[[Story, str, str, str], None]) -> Callable[[Story, Alarm, str], None]:
    def tell(story: Story, alarm: Alarm, key: str) -> None:
        assert alarm.service
        first = len(story.posts)
        end = alarm.begin + 1 if alarm.end is None else alarm.end
        tool(story, alarm.service.name, clock(alarm.begin), clock(end))
        if alarm.end is None:
            del story.posts[first + 1 :]

    return tell


def by_host(story: Story, alarm: Alarm, key: str) -> None:
    """An issue of the repository."""
    assert alarm.service
    end = "" if alarm.end is None else clock(alarm.end)
    own = alarm.service.teller
    if isinstance(own, ByGitLab):
        GitLab(story, own.project).issue(number(key), clock(alarm.begin), end)
    else:
        GitHub(story, own.project).issue(number(key), clock(alarm.begin), end)


Alert = Callable[[Story, Alarm, str], None]
ANY: tuple[Alert, ...] = (by_alertmanager, by_moving_alertmanager, by_script)
"""Tools that can name any environment and version, or none."""
NO_PLACE: tuple[Alert, ...] = (
    *(by_pagerduty, by_jira, by_rootly),
    *(closed_by(tool) for tool in (of_servicenow, of_newrelic)),
)
"""They name the service alone."""
PRODUCTION: tuple[Alert, ...] = (*(by_opsgenie, closed_by(of_datadog), by_grafana),)
NAME_TWO = (by_jira, by_rootly)
"""They can name several services."""
