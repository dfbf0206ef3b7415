"""Bodies of custom HTTP events, the refs that name their spans, and the options that describe them.

The format is ValueStream's (see `sources.customhttp`); times come from this machine's clock, in
UTC.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

SOURCE: Final = "customhttp"
DEFAULT_NAMESPACE: Final = "default"
MAX_TAGS: Final = 100
MAX_VALUE: Final = 500
"""Most characters of a tag's value."""

_PREFIX: Final = f"vstrace-{SOURCE}-"
_WORD: Final = 200


class SpanId(NamedTuple):
    """The parts of a span's ref: type, namespace and id."""

    type: str
    namespace: str
    id: str

    @property
    def ref(self) -> str:
        """`vstrace-customhttp-TYPE-NAMESPACE-ID`, as the receiver writes it."""
        return f"{_PREFIX}{self.type}-{quote(f'{self.namespace}-{self.id}', safe='/._:@+~-')}"


def new_span(kind: str, namespace: str, event_id: str = "") -> SpanId:
    """A span with the given id, else with a new one that has no dashes and sorts by time."""
    return SpanId(kind, namespace, event_id or f"{time.time_ns() // 1_000_000:011x}{_random(5)}")


def named_span(text: str, kind: str, namespace: str) -> SpanId:
    """The span of an id or a ref; the parts of a ref override `kind` and `namespace`. ValueError if
    there is neither."""
    if not text.strip():
        raise ValueError("the event's id is missing; give what `start` printed")
    reference = last_reference(text)
    if not reference.startswith(_PREFIX):
        return SpanId(kind, namespace, text)
    head, _, event_id = unquote(reference.removeprefix(_PREFIX)).rpartition("-")
    # Types and namespaces may hold dashes, too: what is known of them decides where to cut.
    if head.endswith(f"-{namespace}"):
        return SpanId(head.removesuffix(f"-{namespace}"), namespace, event_id)
    if head.startswith(f"{kind}-"):
        return SpanId(kind, head.removeprefix(f"{kind}-"), event_id)
    found, _, rest = head.partition("-")
    return SpanId(found, rest, event_id)


def last_reference(text: str) -> str:
    """The ref that was meant: scripts written for ValueStream put
    `vstrace-customhttp-TYPE-default-` in front of the output of `start`, even if that is a whole
    ref."""
    at = text.rfind("vstrace-")
    return text[at:] if at >= 0 else text


def start_body(
    span: SpanId,
    *,
    name: str = "",
    parent: str = "",
    traceparent: str = "",
    tags: Mapping[str, Any] | None = None,
    at: str = "",
) -> dict[str, Any]:
    """The body of a start, now or `at` a time of now()."""
    body = _body(span, "start", name, tags, at)
    if parent:
        body["parentid"] = last_reference(parent)
    if traceparent:
        body["traceparent"] = traceparent
    return body


def end_body(
    span: SpanId,
    *,
    name: str = "",
    status: str = "ok",
    reason: str = "",
    tags: Mapping[str, Any] | None = None,
    at: str = "",
) -> dict[str, Any]:
    """The body of an end, now or `at` a time of now(). `status`: ok, error or cancelled; `reason`
    says why it is an error."""
    body = _body(span, "end", name, tags, at)
    body["status"] = status
    body["error"] = (reason[:_WORD] or True) if status == "error" else False
    return body


def _body(
    span: SpanId, action: str, name: str, tags: Mapping[str, Any] | None, at: str
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": span.type,
        "id": span.id,
        "action": action,
        "namespace": span.namespace,
        "timestamp": at or now(),
    }
    if name:
        body["name"] = name[:_WORD]
    if tags:
        body["tags"] = {
            key: value[:MAX_VALUE] if isinstance(value, str) else value
            for key, value in list(tags.items())[:MAX_TAGS]
        }
    return body


def now() -> str:
    """The current time in RFC 3339, UTC, with microseconds."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{stamp}.{nanoseconds // 1_000:06d}Z"


def parse_tags(texts: Iterable[str]) -> dict[str, str]:
    """The tags in `KEY|VALUE` words; ValueError quotes a wrong word."""
    tags = {}
    for text in texts:
        key, bar, value = text.partition("|")
        if not bar or not key.strip():
            raise ValueError(f"'{text}' is not a tag; write it like 'service|api'")
        tags[key.strip()] = value
    return tags


class TraceContext(NamedTuple):
    """A W3C trace context: our own span within a trace."""

    trace: str
    span: str

    @property
    def header(self) -> str:
        return f"00-{self.trace}-{self.span}-01"

    def child(self) -> TraceContext:
        return TraceContext(self.trace, _random(8))


def read_context(traceparent: str) -> TraceContext | None:
    """The context in a `traceparent`; None if it is not valid."""
    parts = traceparent.strip().lower().split("-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2]:
        return None
    if any(set(part) - set("0123456789abcdef") for part in parts[:4]) or not parts[1].strip("0"):
        return None
    return TraceContext(parts[1], parts[2])


def new_context() -> TraceContext:
    return TraceContext(_random(16), _random(8))


def _random(size: int) -> str:
    return os.urandom(size).hex()


def add_span_options(
    parser: argparse.ArgumentParser,
    *,
    kind: str,
    again: bool = False,
    name: str = "what people see",
    namespace: tuple[str, ...] = ("--namespace",),
) -> None:
    """Add --type (default `kind`), --name, --namespace and --tag. `again`: after another word of
    the command line, where only given options count."""

    def default(value: Any) -> Any:
        return argparse.SUPPRESS if again else value

    parser.add_argument(
        "--type",
        metavar="T",
        default=default(kind),
        help=f"build, test, deploy, pipeline, release or any other word (default {kind})",
    )
    parser.add_argument("--name", metavar="N", default=default(""), help=name)
    parser.add_argument(
        *namespace,
        metavar="NS",
        default=default(DEFAULT_NAMESPACE),
        help="keeps ids of several projects apart (default: default)",
    )
    parser.add_argument(
        "--tag",
        metavar="'K|V'",
        action="append",
        default=[],
        dest="late_tag" if again else "tag",
        help="an attribute, such as 'service|api'; may be repeated",
    )


def tags_of(args: argparse.Namespace) -> dict[str, str]:
    """The tags from the whole command line; ValueError quotes a wrong one."""
    return parse_tags([*args.tag, *getattr(args, "late_tag", ())])
