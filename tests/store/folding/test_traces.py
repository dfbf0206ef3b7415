"""Traces that build themselves: whole deliveries in the tools' own formats give one tree,
whatever the order in which they arrive, with repeats, and after a rebuild."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.stories import SCENARIOS
from tests.store.tracing import Scenario, World, again

BY_NAME = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
IN_ORDER: dict[str, tuple[list, list]] = {}


def in_order(scenario: Scenario) -> tuple[list, list]:
    """What the deliveries give when each arrives when it was sent."""
    if scenario.name not in IN_ORDER:
        IN_ORDER[scenario.name] = World().deliver(*scenario.deliveries).rows()
    return IN_ORDER[scenario.name]


@BY_NAME
def test_the_tree(scenario) -> None:
    assert {intake.verdict.value for intake in scenario.deliveries} == {"accepted"}
    world = World().deliver(*scenario.deliveries)
    assert world.parents() == scenario.parents
    found = {pair: rule for pair, rule in world.links().items() if pair in scenario.links}
    assert found == scenario.links
    if scenario.exact:
        assert world.links() == scenario.links
    roots = [child for child, parent in scenario.parents.items() if not parent]
    assert world.traces() == len(roots)


@BY_NAME
def test_backwards_at_once_and_rebuilt(scenario) -> None:
    expected = in_order(scenario)
    assert World().deliver(*reversed(scenario.deliveries)).rows() == expected
    assert World().deliver(list(scenario.deliveries)).rows() == expected
    backwards = World().deliver(*reversed(scenario.deliveries))
    assert backwards.rebuild().rows() == expected
    assert backwards.deliver(*map(again, scenario.deliveries, range(99))).rows() == expected


@BY_NAME
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
@given(data=st.data())
def test_the_same_in_any_order_with_repeats(scenario, data) -> None:
    """Shuffled, some of them twice (as the same delivery or from a second hook), in batches of
    any size."""
    count = len(scenario.deliveries)
    order = data.draw(st.permutations(range(count)))
    repeats = data.draw(st.lists(st.integers(0, count - 1), max_size=3))
    intakes = [scenario.deliveries[index] for index in order]
    for number, index in enumerate(repeats):
        copy = scenario.deliveries[index]
        place = data.draw(st.integers(0, len(intakes)))
        intakes.insert(place, again(copy, number) if number % 2 else copy)
    world, batch = World(), data.draw(st.integers(1, 4))
    for begin in range(0, len(intakes), batch):
        world.deliver(intakes[begin : begin + batch])
    assert world.rows() == in_order(scenario)
