"""A clock that is wrong neither deletes nor times out anything; time that has passed does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.store.conftest import T, custom, rebuilt, ref, rows_of
from vs_tui.model.limits import Retention
from vs_tui.model.time import DAY, HOUR, MINUTE
from vs_tui.store import clock as clocks
from vs_tui.store.clock import Mark, Uptime, judged
from vs_tui.store.maintenance.sweeper import WriterSettings
from vs_tui.store.writer import Writer

KEEPING = WriterSettings(timeouts={"deploy": 2 * HOUR}, retention=Retention(age=180 * DAY))
MARK = Mark(T, "a", 5 * HOUR)


def at(mark: Mark, wall: int, boot: str, up: int) -> tuple[Mark, int, int]:
    """The next mark, and how far from the clock timeouts and retention count."""
    found = judged(mark, wall, Uptime(boot, up))
    return found.mark, found.timing - wall, found.deleting - wall


@pytest.mark.parametrize("passed", [0, MINUTE, 60 * HOUR, 400 * DAY])
@pytest.mark.parametrize("off", [0, 59 * MINUTE, -59 * MINUTE])
def test_time_that_has_passed_is_believed(passed, off) -> None:
    """A quiet weekend is no wrong clock, whether the machine slept or not."""
    mark, timing, deleting = at(MARK, T + passed + off, "a", MARK.up + passed)
    assert (mark, timing, deleting) == (MARK, 0, 0)


def test_a_clock_that_goes_on_is_believed_at_last() -> None:
    mark, timing, deleting = at(MARK, T + 2 * DAY, "a", MARK.up)
    assert (timing, deleting) == (-2 * DAY, -2 * DAY)
    for passed in (MINUTE, 59 * MINUTE):
        kept, timing, deleting = at(mark, T + 2 * DAY + passed, "a", MARK.up + passed)
        assert (kept, timing, deleting) == (mark, -2 * DAY, -2 * DAY)
    for passed in (HOUR, 23 * HOUR):
        kept, timing, deleting = at(mark, T + 2 * DAY + passed, "a", MARK.up + passed)
        assert (kept, timing, deleting) == (mark, 0, -2 * DAY)
    kept, timing, deleting = at(mark, T + 3 * DAY, "a", MARK.up + DAY)
    assert (timing, deleting, kept.doubted) == (0, 0, None)


def test_a_clock_that_jumps_again_begins_again() -> None:
    mark, *_ = at(MARK, T + 2 * DAY, "a", MARK.up)
    mark, timing, _ = at(mark, T + 9 * DAY, "a", MARK.up + 59 * MINUTE)
    _, again, _ = at(mark, T + 9 * DAY, "a", MARK.up + 61 * MINUTE)
    assert timing < -8 * DAY
    assert again < -8 * DAY


def test_a_clock_that_is_right_again_is_believed_at_once() -> None:
    mark, *_ = at(MARK, T + 2 * DAY, "a", MARK.up)
    mark, timing, deleting = at(mark, T + MINUTE, "a", MARK.up + MINUTE)
    assert (mark.doubted, timing, deleting) == (None, 0, 0)


def test_behind_nothing_times_out_later_and_nothing_is_deleted_sooner() -> None:
    _, timing, deleting = at(MARK, T - 200 * DAY, "a", MARK.up)
    assert (timing, deleting) == (200 * DAY, 0)


def test_a_machine_that_was_off_is_doubted_for_an_hour() -> None:
    """Nobody counted: it may have been a weekend, or the battery of its clock."""
    mark, timing, _ = at(MARK, T + 60 * HOUR, "b", MINUTE)
    assert timing == -60 * HOUR
    assert at(mark, T + 61 * HOUR, "b", 62 * MINUTE)[1] == 0
    mark, timing, _ = at(MARK, T + 30 * MINUTE, "b", MINUTE)
    assert (timing, mark) == (0, Mark(T + 30 * MINUTE, "b", MINUTE))


async def test_a_count_of_the_uptime_that_jumps_too_deletes_nothing(open_writer, clock) -> None:
    """As in a container that was moved, or under faketime: it says that even more time passed."""
    writer = await open_writer(KEEPING)
    await writer.submit(custom("build", "1", "end"))
    await writer.sweep()
    before = await rows_of(writer)
    await writer.close()
    clock.now += 20_000 * DAY
    clock.off = (200 - 20_000) * DAY
    writer = await open_writer(KEEPING, writer.path.name)
    for _ in range(3):
        await writer.folded()
        await writer.sweep()
    assert await rows_of(writer) == before


async def test_a_jump_deletes_and_times_out_nothing_and_says_so(open_writer, clock, caplog) -> None:
    writer = await open_writer(KEEPING)
    await writer.submit(custom("deploy", "1", "start"))
    await writer.submit(custom("build", "1", "end"))
    before = await rows_of(writer)
    clock.off = 200 * DAY
    await writer.sweep()
    assert await rows_of(writer) == before
    assert "the clock is 200d ahead: timeouts until" in caplog.text
    # What comes meanwhile is stamped by the wrong clock, and proves nothing.
    await writer.submit(custom("test", "1", "start")._replace(received_at=clock()))
    clock.now += MINUTE
    await writer.sweep()
    assert [row[0] for row in before[0]] == [ref("build", "1"), ref("deploy", "1")]
    assert set(before[0]) < set((await rows_of(writer))[0])
    said = caplog.text
    clock.now += MINUTE
    await writer.sweep()
    assert caplog.text == said, "once"
    # The next start has not forgotten it.
    await writer.close()
    writer = await open_writer(KEEPING, writer.path.name)
    await writer.sweep()
    assert set(before[0]) < set((await rows_of(writer))[0])
    told = await writer.run(
        lambda db: clocks.words(clocks.read(db, clock(), clock.uptime()), clock(), clock.uptime())
    )
    assert "200d ahead" in told
    clock.off = 0
    clock.now += 2 * HOUR
    await writer.sweep()
    live = await rows_of(writer)
    assert {row[4] for row in live[0] if row[2] == "deploy"} == {"timed_out"}
    await rebuilt(writer)
    assert await rows_of(writer) == live


@pytest.mark.parametrize("days", [2, -2, 200])
async def test_live_equals_a_rebuild_whatever_the_clock_says(open_writer, clock, days) -> None:
    """Also of what is folded while the clock is wrong, and after it was mended."""
    writer = await open_writer(KEEPING)
    await writer.submit(custom("deploy", "over", "start", -3 * 3_600))
    await writer.submit(custom("deploy", "young", "start", -3_600))
    clock.off = days * DAY
    await writer.submit(custom("deploy", "new", "start", 0))
    await writer.sweep()
    statuses = {row[0]: row[4] for row in (await rows_of(writer))[0]}
    assert statuses == {
        ref("deploy", "over"): "timed_out",
        ref("deploy", "young"): "in_flight",
        ref("deploy", "new"): "in_flight",
    }
    wrong = await rows_of(writer)
    await rebuilt(writer)
    assert await rows_of(writer) == wrong
    clock.off, clock.now = 0, clock.now + MINUTE
    await writer.sweep()
    assert await rows_of(writer) == wrong


async def test_a_timeout_is_undone_when_the_clock_is_right_again(open_writer, clock) -> None:
    """It was wrong for so long that it was believed."""
    writer = await open_writer(KEEPING)
    await writer.submit(custom("deploy", "1", "start"))
    before = await rows_of(writer)
    clock.off = 2 * DAY
    await writer.sweep()
    clock.now += HOUR + MINUTE
    await writer.sweep()
    assert "timed_out" in str(await rows_of(writer))
    clock.off = 0
    clock.now += MINUTE
    await writer.sweep()
    assert await rows_of(writer) == before


async def test_a_quiet_weekend_times_out_and_deletes(open_writer, clock, caplog) -> None:
    writer = await open_writer(replace(KEEPING, retention=Retention(age=50 * HOUR)))
    await writer.submit(custom("deploy", "1", "start", 20 * 3_600))
    await writer.submit(custom("build", "1", "end"))
    clock.now += 60 * HOUR
    for _ in range(3):
        await writer.folded()
        await writer.sweep()
    ((deploy),) = (await rows_of(writer))[0]
    assert (deploy[0], deploy[4]) == (ref("deploy", "1"), "timed_out")
    assert "clock" not in caplog.text


@pytest.mark.parametrize(("prints", "boot"), [("echo 0A-1B", "0A-1B"), ("exit 1", "process ")])
def test_macos_names_its_starts(monkeypatch, tmp_path, prints, boot) -> None:
    """A restarted process is not a restarted machine; without a name it must count as one."""
    (tmp_path / "sysctl").write_text(f"#!/bin/sh\n[ $2 = kern.bootsessionuuid ] && {prints}\n")
    (tmp_path / "sysctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(clocks, "_LINUX_BOOT", tmp_path / "missing")
    assert clocks._boot.__wrapped__().startswith(boot)


async def test_a_machine_that_was_off_for_a_weekend_times_out_after_an_hour(
    open_writer, clock, tmp_path
) -> None:
    writer = await open_writer(KEEPING)
    await writer.submit(custom("deploy", "1", "start"))
    await writer.close()
    clock.now += 60 * HOUR
    began = clock.now
    settings = replace(KEEPING, uptime=lambda: Uptime("next boot", clock.now - began))
    again = Writer(writer.path, clock, settings)
    await again.open()
    try:
        await again.sweep()
        assert "in_flight" in str(await rows_of(again))
        clock.now += HOUR
        await again.sweep()
        assert "timed_out" in str(await rows_of(again))
    finally:
        await again.close()


async def test_a_fresh_database_believes_the_clock_and_old_recordings(open_writer, clock) -> None:
    writer = await open_writer(KEEPING)
    clock.now += 60 * HOUR
    await writer.submit(custom("deploy", "1", "start", 0))
    assert "timed_out" in str(await rows_of(writer)), "a recording of long ago"
    await writer.close()
    writer = await open_writer(KEEPING, writer.path.name)
    await writer.submit(custom("deploy", "2", "start", 0))
    assert "in_flight" not in str(await rows_of(writer))


async def test_what_comes_while_the_clock_is_behind_is_not_deleted_as_old(
    open_writer, clock
) -> None:
    """Its time of receipt is at least what is known to have passed, at the first delivery after
    the jump, after a restart, and when the clock was set right."""
    writer = await open_writer(KEEPING)
    await writer.sweep()
    clock.off, clock.now = -400 * DAY, clock.now + MINUTE
    assert writer.receipt_time() == clock.now
    await writer.submit(custom("test", "1", "end")._replace(received_at=writer.receipt_time()))
    await writer.sweep()
    await writer.close()
    writer = await open_writer(KEEPING, writer.path.name)
    clock.now += 2 * HOUR
    await writer.sweep()
    assert writer.receipt_time() == clock.now
    clock.off, clock.now = 0, clock.now + MINUTE
    assert writer.receipt_time() == clock.now
    for _ in range(3):
        await writer.folded()
        await writer.sweep()
    assert await writer.run(lambda db: db.execute("SELECT COUNT(*) FROM deliveries").fetchone()[0])


async def test_a_clock_that_went_ahead_gives_its_own_time_of_receipt(open_writer, clock) -> None:
    """The time may have passed while the machine was off."""
    writer = await open_writer(KEEPING)
    clock.off = 3 * DAY
    assert writer.receipt_time() == clock()
    clock.off = -2 * DAY
    assert writer.receipt_time() == clock.now, "and back beyond what passed"
    await writer.sweep()
    clock.now += DAY + HOUR
    await writer.sweep()
    assert writer.receipt_time() == clock(), "believed after a day"
