"""Opens aiosqlite connections, and runs whole functions on their thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import TypeVar

import aiosqlite

T = TypeVar("T")


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
