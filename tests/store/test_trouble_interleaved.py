"""Deliveries that fail beside others that do not, on the same tick of the loop: what was
acknowledged is exactly what is stored. A shared connection with a commit and a rollback for each
handler would undo the good ones and keep the bad."""

from __future__ import annotations

import asyncio

import pytest

from tests.store.conftest import custom, rows_of
from vs_tui.log import sqlite_log
from vs_tui.log.append_queue import Unavailable
from vs_tui.log.delivery import Receipt
from vs_tui.model.vocabulary import Verdict
from vs_tui.store.folding import transaction
from vs_tui.store.maintenance.backup import verify


@pytest.mark.parametrize("pairs", [60, pytest.param(1_000, marks=pytest.mark.full)])
async def test_pairs_of_a_good_and_a_failing_delivery(open_writer, monkeypatch, pairs) -> None:
    """One in four fails so that not even quarantine can hold it, one in four in its folding."""
    writer = await open_writer()
    real_append, real_fold = sqlite_log.append, transaction.fold_and_link

    def append(connection, intakes, *rest):
        done = real_append(connection, intakes, *rest)  # it fails after its rows were written
        if any(b'"refused' in intake.body for intake in intakes):
            raise OverflowError("too large for SQLite")
        return done

    def fold(connection, events, folding, **more):
        done = real_fold(connection, events, folding, **more)
        if any("-bug" in event.key for event in events):
            raise KeyError("a bug in folding")
        return done

    monkeypatch.setattr(sqlite_log, "append", append)
    monkeypatch.setattr(transaction, "fold_and_link", fold)
    acknowledged: dict[str, Verdict] = {}
    refused: set[str] = set()

    async def submit(name: str) -> None:
        try:
            outcome: Receipt = await writer.submit(custom("build", name, "start"))
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
    bugs = {f"bug{n}" for n in range(1, pairs, 2)}
    assert set(acknowledged.values()) == {Verdict.ACCEPTED} and bugs < acknowledged.keys()
    spans, _ = await rows_of(writer)
    assert {row[0].rpartition("-")[2] for row in spans} == acknowledged.keys() - bugs
    sql = "SELECT body FROM deliveries WHERE verdict = 'quarantined'"
    odd = await writer.run(lambda db: db.execute(sql).fetchall())
    assert len(odd) == len(bugs) and all(b'"bug' in body for (body,) in odd)
    bodies = await writer.run(lambda db: db.execute("SELECT body FROM deliveries").fetchall())
    stored = {body.decode().split('"id":"')[1].split('"')[0] for (body,) in bodies}
    assert stored == acknowledged.keys(), "acknowledged = stored, neither more nor less"
    assert verify(writer.path) == []
