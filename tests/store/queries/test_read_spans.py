"""Pages of a list that grows while it is read: each row is met once, in its place."""

from __future__ import annotations

import pytest

from tests.store.conftest import custom
from vs_tui.store.queries.read_spans import SORTS, Cursor, cursor_text, parse_cursor
from vs_tui.store.queries.reader import SqliteReader

SORTED = [way + name for name in ("live", *SORTS) for way in ("", "-")]


async def told(writer, numbers, at: int = 0) -> None:
    """Builds, two of them at each second, every third one still in flight."""
    for number in numbers:
        name = f"build {(number * 7) % 5}"
        await writer.submit(custom("build", number, "start", at + number // 2, name=name))
        if number % 3:
            took = number % 4
            await writer.submit(custom("build", number, "end", at + number // 2 + took, name=name))
    assert await writer.caught_up()


@pytest.mark.parametrize("sort", SORTED)
async def test_pages_of_spans_hold_each_once_while_more_come(open_writer, clock, sort) -> None:
    writer = await open_writer()
    await told(writer, range(40))
    reader = await SqliteReader(writer.path, clock).open()
    whole = [span.key for span in (await reader.all_spans(sort=sort)).items]
    assert len(whole) == 40
    met: list[str] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        page = await reader.all_spans(sort=sort, limit=7, cursor=cursor)
        met += [span.key for span in page.items]
        cursor, pages = page.next, pages + 1
        # Newer ones and older ones, with names and durations all over the list.
        await told(writer, range(1000 + pages * 10, 1003 + pages * 10), at=pages * 200 - 800)
    assert [key for key in met if key in whole] == whole
    assert len(met) == len(set(met))
    await reader.close()


async def test_pages_of_traces_hold_each_once_while_more_come(open_writer, clock) -> None:
    writer = await open_writer()
    await told(writer, range(40))
    reader = await SqliteReader(writer.path, clock).open()
    whole = [trace.trace_id for trace in (await reader.all_traces())[0]]
    assert len(whole) == 40
    met: list[str] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        page, cursor = await reader.all_traces(limit=7, cursor=cursor)
        met += [trace.trace_id for trace in page]
        pages += 1
        await told(writer, range(1000 + pages * 10, 1003 + pages * 10), at=pages * 200 - 800)
    assert [trace for trace in met if trace in whole] == whole
    assert len(met) == len(set(met))
    await reader.close()


@pytest.mark.parametrize("value", [0, -(2**63) + 1, None, "na\u00efve \0 \U0001f469"])
def test_a_cursor_comes_back(value) -> None:
    cursor = Cursor(1, value, "vstrace-\u202e'\"")
    text = cursor_text("live", cursor)
    assert parse_cursor("live", text) == cursor
    assert text.replace("-", "").replace("_", "").isalnum(), "it fits into a URL"


@pytest.mark.parametrize(
    "cursor",
    [
        *("100", "x", "\u00b2", "W10", "9" * 400, "WyJsaXZlIiwwLDEsMl0"),
        cursor_text("name", Cursor(0, "a", "b")),
        cursor_text("live", Cursor(0, 2**63, "b")),
    ],
)
def test_what_no_list_in_this_order_told_is_refused(cursor) -> None:
    with pytest.raises(ValueError, match="cursor must be one that an answer before"):
        parse_cursor("live", cursor)
