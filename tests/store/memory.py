"""A new database in memory, of today's schema: copied, because to make one takes longer than most
of what is tested with it."""

from __future__ import annotations

import sqlite3
from functools import cache
from pathlib import Path

from vs_tui.store.schema import _lower, migrate


def database() -> sqlite3.Connection:
    """Empty, with the functions that readers have."""
    made = sqlite3.connect(":memory:", isolation_level=None)
    made.deserialize(_empty())
    made.create_function("vs_lower", 1, _lower, deterministic=True)
    return made


@cache
def _empty() -> bytes:
    made = sqlite3.connect(":memory:", isolation_level=None)
    migrate(made, Path("memory"))
    return made.serialize()
