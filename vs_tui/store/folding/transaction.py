"""One transaction of the writer: folds events, links spans and updates the read models, or does
nothing.

It runs on the writer's thread. The writer has one at a time, so that no two interleave (400
acknowledged rows became 200 when handlers shared a connection).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from vs_tui.log.delivery import SameBodies
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event
from vs_tui.store.folding import crowded_keys, stored_events
from vs_tui.store.folding.span_folding import (
    Change,
    Context,
    fold_events,
    load_spans,
    refold,
)
from vs_tui.store.folding.stored_events import EventCache
from vs_tui.traces.correlation import LinkRules
from vs_tui.traces.folding import Folded

_DEEPEST: Final = 64
"""Most levels of steps within steps."""
T = TypeVar("T")
Hook = Callable[[sqlite3.Connection, Sequence[Change], Sequence[str], bool], None]
"""(connection, changes, keys of spans that were deleted, whether deliveries wait to be folded)."""


@dataclass(slots=True)
class Folding:
    """The state that all transactions of one writer share."""

    context: Context
    cache: EventCache = field(default_factory=EventCache)
    bodies: SameBodies = field(default_factory=SameBodies)
    links: LinkRules = field(default_factory=LinkRules)
    after_fold: Sequence[Hook] = ()
    """Functions that update read models within the same transaction."""


class Run(Protocol):
    """Runs a function on the writer's connection, outside a transaction."""

    async def __call__(self, work: Callable[[sqlite3.Connection], T], /) -> T: ...


class Transact(Protocol):
    """Runs a function in one transaction of the writer."""

    async def __call__(
        self, work: Callable[[sqlite3.Connection, Folding], T], /, *, synced: bool = True
    ) -> T: ...


def next_seq(connection: sqlite3.Connection) -> int:
    """The next number of the change feed, for this transaction."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'seq'").fetchone()
    seq = 1 if row is None else int(row[0]) + 1
    # This costs a third of an upsert that returns the value.
    connection.execute("REPLACE INTO meta VALUES ('seq', ?)", (seq,))
    return seq


def in_transaction(
    db: sqlite3.Connection,
    folding: Folding,
    now: Instant,
    work: Callable[[sqlite3.Connection, Folding], T],
    *,
    synced: bool = True,
) -> T:
    """Run `work` as one transaction; any exception rolls it back.

    With `synced` False the commit does not wait for the disk. Power loss may undo it together with
    its stored position, so use it only for work that can be folded again from the log.
    """
    folding.context.now = now
    if not synced:
        db.execute("PRAGMA synchronous = NORMAL")
    try:
        db.execute("BEGIN IMMEDIATE")
        result = work(db, folding)
        db.execute("COMMIT")
    except BaseException:
        _undo(db, folding)
        raise
    finally:
        if not synced:
            db.execute("PRAGMA synchronous = FULL")
    folding.bodies.keep()
    return result


def _undo(db: sqlite3.Connection, folding: Folding) -> None:
    """Roll the transaction back, and forget what it left in memory."""
    folding.cache.clear()
    folding.context.gone.clear()
    folding.context.unplaced.clear()
    folding.bodies.drop()
    if db.in_transaction:
        db.execute("ROLLBACK")


def fold_and_link(
    connection: sqlite3.Connection,
    events: Sequence[Event],
    folding: Folding,
    *,
    more: bool = False,
) -> list[Change]:
    """Fold events, then update links and read models. With `more` deliveries wait, so that what is
    cheaper to do once for many of them may wait, too."""
    changes = fold_events(connection, events, folding.context, folding.cache)
    return _after(connection, changes, folding, more=more)


def refold_and_link(
    connection: sqlite3.Connection, keys: Sequence[str], folding: Folding
) -> list[Change]:
    """Fold stored spans again, after a timeout or a change of the teams."""
    changes = refold(connection, keys, folding.context, folding.cache)
    return _after(connection, changes, folding)


def fold_renamed(connection: sqlite3.Connection, folding: Folding) -> tuple[list[Change], bool]:
    """Fold the next spans that a rename affects, in a transaction without deliveries. Returns the
    changes, and whether more spans may wait."""
    keys = stored_events.renamed_spans(connection)
    more = folding.cache.names.waiting = len(keys) == stored_events.RENAMED_AT_ONCE
    if not keys:
        return [], False
    folding.context.seq = next_seq(connection)
    changes = refold(connection, keys, folding.context, folding.cache, renamed=True)
    stored_events.folded_again(connection, keys)
    return _after(connection, changes, folding), more


def link_waiting(connection: sqlite3.Connection, folding: Folding) -> list[Change]:
    """Link the next spans of the queue (see `crowded_keys`) and update the read models, also what
    waits there. The spans that offer a queued key are updated once, after its last seeker is
    linked."""
    from vs_tui.store.folding.linker import offering, relink

    folding.context.seq = next_seq(connection)
    keys, token = crowded_keys.take(connection)
    relink(connection, (), folding.context.seq, folding.links, also=keys)
    ended = _with_those_below(connection, _unchanged(connection, keys), folding)
    changed = [change for change in ended if change.old != change.new]
    changed += _unchanged(connection, offering(connection, [token]) - {c.new.key for c in changed})
    for hook in folding.after_fold:
        hook(connection, changed, (), False)
    if not folding.after_fold:  # else what nobody judges would wait for ever
        connection.execute("DELETE FROM judge_queue")
    return changed


def _unchanged(connection: sqlite3.Connection, keys: Collection[str]) -> list[Change]:
    """Changes of spans in which only the links differ."""
    return [
        Change(span, span, Folded(span, (), ())) for span in load_spans(connection, keys).values()
    ]


def _after(
    connection: sqlite3.Connection, changes: list[Change], folding: Folding, *, more: bool = False
) -> list[Change]:
    if not changes:
        return changes
    _link(connection, changes, folding)
    changes = _with_those_below(connection, changes, folding)
    gone = tuple(folding.context.gone)
    folding.context.gone.clear()
    for hook in folding.after_fold:
        hook(connection, changes, gone, more)
    return changes


def _with_those_below(
    connection: sqlite3.Connection, changes: Sequence[Change], folding: Folding
) -> list[Change]:
    """All changes, each span once, with those of spans below that get a project or an end from
    them, and then of spans below these."""
    # As the linker in `_link`.
    from vs_tui.store.folding.inherited_projects import with_projects
    from vs_tui.store.folding.missing_ends import end_with_parents

    merged = {change.new.key: change for change in changes}
    for refolded in (with_projects, end_with_parents):
        level = [*merged.values()]
        for _ in range(_DEEPEST):
            level = refolded(connection, level, folding.context, folding.cache)
            if not level:
                break
            _link(connection, level, folding)
            for change in level:
                first = merged.get(change.new.key, change)
                merged[change.new.key] = change._replace(old=first.old, fresh=first.fresh)
    return [*merged.values()]


def _link(connection: sqlite3.Connection, changes: Sequence[Change], folding: Folding) -> None:
    # Imported with the first span, after the first rows.
    from vs_tui.store.folding.linker import relink

    context = folding.context
    relink(connection, changes, context.seq, folding.links, unplaced=context.unplaced)
    context.unplaced.clear()


def exists(connection: sqlite3.Connection, name: str) -> bool:
    """Whether a span has this key or ref."""
    sql = (
        "SELECT 1 FROM spans WHERE key = ?1 OR (short_ref = ?1 AND short_ref <> key) "
        "OR (full_ref = ?1 AND full_ref <> '')"
    )
    return connection.execute(sql, (name,)).fetchone() is not None
