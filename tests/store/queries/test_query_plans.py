"""What a screen asks is answered out of an index, also in a database that was never analysed: a
statement that goes through all spans costs seconds at a million of them."""

import re
from contextlib import asynccontextmanager
from functools import partial

import pytest

from tests.store.conftest import T, custom
from vs_tui.model.time import DAY
from vs_tui.store.queries.reader import SqliteReader

ASKED = {
    "spans": lambda reader: reader.spans("fresh<7d kind:build needle"),
    "spans by name": lambda reader: reader.spans("state:failed", sort="name"),
    "spans then": lambda reader: reader.spans("", at=T + DAY // 2),
    "spans of a trace": lambda reader: reader.spans("trace:00"),
    "counts": lambda reader: reader.counts("team:core"),
    "counts then": lambda reader: reader.counts("team:core", at=T + DAY // 2),
    "traces": lambda reader: reader.traces(""),
    "traces then": lambda reader: reader.traces("", at=T + DAY // 2),
    "span": lambda reader: reader.span("nowhere"),
    "trace": lambda reader: reader.trace("nowhere"),
    "deliveries": lambda reader: reader.deliveries("source:github needle"),
    "received": lambda reader: reader.received(T),
    "delivery": lambda reader: reader.delivery(1),
    "changes": lambda reader: reader.changes(1),
    "sources": lambda reader: reader.sources(),
    "teams": lambda reader: reader.teams(),
    "health": lambda reader: reader.health(),
}
OF_SPANS = {
    "baselines": lambda reader, spans: reader.baselines(spans),
    "baselines then": lambda reader, spans: reader.baselines(spans, at=T + DAY // 2),
    "past runs": lambda reader, spans: reader.past_runs(spans),
    "past runs then": lambda reader, spans: reader.past_runs(spans, at=T + DAY // 2),
    "trace": lambda reader, spans: reader.trace(spans[0].trace_id),
}
BOUNDED = ("spans_in_flight", "spans_failed")
"""Indexes of few spans, which may be gone through."""


@pytest.mark.parametrize("name", [*ASKED, *OF_SPANS])
async def test_no_screen_goes_through_all_spans_or_deliveries(open_writer, clock, name) -> None:
    writer = await open_writer()
    await build(writer, range(30))
    clock.now = T + DAY
    async with reading(writer.path, clock) as reader:
        spans = (await reader.all_spans("")).items
        asked = (ASKED[name], (reader,)) if name in ASKED else (OF_SPANS[name], (reader, spans))
        await is_indexed(reader, partial(asked[0], *asked[1]))


async def test_the_board_goes_through_no_spans_that_did_not_change(open_writer, clock) -> None:
    writer = await open_writer()
    await build(writer, range(30))
    await writer.submit(custom("build", "open", "start"))
    clock.now = T + 60
    async with reading(writer.path, clock) as reader:
        assert (await reader.board()).rows
        await build(writer, range(30, 40))
        await writer.caught_up()
        await is_indexed(reader, reader.board)
        await is_indexed(reader, lambda: reader.board(at=T + DAY // 2))


@asynccontextmanager
async def reading(path, clock):
    reader = await SqliteReader(path, clock).open()
    try:
        yield reader
    finally:
        await reader.close()


async def build(writer, numbers) -> None:
    for number in numbers:
        await writer.submit(custom("build", number, "start", at=number))
        await writer.submit(custom("build", number, "end", at=number + 60, error=number % 3 == 0))


async def is_indexed(reader, ask) -> None:
    said: list[str] = []
    await reader.run(lambda db: db.set_trace_callback(said.append))
    await ask()
    await reader.run(lambda db: db.set_trace_callback(None))
    assert said
    for sql in said:
        steps = await reader.run(
            lambda db, sql=sql: db.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
        )
        for *_, step in steps:
            scan = re.fullmatch(
                r"SCAN (spans|deliveries)(?: USING (?:COVERING )?INDEX (\w+))?", step
            )
            assert scan is None or scan[2] in BOUNDED, (step, sql)
