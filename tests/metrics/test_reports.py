"""The reports of durations, pull requests and flaky jobs are what the spans say one by one."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from math import fsum
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.metrics.deliveries import TEAMS, Database
from tests.metrics.world import THE_DAY, t
from vs_tui.metrics.pull_requests import PeriodFigures
from vs_tui.metrics.statistics import Distribution, SpanGroup, percentile, ratio
from vs_tui.metrics.windows import BUCKETS, MONDAY, SUNDAY, Window, day_of, period_start, zone_of
from vs_tui.model import filters
from vs_tui.model.teams import Team, Teams
from vs_tui.model.time import HOUR, MINUTE, SECOND, Instant
from vs_tui.model.vocabulary import Event, Span, State, Status
from vs_tui.store import rows
from vs_tui.store.maintenance.sweeper import adopt_teams
from vs_tui.store.queries.span_reports import (
    Whose,
    read_durations,
    read_flaky,
    read_periods,
    read_pull_requests,
    spans_of,
)
from vs_tui.store.rows import job_of

BEGIN = t("2026-01-05T00:00:00Z")
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
        "commit": st.sampled_from(("", "c1", "C1", "c2")),
        "job": st.sampled_from(("lint", "unit")),
        "supersedes": st.booleans(),
        "lines": st.one_of(st.none(), st.integers(0, 9)),
    }
)
steps = st.one_of(
    st.tuples(st.just("tell"), st.lists(spans, min_size=1, max_size=8)),
    st.tuples(st.just("tell"), st.lists(spans, min_size=1, max_size=8)),
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


def do(base: Database, step: tuple[str, Any]) -> None:
    name, value = step
    if name == "tell":
        base.tell(*(event for told in value for event in events_of(told)))
        return
    base.db.execute("BEGIN IMMEDIATE")
    if name == "prune":
        base.prune(value)
    else:
        base.folding.context = replace(base.folding.context, teams=value)
        while adopt_teams(base.db, base.folding):
            pass
    base.db.execute("COMMIT")


def all_spans(db: sqlite3.Connection, team: str) -> list[Span]:
    sql = f"SELECT {rows.SELECT_SPAN} FROM spans WHERE derived = 0 AND ? IN ('', team)"
    return [rows.span_of(row) for row in db.execute(sql, (team,))]


class Figures(NamedTuple):
    group: tuple[str, ...]
    started: int
    finished: int
    ok: int
    failed: int
    cancelled: int
    in_progress: int
    success_ratio: float | None
    duration: Distribution


def figures_of(groups: Sequence[SpanGroup]) -> list[Figures]:
    return [Figures(*(getattr(each, name) for name in Figures._fields)) for each in groups]


def durations_by_hand(
    found: Sequence[Span], window: Window, grouping: Sequence[str]
) -> list[Figures]:
    groups: dict[tuple[str, ...], list[Span]] = defaultdict(list)
    for span in found:
        named = tuple(getattr(span, name) for name in grouping)
        groups[tuple(str(getattr(each, "value", each)) for each in named)].append(span)
    figures = []
    for group, members in groups.items():
        since_then = [s for s in members if s.ended_at is None or s.ended_at >= window.since]
        ended = [s for s in members if s.ended_at is not None and s.ended_at in window]
        ok = sum(s.status is Status.OK for s in ended)
        failed = sum(s.status.failed for s in ended)
        took = [
            max(s.ended_at - s.started_at, 0)
            for s in ended
            if s.started_at is not None and s.status is not Status.CANCELLED
        ]
        counted = Figures(
            group=group,
            started=sum(s.started_at is not None and s.started_at in window for s in since_then),
            finished=len(ended),
            ok=ok,
            failed=failed,
            cancelled=sum(s.status is Status.CANCELLED for s in ended),
            in_progress=sum(
                s.started_at is not None
                and s.started_at <= window.end
                and (s.ended_at is None or s.ended_at > window.end)
                for s in members
            ),
            success_ratio=ratio(ok, ok + failed),
            duration=Distribution.of(took),
        )
        if counted.started or counted.finished or counted.in_progress:
            figures.append(counted)
    return sorted(figures, key=lambda each: (-each.finished, each.group))


def periods_by_hand(
    found: Sequence[Span], window: Window, period: str, week_start: int
) -> list[PeriodFigures]:
    opened = [
        s
        for s in found
        if s.operation == "pull_request" and s.started_at is not None and s.started_at in window
    ]
    groups: dict[tuple[Any, str], list[Span]] = defaultdict(list)
    for span in opened:
        first = period_start(day_of(span.started_at, window.zone), period, week_start)
        groups[first, span.project].append(span)

    def took(span: Span) -> int:
        return max((window.now if span.ended_at is None else span.ended_at) - span.started_at, 0)

    def hours(duration: float) -> float:
        return duration / SECOND / 3600

    def mean(values: Sequence[float]) -> float | None:
        return fsum(values) / len(values) if values else None

    figures = []
    for (first, project), members in sorted(groups.items()):
        until_then = sorted(
            took(s)
            for (other, of), group in groups.items()
            if other <= first and of == project
            for s in group
        )
        sized = [s for s in members if "vs.pr.additions" in s.attributes]
        lines = {s.key: s.attributes["vs.pr.additions"] for s in sized}
        comments = {s.key: s.attributes["vs.pr.comments"] for s in sized}
        merged = sum(s.status is Status.OK for s in members)
        figures.append(
            PeriodFigures(
                period=first,
                owner="acme",
                repo=project.removeprefix("acme/"),
                total=len(members),
                merged=merged,
                merge_ratio=merged / len(members),
                lines=mean([*lines.values()]),
                hours=hours(sum(map(took, members)) / len(members)),
                seconds_per_line=mean(
                    [took(s) / SECOND / lines[s.key] for s in sized if lines[s.key]]
                ),
                seconds_per_comment=mean(
                    [took(s) / SECOND / comments[s.key] if comments[s.key] else 0.0 for s in sized]
                ),
                comments=mean([*comments.values()]),
                running_p50=hours(median(until_then)),
                running_p95=hours(percentile(until_then, 95)),
                running_p99=hours(percentile(until_then, 99)),
            )
        )
    return figures


def flaky_by_hand(found: Sequence[Span], window: Window) -> dict[tuple[str, str], Any]:
    """(project, job) -> (commits, flaky commits, when last, examples that are right)."""
    jobs: dict[tuple[str, str], dict[str, list[Span]]] = defaultdict(lambda: defaultdict(list))
    for span in found:
        job, commit = job_of(span.operation, span.name, span.attributes)
        if commit and span.status in (Status.OK, Status.ERROR) and span.ended_at in window:
            jobs[span.project, job][commit].append(span)
    figures = {}
    for name, commits in jobs.items():
        both = [runs for runs in commits.values() if len({run.status for run in runs}) == 2]
        if both:
            last = max(run.ended_at for runs in both for run in runs)
            examples = {run.key for runs in both for run in runs if run.ended_at == last}
            figures[name] = (len(commits), len(both), last, examples)
    return figures


def check(base: Database, window: Window, team: str, number: int) -> None:
    """Every report is what the spans say one by one; `number` varies what is asked."""
    whose = spans_of(base.db, team, Teams())
    found = all_spans(base.db, team)
    for n, text in enumerate(FILTERS):
        grouping = GROUPINGS[(n + number) % len(GROUPINGS)]
        wanted = filters.parse(text)
        matching = [span for span in found if wanted.matches(span, window.now)]
        by_hand = durations_by_hand(matching, window, grouping)
        groups, of = read_durations(base.db, window, grouping, text, whose)
        assert (figures_of(groups), of) == (by_hand, len(by_hand)), (text, grouping)
        most, of = read_durations(base.db, window, grouping, text, whose, 2)
        assert (most, of) == (groups[:2], len(groups))
    for period in BUCKETS:
        for week_start in (MONDAY, SUNDAY):
            by_hand = periods_by_hand(found, window, period, week_start)
            assert read_periods(base.db, window, whose, period, week_start) == by_hand
    jobs = read_flaky(base.db, window, whose)
    flaky = flaky_by_hand(found, window)
    assert {(job.project, job.job) for job in jobs} == set(flaky)
    for job in jobs:
        commits, both, last, examples = flaky[job.project, job.job]
        assert (job.commits, job.flaky, job.last_at) == (commits, both, last)
        assert job.example in examples


@SHORT
@given(told=st.lists(steps, min_size=3, max_size=10), asked=asked)
def test_reports_say_what_the_spans_say(tmp_path_factory, told, asked) -> None:
    tell_and_check(tmp_path_factory.mktemp("reports") / "x.db", told, asked)


@pytest.mark.full
@pytest.mark.timeout(3600)
@settings(SHORT, max_examples=500)
@given(told=st.lists(steps, min_size=3, max_size=10), asked=asked)
def test_reports_say_what_the_spans_say_of_many_histories(tmp_path_factory, told, asked) -> None:
    tell_and_check(tmp_path_factory.mktemp("reports") / "x.db", told, asked)


def tell_and_check(
    path: Path, told: list[tuple[str, Any]], asked: list[tuple[Window, str]]
) -> None:
    base = Database(path)
    base.db.execute("PRAGMA synchronous = OFF")
    for number, step in enumerate(told):
        do(base, step)
        # Another question after each step: all after each would take minutes.
        check(base, *asked[number % len(asked)], number)
    base.db.close()


@pytest.fixture
def base(tmp_path):
    opened = Database(tmp_path / "reports.db")
    yield opened
    opened.db.close()


def a_span(number: int, operation: str, ended: Instant | None, **more: Any) -> dict[str, Any]:
    told = {"operation": operation, "began": None if ended is None else ended - MINUTE}
    told |= {"state": State.OK, "service": "api", "actor": "ada", "commit": f"c{number}"}
    told |= {"job": "unit", "supersedes": False, "lines": None}
    return {**told, "number": number, "ended": ended, **more}


def test_durations_count_what_began_ended_and_goes_on(base) -> None:
    told = [
        a_span(1, "build", t("10:10"), began=t("10:00")),
        a_span(2, "build", t("11:20"), began=t("11:00"), state=State.ERROR),
        a_span(3, "build", t("11:31"), began=t("11:30"), state=State.CANCELLED),
        a_span(4, "build", None, began=t("23:00")),
        a_span(5, "build", t("12:00"), began=None),
        a_span(6, "build", t("00:30"), began=t("2026-03-01T23:00:00Z")),
        a_span(7, "build", t("2026-03-03T00:10:00Z"), began=t("23:50")),
        a_span(8, "deploy", t("2026-02-01T01:00:00Z")),
    ]
    do(base, ("tell", told))
    (build,), _ = read_durations(base.db, THE_DAY, ["operation"])
    assert build.group == ("build",)
    assert (build.started, build.finished, build.ok, build.failed) == (5, 5, 3, 1)
    assert (build.cancelled, build.in_progress) == (1, 2)
    assert build.success_ratio == 0.75
    assert build.duration == Distribution(3, 40 * MINUTE, 20 * MINUTE, 90 * MINUTE, 90 * MINUTE,
                                          90 * MINUTE)  # fmt: skip


def test_a_job_is_flaky_when_one_commit_gave_both_results(base) -> None:
    do(
        base,
        (
            "tell",
            [
                a_span(1, "test", t("10:00"), job="e2e", commit="a", state=State.ERROR),
                a_span(2, "test", t("10:10"), job="e2e", commit="A"),
                a_span(3, "test", t("10:20"), job="e2e", commit="b"),
                a_span(4, "test", t("10:30"), commit="a", state=State.ERROR),
                a_span(5, "test", t("10:40"), commit="b"),
            ],
        ),
    )
    (job,) = read_flaky(base.db, THE_DAY, Whose())
    assert (job.job, job.flaky, job.commits, job.rate) == ("e2e", 1, 2, 0.5)
    assert (job.last_at, job.example) == (t("10:10"), "test-2")


def test_a_project_that_two_teams_list_is_in_the_reports_of_both(tmp_path) -> None:
    teams = Teams((Team("core", ("acme/*",)), Team("web", ("acme/web",))))
    base = Database(tmp_path / "shared.db", teams)
    for number, service in enumerate(("api", "web", "web")):
        more = {"service": service, "commit": "c", "began": t("09:00")}
        result = State.OK if number else State.ERROR
        do(base, ("tell", [a_span(number, "build", t("10:00"), state=result, **more)]))
        do(base, ("tell", [a_span(number, "pull_request", t("11:00"), **more)]))
    do(
        base,
        ("tell", [a_span(7, "build", t("10:30"), service="web", commit="c", state=State.ERROR)]),
    )

    def seen(team: str):
        whose = spans_of(base.db, team, teams)
        figures, _ = read_durations(base.db, THE_DAY, ["operation"], "kind:build", whose)
        return (
            [each.finished for each in figures],
            len(read_pull_requests(base.db, THE_DAY, whose)),
            sum(each.total for each in read_periods(base.db, THE_DAY, whose, "day")),
            [job.project for job in read_flaky(base.db, THE_DAY, whose)],
        )

    assert seen("") == seen("core") == ([4], 3, 3, ["acme/web"])
    assert seen("web") == ([3], 2, 2, ["acme/web"])
    assert seen("nobody") == ([], 0, 0, [])
    base.db.close()


def test_a_report_reads_indexes_and_no_more(base) -> None:
    """A year of spans is 500,000 rows: their attributes would be read from all over the file."""
    do(base, ("tell", [a_span(n, "build", t("10:00")) for n in range(9)]))
    said: list[str] = []
    base.db.set_trace_callback(said.append)
    read_durations(base.db, THE_DAY, ["operation", "team"])
    read_flaky(base.db, THE_DAY, Whose("team = ?", ["core"]))
    read_pull_requests(base.db, THE_DAY, Whose("team = ?", ["core"]))
    base.db.set_trace_callback(None)
    plans = {
        index: [row[3] for row in base.db.execute(f"EXPLAIN QUERY PLAN {sql}")]
        for index in ("spans_finished", "spans_runs")
        for sql in said
        if f"INDEXED BY {index}" in sql
    }
    for index, plan in plans.items():
        assert f"USING COVERING INDEX {index} (" in "".join(plan)
        assert not any("B-TREE" in step for step in plan)
    (requested,) = [sql for sql in said if "INDEXED BY spans_requested" in sql]
    read = [(row[1], row[2], str(row[5])) for row in base.db.execute(f"EXPLAIN {requested}")]
    assert not any("json_" in text or "Sorter" in step for step, _, text in read)
    assert {cursor for step, cursor, _ in read if step == "Column"} == {
        cursor for step, cursor, _ in read if step == "Next"
    }
