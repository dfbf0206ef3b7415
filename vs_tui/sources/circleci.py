"""CircleCI: outbound webhooks. They report ends only; the start is in the same body.

Source: CircleCI's webhook reference. A workflow is a pipeline span, a job a build span below it.
Commits and branches are in `pipeline.vcs` (GitHub OAuth, Bitbucket Cloud) or in
`pipeline.trigger_parameters.git` (GitHub App, GitLab).
"""

from __future__ import annotations

from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.artifacts import environment_in, offer_version
from vs_tui.model.job_names import is_deploy_name
from vs_tui.model.time import Instant, parse_instant
from vs_tui.model.vocabulary import Event, Operation, Rule, Seek, State
from vs_tui.sources.base import Form, Inbound, Parsed, Source, Unreadable, parsed
from vs_tui.sources.fields import json_object, known, number, obj, text, web_url
from vs_tui.sources.repository import repository_names
from vs_tui.sources.signatures import Scheme

_STATUSES: Final = {
    "success": (State.OK, "", "success"),
    "failed": (State.ERROR, "failure", "failure"),
    "error": (State.ERROR, "error", "error"),
    "infrastructure_fail": (State.ERROR, "error", "error"),
    "timedout": (State.ERROR, "timeout", "timeout"),
    "canceled": (State.CANCELLED, "", "cancellation"),
    "unauthorized": (State.CANCELLED, "", "skip"),
}
_HOSTED: Final = frozenset({"gh", "github", "bb", "bitbucket"})


class CircleCi(Source):
    """CircleCI's outbound webhooks."""

    name = "circleci"
    title = "CircleCI"
    form = Form(
        "Project Settings, Webhooks, Add Webhook",
        "workflow-completed, job-completed",
        field="secret token",
    )
    signature = Scheme("circleci-signature", part="v1")
    token_in_url = True
    stored_headers = ("circleci-event-type", "user-agent")

    def parse(self, inbound: Inbound) -> Parsed:
        body = json_object(inbound)
        kind = text(body, "type", limit=60) or inbound.header("circleci-event-type")[:60]
        if kind == "ping":
            return parsed(kind, "connected")
        if kind not in ("workflow-completed", "job-completed"):
            reason = f"{kind or 'an untyped event'} says nothing about a delivery"
            return parsed(kind or "unknown", reason)
        subject = obj(body, "workflow" if kind == "workflow-completed" else "job")
        if not text(subject, "id"):
            raise Unreadable(f"{kind} has no id of its subject; compare the body in Events")
        if text(subject, "status").lower() not in _STATUSES:
            raise Unreadable(f"{kind}: the status is missing or not known")
        hook = _Hook(body, inbound.received_at)
        return Parsed(kind, (_workflow(hook) if kind == "workflow-completed" else _job(hook),))


class _Hook:
    """A body, with the commit facts of both kinds of events."""

    def __init__(self, body: dict[str, Any], received_at: Instant) -> None:
        self.body = body
        self.received_at = received_at
        vcs = obj(body, "pipeline", "vcs")
        git = self._git = obj(body, "pipeline", "trigger_parameters", "git")
        self.path = _path(body, vcs, git)
        """`owner/name`, in the original case."""
        self.repo = keys.repository(self.path)
        """The scope of its keys."""
        names = text(body, "organization", "name"), text(body, "project", "name")
        self.project = self.path or "/".join(name[:200] for name in names if name)
        self.sha = text(vcs, "revision") or text(git, "checkout_sha")
        self.branch = text(vcs, "branch") or text(git, "branch")
        self.tag = text(vcs, "tag") or text(git, "tag")
        author = text(vcs, "commit", "author", "name", limit=200)
        self.actor = author or text(git, "author_login", limit=200)

    def seeks(self) -> tuple[Seek, ...]:
        subject = text(self.body, "pipeline", "vcs", "commit", "subject")
        message = subject or text(self._git, "commit_message", limit=keys.TEXT_LIMIT)
        return keys.seeks(
            keys.mentions(f"{message} {self.branch}", "commit message"),
            keys.change_refs(self.branch, self.repo),
            keys.merge_messages(message, self.repo),
            keys.seek_commit(Rule.COMMIT, self.sha, self.repo),
            keys.seek_branch(self.branch, self.repo, text(self._git, "default_branch")),
        )

    def attributes(self, **more: object) -> dict[str, Any]:
        return repository_names(self.path) | known(
            vcs__ref__head__name=self.branch or self.tag,
            vcs__ref__head__type="tag" if self.tag and not self.branch else None,
            vcs__ref__head__revision=self.sha,
            vs__pipeline__number=number(self.body, "pipeline", "number"),
            # A workflow that is run again is another workflow of the same pipeline.
            vs__deploy__run=text(self.body, "pipeline", "id"),
            vs__run__event=text(self.body, "pipeline", "trigger", "type"),
            **more,
        )


def _path(body: dict[str, Any], vcs: dict[str, Any], git: dict[str, Any]) -> str:
    """The repository, as `owner/name`."""
    named = text(vcs, "target_repository_url") or text(git, "repo_url")
    owner, name = text(git, "repo_owner"), text(git, "repo_name")
    if not named and owner and name:
        named = f"{owner}/{name}"
    if not named:
        # `gh/acme/api`; with the GitHub App it is `circleci/` and two ids instead.
        provider, _, path = text(body, "project", "slug").partition("/")
        named = path if provider in _HOSTED else ""
    return keys.repository_path(named)


def _workflow(hook: _Hook) -> Event:
    workflow = obj(hook.body, "workflow")
    state, error, result = _STATUSES[text(workflow, "status").lower()]
    name, identifier = text(workflow, "name"), text(workflow, "id")
    started = parse_instant(workflow.get("created_at"))
    return Event(
        key=_workflow_key(identifier),
        source="circleci",
        operation=Operation.PIPELINE,
        state=state,
        occurred_at=_stopped(hook, workflow),
        started_at=started,
        name=name or "workflow",
        project=hook.project,
        actor=hook.actor,
        url=web_url(text(workflow, "url")),
        error=error,
        attributes=hook.attributes(
            cicd__pipeline__name=name,
            cicd__pipeline__run__id=identifier,
            cicd__pipeline__run__url__full=web_url(text(workflow, "url")),
            cicd__pipeline__result=result,
            vs__deploy__job=name,
        ),
        offers=keys.offers(keys.commit(hook.sha, hook.repo, "commit", "built")),
        seeks=hook.seeks(),
    )


def _job(hook: _Hook) -> Event:
    job, workflow = obj(hook.body, "job"), obj(hook.body, "workflow")
    state, error, result = _STATUSES[text(job, "status").lower()]
    name, identifier = text(job, "name"), text(job, "id")
    deploys = is_deploy_name(name)
    service = (hook.repo or hook.project).rpartition("/")[2] if deploys else ""
    environment = environment_in(name) if deploys else ""
    version = (hook.tag or hook.sha) if deploys else ""
    parent = text(workflow, "id")
    return Event(
        key=keys.reference("circleci", "build", "", identifier),
        source="circleci",
        operation=Operation.DEPLOY if deploys else Operation.BUILD,
        state=state,
        occurred_at=_stopped(hook, job),
        started_at=parse_instant(job.get("started_at")),
        name=name or "job",
        project=hook.project,
        service=service,
        environment=environment,
        actor=hook.actor,
        url=web_url(text(workflow, "url")),
        error=error,
        attributes=hook.attributes(
            cicd__pipeline__name=text(workflow, "name"),
            cicd__pipeline__task__name=name,
            cicd__pipeline__task__run__id=identifier,
            cicd__pipeline__task__run__result=result,
            cicd__pipeline__task__type="deploy" if deploys else None,
            deployment__environment__name=environment,
            vs__version=version,
            vs__job__number=number(job, "number"),
        ),
        offers=offer_version(service, version, hook.repo) if deploys else (),
        seeks=keys.seeks(
            keys.seek_structure(_workflow_key(parent)) if parent else None, hook.seeks()
        ),
    )


def _workflow_key(identifier: str) -> str:
    return keys.reference("circleci", "pipeline", "", identifier)


def _stopped(hook: _Hook, subject: dict[str, Any]) -> int:
    stopped = parse_instant(subject.get("stopped_at"))
    return stopped or parse_instant(hook.body.get("happened_at")) or hook.received_at


SOURCE: Final = CircleCi()
