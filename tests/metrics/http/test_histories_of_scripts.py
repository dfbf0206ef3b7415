"""Scripts and mixed tools: parents, canaries, regions, environments, named versions, clocks."""

from __future__ import annotations

import pytest

from tests.metrics.http.clock import before, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import ORDERS, told_in
from tests.metrics.http.others import Plyzen, Script, alertmanager
from tests.metrics.http.presets import pagerduty_incident
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted
from tests.metrics.http.tools import argo_sync

LIVE = """
[environments]
production = ["prod", "production", "live-*"]
not_production = ["live-test"]
"""


def script_parents(story: Story) -> Wanted:
    """Pipeline > build, deploy with parents by ref; two attempts of the deploy in one pipeline."""
    sc = Script(story, "sca1", "svc")
    own = GitHub(story, "acme/sca1")
    own.push(("sca1 c", "08:00"))
    sc.span("pipeline", "08:10", "09:00", key="p1", name="ship")
    ref = "vstrace-customhttp-pipeline-sca1-p1"
    sc.span(
        "deploy",
        "08:20",
        "08:30",
        False,
        key="d1",
        parent=ref,
        repository="acme/sca1",
        commit=sha("sca1 c"),
    )
    sc.span(
        "deploy",
        "08:40",
        "09:00",
        True,
        key="d2",
        parent=ref,
        repository="acme/sca1",
        commit=sha("sca1 c"),
    )
    return {"lead": (1.0, 1), "fail": (0, 1), "rework": (0, 1), "project": "acme/sca1"}


def script_canary(story: Story) -> Wanted:
    """A canary of version 2 in an environment of its own, then all: one deployment."""
    sc = Script(story, "sca2")
    sc.deploy("09:00", version="1")
    sc.deploy("10:00", version="2", environment="canary")
    sc.deploy("10:30", version="2")
    return {"fail": (0, 2)}


def script_canary_same_env(story: Story) -> Wanted:
    """Canary and full in production by one run overlap: one; the canary alone earlier: two."""
    sc = Script(story, "sca3")
    sc.deploy("09:00", version="1")
    sc.deploy("10:10", began="10:00", version="2", key="canary")
    sc.deploy("10:30", began="10:05", version="2", key="full")
    return {"fail": (0, 2)}


def script_blue_green(story: Story) -> Wanted:
    """Environments by colour are one each."""
    sc = Script(story, "sca4")
    sc.deploy("09:00", version="1", environment="live-blue")
    sc.deploy("10:00", version="2", environment="live-green")
    sc.deploy("10:30", version="3", environment="live-test", ok=False)
    return {"fail": (0, 2)}


def script_matrix_one_fails(story: Story) -> Wanted:
    sc = Script(story, "sca5")
    sc.span("pipeline", "09:00", "09:40", False, key="m1", name="ship")
    ref = "vstrace-customhttp-pipeline-sca5-m1"
    for i, (reg, ok) in enumerate((("eu", True), ("us", False), ("ap", True))):
        sc.span("deploy", f"09:0{i}", f"09:2{i}", ok, key=f"m1-{reg}", parent=ref, version="2")
    sc.deploy("10:00", version="3")
    return {"fail": (1, 2), "recovery": (38.0, 1), "rework": (0, 2)}


def script_alias(story: Story) -> Wanted:
    """Prod, production, Production and PROD are one environment."""
    sc = Script(story, "sca6")
    for n, env in enumerate(("prod", "production", "Production", "PROD"), 1):
        sc.deploy(f"0{n + 5}:00", n != 2, version=f"1.{n}", environment=env)
    alertmanager(story, "sca6", "09:10", "09:30", environment="prod")
    return {"fail": (2, 4), "recovery": (40.0, 2)}


def script_several_envs(story: Story) -> Wanted:
    sc = Script(story, "sca7")
    for env, t, ok in (
        ("dev", "08:00", True),
        ("test", "08:30", False),
        ("staging", "09:00", True),
        ("production", "10:00", True),
    ):
        sc.deploy(t, ok, version="1", environment=env)
    return {"fail": (0, 1), "rework": (0, 1)}


def script_skew(story: Story) -> Wanted:
    """The alert's clock is 2 minutes behind: it begins before the deploy began by its clock."""
    sc = Script(story, "sca8")
    sc.deploy("09:00", version="1")
    sc.deploy("10:00", began="09:50", version="2")
    alertmanager(story, "sca8", "09:51", "10:20")
    return {"fail": (1, 2), "recovery": (29.0, 1)}


def script_zone(story: Story) -> Wanted:
    for act, t in (("start", "2026-03-02T23:30:00+14:00"), ("end", "2026-03-02T23:40:00+14:00")):
        story.add(
            "/customhttp",
            {
                "type": "deploy",
                "id": "z",
                "namespace": "sca10",
                "action": act,
                "timestamp": t,
                "tags": {"service": "sca10", "environment": "production", "version": "1"},
            },
        )
    alertmanager(story, "sca10", "09:50", "10:00")
    return {"fail": (1, 1), "recovery": (10.0, 1)}


def script_timed_out(story: Story) -> Wanted:
    """No end: failed when its timeout passed (2 h)."""
    sc = Script(story, "sca11")
    sc.span("deploy", "08:00", "", key="t1", version="1")
    sc.deploy("11:00", version="2")
    return {"fail": (1, 2), "recovery": (60.0, 1)}


def script_incident_only_named_version(story: Story) -> Wanted:
    sc = Script(story, "sca12")
    sc.deploy("09:00", version="1")
    sc.deploy("10:00", version="2")
    sc.span("incident", "10:30", "10:50", key="i1", version="1")
    return {"fail": (1, 2), "recovery": (20.0, 1)}


def script_incident_unknown_version(story: Story) -> Wanted:
    sc = Script(story, "sca13")
    sc.deploy("09:00", version="1")
    sc.deploy("10:00", version="2")
    sc.span("incident", "10:30", "10:50", key="i1", version="9.9")
    return {"fail": (0, 2), "recovery": (None, 0)}


def script_incident_parent(story: Story) -> Wanted:
    """An incident whose parent is the deploy."""
    sc = Script(story, "sca14")
    sc.deploy("09:00", version="1", key="dd1")
    sc.deploy("10:00", version="2")
    sc.span("incident", "10:30", "10:50", key="i1", parent="vstrace-customhttp-deploy-sca14-dd1")
    return {"fail": (1, 2), "recovery": (20.0, 1)}


def script_id_reused(story: Story) -> Wanted:
    """The version is the id: 1, 2, 1 again."""
    sc = Script(story, "sca15")
    for v, t in (("1", "09:00"), ("2", "10:00"), ("1", "11:00")):
        sc.deploy(t, version=v, key=f"v{v}", began=t.replace("00", "56") if False else "")
    return {"fail": (1, 3), "rework": (1, 3)}


def script_test_child(story: Story) -> Wanted:
    sc = Script(story, "sca16")
    sc.deploy("09:00", version="1", key="d")
    sc.span(
        "test",
        "09:05",
        "09:10",
        False,
        parent="vstrace-customhttp-deploy-sca16-d",
        key="t",
        name="smoke 17",
    )
    sc.span(
        "test",
        "09:15",
        "09:20",
        True,
        parent="vstrace-customhttp-deploy-sca16-d",
        key="t2",
        name="smoke 18",
    )
    return {"fail": (1, 1), "recovery": (10.0, 1)}


def script_cancelled(story: Story) -> Wanted:
    sc = Script(story, "sca17")
    sc.deploy("09:00", version="1", state="cancelled")
    sc.deploy("10:00", version="2", state="timed_out")
    sc.deploy("11:00", version="2")
    return {"fail": (1, 2), "recovery": (60.0, 1)}


def github_jenkins_argo_pd(story: Story) -> Wanted:
    own = GitHub(story, "acme/mix1")
    own.pull(1, "08:00", "09:00", commits=[("mix1 c", "07:00")], pushed=True)
    argo_sync(story, "mix1-prod", "09:20", "09:30", repository=own.name, revision=own.merge_of(1))
    pagerduty_incident(story, "mix1", "A", ("triggered", "09:35"), ("resolved", "10:05"))
    own.pull(2, "09:40", "09:50", pushed=True, head="hotfix/x")
    argo_sync(story, "mix1-prod", "09:55", "10:00", repository=own.name, revision=own.merge_of(2))
    return {"lead": (1.4167, 2), "fail": (1, 2), "rework": (1, 2), "recovery": (30.0, 1)}


def argo_degraded(story: Story) -> Wanted:
    own = GitHub(story, "acme/arg1")
    for i, (ok, t, e) in enumerate(
        ((True, "08:00", "08:10"), (False, "09:00", "09:10"), (True, "09:20", "09:30"))
    ):
        own.push((f"arg1 {i}", before(t, 10)))
        argo_sync(story, "arg1-prod", t, e, ok, repository=own.name, revision=f"arg1 {i}")
    return {"fail": (1, 3), "recovery": (20.0, 1), "lead": (0.3333, 3)}


def end_before_its_start(story: Story) -> Wanted:
    """The clock of the machine that told the end is a minute behind."""
    script = Script(story, "skw1")
    script.span("deploy", "10:00", "09:59", False, key="x", version="1")
    script.deploy("10:30", version="2")
    return {"fail": (1, 2), "recovery": (31.0, 1)}


def end_whose_start_was_lost(story: Story) -> Wanted:
    """The id starts again an hour later."""
    script = Script(story, "lst1")
    script.span("deploy", "08:50", "09:00", key="x", version="1")
    del story.posts[-2]
    script.span("deploy", "10:00", "10:10", False, key="x", version="1")
    return {"fail": (1, 2)}


def incident_that_ends_before_its_start(story: Story) -> Wanted:
    script = Script(story, "skw2")
    script.deploy("09:00", version="1")
    script.span("incident", "10:00", "09:59", key="i")
    return {"fail": (1, 1), "open": 0, "recovery": (0.0, 1)}


def plyzen_end_before_its_start(story: Story) -> Wanted:
    own = Plyzen(story, "skw3", "cart")
    own.deploy("10:00", began="10:01", version="1")
    own.deploy("11:00", version="2")
    return {"fail": (0, 2), "rework": (0, 2)}


HISTORIES = {
    "skw1": end_before_its_start,
    "lst1": end_whose_start_was_lost,
    "skw2": incident_that_ends_before_its_start,
    "skw3": plyzen_end_before_its_start,
    "sca1": script_parents,
    "sca2": script_canary,
    "sca3": script_canary_same_env,
    "sca4": script_blue_green,
    "sca5": script_matrix_one_fails,
    "sca6": script_alias,
    "sca7": script_several_envs,
    "sca8": script_skew,
    "sca10": script_zone,
    "sca11": script_timed_out,
    "sca12": script_incident_only_named_version,
    "sca13": script_incident_unknown_version,
    "sca14": script_incident_parent,
    "sca15": script_id_reused,
    "sca16": script_test_child,
    "sca17": script_cancelled,
    "acme/mix1": github_jenkins_argo_pd,
    "acme/arg1": argo_degraded,
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_history_of_a_script_has_the_values_computed_by_hand(configured, order) -> None:
    assert told_in(order, configured(LIVE), HISTORIES) == {}
