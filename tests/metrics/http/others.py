"""plyzen, em-metrics, scripts, Jenkins, Alertmanager and PagerDuty as senders."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tests.metrics.http.clock import at, before, moment, number, sha
from tests.metrics.http.story import Story


class Plyzen:
    """A namespace told with plyzen's basic schema."""

    def __init__(self, story: Story, namespace: str, artifact: str = "") -> None:
        self.story = story
        self.name = namespace
        self.service = artifact or namespace

    def record(self, activity: str, event: str, clock: str, **more: Any) -> None:
        values = {"artifact": self.service, "environment": "prod", **more}
        body = {"namespace": self.name, "activity": activity, "event": event, **values}
        self.story.add("/plyzen", {**body, "timestamp": at(clock)})

    def activity(
        self, kind: str, began: str, end: str = "", result: str = "success", **more: Any
    ) -> None:
        """An activity of an artifact: its start and, unless it lasts, its finish."""
        self.record(kind, "start", began, **more)
        if end:
            self.record(kind, "finish", end, result=result, **more)

    def deploy(
        self,
        end: str,
        ok: bool = True,
        *,
        began: str = "",
        environment: str = "prod",
        version: str = "",
        key: str = "",
        **more: Any,
    ) -> None:
        values = {"environment": environment, "version": version or key or f"v {end}", **more}
        start = at(began) if began else before(end)
        self.activity("deploy", start, end, "success" if ok else "failure", **values)

    def advanced(
        self,
        correlation: str,
        name: str,
        began: str,
        end: str = "",
        *,
        artifacts: list[tuple[str, str, str]],
        product: str = "",
        result: str = "",
        environment: str = "prod",
    ) -> None:
        """One activity of the advanced schema; artifacts are (name, version, result)."""
        events = [{"type": "start", "timestamp": at(began)}]
        if end:
            events.append({"type": "finish", "timestamp": at(end)})
        activity: dict[str, Any] = {
            "correlationId": correlation,
            "name": name,
            "events": events,
            "environment": {"name": environment},
            "artifacts": [
                {"namespace": self.name, "name": part, "version": version}
                | ({"result": word} if word else {})
                for part, version, word in artifacts
            ],
        }
        if product:
            activity["product"] = {"name": product}
        if result:
            activity["result"] = result
        self.story.add("/plyzen", {"activities": [activity]})


class Script:
    """A namespace told by scripts in ValueStream's custom format."""

    def __init__(self, story: Story, namespace: str, service: str = "") -> None:
        self.story = story
        self.name = namespace
        self.service = service or namespace

    def span(
        self,
        kind: str,
        began: str,
        end: str = "",
        ok: bool = True,
        *,
        key: str = "",
        parent: str = "",
        status: str = "",
        **tags: Any,
    ) -> None:
        """A span; without an end it lasts."""
        identifier = key or f"{kind} {began} {tags.get('version', '')}"
        about = {"service": self.service, "environment": "production", **tags}
        body = {"type": kind, "id": identifier, "namespace": self.name, "parentid": parent}
        body["tags"] = {name: value for name, value in about.items() if value != ""}
        start = {**body, "action": "start", "timestamp": at(began)}
        self.story.add("/customhttp", start)
        if end:
            done = {**body, "action": "end", "timestamp": at(end), "error": not ok}
            self.story.add("/customhttp", done | ({"status": status} if status else {}))

    def deploy(
        self,
        end: str,
        ok: bool = True,
        *,
        began: str = "",
        environment: str = "production",
        version: str = "",
        key: str = "",
        state: str = "",
        **tags: Any,
    ) -> None:
        start = at(began) if began else before(end)
        tags |= {"environment": environment, "version": version}
        finish = "" if state == "-" else end
        self.span(
            "deploy", start, finish, ok, key=key or f"deploy {end} {environment}",
            status="" if state == "-" else state, **tags,
        )  # fmt: skip


class EmMetrics:
    """A project told through em-metrics' API."""

    def __init__(self, story: Story, project: str) -> None:
        self.story = story
        self.name = project
        self.service = project.rpartition("/")[2]

    def deploy(
        self, end: str, *, key: str = "", began: str = "", first_commit: str = "", **more: Any
    ) -> None:
        start = at(began) if began else before(end)
        body = {
            "id": key or f"{self.name} {end}",
            "project_id": self.name,
            "first_commit_at": at(first_commit) if first_commit else start,
            "deploy_start_at": start,
            "deployed_at": at(end),
        }
        self.story.add("/deployments", {**body, **more})

    def incident(
        self,
        key: str,
        began: str,
        restored: str = "",
        finished: str = "",
        deployment: str = "",
        **more: Any,
    ) -> None:
        body: dict[str, Any] = {"id": key, "project_id": self.name, "started_at": at(began)}
        if deployment:
            body["deployment_id"] = deployment
        self.story.add("/incidents", body | more)
        for verb, clock in (("restored", restored), ("finished", finished)):
            if clock:
                self.story.add(f"/incidents/{quote(key)}/{verb}", {"date": at(clock)})


class Jenkins:
    """A Jenkins job that deploys a repository, told by the statistics-gatherer plugin."""

    def __init__(self, story: Story, full: str) -> None:
        self.story = story
        self.name = full
        self.service = full.rpartition("/")[2]
        self._number = 0

    def deploy(
        self,
        end: str,
        ok: bool = True,
        *,
        began: str = "",
        environment: str = "production",
        commit: str = "",
        version: str = "",
        state: str = "",
        key: str = "",
    ) -> None:
        self._number += 1
        start = at(began) if began else before(end)
        job = f"deploy-{self.service}"
        millis = int(moment(start).timestamp() * 1000)
        common = {
            "ciUrl": "https://ci.example.com/",
            "jobName": job,
            "fullJobName": f"acme/{job}",
            "number": self._number,
            "buildUrl": f"job/acme/job/{job}/{self._number}/",
            "parameters": {"environment": environment} | ({"version": version} if version else {}),
            "scmInfo": {
                "url": f"git@github.com:{self.name}.git",
                "commit": sha(commit or version or f"{self.name} unknown {end}"),
                "branch": "origin/main",
            },
        }
        begun = {"result": "INPROGRESS", "startTime": millis, "queueTime": 0}
        begun |= {"contextId": number(f"{self.name} {self._number}"), "startedUserId": "bob"}
        self.story.add("/jenkins", common | begun)
        if state == "-":
            return
        finish = int(moment(end).timestamp() * 1000)
        word = {"": "SUCCESS" if ok else "FAILURE", "cancelled": "ABORTED"}[state]
        done = {"result": word, "endTime": finish, "duration": finish - millis}
        self.story.add("/jenkins", common | done)


def alertmanager(
    story: Story,
    service: str,
    began: str,
    end: str = "",
    environment: str = "production",
    **labels: str,
) -> None:
    """An alert that fires and, unless it lasts, resolves."""
    named = {"alertname": "HighErrorRate", "service": service, "severity": "critical", **labels}
    if environment:
        named["environment"] = environment
    firing: dict[str, Any] = {
        "status": "firing",
        "labels": named,
        "annotations": {"summary": "Requests fail"},
        "startsAt": at(began),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "https://prometheus.example/graph",
        "fingerprint": sha(f"{service}{labels}")[:16],
    }
    found = [firing]
    if end:
        found.append(firing | {"status": "resolved", "endsAt": at(end)})
    for alert in found:
        body = {
            "version": "4",
            "groupKey": "{}:{}",
            "truncatedAlerts": 0,
            "status": alert["status"],
            "receiver": "vs-tui",
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "https://alerts.example",
            "alerts": [alert],
        }
        story.add("/alertmanager", body)


def pagerduty(story: Story, service: str, began: str, end: str = "") -> None:
    """An incident that is triggered and, unless it lasts, resolved."""
    identifier = f"P{number(service + began)}"
    moments = [("incident.triggered", began)] + ([("incident.resolved", end)] if end else [])
    for kind, clock in moments:
        data = {
            "id": identifier,
            "type": "incident",
            "number": 2,
            "status": kind.partition(".")[2],
            "incident_key": identifier,
            "created_at": at(began),
            "title": "Requests fail",
            "html_url": f"https://acme.pagerduty.com/incidents/{identifier}",
            "service": {"id": "PF9KMXH", "summary": service, "type": "service_reference"},
            "assignees": [],
            "teams": [],
            "priority": None,
            "urgency": "high",
        }
        event = {
            "id": f"01{identifier}{kind}",
            "event_type": kind,
            "resource_type": "incident",
            "occurred_at": at(clock),
            "data": data,
        }
        story.add("/pagerduty", {"event": event})
