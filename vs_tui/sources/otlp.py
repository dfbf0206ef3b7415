"""OTLP/HTTP traces of CI tools and `otel-cli`, as JSON or protobuf.

Source: the OTLP specification (ids are hex in JSON, times are nanoseconds as digits) and the CI/CD
and VCS semantic conventions.

A span without an end is in flight. Standard exporters send spans only after they have ended.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final
from urllib.parse import unquote

from vs_tui.model import keys
from vs_tui.model.artifacts import offer_version, seek_version
from vs_tui.model.time import Instant, iso, parse_instant
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Scalar, Seek, State
from vs_tui.sources.base import BadBody, Inbound, Parsed, Source, parsed
from vs_tui.sources.fields import every, items, json_object, known, obj, text, web_url

DEFAULT_OPERATION: Final = "span"
EVENTS_KEPT: Final = 10
"""Most events of one span that are kept; if there are more, the attribute `vs.events` has their
number."""
_PROTOBUF: Final = frozenset({"application/x-protobuf", "application/protobuf"})
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}\Z")
_SPAN_ID: Final = re.compile(r"[0-9a-f]{16}\Z")
_ERROR_STATUS: Final = frozenset({"2", "STATUS_CODE_ERROR"})
_TASK_TYPES: Final = {
    "build": Operation.BUILD,
    "test": Operation.TEST,
    "deploy": Operation.DEPLOY,
}
# Attributes that only spans of one operation have; the first one found decides.
_TELLING: Final = (
    ("deployment.id", Operation.DEPLOY),
    ("deployment.name", Operation.DEPLOY),
    ("deployment.status", Operation.DEPLOY),
    ("test.suite.name", Operation.TEST),
    ("test.case.name", Operation.TEST),
    ("pytest.span_type", Operation.TEST),
    ("cicd.pipeline.task.name", Operation.BUILD),
    ("cicd.pipeline.task.run.id", Operation.BUILD),
    ("jenkins.pipeline.step.name", Operation.BUILD),
    ("cicd.pipeline.run.id", Operation.PIPELINE),
    ("cicd.pipeline.name", Operation.PIPELINE),
    ("ci.pipeline.id", Operation.PIPELINE),
    ("github.job.id", Operation.BUILD),
    ("github.run_id", Operation.PIPELINE),
)
_RESULTS: Final = {
    **dict.fromkeys(("failure", "error", "timeout", "failed"), State.ERROR),
    **dict.fromkeys(("timed_out", "startup_failure", "unstable"), State.ERROR),
    **dict.fromkeys(("cancellation", "cancelled", "canceled", "aborted"), State.CANCELLED),
    **dict.fromkeys(("skip", "skipped", "not_built"), State.CANCELLED),
}
"""Results of the conventions, GitLab, GitHub and Jenkins (`ABORTED`), in lower case."""
_RESULT_NAMES: Final = (
    "cicd.pipeline.task.run.result",
    "cicd.pipeline.result",
    "cicd.pipeline.run.result",
    # The Collector's githubreceiver.
    "cicd.pipeline.run.task.status",
    "cicd.pipeline.task.run.status",
    "cicd.pipeline.run.status",
    # Jenkins' plugin.
    "jenkins.pipeline.step.result",
    "ci.pipeline.run.result",
    # otel-export-trace-action.
    "github.job.step.conclusion",
    "github.job.conclusion",
    "github.conclusion",
    "deployment.status",
)


class Otlp(Source):
    """The OTLP/HTTP traces endpoint."""

    name = "otlp"
    title = "OpenTelemetry"
    paths = ("/v1/traces",)
    stored_headers = ("content-type",)

    def parse(self, inbound: Inbound) -> Parsed:
        request = _request(inbound)
        events: list[Event] = []
        rejected = 0
        told = list(_spans(request))
        # Only the root names Jenkins' job.
        found = ((_id(span, "traceId", _TRACE_ID), _job(_attributes(span))) for _, span, _ in told)
        jobs = {trace: job for trace, job in found if job}
        for resource, span, is_top in told:
            job = jobs.get(_id(span, "traceId", _TRACE_ID), {})
            event = _event(resource, span, job, inbound.received_at, is_top=is_top)
            if event is None:
                rejected += 1
            else:
                events.append(event)
        if not events and rejected:
            raise BadBody("traceId", "and spanId must be 32 and 16 hex digits, not all zero")
        partial: dict[str, Any] = {}
        if rejected:
            message = "their traceId or spanId is not valid"
            partial = {"rejectedSpans": str(rejected), "errorMessage": message}
        answer = {"partialSuccess": partial}
        return parsed("traces", events or "no spans in it", answer)


def _request(inbound: Inbound) -> dict[str, Any]:
    content_type = inbound.header("content-type").partition(";")[0].strip().lower()
    if content_type not in _PROTOBUF:
        return json_object(inbound)
    # Importing protobuf takes tens of milliseconds, so it is imported on first use.
    messages = import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    json_format = import_module("google.protobuf.json_format")
    message = messages.ExportTraceServiceRequest()
    try:
        message.ParseFromString(inbound.body)
        decoded = json_format.MessageToDict(message, use_integers_for_enums=True)
    except Exception:  # protobuf's DecodeError has no common base that is public
        raise BadBody("body", "is not an ExportTraceServiceRequest in protobuf") from None
    return dict(decoded)


def _spans(request: dict[str, Any]) -> Iterator[tuple[dict[str, Scalar], dict[str, Any], bool]]:
    """Each span with its resource's attributes, and whether its parent belongs to another resource:
    some receivers put attributes of the run or job on the resource."""
    for group in every(request, "resourceSpans"):
        resource = _attributes(obj(group, "resource"))
        found = [
            span
            for scope in every(group, "scopeSpans")
            for span in every(scope, "spans")
            if isinstance(span, dict)
        ]
        inside = {text(span, "spanId", limit=64) for span in found}
        for span in found:
            yield resource, span, text(span, "parentSpanId", limit=64) not in inside


def _attributes(container: Mapping[str, Any]) -> dict[str, Scalar]:
    """OTLP's list of keys and typed values as attributes. Arrays are joined, nested values are left
    out."""
    found: dict[str, Scalar] = {}
    for pair in items(container, "attributes")[:128]:
        name, value = text(pair, "key", limit=100), _value(obj(pair, "value"))
        if name and value is not None:
            found[name] = value
    return found


def _value(value: Mapping[str, Any]) -> Scalar | None:
    if isinstance(value.get("boolValue"), bool):
        return bool(value["boolValue"])
    if "stringValue" in value:
        return text(value, "stringValue", limit=2000)
    if "intValue" in value:
        digits = text(value, "intValue", limit=20)
        return int(digits) if re.fullmatch(r"-?[0-9]{1,18}", digits) else None
    double = value.get("doubleValue")
    if isinstance(double, int | float) and not isinstance(double, bool):
        return float(double)
    if "arrayValue" in value:
        entries = items(value, "arrayValue", "values")[:20]
        # A list within a list has no place in a flat attribute.
        plain = [e for e in entries if isinstance(e, dict) and "arrayValue" not in e]
        parts = [_value(entry) for entry in plain]
        return ", ".join(str(part) for part in parts if part is not None)[:2000]
    return None


def _event(
    resource: Mapping[str, Scalar],
    span: Mapping[str, Any],
    job: Mapping[str, Scalar],
    received_at: Instant,
    *,
    is_top: bool,
) -> Event | None:
    trace_id, span_id = _id(span, "traceId", _TRACE_ID), _id(span, "spanId", _SPAN_ID)
    if not trace_id or not span_id:
        return None
    own = _attributes(span)
    said = {**resource, **own} if is_top else own
    is_jenkins = any(name.startswith(_JENKINS) for name in (*own, *resource))
    if is_jenkins:  # its resource is the server, not what it builds
        resource = {n: value for n, value in resource.items() if not n.startswith("service.")}
    merged = {**resource, **own, **({**job, **_checkout(own)} if is_jenkins else {})}
    started = _time(span, "startTimeUnixNano")
    ended = _time(span, "endTimeUnixNano")
    state, error = _state(span, said, ended)
    operation = _operation(said)
    path = _repository(merged)
    repo = keys.repository(path)
    service, version = _word(merged, "service.name"), _word(merged, "service.version")
    environment = _word(merged, "deployment.environment.name") or _word(
        merged, "deployment.environment"
    )
    parent = _id(span, "parentSpanId", _SPAN_ID)
    return Event(
        key=keys.reference("otlp", "span", "", f"{trace_id}-{span_id}"),
        source="otlp",
        operation=operation,
        state=state,
        occurred_at=(started if ended is None else ended) or received_at,
        started_at=started,
        name=text(span, "name") or operation,
        # A step of Jenkins has the project of its run, which may be known later.
        project=path or _word(job, "cicd.pipeline.name") or ("" if is_jenkins else service),
        service=service,
        environment=environment,
        actor=_word(merged, "cicd.pipeline.run.actor.name"),
        url=_url(said),
        error=error,
        trace_id=trace_id,
        attributes={**merged, **({"vs.version": version} if version else {}), **_said(span)},
        offers=keys.offers(
            Key("w3c", f"{trace_id}-{span_id}", "", "trace context"),
            Key("w3c", trace_id, "", "trace context") if not parent else None,
            keys.commit(merged.get("vcs.ref.head.revision"), repo, "commit", "built")
            if operation in (Operation.BUILD, Operation.PIPELINE)
            else None,
            *(offer_version(service, version, repo) if operation == Operation.DEPLOY else ()),
        ),
        seeks=keys.seeks(
            _parents(trace_id, parent, span),
            _delivery(merged, repo, is_deploy=operation == Operation.DEPLOY)
            if not parent or operation == Operation.DEPLOY
            else None,
            seek_version(service, version, repo)
            if operation in (Operation.DEPLOY, Operation.TEST)
            else None,
        ),
    )


_JENKINS: Final = ("ci.pipeline.", "jenkins.")
_CHANGE: Final = re.compile(r"(?:PR|MR)-(\d{1,9})\b")


def _job(own: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The job of the root of Jenkins' plugin, in the names of the conventions; empty for others.
    A multibranch job is named by its folder (`owner/name`, if its organization was scanned)."""
    job = _word(own, "ci.pipeline.id")
    kind = _word(own, "ci.pipeline.multibranch.type")
    if not job:
        return {}
    folder, _, leaf = job.rpartition("/")
    change = _CHANGE.match(leaf) if kind == "change_request" else None
    return known(
        cicd__pipeline__name=folder if kind and folder else job,
        cicd__pipeline__run__id=_word(own, "ci.pipeline.run.number"),
        cicd__pipeline__run__actor__name=_word(own, "ci.pipeline.run.user"),
        vcs__repository__name=folder if kind and "/" in folder else None,
        vcs__change__id=change[1] if change else None,
        vcs__ref__head__name=unquote(leaf) if kind in ("branch", "tag") else None,
        vcs__ref__head__type="tag" if kind == "tag" else None,
    )


def _checkout(own: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """What a step of Jenkins' plugin checked out, in the names of the conventions."""
    place = _word(own, "git.repository")
    return known(
        vcs__repository__url__full=place if "://" in place or "@" in place else None,
        vcs__repository__name=place if "://" not in place and "@" not in place else None,
        vcs__ref__head__name=keys.branch_name(_word(own, "git.branch")),
    )


def _repository(merged: Mapping[str, Scalar]) -> str:
    """`owner/name`, from the URL, or else from the separate attributes for owner and name."""
    name = _word(merged, "vcs.repository.name")
    if name and "/" not in name and (owner := _word(merged, "vcs.owner.name")):
        name = f"{owner}/{name}"
    return keys.repository_path(_word(merged, "vcs.repository.url.full") or name)


def _id(span: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    """An id as hex digits; protobuf's bytes come as base64. Empty if it is invalid or all zero."""
    value = text(span, name, limit=64)
    if not pattern.match(value.lower()):
        try:
            value = base64.b64decode(value, validate=True).hex()
        except (binascii.Error, ValueError):
            return ""
    value = value.lower()
    return value if pattern.match(value) and value.strip("0") else ""


def _time(span: Mapping[str, Any], name: str) -> Instant | None:
    value = span.get(name)
    if isinstance(value, str):
        value = keys.whole_number(value)
    return parse_instant(value) if isinstance(value, int) else None


def _state(
    span: Mapping[str, Any], own: Mapping[str, Scalar], ended: Instant | None
) -> tuple[State, str]:
    if ended is None:
        return State.RUNNING, ""
    result = next((word for name in _RESULT_NAMES if (word := _word(own, name))), "").lower()
    state = _RESULTS.get(result, State.OK)
    if state is State.OK and text(span, "status", "code") in _ERROR_STATUS:
        state = State.ERROR
    if state is not State.ERROR:
        return state, ""
    reason = _word(own, "error.type") or (result if result in _RESULTS else "")
    return state, (reason or text(span, "status", "message") or "failure")[:200]


def _said(span: Mapping[str, Any]) -> dict[str, Scalar]:
    """The status message, under its conventional name outside of OTLP, and the span's events in
    time order as `vs.event.1` and so on."""
    message = text(span, "status", "message", limit=2000)
    said: dict[str, Scalar] = {"otel.status_description": message} if message else {}
    events = [event for event in items(span, "events") if isinstance(event, dict)]
    timed = sorted(events, key=lambda event: _time(event, "timeUnixNano") or 0)
    for number, event in enumerate(timed[:EVENTS_KEPT], 1):
        said[f"vs.event.{number}"] = _event_line(event)
    if len(timed) > EVENTS_KEPT:
        said["vs.events"] = len(timed)
    return said


def _event_line(event: Mapping[str, Any]) -> str:
    """Time and name of an event, and for an exception its type and message (semantic conventions of
    exceptions)."""
    details = _attributes(event)
    words = [
        iso(_time(event, "timeUnixNano")) or "",
        text(event, "name", limit=100),
        _word(details, "exception.type"),
        _word(details, "exception.message")[:500],
    ]
    return " ".join(word for word in words if word)


def _operation(own: Mapping[str, Scalar]) -> str:
    stated = _word(own, "vs.operation")[:100]
    if stated:
        return stated
    by_type = _TASK_TYPES.get(_word(own, "cicd.pipeline.task.type").lower())
    if by_type:
        return by_type
    return next((operation for name, operation in _TELLING if name in own), DEFAULT_OPERATION)


def _url(own: Mapping[str, Scalar]) -> str:
    names = (
        "cicd.pipeline.task.run.url.full",
        "cicd.pipeline.run.url.full",
        "ci.pipeline.run.url",
    )
    found = next((url for name in names if (url := _word(own, name))), "")
    return web_url(found)


def _parents(trace_id: str, parent: str, span: Mapping[str, Any]) -> Iterator[Seek]:
    """Keys of the parent that the span names, or else of its trace's root, and of the spans it
    links to."""
    if parent:
        yield Seek(Rule.EXPLICIT, Key("w3c", f"{trace_id}-{parent}", "", "parentSpanId"))
        yield Seek(Rule.TRACEPARENT, Key("w3c", trace_id, "", "traceId"))
    for link in items(span, "links")[:20]:
        other, other_span = _id(link, "traceId", _TRACE_ID), _id(link, "spanId", _SPAN_ID)
        if other and other_span:
            context = Key("w3c", f"{other}-{other_span}", "", "span link")
            yield Seek(Rule.EXPLICIT, context, link_only=True)


def _delivery(merged: Mapping[str, Scalar], repo: str, *, is_deploy: bool) -> tuple[Seek, ...]:
    """Keys of the change that a trace's root or a deploy names."""
    sha, branch = _word(merged, "vcs.ref.head.revision"), _word(merged, "vcs.ref.head.name")
    is_branch = repo and _word(merged, "vcs.ref.head.type") != "tag"
    return keys.seeks(
        keys.seek_change(_word(merged, "vcs.change.id"), repo, "vcs.change.id"),
        keys.change_refs(branch, repo),
        keys.seek_commit(Rule.COMMIT, sha, repo),
        keys.seek_commit(Rule.BUILT, sha, repo) if is_deploy else None,
        keys.seek_branch(branch, repo) if is_branch else None,
        keys.mentions(branch, "branch"),
    )


def _word(attributes: Mapping[str, Scalar], name: str) -> str:
    value = attributes.get(name, "")
    return str(value) if not isinstance(value, bool) else ""


SOURCE: Final = Otlp()
