"""Malformed requests for every source, over real sockets: none is a 5xx, each refusal
says why, nothing is half stored, and an honest delivery is taken afterwards."""

from __future__ import annotations

import asyncio
import copy
import gzip
import json
import logging
import random
from collections import Counter
from typing import Any

import orjson
import pytest

from tests.ingest.bodies import honest
from tests.ingest.inside import START, TOKEN, Raw, post, receiving
from vs_tui.model.limits import Limits
from vs_tui.sources.dispatch import sources
from vs_tui.store.maintenance.backup import verify

REQUESTS = [60, pytest.param(5_000, marks=pytest.mark.full)]
NO_HTTP = "this is not a valid HTTP request"
HOSTILE: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    2**63,
    -(2**63) - 1,
    1e308,
    0.1,
    "",
    " ",
    "0",
    "-1",
    "9" * 5_000,
    "x" * 70_000,
    "a\0b",
    "\x1b]0;owned\x07",
    "\u202eevil",
    "[@click=app.quit]x[/]",
    "'; DROP TABLE deliveries; --",
    "../../etc/passwd",
    "%s%n{0}",
    "0001-01-01T00:00:00Z",
    "9999-99-99T99:99:99Z",
    "\U0001f469\u200d\U0001f4bb",
    [],
    {},
    [[]],
    [None],
    {"": None},
    ["x"] * 200,
    {str(n): n for n in range(200)},
]
RAW: list[bytes] = [
    b"",
    b"null",
    b"true",
    b"0",
    b'""',
    b"[]",
    b"{}",
    b"[" * 5_000,
    b'{"a":' * 2_000,
    b"\xef\xbb\xbf{}",
    '{"a":1}'.encode("utf-16"),
    b'{"a":"\xff\xfe"}',
    b'{"a":"\\ud800"}',
    b'{"a":NaN}',
    b'{"a":' + b"1" * 5_000 + b"}",
    b'{"a":1e999}',
    b'{"a":1,"a":2}',
    b"{'a':1}",
    b"payload=%7B%7D",
    b"\x1f\x8b\x08\0",
    b"\0" * 100,
    b"<xml/>",
]
HEADERS: list[str] = [
    "Content-Encoding: gzip",
    "Content-Encoding: deflate",
    "Content-Encoding: br",
    "Content-Type: application/json; charset=zzz",
    "Content-Type: application/x-www-form-urlencoded",
    "Content-Type: application/x-protobuf",
    "Content-Type: text/plain; charset=utf-16",
    "Content-Type: \xff\xfe",
    "Content-Type: ;;;",
    "Idempotency-Key: \xe9\xff",
    "X-Request-Id: " + "r" * 5_000,
    "Accept: text/html",
    "Expect: nothing",
    "Cookie: a=b",
]


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The path of every value inside a JSON document."""
    found = [path] if path else []
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in entries:
            found += places(inner, (*path, name))
    return found


def mutated(body: Any, chance: random.Random) -> Any:
    """A copy with one to three values replaced, removed, wrapped or moved."""
    body = copy.deepcopy(body)
    for _ in range(chance.randint(1, 3)):
        paths = places(body)
        if not paths:
            return body
        *way, last = chance.choice(paths)
        holder: Any = body
        for name in way:
            holder = holder[name]
        kind = chance.random()
        if kind < 0.6:
            holder[last] = copy.deepcopy(chance.choice(HOSTILE))
        elif kind < 0.8:
            del holder[last]
        elif kind < 0.9:
            holder[last] = [holder[last]]
        else:
            holder[last] = str(holder[last])
    return body


def request(source: str, chance: random.Random) -> bytes:
    """One malformed request with a valid token: odd JSON, odd bytes, or odd headers."""
    path, headers, body = chance.choice(honest(source))
    kind = chance.random()
    if kind < 0.7:
        raw = json.dumps(mutated(body, chance)).encode("utf-8", "replace")
    elif kind < 0.85:
        raw = bytearray(json.dumps(body).encode())
        for _ in range(chance.randint(1, 8)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        raw = bytes(raw[: chance.randint(0, len(raw))] if chance.random() < 0.5 else raw)
    else:
        raw = chance.choice(RAW)
    sent = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    lines = [f"{name}: {value}" for name, value in sent.items()]
    if lines and chance.random() < 0.2:
        lines[chance.randrange(len(lines))] = f"{chance.choice(list(sent))}: \xff\xfeodd"
    if chance.random() < 0.2:
        lines.append(chance.choice(HEADERS))
        if "gzip" in lines[-1] and chance.random() < 0.5:
            raw = gzip.compress(raw)[: chance.randint(0, 500)]
    head = (
        f"POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {TOKEN}\r\n"
        + "".join(f"{line}\r\n" for line in lines)
        + f"Content-Length: {len(raw)}\r\n\r\n"
    )
    return head.encode("latin-1", "replace") + raw


@pytest.mark.parametrize("count", REQUESTS)
@pytest.mark.parametrize("source", sorted(sources()))
async def test_malformed_requests(tmp_path, source, count, caplog) -> None:
    caplog.set_level(logging.CRITICAL, "vs_tui.sources.dispatch")
    chance = random.Random(source)
    async with receiving(tmp_path, Limits(rate=0)) as runtime:
        seen: Counter[int] = Counter()
        unheard = 0  # refused by the HTTP parser, before anyone knows which source it is for

        async def send(requests: list[bytes]) -> None:
            nonlocal unheard
            connection = await Raw.to(runtime)
            for raw in requests:
                await connection.send(raw)
                status, headers, body = await connection.answer()
                if not status:
                    raise AssertionError(f"no answer to {raw[:600]!r}")
                seen[status] += 1
                assert 200 <= status < 500, (status, body, raw[:2_000])
                if headers.get("content-type") == "application/x-protobuf":
                    continue  # a google.rpc.Status; tests/ingest/test_otlp_answers.py
                assert isinstance(body, dict) and body, (status, body)
                unheard += status == 417 or body.get("detail") == NO_HTTP
                if status >= 400:
                    assert body["error"], body
                    assert body["detail"], body
                if headers.get("connection") == "close" or status in (400, 413, 415):
                    connection.close()
                    connection = await Raw.to(runtime)
            connection.close()

        requests = [request(source, chance) for _ in range(count)]
        await asyncio.gather(*(send(requests[n::8]) for n in range(8)))
        assert seen.total() == count
        assert len(seen) > 1, "some are taken, some are refused"

        connection = await Raw.to(runtime)
        await connection.send(post(START))
        assert (await connection.answer())[0] == 200
        connection.close()
        await runtime.writer.sweep()
        counted, kept, broken = await runtime.writer.run(
            lambda db: (
                dict(db.execute("SELECT verdict, SUM(n) FROM counts GROUP BY verdict")),
                db.execute("SELECT COUNT(*) FROM deliveries").fetchone()[0],
                db.execute(
                    "SELECT reason FROM deliveries WHERE reason LIKE 'folding failed%'"
                ).fetchall(),
            )
        )
    assert not broken, "a mutated body must not trip the folding"
    assert sum(counted.values()) == count - unheard + 1, "every request has its verdict"
    assert kept == sum(n for v, n in counted.items() if v not in ("duplicate", "rejected"))
    assert verify(tmp_path / "inside.db") == []


@pytest.mark.parametrize("source", sorted(set(sources()) - {"user"}))
async def test_what_is_mutated_was_honest(tmp_path, source) -> None:
    async with receiving(tmp_path) as runtime:
        connection = await Raw.to(runtime)
        verdicts = set()
        for path, headers, body in honest(source):
            lines = [f"{n}: {value}" for n, value in headers.items() if n.lower() != "content-type"]
            proof = f"Authorization: Bearer {TOKEN}"
            await connection.send(post(orjson.dumps(body), path, proof, *lines))
            status, _, answer = await connection.answer()
            assert status < 300, answer
            verdicts.add(answer["verdict"])
    assert "accepted" in verdicts
    assert "quarantined" not in verdicts


@pytest.mark.parametrize("source", sorted(sources()))
async def test_odd_proofs_are_401_and_store_nothing(tmp_path, source) -> None:
    """Missing, wrong, cut, doubled, non-ASCII and foreign proofs, alone and together."""
    adapter = sources()[source]
    path, _, body = honest(source)[0]
    raw = orjson.dumps(body)
    odd = [
        "",
        "wrong",
        "sha256=",
        "sha256=" + "0" * 63,
        "sha1=" + "0" * 40,
        "v1,",
        "v1,%%%",
        "\xff\xfe",
        "a" * 5_000,
        "sha256=" + "0" * 64 + ",sha256=" + "1" * 64,
        "=,=,=",
        "t=1,v1=",
    ]
    async with receiving(tmp_path) as runtime:
        for name in (*adapter.signature_headers, "authorization"):
            for value in odd:
                connection = await Raw.to(runtime)
                head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{name}: {value}\r\n"
                await connection.send(
                    head.encode("latin-1") + b"Content-Length: %d\r\n\r\n%s" % (len(raw), raw)
                )
                status, headers, answer = await connection.answer()
                assert (status, answer["error"]) == (401, "unauthorized"), (name, value)
                assert headers["www-authenticate"].startswith("Bearer "), (name, value)
                connection.close()
        stored = await runtime.writer.run(
            lambda db: db.execute("SELECT COUNT(*) FROM deliveries").fetchone()
        )
    assert stored == (0,)
