"""Time ranges as users write them: a length back from now, or from one day to another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

from vs_tui.model.time import DAY, HOUR, MINUTE, Duration, Instant, iso, parse_duration

PRESETS: Final = ("1h", "24h", "7d", "30d", "all")
"""Ranges that the picker lists."""
DEFAULT: Final = "7d"
METRICS_DEFAULT: Final = "30d"
"""Default range of delivery metrics, the same in every interface."""
ACCEPTED: Final = "12h, 90d, all, 2026-11-01.., 2026-11-01..2026-11-08 or 2026-11-01T08:30..09:15"
_LENGTHS: Final = {"1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_CLOCK: Final = re.compile(r"\d\d:\d\d(:\d\d)?")


@dataclass(frozen=True, slots=True)
class Range:
    """A time range; without length and beginning it means all time."""

    text: str
    """The range as written; shown and remembered."""
    length: Duration = 0
    """Length back from now."""
    since: Instant | None = None
    until: Instant | None = None
    """Exclusive end; None: open."""

    @property
    def terms(self) -> str:
        """The range in the filter language."""
        if self.length:
            return f"fresh<{self.text}"
        terms = [f"since:{iso(self.since)}"] if self.since is not None else []
        return " ".join([*terms, *([f"until:{iso(self.until)}"] if self.until else [])])

    def window(self, now: Instant) -> tuple[Instant | None, Instant]:
        """(beginning or None, end) of the range at the moment `now`."""
        end = now if self.until is None else min(self.until, now)
        return (now - self.length if self.length else self.since), end


def parse_range(text: str, now: Instant, zone: tzinfo | None) -> Range:
    """Parse a range. Days and times are in the user's time zone; an end day is included. ValueError
    says what is wrong and which forms are accepted."""
    compact = "".join(text.split()).lower()
    if compact in ("", "all"):
        return Range("all")
    if ".." not in compact:
        try:
            length = _LENGTHS.get(compact) or parse_duration(compact)
        except ValueError:
            raise ValueError(f"'{text.strip()}' is no time range; write {ACCEPTED}") from None
        if length < MINUTE:
            raise ValueError(f"'{text.strip()}' is too short; write {ACCEPTED}")
        return Range(compact, length)
    first, last = (part.strip().replace(" ", "T").upper() for part in text.split("..", 1))
    if not first:
        raise ValueError(f"the beginning is missing; write {ACCEPTED}")
    if _CLOCK.fullmatch(last) and _DAY.match(first):
        last = f"{first[:10]}T{last}"
    since = _instant(first, zone, end=False)
    until = _instant(last, zone, end=True) if last else None
    if since >= now:
        raise ValueError("it begins in the future; " + f"write {ACCEPTED}")
    if until is not None and until <= since:
        raise ValueError(f"it ends before it begins; write {ACCEPTED}")
    return Range(f"{first}..{last}", since=since, until=until)


def _instant(text: str, zone: tzinfo | None, *, end: bool) -> Instant:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text}' is no day and no time; write {ACCEPTED}") from None
    if _DAY.fullmatch(text) and end:
        found += timedelta(days=1)
    if found.tzinfo is None:
        # astimezone() takes a time without a zone as local time.
        found = found.replace(tzinfo=zone) if zone is not None else found.astimezone()
    return round(found.timestamp() * 1_000_000)
