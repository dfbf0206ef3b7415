"""Scripts written for ValueStream's vscli run unchanged against a real receiver."""

from __future__ import annotations

import pytest

from tests.cli.shell import deliveries, one, tree
from tests.ingest.server import SECRETS

# The shape that ValueStream documents: a pipeline with three children, each started below
# `vstrace-customhttp-pipeline-default-` and the id that `start` printed, unquoted.
DEPLOY_SCRIPT = """\
#!/bin/bash
set -e
PIPELINE="$(vscli event -tag='source|gcloud' -tag='service|shop' -type=pipeline start)"
PARENT=vstrace-customhttp-pipeline-default-${PIPELINE}

STEP="$(vscli event -type=build -tag='type|docker' start -parent-event-id=${PARENT})"
    docker build -f Dockerfile.shop -t shop .
vscli event -type=build end -event-id=${STEP}

STEP="$(vscli event -type=push -tag='type|docker' start -parent-event-id=${PARENT})"
    docker tag shop registry.example/acme/shop
    docker push registry.example/acme/shop
vscli event -type=push end -event-id=${STEP}

STEP="$(vscli event -type=deploy -tag='type|gae' start -parent-event-id=${PARENT})"
    gcloud app deploy \\
        --image-url registry.example/acme/shop app.yaml \\
        --version=v1 \\
        --quiet
vscli event -type=deploy end -event-id=${STEP}

vscli event -type=pipeline end -event-id=${PIPELINE}
"""


@pytest.fixture
def tools(shell):
    """docker and gcloud that note how they were called."""
    for name in ("docker", "gcloud"):
        shell.stub(name, f'echo {name} "$@" >> "$HOME/calls"; test "$1" != "$FAIL"')
    return shell


def operations(server):
    return {span["operation"]: span for span in server.spans()}


def test_the_documented_script_makes_one_trace_of_four_spans(server, tools):
    done = tools.script(DEPLOY_SCRIPT)

    assert done.stderr == ""
    spans = operations(server)
    assert sorted(spans) == ["build", "deploy", "pipeline", "push"]
    assert len({span["trace_id"] for span in spans.values()}) == 1
    root = spans["pipeline"]
    assert root["parent_span_id"] is None
    assert root["span_id"].startswith("vstrace-customhttp-pipeline-default-")
    assert {spans[name]["parent_span_id"] for name in ("build", "push", "deploy")} == {
        root["span_id"]
    }
    for span in spans.values():
        assert span["status"] == "ok"
        assert root["started_at"] <= span["started_at"] < span["ended_at"] <= root["ended_at"]
    assert root["attributes"]["source"] == "gcloud"
    assert root["service"] == "shop"
    assert spans["deploy"]["attributes"]["type"] == "gae"
    assert root["actor"] == "ana"
    calls = (tools.folder / "calls").read_text().splitlines()
    assert calls == [
        "docker build -f Dockerfile.shop -t shop .",
        "docker tag shop registry.example/acme/shop",
        "docker push registry.example/acme/shop",
        "gcloud app deploy --image-url registry.example/acme/shop app.yaml --version=v1 --quiet",
    ]


def test_signed_events_need_no_token(server, tools):
    secret = SECRETS["customhttp"]

    done = tools.script(DEPLOY_SCRIPT, VS_TOKEN=None, VS_CUSTOM_HTTP_EVENT_SOURCE_SECRET=secret)

    assert done.stderr == ""
    assert len(server.spans()) == 4
    assert {d["verdict"] for d in deliveries(server)} == {"accepted"}


def test_a_wrong_secret_stops_no_script_and_loses_no_event(server, tools):
    done = tools.script(DEPLOY_SCRIPT, VS_CUSTOM_HTTP_EVENT_SOURCE_SECRET="wrong")

    assert "did not accept our proof: 401" in done.stderr
    assert "VS_CUSTOM_HTTP_EVENT_SOURCE_SECRET" in done.stderr
    assert server.spans() == []
    assert len(tools.waiting()) == 8

    flushed = tools.run("vs-tui", "flush")  # with the right proof again: the token

    assert flushed.returncode == 0, flushed.stderr
    assert {span["status"] for span in server.spans()} == {"ok"}


def test_the_url_variable_of_valuestream_is_enough(server, tools):
    url = f"{server.url}/customhttp"

    tools.script(DEPLOY_SCRIPT, VS_URL=None, VS_CUSTOM_HTTP_EVENT_SOURCE_URL=url)

    assert len(server.spans()) == 4


def test_a_failed_step_is_reported_with_error(server, tools):
    tools.script(
        """
ID=$(vscli event -type=deploy start)
if docker push registry.example/acme/shop; then ERROR=; else ERROR=-error; fi
vscli event -type=deploy end -event-id=$ID $ERROR
""",
        FAIL="push",
    )

    span = one(server.spans(), operation="deploy")
    assert span["status"] == "error"
    assert span["error"] == "failure"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("event -type=build start", "event -type=build end -event-id=$ID"),
        ("event --type build start", "event --type build end --event-id $ID"),
        ("event start -type build", "event end -type=build -event-id $ID"),
        ("ev -type=build -tag 'k|v' start -tag 'l|w'", "ev -type=build end -event-id=$ID"),
        (
            "event -type=build start",
            "event -type=deploy end -event-id=vstrace-customhttp-build-default-$ID",
        ),
        ("event -type=build start -event-id=mine", "event -type=build end -event-id=mine"),
    ],
)
def test_options_in_every_spelling(server, shell, start, end):
    shell.script(f"set -e\nID=$(vscli {start})\nvscli {end}")

    span = one(server.spans(), operation="build")
    assert span["status"] == "ok"
    assert span["duration_s"] >= 0


def test_tags_before_and_after_the_action_count(server, shell):
    shell.script("vscli event -tag='a|1' -tag='b|x|y' start -tag='c|' >/dev/null")

    attributes = one(server.spans(), operation="deploy")["attributes"]
    assert {name: attributes[name] for name in "abc"} == {"a": "1", "b": "x|y", "c": ""}


def test_without_a_parent_option_the_surrounding_run_is_the_parent(server, shell):
    shell.script("vs-tui run --name outer -- vscli event -type=push -name inner start >/dev/null")

    assert tree(server) == {"outer": None, "inner": "outer"}


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["event", "-type=build", "end"], "the event's id is missing; give what `start` printed"),
        (["event", "-type=build", "end", "-event-id="], "the event's id is missing"),
        (["event", "-tag=oops", "start"], "'service|api'"),
        (["event", "-type=two words", "start"], "use one word"),
        (["event"], "usage"),
        ([], "usage"),
        (["event", "-colour=red", "start"], "unrecognized arguments: -colour=red"),
    ],
)
def test_a_wrong_command_line_is_explained(server, shell, arguments, hint):
    done = shell.run("vscli", *arguments)

    assert done.returncode == 2
    assert hint in done.stderr
    assert done.stdout == ""
    assert deliveries(server) == []


def test_an_event_that_the_receiver_refuses_stops_no_script(server, shell):
    done = shell.run("vscli", "event", f"-namespace={'x' * 201}", "start")

    assert done.returncode == 0
    assert "refused the event: 400" in done.stderr
    assert "namespace" in done.stderr
    assert len(list(shell.spool.glob("*.refused"))) == 1

    after = shell.run("vscli", "event", "start")  # it holds up nothing

    assert after.stderr == ""
    assert len(server.spans()) == 1
