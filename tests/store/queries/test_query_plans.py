"""What a screen asks is answered out of an index, also in a database that was never analysed: a
statement that goes through all spans costs seconds at a million of them."""

import re

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
    "past runs": lambda reader, spans: reader.past_runs(spans),
    "past runs then": lambda reader, spans: reader.past_runs(spans, at=T + DAY // 2),
    "trace": lambda reader, spans: reader.trace(spans[0].trace_id),
}
BOUNDED = ("spans_in_flight", "spans_failed")
"""Indexes of few spans, which may be gone through."""


@pytest.mark.parametrize("name", [*ASKED, *OF_SPANS])
async def test_no_screen_goes_through_all_spans_or_deliveries(open_writer, clock, name) -> None:
    writer = await open_writer()
    for number in range(30):
        await writer.submit(custom("build", number, "start", at=number))
        await writer.submit(custom("build", number, "end", at=number + 60, error=number % 3 == 0))
    clock.now = T + DAY
    reader = await SqliteReader(writer.path, clock).open()
    spans = (await reader.all_spans("")).items
    said: list[str] = []
    await reader.run(lambda db: db.set_trace_callback(said.append))
    if name in ASKED:
        await ASKED[name](reader)
    else:
        await OF_SPANS[name](reader, spans)
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
    await reader.close()
