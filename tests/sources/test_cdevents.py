"""CDEvents: the three modes of CloudEvents, outcomes, links and chains."""

from __future__ import annotations

import base64
import json

import pytest

from tests.sources.api_payloads import (
    CD_SOURCE,
    CHAIN,
    PURL,
    binary,
    cd_story,
    cdevent,
    post,
    structured,
)
from tests.sources.webhook_tools import (
    RECEIVED,
    answers,
    at,
    fold_all,
    fold_deliveries,
    offered,
    real_bodies,
    sought,
)
from vs_tui.model.vocabulary import Event, State, Status, Verdict
from vs_tui.sources.base import BadBody, Inbound, Parsed, Unauthorized, Unreadable
from vs_tui.sources.cdevents import SOURCE

RUN = "vstrace-cdevents-pipelinerun-ci/acme-run-1"


def parse(body) -> Parsed:
    return SOURCE.parse(post("/cdevents", body))


def one(*args, **context) -> Event:
    *_, event = parse(cdevent(*args, **context)).events
    return event


def span_of(*bodies):
    (folded,) = fold_deliveries([parse(body) for body in bodies]).values()
    return folded.span


# -- modes -------------------------------------------------------------------------------------


def test_every_mode_says_the_same():
    event = cdevent("build.started", "b-1", "09:00:20")
    encoded = base64.b64encode(json.dumps(event).encode()).decode()
    in_base64 = {k: v for k, v in structured(event).items() if k != "data"}
    in_base64["data_base64"] = encoded
    plain = parse(event)
    assert SOURCE.parse(binary(event)) == plain
    assert parse(structured(event)) == plain
    assert parse(in_base64) == plain
    assert list(parse([structured(event)]).events) == list(plain.events)


def test_a_subject_may_be_spread_over_the_headers():
    event = cdevent("build.started", "b-1", "09:00:20")
    inbound = binary(event)
    content = Inbound("/cdevents", inbound.headers, b"{}", RECEIVED)
    found, whole = SOURCE.parse(content).events[0], parse(event).events[0]
    assert (found.key, found.state, found.occurred_at) == (whole.key, whole.state, at("09:00:20"))
    as_data = structured(event) | {"data": {}}
    assert parse(as_data).events[0].key == whole.key


def test_a_batch_keeps_what_it_can_use():
    batch = [
        cdevent("build.started", "b-1", "09:00:20"),
        cdevent("environment.created", "e", "09:00:00"),
        structured(cdevent("build.finished", "b-1", "09:05:00")),
    ]
    parsed = parse(batch)
    assert (parsed.kind, parsed.verdict, len(parsed.events)) == ("batch", Verdict.ACCEPTED, 2)


@pytest.mark.parametrize("batch", [[], [cdevent("environment.created", "e", "09:00:00")]])
def test_a_batch_of_nothing_is_ignored(batch):
    parsed = parse(batch)
    assert parsed.verdict is Verdict.IGNORED
    assert parsed.reason


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "context"),
        ({"context": None}, "context.type"),
        ({"context": {}}, "context.type"),
        ([1], "0"),
        ([cdevent("build.started", "b", "09:00:00"), "x"], "1"),
        ({"data_base64": "%%"}, "data_base64"),
        ({"data_base64": "bm90IGpzb24="}, "data_base64"),
        ([{}] * 1001, "body"),
        (7, "body"),
    ],
)
def test_what_is_no_cloudevent_is_a_bad_body(body, field):
    with pytest.raises(BadBody) as refusal:
        parse(body)
    assert refusal.value.field == field


def test_one_unreadable_event_costs_no_other_of_its_batch():
    good, bad = (cdevent("build.started", "b", "09:00:00") for _ in range(2))
    bad["subject"]["id"] = ""
    parsed = parse([good, bad])
    assert parsed.events == parse([good]).events
    assert parsed.reason.startswith("left out 1: dev.cdevents.build.started")
    with pytest.raises(Unreadable, match=r"subject\.id"):
        parse([bad])


@pytest.mark.parametrize(
    "kind",
    ["environment.created", "repository.deleted", "branch.created", "service.removed", "x.y"],
)
def test_what_says_nothing_of_a_delivery_is_ignored(kind):
    parsed = parse(cdevent(kind, "x", "09:00:00"))
    assert (parsed.verdict, parsed.events) == (Verdict.IGNORED, ())
    assert kind in parsed.reason


def test_types_of_others_are_ignored():
    event = cdevent("build.started", "b", "09:00:00", type="com.example.build.started.1.0.0")
    assert parse(event).verdict is Verdict.IGNORED


def test_repeats_are_told_by_source_id_and_type():
    first, second = (binary(cdevent("build.started", name, "09:00:00")) for name in ("b-1", "b-2"))
    assert SOURCE.dedupe_key(first) == SOURCE.dedupe_key(first)
    assert SOURCE.dedupe_key(first) != SOURCE.dedupe_key(second)
    assert SOURCE.dedupe_key(post("/cdevents", cdevent("build.started", "b", "09:00:00"))) == ""


def test_it_proves_itself_by_the_token_only():
    with pytest.raises(Unauthorized, match="token"):
        SOURCE.verify(post("/cdevents", {}), [b"x"])


# -- spans -------------------------------------------------------------------------------------


def test_a_pipeline_run_queues_and_runs():
    events = [
        cdevent("pipelinerun.queued", "run-1", "09:00:05", {"pipelineName": "ship"}),
        cdevent("pipelinerun.started", "run-1", "09:00:15", {"pipelineName": "ship"}),
        cdevent("pipelinerun.finished", "run-1", "09:09:00", {"outcome": "success"}),
    ]
    (folded,) = fold_deliveries([parse(event) for event in events]).values()
    assert [(s.name, s.started_at, s.ended_at) for s in folded.stages] == [
        ("queued", at("09:00:05"), at("09:00:15")),
        ("running", at("09:00:15"), at("09:09:00")),
    ]
    assert (folded.span.key, folded.span.status) == (RUN, Status.OK)
    assert folded.span.attributes["cicd.pipeline.name"] == "ship"
    assert folded.span.attributes["cicd.pipeline.result"] == "success"


@pytest.mark.parametrize(
    ("kind", "content", "status", "error"),
    [
        ("pipelinerun.finished", {"outcome": "failure"}, Status.ERROR, "failure"),
        ("pipelinerun.finished", {"outcome": "error"}, Status.ERROR, "error"),
        ("pipelinerun.finished", {"outcome": "cancel"}, Status.CANCELLED, ""),
        ("pipelinerun.finished", {}, Status.OK, ""),
        ("taskrun.finished", {"outcome": "FAILURE"}, Status.ERROR, "failure"),
        ("testsuiterun.finished", {"outcome": "failure"}, Status.ERROR, "failure"),
        ("testcaserun.skipped", {}, Status.CANCELLED, ""),
        ("build.finished", {}, Status.OK, ""),
        ("change.merged", {}, Status.OK, ""),
        ("change.abandoned", {}, Status.CANCELLED, ""),
        ("ticket.closed", {"resolution": "completed"}, Status.OK, ""),
        ("ticket.closed", {"resolution": "withdrawn"}, Status.CANCELLED, ""),
        ("incident.resolved", {}, Status.OK, ""),
        ("approval.closed", {"decision": "rejected"}, Status.CANCELLED, ""),
        ("approval.created", {}, Status.IN_FLIGHT, ""),
        ("incident.reported", {}, Status.IN_FLIGHT, ""),
    ],
)
def test_outcomes(kind, content, status, error):
    span = span_of(cdevent(kind, "x", "09:00:00", content))
    assert (span.status, span.error) == (status, error)


def test_each_deploy_of_a_service_is_a_span():
    content = {"environment": {"id": "production"}, "artifactId": PURL}
    first = one("service.deployed", "cart", "09:10:00", content)
    second = one("service.upgraded", "cart", "09:50:00", content)
    back = one("service.rolledback", "cart", "10:29:00", content)
    assert len({first.key, second.key, back.key}) == 3
    assert (first.operation, first.service, first.environment) == ("deploy", "cart", "production")
    assert first.name == "cart to production"
    assert back.attributes["vs.task"] == "rollback"
    assert "vs.task" not in second.attributes


def test_the_same_id_of_two_senders_is_two_spans():
    one_, other = (cdevent("build.started", "b-1", "09:00:00") for _ in range(2))
    other["subject"]["source"] = "/ci/other"
    assert len(fold_deliveries([parse(one_), parse(other)])) == 2


# -- correlation -------------------------------------------------------------------------------


def test_links_name_the_parent_or_only_connect():
    parent = one("change.merged", "34", "09:00:00")
    trigger = {"linkType": "RELATION", "linkKind": "TRIGGER"}
    other = {"linkType": "RELATION", "linkKind": "SOMETHING"}
    path = {"linkType": "PATH", "from": {"contextId": "change.merged-34-09:00:00"}}
    target = {"target": {"contextId": "change.merged-34-09:00:00"}}
    child = one("pipelinerun.queued", "r", "09:00:05", links=[trigger | target], chainId=None)
    assert answers(child, parent) == {"explicit"}
    assert not child.seeks[0].link_only
    linked = one("pipelinerun.queued", "r", "09:00:05", links=[other | target], chainId=None)
    assert linked.seeks[0].link_only
    begun = one("pipelinerun.started", "r", "09:00:05", links=[path], chainId=None)
    assert answers(begun, parent) == {"explicit"}
    # A path to an end says what came before the end, not what the span is below.
    ended = one("pipelinerun.finished", "r", "09:09:00", links=[path], chainId=None)
    assert not ended.seeks


def test_a_task_is_below_the_run_its_content_names():
    run = one("pipelinerun.started", "run-1", "09:00:15")
    content = {"pipelineRun": {"id": "run-1", "source": CD_SOURCE}}
    assert "structure" in answers(one("taskrun.started", "t", "09:05:01", content), run)
    same_source = {"pipelineRun": {"id": "run-1"}}
    assert "structure" in answers(one("taskrun.started", "t", "09:05:01", same_source), run)


def test_a_chain_hangs_together_from_the_top():
    ticket, change = (
        one("ticket.created", "TP-3", "08:00:00"),
        one("change.merged", "34", "09:00:00"),
    )
    build, deploy = one("build.started", "b", "09:00:16"), one("service.deployed", "c", "09:10:00")
    assert answers(change, ticket) == {"hierarchy"}
    assert answers(build, change) == answers(deploy, build) == {"hierarchy"}
    assert answers(ticket, change) == set()
    assert ("hierarchy", "chain", CHAIN, "change") in sought(build)


def test_versions_connect_what_names_the_same_artifact():
    content = {"environment": {"id": "production"}, "artifactId": PURL}
    build = one("build.finished", "b", "09:05:00", {"artifactId": PURL}, chainId=None)
    deploy = one("service.deployed", "cart", "09:10:00", content, chainId=None)
    broken = {**content, "service": {"id": "cart"}}
    incident = one("incident.detected", "i", "10:00:00", broken, chainId=None)
    assert answers(deploy, build) == {"version"}
    assert answers(incident, deploy) == {"version"}
    repaired = one("incident.resolved", "i", "10:30:00", broken, chainId=None)
    assert answers(repaired, deploy) == set()
    assert repaired.attributes["vs.resolved_version"].startswith("sha256:")


def test_a_change_and_a_ticket_offer_their_names():
    repository = {"repository": {"id": "Acme/Cart"}}
    change = one("change.created", "34", "08:10:00", {"description": "Fixes #12", **repository})
    assert ("change", "34", "acme/cart") in offered(change)
    assert ("closes", "issue", "12", "acme/cart") in sought(change)
    ticket = one("ticket.created", "TP-3", "08:00:00")
    assert ("issue_key", "TP-3", "") in offered(ticket)


def test_an_end_whose_beginning_was_not_heard_has_its_id_as_name():
    merged = cdevent("change.merged", "34", "09:00:00")
    assert span_of(merged).name == "34"
    created = cdevent("change.created", "34", "08:10:00", {"description": "Cache carts"})
    for bodies in ((merged, created), (created, merged)):
        assert span_of(*bodies).name == "Cache carts"


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        (PURL, "cart@0b31b1c02ff4"),
        ("pkg:golang/git.example/acme/cart@1.4.0", "cart@1.4.0"),
        ("pkg:oci/cart", "cart"),
        ("cart-1.4.0.jar", "cart-1.4.0.jar"),
    ],
)
def test_an_artifact_is_called_as_people_say_it(identifier, name):
    assert one("artifact.published", identifier, "09:08:00").name == name


def test_a_test_has_the_page_and_the_id_of_its_case():
    case = {"testCase": {"id": "login", "uri": "https://tests.example/login"}}
    event = one("testcaserun.started", "r-1", "09:06:00", case)
    assert (event.name, event.url) == ("login", "https://tests.example/login")


def test_the_whole_story():
    found = fold_deliveries([parse(event) for event in cd_story()])
    operations = sorted(folded.span.operation for folded in found.values())
    assert operations.count("deploy") == 3
    assert {"issue", "pull_request", "pipeline", "build", "test", "release", "incident"} <= set(
        operations
    )
    assert [f.span.name for f in found.values() if f.span.in_flight] == []


def test_no_time_is_the_time_of_arrival():
    event = cdevent("build.started", "b", "09:00:00", timestamp=None)
    assert parse(event).events[0].occurred_at == RECEIVED
    assert parse(event).events[0].state is State.RUNNING


@pytest.mark.parametrize(("header", "value", "path"), real_bodies("cdevents"))
def test_real_bodies_parse(header, value, path):
    body = path.read_bytes()
    parsed = SOURCE.parse(Inbound("/cdevents", {header: value}, body, RECEIVED))
    assert parsed.events or parsed.reason
    assert all(f.span.name for f in fold_all(parsed.events).values())
