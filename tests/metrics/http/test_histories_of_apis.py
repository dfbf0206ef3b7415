"""plyzen's and em-metrics' APIs: retests, retries, products, users, zones, skewed clocks."""

from __future__ import annotations

import pytest

from tests.metrics.http.clock import before
from tests.metrics.http.orders import ORDERS, told_in
from tests.metrics.http.others import EmMetrics, Plyzen
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted


def plyzen_retest_two_suites(story: Story) -> Wanted:
    """Two suites fail; each passes on its own time: one episode to the later."""
    p = Plyzen(story, "pa1", "cart")
    p.deploy("10:00", version="1")
    for suite, a, b in (("smoke-test", "10:05", "10:25"), ("e2e-test", "10:10", "10:40")):
        p.activity(suite, before(a, 1), a, "failure", version="1")
        p.activity(suite, before(b, 1), b, "success", version="1")
    return {"fail": (1, 1), "recovery": (35.0, 1), "rework": (0, 1)}


def plyzen_test_of_older_version(story: Story) -> Wanted:
    """A test of version 1 that ends after version 2 is live says nothing of version 2."""
    p = Plyzen(story, "pa2", "cart")
    p.deploy("10:00", version="1")
    p.deploy("11:00", version="2")
    p.activity("smoke-test", "10:58", "11:10", "failure", version="1")
    return {"fail": (0, 2)}


def plyzen_alarm_of_older_version(story: Story) -> Wanted:
    """An alarm that names version 1 after version 2 is live belongs to version 1."""
    p = Plyzen(story, "pa3", "cart")
    p.deploy("10:00", version="1")
    p.deploy("11:00", version="2")
    p.activity("alarm", "11:10", "11:30", version="1")
    return {"fail": (1, 2), "recovery": (20.0, 1)}


def plyzen_staging_then_prod(story: Story) -> Wanted:
    p = Plyzen(story, "pa4", "cart")
    for env, ok, t in (
        ("int", False, "08:00"),
        ("int", True, "09:00"),
        ("stage", True, "09:30"),
        ("prod", True, "10:00"),
    ):
        p.deploy(t, ok, version="1", environment=env)
    p.activity("smoke-test", "09:35", "09:40", "failure", version="1", environment="stage")
    p.activity("alarm", "10:10", "10:20", version="1", environment="stage")
    return {"fail": (0, 1), "rework": (0, 1)}


def plyzen_retry_same_version(story: Story) -> Wanted:
    """Without correlation ids: v2 fails, is deployed again: two deployments by C1/R1."""
    p = Plyzen(story, "pa5", "cart")
    p.deploy("09:00", version="1")
    p.deploy("10:00", False, version="2")
    p.deploy("10:30", version="2")
    return {"fail": (1, 3), "recovery": (30.0, 1), "rework": (0, 3)}


def plyzen_rollback(story: Story) -> Wanted:
    p = Plyzen(story, "pa6", "cart")
    p.deploy("09:00", version="1.9")
    p.deploy("10:00", version="1.10")
    p.deploy("10:30", began="10:26", version="1.9")
    p.deploy("11:00", version="1.11")
    return {"fail": (1, 4), "rework": (1, 4), "recovery": (4.0, 1)}


def plyzen_three_artifacts_one_fails_alone(story: Story) -> Wanted:
    """Artifacts with correlation ids of their own are deployments of their own."""
    for art, ok in (("auth", True), ("ui", True), ("data", False)):
        q = Plyzen(story, "pa8", art)
        q.deploy("10:00", ok, version="1", correlationId=f"c-{art}")
    return {"fail": (1, 3)}


def plyzen_product(story: Story) -> Wanted:
    for art, ok in (("auth", True), ("ui", True), ("data", False)):
        Plyzen(story, "pa9", art).deploy(
            "10:00", ok, version="1", correlationId="c-1", product="shop9"
        )
    Plyzen(story, "pa9", "data").deploy(
        "10:30", True, version="1", correlationId="c-2", product="shop9"
    )
    return {"fail": (1, 2), "recovery": (30.0, 1)}


def plyzen_alarm_flaps(story: Story) -> Wanted:
    p = Plyzen(story, "pa10", "cart")
    p.deploy("10:00", version="1")
    for a, b in (("10:10", "10:12"), ("10:13", "10:15"), ("10:16", "10:22")):
        p.activity("alarm", a, b, version="1")
    return {"fail": (1, 1), "recovery": (2.0, 3)}


def plyzen_zone(story: Story) -> Wanted:
    p = Plyzen(story, "pa11", "cart")
    for ev, t in (("start", "2026-03-02T11:00:00+02:00"), ("finish", "2026-03-02T04:30:00-05:00")):
        story.add(
            "/plyzen",
            {
                "namespace": "pa11",
                "artifact": "cart",
                "version": "1",
                "environment": "prod",
                "activity": "deploy",
                "event": ev,
                "timestamp": t,
                **({"result": "success"} if ev == "finish" else {}),
            },
        )
    p.activity("alarm", "09:40", "09:55", version="1")
    return {"fail": (1, 1), "recovery": (15.0, 1)}


def plyzen_alarm_lasts(story: Story) -> Wanted:
    p = Plyzen(story, "pa12", "cart")
    p.deploy("10:00", version="1")
    p.activity("alarm", "10:10", version="1")
    p.deploy("11:00", version="2")
    return {"fail": (1, 2), "open": 1, "recovery": (None, 0), "rework": (0, 2)}


def em_metrics_basic(story: Story) -> Wanted:
    e = EmMetrics(story, "ema1")
    e.deploy("10:00", first_commit="08:00")
    e.deploy("12:00", first_commit="11:30")
    e.incident("em-i2", "12:10", restored="12:40", finished="14:00", deployment="ema1 12:00")
    return {"lead": (1.25, 2), "fail": (1, 2), "recovery": (30.0, 1), "rework": (0, 2)}


def em_metrics_finish_only(story: Story) -> Wanted:
    e = EmMetrics(story, "ema2")
    e.deploy("10:00", first_commit="08:00")
    e.incident("em-i3", "10:10", finished="10:50")
    return {"fail": (1, 1), "recovery": (40.0, 1)}


def em_metrics_named_old(story: Story) -> Wanted:
    """Names the deployment before the last one, days later."""
    e = EmMetrics(story, "ema4")
    e.deploy("10:00", first_commit="08:00", key="ema4-1")
    e.deploy("12:00", first_commit="11:00", key="ema4-2")
    e.incident("em-i5", "Thu 10:00", restored="Thu 11:00", deployment="ema4-1")
    return {"fail": (1, 2), "recovery": (60.0, 1)}


def em_metrics_incident_late_unnamed(story: Story) -> Wanted:
    e = EmMetrics(story, "ema5")
    e.deploy("10:00", first_commit="08:00")
    e.incident("em-i6", "Thu 10:00", restored="Thu 11:00")
    return {"fail": (0, 1)}


def em_metrics_fix(story: Story) -> Wanted:
    e = EmMetrics(story, "ema6")
    e.deploy("10:00", first_commit="08:00")
    e.incident("em-i7", "10:10", restored="11:00")
    e.deploy("11:00", began="10:50", first_commit="10:20")
    return {"fail": (1, 2), "rework": (1, 2), "recovery": (50.0, 1), "lead": (1.3333, 2)}


def em_metrics_first_commit_after_end(story: Story) -> Wanted:
    """Clock skew: the first commit is after the end of the deployment: never negative."""
    e = EmMetrics(story, "ema7")
    e.deploy("10:00", first_commit="10:03")
    return {"lead": (0.0, 1)}


HISTORIES = {
    "pa1": plyzen_retest_two_suites,
    "pa2": plyzen_test_of_older_version,
    "pa3": plyzen_alarm_of_older_version,
    "pa4": plyzen_staging_then_prod,
    "pa5": plyzen_retry_same_version,
    "pa6": plyzen_rollback,
    "pa8": plyzen_three_artifacts_one_fails_alone,
    "pa9": plyzen_product,
    "pa10": plyzen_alarm_flaps,
    "pa11": plyzen_zone,
    "pa12": plyzen_alarm_lasts,
    "ema1": em_metrics_basic,
    "ema2": em_metrics_finish_only,
    "ema4": em_metrics_named_old,
    "ema5": em_metrics_incident_late_unnamed,
    "ema6": em_metrics_fix,
    "ema7": em_metrics_first_commit_after_end,
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_history_of_an_api_has_the_values_computed_by_hand(configured, order) -> None:
    assert told_in(order, configured(""), HISTORIES) == {}
