"""Backups of a receiver under load, by the command a person or a timer uses; and back again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
import sys
import threading
from pathlib import Path

import pytest

from tests.benchmarks.load import post_all
from tests.ingest.server import TOKEN, Server
from tests.ingest.test_nothing_lost import FULL

PER_SECOND = 200


class Load(threading.Thread):
    """200 events a second; each id is noted after its 2xx was read."""

    def __init__(self, url: str, seconds: int) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.seconds = seconds
        self.acknowledged = 0
        self.statuses: dict[int, int] = {}

    def run(self) -> None:
        for second in range(self.seconds):
            first = second * PER_SECOND
            done = asyncio.run(
                post_all(
                    self.url,
                    "/customhttp",
                    [b'{"type":"build","id":"%d","action":"start"}' % n
                     for n in range(first, first + PER_SECOND)],
                    lambda _: f"Authorization: Bearer {TOKEN}\r\n",
                    connections=8,
                    per_second=PER_SECOND,
                )
            )  # fmt: skip
            for status, n in done.statuses.items():
                self.statuses[status] = self.statuses.get(status, 0) + n
            self.acknowledged = first + PER_SECOND


def ids(path: Path) -> set[int]:
    """The ids that the log holds: a copy taken under load may hold deliveries not folded yet."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = database.execute("SELECT body FROM deliveries").fetchall()
    return {int(json.loads(body)["id"]) for (body,) in rows}


async def db(server: Server, *words: str) -> dict:
    """`vs-tui db ... --json`, as another process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vs_tui", "db", *words, "--db", str(server.db), "--json",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    return json.loads(out)


@pytest.mark.parametrize("copies", [2, pytest.param(20, marks=FULL)])
async def test_backups_under_load_hold_all_that_was_acknowledged_and_can_be_restored(
    tmp_path, copies
) -> None:
    server = Server(tmp_path)
    load = Load(server.url, seconds=copies + 2)
    load.start()
    try:
        for number in range(copies):
            await asyncio.to_thread(
                server.wait_for, lambda n=number: load.acknowledged > n * PER_SECOND, "events"
            )
            before = load.acknowledged
            copy = tmp_path / f"copy{number}.db"
            await db(server, "backup", str(copy))
            assert set(range(before)) <= ids(copy)
        await asyncio.to_thread(load.join, 60)
        assert load.statuses == {200: load.seconds * PER_SECOND}, "backups refused nobody"
    finally:
        server.kill()
    last = tmp_path / f"copy{copies - 1}.db"
    held = ids(last)
    for part in ("", "-wal"):  # the worst case: the database is lost with its WAL left behind
        shutil.copyfile(tmp_path / "copy0.db", f"{server.db}{part}")
    restored = await db(server, "restore", str(last))
    assert restored["deliveries"] == len(held)
    assert (await db(server, "verify"))["ok"]
    assert ids(server.db) == held
    server.start()
    body = {"type": "build", "id": "1000000", "action": "start"}
    assert server.call("/customhttp", body)[0] == 200
    server.stop()
    assert ids(server.db) == held | {1_000_000}
    with contextlib.closing(sqlite3.connect(server.db)) as database:
        assert database.execute("SELECT count(*) FROM spans").fetchone() == (len(held) + 1,)
