"""Append and fold in one transaction, for tests and benchmarks that own the connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from vs_tui.log import sqlite_log
from vs_tui.log.delivery import Intake, Receipt
from vs_tui.store.folding import transaction
from vs_tui.store.folding.projector import Parse, Projector
from vs_tui.store.folding.span_folding import Change
from vs_tui.store.maintenance.table_swap import empty_models


class Ingested(NamedTuple):
    receipts: Sequence[Receipt]
    changes: Sequence[Change]


def ingest(
    db: sqlite3.Connection, intakes: Sequence[Intake], folding: transaction.Folding
) -> Ingested:
    projector = Projector()
    projector.opened(db)
    appended = sqlite_log.append(
        db, intakes, folding.bodies, lambda name: transaction.exists(db, name)
    )
    projector.appended(appended.fresh)
    changes: list[Change] = []
    while projector.behind:
        folded = projector.fold_some(db, folding, 500)
        projector.look(db)
        projector.committed(folded)
        changes += folded.changes
    return Ingested(appended.receipts, changes)


def fold_anew(
    db: sqlite3.Connection,
    folding: transaction.Folding,
    parse: Parse | None = None,
    at_once: int = 500,
) -> int:
    """Begin anew and fold all of the log; how many deployments of pruned traces were kept."""
    kept = empty_models(db, folding)
    projector = Projector(parse=parse)
    projector.opened(db)
    while projector.behind:
        folded = projector.fold_some(db, folding, at_once)
        projector.look(db)
        projector.committed(folded)
    return kept
