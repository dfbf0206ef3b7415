"""Backup, verify, prune and stats, beside a store that is in use."""

import asyncio
import contextlib
import sqlite3
import stat
from pathlib import Path

import pytest

from tests.store.conftest import T, custom, rebuilt, ref, rows_of
from vs_tui.log.delivery import Rejection
from vs_tui.model.limits import Retention
from vs_tui.model.time import DAY, HOUR
from vs_tui.store.maintenance import retention
from vs_tui.store.maintenance.backup import backup, stats, verify
from vs_tui.store.maintenance.retention import (
    Pruned,
    count_prunable,
    give_back,
    prune_traces,
    used_bytes,
)
from vs_tui.store.maintenance.sweeper import WriterSettings
from vs_tui.store.schema import StoreError, open_reader
from vs_tui.store.schema import open_writer as open_writer_now
from vs_tui.store.writer import Writer

SECOND = 1_000_000


def keys_in(path) -> set[str]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {row[0] for row in database.execute("SELECT key FROM spans")}


def logged_in(path) -> set[str]:
    """The span keys that the log of a database names."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        sql = "SELECT j.value FROM deliveries, json_each(deliveries.keys) j"
        return {row[0] for row in database.execute(sql)}


async def test_a_backup_under_load_holds_all_that_was_acknowledged_before_it(
    open_writer, tmp_path
) -> None:
    writer = await open_writer()
    acknowledged: set[str] = set()
    stop = False

    async def load(name: int) -> None:
        n = 0
        while not stop:
            await writer.submit(custom("build", f"{name}x{n}", "start"))
            acknowledged.add(ref("build", f"{name}x{n}"))
            n += 1

    senders = [asyncio.create_task(load(name)) for name in range(4)]
    for number in range(5):
        while len(acknowledged) < 20 * (number + 1):
            await asyncio.sleep(0)
        before = set(acknowledged)
        copy = tmp_path / f"copy{number}.db"
        await asyncio.to_thread(backup, writer.path, copy)
        assert before <= logged_in(copy)
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        assert verify(copy) == []
        assert not copy.with_name(copy.name + "-wal").exists(), "one file is the whole backup"
    stop = True
    await asyncio.gather(*senders)


async def test_a_backup_opens_as_a_database_of_its_own(open_writer, tmp_path, clock) -> None:
    writer = await open_writer()
    await writer.submit(custom("build", 1, "start"))
    backup(writer.path, tmp_path / "copy.db")
    restored = Writer(tmp_path / "copy.db", clock)
    await restored.open()
    await restored.submit(custom("build", 1, "end", 9))
    (row,) = (await rows_of(restored))[0]
    await restored.close()
    assert row[4] == "ok"


def test_a_backup_that_cannot_be_made_leaves_nothing_and_says_why(tmp_path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        backup(tmp_path / "none.db", tmp_path / "copy.db")
    (tmp_path / "there.db").touch()
    with pytest.raises(StoreError, match="choose another name"):
        backup(tmp_path / "none.db", tmp_path / "there.db")
    with pytest.raises(StoreError, match="cannot be written"):
        backup(tmp_path / "none.db", tmp_path / "there.db" / "copy.db")
    with pytest.raises(StoreError, match=r"the folder .* does not exist; create it, or mount"):
        backup(tmp_path / "none.db", tmp_path / "not mounted" / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    assert not (tmp_path / "not mounted").exists()


async def test_verify_finds_one_flipped_bit_in_a_body(open_writer) -> None:
    writer = await open_writer()
    await writer.submit(custom("build", 1, "start", name="unmistakable"))
    await writer.close()
    raw = bytearray(writer.path.read_bytes())
    raw[raw.index(b'"name":"unmistakable"') + 9] ^= 1
    writer.path.write_bytes(raw)
    assert verify(writer.path) == ["delivery 1: the body does not match its hash"]


async def test_verify_finds_spans_without_events(open_writer) -> None:
    writer = await open_writer()
    await writer.submit(custom("build", 1, "start"))
    await writer.run(lambda db: db.execute("DELETE FROM events"))
    assert verify(writer.path) == ["1 spans have no events; run `vs-tui db rebuild`"]


async def old_and_new(writer: Writer) -> None:
    """An old finished trace, an old one with a build in flight, and a young one."""
    for intake in (
        custom("pipeline", "done", "start", 0),
        custom("build", "d", "start", 1, parentid=ref("pipeline", "done")),
        custom("build", "d", "end", 2),
        custom("pipeline", "done", "end", 3),
        custom("pipeline", "open", "start", 0),
        custom("deploy", "o", "start", 1, parentid=ref("pipeline", "open")),
        custom("pipeline", "open", "end", 3),
        custom("pipeline", "young", "start", 9 * 86_400),
        custom("pipeline", "young", "end", 9 * 86_400 + 5),
    ):
        await writer.submit(intake)


LEFT = {ref("pipeline", "open"), ref("deploy", "o"), ref("pipeline", "young")}


async def test_pruning_deletes_what_is_over_and_never_a_trace_in_flight(open_writer, clock) -> None:
    writer = await open_writer()
    await old_and_new(writer)
    clock.now = T + 9 * DAY
    before = T + 8 * DAY
    counted = await writer.run(lambda db: count_prunable(db, before))
    assert await writer.prune(before) == counted == Pruned(traces=1, spans=2, deliveries=4)
    spans, _ = await rows_of(writer)
    assert {row[0] for row in spans} == LEFT
    assert verify(writer.path) == []
    assert await writer.prune(before) == Pruned(), "a second time there is nothing"
    await writer.submit(custom("deploy", "o", "end", 9 * 86_400))
    spans, _ = await rows_of(writer)
    assert {row[4] for row in spans} == {"ok"}, "what was in flight could still end"


async def test_what_is_left_after_pruning_survives_a_rebuild(open_writer, clock) -> None:
    writer = await open_writer()
    await old_and_new(writer)
    clock.now = T + 9 * DAY
    await writer.prune(T + 8 * DAY)
    # Late news of what was deleted is news of something else.
    await writer.submit(custom("build", "d", "end", 6))
    before = await rows_of(writer)
    assert {row[0] for row in before[0]} == {*LEFT, ref("build", "d")}
    await rebuilt(writer)
    assert await rows_of(writer) == before
    kinds = await writer.run(lambda db: db.execute("SELECT kind FROM deliveries").fetchall())
    assert ("prune",) in kinds


async def test_a_decision_outlives_the_process_that_did_not_carry_it_out(
    open_writer, clock, monkeypatch
) -> None:
    writer = await open_writer()
    await old_and_new(writer)

    async def dies(*_: object) -> Pruned:
        raise OSError("kill -9")

    with monkeypatch.context() as patched:
        patched.setattr(retention, "prune", dies)
        with pytest.raises(OSError, match="kill"):
            await writer.prune(T + 8 * DAY)
        await writer.close()
    again = Writer(writer.path, clock)
    await again.open()
    await again.sweep()
    assert {row[0] for row in (await rows_of(again))[0]} == LEFT
    await again.close()


async def retained(writer: Writer, times: int = 1) -> None:
    """What the sweep decides, and carries out a second later."""
    for _ in range(times):
        await writer.folded()  # nothing is decided before
        await writer.sweep()
    await writer.folded()
    await writer.sweep()


def holding(path: Path) -> set[str]:
    """The database's files in which the canary is."""
    files = path.parent.glob(f"{path.name}*")
    return {each.name for each in files if b"canary-in-a-body" in each.read_bytes()}


@pytest.mark.parametrize("gives_back", [True, False])
async def test_pruned_bodies_are_gone_from_every_file(open_writer, tmp_path, gives_back) -> None:
    """In small and in large bodies, beside what stays, while the database is open."""
    if not gives_back:  # as the first databases were
        with contextlib.closing(sqlite3.connect(tmp_path / "c.db")) as made:
            made.executescript("CREATE TABLE x (y); DROP TABLE x;")
    writer = await open_writer(name="c.db")
    mode = await writer.run(lambda db: db.execute("PRAGMA auto_vacuum").fetchone()[0])
    assert mode == (2 if gives_back else 0)
    for number in range(100):
        long = {"note": "canary-in-a-body " * (900 if number % 2 else 1)}
        await writer.submit(custom("build", number, "end", number, tags=long))
        await writer.submit(custom("test", number, "end", 9 * 86_400, tags={"note": "z" * 2_000}))
    refused = Rejection("github", "x", "/github", T, 400, "r", 9, {}, b"canary-in-a-body" * 500)
    writer.reject(refused)
    await writer.sweep()
    await writer.run(lambda db: db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall())
    assert holding(writer.path) == {"c.db", "c.db-wal"}
    await writer.prune(T + 8 * DAY)
    assert holding(writer.path) == set()
    await writer.close()
    assert holding(writer.path) == set()
    assert verify(writer.path) == []


async def test_a_receiver_prunes_by_itself_once_an_hour(open_writer, clock) -> None:
    writer = await open_writer(WriterSettings(retention=Retention(age=7 * DAY)))
    await old_and_new(writer)
    clock.now = T + 8 * DAY
    await retained(writer)
    spans, _ = await rows_of(writer)
    assert {row[0] for row in spans} == LEFT
    clock.now += HOUR // 2
    for name in ("again",):
        await writer.submit(custom("build", name, "end", -86_400 * 30))
    await retained(writer)
    assert ref("build", "again") in {row[0] for row in (await rows_of(writer))[0]}
    clock.now += HOUR
    await retained(writer)
    assert ref("build", "again") not in {row[0] for row in (await rows_of(writer))[0]}


async def test_above_its_size_the_oldest_that_are_over_go(open_writer, clock) -> None:
    """Also where the oldest of all are in flight, as a backlog of tickets is."""
    writer = await open_writer(WriterSettings(retention=Retention(size=600_000)))
    tickets = [custom("issue", n, "start", n) for n in range(100)]
    builds = [custom("build", n, "end", 1_000 + n, name="x" * 400) for n in range(500)]
    await asyncio.gather(*map(writer.submit, [*tickets, *builds]))
    assert await writer.run(used_bytes) > 1_000_000
    clock.now = T + DAY
    await retained(writer, 20)
    found = {row[0] for row in (await rows_of(writer))[0]}
    assert {ref("issue", number) for number in range(100)} <= found
    assert ref("build", 0) not in found, "the oldest that was over went"
    assert ref("build", 499) in found, "the youngest stayed"
    assert await writer.run(used_bytes) <= 600_000


async def test_a_step_of_pruning_looks_at_200_traces_whatever_is_in_flight(open_writer) -> None:
    writer = await open_writer()
    actions = ["end" if number in (0, 300) else "start" for number in range(450)]
    builds = [custom("build", n, action, n % 7) for n, action in enumerate(actions)]
    await asyncio.gather(*map(writer.submit, builds))
    steps: list[int] = []
    after = None
    while True:
        pruned, after = await writer.transaction(
            lambda db, _, at=after: prune_traces(db, T + DAY, at)
        )
        if after is None:
            break
        steps.append(pruned.traces)
    assert len(steps) == 3, steps
    assert sum(steps) == 2


async def test_deliveries_are_stored_while_much_is_pruned(open_writer) -> None:
    writer = await open_writer()
    await asyncio.gather(
        *(writer.submit(custom("build", number, "end", number)) for number in range(1_500))
    )
    pruning = asyncio.create_task(writer.prune(T + DAY))
    stored_between = 0
    while not pruning.done():
        await writer.submit(custom("test", stored_between, "end", 5 * 86_400))
        stored_between += 1
    assert (await pruning).traces == 1_500
    assert stored_between > 3, "it waited for one small transaction at most"


async def test_stats_are_the_facts(open_writer) -> None:
    writer = await open_writer()
    await old_and_new(writer)
    await writer.submit(custom("pipeline", "done", "start", 0))
    await writer.folded()
    found = stats(writer.path)
    assert (found["deliveries"], found["received"], found["spans"]) == (9, 10, 5)
    assert found["verdicts"] == {"accepted": 9, "duplicate": 1}
    reader = open_reader(writer.path)
    assert found["schema"] == reader.execute("PRAGMA user_version").fetchone()[0]
    reader.close()


def test_free_pages_are_given_back_many_at_once(tmp_path) -> None:
    with contextlib.closing(open_writer_now(tmp_path / "vs.db")) as db:
        db.execute("CREATE TABLE filler AS SELECT randomblob(1000000) AS body")
        db.execute("DROP TABLE filler")
        assert db.execute("PRAGMA freelist_count").fetchone()[0] > 200
        assert give_back(db) == 0
