"""The write-ahead log stays small beside readers, and one that holds on to an old state is said."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from tests.receiver.server import Server, serving
from tests.receiver.test_nothing_lost import FULL
from tests.receiver.test_soak import looking_on
from tests.receiver.test_storage_trouble import start
from vs_tui.cli import checkup
from vs_tui.config import Config
from vs_tui.domain.limits import MIB

BODY = 20_000


def wal(server: Server) -> int:
    return server.db.with_name(server.db.name + "-wal").stat().st_size


def send(server: Server, first: int, number: int) -> None:
    for n in range(first, first + number):
        assert server.call("/customhttp", start(f"step {n}", BODY))[0] == 200


@pytest.mark.parametrize("events", [800, pytest.param(8_000, marks=FULL)])
def test_a_dashboard_that_stays_open_does_not_stop_checkpoints(tmp_path, events) -> None:
    with serving(tmp_path) as server:
        server.call("/customhttp", b'{"type":"build","id":"1","action":"start","name":"step 1"}')
        with looking_on(server):
            send(server, 0, events)
            written, left = events * BODY, wal(server)
    assert written > 15 * MIB
    assert left < max(10 * MIB, written / 10), "it was emptied again and again"


def test_a_reader_that_holds_an_old_state_is_found_and_its_end_ends_it(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(checkup, "LARGE_WAL", 6 * MIB)

    def found(server: Server) -> list[str]:
        config = Config(db=server.db, port=0)
        return [f.found for f in checkup.examine(config) if f.check == "wal"]

    with serving(tmp_path) as server:
        send(server, 0, 1)
        assert found(server) == []
        with contextlib.closing(sqlite3.connect(server.db, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT COUNT(*) FROM deliveries").fetchone()
            send(server, 1, 350)
            large = wal(server)
            assert large > 6 * MIB
            (said,) = found(server)
            assert "wait to go into the database" in said
            _, metrics = server.call("/metrics")
            (line,) = [row for row in metrics.splitlines() if row.startswith("vs_wal_bytes ")]
            assert float(line.split()[1]) == large
            assert "vs_free_bytes " in metrics
            assert "vs_connections " in metrics
        send(server, 400, 350)
        assert wal(server) <= large + 5 * MIB, "it is used from its beginning again"
