"""A command that reads the database of a running receiver waits for all that follows from what was
acknowledged: also until spans are linked, and deployments judged, between deliveries."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from tests.store.conftest import custom
from vs_tui.store.queries.reader import SqliteReader

WAITING = {
    "renamed_spans": "('vstrace-x')",
    "link_queue": "('commit:1', '')",
    "judge_queue": "('acme/api', 'api', 'production', 0)",
}


@pytest.mark.parametrize("table", WAITING)
async def test_nothing_is_read_before_what_waits_in_a_queue(open_writer, clock, table) -> None:
    writer = await open_writer()
    await writer.submit(custom("build", "b", "start"))
    assert await writer.caught_up()
    reader = await SqliteReader(writer.path, clock).open()
    try:
        with contextlib.closing(sqlite3.connect(writer.path, isolation_level=None)) as db:
            assert await reader.caught_up(0)
            db.execute(f"INSERT INTO {table} VALUES {WAITING[table]}")
            assert not await reader.caught_up(0)
            db.execute(f"DELETE FROM {table}")
            assert await reader.caught_up(0)
    finally:
        await reader.close()
