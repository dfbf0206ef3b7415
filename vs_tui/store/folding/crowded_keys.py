"""Bounds the work for keys that very many spans offer or seek.

Crowded keys are those that so many spans offer that they identify nothing, such as one version on a
thousand instances. Offers are counted for each level (`correlation.level`), so that the one build
of a version is found, however many deploys have it. Whether a key is crowded depends only on the
stored events. The offers of a crowded key are never read, so the cost of a delivery does not grow
with it.

Keys that very many spans seek are queued, and their seekers are linked in slices, between
deliveries. A row of `link_queue` has such a key and the last of its seekers that was linked again.
The transaction that folds the offer writes it, so that the queue survives a crash.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from vs_tui.model.artifacts import is_moving
from vs_tui.model.vocabulary import Event
from vs_tui.store import rows
from vs_tui.store.folding.span_folding import Change
from vs_tui.traces.correlation import CROWD, LEVELS, level

Place = tuple[str, int]
"""A token and the level at which it is offered."""

LINKED_AT_ONCE: Final = 100
"""Most seekers of one key that a transaction links; this costs about as much as a batch of
deliveries."""
_COMPARED: Final = 3 * LINKED_AT_ONCE
"""Most seekers of one key that are compared with a change; to compare a seeker costs about a tenth
of linking it again."""
_READ_AT_ONCE: Final = 2_000
"""Number of seekers that are read before keys with very many are looked for."""
Sought = tuple[str, str, str]
"""A token, the span that seeks it, and the rule."""

_MANY: Final = (
    "(SELECT COUNT(*) FROM (SELECT DISTINCT key FROM offers o WHERE o.token = {0} "
    f"AND o.level = {{1}} LIMIT {CROWD + 1})) > {CROWD}"
)
_PLACES: Final = rows.asked("token", "level")


class Told(NamedTuple):
    """The keys that a span offers: the kind of each, and which only its new events offer."""

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


def seekers(
    connection: sqlite3.Connection,
    tokens: Iterable[str],
    new: Collection[str],
    concerned: Callable[[set[Sought]], set[Sought]],
) -> set[str]:
    """The spans that seek one of these tokens, without the `new` ones, which are linked anyway. Too
    many are queued instead. `concerned` keeps those that the changes may concern."""
    wanted, most = set(tokens), _READ_AT_ONCE + len(new)
    sql = f"SELECT DISTINCT token, key, rule FROM seeks WHERE token {rows.KEYS} LIMIT {{}}"
    found: set[Sought] = set(rows.select_in(connection, sql.format(most), wanted))
    if len(found) < most:
        found = {sought for sought in found if sought[1] not in new}
        seeking = Counter(token for token, *_ in found)
        vast = {sought for sought in found if seeking[sought[0]] > _COMPARED}
        found = vast | concerned(found - vast)
        seeking = Counter(token for token, _ in {sought[:2] for sought in found})
        many = {token for token, n in seeking.items() if n > LINKED_AT_ONCE}
    else:
        more = (
            "SELECT t.value FROM json_each(?) t WHERE (SELECT COUNT(*) FROM (SELECT DISTINCT key "
            f"FROM seeks WHERE token = t.value LIMIT {LINKED_AT_ONCE + 1})) > {LINKED_AT_ONCE}"
        )
        many = {token for (token,) in rows.select_in(connection, more, wanted)}
        found = set(rows.select_in(connection, sql.format(-1), wanted - many))
    connection.executemany("REPLACE INTO link_queue VALUES (?, '')", [(token,) for token in many])
    return {key for token, key, _ in found if token not in many}


def is_waiting(connection: sqlite3.Connection) -> bool:
    """Whether any span waits to be linked, or any deployment to be judged."""
    sql = "SELECT EXISTS (SELECT 1 FROM link_queue) OR EXISTS (SELECT 1 FROM judge_queue)"
    return bool(connection.execute(sql).fetchone()[0])


def take(connection: sqlite3.Connection) -> tuple[set[str], str]:
    """Take the next spans to link out of the queue. Returns them, and their token if they are its
    last seekers, else an empty string. The caller links them in the same transaction."""
    row = connection.execute("SELECT token, after FROM link_queue LIMIT 1").fetchone()
    if row is None:
        return set(), ""
    sql = "SELECT DISTINCT key FROM seeks WHERE token = ? AND key > ? ORDER BY key LIMIT ?"
    found = [key for (key,) in connection.execute(sql, (*row, LINKED_AT_ONCE))]
    if len(found) == LINKED_AT_ONCE:
        connection.execute("UPDATE link_queue SET after = ? WHERE token = ?", (found[-1], row[0]))
        return set(found), ""
    connection.execute("DELETE FROM link_queue WHERE token = ?", row[:1])
    return set(found), row[0]
