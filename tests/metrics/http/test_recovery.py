"""Recovery, rework and products: examples R1 to R6, W1 to W3, B2, B3, B6 and P1 to P3."""

import pytest

from tests.metrics.http.clock import hours, minutes
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.others import EmMetrics, Jenkins, Plyzen, Script, alertmanager, pagerduty
from tests.metrics.http.story import (
    FAIL,
    FREQUENCY,
    LEAD,
    RECOVERY,
    REWORK,
    Story,
    figure,
    rate,
    send,
)

TOOLS = [GitHub, GitLab, Plyzen, Script, Jenkins]


def named(tool, example: str):
    story = Story()
    return story, tool(story, f"acme/{example}-{tool.__name__.lower()}")


def recovery(server, name: str) -> tuple[float | None, int]:
    found = figure(server, name, RECOVERY)
    return minutes(found["value"]), found["n"]


def shares(server, name: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Fail rate and rework rate."""
    return rate(figure(server, name, FAIL)), rate(figure(server, name, REWORK))


@pytest.mark.parametrize("tool", TOOLS)
def test_r1_the_next_success_recovers_a_failed_deploy(receiver, tool) -> None:
    story, own = named(tool, "r1")
    own.deploy("10:00", ok=False, version="1")
    own.deploy("10:40", version="2")
    story.tell(receiver)
    assert recovery(receiver, own.name) == (40, 1)


@pytest.mark.parametrize("tool", [Plyzen, Script])
def test_r2_a_passing_retest_recovers_a_failed_test(receiver, tool) -> None:
    story, own = named(tool, "r2")
    own.deploy("10:00", version="1")
    if tool is Plyzen:
        own.activity("smoke-test", "10:03", "10:05", "failure", version="1")
        own.activity("smoke-test", "10:18", "10:20", version="1")
    else:
        own.span("test", "10:03", "10:05", ok=False, version="1", type="smoke")
        own.span("test", "10:18", "10:20", version="1", type="smoke")
    story.tell(receiver)
    assert recovery(receiver, own.name) == (15, 1)
    assert rate(figure(receiver, own.name, FAIL)) == (1, 1)


@pytest.mark.parametrize("how", ["em-metrics", "alertmanager", "plyzen", "mixed"])
def test_r3_overlapping_alarms_are_one_episode(receiver, how) -> None:
    story = Story()
    spans = [("10:00", "10:30"), ("10:20", "11:10")]
    if how == "em-metrics":
        own = EmMetrics(story, "acme/r3-em")
        own.deploy("09:30", key="r3-em")
        for began, end in spans:
            own.incident(f"r3 {began}", began, end, deployment="r3-em")
    elif how == "plyzen":
        own = Plyzen(story, "r3-plyzen", "r3-cart")
        own.deploy("09:30", version="1")
        for n, (began, end) in enumerate(spans):
            own.activity(f"alarm-{n}", began, end, version="1")
    else:
        own = GitHub(story, f"acme/r3-{how}")
        own.deploy("09:30", version="1")
        alertmanager(story, own.service, *spans[0], alertname="One")
        if how == "mixed":
            pagerduty(story, own.service, *spans[1])
        else:
            alertmanager(story, own.service, *spans[1], alertname="Two")
    story.tell(receiver)
    assert recovery(receiver, own.name) == (70, 1)


@pytest.mark.parametrize("tool", TOOLS)
def test_r4_two_failed_deployments_recover_by_one_success(receiver, tool) -> None:
    story, own = named(tool, "r4")
    own.deploy("10:00", ok=False, version="1")
    own.deploy("10:20", ok=False, version="2")
    own.deploy("11:00", version="3")
    story.tell(receiver)
    assert recovery(receiver, own.name) == (50, 2)


@pytest.mark.parametrize("tool", [GitHub, Script])
def test_r5_what_lasts_is_counted_apart(receiver, tool) -> None:
    story, own = named(tool, "r5")
    own.deploy("10:00", ok=False, version="1")
    own.deploy("10:40", version="2")
    alertmanager(story, own.service, "20:00")
    story.tell(receiver)
    found = figure(receiver, own.name, RECOVERY, window=("2026-03-02", "2026-03-02T23:00:00Z"))
    assert (minutes(found["value"]), found["n"]) == (40, 1)
    assert found["open"] == 1
    assert found["open_for"] >= 3 * 3600


def product(own: Plyzen, end: str, correlation: str, version: str = "1", **results: str) -> None:
    """Artifacts of the product `shop`, deployed under one correlation id."""
    for name, result in results.items():
        more = {"artifact": name, "product": "shop", "correlationId": correlation}
        own.activity("deploy", end, end, result, version=version, **more)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_failure_that_ends_after_the_window_took_its_time(receiver, tool) -> None:
    """It is of the week of its deployment, and so is its recovery, ten hours later."""
    story, own = named(tool, "edge")
    own.deploy("Sun 23:50", ok=False, version="1")
    own.deploy("2026-03-09 09:50", version="2")
    story.tell(receiver)
    assert recovery(receiver, own.name) == (600, 1)
    assert figure(receiver, own.name, RECOVERY)["open"] == 0
    after = figure(receiver, own.name, RECOVERY, window=("2026-03-09", "2026-03-16"))
    assert (after["n"], after["open"], after["before"]) == (0, 0, 600 * 60)


def test_r6_a_product_recovers_with_its_artifact(receiver) -> None:
    story = Story()
    own = Plyzen(story, "r6", "shop")
    product(own, "10:00", "r6-a", auth="success", ui="success", data="failure")
    product(own, "10:30", "r6-b", data="success")
    story.tell(receiver)
    assert recovery(receiver, "r6") == (30, 1)
    assert figure(receiver, "r6", FAIL)["hits"] == 1
    assert rate(figure(receiver, "data", FAIL, by="service")) == (1, 2)


@pytest.mark.parametrize("schema", ["basic", "advanced"])
def test_p1_a_product_of_both_results_is_diverse_and_failed(receiver, schema) -> None:
    story = Story()
    own = Plyzen(story, f"p1-{schema}", "shop")
    if schema == "basic":
        product(own, "10:00", "p1-a", auth="success", ui="success", data="failure")
    else:
        parts = [("auth", "1", "success"), ("ui", "1", "success"), ("data", "1", "failure")]
        own.advanced("p1-b", "deploy", "09:59", "10:00", artifacts=parts, product="shop")
    story.tell(receiver)
    assert rate(figure(receiver, own.name, FAIL)) == (1, 1)
    assert figure(receiver, own.name, FREQUENCY)["n"] == 0


def test_p2_the_products_own_result_wins(receiver) -> None:
    story = Story()
    own = Plyzen(story, "p2", "shop")
    parts = [("auth", "1", "success"), ("data", "1", "failure")]
    own.advanced(
        "p2-a", "deploy", "09:59", "10:00", artifacts=parts, product="shop", result="success"
    )
    story.tell(receiver)
    assert rate(figure(receiver, "p2", FAIL)) == (0, 1)


@pytest.mark.parametrize("schema", ["basic", "advanced"])
def test_p3_the_lead_time_of_a_product_is_the_mean_of_its_versions(receiver, schema) -> None:
    story = Story()
    own = Plyzen(story, f"p3-{schema}", "shop")
    for name, built in (("auth", "08:00"), ("ui", "09:00")):
        more = {"artifact": f"{name}-{schema}", "environment": "ci"}
        own.activity("build", built, built[:3] + "05", version="2", **more)
    if schema == "basic":
        results = {f"auth-{schema}": "success", f"ui-{schema}": "success"}
        product(own, "10:00", "p3-a", version="2", **results)
    else:
        parts = [(f"auth-{schema}", "2", ""), (f"ui-{schema}", "2", "")]
        own.advanced("p3-b", "deploy", "09:59", "10:00", artifacts=parts, product="shop")
    story.tell(receiver)
    found = figure(receiver, own.name, LEAD)
    assert (hours(found["value"]), found["n"]) == (1.5, 1)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_advanced_schema_counts_each_artifact_by_service(receiver, reverse) -> None:
    story = Story()
    own = Plyzen(story, f"adv-{reverse}".lower(), "shop")
    auth, ui, shop = (f"{own.name}-{name}" for name in ("auth", "ui", "shop"))
    for n, (clock, results) in enumerate(
        [("10:00", ("success", "failure")), ("10:30", ("success", "")), ("11:00", ("", "success"))]
    ):
        named = zip((auth, ui), results, strict=True)
        parts = [(name, str(n), result) for name, result in named if result]
        own.advanced(f"{own.name}-{n}", "deploy", clock, clock, artifacts=parts, product=shop)
    send(receiver, reversed(story.posts) if reverse else story.posts)
    assert rate(figure(receiver, own.name, FAIL)) == (1, 3)
    assert rate(figure(receiver, auth, FAIL, by="service")) == (0, 2)
    assert rate(figure(receiver, ui, FAIL, by="service")) == (1, 2)
    assert rate(figure(receiver, shop, FAIL, by="product")) == (1, 3)
    assert figure(receiver, shop, FAIL, by="service")["n"] == 0
    # The artifact that failed is repaired by the third, and the product with it (R6).
    assert minutes(figure(receiver, ui, RECOVERY, by="service")["value"]) == 60
    assert recovery(receiver, own.name) == (60, 1)


def test_p2_by_service_the_artifacts_own_result_counts(receiver) -> None:
    story = Story()
    own = Plyzen(story, "p2-own", "shop")
    parts = [("p2-auth", "1", "success"), ("p2-data", "1", "failure"), ("p2-ui", "", "")]
    own.advanced(
        "p2-b", "deploy", "09:59", "10:00", artifacts=parts, product="p2", result="success"
    )
    story.tell(receiver)
    assert rate(figure(receiver, own.name, FAIL)) == (0, 1)
    assert rate(figure(receiver, "p2-data", FAIL, by="service")) == (1, 1)
    for name in ("p2-auth", "p2-ui"):
        assert rate(figure(receiver, name, FAIL, by="service")) == (0, 1)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("how", ["alertmanager", "pagerduty", "github issue"])
def test_b2_a_fix_deployed_during_the_incident_is_rework(receiver, how, reverse) -> None:
    story, own = named(GitHub, f"b2-{how.replace(' ', '')}-{reverse}".lower())
    own.deploy("10:00", version="v1")
    if how == "alertmanager":
        alertmanager(story, own.service, "10:30", "11:05")
    elif how == "pagerduty":
        pagerduty(story, own.service, "10:30", "11:05")
    else:
        own.issue(9, "10:30", "11:05")
    own.deploy("11:00", version="v2")
    send(receiver, reversed(story.posts) if reverse else story.posts)
    assert shares(receiver, own.name) == ((1, 2), (1, 2))
    assert recovery(receiver, own.name) == (35, 1)


def test_b2_a_deployment_long_before_the_incident_ends_is_no_repair(receiver) -> None:
    """Two deployments during one incident: the last one before its end repaired it."""
    story, own = named(Script, "b2-two")
    own.deploy("10:00", version="1.0")
    alertmanager(story, own.service, "10:30", "13:00")
    own.deploy("12:55", version="1.1")
    story.tell(receiver)
    assert shares(receiver, own.name) == ((1, 2), (1, 2))
    assert recovery(receiver, own.name) == (150, 1)


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("reverse", [False, True])
def test_b3_a_version_deployed_over_a_newer_one_undoes_it(receiver, tool, reverse) -> None:
    story, own = named(tool, f"b3-{reverse}".lower())
    own.deploy("10:00", version="1.0.0", **({"key": "one"} if tool is not Plyzen else {}))
    own.deploy("11:00", version="1.1.0")
    own.deploy("11:25", began="11:20", version="1.0.0")
    send(receiver, reversed(story.posts) if reverse else story.posts)
    assert shares(receiver, own.name) == ((1, 3), (1, 3))
    assert recovery(receiver, own.name) == (5, 1)


@pytest.mark.parametrize("tool", [GitHub, GitLab])
@pytest.mark.parametrize("pushed", [False, True])
def test_b3_an_older_commit_over_a_newer_one_undoes_it(receiver, tool, pushed) -> None:
    story, own = named(tool, f"b3-commit-{pushed}".lower())
    if pushed:
        own.push(("b3 one", "09:00"))
        own.push(("b3 two", "10:30"))
    own.deploy("10:00", commit="b3 one")
    own.deploy("11:00", commit="b3 two")
    own.deploy("11:25", began="11:20", commit="b3 one")
    story.tell(receiver)
    assert shares(receiver, own.name) == ((1, 3), (1, 3))
    assert recovery(receiver, own.name) == (5, 1)


def test_b3_a_deployment_task_rollback_undoes_the_one_before(receiver) -> None:
    story, own = named(GitHub, "b3-task")
    own.deploy("10:00", commit="b3 task")
    own.deploy("11:25", began="11:20", commit="b3 unknown", task="rollback")
    story.tell(receiver)
    assert shares(receiver, own.name) == ((1, 2), (1, 2))
    assert recovery(receiver, own.name) == (5, 1)


def test_b3_a_deployment_of_a_revert_undoes_what_it_reverts(receiver) -> None:
    story, own = named(GitHub, "b3-revert")
    own.pull(1, "09:00", "09:30", title="Faster checkout")
    own.deploy("10:00", commit=own.merge_of(1))
    own.pull(2, "11:00", "11:10", title='Revert "Faster checkout"', body=f"Reverts {own.full}#1")
    own.deploy("11:25", began="11:20", commit=own.merge_of(2))
    story.tell(receiver)
    assert shares(receiver, own.name) == ((1, 2), (1, 2))
    assert recovery(receiver, own.name) == (5, 1)


@pytest.mark.parametrize("tool", [Script, Plyzen])
def test_w1_the_version_before_deployed_again_is_the_repair(receiver, tool) -> None:
    story, own = named(tool, "w1")
    own.deploy("2026-02-27 09:00", version="4", **({"key": "four"} if tool is Script else {}))
    own.deploy("10:00", version="5")
    if tool is Script:
        own.span("incident", "10:30", "11:10", version="5")
    else:
        own.activity("alarm", "10:30", "11:10", version="5")
    own.deploy("11:00", version="4")
    own.deploy("12:00", version="6")
    story.tell(receiver)
    assert shares(receiver, own.name) == ((1, 3), (1, 3))


@pytest.mark.parametrize("tool", [GitHub, GitLab])
def test_w2_a_hotfix_branch_is_rework_without_a_failure(receiver, tool) -> None:
    story, own = named(tool, "w2")
    own.deploy("10:00", ref="hotfix/login")
    story.tell(receiver)
    assert shares(receiver, own.name) == ((0, 1), (1, 1))


def test_w2_a_script_can_say_so(receiver) -> None:
    story, own = named(Script, "w2")
    own.deploy("10:00", version="1", **{"vs.rework": True})
    story.tell(receiver)
    assert shares(receiver, own.name) == ((0, 1), (1, 1))


@pytest.mark.parametrize("tool", TOOLS)
def test_w3_none_is_zero_of_n(receiver, tool) -> None:
    story, own = named(tool, "w3")
    own.deploy("10:00", version="1.9")
    own.deploy("11:00", version="1.10")
    story.tell(receiver)
    assert shares(receiver, own.name) == ((0, 2), (0, 2))


def test_b6_plyzen_a_test_run_again_without_correlation_id(receiver) -> None:
    story = Story()
    own = Plyzen(story, "b6-test", "b6-cart")
    own.deploy("10:00", version="1")
    own.activity("smoke-test", "10:04", "10:05", "failure", version="1")
    own.activity("smoke-test", "10:19", "10:20", version="1")
    story.tell(receiver)
    assert rate(figure(receiver, own.name, FAIL)) == (1, 1)
    assert recovery(receiver, own.name) == (15, 1)


@pytest.mark.parametrize("version", ["1", ""])
def test_b6_plyzen_an_alarm_that_rings_twice_is_two_episodes(receiver, version) -> None:
    """10 to 40 and 100 to 160 minutes after the deploy; one deployment failed, twice."""
    story = Story()
    own = Plyzen(story, f"b6-alarm{version}", f"b6-alarm-cart{version}")
    own.deploy("10:00", version="1")
    own.activity("alarm", "10:10", "10:40", version=version)
    own.activity("alarm", "11:40", "12:40", version=version)
    story.tell(receiver)
    assert rate(figure(receiver, own.name, FAIL)) == (1, 1)
    found = figure(receiver, own.name, RECOVERY)
    assert (minutes(found["value"]), found["n"], minutes(found["p90"])) == (45, 2, 60)
