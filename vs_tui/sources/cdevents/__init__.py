"""CDEvents over CloudEvents: binary, structured and batch mode, and CDEvents without an envelope.

Source: the CDEvents specification, its CloudEvents binding, its links proposal and its conformance
files. A span is a subject (`subject.source` + `subject.id`). A deploy is one event, because
`service.*` events are instants that repeat under one subject.

- `links`: a RELATION of kind TRIGGER names the parent, other relations are links only; a PATH names
  the event before, which is the parent if this event begins its span.
- `chainId` connects events without other links, below the chain's change, pipeline run or build.

CDEvents before version 0.1 (`cd.pipelinerun.finished.v1`) have only attributes. Source: the first
SDKs (Go, Java, Python) and their command line. The subject's fields are extension attributes, which
binary mode sends as headers (`ce-pipelinerunid`). The status is free text; it sets the outcome of a
run only if it is a known outcome.

Tekton sends `dev.tekton.event.pipelinerun.*` and `dev.tekton.event.taskrun.*`. The body has the
whole PipelineRun or TaskRun, so each event is a snapshot. The label `tekton.dev/pipelineRun` of a
task names its run.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

import orjson

from vs_tui.model import keys
from vs_tui.model.time import Instant, parse_instant
from vs_tui.model.vocabulary import Event, Operation, Rule, State
from vs_tui.sources.base import BadBody, Inbound, Parsed, Source, Unreadable, parsed
from vs_tui.sources.cdevents.spans import SUBJECTS, CdEvent, events_of
from vs_tui.sources.fields import items, json_body, known, obj, text, time_of

PREFIX: Final = "dev.cdevents."
FIRST: Final = "cd."
TEKTON: Final = "dev.tekton.event."
EXTENSIONS: Final = (
    *("pipelinerunid", "pipelinerunname", "pipelinerunstatus", "pipelinerunurl"),
    *("pipelinerunerrors", "taskrunid", "taskrunname", "taskrunpipelineid", "buildid", "buildname"),
    *("buildartifactid", "artifactid", "artifactname", "artifactversion", "serviceenvid"),
    *("servicename", "serviceversion"),
)
MAX_BATCH: Final = 1000


class CdEvents(Source):
    """CDEvents."""

    name = "cdevents"
    title = "CDEvents"
    token_in_url = True
    version = 2
    stored_headers = (
        "ce-type",
        "ce-id",
        "ce-source",
        "ce-subject",
        "ce-time",
        "ce-specversion",
        *(f"ce-{name}" for name in EXTENSIONS),
    )

    def dedupe_key(self, inbound: Inbound) -> str:
        """Source, id and type, which are unique together; empty in structured mode, where the
        body's hash identifies repeats."""
        names = [inbound.header(f"ce-{part}") for part in ("source", "id", "type")]
        return " ".join(names) if names[1] else ""

    def parse(self, inbound: Inbound) -> Parsed:
        body = json_body(inbound)
        if isinstance(body, list):
            return _batch(body, inbound)
        if not isinstance(body, dict):
            raise BadBody("body", "must be a CloudEvent object, or a list of them in batch mode")
        return _read(_unwrapped(body, inbound), inbound)


def _batch(body: list[Any], inbound: Inbound) -> Parsed:
    """Parse each event of a batch by itself; unreadable events are left out."""
    if len(body) > MAX_BATCH:
        raise BadBody("body", f"holds {len(body)} events; send at most {MAX_BATCH} at once")
    read: list[Parsed] = []
    odd: list[str] = []
    for position, item in enumerate(body):
        if not isinstance(item, dict):
            raise BadBody(f"{position}", "must be a CloudEvent object")
        try:
            read.append(_read(_unwrapped(item, inbound), inbound))
        except (BadBody, Unreadable) as error:
            odd.append(f"{position}: {error}")
    if odd and not read:
        raise Unreadable("; ".join(odd)[:300])
    events = [event for parsed in read for event in parsed.events]
    left_out = "; ".join(odd)[:300]
    if events and odd:
        return Parsed("batch", events, reason=f"left out {left_out}")
    if not events:
        return parsed("batch", read[0].reason if read else "an empty batch")
    return Parsed("batch", events)


def _unwrapped(body: dict[str, Any], inbound: Inbound) -> dict[str, Any]:
    """The CDEvent: the body itself, the data of a CloudEvent, or composed from `ce-` headers and
    body."""
    if "context" in body:
        return body
    if "data" in body or "data_base64" in body:
        data = body.get("data")
        if data is None:
            data = _decoded(body.get("data_base64"))
        if isinstance(data, dict) and "context" in data:
            return data
        return _composed({name: text(body, name) for name in _ATTRIBUTES}, data)
    if inbound.header("ce-type"):
        return _composed({name: inbound.header(f"ce-{name}") for name in _ATTRIBUTES}, body)
    if text(body, "type").startswith(FIRST):
        return _composed({name: text(body, name) for name in _ATTRIBUTES}, None)
    raise BadBody("context", "is missing; send a CDEvent, or a CloudEvent with its ce- headers")


_ATTRIBUTES: Final = ("id", "source", "type", "subject", "time", *EXTENSIONS)


def _decoded(encoded: Any) -> Any:
    try:
        return orjson.loads(base64.b64decode(str(encoded), validate=True))
    except (binascii.Error, ValueError):
        raise BadBody("data_base64", "does not hold JSON in base64") from None


def _composed(attributes: Mapping[str, str], content: Any) -> dict[str, Any]:
    """A CDEvent made from a CloudEvent whose data is only the content of the subject."""
    return {
        "context": {
            "id": attributes["id"],
            "source": attributes["source"],
            "type": attributes["type"],
            "timestamp": attributes["time"],
        },
        "subject": {
            "id": attributes["subject"],
            "source": attributes["source"],
            "content": content,
        },
        "extensions": {name: found for name in EXTENSIONS if (found := attributes[name])},
    }


def _read(body: dict[str, Any], inbound: Inbound) -> Parsed:
    context, subject = obj(body, "context"), obj(body, "subject")
    kind = text(context, "type", limit=200)
    if not kind:
        raise BadBody("context.type", "is missing; it looks like dev.cdevents.build.started.0.3.0")
    if kind.startswith(TEKTON):
        return read_tekton(kind, context, subject, inbound.received_at)
    is_first = kind.startswith(FIRST)
    words = kind.removeprefix(FIRST if is_first else PREFIX).split(".")
    if not kind.startswith((FIRST, PREFIX)) or len(words) < 2:
        return parsed(kind, f"{kind} is not one of CDEvents' own types")
    family, predicate = words[0].lower(), words[1].lower()
    if predicate not in SUBJECTS.get(family, ("", {}))[1]:
        return parsed(kind, f"{family}.{predicate} says nothing about the course of a delivery")
    if is_first:
        identifier, content = subject_of(family, obj(body, "extensions"))
        subject = {"id": identifier, "content": content}
    if not text(subject, "id"):
        raise Unreadable(f"{kind} has no subject.id; compare the body in Events with the docs")
    event = CdEvent(
        subject=family,
        predicate=predicate,
        id=text(subject, "id"),
        source=text(subject, "source") or text(context, "source"),
        context=context,
        content=obj(subject, "content"),
        custom=obj(body, "customData"),
        at=parse_instant(context.get("timestamp")) or inbound.received_at,
    )
    return Parsed(kind, events_of(event))


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


SOURCE: Final = CdEvents()
