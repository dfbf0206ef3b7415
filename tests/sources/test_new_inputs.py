"""Further inputs of the kinds of fault that were seen in the field, by other tools and orders."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import Any

import pytest

from tests.ingest.bodies import honest
from tests.sources import deploy_payloads as dp
from tests.sources import github_payloads as gh
from tests.sources import gitlab_payloads as gl
from tests.sources import jenkins_payloads as jk
from tests.sources import jira_payloads as ji
from tests.sources import ticket_payloads as tk
from tests.store.tracing import (
    World,
    from_github,
    from_gitlab,
    from_jenkins,
    from_jira,
    posted,
    sent,
)
from vs_tui.log.delivery import Intake
from vs_tui.metrics.rules import DEFAULT_RULES, is_production
from vs_tui.model.teams import Environments
from vs_tui.model.vocabulary import Verdict
from vs_tui.sources import cdevents, github, jira
from vs_tui.sources.base import Inbound, Source
from vs_tui.sources.dispatch import read, sources
from vs_tui.store.folding.span_folding import load_spans


def tekton(kind: str, name: str, **status) -> object:
    what = "taskRun" if kind.startswith("taskrun") else "pipelineRun"
    labels = {"tekton.dev/pipelineRun": "ship-x"} if what == "taskRun" else {}
    metadata = {"name": name, "namespace": "ci", "labels": labels}
    body = {
        "specversion": "1.0",
        "id": f"{kind}-{name}",
        "source": "/apis/ns",
        "type": f"dev.tekton.event.{kind}.v1",
        "time": "2026-03-02T10:05:00Z",
        "data": {what: {"metadata": metadata, "status": status}},
    }
    headers = {"content-type": "application/cloudevents+json"}
    return sent(cdevents.SOURCE, Inbound("/cdevents", headers, json.dumps(body).encode(), 1))


def test_a_cancelled_tekton_task_is_cancelled_below_its_run() -> None:
    cancelled = [{"type": "Succeeded", "status": "False", "reason": "TaskRunCancelled"}]
    times = {"startTime": "2026-03-02T10:00:00Z", "completionTime": "2026-03-02T10:01:00Z"}
    deliveries = [
        tekton("pipelinerun.started", "ship-x", startTime=times["startTime"]),
        tekton("taskrun.failed", "unit-1", conditions=cancelled, **times),
    ]
    for order in permutations(deliveries):
        world = World().deliver(*order)
        statuses = dict(world.db.execute("SELECT operation, status FROM spans"))
        assert statuses == {"pipeline": "in_flight", "build": "cancelled"}
        assert len(set(world.parents().values())) == 2


@pytest.mark.parametrize(("result", "status"), [("FAILURE", "error"), ("ABORTED", "cancelled")])
def test_a_verdict_of_jenkins_beats_an_end_without_one(result, status) -> None:
    deliveries = [
        from_jenkins(jk.notification("STARTED", "10:00:00")),
        from_jenkins(jk.notification("COMPLETED", "10:05:00", None)),
        from_jenkins(jk.notification("FINALIZED", "10:05:10", result)),
    ]
    expected = World().deliver(*deliveries).rows()
    for order in permutations(deliveries):
        world = World().deliver(*order)
        assert world.rows() == expected
        sql = "SELECT status FROM spans WHERE operation = 'build'"
        assert world.db.execute(sql).fetchall() == [(status,)]


@pytest.mark.parametrize(
    ("source", "headers", "body"),
    [
        (github.SOURCE, {"x-github-event": "issues"}, gh.issue("opened")),
        (jira.SOURCE, {}, ji.issue("created")),
    ],
)
@pytest.mark.parametrize("half", [rb"\ud83d", rb"\udc00", rb"\uD83D\u0041"])
def test_half_an_emoji_in_a_title_costs_nothing(source, headers, body, half) -> None:
    raw = json.dumps(body).encode()
    raw = raw.replace(b"Invoices", b"Inv" + half, 1).replace(b"Cache", b"C" + half, 1)
    assert half in raw
    parsed = read(source, Inbound(source.paths[0], headers, raw, 1))
    assert parsed.verdict is Verdict.ACCEPTED
    assert any("\ufffd" in event.name for event in parsed.events)


def test_odd_jobs_cost_no_gitlab_pipeline() -> None:
    jobs = [gl.build(900, "success", "10:30:00", "10:31:00", "10:32:00"), "text", None, {"id": "x"}]
    world = World().deliver(from_gitlab(gl.pipeline("failed", "10:40:00", jobs)))
    found = dict(world.db.execute("SELECT operation, status FROM spans WHERE derived = 0"))
    assert found == {"pipeline": "error", "build": "ok"}


def test_a_grafana_alert_whose_start_is_its_end_restores_the_open_one() -> None:
    def alert(status: str, start: str, end: str = "0001-01-01T00:00:00Z") -> object:
        told = {"status": status, "fingerprint": "f", "startsAt": start, "endsAt": end}
        labels = {"alertname": "Slow", "service": "cart"}
        return posted("grafana", {"version": "1", "alerts": [{**told, "labels": labels}]})

    end = "2026-03-02T10:20:00Z"
    deliveries = [alert("firing", "2026-03-02T10:00:00Z"), alert("resolved", end, end)]
    for order in permutations(deliveries):
        world = World().deliver(*order)
        assert world.db.execute("SELECT status FROM spans").fetchall() == [("ok",)]


def told(source: str, body: object, **headers: str) -> list[str]:
    """The readable refs of what a body makes."""
    return [event.full_ref or event.ref for event in posted(source, body, **headers).events]


def test_a_repository_without_its_full_name_is_named_by_its_owner() -> None:
    repository = {"name": "api", "owner": {"login": "acme"}, "default_branch": "main"}
    status = gh.status("success", "10:00:00") | {"repository": repository}
    (ref,) = told("github", status, **{"x-github-event": "status"})
    assert ref.startswith("vstrace-github-status-acme/api-")
    push = gh.push() | {"repository": {"name": "api", "owner": {"username": "acme"}}}
    (ref,) = told("gitea", push, **{"x-gitea-event": "push"})
    assert ref.startswith("vstrace-gitea-push-acme/api-")


def test_a_number_beside_the_change_is_its_number() -> None:
    body = gh.pull("opened")
    body["pull_request"].pop("number")
    body["number"] = 34
    for source in ("github", "gitea"):
        headers = {f"x-{source}-event": "pull_request"}
        assert told(source, body, **headers) == [f"vstrace-{source}-pull_request-acme/api-34"]


def test_a_comment_on_a_change_is_no_review() -> None:
    """Gitea calls both `pull_request_comment`; a review carries the change."""
    comment = gh.issue("created") | {"comment": {"id": 1}, "is_pull": True}
    parsed = posted("gitea", comment, **{"x-gitea-event": "pull_request_comment"})
    assert parsed.verdict is Verdict.IGNORED


def test_a_merge_request_without_project_is_of_the_project_it_goes_to() -> None:
    """GitLab before version 8."""
    body = gl.merge_request("merge")
    project = body.pop("project")
    target = {name: project[name] for name in ("path_with_namespace", "web_url")}
    body["object_attributes"] |= {"target": target, "target_project_id": project["id"]}
    now, before = (posted("gitlab", b).events[0].key for b in (gl.merge_request("merge"), body))
    assert now == before


def first_edition(kind: str, number: int, clock: str, **attributes: str) -> Intake:
    """A CDEvent of before 0.1 in binary mode: all its fields are headers."""
    told = {"id": str(number), "type": f"cd.{kind}.v1", "source": "/ci", "specversion": "1.0"}
    named = told | {"time": gh.stamp(clock)} | attributes
    return posted("cdevents", {}, **{f"ce-{name}": value for name, value in named.items()})


def test_cdevents_of_before_version_0_1_make_the_same_tree() -> None:
    deliveries = [
        first_edition("pipelinerun.started", 1, "10:00:00", pipelinerunid="p1"),
        first_edition("taskrun.finished", 2, "10:02:00", taskrunid="t1", taskrunpipelineid="p1"),
        first_edition(
            "artifact.published", 3, "10:03:00", artifactname="cart", artifactversion="1.2"
        ),
        first_edition(
            *("service.deployed", 4, "10:04:00"),
            **{"servicename": "cart", "serviceenvid": "production", "serviceversion": "1.2"},
        ),
        first_edition(
            *("pipelinerun.finished", 5, "10:05:00"),
            **{"pipelinerunid": "p1", "pipelinerunname": "ship", "pipelinerunstatus": "failed"},
        ),
        first_edition("repository.created", 6, "10:06:00", repositoryid="r"),
    ]
    expected = World().deliver(*deliveries).rows()
    world = World().deliver(*deliveries[::-1])
    assert world.rows() == expected
    assert world.parents() == {
        "cdevents-pipelinerun-p1": "",
        "cdevents-taskrun-t1": "cdevents-pipelinerun-p1",
        "cdevents-artifact-pkg:generic/cart@1.2": "",
        "cdevents-service-cart/4": "cdevents-artifact-pkg:generic/cart@1.2",
    }
    sql = "SELECT name, status FROM spans WHERE operation = 'pipeline'"
    assert world.db.execute(sql).fetchall() == [("ship", "error")]


def test_a_structured_cdevent_of_before_version_0_1() -> None:
    told = {"pipelinerunid": "pipe1", "pipelinerunname": "Ship", "pipelinerunstatus": "Finished"}
    body = {"specversion": "1.0", "id": "9", "source": "cli", "time": gh.stamp("10:00:00")}
    (event,) = posted("cdevents", body | told | {"type": "cd.pipelinerun.finished.v1"}).events
    assert (event.name, event.state.name) == ("Ship", "OK")


def _lists(found: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all lists in a body."""
    if isinstance(found, list):
        yield path
    entries = found.items() if isinstance(found, dict) else enumerate(found)
    for name, value in entries:
        if isinstance(value, dict | list):
            yield from _lists(value, (*path, name))


@pytest.mark.parametrize("odd", [None, "text", 7, {}, [], {"id": None, "name": {}}], ids=repr)
def test_one_odd_entry_of_any_list_costs_nothing_else(odd) -> None:
    """In the bodies of every source."""

    def spans(source: Source, path: str, headers: Mapping[str, str], body: Any) -> set[str]:
        raw = json.dumps(body).encode()
        parsed = read(source, Inbound(path, {k.lower(): v for k, v in headers.items()}, raw, 1))
        assert parsed.verdict is Verdict.ACCEPTED, (source.name, parsed.reason)
        return {event.key for event in parsed.events}

    tried = set()
    for name, source in sources().items():
        for path, headers, body in honest(name)[:4]:
            if not isinstance(body, dict | list):
                continue
            for place in _lists(body):
                mended = copy.deepcopy(body)
                found = mended
                for part in place:
                    found = found[part]
                expected = spans(source, path, headers, mended)
                found.insert(0, odd)
                assert spans(source, path, headers, mended) >= expected, (name, place)
                tried.add(name)
    assert len(tried) > 15


def _in_every_order(*deliveries: Intake) -> World:
    expected = World().deliver(*deliveries)
    for order in permutations(deliveries):
        assert World().deliver(*order).rows() == expected.rows()
    return expected


def github_job(clock: str, conclusion: str | None) -> Intake:
    end = {"completed_at": gh.stamp(clock)}
    return from_github("workflow_job", gh.job("completed", conclusion=conclusion, **end))


def gitea_run(clock: str, conclusion: str | None) -> Intake:
    body = gh.run("completed", clock, conclusion=conclusion)
    return posted("gitea", body, **{"x-gitea-event": "workflow_run"})


def github_check(clock: str, conclusion: str | None) -> Intake:
    end = {"status": "completed", "completed_at": gh.stamp(clock)}
    return from_github("check_run", gh.check_run("completed", conclusion=conclusion, **end))


def azure_run(clock: str, result: str | None) -> Intake:
    word = {"success": "succeeded", "failure": "failed"}.get(result or "", "none")
    return posted("azure", dp.azure_run(clock, "completed", word, finishedDate=gh.stamp(clock)))


@pytest.mark.parametrize("end", [github_job, gitea_run, github_check, azure_run])
@pytest.mark.parametrize(("verdict", "status"), [("success", "ok"), ("failure", "error")])
def test_an_end_without_a_verdict_holds_until_one_is_told(end, verdict, status) -> None:
    sql = "SELECT status FROM spans WHERE derived = 0 AND operation IN ('build', 'pipeline')"
    alone = World().deliver(end("10:35:00", None))
    assert alone.db.execute(sql).fetchone() == ("cancelled",)
    world = _in_every_order(end("10:35:00", None), end("10:35:05", verdict))
    assert world.db.execute(sql).fetchone() == (status,)


def incident_at(world: World) -> list[tuple[str, bool]]:
    keys = [key for (key,) in world.db.execute("SELECT key FROM spans WHERE derived = 0")]
    found = load_spans(world.db, keys).values()
    return [(span.operation, bool(DEFAULT_RULES.incident_at(span))) for span in found]


def labelled(kind: str) -> Intake:
    """An issue that people call an incident, as each tool lets them."""
    if kind in ("github", "gitea"):
        body = gh.issue("opened", labels=[{"name": "Incident"}])
        return posted(kind, body, **{f"x-{kind}-event": "issues"})
    if kind == "github type":
        return from_github("issues", gh.issue("opened", type={"name": "Incident"}))
    if kind == "gitlab":
        return from_gitlab(gl.issue("open") | {"labels": [{"title": "incident"}]})
    if kind == "gitlab type":
        return from_gitlab(gl.issue("open", kind="work_item", type="Incident"))
    if kind.startswith("jira"):
        body = ji.issue("created")
        label = kind == "jira label"
        body["issue"]["fields"] |= (
            {"labels": ["Incident"]} if label else {"issuetype": {"name": "[System] Incident"}}
        )
        return from_jira(body)
    if kind == "linear":
        body = tk.linear("create")
        body["data"]["labels"] = [{"name": "Incident"}]
        return posted("linear", body)
    more = {"System.Tags": "web; Incident"} if kind == "azure" else {}
    body = dp.azure_item("created", "09:00:00")
    body["resource"]["fields"] |= more or {"System.WorkItemType": "Incident"}
    return posted("azure", body)


@pytest.mark.parametrize(
    "kind",
    [
        *("github", "github type", "gitea", "gitlab", "gitlab type", "jira label", "jira type"),
        *("linear", "azure", "azure type"),
    ],
)
def test_what_people_call_an_incident_counts_as_one(kind) -> None:
    ((operation, counts),) = incident_at(World().deliver(labelled(kind)))
    assert counts, operation


def jenkins_in(folder: str) -> Intake:
    return from_jenkins(jk.end(fullJobName=f"{folder}/build", jobName="build"))


def notified_in(folder: str) -> Intake:
    body = jk.notification("FINALIZED", "10:35:10", "SUCCESS")
    body["url"] = f"job/{folder}/job/build/"
    page = f"job/{folder}/job/build/7/"
    body["build"] |= {"url": page, "full_url": f"{jk.CI}{page}"}
    return from_jenkins(body)


def argo_in(namespace: str) -> Intake:
    return posted("argocd", dp.argo(appNamespace=namespace))


def tekton_in(namespace: str) -> Intake:
    run = {"metadata": {"name": "ship-x", "namespace": namespace}, "status": {}}
    body = {"specversion": "1.0", "id": namespace, "source": "/x", "data": {"pipelineRun": run}}
    return posted("cdevents", body | {"type": "dev.tekton.event.pipelinerun.successful.v1"})


def flux_in(namespace: str) -> Intake:
    (_, _, body), *_ = honest("flux")
    body = copy.deepcopy(body)
    body["involvedObject"]["namespace"] = namespace
    return posted("flux", body)


def drone_in(owner: str) -> Intake:
    (_, _, body), *_ = honest("drone")
    body = copy.deepcopy(body)
    body["repo"] |= {"slug": f"{owner}/api", "namespace": owner}
    return posted("drone", body)


@pytest.mark.parametrize("place", [jenkins_in, notified_in, argo_in, tekton_in, flux_in, drone_in])
def test_the_whole_path_of_a_job_is_its_identity(place) -> None:
    """The same name and number in two folders, namespaces or owners."""
    one, two = (
        World().deliver(*group).db.execute("SELECT COUNT(*) FROM spans WHERE derived = 0")
        for group in ([place("shop"), place("shop")], [place("shop"), place("bank")])
    )
    assert (one.fetchone(), two.fetchone()) == ((1,), (2,))


def on_github(environment: str, production: bool) -> list[Intake]:
    told = gh.deployment(environment=environment, production_environment=production)
    body = gh.deploy_status("success", "11:40:00", {"environment": environment})
    body["deployment"] = told
    return [from_github("deployment_status", body)]


def on_gitlab(environment: str, production: bool) -> list[Intake]:
    tier = "production" if production else "staging"
    body = gl.deployment("success", "11:40:00", environment=environment, environment_tier=tier)
    return [from_gitlab(body)]


@pytest.mark.parametrize("host", [on_github, on_gitlab])
@pytest.mark.parametrize("name", ["production/eu", "live", "blue"])
def test_what_the_host_calls_production_is_production(host, name) -> None:
    for production in (True, False):
        world = World().deliver(*host(name, production))
        keys = [key for (key,) in world.db.execute("SELECT key FROM spans WHERE derived = 0")]
        (span,) = load_spans(world.db, keys).values()
        named = host is on_github and Environments().is_production(name)
        assert is_production(span, Environments()) is (production or named)
