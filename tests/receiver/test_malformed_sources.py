"""Every API, alert and CI source over a real socket: whatever is sent, never a 5xx, and the counts
add up."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.receiver.server import Server
from tests.sources.test_arrival import STORIES
from tests.sources.webhook_tools import variants

SENT = 40
ODD = (b"", b"\x00" * 10, b"\xff\xfe\xfd", b"[" * 10_000, b'{"a":' * 5_000, b"null", b"[]", b"7")


def counts(server: Server, name: str) -> dict[str, int]:
    _, answer = server.call("/api/sources")
    found = next((entry for entry in answer["items"] if entry["source"] == name), None)
    return found["counts"] if found else {}


@pytest.mark.parametrize("name", STORIES)
def test_malformed_deliveries_are_never_our_fault(shared, name) -> None:
    inbounds = [*variants(STORIES[name], SENT)]
    bodies = [(i.path, dict(i.headers), i.body) for i in inbounds]
    bodies += [(STORIES[name][0].path, {}, odd) for odd in ODD]
    bodies += [
        (STORIES[name][0].path, {"Content-Type": "application/x-protobuf"}, odd) for odd in ODD
    ]
    told: Counter[str] = Counter()
    for path, headers, body in bodies:
        status, answer = shared.call(path, body, headers)
        assert status in (200, 201, 400, 404), (status, answer)
        if status < 400:
            told[answer["verdict"]] += 1
        else:
            assert answer["error"] in ("bad_request", "not_found")
            assert answer["detail"]
            told["rejected"] += 1
    assert told["rejected"] < told.total() or name == "emmetrics", "none of it was acceptable"

    def added_up() -> bool:
        return counts(shared, name) == {verdict: n for verdict, n in told.items() if n}

    shared.wait_for(added_up, f"the sum of {told}")
    status, _ = shared.call("/readyz", token="")
    assert status == 200


def test_every_span_of_it_is_shown(shared) -> None:
    for delivery in (d for story in STORIES.values() for d in story):
        status, answer = shared.call(delivery.path, delivery.body, dict(delivery.headers))
        assert status in (200, 201), answer
        for ref in answer["spans"][:3]:
            found, span = shared.call(f"/api/spans/{ref.replace('%', '%25')}")
            assert (found, bool(span["name"])) == (200, True)
