"""Names on spans: OpenTelemetry's where it has one, ours begin with `vs.`; and what places a span:
its project, its service, its environment, and the history it is compared with."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.sources import github_payloads as gh
from tests.sources import gitlab_payloads as gl
from tests.sources import jenkins_payloads as jk
from tests.sources import (
    test_bitbucket,
    test_gitea,
    test_github,
    test_gitlab,
    test_jenkins,
    test_jira,
    test_linear,
    test_trello,
)
from tests.sources.webhook_tools import fold_all
from vs_tui.model.vocabulary import Span
from vs_tui.sources import github, gitlab, jenkins
from vs_tui.traces.baseline import series_of
from vs_tui.traces.folding import Folded

RESULTS = {"success", "failure", "error", "timeout", "cancellation", "skip"}
ALLOWED: Mapping[str, set[str] | None] = {
    "cicd.pipeline.name": None,
    "cicd.pipeline.run.id": None,
    "cicd.pipeline.run.url.full": None,
    "cicd.pipeline.result": RESULTS,
    "cicd.pipeline.task.name": None,
    "cicd.pipeline.task.run.id": None,
    "cicd.pipeline.task.run.url.full": None,
    "cicd.pipeline.task.run.result": RESULTS,
    "cicd.worker.id": None,
    "cicd.worker.name": None,
    "deployment.environment.name": None,
    "deployment.id": None,
    "deployment.name": None,
    "deployment.status": {"failed", "succeeded"},
    "service.name": None,
    "service.version": None,
    "vcs.change.id": None,
    "vcs.change.state": {"open", "wip", "closed", "merged"},
    "vcs.change.title": None,
    "vcs.owner.name": None,
    "vcs.provider.name": {"github", "gitlab", "gitea", "bitbucket"},
    "vcs.ref.base.name": None,
    "vcs.ref.base.revision": None,
    "vcs.ref.head.name": None,
    "vcs.ref.head.revision": None,
    "vcs.ref.head.type": {"branch", "tag"},
    "vcs.repository.name": None,
    "vcs.repository.url.full": None,
}
"""OpenTelemetry's names for CI/CD and VCS that sources use, and the values of enumerations."""
KEPT: Mapping[str, frozenset[str]] = {
    "gitlab": frozenset({"merge_request.id", "merge_request.url"}),
    "jenkins": frozenset({"build.parameter.*"}),
}
"""A payload's own names, which ValueStream's users group and search by; each source keeps only
its own."""
STORIES: Mapping[str, Mapping[str, Folded]] = {
    module.SOURCE.name: module.WHOLE
    for module in (
        *(test_github, test_gitlab, test_jenkins, test_jira),
        *(test_bitbucket, test_gitea, test_linear, test_trello),
    )
}
SPANS = [
    pytest.param(folded.span, id=folded.span.key.removeprefix("vstrace-"))
    for whole in STORIES.values()
    for folded in whole.values()
]
REPOSITORY_SOURCES = frozenset({"github", "gitlab", "gitea", "bitbucket"})


def is_unfinished_result(span: Span, name: str) -> bool:
    """A retried pipeline or job takes back the result of its former end."""
    return name.endswith("result") and span.attributes[name] == ""


def is_kept(source: str, name: str) -> bool:
    """Whether the name is a payload's own; `x.*` stands for one name below `x`."""
    kept = KEPT.get(source, frozenset())
    above, _, last = name.rpartition(".")
    return name in kept or (f"{above}.*" in kept and bool(last))


@pytest.mark.parametrize("span", SPANS)
def test_names_are_opentelemetrys_or_ours(span) -> None:
    for name, value in span.attributes.items():
        if name.startswith("vs.") or is_kept(span.source, name):
            continue
        assert name in ALLOWED, name
        allowed = ALLOWED[name]
        if allowed is not None and not is_unfinished_result(span, name):
            assert value in allowed, (name, value)


@pytest.mark.parametrize("span", SPANS)
def test_every_span_has_a_name_and_a_place(span) -> None:
    assert span.name
    is_sprint = span.operation == "sprint"  # a board has sprints, no project
    assert span.project or is_sprint
    if span.source in REPOSITORY_SOURCES:
        assert span.attributes["vcs.provider.name"] == span.source
        assert span.attributes["vcs.repository.name"] == span.project.rpartition("/")[2]
        assert not str(span.attributes.get("vcs.repository.url.full", "")).endswith(".git")
    if span.operation == "deploy":
        assert span.service
        assert span.environment
        assert span.attributes["deployment.environment.name"] == span.environment
        assert span.attributes["service.name"] == span.service
    if span.operation == "release":
        assert span.service


@pytest.mark.parametrize("span", SPANS)
def test_a_failure_says_its_type(span) -> None:
    words = {span.attributes.get(f"cicd.pipeline.{part}") for part in ("result", "task.run.result")}
    tolerated = span.attributes.get("vs.allow_failure") is True
    if words & {"failure", "error", "timeout"} and not tolerated:
        assert span.status.failed
        assert span.error
    if span.error:
        assert span.status.failed


def test_every_name_that_is_kept_of_a_payload_is_in_a_story() -> None:
    told = {
        (source, kept)
        for source, names in KEPT.items()
        for kept in names
        for folded in STORIES[source].values()
        if any(name.startswith(kept.removesuffix("*")) for name in folded.span.attributes)
    }
    assert told == {(source, kept) for source, names in KEPT.items() for kept in names}


def test_the_stories_have_every_kind_of_span() -> None:
    kinds = {param.values[0].operation for param in SPANS}
    assert kinds >= {
        *("issue", "pull_request", "review", "push", "pipeline", "build", "stage"),
        *("deploy", "release", "sprint"),
    }


# The history a duration is compared with.


def span_of(events: object, operation: str) -> Span:
    folded = fold_all(events)  # type: ignore[arg-type]
    return next(f.span for f in folded.values() if f.span.operation == operation)


def github_job(**changes: object) -> Span:
    body = gh.job("completed", **changes)
    return span_of(github.SOURCE.parse(gh.inbound("workflow_job", body)).events, "build")


def github_step(**changes: object) -> Span:
    body = gh.job("completed", **changes)
    return span_of(github.SOURCE.parse(gh.inbound("workflow_job", body)).events, "stage")


def test_jobs_of_one_name_in_two_workflows_have_histories_of_their_own() -> None:
    plain = series_of(github_job())
    assert plain == series_of(github_job(identifier=7002, run_id=556))
    assert plain != series_of(github_job(workflow_name="Release"))
    assert plain != series_of(github_job(name="build (3.12)"))
    other = gh.job("completed") | {"repository": gh.repo("acme/web")}
    elsewhere = github.SOURCE.parse(gh.inbound("workflow_job", other)).events
    assert plain != series_of(span_of(elsewhere, "build"))
    assert series_of(github_step()) != series_of(github_step(workflow_name="Release"))


def test_gitlab_jobs_compare_whichever_hook_tells_of_them() -> None:
    hook = gitlab.SOURCE.parse(gl.inbound(gl.job_hook("success", "10:31:00", "10:32:00"))).events
    listed = gl.pipeline("running", builds=[gl.build(900, "success", "10:30:00", "10:31:00")])
    both = [
        span_of(hook, "build"),
        span_of(gitlab.SOURCE.parse(gl.inbound(listed)).events, "build"),
    ]
    assert len({series_of(span) for span in both}) == 1


def test_steps_of_two_jenkins_jobs_have_histories_of_their_own() -> None:
    def step(path: str) -> Span:
        body = jk.step("10:31:00", "10:32:00", buildUrl=path)
        return span_of(jenkins.SOURCE.parse(jk.inbound(body)).events, "stage")

    first = step("job/backend/job/build-api/7/")
    assert first.project == "backend/build-api"
    assert series_of(first) == series_of(step("job/backend/job/build-api/8/"))
    assert series_of(first) != series_of(step("job/backend/job/build-web/7/"))
    changes = [step(f"job/acme/job/api/job/PR-{number}/1/") for number in (1, 2)]
    assert len({series_of(span) for span in changes}) == 1, "all changes of a project compare"


def test_deploys_compare_by_service_and_environment() -> None:
    def deploy(**changes: object) -> Span:
        body = gh.deploy(**changes)
        return span_of(github.SOURCE.parse(gh.inbound("deployment", body)).events, "deploy")

    plain = series_of(deploy())
    assert plain == series_of(deploy(identifier=43, task="deploy:fast"))
    assert plain != series_of(deploy(environment="staging"))
    assert plain != series_of(deploy(payload={"service": "worker"}))
