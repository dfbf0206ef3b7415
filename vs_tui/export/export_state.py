"""What an exporter did, for /metrics and doctor."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

import orjson

from vs_tui.model.time import Instant


@dataclass
class ExportState:
    """Since the receiver started."""

    sent: int = 0
    refused: int = 0
    """Spans or data points that the collector refused for good."""
    refusal: str = ""
    """What the collector said of the last ones."""
    waiting: int = 0
    """Traces read from the feed and not over or not sent yet."""
    trouble: str = ""
    """Why the last request failed; empty when it was accepted."""
    trouble_since: Instant | None = None


_PREFIX: Final = "export_state."


def keep_state(db: sqlite3.Connection, signal: str, state: ExportState) -> None:
    """Let `vs-tui doctor` see it, also when the receiver is stopped."""
    text = orjson.dumps(asdict(state)).decode()
    db.execute("REPLACE INTO meta VALUES (?, ?)", (_PREFIX + signal, text))


def read_states(db: sqlite3.Connection) -> Mapping[str, ExportState]:
    """By signal, what was kept last."""
    sql = "SELECT name, value FROM meta WHERE name GLOB ? ORDER BY name"
    return {
        name.removeprefix(_PREFIX): ExportState(**orjson.loads(text))
        for name, text in db.execute(sql, (f"{_PREFIX}*",))
    }
