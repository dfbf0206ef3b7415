"""plyzen in both schemas, without correlation ids: artifacts that are deployed alone and together
with others, retests, alarms without a version."""

from __future__ import annotations

import pytest

from tests.metrics.http.clock import before
from tests.metrics.http.orders import ORDERS, differing, of_projects, told_in
from tests.metrics.http.others import Plyzen
from tests.metrics.http.story import Story, command, send
from tests.metrics.http.test_histories import Wanted


def together(own: Plyzen, end: str, *parts: str, product: str = "shop", result: str = "") -> None:
    """One activity of the advanced schema that deploys these artifacts: `data 1`, or `!data 1` for
    one that fails, or `?data 1` for one without a result."""
    artifacts = [
        (name.strip("!?"), version, {"!": "failure", "?": ""}.get(name[0], "success"))
        for name, version in (part.split() for part in parts)
    ]
    own.advanced(
        f"{own.name} {end}", "deploy", end, end,
        artifacts=artifacts, product=f"{own.name} {product}" if product else "", result=result,
    )  # fmt: skip


def alone_again(story: Story, name: str) -> Wanted:
    """One of three artifacts fails and is deployed alone later, in the same schema."""
    p = Plyzen(story, f"acme/{name}", "data")
    together(p, "10:00", "auth 1", "ui 1", "!data 1")
    together(p, "10:30", "data 1", product="")
    return {"fail": (1, 2), "recovery": (30.0, 1), "open": 0}


def without_a_product(story: Story, name: str) -> Wanted:
    """The same, of artifacts without a product."""
    p = Plyzen(story, f"acme/{name}", "data")
    together(p, "10:00", "auth 1", "!data 1", product="")
    together(p, "10:30", "data 1", product="")
    return {"fail": (1, 2), "recovery": (30.0, 1), "open": 0}


def by_the_basic_schema(story: Story, name: str) -> Wanted:
    """It is deployed again by the basic schema."""
    p = Plyzen(story, f"acme/{name}", "data")
    together(p, "10:00", "auth 1", "!data 1")
    p.deploy("10:30", version="1")
    return {"fail": (1, 2), "recovery": (30.0, 1), "open": 0}


def by_the_next_version(story: Story, name: str) -> Wanted:
    """A newer version alone repairs it, too."""
    p = Plyzen(story, f"acme/{name}", "data")
    together(p, "10:00", "auth 1", "!data 1", result="diverse")
    p.deploy("10:30", version="2")
    return {"fail": (1, 2), "recovery": (30.0, 1), "open": 0}


def of_the_product_again(story: Story, name: str) -> Wanted:
    """The retry names the product again."""
    p = Plyzen(story, f"acme/{name}", "data")
    together(p, "10:00", "auth 1", "!data 1")
    together(p, "10:30", "data 1")
    return {"fail": (1, 2), "recovery": (30.0, 1), "open": 0}


def of_two_artifacts(story: Story, name: str) -> Wanted:
    """Two artifacts fail; each is deployed alone: until the later one."""
    p = Plyzen(story, f"acme/{name}", "data")
    together(p, "10:00", "auth 1", "!ui 1", "!data 1")
    p.deploy("10:30", version="1")
    Plyzen(story, p.name, "ui").deploy("10:50", version="1")
    return {"fail": (1, 3), "recovery": (50.0, 1), "open": 0}


def of_another_artifact(story: Story, name: str) -> Wanted:
    """Another artifact alone repairs nothing."""
    p = Plyzen(story, f"acme/{name}", "data")
    together(p, "10:00", "auth 1", "ui 1", "!data 1")
    Plyzen(story, p.name, "ui").deploy("10:30", version="2")
    return {"fail": (1, 2), "recovery": (None, 0), "open": 1}


def in_another_environment(story: Story, name: str) -> Wanted:
    """The artifact alone in another environment repairs nothing."""
    p = Plyzen(story, f"acme/{name}", "data")
    together(p, "10:00", "auth 1", "!data 1")
    p.deploy("10:30", version="1", environment="staging")
    return {"fail": (1, 1), "recovery": (None, 0), "open": 1}


def together_again(story: Story, name: str) -> Wanted:
    """It fails alone, and is deployed together with others."""
    p = Plyzen(story, f"acme/{name}", "data")
    p.deploy("10:00", False, version="1")
    together(p, "10:30", "auth 1", "data 1")
    return {"fail": (1, 2), "recovery": (30.0, 1), "open": 0}


def without_results(story: Story, name: str) -> Wanted:
    """The whole fails without results of its artifacts, and is deployed again."""
    p = Plyzen(story, f"acme/{name}", "data")
    together(p, "10:00", "?auth 1", "?data 1", result="failure")
    together(p, "10:30", "auth 1", "data 1")
    return {"fail": (1, 2), "recovery": (30.0, 1), "open": 0}


def alarm_then_alone(story: Story, name: str) -> Wanted:
    """An alarm after the product deployment; the artifact is deployed alone much later."""
    p = Plyzen(story, f"acme/{name}", "data")
    together(p, "10:00", "auth 1", "data 1")
    p.activity("alarm", "10:10", "10:40")
    p.deploy("12:00", version="2")
    return {"fail": (1, 2), "recovery": (30.0, 1), "rework": (0, 2)}


def alarm_repaired_alone(story: Story, name: str) -> Wanted:
    """The artifact alone repairs what its alarm tells of the product deployment."""
    p = Plyzen(story, f"acme/{name}", "data")
    together(p, "10:00", "auth 1", "data 1")
    p.activity("alarm", "10:10", "11:10", version="1")
    p.deploy("11:00", began="10:50", version="2")
    return {"fail": (1, 2), "recovery": (60.0, 1), "rework": (1, 2)}


def alarm_of_another(story: Story, name: str) -> Wanted:
    """The alarm is of another artifact, so the artifact alone is no repair."""
    p = Plyzen(story, f"acme/{name}", "data")
    together(p, "10:00", "auth 1", "data 1")
    Plyzen(story, p.name, "auth").activity("alarm", "10:10", "11:10")
    p.deploy("11:00", began="10:50", version="2")
    return {"fail": (1, 2), "recovery": (60.0, 1), "rework": (0, 2)}


def alarm_after_both(story: Story, name: str) -> Wanted:
    """The artifact was deployed alone before: the alarm is about the product deployment."""
    p = Plyzen(story, f"acme/{name}", "data")
    p.deploy("09:00", version="1")
    together(p, "10:00", "auth 1", "data 2")
    p.activity("alarm", "10:10", "10:40")
    return {"by": "product", "project": f"{p.name} shop", "fail": (1, 1), "recovery": (30.0, 1)}


def alarm_after_alone(story: Story, name: str) -> Wanted:
    """The artifact was deployed alone after the product: the alarm is about that."""
    p = Plyzen(story, f"acme/{name}", "data")
    together(p, "09:00", "auth 1", "data 1")
    p.deploy("10:00", version="2")
    p.activity("alarm", "10:10", "10:40")
    return {"by": "product", "project": f"{p.name} shop", "fail": (0, 1)}


def suite_repaired_alone(story: Story, name: str) -> Wanted:
    """A smoke test fails after the product deployment, and passes after the artifact alone."""
    p = Plyzen(story, f"acme/{name}", "data")
    together(p, "10:00", "auth 1", "data 1")
    p.activity("smoke-test", "10:04", "10:05", "failure", version="1")
    p.deploy("10:30", version="2")
    p.activity("smoke-test", "10:34", "10:35", version="2")
    return {"fail": (1, 2), "recovery": (30.0, 1), "open": 0, "rework": (1, 2)}


def suite_after_both(story: Story, name: str) -> Wanted:
    """Retest after the product deployment of what was alone before."""
    p = Plyzen(story, f"acme/{name}", "data")
    p.deploy("09:00", version="1")
    together(p, "10:00", "auth 1", "data 2")
    p.activity("smoke-test", "10:04", "10:05", "failure", version="2")
    p.activity("smoke-test", "10:19", "10:20", version="2")
    return {"fail": (1, 2), "recovery": (15.0, 1)}


def retest_without_version(story: Story, name: str) -> Wanted:
    """Fails, fails, passes, all without a version: one episode."""
    p = Plyzen(story, f"acme/{name}", "data")
    p.deploy("10:00", version="1")
    for clock, result in (("10:05", "failure"), ("10:12", "failure"), ("10:20", "success")):
        p.activity("smoke-test", before(clock), clock, result)
    return {"fail": (1, 1), "recovery": (15.0, 1)}


def retest_by_finishes_alone(story: Story, name: str) -> Wanted:
    """B6 told by finishes alone."""
    p = Plyzen(story, f"acme/{name}", "data")
    p.record("deploy", "finish", "10:00", version="1", result="success")
    p.record("smoke-test", "finish", "10:05", version="1", result="failure")
    p.record("smoke-test", "finish", "10:20", version="1", result="success")
    return {"fail": (1, 1), "recovery": (15.0, 1)}


def failed_again(story: Story, name: str) -> Wanted:
    """Fails, passes, fails, passes: 5 and 20 minutes, median 12.5."""
    p = Plyzen(story, f"acme/{name}", "data")
    p.deploy("10:00", version="1")
    for clock, result in zip(
        ("10:05", "10:10", "10:30", "10:50"), ("failure", "success") * 2, strict=True
    ):
        p.activity("smoke-test", before(clock), clock, result, version="1")
    return {"fail": (1, 1), "recovery": (12.5, 2)}


def two_alarms(story: Story, name: str) -> Wanted:
    """B6: 30 and 60 minutes without a version."""
    p = Plyzen(story, f"acme/{name}", "data")
    p.deploy("10:00", version="1")
    p.activity("alarm", "10:10", "10:40")
    p.activity("alarm", "11:40", "12:40")
    return {"fail": (1, 1), "recovery": (45.0, 2)}


def alarms_of_two_names(story: Story, name: str) -> Wanted:
    """Alarms of different names overlap: one episode of an hour."""
    p = Plyzen(story, f"acme/{name}", "data")
    p.deploy("10:00", version="1")
    p.activity("latency-alarm", "10:10", "10:40")
    p.activity("error-alarm", "10:30", "11:10")
    return {"fail": (1, 1), "recovery": (60.0, 1)}


def alarm_of_each_version(story: Story, name: str) -> Wanted:
    """The same alarm after each of two versions, without naming them."""
    p = Plyzen(story, f"acme/{name}", "data")
    p.deploy("10:00", version="1")
    p.activity("alarm", "10:10", "10:20")
    p.deploy("11:00", version="2")
    p.activity("alarm", "11:10", "11:40")
    return {"fail": (2, 2), "recovery": (20.0, 2), "rework": (0, 2)}


def same_version_again(story: Story, name: str) -> Wanted:
    """The version whose test failed is deployed again, and passes: a repair."""
    p = Plyzen(story, f"acme/{name}", "data")
    p.deploy("10:00", version="1")
    p.activity("smoke-test", "10:04", "10:05", "failure", version="1")
    p.deploy("10:30", version="1")
    p.activity("smoke-test", "10:34", "10:35", version="1")
    return {"fail": (1, 2), "recovery": (30.0, 1), "rework": (1, 2)}


def alarm_of_two(story: Story, name: str) -> Wanted:
    """An alarm of two artifacts, one deployed alone, one with others."""
    p = Plyzen(story, f"acme/{name}", "data")
    together(p, "10:00", "auth 1", "ui 1")
    p.deploy("10:05", version="1")
    p.advanced(
        f"{name} alarm", "alarm", "10:10", "10:40", artifacts=[("auth", "", ""), ("data", "", "")]
    )
    return {"fail": (2, 2), "recovery": (30.0, 2)}


def older_alone(story: Story, name: str) -> Wanted:
    """An older version alone takes back what was deployed with others, and repairs."""
    p = Plyzen(story, f"acme/{name}", "data")
    p.deploy("09:00", version="1")
    together(p, "10:00", "auth 1", "data 2")
    p.deploy("11:00", version="1", began="10:50")
    return {"fail": (1, 3), "recovery": (10.0, 1), "rework": (1, 3)}


def newer_alone(story: Story, name: str) -> Wanted:
    """Work on the next version began when the last one was deployed with others; what was live
    ships nothing new."""
    p = Plyzen(story, f"acme/{name}", "data")
    together(p, "10:00", "auth 1", "data 1")
    p.deploy("12:00", version="2")
    p.deploy("13:00", version="1")
    return {"lead": (2.0, 1), "unknown": 1}


def half_known(story: Story, name: str) -> Wanted:
    """One change of the two artifacts, though only of one it is known when it began; the one that
    failed ships alone."""
    p = Plyzen(story, f"acme/{name}", "data")
    p.activity("build", "08:00", "08:10", version="1", environment="ci")
    together(p, "10:00", "auth 1", "data 1", "!ui 1")
    Plyzen(story, p.name, "ui").deploy("11:00", version="1")
    return {"lead": (2.0, 1), "unknown": 1}


def repair_that_fails(story: Story, name: str) -> Wanted:
    """What began while an alarm was open and was over before it is a repair, also if it failed."""
    p = Plyzen(story, f"acme/{name}", "data")
    p.deploy("10:00", version="1", correlationId=f"{name} 1")
    p.activity("alarm", "10:10", "11:10")
    p.deploy("11:00", False, version="2", began="10:50", correlationId=f"{name} 2")
    return {"fail": (2, 2), "rework": (1, 2)}


HISTORIES = of_projects(
    {
        "pt0": alone_again,
        "pt1": without_a_product,
        "pt2": by_the_basic_schema,
        "pt3": by_the_next_version,
        "pt4": of_the_product_again,
        "pt5": of_two_artifacts,
        "pt6": of_another_artifact,
        "pt7": in_another_environment,
        "pt8": together_again,
        "pt9": without_results,
        "pt10": alarm_then_alone,
        "pt11": alarm_repaired_alone,
        "pt12": alarm_of_another,
        "pt13": alarm_after_both,
        "pt14": alarm_after_alone,
        "pt15": suite_repaired_alone,
        "pt16": suite_after_both,
        "pt17": retest_without_version,
        "pt18": retest_by_finishes_alone,
        "pt19": failed_again,
        "pt20": two_alarms,
        "pt21": alarms_of_two_names,
        "pt22": alarm_of_each_version,
        "pt23": same_version_again,
        "pt24": alarm_of_two,
        "pt25": older_alone,
        "pt26": newer_alone,
        "pt27": half_known,
        "pt28": repair_that_fails,
    }
)


@pytest.mark.parametrize("order", (*ORDERS, "reverse"))
def test_every_history_of_artifacts_has_the_values_computed_by_hand(configured, order) -> None:
    server = configured("")
    assert told_in(order, server, HISTORIES) == {}
    command(server, "db", "rebuild")
    assert told_in("none", server, HISTORIES) == {}


def test_a_late_report_of_an_earlier_run_of_a_test_fails_the_deployment_of_that_time(
    receiver,
) -> None:
    """Without a version nothing but the time joins the test and the deployments."""
    story = Story()
    wanted = same_version_again(story, "late")
    tests = [post for post in story.posts if post.body["activity"] == "smoke-test"]
    deploys = [post for post in story.posts if post not in tests]
    for post in tests:
        del post.body["version"]
    for posts in (deploys, tests[2:], tests[:2]):
        send(receiver, posts)
    assert differing(receiver, {"acme/late": wanted}) == {}
