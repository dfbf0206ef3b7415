"""CI servers that a rule counts, and tools that deploy what another host merged."""

from __future__ import annotations

import pytest

from tests.metrics.http.clock import number, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import ORDERS, RULES, told_in
from tests.metrics.http.others import Jenkins, Script, alertmanager
from tests.metrics.http.presets import (
    flux,
    heroku,
    millis,
    netlify,
    octopus,
    opsgenie,
)
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted
from tests.metrics.http.tools import argo_sync


def teamcity(story: Story) -> Wanted:
    for n, (t, e, st, br, c) in enumerate(
        (
            ("100000", "100500", "SUCCESS", "main", "t1"),
            ("110000", "110500", "FAILURE", "main", "t2"),
            ("112000", "112500", "SUCCESS", "main", "t2"),
            ("113000", "", "", "main", "t3"),
        )
    ):
        p = {
            "id": 100 + n,
            "buildTypeId": "Tc_Deploy",
            "number": str(n),
            "branchName": br,
            "startDate": f"20260302T{t}+0000",
            "revisions": {"revision": [{"version": sha(c)}]},
            "buildType": {"id": "Tc_Deploy", "name": "Deploy TC", "projectName": "Tc"},
        }
        story.add("/teamcity", {"eventType": "BUILD_STARTED", "payload": p | {"status": "SUCCESS"}})
        if e:
            story.add(
                "/teamcity",
                {
                    "eventType": "BUILD_FINISHED",
                    "payload": p | {"status": st, "finishDate": f"20260302T{e}+0000"},
                },
            )
        else:
            story.add(
                "/teamcity",
                {
                    "eventType": "BUILD_INTERRUPTED",
                    "payload": p | {"status": "UNKNOWN", "finishDate": "20260302T113500+0000"},
                },
            )
    return {"fail": (1, 3), "rework": (0, 3), "recovery": (20.0, 1), "project": "Tc"}


def spinnaker(story: Story) -> Wanted:
    for n, (t, e, st) in enumerate(
        (
            ("09:00", "09:10", "SUCCEEDED"),
            ("10:00", "10:10", "TERMINAL"),
            ("10:20", "10:30", "SUCCEEDED"),
            ("11:00", "11:05", "CANCELED"),
        )
    ):
        ex = {"id": f"sp{n}", "name": "ship_prod", "application": "spin1", "startTime": millis(t)}
        story.add(
            "/spinnaker",
            {
                "details": {
                    "source": "orca",
                    "type": "orca:pipeline:starting",
                    "created": str(millis(t)),
                    "application": "spin1",
                },
                "content": {"execution": ex | {"status": "RUNNING"}},
            },
        )
        kind = "complete" if st == "SUCCEEDED" else "failed"
        story.add(
            "/spinnaker",
            {
                "details": {
                    "source": "orca",
                    "type": f"orca:pipeline:{kind}",
                    "created": str(millis(e)),
                    "application": "spin1",
                },
                "content": {"execution": ex | {"status": st, "endTime": millis(e)}},
            },
        )
    return {"fail": (1, 3), "recovery": (20.0, 1), "project": "spin1"}


def harness(story: Story) -> Wanted:
    for n, (t, e, ok) in enumerate(
        (("09:00", "09:10", True), ("10:00", "10:10", False), ("10:20", "10:30", True))
    ):
        c = {
            "accountIdentifier": "a",
            "orgIdentifier": "default",
            "projectIdentifier": "har1",
            "pipelineIdentifier": "ship_cart",
            "planExecutionId": f"h{n}",
            "startTs": millis(t) // 1000,
        }
        story.add("/harness", c | {"eventType": "PipelineStart"})
        story.add(
            "/harness",
            c
            | {
                "eventType": "PipelineSuccess" if ok else "PipelineFailed",
                "endTs": millis(e) // 1000,
            },
        )
        story.add("/harness", c | {"eventType": "PipelineEnd", "endTs": millis(e) // 1000 + 1})
    opsgenie(story, "har1", "hh", ("Create", "10:35"), ("Close", "10:50"))
    return {"recovery": (17.5, 2), "fail": (2, 3), "project": "default/har1"}


def drone(story: Story) -> Wanted:
    own = GitHub(story, "acme/dro1")
    own.push(("dro 1", "08:00"))
    own.push(("dro 2", "09:00"))
    for n, (ev, c, t, e, st) in enumerate(
        (
            ("promote", "dro 1", "08:30", "08:40", "success"),
            ("promote", "dro 2", "09:30", "09:40", "success"),
            ("rollback", "dro 1", "10:00", "10:06", "success"),
        )
    ):
        b = {
            "id": n,
            "number": n + 1,
            "event": ev,
            "status": st,
            "deploy_to": "production",
            "after": sha(c),
            "target": "main",
            "source": "main",
            "started": millis(t) // 1000,
            "finished": millis(e) // 1000,
            "updated": millis(e) // 1000,
            "author_login": "kim",
        }
        story.add(
            "/drone",
            {
                "event": "build",
                "action": "completed",
                "repo": {"slug": "acme/dro1", "name": "dro1"},
                "build": b,
            },
        )
    return {
        "lead": (0.6667, 2),
        "fail": (1, 3),
        "rework": (1, 3),
        "recovery": (6.0, 1),
        "project": "acme/dro1",
    }


def failed_then_rolled_back(story: Story) -> Wanted:
    """V2's deploy fails, v1 is deployed again: v2 failed once, v1 again is a repair."""
    sc = Script(story, "frb1")
    sc.deploy("09:00", version="1")
    sc.deploy("10:00", False, version="2")
    sc.deploy("10:20", began="10:15", version="1", key="b")
    return {"fail": (1, 3), "rework": (1, 3), "recovery": (20.0, 1)}


def failed_rollback(story: Story) -> Wanted:
    """The rollback itself fails, then works."""
    sc = Script(story, "frb2")
    sc.deploy("09:00", version="1")
    sc.deploy("10:00", version="2")
    sc.deploy("10:20", False, began="10:15", version="1", key="b")
    sc.deploy("10:40", began="10:35", version="1", key="c")
    return {"fail": (2, 4), "recovery": (22.5, 2)}


def argo_two_apps(story: Story) -> Wanted:
    """One repository, two apps with the env in the name."""
    own = GitHub(story, "acme/arg2")
    own.push(("arg2 1", "08:00"))
    for app in ("api-prod", "web-prod"):
        argo_sync(
            story,
            f"arg2-{app}",
            "08:20",
            "08:30",
            app.startswith("api"),
            repository=own.name,
            revision="arg2 1",
        )
    argo_sync(story, "arg2-web-prod", "08:50", "09:00", repository=own.name, revision="arg2 1")
    return {"fail": (1, 3), "recovery": (30.0, 1), "lead": (0.5, 1), "project": "acme/arg2"}


def netlify_of_github(story: Story) -> Wanted:
    own = GitHub(story, "acme/nlg1")
    own.pull(1, "08:00", "09:00", pushed=True)
    netlify(
        story,
        "nlg1-site",
        "nlg1d",
        ("building", "09:20"),
        ("ready", "09:30"),
        commit=own.merge_of(1),
        commit_url=f"https://github.com/acme/nlg1/commit/{sha(own.merge_of(1))}",
    )
    return {"lead": (1.5, 1), "project": "acme/nlg1"}


def heroku_of_github(story: Story) -> Wanted:
    own = GitHub(story, "acme/hgh1")
    own.pull(1, "08:00", "09:00", pushed=True)
    heroku(story, "hgh1", (1, "09:20", "09:30", "succeeded", "Deploy x"), commit=own.merge_of(1))
    return {"lead": (1.5, 1), "project": "hgh1"}


def flux_of_github(story: Story) -> Wanted:
    own = GitHub(story, "acme/fgh1")
    own.pull(1, "08:00", "09:00", pushed=True)
    flux(
        story,
        "fgh1",
        f"main@sha1:{sha(own.merge_of(1))}",
        ("Progressing", "09:20"),
        ("ReconciliationSucceeded", "09:30"),
        kind="Kustomization",
    )
    return {"lead": (1.5, 1), "project": "prod/fgh1"}


def script_of_github(story: Story) -> Wanted:
    own = GitHub(story, "acme/sgh1")
    own.pull(1, "08:00", "09:00", pushed=True)
    Script(story, "sgh1ns").deploy("09:30", commit=sha(own.merge_of(1)))
    return {"lead": (1.5, 1), "project": "sgh1ns"}


def repo_case(story: Story) -> Wanted:
    own, j = GitHub(story, "Acme/Case1"), Jenkins(story, "acme/case1")
    own.pull(1, "08:00", "09:00", pushed=True)
    j.deploy("10:00", commit=own.merge_of(1))
    return {"lead": (2.0, 1), "project": "Acme/Case1"}


def skew_named(story: Story) -> Wanted:
    sc = Script(story, "skn1")
    sc.deploy("09:00", version="1")
    sc.deploy("10:00", began="09:50", version="2")
    alertmanager(story, "skn1", "09:48", "10:20", version="2")
    return {"fail": (1, 2), "recovery": (32.0, 1)}


def dup_tools(story: Story) -> Wanted:
    """GitHub's deployment and Argo's sync tell of one rollout of one commit."""
    own = GitHub(story, "acme/dup1")
    own.pull(1, "08:00", "09:00", pushed=True)
    own.deploy("09:30", began="09:20", commit=own.merge_of(1))
    argo_sync(
        story, "dup1-production", "09:21", "09:29", repository=own.name, revision=own.merge_of(1)
    )
    return {"lead": (1.5, 1), "fail": (0, 1)}


def late_report(story: Story) -> Wanted:
    """The rollback is reported two weeks late."""
    sc = Script(story, "lat1")
    sc.deploy("09:00", version="1")
    sc.deploy("10:00", version="2")
    sc.deploy("11:00", version="3")
    sc.deploy("10:30", began="10:25", version="1", key="late")
    return {"fail": (1, 4), "rework": (1, 4), "recovery": (5.0, 1)}


def octo_script_changes(story: Story) -> Wanted:
    """Versions alone: unknown, not zero."""
    octopus(
        story,
        "osc1",
        ("o1", "Started", "1.0", "10:00"),
        ("o1", "Succeeded", "1.0", "10:10"),
        ("o2", "Started", "1.1", "11:00"),
        ("o2", "Succeeded", "1.1", "11:10"),
    )
    return {
        "lead": (None, 0),
        "unknown": 2,
        "changes": 1.0,
        "project": f"Projects-{number('osc1')}",
    }


HISTORIES = {
    "tc": teamcity,
    "sp": spinnaker,
    "har": harness,
    "dro": drone,
    "frb1": failed_then_rolled_back,
    "frb2": failed_rollback,
    "arg2": argo_two_apps,
    "acme/nlg1": netlify_of_github,
    "hgh1": heroku_of_github,
    "fgh1": flux_of_github,
    "sgh1": script_of_github,
    "acme/case1": repo_case,
    "skn1": skew_named,
    "acme/dup1": dup_tools,
    "lat1": late_report,
    "osc1": octo_script_changes,
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_history_of_a_server_has_the_values_computed_by_hand(configured, order):
    assert told_in(order, configured(RULES), HISTORIES) == {}
