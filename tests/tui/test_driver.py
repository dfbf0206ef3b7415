"""The terminal's own end: keys without polling, writing without piling up, and hang-ups."""

from __future__ import annotations

import asyncio
import os
import pty
import queue
import signal
import threading
import tty
from collections.abc import Callable, Iterator

import pytest
from textual.driver import Driver
from textual.events import Key

from tests.patience import PATIENCE
from vs_tui.tui import driver as module
from vs_tui.tui.driver import AT_ONCE, Output, TerminalDriver


class AnApp:
    """As much of an app as the driver's threads touch."""

    def __init__(self) -> None:
        self.called: queue.Queue[Callable[[], None]] = queue.Queue()

    def exit(self) -> None: ...

    def call_later(self, callback: Callable[[], None]) -> None:
        self.called.put(callback)


@pytest.fixture
def terminal(monkeypatch) -> Iterator[tuple[TerminalDriver, int, queue.Queue, list]]:
    """(driver, the other end, what it said, how long it was ready to wait)"""
    kept = [(number, signal.getsignal(number)) for number in (signal.SIGTSTP, signal.SIGCONT)]
    master, slave = pty.openpty()
    said: queue.Queue = queue.Queue()
    waits: list[float | None] = []
    select = module.select.select

    def noted(reading, writing, failing, wait):
        waits.append(wait)
        return select(reading, writing, failing, wait)

    monkeypatch.setattr(module.select, "select", noted)
    monkeypatch.setattr(Driver, "process_message", lambda _, message: said.put(message))

    async def made() -> TerminalDriver:
        return TerminalDriver(AnApp(), debug=False, mouse=False, size=(80, 24))

    on = asyncio.run(made())
    on.fileno = slave
    on.attrs_before = None
    tty.setraw(slave)
    on._key_thread = threading.Thread(target=on._run_input_thread)
    on._key_thread.start()
    yield on, master, said, waits
    monkeypatch.setattr(on, "_disable_mouse_support", lambda: None)
    on.disable_input()
    assert not on._key_thread.is_alive()
    os.close(slave)
    for number, handler in kept:
        signal.signal(number, handler)


def test_keys_come_and_nothing_is_polled_between_them(terminal) -> None:
    _, master, said, waits = terminal
    for sent, name in ((b"j", "j"), (b"\x1b[A", "up"), ("é".encode(), "é")):
        os.write(master, sent)
        message = said.get(timeout=PATIENCE)
        assert isinstance(message, Key)
        assert name in (message.key, message.character)
    os.write(master, b"\x1b")
    assert said.get(timeout=PATIENCE).key == "escape", "once nothing has followed it"
    assert waits[0] is None
    assert set(waits) <= {None, module.KEY_SECONDS}
    os.close(master)


def test_bytes_that_are_no_text_end_nothing(terminal) -> None:
    _, master, said, _ = terminal
    os.write(master, b"\xff")
    os.write(master, b"k")
    keys = [said.get(timeout=PATIENCE)]
    while keys[-1].key != "k":
        keys.append(said.get(timeout=PATIENCE))
    os.close(master)


def test_a_terminal_that_hangs_up_ends_the_app(terminal) -> None:
    on, master, _, _ = terminal
    os.close(master)
    assert on._app.called.get(timeout=PATIENCE) == on._app.exit


class Stuck:
    """A file that takes a text only when it may."""

    def __init__(self) -> None:
        self.may = threading.Semaphore(0)
        self.texts: list[str] = []

    def write(self, text: str) -> None:
        assert self.may.acquire(timeout=PATIENCE)
        self.texts.append(text)

    def flush(self) -> None: ...


def test_one_who_asks_is_called_when_all_was_taken(monkeypatch) -> None:
    monkeypatch.setattr(module, "SLOW_SECONDS", -1)
    file, called = Stuck(), threading.Event()
    output = Output(file, lambda: None)
    output.start()
    assert not output.call_when_taken(called.set), "nothing was written: one may write"
    output.write("one")
    output.write("two")
    assert output.behind
    assert output.call_when_taken(called.set)
    file.may.release()
    assert not called.is_set()
    file.may.release()
    assert called.wait(PATIENCE)
    assert not output.behind
    assert output.slow
    output.stop()
    assert file.texts == ["one", "two"]


def test_a_slow_line_is_given_little_at_once(terminal) -> None:
    on, master, _, _ = terminal
    assert on.at_once is None
    on._writer_thread = Output(Stuck(), lambda: None)
    assert on.at_once is None
    on._writer_thread.slow = True
    assert on.at_once == AT_ONCE
    os.close(master)


def test_a_terminal_that_breaks_is_told_once_and_blocks_nobody() -> None:
    class Broken(Stuck):
        def write(self, text: str) -> None:
            raise OSError("gone")

    gone: list[bool] = []
    output = Output(Broken(), lambda: gone.append(True))
    output.start()
    for _ in range(100):
        output.write("more than the queue holds")
    output.stop()
    assert gone == [True]
