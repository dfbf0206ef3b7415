"""Signals that come late, alone, or with names that a deployment does not know."""

from __future__ import annotations

import pytest

from tests.metrics.http.clock import at, moment, number, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import ORDERS, told_in
from tests.metrics.http.others import EmMetrics, Plyzen, Script, alertmanager
from tests.metrics.http.presets import (
    datadog,
    heroku,
    millis,
    netlify,
    opsgenie,
    pagerduty_incident,
    servicenow,
    vercel,
)
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted
from tests.metrics.http.test_histories_of_operations import shipped
from tests.metrics.http.test_histories_of_rollouts import rollout
from tests.metrics.http.tools import argo_sync


def monitor_names_a_version_and_the_deploy_a_commit(story: Story) -> Wanted:
    """The two cannot be compared, so the time decides."""
    jenkins = shipped(story, "ver1")
    jenkins.deploy("11:00", commit="ver1 2")
    datadog(story, "ver1", "c1", ("Triggered", "11:10"), ("Recovered", "11:30"))
    for post in story.posts[-2:]:
        post.body["tags"] += ",version:1.4.0"
    return {"fail": (1, 2), "recovery": (20.0, 1)}


def monitor_names_a_commit_and_the_deploy_a_version(story: Story) -> Wanted:
    own = Plyzen(story, "ver2", "ver2")
    own.deploy("10:00", version="1.4.0")
    datadog(story, "ver2", "c1", ("Triggered", "10:10"), ("Recovered", "10:30"))
    for post in story.posts[-2:]:
        post.body["tags"] += f",version:{sha('ver2')}"
    return {"fail": (1, 1), "recovery": (20.0, 1)}


def monitor_names_another_version(story: Story) -> Wanted:
    own = Plyzen(story, "ver3", "ver3")
    own.deploy("10:00", version="1.4.0")
    datadog(story, "ver3", "c1", ("Triggered", "10:10"), ("Recovered", "10:30"))
    for post in story.posts[-2:]:
        post.body["tags"] += ",version:1.3.9"
    return {"fail": (0, 1)}


def monitor_names_another_commit(story: Story) -> Wanted:
    shipped(story, "ver4")
    datadog(story, "ver4", "c1", ("Triggered", "10:10"), ("Recovered", "10:30"))
    for post in story.posts[-2:]:
        post.body["tags"] += f",version:{sha('ver4 other')}"
    return {"fail": (0, 1)}


def only_the_end_was_received(story: Story) -> Wanted:
    """PagerDuty, Alertmanager and Opsgenie state the start with the end."""
    shipped(story, "end1")
    pagerduty_incident(story, "end1", "A", ("resolved", "10:40"), created_at=at("10:10"))
    alertmanager(story, "end1", "11:00", "11:10")
    del story.posts[-2]
    opsgenie(story, "end1", "a", ("Create", "12:00"), ("Close", "12:30"))
    del story.posts[-2]
    return {"fail": (1, 1), "recovery": (30.0, 3)}


def acknowledged_first(story: Story) -> Wanted:
    shipped(story, "end2")
    pagerduty_incident(
        story, "end2", "A", ("acknowledged", "10:20"), ("resolved", "10:40"), created_at=at("10:10")
    )
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def resolved_before_the_rollout_ends(story: Story) -> Wanted:
    jenkins = shipped(story, "slow1")
    jenkins.deploy("12:00", began="11:00", commit="slow1 2")
    alertmanager(story, "slow1", "11:10", "11:20")
    return {"fail": (1, 2), "recovery": (10.0, 1), "rework": (0, 2)}


def rollout_is_cancelled_after_its_alert(story: Story) -> Wanted:
    """What was deployed last counts: it is live again."""
    jenkins = shipped(story, "cnc1")
    jenkins.deploy("11:10", began="11:00", commit="cnc1 2", state="cancelled")
    alertmanager(story, "cnc1", "11:05", "11:20")
    return {"fail": (1, 1), "recovery": (15.0, 1)}


def alert_is_sent_again_and_again(story: Story) -> Wanted:
    """Alertmanager repeats what fires, also after the group has changed."""
    shipped(story, "rpt1")
    alertmanager(story, "rpt1", "10:10", "14:10")
    story.posts[-1:-1] = story.posts[-2:-1] * 3
    story.add("/alertmanager", story.posts[-2].body)
    return {"fail": (1, 1), "recovery": (240.0, 1), "open": 0}


def alert_names_a_repository(story: Story) -> Wanted:
    shipped(story, "rpo1")
    alertmanager(story, "", "10:10", "10:30", repository="https://github.com/acme/rpo1.git")
    return {"fail": (1, 1), "recovery": (20.0, 1)}


def details_name_the_service(story: Story) -> Wanted:
    shipped(story, "dtl1")
    opsgenie(story, "dtl1", "a", ("Create", "10:10"), ("Close", "10:30"))
    for post in story.posts[-2:]:
        post.body["alert"] |= {"tags": [], "details": {"service": "dtl1", "env": "production"}}
    return {"fail": (1, 1), "recovery": (20.0, 1)}


def ticket_with_the_words_of_its_states(story: Story) -> Wanted:
    shipped(story, "wrd1")
    told = (
        ("New", "10:10", "", ""),
        ("In Progress", "10:20", "", ""),
        ("On Hold", "10:30", "", ""),
    )
    servicenow(story, "wrd1", "INC0030001", "10:10", *told, ("Resolved", "11:10", "11:10", ""))
    return {"fail": (1, 1), "recovery": (60.0, 1)}


def error_is_resolved_by_a_person(story: Story) -> Wanted:
    """Sentry says when it sent an event by a header."""
    shipped(story, "snt1")
    project = {"id": "1", "slug": "snt1", "name": "snt1"}
    issue = {"id": str(number("snt1")), "title": "TypeError", "level": "error", "project": project}
    issue |= {"firstSeen": at("10:10"), "web_url": "https://acme.sentry.io/issues/1/"}
    for action, status, clock in (
        ("created", "unresolved", "10:10"),
        ("assigned", "unresolved", "10:20"),
        ("resolved", "resolved", "10:40"),
        ("unresolved", "unresolved", "11:00"),
        ("resolved", "resolved", "11:10"),
    ):
        body = {"action": action, "data": {"issue": issue | {"status": status}}}
        sent = str(int(moment(clock).timestamp()))
        story.add(
            "/sentry",
            body | {"installation": {"uuid": "a8"}},
            Sentry_Hook_Resource="issue",
            Sentry_Hook_Timestamp=sent,
            Request_ID=f"snt1-{sent}",
        )
    return {"fail": (1, 1), "recovery": (20.0, 2)}


def vercel_of_gitlab(story: Story) -> Wanted:
    for n, clock in ((1, "09"), (2, "10")):
        vercel(story, "vgl1", f"dpl_g{n}", ("created", f"{clock}:00"), ("succeeded", f"{clock}:05"))
        for post in story.posts[-2:]:
            post.body["payload"]["deployment"]["meta"] = {"gitlabCommitSha": sha(f"vgl1 {n}")}
    alertmanager(story, "vgl1", "10:10", "10:30", commit=sha("vgl1 1"))
    return {"fail": (1, 2), "recovery": (20.0, 1), "rework": (0, 2)}


def vercel_rollback_is_undone(story: Story) -> Wanted:
    """The newer deployment is promoted again, which is a deployment of its own."""
    for n, clock in ((1, "09"), (2, "10")):
        told = (
            ("created", f"{clock}:00"),
            ("succeeded", f"{clock}:05"),
            ("promoted", f"{clock}:06"),
        )
        vercel(story, "vru1", f"dpl_u{n}", *told)
    body = {"id": "roll-u", "type": "deployment.rollback", "createdAt": millis("10:30")}
    story.add(
        "/vercel", body | {"payload": {"fromDeploymentId": "dpl_u2", "toDeploymentId": "dpl_u1"}}
    )
    vercel(story, "vru1", "dpl_u2", ("promoted", "12:00"))
    return {"fail": (1, 4), "rework": (1, 4), "successes": 4}


def vercel_builds_without_domains(story: Story) -> Wanted:
    """Promotions are told, so a build without one is not live: its change ships with the next."""
    own = GitHub(story, "acme/vwd1")
    for n, clock in ((1, "08"), (2, "09"), (3, "10"), (4, "11")):
        own.push((f"vwd1 {n}", f"{clock}:35"))
        hour = int(clock) + 1
        told = [("created", f"{hour}:00"), ("succeeded", f"{hour}:04")]
        told += [("promoted", f"{hour}:05")] if n in (1, 3) else []
        vercel(story, "vwd1", f"dpl_w{n}", *told, commit=f"vwd1 {n}", repository=own.name)
    alertmanager(story, "vwd1", "10:30", "10:40")  # 30, 90, 30 min
    return {"fail": (1, 2), "successes": 2, "lead": (0.5, 3), "recovery": (10.0, 1)}


def vercel_promotions_are_not_told(story: Story) -> Wanted:
    for n, clock in ((1, "09"), (2, "10")):
        vercel(story, "vnt1", f"dpl_n{n}", ("created", f"{clock}:00"), ("succeeded", f"{clock}:05"))
    return {"fail": (0, 2), "successes": 2}


def rollout_of_other_values(story: Story) -> Wanted:
    """The same image with other values is a deployment; the same pods again are drift."""
    for pods, began, end in (
        ("a", "09:00", "09:05"),
        ("b", "10:00", "10:05"),
        ("b", "11:00", "11:05"),
    ):
        rollout(story, "val1", ("1.0", "Progressing", began), ("1.0", "Healthy", end))
        for post in story.posts[-2:]:
            post.body["currentPodHash"] = f"val1{pods}"
    return {"fail": (0, 2), "successes": 2, "project": "prod/val1"}


def argo_syncs_the_same_again_for_a_person(story: Story) -> Wanted:
    for began, end, user in (
        ("09:00", "09:05", None),
        ("10:00", "10:05", "kim"),
        ("11:00", "11:05", None),
    ):
        argo_sync(story, "usr1-prod", began, end, repository="acme/usr1", revision="usr1 a")
        for post in story.posts[-3:]:
            post.body["user"] = user
    return {"fail": (0, 2), "successes": 2}


def heroku_pipeline_promotes(story: Story) -> Wanted:
    heroku(story, "hpp1-staging", (7, "09:00", "09:01", "succeeded", "Deploy aaa"), commit="hpp1")
    heroku(
        story,
        "hpp1",
        (3, "10:00", "10:01", "succeeded", "Promote hpp1-staging v7 aaa"),
        commit="hpp1",
    )
    heroku(story, "hpp1", (4, "11:00", "11:01", "succeeded", "Rollback to v2"), commit="hpp1 old")
    opsgenie(story, "hpp1", "a", ("Create", "10:10"), ("Close", "11:05"))
    return {"fail": (1, 2), "rework": (1, 2), "recovery": (55.0, 1)}


def netlify_builds_a_commit_again(story: Story) -> Wanted:
    """A retry has an id of its own: a failed deployment and its repair by a later one. What
    somebody cancelled is neither."""
    netlify(story, "ntr1", "r1", ("building", "10:00"), ("error", "10:03"), commit="ntr1")
    netlify(story, "ntr1", "r2", ("building", "10:10"), ("ready", "10:15"), commit="ntr1")
    cancelled = {"error_message": "Canceled build", "skipped": None}
    netlify(story, "ntr1", "r3", ("building", "11:00"), ("error", "11:01"), commit="n", **cancelled)
    return {"fail": (1, 2), "rework": (0, 2), "recovery": (12.0, 1)}


def product_alarm_of_an_artifact_without_version(story: Story) -> Wanted:
    own = Plyzen(story, "prd1")
    parts = [("auth", "1", "success"), ("ui", "1", "success")]
    own.advanced("prd1-1", "deploy", "10:00", "10:05", artifacts=parts, product="shop")
    own.advanced(
        "prd1-2", "deploy", "11:00", "11:05", artifacts=[("ui", "2", "success")], product="shop"
    )
    own.advanced("prd1-3", "alarm", "11:10", "11:40", artifacts=[("auth", "", "")])
    return {"fail": (1, 2), "recovery": (30.0, 1)}


def retest_of_a_product(story: Story) -> Wanted:
    own = Plyzen(story, "prd2")
    parts = [("auth", "1", "success"), ("ui", "1", "success")]
    own.advanced("prd2-1", "deploy", "10:00", "10:05", artifacts=parts, product="shop2")
    for n, began, end, result in (
        (2, "10:06", "10:10", "failure"),
        (3, "10:20", "10:25", "success"),
    ):
        tested = [(name, version, result) for name, version, _ in parts]
        own.advanced(f"prd2-{n}", "e2e-test", began, end, artifacts=tested, product="shop2")
    return {"fail": (1, 1), "recovery": (15.0, 1), "rework": (0, 1)}


def alarm_that_rings_across_two_deployments(story: Story) -> Wanted:
    """An alarm without a version, open while the next version is deployed and after."""
    own = Plyzen(story, "alm1", "cart")
    own.deploy("10:00", version="1")
    own.activity("alarm", "10:10", "12:30")
    own.deploy("11:00", version="2")
    own.deploy("12:00", version="3")
    own.activity("alarm", "13:00", "13:10")
    return {"fail": (2, 3), "recovery": (75.0, 2), "rework": (2, 3)}


def em_metrics_names_what_comes_later(story: Story) -> Wanted:
    """The deployment that the incident names is told of after it."""
    own = EmMetrics(story, "eml1")
    own.deploy("09:00", first_commit="08:00", key="eml1-0")
    own.incident("eml-1", "10:10", restored="10:40", deployment="eml1-1")
    own.deploy("10:00", first_commit="08:00", key="eml1-1")
    return {"fail": (1, 2), "recovery": (30.0, 1), "lead": (1.5, 2)}


def em_metrics_incident_ends_twice(story: Story) -> Wanted:
    own = EmMetrics(story, "eml2")
    own.deploy("10:00", first_commit="09:30")
    own.incident("eml-2", "10:10", restored="10:40")
    story.add("/incidents/eml-2/restored", {"date": at("11:40")})
    story.add("/incidents/eml-2/finished", {"date": at("12:00")})
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def script_of_one_service_in_two_repositories(story: Story) -> Wanted:
    """An alert that knows no repository is about the repository that deployed the service last."""
    first, second = Script(story, "acme/twr1", "twr"), Script(story, "acme/twr2", "twr")
    first.deploy("10:00", version="1")
    second.deploy("11:00", version="7")
    alertmanager(story, "twr", "11:10", "11:20")
    return {"fail": (0, 1)}


def path_of_a_repository_that_deploys_by_a_rule_of_another(story: Story) -> Wanted:
    """The alert names one repository; the service of that name elsewhere is innocent."""
    GitHub(story, "acme/pth1").deploy("10:00", commit="pth1 a")
    GitHub(story, "other/pth1").deploy("10:05", commit="pth1 b")
    alertmanager(story, "acme/pth1", "10:10", "10:30")
    return {"fail": (1, 1), "recovery": (20.0, 1)}


def alarm_without_its_start(story: Story) -> Wanted:
    """Nobody knows how long it took; it is over."""
    own = Plyzen(story, "fin1", "cart")
    own.deploy("10:00", version="1")
    own.record("alarm", "finish", "10:40", version="1", result="success")
    return {"fail": (1, 1), "recovery": (None, 0), "open": 0}


def incident_of_a_script_without_its_start(story: Story) -> Wanted:
    own = Script(story, "fin2")
    own.deploy("10:00", version="1")
    own.span("incident", "10:10", "10:40", key="x")
    del story.posts[-2]
    own.span("incident", "11:00", "11:30", key="y")
    return {"fail": (1, 1), "recovery": (30.0, 1), "open": 0}


def monitor_tells_seconds(story: Story) -> Wanted:
    shipped(story, "sec1")
    datadog(story, "sec1", "c", ("Triggered", "10:10"), ("Recovered", "10:30"))
    for post in story.posts[-2:]:
        post.body["date"] = str(int(post.body["date"]) // 1000)
    return {"fail": (1, 1), "recovery": (20.0, 1)}


def two_tools_one_after_the_other(story: Story) -> Wanted:
    """The second incident begins when the first one ends: one failure."""
    shipped(story, "two9")
    opsgenie(story, "two9", "a", ("Create", "10:10"), ("Close", "10:20"))
    pagerduty_incident(story, "two9", "B", ("triggered", "10:20"), ("resolved", "10:30"))
    return {"fail": (1, 1), "recovery": (20.0, 1)}


def plyzen_chunk_with_the_result_first(story: Story) -> Wanted:
    own = Plyzen(story, "chk1", "cart")
    part = {"namespace": "chk1", "name": "cart", "version": "1", "result": "failure"}
    for chunk in (
        {"events": [{"type": "finish", "timestamp": at("10:05")}], "artifacts": [part]},
        {"name": "deploy", "events": [{"type": "start", "timestamp": at("10:00")}]},
        {"environment": {"name": "prod"}},
    ):
        story.add("/plyzen", {"activities": [{"correlationId": "chk1-1", **chunk}]})
    own.advanced("chk1-2", "deploy", "10:20", "10:25", artifacts=[("cart", "2", "success")])
    return {"fail": (1, 2), "recovery": (20.0, 1)}


def alarm_that_starts_again_and_again(story: Story) -> Wanted:
    own = Plyzen(story, "aga1", "cart")
    own.deploy("10:00", version="1")
    for clock in ("10:10", "10:15", "10:20"):
        own.record("alarm", "start", clock, version="1")
    own.record("alarm", "finish", "10:40", version="1", result="success")
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def reopened_after_the_next_deployment(story: Story) -> Wanted:
    """Each time that it was open belongs to the deployment that was live then."""
    jenkins = shipped(story, "reo1")
    told = (("triggered", "10:10"), ("resolved", "10:30"), ("reopened", "12:10"))
    pagerduty_incident(story, "reo1", "A", *told, ("resolved", "12:40"))
    jenkins.deploy("12:00", commit="reo1 2")
    return {"fail": (2, 2), "recovery": (25.0, 2), "rework": (0, 2)}


HISTORIES = {
    "fin1": alarm_without_its_start,
    "fin2": incident_of_a_script_without_its_start,
    "acme/sec1": monitor_tells_seconds,
    "acme/two9": two_tools_one_after_the_other,
    "chk1": plyzen_chunk_with_the_result_first,
    "aga1": alarm_that_starts_again_and_again,
    "acme/reo1": reopened_after_the_next_deployment,
    "acme/ver1": monitor_names_a_version_and_the_deploy_a_commit,
    "ver2": monitor_names_a_commit_and_the_deploy_a_version,
    "ver3": monitor_names_another_version,
    "acme/ver4": monitor_names_another_commit,
    "acme/end1": only_the_end_was_received,
    "acme/end2": acknowledged_first,
    "acme/slow1": resolved_before_the_rollout_ends,
    "acme/cnc1": rollout_is_cancelled_after_its_alert,
    "acme/rpt1": alert_is_sent_again_and_again,
    "acme/rpo1": alert_names_a_repository,
    "acme/dtl1": details_name_the_service,
    "acme/wrd1": ticket_with_the_words_of_its_states,
    "acme/snt1": error_is_resolved_by_a_person,
    "vgl1": vercel_of_gitlab,
    "vru1": vercel_rollback_is_undone,
    "acme/vwd1": vercel_builds_without_domains,
    "vnt1": vercel_promotions_are_not_told,
    "val1": rollout_of_other_values,
    "acme/usr1": argo_syncs_the_same_again_for_a_person,
    "hpp1": heroku_pipeline_promotes,
    "ntr1": netlify_builds_a_commit_again,
    "prd1": product_alarm_of_an_artifact_without_version,
    "prd2": retest_of_a_product,
    "alm1": alarm_that_rings_across_two_deployments,
    "eml1": em_metrics_names_what_comes_later,
    "eml2": em_metrics_incident_ends_twice,
    "acme/twr1": script_of_one_service_in_two_repositories,
    "acme/pth1": path_of_a_repository_that_deploys_by_a_rule_of_another,
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_signal_has_the_values_computed_by_hand(configured, order) -> None:
    assert told_in(order, configured(""), HISTORIES) == {}
