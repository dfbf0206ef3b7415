"""Custom HTTP: ValueStream's own event format, for scripts and tools without a webhook.

    {"type": "build", "id": "42", "action": "start", "name": "docker", "parentid": "vstrace-...",
     "namespace": "default", "tags": {"k": "v"}, "error": false, "timestamp": "..."}

`parentid`, `parent_id`, `parentId` and `parent` are all read: ValueStream documents one and
matches another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator

from vs_tui.domain import keys
from vs_tui.domain.instants import Instant, parse_instant
from vs_tui.domain.model import Event, Key, Rule, Scalar, Seek, State
from vs_tui.sources.base import BadBody, Inbound, Parsed, json_object
from vs_tui.sources.signatures import require_hmac_any, require_standard_webhook

_ACTION_STATES = {"start": State.RUNNING, "end": State.OK, "annotate": State.NOTE}
Word = Annotated[str, Field(min_length=1, max_length=200)]


class CustomEvent(BaseModel):
    """The body of POST /customhttp; unknown fields are kept as attributes."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, coerce_numbers_to_str=True)

    type: Word
    id: Word = Field(validation_alias=AliasChoices("id", "ID", "event_id", "eventId"))
    action: Literal["start", "end", "annotate"]
    namespace: str = Field("default", max_length=200)
    name: str = Field("", max_length=500)
    parent: str = Field(
        "",
        max_length=400,
        validation_alias=AliasChoices("parentid", "parent_id", "parentId", "ParentID", "parent"),
    )
    error: bool | str = False
    status: Literal["ok", "error", "cancelled", "timed_out"] | None = None
    timestamp: Any = None
    tags: dict[str, Any] | list[str] = Field(default_factory=dict)
    traceparent: str = ""

    @field_validator("type", "action", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("timestamp")
    @classmethod
    def _time(cls, value: Any) -> Instant | None:
        if value is None or value == "":
            return None
        instant = parse_instant(value)
        if instant is None:
            raise ValueError("is not a time; send RFC 3339 such as 2026-03-02T10:00:00Z")
        return instant


class CustomHttp:
    """ValueStream's `customhttp` source."""

    name = "customhttp"
    title = "Custom HTTP"
    paths: tuple[str, ...] = ("/customhttp",)
    version = 1
    signature_headers: tuple[str, ...] = ("x-vs-signature", "webhook-signature")
    token_in_url = True
    stored_headers: tuple[str, ...] = ("idempotency-key", "webhook-id", "traceparent", "user-agent")

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        if inbound.header("x-vs-signature"):
            given = inbound.header("x-vs-signature")
            require_hmac_any(given, inbound.body, secrets, "X-VS-Signature")
        else:
            require_standard_webhook(
                dict(inbound.headers), inbound.body, secrets, inbound.received_at
            )

    def dedupe_key(self, inbound: Inbound) -> str:
        return inbound.header("idempotency-key") or inbound.header("webhook-id")

    def parse(self, inbound: Inbound) -> Parsed:
        body = _validated(json_object(inbound))
        return Parsed(kind=f"{body.type}.{body.action}", events=(_event(body, inbound),))


def _validated(payload: dict[str, Any]) -> CustomEvent:
    try:
        return CustomEvent.model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadBody(".".join(str(part) for part in first["loc"]), first["msg"]) from None


def _event(body: CustomEvent, inbound: Inbound) -> Event:
    tags = _tags(body)
    at: Instant = body.timestamp or inbound.received_at
    state = _state(body)
    repo = keys.repository(str(tags.get("vcs.repository.url.full", tags.get("repository", ""))))
    sha = tags.get("vcs.ref.head.revision", tags.get("commit", ""))
    branch = str(tags.get("vcs.ref.head.name", tags.get("branch", "")))
    traceparent = body.traceparent or inbound.header("traceparent")
    is_deploy = body.type == "deploy"
    return Event(
        key=keys.reference("customhttp", body.type, body.namespace, body.id),
        source="customhttp",
        operation=body.type,
        state=state,
        occurred_at=at,
        name=body.name or str(tags.get("name", "")) or f"{body.type} {body.id}",
        project=repo or body.namespace,
        service=str(tags.get("service", "")),
        environment=str(tags.get("deployment.environment.name", tags.get("environment", ""))),
        actor=str(tags.get("actor", tags.get("user", ""))),
        url=str(tags.get("url", "")),
        error=(body.error if isinstance(body.error, str) else "failure")
        if state is State.ERROR
        else "",
        attributes=tags,
        offers=keys.offers(
            *(Key("w3c", value, "", "traceparent") for value in _own_context(tags)),
            None if is_deploy else keys.commit(sha, repo, "commit", "built"),
        ),
        seeks=keys.seeks(
            keys.seek_parent(body.parent),
            keys.traceparents(traceparent),
            keys.mentions(f"{body.name} {branch}", "name"),
            keys.change_refs(branch, repo),
            keys.seek_commit(Rule.COMMIT, sha, repo),
            keys.seek_commit(Rule.BUILT, sha, repo) if is_deploy else None,
            keys.seek_branch(branch, repo) if repo else None,
            _version(tags, body.namespace),
        ),
    )


def _state(body: CustomEvent) -> State:
    if body.action != "end":
        return _ACTION_STATES[body.action]
    if body.error or body.status in ("error", "timed_out"):
        return State.ERROR
    return State.CANCELLED if body.status == "cancelled" else State.OK


def _tags(body: CustomEvent) -> dict[str, Scalar]:
    """Tags as a mapping or as vscli's `k|v` list, and any further field, as flat attributes."""
    pairs: list[tuple[str, Any]] = []
    if isinstance(body.tags, dict):
        pairs.extend(body.tags.items())
    else:
        pairs.extend((name, value) for name, bar, value in _split(body.tags) if bar)
    pairs.extend((body.model_extra or {}).items())
    return {
        str(name)[:100]: value if isinstance(value, bool | int | float) else str(value)[:2000]
        for name, value in pairs[:100]
        if value is not None and not (isinstance(value, int) and abs(value) >= 2**63)
    }


def _split(tags: Sequence[str]) -> list[tuple[str, str, str]]:
    return [tag.partition("|") for tag in tags]


def _own_context(tags: dict[str, Scalar]) -> list[str]:
    """The W3C span that `vs-tui run` gave to its command, so that children find it."""
    own = str(tags.get("vs.traceparent", "")).split("-")
    return [f"{own[1]}-{own[2]}"] if len(own) == 4 else []


def _version(tags: dict[str, Scalar], namespace: str) -> Seek | None:
    version, service = tags.get("version"), tags.get("service")
    if not version or not service:
        return None
    return Seek(Rule.VERSION, Key("artifact", f"{service}@{version}", namespace, "version"))


SOURCE = CustomHttp()
