"""The worked examples of docs/metrics.md, one test each, under the same names."""

import re
from datetime import date, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.metrics.world import (
    THE_DAY,
    alarm,
    build,
    deploy,
    figure,
    figures,
    pull_request,
    t,
    test_run,
    verdicts,
    window,
)
from vs_tui.metrics.cards import cards_of, level_text, value_text
from vs_tui.metrics.facts import DeployOutcome
from vs_tui.metrics.judging import product_of
from vs_tui.metrics.report import IncidentFact, beside_of
from vs_tui.metrics.rules import MetricRules
from vs_tui.metrics.span_facts import deployment_of
from vs_tui.metrics.windows import day_of
from vs_tui.model.time import DAY, HOUR, MINUTE
from vs_tui.model.vocabulary import Span, State, Status

WEEK = window("2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z")


# Deployment frequency.


def test_f1_successes_by_days_and_the_working_days_that_had_one() -> None:
    found = figure(
        "deploys",
        [
            deploy("2026-03-03T10:00:00Z"),
            deploy("2026-03-03T12:00:00Z"),
            deploy("2026-03-05T10:00:00Z"),
            deploy("2026-03-06T10:00:00Z", ok=False),
        ],
        WEEK,
    )
    assert found.value == pytest.approx(3 / 7)
    assert (found.n, found.working_days_with, found.working_days) == (3, 2, 5)
    assert value_text(found) == "3/week"


@pytest.mark.parametrize(("hours", "day"), [(-5, date(2026, 3, 8)), (1, date(2026, 3, 9))])
def test_f2_a_day_is_the_teams_own(hours: int, day: date) -> None:
    zone = timezone(timedelta(hours=hours))
    end = t("2026-03-08T23:30:00Z")
    assert day_of(end, zone) == day
    midnight = t("2026-03-08T00:00:00Z") - hours * HOUR
    two_days = type(THE_DAY)(midnight, midnight + 2 * DAY, midnight + 2 * DAY, zone)
    found = figure("deploys", [deploy("2026-03-08T23:30:00Z")], two_days)
    assert list(found.series) == ([1.0, 0.0] if hours < 0 else [0.0, 1.0])


def test_f3_a_quiet_week_is_zero_and_who_never_deployed_has_no_frequency() -> None:
    quiet = figure("deploys", [deploy("2026-02-03T10:00:00Z")], WEEK)
    assert (quiet.value, quiet.n, value_text(quiet)) == (0, 0, "0/day")
    never = figure("deploys", [], WEEK)
    assert (never.value, never.n, value_text(never)) == (None, 0, "-")


@pytest.mark.parametrize(
    ("end", "series"),
    [("2026-03-09T03:59:00Z", [1.0, 0.0]), ("2026-03-09T04:00:00Z", [0.0, 1.0])],
)
def test_f4_a_day_of_23_hours_is_one_day(end: str, series: list[float]) -> None:
    zone = ZoneInfo("America/New_York")
    over = window("2026-03-08T05:00:00Z", "2026-03-10T04:00:00Z", zone=zone)
    found = figure("deploys", [deploy(end)], over)
    assert list(found.series) == series
    assert found.value == pytest.approx(1 / 2)


def test_f5_a_window_that_is_not_over_counts_what_has_passed_of_it() -> None:
    over = window("2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z", now="2026-03-04T00:00:00Z")
    assert figure("deploys", [deploy("10:00"), deploy("11:00")], over).value == 1


# Change lead time.

PR = pull_request("pr 1", first_commit_at=t("10:00"), opened_at=t("12:30"), merged_at=t("15:00"))


def test_l1_from_the_first_commit_to_the_end_of_the_deploy() -> None:
    deployed = deploy("16:00")
    found = figure("lead", [deployed], shipped={deployed.key: [PR]})
    assert (found.value, found.n, found.starts) == (6 * HOUR, 1, {"first commit": 1})


def test_l2_without_commit_times_from_the_opening() -> None:
    deployed = deploy("16:00")
    pr = pull_request("pr 1", opened_at=t("12:30"), merged_at=t("15:00"))
    found = figure("lead", [deployed], shipped={deployed.key: [pr]})
    assert (found.value, found.starts) == (3.5 * HOUR, {"pull request opened": 1})


def test_l3_each_change_counts_in_the_median() -> None:
    deployed = deploy("16:00")
    shipped = [
        pull_request("a", first_commit_at=t("08:00")),
        pull_request("b", first_commit_at=t("14:00")),
        pull_request("c", first_commit_at=t("2026-03-01T16:00:00Z")),
    ]
    found = figure("lead", [deployed], shipped={deployed.key: shipped})
    assert (found.value, found.n, found.p90) == (8 * HOUR, 3, 24 * HOUR)


def test_l4_a_change_counts_once_in_its_first_success() -> None:
    deployments = [
        deploy("16:00", ok=False, version="7"),
        deploy("18:00", version="7"),
        deploy("20:00", version="7"),
    ]
    found = figure("lead", deployments, shipped={d.key: [PR] for d in deployments})
    assert (found.value, found.n) == (8 * HOUR, 1)


def test_l5_without_a_change_development_resumed_with_the_next_build() -> None:
    builds = [build(f"{8 + n:02}:00", str(n)) for n in (1, 2, 3, 4)]
    deployments = [deploy("09:30", version="1"), deploy("13:00", version="4")]
    after_the_first = window("2026-03-02T10:00:00Z", "2026-03-03T00:00:00Z")
    found = figure("lead", deployments, after_the_first, builds=builds)
    assert (found.value, found.starts) == (3 * HOUR, {"first build": 1})


def test_l6_with_nothing_else_from_the_previous_deployment() -> None:
    deployments = [deploy("09:00", version="1"), deploy("13:00", version="2")]
    found = figure("lead", deployments)
    assert (found.value, found.n, found.unknown) == (4 * HOUR, 1, 1)
    assert found.starts == {"previous deployment": 1}


# Change fail rate.


def test_c1_a_failed_deploy_a_failed_test_and_an_alarm_each_fail_a_change() -> None:
    deployments = [
        deploy("09:00", version="1"),
        deploy("10:00", ok=False, version="2"),
        deploy("11:00", version="3"),
        deploy("12:00", version="4"),
    ]
    tests = [test_run("11:05", False, version="3")]
    alarms = [alarm("12:30", "12:50", version="4")]
    shares = [
        value_text(
            figure("fail", deployments[:n], tests=tests[: n // 3], incidents=alarms[: n // 4])
        )
        for n in (1, 2, 3, 4)
    ]
    assert shares == ["0 %", "50 %", "66.7 %", "75 %"]


def test_c2_many_signals_are_one_failure() -> None:
    found = figure(
        "fail",
        [deploy("10:00")],
        tests=[test_run("10:05", False)],
        incidents=[alarm("10:10"), alarm("10:20")],
    )
    assert (found.hits, found.n) == (1, 1)


def test_c3_an_alarm_without_a_version_blames_the_last_success() -> None:
    found = verdicts([deploy("09:00"), deploy("11:00")], incidents=[alarm("12:00")])
    assert [v.deployment.ended_at for v in found if v.failed_at] == [t("11:00")]


def test_c4_a_failed_test_in_staging_changes_nothing() -> None:
    found = figure(
        "fail", [deploy("10:00")], tests=[test_run("10:05", False, environment="staging")]
    )
    assert value_text(found) == "0 %"


def test_c5_in_flight_and_cancelled_deploys_are_none() -> None:
    deployments = [
        deploy("09:00", outcome=DeployOutcome.PENDING),
        deploy("10:00", outcome=DeployOutcome.CANCELLED),
        deploy("11:00"),
    ]
    found = figure("fail", deployments)
    assert (found.hits, found.n, found.value) == (0, 1, 0)


def test_c6_of_nothing_there_is_no_rate() -> None:
    found = figure("fail", [deploy("10:00", outcome=DeployOutcome.CANCELLED)])
    assert (found.value, value_text(found)) == (None, "-")


def test_c7_retries_of_one_deploy_are_one_deployment() -> None:
    first, retry = deploy("10:00", ok=False), deploy("10:10")
    found = figure("fail", [first, retry], retry_of={retry.key: first.key})
    assert (found.hits, found.n) == (0, 1)


def test_c8_a_timeout_is_a_failure() -> None:
    waits = Span(
        *("k", "k", "github", "deploy", "d", Status.TIMED_OUT, State.RUNNING), t("10:00"), None
    )
    assert [v.reasons for v in verdicts([deployment_of(waits)])] == [("deploy",)]


def test_c9_how_far_back_an_incident_without_an_id_looks_is_a_setting() -> None:
    shown = {}
    for length in (0, HOUR, 2 * HOUR, DAY):
        found = figure(
            "fail",
            [deploy("09:00")],
            incidents=[alarm("11:00")],
            rules=MetricRules(incident_window=length),
        )
        shown[length] = found.hits
    assert shown == {0: 0, HOUR: 0, 2 * HOUR: 1, DAY: 1}
    named = [alarm("20:00", linked=("deploy api  09:00",))]
    assert figure("fail", [deploy("09:00")], incidents=named, rules=MetricRules(0)).hits == 1


# Failed deployment recovery time.


def test_r1_the_next_success_repairs_a_failed_deploy() -> None:
    assert figure("restore", [deploy("10:00", ok=False), deploy("10:40")]).value == 40 * MINUTE


def test_r2_a_passing_retest_repairs_a_failed_test() -> None:
    tests = [test_run("10:05", False), test_run("10:20", True)]
    assert figure("restore", [deploy("10:00")], tests=tests).value == 15 * MINUTE


def test_r3_overlapping_alarms_are_one_episode() -> None:
    deployed = deploy("09:50")
    alarms = [
        alarm("10:00", "10:30", linked=(deployed.key,)),
        alarm("10:20", "11:10", linked=(deployed.key,)),
    ]
    found = figure("restore", [deployed], incidents=alarms)
    assert (found.value, found.n) == (70 * MINUTE, 1)


def test_r4_two_failures_recover_by_one_success() -> None:
    found = figure(
        "restore", [deploy("10:00", ok=False), deploy("10:20", ok=False), deploy("11:00")]
    )
    assert (found.value, found.n) == (50 * MINUTE, 2)


def test_r5_what_is_still_broken_stands_apart() -> None:
    over = window("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z", now="2026-03-02T23:00:00Z")
    found = figure(
        "restore",
        [deploy("10:00", ok=False), deploy("10:40"), deploy("19:00", service="web")],
        over,
        incidents=[alarm("20:00", services=("web",))],
    )
    assert (found.value, found.n, found.open, found.open_for) == (40 * MINUTE, 1, 1, 3 * HOUR)


def test_r6_a_product_recovers_with_its_part() -> None:
    together = {"correlation": "c1", "product": "shop"}
    deployments = [
        deploy("09:58", service="auth", artifact="auth", **together),
        deploy("09:59", service="ui", artifact="ui", **together),
        deploy("10:00", ok=False, service="data", artifact="data", **together),
        deploy("10:30", service="data", artifact="data", correlation="c2", product="shop"),
    ]
    found = figures(deployments)
    assert (found["fail"].hits, found["fail"].n) == (1, 2)
    assert (found["restore"].value, found["restore"].n) == (30 * MINUTE, 1)


# Deployment rework rate.


def test_w1_what_closes_a_failure_is_a_repair() -> None:
    found = figure(
        "rework",
        [
            deploy("10:00", ok=False, version="5"),
            deploy("10:30", version="4"),
            deploy("12:00", version="6"),
        ],
    )
    assert (found.hits, found.n, value_text(found)) == (1, 3, "33.3 %")


def test_w2_a_hotfix_is_a_repair_without_a_failure_seen() -> None:
    assert figure("rework", [deploy("10:00", marked="hotfix branch")]).value == 1


def test_w3_none_is_zero_of_n() -> None:
    found = figure("rework", [deploy("10:00"), deploy("11:00")])
    assert (found.value, found.n, value_text(found)) == (0, 2, "0 %")


def test_w4_an_older_version_over_a_newer_one_is_a_repair() -> None:
    found = verdicts([deploy("10:00", version="1.9"), deploy("11:00", version="1.10"),
                      deploy("12:00", version="1.9")])  # fmt: skip
    assert [v.rework for v in found] == ["", "", "older version"]


# Changes per deployment.


def test_s1_changes_count_where_they_are_shipped_first() -> None:
    first = deploy("10:00", commit="a" * 40)
    changes = [pull_request(f"pr {n}", opened_at=t("08:00")) for n in range(2)]
    changes.append(pull_request("pr of an unknown begin"))
    again = deploy("11:00", commit="b" * 40)
    found = figure("batch", [first, again], shipped={first.key: changes, again.key: changes})
    assert (found.value, found.hits, found.n, value_text(found)) == (1.5, 3, 2, "1.5")


def test_s2_without_a_successful_deployment_there_are_none() -> None:
    found = figure("batch", [deploy("10:00", ok=False)])
    assert (found.value, value_text(found)) == (None, "-")


# Products.


def parts(**results: bool) -> list:
    return [
        deploy(f"10:0{n}", ok, service=name, artifact=name, correlation="c", product="shop")
        for n, (name, ok) in enumerate(results.items())
    ]


def test_p1_some_good_some_bad_is_diverse() -> None:
    judged = [v for d in parts(auth=True, ui=True, data=False) for v in _assess(d)]
    product = product_of(judged)
    assert product is not None and product.deployment.is_diverse


def test_p2_the_products_own_result_wins() -> None:
    deployments = [
        *parts(auth=True, data=False),
        deploy("10:09", service="shop", artifact="", correlation="c", product="shop"),
    ]
    judged = [v for d in deployments for v in _assess(d)]
    product = product_of(judged)
    assert product is not None and product.deployment.ok


def test_p3_its_lead_time_is_the_mean_of_its_versions() -> None:
    earlier = [
        deploy("08:00", service="auth", artifact="auth", version="1"),
        deploy("09:00", service="ui", artifact="ui", version="1"),
    ]
    now = [
        deploy("10:00", service=name, artifact=name, version="2", correlation="c", product="shop")
        for name in ("auth", "ui")
    ]
    after = window("2026-03-02T09:30:00Z", "2026-03-03T00:00:00Z")
    found = figure("lead", [*earlier, *now], after)
    assert (found.value, found.n) == (90 * MINUTE, 1)


def test_p4_versions_that_were_deployed_before_ship_nothing_new() -> None:
    def together(end, correlation, **versions):
        more = {"correlation": correlation, "product": "shop"}
        return [
            deploy(end, service=name, artifact=name, version=version, key=f"{name} {end}", **more)
            for name, version in versions.items()
        ]

    first = together("10:00", "a", auth="1", ui="1")
    builds = [build("08:00", "1", service="auth"), build("09:00", "1", service="ui", key="ui 1")]
    again = together("11:00", "b", auth="1", ui="1")
    assert figure("lead", [*first, *again], builds=builds).n == 1
    builds.append(build("11:30", "2", service="ui", key="ui 2"))
    found = figure(
        "lead", [*first, *again, *together("12:00", "c", auth="1", ui="2")], builds=builds
    )
    assert (found.value, found.n, found.p90) == (60 * MINUTE, 2, 90 * MINUTE)


def test_p5_the_versions_of_one_activity_count_together_too() -> None:
    def together(end, auth, ui):
        return deploy(end, service="shop", product="shop", parts=(("auth", auth), ("ui", ui)))

    builds = [build("08:00", "1", service="auth"), build("09:00", "1", service="ui", key="ui 1")]
    found = figure(
        "lead", [together("10:00", "1", "1"), together("11:00", "1", "1")], builds=builds
    )
    assert (found.value, found.n) == (90 * MINUTE, 1)
    builds.append(build("11:30", "2", service="ui", key="ui 2"))
    later = [together("10:00", "1", "1"), together("12:00", "1", "2")]
    found = figure("lead", later, builds=builds)
    assert (found.value, found.n, found.starts) == (60 * MINUTE, 2, {"first build": 2})


def test_l7_a_name_that_moves_is_no_version() -> None:
    deployments = [deploy(end, version="latest") for end in ("09:00", "10:00", "12:00")]
    found = figure("lead", deployments)
    assert (found.value, found.n, found.unknown) == (90 * MINUTE, 2, 1)


def _assess(deployment):
    from vs_tui.metrics.judging import TargetFacts, judge

    return judge(TargetFacts(deployments=[deployment]))


# Beside them.


def test_i1_time_to_restore_and_to_detect() -> None:
    incidents = [
        IncidentFact(t("10:10"), t("10:40"), None, t("10:00")),
        IncidentFact(t("11:00"), None, None, t("11:30")),
        IncidentFact(t("12:00"), t("12:10"), t("12:20"), None),
    ]
    found = beside_of(THE_DAY, incidents=incidents)
    assert (found.incidents, found.time_to_restore.n, found.incidents_finished) == (3, 2, 1)
    assert (found.time_to_restore.p50, found.time_to_detect.p50) == (20 * MINUTE, 10 * MINUTE)
    assert (found.incidents_linked, found.time_to_detect.n) == (2, 1)


def test_i2_merged_per_engineer_and_week() -> None:
    def a_week(merges: dict[str, int], *users: str) -> float | None:
        return beside_of(WEEK, merges=merges, users=users).merged_per_engineer_week

    assert a_week({"ada": 2, "bob": 1}) == 1.5
    assert a_week({"ada": 2, "bob": 1}, "ada", "bob", "eve") == 1
    assert a_week({}) is None


def test_i3_innovation_ratio() -> None:
    def ratio(spent: dict[str, int]) -> float | None:
        return beside_of(WEEK, spent=spent).innovation_ratio

    assert ratio({"story": 3 * HOUR, "bug": HOUR, "": 9 * HOUR}) == 0.75
    assert ratio({}) is None
    assert ratio({"": HOUR}) is None


def test_i4_a_bot_is_no_engineer() -> None:
    rules = MetricRules(bots=("renovate", "CI-*"))
    bots = ("dependabot[bot]", "Renovate", "ci-7", "project_12_bot_4ffca233d8", "group_3_bot")
    people = ("ada", "botany", "robot", "my-ci", "project_12_bottle", "")
    assert all(rules.is_bot(login) for login in bots)
    assert not any(rules.is_bot(login) for login in people)
    assert rules.is_bot("copilot", "Bot")
    assert not rules.is_bot("ada", "User")
    assert not MetricRules().is_bot("renovate")


# What holds for all.


def test_an_empty_team_has_no_values_at_all() -> None:
    cards = cards_of("core", figures([]))
    assert [(card.text, card.n, card.level, card.delta) for card in cards] == [
        ("-", 0, "", "") for _ in cards
    ]
    assert all(bucket is None for card in cards for bucket in card.buckets)


def test_each_value_stands_against_the_period_before() -> None:
    deployments = [deploy("2026-02-24T10:00:00Z"), *(deploy(f"1{n}:00") for n in range(3))]
    found = figure("deploys", deployments, WEEK)
    assert (found.n, found.before_n, found.direction) == (3, 1, "better")
    assert cards_of("core", {"deploys": found})[0].delta == "+200%"
    assert level_text(found) == "high 2024"


def test_every_example_of_the_page_is_tested_here() -> None:
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    named = {
        name.lower()
        for name in re.findall(r"^- \*\*([A-Z]\d)\.\*\*", page.read_text("utf-8"), re.MULTILINE)
    }
    over_http = (path.read_text("utf-8") for path in Path(__file__).parent.glob("http/test_*.py"))
    names = [*globals(), *re.findall(r"^def (test_\w+)", "\n".join(over_http), re.MULTILINE)]
    tested = {name.split("_")[1] for name in names if name.startswith("test_")}
    assert len(named) > 45
    assert named <= tested, named - tested
