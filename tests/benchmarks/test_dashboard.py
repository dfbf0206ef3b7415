"""The dashboard on a pseudo-terminal, against its budgets: first paint, idle, in flight, keys.

pytest -m benchmark -s tests/benchmarks/test_dashboard.py
"""

import asyncio
import json
import multiprocessing
import os
import re
import statistics
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.benchmarks.load import post_all
from tests.benchmarks.terminal import Terminal
from vs_tui.cli.runtime import Runtime
from vs_tui.config import load
from vs_tui.store.schema import open_writer

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]

MINUTE = 60_000_000
SPANS = """
WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :count)
INSERT INTO spans
SELECT 'k-' || n, 'k-' || n, 'k-' || n, 'github',
    CASE n % 10 WHEN 0 THEN 'pull_request' WHEN 9 THEN 'deploy' WHEN 1 THEN 'pipeline'
        ELSE 'build' END,
    'acme/service-' || (n / 10 % 40) || ' step ' || n,
    CASE WHEN n % 97 = 0 THEN 'error' ELSE 'ok' END, CASE WHEN n % 97 = 0 THEN 6 ELSE 4 END,
    :now - (:count - n) * 2000000 - 180000000, :now - (:count - n) * 2000000,
    'acme/service-' || (n / 10 % 40), 'team-' || (n / 10 % 8), 'service-' || (n / 10 % 40),
    CASE n % 10 WHEN 9 THEN 'production' ELSE '' END, 'ana', '', 1, '', NULL,
    :now - (:count - n) * 2000000, 0, 180000000, '', '{"vcs.ref.head.revision":"9f3c1e2aa0"}',
    printf('%032x', n / 10), printf('%032x', n / 10),
    CASE n % 10 WHEN 0 THEN '' ELSE 'k-' || (n - n % 10) END,
    'series-' || (n / 10 % 40) || '-' || (n % 10), 0, n + 1, '', '', ''
FROM numbers
"""
FLYING = """
UPDATE spans SET status = 'in_flight', state = 3, ended_at = NULL, active = NULL,
    last_event_at = :now, started_at = :now - 30000000
WHERE rowid > (SELECT MAX(rowid) FROM spans) - :flying
"""


def make_database(path: Path, count: int, flying: int = 0) -> Path:
    """So many spans of the last days, ten a trace, written by SQL alone into a database that the
    receiver has opened before (its first opening looks at every span)."""
    config = load(None, flags={"db": str(path)})

    async def first_start() -> None:
        runtime = Runtime(config, lambda: time.time_ns() // 1_000)
        await runtime.open_store()
        await runtime.close()

    asyncio.run(first_start())
    db = open_writer(path)
    now = time.time_ns() // 1_000
    db.execute("PRAGMA synchronous = OFF")
    db.execute("BEGIN")
    db.execute(SPANS, {"count": count, "now": now})
    db.execute(FLYING, {"flying": flying, "now": now})
    db.execute("INSERT OR REPLACE INTO meta VALUES ('seq', :count)", {"count": count})
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute("ANALYZE")
    db.close()
    return path


@contextmanager
def dashboard(folder: Path, database: Path, command: str = "vs-tui") -> Iterator[Terminal]:
    """With bytecode, as after an installation: from the second start on."""
    view = ["view", str(database)]
    options = view if command == "vs-tui view" else ["--db", str(database), "--port", "0"]
    terminal = Terminal.start(
        [sys.executable, "-m", "vs_tui", *options],
        {
            "VS_CONFIG_DIR": str(folder),
            "VS_DATA_DIR": str(folder),
            "PYTHONPYCACHEPREFIX": str(folder / "pyc"),
            "PYTHONDONTWRITEBYTECODE": "",
        },
    )
    try:
        yield terminal
    finally:
        code = terminal.close()
    assert code == 0, bytes(terminal.received[-3_000:])


def painted(received: bytearray) -> bool:
    """Live has rows: the headings of its sections are on the screen."""
    return b"WAITING" in received


def test_first_paint_with_a_million_spans(tmp_path) -> None:
    began = time.perf_counter()
    database = make_database(tmp_path / "big.db", 1_000_000, flying=12)
    print(f"\nmade in {time.perf_counter() - began:.0f} s, {database.stat().st_size / 1e6:.0f} MB")
    for command in ("vs-tui", "vs-tui view"):
        paints, costs = [], []
        for _ in range(6):
            with dashboard(tmp_path, database, command) as terminal:
                terminal.read(20, painted)
                paints.append(time.perf_counter() - terminal.began)
                costs.append(terminal.cpu())
                terminal.read(2)
                memory = terminal.memory()
        print(
            f"{command}: rows painted: median {statistics.median(paints[1:]):.2f} s, worst "
            f"{max(paints[1:]):.2f} s (budget 1.0 s), {statistics.median(costs[1:]):.2f} s of "
            f"processor time until then (what it takes on a quiet machine); the first start, which "
            f"may have to compile {paints[0]:.2f} s, {costs[0]:.2f} s; {memory:.0f} MB (budget "
            f"150 MB); load {os.getloadavg()[0]:.1f}"
        )


def test_idle(tmp_path) -> None:
    database = make_database(tmp_path / "idle.db", 10_000)
    with dashboard(tmp_path, database) as terminal:
        terminal.read(20, painted)
        # The receiver starts after the rows, and on a busy machine long after them.
        terminal.quiet(8)
        figures = [terminal.cost(10) for _ in range(7)]
    # Ages and the clock move on once a minute, all of them at once.
    still = sum(not per_second for _, per_second in figures)
    print(
        f"\nidle: {statistics.mean(cpu for cpu, _ in figures):.2f} % (budget 0.5 %); {still} of 7 "
        f"stretches of 10 s without a byte, {10 * max(b for _, b in figures):.0f} bytes in the "
        f"minute's paint; load {os.getloadavg()[0]:.1f}"
    )


def test_twelve_in_flight(tmp_path) -> None:
    database = make_database(tmp_path / "flying.db", 10_000, flying=12)
    with dashboard(tmp_path, database) as terminal:
        terminal.read(20, painted)
        terminal.read(10)
        cpu, per_second = terminal.cost(20)
    print(f"\n12 in flight: {cpu:.2f} % (budget 2 %), {per_second:.0f} bytes/s")


def selected(terminal: Terminal) -> tuple[int, str]:
    """(line, text) of the list's row with the cursor."""
    lines = terminal.screen.lines
    return next(((n, line) for n, line in enumerate(lines) if "│▌" in line), (-1, ""))


def test_key_to_paint_with_ten_thousand_rows(tmp_path) -> None:
    database = make_database(tmp_path / "rows.db", 12_000)
    with dashboard(tmp_path, database) as terminal:
        terminal.read(20, painted)
        terminal.quiet(3)
        terminal.press("b")
        terminal.read(20, lambda _: "newest" in terminal.screen.text)
        terminal.quiet(3)
        terminal.press("G")
        # All rows that are read at most.
        terminal.read(20, lambda _: "-10000 of" in terminal.screen.text)
        terminal.quiet(2)
        took, pages = [], []
        for key in "kkkkkjjjjj" * 5:
            terminal.quiet(0.15)
            line = selected(terminal)[0]
            terminal.press(key)
            took.append(terminal.read(5, lambda _, was=line: selected(terminal)[0] != was))
        for key in ("\x15", "\x04") * 10:
            terminal.quiet(0.15)
            row = selected(terminal)[1]
            terminal.press(key)
            pages.append(terminal.read(5, lambda _, was=row: selected(terminal)[1] != was))
    show_times("row", took)
    show_times("page", pages)


def show_times(name: str, times: list[float], budget: int = 60) -> None:
    ordered = sorted(times)
    print(
        f"\n{name}: p50 {1e3 * statistics.median(times):.0f} ms, "
        f"p95 {1e3 * ordered[int(0.95 * len(times))]:.0f} ms, worst {1e3 * ordered[-1]:.0f} ms "
        f"(budget {budget} ms); load {os.getloadavg()[0]:.1f}"
    )


def post_events(url: str, per_second: float, count: int) -> None:
    bodies = [
        b'{"type":"build","id":"ev-%d","action":"start","name":"unit"}' % n for n in range(count)
    ]
    head = "Authorization: Bearer benchmark-token\r\n"
    load = asyncio.run(post_all(url, "/customhttp", bodies, lambda _: head, 1, per_second))
    assert set(load.statuses) == {200}


def test_keys_on_live_with_300_traces_and_50_events_a_second(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("VS_TOKEN", "benchmark-token")
    database = make_database(tmp_path / "live.db", 8_000, flying=12)
    with dashboard(tmp_path, database) as terminal:
        terminal.read(20, painted)
        port = re.search(r"hooks (127\.0\.0\.1:\d+) ok", terminal_with(terminal, "hooks 127"))
        assert port is not None
        print(f"\n{re.search(r'[0-9]+ open', terminal.screen.text)}")
        url = f"http://{port[1]}"
        sender = multiprocessing.get_context("spawn").Process(
            target=post_events, args=(url, 50, 1_500), daemon=True
        )
        sender.start()
        terminal.press("j")
        terminal.read(5)
        took = []
        for key in "jjjjjkkkkk" * 8:
            terminal.read(0.1)
            line = selected(terminal)
            terminal.press(key)
            took.append(terminal.read(5, lambda _, was=line: selected(terminal) != was))
        counted = re.search(r"(\d+) open", terminal.screen.text)
        running = sender.is_alive()
        sender.kill()
    assert running and counted and int(counted[1]) > 800, "the keys outlived the events"
    show_times("row of Live", took)


def post_builds(url: str, per_second: float, count: int) -> None:
    """Starts of builds, each of which ends half a second later."""
    lasting = int(per_second // 4)
    bodies = []
    for n in range(count // 2):
        for number, action in ((n, "start"), (n - lasting, "end")):
            if number >= 0:
                bodies.append(
                    b'{"type":"build","id":"bg-%d","action":"%s","name":"unit"}'
                    % (number, action.encode())
                )
    head = "Authorization: Bearer benchmark-token\r\n"
    load = asyncio.run(post_all(url, "/customhttp", bodies, lambda _: head, 4, per_second))
    assert set(load.statuses) == {200}


def post_deploy(url: str, name: str) -> None:
    """A deploy that goes on, with another name each time: the oldest one that runs, so its row
    stays in view."""
    body = {"type": "deploy", "id": "probe", "action": "start", "name": name}
    head = {"Authorization": "Bearer benchmark-token", "Content-Type": "application/json"}
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/customhttp", data, head)
    with urllib.request.urlopen(request):
        pass


def test_event_to_paint_at_200_events_a_second(tmp_path, monkeypatch) -> None:
    """From the first byte of a request to the paint that shows its span in Live."""
    monkeypatch.setenv("VS_TOKEN", "benchmark-token")
    database = make_database(tmp_path / "paint.db", 10_000)
    took = []
    with dashboard(tmp_path, database) as terminal:
        terminal.read(20, painted)
        port = re.search(r"hooks (127\.0\.0\.1:\d+) ok", terminal_with(terminal, "hooks 127"))
        assert port is not None
        url = f"http://{port[1]}"
        sender = multiprocessing.get_context("spawn").Process(
            target=post_builds, args=(url, 200, 60_000), daemon=True
        )
        post_deploy(url, "probe")
        sender.start()
        terminal.read(5)
        cpu, received, began = terminal.cpu(), len(terminal.received), time.perf_counter()
        for number in range(100):
            terminal.read(0.13 + number % 10 / 100)
            name = f"probe-{number}-"
            sent = time.perf_counter()
            post_deploy(url, name)
            terminal.read(5, lambda _, name=name: name in terminal.screen.text)
            took.append(time.perf_counter() - sent)
        spent = time.perf_counter() - began
        share = 100 * (terminal.cpu() - cpu) / spent
        each = (len(terminal.received) - received) / spent
        running = sender.is_alive()
        sender.kill()
    assert running, "the probes outlived the events"
    show_times("event to paint at 200/s", took, 250)
    print(f"{share:.0f} % of a core, {each / 1e3:.0f} kB/s to the terminal")


def terminal_with(terminal: Terminal, words: str) -> str:
    """The screen once it shows these words."""
    if words not in terminal.screen.text:
        terminal.read(20, lambda _: words in terminal.screen.text)
    return terminal.screen.text
