"""How folding shares the process with receiving."""

from __future__ import annotations

import asyncio
import sqlite3

import orjson
import pytest

from tests.patience import PATIENCE
from tests.store.conftest import T, custom, rows_of
from vs_tui.log import append_queue, sqlite_position
from vs_tui.log.delivery import Intake
from vs_tui.sources import otlp
from vs_tui.sources.base import Inbound
from vs_tui.sources.customhttp import SOURCE
from vs_tui.sources.dispatch import intake_of, outline, read
from vs_tui.store.folding import projector, transaction
from vs_tui.store.folding.projector import Projector
from vs_tui.store.maintenance.rebuild import rebuild
from vs_tui.store.maintenance.sweeper import WriterSettings
from vs_tui.store.writer import Writer

SENDERS = 8


@pytest.fixture
def folds(monkeypatch) -> list[int]:
    """Deliveries that each transaction of the projector folded; folding gets no share of its own,
    and a delivery waits at any time."""
    monkeypatch.setattr(projector, "LEAST_SHARE", 1e-6)
    monkeypatch.setattr(append_queue.AppendQueue, "idle_seconds", 0.0)
    found: list[int] = []
    real = Projector.fold_some

    def fold_some(self, *args, **kwargs):
        folded = real(self, *args, **kwargs)
        found.append(folded.deliveries)
        return folded

    monkeypatch.setattr(Projector, "fold_some", fold_some)
    return found


def trace_of(number: int, spans: int) -> Intake:
    """A trace in one delivery: a span and those below it."""
    began = T * 1_000
    told = [
        {
            "traceId": f"{number + 1:032x}",
            "spanId": f"{n + 1:016x}",
            "parentSpanId": f"{1:016x}" if n else "",
            "name": f"step {n}",
            "startTimeUnixNano": str(began + n * 1_000_000),
            "endTimeUnixNano": str(began + spans * 1_000_000),
        }
        for n in range(spans)
    ]
    body = orjson.dumps({"resourceSpans": [{"scopeSpans": [{"spans": told}]}]})
    inbound = Inbound("/v1/traces", {"content-type": "application/json"}, body, T)
    return intake_of(otlp.SOURCE, inbound, read(otlp.SOURCE, inbound))


async def send(writer: Writer, each: int, first: int = 0) -> None:
    """Senders that each send the next delivery as soon as one is acknowledged."""

    async def sender(number: int) -> None:
        for copy in range(each):
            await writer.submit(custom("build", f"{first}-{number}-{copy}", "start"))

    await asyncio.gather(*map(sender, range(SENDERS)))


async def test_while_deliveries_keep_coming_they_are_not_folded_and_then_all_are(
    open_writer, folds
) -> None:
    writer = await open_writer()
    await send(writer, 20)
    assert len(folds) <= 1, "at most what was begun before the second delivery came"
    assert writer.behind >= 19 * SENDERS
    await writer.folded()
    assert sum(folds) == 20 * SENDERS


async def test_a_transaction_has_a_limited_number_of_events(
    open_writer, folds, monkeypatch
) -> None:
    monkeypatch.setattr(projector, "MOST_EVENTS", 5)
    writer = await open_writer()
    await send(writer, 20)
    await writer.folded()
    assert sum(folds) == 20 * SENDERS
    assert max(folds) == 5


@pytest.mark.parametrize("is_kept", [True, False], ids=["kept in memory", "read from the log"])
async def test_a_large_delivery_is_folded_in_parts_like_a_whole_one(
    open_writer, monkeypatch, is_kept
) -> None:
    batches = [trace_of(number, spans) for number, spans in enumerate((3, 250, 1, 40))]

    async def rows(most: int) -> tuple[list, list]:
        monkeypatch.setattr(projector, "MOST_EVENTS", most)
        monkeypatch.setattr(projector, "REMEMBERED", projector.REMEMBERED if is_kept else 0)
        writer = await open_writer(name=f"{most}.db")
        for batch in batches:
            await writer.submit(batch)
        await writer.folded()
        return await rows_of(writer)

    whole = await rows(10_000)
    assert len(whole[0]) == 294
    assert await rows(7) == whole
    assert await rows(41) == whole


async def test_parts_that_are_folded_again_after_a_crash_change_nothing(
    open_writer, folds, monkeypatch
) -> None:
    monkeypatch.setattr(projector, "MOST_EVENTS", 10)
    writer = await open_writer()
    await writer.submit(trace_of(0, 55))
    await writer.folded()
    once, transactions = await rows_of(writer), len(folds)
    assert len(once[0]) == 55

    def forget_the_position(db: sqlite3.Connection, _: object) -> None:
        sqlite_position.set_position(db, 0)
        writer._projector.opened(db)

    await writer.transaction(forget_the_position)
    await writer.folded()
    assert len(folds) > transactions
    assert await rows_of(writer) == once


async def test_a_read_that_waits_is_not_kept_waiting_by_deliveries(open_writer, folds) -> None:
    writer = await open_writer()
    await send(writer, 2)
    sending = asyncio.create_task(send(writer, 40, first=1))
    waited = asyncio.create_task(writer.caught_up(PATIENCE))
    done, _ = await asyncio.wait({sending, waited}, return_when=asyncio.FIRST_COMPLETED)
    assert waited in done
    assert await waited
    await sending


async def test_folding_has_its_share_though_deliveries_never_cease(
    open_writer, folds, monkeypatch
) -> None:
    monkeypatch.setattr(projector, "LEAST_SHARE", 0.5)
    monkeypatch.setattr(append_queue, "QUIET_SECONDS", 600)
    writer = await open_writer()
    async with asyncio.timeout(PATIENCE):
        await send(writer, 5)
        while writer.behind:
            await asyncio.sleep(0)


async def test_folding_has_the_time_in_which_no_delivery_waits_although_the_next_comes_soon(
    open_writer, monkeypatch
) -> None:
    monkeypatch.setattr(projector, "LEAST_SHARE", 1e-6)
    nearly = append_queue.QUIET_SECONDS - 0.001
    monkeypatch.setattr(append_queue.AppendQueue, "quiet_seconds", nearly)
    writer = await open_writer()
    async with asyncio.timeout(PATIENCE):
        await send(writer, 5)
        while writer.behind:
            await asyncio.sleep(0)


@pytest.fixture
def costly(monkeypatch) -> None:
    """Each delivery costs a millisecond of CPU time to fold."""
    spent = 0
    real = transaction.fold_and_link

    def fold_and_link(db, events, folding, **more):
        nonlocal spent
        spent += len(events)
        return real(db, events, folding, **more)

    monkeypatch.setattr(transaction, "fold_and_link", fold_and_link)
    monkeypatch.setattr(projector, "thread_time", lambda: spent / 1_000)


async def test_a_transaction_is_short_while_deliveries_keep_coming(
    open_writer, folds, costly, monkeypatch
) -> None:
    monkeypatch.setattr(append_queue.AppendQueue, "quiet_seconds", 0.0)
    writer = await open_writer()
    await send(writer, 20)
    assert await writer.caught_up(PATIENCE)
    assert max(folds) == 1_000 * projector.WAITED_SECONDS


@pytest.mark.parametrize(("quiet", "most"), [(0.05, 0.05), (60.0, 0.1)])
async def test_a_transaction_takes_no_longer_than_no_delivery_came_before_it(
    open_writer, folds, costly, monkeypatch, quiet, most
) -> None:
    monkeypatch.setattr(projector, "ALONE_SECONDS", 0.1)
    monkeypatch.setattr(append_queue.AppendQueue, "quiet_seconds", 0.0)
    writer = await open_writer()
    await send(writer, 40)
    monkeypatch.setattr(append_queue.AppendQueue, "quiet_seconds", quiet)
    while writer.behind:
        await asyncio.sleep(0)
    assert max(folds) == round(1_000 * most)


async def test_a_rebuild_folds_in_large_transactions_although_it_waits_for_them(
    open_writer, clock, folds, costly
) -> None:
    writer = await open_writer()
    await send(writer, 20)
    assert await writer.caught_up(PATIENCE)
    del folds[:]
    await rebuild(writer.path, clock, WriterSettings())
    assert max(folds) == 20 * SENDERS


async def test_what_is_not_kept_of_a_backlog_is_parsed_from_the_log(
    open_writer, monkeypatch
) -> None:
    monkeypatch.setattr(projector, "REMEMBERED", 2)
    reread, parsed = Projector.reread, []

    def counted(self, db, entry):
        parsed.append(entry.id)
        return reread(self, db, entry)

    monkeypatch.setattr(Projector, "reread", counted)
    writer = await open_writer()
    await send(writer, 5)
    await writer.folded()
    found = await writer.run(lambda db: db.execute("SELECT COUNT(*) FROM spans").fetchone())
    assert found == (5 * SENDERS,)
    assert 0 < len(parsed) < 5 * SENDERS, "those kept are not parsed again"
    assert parsed == sorted(set(parsed)), "each once, in order"


async def test_an_outline_is_kept_until_it_is_folded(open_writer, monkeypatch) -> None:
    reread, parsed = Projector.reread, []

    def counted(self, db, entry):
        parsed.append(entry.body)
        return reread(self, db, entry)

    def outlined(number: int, finish) -> Intake:
        whole = custom("build", number, "start", name="api")
        names = [event._replace(name="", attributes={}) for event in whole.events]
        return whole._replace(events=names, are_outlines=True, finish=lambda: finish(whole.events))

    monkeypatch.setattr(Projector, "reread", counted)
    writer = await open_writer()
    kept = outlined(1, lambda events: [event._replace(name="kept") for event in events])
    failing = outlined(2, lambda events: events[9])
    for intake in (kept, failing):
        await writer.submit(intake)
    await writer.folded()
    assert parsed == [failing.body], "it is parsed from the log instead"
    monkeypatch.setattr(projector, "REMEMBERED_BYTES", 0)
    other = outlined(3, list)
    await writer.submit(other)
    await writer.folded()
    assert parsed == [failing.body, other.body]
    found = await writer.run(
        lambda db: db.execute("SELECT name FROM spans ORDER BY key").fetchall()
    )
    assert found == [("kept",), ("api",), ("api",)]


@pytest.mark.parametrize(("length", "is_kept"), [(1_000, True), (3_000, False)])
def test_only_small_bodies_are_kept_decoded(length, is_kept) -> None:
    body = {"type": "build", "id": "1", "action": "start", "tags": {"log": "x" * length}}
    inbound = Inbound("/customhttp", {}, orjson.dumps(body), 1)
    intake = intake_of(SOURCE, inbound, outline(SOURCE, inbound))
    assert intake.are_outlines
    assert (intake.finish is not None) == is_kept
