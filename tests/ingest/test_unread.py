"""Peers that do not read what they are answered: they hold neither memory nor descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket

import orjson
from aiohttp import web

from tests.ingest.inside import TOKEN, Raw, post, receiving
from tests.patience import PATIENCE
from vs_tui.api import guard
from vs_tui.cli.runtime import Runtime
from vs_tui.model.limits import MIB, Limits

PROOF = f"Authorization: Bearer {TOKEN}"
ASKED = f"GET /api/deliveries/1 HTTP/1.1\r\nHost: x\r\n{PROOF}\r\n\r\n".encode()
NOTE = "x" * (8 * MIB)
"""More than the system keeps for a peer that does not read."""
CUT = Limits(idle_seconds=1.0)


async def deaf(runtime: Runtime) -> socket.socket:
    """A connection that takes little before it reads."""
    host, port = runtime.url.removeprefix("http://").split(":")
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(peer, (host, int(port)))
    return peer


async def everything(peer: socket.socket) -> int:
    """Bytes until the connection ends."""
    total = 0
    try:
        while found := await asyncio.get_running_loop().sock_recv(peer, MIB):
            total += len(found)
    except ConnectionError:
        pass
    return total


async def deliver(runtime: Runtime) -> None:
    body = {"type": "build", "id": "1", "action": "start", "tags": {"note": NOTE}}
    sender = await Raw.to(runtime)
    await sender.send(post(orjson.dumps(body), "/customhttp", PROOF))
    assert (await sender.answer())[0] == 200
    sender.writer.close()


async def test_who_reads_no_large_answer_is_cut_off_and_those_who_wait_are_answered(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(guard, "UNSENT", 2)
    async with receiving(tmp_path, CUT) as runtime, asyncio.timeout(PATIENCE):
        await deliver(runtime)
        peers = [await deaf(runtime) for _ in range(2)]
        for peer in peers:
            await asyncio.get_running_loop().sock_sendall(peer, ASKED)
        while runtime.receiver.connections.busy < 2:
            await asyncio.sleep(0)
        honest = await Raw.to(runtime)
        await honest.send(ASKED)
        status, _, found = await honest.answer()
        assert (status, NOTE in str(found["body"])) == (200, True)
        while len(runtime.receiver.connections) > 1:
            await asyncio.sleep(0)
        assert [await everything(peer) < len(NOTE) for peer in peers] == [True, True]


async def test_a_connection_does_not_keep_the_large_answer_that_was_read(tmp_path) -> None:
    async with receiving(tmp_path) as runtime:
        await deliver(runtime)
        reader = await Raw.to(runtime)
        await reader.send(ASKED)
        assert (await reader.answer())[0] == 200
        answers = [each for each in gc.get_objects() if isinstance(each, web.Response)]
        assert [
            each for each in answers if isinstance(each.body, bytes) and len(each.body) > MIB
        ] == []


async def test_a_stranger_who_reads_no_refusal_is_cut_off(tmp_path) -> None:
    async with receiving(tmp_path, CUT) as runtime, asyncio.timeout(PATIENCE):
        peer = await deaf(runtime)
        connections, unsent = runtime.receiver.connections, b""
        while not any(
            each._unread._transport.get_write_buffer_size() for each in connections._open
        ):
            unsent = unsent or post(b"{}", "/customhttp", "X-No: proof")
            with contextlib.suppress(BlockingIOError):
                unsent = unsent[peer.send(unsent) :]
            await asyncio.sleep(0)
        while connections:
            await asyncio.sleep(0)
        peer.close()
