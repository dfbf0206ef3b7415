"""Formats values as text, the same everywhere."""

from __future__ import annotations

from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND

MISSING = "-"
_UNITS = ((DAY * 2, DAY, "d"), (HOUR, HOUR, "h"), (MINUTE, MINUTE, "m"), (0, SECOND, "s"))


def brief(duration: float | None) -> str:
    """A duration as `38m`, `3.5h` or `12d`: one unit, one decimal below ten; `-` for None."""
    if duration is None:
        return MISSING
    _least, unit, word = next(entry for entry in _UNITS if duration >= entry[0])
    return f"{_number(duration / unit)}{word}"


def rate(per_day: float | None) -> str:
    """A rate as `3/day`, `2/week` or `1/month`: in the first unit in which it is at least 1, else a
    month, or a year below 0.1 a month."""
    if not per_day:
        return MISSING if per_day is None else "0/day"
    for factor, word in ((1, "day"), (7, "week")):
        if per_day * factor >= 0.9999:
            return f"{_number(per_day * factor)}/{word}"
    if per_day * 30 >= 0.095:
        return f"{_number(per_day * 30)}/month"
    return f"{_number(per_day * 365)}/year" if per_day * 365 >= 0.05 else "<0.1/year"


def number(value: float | None) -> str:
    """A number as `4.2` or `12`: one decimal below ten."""
    return MISSING if value is None else _number(value)


def narrow(text: str) -> str:
    """A rate with a short unit: `3/d`, `2/w`, `1/mo`, `1/y`; other texts are unchanged."""
    for long, short in (("/day", "/d"), ("/week", "/w"), ("/month", "/mo"), ("/year", "/y")):
        text = text.replace(long, short)
    return text


def percent(share: float | None) -> str:
    """A share as `4 %` or `66.7 %`: at most one decimal."""
    return MISSING if share is None else f"{round(share * 100, 1):g} %"


def change(grown: float, before: float) -> str:
    """The change from the value before, `+12%`; empty if that was 0."""
    if not grown:
        return "0%"
    return f"{grown / abs(before) * 100:+.0f}%" if before else ""


def points(grown: float) -> str:
    """The change of a share in percentage points, `+12pp`."""
    rounded = round(grown * 100)
    return f"{rounded:+d}pp" if rounded else "0pp"


def _number(value: float) -> str:
    return f"{round(value, 1):g}" if value < 9.95 else f"{value:.0f}"
