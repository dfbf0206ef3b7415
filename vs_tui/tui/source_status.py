"""The state of each source and what to do about it, for the Sources screen and the banners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import TYPE_CHECKING, Final

from vs_tui.log.delivery import DECISION_SOURCE, UNKNOWN_SOURCE
from vs_tui.model.time import DAY, SECOND, Instant, to_datetime
from vs_tui.model.vocabulary import Verdict
from vs_tui.store.queries.reader_protocol import DeliveryRow, Reader, SourceHealth
from vs_tui.tui import span_format

if TYPE_CHECKING:
    from vs_tui.model.request_advice import Proof
    from vs_tui.sources.base import Form

SILENT_AFTER: Final = 7 * DAY
"""A tool that sent before and is silent for longer may have switched its webhook off."""
RETIRED_AFTER: Final = 60 * DAY
"""A tool that is silent for longer is probably out of use; reminders stop."""
_USUAL: Final = ("github", "gitlab", "jenkins", "jira", "customhttp")
"""The tools that most users connect first."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How a tool reaches the receiver, from the adapters and the configuration."""

    name: str
    title: str
    paths: tuple[str, ...]
    proof: str = ""
    """The header with the tool's signature; empty if the tool sends our token."""
    token_in_url: bool = False
    kept_as: str = "token"
    """Name of the secret in `vs-tui secret show`."""
    secret: str = field(default="", repr=False)
    """Secret to paste at the tool; empty if another machine keeps it."""
    token: str = field(default="", repr=False)
    form: Form | None = None
    """What to enter in the tool's webhook form."""
    makes_secret: bool = False
    """Whether the tool makes the secret, so that it is entered in secrets.toml."""

    @property
    def given_secret(self) -> str:
        """The secret that the tool gets from here; empty if it makes one itself."""
        return "" if self.makes_secret else self.secret

    @property
    def webhook_form(self) -> Form:
        """The tool's form, or else a reference to its page in the docs."""
        from vs_tui.sources.base import Form  # not for the first rows

        page = f"see docs/sources/{self.name}.md"
        return self.form or Form(page, "see there", "secret" if self.proof else "token")

    @property
    def how(self) -> Proof:
        """How the tool's requests authenticate."""
        from vs_tui.model.request_advice import Proof

        return Proof(self.title, self.kept_as, self.proof, self.token_in_url, self.makes_secret)


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of a source: `ok`, `none`, `quiet`, `unread` or `refused`, with a text and
    advice."""

    level: str
    text: str
    advice: str

    @property
    def role(self) -> str:
        """Role that it is painted in."""
        return {"ok": "ok", "none": "dim", "refused": "fail"}.get(self.level, "wait")


def condition(
    connection: Connection,
    health: SourceHealth | None,
    now: Instant,
    refused_last: DeliveryRow | None = None,
) -> Condition:
    """The state of a source, from its deliveries since the database exists. `refused_last` is its
    newest refused request."""
    counts = health.counts if health is not None else {}
    last = health.last_received_at if health is not None else None
    accepted, ignored = counts.get(Verdict.ACCEPTED, 0), counts.get(Verdict.IGNORED, 0)
    quarantined, refused = counts.get(Verdict.QUARANTINED, 0), counts.get(Verdict.REJECTED, 0)
    if last is None or not sum(counts.values()):
        return Condition("none", "no delivery yet", _first_steps(connection))
    if not accepted and not ignored and not quarantined and refused:
        from vs_tui.model.request_advice import advice

        status = refused_last.status if refused_last is not None else 401
        reason = refused_last.reason if refused_last is not None else "does not match"
        found = advice(Verdict.REJECTED, status, reason, connection.how)
        return Condition(
            "refused", "only rejected", f"{found.what}: {found.do}; {{open}} shows each"
        )
    if not accepted and quarantined:
        return Condition(
            "unread",
            "only quarantined",
            "the adapter cannot read what it sends: {open} shows why; everything is kept, "
            "upgrade and `vs-tui db rebuild`",
        )
    if health is not None and is_silent(health, now):
        return Condition(
            "quiet",
            f"silent since {span_format.since(last, now)}",
            f"look at {connection.title} whether its webhook is switched off or fails",
        )
    if quarantined:
        return Condition(
            "unread",
            f"{quarantined} quarantined",
            "{open} shows why; {refold} there reads one again, "
            "`vs-tui db rebuild` all after an upgrade",
        )
    if now - last >= RETIRED_AFTER:
        return Condition(
            "none", f"silent since {span_format.since(last, now)}", _first_steps(connection)
        )
    return Condition("ok", "ok", "nothing: it works")


def _first_steps(connection: Connection) -> str:
    if connection.makes_secret:
        return (
            f"paste the URL into a webhook of {connection.title}, and the secret that it shows "
            f"into secrets.toml, under [{connection.kept_as}]"
        )
    if connection.proof:
        return (
            f"paste the URL and the secret into a webhook of {connection.title} "
            f"(it proves itself by {connection.proof})"
        )
    how = "the token in its Authorization header"
    if connection.token_in_url:
        how += ", or ?token= in the URL ({copy_secret} copies that URL)"
    return f"let {connection.title} send JSON to the URL with {how}"


async def refused_last(reader: Reader, heard: Iterable[SourceHealth]) -> Mapping[str, DeliveryRow]:
    """Source -> its newest refused request, for sources whose requests were all refused."""
    found = {}
    for health in heard:
        counts = dict(health.counts)
        if counts.pop(Verdict.REJECTED, 0) and not any(counts.values()):
            page = await reader.deliveries(f"verdict:rejected source:{health.source}", limit=1)
            found.update({row.source: row for row in page.items[:1]})
    return found


def is_silent(health: SourceHealth, now: Instant) -> bool:
    """Whether a source that worked before is silent for too long."""
    last, worked = health.last_received_at, health.counts.get(Verdict.ACCEPTED, 0) > 0
    if not worked or last is None or not RETIRED_AFTER > now - last > SILENT_AFTER:
        return False
    from vs_tui.sources.dispatch import sources  # few are silent, and it imports all of them

    # A package's source may be any object.
    return not getattr(sources().get(health.source), "only_incidents", False)


def midnight(now: Instant, zone: tzinfo | None) -> Instant:
    """The start of the current day in the user's time zone."""
    local = to_datetime(now).astimezone(zone)
    return round(local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()) * SECOND


def masked(secret: str) -> str:
    """Stars instead of a secret; they do not show its length."""
    return "********" if secret else "-"


def url_of(connection: Connection, base: str, path: str = "") -> str:
    """The URL that the tool sends to."""
    return base.rstrip("/") + (path or connection.paths[0]).removesuffix("*")


def url_with_token(connection: Connection, base: str) -> str:
    """The URL with the token, for tools that can configure only a URL; empty without a token."""
    if not connection.token_in_url or not connection.token:
        return ""
    return f"{url_of(connection, base)}?token={connection.token}"


def ordered(
    connections: Sequence[Connection], health: Mapping[str, SourceHealth]
) -> list[Connection]:
    """Sources that sent anything first, the latest at the top; then the common tools, then the
    others by name. A source that is no longer installed is listed with its name only."""
    known = {connection.name for connection in connections}
    listed = [*connections, *(Connection(n, n, ("/" + n,)) for n in health if n not in known)]

    def place(connection: Connection) -> tuple[int, int, str]:
        found, name = health.get(connection.name), connection.name
        last = found.last_received_at if found is not None else None
        usual = _USUAL.index(name) if name in _USUAL else len(_USUAL)
        return -(last or 0), usual, connection.title.lower()

    return sorted((c for c in listed if c.name not in (DECISION_SOURCE, UNKNOWN_SOURCE)), key=place)
