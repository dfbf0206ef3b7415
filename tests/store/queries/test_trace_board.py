"""The list of traces out of the store: what is on it, kept up by what changed, at a past moment."""

from __future__ import annotations

import orjson
import pytest

from tests.store.tracing import World, from_github
from tests.traces.test_next_action import (
    CI_FAILED,
    NO_ONE,
    deploy,
    issue,
    job,
    merged,
    moment,
    pull,
    review,
    run,
)
from vs_tui.model.filters import FilterError
from vs_tui.model.time import DAY
from vs_tui.store.queries.trace_board import TraceBoard
from vs_tui.traces.board import Board, ordered

NOON = moment("12:00")


def test_a_trace_follows_its_deliveries_from_section_to_section() -> None:
    world, traces = World(), TraceBoard()

    def stands(clock: str = "12:00") -> list[tuple[str, str, tuple[str, ...]]]:
        board = traces.board(world.db, "", moment(clock))
        return [(r.section.value, r.action.verb, r.action.who) for r in board.rows]

    assert stands() == []
    world.deliver(issue(**NO_ONE))
    assert stands() == [("not_started", "", ())]
    world.deliver(pull())
    assert stands() == [("waiting", "review", ("cid",))]
    world.deliver(run("in_progress"), job("in_progress"))
    assert stands("10:33") == [("running", "CI", ())]
    world.deliver(*CI_FAILED[1:])
    assert stands() == [("waiting", "fix", ("bob",))]
    world.deliver(run("completed", "10:50:00", 2), review("approved"), merged())
    assert stands("11:45") == [("finished", "merged", ())]
    world.deliver(deploy("in_progress"))
    assert stands("11:45") == [("running", "deploy", ())]
    world.deliver(deploy("success", "11:50:00"))
    assert stands("12:40") == [("finished", "production", ())]
    assert stands("15:00") == [], "after two hours it is history"


def test_what_is_kept_up_is_what_a_fresh_look_finds() -> None:
    story = [issue(**NO_ONE), run("in_progress"), job("in_progress"), pull(), review("approved"),
             *CI_FAILED[1:], merged(), deploy("waiting"),
             deploy("success", "11:50:00")]  # fmt: skip
    world, kept = World(), TraceBoard()
    for delivery in story:
        world.deliver(delivery)
        fresh = TraceBoard().board(world.db, "", NOON)
        assert kept.board(world.db, "", NOON) == fresh
    assert len(fresh.rows) == 1, "parts that joined a trace are no rows of their own"


def test_a_past_moment_is_judged_by_what_was_so_then() -> None:
    world = World().deliver(pull(), merged(), deploy("success", "11:50:00"))
    at = moment("11:00")
    (row,) = TraceBoard().board(world.db, "", moment("2026-03-04T12:00"), at).rows
    assert (row.section.value, row.action.verb) == ("waiting", "review")


def test_a_deploy_that_waits_is_passed_by_a_later_one_of_another_trace() -> None:
    world = World().deliver(deploy("waiting", "11:45:00"))
    assert _sections(TraceBoard().board(world.db, "", NOON)) == ["waiting"]
    later = deploy("success", "12:50:00")
    body = orjson.loads(later.body)
    body["deployment"] |= {"id": 77, "sha": "e" * 40, "created_at": "2026-03-02T12:45:00Z"}
    world.deliver(from_github("deployment_status", body))
    rows = TraceBoard().board(world.db, "", moment("13:00")).rows
    assert [r.section.value for r in rows if r.action.rule == "gate"] == []


def _sections(board: Board) -> list[str]:
    return [row.section.value for row in board.rows]


@pytest.fixture
def three() -> World:
    """A change that waits, an issue nobody took, a run of another repository."""
    nightly = run("completed", "10:36:00", event="schedule", pull_requests=[], id=556,
                  head_branch="main", head_sha="c" * 40, conclusion="failure")  # fmt: skip
    return World().deliver(pull(body="no issue"), issue(number=99, **NO_ONE), nightly)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", 3),
        ("section:waiting", 2),
        ("section:not_started", 1),
        ("next:cid", 1),
        ("next:nobody", 1),
        ("step:review", 1),
        ("-step:review", 2),
        ("wait>1h", 2),
        ("wait>4h", 0),
        ("kind:pr state:open", 1),
        ("kind:pr state:failed", 0),
        ("invoices", 2),
        ("is:silent", 0),
        ("over>1.5", 0),
    ],
)
def test_a_filter_knows_the_terms_of_traces_and_those_of_their_steps(three, text, found) -> None:
    board = TraceBoard().board(three.db, text, NOON)
    assert len(board.rows) == found
    assert sum(board.everything.sections.values()) == 3


def test_a_filter_that_leaves_nothing_says_what_each_term_leaves(three) -> None:
    board = TraceBoard().board(three.db, "step:review next:nobody", NOON)
    assert board.rows == [] and board.terms == {"step:review": 1, "next:nobody": 1}


@pytest.mark.parametrize("text", ["over:2", "over>x", "wait:1h", "wait>soon", "section:"])
def test_a_wrong_term_says_what_is_accepted(three, text) -> None:
    with pytest.raises(FilterError):
        TraceBoard().board(three.db, text, NOON)


def test_terms_of_traces_are_refused_for_lists_of_spans() -> None:
    from vs_tui.model.filters import parse

    with pytest.raises(FilterError, match="filters traces"):
        parse("next:ana")


def test_an_order_keeps_the_sections(three) -> None:
    rows = TraceBoard().board(three.db, "", NOON).rows
    for order in ("over", "person", "project", "name", "-name"):
        assert [r.section for r in ordered(rows, order, NOON)] == [r.section for r in rows]
    first, *_ = ordered(rows, "person", NOON)
    assert first.label == "#34", "with a person first"


def test_quiet_rows_come_last_and_a_failed_run_is_forgotten_after_a_while(three) -> None:
    late = TraceBoard().board(three.db, "", NOON + 15 * DAY)
    assert [row.is_quiet(NOON + 15 * DAY) for row in late.rows] == [True, False]
