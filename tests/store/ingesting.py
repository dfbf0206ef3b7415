"""Append and fold in one transaction, for tests and benchmarks that own the connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from vs_tui.log import sqlite_log
from vs_tui.log.delivery import Intake, Outcome
from vs_tui.store import batch
from vs_tui.store.projector import Projector
from vs_tui.store.span_folding import Change


class Ingested(NamedTuple):
    outcomes: Sequence[Outcome]
    changes: Sequence[Change]


def ingest(db: sqlite3.Connection, intakes: Sequence[Intake], folding: batch.Folding) -> Ingested:
    projector = Projector()
    projector.opened(db)
    appended = sqlite_log.append(db, intakes, folding.bodies, lambda name: batch.exists(db, name))
    projector.appended(appended.fresh)
    changes: list[Change] = []
    while projector.behind:
        folded = projector.fold_some(db, folding, 500)
        projector.committed(folded)
        changes += folded.changes
    return Ingested(appended.outcomes, changes)
