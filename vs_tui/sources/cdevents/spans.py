"""Turns a CDEvent into an event of a span: operation and state by its subject, the keys by which it
is linked (links, chains, parts, versions), names, attributes, actor, URL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.artifacts import offer_version, purl_parts, seek_version
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.base import defaults
from vs_tui.sources.fields import items, known, obj, text, texts, web_url
from vs_tui.sources.repository import repository_names

_BEGIN: Final = frozenset({"queued", "started", "created", "detected", "reported"})
_RUN: Final = {
    "queued": (State.QUEUED, "queued"),
    "started": (State.RUNNING, "running"),
    "finished": (State.OK, ""),
}


def _states(**predicates: State) -> Mapping[str, tuple[State, str]]:
    """predicate -> state and phase, for subjects without phases."""
    return {predicate: (state, "") for predicate, state in predicates.items()}


SUBJECTS: Final[Mapping[str, tuple[str, Mapping[str, tuple[State, str]]]]] = {
    "pipelinerun": (Operation.PIPELINE, _RUN),
    "taskrun": (Operation.BUILD, _RUN),
    "build": (Operation.BUILD, _RUN),
    "testcaserun": (Operation.TEST, {**_RUN, "skipped": (State.CANCELLED, "")}),
    "testsuiterun": (Operation.TEST, _RUN),
    "artifact": (
        Operation.RELEASE,
        _states(packaged=State.OK, signed=State.OK, published=State.OK),
    ),
    "service": (
        Operation.DEPLOY,
        _states(deployed=State.OK, upgraded=State.OK, rolledback=State.OK),
    ),
    "incident": (
        Operation.INCIDENT,
        _states(detected=State.RUNNING, reported=State.RUNNING, resolved=State.OK),
    ),
    "change": (
        Operation.PULL_REQUEST,
        _states(
            created=State.RUNNING,
            updated=State.NOTE,
            reviewed=State.NOTE,
            merged=State.OK,
            abandoned=State.CANCELLED,
        ),
    ),
    "ticket": (
        Operation.ISSUE,
        _states(created=State.RUNNING, updated=State.NOTE, closed=State.OK),
    ),
    "approval": (
        "approval",
        _states(created=State.WAITING, updated=State.WAITING, closed=State.OK),
    ),
}
"""subject -> operation, and predicate -> state and phase. Other predicates are ignored."""
# Levels of a chain, from the top.
CHAIN: Final = ("ticket", "change", "pipelinerun", "build", "artifact", "service")
_OUTCOMES: Final = {
    "success": (State.OK, "", "success"),
    "failure": (State.ERROR, "failure", "failure"),
    "error": (State.ERROR, "error", "error"),
    "cancel": (State.CANCELLED, "", "cancellation"),
    "cancelled": (State.CANCELLED, "", "cancellation"),
}


@dataclass(frozen=True, slots=True)
class CdEvent:
    """A CDEvent with the parts that all subjects have."""

    subject: str
    predicate: str
    id: str
    source: str
    context: dict[str, Any]
    content: dict[str, Any]
    custom: dict[str, Any]
    at: Instant

    @property
    def operation(self) -> str:
        return SUBJECTS[self.subject][0]

    @property
    def begins(self) -> bool:
        return self.predicate in _BEGIN or self.subject in ("service", "artifact")


def outcome_of(cd: CdEvent, state: State) -> tuple[State, str, str]:
    """State, `error.type` and result of an end, by the outcomes and resolutions of the
    specification."""
    word = text(cd.content, "outcome").lower()
    if cd.predicate == "finished":
        return _OUTCOMES.get(word, (State.OK, "", "success"))
    if cd.predicate == "skipped":
        return state, "", "skip"
    if cd.subject == "approval" and cd.predicate == "closed":
        decision = text(cd.content, "decision") or text(cd.content, "status")
        return (State.OK if decision.lower() == "approved" else State.CANCELLED), "", ""
    if cd.subject == "ticket" and cd.predicate == "closed":
        resolution = text(cd.content, "resolution").lower()
        done = resolution in ("", "completed", "done", "fixed", "resolved")
        return (State.OK if done else State.CANCELLED), "", ""
    return state, "", ""


def native_id(cd: CdEvent) -> str:
    """The subject's id; for a deploy with the event's id added, because all deploys of a service
    have the same subject."""
    if cd.subject != "service":
        return cd.id
    return f"{cd.id}/{text(cd.context, 'id') or cd.at}"


def key_of(family: str, source: str, identifier: str) -> str:
    return keys.reference("cdevents", family, source.strip("/"), identifier)


def offers_of(
    cd: CdEvent, purl: str, services: tuple[str, ...], version: str, repo: str
) -> tuple[Key, ...]:
    event_id, chain = text(cd.context, "id"), text(cd.context, "chainId")
    makes = cd.subject in ("build", "artifact", "service")
    names = dict.fromkeys(name for name in services if name)
    return keys.offers(
        Key("ref", _event_alias(event_id)) if event_id else None,
        Key("chain", chain, cd.subject, "chainId") if chain and cd.subject in CHAIN else None,
        Key("artifact", purl, "", "artifactId") if makes and purl else None,
        *(key for name in names if makes for key in offer_version(name, version)),
        Key("change", cd.id, repo, "change id")
        if cd.subject == "change" and repo and keys.whole_number(cd.id) is not None
        else None,
        *(
            Key("issue_key", seek.key.value)
            for seek in keys.issue_keys(cd.id, "")
            if cd.subject == "ticket"
        ),
    )


def seeks_of(cd: CdEvent, purl: str, service: str, version: str, repo: str) -> tuple[Seek, ...]:
    words = text(cd.content, "description", limit=keys.TEXT_LIMIT)
    resolved = cd.predicate == "resolved"
    return keys.seeks(
        _links(cd),
        _parts(cd),
        Seek(Rule.VERSION, Key("artifact", purl, "", "artifactId"))
        if purl and not resolved
        else None,
        seek_version(service, version),
        keys.mentions(words, "description"),
        keys.closing_keywords(words, repo) if cd.subject == "change" else None,
        keys.issue_keys(words, "description") if cd.subject == "change" else None,
        _chain(cd),
    )


def _links(cd: CdEvent) -> Iterator[Seek]:
    for link in items(cd.context, "links")[:50]:
        kind = text(link, "linkType").upper()
        if kind == "RELATION":
            trigger = text(link, "linkKind").upper() in ("TRIGGER", "")
            target = text(link, "target", "contextId", limit=200)
            if target:
                yield Seek(
                    Rule.EXPLICIT, Key("ref", _event_alias(target), "", "links"), not trigger
                )
        elif kind == "PATH" and cd.begins:
            origin = text(link, "from", "contextId", limit=200)
            if origin:
                yield Seek(Rule.EXPLICIT, Key("ref", _event_alias(origin), "", "links"))


def _event_alias(context_id: str) -> str:
    """The ref for a link's contextId. It names an event, which can belong to any span."""
    return f"vstrace-cdevents-event-{context_id}"


_WHOLES: Final = {
    "pipelineRun": "pipelinerun",
    "testSuiteRun": "testsuiterun",
    "change": "change",
}


def _parts(cd: CdEvent) -> Iterator[Seek]:
    """Seeks for the wholes that the content names."""
    for name, family in _WHOLES.items():
        whole = obj(cd.content, name)
        identifier = text(whole, "id")
        if identifier and family != cd.subject:
            own = text(whole, "source") or cd.source
            yield keys.seek_structure(key_of(family, own, identifier), name)


def _chain(cd: CdEvent) -> Iterator[Seek]:
    chain = text(cd.context, "chainId")
    if not chain:
        return
    above = CHAIN[: CHAIN.index(cd.subject)] if cd.subject in CHAIN else CHAIN
    for family in above:
        yield Seek(Rule.HIERARCHY, Key("chain", chain, family, "chainId"))


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
            vs__task="rollback" if cd.predicate == "rolledback" else None,
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
                vs__issue__assignees=", ".join(texts(content, "assignees", limit=500))[:500],
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
