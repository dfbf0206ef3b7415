"""Pure work spread over the cores: tasks in, results out in the same order, few under way."""

from __future__ import annotations

import gc
import marshal
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Final, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

AHEAD: Final = 3
"""Tasks under way for each process: enough that none waits, few enough for memory."""


_SELDOM: Final = (100_000, 20, 20)


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Let the garbage collector look for cycles seldom: what is computed here has hardly any, and
    looking for them after every 700 objects costs an eighth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(*_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def cores() -> int:
    """How many processes can compute at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Processes:
    """Processes that compute; with fewer than two everything is computed in this one."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Processes:
        if self._count > 1:
            # Not forked: the store's threads hold locks that a copy would never get back.
            self._pool = ProcessPoolExecutor(
                self._count, mp_context=get_context("spawn"), initializer=_prepare
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, work: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """`work` of every task. It and its tasks must be picklable and without side effects: what
        a process that dies (out of memory) leaves undone is computed here, and so is what is not
        plain. Plain are numbers, texts, bytes, and tuples, lists and dicts of them."""
        pickled = pickle.dumps(work) if self._pool else b""
        under_way: deque[tuple[Task, Future[bytes | None] | None]] = deque()
        for task in tasks:
            under_way.append((task, self._submit(pickled, task)))
            if len(under_way) > AHEAD * max(self._count, 1) or self._pool is None:
                yield _result(work, *under_way.popleft())
        while under_way:
            yield _result(work, *under_way.popleft())

    def _submit(self, work: bytes, task: object) -> Future[bytes | None] | None:
        if self._pool is None:
            return None
        try:
            return self._pool.submit(_computed, work, task)
        except BrokenExecutor:
            return None


def _computed(work: bytes, task: object) -> bytes | None:
    """In another process. Plain rows take half the time as marshal writes them; None for what it
    cannot write, such as a text of a class of its own."""
    found = _unpickled(work)(task)
    try:
        return marshal.dumps(found)
    except ValueError:
        return None


@lru_cache(maxsize=1)
def _unpickled(work: bytes) -> Callable[[object], Any]:
    """Once for all tasks: what the work remembers of one helps with the next."""
    found: Callable[[object], Any] = pickle.loads(work)  # noqa: S301
    return found


def _result(
    work: Callable[[Task], Result], task: Task, future: Future[bytes | None] | None
) -> Result:
    if future is not None:
        with suppress(BrokenExecutor):
            if (written := future.result()) is not None:
                found: Result = marshal.loads(written)  # noqa: S302
                return found
    return work(task)


def _prepare() -> None:
    # Ctrl-C goes to all processes of a terminal; the first one decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    gc.set_threshold(*_SELDOM)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed process leaves its pool waiting for tasks for ever; this one ends with it."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
