"""What the writer makes in idle time for the reports."""

from __future__ import annotations

import logging
import sqlite3
from typing import Final

from vs_tui.store.batch import Folding
from vs_tui.store.metrics_durations import FINISHED_SPANS
from vs_tui.store.metrics_requests import REQUESTED
from vs_tui.store.metrics_tree import keep

log = logging.getLogger(__name__)

TREES: Final = (FINISHED_SPANS, REQUESTED)


def make_reports(db: sqlite3.Connection, folding: Folding) -> bool:
    """Make some columns; whether there is more. In the caller's transaction.

    A fault must not cost a delivery: it is logged, and reports read the spans.
    """
    db.execute("SAVEPOINT reports")
    try:
        more = any(keep(db, tree, folding.context.now) for tree in TREES)
    except sqlite3.OperationalError:
        raise  # the disk, not us: the writer knows what to do
    except Exception:
        log.exception("reports are slower than they could be: what they read was not made")
        db.execute("ROLLBACK TO reports")
        more = False
    db.execute("RELEASE reports")
    return more
