"""What a search finds in turns is what a plain reading of all spans finds: for any filter, at any
moment, whatever is committed meanwhile; and a turn ends in time."""

import itertools
import sqlite3
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.memory import database
from tests.store.queries.test_filter_sql import FILTERS, SPANS
from vs_tui.model.filters import parse
from vs_tui.model.time import DAY, HOUR, MINUTE
from vs_tui.model.vocabulary import Span, State, Status
from vs_tui.store import rows
from vs_tui.store.queries import span_search as searching
from vs_tui.store.queries.read_spans import read_counts, read_found
from vs_tui.store.queries.read_traces import read_found_traces, summaries
from vs_tui.store.queries.span_search import Search, reach

T = 1_772_445_600_000_000


def put(db: sqlite3.Connection, *spans: Span, seq: int = 1) -> None:
    db.executemany(rows.UPSERT_SPAN, [rows.span_row(s, short_ref="", changed=seq) for s in spans])
    db.execute("INSERT OR REPLACE INTO meta VALUES ('seq', ?)", (seq,))


def build(key: str, **values: object) -> Span:
    plain = {
        "key": key,
        "ref": key,
        "source": "s",
        "operation": "build",
        "name": key,
        "status": Status.OK,
        "state": State.OK,
        "started_at": T - 2 * HOUR,
        "ended_at": T - HOUR,
        "last_event_at": T - HOUR,
        "trace_id": key,
    }
    return Span(**(plain | values))


def possible(span: Span) -> Span:
    """As the store has them: in flight without an end, ended with one."""
    began = T - 8 * DAY if span.started_at is None else span.started_at
    if span.status is Status.IN_FLIGHT:
        return span._replace(ended_at=None, started_at=began)
    ended = began if span.ended_at is None else max(span.ended_at, began)
    return span._replace(ended_at=ended, started_at=began)


def wanted_in(spans: list[Span], text: str, at: int | None) -> set[str]:
    wanted = parse(text)
    listed = [s for s in spans if at is None or s.at <= at]
    if at is not None:
        listed = [s.as_of(at) for s in listed]
    phases = {"kind", "trace", "ref"} & {term.key for term in wanted.terms}
    return {
        s.key
        for s in listed
        if (phases or s.operation != "stage") and wanted.matches(s, T if at is None else at)
    }


def keys_of(db: sqlite3.Connection, search: Search) -> list[str]:
    by_rowid = dict(db.execute("SELECT rowid, key FROM spans"))
    return [by_rowid[rowid] for rowid in search.rowids()]


def finish(db: sqlite3.Connection, search: Search) -> None:
    for _ in range(1_000):
        search.turn(db, seconds=0)
        if search.finished:
            return
    raise AssertionError(f"it never ended: {search.searched}")


@pytest.fixture
def short_steps(monkeypatch) -> None:
    for name in ("_FIRST_STEP", "_LEAST", "MOST"):
        monkeypatch.setattr(searching, name, 1)


@given(
    st.lists(SPANS.map(possible), min_size=1, max_size=8),
    st.lists(SPANS.map(possible), max_size=4),
    st.lists(FILTERS, min_size=3, max_size=3),
    st.none() | st.integers(T - 9 * DAY, T),
    st.integers(0, 4),
)
@settings(max_examples=150)
def test_turns_find_what_a_plain_reading_finds(spans, later, texts, at, turns) -> None:
    db = database()
    put(db, *spans)
    searches = [Search(text, at, T) for text in texts]
    for search in searches:
        search._pace.rows = 1
        for _ in range(turns):
            search.turn(db, seconds=0)
    # Some spans change while it looks, others are new.
    changed = [new._replace(key=old.key) for new, old in zip(later, spans, strict=False)]
    changed += later[len(spans) :]
    put(db, *changed, *later[:1], seq=2)
    now = {s.key: s for s in (*spans, *changed, *later[:1])}
    for text, search in zip(texts, searches, strict=True):
        finish(db, search)
        found = keys_of(db, search)
        assert len(found) == len(set(found))
        assert set(found) == wanted_in(list(now.values()), text, at)
        assert search.searched is None or search.count == 0


@pytest.mark.usefixtures("short_steps")
def test_the_order_is_in_flight_first_then_the_latest_ended() -> None:
    db = database()
    flying = [
        build(f"f{n}", status=Status.IN_FLIGHT, started_at=T - n * HOUR, ended_at=None)
        for n in range(3)
    ]
    ended = [build(f"e{n}", ended_at=T - n * MINUTE) for n in range(4)]
    put(db, *reversed(ended), *reversed(flying))
    search = Search("", None, T)
    finish(db, search)
    assert keys_of(db, search) == ["f0", "f1", "f2", "e0", "e1", "e2", "e3"]
    put(db, build("e4", ended_at=T - 90_000_000), seq=2)
    put(db, flying[1]._replace(status=Status.OK, state=State.OK, ended_at=T + 1), seq=3)
    search.turn(db)
    assert keys_of(db, search) == ["f0", "f2", "f1", "e0", "e1", "e4", "e2", "e3"]


@pytest.mark.usefixtures("short_steps")
def test_a_turn_ends_in_time_and_says_how_far_it_looked() -> None:
    db = database()
    put(db, *(build(f"b{n}", ended_at=T - n * MINUTE) for n in range(10)))
    ticks = itertools.count()
    search = Search("b9", None, T, monotonic=lambda: next(ticks))
    search.turn(db, seconds=8)
    assert search.count == 0
    assert not search.finished
    searched = search.searched
    assert searched is not None and T - 9 * MINUTE < searched < T
    page = read_found(db, search, 10, "live", None)
    while page.searched is not None:
        assert page.searched < searched
        searched = page.searched
        page = read_found(db, search, 10, "live", None)
    assert [span.key for span in page.items] == ["b9"]


@pytest.mark.usefixtures("short_steps")
def test_what_was_found_is_not_looked_for_again() -> None:
    db = database()
    put(db, *(build(f"b{n}", ended_at=T - n * MINUTE) for n in range(50)))
    search = Search("b49", None, T)
    finish(db, search)
    put(db, build("new-b49", ended_at=T), seq=2)
    said: list[str] = []
    db.set_trace_callback(said.append)
    search.turn(db)
    assert keys_of(db, search) == ["new-b49", "b49"]
    assert not [sql for sql in said if "INDEXED BY spans_ended" in sql]


def test_another_database_and_many_changes_begin_again() -> None:
    db = database()
    put(db, build("old"), seq=9)
    search = Search("", None, T)
    finish(db, search)
    db.execute("DELETE FROM spans")
    put(db, build("restored"), seq=3)
    finish(db, search)
    assert keys_of(db, search) == ["restored"]
    put(db, *(build(f"n{n}") for n in range(searching._MANY_CHANGED + 5)), seq=4)
    finish(db, search)
    assert search.count == searching._MANY_CHANGED + 6


def test_more_than_are_counted_are_not_looked_for(monkeypatch) -> None:
    monkeypatch.setattr(searching, "COUNTED", 20)
    monkeypatch.setattr(searching, "_FIRST_STEP", 5)
    db = database()
    put(db, *(build(f"b{n:03}", ended_at=T - n * MINUTE) for n in range(60)))
    search = Search("build", None, T)
    assert read_counts(db, search, search, None, T).matched == 0
    search = Search("kind:build", None, T, monotonic=lambda: 0.0)
    finish(db, search)
    assert 20 <= search.count < 60
    counts = read_counts(db, search, search, None, T)
    assert counts.more and counts.more_in_all and counts.searched is None


def test_counts_of_a_past_moment_are_of_then() -> None:
    db = database()
    at = T - 90 * MINUTE
    put(
        db,
        build("flew", status=Status.ERROR, state=State.ERROR),
        build("failed", status=Status.ERROR, state=State.ERROR, ended_at=at - MINUTE),
        build("later", started_at=T - MINUTE, ended_at=T),
    )
    search, everything = Search("state:failed", at, T), Search("", at, T)
    counts = read_counts(db, search, everything, at, T)
    assert (counts.matched, counts.total) == (1, 2)
    assert (counts.in_flight, counts.failed) == (1, 1)
    search = Search("state:running", at, T)
    assert [s.key for s in read_found(db, search, 10, "live", at).items] == ["flew"]


def test_traces_of_a_past_moment_are_as_they_were() -> None:
    db = database()
    at = T - 90 * MINUTE
    put(
        db,
        build("root", trace_id="t", started_at=T - 3 * HOUR, ended_at=at - MINUTE),
        build("child", trace_id="t", parent_key="root", status=Status.ERROR, state=State.ERROR),
        build("after", trace_id="t", parent_key="root", started_at=T - MINUTE, ended_at=T),
        build("other", started_at=T - MINUTE, ended_at=T),
    )
    page = read_found_traces(db, Search("", at, T), 10, at)
    (summary,) = page.items
    assert (summary.trace_id, summary.spans, summary.in_flight, summary.failed) == ("t", 2, 1, 0)
    assert summary.ended_at is None
    assert summary.started_at == T - 3 * HOUR
    (now,) = summaries(db, ["t"])
    assert (now.spans, now.in_flight, now.failed, now.ended_at) == (3, 0, 1, T)


def test_traces_are_found_once_each_however_many_spans_match() -> None:
    db = database()
    put(
        db,
        *(
            build(f"t{n}-{m}", trace_id=f"t{n}", parent_key="" if not m else f"t{n}-0",
                  ended_at=T - n * MINUTE)
            for n in range(5)
            for m in range(7)
        ),
    )  # fmt: skip
    page = read_found_traces(db, Search("", None, T), 3, None)
    assert [t.trace_id for t in page.items] == ["t0", "t1", "t2"]
    assert page.more
    page = read_found_traces(db, Search("", None, T), 10, None)
    assert len(page.items) == 5
    assert not page.more


@pytest.mark.parametrize("sort", ["started", "-started", "ended", "duration", "name", "-name"])
def test_other_orders_are_of_all_that_match(sort) -> None:
    db = database()
    spans = [
        build(f"b{n}", name=f"Name {n * 7 % 10}", started_at=T - n * n * MINUTE, ended_at=T + n)
        for n in range(10)
    ]
    put(db, *spans)
    search = Search("", None, T)
    found = [s.key for s in read_found(db, search, 4, sort, None).items]
    by = {
        "started": lambda s: -s.started_at,
        "ended": lambda s: -s.ended_at,
        "duration": lambda s: -(s.ended_at - s.started_at),
        "name": lambda s: s.name.lower(),
    }[sort.lstrip("-")]
    expected = sorted(spans, key=by, reverse=sort.startswith("-"))
    assert found == [s.key for s in expected[:4]]


def test_what_cannot_match_is_not_looked_at() -> None:
    assert not reach(parse("state:running,queued"), T).ended
    assert not reach(parse("state:failed"), T).open
    assert reach(parse("state:failed"), T).failed
    assert reach(parse("-state:failed"), T) == reach(parse(""), T)
    assert reach(parse("fresh<7d since:2026-03-01"), T).since == max(
        T - 7 * DAY, 1_772_323_200_000_000
    )
    assert reach(parse("age>2d"), T).until == T - 2 * DAY + 1
    assert reach(parse("state:failed,ok"), T) == replace(reach(parse(""), T), open=False)


def test_a_search_that_is_asked_for_days_forgets_the_oldest_and_finds_them_again(
    monkeypatch, short_steps
) -> None:
    monkeypatch.setattr(searching, "COUNTED", 3)
    db, search = database(), Search("state:ended", None, T)
    # Two end at each moment, so that the cut falls between equal ends, too.
    ended = [build(f"{n:02}", ended_at=T + n // 2) for n in range(20)]
    for seq, span in enumerate(ended, 1):
        put(db, span, seq=seq)
        finish(db, search)
        newest = sorted((-s.ended_at, s.key) for s in ended[:seq])[:3]
        assert keys_of(db, search)[:3] == [key for _, key in newest]
        assert len(search.ended) <= 2 * 3
    again = [
        span._replace(status=Status.IN_FLIGHT, state=State.RUNNING, ended_at=None)
        for span in ended[6:]
    ]
    put(db, *again, seq=21)
    finish(db, search)
    assert keys_of(db, search)[:3] == ["04", "05", "02"]
    rest = [span._replace(**dict(again[0]._asdict(), key=span.key)) for span in ended[2:6]]
    put(db, *rest, seq=22)
    finish(db, search)
    assert keys_of(db, search) == ["00", "01"]
