"""What kill -9 and a power cut leave: ready again at once, and nothing acknowledged is missing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from tests.ingest.inside import Raw, post, receiving
from tests.ingest.server import Server, serving
from tests.ingest.test_nothing_lost import FULL, Sender
from tests.store.conftest import Clock, custom
from vs_tui.log import sqlite_position
from vs_tui.store.maintenance.backup import verify
from vs_tui.store.writer import Writer


async def fill(path: Path, number: int) -> None:
    writer = Writer(path, Clock())
    await writer.open()
    for first in range(0, number, 1_000):
        await asyncio.gather(
            *(
                writer.submit(custom("build", n // 2, ("start", "end")[n % 2], n % 2))
                for n in range(first, first + 1_000)
            )
        )
    await writer.close()


def cpu_seconds(process: int) -> float:
    """Of one process since its start: a wall clock would measure the machine's other work."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("events", [1_000, pytest.param(100_000, marks=FULL)])
def test_after_kill_9_it_is_ready_in_two_seconds_whatever_is_stored(tmp_path, events) -> None:
    asyncio.run(fill(tmp_path / "t.db", events))
    server = Server(tmp_path)
    took, cpu = [], []
    for number in range(2):
        for n in range(20):
            body = {"type": "build", "id": f"late-{number}-{n}", "action": "start"}
            assert server.call("/customhttp", body)[0] == 200
        server.kill()
        assert server.db.with_name("t.db-wal").stat().st_size, "there is a WAL to recover"
        began = time.monotonic()
        server.start()
        assert server.call("/readyz")[0] == 200
        took.append(time.monotonic() - began)
        cpu.append(cpu_seconds(server.process.pid))
    server.stop()
    print(f"{events} events: ready after {min(took):.2f} s, {min(cpu):.2f} s of the processor")
    assert min(cpu) < 2
    if events == 100_000:
        assert min(took) < 2


def holds(image: Path) -> set[str]:
    """Ids in a copy of the database, each with its fold up to the position."""
    with contextlib.closing(sqlite3.connect(image)) as database:
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)
        position = sqlite_position.position(database)
        rows = database.execute(
            "SELECT d.id, json_extract(d.keys, '$[0]'), s.key FROM deliveries d "
            "LEFT JOIN spans s ON s.key = json_extract(d.keys, '$[0]')"
        ).fetchall()
        (ids,) = database.execute("SELECT COUNT(*) = MAX(id) FROM deliveries").fetchone()
    assert all((key == span) == (number <= position) for number, key, span in rows)
    assert ids or not rows, "a prefix of the commits"
    return {key.rpartition("-default-")[2] for _, key, _ in rows}


@pytest.mark.parametrize("images", [10, pytest.param(200, marks=FULL)])
def test_an_image_of_a_stopped_process_holds_all_that_was_acknowledged(tmp_path, images) -> None:
    """SIGSTOP at any moment of the load, copy database and WAL, SIGCONT: what a power cut would
    leave of a disk that keeps its word."""
    chance = random.Random(3)
    image = tmp_path / "image.db"
    seen: list[int] = []
    with serving(tmp_path) as server:
        senders = [Sender(server.url, f"s{n}") for n in range(8)]
        for sender in senders:
            sender.start()
        for _ in range(images):
            wanted = sum(len(s.acknowledged) for s in senders) + chance.randint(1, 40)
            server.wait_for(
                lambda wanted=wanted: sum(len(s.acknowledged) for s in senders) >= wanted,
                "acknowledged events",
            )
            acknowledged = {each for sender in senders for each in tuple(sender.acknowledged)}
            server.process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, server.process.pid, os.WSTOPPED)
            for part in ("", "-wal"):
                shutil.copyfile(f"{server.db}{part}", f"{image}{part}")
            server.process.send_signal(signal.SIGCONT)
            found = holds(image)
            assert acknowledged <= found
            seen.append(len(found))
            for leftover in tmp_path.glob("image.db*"):
                leftover.unlink()
    assert seen == sorted(seen)
    assert seen[0] < seen[-1]


@pytest.mark.parametrize("requests", [200, pytest.param(1_000, marks=FULL)])
async def test_senders_that_hang_up_between_read_and_commit_leave_whole_rows_or_none(
    tmp_path, requests
) -> None:
    chance = random.Random(11)
    async with receiving(tmp_path) as runtime:

        async def impatient(number: int) -> None:
            connection = await Raw.to(runtime)
            await connection.send(post(b'{"type":"build","id":"%d","action":"start"}' % number))
            for _ in range(chance.randint(0, 30)):
                await asyncio.sleep(0)
            connection.writer.transport.abort()

        for first in range(0, requests, 50):
            await asyncio.gather(*(impatient(n) for n in range(first, first + 50)))
        connection = await Raw.to(runtime)
        await connection.send(post(b'{"type":"build","id":"last","action":"start"}'))
        assert (await connection.answer())[0] == 200
        connection.close()
        counts = await runtime.reader.sources()
    found = holds(tmp_path / "inside.db")
    assert "last" in found
    assert 1 < len(found) <= requests + 1
    assert sum(counts[0].counts.values()) >= len(found)
    assert verify(tmp_path / "inside.db") == []
