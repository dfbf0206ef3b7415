"""Events while the receiver is away: kept in private, bounded, sent in order and once."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
import time

import pytest

from tests.cli.shell import deliveries, one, tree
from tests.patience import PATIENCE, free_port
from vs_tui.cli import client as spools
from vs_tui.cli.client import Entry, Spool


def names(server) -> list[str]:
    """The names of accepted events, in the order of their arrival."""
    return [
        json.loads(delivery["body"]).get("name", "")
        for delivery in deliveries(server)
        if delivery["verdict"] == "accepted"
    ]


def test_a_receiver_killed_and_restarted_in_a_script_loses_and_doubles_nothing(server, shell):
    steps = shell.work / "steps"
    go = shell.work / "go"
    os.mkfifo(steps)
    os.mkfifo(go)
    script = """
ID=$(vscli event -type=pipeline -name=first start)
echo up > steps; read < go
vs-tui run --name second -- true
vs-tui run --name third -- sh -c 'echo inside > steps; read x < go'
vscli event -type=pipeline end -event-id=$ID
"""
    running = shell.start("bash", "-c", script)
    assert steps.read_text() == "up\n"
    server.kill()
    go.write_text("\n")
    assert steps.read_text() == "inside\n"  # `third` has begun; the receiver is away
    server.start()
    go.write_text("\n")
    _, err = running.communicate(timeout=PATIENCE)

    assert running.returncode == 0
    assert "kept for the next call" in err
    assert tree(server) == {"first": None, "second": None, "third": None}
    assert {span["status"] for span in server.spans()} == {"ok"}
    arrived = deliveries(server)
    assert [delivery["verdict"] for delivery in arrived] == ["accepted"] * 6
    assert [delivery["duplicates"] for delivery in arrived] == [0] * 6
    sent = [json.loads(delivery["body"])["timestamp"] for delivery in arrived]
    assert len(set(sent)) == 6
    assert shell.waiting() == []


def test_kept_events_are_private_and_say_no_secret(server, shell):
    server.kill()
    shell.script("umask 000; vscli event -name=kept start >/dev/null")

    (kept,) = shell.waiting()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(shell.spool.stat().st_mode) == 0o700
    assert shell.env["VS_TOKEN"] not in kept.read_text()
    assert {stat.S_IMODE(p.stat().st_mode) for p in shell.spool.iterdir()} == {0o600}


def test_flush_sends_in_order_and_once(server, shell):
    server.kill()
    shell.script("for n in 1 2 3 4 5; do vscli event -name=e$n start >/dev/null; done")
    away = shell.here("flush", "--json")
    server.start()
    first = shell.here("flush", "--json")
    second = shell.here("flush")

    assert away.returncode == 1
    assert json.loads(away.stdout)["waiting"] == 5
    assert first.returncode == 0
    assert json.loads(first.stdout) == {"sent": 5, "waiting": 0, "refused": 0, "dropped": 0}
    assert second.stdout == "sent 0  waiting 0  refused 0  dropped 0\n"
    assert names(server) == ["e1", "e2", "e3", "e4", "e5"]


def test_times_are_those_of_the_script_not_of_the_sending(server, shell):
    server.kill()
    shell.script("ID=$(vscli event start); vscli event end -event-id=$ID")
    waited_from = max(path.stat().st_mtime for path in shell.waiting())
    server.start()
    shell.here("flush")

    span = one(server.spans(), operation="deploy")
    ended = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(waited_from + 1))
    assert span["started_at"] < span["ended_at"] < ended
    assert span["duration_s"] > 0


def test_an_event_sent_but_not_noted_as_sent_is_stored_once(server, shell):
    """As after a kill -9 between the receiver's answer and the removal of the file."""
    server.kill()
    shell.script("vscli event -name=once start >/dev/null")
    (kept,) = shell.waiting()
    content = kept.read_bytes()
    server.start()
    shell.here("flush")
    kept.write_bytes(content)
    again = shell.here("flush", "--json")

    assert json.loads(again.stdout)["sent"] == 1
    assert len(server.spans()) == 1
    assert names(server) == ["once"]


def test_many_scripts_at_once_lose_and_double_nothing(server, shell):
    server.kill()
    burst = "for n in 1 2 3 4 5 6; do vscli event -name=$P$n start >/dev/null & done; wait"
    shell.script(burst, P="a")
    assert len(shell.waiting()) == 6
    server.start()
    shell.script(burst, P="b")  # six senders compete for the six that wait
    shell.here("flush")

    assert sorted(names(server)) == [f"{p}{n}" for p in "ab" for n in range(1, 7)]
    assert {delivery["duplicates"] for delivery in deliveries(server)} == {0}


def test_vscli_waits_two_seconds_once_then_hardly_at_all(shell, silent):
    for _ in range(2):
        done = shell.impatient("vscli", "event", "start", VS_URL=silent)
        assert done.returncode == 0
        assert len(done.stdout.strip()) > 10
        assert "did not answer" in done.stderr
        assert Spool(shell.spool).slow, "a quarter of a second is enough from here on"
    assert len(shell.waiting()) == 2


def test_events_for_another_receiver_wait_for_it_or_are_redirected(server, shell):
    nobody = f"http://127.0.0.1:{free_port()}"
    shell.run("vscli", "event", "-name=elsewhere", "start", VS_URL=nobody)
    shell.run("vscli", "event", "-name=here", "start")
    here = shell.here("flush")

    assert names(server) == ["here"]
    assert here.returncode == 1
    assert "meant for another receiver" in here.stderr

    moved = shell.here("flush", "--any-url")

    assert moved.returncode == 0, moved.stderr
    assert names(server) == ["here", "elsewhere"]


def test_a_file_that_is_no_event_holds_up_nothing(server, shell):
    shell.spool.mkdir(parents=True)
    broken = shell.spool / "00000000000000000001-1-a.event"
    broken.write_text("half a lin")
    done = shell.run("vscli", "event", "-name=after", "start")

    assert (done.returncode, done.stderr) == (0, "")
    assert names(server) == ["after"]
    assert broken.with_suffix(".refused").exists()


def test_what_a_killed_writer_left_is_cleared_away_later(tmp_path):
    spool = Spool(tmp_path)
    old, new = tmp_path / "1.tmp", tmp_path / "2.tmp"
    old.write_text("{")
    new.write_text("{")
    os.utime(old, (0, 0))

    spool.prune()

    assert not old.exists()
    assert new.exists()


def test_a_full_disk_leaves_no_half_written_event(tmp_path, monkeypatch):
    spool = Spool(tmp_path)

    def no_space(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spools.json, "dump", no_space)
    with pytest.raises(OSError, match="No space"):
        spool.add(Entry("http://127.0.0.1:1/customhttp", "k", "{}"))

    assert list(tmp_path.iterdir()) == []


def test_a_spool_that_is_a_link_of_someone_else_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    folder = tmp_path / "spool"
    folder.symlink_to(victim)

    with pytest.raises(OSError, match="Not a directory"), Spool(folder).lock():
        pass


def test_a_busy_receiver_is_asked_again_later(server, shell):
    """503 is no refusal: the receiver could not commit, and takes the event another time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=_answer_busy, args=(listener,)).start()
        url = f"http://127.0.0.1:{port}"
        done = shell.run("vscli", "event", "-name=later", "start", VS_URL=url)

    assert done.returncode == 0
    assert "answered 503" in done.stderr
    assert len(shell.waiting()) == 1
    assert shell.here("flush", "--any-url").returncode == 0
    assert names(server) == ["later"]


def _answer_busy(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}")
