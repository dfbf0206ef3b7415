"""Traces of 100,000 spans leave while the receiver takes 200 deliveries a second: how long that
takes, and what it costs those who send.

pytest -m benchmark -s tests/benchmarks/test_export.py
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.load import Load, post_all
from tests.benchmarks.test_ingest import BARE
from vs_tui.cli.common import now
from vs_tui.cli.runtime import Runtime
from vs_tui.config import Config, Secrets
from vs_tui.model.export_settings import ExportSettings

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
    await runtime.writer.caught_up()
    await runtime.close()


async def post(runtime: Runtime, seconds: int, name: str) -> Load:
    """Post at RATE for a while."""
    bodies = [
        json.dumps({"type": "audit", "id": f"{name}-{number}", "action": "start"}).encode()
        for number in range(RATE * seconds)
    ]
    header = "Authorization: Bearer token-0123456789\r\n"
    return await post_all(runtime.url, "/customhttp", bodies, lambda _: header, per_second=RATE)


async def test_100_000_spans_leave_while_receiving(tmp_path) -> None:
    path = tmp_path / "t.db"
    await fill(path)
    collector = subprocess.Popen(
        [sys.executable, "-c", COLLECTOR], stdout=subprocess.PIPE, text=True
    )
    try:
        assert collector.stdout is not None
        url = collector.stdout.readline().split(" on ")[1].strip()
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
    finally:
        collector.kill()
        collector.wait()
    p99 = (alone.percentile(0.99), Load(took, beside, {}).percentile(0.99))
    print(
        f"\n{state.sent} spans in {took:.0f} s, {state.sent / took:,.0f}/s; answers at {RATE}/s: "
        f"p99 {p99[0] * 1000:.0f} ms alone, {p99[1] * 1000:.0f} ms beside the export"
    )
    assert state.sent >= SPANS and not state.refused
    assert p99[1] < max(P99, 3 * p99[0])
