"""Time windows, their days in a time zone, and the buckets of a trend.

A day has 23, 24 or 25 hours, depending on the time zone, and always counts as one day.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property, lru_cache
from itertools import pairwise
from math import fsum
from typing import Final
from zoneinfo import ZoneInfo

from vs_tui.model.time import (
    DAY,
    SECOND,
    Instant,
    from_datetime,
    parse_duration,
    parse_instant,
    to_datetime,
)

MAX_BUCKETS: Final = 60
SHORT_BUCKETS: Final = 12
WEEKEND: Final = frozenset({5, 6})
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d\Z")
_EPOCH: Final = 9
"""Fewest digits of a time in seconds; a shorter number is rejected because it has no unit."""
PERIODS: Final = ("week", "month")
"""Periods into which a report can be divided."""
BUCKETS: Final = ("day", *PERIODS)
"""Buckets into which a trend can be divided."""
MONDAY: Final = 0
SUNDAY: Final = 6


def zone_of(name: str) -> tzinfo:
    """The time zone of an IANA name; UTC for an empty name. ValueError says what is accepted."""
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"'{name}' is not a time zone; write an IANA name such as Europe/Berlin or UTC"
        ) from None


@lru_cache(maxsize=20_000)
def day_start(day: date, zone: tzinfo) -> Instant:
    """When a day begins: its first local moment that exists."""
    return from_datetime(datetime.combine(day, time.min, zone))


def day_of(instant: Instant, zone: tzinfo) -> date:
    """The day of an instant."""
    return datetime.fromtimestamp(instant // SECOND, zone).date()


@dataclass(frozen=True)
class Window:
    """`[since, until)` as seen at `now`, with days of `zone`."""

    since: Instant
    until: Instant
    now: Instant
    zone: tzinfo = UTC
    wanted: str = ""
    """The bucket of its trend, one of BUCKETS; empty: chosen by its length."""

    @property
    def since_text(self) -> str:
        """The day on which it begins."""
        return day_of(self.since, self.zone).isoformat()

    @property
    def end(self) -> Instant:
        """The end of its elapsed part."""
        return max(min(self.until, self.now), self.since)

    def __contains__(self, instant: Instant) -> bool:
        return self.since <= instant < self.until

    @cached_property
    def previous(self) -> Window:
        """The period before, with the same number of days; for an unfinished window, with the
        number of elapsed days."""
        first, last = day_of(self.since, self.zone), day_of(self.end, self.zone)
        if day_start(first, self.zone) == self.since and day_start(last, self.zone) == self.end:
            before = first - (last - first)
            return Window(day_start(before, self.zone), self.since, self.since, self.zone)
        return Window(self.since - (self.end - self.since), self.since, self.since, self.zone)

    def since_day(self, first: Instant | None) -> Window:
        """The part of the window from the start of an instant's day; all of it for None."""
        begin = max(day_start(day_of(first or self.since, self.zone), self.zone), self.since)
        return replace(self, since=min(begin, self.end))

    @cached_property
    def days(self) -> tuple[date, ...]:
        """The days of the window that have begun."""
        if self.end <= self.since:
            return ()
        first, last = day_of(self.since, self.zone), day_of(self.end - 1, self.zone)
        return tuple(first + timedelta(n) for n in range((last - first).days + 1))

    @cached_property
    def length(self) -> float:
        """Elapsed days: a whole day counts 1 however many hours it has, a partial day counts its
        share."""
        return fsum(
            (min(after, self.end) - max(begin, self.since)) / (after - begin)
            for begin, after in pairwise(self._day_starts)
        )

    @cached_property
    def bucket_starts(self) -> tuple[Instant, ...]:
        """The start of each bucket of the trend: days, or calendar weeks or months in a longer
        window, or equal parts of a window of at most one day."""
        if self.length <= 1 and not self.wanted:
            parts = SHORT_BUCKETS if self.end > self.since else 0
            return tuple(self.since + (self.end - self.since) * n // parts for n in range(parts))
        firsts = [day for day in self.days if period_start(day, self.bucket) == day]
        if not self.wanted:
            firsts = firsts[:: -(-len(firsts) // MAX_BUCKETS) or 1]
        starts = [day_start(day, self.zone) for day in firsts]
        return (self.since, *(start for start in starts if start > self.since))

    @cached_property
    def bucket(self) -> str:
        """The bucket of the trend: the wanted one, or else `day`, or `week` or `month` if days
        would be more than MAX_BUCKETS."""
        if self.wanted:
            return self.wanted
        days = len(self.days)
        return "day" if days <= MAX_BUCKETS else "week" if days < MAX_BUCKETS * 7 else "month"

    @cached_property
    def _day_starts(self) -> tuple[Instant, ...]:
        """The start of each day, and the end of the last one."""
        if not self.days:
            return ()
        after = self.days[-1] + timedelta(1)
        return tuple(day_start(day, self.zone) for day in (*self.days, after))

    def day_slices(self, instants: Sequence[Instant]) -> Iterator[tuple[date, int, int]]:
        """Each day with the start and stop index of its part of sorted instants; only instants in
        the window count."""
        inside = (min(max(at, self.since), self.until) for at in self._day_starts)
        edges = [bisect_left(instants, at) for at in inside]
        return zip(self.days, edges, edges[1:], strict=False)


def window_of(since: str, until: str, now: Instant, zone: tzinfo) -> Window:
    """Parse a window from `7d`, `12h`, `2026-03-02`, an RFC 3339 time, `today` or `now`.

    Durations count back from the end. Whole days count back to the same time of day in the zone.
    ValueError says what is accepted.
    """
    end = now if until in ("", "now") else _moment(until, now, now, zone)
    start = _moment(since or "30d", end, now, zone)
    if start >= end:
        raise ValueError(f"the window from {since} to {until or 'now'} is empty; put --since first")
    return Window(start, end, now, zone)


def _moment(text: str, end: Instant, now: Instant, zone: tzinfo) -> Instant:
    if text == "now":
        return now
    if text == "today":
        return day_start(day_of(now, zone), zone)
    if _DATE.match(text):
        try:
            return day_start(date.fromisoformat(text), zone)
        except ValueError:
            raise ValueError(f"'{text}' is not a day; write it like 2026-03-02") from None
    is_bare = text.isdigit() and len(text) < _EPOCH
    try:
        length = parse_duration("" if is_bare else text)
    except ValueError:
        instant = None if is_bare else parse_instant(text)
        if instant is None:
            raise ValueError(
                f"'{text}' is not a time; write 7d, 12h, 2026-03-02, 2026-03-02T10:00:00Z or today"
            ) from None
        return instant
    local = to_datetime(end).astimezone(zone)
    if length % DAY == 0:
        # Seven days ago is the same time of the day, also across a change of the clocks.
        return from_datetime(local - timedelta(days=length // DAY))
    return end - length


def periods_of(window: Window, period: str) -> list[Window]:
    """The calendar weeks (from Monday) or months of the elapsed part of a window; the first and the
    last may be partial. ValueError says what is accepted."""
    if period not in PERIODS:
        raise ValueError(f"'{period}' is not a period; use one of {', '.join(PERIODS)}")
    starts = replace(window, wanted=period).bucket_starts
    edges = pairwise((*starts, window.end))
    return [Window(begin, end, window.now, window.zone) for begin, end in edges if begin < end]


def period_start(day: date, period: str, week_start: int = MONDAY) -> date:
    """The first day of the day, week or month that contains a day."""
    if period == "month":
        return day.replace(day=1)
    if period == "week":
        return day - timedelta((day.weekday() - week_start) % 7)
    return day
