"""Records as columns in time order, cut into pages: a window is a few slices, whatever its length.

Durations are kept a second time as sorted runs, so that a median over many pages sorts nothing.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any, Final

from vs_tui.metrics.statistics import Runs
from vs_tui.model.time import Instant

UNKNOWN: Final = -1
"""An instant, a duration or a number that is not known, or not over yet."""
FULL: Final = 512
"""Records in a page that is not to grow any more."""
Record = tuple[int, ...]
"""The values of a shape's columns: its id, its instant, and the others in their order."""


def column_of(code: str, data: bytes | memoryview) -> Any:
    """The numbers that were stored as these bytes; `code` is `array`'s for their type."""
    found = array(code)
    found.frombytes(data)
    return found


@dataclass(frozen=True)
class Shape:
    """Which columns a kind of record has. All begin with `id` and `at`, the instant that they are
    in the order of."""

    numbers: tuple[str, ...] = ()
    durations: tuple[str, ...] = ()
    """Microseconds or UNKNOWN; also kept as sorted runs. Floats, because Python sorts them in two
    thirds of the time; they are exact for 285 years."""
    flags: tuple[str, ...] = ()
    """Numbers below 256."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        return ("id", "at", *self.numbers, *self.durations, *self.flags)

    @cached_property
    def position(self) -> Mapping[str, int]:
        """Of a column by its name."""
        return {name: number for number, name in enumerate(self.names)}

    @cached_property
    def codes(self) -> str:
        """A type code a column, then one a sorted run."""
        long, real, byte = len(self.numbers) + 2, len(self.durations), len(self.flags)
        return "q" * long + "d" * real + "B" * byte + "d" * real

    @cached_property
    def offsets(self) -> Sequence[int]:
        """Bytes a record takes in the columns (and runs) before each one, and in all."""
        return list(accumulate((array(code).itemsize for code in self.codes), initial=0))


class Page:
    """Records that follow one another in time; what a page holds never changes. A column is read
    when it is asked for: a window needs few of them."""

    __slots__ = ("_data", "_read", "n", "shape")

    def __init__(self, shape: Shape, n: int, data: bytes) -> None:
        """`data` is what `encoded` gave."""
        self.shape = shape
        self.n = n
        self._data = data
        self._read: dict[int, Any] = {}

    @classmethod
    def of(cls, shape: Shape, records: Iterable[Record]) -> Page:
        """A page of records in any order; at least one."""
        ordered = sorted(records, key=lambda record: record[1])
        columns = list(zip(*ordered, strict=True))
        first = 2 + len(shape.numbers)
        runs = [sorted(column) for column in columns[first : first + len(shape.durations)]]
        typed = zip(shape.codes, (*columns, *runs), strict=True)
        return cls(shape, len(ordered), b"".join([array(*column).tobytes() for column in typed]))

    def encoded(self) -> bytes:
        return self._data

    def column(self, name: str) -> Any:
        """An array in time order."""
        return self._array(self.shape.position[name])

    def run(self, name: str) -> Any:
        """A duration's values in their own order; UNKNOWN ones lead."""
        return self._array(len(self.shape.names) + self.shape.durations.index(name))

    def _array(self, position: int) -> Any:
        found = self._read.get(position)
        if found is None:
            found = column_of(self.shape.codes[position], self.stored(position))
            self._read[position] = found
        return found

    def stored(self, position: int) -> memoryview:
        """The bytes of a column or run."""
        offsets = self.shape.offsets
        return memoryview(self._data)[self.n * offsets[position] : self.n * offsets[position + 1]]

    @property
    def first(self) -> Instant:
        found: Instant = self.column("at")[0]
        return found

    @property
    def last(self) -> Instant:
        found: Instant = self.column("at")[-1]
        return found

    def records(self) -> Iterator[Record]:
        return zip(*map(self.column, self.shape.names), strict=True)

    def without(self, ids: Collection[int]) -> list[Record]:
        """The records that are not of these ids."""
        return [record for record in self.records() if record[0] not in ids]


def pages_of(shape: Shape, records: Iterable[Record]) -> list[Page]:
    """Pages of records in any order, full ones first; those of one instant are never parted."""
    ordered = sorted(records, key=lambda record: record[1])
    found, start = [], 0
    while start < len(ordered):
        stop = min(start + FULL, len(ordered))
        while stop < len(ordered) and ordered[stop][1] == ordered[stop - 1][1]:
            stop += 1
        found.append(Page.of(shape, ordered[start:stop]))
        start = stop
    return found


@dataclass(slots=True)
class Strand:
    """The pages of one group's records, in time order."""

    shape: Shape
    pages: Sequence[Page] = ()
    _joined: dict[str, Any] = field(default_factory=dict)
    _offsets: Sequence[int] = ()
    """How many records lie before each page, and in all."""

    def column(self, name: str) -> Any:
        """All values of a column in time order."""
        found = self._joined.get(name)
        if found is None:
            position = self.shape.position[name]
            found = b"".join([page.stored(position) for page in self.pages])
            if name not in self.shape.flags:  # bytes count in C
                found = column_of(self.shape.codes[position], found)
            self._joined[name] = found
        return found

    def with_flags(self, name: str, values: bytes) -> Strand:
        """The same with other values of a flag."""
        return Strand(self.shape, self.pages, {**self._joined, name: values})

    def between(self, since: Instant, until: Instant) -> tuple[int, int]:
        """Which part of the columns lies in `[since, until)`."""
        at = self.column("at")
        start = bisect_left(at, since)
        return start, bisect_left(at, until, start)

    def spread(self, name: str, since: Instant, until: Instant) -> Runs:
        """The known values of a duration in `[since, until)`."""
        runs, loose = [], array("d")
        for page, start, stop in self._parts(since, until):
            if stop - start == page.n:
                runs.append(_known(page.run(name)))
            else:
                loose += page.column(name)[start:stop]
        return Runs([*runs, _known(sorted(loose))])

    def greatest(self, name: str, n: int, since: Instant, until: Instant) -> Iterator[int]:
        """The ids of the records in `[since, until)` with the n greatest values of a duration, and
        of those that equal the least of them; all of them, where there are fewer."""
        least = self.spread(name, since, until).greatest(n)
        for page, start, stop in self._parts(since, until):
            run = page.run(name)
            ids, values = page.column("id"), page.column(name)
            place = -1
            for k in range(0 if least is None else bisect_left(run, least), page.n):
                place = values.index(run[k], place + 1 if k and run[k - 1] == run[k] else 0)
                if start <= place < stop:
                    yield ids[place]

    def _parts(self, since: Instant, until: Instant) -> Iterator[tuple[Page, int, int]]:
        """The pages around `[since, until)`, and which part of each lies in it."""
        start, stop = self.between(since, until)
        if not self._offsets:
            self._offsets = list(accumulate([page.n for page in self.pages], initial=0))
        offsets = self._offsets
        for number in range(bisect_right(offsets, start) - 1, bisect_left(offsets, stop)):
            page, offset = self.pages[number], offsets[number]
            yield page, max(start - offset, 0), min(stop - offset, page.n)


def _known(ordered: Sequence[float]) -> Sequence[float]:
    unknown = bisect_right(ordered, UNKNOWN)
    return ordered[unknown:] if unknown else ordered
