"""Bodies of the APIs that CI scripts call: plyzen, em-metrics, CDEvents, OTLP."""

from __future__ import annotations

import json
from typing import Any

from tests.sources.webhook_tools import RECEIVED
from vs_tui.model.time import MINUTE
from vs_tui.sources.base import Inbound

TRACE = "0af7651916cd43dd8448eb211c80319c"
ROOT, CHILD = "b7ad6b7169203331", "00f067aa0ba902b7"
SHA = "9c1185a5c5e9fc54612808977ee8f548b2258d31"


def stamp(clock: str) -> str:
    return f"2026-03-02T{clock}Z"


def post(path: str, body: Any, minutes: int = 0, **headers: str) -> Inbound:
    """A request that arrived `minutes` after the first one."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Inbound(path, names, raw, RECEIVED + minutes * MINUTE)


# -- plyzen ------------------------------------------------------------------------------------


def record(event: str = "finish", clock: str = "10:00:00", **changes: Any) -> dict[str, Any]:
    """A record of the basic schema; a change to None leaves the field out."""
    body = {
        "namespace": "shop",
        "artifact": "cart",
        "version": "2.4.3",
        "environment": "prod",
        "instance": "green",
        "activity": "prod-deploy",
        "event": event,
        "timestamp": stamp(clock),
        "result": "success" if event == "finish" else None,
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def activity(correlation: str = "deploy-1337", **parts: Any) -> dict[str, Any]:
    """One activity of the advanced schema."""
    return {"activities": [{"correlationId": correlation, **parts}]}


def moment(kind: str, clock: str) -> dict[str, str]:
    return {"type": kind, "timestamp": stamp(clock)}


RELEASE = {
    "name": "prod-deploy",
    "type": "deployment",
    "product": {"name": "webshop"},
    "environment": {"name": "prod", "instance": {"name": "green"}},
    "artifacts": [
        {"namespace": "shop", "name": "cart", "version": "2.4.3"},
        {"namespace": "shop", "name": "pay", "version": "1.9"},
    ],
}


def plyzen_story() -> list[Inbound]:
    """A build, its deploy twice, a test, an alarm, a product release in chunks, amended."""
    ticket = {"changeRequest": {"id": "TP-3", "type": "jira"}}
    bodies = [
        record("start", "09:00:00", activity="build", environment="ci", instance=None),
        record("finish", "09:05:00", activity="build", environment="ci", instance=None),
        record("start", "09:30:00", extensions=ticket),
        record("finish", "09:32:00", result="failure", extensions=ticket),
        record("start", "10:30:00"),
        record("finish", "10:32:00"),
        record("finish", "10:40:00", activity="smoke-test", version=None),
        record("start", "11:00:00", activityName="error rate", activityType="alarm", activity=None),
        record(
            "finish", "11:20:00", activityName="error rate", activityType="alarm", activity=None
        ),
        activity(**RELEASE, events=[moment("start", "12:00:00")]),
        activity(events=[moment("finish", "12:10:00")]),
        activity(result="failure"),
        activity(artifacts=[{"namespace": "shop", "name": "pay", "version": "1.9.1"}]),
        record("start", "13:00:00", correlationId="c-9"),
        record("finish", "13:09:00", correlationId="c-9", result="failure"),
        record("finish", "13:08:00", correlationId="c-9"),
    ]
    return [post("/plyzen", body, minutes) for minutes, body in enumerate(bodies)]


# -- em-metrics --------------------------------------------------------------------------------


def deployment(identifier: str = "77", **changes: Any) -> dict[str, Any]:
    return {
        "id": identifier,
        "project_id": "acme/shop",
        "first_commit_at": stamp("08:00:00"),
        "deploy_start_at": stamp("10:00:00"),
        **changes,
    }


def emmetrics_story() -> list[Inbound]:
    """Deploys told in two calls and in one, an incident of the first, two pull requests."""
    standalone = {name: value for name, value in deployment().items() if name != "id"}
    calls = [
        ("/deployments", deployment()),
        ("/deployments/77/deployed", {"create_if_not_exists": False, **_at("deployed_at")}),
        ("/deployments/78/deployed", {"create_if_not_exists": True, **standalone}),
        (
            "/incidents",
            {
                "id": "i-1",
                "project_id": "acme/shop",
                "deployment_id": "77",
                "started_at": stamp("10:20:00"),
            },
        ),
        ("/incidents/i-1/restored", {"date": stamp("10:50:00")}),
        ("/incidents/i-1/finished", {"date": stamp("11:30:00")}),
        (
            "/pull-requests",
            {
                "id": "34",
                "team_id": "web",
                "opened_at": stamp("08:30:00"),
                "additions": 12,
                "deletions": 3,
            },
        ),
        (
            "/pull-requests/34/reviewed",
            {"reviewed_at": stamp("09:00:00"), "approved": True, "nb_comments": 2},
        ),
        ("/pull-requests/34/merged", {"merged_at": stamp("09:30:00")}),
        ("/pull-requests", {"id": "35", "team_id": "web", "opened_at": stamp("08:31:00")}),
        ("/pull-requests/35/closed", {"closed_at": stamp("09:31:00")}),
    ]
    return [post(path, body, minutes) for minutes, (path, body) in enumerate(calls)]


def _at(name: str) -> dict[str, str]:
    return {name: stamp("10:10:00")}


# -- CDEvents ----------------------------------------------------------------------------------

CD_SOURCE = "/ci/acme"
CHAIN = "4c8cb7dd-3448-41de-8768-eec704e2829b"
PURL = "pkg:oci/cart@sha256%3A0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427"


def cdevent(
    kind: str,
    identifier: str,
    clock: str,
    content: dict[str, Any] | None = None,
    **context: Any,
) -> dict[str, Any]:
    """A CDEvent of `subject.predicate`."""
    subject = kind.partition(".")[0]
    return {
        "context": {
            "version": "0.4.1",
            "id": f"{kind}-{identifier}-{clock}",
            "source": CD_SOURCE,
            "type": f"dev.cdevents.{kind}.0.3.0",
            "timestamp": stamp(clock),
            "chainId": CHAIN,
            **context,
        },
        "subject": {
            "id": identifier,
            "source": CD_SOURCE,
            "type": subject,
            "content": content or {},
        },
    }


def binary(event: dict[str, Any]) -> Inbound:
    """A CDEvent as a CloudEvent in binary mode."""
    context, subject = event["context"], event["subject"]
    return post(
        "/cdevents",
        event,
        ce_id=context["id"],
        ce_source=context["source"],
        ce_type=context["type"],
        ce_subject=subject["id"],
        ce_time=context["timestamp"],
        ce_specversion="1.0",
    )


def structured(event: dict[str, Any]) -> dict[str, Any]:
    """A CDEvent as a CloudEvent in structured mode."""
    context = event["context"]
    return {
        "specversion": "1.0",
        "id": context["id"],
        "source": context["source"],
        "type": context["type"],
        "time": context["timestamp"],
        "subject": event["subject"]["id"],
        "datacontenttype": "application/json",
        "data": event,
    }


def cd_story() -> list[dict[str, Any]]:
    """From a ticket to an incident, one delivery."""
    repository = {"repository": {"id": "acme/cart", "source": "/git"}}
    pipeline = {"pipelineName": "ship cart", "uri": "https://ci.example/run/1"}
    service = {"environment": {"id": "production"}, "artifactId": PURL}
    incident = {
        "description": "HTTP 500",
        "environment": {"id": "production"},
        "service": {"id": "cart"},
        "artifactId": PURL,
    }
    run = {"pipelineRun": {"id": "run-1", "source": CD_SOURCE}}
    return [
        cdevent("ticket.created", "TP-3", "08:00:00", {"summary": "Slow cart", "creator": "ann"}),
        cdevent("change.created", "34", "08:10:00", {"description": "Closes #12", **repository}),
        cdevent("change.reviewed", "34", "08:40:00", repository),
        cdevent("change.merged", "34", "09:00:00", repository),
        cdevent("pipelinerun.queued", "run-1", "09:00:05", pipeline),
        cdevent("pipelinerun.started", "run-1", "09:00:15", pipeline),
        cdevent("build.queued", "b-1", "09:00:16"),
        cdevent("build.started", "b-1", "09:00:20"),
        cdevent("build.finished", "b-1", "09:05:00", {"artifactId": PURL}),
        cdevent("taskrun.started", "t-1", "09:05:01", {"taskName": "unit", **run}),
        cdevent("taskrun.finished", "t-1", "09:06:00", {"outcome": "failure", **run}),
        cdevent("testsuiterun.started", "ts-1", "09:06:00", {"testSuite": {"id": "smoke"}}),
        cdevent("testsuiterun.finished", "ts-1", "09:07:00", {"outcome": "success"}),
        cdevent("testcaserun.skipped", "tc-1", "09:06:30", {"testCase": {"id": "slow one"}}),
        cdevent("artifact.published", PURL, "09:08:00"),
        cdevent("pipelinerun.finished", "run-1", "09:09:00", {**pipeline, "outcome": "success"}),
        cdevent("service.deployed", "cart", "09:10:00", service),
        cdevent("service.upgraded", "cart", "09:50:00", service),
        cdevent("incident.detected", "i-1", "10:00:00", incident),
        cdevent("incident.resolved", "i-1", "10:30:00", {"description": "Rolled back"}),
        cdevent("service.rolledback", "cart", "10:29:00", service),
        cdevent("ticket.closed", "TP-3", "11:00:00", {"resolution": "completed"}),
        cdevent("approval.created", "a-1", "09:02:00", {"description": "Ship?"}),
        cdevent("approval.closed", "a-1", "09:04:00", {"decision": "approved"}),
    ]


def cdevents_story() -> list[Inbound]:
    """The story in each of the modes in turn."""
    found = []
    for position, event in enumerate(cd_story()):
        if position % 3 == 0:
            found.append(binary(event))
        elif position % 3 == 1:
            found.append(post("/cdevents", structured(event)))
        else:
            found.append(post("/cdevents", event))
    return found


# -- OTLP --------------------------------------------------------------------------------------


def nanos(clock: str) -> str:
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    midnight = 1_772_409_600  # 2 March 2026
    return str((midnight + hours * 3600 + minutes * 60 + seconds) * 1_000_000_000)


def attribute(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"key": name, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": name, "value": {"intValue": str(value)}}
    if isinstance(value, float):
        return {"key": name, "value": {"doubleValue": value}}
    if isinstance(value, list):
        values = [{"stringValue": item} for item in value]
        return {"key": name, "value": {"arrayValue": {"values": values}}}
    return {"key": name, "value": {"stringValue": value}}


def otlp_span(
    identifier: str = ROOT,
    parent: str = "",
    start: str = "10:00:00",
    end: str = "10:05:00",
    attributes: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    return {
        "traceId": TRACE,
        "spanId": identifier,
        **({"parentSpanId": parent} if parent else {}),
        "name": "run",
        "kind": 1,
        "startTimeUnixNano": nanos(start),
        **({"endTimeUnixNano": nanos(end)} if end else {}),
        "attributes": [attribute(name, value) for name, value in (attributes or {}).items()],
        "status": {},
        **more,
    }


RESOURCE = {
    "service.name": "cart",
    "vcs.repository.url.full": "https://github.com/Acme/Cart",
    "vcs.ref.head.revision": SHA,
    "vcs.ref.head.name": "feature/cache",
}


def otlp(*spans: Any, resource: dict[str, Any] | None = None) -> dict[str, Any]:
    attributes = [attribute(n, v) for n, v in (RESOURCE if resource is None else resource).items()]
    scope = {"scope": {"name": "ci"}, "spans": list(spans)}
    return {"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [scope]}]}


def otlp_story() -> list[Inbound]:
    """A pipeline with a job that failed and a deploy; the job's span comes as open first."""
    pipeline = {"cicd.pipeline.name": "ship", "cicd.pipeline.run.id": "7", "vs.n": 3}
    job = {"cicd.pipeline.task.name": "unit", "cicd.pipeline.task.type": "test", "ok": False}
    deploy = {
        "deployment.id": "d-1",
        "deployment.environment.name": "production",
        "service.version": "1.2.0",
        "tags": ["a", "b"],
        "ratio": 0.5,
    }
    link = {"traceId": "1" * 32, "spanId": "2" * 16}
    spans = [
        otlp_span(attributes=pipeline),
        otlp_span(CHILD, ROOT, "10:01:00", "", job),
        otlp_span(CHILD, ROOT, "10:01:00", "10:03:00", job, status={"code": 2}),
        otlp_span("a" * 16, ROOT, "10:03:00", "10:05:00", deploy, links=[link]),
    ]
    return [post("/v1/traces", otlp(span), content_type="application/json") for span in spans]
