"""The fast lane reads what aiohttp reads, answers as the other lane does, and takes no more."""

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.inside import START, TOKEN, Raw, busy, post, receiving
from vs_tui.ingest.connections import MOST_BYTES, Plain, PlainConnection, plain_request
from vs_tui.model.limits import Limits
from vs_tui.sources.base import Parsed
from vs_tui.sources.customhttp import CustomHttp

PROOF = f"Authorization: Bearer {TOKEN}"


def as_aiohttp_reads(raw: bytes) -> Plain:
    loop = asyncio.new_event_loop()
    try:
        parser = HttpRequestParser(BaseProtocol(loop), loop, 2**16, max_headers=128)
        ((message, payload),), upgraded, tail = parser.feed_data(raw)
        assert (message.method, message.should_close, message.compression) == ("POST", False, None)
        assert not (upgraded or tail or message.chunked)
        assert payload.is_eof()
        headers = {name.lower(): value for name, value in message.headers.items()}
        return Plain(message.path, headers, payload.read_nowait())
    finally:
        loop.close()


LINES = st.sampled_from(
    [
        "Host: test",
        "Content-Type: application/json",
        "X-Blank:",
        "X-Blanks:   a  b   ",
        "x-colon: a:b",
        "Connection: keep-alive",
        "Connection: close",
        "Content-Length: 1",
        "Content-Length: 01",
        "Transfer-Encoding: chunked",
        "Content-Encoding: gzip",
        "Expect: 100-continue",
        "Upgrade: h2c",
        "X-Folded: a\r\n b",
        "X-Tab:\ta",
        "X-Nul: \0",
        "X-Latin: \xe9",
        "X Space: a",
        "X-Late : a",
        "X_Under: a",
    ]
)
REQUESTS = st.builds(
    lambda line, lines, right, body: (
        "\r\n".join([line, *lines, *([f"Content-Length: {len(body)}"] if right else [])]).encode(
            "latin-1"
        )
        + b"\r\n\r\n"
        + body
    ),
    st.sampled_from(
        [
            "POST /customhttp HTTP/1.1",
            "POST /a/b-c_d.e HTTP/1.1",
            "POST /customhttp?token=x HTTP/1.1",
            "POST /customhttp HTTP/1.0",
            "POST  /customhttp HTTP/1.1",
            "GET /customhttp HTTP/1.1",
            "post /customhttp HTTP/1.1",
        ]
    ),
    st.lists(LINES, max_size=6).map(lambda lines: ["Host: a", *lines])
    | st.lists(LINES, max_size=4),
    st.booleans(),
    st.sampled_from([b"", b"1", START, b"\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n"]),
)


@given(REQUESTS)
@settings(max_examples=1000, deadline=None)
def test_what_is_plain_is_read_as_aiohttp_reads_it(raw) -> None:
    request = plain_request(raw)
    if request is not None:
        assert request == as_aiohttp_reads(raw)


WHOLE = post(START, "/customhttp", PROOF)


def test_an_ordinary_webhook_is_plain() -> None:
    request = plain_request(WHOLE)
    assert request == as_aiohttp_reads(WHOLE)
    assert request.headers["content-type"] == "application/json"
    assert plain_request(post(START, "/customhttp", PROOF, "Connection: Keep-Alive")) is not None


@pytest.mark.parametrize(
    "raw",
    [
        WHOLE[:-1],
        WHOLE + b"P",
        WHOLE + WHOLE,
        WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        WHOLE.replace(b"POST", b"PUT"),
        WHOLE.replace(b"/customhttp", b"/customhttp?a=b"),
        WHOLE.replace(b"/customhttp", b"http://test/customhttp"),
        WHOLE.replace(b"\r\n", b"\n"),
        WHOLE.replace(b"Host", b"X-Host"),
        WHOLE.replace(b"Content-Length: ", b"Content-Length: 0"),
        WHOLE.replace(b"Content-Length: ", b"Content-Length: +"),
        WHOLE.replace(b"Content-Length: ", b"Content-Length : "),
        WHOLE.replace(b"Host: test", b"Host: test\r\nContent-Length: 42"),
        WHOLE.replace(b"Host: test", b"Host: test\r\nContent-Type: text/html"),
        WHOLE.replace(b"Host: test", b"Host: test\r\nTransfer-Encoding: chunked"),
        WHOLE.replace(b"Host: test", b"Host: test\r\nContent-Encoding: gzip"),
        WHOLE.replace(b"Host: test", b"Host: test\r\nExpect: 100-continue"),
        WHOLE.replace(b"Host: test", b"Host: test\r\nConnection: close"),
        WHOLE.replace(b"Host: test", b"Host: test\r\n folded"),
        WHOLE.replace(b"Host: test", "Host: t\xe9st".encode()),
        post(b"x" * MOST_BYTES, "/customhttp", PROOF),
        post(START, "/customhttp", PROOF, "X-Long: " + "a" * 9_000),
        b"",
    ],
)
def test_all_else_is_left_to_aiohttp(raw) -> None:
    assert plain_request(raw) is None


CASES = {
    "accepted": post(),
    "started again": post(START.replace(b"1", b"2")),
    "no JSON": post(b"{"),
    "broken schema": post(b'{"type":"build","id":"1","action":"jump"}'),
    "no proof": post(START, "/customhttp", "Authorization: Bearer wrong"),
    "a page in a browser": post(START, "/customhttp", PROOF, "Origin: https://evil.example"),
    "another type": post(START, "/customhttp", PROOF, "X-A: b").replace(
        b"application/json", b"application/xml"
    ),
    "an unwanted event": post(b"{}", "/github", PROOF, "X-GitHub-Event: ping"),
    "a wrong signature": post(b"{}", "/github", "X-Hub-Signature-256: sha256=" + "0" * 64),
    "too large": post(b'"' + b"x" * 3_000 + b'"'),
}


@pytest.mark.parametrize("name", CASES)
async def test_both_lanes_answer_alike(tmp_path, name) -> None:
    raw = CASES[name]
    answers = []
    for lane in ("plain", "general"):
        async with receiving(tmp_path / lane, Limits(body=2_000)) as runtime:
            connection = await Raw.to(runtime)
            if lane == "general":
                await connection.send(b"HEAD /trello HTTP/1.1\r\nHost: test\r\n\r\n")
                assert (await connection.answer())[0] == 200
            await connection.send(raw)
            status, headers, body = await connection.answer()
            kinds = {type(each) for each in runtime.receiver.connections._open}
            assert (kinds == {PlainConnection}) is (lane == "plain")
            body.pop("request_id", None)
            answers.append((status, sorted(headers), headers["content-type"], body))
            connection.close()
    assert answers[0] == answers[1]


async def test_requests_sent_ahead_are_answered_in_turn(tmp_path) -> None:
    async with receiving(tmp_path) as runtime:
        connection = await Raw.to(runtime)
        await connection.send(WHOLE)
        await busy(runtime, 1)
        await connection.send(post(b"{"))
        assert (await connection.answer())[0] == 200
        assert (await connection.answer())[0] == 400
        await connection.send(WHOLE + post(b"{") + WHOLE)
        assert [(await connection.answer())[0] for _ in range(3)] == [200, 400, 200]
        connection.close()


async def test_an_idle_connection_is_closed(tmp_path) -> None:
    async with receiving(tmp_path, Limits(idle_seconds=0.3)) as runtime:
        connection = await Raw.to(runtime)
        await connection.send(WHOLE)
        assert (await connection.answer())[0] == 200
        assert await connection.closed()


async def test_a_stop_waits_for_the_answer(tmp_path) -> None:
    async with receiving(tmp_path) as runtime:
        late = await Raw.to(runtime)
        await late.send(WHOLE)
        await busy(runtime, 1)
        await runtime.receiver.connections.finish()
        assert (await late.answer())[0] == 200
        assert await late.closed()


async def test_an_answer_that_cannot_be_written_is_a_500(tmp_path, monkeypatch) -> None:
    strange = Parsed("x", answer={"neither JSON": object()})
    monkeypatch.setattr(CustomHttp, "outline", lambda *_: strange)
    async with receiving(tmp_path) as runtime:
        connection = await Raw.to(runtime)
        for _ in range(2):
            await connection.send(WHOLE)
            status, _, body = await connection.answer()
            assert (status, body["error"]) == (500, "internal")
        connection.close()


class Deaf(asyncio.Transport):
    """A transport whose other side does not read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = True
        self.written: list[bytes] = []

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return False

    def write(self, data) -> None:
        self.written.append(data)

    def get_write_buffer_size(self) -> int:
        return len(b"".join(self.written))


async def test_who_does_not_read_answers_is_not_read(tmp_path) -> None:
    async with receiving(tmp_path) as runtime:
        connection, transport = PlainConnection(runtime.receiver.connections), Deaf()
        connection.connection_made(transport)
        connection.pause_writing()
        assert not transport.reads
        connection.data_received(post(b"{"))
        assert not transport.written
        connection.resume_writing()
        assert transport.reads
        assert transport.written[0].startswith(b"HTTP/1.1 400 Bad Request\r\n")
        connection.connection_lost(None)
