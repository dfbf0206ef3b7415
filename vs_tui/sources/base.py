"""The interface of a source: two pure functions, `verify` and `parse`, and the paths of its
deliveries.

A source knows its tool's headers and bodies, but no HTTP server and no database. Third parties
register a source in the entry-point group `vs_tui.sources`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, State, Verdict

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
    finish: Callable[[], Sequence[Event]] | None = None
    """Makes the whole events, if `events` are outlines."""

    def finished(self) -> Parsed:
        """The same with whole events."""
        return self if self.finish is None else self._replace(events=self.finish(), finish=None)


class Outline(NamedTuple):
    """The events of a body as far as the sender's answer needs them."""

    events: Sequence[Event]
    """Each with the key and refs of its span; one has a time of the body if any has."""
    finish: Callable[[], Sequence[Event]]
    """Makes the whole events, of the same spans in the same order."""


Reading = Sequence[Event] | Outline | str
"""The result of reading an event: its span events, or the reason why it is ignored."""


def parsed(kind: str, reading: Reading, answer: Mapping[str, Any] = _NONE) -> Parsed:
    """The result for an event: its span events, or ignored with the reason."""
    if isinstance(reading, str):
        return Parsed(kind, verdict=Verdict.IGNORED, reason=reading, answer=answer)
    if isinstance(reading, Outline):
        return Parsed(kind, reading.events, answer=answer, finish=reading.finish)
    return Parsed(kind, reading, answer=answer)


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


class Signature(Protocol):
    """How a tool signs; `signatures.Scheme` has the usual ways."""

    @property
    def headers(self) -> tuple[str, ...]:
        """Headers with the proof, in lower case."""

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        """Raise Unauthorized unless the raw bytes have a valid proof made with one of `secrets`."""


class Form(NamedTuple):
    """What to enter in a tool's webhook form, for people who set it up by hand."""

    where: str
    """The menus that lead to the form."""
    events: str
    """The events to tick."""
    field: str = "secret"
    """The tool's name for the secret's field; empty if the URL carries the token."""
    content_type: str = "application/json"


USUAL: Final = ("github", "gitlab", "jenkins", "jira", "linear", "argocd")
"""The tools that people connect first, in the order of the dashboard's first page."""


class Source:
    """One tool. Each module of this package has an instance named `SOURCE`. A subclass sets `name`
    and `title`, says how the tool signs, and writes `parse`; everything else has a default."""

    name: str
    title: str
    """The tool's name for people."""
    paths: tuple[str, ...]
    """URL paths, `/NAME` by default; a path that ends in `/*` includes all paths below it."""
    version: int = 1
    """Increased when parse() changes, so that quarantined deliveries are read again."""
    signature: Signature | None = None
    """How the tool signs; None if it does not, or in a way that only `verify` knows."""
    signature_headers: tuple[str, ...] = ()
    """Headers with the tool's proof, in lower case; those of `signature` by default. A request with
    one of them is checked by verify() alone; a request without them needs vs-tui's token in its
    Authorization header."""
    key_in_authorization: bool = False
    """Whether the source's own secret is accepted in the Authorization header, as vs-tui's token
    is."""
    makes_secret: bool = False
    """Whether the tool makes the secret, so that it is entered in secrets.toml."""
    token_in_url: bool = False
    """Whether `?token=` is accepted, for tools that cannot send headers."""
    delivery_headers: tuple[str, ...] = ()
    """Headers with the sender's delivery id, the same on a retry; the first one sent counts."""
    stored_headers: tuple[str, ...] = ()
    """Headers to store; never one that contains a secret."""

    only_incidents: bool = False
    """Whether the tool sends only when something breaks, so that its silence is no sign of a broken
    webhook."""
    form: Form | None = None
    """What to enter in the tool's webhook form; None to refer to the tool's page in the docs."""

    def __init_subclass__(cls) -> None:
        own = vars(cls)
        if "name" in own and "paths" not in own:
            cls.paths = (f"/{cls.name}",)
        if cls.signature is not None and "signature_headers" not in own:
            cls.signature_headers = cls.signature.headers

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        """Raise Unauthorized unless the raw bytes have a valid proof made with one of `secrets`.
        Without a signature it always raises: the receiver checks the token before it calls this."""
        if self.signature is None:
            raise Unauthorized(
                f"{self.title} sends no signature; put the token into its Authorization header"
            )
        self.signature.verify(inbound, secrets)

    def dedupe_key(self, inbound: Inbound) -> str:
        """The sender's delivery id, the same on a retry; empty to use the body's hash."""
        return next((key for name in self.delivery_headers if (key := inbound.header(name))), "")

    def parse(self, inbound: Inbound) -> Parsed:
        """Parse the body. Raises BadBody (400) or Unreadable (quarantine). Any other exception is a
        bug in the source; the delivery is then quarantined too."""
        raise NotImplementedError

    def outline(self, inbound: Inbound) -> Parsed:
        """As `parse`, but its events may be outlines, for a tool whose bodies take long to read:
        the sender waits for this, and the body is parsed when it is folded. It raises what `parse`
        raises for a body that is not as the tool documents it."""
        return self.parse(inbound)


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
