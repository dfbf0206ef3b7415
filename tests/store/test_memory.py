"""Memory is bounded in bytes, not only in numbers: caches, pages and spans."""

from __future__ import annotations

import asyncio
import json
import time
from itertools import permutations

from tests.ingest.server import TOKEN
from tests.store.conftest import custom, ref
from tests.store.tracing import World
from vs_tui.store import read_spans
from vs_tui.store.reader import SqliteReader
from vs_tui.store.span_folding import EventCache
from vs_tui.traces.folding import LEFT_OUT, MOST_ATTRIBUTES, bounded

LARGE = {f"t{n}": "v" * 1_900 for n in range(90)}


def test_the_cache_of_events_is_bounded_in_bytes() -> None:
    world = World()
    world.folding.cache = EventCache(most_bytes=1_000_000)
    for number in range(15):
        world.deliver(custom("build", number, "start", tags=LARGE))
        assert 0 <= world.folding.cache.bytes <= 1_000_000
    stored = world.db.execute("SELECT SUM(length(data)) FROM events").fetchone()[0]
    assert stored > 2_000_000, "the test is large enough"
    world.deliver(custom("build", 0, "end", 60))
    status = world.db.execute("SELECT status FROM spans WHERE key = ?", (ref("build", 0),))
    assert status.fetchone() == ("ok",), "what was evicted is read back"


def test_the_bytes_of_the_cache_are_those_of_what_it_holds() -> None:
    world = World()
    for number in range(20):
        world.deliver(custom("build", number % 7, "annotate", number, tags={"n": number}))
    cache = world.folding.cache
    expected = world.db.execute("SELECT SUM(length(data)) FROM events").fetchone()[0]
    assert cache.bytes == expected
    cache.clear()
    assert cache.bytes == 0
    small = EventCache(most_bytes=10)
    small.add("a", 11)
    small.keep({"a": {}})
    assert small.bytes == 0


def test_one_spans_attributes_are_bounded_and_it_says_what_was_left_out() -> None:
    deliveries = [
        custom("build", 1, "annotate", at, tags={f"{at}.{name}": v for name, v in LARGE.items()})
        for at in range(3)
    ]
    expected = World().deliver(*deliveries)
    ((text,),) = expected.db.execute("SELECT attributes FROM spans")
    assert len(text) < MOST_ATTRIBUTES * 1.2
    found = json.loads(text)
    assert found[LEFT_OUT] == 3 * len(LARGE) - (len(found) - 1)
    for order in permutations(deliveries):
        assert World().deliver(*order).rows() == expected.rows()


def test_ours_are_left_out_last() -> None:
    ours = {f"vs.{n}": "x" * 1_000 for n in range(30)}
    theirs = {f"t{n}": "y" * 500 for n in range(200)}
    found = bounded({**theirs, **ours})
    assert found.keys() >= ours.keys()
    assert found[LEFT_OUT] == 230 - (len(found) - 1)
    few = {"a": 1}
    assert bounded(few) is few


async def test_a_page_ends_where_its_spans_are_large(open_writer, clock, monkeypatch) -> None:
    monkeypatch.setattr(read_spans, "PAGE_BYTES", 200_000)
    writer = await open_writer()
    for number in range(25):
        await writer.submit(custom("build", number, "start", number, tags=LARGE))
    await writer.caught_up()
    reader = await SqliteReader(writer.path, clock).open()
    try:
        for sort in ("started", "live"):
            seen: list[str] = []
            cursor, pages = "", 0
            while pages == 0 or cursor:
                page = await reader.all_spans(limit=1_000, cursor=cursor, sort=sort)
                assert len(page.items) <= 5
                seen += [span.key for span in page.items if span.operation == "build"]
                cursor, pages = page.next, pages + 1
            assert sorted(seen) == sorted(ref("build", n) for n in range(25))
            assert pages > 5
    finally:
        await reader.close()


async def test_large_pages_do_not_hold_up_webhooks(tmp_path) -> None:
    """Eight readers ask for all large spans at once."""
    from tests.ingest.server import nearby

    with nearby(tmp_path) as server:
        for number in range(30):
            body = {"type": "build", "id": str(number), "action": "start", "tags": LARGE}
            assert server.call("/customhttp", body)[0] == 200
        slowest = 0.0
        reading = [
            asyncio.create_task(asyncio.to_thread(server.call, "/api/spans?limit=10000"))
            for _ in range(8)
        ]
        number = 0
        while not all(task.done() for task in reading) or number < 3:
            number += 1
            began = time.monotonic()
            body = {"type": "build", "id": f"probe{number}", "action": "start"}
            status, _ = await asyncio.to_thread(server.call, "/customhttp", body, {}, "", TOKEN)
            assert status == 200
            slowest = max(slowest, time.monotonic() - began)
        assert all(task.result()[0] == 200 for task in reading)
        assert slowest < 2.0, "0.5 s on a machine that has nothing else to do"
