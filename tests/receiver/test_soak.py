"""Half an hour at 200 events a second: memory, descriptors and WAL stay flat.

VS_SOAK_SECONDS=300 pytest -m full -s tests/receiver/test_soak.py
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from tests.benchmarks.load import post_all
from tests.receiver.server import TOKEN, Server

SECONDS = int(os.environ.get("VS_SOAK_SECONDS", "1800"))
PER_SECOND = 200
WARM = 0.5
"""Share of the time after which caches are full (SQLite's are 48 MB, folding remembers the events
of 4,000 spans) and memory must not grow any more."""


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
    """A start, and a second later the end of it; ids never repeat."""
    ending = number >= PER_SECOND and number % 2
    event = number - PER_SECOND if ending else number
    return orjson.dumps(
        {
            "type": ("build", "deploy", "test")[event % 3],
            "id": str(event),
            "action": "end" if ending else "start",
            "name": f"step {event % 50}",
            "namespace": f"acme/service-{event % 20}",
            "tags": {"branch": f"feature/{event // 100}", "host": f"ci-{event % 7}"},
        }
    )


@pytest.mark.full
@pytest.mark.timeout(0)
async def test_memory_is_flat_at_200_a_second(tmp_path) -> None:
    server = Server(tmp_path)
    samples: list[Sample] = []
    latencies: list[float] = []
    step = max(SECONDS // 30, 5)
    try:
        for round_ in range(SECONDS // step):
            first = round_ * step * PER_SECOND
            load = await post_all(
                server.url,
                "/customhttp",
                [body(first + n) for n in range(step * PER_SECOND)],
                lambda _: f"Authorization: Bearer {TOKEN}\r\n",
                per_second=PER_SECOND,
            )
            assert set(load.statuses) == {200}, load.statuses
            latencies += load.latencies
            samples.append(await asyncio.to_thread(sample, server))
    finally:
        server.stop()
    warm = samples[int(len(samples) * WARM)]
    last = samples[-1]
    latencies.sort()
    print(
        f"\n{len(latencies)} events in {SECONDS} s: RSS {samples[0].rss >> 20} MiB at first, "
        f"{warm.rss >> 20} warm, {last.rss >> 20} at the end "
        f"({' '.join(str(s.rss >> 20) for s in samples)}); "
        f"{max(s.files for s in samples)} files, WAL "
        f"{max(s.wal for s in samples) >> 20} MiB; p50 {latencies[len(latencies) // 2] * 1000:.1f}"
        f" ms, p99 {latencies[int(len(latencies) * 0.99)] * 1000:.1f} ms"
    )
    assert last.rss < warm.rss * 1.10
    assert max(s.files for s in samples) < 32 + 30, "32 are the senders' connections"
    assert max(s.wal for s in samples) < 64 << 20
