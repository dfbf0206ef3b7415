"""What scripts ask for that there is not: a place in a list, a change feed's point, a trace."""

from __future__ import annotations

import http.client
import json
import urllib.request

import pytest

from tests.ingest.server import TOKEN, Server
from tests.ingest.test_refusals import refused
from tests.patience import PATIENCE
from vs_tui.cli.main import main

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def start(identifier: str, kind: str = "build", **more: object) -> bytes:
    return json.dumps({"type": kind, "id": identifier, "action": "start", **more}).encode()


@pytest.mark.parametrize("place", ["zzz", "-1", "1.5", "²", "9" * 19, "9" * 400])
@pytest.mark.parametrize(
    "path",
    [
        "/api/spans?cursor=",
        "/api/traces?cursor=",
        "/api/deliveries?cursor=",
        "/api/changes?since=",
        "/api/stream?since=",
    ],
)
def test_a_place_that_no_answer_told_is_400(shared, path, place) -> None:
    status, answer = shared.call(path + place.replace("²", "%C2%B2"))
    name = path.partition("?")[2].strip("=")
    refused(shared, status, answer, 400, f"{name} must be ")
    assert "that an answer before this one told" in answer["detail"]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("/api/spans?state=failed", "state: is not known here; use filter, limit, cursor"),
        ("/api/deliveries?since=2h", "since: is not known here; use filter"),
        ("/api/dora?project=acme/api", "project: is not known here; use team, since, until"),
        ("/api/teams?limit=1", "limit: is not known here; use none"),
        ("/api/stream?filter=x", "filter: is not known here; use since, brief"),
        ("/api/spans?limit=1&limit=3", "limit: is given 2 times; give it once"),
        ("/api/spans?limit=%C2%B2", "limit must be a whole number"),
        ("/api/spans?quick=true", "quick: 'true' is not known; use 1"),
        ("/api/stream?brief=yes", "brief: 'yes' is not known; use 1"),
        ("/api/cards?bucket=year", "bucket: 'year' is not known; use day, week, month"),
        ("/api/received?since=2h", "since must be a time such as"),
        ("/api/received?until=2h", "until must be a time such as"),
        ("/api/cards?at=2h", "at must be a time such as"),
        ("/api/traces?at=2026-03-02T10:00:00Z", "at: traces of a past moment"),
    ],
)
def test_what_would_be_an_answer_to_another_question_is_400(shared, target, says) -> None:
    status, answer = shared.call(target)
    refused(shared, status, answer, 400, says)


def test_what_is_not_there_is_said_by_its_name(shared) -> None:
    status, answer = shared.call("/deployments/none")
    refused(shared, status, answer, 404, "there is no such deployment")
    status, answer = shared.call("/api/nothing")
    refused(shared, status, answer, 404, "/openapi.json lists all paths")


def test_refused_requests_are_on_the_pages_of_deliveries_each_once(server: Server) -> None:
    for number in range(9):
        server.call("/customhttp", start(f"page-{number}"))
        server.call(f"/incidents/none-{number}/restored", b"{}")

    def listed() -> int:
        return len(server.call("/api/deliveries?limit=1000")[1]["items"])

    server.wait_for(lambda: listed() == 18, "the refusals")
    met, cursor = [], ""
    while not met or cursor:
        page = server.call(f"/api/deliveries?limit=4&cursor={cursor}")[1]
        met += [item["id"] for item in page["items"]]
        cursor = page["next"]
    assert len(met) == len(set(met)) == 18
    assert sum(number < 0 for number in met) == 9


def test_a_point_of_another_databases_feed_asks_to_read_again(shared) -> None:
    shared.call("/customhttp", start("feed"))
    now = shared.call("/api/changes?since=0")[1]["seq"]
    same = shared.call(f"/api/changes?since={now}")[1]
    assert (same["seq"], same["truncated"]) == (now, False)
    assert shared.call(f"/api/changes?since={now + 10_000}")[1]["truncated"] is True


@pytest.mark.parametrize("mark", ["of-another-server", "-5", "999999999"])
def test_a_stream_that_cannot_resume_asks_to_read_again(shared, mark) -> None:
    shared.call("/customhttp", start("resumed"))
    headers = {"Authorization": f"Bearer {TOKEN}", "Last-Event-ID": mark}
    request = urllib.request.Request(f"{shared.url}/api/stream", headers=headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as stream:
        line = next(line for line in stream if line.startswith(b"data:"))
    assert json.loads(line[5:])["truncated"] is True


def test_the_head_of_a_stream_ends_and_leaves_the_connection_usable(shared) -> None:
    host, _, port = shared.url.removeprefix("http://").rpartition(":")
    line = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
    line.request("HEAD", "/api/stream", headers={"Authorization": f"Bearer {TOKEN}"})
    head = line.getresponse()
    assert (head.status, head.read()) == (200, b"")
    assert head.headers["Content-Type"] == "text/event-stream"
    line.request("GET", "/healthz")
    assert line.getresponse().status == 200
    line.close()


def test_a_trace_has_the_w3c_id_that_its_spans_were_told(shared: Server) -> None:
    context = f"00-{TRACE}-00f067aa0ba902b7-01"
    shared.call("/customhttp", start("w3c-1", "pipeline", tags={"vs.traceparent": context}))
    shared.call("/customhttp", start("w3c-2", traceparent=context))

    found = shared.call(f"/api/traces/{TRACE}")[1]
    assert found["root"] == "vstrace-customhttp-pipeline-default-w3c-1"
    assert len(found["spans"]) == 2
    assert shared.call(f"/api/traces/{TRACE.upper()}")[1]["trace_id"] == found["trace_id"]
    assert shared.call(f"/api/traces/{TRACE[:-1]}")[0] == 404
    assert shared.call(f"/api/traces/{'0' * 32}")[0] == 404


def test_a_span_is_the_same_in_a_list_by_itself_in_its_trace_and_on_the_command_line(
    shared: Server, capsys
) -> None:
    shared.call("/customhttp", start("same-1", "pipeline"))
    parent = "vstrace-customhttp-pipeline-default-same-1"
    shared.call("/customhttp", start("same-2", parentid=parent))

    ref = "vstrace-customhttp-build-default-same-2"
    alone = shared.call(f"/api/spans/{ref}")[1]
    (listed,) = shared.call(f"/api/spans?filter=ref:{ref}")[1]["items"]
    trace = shared.call(f"/api/traces/{alone['trace_id']}")[1]["spans"]
    main(["ls", "--json", f"ref:{ref}", "--db", str(shared.db)])
    assert [(link["child"], link["parent"]) for link in alone["links"]] == [(ref, parent)]
    assert listed == alone
    assert next(span for span in trace if span["span_id"] == ref) == alone
    assert json.loads(capsys.readouterr().out) == alone


def test_the_command_lists_page_after_page(server: Server, capsys, monkeypatch) -> None:
    monkeypatch.setattr("vs_tui.cli.ls.PAGE", 3)
    for number in range(8):
        server.call("/customhttp", start(f"ls-{number}", name=f"n{number}"))
    for limit, wanted in ((7, 7), (6, 6), (100, 8)):
        main(["ls", "-n", str(limit), "--sort=-name", "--json", "--db", str(server.db)])
        names = [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()]
        assert names == [f"n{number}" for number in range(7, 7 - wanted, -1)]
