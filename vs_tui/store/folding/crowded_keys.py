"""Finds crowded keys: keys that so many spans offer that they identify nothing, such as one version
on a thousand instances.

Offers are counted for each level (`correlation.level`), so that the one build of a version is
found, however many deploys have it. Whether a key is crowded depends only on the stored events. The
offers of a crowded key are never read, so the cost of a delivery does not grow with it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from vs_tui.model.artifacts import is_moving
from vs_tui.model.vocabulary import Event
from vs_tui.store import rows
from vs_tui.store.folding.span_folding import Change
from vs_tui.traces.correlation import CROWD, LEVELS, level

Place = tuple[str, int]
"""A token and the level at which it is offered."""

_MANY: Final = (
    "(SELECT COUNT(*) FROM (SELECT DISTINCT key FROM offers o WHERE o.token = {0} "
    f"AND o.level = {{1}} LIMIT {CROWD + 1})) > {CROWD}"
)
_PLACES: Final = rows.asked("token", "level")


class Told(NamedTuple):
    """The keys that a span offers: the kind of each, and which its new events offer."""

    kinds: Mapping[Place, str]
    fresh: Collection[Place]


@dataclass(frozen=True, slots=True)
class Offered:
    """What some changed spans offer, and the crowded keys among it."""

    told: Mapping[str, Told]
    """By the key of each span whose change matters to others."""
    crowded: Collection[Place]
    crowded_now: Collection[str]
    """Tokens that these changes made crowded; spans that seek them lose their links."""


def _places(events: Sequence[Event]) -> dict[Place, str]:
    found = {}
    for event in events:
        at = level(event.operation)
        for offer in event.offers:
            if not is_moving(offer.kind, offer.value):
                found[rows.token(offer), at] = offer.kind
    return found


def _told(change: Change) -> Told:
    events = change.folded.snapshots
    kinds = _places(events)
    # Nearly always all of them are new, and the same.
    fresh = kinds if len(change.fresh) == len(events) else _places(change.fresh)
    return Told(kinds, fresh)


def note(connection: sqlite3.Connection, changes: Sequence[Change]) -> Offered:
    """Find the crowded keys of these changes, and store those that are newly crowded."""
    told = {change.new.key: _told(change) for change in changes if change.material}
    known = _crowded(connection, {token for each in told.values() for token, _ in each.kinds})
    many = _MANY.format("asked.token", "asked.level")
    sql = f"{_PLACES}SELECT token, level FROM asked WHERE {many}"
    asked = {place for each in told.values() for place in each.fresh} - known
    now = [(token, at) for token, at in rows.select_in(connection, sql, asked)]
    if now:
        connection.executemany("INSERT INTO crowded_keys VALUES (?, ?)", now)
    return Offered(told, known.union(now), {token for token, _ in now})


def offers(connection: sqlite3.Connection, tokens: Iterable[str]) -> list[tuple[str, ...]]:
    """(key, token, scope, value, via) of all offers of these tokens, without crowded keys."""
    wanted = list(tokens)
    crowded = _crowded(connection, wanted)
    sql = f"SELECT key, token, scope, value, via FROM offers WHERE token {rows.KEYS}"
    if not crowded:
        return list(rows.select_in(connection, sql, wanted))
    busy = {token for token, _ in crowded}
    found = list(rows.select_in(connection, sql, [name for name in wanted if name not in busy]))
    places = [(token, at) for token in busy for at in LEVELS if (token, at) not in crowded]
    sql = (
        f"{_PLACES}SELECT o.key, o.token, o.scope, o.value, o.via FROM asked "
        "CROSS JOIN offers o ON o.token = asked.token AND o.level = asked.level"
    )
    return [*found, *rows.select_in(connection, sql, places)]


def scattered(connection: sqlite3.Connection) -> set[str]:
    """Remove keys that are no longer crowded, after spans were deleted. Returns the spans that seek
    such a key and must be linked again."""
    many = _MANY.format("crowded_keys.token", "crowded_keys.level")
    sql = f"DELETE FROM crowded_keys WHERE NOT {many} RETURNING token"
    tokens = {token for (token,) in connection.execute(sql).fetchall()}
    sql = f"SELECT DISTINCT key FROM seeks WHERE token {rows.KEYS}"
    return {key for (key,) in rows.select_in(connection, sql, tokens)}


def _crowded(connection: sqlite3.Connection, tokens: Iterable[str]) -> set[Place]:
    sql = f"SELECT token, level FROM crowded_keys WHERE token {rows.KEYS}"
    return {(token, at) for token, at in rows.select_in(connection, sql, tokens)}
