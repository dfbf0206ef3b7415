"""A new database in memory, of today's schema: copied, because to make one takes longer than most
of what is tested with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from vs_tui.model.vocabulary import Event
from vs_tui.store.folding import transaction
from vs_tui.store.folding.span_folding import Context
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


def folded(events: Sequence[Event], size: int) -> sqlite3.Connection:
    """A database in which events were folded and linked, `size` of them in a transaction."""
    db = database()
    folding = transaction.Folding(Context(now=1 << 60, seq=0))
    for begin in range(0, len(events), size):
        db.execute("BEGIN")
        transaction.fold_and_link(db, events[begin : begin + size], folding)
        db.execute("COMMIT")
    return db
