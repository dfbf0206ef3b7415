"""The line to the writer: who is committed together."""

import asyncio

from tests.store.conftest import custom
from vs_tui.log import append_queue
from vs_tui.log.append_queue import WaitingLine


def put(line: WaitingLine, *numbers: int) -> None:
    for number in numbers:
        line.put(custom("build", number, "start"), lambda _: None)


async def commit(line: WaitingLine) -> int:
    """How many are taken at once."""
    taken = len(await line.take())
    line.done()
    return taken


async def turns(many: int) -> None:
    for _ in range(many):
        await asyncio.sleep(0)


async def test_several_senders_are_waited_for_until_as_many_are_here_as_before(monkeypatch) -> None:
    monkeypatch.setattr(append_queue, "GATHER_SECONDS", 60)
    line = WaitingLine("")
    put(line, 1, 2, 3)
    assert await commit(line) == 3
    taking = asyncio.create_task(commit(line))
    for number in (4, 5):
        put(line, number)
        await turns(10)
        assert not taking.done()
    put(line, 6)
    assert await taking == 3


async def test_senders_that_do_not_come_again_are_not_waited_for_long(monkeypatch) -> None:
    monkeypatch.setattr(append_queue, "GATHER_SECONDS", 0)
    line = WaitingLine("")
    put(line, 1, 2, 3)
    assert await commit(line) == 3
    put(line, 4)
    assert await commit(line) == 1


async def test_who_sends_alone_never_waits(monkeypatch) -> None:
    monkeypatch.setattr(append_queue, "GATHER_SECONDS", 60)
    line = WaitingLine("")
    for number in range(3):
        put(line, number)
        assert await commit(line) == 1
