"""The line to the writer: who is committed together."""

import asyncio

from tests.patience import PATIENCE
from tests.store.conftest import custom
from vs_tui.log import append_queue
from vs_tui.log.append_queue import AppendQueue


def put(line: AppendQueue, *numbers: int) -> None:
    for number in numbers:
        line.put(custom("build", number, "start"), lambda _: None)


async def commit(line: AppendQueue) -> int:
    """How many are taken at once."""
    taken = len(await line.take())
    line.done()
    return taken


async def test_all_that_wait_are_taken_together_and_nobody_is_waited_for() -> None:
    line = AppendQueue("")
    put(line, 1, 2, 3)
    assert await commit(line) == 3
    put(line, 4)
    assert await commit(line) == 1


async def test_no_more_are_taken_than_a_batch_holds(monkeypatch) -> None:
    monkeypatch.setattr(append_queue, "MAX_BATCH", 2)
    line = AppendQueue("")
    put(line, 1, 2, 3)
    assert [await commit(line), await commit(line)] == [2, 1]


async def test_it_is_quiet_while_nothing_comes(monkeypatch) -> None:
    now = 5.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    line = AppendQueue("")
    assert line.quiet_seconds == 5, "as long as there were no deliveries"
    put(line, 1)
    now = 6.0
    assert line.quiet_seconds == 0, "a delivery waits"
    await commit(line)
    assert line.quiet_seconds == 0, "a sender that was answered just now may send the next one"
    now = 8.0
    assert line.quiet_seconds == 2


async def test_nobody_waits_long_until_it_is_quiet() -> None:
    line = AppendQueue("")
    async with asyncio.timeout(PATIENCE):
        await line.quiet(10 * PATIENCE, lambda: False)
        put(line, 1)
        await commit(line)
        await line.quiet(10 * PATIENCE, lambda: False)
    assert line.quiet_seconds >= append_queue.QUIET_SECONDS


async def test_it_is_not_quiet_while_a_commit_takes_long_but_nobody_waits_forever() -> None:
    line = AppendQueue("")
    put(line, 1)
    await line.take()
    await line.quiet(3 * append_queue.QUIET_SECONDS, lambda: False)
    await line.quiet(10 * PATIENCE, lambda: True)
    assert line.quiet_seconds == 0


async def test_the_time_in_which_no_delivery_waits_is_added_up(monkeypatch) -> None:
    now = 5.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    line = AppendQueue("")
    put(line, 1)
    before = line.idle_seconds
    now = 7.0
    assert line.idle_seconds == before, "a delivery waits"
    await commit(line)
    now = 10.0
    assert line.idle_seconds == before + 3
    put(line, 2)
    now = 20.0
    assert line.idle_seconds == before + 3
