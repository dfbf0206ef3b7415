"""From a proven request to what the writer stores: the one place where sources meet the store.

The receiver, replay, the demo and a rebuild all go this way.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from vs_tui.domain.instants import Instant
from vs_tui.domain.model import Verdict
from vs_tui.sources.base import BadBody, Inbound, Parsed, Source, Unreadable
from vs_tui.sources.registry import sources
from vs_tui.store.intake import Intake, dedupe_key

log = logging.getLogger(__name__)

HEADER_LIMIT = 1_000


def read(source: Source, inbound: Inbound) -> Parsed:
    """Parse a proven delivery. BadBody is the sender's fault; what we cannot read otherwise is
    quarantined, because the fault may be ours."""
    try:
        return source.parse(inbound)
    except BadBody:
        raise
    except Unreadable as error:
        return Parsed(kind="unreadable", verdict=Verdict.QUARANTINED, reason=str(error)[:500])
    except Exception as error:
        log.exception("the adapter of %s failed; the delivery is kept in quarantine", source.name)
        reason = f"the {source.name} adapter failed with {type(error).__name__}; please report it"
        return Parsed(kind="unreadable", verdict=Verdict.QUARANTINED, reason=reason)


def intake_of(source: Source, inbound: Inbound, parsed: Parsed) -> Intake:
    """The delivery as it is stored: the headers that matter, never one with a secret."""
    return Intake(
        source=source.name,
        kind=parsed.kind,
        path=inbound.path,
        headers=kept_headers(source, inbound.headers),
        body=inbound.body,
        received_at=inbound.received_at,
        dedupe=dedupe_key(inbound.path, inbound.body, source.dedupe_key(inbound)),
        verdict=parsed.verdict,
        reason=parsed.reason,
        status=parsed.status,
        adapter=source.version,
        events=parsed.events if parsed.verdict is Verdict.ACCEPTED else (),
        requires=parsed.requires,
    )


def kept_headers(source: Source, headers: Mapping[str, str]) -> dict[str, str]:
    """Headers worth keeping: the source's list, the content type, who sent it."""
    names = (*source.stored_headers, "content-type", "user-agent")
    return {
        name: headers[name].encode("utf-8", "replace").decode()[:HEADER_LIMIT]
        for name in names
        if headers.get(name)
    }


def parse_stored(
    source_name: str, path: str, headers: Mapping[str, str], body: bytes, received_at: Instant
) -> Parsed:
    """Read a stored delivery again, with today's adapter; quarantined when that is gone."""
    source = sources().get(source_name)
    if source is None:
        reason = f"no source '{source_name}' is installed; install it and rebuild"
        return Parsed(kind="unreadable", verdict=Verdict.QUARANTINED, reason=reason)
    inbound = Inbound(path=path, headers=headers, body=body, received_at=received_at)
    try:
        return read(source, inbound)
    except BadBody as error:
        return Parsed(kind="unreadable", verdict=Verdict.QUARANTINED, reason=str(error)[:500])


def route(path: str) -> Source | None:
    """The source that receives at a path."""
    path = path.removeprefix("/api/v1")
    for source in sources().values():
        for pattern in source.paths:
            if path == pattern or (pattern.endswith("/*") and path.startswith(pattern[:-1])):
                return source
    return None
