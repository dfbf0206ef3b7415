"""CDEvents whose senders know no chain: a shared artifact makes them one trace."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.sources.api_payloads import PURL, binary, cdevent
from tests.store.tracing import World, sent
from vs_tui.sources import cdevents


def told(*arguments):
    event = cdevent(*arguments)
    del event["context"]["chainId"]
    return sent(cdevents.SOURCE, binary(event))


def story(artifact: str):
    place = {"environment": {"id": "production"}, "artifactId": artifact}
    return [
        told("build.finished", "b-1", "09:05:00", {"artifactId": artifact}),
        told("service.deployed", "cart", "09:10:00", place),
        told("incident.detected", "i-1", "10:00:00", {**place, "service": {"id": "cart"}}),
    ]


@pytest.mark.parametrize("artifact", [PURL, "pkg:npm/cart@1.5.0", "registry.example/cart:1.5.0"])
def test_an_artifact_joins_them_in_any_order(artifact) -> None:
    for order in permutations(story(artifact)):
        world = World().deliver(*order)
        assert world.traces() == 1, world.parents()


def test_another_artifact_is_another_trace() -> None:
    other = told("build.finished", "b-2", "09:06:00", {"artifactId": "pkg:npm/cart@1.6.0"})
    assert World().deliver(*story("pkg:npm/cart@1.5.0"), other).traces() == 2
