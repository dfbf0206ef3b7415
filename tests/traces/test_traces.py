"""A trace as a tree, its critical path and its waits."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vs_tui.model.time import HOUR, MINUTE
from vs_tui.model.vocabulary import Link, Rule, Span, State, Status
from vs_tui.traces.trace_tree import (
    DEEPEST,
    bounds,
    critical_path,
    gaps,
    next_match,
    self_time,
    tree,
    with_effects,
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


def test_the_critical_path_follows_what_was_waited_for() -> None:
    spans = [
        span("root", 0, 30, operation="pipeline"),
        span("lint", 0, 5, "root"),
        span("test", 0, 12, "root"),
        span("image", 12, 20, "root"),
        span("deploy", 21, 30, "root", "deploy"),
    ]
    assert [s.key for s in critical_path(spans, T)] == ["test", "image", "deploy"]


def test_the_critical_path_of_skewed_clocks_goes_back_and_ends() -> None:
    spans = [span("a", 0, 4), span("skewed", 9, 5), span("b", 6, 8), span("last", 8, 9)]
    assert [s.key for s in critical_path(spans, T)] == ["a", "skewed", "b", "last"]


def test_the_critical_path_of_thousands_is_found_at_once() -> None:
    """It is drawn every second; looking at all for each took ten seconds."""
    spans = [span(str(n), 2 * n, 2 * n + 1) for n in range(5_000)]
    began = process_time()
    assert critical_path(spans, T) == spans
    assert process_time() - began < 2


def test_self_time_is_what_no_child_covers() -> None:
    parent = span("p", 0, 10)
    children = [span("a", 1, 4), span("b", 3, 5), span("late", 9, 20)]
    assert self_time(parent, children, T) == 5 * MINUTE


def test_waits_have_names() -> None:
    spans = [
        span("pr", 0, 120, operation="pull_request"),
        span("run", 1, 10, "pr", "pipeline"),
        span("review", 60, 60, "pr", "review"),
        span("deploy", 180, 190, "pr", "deploy"),
    ]
    found = [(gap.name, gap.duration // MINUTE) for gap in gaps(spans, T + 9 * HOUR)]
    assert ("review wait", 50) in found
    assert ("merge → deploy", 120) in found


@pytest.mark.parametrize(("begins", "name"), [(125, "merge wait"), (200, "merge → pipeline")])
def test_a_wait_round_the_merge_is_called_by_where_most_of_it_lies(begins, name) -> None:
    spans = [
        span("pr", 0, 120, operation="pull_request"),
        span("review", 60, 60, "pr", "review"),
        span("a-build", begins, begins + 5, "run", "build"),
        span("run", begins, begins + 9, "pr", "pipeline"),
    ]
    found = gaps(spans, T + 9 * HOUR)[-1]
    assert (found.name, found.ends, found.until) == (name, T + begins * MINUTE, "run")


def test_open_spans_reach_to_now() -> None:
    assert bounds([span("a", 0, None)], T + HOUR) == (T, T + HOUR)


def test_next_match_goes_round() -> None:
    rows = tree([span("a", 0, 1), span("b", 1, 2), span("c", 2, 3)])
    assert next_match(rows, 1, lambda r: r.span.key == "a") == 0
    assert next_match(rows, 0, lambda r: r.span.key == "c", -1) == 2
    assert next_match(rows, 0, lambda _: False) is None


def test_what_a_delivery_led_to_in_other_traces_stands_below_it() -> None:
    spans = [span("pr", 0, 9, operation="pull_request"), span("d1", 10, 12, "pr", "deploy")]
    incident, shipped, other = (
        span("incident", 15, 20, "", "incident"),
        span("d2", 30, 31, "elsewhere", "deploy"),
        span("other", 1, 2),
    )
    links = [
        Link("incident", "d1", Rule.PROXIMITY, "follows"),
        Link("d2", "pr", Rule.SHIPS, "ships"),
        Link("d2", "pr2", Rule.SHIPS, "ships"),
        Link("other", "pr", Rule.BRANCH, "branch"),
    ]
    shown, effects = with_effects(spans, links, [incident, shipped, other])
    assert effects == {"incident", "d2"}
    assert [(r.span.key, r.depth) for r in tree(shown)] == [
        ("pr", 0),
        ("d1", 1),
        ("incident", 2),
        ("d2", 1),
    ]
    assert with_effects(spans, links, []) == (spans, frozenset())


TREES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 50)), min_size=1, max_size=10)


@given(TREES)
def test_every_span_is_shown_exactly_once_whatever_the_parents(pairs) -> None:
    spans = [span(str(i), start, start + 1, str(parent)) for i, (parent, start) in enumerate(pairs)]
    acyclic = [
        s for s in spans if int(s.parent_key) < int(s.key) or int(s.parent_key) >= len(spans)
    ]
    rows = tree(acyclic)
    assert sorted(r.span.key for r in rows) == sorted(s.key for s in acyclic)
