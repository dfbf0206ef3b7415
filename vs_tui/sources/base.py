"""What a source is: two pure functions, `verify` and `parse`, and where its deliveries arrive.

A source knows its tool's headers and bodies and nothing of HTTP servers or databases. Third
parties register one under the entry-point group `vs_tui.sources`.
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
"""`as_of` of what gives way to whatever any other event of the span says."""


class Inbound(NamedTuple):
    """A request as it arrived, before anyone trusts it."""

    path: str
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes
    received_at: Instant
    query: Mapping[str, str] = _NONE
    url: str = ""
    """The public URL it was sent to, for the one tool (Trello) that signs it."""

    def header(self, name: str) -> str:
        return self.headers.get(name, "")


class Parsed(NamedTuple):
    """What an adapter made of a delivery."""

    kind: str
    """The tool's own name of the event, such as `pull_request.closed`."""
    events: Sequence[Event] = ()
    verdict: Verdict = Verdict.ACCEPTED
    reason: str = ""
    """Why it was ignored."""
    answer: Mapping[str, Any] = _NONE
    """What the tool expects in the 2xx answer, beside our own fields."""
    status: int = 200
    requires: str = ""
    """Key or ref of a span that must exist already; without it the delivery is refused (404)."""


Reading = tuple[Event, ...] | str
"""What a reader made of an event: its span events, or the reason why it is ignored."""


def parsed(kind: str, reading: Reading) -> Parsed:
    if isinstance(reading, str):
        return Parsed(kind, verdict=Verdict.IGNORED, reason=reading)
    return Parsed(kind, reading)


class Unauthorized(Exception):
    """The request does not prove who sent it; the message says which proof was missing."""


class BadBody(Exception):
    """The body breaks this endpoint's own schema (400): `field` and why."""

    def __init__(self, field: str, why: str, kind: str = "") -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why
        self.kind = kind


class Unreadable(Exception):
    """Authenticated and valid JSON, but not what the tool documents: quarantined, never lost."""


class Source(Protocol):
    """One tool. Modules in this package satisfy it with an instance named `SOURCE`."""

    name: str
    title: str
    """How people write the tool's name."""
    paths: tuple[str, ...]
    """URL paths; a path ending in `/*` takes everything below it."""
    version: int
    """Raised when parse() changes, so that quarantined deliveries are folded again."""
    signature_headers: tuple[str, ...]
    """Headers that carry the tool's proof (lower case). A request with one of them is judged by
    verify() alone; one without needs our own token in its Authorization header."""
    token_in_url: bool
    """Whether `?token=` is accepted, for tools that can send nothing else."""
    stored_headers: tuple[str, ...]
    """Headers worth keeping; never one that carries a secret."""

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        """Raise Unauthorized unless the raw bytes carry a valid proof under one of `secrets`."""

    def dedupe_key(self, inbound: Inbound) -> str:
        """The sender's own delivery id, the same on a retry; empty to use the body's hash."""

    def parse(self, inbound: Inbound) -> Parsed:
        """Read the body. Raises BadBody (400) or Unreadable (quarantined); any other exception is
        a bug of ours and quarantines as well."""


class Inexact(Unreadable):
    """A number beyond 64 bits was read as text, and decoding had made it another one."""

    def __init__(self) -> None:
        super().__init__("a number has more than 64 bits; send it as text")


_MAY_ROUND: Final = re.compile(rb"\d[eE]\+?\d\d|\d{19}")
_DIGITS: Final = bytes(0x30 if 0x30 <= code <= 0x39 else 0x20 for code in range(256))
_MANY: Final = b"0" * 19
_NUMBER: Final = re.compile(rb"(?:[:\[,]|\A)\s*-?[0-9]{19}")
"""The beginning of a number of so many digits, and not of a hash in quotes."""
_SMALL: Final = 4096
"""Bytes of a body that is looked through for long numbers; of larger ones `text` notices them."""


def exact(value: T) -> T:
    """The value; Inexact for a number that decoding has rounded."""
    if isinstance(value, float) and abs(value) >= 2**63:
        raise Inexact
    return value


def has_rounded(found: object) -> bool:
    """Whether an object holds a number that decoding has rounded."""
    values = found.values() if isinstance(found, dict) else ()
    return any(type(value) is float and abs(value) >= 2**63 for value in values)


def with_exact_numbers(inbound: Inbound) -> Inbound:
    """The request with its numbers beyond 64 bits as text: ids of 30 digits stay what they are."""

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
    """The decoded JSON; BadBody with the position when it is not JSON."""
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
    """The body without a byte order mark, in UTF-8 whatever its charset, and with U+FFFD for what
    no text can hold: half an emoji that a sender cut, bytes of another encoding."""
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
    """The decoded JSON object; BadBody when it is JSON of another type."""
    payload = json_body(inbound)
    if not isinstance(payload, dict):
        raise BadBody("body", f"must be a JSON object, not {type(payload).__name__}")
    return payload


def small_object(inbound: Inbound) -> dict[str, Any]:
    """The JSON object of a body that is read in no time; {} for a long one and for what is none.
    For what is asked for between two other requests, such as an id; its numbers are exact."""
    if len(inbound.body) > MIB or values_in(inbound.body) > READ_AT_ONCE:
        return {}
    if _MAY_ROUND.search(inbound.body):
        inbound = with_exact_numbers(inbound)
    try:
        return json_object(inbound)
    except BadBody:
        return {}


# Readers that never raise: payloads miss fields, hold null, and change their types.


def obj(container: object, *path: str) -> dict[str, Any]:
    """The object at a path of keys; {} when anything on the way is missing or no object."""
    for name in path:
        container = container.get(name) if isinstance(container, dict) else None
    return container if isinstance(container, dict) else {}


def items(container: object, *path: str) -> list[Any]:
    """The list at a path of keys; [] when there is none. At most 5,000 entries."""
    *parents, last = path
    found = obj(container, *parents).get(last)
    return found[:5000] if isinstance(found, list) else []


def text(container: object, *path: str, limit: int = 500) -> str:
    """The string (or number, as digits) at a path; empty when there is none. NULs are replaced.
    Inexact for a number beyond 64 bits: `reading.read` then reads the body once more."""
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
    """The integer at a path (also from digits); None when there is none or it exceeds 2**63."""
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
    """A URL that may be shown and opened; empty for any other scheme than http and https."""
    return url if url.startswith(("https://", "http://")) else ""


class _Dotted(dict[str, str]):
    """Attribute names by the keyword that stands for them."""

    def __missing__(self, keyword: str) -> str:
        self[keyword] = name = keyword.replace("__", ".")
        return name


_dotted: Final = _Dotted()


def known(**attributes: object) -> dict[str, Any]:
    """Attributes without those that are None or empty; `__` in a name stands for a dot."""
    return {
        _dotted[name]: value
        for name, value in attributes.items()
        if value is not None and value != ""
    }


MAX_PATHS: Final = 40
"""Files of one commit that are kept; a commit with more may touch anything: `*`."""


def push_log(commits: Iterable[Mapping[str, Any]]) -> str:
    """The commits of a push as JSON, oldest first: `[[sha, authored seconds, subject, [path]]]`.

    Reads the fields that GitHub, GitLab, Gitea and Azure name alike; empty without commits.
    """
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
    """Whether one of an issue's labels, comma separated, or its type is `incident`."""
    return "incident" in str(labels).lower().split(",") or kind.lower() == "incident"


def repository_names(path: str) -> dict[str, Any]:
    """OpenTelemetry's names of the repository at `owner/name`, which may have groups between."""
    owner, _, name = path.rpartition("/")
    return known(vcs__owner__name=owner, vcs__repository__name=name)


def defaults(whole: Event, *, name: str, project: str = "") -> Event:
    """What its span is called if nothing else is ever heard of it; it gives way to whatever any
    other event says."""
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
    """A bare earlier state of the same span; the same whichever delivery tells it."""
    return Event(
        key=whole.key,
        source=whole.source,
        operation=whole.operation,
        state=state,
        occurred_at=at,
        stage=stage,
    )
