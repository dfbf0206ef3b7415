"""What is known of each source, and what to do about it: the Sources screen and the banners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final

from vs_tui.log.delivery import UNKNOWN_SOURCE
from vs_tui.model.advice import Proof, advice
from vs_tui.model.time import DAY, SECOND, Instant, to_datetime
from vs_tui.model.vocabulary import Verdict
from vs_tui.store.reader_protocol import DeliveryRow, Reader, SourceHealth
from vs_tui.tui import span_format

SILENT_AFTER: Final = 7 * DAY
"""A tool that sent before and is quiet for longer has perhaps switched its webhook off."""
RETIRED_AFTER: Final = 60 * DAY
"""Longer silent than this it was probably taken out of use; nobody is reminded any more."""
_USUAL: Final = ("github", "gitlab", "jenkins", "jira", "customhttp")
"""What most people connect first."""
QUIET_BY_NATURE: Final = frozenset(
    {
        *("pagerduty", "alertmanager", "grafana", "grafanairm", "incidentio", "rootly"),
        *("opsgenie", "datadog", "servicenow", "sentry", "statuspage"),
    }
)
"""They speak when something breaks: their silence is good news."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How a tool reaches us: out of the adapters and the configuration."""

    name: str
    title: str
    paths: tuple[str, ...]
    proof: str = ""
    """The header that the tool signs with; empty when it sends our token."""
    token_in_url: bool = False
    kept_as: str = "token"
    """What `vs-tui secret show` calls it."""
    secret: str = field(default="", repr=False)
    """What to paste at the tool; empty when it is kept on another machine."""
    token: str = field(default="", repr=False)

    @property
    def how(self) -> Proof:
        """How its requests prove themselves."""
        return Proof(self.title, self.kept_as, self.proof, self.token_in_url)


@dataclass(frozen=True, slots=True)
class Condition:
    """How a source does: `ok`, `none`, `quiet`, `unread` or `refused`, and in words."""

    level: str
    text: str
    advice: str

    @property
    def role(self) -> str:
        """What it is painted in."""
        return {"ok": "ok", "none": "dim", "refused": "fail"}.get(self.level, "wait")


def condition(
    connection: Connection,
    health: SourceHealth | None,
    now: Instant,
    refused_last: DeliveryRow | None = None,
) -> Condition:
    """Judge what a source has sent since the database exists; `refused_last` is the newest request
    of it that was refused."""
    counts = health.counts if health is not None else {}
    last = health.last_received_at if health is not None else None
    accepted, ignored = counts.get(Verdict.ACCEPTED, 0), counts.get(Verdict.IGNORED, 0)
    quarantined, refused = counts.get(Verdict.QUARANTINED, 0), counts.get(Verdict.REJECTED, 0)
    if last is None or not sum(counts.values()):
        return Condition("none", "no delivery yet", _first_steps(connection))
    if not accepted and not ignored and not quarantined and refused:
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
    """Source -> its newest refused request, of those from which nothing else came."""
    found = {}
    for health in heard:
        counts = dict(health.counts)
        if counts.pop(Verdict.REJECTED, 0) and not any(counts.values()):
            page = await reader.deliveries(f"verdict:rejected source:{health.source}", limit=1)
            found.update({row.source: row for row in page.items[:1]})
    return found


def is_silent(health: SourceHealth, now: Instant) -> bool:
    """Whether a source that did send is quiet for too long."""
    last = health.last_received_at
    if health.source in QUIET_BY_NATURE:
        return False
    worked = health.counts.get(Verdict.ACCEPTED, 0) > 0
    return worked and last is not None and RETIRED_AFTER > now - last > SILENT_AFTER


def midnight(now: Instant, zone: tzinfo | None) -> Instant:
    """The beginning of the user's day."""
    local = to_datetime(now).astimezone(zone)
    return round(local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()) * SECOND


def masked(secret: str) -> str:
    """A secret that cannot be read, not even its length."""
    return "********" if secret else "-"


def url_of(connection: Connection, base: str, path: str = "") -> str:
    """Where the tool sends to."""
    return base.rstrip("/") + (path or connection.paths[0]).removesuffix("*")


def url_with_token(connection: Connection, base: str) -> str:
    """For tools that can send nothing but a URL; empty when there is no token to put in."""
    if not connection.token_in_url or not connection.token:
        return ""
    return f"{url_of(connection, base)}?token={connection.token}"


def ordered(
    connections: Sequence[Connection], health: Mapping[str, SourceHealth]
) -> list[Connection]:
    """Those that have sent anything first, the latest at the top; then the usual ones, then the
    others by name. A source that is not installed any more is listed with its name alone."""
    known = {connection.name for connection in connections}
    listed = [*connections, *(Connection(n, n, ("/" + n,)) for n in health if n not in known)]

    def place(connection: Connection) -> tuple[int, int, str]:
        found, name = health.get(connection.name), connection.name
        last = found.last_received_at if found is not None else None
        usual = _USUAL.index(name) if name in _USUAL else len(_USUAL)
        return -(last or 0), usual, connection.title.lower()

    return sorted((c for c in listed if c.name not in ("user", UNKNOWN_SOURCE)), key=place)
