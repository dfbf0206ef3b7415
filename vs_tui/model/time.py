"""Instants and durations: integers of microseconds, UTC, since 1970.

An integer sorts, subtracts, hashes and stores without surprises; time zones exist only
at the two edges, where payloads are read and where people look.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

Instant = int
"""Microseconds since 1970-01-01T00:00:00Z."""
Duration = int
"""Microseconds."""

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001
# Outside these years a "time" is a counter, a sentinel or an attack, not an event.
_MIN: Final = 0
_MAX: Final = int((datetime(2200, 1, 1, tzinfo=UTC) - _EPOCH) / timedelta(microseconds=1))

_LONGEST: Final = 40
# What most tools send; seconds below 60, so that a leap second goes the long way.
_PLAIN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d(?:\.\d{1,6})?Z", re.ASCII)
_FRACTION = re.compile(r"(\.\d{6})\d+")
_GITLAB = re.compile(r"^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?) ?(UTC|Z|[+-]\d\d:?\d\d)?$")
_SHORT_OFFSET = re.compile(r"([+-]\d\d)(\d\d)$")
_LEAP = re.compile(r"T\d\d:\d\d:(60)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|m|h|d|w)")
_UNITS: Final = {
    "us": 1,
    "ms": 1_000,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
    "d": DAY,
    "w": 7 * DAY,
}


def from_datetime(moment: datetime) -> Instant:
    """The instant of an aware datetime; a naive one is taken as UTC."""
    since = moment - (_NAIVE_EPOCH if moment.tzinfo is None else _EPOCH)
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def to_datetime(instant: Instant) -> datetime:
    """The UTC datetime of an instant."""
    return _EPOCH + timedelta(microseconds=instant)


def iso(instant: Instant | None) -> str | None:
    """RFC 3339 in UTC with a `Z`; fractions only where there are any."""
    if instant is None:
        return None
    text = to_datetime(instant).isoformat()
    return text.replace("+00:00", "Z")


def parse_instant(value: object) -> Instant | None:
    """Read any time format seen in the tools' payloads; None when it is not a time.

    RFC 3339 with 0 to 9 fraction digits, `+HH:MM`, `+HHMM` (Jira), `YYYY-MM-DD HH:MM:SS UTC`
    and `.. +0200` (GitLab), naive (taken as UTC), and epochs in s, ms, us or ns as number or
    digits. `0` and `0001-01-01T00:00:00Z` mean unset (Jenkins, Alertmanager).
    """
    if isinstance(value, str):
        # What is remembered must be short.
        return _from_text(value if len(value) <= _LONGEST else value.strip()[: _LONGEST + 1])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _from_number(value)


def _from_number(value: int | float) -> Instant | None:
    if not 0 < value <= 1e19:  # also refuses NaN
        return None
    # The magnitude tells the unit: 1e11 s is the year 5138, 1e11 ms is 1973.
    for limit, scale in ((1e11, SECOND), (1e14, 1_000), (1e17, 1)):
        if value < limit:
            return _bounded(int(value * scale))
    return _bounded(int(value) // 1_000)


@lru_cache(maxsize=8192)  # a payload says the same few times again and again
def _from_text(text: str) -> Instant | None:
    text = text.strip()
    if _PLAIN.fullmatch(text):
        return _from_iso(text[:-1])  # without its zone it is read in half the time
    if not text or len(text) > _LONGEST:
        return None
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return _from_number(float(text) if "." in text else int(text))
    if match := _GITLAB.match(text):
        day, clock, zone = match.groups()
        text = f"{day}T{clock}{'+00:00' if zone in (None, 'UTC', 'Z') else zone}"
    text = _FRACTION.sub(r"\1", text)
    text = _SHORT_OFFSET.sub(r"\1:\2", text) if "T" in text else text
    leap = _LEAP.search(text)
    if leap is not None:  # RFC 3339 allows a 61st second; our scale has none
        text = f"{text[: leap.start(1)]}59{text[leap.end(1) :]}"
    return _from_iso(text, SECOND if leap else 0)


def _from_iso(text: str, more: Duration = 0) -> Instant | None:
    try:
        return _bounded(from_datetime(datetime.fromisoformat(text)) + more)
    except (ValueError, OverflowError):
        return None


def _bounded(instant: Instant) -> Instant | None:
    return instant if _MIN < instant < _MAX else None


def parse_duration(text: str) -> Duration:
    """`90s`, `2h`, `1d12h`, `1.5h` as microseconds; ValueError says what is accepted."""
    compact = text.strip().lower() if len(text) <= _LONGEST else ""
    total, position = 0.0, 0
    for match in _DURATION.finditer(compact):
        if compact[position : match.start()].strip():
            break
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    if not compact or position != len(compact) or total > 1e18:
        shown = text[:_LONGEST]
        raise ValueError(f"'{shown}' is not a duration; write it like 90s, 15m, 2h or 1d12h")
    return int(total)


def format_duration(duration: Duration | None) -> str:
    """A duration in at most seven columns: `0:09`, `12:04`, `1h 12m`, `3d 4h`, `2.5y`; `-` when
    unknown."""
    if duration is None:
        return "-"
    seconds = max(duration, 0) // SECOND
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02d}"
    if seconds < 86_400:
        return f"{seconds // 3600}h {seconds % 3600 // 60}m"
    days, hours = seconds // 86_400, seconds % 86_400 // 3600
    if days >= 1000:
        return f"{days / 365.25:.1f}y"
    return f"{days}d {hours}h" if days < 100 else f"{days}d"


def duration_setting(duration: Duration) -> str:
    """A duration as a setting has it, which `parse_duration` reads: `2h`, `1d12h`, `90d`."""
    text = ""
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count, duration = divmod(duration, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0s"
