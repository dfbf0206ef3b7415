"""Spans as columns a bucket of time, kept for reports: read as they are, made in idle time.

The writer only marks the bucket of a span that is over and changed (`metrics_marks`); a bucket is
not made before it is over, so that this mostly marks nothing. What is not made, or is marked, is
read from the spans: an answer never depends on how far the keeping came.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from vs_tui.metrics.buckets import Bucket, Buckets, Stretch, joined
from vs_tui.model.time import Instant
from vs_tui.store import rows
from vs_tui.store.metrics_marks import FINEST

ROWS_AT_ONCE: Final = 300
"""Spans that are read, about, before deliveries have their turn."""

BUCKETS: Final = Buckets((FINEST, 36, 38, 40, 42, 44))
"""4.8 and 19 hours, 3.2, 12.7, 51 and 204 days."""

Parts = Mapping[str, bytes]


@dataclass(frozen=True)
class Tree:
    """Buckets of one kind of span."""

    name: str
    first: str
    """SQL of the first moment from a given one on that a span lies at."""
    read: Callable[[sqlite3.Connection, Instant, Instant], tuple[int, Parts]]
    """How many spans lie in a stretch, and their columns; none without spans."""
    merge: Callable[[Iterable[Parts]], Parts]
    """The columns of a bucket that is made of these."""

    def cover(
        self, db: sqlite3.Connection, stretches: Iterable[Stretch]
    ) -> list[tuple[list[Bucket], list[Stretch]]]:
        """For each stretch the buckets that can be read, and the times that are left over."""
        kept_until = _kept_until(db, self.name)
        sql = "SELECT level, n FROM report_stale WHERE tree = ?"
        broken = BUCKETS.with_parents(db.execute(sql, (self.name,)))
        return [BUCKETS.cover(stretch, kept_until, broken) for stretch in stretches]

    def parts(
        self, db: sqlite3.Connection, part: str, buckets: Iterable[Bucket]
    ) -> Iterator[tuple[Bucket, bytes]]:
        """One part of the columns of these buckets, in any order; nothing where a bucket holds no
        spans."""
        levels: dict[int, list[int]] = {}
        for level, n in buckets:
            levels.setdefault(level, []).append(n)
        for level, numbers in levels.items():
            sql = (
                "SELECT n, data FROM report_pages WHERE tree = ? AND level = ? AND part = ? "
                "AND n IN (SELECT value FROM json_each(?))"
            )
            bound = (self.name, level, part, rows.as_json(numbers))
            for n, data in db.execute(sql, bound):
                yield (level, n), data


def _kept_until(db: sqlite3.Connection, tree: str) -> Instant:
    row = db.execute("SELECT kept_until FROM report_trees WHERE tree = ?", (tree,)).fetchone()
    return int(row[0]) if row else 0


def unkept(db: sqlite3.Connection, tree: str, stretch: Stretch) -> list[Stretch]:
    """What of a stretch is not kept as it is now, in the finest buckets."""
    since, until = stretch
    low, high = since >> BUCKETS.shifts[0], until >> BUCKETS.shifts[0]
    sql = "SELECT level, n FROM report_stale WHERE tree = ? AND level = 0 AND n BETWEEN ? AND ?"
    found = [BUCKETS.stretch(bucket) for bucket in db.execute(sql, (tree, low, high))]
    found.append((_kept_until(db, tree), until))
    clipped = [(max(a, since), min(b, until)) for a, b in found]
    return list(joined((a, b) for a, b in clipped if a < b))


@contextmanager
def one_moment(db: sqlite3.Connection) -> Iterator[None]:
    """What is read within is the state of one moment, however many statements it takes."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


def keep(db: sqlite3.Connection, tree: Tree, now: Instant) -> bool:
    """Make some buckets that are marked or that are over; whether there is more to do. In the
    caller's transaction."""
    left = ROWS_AT_ONCE
    while left > 0:
        sql = "SELECT level, n FROM report_stale WHERE tree = ? ORDER BY level, n LIMIT 1"
        stale = db.execute(sql, (tree.name,)).fetchone()
        if stale is not None:
            left -= _make(db, tree, stale)
        elif not _extend(db, tree, now):
            return False
    return True


def _make(db: sqlite3.Connection, tree: Tree, bucket: Bucket) -> int:
    """Make a bucket's columns; how many spans it cost to read, about."""
    level, n = bucket
    since, until = BUCKETS.stretch(bucket)
    cost = ROWS_AT_ONCE  # a large one is a turn of its own
    parts: Parts = {}
    if level == 0:
        cost, parts = tree.read(db, since, until)
    elif below := _whole(db, tree, BUCKETS.children(bucket)):
        parts = tree.merge(below)
    of = (tree.name, level, n)
    db.execute("DELETE FROM report_pages WHERE tree = ? AND level = ? AND n = ?", of)
    db.executemany(
        "INSERT INTO report_pages (tree, level, n, part, data) VALUES (?, ?, ?, ?, ?)",
        [(*of, part, data) for part, data in parts.items()],
    )
    db.execute("DELETE FROM report_stale WHERE tree = ? AND level = ? AND n = ?", of)
    parent = BUCKETS.parent(bucket)
    if parent is not None and BUCKETS.stretch(parent)[1] <= _kept_until(db, tree.name):
        _mark(db, tree, parent)
    return cost


def _whole(db: sqlite3.Connection, tree: Tree, buckets: Sequence[Bucket]) -> list[Parts]:
    """All parts of each of these buckets that hold anything; all of one level."""
    sql = (
        "SELECT n, part, data FROM report_pages WHERE tree = ? AND level = ? "
        "AND n BETWEEN ? AND ? ORDER BY n"
    )
    (level, first), (_, last) = buckets[0], buckets[-1]
    found: dict[int, dict[str, bytes]] = {}
    for n, part, data in db.execute(sql, (tree.name, level, first, last)):
        found.setdefault(n, {})[part] = data
    return list(found.values())


def _extend(db: sqlite3.Connection, tree: Tree, now: Instant) -> bool:
    """Go on to the next bucket that is over and holds spans; False when there is none."""
    shift = BUCKETS.shifts[0]
    # A bucket that is just over is likely to be told of for a while.
    over = ((now >> shift) - 1) << shift
    kept = _kept_until(db, tree.name)
    first = db.execute(tree.first, (kept,)).fetchone()[0]
    if first is None or first >= over:
        return False
    n = first >> shift
    db.execute("INSERT OR REPLACE INTO report_trees VALUES (?, ?)", (tree.name, (n + 1) << shift))
    for level in range(1, len(BUCKETS.shifts)):
        # The last bucket before may have been passed over with nothing more in it.
        before = (level, max(kept - 1, 0) >> BUCKETS.shifts[level])
        if kept < BUCKETS.stretch(before)[1] <= (n + 1) << shift:
            _mark(db, tree, before)
    _mark(db, tree, (0, n))
    return True


def _mark(db: sqlite3.Connection, tree: Tree, bucket: Bucket) -> None:
    db.execute("INSERT OR IGNORE INTO report_stale VALUES (?, ?, ?)", (tree.name, *bucket))
