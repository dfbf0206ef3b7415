"""One delivery across tools, through the real writer: a ticket in Jira, a merge request, its
pipelines and its deployment in GitLab, and a build in Jenkins."""

from __future__ import annotations

import random

import pytest

from tests.sources import gitlab_payloads as gl
from tests.sources import jenkins_payloads as jk
from tests.sources import jira_payloads as ji
from tests.sources import test_gitlab, test_jenkins, test_jira, test_linear, test_trello
from tests.store.conftest import clock, open_writer, rows_of  # noqa: F401
from vs_tui.log.delivery import Intake
from vs_tui.sources import gitlab, jenkins, jira
from vs_tui.sources.base import Inbound, Source
from vs_tui.sources.dispatch import intake_of, read

TICKET = "vstrace-jira-issue-TP-3"
CHANGE = "vstrace-gitlab-pull_request-api-34"
PIPELINE = "vstrace-gitlab-pipeline-api-555"
RELEASE = "vstrace-gitlab-pipeline-api-600"
SHIP = "vstrace-gitlab-job-api-901"
DEPLOY = "vstrace-gitlab-deploy-api-15"
BUILD = "vstrace-jenkins-build-build-api-7"


def sent(source: Source, inbound: Inbound) -> Intake:
    return intake_of(source, inbound, read(source, inbound))


def from_gitlab(body) -> Intake:
    return sent(gitlab.SOURCE, gl.inbound(body))


MERGED = {"message": "Merge branch 'feature/cache'\n\nSee merge request acme/api!34"}
STORY = [
    *(sent(jira.SOURCE, ji.inbound(body)) for body in test_jira.COURSE),
    from_gitlab(gl.merge_request("open")),
    from_gitlab(gl.pipeline("running", None, [test_gitlab.RUNNING_JOB])),
    from_gitlab(gl.job_hook("success", "10:30:12", "10:35:00")),
    sent(jenkins.SOURCE, jk.inbound(jk.start())),
    sent(jenkins.SOURCE, jk.inbound(jk.end())),
    from_gitlab(gl.merge_request("merge", "11:30:00")),
    from_gitlab(gl.pipeline("running", id=600, ref="main", sha=gl.MERGE, extra={"commit": MERGED})),
    from_gitlab(
        gl.job_hook("running", "11:59:00", number=901, pipeline_id=600, sha=gl.MERGE, ref="main")
    ),
    from_gitlab(gl.deployment("running", "12:01:00")),
    from_gitlab(gl.deployment("success", "12:05:00")),
]


async def test_the_tools_make_one_trace_in_any_order(open_writer):  # noqa: F811
    expected = None
    for seed in range(6):
        writer = await open_writer(name=f"order{seed}.db")
        for delivery in random.Random(seed).sample(STORY, len(STORY)):
            await writer.submit(delivery)
        found = await rows_of(writer)
        expected = expected or found
        assert found == expected
    spans, _ = expected
    names = {row[0]: row[1] for row in spans} | {"": ""}
    parents = {row[1]: names[row[24]] for row in spans if not row[26]}
    assert parents == {
        TICKET: "",
        CHANGE: TICKET,
        PIPELINE: CHANGE,
        "vstrace-gitlab-job-api-900": PIPELINE,
        BUILD: CHANGE,
        RELEASE: CHANGE,
        SHIP: RELEASE,
        DEPLOY: SHIP,
    }
    assert len({row[22] for row in spans}) == 1


@pytest.mark.parametrize(
    ("module", "wrap"),
    [
        (test_gitlab, gl.inbound),
        (test_jenkins, jk.inbound),
        (test_jira, ji.inbound),
        (test_linear, test_linear.inbound),
        (test_trello, test_trello.inbound),
    ],
    ids=["gitlab", "jenkins", "jira", "linear", "trello"],
)
async def test_each_tools_story_is_stored_the_same_in_any_order(open_writer, module, wrap):  # noqa: F811
    deliveries = [sent(module.SOURCE, wrap(body)) for body in module.DELIVERIES]
    expected = None
    for seed in range(4):
        writer = await open_writer(name=f"{seed}.db")
        for delivery in random.Random(seed).sample(deliveries, len(deliveries)):
            await writer.submit(delivery)
        found = await rows_of(writer)
        expected = expected or found
        assert found == expected
