"""Receiving with durable commit and fold, against a bare aiohttp handler that only parses.

pytest -m benchmark -s tests/benchmarks/test_ingest.py
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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


@contextlib.contextmanager
def server(command: list[str], cwd: Path) -> Iterator[str]:
    process = subprocess.Popen(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "VS_CONFIG_DIR": str(cwd)},
    )
    try:
        line = process.stdout.readline()
        yield line.split("listening on ")[1].strip()
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


def run(url: str, path: str, bodies: list[bytes], headers=lambda _: "", **more) -> Load:
    load = asyncio.run(post_all(url, path, bodies, headers, **more))
    assert set(load.statuses) == {200}, load.statuses
    return load


def ratio(tmp_path: Path, path: str, bodies: list[bytes], headers=lambda _: "") -> float:
    ours_command = [sys.executable, "-m", "vs_tui", "serve", "--no-auth", "--port", "0"]
    ratios = []
    for attempt in range(3):
        with server([sys.executable, "-c", BARE], tmp_path) as bare_url:
            bare = run(bare_url, path, bodies, headers)
        database = str(tmp_path / f"{attempt}.db")
        with server([*ours_command, "--db", database], tmp_path) as url:
            ours = run(url, path, bodies, headers)
        ratios.append(ours.per_second / bare.per_second)
        print(
            f"\n{path}: bare {bare.per_second:.0f}/s, ours {ours.per_second:.0f}/s, "
            f"ratio {ratios[-1]:.2f}, p50 {ours.percentile(0.5) * 1e3:.1f} ms, "
            f"p99 {ours.percentile(0.99) * 1e3:.1f} ms"
        )
    return sorted(ratios)[1]


def test_custom_events(tmp_path) -> None:
    print(f"median ratio {ratio(tmp_path, '/customhttp', custom_bodies(6000)):.2f} (budget 0.6)")


def test_latency_at_500_a_second(tmp_path) -> None:
    command = [sys.executable, "-m", "vs_tui", "serve", "--no-auth", "--port", "0"]
    with server([*command, "--db", str(tmp_path / "x.db")], tmp_path) as url:
        load = run(url, "/customhttp", custom_bodies(5000), per_second=500)
    print(
        f"\n500/s: p50 {load.percentile(0.5) * 1e3:.1f} ms, "
        f"p99 {load.percentile(0.99) * 1e3:.1f} ms (budget 50 ms)"
    )
