"""A report is written in pieces, whatever the format."""

import csv
import io
import json
import tracemalloc

import orjson
import pytest

from vs_tui.export.report_tables import PULL_REQUEST_PERIODS, pull_request_columns
from vs_tui.export.report_writer import Report, at_once, written
from vs_tui.metrics.pull_requests import PullRequest
from vs_tui.model.time import HOUR, SECOND

NOW = 1_000 * HOUR
FORMS = ("json", "csv", "markdown", "table")


def pull(number: int) -> PullRequest:
    title = f"{number} " + "x" * 200
    return PullRequest(
        "acme", "api", number * SECOND, NOW, NOW, 2, 1, 1, id=str(number), title=title
    )


async def pages(count: int, size: int = 1_000):
    for first in range(0, count, size):
        yield [pull(number) for number in range(first, min(first + size, count))]


def report(count: int, **more) -> Report:
    return Report("All", pull_request_columns(NOW), pages(count), {"window": {"days": 3}}, **more)


async def text(found: Report, form: str) -> str:
    return "".join([piece async for piece in written(found, form)])


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_json_in_pieces_is_json_as_if_written_at_once(count) -> None:
    shown = await text(report(count), "json")
    found = json.loads(shown)
    assert [item["id"] for item in found["items"]] == [str(n) for n in range(count)]
    assert shown == orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n"


@pytest.mark.parametrize("form", FORMS)
async def test_rows_come_once_and_in_order_over_all_pages(form) -> None:
    shown = await text(report(7), form)
    whole = Report("All", pull_request_columns(NOW), at_once([pull(n) for n in range(7)]))
    if form != "json":
        assert shown == await text(whole, form)
    if form == "csv":
        assert [row["id"] for row in csv.DictReader(io.StringIO(shown))] == list("0123456")


@pytest.mark.parametrize("form", ["json", "csv", "markdown"])
async def test_many_rows_are_not_held(form) -> None:
    tracemalloc.start()
    try:
        size = 0
        async for piece in written(report(4_000), form):
            size += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 300_000
    assert peak < 4_000_000, "a page of 1,000 and its text, not all of it"


@pytest.mark.parametrize("form", ["markdown", "table"])
async def test_a_report_of_nothing_says_so(form) -> None:
    found = Report("Flaky", PULL_REQUEST_PERIODS, at_once([]), nothing="There is none.")
    assert "There is none." in await text(found, form)
    found = report(1, nothing="There is none.")
    assert "There is none." not in await text(found, form)
