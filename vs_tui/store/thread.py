"""Opening aiosqlite connections, and running a whole function on their thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import TypeVar

import aiosqlite

T = TypeVar("T")


async def connect(opener: Callable[[], sqlite3.Connection]) -> aiosqlite.Connection:
    """An aiosqlite connection around what `opener` opens on another thread.

    Not opened by aiosqlite itself: when that fails, its thread ends later than the caller, and
    finds the event loop closed.
    """
    opened = await asyncio.to_thread(opener)
    return await aiosqlite.Connection(lambda: opened, 64)


async def run_on(database: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """One hop for a whole piece of work.

    aiosqlite offers statements only, each a hop of its own, and lets other coroutines in between
    two of them; its one way to run a function is private, so it is used here and nowhere else.
    """
    result: T = await database._execute(  # type: ignore[no-untyped-call]
        lambda: work(database._conn)
    )
    return result
