"""Custom HTTP: ValueStream's own event format, for scripts and tools without a webhook.

    {"type": "build", "id": "42", "action": "start", "name": "docker", "parentid": "vstrace-...",
     "namespace": "default", "tags": {"k": "v"}, "error": false, "timestamp": "..."}

`parentid`, `parent_id`, `parentId` and `parent` are all read: ValueStream documents one and
matches another. `tags` may be vscli's list of `k|v`; a tag without `|` is true.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

from vs_tui.domain import keys
from vs_tui.domain.model import Event, Key, Rule, Scalar, State
from vs_tui.sources.base import Inbound, Parsed, json_object
from vs_tui.sources.schema import Timestamp, Word, validated
from vs_tui.sources.signatures import require_hmac_any, require_standard_webhook
from vs_tui.sources.versions import offer_version, seek_version

_ACTION_STATES = {"start": State.RUNNING, "end": State.OK, "annotate": State.NOTE}
# Who makes or ships a version; tests and incidents only look for one.
_OFFERS_VERSION = frozenset({"build", "pipeline", "release", "deploy"})


_DEFAULTS_AS_OF: Final = 1
# Ids that a program made up (hex, UUID, xid, ksuid): a name with one is a name no other run has.
_MADE_UP: Final = re.compile(r"[0-9a-fA-F-]{16,}|(?=.*[0-9])[0-9A-Za-z]{20,}")


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
    timestamp: Timestamp = None
    tags: dict[str, Any] | list[str] = Field(default_factory=dict)
    traceparent: str = ""

    @field_validator("type", "action", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.strip().lower() if isinstance(value, str) else value


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
        """HMAC-SHA256 of the raw body as hex, `sha256=` hex or base64; or Standard Webhooks."""
        if inbound.header("x-vs-signature"):
            given = inbound.header("x-vs-signature")
            require_hmac_any(given, inbound.body, secrets, "X-VS-Signature")
        else:
            require_standard_webhook(
                dict(inbound.headers), inbound.body, secrets, inbound.received_at
            )

    def dedupe_key(self, inbound: Inbound) -> str:
        """The sender's own id, where it sends one."""
        return inbound.header("idempotency-key") or inbound.header("webhook-id")

    def parse(self, inbound: Inbound) -> Parsed:
        body = validated(CustomEvent, json_object(inbound))
        event = _event(body, inbound)
        events = (event,) if body.action == "start" else (_defaults(body, event), event)
        return Parsed(kind=f"{body.type}.{body.action}", events=events)


def _defaults(body: CustomEvent, event: Event) -> Event:
    """What an end alone is called; it gives way to whatever its start said, or will say."""
    return Event(
        key=event.key,
        source="customhttp",
        operation=body.type,
        state=State.NOTE,
        occurred_at=event.occurred_at,
        as_of=_DEFAULTS_AS_OF,
        name=_name(body, event.service, event.environment, event.attributes),
        project=body.namespace,
    )


def _event(body: CustomEvent, inbound: Inbound) -> Event:
    tags = _tags(body)
    state = _state(body)
    place = str(tags.get("vcs.repository.url.full", tags.get("repository", "")))
    repo = keys.repository(place)
    sha = tags.get("vcs.ref.head.revision", tags.get("commit", ""))
    branch = str(tags.get("vcs.ref.head.name", tags.get("branch", "")))
    is_deploy = body.type == "deploy"
    begins = body.action == "start"
    service = str(tags.get("service", tags.get("service.name", "")))
    if is_deploy and not service:
        service = repo.rpartition("/")[2]
    environment = str(tags.get("deployment.environment.name", tags.get("environment", "")))
    version = str(tags.get("version", tags.get("vs.version", "")))
    return Event(
        key=keys.reference("customhttp", body.type, body.namespace, body.id),
        source="customhttp",
        operation=body.type,
        state=state,
        occurred_at=inbound.received_at if body.timestamp is None else body.timestamp,
        # An id that starts again after its end is the same span's next episode.
        supersedes=begins and (body.timestamp is not None or "if begun"),
        # What an end does not state must not replace what the start said.
        name=body.name
        or str(tags.get("name", ""))
        or (_name(body, service, environment, tags) if begins else ""),
        project=keys.repository_path(place) or (body.namespace if begins else ""),
        service=service,
        environment=environment,
        actor=str(tags.get("actor", tags.get("user", ""))),
        url=str(tags.get("url", "")),
        error=_error(body, state),
        attributes={**tags, "vs.version": version} if version else tags,
        offers=keys.offers(
            *(Key("w3c", value, "", "traceparent") for value in _own_context(tags)),
            None if is_deploy else keys.commit(sha, repo, "commit", "built"),
            *(
                offer_version(service, version, body.namespace)
                if body.type in _OFFERS_VERSION
                else ()
            ),
        ),
        seeks=keys.seeks(
            keys.seek_parent(body.parent),
            keys.traceparents(body.traceparent or inbound.header("traceparent")),
            keys.mentions(f"{body.name} {branch}", "name"),
            keys.change_refs(branch, repo),
            keys.seek_commit(Rule.COMMIT, sha, repo),
            keys.seek_commit(Rule.BUILT, sha, repo) if is_deploy else None,
            keys.seek_branch(branch, repo) if repo else None,
            seek_version(service, version, body.namespace),
        ),
    )


def _name(body: CustomEvent, service: str, environment: str, tags: Mapping[str, Scalar]) -> str:
    """What people see of an event without a name; runs of one thing have the same one, because
    durations are compared by it."""
    if body.type == "deploy" and service and environment:
        return f"{service} to {environment}"
    label = str(tags.get("type", "")) or service
    if not label and not _MADE_UP.fullmatch(body.id):
        label = body.id
    return f"{body.type} {label}".rstrip()


def _state(body: CustomEvent) -> State:
    if body.action != "end":
        return _ACTION_STATES[body.action]
    if body.error or body.status in ("error", "timed_out"):
        return State.ERROR
    return State.CANCELLED if body.status == "cancelled" else State.OK


def _error(body: CustomEvent, state: State) -> str:
    if state is not State.ERROR:
        return ""
    if isinstance(body.error, str) and body.error:
        return body.error[:200]
    return "timeout" if body.status == "timed_out" else "failure"


def _tags(body: CustomEvent) -> dict[str, Scalar]:
    """Tags as a mapping or as vscli's `k|v` list, and any further field, as flat attributes."""
    pairs: list[tuple[str, Any]] = []
    if isinstance(body.tags, dict):
        pairs.extend(body.tags.items())
    else:
        parts = [tag.partition("|") for tag in body.tags if tag]
        pairs.extend((name, value if bar else True) for name, bar, value in parts)
    pairs.extend((body.model_extra or {}).items())
    return {
        str(name)[:100]: value if isinstance(value, bool | int | float) else str(value)[:2000]
        for name, value in pairs[:100]
        if value is not None and not (isinstance(value, int) and abs(value) >= 2**63)
    }


def _own_context(tags: dict[str, Scalar]) -> list[str]:
    """The W3C span that `vs-tui run` gave to its command, so that children find it."""
    own = str(tags.get("vs.traceparent", "")).split("-")
    return [f"{own[1]}-{own[2]}"] if len(own) == 4 else []


SOURCE = CustomHttp()
