"""The interface of a source: two pure functions, `verify` and `parse`, and the paths of its
deliveries.

A source knows its tool's headers and bodies, but no HTTP server and no database. Third parties
register a source in the entry-point group `vs_tui.sources`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeGuard, TypeVar

import orjson

from vs_tui.model.limits import MIB, READ_AT_ONCE, values_in
from vs_tui.model.time import Instant, parse_instant
from vs_tui.model.vocabulary import Event, State, Verdict

T = TypeVar("T")
_NONE: Final[Mapping[str, Any]] = {}
BEFORE_ALL: Final[Instant] = 1
"""`as_of` of an event that gives way to all other events of its span."""


class Inbound(NamedTuple):
    """A received request, before its origin is verified."""

    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    received_at: Instant
    query: Mapping[str, str] = _NONE
    url: str = ""
    """The public URL it was sent to, because Trello signs it."""

    def header(self, name: str) -> str:
        return self.headers.get(name, "")


class Parsed(NamedTuple):
    """The result of parsing a delivery."""

    kind: str
    """The tool's name for the event, such as `pull_request.closed`."""
    events: Sequence[Event] = ()
    verdict: Verdict = Verdict.ACCEPTED
    reason: str = ""
    """Why it was ignored."""
    answer: Mapping[str, Any] = _NONE
    """Fields that the tool expects in the 2xx answer, in addition to vs-tui's own."""
    status: int = 200
    requires: str = ""
    """Key or ref of a span that must already exist; without it the delivery is refused (404)."""


Reading = tuple[Event, ...] | str
"""The result of reading an event: its span events, or the reason why it is ignored."""


def parsed(kind: str, reading: Reading) -> Parsed:
    if isinstance(reading, str):
        return Parsed(kind, verdict=Verdict.IGNORED, reason=reading)
    return Parsed(kind, reading)


class Unauthorized(Exception):
    """The request does not prove its origin; the message names the missing proof."""


class BadBody(Exception):
    """The body violates the endpoint's own schema (400); has the `field` and the reason."""

    def __init__(self, field: str, why: str, kind: str = "") -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why
        self.kind = kind


class Unreadable(Exception):
    """Authenticated and valid JSON, but not as the tool documents it. The delivery is kept in
    quarantine."""


class Source(Protocol):
    """One tool. Each module of this package has an instance named `SOURCE`."""

    name: str
    title: str
    """The tool's name for people."""
    paths: tuple[str, ...]
    """URL paths; a path that ends in `/*` includes all paths below it."""
    version: int
    """Increased when parse() changes, so that quarantined deliveries are read again."""
    signature_headers: tuple[str, ...]
    """Headers with the tool's proof, in lower case. A request with one of them is checked by
    verify() alone; a request without them needs vs-tui's token in its Authorization header."""
    token_in_url: bool
    """Whether `?token=` is accepted, for tools that cannot send headers."""
    stored_headers: tuple[str, ...]
    """Headers to store; never one that contains a secret."""

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        """Raise Unauthorized unless the raw bytes have a valid proof made with one of `secrets`."""

    def dedupe_key(self, inbound: Inbound) -> str:
        """The sender's delivery id, the same on a retry; empty to use the body's hash."""

    def parse(self, inbound: Inbound) -> Parsed:
        """Parse the body. Raises BadBody (400) or Unreadable (quarantine). Any other exception is a
        bug in the source; the delivery is then quarantined too."""


class Inexact(Unreadable):
    """A number of more than 64 bits was needed as text, but decoding had rounded it."""

    def __init__(self) -> None:
        super().__init__("a number has more than 64 bits; send it as text")


_MAY_ROUND: Final = re.compile(rb"\d[eE]\+?\d\d|\d{19}")
_DIGITS: Final = bytes(0x30 if 0x30 <= code <= 0x39 else 0x20 for code in range(256))
_MANY: Final = b"0" * 19
_NUMBER: Final = re.compile(rb"(?:[:\[,]|\A)\s*-?[0-9]{19}")
"""Matches the start of a number with at least 19 digits, but not of a hash in quotes."""
_SMALL: Final = 4096
"""Most bytes of a body that is searched for long numbers; in larger bodies `text` finds them."""


def exact(value: T) -> T:
    """The value, unchanged. Raises Inexact for a number that decoding has rounded."""
    if isinstance(value, float) and abs(value) >= 2**63:
        raise Inexact
    return value


def has_rounded(found: object) -> bool:
    """Whether an object contains a number that decoding has rounded."""
    values = found.values() if isinstance(found, dict) else ()
    return any(type(value) is float and abs(value) >= 2**63 for value in values)


def with_exact_numbers(inbound: Inbound) -> Inbound:
    """The request with numbers of more than 64 bits as text, so that ids of 30 digits are not
    rounded."""

    def integer(digits: str) -> int | str:
        return int(digits) if len(digits) < 21 and abs(int(digits)) < 2**63 else digits

    def real(digits: str) -> float | str:
        value = float(digits)
        return value if abs(value) < 2**63 else digits

    try:
        exact = json.loads(_mended(inbound), parse_int=integer, parse_float=real)
        return inbound._replace(body=orjson.dumps(exact))
    except (ValueError, RecursionError, TypeError):
        return inbound


def json_body(inbound: Inbound) -> Any:
    """The decoded JSON. Raises BadBody, with the position, if it is not JSON."""
    body = inbound.body
    if len(body) <= _SMALL and _MANY in body.translate(_DIGITS) and _NUMBER.search(body):
        inbound = with_exact_numbers(inbound)
    try:
        return orjson.loads(inbound.body)
    except orjson.JSONDecodeError as error:
        try:
            return orjson.loads(_mended(inbound))
        except orjson.JSONDecodeError:
            raise BadBody("body", f"is not JSON: {str(error)[:200]}") from None


_SURROGATES: Final = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([\w.:-]{1,40})", re.IGNORECASE)


def _mended(inbound: Inbound) -> bytes:
    """The body in UTF-8, without a byte order mark. Invalid characters, such as half an emoji or
    bytes of another encoding, become U+FFFD."""
    body = inbound.body
    named = _CHARSET.search(inbound.header("content-type"))
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        body = body.decode("utf-16", "replace").encode()
    else:
        try:
            words = body.decode(named[1] if named else "utf-8", "replace")
        except (LookupError, ValueError):
            words = body.decode("utf-8", "replace")
        body = words.encode("utf-8", "replace").removeprefix(b"\xef\xbb\xbf")
    return _SURROGATES.sub(lambda m: m[1] + (m[2] or b"\\ufffd"), body)


def json_object(inbound: Inbound) -> dict[str, Any]:
    """The decoded JSON object. Raises BadBody for other types."""
    payload = json_body(inbound)
    if not isinstance(payload, dict):
        raise BadBody("body", f"must be a JSON object, not {type(payload).__name__}")
    return payload


def small_object(inbound: Inbound) -> dict[str, Any]:
    """The JSON object of a body that is small enough to decode at once; {} for a larger body and
    for other content. Used to read single fields, such as an id, in the event loop; numbers are
    exact."""
    if len(inbound.body) > MIB or values_in(inbound.body) > READ_AT_ONCE:
        return {}
    if _MAY_ROUND.search(inbound.body):
        inbound = with_exact_numbers(inbound)
    try:
        return json_object(inbound)
    except BadBody:
        return {}


# Readers that accept missing fields, nulls and changed types.


def obj(container: object, *path: str) -> dict[str, Any]:
    """The object at a path of keys; {} if any part is missing or not an object."""
    for name in path:
        container = container.get(name) if isinstance(container, dict) else None
    return container if isinstance(container, dict) else {}


def items(container: object, *path: str) -> list[Any]:
    """The list at a path of keys, at most 5,000 entries; [] if there is none."""
    *parents, last = path
    found = obj(container, *parents).get(last)
    return found[:5000] if isinstance(found, list) else []


def text(container: object, *path: str, limit: int = 500) -> str:
    """The string (or number, as digits) at a path; empty if there is none. NULs are replaced.
    Raises Inexact for a number of more than 64 bits; `reading.read` then parses the body again."""
    value = container
    for name in path:
        if not isinstance(value, dict):
            return ""
        value = value.get(name)
    if isinstance(value, str):
        plain = len(value) <= limit and "\0" not in value
        return value if plain else value[:limit].replace("\0", "\ufffd")
    return str(exact(value))[:limit] if _is_number(value) else ""


def number(container: object, *path: str) -> int | None:
    """The integer at a path, also from digits; None if there is none or it exceeds 2**63."""
    value = container
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    # NaN and infinity compare false.
    return int(value) if _is_number(value) and abs(value) < 2**63 else None


def _is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a JSON number."""
    return type(value) is int or type(value) is float


def time_of(container: object, *names: str) -> Instant | None:
    """The first of the named fields that is a time."""
    if isinstance(container, dict):
        for name in names:
            if (at := parse_instant(container.get(name))) is not None:
                return at
    return None


def web_url(url: str) -> str:
    """The URL if its scheme is http or https, so that it may be shown and opened; else empty."""
    return url if url.startswith(("https://", "http://")) else ""


class _Dotted(dict[str, str]):
    """Keyword -> name of the attribute, with dots."""

    def __missing__(self, keyword: str) -> str:
        self[keyword] = name = keyword.replace("__", ".")
        return name


_dotted: Final = _Dotted()


def known(**attributes: object) -> dict[str, Any]:
    """The attributes that are not None or empty; `__` in a name becomes a dot."""
    return {
        _dotted[name]: value
        for name, value in attributes.items()
        if value is not None and value != ""
    }


MAX_PATHS: Final = 40
"""Most files of one commit that are kept; a commit with more is kept as `*` (any file)."""


def push_log(commits: Iterable[Mapping[str, Any]]) -> str:
    """The commits of a push as JSON, oldest first: `[[sha, authored seconds, subject, [path]]]`;
    empty without commits. Reads the fields that GitHub, GitLab, Gitea and Azure have in common."""
    found = []
    for commit in commits:
        sha = text(commit, "id") or text(commit, "commitId") or text(commit, "hash")
        at = time_of(commit, "timestamp", "date")
        if at is None:
            at = time_of(obj(commit, "author"), "date")
        subject = text(commit, "message", limit=200).partition("\n")[0].strip()
        if sha:
            seconds = None if at is None else at // 1_000_000
            found.append([sha.lower(), seconds, subject[:120], _paths(commit)])
    return orjson.dumps(found).decode() if found else ""


def _paths(commit: Mapping[str, Any]) -> list[str]:
    listed = [
        path[:200]
        for name in ("added", "modified", "removed")
        for path in items(commit, name)
        if isinstance(path, str)
    ]
    return listed if len(listed) <= MAX_PATHS else ["*"]


def is_incident(labels: object, kind: str) -> bool:
    """Whether one of an issue's labels (separated by commas) or its type is `incident`."""
    return "incident" in str(labels).lower().split(",") or kind.lower() == "incident"


def repository_names(path: str) -> dict[str, Any]:
    """OpenTelemetry's attributes for the repository at `owner/name`; the path may contain
    groups."""
    owner, _, name = path.rpartition("/")
    return known(vcs__owner__name=owner, vcs__repository__name=name)


def defaults(whole: Event, *, name: str, project: str = "") -> Event:
    """An event with the span's default name and project, which give way to those of any other
    event."""
    return Event(
        key=whole.key,
        source=whole.source,
        operation=whole.operation,
        state=State.NOTE,
        occurred_at=whole.occurred_at,
        as_of=BEFORE_ALL,
        name=name,
        project=project,
    )


def moment(whole: Event, state: State, at: Instant, stage: str = "") -> Event:
    """An earlier state of the same span, without details, so that it is the same in every delivery
    that reports it."""
    return Event(
        key=whole.key,
        source=whole.source,
        operation=whole.operation,
        state=state,
        occurred_at=at,
        stage=stage,
    )
