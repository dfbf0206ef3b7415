"""How soon a sender is answered, with every commit on the disk (synchronous=FULL)."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.benchmarks.load import Load, post_all
from tests.ingest.server import TOKEN, Server, serving
from tests.ingest.test_nothing_lost import FULL


async def load(
    server: Server, number: int, per_second: float, connections: int, body: Callable[[int], bytes]
) -> Load:
    done = await post_all(
        server.url,
        "/customhttp",
        [body(n) for n in range(number)],
        lambda _: f"Authorization: Bearer {TOKEN}\r\n",
        connections=connections,
        per_second=per_second,
    )
    print(
        f"{number} events at {done.per_second:.0f}/s: p50 {done.percentile(0.5) * 1000:.1f} ms, "
        f"p99 {done.percentile(0.99) * 1000:.1f} ms, longest {max(done.latencies):.2f} s, "
        f"{done.statuses}, load {os.getloadavg()[0]:.1f}"
    )
    return done


def start(number: int) -> bytes:
    return b'{"type":"build","id":"%d","action":"start"}' % number


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=FULL)])
async def test_at_a_hundred_a_second_99_of_100_are_answered_within_a_second(
    tmp_path, seconds
) -> None:
    """On a machine with nothing else to do half of them within 20 ms."""
    with serving(tmp_path) as server:
        done = await load(server, 100 * seconds, 100, 16, start)
    assert done.statuses == {200: 100 * seconds}
    assert done.percentile(0.99) < 1
    if seconds > 3 and os.getloadavg()[0] < 3:
        assert done.percentile(0.5) < 0.020


async def test_a_thousand_at_once_are_all_answered(tmp_path) -> None:
    with serving(tmp_path) as server:
        done = await load(server, 1_000, 0, 200, start)
    assert sum(done.statuses.values()) == 1_000
    assert done.statuses.keys() <= {200, 503}
    assert max(done.latencies) < 10, "no sender hangs up"
