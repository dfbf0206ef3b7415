"""The columns of every group in pages: a window of any length and grouping is a few blobs to read,
and a record more is a small page to write."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Final

from vs_tui.metrics.columns import FULL, Page, Record, Shape, Strand, pages_of
from vs_tui.metrics.ledger import (
    BEGUN,
    CHANGES,
    DEPLOYMENTS,
    EPISODES,
    MERGES,
    STAGE_TIMES,
    TICKETS,
    Group,
)
from vs_tui.model.time import Instant

OPEN: Final = 64
"""The newest page of a strand takes so many records before they go to the page before it, so that
one more deployment does not write a full page again."""
SHAPES: Final[Mapping[str, Shape]] = {
    "deployments": DEPLOYMENTS,
    "begun": BEGUN,
    "changes": CHANGES,
    "stages": STAGE_TIMES,
    "episodes": EPISODES,
    "merges": MERGES,
    "tickets": TICKETS,
}

Records = dict[tuple[Group, str], dict[int, tuple[Record, ...]]]
"""(group, kind) -> id -> the records it has there."""


def _changed(
    before: Records, after: Records
) -> Iterable[tuple[Group, str, set[int], list[Record]]]:
    """(group, kind, records of which ids go, which come), where anything differs."""
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name, {}), after.get(name, {})
        if old != new:
            group, kind = name
            gone = {id_ for id_, records in old.items() if new.get(id_) != records}
            come = [r for id_, records in new.items() if old.get(id_) != records for r in records]
            yield group, kind, gone, come


def apply(db: sqlite3.Connection, before: Records, after: Records) -> None:
    """Bring the pages from one state of some records to another."""
    for group, kind, gone, come in _changed(before, after):
        writer = _Writer(db, _strand(db, group), kind)
        old = before.get((group, kind), {})
        writer.remove({record[1] for id_ in gone for record in old[id_]}, gone)
        writer.add(come)


def _strand(db: sqlite3.Connection, group: Group) -> int:
    sql = "SELECT id FROM dora_strands WHERE level = ? AND team = ? AND name = ?"
    row = db.execute(sql, group).fetchone()
    if row is None:
        sql = "INSERT INTO dora_strands (level, team, name) VALUES (?, ?, ?) RETURNING id"
        row = db.execute(sql, group).fetchone()
    return int(row[0])


_Where = tuple[int, int]
"""(row, how many records)."""


class _Writer:
    """Changes the pages of one strand and kind."""

    def __init__(self, db: sqlite3.Connection, strand: int, kind: str) -> None:
        self._db = db
        self._strand = strand
        self._kind = kind
        self._shape = SHAPES[kind]

    def remove(self, moments: Iterable[Instant], ids: set[int]) -> None:
        """Take out the records of some ids, which lie at these moments."""
        rows = {found[0] for at in moments if (found := self._page_of(at)) is not None}
        for row in rows:
            self._replace([row], self._load(row).without(ids))

    def add(self, records: Iterable[Record]) -> None:
        """Put records in; each goes to the page around it, new ones to the newest page."""
        inside: dict[int, list[Record]] = {}
        behind = []
        newest = self._newest(1)
        end = self._load(newest[0][0]).last if newest else -1
        for record in records:
            if record[1] > end:
                behind.append(record)
            else:
                found = self._page_of(record[1])
                assert found is not None
                inside.setdefault(found[0], []).append(record)
        for row, added in inside.items():
            self._replace([row], [*self._load(row).records(), *added])
        if behind:
            self._append(behind)

    def _append(self, records: list[Record]) -> None:
        newest = self._newest(1)
        if newest and newest[0][1] < OPEN:
            row = newest[0][0]
            self._replace([row], [*self._load(row).records(), *records])
        else:
            self._replace([], records)
        last = self._newest(2)
        if len(last) == 2 and last[0][1] >= OPEN and last[0][1] + last[1][1] <= FULL:
            merged = [*self._load(last[1][0]).records(), *self._load(last[0][0]).records()]
            self._replace([last[0][0], last[1][0]], merged)

    def _newest(self, n: int) -> list[_Where]:
        sql = "SELECT id, n FROM dora_pages WHERE strand = ? AND kind = ? ORDER BY lo DESC LIMIT ?"
        return self._db.execute(sql, (self._strand, self._kind, n)).fetchall()

    def _page_of(self, at: Instant) -> _Where | None:
        """The page that holds, or should hold, what is at a moment: the last one that begins by
        then, else the first of all. Records of one moment are never in two pages."""
        of = "SELECT id, n FROM dora_pages WHERE strand = ? AND kind = ?"
        bound = (self._strand, self._kind)
        found: _Where | None = self._db.execute(
            f"{of} AND lo <= ? ORDER BY lo DESC LIMIT 1", (*bound, at)
        ).fetchone()
        return found or self._db.execute(f"{of} ORDER BY lo LIMIT 1", bound).fetchone()

    def _load(self, row: int) -> Page:
        sql = "SELECT n, data FROM dora_pages WHERE id = ?"
        return Page(self._shape, *self._db.execute(sql, (row,)).fetchone())

    def _replace(self, rows: Iterable[int], records: Iterable[Record]) -> None:
        for row in rows:
            self._db.execute("DELETE FROM dora_pages WHERE id = ?", (row,))
        self._db.executemany(
            "INSERT INTO dora_pages (strand, kind, lo, hi, n, data) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (self._strand, self._kind, page.first, page.last, page.n, page.encoded())
                for page in pages_of(self._shape, records)
            ],
        )


def read_strands(
    db: sqlite3.Connection, level: str, team: str, kind: str, since: Instant, until: Instant
) -> dict[str, Strand]:
    """Name -> the pages that have something in `[since, until)`."""
    sql = (
        "SELECT s.name, p.n, p.data FROM dora_strands s CROSS JOIN dora_pages p "
        "ON p.strand = s.id AND p.kind = ? AND p.lo < ? AND p.hi >= ? "
        "WHERE s.level = ? AND s.team = ? ORDER BY s.name, p.lo"
    )
    shape = SHAPES[kind]
    found = db.execute(sql, (kind, until, since, level, team))
    return {
        name: Strand(shape, [Page(shape, n, data) for _, n, data in pages])
        for name, pages in groupby(found, itemgetter(0))
    }


def read_strand(
    db: sqlite3.Connection, group: Group, kind: str, since: Instant, until: Instant
) -> Strand:
    """The pages of one group that have something in `[since, until)`."""
    sql = (
        "SELECT p.n, p.data FROM dora_strands s CROSS JOIN dora_pages p "
        "ON p.strand = s.id AND p.kind = ? AND p.lo < ? AND p.hi >= ? "
        "WHERE s.level = ? AND s.team = ? AND s.name = ? ORDER BY p.lo"
    )
    shape = SHAPES[kind]
    found = db.execute(sql, (kind, until, since, *group))
    return Strand(shape, [Page(shape, n, data) for n, data in found])


def teams_of(db: sqlite3.Connection) -> list[str]:
    """The teams that have deployed."""
    sql = (
        "SELECT s.team FROM dora_strands s WHERE s.level = 'team' AND EXISTS (SELECT 1 "
        "FROM dora_pages p WHERE p.strand = s.id AND p.kind = 'deployments') ORDER BY s.team"
    )
    return [row[0] for row in db.execute(sql)]


def first_of(db: sqlite3.Connection, group: Group, kind: str = "deployments") -> Instant | None:
    """When a group's first record is; None without any."""
    sql = (
        "SELECT MIN(p.lo) FROM dora_strands s JOIN dora_pages p ON p.strand = s.id "
        "WHERE s.level = ? AND s.team = ? AND s.name = ? AND p.kind = ?"
    )
    found: Instant | None = db.execute(sql, (*group, kind)).fetchone()[0]
    return found


def count_each(
    db: sqlite3.Connection, level: str, team: str, kind: str, since: Instant, until: Instant
) -> dict[str, int]:
    """Name -> how many records lie in `[since, until)`, where there are any; only the pages at
    the ends of that time are read."""
    sql = (
        "SELECT s.name, p.n, CASE WHEN p.lo >= ?1 AND p.hi < ?2 THEN NULL ELSE p.data END "
        "FROM dora_strands s CROSS JOIN dora_pages p "
        "ON p.strand = s.id AND p.kind = ?3 AND p.lo < ?2 AND p.hi >= ?1 "
        "WHERE s.level = ?4 AND s.team = ?5"
    )
    shape = SHAPES[kind]
    found: Counter[str] = Counter()
    for name, n, data in db.execute(sql, (since, until, kind, level, team)):
        if data is not None:
            start, stop = Strand(shape, [Page(shape, n, data)]).between(since, until)
            found[name] += stop - start
        else:
            found[name] += n
    return {name: n for name, n in found.items() if n}


def clear(db: sqlite3.Connection) -> None:
    """Forget every page."""
    db.execute("DELETE FROM dora_pages")
    db.execute("DELETE FROM dora_strands")
