"""Two traces step by step."""

from time import process_time

import pytest

from vs_tui.model.time import SECOND
from vs_tui.model.vocabulary import Span, State, Status
from vs_tui.traces.steps import compare

T = 1_772_445_600_000_000
NOW = T + 100 * SECOND


def span(key: str, begin: int, end: int | None, parent: str = "", name: str = "") -> Span:
    return Span(
        key=key,
        ref=key,
        source="test",
        operation="build" if parent else "pipeline",
        name=name or key.strip("ab"),
        status=Status.IN_FLIGHT if end is None else Status.OK,
        state=State.RUNNING if end is None else State.OK,
        started_at=T + begin * SECOND,
        ended_at=None if end is None else T + end * SECOND,
        parent_key=parent,
    )


def test_steps_are_aligned_in_the_order_of_their_trees() -> None:
    first = [span("arun", 0, 90), span("atests", 0, 30, "arun"), span("aimage", 30, 90, "arun")]
    second = [span("brun", 0, 90), span("blint", 0, 10, "brun"), span("bimage", 10, 50, "brun")]
    found = [(p.name, p.depth, p.verdict) for p in compare(first, second, NOW)]
    assert found == [
        ("run", 0, "same"),
        ("tests", 1, "only in A"),
        ("lint", 1, "only in B"),
        ("image", 1, "faster"),
    ]


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        (60, 90, "slower"),
        (90, 60, "faster"),
        (60, 61, "same"),
        (None, 90, "running"),
        (None, 150, "running"),
        (None, 50, "faster"),
        (90, None, "running"),
        (50, None, "slower"),
        (None, None, "running"),
    ],
)
def test_of_what_has_not_ended_only_the_longer_one_is_judged(a, b, verdict) -> None:
    (pair,) = compare([span("arun", 0, a)], [span("brun", 0, b)], NOW)
    assert pair.verdict == verdict


def test_thousands_of_steps_of_few_names_are_compared_at_once() -> None:
    """A retry in a loop: each with each of the same name would take minutes."""
    first = [span("arun", 0, 90), *(span(f"a{n}", n, n + 1, "arun", "try") for n in range(4_000))]
    second = [*first[:1], *(s._replace(name=f"try {n % 3}") for n, s in enumerate(first[1:]))]
    began = process_time()
    assert {pair.verdict for pair in compare(first, first, NOW)} == {"same"}
    assert compare(first, second, NOW)[0].verdict == "same"
    assert process_time() - began < 5
