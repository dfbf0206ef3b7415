"""2xx means committed: kill -9 under load, the order of fdatasync and answer, a clean stop."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
from urllib.parse import urlsplit

import pytest

from tests.benchmarks.load import post_all
from tests.ingest.server import TOKEN, Nearby, Server, nearby, run, serving
from tests.patience import PATIENCE, Stopwatch
from vs_tui.log import sqlite_position
from vs_tui.store.schema import StoreError

FULL = [pytest.mark.full, pytest.mark.timeout(1800)]


class Sender(threading.Thread):
    """Posts events over one keep-alive connection and notes each id only after its 2xx was read."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__(daemon=True)
        self.parts = urlsplit(url)
        self.prefix = name
        self.acknowledged: list[str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection(
            self.parts.hostname, self.parts.port, timeout=PATIENCE
        )
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        number = 0
        try:
            while True:
                event_id = f"{self.prefix}-{number}"
                body = json.dumps({"type": "build", "id": event_id, "action": "start"})
                connection.request("POST", "/customhttp", body, headers)
                response = connection.getresponse()
                response.read()
                if response.status == 200:
                    self.acknowledged.append(event_id)
                number += 1
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()


def stored(server: Server) -> set[str]:
    """Ids of the deliveries in the log, after a check of the file: every one up to the position
    has its span, and none behind it."""
    with contextlib.closing(sqlite3.connect(server.db)) as database:
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)
        position = sqlite_position.position(database)
        rows = database.execute(
            "SELECT d.id, json_extract(d.keys, '$[0]'), s.key FROM deliveries d "
            "LEFT JOIN spans s ON s.key = json_extract(d.keys, '$[0]')"
        ).fetchall()
    assert all((span is not None) == (number <= position) for number, _, span in rows)
    return {key.rpartition("-default-")[2] for _, key, _ in rows}


def kill_rounds(tmp_path, rounds: int, senders: int) -> int:
    server = Server(tmp_path)
    acknowledged: set[str] = set()
    for number in range(rounds):
        threads = [Sender(server.url, f"r{number}s{n}") for n in range(senders)]
        for thread in threads:
            thread.start()
        wanted = random.Random(number).randint(1, 400)
        server.wait_for(
            lambda threads=threads, wanted=wanted: (
                sum(len(t.acknowledged) for t in threads) >= wanted
            ),
            "acknowledged events",
        )
        server.kill()
        for thread in threads:
            thread.join(PATIENCE)
            acknowledged.update(thread.acknowledged)
        assert acknowledged <= stored(server), "an acknowledged event is gone"
        server.start()
    server.stop()
    return len(acknowledged)


def test_kill_9_under_load_loses_no_acknowledged_event(tmp_path) -> None:
    assert kill_rounds(tmp_path, rounds=3, senders=8) > 100


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_kill_9_two_hundred_times_with_fifty_senders(tmp_path) -> None:
    print(kill_rounds(tmp_path, rounds=200, senders=50), "acknowledged, 0 lost")


STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.mark.parametrize("rounds", [3, pytest.param(100, marks=FULL)])
def test_a_stop_under_load_loses_nothing_and_exits_0(tmp_path, rounds) -> None:
    server = Server(tmp_path)
    acknowledged: set[str] = set()
    took = []
    for number in range(rounds):
        threads = [Sender(server.url, f"r{number}s{n}") for n in range(8)]
        for thread in threads:
            thread.start()
        server.wait_for(
            lambda threads=threads: sum(len(t.acknowledged) for t in threads) > 100, "events"
        )
        watch = Stopwatch(server.process.pid)
        server.process.send_signal(STOPS[number % 3])
        took.append(watch.until_end(server.process))
        assert server.stop() == 0
        for thread in threads:
            thread.join(PATIENCE)
            acknowledged.update(thread.acknowledged)
        assert not server.db.with_name("t.db-wal").exists(), "the last checkpoint was done"
        assert acknowledged <= stored(server)
        server.start()
    server.stop()
    print(f"{rounds} stops, {len(acknowledged)} acknowledged, 0 lost, at most {max(took):.2f} s")
    assert max(took) < 5


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("requests", [200, pytest.param(1_000, marks=FULL)])
def test_every_2xx_is_sent_after_an_fdatasync_that_follows_its_write(tmp_path, requests) -> None:
    """The power-loss test that is possible without special hardware: the order of system calls."""
    with serving(tmp_path) as server:
        trace = tmp_path / "trace"
        strace = subprocess.Popen(
            [
                *("strace", "-f", "-p", str(server.process.pid), "-o", str(trace), "-s", "60"),
                *("-e", "trace=fdatasync,fsync,pwrite64,sendto,sendmsg,write"),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert strace.stderr is not None
        if "attached" not in strace.stderr.readline():
            strace.kill()
            strace.wait()
            pytest.skip("strace may not attach here")
        for number in range(requests):
            body = {"type": "build", "id": str(number), "action": "start"}
            assert server.call("/customhttp", body)[0] == 200
        strace.terminate()
        strace.wait(PATIENCE)
        strace.stderr.close()
    written = synced = False
    answers = 0
    for line in trace.read_text().splitlines():
        if "pwrite64(" in line:
            # A fold may write behind the log's fdatasync; its own commits are not synced.
            written = True
        elif re.search(r"fdatasync\(|fsync\(|fdatasync resumed", line) and "= 0" in line:
            synced = written
        elif "HTTP/1.1 200" in line:
            assert written, "an answer without a write"
            assert synced, "an answer before its fdatasync"
            written = synced = False
            answers += 1
    assert answers == requests


@pytest.mark.parametrize("copies", [1_000, pytest.param(10_000, marks=FULL)])
async def test_copies_of_one_delivery_sent_64_at_a_time_are_one_row(tmp_path, copies) -> None:
    with nearby(tmp_path) as server:
        load = await post_all(
            server.url,
            "/customhttp",
            [b'{"type":"build","id":"1","action":"start"}'] * copies,
            lambda _: f"Authorization: Bearer {TOKEN}\r\n",
            connections=64,
        )
    assert load.statuses == {200: copies}
    with contextlib.closing(sqlite3.connect(server.db)) as database:
        rows = database.execute("SELECT COUNT(*), SUM(duplicates) FROM deliveries").fetchone()
    assert rows == (1, copies - 1)


def test_a_second_receiver_on_one_file_is_refused(server) -> None:
    with pytest.raises(StoreError, match="in use by process"):
        Nearby(server.folder)


def test_a_taken_port_is_a_clear_error(server, tmp_path) -> None:
    port = urlsplit(server.url).port
    other = tmp_path / "other"
    other.mkdir()
    done = run(other, "serve", "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert "in use); choose another with --port, 0 for any free" in done.stderr


def test_an_address_of_another_machine_is_a_clear_error(tmp_path) -> None:
    done = run(tmp_path, "serve", "--port", "0", "--host", "192.0.2.1")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(r"cannot listen on 192.0.2.1:0 .*another with --host", done.stderr)


def test_ready_says_when_the_file_was_taken_away(server) -> None:
    server.call("/customhttp", {"type": "build", "id": "1", "action": "start"})
    server.db.rename(server.db.with_suffix(".moved"))

    def unready() -> bool:
        status, body = server.call("/readyz")
        return status == 503 and "moved, deleted or replaced" in body["detail"]

    assert server.wait_for(unready, "readyz to notice")
    status, answer = server.call("/customhttp", {"type": "build", "id": "2", "action": "start"})
    assert status == 503, "no 2xx into an orphaned file"
    assert answer["error"] == "unavailable"
    server.db.with_suffix(".moved").rename(server.db)
    assert server.wait_for(lambda: server.call("/readyz")[0] == 200, "recovery")
    assert server.call("/customhttp", {"type": "build", "id": "3", "action": "start"})[0] == 200
