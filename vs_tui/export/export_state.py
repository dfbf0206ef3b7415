"""State of an exporter, for /metrics and doctor."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

import orjson

from vs_tui.model.time import Instant


@dataclass
class ExportState:
    """Counts and last errors of an exporter since the receiver started."""

    sent: int = 0
    refused: int = 0
    """Spans or data points that the collector rejected for good."""
    refusal: str = ""
    """The collector's last message about rejected items."""
    waiting: int = 0
    """Traces that were read from the change feed and are not finished or not sent yet."""
    trouble: str = ""
    """Why the last request failed; empty if it was accepted."""
    trouble_since: Instant | None = None


_PREFIX: Final = "export_state."


def keep_state(db: sqlite3.Connection, signal: str, state: ExportState) -> None:
    """Store the state in the database, where `vs-tui doctor` reads it even if the receiver is
    stopped."""
    text = orjson.dumps(asdict(state)).decode()
    db.execute("REPLACE INTO meta VALUES (?, ?)", (_PREFIX + signal, text))


def read_states(db: sqlite3.Connection) -> Mapping[str, ExportState]:
    """Signal -> the state that was stored last."""
    sql = "SELECT name, value FROM meta WHERE name GLOB ? ORDER BY name"
    return {
        name.removeprefix(_PREFIX): ExportState(**orjson.loads(text))
        for name, text in db.execute(sql, (f"{_PREFIX}*",))
    }
