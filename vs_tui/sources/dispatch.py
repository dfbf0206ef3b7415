"""Finds the source of a request, and turns a verified request into what the writer stores.

Sources are built in, presets, configured, or of third parties by entry point. The receiver, replay,
the demo and rebuilds all use this module; no other connects sources and store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any, Final

from vs_tui.config.model import edition, in_force
from vs_tui.log.delivery import DECISION_SOURCE, Intake, dedupe_key
from vs_tui.model.errors import ConfigError
from vs_tui.model.limits import READ_AT_MOST, values_in
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Verdict
from vs_tui.sources.base import BadBody, Inbound, Parsed, Source, Unreadable
from vs_tui.sources.fields import Inexact, with_exact_numbers

log = logging.getLogger(__name__)

ENTRY_POINT_GROUP: Final = "vs_tui.sources"
PACKAGE: Final = "vs_tui.sources"


def built_in() -> Iterator[Source]:
    """The sources of this package: of every module with a `SOURCE`, whose name is the module's."""
    for module in iter_modules(import_module(PACKAGE).__path__):
        if (source := _of_module(module.name)) is not None:
            yield source


def _of_module(name: str) -> Source | None:
    found: Source | None = getattr(import_module(f"{PACKAGE}.{name}"), "SOURCE", None)
    return found


def sources() -> Mapping[str, Source]:
    """Name -> source. ConfigError names the wrong setting of a configured source. A third party's
    source that fails to load is logged and left out; it cannot replace a built-in source."""
    return _sources(edition())


def tools() -> Mapping[str, Source]:
    """The same without the one of people's decisions, which no tool sends."""
    return {name: source for name, source in sources().items() if name != DECISION_SOURCE}


@lru_cache(maxsize=2)
def _sources(_: int) -> Mapping[str, Source]:
    from importlib.metadata import entry_points

    found = {source.name: source for source in built_in()}
    for source in _mapped(found):
        found[source.name] = source
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            source = entry.load()
            found.setdefault(source.name, source)
        except Exception:
            log.exception("the source %s could not be loaded; reinstall its package", entry.name)
    return found


def _mapped(built_in: Mapping[str, Source]) -> Iterator[Source]:
    """Presets and configured sources. A table with a preset's name overrides settings of that
    preset."""
    from vs_tui.sources.mapped import MappedSource, presets

    ready, configured = presets(), in_force()
    taken = {path: name for name, source in built_in.items() for path in source.paths}
    for name in dict.fromkeys((*configured, *ready)):  # a configured path precedes a preset's
        table = configured.get(name)
        if name in built_in:
            raise ConfigError(f"[sources.{name}]: vs-tui has a source of this name; choose another")
        if table is None:
            source = ready[name]
        else:
            preset = dict(ready[name].definition) if name in ready else {}
            if "path" in table:
                preset.pop("paths", None)
            source = MappedSource(name, {**preset, **table}).check()
        if source.enabled:
            for path in source.paths:
                below = (path[:n] + "/*" for n, letter in enumerate(path) if letter == "/")
                wider = next((taken[pattern] for pattern in below if pattern in taken), name)
                if (owner := taken.setdefault(path, wider)) != name:
                    raise ConfigError(
                        f"[sources.{name}] path: {path} is the path of {owner}; choose another"
                    )
            yield source


def signing_sources() -> list[str]:
    """Names of the sources whose tool has a secret of its own for signing."""
    return [name for name, source in tools().items() if source.signature_headers]


def portable(source: Source) -> str | tuple[str, Any]:
    """A value by which another process finds this source: its name, or the definition of a mapped
    source."""
    from vs_tui.sources.mapped import MappedSource

    return (source.name, source.definition) if isinstance(source, MappedSource) else source.name


def one_source(found: str | tuple[str, Any]) -> Source:
    """The source for a value of `portable`. Imports only that source if it is built in."""
    from vs_tui.sources.mapped import MappedSource

    if isinstance(found, tuple):
        return MappedSource(*found)
    own = _of_module(found) if find_spec(f"{PACKAGE}.{found}") else None
    return own or sources()[found]


def routes() -> Iterator[tuple[str, Source]]:
    """(path, source) for every path of every enabled source."""
    for source in sources().values():
        if getattr(source, "enabled", True) is False:
            continue
        for path in source.paths:
            yield path, source


log = logging.getLogger(__name__)

SMALL: Final = 2_048
"""Most bytes of a body that is kept decoded until it is folded. Most custom events are smaller, the
bodies of GitHub are larger."""
HEADER_LIMIT = 1_000
PROOF = "vs-proof"
"""Stored with the headers, although no sender sends it: how the delivery's origin was proven."""


def read(source: Source, inbound: Inbound) -> Parsed:
    """Parse a verified delivery. Raises BadBody for the sender's errors. A delivery with any other
    error is quarantined, because the source may be wrong."""
    return _read(source, inbound, source.parse)


def outline(source: Source, inbound: Inbound) -> Parsed:
    """As `read`, but its events may be outlines."""
    return _read(source, inbound, source.outline)


def _read(source: Source, inbound: Inbound, parse: Callable[[Inbound], Parsed]) -> Parsed:
    if values_in(inbound.body, inbound.header("content-type")) > READ_AT_MOST:
        return unreadable(f"more than {READ_AT_MOST:,} values; send fewer at once")
    try:
        try:
            return parse(inbound)
        except Inexact:
            return parse(with_exact_numbers(inbound))
    except BadBody:
        raise
    except Unreadable as error:
        return unreadable(str(error))
    except Exception as error:
        log.exception("the adapter of %s failed; the delivery is kept in quarantine", source.name)
        reason = f"the {source.name} adapter failed with {type(error).__name__}; please report it"
        return unreadable(reason)


def unreadable(reason: str) -> Parsed:
    """The result for a delivery that cannot be read now and is kept in quarantine."""
    return Parsed(kind="unreadable", verdict=Verdict.QUARANTINED, reason=reason[:500])


def read_piped() -> None:
    """Main function of the process that reads one large body. Reads (`portable` source, inbound)
    from stdin and writes the result, or the three fields of a BadBody, to stdout. Both are pickled
    by vs-tui itself."""
    import pickle
    import sys

    source, inbound = pickle.load(sys.stdin.buffer)  # noqa: S301
    outcome: Parsed | tuple[str, str, str]
    try:
        outcome = read(one_source(source), inbound)
    except BadBody as error:
        outcome = (error.field, error.why, error.kind)
    sys.stdout.buffer.write(pickle.dumps(outcome))


def intake_of(source: Source, inbound: Inbound, parsed: Parsed, proof: str = "") -> Intake:
    """The delivery in stored form, with the headers to keep and without secrets. `proof` tells the
    inspector how the origin was proven."""
    headers = kept_headers(source, inbound.headers)
    events = parsed.events if parsed.verdict is Verdict.ACCEPTED else ()
    has_time = any(event.occurred_at != inbound.received_at for event in events)
    sender_id = source.dedupe_key(inbound)
    dedupe = dedupe_key(
        inbound.path,
        inbound.body,
        sender_id,
        [source.name, *(event.key for event in events)] if events and not has_time else (),
        replayable=_is_replayable(source, inbound, proof),
    )
    return Intake(
        source=source.name,
        kind=parsed.kind,
        path=inbound.path,
        headers={**headers, PROOF: proof} if proof else headers,
        body=inbound.body,
        received_at=inbound.received_at,
        dedupe=dedupe,
        verdict=parsed.verdict,
        reason=parsed.reason,
        status=parsed.status,
        adapter=source.version,
        events=events,
        are_outlines=parsed.finish is not None,
        finish=parsed.finish if len(inbound.body) <= SMALL else None,
        requires=parsed.requires,
        sender_id=sender_id,
    )


def _is_replayable(source: Source, inbound: Inbound, proof: str) -> bool:
    """Whether the sender's delivery id is not signed: a signature over the body alone is valid with
    any id. Standard Webhooks signs the id; vs-tui's link decisions sign their time."""
    if source.name == DECISION_SOURCE or inbound.header("webhook-signature"):
        return False
    return source.name == "customhttp" or proof.startswith("signature")


def kept_headers(source: Source, headers: Mapping[str, str]) -> dict[str, str]:
    """The headers to store: the source's list, the content type and the user agent."""
    kept = {}
    for name in (*source.stored_headers, "content-type", "user-agent"):
        if value := headers.get(name):
            text = value if value.isascii() else value.encode("utf-8", "replace").decode()
            kept[name] = text[:HEADER_LIMIT]
    return kept


def parse_stored(
    source_name: str, path: str, headers: Mapping[str, str], body: bytes, received_at: Instant
) -> Parsed:
    """Parse a stored delivery again, with the current source; quarantined if the source is not
    installed."""
    source = sources().get(source_name)
    if source is None:
        reason = f"no source '{source_name}' is installed; install it and rebuild"
        return unreadable(reason)
    inbound = Inbound(path=path, headers=headers, body=body, received_at=received_at)
    try:
        return read(source, inbound)
    except BadBody as error:
        return unreadable(str(error))


def route(path: str) -> Source | None:
    """The source that receives at a path; None if there is none."""
    path = path.removeprefix("/api/v1")
    for pattern, source in routes():
        if path == pattern or (pattern.endswith("/*") and path.startswith(pattern[:-1])):
            return source
    return None
