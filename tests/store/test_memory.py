"""Memory is bounded in bytes, not only in numbers: caches, pages and spans."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest

from tests.ingest.server import TOKEN, Server, serving
from tests.patience import PATIENCE, Stopwatch
from tests.store.conftest import Clock, custom, ref
from tests.store.tracing import World, posted
from vs_tui.store.folding import transaction
from vs_tui.store.folding.stored_events import EventCache
from vs_tui.store.queries import read_spans
from vs_tui.store.queries.reader import SqliteReader
from vs_tui.store.writer import Writer
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


def test_what_is_folded_again_is_counted_once_in_the_cache() -> None:
    """A refold reads events that no new ones follow, an alert those of its earlier incidents."""
    world = World()

    def stored() -> int:
        found: int = world.db.execute("SELECT SUM(length(data)) FROM events").fetchone()[0]
        return found

    world.deliver(*(custom("build", number, "start", tags=LARGE) for number in range(4)))
    builds = [ref("build", number) for number in range(4)]
    cache = world.folding.cache
    cache.clear()
    for _ in range(3):
        transaction.refold_and_link(world.db, builds, world.folding)
        assert cache.bytes == stored()
    for minute in (30, 15, 20, 15, 10):  # the start moves, so the events move to another key
        start = f"2026-03-02T10:{minute}:00Z"
        told = {"status": "firing", "fingerprint": "c8", "labels": {}, "startsAt": start}
        world.deliver(posted("alertmanager", {"version": "4", "alerts": [told]}))
        assert cache.bytes == stored()
    assert world.db.execute("SELECT COUNT(DISTINCT key) FROM events").fetchone()[0] == 5
    half = stored() // 2
    world.folding.cache = EventCache(most_bytes=half)
    for _ in range(3):
        transaction.refold_and_link(world.db, builds, world.folding)
        assert stored() // 4 < world.folding.cache.bytes <= half


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


def download(url: str) -> int:
    """The bytes of an answer, which is not read: that would take this process as long."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return sum(map(len, iter(lambda: answer.read(1 << 16), b"")))


def slowest_beside(server: Server, path: str) -> float:
    """Seconds of the slowest webhook while four readers ask for a page at once."""
    slowest, number = 0.0, 0
    with ThreadPoolExecutor(4) as readers:
        reading = [readers.submit(download, server.url + path) for _ in range(4)]
        while not all(task.done() for task in reading) or number < 3:
            number += 1
            watch = Stopwatch(server.process.pid)
            body = {"type": "build", "id": f"probe{number}", "action": "start"}
            assert server.call("/customhttp", body)[0] == 200
            slowest = max(slowest, watch.seconds)
    assert all(task.result() > 500_000 for task in reading)
    return slowest


@pytest.fixture(scope="module")
def much(tmp_path_factory) -> Iterator[Server]:
    """A receiver with 30 large spans and 2,500 small ones."""
    folder = tmp_path_factory.mktemp("much")

    async def fill() -> None:
        writer = Writer(folder / "t.db", Clock())
        await writer.open()
        large = [custom("build", f"l{n}", "start", n, tags=LARGE) for n in range(30)]
        small = [custom("test", n, "start", 60 + n % 900) for n in range(2_500)]
        await asyncio.gather(*map(writer.submit, [*large, *small]))
        await writer.close()

    asyncio.run(fill())
    with serving(folder) as server:
        yield server


@pytest.mark.parametrize("path", ["/api/spans", "/api/traces"])
def test_a_large_page_is_the_small_ones_in_turn(much, path) -> None:
    """It is written some rows at a time."""
    large = much.call(f"{path}?limit=2000")[1]
    items, cursor = [], ""
    for _ in range(4):
        page = much.call(f"{path}?limit=500&cursor={cursor}")[1]
        items, cursor = items + page["items"], page["next"]
    assert [row["trace_id"] for row in large["items"]] == [row["trace_id"] for row in items]
    assert large["items"][1_200].keys() == items[1_200].keys()
    assert large["next"] == cursor


@pytest.mark.parametrize(
    "path",
    [
        "/api/spans?limit=10000&filter=kind:build",
        "/api/spans?limit=10000",
        "/api/board?limit=10000",
    ],
)
def test_large_pages_do_not_hold_up_webhooks(much, path) -> None:
    slowest = slowest_beside(much, path)
    print(f"{path}: a webhook in at most {slowest:.3f} s")
    assert slowest < 0.5
