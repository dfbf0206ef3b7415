"""A process that ends between the commit of a delivery and its fold: nothing is lost, and nothing
is folded twice."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import orjson

from tests.benchmarks.load import post_all
from tests.ingest.inside import TOKEN as OWN_TOKEN
from tests.ingest.inside import Raw, post, receiving
from tests.ingest.server import TOKEN, serving
from tests.patience import PATIENCE
from tests.sources import github_payloads
from tests.store.conftest import LINK_ROWS, SPAN_ROWS, Clock, T
from tests.store.conftest import custom as intake
from vs_tui.cli.runtime import Runtime
from vs_tui.sources.base import Inbound
from vs_tui.sources.customhttp import SOURCE
from vs_tui.sources.dispatch import intake_of, read
from vs_tui.sources.github import issues_and_changes
from vs_tui.store.folding.projector import FoldLoop, Projector
from vs_tui.store.maintenance.retention import Pruned, count_prunable, prune_deliveries
from vs_tui.store.queries.reader import SqliteReader
from vs_tui.store.writer import Writer

EVENTS = "SELECT key, data FROM events ORDER BY key, data"
COUNTS = "SELECT verdict, n FROM counts ORDER BY verdict"
TABLES = (SPAN_ROWS, LINK_ROWS, EVENTS, COUNTS)


def body(number: int) -> bytes:
    """Every third is a pipeline, the other two are builds below it; each starts and ends once."""
    span, end = divmod(number, 2)
    pipeline, place = divmod(span, 3)
    told: dict[str, object] = {
        "type": "build" if place else "pipeline",
        "id": f"{pipeline}-{place}",
        "action": "end" if end else "start",
        "timestamp": T + number * 1_000_000,
    }
    if place:
        told["parentid"] = f"vstrace-customhttp-pipeline-default-{pipeline}-0"
    return orjson.dumps(told)


def rows(path: Path) -> list[list[tuple]]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        return [db.execute(sql).fetchall() for sql in TABLES]


def position_and_head(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        reached = db.execute("SELECT value FROM meta WHERE name = 'position'").fetchone()
        head = db.execute("SELECT MAX(id) FROM deliveries").fetchone()[0]
    return (int(reached[0]) if reached else 0), head or 0


async def undisturbed(path: Path, bodies: list[bytes]) -> list[list[tuple]]:
    """What a receiver that nothing happened to makes of the same deliveries."""
    writer = Writer(path, Clock())
    await writer.open()
    try:
        inbounds = [Inbound("/customhttp", {}, each, T) for each in bodies]
        intakes = [intake_of(SOURCE, each, read(SOURCE, each)) for each in inbounds]
        for begin in range(0, len(intakes), 500):
            await asyncio.gather(*map(writer.submit, intakes[begin : begin + 500]))
        assert await writer.caught_up(PATIENCE)
    finally:
        await writer.close()
    return rows(path)


def test_kill_9_between_append_and_fold_loses_nothing_and_folds_nothing_twice(tmp_path) -> None:
    bodies: list[bytes] = []
    gaps = 0
    with serving(tmp_path) as server:
        for number in range(12):
            if number >= 2 and gaps:
                break
            some = [body(each) for each in range(len(bodies), len(bodies) + 300)]
            sent = asyncio.run(
                post_all(server.url, "/customhttp", some, lambda _: f"Authorization: {TOKEN}\r\n")
            )
            server.kill()
            bodies += some
            assert sent.statuses == {200: len(some)}
            reached, head = position_and_head(server.db)
            assert head == len(bodies), "what was acknowledged is in the log"
            gaps += reached < head
            server.start()
        assert gaps, "no kill came between an append and its fold"
        server.spans()  # waits for the fold
        server.wait_for(
            lambda: len(set(position_and_head(server.db))) == 1, "the end of the folding"
        )
    assert rows(server.db) == asyncio.run(undisturbed(tmp_path / "calm.db", bodies))


async def test_an_image_from_between_append_and_fold_is_folded_by_the_next_start(
    tmp_path, monkeypatch
) -> None:
    """The same without chance: the fold does not begin until the image is taken."""
    begun, go_on = threading.Event(), threading.Event()
    real = Projector.fold_some

    def late(self, db, folding, limit=0):
        begun.set()
        assert go_on.wait(PATIENCE)
        return real(self, db, folding, limit)

    live, image = tmp_path / "live.db", tmp_path / "image.db"
    writer = Writer(live, Clock())
    await writer.open()
    try:
        monkeypatch.setattr(Projector, "fold_some", late)
        outcome = await writer.submit(intake("build", 1, "start"))
        assert outcome.span_refs == ["vstrace-customhttp-build-default-1"], "the parse knows it"
        await asyncio.to_thread(begun.wait, 30)
        for part in ("", "-wal"):
            shutil.copyfile(f"{live}{part}", f"{image}{part}")
        assert position_and_head(image) == (0, 1)
        reader = await SqliteReader(live, Clock()).open()
        lags = [await reader.health() for _ in range(2)]
        assert [health.behind for health in lags] == [1, 1]
        assert 0 <= lags[0].lag < lags[1].lag, "for as long as it is seen to wait"
        await reader.close()
        assert rows(image)[0] == [], "answered, and not folded"
    finally:
        go_on.set()
        await writer.close()
    monkeypatch.setattr(Projector, "fold_some", real)
    again = Writer(image, Clock())
    await again.open()
    try:
        assert await again.caught_up(PATIENCE)
    finally:
        await again.close()
    assert rows(image) == rows(live)
    assert len(rows(image)[0]) == 1


async def test_a_fault_between_fold_and_commit_undoes_both_result_and_position(
    tmp_path, monkeypatch
) -> None:
    real, failed = Projector.fold_some, []

    def once(self, db, folding, limit=0):
        folded = real(self, db, folding, limit)
        if not failed:
            failed.append(db.execute("SELECT COUNT(*) FROM spans").fetchone()[0])
            raise RuntimeError("the power is cut before COMMIT")
        return folded

    monkeypatch.setattr(Projector, "fold_some", once)
    path = tmp_path / "t.db"
    writer = Writer(path, Clock())
    await writer.open()
    try:
        await writer.submit(intake("build", 1, "start"))
        assert await writer.caught_up(PATIENCE)
    finally:
        await writer.close()
    assert failed == [1], "it had been folded once and was undone"
    spans, _, events, counts = rows(path)
    assert (len(spans), len(events), counts) == (1, 1, [("accepted", 1)])
    assert position_and_head(path) == (1, 1)


DEPLOYMENT = b'{"id":"d-1","project_id":"shop","first_commit_at":"2026-03-02T08:00:00Z"}'
DEPLOYED = post(b'{"create_if_not_exists":false}', "/deployments/d-1/deployed")


async def ask(runtime: Runtime, request: bytes) -> tuple[int, dict[str, str], object]:
    raw = await Raw.to(runtime)
    try:
        await raw.send(request)
        return await raw.answer()
    finally:
        raw.close()


async def test_a_deployment_that_is_not_folded_yet_is_not_said_to_be_missing(
    tmp_path, monkeypatch
) -> None:
    """404 would make the sender give up; it is asked to come again instead."""
    go_on = asyncio.Event()
    real = FoldLoop.fold

    async def late(self: Writer) -> None:
        await go_on.wait()
        await real(self)

    async with receiving(tmp_path) as runtime:
        status, _, answer = await ask(runtime, DEPLOYED)
        assert status == 404, answer
        assert await runtime.writer.caught_up(PATIENCE)
        monkeypatch.setattr(FoldLoop, "fold", late)
        monkeypatch.setattr(Writer.caught_up, "__defaults__", (0.01,))
        status, _, answer = await ask(runtime, post(DEPLOYMENT, "/deployments"))
        assert status == 201, answer
        status, headers, answer = await ask(runtime, DEPLOYED)
        assert status == 503, answer
        assert "retry-after" in headers
        asked, caught_up = asyncio.Event(), Writer.caught_up

        async def patiently(self: Writer, _: float = 0) -> bool:
            asked.set()
            return await caught_up(self, PATIENCE)

        monkeypatch.setattr(Writer, "caught_up", patiently)
        waiting = asyncio.create_task(ask(runtime, DEPLOYED))
        async with asyncio.timeout(PATIENCE):
            await asked.wait()
        go_on.set()
        status, _, answer = await waiting
        assert status == 200, "a request that comes just before the fold waits for it"


async def test_a_body_that_only_folding_finds_unreadable_is_quarantined_then(
    tmp_path, monkeypatch
) -> None:
    """GitHub's sender is told by an outline of the events; the whole ones are parsed from the
    log."""
    opened = orjson.dumps(github_payloads.pull("opened"))
    proof = f"Authorization: Bearer {OWN_TOKEN}"
    request = post(opened, "/github", proof, "X-GitHub-Event: pull_request")
    async with receiving(tmp_path) as runtime:
        with monkeypatch.context() as patched:
            patched.setattr(issues_and_changes, "_attributes", None)
            status, _, answer = await ask(runtime, request)
            assert await runtime.writer.caught_up(PATIENCE)
        assert (status, answer["verdict"]) == (200, "accepted")
        (ref,) = answer["spans"]
        assert await runtime.reader.span(ref) is None
        counts = await runtime.writer.run(lambda db: db.execute(COUNTS).fetchall())
        assert counts == [("accepted", 0), ("quarantined", 1)]


async def test_pruning_leaves_an_old_delivery_that_is_not_folded_yet(tmp_path, monkeypatch) -> None:
    """No span tells of it, which is also how a delivery looks that is over."""
    go_on = asyncio.Event()
    real = FoldLoop.fold

    async def late(self: Writer) -> None:
        await go_on.wait()
        await real(self)

    monkeypatch.setattr(FoldLoop, "fold", late)
    path = tmp_path / "t.db"
    writer = Writer(path, Clock())
    await writer.open()
    try:
        await writer.submit(intake("build", 1, "start"))
        assert await writer._run(lambda db: count_prunable(db, T + 1)) == Pruned()
        pruned, _ = await writer._transaction(lambda db, _: prune_deliveries(db, T + 1, None))
        assert pruned == Pruned()
        go_on.set()
        assert await writer.caught_up(PATIENCE)
    finally:
        go_on.set()
        await writer.close()
    assert position_and_head(path) == (1, 1)
    assert len(rows(path)[0]) == 1


async def test_a_scrape_does_not_hurry_folding(tmp_path, monkeypatch) -> None:
    """It shows how far folding is behind; other answers wait until it has caught up."""
    waited: list[str] = []

    async def caught_up(_: Writer, seconds: float = 0) -> bool:
        waited.append(f"for {seconds}")
        return False

    async with receiving(tmp_path) as runtime:
        monkeypatch.setattr(Writer, "caught_up", caught_up)
        asked = {
            path: await ask(runtime, post(b"", path).replace(b"POST", b"GET", 1))
            for path in ("/metrics", "/api/teams")
        }
        monkeypatch.undo()
    assert [status for status, _, _ in asked.values()] == [200, 200]
    assert b"vs_projection_behind 0" in asked["/metrics"][2]
    assert waited == ["for 0"], "the teams"
