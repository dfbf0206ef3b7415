"""A rebuild in a file of its own, whose tables then take the place of those in use."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from tests.patience import PATIENCE
from tests.store.conftest import T, custom, rebuilt, ref
from tests.store.memory import database
from tests.store.stories import SCENARIOS
from vs_tui.log.delivery import Intake
from vs_tui.model.teams import Team, Teams
from vs_tui.model.vocabulary import Verdict
from vs_tui.sources import dispatch
from vs_tui.sources.dispatch import parse_stored
from vs_tui.store.folding.projector import Projector
from vs_tui.store.maintenance import rebuild as rebuilding
from vs_tui.store.maintenance import retention, table_swap
from vs_tui.store.maintenance.sweeper import WriterSettings
from vs_tui.store.maintenance.table_swap import model_tables
from vs_tui.store.queries.reader import SqliteReader
from vs_tui.store.schema import DERIVED_TABLES, StoreError, open_writer
from vs_tui.store.writer import Writer

STORIES = [
    intake._replace(dedupe=f"id:{number}")
    for number, intake in enumerate(i for scenario in SCENARIOS for i in scenario.deliveries)
][:150]


def state(db: sqlite3.Connection) -> dict[str, Any]:
    """All that is made of the log, whole, and what the log says of its deliveries."""
    found: dict[str, Any] = {}
    for table in model_tables(db):
        names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        columns = ", ".join(name for name in names if name != "changed")
        found[table] = sorted(db.execute(f"SELECT {columns} FROM {table}").fetchall(), key=repr)
    found["log"] = db.execute("SELECT id, kind, verdict, reason, keys FROM deliveries").fetchall()
    found["counts"] = db.execute("SELECT * FROM counts ORDER BY source, verdict").fetchall()
    found["schema"] = set(db.execute("SELECT name, sql FROM sqlite_schema"))
    found["check"] = db.execute("PRAGMA integrity_check").fetchall()
    return found


async def states(writer: Writer) -> dict[str, Any]:
    return await writer.run(state)


async def all_of(writer: Writer, intakes: Sequence[Intake]) -> None:
    await asyncio.gather(*(writer.submit(intake) for intake in intakes))


class Otherwise:
    """Adapters of another version: they refuse what has this in its body."""

    def __init__(self, word: bytes) -> None:
        self.word = word

    def __call__(
        self, source: str, path: str, headers: Mapping[str, str], body: bytes, at: int
    ) -> Any:
        found = parse_stored(source, path, headers, body, at)
        if self.word in body:
            return found._replace(verdict=Verdict.QUARANTINED, reason="cannot be read", events=())
        return found


def test_every_table_is_of_the_log_or_made_again() -> None:
    """A table that is neither would go back to where a rebuild began."""
    kept = [name for name in model_tables(database()) if name not in DERIVED_TABLES]
    assert all(name.startswith(("dora_", "metric_")) for name in kept), kept


async def test_it_gives_what_was_there_and_the_writer_goes_on(open_writer) -> None:
    writer = await open_writer(WriterSettings(teams=Teams((Team("core", ("acme/*",)),))))
    await all_of(writer, STORIES)
    before = await states(writer)
    assert len(before["spans"]) > 100
    result = await rebuilt(writer)
    assert await states(writer) == before
    assert (result.deliveries, result.spans) == (len(STORIES), len(before["spans"]))
    assert sorted(each.name for each in writer.path.parent.glob("0.db.*")) == ["0.db.lock"]
    # What the writer remembers of a span is not what is in the new tables.
    await writer.submit(custom("build", "after", "start"))
    await rebuilt(writer)
    await writer.submit(custom("build", "after", "end", 60))
    spans = await writer.run(lambda db: db.execute("SELECT key, status FROM spans").fetchall())
    assert (ref("build", "after"), "ok") in spans
    assert len(spans) == len(before["spans"]) + 1


async def test_what_was_received_since_is_folded_again(open_writer, monkeypatch) -> None:
    """The tables that take the place know nothing of it; nor does the writer read anything new."""
    writer, calm = await open_writer(), await open_writer()
    await all_of(writer, STORIES[:50])
    real = table_swap.exchange

    def late(db: sqlite3.Connection, made: Any, generation: int) -> None:
        folded = asyncio.run_coroutine_threadsafe(more(), loop)
        folded.result(PATIENCE)
        real(db, made, generation)

    async def more() -> None:
        await all_of(writer, STORIES[50:])
        await writer.folded()

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(table_swap, "exchange", late)
    result = await rebuilt(writer)
    assert result.deliveries == len(STORIES)
    await all_of(calm, STORIES)
    assert await states(writer) == await states(calm)


async def test_readers_see_all_anew(open_writer, clock) -> None:
    writer = await open_writer()
    await writer.submit(custom("build", 1, "start"))
    await writer.submit(custom("build", 2, "start"))
    await writer.folded()
    reader = await SqliteReader(writer.path, clock).open()
    try:
        seen = await reader.changes(0)
        assert len((await reader.spans("")).items) == 2
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(dispatch, "parse_stored", Otherwise(b'"id":"2"'))
            await rebuilt(writer)
        changes = await reader.changes(seen.seq)
        assert changes.truncated, "a span that is no more is no change of a span"
        assert changes.seq > seen.seq
        assert [span.ref for span in (await reader.spans("")).items] == [ref("build", 1)]
    finally:
        await reader.close()


async def test_what_reads_otherwise_is_corrected_and_counted(open_writer, monkeypatch) -> None:
    writer = await open_writer()
    for number in range(4):
        await writer.submit(custom("build", number, "start", number))
    before = await states(writer)
    with monkeypatch.context() as patched:
        patched.setattr(dispatch, "parse_stored", Otherwise(b'"id":"2"'))
        result = await rebuilt(writer)
    assert (result.deliveries, result.quarantined, result.spans) == (4, 1, 3)
    counts = await writer.run(lambda db: dict(db.execute("SELECT verdict, n FROM counts")))
    assert counts == {"accepted": 3, "quarantined": 1}
    assert (await rebuilt(writer)).quarantined == 0
    after = await states(writer)
    after["counts"] = [row for row in after["counts"] if row[2]]
    assert after == before


async def test_a_delivery_that_cannot_be_folded_is_quarantined(open_writer, monkeypatch) -> None:
    writer = await open_writer()
    for number in range(40):
        await writer.submit(custom("build", number, "start", number))
    real = Projector.fold_some

    def fails(self, db, folding, limit=0):
        folded = real(self, db, folding, limit)
        if any(change.new.ref == ref("build", 7) for change in folded.changes):
            raise ValueError("a bug in folding")
        return folded

    with monkeypatch.context() as patched:
        patched.setattr(Projector, "fold_some", fails)
        result = await rebuilt(writer)
    assert (result.quarantined, result.spans) == (1, 39)
    assert (await rebuilt(writer)).quarantined == 0


async def test_a_large_rebuild_leaves_the_log_of_the_live_file_alone(
    open_writer, monkeypatch
) -> None:
    """It empties its own WAL in between; the live file is open for reading only."""
    writer = await open_writer()
    await all_of(writer, STORIES[:20])
    before = await states(writer)
    real = rebuilding._Side.catch_up

    async def swept(side: Any, progress: Any) -> None:
        await side.sweep()
        await real(side, progress)

    monkeypatch.setattr(retention, "LARGE_WAL", 0)
    monkeypatch.setattr(rebuilding._Side, "catch_up", swept)
    assert (await rebuilt(writer)).deliveries == 20
    assert await states(writer) == before


@pytest.mark.parametrize("where", ["exchange", "_correct", "copy_fresh"])
async def test_a_rebuild_that_fails_changes_nothing(open_writer, monkeypatch, where) -> None:
    writer = await open_writer()
    await all_of(writer, STORIES[:20])
    before = await states(writer)

    def fails(*_: Any) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(rebuilding if where == "_correct" else table_swap, where, fails)
        with pytest.raises(StoreError, match="full"):
            await rebuilt(writer)
    assert not table_swap.side_of(writer.path).exists()
    # What it has left is deleted by the next start.
    await writer.close()
    again = Writer(writer.path, lambda: T, writer._settings)
    await again.open()
    await again.adopt()
    after = await states(again)
    await again.close()
    assert after == before


async def test_all_that_is_begun_anew_meanwhile_wins(open_writer, monkeypatch) -> None:
    writer = await open_writer()
    await writer.submit(custom("build", 1, "start"))
    real = table_swap.copy_fresh

    def slow(db: sqlite3.Connection, *more: Any) -> None:
        real(db, *more)
        begun = asyncio.run_coroutine_threadsafe(writer.start_over(lambda *_: 0), loop)
        begun.result(PATIENCE)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(table_swap, "copy_fresh", slow)
    with pytest.raises(StoreError, match="run this again"):
        await rebuilt(writer)
    await writer.folded()
    assert [span[0] for span in (await states(writer))["spans"]] == [ref("build", 1)]


async def test_only_one_at_a_time(open_writer, monkeypatch) -> None:
    writer = await open_writer()
    lock = rebuilding.DatabaseLock(table_swap.side_of(writer.path), temporary=True)
    lock.take()
    with pytest.raises(StoreError, match="is being rebuilt already, by process"):
        await rebuilt(writer)
    lock.release()
    assert (await rebuilt(writer)).deliveries == 0


async def test_a_receiver_of_another_configuration_finds_its_teams_again(open_writer) -> None:
    old, new = (Teams((Team(name, ("acme/*",)),)) for name in ("before", "after"))
    writer = await open_writer(WriterSettings(teams=old))
    await writer.submit(custom("build", 1, "start", namespace="acme/api"))
    writer._settings = replace(writer._settings, teams=new)
    await rebuilt(writer)
    await writer.close()
    with closing(open_writer_file(writer)) as db:
        assert db.execute("SELECT team FROM spans").fetchall() == [("after",)]
        assert not db.execute("SELECT 1 FROM meta WHERE name = 'teams'").fetchall()


def open_writer_file(writer: Writer) -> sqlite3.Connection:
    return open_writer(writer.path)
