"""Deliveries that fail beside others that do not, on the same tick of the loop: what was
acknowledged is exactly what is stored. A shared connection with a commit and a rollback for each
handler would undo the good ones and keep the bad."""

from __future__ import annotations

import asyncio

import pytest

from tests.store.conftest import custom, rows_of
from vs_tui.log.append_queue import Unavailable
from vs_tui.log.delivery import Outcome
from vs_tui.model.vocabulary import Verdict
from vs_tui.store import batch
from vs_tui.store.maintenance import verify


@pytest.mark.parametrize("pairs", [60, pytest.param(1_000, marks=pytest.mark.full)])
async def test_pairs_of_a_good_and_a_failing_delivery(open_writer, monkeypatch, pairs) -> None:
    """One in four fails so that not even quarantine can hold it, one in four in its folding."""
    writer = await open_writer()
    real = batch.ingest

    def ingest(connection, intakes, folding):
        done = real(connection, intakes, folding)  # it fails after its rows were written
        for intake in intakes:
            if b'"refused' in intake.body:
                raise OverflowError("too large for SQLite")
            if b'"bug' in intake.body and intake.events:
                raise KeyError("a bug in folding")
        return done

    monkeypatch.setattr(batch, "ingest", ingest)
    acknowledged: dict[str, Verdict] = {}
    refused: set[str] = set()

    async def submit(name: str) -> None:
        try:
            outcome: Outcome = await writer.submit(custom("build", name, "start"))
        except Unavailable:
            refused.add(name)
        else:
            acknowledged[name] = outcome.verdict

    for first in range(0, pairs, 20):
        tick = []
        for number in range(first, first + 20):
            tick.append(submit(f"good{number}"))
            tick.append(submit(f"{('refused', 'bug')[number % 2]}{number}"))
        await asyncio.gather(*tick)
    assert refused == {f"refused{n}" for n in range(0, pairs, 2)}
    bugs = {name for name, verdict in acknowledged.items() if verdict is Verdict.QUARANTINED}
    assert bugs == {f"bug{n}" for n in range(1, pairs, 2)}
    spans, _ = await rows_of(writer)
    assert {row[0].rpartition("-")[2] for row in spans} == acknowledged.keys() - bugs
    bodies = await writer.run(lambda db: db.execute("SELECT body FROM deliveries").fetchall())
    stored = {body.decode().split('"id":"')[1].split('"')[0] for (body,) in bodies}
    assert stored == acknowledged.keys(), "acknowledged = stored, neither more nor less"
    assert verify(writer.path) == []
