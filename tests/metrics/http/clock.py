"""Short times and commit names for the worked examples."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

_DAYS = {
    name: number for number, name in enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"))
}
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def moment(text: str) -> datetime:
    """`10:00` on Monday 2 March 2026, `Wed 10:00` of that week, `2026-03-31 10:00`, or RFC 3339."""
    if "T" in text and text.endswith("Z"):
        return datetime.fromisoformat(text)
    day, _, clock = text.rpartition(" ")
    hours, minutes, *seconds = (int(part) for part in clock.split(":"))
    start = (
        datetime.fromisoformat(f"{day}T00:00:00+00:00")
        if "-" in day
        else MONDAY + timedelta(days=_DAYS[day or "Mon"])
    )
    return start + timedelta(hours=hours, minutes=minutes, seconds=seconds[0] if seconds else 0)


def at(text: str) -> str:
    """RFC 3339 in UTC."""
    return moment(text).strftime("%Y-%m-%dT%H:%M:%SZ")


def before(text: str, minutes: float = 1) -> str:
    """RFC 3339, some minutes earlier."""
    return at((moment(text) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ"))


def ago(minutes: float) -> str:
    """RFC 3339, some minutes before now."""
    return (datetime.now(UTC) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def number(name: str) -> int:
    """A stable id for a name."""
    return int(hashlib.sha1(name.encode()).hexdigest()[:7], 16)


def sha(name: str) -> str:
    """The commit id that stands for a name."""
    return hashlib.sha1(name.encode()).hexdigest()


def hours(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / 3600, 4)


def minutes(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / 60, 3)
