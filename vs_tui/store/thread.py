"""Opens aiosqlite connections, runs whole functions on their thread, and sets up a process for
that."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
from collections.abc import Callable
from typing import Final, TypeVar

import aiosqlite

T = TypeVar("T")
YOUNG: Final = 20_000
"""Threshold of the garbage collector's first generation. A delivery leaves no cycles behind, but
Python's default of 700 would scan its objects again and again: 13 % of the CPU time of folding
GitHub bodies (medians of paired runs)."""


def spare_collector() -> None:
    """Collect garbage rarely, and exclude what exists now (modules and classes): it lives as long
    as the process."""
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
    if not gc.get_freeze_count():
        gc.freeze()


async def connect(opener: Callable[[], sqlite3.Connection]) -> aiosqlite.Connection:
    """An aiosqlite connection around a connection that `opener` opens on another thread.

    aiosqlite does not open it itself: if that fails, its thread ends later than the caller and
    finds the event loop closed.
    """
    opened = await asyncio.to_thread(opener)
    return await aiosqlite.Connection(lambda: opened, 64)


async def run_on(database: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Run a function on the connection's thread, with a single thread switch.

    aiosqlite offers only single statements, each with its own thread switch, and other coroutines
    may run between two of them. Its one way to run a function is private, so it is used only here.
    """
    result: T = await database._execute(  # type: ignore[no-untyped-call]
        lambda: work(database._conn)
    )
    return result
