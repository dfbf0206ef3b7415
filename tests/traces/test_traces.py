"""A trace as a tree."""

from hypothesis import given
from hypothesis import strategies as st

from vs_tui.model.time import HOUR, MINUTE
from vs_tui.model.vocabulary import Span, State, Status
from vs_tui.traces.steps import (
    DEEPEST,
    bounds,
    self_time,
    tree,
)

T = 1_772_445_600_000_000


def span(key: str, begin: int, end: int | None, parent: str = "", operation: str = "build") -> Span:
    return Span(
        key=key,
        ref=key,
        source="test",
        operation=operation,
        name=key,
        status=Status.OK if end is not None else Status.IN_FLIGHT,
        state=State.OK if end is not None else State.RUNNING,
        started_at=T + begin * MINUTE,
        ended_at=None if end is None else T + end * MINUTE,
        parent_key=parent,
    )


def test_a_tree_in_time_order_with_orphans_at_the_top() -> None:
    rows = tree(
        [span("c", 5, 6, "a"), span("a", 0, 9), span("b", 1, 2, "a"), span("o", 3, 4, "gone")]
    )
    assert [(r.span.key, r.depth) for r in rows] == [("a", 0), ("b", 1), ("c", 1), ("o", 0)]
    assert rows[1].lasts == (False,)
    assert rows[2].lasts == (True,)


def test_a_chain_of_thousands_is_a_tree_of_bounded_depth() -> None:
    """Each of these names the one before as its parent: Python's stack ended at the thousandth."""
    chain = [span(str(n), n, n + 1, str(n - 1)) for n in range(3_000)]
    rows = tree(chain)
    assert [row.span for row in rows] == chain
    assert [row.depth for row in rows[-2:]] == [DEEPEST, DEEPEST]
    assert tree(chain, {"0"})[0].hidden == 2_999


def test_folding_hides_descendants_and_counts_them() -> None:
    spans = [span("a", 0, 9), span("b", 1, 2, "a"), span("c", 1, 2, "b")]
    (row,) = tree(spans, {"a"})
    assert (row.folded, row.hidden, row.children) == (True, 2, 1)


def test_self_time_is_what_no_child_covers() -> None:
    parent = span("p", 0, 10)
    children = [span("a", 1, 4), span("b", 3, 5), span("late", 9, 20)]
    assert self_time(parent, children, T) == 5 * MINUTE


def test_open_spans_reach_to_now() -> None:
    assert bounds([span("a", 0, None)], T + HOUR) == (T, T + HOUR)


TREES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 50)), min_size=1, max_size=10)


@given(TREES)
def test_every_span_is_shown_exactly_once_whatever_the_parents(pairs) -> None:
    spans = [span(str(i), start, start + 1, str(parent)) for i, (parent, start) in enumerate(pairs)]
    acyclic = [
        s for s in spans if int(s.parent_key) < int(s.key) or int(s.parent_key) >= len(spans)
    ]
    rows = tree(acyclic)
    assert sorted(r.span.key for r in rows) == sorted(s.key for s in acyclic)
