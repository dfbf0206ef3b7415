"""The worked examples of docs/metrics.md, each a test, and what must hold for any facts."""

from datetime import UTC, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vs_tui.domain.dora import (
    Change,
    Deployment,
    Facts,
    Signal,
    Window,
    cards,
    fail_rate,
    frequency,
    lead_time,
    lead_times,
    level,
    median,
    percentile,
    recovery,
    rework_rate,
    working_days,
)
from vs_tui.domain.instants import DAY, HOUR, MINUTE, parse_instant


def t(text: str) -> int:
    found = parse_instant(text if "T" in text else f"2026-03-02T{text}:00Z")
    assert found is not None
    return found


DAY_OF_2 = Window(t("2026-03-02T00:00:00Z"), t("2026-03-03T00:00:00Z"), UTC)


def deploy(end: str, ok: bool = True, **more: object) -> Deployment:
    values = {"key": f"{end}/{more.get('service', 'api')}", "service": "api", "environment": "prod"}
    return Deployment(started=t(end) - MINUTE, ended=t(end), ok=ok, **(values | more))


def change(key: str, start: str) -> Change:
    return Change(key, t(start), "commit")


def test_f1_frequency_counts_successes_and_working_days() -> None:
    window = Window(t("2026-03-02T00:00:00Z"), t("2026-03-09T00:00:00Z"), UTC)
    facts = Facts.of(
        [
            deploy("2026-03-03T10:00:00Z", key="a"),
            deploy("2026-03-03T12:00:00Z", key="b"),
            deploy("2026-03-05T10:00:00Z", key="c"),
            deploy("2026-03-06T10:00:00Z", ok=False, key="d"),
        ]
    )
    assert frequency(facts, window).value == pytest.approx(3 / 7)
    assert working_days(facts, window) == (2, 5)


def test_f2_a_day_is_the_teams_own() -> None:
    facts = Facts.of([deploy("2026-03-08T23:30:00Z")])

    def days(hours: int) -> list[float | None]:
        zone = timezone(timedelta(hours=hours))
        window = Window(
            t("2026-03-08T00:00:00Z") - hours * HOUR, t("2026-03-10T00:00:00Z") - hours * HOUR, zone
        )
        return list(cards("", facts, window, window.until)[0].buckets)

    assert days(-5) == [1.0, 0.0]
    assert days(1) == [0.0, 1.0]


def test_f3_an_empty_window_is_missing_not_nothing() -> None:
    card = cards("", Facts.of([]), DAY_OF_2, DAY_OF_2.until)[0]
    assert (card.text, card.n) == ("-", 0)


def test_f4_days_of_23_hours() -> None:
    zone = ZoneInfo("America/New_York")
    window = Window(t("2026-03-08T05:00:00Z"), t("2026-03-10T04:00:00Z"), zone)
    for end, counts in (("2026-03-09T03:59:00Z", [1, 0]), ("2026-03-09T04:00:00Z", [0, 1])):
        assert list(cards("", Facts.of([deploy(end)]), window, window.until)[0].buckets) == counts


def test_l1_from_the_first_commit_to_the_deploy() -> None:
    facts = Facts.of([deploy("16:00", changes=(change("pr", "10:00"),))])
    assert lead_time(facts, DAY_OF_2).value == 6 * HOUR


def test_l3_each_change_counts() -> None:
    changes = (
        change("a", "08:00"),
        change("b", "14:00"),
        Change("c", t("2026-03-01T16:00:00Z"), "commit"),
    )
    value = lead_time(Facts.of([deploy("16:00", changes=changes)]), DAY_OF_2)
    assert (value.value, value.n) == (8 * HOUR, 3)


def test_l4_a_change_counts_once_at_its_first_success() -> None:
    changes = (change("pr", "10:00"),)
    facts = Facts.of(
        [
            deploy("16:00", ok=False, changes=changes),
            deploy("18:00", changes=changes),
            deploy("20:00", changes=changes),
        ]
    )
    assert lead_times(facts, DAY_OF_2) == [8 * HOUR]


def test_c1_every_kind_of_failure_makes_a_change_failed_once() -> None:
    deployments = [
        deploy("09:00", version="1"),
        deploy("10:00", ok=False, version="2"),
        deploy("11:00", version="3"),
        deploy("12:00", version="4"),
    ]
    test = Signal("test", t("11:05"), t("11:30"), "api", "prod", "3")
    alarm = Signal("alarm", t("12:05"), t("12:30"), "api", "prod", "4")
    shares = [
        fail_rate(Facts.of(deployments[:n], [test, alarm]), DAY_OF_2).value for n in (1, 2, 3, 4)
    ]
    assert shares == pytest.approx([0, 1 / 2, 2 / 3, 3 / 4])


def test_c2_many_signals_are_one_failure() -> None:
    signals = [Signal(str(n), t("10:05"), t("10:10"), "api", "prod") for n in range(3)]
    assert fail_rate(Facts.of([deploy("10:00")], signals), DAY_OF_2).value == 1


def test_c3_an_alarm_without_a_version_belongs_to_the_last_success() -> None:
    facts = Facts.of(
        [deploy("09:00"), deploy("11:00")], [Signal("a", t("12:00"), None, "api", "prod")]
    )
    assert [e.deployment.ended for e in facts.episodes] == [t("11:00")]


def test_c4_a_failure_in_staging_changes_nothing() -> None:
    facts = Facts.of([deploy("09:00")], [Signal("a", t("10:00"), None, "api", "staging")])
    assert fail_rate(facts, DAY_OF_2).value == 0


def test_c6_without_deployments_there_is_no_rate() -> None:
    assert fail_rate(Facts.of([]), DAY_OF_2).value is None


def recovered(*args: object) -> object:
    return recovery(Facts.of(*args), DAY_OF_2, t("23:00"))  # type: ignore[arg-type]


def test_r1_the_next_success_repairs() -> None:
    assert recovered([deploy("10:00", ok=False), deploy("10:40")]).value == 40 * MINUTE


def test_r2_a_passing_retest_repairs() -> None:
    test = Signal("t", t("10:05"), t("10:20"), "api", "prod")
    assert recovered([deploy("10:00")], [test]).value == 15 * MINUTE


def test_r3_overlapping_alarms_are_one_episode() -> None:
    alarms = [
        Signal("a", t("10:00"), t("10:30"), deployment="d"),
        Signal("b", t("10:20"), t("11:10"), deployment="d"),
    ]
    value = recovered([deploy("09:59", key="d")], alarms)
    assert (value.value, value.n) == (70 * MINUTE, 1)


def test_r4_two_failures_recover_by_one_success() -> None:
    value = recovered([deploy("10:00", ok=False), deploy("10:20", ok=False), deploy("11:00")])
    assert (value.value, value.n) == (50 * MINUTE, 2)


def test_r5_open_episodes_are_shown_apart() -> None:
    incident = Signal("i", t("20:00"), None, "web", "prod")
    value = recovered(
        [
            deploy("10:00", ok=False),
            deploy("10:40"),
            deploy("19:00", service="web"),
        ],
        [incident],
    )
    assert (value.value, value.n, value.open, value.open_for) == (40 * MINUTE, 1, 1, 3 * HOUR)


def test_w1_what_closes_an_episode_is_rework() -> None:
    facts = Facts.of(
        [deploy("10:00", ok=False, version="5"), deploy("10:30", version="4"), deploy("12:00")]
    )
    value = rework_rate(facts, DAY_OF_2)
    assert (value.value, value.n) == (pytest.approx(1 / 3), 3)


def test_w2_a_marked_hotfix_is_rework() -> None:
    assert rework_rate(Facts.of([deploy("10:00", rework=True)]), DAY_OF_2).value == 1


def test_w3_no_rework_is_zero_of_n() -> None:
    value = rework_rate(Facts.of([deploy("10:00")]), DAY_OF_2)
    assert (value.value, value.n) == (0, 1)


def test_medians_and_percentiles() -> None:
    assert median([1, 2, 3, 10]) == 2.5
    assert median([]) is None
    assert percentile([5], 0.9) == 5
    assert percentile(list(range(1, 11)), 0.9) == 9


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [
        ("deploys", 2.0, "elite 2024"),
        ("deploys", 0.2, "high 2024"),
        ("deploys", 0.0, ""),
        ("lead", 3 * HOUR, "elite 2024"),
        ("lead", 40 * DAY, "low 2024"),
        ("fail", 0.12, "high 2024"),
        ("restore", 30 * MINUTE, "elite 2024"),
        ("restore", None, ""),
    ],
)
def test_levels(metric, value, expected) -> None:
    assert level(metric, value) == expected


DEPLOYS = st.lists(
    st.tuples(st.integers(0, 1439), st.booleans(), st.sampled_from(["api", "web"])), max_size=12
).map(
    lambda entries: [
        Deployment(
            key=str(i),
            service=service,
            environment="prod",
            started=DAY_OF_2.since + m * MINUTE,
            ended=DAY_OF_2.since + m * MINUTE,
            ok=ok,
        )
        for i, (m, ok, service) in enumerate(entries)
    ]
)
SIGNALS = st.lists(
    st.tuples(st.integers(0, 1439), st.integers(0, 300), st.sampled_from(["api", "web"])),
    max_size=5,
).map(
    lambda entries: [
        Signal(
            str(i), DAY_OF_2.since + m * MINUTE, DAY_OF_2.since + (m + d) * MINUTE, service, "prod"
        )
        for i, (m, d, service) in enumerate(entries)
    ]
)


@given(DEPLOYS, SIGNALS, st.randoms(use_true_random=False))
def test_the_order_of_facts_changes_nothing(deployments, signals, random) -> None:
    expected = cards("x", Facts.of(deployments, signals), DAY_OF_2, DAY_OF_2.until)
    random.shuffle(deployments)
    random.shuffle(signals)
    assert cards("x", Facts.of(deployments, signals), DAY_OF_2, DAY_OF_2.until) == expected


@given(DEPLOYS, SIGNALS)
def test_shares_are_shares_and_episodes_are_not_negative(deployments, signals) -> None:
    facts = Facts.of(deployments, signals)
    for value in (fail_rate(facts, DAY_OF_2), rework_rate(facts, DAY_OF_2)):
        assert value.value is None or 0 <= value.value <= 1
        assert (value.value is None) == (value.n == 0)
    assert len({e.deployment.key for e in facts.episodes}) == len(facts.episodes)
    assert all(e.ended is None or e.ended >= e.began for e in facts.episodes)
