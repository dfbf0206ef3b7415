"""The row of a trace: its track, its name, its usual times."""

from __future__ import annotations

import pytest

from tests.sources import github_payloads as gh
from tests.traces.test_critical_path import T, change, span
from tests.traces.test_next_action import (
    CI_FAILED,
    CI_PASSED,
    NO_ONE,
    OPENED,
    RED,
    deploy,
    issue,
    job,
    merged,
    moment,
    pull,
    request,
    review,
    run,
    spans_of,
    ticket,
)
from vs_tui.model.teams import Environments, People
from vs_tui.model.time import DAY, HOUR, MINUTE
from vs_tui.model.vocabulary import Status
from vs_tui.traces.baseline import Baseline
from vs_tui.traces.next_action import Section
from vs_tui.traces.standing import CELLS, Custom, Standing, custom_of, standing

PEOPLE = People({"bob": ("Bob Builder", "bbuilder@acme.example"), "cid": ()})


def test_a_person_is_one_whatever_the_tool_calls_the_person() -> None:
    """Jira knows the assignee by a display name, GitHub the author by a login."""
    assigned = ticket(("In Progress", "indeterminate"))
    assert row(assigned).action.who == ("Bob Builder",)
    assert row(assigned, people=PEOPLE).action.who == ("bob",)
    failed = [pull(), *CI_FAILED]
    assert row(failed, people=PEOPLE).action.who == row(failed).action.who == ("bob",)
    asked = pull(requested_reviewers=[gh.user("Cid"), gh.user("cid"), gh.user("zoe")])
    assert row([asked], people=PEOPLE).action.who == ("cid", "zoe"), "each once; others as told"


SIGNS = {"": " ", "open": "o", "running": "*", "done": "+", "waiting": "=", "failed": "x",
         "expected": ".", "silent": "?", "dropped": "-", "followed": "!"}  # fmt: skip
SHIPPED = [issue(**NO_ONE), pull(), review("approved"), *CI_PASSED, merged(),
           deploy("success", "11:45:00", "stg"), deploy("success", "11:50:00")]  # fmt: skip


def row(sent, clock: str = "12:00", **more) -> Standing:
    spans = spans_of(sent)
    return standing(spans[0].trace_id, spans, moment(clock), **more)


def cells(found: Standing) -> str:
    """Six signs, and what is counted."""
    return " ".join(
        SIGNS[cell.mark] + (f"{cell.done}/{cell.all}" if cell.all else "") for cell in found.cells
    )


@pytest.mark.parametrize(
    ("sent", "track"),
    [
        ([issue(**NO_ONE)], "o          "),
        (OPENED, "o o =      "),
        ([*OPENED, review("changes_requested")], "o o x      "),
        ([*OPENED, review("approved")], "o o +      "),
        ([pull("opened", draft=True)], "  o        "),
        ([*OPENED, run("requested")], "o o = .0/1    "),
        ([*OPENED, run("in_progress"), job("completed", 7001, "lint"),
          job("in_progress", 7002, "e2e"), job("queued", 7003, "unit")], "o o = *1/3    "),
        ([*OPENED, run("in_progress"), job("completed", 7001, "lint", **RED),
          job("in_progress", 7002, "e2e")], "o o = x1/2    "),
        ([*OPENED, *CI_FAILED], "o o = x    "),
        (SHIPPED[:5], "o o + +    "),
        ([pull(), pull("closed", state="closed")], "  -        "),
        ([*SHIPPED[:-2], deploy("in_progress", environment="stg")], "o + + + *  "),
        ([*SHIPPED[:-1], deploy("waiting")], "o + + + + ="),
        (SHIPPED, "o + + + + +"),
    ],
)  # fmt: skip
def test_the_track(sent, track) -> None:
    assert cells(row(sent, "2026-03-02T12:00")) == track


def test_a_second_try_of_a_job_replaces_the_first() -> None:
    again = [*CI_FAILED, run("in_progress", "10:40:00", 2), job("completed", 7002, attempt=2,
             run_attempt=2), run("completed", "10:50:00", 2)]  # fmt: skip
    assert cells(row([*OPENED, *again])).startswith("o o = +")


def test_what_half_of_the_finished_ones_had_is_expected_of_the_next() -> None:
    past = [spans_of(SHIPPED)] * 2 + [spans_of([issue(**NO_ONE), pull(), merged()])]
    custom = custom_of(past, Environments())
    assert custom.stations == frozenset(CELLS) and custom.deploys_later
    assert cells(row(OPENED, custom=custom)) == "o o = . . ."
    assert custom_of(past[:2], Environments()) == Custom(), "two say nothing"


def test_nothing_is_expected_of_what_has_ended() -> None:
    custom = Custom(frozenset(CELLS))
    closed = [pull(), pull("closed", state="closed", closed_at="2026-03-02T11:00:00Z")]
    assert cells(row(closed, custom=custom)) == "  -        "


def test_waits_are_compared_with_those_of_the_last_finished_changes() -> None:
    few = Custom(waits={"review": Baseline(4, HOUR)})
    many = Custom(waits={"review": Baseline(5, HOUR)})
    now = moment("12:00")
    assert row(OPENED, custom=few).over(now) is None, "four are too few"
    found = row(OPENED, custom=many)
    assert found.over(now) == 2.0 and found.is_long(now) and found.left(now) is None


def test_machines_below_their_usual_time_say_what_is_left() -> None:
    spans = spans_of([*OPENED, run("in_progress"), job("in_progress")])
    now = moment("10:33")
    step = standing("t", spans, now).action.step
    assert step is not None
    usual = {step.key: Baseline(9, 4 * MINUTE, 6 * MINUTE)}
    found = standing("t", spans, now, usual=usual)
    assert found.section is Section.RUNNING and found.action.step == step
    began = found.action.since or 0
    assert found.left(began + MINUTE) == 3 * MINUTE
    assert found.left(began + 5 * MINUTE) is None and found.over(began + 6 * MINUTE) == 1.5


def test_what_is_silent_for_three_times_its_usual_time_is_not_running() -> None:
    spans = spans_of([*OPENED, run("in_progress"), job("in_progress")])
    step = next(span for span in spans if span.operation == "build")
    usual = {step.key: Baseline(9, 4 * MINUTE, 6 * MINUTE)}
    assert standing("t", spans, moment("10:45"), usual=usual).section is Section.RUNNING
    silent = standing("t", spans, moment("11:45"), usual=usual)
    assert silent.action.rule == "silent" and silent.cells[3].mark == "silent"


@pytest.mark.parametrize(
    ("sent", "label"),
    [(OPENED, "#12"), ([pull()], "#34"), ([request()], "!34"), (ticket(), "TP-3")],
)
def test_a_row_is_called_by_its_number_once(sent, label) -> None:
    found = row(sent)
    assert f"{found.label} {found.title}".split().count(label) == 1


def test_its_age_begins_with_the_change_and_not_with_an_old_issue() -> None:
    old = issue(created_at="2026-01-02T09:00:00Z", **NO_ONE)
    found = row([old, pull()])
    assert found.began_at == moment("10:00")


def test_a_waiting_row_is_quiet_after_fourteen_days() -> None:
    found = row(OPENED)
    assert not found.is_quiet(found.last_sign_at + 14 * DAY)
    assert found.is_quiet(found.last_sign_at + 14 * DAY + 1)


def test_a_deploy_of_another_trace_fills_its_cell_with_a_mark_of_its_own() -> None:
    """What ships a change is known with medium confidence: the mark says so."""
    merged_change = change(0, 60)
    shipping = span("d", 100, 110, "", "deploy", environment="production")
    usual = Custom(frozenset({"production"}), deploys_later=True)
    waiting = standing("t", [merged_change], T + 2 * HOUR, custom=usual)
    assert (waiting.action.verb, waiting.cells[-1].mark) == ("next deploy", "expected")
    shipped = standing("t", [merged_change], T + 2 * HOUR, custom=usual, shipped=[shipping])
    assert (shipped.section, shipped.action.verb) == (Section.FINISHED, "production")
    assert shipped.cells[-1].mark == "shipped"
    failed = shipping._replace(status=Status.ERROR)
    again = standing("t", [merged_change], T + 2 * HOUR, custom=usual, shipped=[failed])
    assert again.cells[-1].mark == "expected", "it shipped nothing"
