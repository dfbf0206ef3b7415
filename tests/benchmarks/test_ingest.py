"""Receiving, committed to the log, against a bare aiohttp handler that only parses the same JSON.

Each figure is a ratio of two runs one after the other, and of five such pairs the median: of the
rates that the clock shows, and of the CPU time that a request took of each server, which other work
on the machine disturbs less.

pytest -m benchmark -s tests/benchmarks/test_ingest.py

Measured on two cores without other load, medians of five pairs: custom events 0.57 by the clock and
0.52 by CPU (145 us a request, the bare handler's 75), GitHub bodies 0.53 and 0.52 (195 us and 102).
At 500 a second with the dashboard open, half were answered within 0.6 ms (custom) and 1.6 ms
(GitHub), 99 of 100 within 20 and 38 ms. In slower hours of the same machine the ratios were 0.45 to
0.57, and 99 of 100 took up to 37 and 88 ms.

A burst of 50,000 with the dashboard open: custom events acknowledged at 6,070/s and folded at
6,315/s, GitHub bodies at 4,309/s and 2,056/s, half of the keys painted within 10 ms, the longest
wait 0.12 s. A slow hour gave 4,010 and 3,473, 2,935 and 1,225, so only paired runs decide
about a change.

While folding is behind, the dashboard reads once a second: after the last answer of a burst of
12,000 custom events all threads took 173 us of CPU time for each, 192 before (medians of five pairs
at a load of 18).

Without the dashboard a backlog of 10,000 GitHub bodies takes 0.40 ms of CPU time each to fold and
0.14 to parse, one of custom events 55 and 30 us. Of the 0.40, SQLite takes a half: 0.10 to insert,
with COMMIT. The rest is spread over all of folding, and no part that was left out gained a fifth:
the steps of jobs, half of all spans, take 0.10, phases 0.04, shipped links 0.05, the metrics 0.05
(0.035 of it for what waits to be judged). Without garbage collection, or in transactions of 1,000
or 2,000, it took as long; so it did without `auto_vacuum`, and with offers and seeks as rows with
small indexes instead of sorted tables. Inserting spans takes 43 us a body, 29 of it for their 23
indexes, none more than 4; without nine of them a body took 3 % less in all. In transactions of
eight a body takes 1.0 ms: 0.17 for COMMIT, which writes 25 pages for each, and about as much for
each of shipped links and metrics.

`serve` took 91 MB when 25,000 GitHub bodies were acknowledged and 131 MB when they were folded;
with 32 MB for the pages of SQLite instead of 16 it took 108 and 148 and folded as fast. The cache
of events had 8 MB more then. With the dashboard it was 114 and 146 (188 while Live kept the spans
of the traces and each thread had an arena of the C library; after 50,000 bodies 232, then 148), and
at 75 custom events a second, each build a trace of its own, 140 to 143 from the fifth to the eighth
minute (153 while Live kept 5,000 traces that had ended).

An outline of custom events took receiving one from 102 to 80 us of CPU time and folding it from 42
to 72 (in one process, without sockets and listeners; three pairs of 12,800 at a load of 20). Since
outlines of small bodies are kept until they are folded, within bounds, each of 32 folded at once
takes 85 us, not 110; with the outline and the append 133, not 158 (medians of three pairs). With
GitHub bodies it gained 4 % of 1,135 us, and the decoded bodies that wait would be the most memory.

Of a GitHub body's CPU time its outline takes 0.2 (orjson a third of that), the append 0.25. What
gained less than a tenth and was thrown away: uvloop (the bare handler gains as much), one INSERT
for a whole batch, its statements on the event loop's thread, both threads on one core, remembering
fewer events, compressed bodies (zstd costs 30 to 50 us a body, and saves 20 of the append), pages
of 8 and 16 KiB, `mmap_size`, rarer checkpoints, fewer statements around an append (all cost 1 us a
delivery).
"""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from statistics import median

import orjson
import pytest

from tests.benchmarks.deliveries import templates
from tests.benchmarks.load import post_all
from tests.benchmarks.terminal import Terminal
from tests.benchmarks.wrk import Burst, Measured, Template, load, needs_wrk

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1_200)]

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
PAIRS = int(os.environ.get("VS_BENCH_PAIRS", "5"))
SECONDS = 4
BURST = int(os.environ.get("VS_BENCH_BURST", "50000"))


@dataclass(frozen=True)
class Server:
    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """Of all its threads: the event loop's and the writer's."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def behind(self) -> int:
        """Deliveries that are acknowledged and not folded yet."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        found = re.search(r"^vs_projection_behind (\S+)$", text, re.MULTILINE)
        return 0 if found is None else round(float(found[1]))


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
        process.wait(60)


def custom() -> list[Template]:
    """The start and the end of a build."""
    tags = {"branch": "feature/@N@", "host": "ci-7"}
    body = {"type": "build", "id": "@N@", "name": "compile", "namespace": "acme/api", "tags": tags}
    return [
        Template("/customhttp", orjson.dumps({**body, "action": action}))
        for action in ("start", "end")
    ]


def github() -> list[Template]:
    """A fortnight of a few repositories, in bodies as large as GitHub's own."""
    return [
        Template(path, body, tuple(headers.items()))
        for path, headers, body in templates("github.jsonl")
    ]


def copies(templates: Sequence[Template]) -> Iterator[Template]:
    """The requests that `wrk` makes of templates, one after the other."""
    for number in count():
        for each in templates:
            copy, commit = b"%d" % number, b"%05x" % number
            body = each.body.replace(b"@N@", copy).replace(b"@S@", commit)
            headers = [(name, value.replace("@N@", str(number))) for name, value in each.headers]
            yield Template(each.path, body, headers)


OURS = [sys.executable, "-m", "vs_tui", "serve", "--no-auth", "--port", "0", "--db"]
MADE = {"custom": custom, "github": github}


def run(folder: Path, running: Server, sent: Sequence[Template]) -> tuple[Measured, float]:
    """What wrk saw, and the server's CPU seconds for a request until the last answer; folding
    that is left for later is measured by the burst."""
    before = running.cpu_seconds()
    measured = load(folder, running.url, sent, SECONDS)
    return measured, (running.cpu_seconds() - before) / measured.requests


@needs_wrk
@pytest.mark.parametrize("made", list(MADE))
def test_receiving(tmp_path, made: str) -> None:
    sent = MADE[made]()
    rates, costs = [], []
    for attempt in range(PAIRS):
        with server([sys.executable, "-c", BARE], tmp_path) as running:
            bare, bare_cpu = run(tmp_path, running, sent)
        with server([*OURS, str(tmp_path / f"{attempt}.db")], tmp_path) as running:
            ours, our_cpu = run(tmp_path, running, sent)
        rates.append(ours.per_second / bare.per_second)
        costs.append(bare_cpu / our_cpu)
        print(
            f"\n{made}: bare {bare.per_second:.0f}/s {bare_cpu * 1e6:.0f} us, "
            f"ours {ours.per_second:.0f}/s {our_cpu * 1e6:.0f} us, "
            f"ratio {rates[-1]:.2f} by the clock, {costs[-1]:.2f} by CPU, "
            f"p50 {ours.p50 * 1e3:.1f} ms, p99 {ours.p99 * 1e3:.1f} ms, "
            f"load {os.getloadavg()[0]:.1f}"
        )
    print(
        f"{made}: median ratio {median(rates):.2f} by the clock, {median(costs):.2f} by CPU "
        "(budget 0.5)"
    )


@contextlib.contextmanager
def dashboard(folder: Path) -> Iterator[tuple[Terminal, Server]]:
    """`vs-tui` on a terminal, receiver and dashboard in one process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "vs_tui", "--no-auth", "--port", str(port)]
    database = folder / "dashboard.db"
    terminal = Terminal.start([*command, "--db", str(database)], {"VS_CONFIG_DIR": str(folder)})
    try:
        terminal.read(30, lambda _: url in terminal.screen.text)
        yield terminal, Server(url, terminal.process.pid)
    finally:
        terminal.close()


@needs_wrk
@pytest.mark.parametrize("made", list(MADE))
def test_a_burst_with_the_dashboard_open(tmp_path, made: str) -> None:
    """How fast a burst is acknowledged, how fast its rest is folded, and keys meanwhile."""
    waits = []
    with dashboard(tmp_path) as (terminal, running):
        burst = Burst(tmp_path, running.url, MADE[made](), BURST)
        before = running.cpu_seconds()
        began = time.perf_counter()
        try:
            while (answered := burst.answered()) is None:
                terminal.press("?" if len(waits) % 2 == 0 else "\x1b")
                waits.append(terminal.read(30, _paints(terminal)))
                terminal.read(0.2)
        finally:
            burst.stop()
        left = running.behind()
        asked = time.perf_counter()
        while (still := running.behind()) > 0:
            terminal.read(0.05)
        folded = time.perf_counter()
        cpu = (running.cpu_seconds() - before) / BURST
    rest = "all folded by then" if left == still else f"{left / (folded - asked):.0f}/s folded"
    print(
        f"\n{made}: {BURST} acknowledged at {BURST / answered:.0f}/s, {left} behind, then {rest}; "
        f"all in {folded - began:.1f} s, {cpu * 1e6:.0f} us of CPU each; "
        f"key to paint median {median(waits) * 1e3:.0f} ms, "
        f"longest {max(waits) * 1e3:.0f} ms of {len(waits)}; load {os.getloadavg()[0]:.1f}"
    )


def _paints(terminal: Terminal):
    """Whether anything was painted after this moment."""
    before = len(terminal.received)
    return lambda received: len(received) > before


@pytest.mark.parametrize("made", list(MADE))
def test_latency_at_500_a_second_with_the_dashboard_open(tmp_path, made: str) -> None:
    """Paced, so that the loader in Python is not what is measured."""
    sent = list(islice(copies(MADE[made]()), 2_500))
    with dashboard(tmp_path) as (terminal, running):
        before = running.cpu_seconds()
        reading = threading.Thread(target=lambda: terminal.read(12))
        reading.start()
        load = asyncio.run(
            post_all(
                running.url,
                sent[0].path,
                [request.body for request in sent],
                lambda number: "".join(f"{k}: {v}\r\n" for k, v in sent[number].headers),
                per_second=500,
            )
        )
        cpu = (running.cpu_seconds() - before) / load.seconds
        reading.join()
    assert set(load.statuses) == {200}, load.statuses
    print(
        f"\n{made}, 500/s: p50 {load.percentile(0.5) * 1e3:.1f} ms, "
        f"p99 {load.percentile(0.99) * 1e3:.1f} ms (budget 50 ms), {cpu:.0%} of a core, "
        f"load {os.getloadavg()[0]:.1f}"
    )
