"""Percentiles, windows, levels, words, stages and pull requests."""

from datetime import UTC, date
from zoneinfo import ZoneInfo

import pytest

from tests.metrics.world import deploy, pull_request, t, window
from vs_tui.metrics import texts
from vs_tui.metrics.facts import Build
from vs_tui.metrics.lead_time import (
    STAGES,
    Builds,
    bottleneck,
    breakdown,
    regressions,
    ship,
    stages_of,
)
from vs_tui.metrics.pull_requests import PullRequest, aggregate
from vs_tui.metrics.rules import MetricRules
from vs_tui.metrics.span_facts import change_of
from vs_tui.metrics.statistics import median, percentile
from vs_tui.metrics.windows import SUNDAY, Window, day_of, window_of
from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND
from vs_tui.model.vocabulary import Span, State, Status
from vs_tui.traces.baseline import Baseline, baseline_of

NEW_YORK = ZoneInfo("America/New_York")
SPAN = Span("pr", "pr", "github", "review", "", Status.OK, State.OK, t("10:00"), t("10:00"))


def test_medians_and_nearest_ranks() -> None:
    assert median([1, 2, 3, 10]) == 2.5
    assert median([]) is None
    assert percentile(list(range(1, 11)), 90) == 9
    assert percentile([5], 99) == 5
    assert percentile([], 50) is None


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("7d", "", ("2026-03-02T12:00:00Z", "2026-03-09T12:00:00Z")),
        ("7d", "2026-03-09", ("2026-03-02T05:00:00Z", "2026-03-09T04:00:00Z")),
        ("2026-03-02", "2026-03-09", ("2026-03-02T05:00:00Z", "2026-03-09T04:00:00Z")),
        ("today", "now", ("2026-03-09T04:00:00Z", "2026-03-09T12:00:00Z")),
        ("12h", "2026-03-09T10:00:00Z", ("2026-03-08T22:00:00Z", "2026-03-09T10:00:00Z")),
    ],
)
def test_windows_as_people_write_them(since, until, expected) -> None:
    now = t("2026-03-09T12:00:00Z")
    if since == "7d" and not until:
        # The clocks went forward on the 8th: seven days ago it was 8 o'clock as well.
        expected = ("2026-03-02T13:00:00Z", expected[1])
    found = window_of(since, until, now, NEW_YORK)
    assert (found.since, found.until) == tuple(t(text) for text in expected)


def test_the_period_before_has_as_many_days_also_when_the_clocks_change() -> None:
    found = window("2026-03-08T05:00:00Z", "2026-03-15T04:00:00Z", zone=NEW_YORK)
    assert found.length == 7
    assert (found.previous.since, found.previous.until) == (t("2026-03-01T05:00:00Z"), found.since)
    assert found.previous.length == 7


def test_a_short_window_has_parts_of_a_day_and_a_long_one_weeks_or_months() -> None:
    hour = window("2026-03-02T10:00:00Z", "2026-03-02T11:00:00Z")
    assert hour.bucket_starts[1] - hour.bucket_starts[0] == 5 * MINUTE
    year = Window(t("00:00") - 365 * DAY, t("00:00"), t("00:00"), UTC)
    assert (year.bucket, len(year.bucket_starts)) == ("week", 53)
    assert {day_of(start, UTC).weekday() for start in year.bucket_starts[1:]} == {0}
    decade = Window(t("00:00") - 1_500 * DAY, t("00:00"), t("00:00"), UTC)
    assert (decade.bucket, len(decade.bucket_starts)) == ("month", 51)
    assert {day_of(start, UTC).day for start in decade.bucket_starts[1:]} == {1}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (texts.brief(38 * MINUTE), "38m"),
        (texts.brief(3.5 * HOUR), "3.5h"),
        (texts.brief(47 * HOUR), "47h"),
        (texts.brief(2.1 * DAY), "2.1d"),
        (texts.brief(9 * SECOND), "9s"),
        (texts.brief(None), "-"),
        (texts.rate(3.0), "3/day"),
        (texts.rate(2 / 7), "2/week"),
        (texts.rate(1 / 30), "1/month"),
        (texts.rate(0.01), "0.3/month"),
        (texts.rate(4 / 2517), "0.6/year"),
        (texts.rate(1 / 9999), "<0.1/year"),
        (texts.rate(0.0), "0/day"),
        (texts.narrow(texts.rate(2 / 7)), "2/w"),
        (texts.narrow(texts.rate(2 / 700)), "1/y"),
        (texts.percent(2 / 3), "66.7 %"),
        (texts.change(10, 100), "+10%"),
        (texts.change(1, 0), ""),
        (texts.change(0, 0), "0%"),
        (texts.points(0.15), "+15pp"),
    ],
)
def test_values_in_words(said, expected) -> None:
    assert said == expected


def test_the_expected_end_is_by_the_last_successes() -> None:
    found = baseline_of([MINUTE * n for n in range(1, 11)])
    assert found == Baseline(10, int(5.5 * MINUTE), 9 * MINUTE)
    assert found.is_overdue(t("10:00"), t("10:20"))
    assert not found.is_overdue(t("10:00"), t("10:09"))
    assert baseline_of([]) is None


def test_the_stages_of_a_change() -> None:
    change = pull_request(
        "pr",
        opened_at=t("10:00"),
        reviewed_at=t("11:00"),
        approved_at=t("12:00"),
        merged_at=t("12:30"),
    )
    build = Build(key="b", project="acme/api", started_at=t("12:31"), ended_at=t("12:40"))
    stages = stages_of(change, t("08:00"), build, deploy("13:00", took=10 * MINUTE))
    found = dict(zip(STAGES, stages, strict=True))
    assert {name: value // MINUTE for name, value in found.items()} == {
        "coding": 120,
        "pickup": 60,
        "review": 60,
        "merge wait": 30,
        "build": 10,
        "deploy wait": 10,
        "deploy": 10,
    }
    times = breakdown({name: [value] for name, value in found.items()})
    assert bottleneck(times) == "coding"
    assert bottleneck(breakdown({})) == ""


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([("12:31", "12:40")], (10, 10)),
        ([("12:31", "13:05")], (20, 0)),  # the deploy is one of its steps
        ([("12:31", "12:40"), ("12:45", "13:05")], (10, 10)),  # one builds, one deploys
        ([("12:31", "12:40"), ("12:35", "12:45")], (15, 5)),
        ([("12:00", "12:10")], (None, 20)),  # tested before the merge
        ([], (None, 20)),
    ],
)
def test_no_moment_counts_in_two_stages(runs, expected) -> None:
    builds = [
        Build(key=f"b{n}", project="acme/api", commit="c" * 40, started_at=t(a), ended_at=t(b))
        for n, (a, b) in enumerate(runs)
    ]
    change = pull_request(
        "pr", opened_at=t("10:00"), reviewed_at=t("11:00"), approved_at=t("12:00"),
        merged_at=t("12:30"), first_commit_at=t("09:00"),
    )  # fmt: skip
    found = ship(
        deploy("13:10", took=20 * MINUTE, commit="c" * 40), [change], None, Builds(builds)
    )[0]
    minutes = dict(zip(STAGES, (took and took // MINUTE for took in found.stages), strict=True))
    assert (minutes["build"], minutes["deploy wait"]) == expected
    assert sum(filter(None, found.stages)) == found.lead


def test_the_author_a_bot_and_who_is_late_do_not_review() -> None:
    def review(clock, actor, state="commented"):
        return SPAN._replace(
            key=clock, operation="review", started_at=t(clock), ended_at=t(clock), actor=actor,
            attributes={"vs.review.state": state},
        )  # fmt: skip

    request = SPAN._replace(operation="pull_request", actor="ada", ended_at=t("14:00"))
    below = [
        review("10:01", "coderabbit[bot]", "approved"),
        review("10:05", "ada"),
        review("10:10", "reviewer"),
        review("11:00", "bob", "approved"),
        review("12:00", "reviewer", "approved"),
        review("15:00", "cid", "approved"),
    ]
    found = change_of(request, below, MetricRules(bots=("reviewer",)))
    assert (found.reviewed_at, found.approved_at) == (t("11:00"), t("11:00"))
    found = change_of(request, below)
    assert (found.reviewed_at, found.approved_at) == (t("10:10"), t("12:00"))
    assert change_of(request, below[:2]).reviewed_at is None


def test_a_stage_regressed_when_it_is_a_quarter_slower_than_its_own_past() -> None:
    past = {"review": [60, 61, 62, 63, 64], "build": [10] * 5, "deploy": [5] * 4}
    now = {"review": [90] * 5, "build": [11] * 5, "deploy": [50] * 5}
    found = regressions(
        now,
        past,
    )
    assert [(entry.name, entry.n, entry.n_before) for entry in found] == [("review", 5, 5)]
    assert found[0].factor == pytest.approx(90 / 62)


def request(number: int, created: str, took: int | None, **more) -> PullRequest:
    end = None if took is None else t(created) + took
    values = {"key": f"pr {number}", "owner": "acme", "repo": "api", "merged_at": end}
    return PullRequest(created_at=t(created), closed_at=end, updated_at=0, **(values | more))


def test_the_columns_of_a_pull_request() -> None:
    now = t("12:00")
    found = request(1, "10:00", HOUR, comments=2, additions=3, deletions=1)
    assert (found.duration(now), found.total_changes) == (HOUR, 4)
    assert (found.duration_per_comment(now), found.duration_per_line(now)) == (1800, 900)
    quiet = request(2, "10:00", None, comments=0, additions=0, deletions=0)
    assert (quiet.duration(now), quiet.merged) == (2 * HOUR, False)
    assert (quiet.duration_per_comment(now), quiet.duration_per_line(now)) == (0, None)
    unknown = request(3, "10:00", HOUR)
    assert (unknown.total_changes, unknown.duration_per_comment(now)) == (None, None)


def test_pull_requests_by_week_with_running_percentiles() -> None:
    found = aggregate(
        [
            request(1, "2026-03-02T10:00:00Z", HOUR, additions=10),
            request(2, "2026-03-08T10:00:00Z", 3 * HOUR),
            request(3, "2026-03-09T10:00:00Z", 5 * HOUR),
            request(4, "2026-03-09T11:00:00Z", 5 * HOUR, merged_at=None),
        ],
        "week",
        UTC,
        t("2026-03-10T00:00:00Z"),
    )
    assert [(f.period, f.total, f.merged, f.hours) for f in found] == [
        (date(2026, 3, 2), 2, 2, 2),
        (date(2026, 3, 9), 2, 1, 5),
    ]
    assert [(f.running_p50, f.running_p95) for f in found] == [(2, 3), (4, 5)]
    assert (found[0].lines, found[1].lines, found[1].merge_ratio) == (10, None, 0.5)
    sundays = aggregate([request(2, "2026-03-08T10:00:00Z", HOUR)], "week", UTC, 0,
                        week_start=SUNDAY)  # fmt: skip
    assert sundays[0].period == date(2026, 3, 8)
