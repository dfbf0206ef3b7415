"""Large and odd JSON: each body is refused or stored, and the loop is never held for long.

How long is measured as the processor time that the loop's thread spends between two turns: other
programs on the machine do not count, reading a body on the loop does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import pickle
import socket
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace

import orjson
import pytest

from tests.ingest.bodies import honest
from tests.ingest.inside import START, TOKEN, post, receiving
from vs_tui.cli.runtime import Runtime
from vs_tui.ingest import bodies
from vs_tui.model.limits import MIB, READ_AT_MOST, Limits, values_in
from vs_tui.sources.base import Inbound
from vs_tui.sources.dispatch import read, sources

BEGIN = b'{"type":"build","id":"1","action":"start","x":'
MOST_SECONDS = 0.2


def _keys(count: int) -> bytes:
    return b",".join(b'"k%d":%d' % (n, n) for n in range(count))


CORPUS: dict[str, Callable[[], bytes]] = {
    "a string of 24 MiB": lambda: BEGIN + b'"' + b"a" * (24 * MIB) + b'"}',
    "10^6 keys": lambda: BEGIN + b"{" + _keys(10**6) + b"}}",
    "8 million lists": lambda: BEGIN + b"[" + b"[]," * (8 * MIB) + b"[]]}",
    "depth 1,000": lambda: BEGIN + b"[" * 1_000 + b"]" * 1_000 + b"}",
}
MORE: dict[str, Callable[[], bytes]] = {
    "24 MiB of umlauts": lambda: BEGIN + b'"' + "ü".encode() * (12 * MIB) + b'"}',
    "24 MiB of escapes": lambda: BEGIN + b'"' + b"\\u00e9" * (4 * MIB) + b'"}',
    "12 million numbers": lambda: BEGIN + b"[" + b"0," * (12 * MIB) + b"0]}",
    "never closed": lambda: b"[" * (24 * MIB),
    "10^6 fields": lambda: b'{"type":"build","id":"1","action":"start",' + _keys(10**6) + b"}",
    "quotes": lambda: b'"' * (24 * MIB),
    "backslashes": lambda: BEGIN + b'"' + b"\\" * (24 * MIB) + b'"}',
    "a BOM": lambda: b"\xef\xbb\xbf" + START,
    "UTF-16": lambda: START.decode().encode("utf-16"),
    "NaN": lambda: BEGIN + b"NaN}",
    "5,000 digits": lambda: BEGIN + b"9" * 5_000 + b"}",
    "a lone surrogate": lambda: BEGIN + b'"\\ud800"}',
    "the same key twice": lambda: b'{"type":"a","type":"build","id":"1","action":"start"}',
    "a NUL": lambda: BEGIN + b'"a\\u0000b"}',
    "2**64": lambda: BEGIN + b"18446744073709551616}",
    "100,000 brackets": lambda: b"[" * 100_000,
}


@contextlib.asynccontextmanager
async def held() -> AsyncIterator[SimpleNamespace]:
    """Its `seconds` is the longest that the loop's thread was at work without a turn of others;
    what the tests before have left is not searched for garbage."""
    gc.freeze()
    longest = SimpleNamespace(seconds=0.0)

    async def watch() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.001)
            longest.seconds = max(longest.seconds, time.thread_time() - before)

    watching = asyncio.create_task(watch())
    try:
        yield longest
    finally:
        watching.cancel()


async def sent(runtime: Runtime, raw: bytes) -> tuple[int, dict]:
    """Status and decoded answer; the client works in a thread."""
    host, port = runtime.url.removeprefix("http://").split(":")

    def talk() -> bytes:
        with socket.create_connection((host, int(port)), 60) as connection:
            connection.sendall(raw)
            got = b""
            while b"\r\n\r\n" not in got or not got.endswith(b"}"):
                piece = connection.recv(65_536)
                if not piece:
                    break
                got += piece
            return got

    head, _, body = (await asyncio.to_thread(talk)).partition(b"\r\n\r\n")
    return int(head.split()[1]), orjson.loads(body)


async def judged(runtime: Runtime, source: str, names: dict[str, Callable[[], bytes]]) -> None:
    path, headers, _ = honest(source)[0]
    lines = [f"{n}: {v}" for n, v in headers.items() if n.lower() != "content-type"]
    for name, make in names.items():
        raw = post(make(), path, f"Authorization: Bearer {TOKEN}", *lines)
        async with held() as longest:
            status, answer = await sent(runtime, raw)
        assert status in (200, 201, 400, 404, 413), (name, status, answer)
        assert answer.get("verdict") or answer.get("detail"), (name, answer)
        assert longest.seconds < MOST_SECONDS, (name, longest.seconds)


async def test_no_body_holds_the_loop(tmp_path) -> None:
    async with receiving(tmp_path) as runtime:
        await judged(runtime, "customhttp", CORPUS)
        status, answer = await sent(runtime, post())
        assert (status, answer["verdict"]) == (200, "accepted"), "an honest one afterwards"


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("source", sorted(sources()))
async def test_no_body_of_any_source_holds_the_loop(tmp_path, source) -> None:
    async with receiving(tmp_path, Limits(rate=0)) as runtime:
        await judged(runtime, source, {**CORPUS, **MORE})


@pytest.mark.parametrize("source", sorted(set(sources()) - {"user"}))
def test_what_every_source_reads_comes_back_whole(source) -> None:
    for path, headers, body in honest(source):
        lower = {name.lower(): value for name, value in headers.items()}
        parsed = read(sources()[source], Inbound(path, lower, orjson.dumps(body), 1))
        assert pickle.loads(pickle.dumps(parsed)) == parsed


async def test_what_is_read_apart_is_stored_or_refused_as_ever(tmp_path) -> None:
    long = b'{"pad":"' + b"a" * bodies.SIZE_AT_ONCE + b'",'
    async with receiving(tmp_path) as runtime:
        status, answer = await sent(runtime, post(long + START[1:]))
        assert (status, answer["verdict"]) == (200, "accepted")
        status, answer = await sent(runtime, post(long + b'"type":"build"}'))
        assert (status, answer["error"]) == (400, "bad_request"), "its refusal comes back as well"
        (name,) = await runtime.writer.run(
            lambda db: db.execute("SELECT attributes FROM spans").fetchone()
        )
        assert orjson.loads(name)["pad"] == "a" * 2_000


async def test_what_cannot_be_read_in_time_is_kept_and_says_so(tmp_path, monkeypatch) -> None:
    large = post(BEGIN + b'"' + b"a" * bodies.SIZE_AT_ONCE + b'"}')
    async with receiving(tmp_path) as runtime:
        monkeypatch.setattr(bodies, "_PROGRAM", "import time; time.sleep(60)")
        monkeypatch.setattr(bodies, "SECONDS", 0.5)
        status, answer = await sent(runtime, large)
        assert (status, answer["verdict"]) == (200, "quarantined")
        assert "within 0.5 seconds" in answer["reason"]
        monkeypatch.setattr(bodies, "_PROGRAM", "import os; os.abort()")
        monkeypatch.setattr(bodies, "SECONDS", 20)
        status, answer = await sent(runtime, large.replace(b'"1"', b'"2"'))
        assert (status, answer["verdict"]) == (200, "quarantined")
        assert "memory" in answer["reason"]
        monkeypatch.setattr(bodies.sys, "executable", str(tmp_path / "none"))
        status, answer = await sent(runtime, large.replace(b'"1"', b'"3"'))
        assert (status, answer["error"]) == (503, "unavailable")


async def test_a_decision_about_links_is_small_and_flat(tmp_path) -> None:
    """Such a body is completed before it is stored, on the loop."""
    async with receiving(tmp_path) as runtime:
        await sent(runtime, post())
        child = b'{"action":"clear","child":"vstrace-customhttp-build-default-1","x":'
        status, answer = await sent(runtime, post(child + b"1}", "/api/links"))
        assert (status, answer["verdict"]) == (200, "accepted")
        deep = child + b"[" * 1_000 + b"]" * 1_000 + b"}"
        status, answer = await sent(runtime, post(deep, "/api/links"))
        assert (status, answer["error"]) == (400, "bad_request")
        long = child + b'"' + b"a" * bodies.SIZE_AT_ONCE + b'"}'
        assert (await sent(runtime, post(long, "/api/links")))[0] == 413


def test_values_are_counted_without_reading() -> None:
    assert values_in(START) == 0, "small ones are not looked at"
    assert values_in(b"[" + b"0," * 100_000 + b"0]") > 100_000
    assert values_in(b"\x0a\x00" * 100_000, "application/x-protobuf") >= 100_000
    assert values_in(b'{"text":"' + b"a" * MIB + b'"}') < 10
    # 400,000 paths of 60 characters, as a large push names them, are still read.
    assert values_in(b"[" + b'"%s",' % (b"p" * 60) * 400_000 + b"0]") < READ_AT_MOST
