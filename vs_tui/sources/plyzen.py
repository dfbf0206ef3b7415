"""plyzen: its basic and advanced ingest schema.

Facts about the bodies: the JSON schemas and the instrumentation guide that plyzen publishes.

- basic: one flat record, `artifact`, `environment` and `event` (`start` or `finish`) at least;
- advanced: `{"activities": [...]}`, each with a `correlationId`, any number of events and
  artifacts, and perhaps a product.

What makes a record part of which span:

- advanced: the correlationId alone; records may come in chunks that repeat nothing, so the
  artifacts are attributes of the one activity span (`vs.artifact.NAMESPACE/NAME` = version,
  `vs.result.NAMESPACE/NAME` = result);
- basic with a correlationId: type, correlationId and artifact; the artifacts of one product
  deployment share `vs.correlation_id` and `vs.product`;
- basic without one: artifact, version, environment, instance and activity. Running that again
  reopens the span; `vs.run.TIME` = `start`, `success` or `failure` keeps each run.

A record that is sent again with a correlationId amends what it said before: last one received
counts (`Event.slot`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal
from urllib.parse import quote

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

from vs_tui.domain import keys
from vs_tui.domain.instants import Instant, iso
from vs_tui.domain.model import Event, Key, Operation, Rule, Scalar, Seek, State, Verdict
from vs_tui.sources.base import BadBody, Inbound, Parsed, json_object
from vs_tui.sources.schema import OptionalWord, Timestamp, Word, validated
from vs_tui.sources.signatures import require_token
from vs_tui.sources.tokens import TokenSource
from vs_tui.sources.versions import offer_version, seek_version

ActivityType = Literal["build", "deployment", "test", "alarm"]
Result = Literal["success", "failure", "diverse"]

_OPERATIONS: Final = {
    "build": Operation.BUILD,
    "deployment": Operation.DEPLOY,
    "test": Operation.TEST,
    "alarm": Operation.INCIDENT,
}
_TYPE_WORDS: Final = {"build": "build", "deploy": "deployment", "test": "test", "alarm": "alarm"}
_ANSWER: Final = {"result": "success"}
_CONFIG: Final = ConfigDict(extra="ignore", coerce_numbers_to_str=True)


def type_in(name: str) -> str:
    """The type that an activity's name implies: the last of the four words in it, because that
    is the noun (`test-deploy` deploys, `post-deploy-test` tests); `` when there is none."""
    lowered = name.lower()
    last = max(_TYPE_WORDS, key=lowered.rfind)
    return _TYPE_WORDS[last] if last in lowered else ""


def _result(value: Any) -> Any:
    """The guide's text says `fail` where the schema says `failure`."""
    if isinstance(value, str):
        value = value.strip().lower()
    return {"fail": "failure", "failed": "failure", "": None}.get(value, value)


class ChangeRequest(BaseModel):
    """The ticket that allowed a deployment."""

    model_config = _CONFIG
    id: Word
    type: OptionalWord = ""


class Extensions(BaseModel):
    model_config = _CONFIG
    change_request: ChangeRequest | None = Field(None, alias="changeRequest")


class BasicRecord(BaseModel):
    """The flat schema."""

    model_config = _CONFIG
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
    result: Literal["success", "failure"] | None = None
    product: OptionalWord = ""
    extensions: Extensions | None = None

    @field_validator("result", mode="before")
    @classmethod
    def _read_result(cls, value: Any) -> Any:
        return _result(value)

    @property
    def label(self) -> str:
        return self.activity_name or self.activity or self.activity_type or ""

    @property
    def type(self) -> str:
        return self.activity_type or type_in(self.activity) or type_in(self.activity_name)


class Named(BaseModel):
    model_config = _CONFIG
    name: Word


class Environment(Named):
    instance: Named | None = None


class Artifact(Named):
    namespace: OptionalWord = ""
    version: OptionalWord = ""
    result: Literal["success", "failure"] | None = None
    # Not in the schema, but in the guide's smallest example.
    environment: Environment | None = None

    @field_validator("result", mode="before")
    @classmethod
    def _read_result(cls, value: Any) -> Any:
        return _result(value)


class ActivityEvent(BaseModel):
    model_config = _CONFIG
    type: Literal["start", "finish"]
    timestamp: Timestamp = None


class Activity(BaseModel):
    """One activity of the advanced schema; a chunk of it needs no more than its id."""

    model_config = _CONFIG
    correlation: Word = Field(alias="correlationId")
    name: OptionalWord = ""
    type: ActivityType | None = None
    events: list[ActivityEvent] = Field(default_factory=list, max_length=100)
    result: Result | None = None
    product: Named | None = None
    artifacts: list[Artifact] = Field(default_factory=list, max_length=1000)
    environment: Environment | None = None
    extensions: Extensions | None = None

    @field_validator("result", mode="before")
    @classmethod
    def _read_result(cls, value: Any) -> Any:
        return _result(value)


class AdvancedRecord(BaseModel):
    model_config = _CONFIG
    activities: list[Activity] = Field(max_length=1000)


class Plyzen(TokenSource):
    """plyzen's ingest endpoint."""

    name = "plyzen"
    title = "plyzen"
    paths: tuple[str, ...] = ("/plyzen",)
    signature_headers: tuple[str, ...] = ("x-api-key",)

    def verify(self, inbound: Inbound, secrets: Any) -> None:
        """plyzen's scripts send the key as `x-api-key`, its guide as `Authorization`."""
        require_token(inbound.header("x-api-key"), secrets, "x-api-key")

    def parse(self, inbound: Inbound) -> Parsed:
        payload = json_object(inbound)
        if "activities" not in payload:
            record = validated(BasicRecord, payload)
            if not record.type:
                why = "must contain build, deploy, test or alarm, or send activityType"
                raise BadBody("activity", why)
            return Parsed(f"{record.type}.{record.event}", _basic(record, inbound), answer=_ANSWER)
        activities = validated(AdvancedRecord, payload).activities
        if not activities:
            reason = "the list of activities is empty"
            return Parsed("activities", verdict=Verdict.IGNORED, reason=reason, answer=_ANSWER)
        events = [e for activity in activities for e in _advanced(activity, inbound.received_at)]
        return Parsed("activities", events, answer=_ANSWER)


@dataclass(frozen=True, slots=True)
class _Moment:
    """A start or a finish."""

    type: str
    at: Instant


def _basic(record: BasicRecord, inbound: Inbound) -> list[Event]:
    at = inbound.received_at if record.timestamp is None else record.timestamp
    namespace = record.namespace or "default"
    operation = _OPERATIONS[record.type]
    whole = (namespace, record.artifact)
    if record.correlation:
        key = _key(operation, record.correlation, *whole)
    else:
        where = (record.environment, record.instance, record.label)
        key = _key(operation, *whole, record.version, *where)
    # plyzen's script sends a result with every start, too.
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
    moment = _Moment(record.event, at)
    event = _state(base, moment, result, amendable=bool(record.correlation))
    if not record.correlation:
        runs = {f"vs.run.{iso(at)}": result or record.event}
        event = replace(event, supersedes=True, attributes={**event.attributes, **runs})
    return [event]


def _advanced(activity: Activity, received_at: Instant) -> Iterator[Event]:
    operation = _OPERATIONS[activity.type] if activity.type else _operation_of(activity.name)
    environment = activity.environment or next(
        (a.environment for a in activity.artifacts if a.environment), None
    )
    names = [(a.name, a.version, a.namespace or "default") for a in activity.artifacts]
    product = activity.product.name if activity.product else ""
    only = names[0] if len(names) == 1 and not product else ("", "", "")
    where = environment.name if environment else ""
    result = activity.result or _combined(activity.artifacts)
    instance = environment.instance.name if environment and environment.instance else ""
    attributes: dict[str, Scalar | None] = {
        "vs.correlation_id": activity.correlation,
        "vs.product": product,
        "vs.instance": instance,
        "vs.artifact": only[0],
        "vs.namespace": only[2],
        "vs.version": only[1],
        "vs.version_missing": True if any(not version for _, version, _ in names) else None,
        "vs.result": result,
        "service.version": only[1],
        "cicd.pipeline.name": activity.name,
        "cicd.pipeline.task.type": _task_type(operation),
        "deployment.environment.name": where,
        **_change_request(activity.extensions),
    }
    for artifact, (name, version, namespace) in zip(activity.artifacts, names, strict=True):
        attributes[f"vs.artifact.{namespace}/{name}"[:300]] = version or "-"
        attributes[f"vs.result.{namespace}/{name}"[:300]] = artifact.result
    base = Event(
        key=keys.reference("plyzen", "activity", "", quote(activity.correlation, safe="")),
        source="plyzen",
        operation=operation,
        state=State.NOTE,
        occurred_at=received_at,
        as_of=received_at,
        name=_name(operation, activity.name, product or only[0], only[1], where)
        if operation and (product or only[0])
        else activity.name,
        project=only[2] or (names[0][2] if names else ""),
        service=product or only[0],
        environment=where,
        attributes=_known(attributes),
        offers=_offers(operation, names),
        seeks=keys.seeks(
            *(seek_version(*name) for name in names[:20]), _tickets(activity.extensions)
        ),
    )
    if not activity.events:
        yield base
    for event in activity.events:
        at = received_at if event.timestamp is None else event.timestamp
        yield _state(base, _Moment(event.type, at), result, amendable=True)


def _state(base: Event, moment: _Moment, result: str | None, *, amendable: bool) -> Event:
    """The event of a start or a finish. An alarm that finished is over, whatever its result."""
    state, error = State.RUNNING, ""
    if moment.type == "finish":
        failed = result in ("failure", "diverse") and base.operation != Operation.INCIDENT
        state, error = (State.ERROR, str(result)) if failed else (State.OK, "")
    return replace(
        base,
        state=state,
        error=error,
        occurred_at=moment.at,
        slot=moment.type if amendable else "",
    )


def _combined(artifacts: list[Artifact]) -> str | None:
    """The result of an activity that states none: its artifacts' together."""
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
    """Each part escaped, so that no two lists of parts give one key."""
    return keys.reference("plyzen", operation, "", "/".join(quote(p, safe="") for p in parts))


def _name(operation: str, label: str, artifact: str, version: str, environment: str) -> str:
    what = f"{artifact} {version}".strip()
    if operation == Operation.BUILD:
        return f"{label or 'build'} {what}"
    joined = "to" if operation == Operation.DEPLOY else "in"
    place = f" {joined} {environment}" if environment else ""
    return f"{what}{place}" if operation == Operation.DEPLOY else f"{label} {what}{place}".strip()


def _offers(operation: str, names: Any) -> tuple[Key, ...]:
    """Tests and alarms look for a version; what else an activity is, it has one to offer."""
    if operation in (Operation.TEST, Operation.INCIDENT):
        return ()
    return keys.offers(*(key for name in names for key in offer_version(*name)))


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


SOURCE: Final = Plyzen()
