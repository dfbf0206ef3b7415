"""Pull requests that are over as columns a bucket of time, and the figures a period out of them."""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from itertools import chain, pairwise
from math import fsum, isnan, nan
from typing import Any, Final

from vs_tui.metrics.columns import column_of
from vs_tui.metrics.pull_requests import PeriodFigures, PullRequest, hours
from vs_tui.metrics.statistics import median, percentile
from vs_tui.metrics.windows import MONDAY, Window, day_of, day_start, period_start
from vs_tui.model.time import MINUTE, Instant, to_datetime

PLACES, CREATED, MERGED, VALUES = "places", "created", "merged", "values"
PARTS: Final = (PLACES, CREATED, MERGED, VALUES)
Parts = Mapping[str, bytes]
_Sum = Callable[[Iterable[float]], float]
Record = tuple[Instant, bool, tuple[float, ...]]
"""(created, merged, values in the order of _NAMES); a value that is not known is not a number."""
_NAMES: Final = ("duration", "lines", "per_line", "comments", "per_comment")
_MEANS: Final[Mapping[str, _Sum]] = {
    "lines": sum,
    "per_line": fsum,
    "per_comment": fsum,
    "comments": sum,
}
"""Values whose means are figures, in the order of these; whole numbers add up in any order."""
_WATCHED: Final = 3 * 60
"""Minutes after midnight in which a clock may be put back to the day before."""


def record_of(pull_request: PullRequest, now: Instant) -> Record:
    """Of one that is open, the values are those of `now`."""
    duration = pull_request.duration(now)
    values = (
        duration,
        pull_request.total_changes,
        pull_request.duration_per_line(now),
        pull_request.comments,
        pull_request.duration_per_comment(now),
    )
    known = tuple(nan if value is None else float(value) for value in values)
    return pull_request.created_at, pull_request.merged, known


def encode(records: Mapping[int, Sequence[Record]]) -> dict[str, bytes]:
    """The parts of a bucket of these records by the number of their place."""
    places = sorted(records)
    ordered = [sorted(records[place], key=lambda record: record[0]) for place in places]
    found = list(chain.from_iterable(ordered))
    return {
        PLACES: array("I", [*places, *map(len, ordered)]).tobytes(),
        CREATED: array("q", [created for created, _, _ in found]).tobytes(),
        MERGED: bytes(merged for _, merged, _ in found),
        VALUES: array(
            "d", chain.from_iterable(zip(*(v for *_, v in found), strict=True))
        ).tobytes(),
    }


def merge(buckets: Iterable[Parts]) -> dict[str, bytes]:
    """The parts of a bucket that is made of these, at least one, in time order."""
    records: dict[int, list[Record]] = {}
    for parts in buckets:
        columns = Columns(parts)
        for place, start, stop in columns.runs():
            records.setdefault(place, []).extend(
                zip(
                    columns.created[start:stop],
                    map(bool, columns.merged[start:stop]),
                    zip(*(values[start:stop] for values in columns.values.values()), strict=True),
                    strict=True,
                )
            )
    return encode(records)


class Columns:
    """A bucket's parts, read."""

    def __init__(self, parts: Parts) -> None:
        numbers = column_of("I", parts[PLACES])
        middle = len(numbers) // 2
        self._places, self._counts = numbers[:middle], numbers[middle:]
        self.created = column_of("q", parts[CREATED])
        self.merged = parts[MERGED]
        n, found = len(self.merged), column_of("d", parts[VALUES])
        self.values = {name: found[k * n : (k + 1) * n] for k, name in enumerate(_NAMES)}
        unknown = array("d", [nan]) * n
        self.unknown = {k for k, v in self.values.items() if v.tobytes() == unknown.tobytes()}
        """Names of values that are known of none of its records."""

    def runs(self) -> Iterable[tuple[int, int, int]]:
        """(place, from, to): the records of each place, in the order of their creation."""
        stop = 0
        for place, count in zip(self._places, self._counts, strict=True):
            start, stop = stop, stop + count
            yield place, start, stop


@dataclass(frozen=True, slots=True)
class Periods:
    """The days, weeks or months of a window."""

    first_days: Sequence[date]
    starts: Sequence[Instant]
    """When each of them begins."""


def periods_of(window: Window, period: str, week_start: int = MONDAY) -> Periods | None:
    """None where a clock is put back over midnight, so that a day does not come in one piece."""
    day = period_start(day_of(window.since, window.zone), period, week_start)
    days, starts = [day], [day_start(day, window.zone)]
    while True:
        after = _next(day, period)
        begin = day_start(after, window.zone)
        if begin >= window.until:
            break
        if _is_torn(begin, after, window.zone):
            return None
        day = after
        days.append(day)
        starts.append(begin)
    return None if _is_torn(starts[0], days[0], window.zone) else Periods(days, starts)


def _next(day: date, period: str) -> date:
    if period == "month":
        return (day.replace(day=28) + timedelta(4)).replace(day=1)
    return day + timedelta(7 if period == "week" else 1)


def _is_torn(begin: Instant, day: date, zone: tzinfo) -> bool:
    """Whether it is the day before once more after a day has begun."""
    offsets = {
        to_datetime(at).astimezone(zone).utcoffset() for at in (begin, begin + _WATCHED * MINUTE)
    }
    return len(offsets) > 1 and any(
        day_of(begin + n * MINUTE, zone) < day for n in range(0, _WATCHED, 15)
    )


_Slice = tuple[Columns, int, int]
_MANY: Final = 64
"""A sorted list so many times as long as what is added takes it value by value; a shorter one is
sorted again."""


def period_figures(
    buckets: Iterable[Columns],
    repos: Mapping[int, tuple[str, str]],
    periods: Periods,
) -> list[PeriodFigures]:
    """As `aggregate` of the records whose place is one of `repos` (owner and repository), all of
    which were created in the periods."""
    by_repo: dict[tuple[str, str], list[_Slice]] = {}
    for columns in buckets:
        for place, start, stop in columns.runs():
            if place in repos:
                by_repo.setdefault(repos[place], []).append((columns, start, stop))
    found: list[list[PeriodFigures]] = [[] for _ in periods.starts]
    for (owner, repo), slices in sorted(by_repo.items()):
        records = _Records(slices)
        measured = list(zip(records.measured, _MEANS.values(), strict=True))
        running: list[float] = []
        for number, start, stop in _cut(records.created, periods.starts):
            durations = records.durations[start:stop]
            _put(running, durations)
            lines, per_line, per_comment, comments = [
                _mean(values, add, start, stop) for values, add in measured
            ]
            total = stop - start
            merged = records.merged.count(1, start, stop)
            found[number].append(
                PeriodFigures(
                    period=periods.first_days[number],
                    owner=owner,
                    repo=repo,
                    total=total,
                    merged=merged,
                    merge_ratio=merged / total,
                    lines=lines,
                    hours=hours(sum(durations) / total),
                    seconds_per_line=per_line,
                    seconds_per_comment=per_comment,
                    comments=comments,
                    running_p50=hours(median(running)),
                    running_p95=hours(percentile(running, 95)),
                    running_p99=hours(percentile(running, 99)),
                )
            )
    return list(chain.from_iterable(found))


class _Records:
    """Parts of some buckets as one, in the order of their creation."""

    def __init__(self, slices: list[_Slice]) -> None:
        slices.sort(key=lambda part: part[0].created[part[1]])
        self.created = array("q")
        self.merged = b"".join([of.merged[start:stop] for of, start, stop in slices])
        self.durations = array("d")
        for of, start, stop in slices:
            self.created += of.created[start:stop]
            self.durations += of.values["duration"][start:stop]
        self.measured = [self._values(slices, name) for name in _MEANS]
        """In the order of the figures; None where it is known of none."""
        ends = [(of.created[start], of.created[stop - 1]) for of, start, stop in slices]
        if any(last > first for (_, last), (first, _) in pairwise(ends)):
            self._sort()

    @staticmethod
    def _values(slices: Sequence[_Slice], name: str) -> Any:
        if all(name in of.unknown for of, _, _ in slices):
            return None
        found = array("d")
        for of, start, stop in slices:
            found += of.values[name][start:stop]
        return found

    def _sort(self) -> None:
        order = sorted(range(len(self.created)), key=self.created.__getitem__)
        self.created = array("q", [self.created[n] for n in order])
        self.merged = bytes([self.merged[n] for n in order])
        self.durations = array("d", [self.durations[n] for n in order])
        self.measured = [
            None if values is None else array("d", [values[n] for n in order])
            for values in self.measured
        ]


def _cut(created: Sequence[Instant], starts: Sequence[Instant]) -> Iterator[tuple[int, int, int]]:
    """(period, from, to) for each period that some of these records were created in."""
    edges = [bisect_left(created, start) for start in starts]
    for number, (start, stop) in enumerate(pairwise((*edges, len(created)))):
        if start < stop:
            yield number, start, stop


def _put(ordered: list[float], values: Sequence[float]) -> None:
    """Into a sorted list."""
    if len(values) * _MANY < len(ordered):
        for value in values:
            insort(ordered, value)
    else:
        ordered += values
        ordered.sort()


def _mean(column: Sequence[float] | None, add: _Sum, start: int, stop: int) -> float | None:
    """Of what is known in a part of a column."""
    if column is None:
        return None
    values = column[start:stop]
    total = add(values)
    if isnan(total):
        values = [value for value in values if not isnan(value)]
        total = add(values)
    return total / len(values) if values else None
