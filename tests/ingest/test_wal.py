"""The write-ahead log stays small beside readers, and one that holds on to an old state is said."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ingest.server import Server, serving
from tests.ingest.test_nothing_lost import FULL
from tests.ingest.test_soak import looking_on
from tests.ingest.test_storage_trouble import start
from tests.patience import PATIENCE
from tests.store.conftest import clock, custom, open_writer
from vs_tui.cli import doctor, doctor_store
from vs_tui.config import Config
from vs_tui.log.delivery import Intake
from vs_tui.model.limits import MIB
from vs_tui.store.maintenance.retention import LARGE_WAL
from vs_tui.store.storage_errors import sizes

__all__ = ["clock", "open_writer"]

BODY = 100_000


def padded(number: int) -> Intake:
    intake = custom("build", number, "start")
    return intake._replace(body=intake.body + b" " * BODY)


def wal(server: Server) -> int:
    return server.db.with_name(server.db.name + "-wal").stat().st_size


def send(server: Server, first: int, number: int) -> None:
    for n in range(first, first + number):
        assert server.call("/customhttp", start(f"step {n}", BODY))[0] == 200


@contextlib.contextmanager
def reading_on(path: Path) -> Iterator[None]:
    """Another process's dashboards at their busiest: at every moment some query is at work."""
    stop = threading.Event()

    def read() -> None:
        with contextlib.closing(sqlite3.connect(path)) as database:
            while not stop.is_set():
                database.execute("SELECT MAX(length(body)) FROM deliveries").fetchone()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        stop.set()
        for reader in readers:
            reader.join(PATIENCE)


async def test_readers_that_are_never_all_idle_do_not_stop_checkpoints(open_writer) -> None:
    writer = await open_writer()
    large = 0
    with reading_on(writer.path):
        for number in range(500):
            await writer.submit(padded(number))
            if number % 50 == 49:
                large = max(large, sizes(writer.path)[1])
                await writer.sweep()
    # A sweep may find no gap between the readers on a busy machine; the next one does.
    assert large < 2 * LARGE_WAL + 8 * MIB
    assert sizes(writer.path)[1] < 2 * LARGE_WAL + 8 * MIB
    (timeout,) = await writer.run(lambda db: db.execute("PRAGMA busy_timeout").fetchone())
    assert timeout == 3_000, "a lock is waited for as before"


@pytest.mark.parametrize("events", [160, pytest.param(1_600, marks=FULL)])
def test_a_dashboard_that_stays_open_does_not_stop_checkpoints(tmp_path, events) -> None:
    with serving(tmp_path) as server:
        server.call("/customhttp", b'{"type":"build","id":"1","action":"start","name":"step 1"}')
        with looking_on(server):
            send(server, 0, events)
            written, left = events * BODY, wal(server)
    print(f"{written / MIB:.0f} MiB written, a WAL of {left / MIB:.1f} MiB")
    assert written > 15 * MIB
    assert left < LARGE_WAL + 8 * MIB


def test_a_reader_that_holds_an_old_state_is_found_and_its_end_ends_it(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(doctor_store, "LARGE_WAL", 6 * MIB)

    def found(server: Server) -> list[str]:
        config = Config(db=server.db, port=0)
        return [f.found for f in doctor.examine(config) if f.check == "wal"]

    with serving(tmp_path) as server:
        send(server, 0, 1)
        assert found(server) == []
        with contextlib.closing(sqlite3.connect(server.db, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT COUNT(*) FROM deliveries").fetchone()
            send(server, 1, 70)
            large = wal(server)
            assert large > 6 * MIB
            (said,) = found(server)
            assert "wait to go into the database" in said
            _, metrics = server.call("/metrics")
            (line,) = [row for row in metrics.splitlines() if row.startswith("vs_wal_bytes ")]
            # What was acknowledged may be folded, and an answer may keep what it counted.
            assert large <= float(line.split()[1]) <= wal(server)
            assert "vs_free_bytes " in metrics
            assert "vs_connections " in metrics
        send(server, 400, 70)
        assert wal(server) <= large + 5 * MIB, "it is used from its beginning again"
