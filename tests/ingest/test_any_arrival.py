"""The sample story through a real receiver: in whatever order it arrives, however often, and
whenever the receiver is killed, the same spans, links, traces and figures come of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.ingest.server import TOKEN, Server
from tests.ingest.test_nothing_lost import FULL
from tests.store.conftest import LINK_ROWS, SPAN_ROWS
from vs_tui.log.recording import Delivery, read

SAMPLES = Path(__file__).parents[2] / "sample_events"
SENDERS = 4


def story() -> list[Delivery]:
    """Every delivery of the sample, oldest first."""
    paths = sorted(SAMPLES.glob("*.jsonl"))
    found = chain.from_iterable(read(path.read_bytes().splitlines(), path.name) for path in paths)
    return sorted(found, key=lambda delivery: delivery.received_at)


def send(url: str, deliveries: Iterable[Delivery]) -> Counter[str]:
    """Their verdicts, sent one after the other."""
    parts = urlsplit(url)
    verdicts: Counter[str] = Counter()
    with contextlib.closing(http.client.HTTPConnection(parts.hostname, parts.port)) as connection:
        for delivery in deliveries:
            headers = {**delivery.headers, "Authorization": f"Bearer {TOKEN}"}
            connection.request("POST", delivery.path, delivery.body, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
            assert response.status in (200, 201), answer
            verdicts[answer["verdict"]] += 1
    return verdicts


def arrive(folder: Path, deliveries: Sequence[Delivery], kills: int = 0) -> Counter[str]:
    """What a receiver counts when it gets them, with `kill -9` between equal parts of them."""
    folder.mkdir()
    server = Server(folder)
    told: Counter[str] = Counter()
    parts = kills + 1
    for number in range(parts):
        if number:
            server.kill()
            server.start()
        part = deliveries[
            len(deliveries) * number // parts : len(deliveries) * (number + 1) // parts
        ]
        with ThreadPoolExecutor(SENDERS) as senders:
            shares = [part[n::SENDERS] for n in range(SENDERS)]
            for verdicts in senders.map(send, [server.url] * SENDERS, shares):
                told += verdicts
    status, sources = server.call("/api/sources")
    server.stop()
    assert status == 200, sources
    counted: Counter[str] = Counter()
    for source in sources["items"]:
        counted.update(source["counts"])
    assert counted == told, "every request has one verdict"
    assert sum(counted.values()) == len(deliveries)
    return counted


def came_of_it(folder: Path) -> tuple[list[Any], list[Any]]:
    """Spans, with their traces, and links."""
    with contextlib.closing(sqlite3.connect(folder / "t.db")) as database:
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)
        return database.execute(SPAN_ROWS).fetchall(), database.execute(LINK_ROWS).fetchall()


@pytest.mark.parametrize(("newest", "kills"), [(250, 1), pytest.param(10_000, 20, marks=FULL)])
def test_any_order_any_repetition_and_kill_9_between_give_the_same(tmp_path, newest, kills) -> None:
    told = story()[-newest:]
    shuffled = random.Random(7).sample(told * 2, 2 * len(told))
    once = arrive(tmp_path / "once", told)
    again = arrive(tmp_path / "again", shuffled, kills)
    assert again == once + Counter(duplicate=len(told))
    assert came_of_it(tmp_path / "again") == came_of_it(tmp_path / "once")
    if kills > 1:
        arrive(tmp_path / "back", told[::-1])
        assert came_of_it(tmp_path / "back") == came_of_it(tmp_path / "once")
