"""Storage trouble: every sender hears of it, nothing acknowledged is lost, and the writer goes on
by itself when it ends."""

import asyncio
import contextlib
import re
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tests.store.conftest import custom, rows_of
from vs_tui.log import sqlite_log
from vs_tui.log.append_queue import Unavailable
from vs_tui.log.delivery import Rejection
from vs_tui.log.sqlite_log import Appended
from vs_tui.model.limits import MIB
from vs_tui.model.time import DAY
from vs_tui.store.maintenance.backup import verify
from vs_tui.store.maintenance.sweeper import WriterSettings
from vs_tui.store.schema import StoreError
from vs_tui.store.writer import Writer


def start(number: object, padding: int = 0):
    """A start whose body is as large as it needs to be."""
    intake = custom("build", number, "start")
    return intake._replace(body=intake.body + b" " * padding)


def large_end(number: object):
    intake = custom("build", number, "end")
    return intake._replace(body=intake.body + b" " * 2_000)


async def stored(writer: Writer) -> set[str]:
    spans, _ = await rows_of(writer)
    return {row[0].rpartition("-")[2] for row in spans}


async def refused(writer: Writer, number: object, match: str, padding: int = 0) -> None:
    with pytest.raises(Unavailable, match=match):
        await writer.submit(start(number, padding))


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Another process's write lock."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


async def impatient(writer: Writer) -> None:
    await writer.run(lambda db: db.execute("PRAGMA busy_timeout = 20").fetchall())


async def test_a_full_database_refuses_and_goes_on_when_there_is_room(open_writer) -> None:
    writer = await open_writer()
    await writer.submit(start("first"))
    pages = await writer.run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    await writer.run(lambda db: db.execute(f"PRAGMA max_page_count = {pages + 1}").fetchall())
    await refused(writer, "big", "disk is full; free some space", padding=300_000)
    assert "disk is full" in writer.trouble
    await refused(writer, "small", "disk is full")
    await writer.run(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchall())
    await writer.sweep()
    assert writer.trouble == ""
    await writer.submit(start("big", padding=300_000))
    assert await stored(writer) == {"first", "big"}


async def test_a_lock_of_another_process_refuses_and_ends_by_itself(open_writer) -> None:
    writer = await open_writer()
    await impatient(writer)
    with held(writer.path):
        await refused(writer, 1, "another process holds the database")
        with pytest.raises(sqlite3.OperationalError):
            await writer.sweep()
    await writer.sweep()
    assert writer.trouble == ""
    await writer.submit(start(1))
    assert await stored(writer) == {"1"}


async def test_readers_of_a_trouble_are_told_when_it_comes_and_when_it_goes(open_writer) -> None:
    writer = await open_writer()
    await impatient(writer)
    seen: list[str] = []
    writer.subscribe(lambda _: seen.append(writer.trouble))
    with held(writer.path):
        await refused(writer, 1, "another process")
    await writer.sweep()
    assert "another process" in seen[0]
    assert seen[-1] == ""


async def test_two_sweeps_at_once_open_the_database_once(open_writer) -> None:
    writer = await open_writer()
    await writer.run(lambda db: db.execute("PRAGMA query_only = ON").fetchall())
    await refused(writer, 1, "read-only")
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(writer.sweep(), writer.sweep())
    await writer.submit(start(1))
    assert await stored(writer) == {"1"}


async def test_a_whole_batch_is_refused_and_none_of_it_is_stored(open_writer) -> None:
    writer = await open_writer()
    await impatient(writer)
    with held(writer.path):
        tasks = [asyncio.create_task(writer.submit(start(n))) for n in range(100)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    await writer.sweep()
    assert await stored(writer) == set()


async def test_a_moved_file_is_noticed_at_the_next_commit_and_taken_back(open_writer) -> None:
    writer = await open_writer()
    await writer.submit(start("before"))
    away = writer.path.with_suffix(".away")
    writer.path.rename(away)
    await refused(writer, "lost", "was moved, deleted or replaced")
    assert "put it back" in writer.trouble
    away.rename(writer.path)
    await writer.sweep()
    assert writer.trouble == ""
    await writer.submit(start("lost"))
    assert await stored(writer) == {"before", "lost"}


async def test_a_file_that_moves_between_commit_and_answer_is_not_acknowledged(
    open_writer, monkeypatch
) -> None:
    writer = await open_writer()
    transact = writer._transaction

    async def then_moved(work, **options):
        result = await transact(work, **options)
        if isinstance(result, Appended):
            writer.path.rename(writer.path.with_suffix(".away"))
        return result

    monkeypatch.setattr(writer, "_transaction", then_moved)
    with pytest.raises(Unavailable, match="was moved, deleted or replaced"):
        await writer.submit(custom("build", 1, "start"))
    writer.path.with_suffix(".away").rename(writer.path)


async def test_a_replaced_file_gets_nothing(open_writer) -> None:
    writer = await open_writer()
    other = await open_writer()
    await other.close()
    other.path.replace(writer.path)
    await refused(writer, 1, "replaced while in use")
    with contextlib.closing(sqlite3.connect(writer.path)) as database:
        assert database.execute("SELECT COUNT(*) FROM deliveries").fetchone() == (0,)


async def test_low_space_refuses_deliveries_but_pruning_still_works(open_writer, clock) -> None:
    free = [1000 * MIB]
    writer = await open_writer(WriterSettings(low_space=64 * MIB, free_bytes=lambda _: free[0]))
    for number in range(300):
        await writer.submit(large_end(number))
    free[0] = 60 * MIB
    await writer.sweep()
    await refused(writer, "more", "only 60.0 MiB are free")
    await writer.run(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
    size = writer.path.stat().st_size
    clock.now += 10_000_000_000
    pruned = await writer.prune(clock.now)
    assert (pruned.traces, pruned.deliveries) == (300, 300)
    assert writer.path.stat().st_size < size / 4, "the space went back to the disk"
    free[0] = 70 * MIB
    await writer.sweep()
    await writer.submit(start("more"))
    assert await stored(writer) == {"more"}


async def test_a_damaged_database_refuses_says_so_and_stops_cleanly(open_writer) -> None:
    writer = await open_writer()
    for number in range(200):
        await writer.submit(start(number, padding=500))
    await writer.run(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
    size = writer.path.stat().st_size
    with writer.path.open("r+b") as file:
        for offset in range(4096, size, 4096):
            file.seek(offset)
            file.write(b"\xff" * 512)
    await writer.run(lambda db: db.execute("PRAGMA cache_size = 0").fetchall())
    await refused(writer, "next", "the database is damaged; stop the receiver and run")
    assert "`vs-tui db restore BACKUP`" in writer.trouble
    with pytest.raises((StoreError, sqlite3.DatabaseError)):
        await writer.sweep()
    assert writer.trouble, "it is not well again by trying"
    assert writer.alive


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda raw: b"garbage!" * 512 + raw[4096:], "no vs-tui database"),
        (lambda raw: b"", "it held data when it was open last"),
        (lambda raw: raw[: len(raw) // 2], "damaged|malformed"),
    ],
    ids=["garbage header", "empty", "half"],
)
async def test_a_broken_file_is_refused_at_the_start_and_left_alone(
    tmp_path, clock, damage, match
) -> None:
    path = tmp_path / "vs.db"
    writer = Writer(path, clock)
    await writer.open()
    for number in range(100):
        await writer.submit(start(number, padding=900))
    await writer.close()
    broken = damage(path.read_bytes())
    path.write_bytes(broken)
    problems: list[str] = []
    again = Writer(path, clock)
    try:
        await again.open()
    except StoreError as error:
        problems.append(str(error))
    else:
        await again.close()
        problems += verify(path)
    assert problems
    assert any(re.search(match, problem) for problem in problems), problems
    if "half" not in match and "malformed" not in match:
        assert path.read_bytes() == broken


async def test_an_empty_file_that_was_never_used_is_a_beginning(tmp_path, clock) -> None:
    (tmp_path / "new.db").touch()
    writer = Writer(tmp_path / "new.db", clock)
    await writer.open()
    await writer.submit(start(1))
    await writer.close()


async def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path, clock) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="choose another file with --db"):
        await Writer(tmp_path / "file" / "vs.db", clock).open()


async def test_a_delivery_that_even_quarantine_cannot_hold_is_refused_alone(
    open_writer, monkeypatch
) -> None:
    writer = await open_writer()
    real = sqlite_log.append

    def append(connection, intakes, *rest):
        if any("-bad" in intake.body.decode() for intake in intakes):
            raise OverflowError("too large for SQLite")
        return real(connection, intakes, *rest)

    monkeypatch.setattr(sqlite_log, "append", append)
    tasks = [writer.submit(start(n)) for n in ("1", "x-bad", "2")]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, Unavailable) for result in results] == [False, True, False]
    assert writer.trouble == ""
    await writer.submit(start("3"))
    assert await stored(writer) == {"1", "2", "3"}


async def test_a_slow_disk_answers_before_the_sender_hangs_up(open_writer, monkeypatch) -> None:
    writer = await open_writer()
    with held(writer.path), monkeypatch.context() as impatience:
        impatience.setattr("vs_tui.log.append_queue.ANSWER_SECONDS", 0.05)
        await refused(writer, 1, "too slow; send it again")
    outcome = await writer.submit(start(2))
    assert outcome.delivery_id
    again = await writer.submit(start(1))
    assert await stored(writer) == {"1", "2"}
    assert again.verdict.value in ("accepted", "duplicate")


async def test_waiting_bodies_are_bounded_in_bytes(open_writer, monkeypatch) -> None:
    monkeypatch.setattr("vs_tui.log.append_queue.MAX_WAITING_BYTES", 10_000)
    writer = await open_writer()
    await impatient(writer)
    results = await asyncio.gather(
        *(writer.submit(start(n, padding=400)) for n in range(100)), return_exceptions=True
    )
    turned_away = [r for r in results if isinstance(r, Unavailable)]
    assert 0 < len(turned_away) < 100
    assert "too many deliveries are waiting" in str(turned_away[0])
    await writer.submit(start("after", padding=400))


async def test_refused_requests_are_all_counted_though_not_all_are_kept(open_writer, clock) -> None:
    writer = await open_writer()
    await impatient(writer)
    with held(writer.path):
        for number in range(2_500):
            writer.reject(
                Rejection("github", "request", f"/{number}", clock.now, 401, "unauthorized", 0)
            )
        with pytest.raises(sqlite3.OperationalError):
            await writer.sweep()
    await writer.sweep()
    counted, kept = await writer.run(
        lambda db: (
            db.execute("SELECT n FROM counts WHERE verdict = 'rejected'").fetchone()[0],
            db.execute("SELECT COUNT(*) FROM rejections").fetchone()[0],
        )
    )
    assert (counted, kept) == (2_500, 1_000)


CHILD = """
import asyncio, resource, signal, sys
from pathlib import Path
from tests.store.conftest import Clock, custom
from vs_tui.log.append_queue import Unavailable
from vs_tui.store.writer import Writer

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = Writer(Path(sys.argv[1]), Clock())
    await writer.open()
    acknowledged = []
    limit = 300_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    refused = 0
    for number in range(400):
        try:
            intake = custom("build", number, "start")
            await writer.submit(intake._replace(body=intake.body + b" " * 2_000))
            acknowledged.append(number)
        except Unavailable as error:
            refused += 1
            assert "check the disk" in str(error) or "full" in str(error), error
            break
    assert refused, "the limit was not reached"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await writer.sweep()
    assert writer.trouble == "", writer.trouble
    for number in range(1000, 1050):
        await writer.submit(custom("build", number, "start"))
        acknowledged.append(number)
    await writer.close()
    print(",".join(map(str, acknowledged)))

asyncio.run(main())
"""


def test_a_write_error_of_the_disk_is_survived_on_a_new_connection(tmp_path) -> None:
    """RLIMIT_FSIZE makes pwrite fail as a failing disk does (SQLITE_IOERR_WRITE)."""
    path = tmp_path / "vs.db"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    acknowledged = {f"vstrace-customhttp-build-default-{n}" for n in done.stdout.strip().split(",")}
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = {row[0] for row in database.execute("SELECT key FROM spans")}
    assert acknowledged <= found


async def test_a_clock_that_jumps_a_day_either_way_loses_nothing(open_writer, clock) -> None:
    writer = await open_writer(WriterSettings(timeouts={"build": DAY // 2}))
    for number, jump in enumerate((0, DAY, -2 * DAY, 400 * DAY, -400 * DAY, DAY)):
        clock.now += jump
        await writer.submit(custom("build", number, "start", number))
        await writer.submit(custom("build", number, "end", number + 9))
        await writer.sweep()
    spans, _ = await rows_of(writer)
    assert [row[4] for row in spans] == ["ok"] * 6
    assert all(row[6] < row[7] for row in spans), "the payloads' times, not the clock's"


async def test_every_listener_may_fail_and_deliveries_are_stored(open_writer) -> None:
    """A dashboard is a listener: its bugs cost no delivery."""
    writer = await open_writer()

    def broken(_: object) -> None:
        raise RuntimeError("a bug in a screen")

    writer.subscribe(broken)
    for number in range(100):
        await writer.submit(start(number))
    await writer.sweep()
    assert len(await stored(writer)) == 100
    assert writer.alive


def test_a_process_that_fails_with_an_open_connection_ends() -> None:
    program = textwrap.dedent("""
        import asyncio, sqlite3
        from vs_tui.store.schema import connect
        kept = []

        async def fail():
            opened = sqlite3.connect(":memory:", check_same_thread=False)
            kept.append(await connect(lambda: opened))
            raise RuntimeError("it failed")

        asyncio.run(fail())
    """)
    words = [sys.executable, "-c", program]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert ended.returncode == 1 and "it failed" in ended.stderr
