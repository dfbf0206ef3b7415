"""A random walk over all that can happen to a receiver: no acknowledged delivery is ever lost.

Webhooks, bodies that are folded in parts and killed in between, `kill -9`, stops, SIGSTOP, files
that cannot grow, foreign locks, a rebuild beside it, backups and restores, clock jumps (with
faketime). The figures are printed.

VS_MACHINE_SECONDS=300 VS_MACHINE_SEED=7 pytest -m full -s tests/ingest/test_state_machine.py
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.ingest.projection import projection
from tests.ingest.server import Server
from tests.ingest.test_clock import LIBRARY, jumping, set_clock
from vs_tui.log.sqlite_position import head, position
from vs_tui.store.folding.projector import MOST_EVENTS

SECONDS = int(os.environ.get("VS_MACHINE_SECONDS", "1500"))
SEED = int(os.environ.get("VS_MACHINE_SEED", "1"))
CLOCK = bool(LIBRARY)


def trace(key: str, spans: int) -> dict:
    """OTLP: a span and those below it."""
    began = time.time_ns()
    told = [
        {
            "traceId": key,
            "spanId": f"{n + 1:016x}",
            "parentSpanId": f"{1:016x}" if n else "",
            "name": f"step {n}",
            "startTimeUnixNano": str(began + n * 1_000),
            "endTimeUnixNano": str(began + spans * 1_000_000),
        }
        for n in range(spans)
    ]
    return {"resourceSpans": [{"scopeSpans": [{"spans": told}]}]}


class Machine:
    """One receiver, what it has acknowledged, and what may be done to it."""

    def __init__(self, folder: Path, seed: int, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.env = jumping(folder) if CLOCK else {}
        (folder / "config.toml").write_text('[retention]\nage = "400d"\n')
        self.settings = env or {}
        self.server = Server(folder, env={**self.env, **self.settings})
        self.acknowledged: set[str] = set()
        self.traces: dict[str, int] = {}
        """Acknowledged bodies that are folded in parts, with their numbers of spans."""
        self.saved: tuple[Path, set[str], dict[str, int]] | None = None
        self.sent = 0
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.steps: list[tuple[int, Callable[[], None]]] = [
            (30, self.send),
            (1, self.large),
            (4, self.kill),
            (3, self.stop),
            (3, self.pause),
            (2, self.fill),
            (3, self.lock),
            (1, self.rebuild),
            (1, self.backup),
            (1, self.restore),
            *([(2, self.jump)] if CLOCK else []),
        ]

    def step(self) -> None:
        weights = [weight for weight, _ in self.steps]
        ((_, action),) = self.random.choices(self.steps, weights)
        self.done[action.__name__] += 1
        action()

    def send(self, many: int = 25) -> None:
        """Deliveries under keys of their own; a 2xx is a promise."""
        for _ in range(self.random.randrange(1, many)):
            self.sent += 1
            key = f"k{self.sent}"
            self.deliver(key, *self.delivery(key))

    def deliver(self, key: str, path: str, body: dict, headers: dict[str, str]) -> bool:
        """Whether it was acknowledged."""
        try:
            status, _ = self.server.call(path, body, headers)
        except (OSError, urllib.error.URLError):
            self.refused["unreachable"] += 1
            return False
        if status == 200:
            self.acknowledged.add(key)
        else:
            assert status == 503, status
            self.refused["503"] += 1
        return status == 200

    def large(self) -> None:
        """A body of several thousand spans, killed once or more while it is folded."""
        self.sent += 1
        key, spans = f"{self.sent:032x}", self.random.randrange(MOST_EVENTS + 1, 7_000)
        if not self.deliver(key, "/v1/traces", trace(key, spans), {"User-Agent": key}):
            return
        self.traces[key] = spans
        for _ in range(self.random.randrange(4)):
            self.server.wait_for(lambda: self.folded(key), "the first part")
            self.kill()
            self.done["killed in between"] += 0 < self.folded(key) < spans

    def folded(self, key: str) -> int:
        """The number of folded spans of a trace."""
        first = f"vstrace-otlp-span-{key}-"
        with contextlib.closing(sqlite3.connect(f"file:{self.server.db}?mode=ro", uri=True)) as db:
            sql = "SELECT COUNT(*) FROM spans WHERE key > ? AND key < ? || 'g'"
            return int(db.execute(sql, (first, first)).fetchone()[0])

    def delivery(self, key: str) -> tuple[str, dict, dict[str, str]]:
        number = self.random.randrange(400)
        what = self.random.choice(("custom", "alert"))
        if what == "alert":
            alert = {
                "status": self.random.choice(("firing", "resolved")),
                "fingerprint": f"{number}",
            }
            alert |= {"startsAt": f"2026-03-02T10:{number % 60:02}:00Z", "labels": {"k": key}}
            return "/alertmanager", {"version": "4", "alerts": [alert]}, {"User-Agent": key}
        body = {"type": self.random.choice(("build", "deploy", "pipeline")), "id": f"{number}"}
        body |= {"action": self.random.choice(("start", "end")), "timestamp": time.time()}
        body["tags"] = {"version": f"1.{number % 7}", "note": "x" * self.random.randrange(900)}
        return "/customhttp", body, {"Idempotency-Key": key, "User-Agent": key}

    def kill(self) -> None:
        self.server.kill()
        self.server.start()

    def stop(self) -> None:
        assert self.server.stop(self.random.choice((signal.SIGTERM, signal.SIGINT))) == 0
        self.server.start()

    def pause(self) -> None:
        os.kill(self.server.process.pid, signal.SIGSTOP)
        time.sleep(self.random.random() / 2)
        os.kill(self.server.process.pid, signal.SIGCONT)

    def fill(self) -> None:
        """No file of it can grow any more, as on a full disk; later they can."""
        size = max(path.stat().st_size for path in self.folder.glob("t.db*"))
        no_limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, (size // 2, no_limit[1]))
        with contextlib.suppress(AssertionError):
            self.send(8)
        resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, no_limit)
        self.server.wait_for(lambda: self.server.call("/readyz")[0] == 200, "being ready again")

    def lock(self) -> None:
        """Another program writes to the file for a while."""
        other = sqlite3.connect(self.server.db, timeout=5, isolation_level=None)
        try:
            with contextlib.suppress(sqlite3.OperationalError):
                other.execute("BEGIN IMMEDIATE")
                time.sleep(self.random.random())
                other.execute("ROLLBACK")
        finally:
            other.close()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        own = {"VS_CONFIG_DIR": str(self.folder), "VS_DATA_DIR": str(self.folder)}
        return subprocess.run(
            [sys.executable, "-m", "vs_tui", *arguments, "--db", str(self.server.db)],
            env={**os.environ, **own, **self.settings},  # their clock is right
            capture_output=True,
            text=True,
            timeout=120,
        )

    def rebuild(self) -> None:
        done = self.command("db", "rebuild")
        assert done.returncode == 0, done.stderr

    def backup(self) -> None:
        path = self.folder / f"backup-{self.done['backup']}.db"
        before = set(self.acknowledged), dict(self.traces)
        done = self.command("db", "backup", str(path))
        assert done.returncode == 0, done.stderr
        if self.saved is not None:
            self.saved[0].unlink()
        self.saved = path, *before

    def restore(self) -> None:
        """What came after the backup is gone, as was asked for; nothing of before is."""
        if self.saved is None:
            return
        self.server.stop()
        done = self.command("db", "restore", str(self.saved[0]))
        assert done.returncode == 0, done.stderr
        self.acknowledged, self.traces = set(self.saved[1]), dict(self.saved[2])
        for old in self.folder.glob("t.db.replaced-*"):
            old.unlink()
        self.server.start()

    def jump(self) -> None:
        """The clock is wrong for a while, by up to 600 days either way, also at a start: then
        retention is looked at first of all."""
        set_clock(self.folder, self.random.uniform(-600, 600) * 86_400)
        self.send(5)
        if self.random.random() < 0.5:
            self.kill()
            time.sleep(1.5)  # it looks once a second
            self.send(5)
        set_clock(self.folder, 0)

    def is_folded(self) -> bool:
        with contextlib.closing(sqlite3.connect(f"file:{self.server.db}?mode=ro", uri=True)) as db:
            return position(db) >= head(db)

    def check(self) -> None:
        """Every acknowledged key is in the log, each large body is folded whole, and the counters
        add up."""
        self.server.wait_for(self.is_folded, "folding")
        with contextlib.closing(sqlite3.connect(f"file:{self.server.db}?mode=ro", uri=True)) as db:
            stored = {
                json.loads(h).get("user-agent")
                for (h,) in db.execute("SELECT headers FROM deliveries")
            }
        lost = self.acknowledged - stored
        assert not lost, sorted(lost)[:10]
        assert {key: self.folded(key) for key in self.traces} == self.traces
        status, health = self.server.call("/api/sources")
        assert status == 200, health


def walk(machine: Machine) -> None:
    """Take steps until the time is over; then the rows are what a rebuild makes."""
    end = time.monotonic() + SECONDS
    try:
        while time.monotonic() < end:
            machine.step()
            if sum(machine.done.values()) % 40 == 0:
                machine.check()
        machine.check()
        machine.server.stop()
        assert machine.command("db", "verify").returncode == 0
        live = projection(machine.server.db)
        machine.rebuild()
        again = projection(machine.server.db)
        for table, rows in live.items():
            assert rows == again[table], table
    finally:
        if machine.server.process.poll() is None:
            machine.server.kill()
        print(
            f"\n{machine.sent} sent, {len(machine.acknowledged)} acknowledged and there, "
            f"{sum(machine.traces.values())} spans of {len(machine.traces)} large bodies, "
            f"{dict(machine.refused)} refused; {dict(machine.done)}, clock jumps: {CLOCK}"
        )


@pytest.mark.full
@pytest.mark.timeout(SECONDS + 600)
def test_no_acknowledged_delivery_is_lost_whatever_happens(tmp_path) -> None:
    walk(Machine(tmp_path, SEED))
