"""`vs-tui event`: spans from scripts that cannot wrap their steps."""

from __future__ import annotations

import json
import socket
import sys
import threading

import pytest

from tests.cli.shell import deliveries, one, tree
from tests.patience import PATIENCE
from vs_tui.cli.main import main


def test_start_prints_the_reference_that_end_takes(server, shell):
    sha = shell.checkout("topic")
    started = shell.run(
        *("vs-tui", "event", "--type", "deploy", "--name", "ship it"),
        *("--tag", "service|shop", "--tag", "environment|prod", "start"),
    )
    ref = started.stdout.strip()
    running = one(server.spans(), operation="deploy")
    ended = shell.run("vs-tui", "event", "end", "--event-id", ref, "--tag", "result|fine")

    assert (started.stderr, ended.stdout, ended.stderr) == ("", "", "")
    assert running["span_id"] == ref
    assert running["status"] == "in_flight"
    span = one(server.spans(), span_id=ref)
    assert (span["name"], span["status"], span["project"]) == ("ship it", "ok", "acme/api")
    assert (span["service"], span["environment"]) == ("shop", "prod")
    assert span["attributes"]["vcs.ref.head.revision"] == sha
    assert span["attributes"]["result"] == "fine"


@pytest.mark.parametrize(("option", "status"), [("--error", "error"), ("--cancelled", "cancelled")])
def test_how_it_ended(server, shell, option, status):
    shell.script(f'ID=$(vs-tui event start); vs-tui event end --event-id "$ID" {option}')

    assert one(server.spans(), operation="build")["status"] == status


def test_a_name_given_at_the_end_counts(server, shell):
    shell.run("vs-tui", "event", "end", "--event-id", "7", "--name", "nightly backup")
    shell.run("vscli", "event", "-type=build", "end", "-event-id=8", "-name=docker")

    assert {span["name"] for span in server.spans()} == {"docker", "nightly backup"}


def test_scripts_need_no_package_but_ours(server, shell):
    """`pip install --no-deps` is enough where only events are sent."""
    bare = f'"{sys.executable}" -S -m'
    shell.script(
        f"set -e; ID=$({bare} vs_tui event start --event-id 1);"
        f"{bare} vs_tui.cli.vscli event start;"
        f'{bare} vs_tui run --name inner -- true; {bare} vs_tui event end --event-id "$ID";'
        f"{bare} vs_tui flush --json; {bare} vs_tui link --json"
    )

    kinds = {
        span["operation"]: span["status"] for span in server.spans() if span["name"] != "inner"
    }
    assert kinds == {"build": "ok", "deploy": "in_flight"}
    assert one(server.spans(), name="inner")["status"] == "ok"


def test_json_says_what_scripts_need(server, shell):
    done = shell.run("vs-tui", "event", "--type", "test", "start", "--json", "--event-id", "7")

    assert json.loads(done.stdout) == {
        "event_id": "7",
        "ref": "vstrace-customhttp-test-default-7",
        "type": "test",
    }


@pytest.mark.parametrize(
    ("kind", "namespace", "identity"),
    [("smoke-test", "default", "1"), ("build", "team-a", "2"), ("a-b", "c-d", "x y/ü")],
)
def test_references_hold_any_type_namespace_and_id(server, shell, kind, namespace, identity):
    options = ("--type", kind, "--namespace", namespace)
    started = shell.run("vs-tui", "event", *options, "start", "--event-id", identity)
    shell.run("vs-tui", "event", *options, "end", "--event-id", started.stdout.strip())

    span = one(server.spans(), operation=kind)
    assert span["status"] == "ok"
    assert span["span_id"] == started.stdout.strip()


def test_the_environment_names_the_parent(server, shell):
    shell.script(
        """
export VS_PARENT=$(vs-tui event --type pipeline --name outer start)
vs-tui event --name inner start >/dev/null
OTHER=$(VS_PARENT= vs-tui event --name other start)
vs-tui event --name given start --parent-event-id "$OTHER" >/dev/null
"""
    )

    assert tree(server) == {"outer": None, "inner": "outer", "other": None, "given": "other"}


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["end"], "--event-id"),
        (["end", "--event-id", " "], "the event's id is missing; give what `start` printed"),
        (["--tag", "service", "start"], "write it like 'service|api'"),
        (["--type", "two words", "start"], "is not a type"),
        (["end", "--event-id", "1", "--error", "--cancelled"], "not allowed with"),
        (["begin"], "invalid choice"),
    ],
)
def test_a_wrong_command_line_is_explained(server, shell, arguments, hint):
    done = shell.run("vs-tui", "event", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert hint in done.stderr
    assert deliveries(server) == []


def test_an_event_that_no_receiver_could_take_is_refused_at_once(server, shell):
    tags = [word for n in range(60) for word in ("--tag", f"k{n}|{chr(0x1F600) * 500}")]
    done = shell.run("vs-tui", "event", *tags, "start")

    assert done.returncode == 2
    assert "shorten its tags" in done.stderr
    assert shell.waiting() == []


def test_hostile_words_arrive_as_they_are(server, shell):
    name = "\x1b]0;owned\x07 [red]ü \u202e'\"$(id)"
    shell.run("vs-tui", "event", "--name", name, "start")

    assert json.loads(deliveries(server)[0]["body"])["name"] == name


def test_a_page_of_another_server_is_not_quoted(monkeypatch, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)

        def answer() -> None:
            with listener.accept()[0] as client:
                client.recv(65_536)
                page = b"<html>Unsupported method</html>"
                head = b"HTTP/1.1 501 Unsupported method\r\nContent-Length: %d\r\n\r\n"
                client.sendall(head % len(page) + page)

        threading.Thread(target=answer, daemon=True).start()
        for name in ("VS_CONFIG_DIR", "VS_DATA_DIR"):
            monkeypatch.setenv(name, str(tmp_path))
        monkeypatch.setenv("VS_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert main(["event", "start"]) == 0

    told = capsys.readouterr().err
    assert "answered 501, but not as a receiver does: something else listens there" in told
    assert "<html>" not in told
    assert "1 event kept" in told
