"""The list of traces out of the store: what is on it, kept up by what changed, at a past moment."""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Sequence
from types import ModuleType

import orjson
import pytest

from tests.sources import alert_payloads
from tests.sources import github_payloads as gh
from tests.store.tracing import World, custom, from_github, posted
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
    ticket,
)
from vs_tui.log.delivery import Intake
from vs_tui.model.filters import FilterError
from vs_tui.model.time import DAY, MINUTE
from vs_tui.model.vocabulary import Span
from vs_tui.store.queries import trace_board
from vs_tui.store.queries.trace_board import TraceBoard
from vs_tui.traces.board import Board, ordered
from vs_tui.traces.next_action import Section
from vs_tui.traces.standing import DeployBefore

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


STORY = [issue(**NO_ONE), run("in_progress"), job("in_progress"), pull(), review("approved"),
         *CI_FAILED[1:], merged(), deploy("waiting"), deploy("success", "11:50:00")]  # fmt: skip


FINISHED = [*STORY, run("completed", "10:50:00", 2)]


@pytest.mark.parametrize("text", ["", "invoices", "-invoices", "kind:pr state:open", "env:prod*"])
def test_what_is_kept_up_is_what_a_fresh_look_finds(text) -> None:
    world, kept = World(), TraceBoard()
    for delivery in FINISHED:
        world.deliver(delivery)
        fresh = TraceBoard().board(world.db, text, NOON)
        assert kept.board(world.db, text, NOON) == fresh
        then = TraceBoard().board(world.db, text, NOON + DAY, at=NOON)
        assert [row.trace_id for row in then.rows] == [row.trace_id for row in fresh.rows]
        assert (then.matched, then.everything) == (fresh.matched, fresh.everything)
    assert fresh.everything.listed == 1, "parts that joined a trace are no rows of their own"


def test_of_a_trace_only_its_row_is_kept_and_nothing_of_one_that_finished_long_ago() -> None:
    world, kept = World(), TraceBoard()
    world.deliver(*STORY[:5])
    (row,) = kept.board(world.db, "", NOON).rows
    listed = world.db.execute("SELECT COUNT(*) FROM spans WHERE operation <> 'stage'").fetchone()
    assert listed == (5,), "an issue, a run, its job, a change and a review"
    held = _spans_in(kept)
    assert {span.key for span in held} == {row.root.key, row.action.step.key}
    assert not any(span.attributes for span in held)

    late, evening = TraceBoard(), moment("20:00")
    late.board(world.db, "", evening)
    world.deliver(*FINISHED[5:])
    assert late.board(world.db, "", evening).rows == []
    assert _spans_in(late) == [] and not late._trace_of


def _spans_in(board: TraceBoard) -> list[Span]:
    """The spans that a board can reach."""
    seen: dict[int, object] = {}
    found = [board]
    while found:
        each = found.pop()
        if id(each) not in seen and not isinstance(each, type | ModuleType):
            seen[id(each)] = each
            found += gc.get_referents(each)
    return [each for each in seen.values() if isinstance(each, Span)]


def test_a_longer_past_is_read_when_it_is_asked_for() -> None:
    world, kept = World().deliver(*FINISHED), TraceBoard()
    late = moment("15:00")
    assert kept.board(world.db, "", late).rows == []
    (row,) = kept.board(world.db, "", late, finished_for=DAY).rows
    assert row.section is Section.FINISHED
    assert kept.board(world.db, "", late).rows == []


def test_of_very_many_traces_that_ended_lately_the_last_ones_are_kept(monkeypatch) -> None:
    monkeypatch.setattr(trace_board, "MOST_OVER", 3)
    world, kept = World(), TraceBoard()
    listed: list[Sequence[str]] = []
    for minute in (40, 10, 30, 20, 50):
        world.deliver(custom("build", minute, "end", f"11:{minute}:00", name=f"job {minute}"))
        titles = [row.title for row in kept.board(world.db, "", NOON).rows]
        assert titles == [row.title for row in TraceBoard().board(world.db, "", NOON).rows]
        listed.append(titles)
    assert listed[2] == ["job 40", "job 30", "job 10"]
    assert listed[4] == ["job 50", "job 40", "job 30"] and len(_spans_in(kept)) == 3


def test_after_a_read_that_failed_everything_is_read_again(monkeypatch) -> None:
    world, kept = World().deliver(pull()), TraceBoard()
    kept.board(world.db, "", NOON)
    world.deliver(review("approved"))
    with monkeypatch.context() as patch, pytest.raises(sqlite3.OperationalError):
        patch.setattr(trace_board, "spans_of", _fails)
        kept.board(world.db, "", NOON)
    assert kept.board(world.db, "", NOON) == TraceBoard().board(world.db, "", NOON)


def _fails(*_: object) -> None:
    raise sqlite3.OperationalError("disk I/O error")


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


def test_what_another_trace_replaces_or_ships_is_seen_with_that_change() -> None:
    """A row is judged by other traces, too: a run on `main` that passes makes its failure before
    history, and a deploy fills the cells of the changes it ships."""
    world, kept = World(), TraceBoard()

    def later(*args: str) -> Intake:
        body = orjson.loads(deploy(*args).body)
        body["deployment"]["sha"] = "9" * 40
        return from_github("deployment_status", body)

    nightly = {"event": "schedule", "pull_requests": [], "head_branch": "main"}
    story = [
        run("completed", "10:36:00", id=556, head_sha="c" * 40, conclusion="failure", **nightly),
        run(
            "completed",
            "10:46:00",
            id=557,
            head_sha="d" * 40,
            conclusion="success",
            **nightly,
            run_started_at=gh.stamp("10:41:00"),
            created_at=gh.stamp("10:41:00"),
        ),
        pull(),
        merged(),
        later("in_progress", "11:48:00"),
        later("success", "11:52:00"),
    ]
    marks = set()
    for delivery in story:
        world.deliver(delivery)
        fresh = TraceBoard().board(world.db, "", NOON)
        assert kept.board(world.db, "", NOON) == fresh
        marks |= {cell.mark for row in fresh.rows for cell in row.cells}
    assert all(row.action.verb != "fix" for row in fresh.rows)
    assert "shipped" in marks


def test_only_what_time_can_change_is_judged_again_and_the_rest_a_little_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, kept = World(), TraceBoard()
    for number in range(40, 60):
        world.deliver(pull(number=number, id=1_500_000_000 + number, body="no issue"))
    world.deliver(custom("build", 1, "start", "11:59:00", name="long one"))
    kept.board(world.db, "", NOON)
    judged: list[str] = []
    inner = trace_board.standing

    def counted(trace_id: str, *args: object, **more: object) -> object:
        judged.append(trace_id)
        return inner(trace_id, *args, **more)

    monkeypatch.setattr(trace_board, "standing", counted)

    def judged_at(clock: str) -> int:
        judged.clear()
        assert kept.board(world.db, "", moment(clock)).everything.listed == 21
        return len(set(judged))

    assert judged_at("12:00:05") == 0
    assert judged_at("12:02:00") == 1, "the machine, which may have become silent"
    assert judged_at("13:02:00") == 1
    world.deliver(custom("build", 1, "update", "13:02:30", name="long one"))
    counts = [judged_at(f"13:{minute:02}:31") for minute in range(2, 14)]
    assert max(counts) <= 4, "a tenth of the 21 traces in a minute, and the machine"
    assert sum(counts) >= 20 + 10, "each of the others once, the machine each time"


def test_what_was_pruned_leaves_the_list_within_a_minute() -> None:
    world, kept = World().deliver(pull()), TraceBoard()
    assert len(kept.board(world.db, "", NOON).rows) == 1
    world.db.execute("DELETE FROM spans")
    assert kept.board(world.db, "", NOON + MINUTE).rows == []


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


@pytest.mark.parametrize(
    ("text", "said"), [("sektion:waiting", "section:, next:, step: "), ("is:slow", "quiet")]
)
def test_a_term_that_is_not_known_is_answered_with_those_of_traces_too(three, text, said) -> None:
    with pytest.raises(FilterError, match=said):
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


def alarm(clock: str = "11:57:00", **labels: str) -> Intake:
    """An alert of Alertmanager about acme/api in production."""
    labels = {"service": "api", "environment": "production", **labels}
    return posted(
        "alertmanager", alert_payloads.alerts(alert_payloads.alert("firing", clock, "", **labels))
    )


def page(kind: str = "incident.triggered", clock: str = "11:57:00") -> Intake:
    title, service = "Checkout answers 502", {"id": "PF9", "summary": "api"}
    body = alert_payloads.pager(
        kind, clock, created_at=alert_payloads.stamp("11:57:00"), title=title, service=service
    )
    return posted("pagerduty", body)


def reported(number: int = 31, clock: str = "11:57:00") -> Intake:
    """An issue of GitHub with the label `incident`."""
    return issue(number=number, id=900_000_000 + number, title="Checkout answers 502",
                 labels=[{"name": "incident"}], created_at=gh.stamp(clock),
                 updated_at=gh.stamp(clock), **NO_ONE)  # fmt: skip


def repair(number: int = 40, clock: str = "12:05:00", body: str = "Fixes #31", **more) -> Intake:
    head = {"ref": more.pop("branch", "less-retries"), "sha": "4" * 40}
    return pull(number=number, id=1_500_000_000 + number, title="Retry less", body=body, head=head,
                created_at=gh.stamp(clock), updated_at=gh.stamp(clock), **more)  # fmt: skip


DEPLOYED = [deploy("in_progress", "11:48:00"), deploy("success", "11:52:00")]
INCIDENTS = {
    "an alert near the deploy": ([alarm()], (5 * MINUTE, False), ""),
    "a page near the deploy": ([page()], (5 * MINUTE, False), ""),
    "an issue labelled incident": ([reported()], (5 * MINUTE, False), ""),
    "no deploy": ([reported(clock="09:00:00")], None, ""),
    "a deploy that is named": (
        [posted("pagerduty", alert_payloads.pager(
            "incident.triggered", "11:57:00", created_at=alert_payloads.stamp("11:57:00"),
            title="502 since vstrace-github-deploy-api-42", service={"summary": "api"}))],
        (5 * MINUTE, True), "",
    ),
    "a change that names it": ([reported(), repair()], (5 * MINUTE, False), "#40"),
    "the change came first": ([repair(), reported()], (5 * MINUTE, False), "#40"),
    "the newer of two": (
        [reported(), repair(), repair(41, "12:06:00", "closes #31")], (5 * MINUTE, False), "#41"
    ),
    "older than the incident": ([reported(), repair(clock="10:00:00")], (5 * MINUTE, False), ""),
    "names another": ([reported(), repair(body="Fixes #32")], (5 * MINUTE, False), ""),
    "a ticket's change names it": (
        [reported(), *ticket(), repair(branch="tp-3-less-retries")], (5 * MINUTE, False), "TP-3"
    ),
    "an incident of Jira": (
        [*ticket(key="INC-31", issuetype={"name": "[System] Incident"}),
         repair(branch="inc-31-less-retries", body="")], None, "#40",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INCIDENTS)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "one by one"])
def test_an_incident_tells_the_deploy_before_it_and_the_work_that_names_it(name, at_once) -> None:
    sent, after, fix = INCIDENTS[name]
    world, kept = World(), TraceBoard()
    for each in [*DEPLOYED, *sent]:
        world.deliver(each)
        if not at_once:
            kept.board(world.db, "", moment("12:20"))
    found = kept.board(world.db, "", moment("12:20")).rows[0]
    assert found.section is Section.INCIDENT
    assert found.title == found.action.step.name, (
        "the incident's own name, whatever is in its trace"
    )
    assert found.after == (after and DeployBefore(found.after.name, *after))
    assert found.after is None or found.after.name.startswith("api")
    assert found.fix == fix
    then = TraceBoard().board(world.db, "", moment("12:20"), at=moment("12:20")).rows[0]
    assert (then.after, then.fix) == (found.after, found.fix)


@pytest.mark.parametrize("kind", ["build", "task"])
def test_every_kind_of_machine_is_compared_with_its_own_series(kind) -> None:
    world = World()
    for n in range(5):  # ten minutes each
        world.deliver(custom(kind, n, "start", f"0{n}:00:00", name="load"))
        world.deliver(custom(kind, n, "end", f"0{n}:10:00", name="load"))
    world.deliver(custom(kind, "own", "start", "11:55:00", name="load"))
    (row,) = (r for r in TraceBoard().board(world.db, "", NOON).rows if not r.is_over)
    assert (row.section, row.left(NOON)) == (Section.RUNNING, 5 * MINUTE)


def test_a_past_moment_is_judged_by_the_usual_times_that_were_known_then() -> None:
    world = World()
    for n in range(5):  # ten minutes each
        world.deliver(custom("build", n, "start", f"0{n}:00:00", name="web"))
        world.deliver(custom("build", n, "end", f"0{n}:10:00", name="web"))
    world.deliver(custom("build", "own", "start", "12:00:00", name="web"))
    for n in range(50, 59):  # later ones of a second, by which the next run is judged
        world.deliver(custom("build", n, "start", f"13:{n}:00", name="web"))
        world.deliver(custom("build", n, "end", f"13:{n}:01", name="web"))

    def stands(clock: str) -> tuple[Section, str, int | None, float | None]:
        at = moment(clock)
        (row,) = (
            row
            for row in TraceBoard().board(world.db, "", moment("14:00"), at=at).rows
            if row.action.step is not None and row.action.step.in_flight
        )
        return row.section, row.action.rule, row.left(at), row.over(at)

    assert stands("12:04") == (Section.RUNNING, "machine", 6 * MINUTE, 0.4)
    assert stands("12:20") == (Section.RUNNING, "machine", None, 2.0)
    assert stands("12:31") == (Section.WAITING, "silent", None, 3.1), "three times ten minutes"
