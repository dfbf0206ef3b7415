"""`vs-tui record` and `vs-tui replay`: what was received can be kept, moved in time and sent."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import socket
import sqlite3
import stat
import time
from contextlib import closing

import pytest

from tests.cli.shell import deliveries, one
from tests.ingest.server import SECRETS, TOKEN
from tests.patience import PATIENCE
from tests.sources import github_payloads as gh
from vs_tui.cli.main import main
from vs_tui.cli.recordings import ReceiverTarget
from vs_tui.log.recording import Delivery
from vs_tui.store.folding.projector import FoldLoop

STORY = gh.story()


@pytest.fixture
def recording(server, shell):
    """A file with the story as a receiver took it, and the receiver without its data."""
    for event, body in STORY:
        status, _ = server.call("/github", body, {"X-GitHub-Event": event})
        assert status == 200
    server.call("/customhttp", {"type": "build", "id": "1", "action": "start"})
    done = shell.here("record", "--out", "all.jsonl", "--db", str(server.db))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"{len(STORY) + 1} deliveries\n"
    return shell.work / "all.jsonl"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_recording_is_private_and_holds_no_secret(server, shell, recording):
    text = recording.read_text()

    assert stat.S_IMODE(recording.stat().st_mode) == 0o600
    assert [secret for secret in (TOKEN, *SECRETS.values()) if secret in text] == []
    assert "authorization" not in text.lower()
    assert [line["path"] for line in lines(recording)] == ["/github"] * len(STORY) + ["/customhttp"]


def test_filters_choose_what_is_recorded(server, shell, recording):
    one_source = shell.here("record", "--db", str(server.db), "--source", "customhttp")
    none = shell.here("record", "--db", str(server.db), "--until", "2020-01-01")
    one_delivery = shell.here("record", "--db", str(server.db), "--delivery", "2")
    wrong = shell.here("record", "--db", str(server.db), "--since", "once")
    nobody = shell.here("record", "--db", str(server.db), "--source", "githup")
    pruned = shell.here("record", "--db", str(server.db), "--delivery", "812")

    assert json.loads(one_source.stdout)["path"] == "/customhttp"
    assert (none.stdout, none.stderr) == ("", "0 deliveries\n")
    assert json.loads(one_delivery.stdout)["body"] == STORY[1][1]
    assert wrong.returncode == 2
    assert "an age such as 2h" in wrong.stderr
    assert nobody.returncode == 2
    assert "there is no source 'githup'; there are" in nobody.stderr
    assert pruned.returncode == 1
    assert "there is no such delivery 812" in pruned.stderr


def test_a_replay_into_a_file_makes_the_same_spans(server, shell, recording, tmp_path):
    expected = {span["key"]: span for span in server.spans()}
    db = tmp_path / "copy.db"
    first = shell.here("replay", "all.jsonl", "--db", str(db))
    again = shell.here("replay", "all.jsonl", "--db", str(db), "--json")
    listed = shell.here("ls", "--json", "-n", "1000", "--db", str(db))

    assert first.returncode == 0, first.stderr
    assert first.stdout == f"{len(STORY) + 1} accepted\n"
    assert json.loads(again.stdout) == {"duplicate": len(STORY) + 1}
    found = {span["key"]: span for span in map(json.loads, listed.stdout.splitlines())}
    assert set(found) == {key for key, s in expected.items() if s["operation"] != "stage"}
    for key, span in found.items():
        for name in ("status", "started_at", "ended_at", "parent_span_id", "attributes"):
            assert span[name] == expected[key][name], (key, name)


@pytest.fixture
def slow_folding(monkeypatch):
    """Folding begins late, and who waits for it gives up at once."""
    wait, fold = FoldLoop.caught_up, FoldLoop.run

    async def briefly(loop: FoldLoop, _seconds: float) -> bool:
        return await wait(loop, 0.01)

    async def late(loop: FoldLoop) -> None:
        await asyncio.sleep(0.3)
        await fold(loop)

    monkeypatch.setattr(FoldLoop, "caught_up", briefly)
    monkeypatch.setattr(FoldLoop, "run", late)


def test_what_needs_an_earlier_delivery_is_replayed_once_that_is_folded(
    shell, tmp_path, slow_folding, capsys
):
    """An end of em-metrics names its deployment, and a decision the spans of its link."""
    at = "2020-01-01T10:00:00Z"
    others = ({"type": "job", "id": str(n), "action": "end", "timestamp": at} for n in range(100))
    sent = [
        ("/deployments", {"id": "77", "project_id": "acme/shop", "first_commit_at": at}),
        *(("/customhttp", body) for body in others),  # more than are stored together
        ("/deployments/77/deployed", {"create_if_not_exists": False}),
    ]
    path, db = tmp_path / "all.jsonl", tmp_path / "late.db"
    path.write_text(
        "".join(json.dumps({"received_at": at, "path": p, "body": b}) + "\n" for p, b in sent)
    )

    assert main(["replay", str(path), "--db", str(db)]) == 0
    assert "102 accepted" in capsys.readouterr().out
    with closing(sqlite3.connect(db)) as found:
        assert found.execute(
            "SELECT status FROM v_spans WHERE source = 'emmetrics' AND NOT is_phase"
        ).fetchall() == [("ok",)]


def test_a_replay_into_a_file_ends_when_all_of_it_shows(shell, tmp_path, slow_folding):
    """Closing waits only a moment for what is not folded, and nobody would fold it later."""
    body = {"type": "build", "id": "7", "timestamp": "2020-01-01T10:00:00Z", "action": "start"}
    line = {"received_at": body["timestamp"], "path": "/customhttp", "body": body}
    path, db = tmp_path / "one.jsonl", tmp_path / "late.db"
    path.write_text(json.dumps(line) + "\n")

    assert main(["replay", str(path), "--db", str(db)]) == 0
    with closing(sqlite3.connect(db)) as found:
        assert found.execute("SELECT count(*) FROM spans").fetchone() == (1,)


def test_a_replay_to_a_receiver_can_be_filtered(server, shell, recording, tmp_path):
    server.stop()
    server.db.unlink()
    server.start()
    done = shell.here("replay", "all.jsonl", "--to", server.url, "--only", "/github", "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"accepted": len(STORY)}
    assert {delivery["source"] for delivery in deliveries(server)} == {"github"}
    assert one(server.spans(), operation="pull_request")["status"] == "ok"


def test_times_move_to_now_together(server, shell, tmp_path):
    """All times of bodies move by one distance, so that durations stay."""
    path = shell.work / "old.jsonl"
    body = {"type": "build", "id": "7", "timestamp": "2020-01-01T10:00:00Z", "action": "start"}
    end = {**body, "action": "end", "timestamp": "2020-01-01T10:05:00Z"}
    path.write_text(
        "".join(
            json.dumps({"received_at": b["timestamp"], "path": "/customhttp", "body": b}) + "\n"
            for b in (body, end)
        )
    )
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 2))
    done = shell.here("replay", "old.jsonl", "--shift-to-now", "--to", server.url)

    assert done.returncode == 0, done.stderr
    span = one(server.spans(), operation="build")
    assert span["duration_s"] == 300.0
    assert span["ended_at"] >= before


def test_speed_paces_and_a_gauge_shows_how_far_it_is(server, shell):
    """Three deliveries, an hour apart, at an hour in half a second: a second, less what a busy
    machine keeps the first one waiting."""
    path = shell.work / "slow.jsonl"
    path.write_text(
        "".join(
            json.dumps(
                {
                    "received_at": f"2026-03-02T1{n}:00:00Z",
                    "path": "/customhttp",
                    "body": {"type": "build", "id": str(n), "action": "start"},
                }
            )
            + "\n"
            for n in range(3)
        )
    )
    ours, theirs = pty.openpty()
    running = shell.start(
        *("vs-tui", "replay", "slow.jsonl", "--to", server.url, "--speed", "7200"), stderr=theirs
    )
    os.close(theirs)
    out, _ = running.communicate(timeout=PATIENCE)
    seen = os.read(ours, 65_536).decode()
    os.close(ours)

    assert (running.returncode, out) == (0, "3 accepted\n")
    assert any(f"{done}/3 deliveries" in seen for done in (2, 3)), seen
    arrived = [delivery["received_at"] for delivery in deliveries(server)]
    assert arrived == sorted(arrived)
    first, last = (float(at[17:].rstrip("Z")) for at in (arrived[0], arrived[-1]))
    assert (last - first) % 60 >= 0.5


async def test_an_interrupted_replay_waits_for_no_answer():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with ReceiverTarget(url, "") as target:
            delivery = Delivery(0, "/customhttp", b"{}")
            sending = asyncio.create_task(target.send(delivery))
            asked, _ = await asyncio.to_thread(silent.accept)
            with asked:
                assert await asyncio.to_thread(asked.recv, 4) == b"POST"
                sending.cancel()
                began = time.monotonic()
                target.__exit__()
                assert time.monotonic() - began < 30, "a request takes a minute to time out"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["nowhere.jsonl"], "does not exist; name a recording"),
        (["."], "holds no .jsonl file"),
        (["bad.txt"], "bad.txt:2: is not JSON"),
        (["good.txt", "--speed", "0"], "write 60"),
        (["good.txt", "--only", "/jira"], "nothing to replay"),
        (["good.txt", "--to", "http://127.0.0.1:1"], "start it with `vs-tui serve`"),
        (["good.txt", "--to", "URL", "--token", "wrong"], "does not accept our token"),
    ],
)
def test_what_is_wrong_is_said(server, shell, arguments, hint):
    good = {
        "received_at": "2026-03-02T10:00:00Z",
        "path": "/customhttp",
        "body": {"type": "build", "id": "1", "action": "start"},
    }
    (shell.work / "good.txt").write_text(json.dumps(good) + "\n")
    (shell.work / "bad.txt").write_text(json.dumps(good) + "\n{oops\n")
    words = [server.url if word == "URL" else word for word in arguments]
    done = shell.here("replay", *words)

    assert (done.returncode, done.stdout) == (2 if "--speed" in words else 1, "")
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
    assert "never retrieved" not in done.stderr


def test_a_database_that_a_receiver_uses_is_replayed_to_through_it(server, shell, recording):
    done = shell.here("replay", str(recording), "--db", str(server.db))

    assert done.returncode == 1
    assert "is in use by a running receiver; send to it with --to http://" in done.stderr
