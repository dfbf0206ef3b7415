"""Half an hour at 200 events a second: memory, descriptors and WAL stay flat, also while a reader
looks on for a third of the time.

VS_SOAK_SECONDS=300 pytest -m full -s tests/ingest/test_soak.py
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from tests.benchmarks.load import Load, post_all
from tests.ingest.server import TOKEN, Server
from tests.tui.terminal import Terminal

SECONDS = int(os.environ.get("VS_SOAK_SECONDS", "1800"))
PER_SECOND = 200
ROUNDS = 30
WARM = 0.5
"""Share of the time after which caches are full (SQLite's are 48 MB, folding remembers the events
of 4,000 spans) and memory must not grow any more."""
CONNECTIONS = 32


@dataclass(frozen=True)
class Sample:
    rss: int
    files: int
    wal: int


def sample(server: Server) -> Sample:
    process = Path(f"/proc/{server.process.pid}")
    status = (process / "status").read_text()
    rss = int(status.split("VmRSS:")[1].split()[0]) * 1024
    wal = server.db.with_name(server.db.name + "-wal")
    files = len(list((process / "fd").iterdir()))
    return Sample(rss, files, wal.stat().st_size if wal.exists() else 0)


def body(number: int) -> bytes:
    """Starts and, a second later, their ends; ids never repeat."""
    ending = number % 2 and number > PER_SECOND
    event = (number - PER_SECOND - 1) // 2 if ending else number // 2
    early = "" if ending or number % 2 == 0 else "early-"
    return orjson.dumps(
        {
            "type": ("build", "deploy", "test")[event % 3],
            "id": f"{early}{event}",
            "action": "end" if ending else "start",
            "name": f"step {event % 50}",
            "namespace": f"acme/service-{event % 20}",
            "tags": {"branch": f"feature/{event // 100}", "host": f"ci-{event % 7}"},
        }
    )


async def load(server: Server, first: int, seconds: int) -> Load:
    return await post_all(
        server.url,
        "/customhttp",
        [body(first + n) for n in range(seconds * PER_SECOND)],
        lambda _: f"Authorization: Bearer {TOKEN}\r\n",
        connections=CONNECTIONS,
        per_second=PER_SECOND,
    )


@contextlib.contextmanager
def looking_on(server: Server) -> Iterator[Terminal]:
    """`vs-tui view` on the database, on a terminal of its own that takes all that is painted."""
    env = {**os.environ, "VS_CONFIG_DIR": str(server.folder), "VS_DATA_DIR": str(server.folder)}
    env |= {"TERM": "xterm-256color"}
    viewer = Terminal(sys.executable, "-m", "vs_tui", "view", str(server.db), env=env)
    viewer.read_until(b"step ")
    draining = threading.Thread(target=_drain, args=(viewer.master,), daemon=True)
    draining.start()
    try:
        yield viewer
    finally:
        viewer.press(b"q")
        assert viewer.process.wait(30) == 0
        draining.join(30)
        os.close(viewer.master)


def _drain(terminal: int) -> None:
    with contextlib.suppress(OSError):  # the dashboard is gone
        while os.read(terminal, 65_536):
            pass


@pytest.mark.full
@pytest.mark.timeout(0)
async def test_memory_is_flat_at_200_a_second(tmp_path) -> None:
    server = Server(tmp_path)
    samples: list[Sample] = []
    latencies: list[float] = []
    step = max(SECONDS // ROUNDS, 5)
    rounds = SECONDS // step
    try:
        with contextlib.ExitStack() as viewers:
            for number in range(rounds):
                if number == rounds // 3:
                    viewers.enter_context(looking_on(server))
                if number == 2 * rounds // 3:
                    viewers.close()
                done = await load(server, number * step * PER_SECOND, step)
                assert set(done.statuses) == {200}, done.statuses
                latencies += done.latencies
                now = await asyncio.to_thread(sample, server)
                samples.append(now)
                print(
                    f"{(number + 1) * step:5} s: {done.per_second:.0f}/s, RSS {now.rss >> 20} MiB, "
                    f"{now.files} files, WAL {now.wal / 2**20:.1f} MiB, "
                    f"p50 {done.percentile(0.5) * 1000:.1f} ms, "
                    f"p99 {done.percentile(0.99) * 1000:.1f} ms, load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
    finally:
        server.stop()
    warm = samples[int(len(samples) * WARM)]
    last = samples[-1]
    print(
        f"{len(latencies)} events in {SECONDS} s: RSS {samples[0].rss >> 20} MiB at first, "
        f"{warm.rss >> 20} warm, {last.rss >> 20} at the end; "
        f"at most {max(s.files for s in samples)} files, WAL {max(s.wal for s in samples) >> 20} "
        f"MiB; database {server.db.stat().st_size >> 20} MiB"
    )
    assert last.rss < warm.rss * 1.10
    half = len(samples) // 2
    before, after = (min(s.files for s in part) for part in (samples[:half], samples[half:]))
    assert after <= before, "a connection that is just being closed counts once, a leak for good"
    assert max(s.wal for s in samples) < 64 << 20
    with contextlib.closing(sqlite3.connect(server.db)) as database:
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)
        (received,) = database.execute("SELECT COUNT(*) FROM deliveries").fetchone()
    assert received == len(latencies), "what was acknowledged is there, once"
