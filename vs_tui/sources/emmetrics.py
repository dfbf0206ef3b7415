"""em-metrics' API: deployments, incidents and pull requests that a CI posts.

Source of paths, bodies and answers: em-metrics' route handlers, models and README. It has no
environment other than production. Its ids are primary keys, so it refuses one that a second project
or team uses; here each has its own (`vs_tui.traces.shared_ids`), because ids are often numbers of
runs. Where em-metrics answers 404 for an unknown id, `Parsed.requires` names the span that must
exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from vs_tui.model import keys
from vs_tui.model.time import Instant, iso
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Scalar, Seek, State
from vs_tui.sources.base import BadBody, Inbound, Parsed, Source
from vs_tui.sources.body_schema import Timestamp, Word, validated
from vs_tui.sources.fields import json_object, known, small_object

PRODUCTION: Final = "production"
_CREATED: Final = 201
NEW: Final = "vs-new"
"""Query parameter that the receiver sets if a `deployed` creates its deployment."""
NUMBER: Final = "vs-incident-number"
"""Header that the receiver sets, and stores with the delivery, if an incident gets its id."""


Count = Annotated[int | float | None, Field(gt=-(10**15), lt=10**15)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)


class NewDeployment(_Body):
    """POST /deployments."""

    id: Word
    project_id: Word
    username: str = Field("", max_length=200)
    first_commit_at: Timestamp = None
    deploy_start_at: Timestamp = None
    deployed_at: Timestamp = None


class Deployed(_Body):
    """POST /deployments/{id}/deployed."""

    create_if_not_exists: bool
    project_id: str = Field("", max_length=200)
    username: str = Field("", max_length=200)
    first_commit_at: Timestamp = None
    deploy_start_at: Timestamp = None
    deployed_at: Timestamp = None


class NewIncident(_Body):
    """POST /incidents."""

    id: str | None = Field(None, max_length=200)
    project_id: Word
    deployment_id: str | None = Field(None, max_length=200)
    started_at: Timestamp = None
    restored_at: Timestamp = None
    finished_at: Timestamp = None


class IncidentDate(_Body):
    """POST /incidents/{id}/restored and /finished."""

    date: Timestamp = None


class NewPullRequest(_Body):
    """POST /pull-requests."""

    id: Word
    team_id: Word
    opened_at: Timestamp = None
    additions: Count = None
    deletions: Count = None


class PullRequestChange(_Body):
    """POST /pull-requests/{id}/reviewed, /closed and /merged."""

    approved: bool = False
    nb_comments: Count = None
    reviewed_at: Timestamp = None
    closed_at: Timestamp = None
    merged_at: Timestamp = None


@dataclass(frozen=True, slots=True)
class _Call:
    """A request: the id in its path, its fields, and the original."""

    id: str
    payload: dict[str, Any]
    inbound: Inbound

    def at(self, stated: Instant | None) -> Instant:
        """The stated time, or else the time of receipt, as in em-metrics."""
        return self.inbound.received_at if stated is None else stated


class EmMetrics(Source):
    """em-metrics' endpoints, also below /api/v1."""

    name = "emmetrics"
    title = "em-metrics"
    token_in_url = True
    paths = (
        "/deployments",
        "/deployments/*",
        "/incidents",
        "/incidents/*",
        "/pull-requests",
        "/pull-requests/*",
    )

    stored_headers = (NUMBER,)

    def dedupe_key(self, inbound: Inbound) -> str:
        """The time of receipt for incidents without an id or a start, because equal bodies are
        different incidents. For other bodies without a time it is the path: `{}` may restore an
        incident and later finish it. Else empty."""
        path, body = inbound.path.removeprefix("/api/v1"), small_object(inbound)
        if path != "/incidents":
            dated = any(name == "date" or name.endswith("_at") for name in body)
            return "" if dated else path
        return "" if body.get("id") or body.get("started_at") else f"{inbound.received_at}"

    def parse(self, inbound: Inbound) -> Parsed:
        path = inbound.path.removeprefix("/api/v1").strip("/")
        root, _, rest = path.partition("/")
        identifier, _, verb = rest.rpartition("/")
        handler = _HANDLERS.get((root, verb if identifier else ""))
        if handler is None or bool(rest) != bool(identifier):
            known_paths = ", ".join("/" + "/{id}/".join(filter(None, pair)) for pair in _HANDLERS)
            raise BadBody("path", f"there is no POST /{path[:100]}; there are {known_paths}")
        if len(identifier) > 200:
            raise BadBody("path", "the id is longer than 200 characters; send a shorter one")
        # All fields of these calls have defaults, so the body may be empty.
        payload = json_object(inbound) if inbound.body.strip() or not identifier else {}
        # em-metrics' GitHub action sends "" for unset fields.
        payload = {name: value for name, value in payload.items() if value not in ("", None)}
        return handler(_Call(identifier.replace("\0", "\ufffd"), payload, inbound))


def _create_deployment(call: _Call) -> Parsed:
    body = validated(NewDeployment, call.payload)
    if body.first_commit_at is None:
        raise BadBody("first_commit_at", "is missing; send the time of the oldest commit deployed")
    facts = _deploy_facts(body.id, body.project_id, body.first_commit_at, body.username)
    start = call.at(body.deploy_start_at)
    events = [_event(facts, State.RUNNING, start)]
    if body.deployed_at is not None:
        events.append(_event(facts, State.OK, body.deployed_at))
    return Parsed("deployment.created", events, status=_CREATED)


def _deployed(call: _Call) -> Parsed:
    body = validated(Deployed, call.payload)
    if body.create_if_not_exists:
        for name in ("project_id", "first_commit_at", "deploy_start_at"):
            if not getattr(body, name):
                raise BadBody(name, "is missing; with create_if_not_exists it must be sent")
    facts = _deploy_facts(call.id, body.project_id, body.first_commit_at, body.username)
    events = [_event(facts, State.OK, call.at(body.deployed_at))]
    if body.deploy_start_at is not None:
        events.append(_event(facts, State.RUNNING, body.deploy_start_at))
    requires = "" if body.create_if_not_exists else facts["key"]
    status = _CREATED if call.inbound.query.get(NEW) else 200
    return Parsed("deployment.deployed", events, requires=requires, status=status)


def _deploy_facts(
    identifier: str, project: str, first_commit_at: Instant | None, username: str
) -> dict[str, Any]:
    service = project.rpartition("/")[2]
    return {
        "key": keys.reference("emmetrics", "deploy", "", identifier),
        "operation": Operation.DEPLOY,
        "name": f"{service} to {PRODUCTION}" if service else "",
        "project": project,
        "service": service,
        "environment": PRODUCTION,
        "actor": username,
        "attributes": known(
            deployment__id=identifier,
            deployment__environment__name=PRODUCTION,
            service__name=service,
            vs__commit__first_at=iso(first_commit_at),
        ),
        "offers": (_deployment(identifier, project),) if project else (),
    }


def _deployment(identifier: str, project: str) -> Key:
    """The key by which an incident finds its deployment: the one of its own project, if several
    projects have deployments with that id."""
    return Key("deployment", identifier, project.lower(), "deployment_id")


def _create_incident(call: _Call) -> Parsed:
    body = validated(NewIncident, call.payload)
    identifier = body.id or _incident_id(body, call.inbound)
    start = call.at(body.started_at)
    facts: dict[str, Any] = {
        "key": _incident_key(identifier),
        "operation": Operation.INCIDENT,
        "name": f"incident {identifier}",
        "project": body.project_id,
        "service": body.project_id.rpartition("/")[2],
        "environment": PRODUCTION,
        "attributes": known(
            vs__incident__id=identifier,
            deployment__id=body.deployment_id,
            deployment__environment__name=PRODUCTION,
        ),
    }
    if body.deployment_id:
        facts["seeks"] = (Seek(Rule.STRUCTURE, _deployment(body.deployment_id, body.project_id)),)
    events = [_event(facts, State.RUNNING, start)]
    for verb, at in (("restored", body.restored_at), ("finished", body.finished_at)):
        if at is not None:
            events.append(_event(facts, State.OK, at, {f"vs.incident.{verb}_at": str(iso(at))}))
    return Parsed("incident.created", events, status=_CREATED, answer={"id": identifier})


def _incident_id(body: NewIncident, inbound: Inbound) -> str:
    """The id of an incident that was sent without one: the project and the number that the receiver
    assigned (NUMBER), as in em-metrics. Without a number the id is derived from the body; if the
    body has no start, also from the time of receipt. A repeat with a start thus gets the same
    id."""
    number = inbound.header(NUMBER)
    if keys.whole_number(number) is not None:
        return f"incident_{body.project_id}_{number[:12]}"
    seed = inbound.body
    if body.started_at is None:
        seed += str(inbound.received_at).encode()
    return f"incident_{body.project_id}_{sha256(seed).hexdigest()[:8]}"


def _incident_ended(verb: str) -> Callable[[_Call], Parsed]:
    """The handler of `restored` or `finished`. Both end the incident; the first end stands."""

    def handle(call: _Call) -> Parsed:
        at = call.at(validated(IncidentDate, call.payload).date)
        facts = {"key": _incident_key(call.id), "operation": Operation.INCIDENT}
        attributes: dict[str, Scalar] = {f"vs.incident.{verb}_at": str(iso(at))}
        event = _event(facts, State.OK, at, attributes)
        return Parsed(f"incident.{verb}", (event,), requires=_incident_key(call.id))

    return handle


def _incident_key(identifier: str) -> str:
    return keys.reference("emmetrics", "incident", "", identifier)


def _create_pull_request(call: _Call) -> Parsed:
    body = validated(NewPullRequest, call.payload)
    facts = _pull_facts(body.id)
    facts |= {"name": f"pull request {body.id}", "project": body.team_id}
    attributes = known(
        vcs__change__state="open",
        vs__team_id=body.team_id,
        vs__pr__additions=body.additions,
        vs__pr__deletions=body.deletions,
    )
    event = _event(facts, State.RUNNING, call.at(body.opened_at), attributes)
    return Parsed("pull_request.opened", (event,), status=_CREATED)


def _pull_request_ended(verb: str, state: State) -> Callable[[_Call], Parsed]:
    def handle(call: _Call) -> Parsed:
        body = validated(PullRequestChange, call.payload)
        at = call.at(body.merged_at if state is State.OK else body.closed_at)
        attributes = known(
            vcs__change__state=verb, vs__pr__merged_at=iso(at) if state is State.OK else None
        )
        facts = _pull_facts(call.id)
        event = _event(facts, state, at, attributes)
        return Parsed(f"pull_request.{verb}", (event,), requires=facts["key"])

    return handle


def _reviewed(call: _Call) -> Parsed:
    body = validated(PullRequestChange, call.payload)
    at = call.at(body.reviewed_at)
    pull = _pull_facts(call.id)
    facts = {
        "key": keys.reference("emmetrics", "review", "", f"{call.id}/{at}"),
        "operation": Operation.REVIEW,
        "name": f"review of {call.id}",
        "started_at": at,
        "seeks": (keys.seek_structure(pull["key"]),),
        "attributes": known(
            vcs__change__id=call.id,
            vs__review__state="approved" if body.approved else "commented",
            vs__review__comments=body.nb_comments,
        ),
    }
    event = _event(facts, State.OK, at)
    return Parsed("pull_request.reviewed", (event,), requires=pull["key"])


def _pull_facts(identifier: str) -> dict[str, Any]:
    return {
        "key": keys.reference("emmetrics", "pull_request", "", identifier),
        "operation": Operation.PULL_REQUEST,
        "attributes": {"vcs.change.id": identifier},
    }


def _event(
    facts: Mapping[str, Any],
    state: State,
    at: Instant,
    more: Mapping[str, Scalar] | None = None,
) -> Event:
    attributes = {**facts.get("attributes", {}), **(more or {})}
    return Event(
        **{**facts, "attributes": attributes}, source="emmetrics", state=state, occurred_at=at
    )


_HANDLERS: Final[Mapping[tuple[str, str], Callable[[_Call], Parsed]]] = {
    ("deployments", ""): _create_deployment,
    ("deployments", "deployed"): _deployed,
    ("incidents", ""): _create_incident,
    ("incidents", "restored"): _incident_ended("restored"),
    ("incidents", "finished"): _incident_ended("finished"),
    ("pull-requests", ""): _create_pull_request,
    ("pull-requests", "reviewed"): _reviewed,
    ("pull-requests", "closed"): _pull_request_ended("closed", State.CANCELLED),
    ("pull-requests", "merged"): _pull_request_ended("merged", State.OK),
}

SOURCE: Final = EmMetrics()
