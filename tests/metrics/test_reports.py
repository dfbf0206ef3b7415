"""What reports read out of columns is what the spans say, whatever happened in between."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.metrics.deliveries import TEAMS, Database
from tests.metrics.world import t
from vs_tui.metrics.buckets import Buckets
from vs_tui.metrics.pull_requests import PERIODS
from vs_tui.metrics.requests import periods_of
from vs_tui.metrics.windows import MONDAY, SUNDAY, Window, zone_of
from vs_tui.model.teams import Team, Teams
from vs_tui.model.time import DAY, HOUR, MINUTE
from vs_tui.model.vocabulary import Event, State
from vs_tui.sources.reading import parse_stored
from vs_tui.store import metrics_durations, metrics_flaky, metrics_requests
from vs_tui.store.filter_sql import span_where
from vs_tui.store.metrics_making import make_reports
from vs_tui.store.metrics_tree import BUCKETS, unkept
from vs_tui.store.rebuild import rebuild
from vs_tui.store.team_reassignment import adopt_teams

BEGIN = BUCKETS.stretch((3, 200))[0]
"""Where a bucket of every size begins."""
LEAF = 1 << BUCKETS.shifts[0]
OTHERS = Teams((Team("core", ("acme/web",)), Team("people", users=("ada",))))
GROUPINGS = (
    ("operation",),
    ("team",),
    ("operation", "status", "service"),
    ("project", "environment", "source"),
    ("actor",),
    ("operation", "name"),
)
FILTERS = ("", "kind:build", "-team:core", "kind:deploy project:api", "state:ok", "dur>1h")
ZONES = ("", "Europe/Berlin", "America/Los_Angeles", "Pacific/Apia")
SHORT = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])

moments = st.one_of(
    st.integers(0, 400).map(lambda n: BEGIN + n * 6 * HOUR),
    st.integers(0, 40).map(lambda n: BEGIN + n * LEAF),
    st.integers(0, 30).map(lambda n: BEGIN + n * 7 * MINUTE),
)
spans = st.fixed_dictionaries(
    {
        "number": st.integers(0, 12),
        "operation": st.sampled_from(("build", "build", "pull_request", "deploy", "test")),
        "began": st.one_of(st.none(), moments),
        "ended": st.one_of(st.none(), moments),
        "state": st.sampled_from((State.OK, State.OK, State.ERROR, State.CANCELLED)),
        "service": st.sampled_from(("api", "web")),
        "actor": st.sampled_from(("ada", "bob")),
        "commit": st.sampled_from(("", "c1", "c1", "c2")),
        "job": st.sampled_from(("lint", "unit")),
        "supersedes": st.booleans(),
        "lines": st.one_of(st.none(), st.integers(0, 9)),
    }
)
steps = st.one_of(
    st.tuples(st.just("tell"), st.lists(spans, min_size=1, max_size=8)),
    st.tuples(st.just("tell"), st.lists(spans, min_size=1, max_size=8)),
    st.tuples(st.just("make"), moments),
    st.tuples(st.just("prune"), moments),
    st.tuples(st.just("teams"), st.sampled_from((TEAMS, OTHERS))),
)
windows = st.tuples(moments, moments, moments, st.sampled_from(ZONES)).map(
    lambda found: Window(min(found[:2]), max(found[:2]), found[2], zone_of(found[3]))
)
asked = st.lists(
    st.tuples(windows, st.sampled_from(("", "core", "people"))), min_size=1, max_size=3
)


def events_of(told: dict[str, Any]) -> list[Event]:
    attributes: dict[str, Any] = {"cicd.pipeline.task.name": told["job"]}
    if told["commit"]:
        attributes["vcs.ref.head.revision"] = told["commit"]
    if told["lines"] is not None:
        attributes |= {"vs.pr.additions": told["lines"], "vs.pr.comments": told["lines"] // 2}
    key = f"{told['operation']}-{told['number']}"
    values = {
        "key": key,
        "source": "customhttp",
        "operation": told["operation"],
        "name": key,
        "project": f"acme/{told['service']}",
        "service": told["service"],
        "actor": told["actor"],
        "attributes": attributes,
        "supersedes": told["supersedes"],
    }
    found = []
    if told["began"] is not None:
        at = told["began"]
        found.append(Event(state=State.RUNNING, occurred_at=at, started_at=at, **values))
    if told["ended"] is not None:
        found.append(Event(state=told["state"], occurred_at=told["ended"], **values))
    return found


def make(base: Database, now: int) -> None:
    base.folding.context.now = now
    more = True
    while more:
        base.db.execute("BEGIN IMMEDIATE")
        more = make_reports(base.db, base.folding)
        base.db.execute("COMMIT")


def do(base: Database, step: tuple[str, Any]) -> None:
    name, value = step
    if name == "tell":
        base.tell(*(event for told in value for event in events_of(told)))
    elif name == "make":
        make(base, value)
    else:
        base.db.execute("BEGIN IMMEDIATE")
        if name == "prune":
            base.prune(value)
        else:
            base.folding.context = replace(base.folding.context, teams=value)
            while adopt_teams(base.db, base.folding):
                pass
        base.db.execute("COMMIT")


def check(base: Database, window: Window, team: str) -> None:
    """Every report is what the spans say one by one."""
    for grouping in GROUPINGS:
        for text in FILTERS:
            where, bound = span_where(text, window.now)
            if team:
                where, bound = f"({where}) AND team = ?", [*bound, team]
            straight = metrics_durations.read_from_spans(
                base.db, window, grouping, f"derived = 0 AND ({where})", bound
            )
            found = metrics_durations.read_durations(base.db, window, grouping, text, team)
            assert found == straight, (grouping, text)
    for period in PERIODS:
        for week_start in (MONDAY, SUNDAY):
            asked = (base.db, window, team, period, week_start)
            straight = metrics_requests.read_from_pull_requests(*asked)
            assert metrics_requests.read_periods(*asked) == straight, period
    straight = metrics_flaky.read_from_spans(base.db, window, team)
    assert metrics_flaky.read_flaky(base.db, window, team) == straight


@SHORT
@given(told=st.lists(steps, min_size=3, max_size=10), asked=asked)
def test_columns_say_what_the_spans_say(tmp_path_factory, told, asked) -> None:
    tell_and_check(tmp_path_factory.mktemp("reports") / "x.db", told, asked)


@pytest.mark.full
@pytest.mark.timeout(3600)
@settings(SHORT, max_examples=500)
@given(told=st.lists(steps, min_size=3, max_size=10), asked=asked)
def test_columns_say_what_the_spans_say_of_many_histories(tmp_path_factory, told, asked) -> None:
    tell_and_check(tmp_path_factory.mktemp("reports") / "x.db", told, asked)


def tell_and_check(
    path: Path, told: list[tuple[str, Any]], asked: list[tuple[Window, str]]
) -> None:
    base = Database(path)
    base.db.execute("PRAGMA synchronous = OFF")
    for number, step in enumerate(told):
        do(base, step)
        # Another question after each step: all after each would take minutes.
        check(base, *asked[number % len(asked)])
    base.db.close()


def a_build(number: int, ended: int, **more: Any) -> dict[str, Any]:
    told = {"operation": "build", "began": ended - MINUTE, "state": State.OK, "service": "api"}
    told |= {"actor": "ada", "commit": f"c{number}", "job": "unit", "supersedes": False}
    return {**told, "lines": None, "number": number, "ended": ended, **more}


@pytest.fixture
def base(tmp_path):
    """A build each hour of 40 days, of which all but the last are in columns."""
    opened = Database(tmp_path / "reports.db")
    builds = [a_build(n, BEGIN + n * HOUR, commit=f"c{n // 2}") for n in range(40 * 24)]
    do(opened, ("tell", builds))
    make(opened, BEGIN + 40 * DAY)
    yield opened
    opened.db.close()


def read(base: Database, days: int) -> tuple[int, list[str]]:
    """How many builds a report finds, and the statements that read spans for it."""
    said: list[str] = []
    base.db.set_trace_callback(said.append)
    window = Window(BEGIN, BEGIN + days * DAY, BEGIN + days * DAY)
    (figures,) = metrics_durations.read_durations(base.db, window, ["operation"])
    base.db.set_trace_callback(None)
    return figures.finished, [sql for sql in said if "FROM spans WHERE ended_at >=" in sql]


def test_columns_are_read_and_only_the_ends_of_a_window_are_read_from_spans(base) -> None:
    found, from_spans = read(base, 30)
    assert found == 30 * 24
    assert len(from_spans) == 2, "where the window ends, and what is not over yet"


def test_what_is_told_late_is_read_at_once_and_made_with_the_next(base) -> None:
    do(base, ("tell", [a_build(5, BEGIN + 9 * DAY, supersedes=True, state=State.ERROR)]))
    window = Window(BEGIN, BEGIN + 30 * DAY, BEGIN + 30 * DAY)
    (figures,) = metrics_durations.read_durations(base.db, window, ["operation"])
    assert (figures.finished, figures.failed) == (30 * 24, 1)
    assert len(unkept(base.db, "finished", (BEGIN, BEGIN + 30 * DAY))) == 2
    make(base, BEGIN + 40 * DAY)
    assert unkept(base.db, "finished", (BEGIN, BEGIN + 30 * DAY)) == []
    assert metrics_durations.read_durations(base.db, window, ["operation"]) == [figures]


def test_a_commit_with_both_results_is_one_of_all_the_jobs_commits(base) -> None:
    do(base, ("tell", [a_build(7, BEGIN + 7 * HOUR, commit="c3", state=State.ERROR)]))
    window = Window(BEGIN, BEGIN + 30 * DAY, BEGIN + 30 * DAY)
    for _ in range(2):
        (job,) = metrics_flaky.read_flaky(base.db, window, "")
        assert (job.job, job.commits, job.flaky) == ("unit", 30 * 12, 1)
        assert job.example == "build-7"
        make(base, BEGIN + 40 * DAY)


def test_a_day_that_does_not_come_in_one_piece_is_asked_of_each_pull_request(base) -> None:
    """In Newfoundland clocks were put back at one minute past midnight."""
    window = Window(t("2010-11-01T00:00:00Z"), t("2010-11-20T00:00:00Z"), BEGIN)
    torn = replace(window, zone=zone_of("America/St_Johns"))
    assert periods_of(torn, "day") is None
    assert periods_of(torn, "month") is not None
    assert periods_of(replace(window, zone=zone_of("Europe/Berlin")), "day") is not None
    at = t("2010-11-07T02:30:30Z")
    opened = {**a_build(1, at + HOUR), "operation": "pull_request", "began": at}
    do(base, ("tell", [opened]))
    (found,) = metrics_requests.read_periods(base.db, torn, "", "day")
    assert (found.period.isoformat(), found.total) == ("2010-11-07", 1)


def test_a_rebuild_begins_the_columns_anew(base) -> None:
    shape = "SELECT type, name FROM sqlite_master ORDER BY name"
    before = base.db.execute(shape).fetchall()
    base.db.execute("BEGIN IMMEDIATE")
    rebuild(base.db, base.folding, parse_stored)  # there are no deliveries behind these spans
    base.db.execute("COMMIT")
    window = Window(BEGIN, BEGIN + 30 * DAY, BEGIN + 30 * DAY)
    assert metrics_durations.read_durations(base.db, window, ["operation"]) == []
    assert base.db.execute(shape).fetchall() == before
    assert ("trigger", "report_finished_gone") in before
    do(base, ("tell", [a_build(1, BEGIN + HOUR)]))
    make(base, BEGIN + 40 * DAY)
    assert read(base, 30)[0] == 1


def test_a_fault_in_making_leaves_reports_right(base, monkeypatch, caplog) -> None:
    do(base, ("tell", [a_build(5, BEGIN + 9 * DAY, supersedes=True, state=State.ERROR)]))
    monkeypatch.setattr("vs_tui.store.metrics_making.keep", lambda *_: 1 / 0)
    make(base, BEGIN + 50 * DAY)
    assert "slower" in caplog.text
    assert read(base, 30)[0] == 30 * 24


stretches = st.tuples(st.integers(0, 2_000), st.integers(0, 2_000)).map(
    lambda ends: (min(ends), max(ends))
)


@given(stretches, st.integers(0, 300), st.sets(st.integers(0, 300), max_size=5))
def test_buckets_and_what_is_left_fill_a_stretch_once(stretch, kept, marked) -> None:
    buckets = Buckets((2, 4, 7))
    broken = buckets.with_parents((0, n) for n in marked)
    found, left = buckets.cover(stretch, kept << 2, broken)
    parts = sorted([*map(buckets.stretch, found), *left])
    moments = [moment for since, until in parts for moment in range(since, until)]
    assert moments == list(range(*stretch))
    assert not broken & set(found)
    assert all(buckets.stretch(bucket)[1] <= kept << 2 for bucket in found)
