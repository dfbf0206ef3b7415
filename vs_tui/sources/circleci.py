"""CircleCI: outbound webhooks. They report ends only; the start is in the same body.

Source: CircleCI's webhook reference. A workflow is a pipeline span, a job a build span below it.
Commits and branches are in `pipeline.vcs` (GitHub OAuth, Bitbucket Cloud) or in
`pipeline.trigger_parameters.git` (GitHub App, GitLab).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import parse_instant
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Seek, State
from vs_tui.model.webhook_forms import Form
from vs_tui.sources.base import Inbound, Parsed, Source, Unreadable, parsed
from vs_tui.sources.fields import json_object, known, number, obj, text, web_url
from vs_tui.sources.repository import repository_names
from vs_tui.sources.signatures import Scheme
from vs_tui.sources.versions import environment_in, is_deploy_name, offer_version

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
        hook = _Hook(body, inbound)
        return Parsed(kind, (_workflow(hook) if kind == "workflow-completed" else _job(hook),))


@dataclass(frozen=True, slots=True)
class _Hook:
    """A body, with the commit facts of both kinds of events."""

    body: dict[str, Any]
    inbound: Inbound

    @property
    def vcs(self) -> dict[str, Any]:
        return obj(self.body, "pipeline", "vcs")

    @property
    def git(self) -> dict[str, Any]:
        return obj(self.body, "pipeline", "trigger_parameters", "git")

    @property
    def path(self) -> str:
        """`owner/name`, in the original case."""
        named = text(self.vcs, "target_repository_url") or text(self.git, "repo_url")
        if named:
            return keys.repository_path(named)
        owner, name = text(self.git, "repo_owner"), text(self.git, "repo_name")
        if owner and name:
            return keys.repository_path(f"{owner}/{name}")
        # `gh/acme/api`; with the GitHub App it is `circleci/` and two ids instead.
        provider, _, path = text(self.body, "project", "slug").partition("/")
        return keys.repository_path(path) if provider in _HOSTED else ""

    @property
    def repo(self) -> str:
        """The scope of its keys."""
        return keys.repository(self.path)

    @property
    def project(self) -> str:
        organization = text(self.body, "organization", "name", limit=200)
        name = text(self.body, "project", "name", limit=200)
        return self.path or "/".join(filter(None, (organization, name)))

    @property
    def sha(self) -> str:
        return text(self.vcs, "revision") or text(self.git, "checkout_sha")

    @property
    def branch(self) -> str:
        return text(self.vcs, "branch") or text(self.git, "branch")

    @property
    def tag(self) -> str:
        return text(self.vcs, "tag") or text(self.git, "tag")

    @property
    def actor(self) -> str:
        author = text(self.vcs, "commit", "author", "name", limit=200)
        return author or text(self.git, "author_login", limit=200)

    @property
    def message(self) -> str:
        subject = text(self.vcs, "commit", "subject")
        return subject or text(self.git, "commit_message", limit=keys.TEXT_LIMIT)

    def seeks(self) -> tuple[Seek, ...]:
        return keys.seeks(
            keys.mentions(f"{self.message} {self.branch}", "commit message"),
            keys.change_refs(self.branch, self.repo),
            keys.merge_messages(self.message, self.repo),
            keys.seek_commit(Rule.COMMIT, self.sha, self.repo),
            keys.seek_branch(self.branch, self.repo, text(self.git, "default_branch")),
        )

    def attributes(self) -> dict[str, Any]:
        return repository_names(self.path) | known(
            vcs__ref__head__name=self.branch or self.tag,
            vcs__ref__head__type="tag" if self.tag and not self.branch else None,
            vcs__ref__head__revision=self.sha,
            vs__pipeline__number=number(self.body, "pipeline", "number"),
            vs__run__event=text(self.body, "pipeline", "trigger", "type"),
        )


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
        attributes={
            **hook.attributes(),
            **known(
                cicd__pipeline__name=name,
                cicd__pipeline__run__id=identifier,
                cicd__pipeline__run__url__full=web_url(text(workflow, "url")),
                cicd__pipeline__result=result,
            ),
        },
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
        attributes={
            **hook.attributes(),
            **known(
                cicd__pipeline__name=text(workflow, "name"),
                cicd__pipeline__task__name=name,
                cicd__pipeline__task__run__id=identifier,
                cicd__pipeline__task__run__result=result,
                cicd__pipeline__task__type="deploy" if deploys else None,
                deployment__environment__name=environment,
                vs__version=version,
                vs__job__number=number(job, "number"),
            ),
        },
        offers=_job_offers(hook, service, version) if deploys else (),
        seeks=keys.seeks(
            keys.seek_structure(_workflow_key(parent)) if parent else None, hook.seeks()
        ),
    )


def _job_offers(hook: _Hook, service: str, version: str) -> tuple[Key, ...]:
    return keys.offers(*offer_version(service, version, hook.repo))


def _workflow_key(identifier: str) -> str:
    return keys.reference("circleci", "pipeline", "", identifier)


def _stopped(hook: _Hook, subject: dict[str, Any]) -> int:
    stopped = parse_instant(subject.get("stopped_at"))
    return stopped or parse_instant(hook.body.get("happened_at")) or hook.inbound.received_at


SOURCE: Final = CircleCi()
