"""CDEvents before version 0.1, and Tekton's own CloudEvents.

The first edition, such as `cd.pipelinerun.finished.v1`, has only attributes. Source: the first SDKs
(Go, Java, Python) and their command line. The subject's fields are extension attributes, which
binary mode sends as headers (`ce-pipelinerunid`). The status is free text; it sets the outcome of a
run only if it is a known outcome.

Tekton sends `dev.tekton.event.pipelinerun.*` and `dev.tekton.event.taskrun.*`. The body has the
whole PipelineRun or TaskRun, so each event is a snapshot. The label `tekton.dev/pipelineRun` of a
task names its run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant, parse_instant
from vs_tui.model.vocabulary import Event, Operation, Rule, State
from vs_tui.sources.base import Parsed, Unreadable, parsed
from vs_tui.sources.fields import items, known, obj, text, time_of

FIRST: Final = "cd."
EXTENSIONS: Final = (
    *("pipelinerunid", "pipelinerunname", "pipelinerunstatus", "pipelinerunurl"),
    *("pipelinerunerrors", "taskrunid", "taskrunname", "taskrunpipelineid", "buildid", "buildname"),
    *("buildartifactid", "artifactid", "artifactname", "artifactversion", "serviceenvid"),
    *("servicename", "serviceversion"),
)
_FIRST_OUTCOMES: Final = {
    **dict.fromkeys(("failure", "failed", "fail"), "failure"),
    **dict.fromkeys(("cancel", "cancelled", "canceled"), "cancel"),
    "error": "error",
}


def subject_of(family: str, told: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """(id, content) in the shape of current CDEvents; the id is empty if it is missing."""
    match family:
        case "pipelinerun":
            content = known(
                pipelineName=told.get("pipelinerunname"),
                uri=told.get("pipelinerunurl"),
                errors=told.get("pipelinerunerrors"),
                outcome=_FIRST_OUTCOMES.get(told.get("pipelinerunstatus", "").strip().lower()),
            )
            return told.get("pipelinerunid", ""), content
        case "taskrun":
            above = known(id=told.get("taskrunpipelineid"))
            content = known(taskName=told.get("taskrunname"), pipelineRun=above or None)
            return told.get("taskrunid", ""), content
        case "build":
            content = known(taskName=told.get("buildname"), artifactId=told.get("buildartifactid"))
            return told.get("buildid", ""), content
        case "artifact":
            named = _purl(told.get("artifactname", ""), told.get("artifactversion", ""))
            identifier = told.get("artifactid", "")
            return identifier if identifier.startswith("pkg:") else named or identifier, {}
        case "service":
            name = told.get("servicename", "")
            environment = known(id=told.get("serviceenvid"))
            version = _purl(name, told.get("serviceversion", ""))
            return name, known(environment=environment or None, artifactId=version)
    return "", {}


def _purl(name: str, version: str) -> str:
    return f"pkg:generic/{name}@{version}" if name and version else ""


TEKTON: Final = "dev.tekton.event."
_STATES: Final = {
    "queued": State.QUEUED,
    "started": State.RUNNING,
    "running": State.RUNNING,
    "unknown": State.RUNNING,
    "successful": State.OK,
    "failed": State.ERROR,
}
_CANCELLED: Final = frozenset({"Cancelled", "CancelledRunFinally", "StoppedRunFinally"})
"""Reasons of a PipelineRun that a user stopped; a TaskRun has TaskRunCancelled."""
_REVISIONS: Final = ("gitrevision", "git-revision", "revision", "commit", "sha", "commit-sha")
_REPOSITORIES: Final = ("gitrepositoryurl", "git-url", "repo-url", "repository", "url")
"""Parameters of the commit and the repository in the examples of Tekton's catalog."""


def read_tekton(
    kind: str, context: Mapping[str, Any], subject: Mapping[str, Any], received_at: Instant
) -> Parsed:
    """The event for a run of a pipeline or task."""
    family, _, word = kind.removeprefix(TEKTON).partition(".")
    state = _STATES.get(word.partition(".")[0])
    if family not in ("pipelinerun", "taskrun") or state is None:
        return parsed(kind, f"{kind} says nothing about the course of a run")
    content = obj(subject, "content")
    run = obj(content, "pipelineRun" if family == "pipelinerun" else "taskRun")
    name, namespace = text(run, "metadata", "name"), text(run, "metadata", "namespace")
    if not name:
        raise Unreadable(f"{kind} has no metadata.name; compare the body in Events with the docs")
    at = parse_instant(context.get("timestamp")) or received_at
    return Parsed(kind, (_event(family, run, f"{namespace}/{name}", state, at),))


def _event(family: str, run: dict[str, Any], path: str, state: State, sent_at: Instant) -> Event:
    is_pipeline = family == "pipelinerun"
    status, labels = obj(run, "status"), obj(run, "metadata", "labels")
    namespace, _, name = path.partition("/")
    began, ended = time_of(status, "startTime"), time_of(status, "completionTime")
    reason = next(
        (text(c, "reason") for c in items(status, "conditions") if text(c, "type") == "Succeeded"),
        "",
    )
    if state is State.ERROR and (reason in _CANCELLED or reason.endswith("RunCancelled")):
        state = State.CANCELLED
    label = text(labels, "tekton.dev/pipeline") or text(run, "spec", "pipelineRef", "name")
    task = text(labels, "tekton.dev/pipelineTask") or text(labels, "tekton.dev/task")
    sha, repo = _parameter(run, _REVISIONS), _parameter(run, _REPOSITORIES)
    scope = keys.repository(repo)
    above = text(labels, "tekton.dev/pipelineRun")
    title = label or name if is_pipeline else task or name
    return Event(
        key=keys.reference("tekton", family, "", text(run, "metadata", "uid") or path),
        ref=keys.reference("tekton", family, namespace, name),
        source="cdevents",
        operation=Operation.PIPELINE if is_pipeline else Operation.BUILD,
        state=state,
        occurred_at=(ended or sent_at) if state.terminal else began or sent_at,
        as_of=sent_at,
        started_at=began,
        name=title,
        project=keys.repository_path(repo) or namespace,
        error=(reason or "failure")[:200] if state is State.ERROR else "",
        attributes=known(
            cicd__pipeline__name=label,
            cicd__pipeline__run__id=name if is_pipeline else above,
            cicd__pipeline__task__name=None if is_pipeline else title,
            cicd__pipeline__task__run__id=None if is_pipeline else name,
            vcs__ref__head__revision=sha,
            vcs__repository__url__full=repo,
            vs__tekton__namespace=namespace,
            vs__tekton__reason=reason,
        ),
        offers=keys.offers(keys.commit(sha, scope, "revision", "built")),
        seeks=keys.seeks(
            keys.seek_structure(keys.reference("tekton", "pipelinerun", namespace, above))
            if above and not is_pipeline
            else None,
            keys.seek_commit(Rule.COMMIT, sha, scope, "revision") if is_pipeline else None,
        ),
    )


def _parameter(run: dict[str, Any], names: tuple[str, ...]) -> str:
    found = {
        text(entry, "name").lower(): text(entry, "value")
        for entry in items(run, "spec", "params")[:100]
    }
    return next((found[name] for name in names if found.get(name)), "")
