"""Finds crowded keys: keys that so many spans offer that they identify nothing, such as one version
on a thousand instances.

Offers are counted for each level (`correlation.level`), so that the one build of a version is
found, however many deploys have it. Whether a key is crowded depends only on the stored events. The
offers of a crowded key are never read, so the cost of a delivery does not grow with it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from vs_tui.model.keys import is_moving
from vs_tui.model.vocabulary import Event, Key
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


@dataclass(frozen=True, slots=True)
class Offered:
    """The crowded keys among those that some changes offer."""

    crowded: Collection[Place]
    crowded_now: Collection[str]
    """Tokens that these changes made crowded; spans that seek them lose their links."""

    def telling(self, event: Event, offer: Key) -> Iterator[str]:
        """The token of an offer; nothing if it is crowded."""
        token = rows.token(offer)
        if (token, level(event.operation)) not in self.crowded:
            yield token


def note(connection: sqlite3.Connection, changes: Sequence[Change]) -> Offered:
    """Find the crowded keys of these changes, and store those that are newly crowded."""
    places = dict.fromkeys(
        (rows.token(offer), level(event.operation))
        for change in changes
        if change.material
        for event in change.folded.snapshots
        for offer in event.offers
        if not is_moving(offer.kind, offer.value)
    )
    known = _crowded(connection, {token for token, _ in places})
    fresh = {
        (rows.token(offer), level(event.operation))
        for change in changes
        for event in change.fresh
        for offer in event.offers
    }
    many = _MANY.format("asked.token", "asked.level")
    sql = f"{_PLACES}SELECT token, level FROM asked WHERE {many}"
    asked = [place for place in places if place in fresh and place not in known]
    now = [(token, at) for token, at in rows.select_in(connection, sql, asked)]
    if now:
        connection.executemany("INSERT INTO crowded_keys VALUES (?, ?)", now)
    return Offered(known.union(now), {token for token, _ in now})


def offers(connection: sqlite3.Connection, tokens: Iterable[str]) -> list[tuple[str, ...]]:
    """(key, token, scope, value, via) of all offers of these tokens, without crowded keys."""
    wanted = list(tokens)
    crowded = _crowded(connection, wanted)
    sql = (
        "SELECT key, token, scope, value, via FROM offers "
        "WHERE token IN (SELECT value FROM json_each(?))"
    )
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
