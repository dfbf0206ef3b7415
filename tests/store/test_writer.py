"""The writer: what a commit means, in any order, twice, and after a rebuild."""

import asyncio
import itertools
import random
import sqlite3
import threading

import pytest

from tests.patience import PATIENCE
from tests.sources import github_payloads as gh
from tests.store.conftest import T, custom, rebuilt, ref, rows_of
from tests.store.tracing import from_github
from vs_tui.log.delivery import Intake, Rejection
from vs_tui.model.teams import Team, Teams
from vs_tui.model.time import HOUR
from vs_tui.model.vocabulary import Event, State, Verdict
from vs_tui.store.folding import transaction
from vs_tui.store.maintenance import sweeper
from vs_tui.store.maintenance.sweeper import WriterSettings
from vs_tui.store.queries.reader import SqliteReader
from vs_tui.store.schema import StoreError
from vs_tui.store.writer import Writer

SHA = "c" * 40


def story() -> list:
    """A pipeline of three children, one of them below another, and a stray end."""
    return [
        custom("pipeline", 1, "start", 0, name="release"),
        custom("build", 2, "start", 1, parentid=ref("pipeline", 1), tags={"commit": SHA}),
        custom("build", 2, "end", 60, parentid=ref("pipeline", 1)),
        custom("step", 3, "start", 2, parentid=ref("build", 2)),
        custom("step", 3, "end", 9, error=True),
        custom("deploy", 4, "start", 70, tags={"commit": SHA, "environment": "prod"}),
        custom("deploy", 4, "end", 90),
        custom("pipeline", 1, "end", 95),
    ]


async def test_every_order_gives_the_same_spans_and_links(open_writer) -> None:
    expected = None
    deliveries = story()
    orders = random.Random(7).sample(list(itertools.permutations(range(8))), 60)
    for number, order in enumerate(orders):
        writer = await open_writer(name=f"order{number}.db")
        for index in order:
            await writer.submit(deliveries[index])
        found = await rows_of(writer)
        expected = expected or found
        assert found == expected
    spans, links = expected
    traces = {row[0]: row[22] for row in spans}
    assert len(set(traces.values())) == 1, "one trace, also for the deploy that names no parent"
    assert (ref("deploy", 4), ref("build", 2), "built") in [row[:3] for row in links]


async def test_one_batch_gives_the_same_as_one_by_one(open_writer) -> None:
    alone, together = await open_writer(), await open_writer()
    for intake in story():
        await alone.submit(intake)
    await asyncio.gather(*(together.submit(intake) for intake in reversed(story())))
    assert await rows_of(alone) == await rows_of(together)


async def test_a_sender_is_answered_while_a_fold_takes_long(open_writer) -> None:
    """The answer waits for the log only; a fold that waits for the loop comes to its end."""
    loop, alive, seen = asyncio.get_running_loop(), threading.Event(), []

    def long_fold(*_: object) -> None:
        loop.call_soon_threadsafe(alive.set)
        seen.append(alive.wait(PATIENCE))

    writer = await open_writer(WriterSettings(after_fold=(long_fold,)))
    outcome = await writer.submit(custom("build", 1, "start"))
    assert outcome.verdict is Verdict.ACCEPTED
    assert await writer.caught_up()
    assert seen == [True]


async def test_a_repeat_is_a_duplicate_and_changes_nothing(open_writer) -> None:
    writer = await open_writer()
    first = [await writer.submit(intake) for intake in story()]
    before = await rows_of(writer)
    again = await asyncio.gather(*(writer.submit(intake) for intake in story() * 3))
    assert {outcome.verdict for outcome in again} == {Verdict.DUPLICATE}
    assert [o.delivery_id for o in again[:8]] == [o.delivery_id for o in first]
    assert await rows_of(writer) == before
    counts = await writer.run(lambda db: dict(db.execute("SELECT verdict, n FROM counts")))
    assert counts == {"accepted": 8, "duplicate": 24}


async def test_ten_thousand_copies_are_one_row(open_writer) -> None:
    writer = await open_writer()
    intake = custom("build", 1, "start")
    outcomes = []
    for _ in range(10):
        outcomes += await asyncio.gather(*(writer.submit(intake) for _ in range(1000)))
    assert [o.verdict for o in outcomes].count(Verdict.DUPLICATE) == 9_999
    rows = await writer.run(
        lambda db: db.execute("SELECT COUNT(*), SUM(duplicates) FROM deliveries").fetchone()
    )
    assert rows == (1, 9_999)


async def test_a_rebuild_gives_identical_rows(open_writer) -> None:
    writer = await open_writer()
    for intake in random.Random(3).sample(story(), 8):
        await writer.submit(intake)
    before = await rows_of(writer)
    result = await rebuilt(writer)
    assert await rows_of(writer) == before
    assert (result.deliveries, result.quarantined) == (8, 0)


async def test_a_span_times_out_and_a_late_end_revives_it(open_writer, clock) -> None:
    writer = await open_writer(WriterSettings(timeouts={"build": HOUR}))
    await writer.submit(custom("build", 1, "start"))
    clock.now = T + 2 * HOUR
    await writer.sweep()
    (row,) = (await rows_of(writer))[0]
    assert (row[4], row[7], row[20]) == ("timed_out", T + HOUR, "timeout")
    await writer.submit(custom("build", 1, "end", 7300))
    (row,) = (await rows_of(writer))[0]
    assert (row[4], row[7]) == ("ok", T + 7300 * 1_000_000)


async def test_a_deploy_that_waits_for_its_approval_has_not_failed(open_writer, clock) -> None:
    writer = await open_writer(WriterSettings(timeouts={"deploy": 2 * HOUR}))

    async def status_at(hours: float) -> tuple[str, int | None]:
        clock.now = T + round(hours * HOUR)
        await writer.sweep()
        row = next(row for row in (await rows_of(writer))[0] if row[2] == "deploy")
        return row[4], row[7]

    def told(state: str, clock_time: str) -> Intake:
        body = gh.deploy_status(state, clock_time, created_at=gh.stamp("10:00:00"))
        return from_github("deployment_status", body)

    await writer.submit(told("waiting", "10:00:01"))
    assert await status_at(5) == ("in_flight", None)
    await writer.submit(told("in_progress", "15:00:00"))
    assert await status_at(6) == ("in_flight", None)
    assert await status_at(8) == ("timed_out", T + 7 * HOUR)


async def test_two_failing_and_good_ones_in_one_batch_are_kept_apart(
    open_writer, monkeypatch
) -> None:
    """A delivery that trips a bug in folding is quarantined alone; its neighbours are folded."""
    writer = await open_writer()
    real = transaction.fold_events

    def explode(connection, events: list[Event], *rest):
        if any(event.name == "boom" for event in events):
            raise RuntimeError("a bug")
        return real(connection, events, *rest)

    monkeypatch.setattr(transaction, "fold_events", explode)
    intakes = [custom("build", n, "start", name="boom" if n % 2 else "fine") for n in range(200)]
    outcomes = await asyncio.gather(*(writer.submit(intake) for intake in intakes))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.ACCEPTED}, "it is in the log"
    spans, _ = await rows_of(writer)
    assert len(spans) == 100
    sql = "SELECT verdict FROM deliveries ORDER BY id"
    stored = await writer.run(lambda db: [verdict for (verdict,) in db.execute(sql)])
    assert stored == ["accepted", "quarantined"] * 100
    counts = await writer.run(lambda db: dict(db.execute("SELECT verdict, n FROM counts")))
    assert counts == {"accepted": 100, "quarantined": 100}
    monkeypatch.setattr(transaction, "fold_events", real)
    result = await rebuilt(writer)
    assert (result.spans, result.quarantined) == (200, 0)


async def test_cancelled_submitters_leave_whole_rows_or_none(open_writer) -> None:
    writer = await open_writer()
    tasks = [asyncio.create_task(writer.submit(custom("build", n, "start"))) for n in range(1000)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await writer.submit(custom("build", "last", "start"))
    deliveries, spans = await writer.run(
        lambda db: (
            db.execute("SELECT COUNT(*) FROM deliveries").fetchone()[0],
            db.execute("SELECT COUNT(*) FROM spans").fetchone()[0],
        )
    )
    assert deliveries == spans == 1001


async def test_rings_of_parents_are_broken_the_same_way_in_every_order(open_writer) -> None:
    deliveries = [
        custom("build", n, "start", n, parentid=ref("build", (n + 1) % 4)) for n in range(4)
    ]
    deliveries.append(custom("build", 9, "start", 9, parentid=ref("build", 2)))
    expected = None
    for number, order in enumerate(itertools.permutations(deliveries)):
        if number % 6:
            continue
        writer = await open_writer(name=f"ring{number}.db")
        for intake in order:
            await writer.submit(intake)
        found = await rows_of(writer)
        expected = expected or found
        assert found == expected
    parents = {row[0]: row[24] for row in expected[0]}
    assert parents[ref("build", 0)] == "", "the earliest of the ring is its root"
    assert len({row[22] for row in expected[0]}) == 1


async def test_a_second_writer_is_refused_with_the_first_ones_pid(open_writer, clock) -> None:
    writer = await open_writer()
    second = Writer(writer.path, clock)
    with pytest.raises(StoreError, match=r"in use by process \d+"):
        await second.open()


async def test_team_changes_reach_stored_spans(open_writer, clock, tmp_path) -> None:
    first = Writer(tmp_path / "teams.db", clock)
    await first.open()
    await first.submit(custom("build", 1, "start", namespace="acme"))
    await first.close()
    teams = Teams((Team("core", ("acme",)),))
    second = Writer(tmp_path / "teams.db", clock, WriterSettings(teams=teams))
    await second.open()
    assert (await rows_of(second))[0][0][9] != "core", "nobody waits for it"
    await second.adopt()
    (row,) = (await rows_of(second))[0]
    await second.close()
    assert row[9] == "core"


async def test_teams_are_adopted_in_steps_and_a_restart_goes_on(clock, tmp_path, monkeypatch):
    monkeypatch.setattr(sweeper, "SPANS_AT_ONCE", 2)
    first = Writer(tmp_path / "teams.db", clock)
    await first.open()
    for number in range(5):
        await first.submit(custom("build", number, "start", namespace="acme"))
    await first.adopt()
    await first.close()

    settings = WriterSettings(teams=Teams((Team("core", ("acme",)),)))

    async def teams(writer: Writer) -> list[str]:
        return [row[9] for row in (await rows_of(writer))[0]]

    second = Writer(tmp_path / "teams.db", clock, settings)
    await second.open()
    assert await second.transaction(sweeper.adopt_teams)
    half = await teams(second)
    assert half.count("core") == 2
    await second.submit(custom("build", 9, "start", namespace="acme"))
    assert (await teams(second)).count("core") == 3, "what arrives meanwhile has its team"
    await second.close()

    third = Writer(tmp_path / "teams.db", clock, settings)
    await third.open()
    seen = []
    await third.run(lambda db: db.set_trace_callback(seen.append))
    await third.adopt()
    assert await teams(third) == ["core"] * 6
    assert not any("rowid > 0 " in sql for sql in seen), "it went on where it stopped"
    await third.close()


async def test_teams_that_changed_back_halfway_are_adopted_again(clock, tmp_path, monkeypatch):
    monkeypatch.setattr(sweeper, "SPANS_AT_ONCE", 2)
    path = tmp_path / "teams.db"
    for settings, whole in (
        (WriterSettings(), True),
        (WriterSettings(teams=Teams((Team("core", ("acme",)),))), False),
        (WriterSettings(), True),
    ):
        writer = Writer(path, clock, settings)
        await writer.open()
        for number in range(5):
            await writer.submit(custom("build", number, "start", namespace="acme"))
        await (writer.adopt() if whole else writer.transaction(sweeper.adopt_teams))
        found = {row[9] for row in (await rows_of(writer))[0]}
        await writer.close()
    assert len(found) == 1
    assert "core" not in found


async def test_files_are_private_whatever_the_umask(open_writer) -> None:
    import os
    import stat

    before = os.umask(0)
    try:
        writer = await open_writer(name="private.db")
        await writer.submit(custom("build", 1, "start"))
        found = {
            path.name: stat.S_IMODE(path.stat().st_mode) for path in writer.path.parent.iterdir()
        }
    finally:
        os.umask(before)
    assert set(found.values()) == {0o600}, found


async def test_a_link_to_the_database_is_refused(tmp_path, clock) -> None:
    (tmp_path / "real.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    with pytest.raises(StoreError, match="symbolic link"):
        await Writer(tmp_path / "link.db", clock).open()


async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path, clock) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database, keep me" * 100)
    with pytest.raises(StoreError, match="--db"):
        await Writer(path, clock).open()
    assert path.read_bytes() == b"not a database, keep me" * 100


async def test_a_newer_schema_is_refused(open_writer, tmp_path, clock) -> None:
    path = tmp_path / "newer.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="upgrade vs-tui"):
        await Writer(path, clock).open()


async def test_a_pin_and_a_cut_survive_a_rebuild(open_writer) -> None:
    writer = await open_writer()
    for intake in story():
        await writer.submit(intake)
    await writer.submit(decision("pin", ref("step", 3), ref("pipeline", 1), 200))
    await writer.submit(decision("cut", ref("deploy", 4), ref("build", 2), 201))
    before = await rows_of(writer)
    parents = {row[0]: row[24] for row in before[0]}
    assert parents[ref("step", 3)] == ref("pipeline", 1)
    assert parents[ref("deploy", 4)] == ""
    await rebuilt(writer)
    assert await rows_of(writer) == before


def decision(action: str, child: str, parent: str, at: int):
    import orjson

    from vs_tui.sources.base import Inbound
    from vs_tui.sources.decisions import SOURCE
    from vs_tui.sources.dispatch import intake_of, read

    body = orjson.dumps({"action": action, "child": child, "parent": parent})
    inbound = Inbound("/api/links", {}, body, T + at * 1_000_000)
    return intake_of(SOURCE, inbound, read(SOURCE, inbound))


async def test_a_requirement_that_is_not_there_refuses_and_stores_nothing(open_writer) -> None:
    writer = await open_writer()
    outcome = await writer.submit(decision("pin", ref("build", 1), ref("build", 2), 0))
    assert outcome.verdict is Verdict.REJECTED
    assert await writer.run(
        lambda db: db.execute("SELECT COUNT(*) FROM deliveries").fetchone()
    ) == (0,)


async def test_two_owners_of_one_short_ref_go_by_their_keys(open_writer) -> None:
    writer = await open_writer()
    base = custom("build", 1, "start")
    for owner in ("acme", "fork"):
        event = Event(
            key=f"vstrace-github-issue-{owner}/api-1",
            ref="vstrace-github-issue-api-1",
            source="github",
            operation="issue",
            state=State.RUNNING,
            occurred_at=T,
        )
        await writer.submit(base._replace(events=(event,), dedupe=f"id:{owner}"))
    spans, _ = await rows_of(writer)
    assert [row[1] for row in spans] == [row[0] for row in spans]


async def test_viewers_are_told_of_a_refused_request(open_writer, clock) -> None:
    """The first thing a tool sends is often refused, and nothing else comes after it."""
    writer = await open_writer()
    await writer.submit(custom("build", 1, "start"))
    reader = await SqliteReader(writer.path, clock).open()
    try:
        before = (await reader.changes(0)).seq
        writer.reject(Rejection("github", "push", "/github", T, 401, "wrong secret", 2, {}, b"{}"))
        await writer.sweep()
        assert (await reader.changes(before)).seq > before
        quiet = (await reader.changes(0)).seq
        await writer.sweep()
        assert (await reader.changes(quiet)).seq == quiet
    finally:
        await reader.close()


async def test_the_event_loop_goes_on_while_another_process_writes(open_writer) -> None:
    writer = await open_writer()
    await writer.run(lambda db: db.execute("PRAGMA busy_timeout = 600000"))
    other = sqlite3.connect(writer.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waits = asyncio.Event()
    real = writer._transaction

    def transact(*args, **kwargs):
        waits.set()
        return real(*args, **kwargs)

    writer._transaction = transact
    async with asyncio.timeout(PATIENCE):
        sent = asyncio.create_task(writer.submit(custom("build", 1, "start")))
        await waits.wait()
        other.execute("COMMIT")
        assert (await sent).verdict is Verdict.ACCEPTED
    other.close()


async def test_a_caller_that_goes_away_leaves_nobody_else_on_the_connection(open_writer) -> None:
    """The thread goes on with a function whose caller was cancelled; an append waits for it."""
    writer = await open_writer()
    inside, go_on = threading.Event(), threading.Event()
    met: list[int] = []

    def slowly(db: sqlite3.Connection) -> None:
        inside.set()
        assert go_on.wait(PATIENCE)
        for _ in range(2):
            met.append(db.execute("SELECT count(*) FROM deliveries").fetchone()[0])

    async with asyncio.timeout(PATIENCE):
        caller = asyncio.create_task(writer.run(slowly))
        while not inside.is_set():
            await asyncio.sleep(0)
        caller.cancel()
        sent = asyncio.create_task(writer.submit(custom("build", 1, "start")))
        await asyncio.wait((sent,), timeout=0.1)
        assert not sent.done()
        go_on.set()
        assert (await sent).verdict is Verdict.ACCEPTED
        with pytest.raises(asyncio.CancelledError):
            await caller
    assert met == [0, 0]


async def test_a_batch_is_stored_whole_or_not_at_all(open_writer) -> None:
    writer = await open_writer()
    await writer.submit(custom("build", 1, "start"))
    broken = custom("build", 2, "start")._replace(kind=object())
    async with asyncio.timeout(PATIENCE):
        found = await asyncio.gather(
            writer.submit(custom("build", 3, "start")),
            writer.submit(broken),
            writer.submit(custom("build", 4, "start")),
            return_exceptions=True,
        )
    assert [type(each).__name__ for each in found] == ["Receipt", "Unavailable", "Receipt"]
    count = await writer.run(lambda db: db.execute("SELECT count(*) FROM deliveries").fetchone())
    assert count == (3,)
