"""Connections that send half a head or half a body: others are served, all are cut, and every file
descriptor comes back."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ingest.inside import START, post
from tests.ingest.server import TOKEN, Server, serving
from tests.ingest.test_nothing_lost import FULL
from tests.patience import PATIENCE, Stopwatch

HEAD = b"POST /github HTTP/1.1\r\nHost: x\r\nX-Slow: "
SIGNED = "X-Hub-Signature-256: sha256=" + "0" * 64
BODY = post(START[:9], "/github", SIGNED, length=len(START))


@pytest.fixture
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4_096, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def files(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


async def is_cut(reader: asyncio.StreamReader) -> float:
    """When the server hung up."""
    try:
        while await reader.read(65_536):
            pass
    except ConnectionError:
        pass
    return time.monotonic()


@pytest.mark.parametrize(
    ("each", "limits", "seconds"),
    [
        (100, "[limits]\nread_seconds = 4\nidle_seconds = 4\n", 14),
        pytest.param(500, "", 20, marks=FULL),
    ],
)
async def test_half_heads_and_half_bodies(tmp_path, many_files, each, limits, seconds) -> None:
    (tmp_path / "config.toml").write_text(limits)
    with serving(tmp_path) as server:
        number = 0

        def real() -> float:
            nonlocal number
            number += 1
            watch = Stopwatch(server.process.pid)
            if number % 2:
                body = {"type": "build", "id": str(number), "action": "start"}
                assert server.call("/customhttp", body)[0] == 200
            else:  # the same source that the slow ones hold up
                ping = server.call("/github", {"hook_id": number}, {"X-GitHub-Event": "ping"})
                assert ping[0] == 200
            return watch.seconds

        await asyncio.to_thread(real)
        base = files(server)
        host, port = server.url.removeprefix("http://").split(":")
        cuts, writers = [], []
        began = time.monotonic()
        for n in range(2 * each):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(HEAD if n % 2 else BODY)
            writers.append(writer)
            cuts.append(asyncio.create_task(is_cut(reader)))
        opened = time.monotonic()
        held = "all held at once"  # the kernel accepts them before the receiver does
        await asyncio.to_thread(server.wait_for, lambda: files(server) >= base + each, held)
        took = []
        while not all(cut.done() for cut in cuts):
            took.append(await asyncio.to_thread(real))
            await asyncio.wait(cuts, timeout=0.2)
            assert time.monotonic() - opened < seconds + PATIENCE, "all are cut"
        last = max(cut.result() for cut in cuts)
        for writer in writers:
            writer.close()
        await asyncio.to_thread(
            server.wait_for, lambda: files(server) <= base + 1, "descriptors coming back"
        )
    print(
        f"{2 * each} slow connections: real events in at most {max(took):.3f} s, the last one cut "
        f"{last - opened:.1f} s after it was opened ({opened - began:.1f} s to open all)"
    )
    # One of the many may meet a busy moment of the machine that the tests share.
    assert sorted(took)[-2] < 1
    assert max(took) < 4
    assert last - opened < seconds


async def test_a_stop_finishes_a_body_that_comes_and_tells_the_sender_of_one_that_does_not(
    tmp_path,
) -> None:
    """GitHub sends nothing again by itself: what is on its way has a moment to arrive."""
    with serving(tmp_path) as server:
        host, port = server.url.removeprefix("http://").split(":")
        halves = []
        for _ in range(2):
            reader, writer = await asyncio.open_connection(host, int(port))
            # Asked for the body: from then on the request is being handled.
            head = (f"Authorization: Bearer {TOKEN}", "Expect: 100-continue")
            writer.write(post(b"", "/customhttp", *head, length=len(START)))
            assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
            writer.write(START[:9])
            halves.append((reader, writer))
        stopped = asyncio.create_task(asyncio.to_thread(server.stop))
        await asyncio.to_thread(server.wait_for, lambda: refuses(host, int(port)), "no new ones")
        halves[0][1].write(START[9:])
        assert (await halves[0][0].read()).startswith(b"HTTP/1.1 200 ")
        told = await halves[1][0].read()
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: " in told
        assert await stopped == 0
        for _, writer in halves:
            writer.close()


def refuses(host: str, port: int) -> bool:
    """Whether nobody listens any more."""
    try:
        socket.create_connection((host, port)).close()
    except OSError:
        return True
    return False
