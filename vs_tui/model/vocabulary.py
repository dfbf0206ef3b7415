"""The vocabulary: events are what adapters read, spans and links are what we make of them.

Everything here is immutable and knows nothing of HTTP, SQL, clocks or screens. Values are tuples
with names: a thousand are made, hashed and compared for every one that a person looks at.
Span and attribute names follow OpenTelemetry's semantic conventions for CI/CD and VCS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import IntEnum, StrEnum
from hashlib import sha256
from typing import Any, Final, Literal, NamedTuple

from vs_tui.model.time import MINUTE, Duration, Instant

Scalar = str | int | float | bool
Attributes = Mapping[str, Scalar]
_NONE: Final[Attributes] = {}


class State(IntEnum):
    """What an event says its span was doing; the number ranks states at the same instant.

    A terminal state wins a tie: tools deliver `completed` and `in_progress` with equal times
    and in any order (go-github#2706, github_exporter#296).
    """

    NOTE = 0
    """Does not change the state; adds attributes or keys only."""
    QUEUED = 1
    WAITING = 2
    """Blocked by a person or a gate (manual job, approval)."""
    RUNNING = 3
    OK = 4
    CANCELLED = 5
    ERROR = 6

    @property
    def terminal(self) -> bool:
        return self >= 4  # OK; looking up a member by name takes seven times as long


class Status(StrEnum):
    """The status of a span, as shown and as in the JSON API."""

    IN_FLIGHT = "in_flight"
    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"

    @property
    def failed(self) -> bool:
        return self in (Status.ERROR, Status.TIMED_OUT)


STATUS_OF: Final = {
    State.OK: Status.OK,
    State.CANCELLED: Status.CANCELLED,
    State.ERROR: Status.ERROR,
}
"""State that ends a span -> its status."""


class Verdict(StrEnum):
    """The outcome of a delivery. Received is always the sum of the five."""

    ACCEPTED = "accepted"
    IGNORED = "ignored"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"


class Operation(StrEnum):
    """The operations we know; any other text is a custom operation."""

    SPRINT = "sprint"
    ISSUE = "issue"
    PULL_REQUEST = "pull_request"
    REVIEW = "review"
    PUSH = "push"
    PIPELINE = "pipeline"
    BUILD = "build"
    STAGE = "stage"
    TEST = "test"
    RELEASE = "release"
    DEPLOY = "deploy"
    INCIDENT = "incident"


class Key(NamedTuple):
    """A name that spans of different tools share, such as a commit or a branch. `scope` narrows it
    (a repository, normalised by `keys.repository`); an empty scope matches any. `via` tells people
    which field it came from ("merge commit")."""

    kind: str
    value: str
    scope: str = ""
    via: str = ""


PREFIX_KINDS: Final = frozenset({"commit", "built"})
"""Kinds of keys whose values match by prefix, because people shorten commits."""
SCOPED_KINDS: Final = frozenset({"artifact", "deployment"})
"""Kinds of keys of which those in the same scope are meant, or else those of the only other scope:
versions, and ids of deployments that their sender gives without a project."""
ANY_SCOPE: Final = PREFIX_KINDS | SCOPED_KINDS
"""Kinds of keys that may match across scopes."""


class Rule(StrEnum):
    """Why one span is below another; the strongest rule comes first (see `correlation`)."""

    PINNED = "pinned"
    EXPLICIT = "explicit"
    TRACEPARENT = "traceparent"
    REFERENCE = "reference"
    STRUCTURE = "structure"
    CHANGE_NUMBER = "change_number"
    COMMIT = "commit"
    BRANCH = "branch"
    CLOSES = "closes"
    ISSUE_KEY = "issue_key"
    BRANCH_NUMBER = "branch_number"
    VERSION = "version"
    BUILT = "built"
    HIERARCHY = "hierarchy"
    SHIPS = "ships"
    PROXIMITY = "proximity"
    ATTEMPT = "attempt"


class Seek(NamedTuple):
    """A span seeks a parent: the span that offers `key`, by `rule`. With `link_only` the link is
    shown, but never makes the parent (a sprint, an earlier attempt)."""

    rule: Rule
    key: Key
    link_only: bool = False


CLOCK_SKEW: Final[Duration] = 5 * MINUTE
"""How far the clocks of two machines may be apart that tell the start and the end of one span."""
RELATIONS: Final = "relations"
"""Relations that a complete snapshot restates: title, description, branch, parent."""


class Event(NamedTuple):
    """One fact about one span, read from a delivery. One delivery may give several events, and
    several deliveries may state the same fact: a span is folded from the *set* of its events."""

    key: str
    """The span's unambiguous key, `vstrace-{source}-{type}-{full namespace}-{id}`."""
    source: str
    operation: str
    state: State
    occurred_at: Instant
    """When `state` began, by the payload's clock."""
    as_of: Instant = 0
    """When the payload's snapshot was taken; names and attributes of the latest snapshot win.
    Defaults to `occurred_at`."""
    started_at: Instant | None = None
    """The span's start, where the payload states it."""
    supersedes: bool | Literal["if begun", "if later", "if other"] = False
    """The state holds even if the span had ended before: a reopen, a retried pipeline, a snapshot
    that knows its own end. `if begun`: only if the ended episode has a start event; otherwise this
    late start may belong to that end. `if later`: also if it is later than clocks differ
    (CLOCK_SKEW). `if other`: only if it is another verdict; the same one again
    does not move the end."""
    stage: str = ""
    """The phase the span entered at `occurred_at` (a Jira column, `queued`); phases become
    child spans."""
    ref: str = ""
    """ValueStream's short ref, where it differs from `key`."""
    full_ref: str = ""
    """The ref with the whole name of its namespace, where `key` has an id in its place: it is
    shown where two spans have the same short ref."""
    name: str = ""
    project: str = ""
    service: str = ""
    environment: str = ""
    actor: str = ""
    url: str = ""
    attempt: int = 1
    error: str = ""
    """Short reason of an ERROR, as `error.type` (`failure`, `timeout`, `startup_failure`)."""
    trace_id: str = ""
    """A W3C trace id that the payload carries for this span, 32 hex digits."""
    slot: str = ""
    """Name of the fact (`start`, `finish`) that a sender may correct later: of a span's events with
    the same slot only the latest snapshot counts, and the others keep their attributes only."""
    restates: str = ""
    """Names the relations that `seeks` states in full (RELATIONS, or a part such as `description`);
    they replace those of older snapshots. Seeks of other events are added."""
    provisional: bool = False
    """An end that is not the tool's verdict: any other end of the span, and anything that happens
    after it, replaces it."""
    attributes: Attributes = _NONE
    offers: tuple[Key, ...] = ()
    seeks: tuple[Seek, ...] = ()

    @property
    def snapshot_at(self) -> Instant:
        return self.as_of or self.occurred_at

    def holds_after_end(self, *, begun: bool, ended_at: Instant) -> bool:
        """What `supersedes` comes to; `begun`: the span was seen to begin before."""
        if self.supersedes == "if later":
            return begun or self.occurred_at - ended_at > CLOCK_SKEW
        return begun if self.supersedes == "if begun" else bool(self.supersedes)

    def replaces_end(self, state: State) -> bool:
        """Whether this end replaces an earlier one with this state."""
        return self.state is not state if self.supersedes == "if other" else bool(self.supersedes)


class Link(NamedTuple):
    """An edge from a span to another one, and why it exists."""

    child: str
    parent: str
    rule: Rule
    why: str
    """One sentence for people, such as `merge commit 78a76ee`."""
    primary: bool = False
    """Whether this link makes `parent` the parent in the trace's tree; at most one link of a span
    does."""

    @property
    def confidence(self) -> str:
        return CONFIDENCE[self.rule]


CONFIDENCE: Final[Mapping[Rule, str]] = {
    Rule.PINNED: "explicit",
    Rule.EXPLICIT: "explicit",
    Rule.TRACEPARENT: "explicit",
    Rule.REFERENCE: "explicit",
    Rule.STRUCTURE: "structural",
    Rule.CHANGE_NUMBER: "strong",
    Rule.COMMIT: "strong",
    Rule.BRANCH: "medium",
    Rule.CLOSES: "strong",
    Rule.ISSUE_KEY: "medium",
    Rule.BRANCH_NUMBER: "low",
    Rule.VERSION: "medium",
    Rule.BUILT: "medium",
    Rule.HIERARCHY: "structural",
    Rule.SHIPS: "medium",
    Rule.PROXIMITY: "hint",
    Rule.ATTEMPT: "structural",
}


SERVICES_ATTRIBUTE: Final = "vs.incident.services"
"""Attribute of an incident of several services: all of them, one a line."""
ROLLOUT_AT: Final = "vs.deploy.begun_at"
"""Attribute: when a deploy began that had waited for a runner or an approval."""
PIN_ATTRIBUTE: Final = "vs.pin"
"""Attribute with the key of the parent that a person chose."""
CUT_PREFIX: Final = "vs.cut:"
"""Prefix of attributes that cut a link: the rest is the key of the other span, the value the
instant of the decision, or 0 once it was undone."""
CLEARED_ATTRIBUTE: Final = "vs.cleared"
"""Attribute with an instant; cuts made before it no longer count."""


def cuts(attributes: Attributes) -> list[str]:
    """Keys of the spans that a person separated from the span with these attributes: people's
    decisions about a span's links are kept as its attributes."""
    if CUT_PREFIX not in "\n".join(attributes):  # nearly always, and asked of every span
        return []
    cleared = attributes.get(CLEARED_ATTRIBUTE)
    since = cleared if isinstance(cleared, int) else 0
    return [
        name.removeprefix(CUT_PREFIX)
        for name, at in attributes.items()
        # A sender's tag may have the name, but not an instant.
        if name.startswith(CUT_PREFIX) and isinstance(at, int) and at > since
    ]


class Span(NamedTuple):
    """One operation with a start and an end, folded from its events and placed in a trace."""

    key: str
    ref: str
    """The ref that people see and type; the short form unless another span has the same."""
    source: str
    operation: str
    name: str
    status: Status
    state: State
    started_at: Instant | None
    ended_at: Instant | None
    project: str = ""
    team: str = ""
    service: str = ""
    environment: str = ""
    actor: str = ""
    url: str = ""
    attempt: int = 1
    stage: str = ""
    """The phase it is in now (or was in when it ended)."""
    stage_at: Instant | None = None
    last_event_at: Instant = 0
    reopens: int = 0
    active: Duration | None = None
    """Time in its episodes, without the gaps between an end and a reopen."""
    error: str = ""
    attributes: Attributes = _NONE
    trace_id: str = ""
    parent_key: str = ""

    def placed(self, *, ref: str, team: str, trace_id: str, parent_key: str) -> Span:
        """The span with its place in the store: ref, team, trace and parent. Every fold ends here;
        this is quicker than _replace."""
        key, _, *words = self[:_TEAM]
        rest = self[_TEAM + 1 : _TRACE_ID]
        return Span._make((key, ref, *words, team, *rest, trace_id, parent_key))

    def as_of(self, at: Instant) -> Span:
        """The span as it stood at a past moment: if it ended later, it is still in flight."""
        if self.ended_at is None or self.ended_at <= at:
            return self
        return self._replace(
            status=Status.IN_FLIGHT, state=State.RUNNING, ended_at=None, error="", active=None
        )

    @property
    def in_flight(self) -> bool:
        return self.status is Status.IN_FLIGHT

    @property
    def duration(self) -> Duration | None:
        """End minus start, never negative (clock skew gives 0); None while unknown."""
        if self.started_at is None or self.ended_at is None:
            return None
        return max(self.ended_at - self.started_at, 0)

    @property
    def at(self) -> Instant:
        """Where the span stands in time: its start, or its end where only that is known."""
        if self.started_at is not None:
            return self.started_at
        return self.ended_at if self.ended_at is not None else self.last_event_at

    def elapsed(self, now: Instant) -> Duration | None:
        """Duration so far."""
        if self.started_at is None:
            return None
        return max((now if self.ended_at is None else self.ended_at) - self.started_at, 0)


_TEAM: Final = Span._fields.index("team")
_TRACE_ID: Final = Span._fields.index("trace_id")


def all_as_of(spans: Iterable[Span], at: Instant) -> list[Span]:
    """The spans that had begun at a past moment, as they stood then."""
    return [span.as_of(at) for span in spans if span.at <= at]


def trace_id_of(root_key: str) -> str:
    """The trace id for this root key: 32 hex digits, as in W3C Trace Context. It is derived, not
    random, so a rebuild and any order of arrival give the same id."""
    return sha256(root_key.encode()).hexdigest()[:32]


_HEX_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}\Z")


def otel_trace_id(trace_id: str) -> bytes:
    """The 16 bytes of a trace in an OTLP backend: the id itself if it is 32 hex digits, else the
    start of its SHA-256. Derived, so the API and an export agree without a table."""
    if _HEX_TRACE_ID.match(trace_id) and trace_id.strip("0"):
        return bytes.fromhex(trace_id)
    return sha256(trace_id.encode()).digest()[:16]


def otel_span_id(key: str) -> bytes:
    """The 8 bytes of a span in an OTLP backend: the start of the SHA-256 of its key."""
    return sha256(key.encode()).digest()[:8]


_STATE: Final = Event._fields.index("state")
_FULL_REF: Final = Event._fields.index("full_ref")
_PROVISIONAL: Final = Event._fields.index("provisional")
_RESTATES: Final = Event._fields.index("restates")
_STATES: Final = {int(state): state for state in State}
_RULES: Final = {rule.value: rule for rule in Rule}


def event_to_row(event: Event) -> list[Any]:
    """A JSON-able row; equal events give equal rows."""
    row: list[Any] = [*event]
    row[_STATE] = int(event.state)
    row[-2] = [[*offer] for offer in event.offers]
    row[-1] = [[rule, *key, link_only] for rule, key, link_only in event.seeks]
    return row


def event_from_row(row: list[Any]) -> Event:
    """The inverse of `event_to_row`."""
    *plain, offers, seeks = row
    if len(row) < len(Event._fields):  # stored before these fields existed
        plain.insert(_FULL_REF, "")
        plain.insert(_RESTATES, "")
        plain.insert(_PROVISIONAL, False)
    plain[_STATE] = _STATES[plain[_STATE]]
    plain.append(tuple([Key(*offer) for offer in offers]))
    plain.append(tuple([Seek(_RULES[rule], Key(*key), only) for rule, *key, only in seeks]))
    return Event._make(plain)
