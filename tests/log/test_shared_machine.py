"""The random walk of `tests/ingest/test_state_machine.py` over a node of a log in PostgreSQL.

The server is killed and the cache is deleted, too, and a second node shows the same in the end.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import psycopg
import pytest

from tests.ingest.projection import KEPT, projection
from tests.ingest.server import Server
from tests.ingest.test_state_machine import SECONDS, SEED, Machine, walk
from tests.log.postgres import PostgresServer
from vs_tui.log.address import DEFAULT_SCHEMA
from vs_tui.log.postgres import REPEAT


class SharedMachine(Machine):
    """A node of a log; the log is where its deliveries are."""

    def __init__(self, folder: Path, seed: int, postgres: PostgresServer) -> None:
        self.postgres = postgres
        super().__init__(folder, seed, {"VS_LOG": postgres.new_database()})
        of_a_file = (self.backup, self.restore)
        self.steps = [step for step in self.steps if step[1] not in of_a_file]
        self.steps += [(1, self.kill_log), (1, self.delete_cache)]

    def is_folded(self) -> bool:
        stored = "SELECT COUNT(*) FROM {}deliveries WHERE verdict <> %s"
        with psycopg.connect(self.settings["VS_LOG"]) as log:
            wanted = log.execute(stored.format(f"{DEFAULT_SCHEMA}."), [REPEAT]).fetchone()
        with contextlib.closing(sqlite3.connect(self.server.db)) as db:
            found = db.execute(stored.format("").replace("%s", "?"), [REPEAT]).fetchone()
        return found == wanted and super().is_folded()

    def kill_log(self) -> None:
        self.postgres.kill()
        self.send(8)
        self.postgres.start()
        self.server.wait_for(lambda: self.server.call("/readyz")[0] == 200, "the log")

    def delete_cache(self) -> None:
        self.server.stop()
        for file in self.folder.glob("t.db*"):
            file.unlink()
        self.server.start()


@pytest.mark.full
@pytest.mark.timeout(SECONDS + 600)
def test_no_acknowledged_delivery_is_lost_whatever_happens_to_a_node(tmp_path, postgres) -> None:
    machine = SharedMachine(tmp_path, SEED, postgres)
    walk(machine)
    other = Server(tmp_path, db="other.db", env=machine.settings)
    try:
        wanted = projection(machine.server.db, KEPT)
        other.wait_for(lambda: projection(other.db, KEPT) == wanted, "the same at another node")
    finally:
        other.stop()
