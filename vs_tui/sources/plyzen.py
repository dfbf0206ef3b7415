"""plyzen: its basic and advanced ingest schema.

Source of the bodies: the JSON schemas and the instrumentation guide that plyzen publishes.

- basic: one flat record, with `artifact`, `environment` and `event` (`start` or `finish`) at least;
- advanced: `{"activities": [...]}`, each with a `correlationId`, any number of events and
  artifacts, and optionally a product.

The span of a record is identified by:

- advanced: the correlationId alone. Chunks of a record repeat nothing, so the artifacts are
  attributes of the one activity span (`vs.artifact.NAMESPACE/NAME` = version,
  `vs.result.NAMESPACE/NAME` = result);
- basic with a correlationId: type, correlationId, artifact and environment. The artifacts of one
  product deployment share `vs.correlation_id` and `vs.product`;
- basic without one: artifact, version, environment, instance and activity. A repeated run
  reopens the span; `vs.run.TIME` = `start`, `success` or `failure` records each run.

A record with a correlationId that is sent again amends the earlier one: the last one received
counts (`Event.slot`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from vs_tui.model import artifacts, keys
from vs_tui.model.artifacts import PART, offer_version, seek_version
from vs_tui.model.time import Instant, iso
from vs_tui.model.vocabulary import (
    SERVICES_ATTRIBUTE,
    Event,
    Key,
    Operation,
    Rule,
    Scalar,
    Seek,
    State,
)
from vs_tui.sources.base import BadBody, Inbound, Parsed, Source, parsed
from vs_tui.sources.body_schema import OptionalWord, Timestamp, Word, validated
from vs_tui.sources.fields import json_object
from vs_tui.sources.signatures import Scheme
from vs_tui.traces.folding import RESULT_SLOT

_ANSWER: Final = {"result": "success"}
ActivityType = Literal["build", "deployment", "test", "alarm"]
_TYPE_WORDS: Final = {"build": "build", "deploy": "deployment", "test": "test", "alarm": "alarm"}


def type_in(name: str) -> str:
    """The type in an activity's name: the last of the four words in it, because that is the noun
    (`test-deploy` deploys, `post-deploy-test` tests); empty without any."""
    lowered = name.lower()
    last = max(_TYPE_WORDS, key=lowered.rfind)
    return _TYPE_WORDS[last] if last in lowered else ""


def _result(value: Any) -> Any:
    """The result in the schema's spelling: the guide's text has `fail`, the schema `failure`."""
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    return {"fail": "failure", "failed": "failure", "": None}.get(word, word)


Result = Annotated[Literal["success", "failure"] | None, BeforeValidator(_result)]
AnyResult = Annotated[Literal["success", "failure", "diverse"] | None, BeforeValidator(_result)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)


class ChangeRequest(_Record):
    """The ticket that approved a deployment."""

    id: Word
    type: OptionalWord = ""


class Extensions(_Record):
    change_request: ChangeRequest | None = Field(None, alias="changeRequest")


class BasicRecord(_Record):
    """The flat schema."""

    correlation: OptionalWord = Field("", alias="correlationId")
    namespace: OptionalWord = ""
    artifact: Word
    version: OptionalWord = ""
    # plyzen's own script still says `stage`.
    environment: Word = Field(validation_alias=AliasChoices("environment", "stage"))
    instance: OptionalWord = ""
    activity: OptionalWord = ""
    activity_name: OptionalWord = Field("", alias="activityName")
    activity_type: ActivityType | None = Field(None, alias="activityType")
    event: Literal["start", "finish"]
    timestamp: Timestamp = None
    result: Result = None
    product: OptionalWord = ""
    extensions: Extensions | None = None

    @property
    def label(self) -> str:
        return self.activity_name or self.activity or self.activity_type or ""

    @property
    def type(self) -> str:
        return self.activity_type or type_in(self.activity) or type_in(self.activity_name)


class Named(_Record):
    name: Word


class Environment(Named):
    instance: Named | None = None


class Artifact(Named):
    namespace: OptionalWord = ""
    version: OptionalWord = ""
    result: Result = None
    # Not in the schema, but in the guide's smallest example.
    environment: Environment | None = None


class ActivityEvent(_Record):
    type: Literal["start", "finish"]
    timestamp: Timestamp = None


class Activity(_Record):
    """One activity of the advanced schema; a chunk of it needs only its id."""

    correlation: Word = Field(alias="correlationId")
    name: OptionalWord = ""
    type: ActivityType | None = None
    events: list[ActivityEvent] = Field(default_factory=list, max_length=100)
    result: AnyResult = None
    product: Named | None = None
    artifacts: list[Artifact] = Field(default_factory=list, max_length=1000)
    environment: Environment | None = None
    extensions: Extensions | None = None


class AdvancedRecord(_Record):
    activities: list[Activity] = Field(max_length=1000)


_OPERATIONS: Final = {
    "build": Operation.BUILD,
    "deployment": Operation.DEPLOY,
    "test": Operation.TEST,
    "alarm": Operation.INCIDENT,
}


def basic_events(record: BasicRecord, inbound: Inbound) -> list[Event]:
    at = inbound.received_at if record.timestamp is None else record.timestamp
    namespace = record.namespace or "default"
    operation = _OPERATIONS[record.type]
    whole = (namespace, record.artifact)
    if record.correlation:
        key = _key(operation, record.correlation, *whole, record.environment)
    else:
        where = (record.environment, record.instance, record.label)
        key = _key(operation, *whole, record.version, *where)
    # plyzen's script also sends a result with every start.
    result = (record.result or "success") if record.event == "finish" else None
    base = Event(
        key=key,
        source="plyzen",
        operation=operation,
        state=State.NOTE,
        occurred_at=at,
        as_of=inbound.received_at if record.correlation else at,
        name=_name(operation, record.label, record.artifact, record.version, record.environment),
        project=namespace,
        service=record.artifact,
        environment=record.environment,
        attributes=_known(
            {
                "vs.artifact": record.artifact,
                "vs.namespace": namespace,
                "vs.version": record.version,
                "vs.version_missing": True if not record.version else None,
                "vs.instance": record.instance,
                "vs.product": record.product,
                "vs.correlation_id": record.correlation,
                "vs.result": result,
                "cicd.pipeline.name": f"{record.artifact} {record.label}",
                "cicd.pipeline.task.type": _task_type(operation),
                "deployment.environment.name": record.environment,
                "service.version": record.version,
                **_change_request(record.extensions),
            }
        ),
        offers=_offers(operation, ((record.artifact, record.version, namespace),)),
        seeks=keys.seeks(
            seek_version(record.artifact, record.version, namespace),
            _tickets(record.extensions),
        ),
    )
    event = _state(base, record.event, result, amendable=bool(record.correlation))
    if not record.correlation:
        runs = {f"vs.run.{iso(at)}": result or record.event}
        event = event._replace(
            supersedes=event.state.terminal or "if later", attributes={**event.attributes, **runs}
        )
    return [event]


def activity_events(activity: Activity, received_at: Instant) -> Iterator[Event]:
    operation = _OPERATIONS[activity.type] if activity.type else _operation_of(activity.name)
    environment = activity.environment or next(
        (a.environment for a in activity.artifacts if a.environment), None
    )
    names = [(a.name, a.version, a.namespace or "default") for a in activity.artifacts]
    product = activity.product.name if activity.product else ""
    only = names[0] if len(names) == 1 and not product else ("", "", "")
    # A chunk without names adds to an activity that another chunk names.
    adds = not operation and not activity.name and not product
    where = environment.name if environment else ""
    instance = environment.instance.name if environment and environment.instance else ""
    attributes: dict[str, Scalar | None] = {
        "vs.correlation_id": activity.correlation,
        "vs.product": product,
        "vs.instance": instance,
        "vs.version_missing": True if any(not version for _, version, _ in names) else None,
        "vs.result": activity.result or _combined(activity.artifacts),
        "cicd.pipeline.name": activity.name,
        "cicd.pipeline.task.type": _task_type(operation),
        "deployment.environment.name": where,
        **_change_request(activity.extensions),
    }
    for artifact, (name, version, namespace) in zip(activity.artifacts, names, strict=True):
        attributes[f"vs.artifact.{namespace}/{name}"[:300]] = version or "-"
        attributes[f"vs.result.{namespace}/{name}"[:300]] = artifact.result
    if operation == Operation.INCIDENT and names and not adds and not only[0]:
        about = [product, *(name for name, _, namespace in names if namespace == names[0][2])]
        attributes[SERVICES_ATTRIBUTE] = "\n".join(dict.fromkeys(filter(None, about)))
    base = Event(
        key=_key("activity", activity.correlation),
        source="plyzen",
        operation=operation,
        state=State.NOTE,
        occurred_at=received_at,
        as_of=received_at,
        name=_name(operation, activity.name, product or only[0], only[1], where)
        if operation and (product or only[0])
        else activity.name,
        project="" if adds else only[2] or (names[0][2] if names else ""),
        service="" if adds else product or only[0],
        environment=where,
        attributes=_known({**attributes, **({} if adds else _about(*only))}),
        offers=(*_offers(operation, names), *_parts(operation, names)),
        seeks=keys.seeks(
            *(seek_version(*name) for name in names[:20]), _tickets(activity.extensions)
        ),
    )
    if not activity.events:
        yield base
    for event in activity.events:
        at = received_at if event.timestamp is None else event.timestamp
        state = State.OK if event.type == "finish" else State.RUNNING
        yield base._replace(state=state, occurred_at=at, slot=event.type)
    if adds and names:
        # These values give way to those of a chunk that names the activity.
        name, version, namespace = names[0]
        known = _known(_about(name, version, namespace))
        yield base._replace(as_of=1, project=namespace, service=name, attributes=known)
    if operation != Operation.INCIDENT:
        yield from _results(activity, base._replace(attributes={}, offers=(), seeks=()))


def _about(artifact: str, version: str, namespace: str) -> dict[str, Scalar | None]:
    """The attributes of an activity with one artifact."""
    return {
        "vs.artifact": artifact,
        "vs.namespace": namespace,
        "vs.version": version,
        "service.version": version,
    }


def _results(activity: Activity, note: Event) -> Iterator[Event]:
    """Events for the results. They are separate from the finish, because they may come in other
    chunks. A result of the activity itself has priority over those of its artifacts."""
    told = [(RESULT_SLOT, activity.result)] if activity.result else []
    for artifact in activity.artifacts if not activity.result else ():
        if artifact.result:
            name = f"{artifact.namespace or 'default'}/{artifact.name}"
            told.append((f"{RESULT_SLOT}:{name}"[:300], artifact.result))
    for slot, result in told:
        yield note._replace(slot=slot, error="" if result == "success" else result)


def _state(base: Event, event: str, result: str | None, *, amendable: bool) -> Event:
    """The event of a basic record. A finished alarm is OK, whatever its result."""
    state, error = State.RUNNING, ""
    if event == "finish":
        failed = result in ("failure", "diverse") and base.operation != Operation.INCIDENT
        state, error = (State.ERROR, str(result)) if failed else (State.OK, "")
    return base._replace(state=state, error=error, slot=event if amendable else "")


def _combined(artifacts: list[Artifact]) -> str | None:
    """The combined result of the artifacts, for an activity without a result."""
    results = {artifact.result for artifact in artifacts if artifact.result}
    if not results:
        return None
    return "diverse" if len(results) > 1 else str(results.pop())


def _operation_of(name: str) -> str:
    implied = type_in(name)
    return _OPERATIONS[implied] if implied else ""


def _task_type(operation: str) -> str:
    return operation if operation in ("build", "test", "deploy") else ""


def _key(operation: str, *parts: str) -> str:
    """The key of a span. Each part is escaped, so that different parts never give the same key."""
    # Not with `keys.reference`, which would escape the escapes.
    return f"vstrace-plyzen-{operation}-" + "/".join(quote(p, safe="") for p in parts)


def _name(operation: str, label: str, artifact: str, version: str, environment: str) -> str:
    what = f"{artifact} {version}".strip()
    if operation == Operation.BUILD:
        return f"{label or 'build'} {what}"
    joined = "to" if operation == Operation.DEPLOY else "in"
    place = f" {joined} {environment}" if environment else ""
    return f"{what}{place}" if operation == Operation.DEPLOY else f"{label} {what}{place}".strip()


def _offers(operation: str, names: Sequence[tuple[str, str, str]]) -> tuple[Key, ...]:
    """Keys of the versions that an activity makes or ships; tests and alarms offer none, they only
    look for a version."""
    if operation in (Operation.TEST, Operation.INCIDENT):
        return ()
    via = "version" if len(names) == 1 else PART
    found = (
        offer_version(name, version, scope, via)
        if version or via != PART
        else [
            artifacts.artifact(name, "", scope, via)
        ]  # how an alarm finds what was deployed with it
        for name, version, scope in names
    )
    return keys.offers(*chain.from_iterable(found))


def _parts(operation: str, names: Sequence[tuple[str, str, str]]) -> Iterator[Key]:
    """Keys by which the deploys that brought an artifact are found, whatever else they brought."""
    for name, _, scope in names if operation == Operation.DEPLOY else ():
        yield Key(PART, name.lower(), scope.lower(), "artifact")


def _change_request(extensions: Extensions | None) -> dict[str, Scalar | None]:
    request = extensions.change_request if extensions else None
    if request is None:
        return {}
    return {"vs.change_request.id": request.id, "vs.change_request.type": request.type}


def _tickets(extensions: Extensions | None) -> list[Seek]:
    request = extensions.change_request if extensions else None
    if request is None:
        return []
    via = "change request"
    named = Seek(Rule.ISSUE_KEY, Key("issue_key", request.id.strip().upper(), "", via))
    return [*keys.mentions(request.id, via), named]


def _known(attributes: dict[str, Scalar | None]) -> dict[str, Scalar]:
    return {name: value for name, value in attributes.items() if value is not None and value != ""}


class Plyzen(Source):
    """plyzen's ingest endpoint."""

    name = "plyzen"
    title = "plyzen"
    token_in_url = True
    signature = Scheme("x-api-key", "token")
    # As in plyzen's scripts; its guide sends the key as `Authorization`.
    key_in_authorization = True

    def parse(self, inbound: Inbound) -> Parsed:
        payload = json_object(inbound)
        if "activities" not in payload:
            record = validated(BasicRecord, payload)
            if not record.type:
                why = "must contain build, deploy, test or alarm, or send activityType"
                raise BadBody("activity", why)
            return Parsed(
                f"{record.type}.{record.event}", basic_events(record, inbound), answer=_ANSWER
            )
        activities = validated(AdvancedRecord, payload).activities
        at = inbound.received_at
        events = [event for activity in activities for event in activity_events(activity, at)]
        return parsed("activities", events or "the list of activities is empty", _ANSWER)


SOURCE: Final = Plyzen()
