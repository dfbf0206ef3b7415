"""The dashboard's reader over HTTP, on a real receiver: the same answers as beside it, told of
changes by the stream, stale and back again when the receiver is killed and restarted."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.ingest.server import TOKEN, Server
from tests.patience import PATIENCE
from vs_tui.api.remote import Remote, _message, parse_address
from vs_tui.api.remote_reader import HttpReader
from vs_tui.model.vocabulary import Status, Verdict
from vs_tui.store.queries.reader import SqliteReader
from vs_tui.store.queries.reader_protocol import Unreachable
from vs_tui.traces.steps import PastStep


def send(server: Server, ident: str, action: str = "start", **more: object) -> str:
    body = {"type": "build", "id": ident, "action": action, **more}
    status, answer = server.call("/customhttp", body)
    assert status == 200, answer
    return answer["spans"][0]


@asynccontextmanager
async def reading(url: str, token: str = TOKEN) -> AsyncIterator[HttpReader]:
    reader = await HttpReader(url, token).open()
    try:
        yield reader
    finally:
        await reader.close()


async def until(condition: Callable[[], object], what: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)
    assert condition(), what


async def test_it_answers_as_the_reader_beside_the_receiver(server: Server) -> None:
    parent = send(server, "p-1", name="parent", namespace="acme")
    for name in ("c-1", "c-2"):
        send(server, name, parent_event_id=parent, tags={"k|": "väl/ue"})
    send(server, "c-1", "end", error=True)
    server.call("/github", b"{}", {"X-GitHub-Event": "ping"}, token="wrong")
    server.wait_for(
        lambda: server.call("/api/deliveries?filter=verdict:rejected")[1]["items"], "the refusal"
    )
    clock = time.time_ns() // 1_000
    local = await SqliteReader(server.db, lambda: clock).open()
    try:
        async with reading(server.url) as remote:
            for sort in ("live", "-started", "name"):
                ours = await local.spans(sort=sort)
                theirs = await remote.spans(sort=sort)
                assert [s.key for s in theirs.items] == [s.key for s in ours.items]
                assert [s.attributes for s in theirs.items] == [s.attributes for s in ours.items]
            assert await remote.counts("kind:build") == await local.counts("kind:build")
            span = await remote.span(parent)
            assert span is not None and span.status is Status.IN_FLIGHT
            assert await remote.span("no such span") is None
            mine, other = await local.trace(span.trace_id), await remote.trace(span.trace_id)
            assert mine is not None and other is not None
            assert [(s.key, s.parent_key) for s in other.spans] == [
                (s.key, s.parent_key) for s in mine.spans
            ]
            assert set(other.links) == set(mine.links)
            assert await remote.trace("none") is None
            assert await remote.traces() == await local.traces()
            assert await remote.deliveries() == await local.deliveries()
            assert (await remote.deliveries("verdict:rejected")).items != []
            for row in (await local.deliveries()).items:
                ours, theirs = await local.delivery(row.id), await remote.delivery(row.id)
                assert ours is not None and theirs is not None
                assert (theirs.body, theirs.headers, theirs.span_refs) == (
                    ours.body, ours.headers, list(ours.span_refs),
                )  # fmt: skip
            assert await remote.delivery(999_999) is None
            assert await remote.sources() == await local.sources()
            assert list(await remote.teams()) == list(await local.teams())
            spans = (await local.spans()).items
            for at in (None, spans[0].at):
                theirs = await remote.baselines(spans, at=at)
                assert theirs == await local.baselines(spans, at=at)
            health = await remote.health()
            assert health.ready and health.path == server.url
            assert abs(health.clock_ahead) < 5_000_000
            assert isinstance(await remote.cards("", 0), list)
            with pytest.raises(ValueError, match="nonsense"):
                await remote.spans("nonsense:1")
    finally:
        await local.close()


async def test_only_traces_with_a_change_are_read_again(server: Server, monkeypatch) -> None:
    for name in ("a", "b", "c"):
        send(server, name, name=name)
    asked: list[str] = []

    async def rows(remote: HttpReader, filter: str = "") -> list[str]:
        """Names and sections in order; `asked` gets what was sent for them."""
        asked.clear()
        return [f"{r.title} {r.section.value}" for r in (await remote.board(filter)).rows]

    async with reading(server.url) as remote:
        fetch = remote.remote.fetch

        async def fetched(path: str, query: Mapping[str, object]) -> object:
            body = await fetch(path, query)
            asked.extend(item["next"]["title"] for item in body["items"])
            return body

        monkeypatch.setattr(remote.remote, "fetch", fetched)
        assert await rows(remote) == ["a running", "b running", "c running"]
        assert asked == ["a", "b", "c"]
        send(server, "b", "end")
        assert await rows(remote) == ["a running", "c running", "b finished"]
        send(server, "d", name="d")
        assert await rows(remote) == ["a running", "c running", "d running", "b finished"]
        assert len(asked) <= 2 and "d" in asked  # one row is always judged again
        send(server, "a", "end")
        assert await rows(remote) == ["c running", "d running", "a finished", "b finished"]
        assert len(asked) <= 2 and "a" in asked
        # A filter has a list of its own; the first list is still known after it.
        assert await rows(remote, "name:c") == ["c running"]
        assert asked == ["c"]
        send(server, "c", "end")
        assert await rows(remote, "name:c") == ["c finished"]
        found = await rows(remote)
        assert found == ["d running", "c finished", "a finished", "b finished"]
        # Counts are of all rows, and a row is the same object until it is judged again.
        board, again = await remote.board(), await remote.board()
        known = {id(row) for row in board.rows}
        assert len([row for row in again.rows if id(row) in known]) >= 3
        assert board.everything.sections == again.everything.sections
        assert board.everything.sections["finished"] == 3


async def test_a_row_that_only_the_receiver_knows_makes_a_whole_reading(
    server: Server,
) -> None:
    for name in ("a", "b"):
        send(server, name, name=name)
    async with reading(server.url) as remote:
        first = await remote.board()
        send(server, "b", "end")
        await remote.board()
        send(server, "c", name="c")
        # As after a filter such as age>1m, which a row meets without a change.
        [(name, kept)] = remote._boards.items()
        remote._boards[name] = dataclasses.replace(kept, rows=kept.rows[1:])
        assert first.rows[0].title == "a"
        assert [row.title for row in (await remote.board()).rows] == ["a", "c", "b"]


async def test_a_version_of_another_receiver_is_unknown(server: Server) -> None:
    send(server, "a", name="a")
    for version in ("0123456789abcdef.7", "7", "nonsense", "."):
        answer = server.call(f"/api/board?since={version}")[1]
        assert len(answer["items"]) == 1 and answer["unchanged"] == {}
    version = answer["version"]
    send(server, "b", name="b")
    server.call("/api/board")
    answer = server.call(f"/api/board?since={version.partition('.')[0]}.99")[1]
    assert [item["next"]["title"] for item in answer["items"]] == []
    at = server.call(f"/api/board?since={version}&at=2026-01-01T00:00:00Z")[1]
    assert (at["items"], at["version"]) == ([], None)


async def test_what_earlier_runs_went_through_comes_with_its_moment(server: Server) -> None:
    for number in range(3):
        run = send(server, f"run-{number}", name="nightly", timestamp=1_000 * (number + 1))
        step = {"name": "compile", "parentid": run}
        send(server, f"step-{number}", timestamp=1_000 * (number + 1) + 10, **step)
        send(server, f"step-{number}", "end", timestamp=1_000 * (number + 1) + 40, **step)
        send(server, f"run-{number}", "end", timestamp=1_000 * (number + 1) + 50)
    now = send(server, "run-now", name="nightly")
    local = await SqliteReader(server.db, lambda: time.time_ns() // 1_000).open()
    try:
        async with reading(server.url) as remote:
            span = await remote.span(now)
            assert span is not None
            step = PastStep("build", "compile", 10_000_000, 30_000_000)
            assert await remote.past_runs([span]) == {span.key: [(step,)] * 3}
            for moment in (None, 2_060_000_000):
                ours = await local.past_runs([span], at=moment)
                assert await remote.past_runs([span], at=moment) == ours
            assert len(ours[span.key]) == 2
    finally:
        await local.close()


async def test_a_binary_body_comes_through(server: Server) -> None:
    server.call("/plyzen", b'{"x":\xff\xfe}')
    async with reading(server.url) as remote:
        # Refused requests are written down a little later than they are answered.
        async with asyncio.timeout(PATIENCE):
            while not (rows := (await remote.deliveries()).items):
                await asyncio.sleep(0.01)
        row = rows[0]
        detail = await remote.delivery(row.id)
        assert row.verdict is Verdict.REJECTED
        assert detail is not None and detail.body == b'{"x":\xff\xfe}'


async def test_changes_come_by_the_stream_without_polling(server: Server) -> None:
    send(server, "s-0")
    async with reading(server.url) as reader:
        first = await reader.changes(0)
        assert first.truncated and first.seq > 0
        woken = asyncio.Event()
        reader.remote.on_change(woken.set)
        key = send(server, "s-1")
        await until(lambda: reader.remote.changes(first.seq).keys == [key], "the change")
        assert woken.is_set()
        later = await reader.changes(first.seq)
        assert later.seq > first.seq and not later.truncated
        assert (await reader.changes(later.seq)).keys == []


async def test_it_says_when_it_is_stale_and_comes_back_by_itself(
    process: Server, monkeypatch
) -> None:
    server = process
    monkeypatch.setattr("vs_tui.api.remote.GRACE_SECONDS", 0.0)
    send(server, "before")
    async with reading(server.url) as reader:
        await until(lambda: not reader.remote.stale, "the stream")
        seq = (await reader.changes(0)).seq
        shown = await reader.spans()
        server.kill()
        await until(lambda: reader.remote.stale, "the loss")
        with pytest.raises(Unreachable, match=r"stale: no word from .* it tries again by itself"):
            await reader.changes(seq)
        assert TOKEN not in reader.remote.stale
        assert (await reader.spans()) == shown, "what was read is still there"
        with pytest.raises(Unreachable, match="is the receiver up"):
            await reader.spans("never asked before")
        server.options = ("--port", server.url.rpartition(":")[2])
        server.start()
        key = send(server, "after")
        await until(lambda: not reader.remote.stale, "the return")
        await until(lambda: key in reader.remote.changes(seq).keys, "what happened meanwhile")
        assert next(s.ref for s in (await reader.spans()).items) == key


@asynccontextmanager
async def impostor(handler) -> AsyncIterator[str]:
    """Another server at the address."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def refusal(url: str, token: str = TOKEN) -> str:
    with pytest.raises(Unreachable) as caught:
        await HttpReader(url, token).open()
    assert TOKEN not in str(caught.value)
    return str(caught.value)


async def test_a_wrong_start_is_said_at_once(shared: Server) -> None:
    assert "refuses the token; set VS_TOKEN" in await refusal(shared.url, "wrong")
    assert "is the receiver up" in await refusal("http://127.0.0.1:1")

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>Welcome</html>", content_type="text/html")

    async def elsewhere(request: web.Request) -> web.Response:
        assert "Authorization" in request.headers
        raise web.HTTPFound("https://login.example/?next=x")

    async def nothing(_: web.Request) -> web.Response:
        raise web.HTTPNotFound

    async def broken(_: web.Request) -> web.Response:
        return web.json_response({"error": "x", "detail": "the disk is full"}, status=503)

    for handler, words in (
        (page, "is no vs-tui receiver"),
        (elsewhere, "redirects to https://login.example; use that address"),
        (nothing, "is it an older vs-tui"),
        (broken, "the disk is full"),
    ):
        async with impostor(handler) as url:
            assert words in await refusal(url)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://jump:5000", ("http://jump:5000", "")),
        ("http://jump:5000/", ("http://jump:5000", "")),
        ("https://:s%2Fcret@jump/vs/", ("https://jump/vs", "s/cret")),
        ("http://tok@jump:5000", ("http://jump:5000", "tok")),
        ("http://jump:5000/?token=abc", ("http://jump:5000", "abc")),
    ],
)
def test_addresses(text, expected) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["jump:5000", "ssh://jump", "http://", ""])
def test_what_is_no_address(text) -> None:
    with pytest.raises(ValueError, match="http://HOST:PORT"):
        parse_address(text)


def remote() -> Remote:
    return Remote("http://jump:5000", "")


def test_more_changes_than_are_kept_ask_for_a_whole_reading(monkeypatch) -> None:
    monkeypatch.setattr("vs_tui.api.remote.MAX_KEYS", 3)
    line = remote()
    for seq in range(1, 6):
        line._note(seq, [f"k{seq}"])
    assert line.changes(1).truncated
    assert line.changes(2).keys == ["k3", "k4", "k5"]
    line._note(6, None)
    assert line.changes(5).truncated
    assert not line.changes(6).truncated


def test_another_database_at_the_address_is_read_anew() -> None:
    line = remote()
    line._note(50, ["a"])
    line._note(3, ["b"])
    changes = line.changes(50)
    assert changes.seq == 3
    assert line.changes(2).truncated


def test_messages_of_the_stream() -> None:
    assert _message(b": quiet") == (None, None)
    assert _message(b'id: 4\nevent: change\ndata: {"seq":4,"keys":["a"]}') == (4, ["a"])
    full = {"seq": 5, "truncated": False, "spans": [{"key": "b"}]}
    assert _message(b"data: " + json.dumps(full).encode()) == (5, ["b"])
    assert _message(b'data: {"seq":6,"truncated":true,"keys":[]}') == (6, None)
