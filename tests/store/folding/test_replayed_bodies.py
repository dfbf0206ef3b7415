"""A body that comes again under a new delivery id is flagged, and folded once."""

from __future__ import annotations

import os

import pytest

from tests.store.conftest import custom, rebuilt, rows_of
from tests.store.ingesting import ingest
from vs_tui.log import delivery
from vs_tui.log.delivery import SameBodies, flagged, with_flag_of
from vs_tui.model.time import DAY
from vs_tui.model.vocabulary import Verdict


def sent(identifier: str, *, number: int = 1, path: str = "/customhttp"):
    return custom("build", number, "start")._replace(dedupe=f"id:{identifier}", path=path)


async def reasons(writer) -> list[str]:
    sql = "SELECT reason FROM deliveries ORDER BY id"
    return await writer.run(lambda db: [reason for (reason,) in db.execute(sql)])


async def test_a_body_under_a_new_id_is_flagged_and_folded_once(open_writer) -> None:
    writer = await open_writer()
    first = await writer.submit(sent("a"))
    before = await rows_of(writer)
    again = await writer.submit(sent("b"))
    third = await writer.submit(sent("c"))
    assert (first.verdict, first.reason) == (Verdict.ACCEPTED, "")
    for outcome in (again, third):
        assert outcome.verdict is Verdict.ACCEPTED, "a tool may say a thing twice"
        assert outcome.reason == f"same body as delivery {first.delivery_id}"
        assert outcome.span_refs == first.span_refs
    assert await rows_of(writer) == before
    assert await reasons(writer) == ["", again.reason, again.reason]


async def test_within_one_batch_and_after_a_start(open_writer) -> None:
    writer = await open_writer(name="again.db")
    outcomes = await writer.transaction(
        lambda db, folding: same_batch(db, folding, [sent("a"), sent("b")])
    )
    assert [outcome.reason for outcome in outcomes] == ["", "same body as delivery 1"]
    await writer.close()
    writer = await open_writer(name="again.db")
    assert (await writer.submit(sent("c"))).reason == "same body as delivery 1"


def same_batch(db, folding, intakes):
    return ingest(db, intakes, folding).receipts


@pytest.mark.parametrize("other", [sent("b", number=2), sent("b", path="/elsewhere")])
async def test_another_body_or_path_is_not(open_writer, other) -> None:
    writer = await open_writer()
    await writer.submit(sent("a"))
    assert (await writer.submit(other)).reason == ""


async def test_a_repeat_under_the_same_id_is_a_duplicate(open_writer) -> None:
    writer = await open_writer()
    await writer.submit(sent("a"))
    again = await writer.submit(sent("a"))
    assert (again.verdict, again.reason) == (Verdict.DUPLICATE, "the same as delivery 1")


async def test_what_was_undone_is_not_remembered(open_writer) -> None:
    writer = await open_writer()

    def fail(db, folding) -> None:
        same_batch(db, folding, [sent("a")])
        raise ValueError("on the way to the commit")

    with pytest.raises(ValueError, match="on the way"):
        await writer.transaction(fail)
    assert (await writer.submit(sent("b"))).reason == ""


async def test_a_rebuild_keeps_the_flag(open_writer) -> None:
    writer = await open_writer()
    for identifier in "abc":
        await writer.submit(sent(identifier))
    odd = sent("d")._replace(verdict=Verdict.QUARANTINED, reason="odd", events=())
    await writer.submit(odd)
    before = await reasons(writer)
    assert before[3] == "odd; same body as delivery 1"
    await rebuilt(writer)
    assert await reasons(writer) == [*before[:3], "same body as delivery 1"]


def test_flags_are_added_once() -> None:
    assert flagged("connected", 3) == "connected; same body as delivery 3"
    assert with_flag_of("connected", "odd; same body as delivery 3") == flagged("connected", 3)
    assert with_flag_of("", "same body as delivery 3") == "same body as delivery 3"
    assert with_flag_of("connected", "connected") == "connected"


def test_memory_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(delivery, "REMEMBERED", 100)
    bodies = SameBodies()
    digests = [os.urandom(32) for _ in range(1_000)]
    for number, digest in enumerate(digests, start=1):
        assert bodies.first("/x", digest, number) == 0
        bodies.keep()
    assert bodies.first("/x", digests[-100], 2_000) == 901
    assert bodies.first("/x", digests[-101], 2_000) == 0


@pytest.mark.parametrize("name", ["sha:of the body", "run:of the span"])
async def test_a_body_without_an_id_repeats_another_within_a_day_only(open_writer, name) -> None:
    """A nightly job may say the same every night."""
    first = custom("build", 1, "start")._replace(dedupe=name)
    for later, verdict in ((DAY, Verdict.DUPLICATE), (DAY + 1, Verdict.ACCEPTED)):
        writer = await open_writer()
        assert (await writer.submit(first)).verdict is Verdict.ACCEPTED
        again = first._replace(received_at=first.received_at + later)
        assert (await writer.submit(again)).verdict is verdict
