"""Time cut into buckets of several sizes, the larger made of the smaller: any stretch of it is a
few large buckets, some small ones at its ends, and what is left over."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from vs_tui.model.time import Instant

Bucket = tuple[int, int]
"""(level, number); level 0 is the finest."""
Stretch = tuple[Instant, Instant]
"""`[since, until)`"""


@dataclass(frozen=True, slots=True)
class Buckets:
    """Bucket n of a level is `[n << shift, (n + 1) << shift)`: no zone, no calendar."""

    shifts: tuple[int, ...]
    """By level: the power of two of its microseconds."""

    def stretch(self, bucket: Bucket) -> Stretch:
        """When a bucket begins and ends."""
        level, n = bucket
        return n << self.shifts[level], (n + 1) << self.shifts[level]

    def parent(self, bucket: Bucket) -> Bucket | None:
        """The next larger one around it; None for the largest."""
        level, n = bucket
        if level + 1 == len(self.shifts):
            return None
        return level + 1, n >> (self.shifts[level + 1] - self.shifts[level])

    def children(self, bucket: Bucket) -> list[Bucket]:
        """The smaller ones that it is made of."""
        level, n = bucket
        step = self.shifts[level] - self.shifts[level - 1]
        return [(level - 1, child) for child in range(n << step, (n + 1) << step)]

    def with_parents(self, buckets: Iterable[Bucket]) -> set[Bucket]:
        """These and all around them."""
        found: set[Bucket] = set()
        for each in buckets:
            bucket: Bucket | None = each
            while bucket is not None and bucket not in found:
                found.add(bucket)
                bucket = self.parent(bucket)
        return found

    def cover(
        self, stretch: Stretch, kept_until: Instant, broken: Collection[Bucket]
    ) -> tuple[list[Bucket], list[Stretch]]:
        """The largest buckets that fill a stretch, and what they leave over, in time order.

        A bucket that ends after `kept_until` or is `broken` is not used.
        """
        since, until = stretch
        found: list[Bucket] = []
        left: list[Stretch] = []
        usable = min(until, kept_until)
        top = len(self.shifts) - 1
        shift = self.shifts[top]
        if since < usable:
            for n in range(since >> shift, ((usable - 1) >> shift) + 1):
                self._descend((top, n), (since, usable), broken, found, left)
        if until > max(since, kept_until):
            left.append((max(since, kept_until), until))
        return found, list(joined(left))

    def _descend(
        self,
        bucket: Bucket,
        wanted: Stretch,
        broken: Collection[Bucket],
        found: list[Bucket],
        left: list[Stretch],
    ) -> None:
        begin, end = self.stretch(bucket)
        since, until = wanted
        if end <= since or begin >= until:
            return
        if since <= begin and end <= until and bucket not in broken:
            found.append(bucket)
        elif bucket[0] == 0:
            left.append((max(begin, since), min(end, until)))
        else:
            for child in self.children(bucket):
                self._descend(child, wanted, broken, found, left)


def joined(stretches: Iterable[Stretch]) -> Iterator[Stretch]:
    """Stretches in time order, those that touch put together."""
    last: Stretch | None = None
    for since, until in sorted(stretches):
        if last is not None and since <= last[1]:
            last = (last[0], max(last[1], until))
            continue
        if last is not None:
            yield last
        last = (since, until)
    if last is not None:
        yield last
