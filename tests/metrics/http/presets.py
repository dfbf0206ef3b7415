"""Tools whose bodies a preset reads: incident tools and tools that deploy."""

from __future__ import annotations

from typing import Any

from tests.metrics.http.clock import at, moment, number, sha
from tests.metrics.http.story import Story


def millis(clock: str) -> int:
    return int(moment(clock).timestamp() * 1000)


def opsgenie(
    story: Story, service: str, alert: str, *actions: tuple[str, str], env: str = "production"
) -> None:
    """An alert, told by (action, time); the first action creates it."""
    for action, clock in actions:
        body = {
            "updatedAt": millis(clock) * 1_000_000 + 2_000,
            "createdAt": millis(actions[0][1]),
            "message": f"{service} answers 500",
            "tags": [f"service:{service}", f"env:{env}"],
            "alertId": f"{service}-{alert}",
            "alias": alert,
            "tinyId": "7",
        }
        named = {"integrationId": "8a4b", "integrationName": "vs-tui", "source": {"type": "API"}}
        story.add("/opsgenie", {"alert": body, "action": action, **named})


def pagerduty_incident(
    story: Story, service: str, identifier: str, *events: tuple[str, str], **more: Any
) -> None:
    """An incident, told by (event, time); the first one triggers it."""
    for kind, clock in events:
        data = {
            "id": f"{service}-{identifier}",
            "type": "incident",
            "status": kind,
            "created_at": at(events[0][1]),
            "title": f"{service} fails",
            "service": {"id": "P1", "summary": service, "type": "service_reference"},
            "urgency": "high",
        }
        event = {"id": f"{service}{identifier}{kind}{clock}", "event_type": f"incident.{kind}"}
        event |= {"resource_type": "incident", "occurred_at": at(clock), "data": data | more}
        story.add("/pagerduty", {"event": event})


def rootly(
    story: Story, identifier: str, began: str, *events: tuple[str, str], **more: Any
) -> None:
    for kind, clock in events:
        data = {
            "id": identifier,
            "sequential_id": 19,
            "title": "Search returns nothing",
            "kind": "normal",
            "started_at": at(began),
            "created_at": at(began),
        }
        event = {"id": f"{identifier}{kind}{clock}", "type": f"incident.{kind}"}
        story.add("/rootly", {"event": event | {"issued_at": at(clock)}, "data": data | more})


def grafana_irm(story: Story, service: str, began: str, *events: tuple[str, str, str]) -> None:
    """An alert group, told by (event, time, when it was resolved)."""
    for kind, clock, resolved in events:
        group = {
            "id": f"I{number(service + began)}",
            "state": "resolved" if resolved else "firing",
            "created_at": at(began),
            "resolved_at": at(resolved) if resolved else None,
            "title": f"High latency of {service}",
            "permalinks": {"web": "https://acme.grafana.net/a/1"},
            "labels": {"service": service, "environment": "production"},
        }
        body = {"event": {"type": kind, "time": at(clock)}, "user": {"username": "kim"}}
        body |= {"alert_group": group, "alert_group_id": group["id"]}
        story.add("/grafanairm", body | {"integration": {"name": "Production"}})


def servicenow(story: Story, service: str, number_: str, began: str, *told: Any) -> None:
    """An incident, told by (state, time, resolved, closed)."""

    def plain(clock: str) -> str:
        return moment(clock).strftime("%Y-%m-%d %H:%M:%S") if clock else ""

    for state, clock, resolved, closed in told:
        body = {"number": number_, "state": state, "short_description": "Nobody can log in"}
        body |= {"priority": "1", "business_service": service, "opened_at": plain(began)}
        body |= {"resolved_at": plain(resolved), "closed_at": plain(closed)}
        story.add("/servicenow", body | {"sys_updated_on": plain(clock)})


def newrelic(story: Story, service: str, began: str, *told: tuple[str, str]) -> None:
    for state, clock in told:
        body = {"id": f"{service}{began}", "issueUrl": "https://radar-api.service.newrelic.com/1"}
        body |= {"title": f"{service} is slow", "priority": "CRITICAL", "trigger": "STATE_CHANGE"}
        body |= {"impactedEntities": [service], "state": state, "createdAt": millis(began)}
        body |= {"updatedAt": millis(clock), "alertConditionNames": ["Slow"]}
        story.add("/newrelic", body)


def datadog(story: Story, service: str, cycle: str, *told: tuple[str, str]) -> None:
    for transition, clock in told:
        body = {
            "alert_id": str(number(service)),
            "alert_cycle_key": cycle,
            "alert_transition": transition,
        }
        body |= {"alert_title": f"5xx of {service}", "alert_priority": "P1"}
        body |= {"tags": f"env:production,service:{service}", "date": str(millis(clock))}
        story.add("/datadog", body)


def sentry_alert(story: Story, service: str, began: str, *told: tuple[str, str]) -> None:
    """A metric alert, told by (action, its end)."""
    for action, closed in told:
        alert = {"id": str(number(service + began)), "projects": [service], "title": "Marmot"}
        alert |= {"date_started": at(began), "date_closed": at(closed) if closed else None}
        alert |= {"alert_rule": {"name": "Too many errors", "environment": "production"}}
        body = {"action": action, "data": {"metric_alert": alert, "web_url": "https://sentry.io/1"}}
        story.add("/sentry", body | {"installation": {"uuid": "a8e5d37a"}})


INTERRUPTED = {"Waits": "ManualIntervention", "Guided": "GuidedFailure"}
"""Interruptions of Octopus' deployments."""


def octopus(
    story: Story, service: str, *told: tuple[str, str, str, str], place: str = "Production"
) -> None:
    """Deployments, each told by (id, category, version, time)."""
    words = {"Waits": "requires manual intervention", "Guided": "requires guided failure"}
    for identifier, word, version, clock in told:
        said = words.get(word, word.lower())
        text = f"Deploy to {place} {said} for {service} release {version} to {place}"
        related = [f"Deployments-{identifier}", f"Projects-{number(service)}", "Releases-1"]
        kind = f"{INTERRUPTED.get(word, '')}InterruptionRaised"
        event = {
            "Id": f"Events-{service}-{identifier}-{word}",
            "Category": kind if word in INTERRUPTED else f"Deployment{word}",
            "RelatedDocumentIds": related,
            "Occurred": at(clock),
            "Username": "kim",
            "Message": text,
        }
        payload = {"ServerUri": "https://octopus.example", "Event": event}
        body = {"Timestamp": at(clock), "EventType": "SubscriptionPayload", "Payload": payload}
        story.add("/octopus", body)


def flux(
    story: Story, name: str, revision: str, *told: tuple[str, str], kind: str = "HelmRelease",
    namespace: str = "prod", cluster: str = "", **metadata: str,
) -> None:  # fmt: skip
    """What a controller says of a revision, each (reason, time); a reason with `Failed` fails. An
    object has another uid in each cluster."""
    for reason, clock in told:
        body = {
            "involvedObject": {"kind": kind, "namespace": namespace, "name": name}
            | ({"uid": f"7d0cdc51-{number(name + cluster)}"} if cluster else {}),
            "metadata": {"revision": revision} | metadata,
            "severity": "error" if "Failed" in reason else "info",
            "reason": reason,
            "message": reason,
            "reportingController": "helm-controller",
            "timestamp": at(clock),
        }
        story.add("/flux", body)


def netlify(
    story: Story, name: str, deploy: str, *told: tuple[str, str], commit: str, **more: Any
) -> None:
    for state, clock in told:
        body = {
            "id": deploy,
            "state": state,
            "name": name,
            "context": "production",
            "branch": "main",
            "commit_ref": sha(commit),
            "created_at": at(told[0][1]),
            "updated_at": at(clock),
            "published_at": at(clock) if state == "ready" else None,
        }
        story.add("/netlify", body | more)


def heroku(story: Story, app: str, *told: tuple[int, str, str, str, str], commit: str = "") -> None:
    """Releases, each (number, begin, end, status, description)."""
    for release, began, end, status, words in told:
        data = {
            "id": f"{app}-{release}",
            "version": release,
            "status": status,
            "description": words,
            "created_at": at(began),
            "updated_at": at(end),
            "app": {"id": "a", "name": app},
            "slug": {"commit": sha(commit or f"{app} {words}")},
        }
        body = {"id": f"{app}{release}{status}", "action": "update", "resource": "release"}
        story.add("/heroku", body | {"data": data})


def vercel(
    story: Story, name: str, deployment: str, *told: tuple[str, str], commit: str = "",
    target: str | None = "production", repository: str = "",
) -> None:  # fmt: skip
    owner, _, repo = repository.partition("/")
    meta = {"githubCommitSha": sha(commit or deployment), "githubCommitRef": "main"}
    meta |= {"githubOrg": owner, "githubRepo": repo} if repo else {}
    for word, clock in told:
        found = {"id": deployment, "name": name, "url": f"{deployment}.vercel.app", "meta": meta}
        body = {"id": f"{deployment}{word}{clock}", "type": f"deployment.{word}"}
        body["createdAt"] = millis(clock)
        story.add("/vercel", body | {"payload": {"target": target, "deployment": found}})


def codepipeline(
    story: Story, pipeline: str, execution: str, *told: tuple[str, str], stage: str = "Production"
) -> None:
    """A deploy action of a pipeline's execution, each (state, time)."""
    for state, clock in told:
        detail = {"pipeline": pipeline, "execution-id": execution, "stage": stage, "action": "Go"}
        detail |= {"state": state, "type": {"category": "Deploy", "provider": "ECS"}}
        body = {"id": f"{execution}{state}{clock}", "source": "aws.codepipeline"}
        body |= {"detail-type": "CodePipeline Action Execution State Change", "time": at(clock)}
        story.add("/aws", body | {"detail": detail})


def codedeploy(
    story: Story, app: str, deployment: str, *told: tuple[str, str], region: str = "eu-west-1",
    group: str = "",
) -> None:  # fmt: skip
    for state, clock in told:
        detail = {"application": app, "deploymentId": deployment, "state": state, "region": region}
        body = {"id": f"{deployment}{state}", "source": "aws.codedeploy", "time": at(clock)}
        body |= {"detail-type": "CodeDeploy Deployment State-change Notification", "region": region}
        named = {"deploymentGroup": group or f"{app}-prod"}
        story.add("/aws", body | {"detail": detail | named})


def cdevent(story: Story, kind: str, identifier: str, clock: str, **content: Any) -> None:
    subject = kind.partition(".")[0]
    context = {
        "version": "0.4.1",
        "id": f"{kind}-{identifier}-{clock}",
        "source": content.pop("source", "/shop"),
        "type": f"dev.cdevents.{kind}.0.2.0",
        "timestamp": at(clock),
    }
    story.add(
        "/cdevents",
        {"context": context, "subject": {"id": identifier, "type": subject, "content": content}},
    )
