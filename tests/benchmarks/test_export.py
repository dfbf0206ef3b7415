"""Traces of 100,000 spans leave while the receiver takes deliveries: how long that takes, and
what it costs those who send, at 200 a second and at all that the receiver can take.

pytest -m benchmark -s tests/benchmarks/test_export.py
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.benchmarks.load import Load, post_all
from tests.benchmarks.test_ingest import BARE, OURS, PAIRS, custom, run, server
from tests.benchmarks.wrk import needs_wrk
from vs_tui.cli.common import now
from vs_tui.cli.runtime import Runtime
from vs_tui.config import Config, Secrets
from vs_tui.config.model import ExportSettings

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1_200)]

COLLECTOR = BARE.replace("json.loads(await request.read())", "await request.read()")
SPANS = int(os.environ.get("VS_BENCH_EXPORT", "100000"))
RATE = 200
SECONDS = 10
P99 = 0.050
"""The budget of an answer at 500/s with the dashboard open."""


def config(path: Path, url: str = "") -> Config:
    export = ExportSettings(url, settle=0, signals=("traces",))
    return Config(port=0, db=path, secrets=Secrets("token-0123456789", {}), export=export)


async def fill(path: Path) -> None:
    """Traces of five spans that are over."""
    runtime = Runtime(config(path), now)
    await runtime.open_store()

    async def send(**body: Any) -> None:
        await runtime.ingest("/customhttp", {}, json.dumps(body).encode())

    async def trace(number: int) -> None:
        parent = f"vstrace-customhttp-pipeline-default-{number}"
        await send(type="pipeline", id=str(number), action="start")
        for child in range(4):
            name = f"{number}-{child}"
            await send(type="build", id=name, action="end", parent_id=parent)
        await send(type="pipeline", id=str(number), action="end")

    for first in range(0, SPANS // 5, 400):
        await asyncio.gather(*map(trace, range(first, min(first + 400, SPANS // 5))))
    await runtime.writer.caught_up(600)
    await runtime.close()


async def post(runtime: Runtime, seconds: int, name: str) -> Load:
    """Post at RATE for a while."""
    bodies = [
        json.dumps({"type": "audit", "id": f"{name}-{number}", "action": "start"}).encode()
        for number in range(RATE * seconds)
    ]
    header = "Authorization: Bearer token-0123456789\r\n"
    return await post_all(runtime.url, "/customhttp", bodies, lambda _: header, per_second=RATE)


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "t.db"
    asyncio.run(fill(path))
    return path


@contextmanager
def collector() -> Iterator[str]:
    """The URL of one that takes everything, in a process of its own."""
    command = [sys.executable, "-c", COLLECTOR]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split(" on ")[1].strip()
    finally:
        process.kill()
        process.wait()


@needs_wrk
def test_receiving_beside_an_export(tmp_path, filled) -> None:
    """All that the receiver takes with an export that has much to send, to that without one."""
    rates, costs = [], []
    with collector() as url:
        for attempt in range(PAIRS):
            found = []
            for name, export in (("without", []), ("with", ["--export-otlp", url])):
                path = tmp_path / f"{attempt}-{name}.db"
                shutil.copy(filled, path)
                with server([*OURS, str(path), *export], tmp_path) as running:
                    found.append(run(tmp_path, running, custom()))
                path.unlink()
            (alone, alone_cpu), (beside, beside_cpu) = found
            rates.append(beside.per_second / alone.per_second)
            costs.append(beside_cpu / alone_cpu)
            print(
                f"\nalone {alone.per_second:.0f}/s {alone_cpu * 1e6:.0f} us, beside an export "
                f"{beside.per_second:.0f}/s {beside_cpu * 1e6:.0f} us, "
                f"load {os.getloadavg()[0]:.1f}"
            )
    print(f"median: {median(rates):.2f} of the rate, {median(costs):.2f} of the CPU")


async def test_100_000_spans_leave_while_receiving(tmp_path, filled) -> None:
    path = tmp_path / "t.db"
    shutil.copy(filled, path)
    with collector() as url:
        runtime = Runtime(config(path), now)
        await runtime.open_store()
        await runtime.listen()
        alone = await post(runtime, SECONDS, "alone")
        await runtime.close()
        runtime = Runtime(config(path, url), now)
        await runtime.open_store()
        began = time.monotonic()
        await runtime.listen()
        state = runtime.exporters[0].state
        beside: list[float] = []
        while state.sent < SPANS and time.monotonic() < began + 900:
            beside += (await post(runtime, 2, f"beside-{len(beside)}")).latencies
        took = time.monotonic() - began
        await runtime.close()
    p99 = (alone.percentile(0.99), Load(took, beside, {}).percentile(0.99))
    print(
        f"\n{state.sent} spans in {took:.0f} s, {state.sent / took:,.0f}/s; answers at {RATE}/s: "
        f"p99 {p99[0] * 1000:.0f} ms alone, {p99[1] * 1000:.0f} ms beside the export"
    )
    assert state.sent >= SPANS and not state.refused
    assert p99[1] < max(P99, 3 * p99[0])
