"""Too much of anything: rate, requests, bytes, connections, slowness. Each is refused with what to
do, costs little, and does not keep others from being served."""

import asyncio
import contextlib
import gzip
from collections.abc import Iterable
from functools import partial

import pytest

from tests.ingest.bodies import zstd
from tests.ingest.inside import START, TOKEN, Raw, busy, post, receiving
from tests.patience import PATIENCE, free_port
from vs_tui.ingest.admission import Admission, Load
from vs_tui.ingest.http_errors import Refused
from vs_tui.model.limits import MIB, Limits

PING = (f"Authorization: Bearer {TOKEN}", "X-GitHub-Event: ping")
SIGNED = "X-Hub-Signature-256: sha256=" + "0" * 64


async def ask(runtime, raw: bytes) -> tuple[int, dict, object]:
    connection = await Raw.to(runtime)
    await connection.send(raw)
    answer = await connection.answer()
    connection.close()
    return answer


async def test_strangers_do_not_spend_the_rate_of_a_source(tmp_path) -> None:
    async with receiving(tmp_path, Limits(rate=2)) as runtime:
        wrong = post(b"{}", "/customhttp", "X-None: 1")
        assert {(await ask(runtime, wrong))[0] for _ in range(60)} == {401}
        assert (await ask(runtime, post()))[0] == 200


def test_strangers_have_a_bucket_of_their_own_per_address_and_in_all() -> None:
    admission = Admission(Limits(rate=1), lambda: 0.0)

    def taken(peer: str) -> int:
        for n in range(100_000):
            try:
                admission.pay_as_stranger(peer)
            except Refused:
                return n
        raise AssertionError

    one = taken("192.0.2.1")
    assert one == 1_000
    assert taken("192.0.2.2") > 0
    assert taken("192.0.2.3") < one, "all together are bounded, too"
    admission.pay("github")


@pytest.mark.parametrize("more", [(), ("TE: trailers",)], ids=["plain", "aiohttp"])
async def test_a_flood_of_one_address_leaves_others_their_401(tmp_path, monkeypatch, more) -> None:
    monkeypatch.setattr("vs_tui.ingest.admission.STRANGER_RATE", 4.0)
    wrong = post(b"{}", "/customhttp", "X-None: 1", *more)
    async with receiving(tmp_path, Limits(rate=1)) as runtime:

        async def from_address(own: str) -> int:
            connection = await Raw.to(runtime, own)
            await connection.send(wrong)
            status, _, _ = await connection.answer()
            connection.close()
            return status

        while await from_address("127.0.0.1") != 503:
            pass
        assert await from_address("127.0.0.2") == 401


async def test_the_rate_of_a_source_is_bounded_and_others_go_on(tmp_path) -> None:
    async with receiving(tmp_path, Limits(rate=2)) as runtime:
        taken = 0
        while (refused := await ask(runtime, post()))[0] == 200:
            taken += 1  # more while it takes long: two for each second
        assert taken >= 10, "a burst is taken"
        assert (refused[0], refused[1]["retry-after"]) == (503, "15")
        assert "more than 2 requests a second from customhttp" in refused[2]["detail"]
        status, _, _ = await ask(runtime, post(b"{}", "/jenkins"))
        assert status == 200, "another source has its own allowance"


def test_a_bucket_fills_again_with_time() -> None:
    at = [0.0]
    admission = Admission(Limits(rate=10), lambda: at[0])

    def taken() -> int:
        n = 0
        while True:
            try:
                with admission.request("github"):
                    admission.pay("github")
                    n += 1
            except Refused as refused:
                assert refused.status == 503
                return n

    assert taken() == 50
    assert taken() == 0
    at[0] += 2.0
    assert taken() == 20
    at[0] += 3600
    assert taken() == 50, "saved allowance is bounded"


def test_requests_at_once_are_bounded_and_leave_room_for_other_sources() -> None:
    admission = Admission(Limits(concurrent=16), lambda: 0.0)
    assert len(places(admission, "github")) == 12
    assert len(places(admission, "gitlab")) == 4, "that is all"
    assert places(admission, "jenkins") == []


def test_bodies_on_their_way_leave_room_for_those_that_are_here() -> None:
    admission = Admission(Limits(concurrent=16), lambda: 0.0)
    slow = places(admission, "github", arriving=True)
    assert len(slow) == 9
    assert len(places(admission, "gitlab", arriving=True)) == 3
    assert places(admission, "jenkins", arriving=True) == []
    assert len(places(admission, "github")) == 3, "whole requests of the same source"
    assert len(places(admission, "jenkins")) == 1
    slow[0].arrived()
    assert len(places(admission, "gitlab", arriving=True)) == 0, "the place is still taken"
    for load in slow:
        load.end()
    assert len(places(admission, "github", arriving=True)) == 9


def places(admission: Admission, source: str, *, arriving: bool = False) -> list[Load]:
    """As many as there are."""
    found = []
    with contextlib.suppress(Refused):
        while True:
            found.append(admission.request(source, arriving=arriving))
    return found


async def test_slow_bodies_of_a_source_do_not_keep_its_whole_requests_waiting(tmp_path) -> None:
    async with receiving(tmp_path, Limits(concurrent=8, stop_seconds=0.2)) as runtime:
        slow = [await Raw.to(runtime) for _ in range(5)]
        for connection in slow:
            await connection.send(post(START[:5], "/github", SIGNED, length=len(START)))
        status, headers, body = await first_answer(slow)
        assert (status, headers["retry-after"]) == (503, "15")
        assert "too many requests of github" in body["detail"]
        await busy(runtime, 4)
        assert (await ask(runtime, post(b"{}", "/github", *PING)))[0] == 200, "it is here"
        assert (await ask(runtime, post()))[0] == 200, "the others are served"
        for connection in slow:
            connection.close()


async def test_bodies_that_never_come_keep_no_signed_delivery_out(tmp_path) -> None:
    """GitHub's body often arrives after its head, and GitHub sends nothing again."""
    async with receiving(tmp_path, Limits(concurrent=8, stop_seconds=0.2)) as runtime:
        trusted = await Raw.to(runtime)
        await trusted.send(post(START[:5], length=len(START)))
        await busy(runtime, 1)
        slow = [await Raw.to(runtime) for _ in range(12)]
        for number, connection in enumerate(slow, 1):
            await connection.send(post(START[:5], "/github", SIGNED, length=len(START)))
            if number <= 4:
                await busy(runtime, 1 + number)
            else:
                assert (await slow[number - 5].answer())[0] == 503, "it waited longest"
        signed = post(b"{}", "/github", *PING)
        late = await Raw.to(runtime)
        await late.send(signed[:-1])
        assert (await slow[8].answer())[0] == 503
        await late.send(signed[-1:])
        assert (await late.answer())[0] == 200
        await trusted.send(START[5:])
        assert (await trusted.answer())[0] == 200, "a token in the head keeps its place"
        for connection in slow:
            connection.close()


def test_a_body_that_grows_keeps_its_place() -> None:
    admission = Admission(Limits(concurrent=8), lambda: 0.0)
    gone: list[int] = []
    loads = places(admission, "github", arriving=True)
    for number, load in enumerate(loads):
        load.give_way = partial(gone.append, number)
    loads[0].add(1, 10)
    assert admission.request("github", arriving=True)
    assert gone == [1]


def test_addresses_of_one_ipv6_site_are_one_stranger() -> None:
    admission = Admission(Limits(), lambda: 0.0)

    def told(peers: Iterable[str]) -> int:
        """How many are answered at once."""
        n = 0
        for peer in peers:
            with contextlib.suppress(Refused):
                admission.pay_as_stranger(peer)
                n += 1
        return n

    assert told(f"2001:db8::{n:x}" for n in range(1, 3_000)) == 1_000
    assert told(["2001:db8:0:1::1%eth0", "::ffff:192.0.2.1", "192.0.2.1", ""]) == 4
    assert told(f"2001:db8:{n >> 16:x}:{n & 0xFFFF:x}::1" for n in range(2, 12_000)) == 996


async def first_answer(connections: list[Raw]) -> tuple[int, dict, object]:
    """What the first of them is told that is told anything."""
    answers = [asyncio.create_task(connection.answer()) for connection in connections]
    told, waiting = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    (only,) = told
    return only.result()


async def until(runtime, raw: bytes, wanted: int) -> tuple[int, dict, object]:
    """Ask until the receiver has noticed what the other connections did."""
    async with asyncio.timeout(PATIENCE):
        while (answer := await ask(runtime, raw))[0] != wanted:
            pass
    return answer


async def test_bodies_in_memory_are_bounded_by_what_arrived_not_by_what_is_announced(
    tmp_path,
) -> None:
    async with receiving(tmp_path, Limits(bodies=300_000)) as runtime:
        announced = [await Raw.to(runtime) for _ in range(5)]
        for connection in announced:
            await connection.send(post(b"{", "/github", SIGNED, length=20 * MIB))
        assert (await ask(runtime, post()))[0] == 200, "announcing costs nothing"
        big = b"x" * 250_000
        for connection in announced[:2]:
            await connection.send(big)
        status, _, _ = await first_answer(announced[:2])
        assert status == 503, "the one that arrived too much was told to come again"
        for connection in announced:
            connection.close()
        assert (await until(runtime, post(), 200))[0] == 200


async def test_large_bodies_leave_room_for_small_ones(tmp_path) -> None:
    """Signed by nobody, but that is known only when they are here."""
    async with receiving(tmp_path, Limits(bodies=800_000)) as runtime:
        large = [await Raw.to(runtime) for _ in range(8)]
        for connection in large:
            await connection.send(post(b"x" * 100_000, "/github", SIGNED, length=20 * MIB))
        status, _, body = await first_answer(large)
        assert status == 503, "what is left is too little for it"
        assert "too many large bodies" in body["detail"]
        await busy(runtime, 7)
        small = [await Raw.to(runtime) for _ in range(40)]
        for connection in small:
            await connection.send(post(START[:9] + b" " * 2_000, length=3_000))
        await busy(runtime, 47)
        assert (await ask(runtime, post(START + b" " * 2_000)))[0] == 200
        for connection in large + small:
            connection.close()


async def test_a_slow_body_is_408_and_a_slow_head_is_closed(tmp_path) -> None:
    async with receiving(tmp_path, Limits(read_seconds=0.2, idle_seconds=0.3)) as runtime:
        body = await Raw.to(runtime)
        await body.send(post(START[:9], length=len(START)))
        status, _, answer = await body.answer()
        assert status == 408
        assert "send it again" in answer["detail"]
        assert await body.closed()
        head, nothing = await Raw.to(runtime), await Raw.to(runtime)
        await head.send(b"POST /customhttp HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert await head.closed()
        assert await nothing.closed()
        assert (await ask(runtime, post()))[0] == 200


@pytest.mark.parametrize("kind", ["head", "body"])
async def test_a_slowloris_does_not_keep_a_real_event_waiting(tmp_path, kind) -> None:
    async with receiving(tmp_path) as runtime:
        half = b"POST /github HTTP/1.1\r\nHost: x\r\nX-Slow: "
        if kind == "body":
            half = post(START[:9], "/github", SIGNED, length=len(START))
        slow = [await Raw.to(runtime) for _ in range(300)]
        for connection in slow:
            await connection.send(half)
        async with asyncio.timeout(PATIENCE):
            assert (await ask(runtime, post()))[0] == 200
        for connection in slow:
            connection.close()


async def test_beyond_the_connections_the_idle_one_makes_room(tmp_path) -> None:
    async with receiving(tmp_path, Limits(connections=5)) as runtime:
        idle = [await Raw.to(runtime) for _ in range(5)]
        status, _, _ = await ask(runtime, post())
        assert status == 200
        assert await idle[0].closed(), "the one that idled longest"
        await idle[4].send(post())
        assert (await idle[4].answer())[0] == 200, "the younger ones stay"


async def test_when_every_connection_is_busy_the_next_is_told_to_come_again(tmp_path) -> None:
    async with receiving(tmp_path, Limits(connections=3, stop_seconds=0.2)) as runtime:
        slow = [await Raw.to(runtime) for _ in range(3)]
        for connection in slow:
            await connection.send(post(START[:9], length=len(START)))
        await busy(runtime, 3)
        status, headers, body = await ask(runtime, b"")
        assert (status, headers["retry-after"]) == (503, "15")
        assert "too many connections" in body["detail"]
        await slow[0].send(START[9:])
        assert (await slow[0].answer())[0] == 200, "what was begun is finished"


async def test_the_inflated_size_counts(tmp_path) -> None:
    async with receiving(tmp_path, Limits(body=100_000)) as runtime:
        bomb = gzip.compress(b"0" * 50 * MIB)
        assert len(bomb) < 100_000
        status, _, body = await ask(runtime, post(bomb, "/customhttp", *gzipped()))
        assert status == 413
        assert "[limits] body" in body["detail"]
        nested = gzip.compress(bomb)
        status, _, body = await ask(runtime, post(nested, "/customhttp", *gzipped()))
        assert status == 400, "inflated once, and that is no JSON"
        bomb = zstd(b"0" * 50 * MIB)
        encoded = ("Content-Encoding: zstd", gzipped()[0])
        status, _, body = await ask(runtime, post(bomb, "/customhttp", *encoded))
        assert status == 413


def gzipped() -> tuple[str, str]:
    return f"Authorization: Bearer {TOKEN}", "Content-Encoding: gzip"


async def test_chunks_are_read_and_an_endless_one_ends_at_the_limit(tmp_path) -> None:
    async with receiving(tmp_path, Limits(body=50_000)) as runtime:
        head = (
            f"POST /customhttp HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        ).encode()
        good = await Raw.to(runtime)
        await good.send(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(START), START))
        assert (await good.answer())[0] == 200
        endless = await Raw.to(runtime)
        await endless.send(head + b"8000\r\n" + b"x" * 0x8000 + b"\r\n8000\r\n" + b"x" * 0x8000)
        assert (await endless.answer())[0] == 413


async def test_a_wrong_token_is_told_before_the_body_is_sent(tmp_path) -> None:
    async with receiving(tmp_path) as runtime:
        connection = await Raw.to(runtime)
        await connection.send(post(b"", "/customhttp", "Authorization: wrong", length=20 * MIB))
        assert (await connection.answer())[0] == 401


async def test_a_malformed_request_is_answered_in_constant_words(tmp_path, caplog) -> None:
    async with receiving(tmp_path) as runtime:
        for raw in (
            b"POST /jenkins?token=canary HTTP/1.1\r\nHost: x\r\nX: a\0canary\r\n\r\n",
            b"canary canary canary\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"canary" * 4_000 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Many: canary\r\n" * 500 + b"\r\n",
        ):
            status, headers, body = await ask(runtime, raw)
            assert (status, "server" in headers) == (400, False)
            assert body.pop("request_id")
            assert body == {"error": "bad_request", "detail": "this is not a valid HTTP request"}
    assert "canary" not in caplog.text
    assert len(caplog.records) < 5, "strangers cannot fill the log"


async def test_metrics_have_a_port_of_their_own_without_a_token(tmp_path) -> None:
    port = free_port()
    async with receiving(tmp_path, metrics_port=port) as runtime:
        main = runtime.url
        assert (await ask(runtime, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 401
        runtime.url = f"http://127.0.0.1:{port}"
        status, headers, text = await ask(runtime, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (status, "server" in headers) == (200, False)
        assert b"vs_ready 1.0" in text
        assert (await ask(runtime, post()))[0] == 404, "nothing is received here"
        assert (await ask(runtime, b"GET /api/spans HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 404
        runtime.url = main


async def test_expectations(tmp_path) -> None:
    async with receiving(tmp_path) as runtime:
        connection = await Raw.to(runtime)
        proof = f"Authorization: Bearer {TOKEN}"
        await connection.send(
            post(b"", "/customhttp", proof, "Expect: 100-continue", length=len(START))
        )
        head = await connection.reader.readuntil(b"\r\n\r\n")
        assert head == b"HTTP/1.1 100 Continue\r\n\r\n"
        await connection.send(START)
        assert (await connection.answer())[0] == 200
        connection.close()
        status, _, body = await ask(runtime, post(START, "/customhttp", proof, "Expect: gold"))
        assert (status, body["error"]) == (417, "expectation_failed")
