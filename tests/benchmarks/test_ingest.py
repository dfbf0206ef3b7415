"""Receiving with durable commit and fold, against a bare aiohttp handler that only parses.

Two ratios of each pair: of the rates that the clock shows, and of the CPU time that a request took
of each server, which other work on the machine disturbs less.

pytest -m benchmark -s tests/benchmarks/test_ingest.py
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import orjson
import pytest

from tests.benchmarks.load import Load, post_all

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

BARE = """
import json, sys
from aiohttp import web
async def handle(request):
    json.loads(await request.read())
    return web.json_response({"result": "success"})
app = web.Application(client_max_size=26214400)
app.router.add_post("/{rest:.*}", handle)
async def main():
    import asyncio
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print("listening on http://127.0.0.1:%d" % runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()
import asyncio
asyncio.run(main())
"""


PAIRS = 5


@dataclass(frozen=True)
class Server:
    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """Of all its threads: the event loop's and the writer's."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


@contextlib.contextmanager
def server(command: list[str], cwd: Path) -> Iterator[Server]:
    process = subprocess.Popen(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "VS_CONFIG_DIR": str(cwd)},
    )
    try:
        line = process.stdout.readline()
        yield Server(line.split("listening on ")[1].strip(), process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def custom_bodies(n: int) -> list[bytes]:
    return [
        orjson.dumps(
            {
                "type": "build",
                "id": str(i // 2),
                "action": "end" if i % 2 else "start",
                "name": "compile",
                "namespace": "acme/api",
                "tags": {"branch": f"feature/{i // 20}", "host": "ci-7"},
            }
        )
        for i in range(n)
    ]


def run(server: Server, path: str, bodies: list[bytes], **more) -> tuple[Load, float]:
    """What the senders saw, and the server's CPU seconds for a request."""
    before = server.cpu_seconds()
    load = asyncio.run(post_all(server.url, path, bodies, **more))
    assert set(load.statuses) == {200}, load.statuses
    return load, (server.cpu_seconds() - before) / len(bodies)


OURS = [sys.executable, "-m", "vs_tui", "serve", "--no-auth", "--port", "0", "--db"]


def compare(tmp_path: Path, path: str, bodies: list[bytes]) -> None:
    rates, costs = [], []
    for attempt in range(PAIRS):
        with server([sys.executable, "-c", BARE], tmp_path) as running:
            bare, bare_cpu = run(running, path, bodies)
        with server([*OURS, str(tmp_path / f"{attempt}.db")], tmp_path) as running:
            ours, our_cpu = run(running, path, bodies)
        rates.append(ours.per_second / bare.per_second)
        costs.append(bare_cpu / our_cpu)
        print(
            f"\n{path}: bare {bare.per_second:.0f}/s {bare_cpu * 1e6:.0f} us, "
            f"ours {ours.per_second:.0f}/s {our_cpu * 1e6:.0f} us, "
            f"ratio {rates[-1]:.2f} by the clock, {costs[-1]:.2f} by CPU, "
            f"p50 {ours.percentile(0.5) * 1e3:.1f} ms, p99 {ours.percentile(0.99) * 1e3:.1f} ms, "
            f"load {os.getloadavg()[0]:.1f}"
        )
    print(
        f"{path}: median ratio {median(rates):.2f} by the clock, {median(costs):.2f} by CPU "
        f"(budget 0.6)"
    )


def test_custom_events(tmp_path) -> None:
    compare(tmp_path, "/customhttp", custom_bodies(4000))


def test_latency_at_500_a_second(tmp_path) -> None:
    with server([*OURS, str(tmp_path / "x.db")], tmp_path) as running:
        load, cpu = run(running, "/customhttp", custom_bodies(5000), per_second=500)
    print(
        f"\n500/s: p50 {load.percentile(0.5) * 1e3:.1f} ms, "
        f"p99 {load.percentile(0.99) * 1e3:.1f} ms (budget 50 ms), {cpu * 500:.0%} of a core"
    )
