"""The stories of the API, alert, CI and deploy sources over a real socket: all of it is taken, and
each span that an answer names is there."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.sources.test_arrival import STORIES


@pytest.mark.parametrize("name", STORIES)
def test_every_delivery_is_taken_and_its_spans_are_there(shared, name) -> None:
    for delivery in STORIES[name]:
        status, answer = shared.call(delivery.path, delivery.body, dict(delivery.headers))
        assert status in (200, 201), answer
        assert answer["verdict"] == "accepted", answer
        for ref in answer["spans"][:3]:
            found, span = shared.call(f"/api/spans/{quote(ref)}")
            assert (found, bool(span["name"]), span["source"]) == (200, True, name)
    status, answer = shared.call("/api/sources")
    (counts,) = (entry["counts"] for entry in answer["items"] if entry["source"] == name)
    assert counts == {"accepted": len(STORIES[name])}
