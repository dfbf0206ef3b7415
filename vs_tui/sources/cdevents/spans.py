"""Turns a CDEvent into an event of a span: names, attributes, actor, URL."""

from __future__ import annotations

from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.vocabulary import Event
from vs_tui.sources.base import defaults
from vs_tui.sources.cdevents.links import offers_of, seeks_of
from vs_tui.sources.cdevents.subjects import SUBJECTS, CdEvent, key_of, native_id, outcome_of
from vs_tui.sources.fields import items, known, obj, text, web_url
from vs_tui.sources.repository import repository_names
from vs_tui.sources.versions import purl_parts

_SHORT: Final = 12
"""Hex digits of a hash that are shown as the version."""


def events_of(cd: CdEvent) -> tuple[Event, ...]:
    """The event, preceded by the span's default name if it has none of its own."""
    whole = _event(cd)
    if whole.name:
        return (whole,)
    return (defaults(whole, name=cd.id), whole)


def _event(cd: CdEvent) -> Event:
    state, stage = SUBJECTS[cd.subject][1][cd.predicate]
    state, error, outcome = outcome_of(cd, state)
    path = _repository(cd)
    repo = keys.repository(path)
    service = _service(cd)
    environment = text(cd.content, "environment", "name") or text(cd.content, "environment", "id")
    purl = cd.id if cd.subject == "artifact" else text(cd.content, "artifactId")
    name, version = purl_parts(purl)
    # A resolved incident names the version that fixed it, not the broken one.
    broken = "" if cd.predicate == "resolved" else version
    return Event(
        key=key_of(cd.subject, cd.source, native_id(cd)),
        ref=keys.reference("cdevents", cd.subject, "", native_id(cd)),
        source="cdevents",
        operation=cd.operation,
        state=state,
        occurred_at=cd.at,
        stage=stage,
        name=_name(cd, service, environment),
        project=path or cd.source.strip("/"),
        service=service or (name if cd.subject == "artifact" else ""),
        environment=environment,
        actor=_actor(cd),
        url=_url(cd),
        error=error,
        attributes=repository_names(path)
        | known(
            vs__cdevents__chain_id=text(cd.context, "chainId"),
            vs__cdevents__source=cd.source,
            vs__artifact=purl,
            vs__version=broken,
            service__version=broken,
            vs__resolved_version=version if cd.predicate == "resolved" else None,
            vs__rework=True if cd.predicate == "rolledback" else None,
            deployment__environment__name=environment,
            **_run_attributes(cd, outcome),
            **_issue_attributes(cd),
        ),
        offers=offers_of(cd, purl, (name, service), version, repo),
        seeks=seeks_of(cd, purl, name or service, broken, repo),
    )


def _repository(cd: CdEvent) -> str:
    repository = obj(cd.content, "repository")
    return keys.repository_path(text(repository, "uri") or text(repository, "id"))


def _service(cd: CdEvent) -> str:
    if cd.subject == "service":
        return cd.id
    return text(cd.content, "service", "id")


def _name(cd: CdEvent, service: str, environment: str) -> str:
    content = cd.content
    found = (
        text(content, "pipelineName")
        or text(content, "taskName")
        or text(content, "testCase", "name")
        or text(content, "testSuite", "name")
        or text(content, "testCase", "id")
        or text(content, "testSuite", "id")
        or text(content, "summary")
        or text(content, "title")
        or (text(content, "description") if cd.predicate != "resolved" else "")
    )
    if cd.subject == "service" and environment:
        return f"{service} to {environment}"
    if cd.predicate in ("resolved", "merged", "abandoned", "updated", "reviewed") and not found:
        return ""  # the event that began it has a better name
    return found or (_artifact(cd.id) if cd.subject == "artifact" else cd.id)


def _artifact(purl: str) -> str:
    """The short name of a package URL: `cart@0b31b1c02ff4` for `pkg:oci/cart@sha256%3A0b31…`."""
    name, version = purl_parts(purl)
    digest = version.rpartition(":")[2]
    if keys.commit(digest):
        version = digest[:_SHORT]
    return f"{name}@{version}" if name and version else name or purl


def _actor(cd: CdEvent) -> str:
    names = ("user", "creator", "requestor", "responder")
    found = next((value for name in names if (value := text(cd.content, name, limit=200))), "")
    return found.removeprefix("urn:user:")


def _url(cd: CdEvent) -> str:
    names = ("uri", "url", "viewUrl", "ticketURI", "approvalDetailsUrl")
    places = (cd.content, obj(cd.content, "testCase"), obj(cd.content, "testSuite"))
    candidates = (text(place, name) for place in places for name in names)
    return next((url for found in candidates if (url := web_url(found))), "")


def _run_attributes(cd: CdEvent, outcome: str) -> dict[str, Any]:
    content, url = cd.content, _url(cd)
    match cd.subject:
        case "pipelinerun":
            return known(
                cicd__pipeline__name=text(content, "pipelineName"),
                cicd__pipeline__run__id=cd.id,
                cicd__pipeline__run__url__full=url,
                cicd__pipeline__result=outcome,
                vs__error__message=text(content, "errors"),
            )
        case "taskrun" | "build" | "testcaserun" | "testsuiterun":
            test = obj(content, "testCase") or obj(content, "testSuite")
            return known(
                cicd__pipeline__task__name=text(content, "taskName") or text(test, "name"),
                cicd__pipeline__task__run__id=cd.id,
                cicd__pipeline__task__run__url__full=url,
                cicd__pipeline__task__run__result=outcome,
                cicd__pipeline__task__type=SUBJECTS[cd.subject][0],
                vs__error__message=text(content, "errors") or text(content, "reason"),
            )
    return {}


def _issue_attributes(cd: CdEvent) -> dict[str, Any]:
    content = cd.content
    match cd.subject:
        case "ticket":
            return known(
                vs__issue__title=text(content, "summary"),
                vs__issue__type=text(content, "ticketType"),
                vs__issue__priority=text(content, "priority"),
                vs__issue__assignees=", ".join(
                    name for name in items(content, "assignees") if isinstance(name, str)
                )[:500],
            )
        case "change":
            states = {"merged": "merged", "abandoned": "closed"}
            return known(
                vcs__change__id=cd.id,
                vcs__change__title=text(content, "description"),
                vcs__change__state=states.get(cd.predicate, "open"),
            )
        case "incident":
            return known(vs__incident__severity=text(cd.custom, "severity"))
    return {}
