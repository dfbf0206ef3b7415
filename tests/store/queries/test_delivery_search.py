"""Deliveries are found in turns as a plain reading finds them; today's are counted exactly."""

import itertools
import sqlite3

import pytest

from tests.store.conftest import T
from tests.store.memory import database
from vs_tui.model.time import HOUR, MINUTE
from vs_tui.store.queries.delivery_search import (
    Counting,
    DeliverySearch,
    delivery_where,
    first_since,
)
from vs_tui.store.queries.read_deliveries import read_all_deliveries
from vs_tui.store.queries.reader_protocol import DeliveryRow

VERDICTS = ("accepted", "ignored", "accepted", "quarantined", "accepted")


def deliver(db: sqlite3.Connection, number: int, at: int = 0, **values: object) -> None:
    row = {
        "source": "gitlab" if number % 3 == 0 else "github",
        "kind": "push" if number % 2 else "build",
        "verdict": VERDICTS[number % len(VERDICTS)],
        "reason": f"reason {number}",
        "duplicates": 0,
        "spans": f'["s-{number % 20}"]',
    } | values
    db.execute(
        "INSERT INTO deliveries VALUES (?, ?, ?, '/x', '{}', x'7b7d', x'00', ?, ?, ?, ?, 200, ?, "
        "1, ?, NULL)",
        (
            number, row["source"], row["kind"], at or T + number * MINUTE, f"d{number}",
            row["verdict"], row["reason"], row["duplicates"], row["spans"],
        ),
    )  # fmt: skip
    total(db, row["source"], row["verdict"])


def total(db: sqlite3.Connection, source: object, verdict: object) -> None:
    db.execute(
        "INSERT INTO counts VALUES (?, ?, 1, 0, '') ON CONFLICT DO UPDATE SET n = n + 1",
        (source, verdict),
    )


def refuse(db: sqlite3.Connection, number: int, at: int, repeats: int = 0) -> None:
    db.execute(
        "INSERT INTO rejections (id, source, kind, path, received_at, status, reason, size, "
        "repeats) VALUES (?, 'github', 'push', '/github', ?, 401, 'signature', 10, ?)",
        (number, at, repeats),
    )
    for _ in range(repeats + 1):
        total(db, "github", "rejected")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "source:github",
        "verdict:quarantined",
        "verdict:rejected",
        "verdict:rejected,ignored",
        "-verdict:accepted",
        "kind:push source:gitlab",
        '"reason 7"',
        "signature",
        "nowhere",
        "span:s-7",
        "-span:s-7",
        "since:2026-03-02T10:30:00Z",
        "until:2026-03-02T10:30:00Z",
    ],
)
def test_turns_find_what_a_plain_reading_finds(text) -> None:
    db = database()
    for number in range(1, 60):
        deliver(db, number)
    refuse(db, 1, T + 5 * MINUTE)
    refuse(db, 2, T + 50 * MINUTE)
    search = DeliverySearch(text, T)
    search._pace.rows = 7
    page = search.page(db, 30, seconds=0)
    for number in range(60, 70):
        deliver(db, number)
    for _ in range(100):
        page = search.page(db, 30, seconds=0)
        if page.searched is None:
            break
    where, parameters = delivery_where(text)
    assert list(page.items) == read_all_deliveries(db, where, parameters, 30)[0]
    everything = read_all_deliveries(db, where, parameters, 1_000)[0]
    assert (page.matched, page.more) == (len(everything), False)


@pytest.mark.parametrize("text", ["", "verdict:rejected", "verdict:accepted", "nowhere"])
@pytest.mark.parametrize("limit", [1, 3, 7, 300])
def test_pages_hold_each_once_stored_or_refused(text, limit) -> None:
    db = database()
    for number in range(1, 20):
        deliver(db, number, at=T + MINUTE * (number if number != 10 else 3))  # a clock set back
    for number in range(40):
        refuse(db, number + 1, T + number // 3 * MINUTE)
    where, parameters = delivery_where(text)
    whole, end = read_all_deliveries(db, where, parameters, 1_000)
    assert end == ""
    met: list[DeliveryRow] = []
    page, cursor = read_all_deliveries(db, where, parameters, limit)
    met += page
    while cursor:
        page, cursor = read_all_deliveries(db, where, parameters, limit, cursor)
        met += page
        deliver(db, 100 + len(met), at=T + 900 * MINUTE + len(met))
    assert [row.id for row in met] == [row.id for row in whole]
    assert len(whole) == {"": 59, "verdict:rejected": 40, "nowhere": 0}.get(text, 11)


def test_those_that_a_span_was_made_from_by_its_key() -> None:
    db = database()
    for number in range(1, 60):
        deliver(db, number)
    deliver(db, 60, spans='["a \\"b\\"","s-1"]')
    found = DeliverySearch("span:s-1", T).page(db, 30)
    assert [row.id for row in found.items] == [60, 41, 21, 1], "s-10 to s-19 are others"
    assert [row.id for row in DeliverySearch("span:'a \"b\"'", T).page(db, 30).items] == [60]
    with pytest.raises(ValueError, match="needs a value; such as span:"):
        delivery_where("span:")


def test_a_turn_ends_in_time_and_says_how_far_it_looked() -> None:
    db = database()
    for number in range(1, 400):
        deliver(db, number)
    ticks = itertools.count()
    search = DeliverySearch('"reason 3"', T, monotonic=lambda: next(ticks))
    search._pace.rows = 50
    page = search.page(db, 10, seconds=0)
    assert page.more
    assert page.searched == T + 350 * MINUTE


def test_an_empty_store_is_looked_through_at_once() -> None:
    page = DeliverySearch("", T).page(database(), 10)
    assert (page.items, page.matched, page.more, page.searched) == ([], 0, False, None)


def test_what_came_today_is_counted_once_and_goes_on() -> None:
    db = database()
    for number in range(1, 121):
        deliver(db, number, duplicates=2 if number in (3, 100) else 0)
    refuse(db, 1, T - HOUR)
    refuse(db, 2, T + 70 * MINUTE, repeats=3)
    counting = Counting(T + 61 * MINUTE, None)
    counting._pace.rows = 10
    first = counting.tally(db, seconds=0)
    assert first.until is not None
    deliver(db, 121, source="jira", verdict="accepted")
    total(db, "github", "duplicate")
    while (found := counting.tally(db)).until is not None:
        pass
    expected: dict[str, dict[str, int]] = {"jira": {"accepted": 1}}
    for number in range(61, 121):
        counts = expected.setdefault("gitlab" if number % 3 == 0 else "github", {})
        verdict = VERDICTS[number % len(VERDICTS)]
        counts[verdict] = counts.get(verdict, 0) + 1
    # Number 100 came three times, and another of github's came again while it was counted.
    expected["github"] |= {"duplicate": 3, "rejected": 4}
    assert found.counts == expected


def test_what_came_until_a_past_moment_stays() -> None:
    db = database()
    for number in range(1, 11):
        deliver(db, number, source="github", verdict="accepted")
    counting = Counting(T, T + 4 * MINUTE)
    assert counting.tally(db).counts == {"github": {"accepted": 4}}
    deliver(db, 11, source="github", verdict="accepted")
    assert counting.tally(db).counts == {"github": {"accepted": 4}}


@pytest.mark.parametrize(("minutes", "since"), [(-5, [2, 4, 5, 8]), (2, [2, 4, 5, 8]),
    (3, [4, 5, 8]), (4, [4, 5, 8]), (7, [8]), (99, [])])  # fmt: skip
def test_those_since_an_instant_are_found_by_halving(minutes, since) -> None:
    db = database()
    for number in (2, 4, 5, 8):
        deliver(db, number)
    first = first_since(db, T + minutes * MINUTE)
    assert [number for number in (2, 4, 5, 8) if number >= first] == since
