"""Custom HTTP: ValueStream's own event format, for scripts and tools without a webhook.

    {"type": "build", "id": "42", "action": "start", "name": "docker", "parentid": "vstrace-...",
     "namespace": "default", "tags": {"k": "v"}, "error": false, "timestamp": "..."}

`parentid`, `parent_id`, `parentId` and `parent` are all accepted: ValueStream documents one and
reads another. `tags` may be vscli's list of `k|v`; a tag without `|` is true.

ValueStream's own tool is written in Go, which matches names in any case and sends null for unset
fields, so this is accepted too: `{"id": "a1", "Action": "start", "ParentID": null, "Metadata":
{"k": "v"}}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

from vs_tui.model import keys
from vs_tui.model.artifacts import offer_version, seek_version
from vs_tui.model.time import Instant, parse_instant
from vs_tui.model.vocabulary import Event, Key, Rule, Scalar, State
from vs_tui.sources.base import BadBody, Inbound, Parsed, Source, defaults, parsed
from vs_tui.sources.body_schema import MAX_DEPTH, Timestamp, Word, validated
from vs_tui.sources.fields import has_rounded, json_object, with_exact_numbers
from vs_tui.sources.signatures import require_hmac_any, require_standard_webhook

_ACTION_STATES = {"start": State.RUNNING, "end": State.OK, "annotate": State.NOTE}
# Types that make or ship a version; tests and incidents only look for one.
_OFFERS_VERSION = frozenset({"build", "pipeline", "release", "deploy"})


# Generated ids (hex, UUID, xid, ksuid): no two runs would have the same name with one.
_MADE_UP: Final = re.compile(r"[0-9a-fA-F-]{16,}|(?=.*[0-9])[0-9A-Za-z]{20,}")


_PARENTS: Final = ("parentid", "parent_id", "parentId", "ParentID", "parent")
_IDS: Final = ("id", "ID", "event_id", "eventId")


class CustomEvent(BaseModel):
    """The schema of POST /customhttp; unknown fields are kept as attributes."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, coerce_numbers_to_str=True)

    type: Word
    id: Word = Field(validation_alias=AliasChoices(*_IDS))
    action: Literal["start", "end", "annotate"]
    namespace: str = Field("default", max_length=200)
    name: str = Field("", max_length=500)
    parent: str = Field("", max_length=400, validation_alias=AliasChoices(*_PARENTS))
    error: bool | str = False
    status: Literal["ok", "error", "cancelled", "timed_out"] | None = None
    timestamp: Timestamp = None
    tags: dict[str, Any] | list[str] = Field(default_factory=dict)
    traceparent: str = ""

    @field_validator("type", "action", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.strip().lower() if isinstance(value, str) else value


class CustomBody(NamedTuple):
    """The fields of a body, however it was checked."""

    type: str
    id: str
    action: str
    namespace: str
    name: str
    parent: str
    error: bool | str
    status: str | None
    timestamp: Instant | None
    tags: Mapping[str, Any] | Sequence[str]
    traceparent: str
    more: Mapping[str, Any]
    """Unknown fields."""


# Most characters of each field of a plain body; the schema has the same limits.
_TEXTS: Final = {"type": 200, "id": 200, "action": 200, "namespace": 200, "name": 500}
_STATUSES: Final = frozenset({"ok", "error", "cancelled", "timed_out"})
_ODD: Final = frozenset({*_IDS, *_PARENTS}) - {"id", "parentid"}
_KNOWN: Final = frozenset(
    {*_TEXTS, "parentid", "error", "status", "timestamp", "tags", "traceparent"}
)
_SPELT: Final = {name.lower(): name for name in ("metadata", "event_id", "eventId", *_PARENTS)} | {
    name: name for name in _KNOWN
}
"""Field name in lower case -> the schema's spelling."""


def respelt(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload with the schema's spelling of known names, without nulls, and with `metadata` as
    tags."""
    found: dict[str, Any] = {}
    for name, value in payload.items():
        spelt = _SPELT.get(name.lower(), name)
        if value is not None and (spelt not in found or spelt == name):
            found[spelt] = value
    extra = found.pop("metadata", None)
    if isinstance(extra, dict):
        tags = found.get("tags", {})
        found["tags"] = {**extra, **tags} if isinstance(tags, dict) else tags
    elif extra is not None:
        found["metadata"] = extra
    return found


def plain_body(payload: Mapping[str, Any], body: bytes) -> CustomBody | None:
    """The fields of a plain body; None if the schema must check it. Nearly all bodies are plain,
    and this is four times as fast. The schema also explains errors."""
    texts = {}
    for name, most in _TEXTS.items():
        value = payload.get(name, "default" if name == "namespace" else "")
        if type(value) is not str or len(value) > most:
            return None
        texts[name] = value
    error, status = payload.get("error", False), payload.get("status")
    tags, stated = payload.get("tags", {}), payload.get("timestamp")
    parent, traceparent = payload.get("parentid", ""), payload.get("traceparent", "")
    timestamp = parse_instant(stated) if stated is not None and stated != "" else None
    texts["type"] = texts["type"].strip().lower()
    texts["action"] = texts["action"].strip().lower()
    unknown = payload.keys() - _KNOWN
    is_plain = (
        not (unknown and any(name.lower() in _SPELT for name in unknown))
        and texts["action"] in _ACTION_STATES
        and 0 < len(texts["type"]) <= _TEXTS["type"]  # lower case may be longer
        and texts["id"]
        and type(parent) is str
        and len(parent) <= 400
        and type(traceparent) is str
        and type(error) in (bool, str)
        and (status is None or (type(status) is str and status in _STATUSES))
        and (timestamp is not None or stated is None or stated == "")
        and (type(tags) is dict or (type(tags) is list and all(type(t) is str for t in tags)))
        and _ODD.isdisjoint(payload)
        # The schema replaces NULs and limits the depth.
        and b"\\u0000" not in body
        and body.count(b"{") + body.count(b"[") <= MAX_DEPTH
    )
    if not is_plain:
        return None
    more = {name: payload[name] for name in payload if name in unknown}
    return CustomBody(
        **texts,
        parent=parent,
        error=error,
        status=status,
        timestamp=timestamp,
        tags=tags,
        traceparent=traceparent,
        more=more,
    )


def checked_body(payload: dict[str, Any]) -> CustomBody:
    """The fields of a body, checked by the schema. BadBody names the wrong field and the reason."""
    told = validated(CustomEvent, payload)
    fields = {name: getattr(told, name) for name in CustomBody._fields[:-1]}
    return CustomBody(**fields, more=told.model_extra or {})


class CustomHttp(Source):
    """ValueStream's `customhttp` source."""

    name = "customhttp"
    title = "Custom HTTP"
    signature_headers = ("x-vs-signature", "webhook-signature")
    token_in_url = True
    delivery_headers = ("idempotency-key", "webhook-id")
    stored_headers = ("idempotency-key", "webhook-id", "traceparent", "user-agent")

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        """Require the HMAC-SHA256 of the raw body as hex, `sha256=` hex or base64; or Standard
        Webhooks."""
        if inbound.header("x-vs-signature"):
            given = inbound.header("x-vs-signature")
            require_hmac_any(given, inbound.body, secrets, "X-VS-Signature")
        else:
            require_standard_webhook(
                dict(inbound.headers), inbound.body, secrets, inbound.received_at
            )

    def parse(self, inbound: Inbound) -> Parsed:
        return self.outline(inbound).finished()

    def outline(self, inbound: Inbound) -> Parsed:
        payload = json_object(inbound)
        if has_rounded(payload) or has_rounded(payload.get("tags")):
            inbound = with_exact_numbers(inbound)
            payload = json_object(inbound)
        body = plain_body(payload, inbound.body)
        if body is None:
            try:
                body = checked_body(respelt(payload))
            except BadBody as error:
                return _not_ours(inbound, payload, error)
        outline = Event(
            key=keys.reference("customhttp", body.type, body.namespace, body.id),
            source="customhttp",
            operation=body.type,
            state=_state(body),
            occurred_at=inbound.received_at if body.timestamp is None else body.timestamp,
        )
        return Parsed(
            kind=f"{body.type}.{body.action}",
            events=(outline,),
            finish=lambda: _events(body, inbound, outline),
        )


def _not_ours(inbound: Inbound, payload: dict[str, Any], error: BadBody) -> Parsed:
    """Parse a body that the schema rejects: the body of another tool, or an action that
    ValueStream's receiver ignores. Raises BadBody for all others."""
    try:
        return _of_a_tool(inbound, payload, error)
    except BadBody:
        action = respelt(payload).get("action")
        if error.field != "action" or not isinstance(action, str) or not action.strip():
            raise
        return parsed("event", f"the action {action[:60]!r} is none of start, end and annotate")


def _of_a_tool(inbound: Inbound, payload: dict[str, Any], error: BadBody) -> Parsed:
    """Parse the body of a tool that was sent here instead of to the tool's path. Raises BadBody if
    no tool is recognised."""
    from vs_tui.sources.devlake import SOURCE as devlake
    from vs_tui.sources.dispatch import sources
    from vs_tui.sources.mapped import MappedSource, recognised

    mapped = [source for source in sources().values() if isinstance(source, MappedSource)]
    if devlake.recognises(payload):
        parsed = devlake.parse(inbound._replace(path="/plugins/webhook/customhttp/deployments"))
        title, path = devlake.title, "/api/rest/plugins/webhook/ID/deployments"
    elif (preset := recognised(inbound, payload, mapped)) is not None:
        parsed = preset.parse(inbound)
        title, path = preset.title, preset.paths[0]
    else:
        why = error.why
        if not {"type", "action"} <= payload.keys():
            why += (
                "; if this is the body of another tool, send it to the path of that tool (`vs-tui "
                "source list` prints all), or describe it in ten lines of the configuration: "
                "docs/sources/mapped.md"
            )
        raise BadBody(error.field, why, error.kind)
    reason = parsed.reason or f"read as a body of {title}; send it to {path}"
    return parsed._replace(kind=f"{title}: {parsed.kind}"[:100], reason=reason)


def _events(body: CustomBody, inbound: Inbound, outline: Event) -> tuple[Event, ...]:
    event = _event(body, inbound, outline)
    if body.action == "start":
        return (event,)
    # A default name in case there is no start.
    name = _name(body, event.service, event.environment, event.attributes)
    return defaults(event, name=name, project=body.namespace), event


def _event(body: CustomBody, inbound: Inbound, outline: Event) -> Event:
    tags = _tags(body)
    said = tags.get
    place = str(said("vcs.repository.url.full", said("repository", "")))
    repo = keys.repository(place) if place else ""
    sha = said("vcs.ref.head.revision", said("commit", ""))
    branch = str(said("vcs.ref.head.name", said("branch", "")))
    is_deploy = body.type == "deploy"
    begins = body.action == "start"
    service = str(said("service", said("service.name", "")))
    if is_deploy and not service:
        service = repo.rpartition("/")[2]
    environment = str(said("deployment.environment.name", said("environment", "")))
    version = str(said("version", said("vs.version", "")))
    return outline._replace(
        # A start after an end is the next episode of the same span.
        supersedes=begins and ("if begun" if body.timestamp is None else "if later"),
        # A value that an end does not state must not replace the start's.
        name=body.name
        or str(said("name", ""))
        or (_name(body, service, environment, tags) if begins else ""),
        project=(keys.repository_path(place) if place else "")
        or (body.namespace if begins else ""),
        service=service,
        environment=environment,
        actor=str(said("actor", said("user", ""))),
        url=str(said("url", "")),
        error=_error(body, outline.state),
        attributes={**tags, "vs.version": version} if version else tags,
        offers=_offers(body, tags, sha, repo, service, version),
        seeks=keys.seeks(
            keys.seek_parent(body.parent) if body.parent else None,
            keys.traceparents(body.traceparent or inbound.header("traceparent")),
            keys.mentions(f"{body.name} {branch}", "name"),
            keys.change_refs(branch, repo),
            keys.seek_commit(Rule.COMMIT, sha, repo) if sha else None,
            keys.seek_commit(Rule.BUILT, sha, repo) if sha and is_deploy else None,
            keys.seek_branch(branch, repo) if repo else None,
            seek_version(service, version, body.namespace) if version else None,
        ),
    )


def _offers(
    body: CustomBody, tags: Mapping[str, Scalar], sha: Scalar, repo: str, service: str, version: str
) -> tuple[Key, ...]:
    """Keys by which other spans find it: the W3C span it gave its command, the commit and the
    version it made."""
    found: list[Key | None] = []
    if "vs.traceparent" in tags:
        found += [Key("w3c", value, "", "traceparent") for value in _own_context(tags)]
    if sha and body.type != "deploy":
        found.append(keys.commit(sha, repo, "commit", "built"))
    if version and body.type in _OFFERS_VERSION:
        found += offer_version(service, version, body.namespace)
    return keys.offers(*found)


def _name(body: CustomBody, service: str, environment: str, tags: Mapping[str, Scalar]) -> str:
    """The shown name of an event without a name. It is the same for all runs of one thing, because
    durations are compared by name."""
    if body.type == "deploy" and service and environment:
        return f"{service} to {environment}"
    label = str(tags.get("type", "")) or service
    if not label and not _MADE_UP.fullmatch(body.id):
        label = body.id
    return f"{body.type} {label}".rstrip()


def _state(body: CustomBody) -> State:
    if body.action != "end":
        return _ACTION_STATES[body.action]
    if body.error or body.status in ("error", "timed_out"):
        return State.ERROR
    return State.CANCELLED if body.status == "cancelled" else State.OK


def _error(body: CustomBody, state: State) -> str:
    if state is not State.ERROR:
        return ""
    if isinstance(body.error, str) and body.error:
        return body.error[:200]
    return "timeout" if body.status == "timed_out" else "failure"


def _tags(body: CustomBody) -> dict[str, Scalar]:
    """Tags (a mapping, or vscli's `k|v` list) and unknown fields, as flat attributes."""
    pairs: list[tuple[str, Any]]
    if isinstance(body.tags, Mapping):
        pairs = [*body.tags.items()]
    else:
        parts = [tag.partition("|") for tag in body.tags if tag]
        pairs = [(name, value if bar else True) for name, bar, value in parts]
    pairs += body.more.items()
    return {
        name[:100]: value if isinstance(value, bool | int | float) else str(value)[:2000]
        for name, value in pairs[:100]
        if value is not None and not (isinstance(value, int) and abs(value) >= 2**63)
    }


def _own_context(tags: Mapping[str, Scalar]) -> list[str]:
    """The W3C span that `vs-tui run` gave its command, by which child spans find it."""
    own = str(tags.get("vs.traceparent", "")).split("-")
    return [f"{own[1]}-{own[2]}"] if len(own) == 4 else []


SOURCE = CustomHttp()
