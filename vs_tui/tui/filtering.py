"""The filter language on a screen: errors of a filter and its possible completions; time ranges as
users write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

from vs_tui.model import filters
from vs_tui.model.filters import ALIASES, ATTRIBUTE_KEYS, FLAGS, MOMENTS, STATES, TEXT_KEYS, quoted
from vs_tui.model.time import DAY, HOUR, MINUTE, Duration, Instant, iso, parse_duration
from vs_tui.model.vocabulary import Operation, Span, Verdict
from vs_tui.traces.next_action import Section

_DELIVERY_KEYS: Final = ("source", "verdict", "kind")
_TRACE_TERMS: Final = ("section:", "next:", "step:", "wait>", "over>")
_KNOWN_KEYS: Final = ("kind", "service", "env", "project", "source", "actor", "stage")


def example(where: str) -> str:
    """A filter in the language of a screen."""
    if where == "events":
        return "source:github verdict:rejected,quarantined -kind:ping"
    if where == "board":
        return "team:core next:ana wait>1d is:long -is:draft"
    return "team:core kind:deploy state:failed dur>10m age<7d"


def problem_so_far(text: str, where: str, ways: Sequence[str]) -> str:
    """What is wrong with a filter that is being written; empty if only its last term is, and
    `ways` complete it."""
    before = text.rpartition(" ")[0]
    return "" if ways and not problem(before, where) else problem(text, where)


def problem(text: str, where: str) -> str:
    """The reason why a filter is invalid on a screen, with the accepted terms; empty if it is
    valid."""
    try:
        if where == "events":
            from vs_tui.store.queries.delivery_search import delivery_where

            delivery_where(text)
        else:
            filters.parse(text, traces=where == "board")
    except ValueError as error:
        return str(error)
    return ""


def ways_to_go_on(text: str, options: Sequence[str]) -> str:
    """The last terms that a filter could get, in a line."""
    begun = text.rpartition(" ")[0]
    return "  ".join(option[len(begun) :].strip() for option in options if option != text)


def completions(text: str, where: str, known: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Whole filters that the text could become, the likeliest first."""
    head, _, last = text.rpartition(" ")
    key, colon, begun = last.partition(":")
    if where == "board":
        more = [term for term in _TRACE_TERMS if not colon and term.startswith(last)]
        if key in ("section", "next", "step") and colon:
            values = [str(s) for s in Section] if key == "section" else known.get(key, ())
            more = [f"{key}:{value}" for value in values if value.startswith(begun)]
        return [f"{head} {term}".lstrip() for term in more] + term_completions(text, known)
    if where != "events":
        return term_completions(text, known)
    if not colon:
        options = [f"{name}:" for name in _DELIVERY_KEYS if name.startswith(key)]
    else:
        fixed = {"verdict": [verdict.value for verdict in Verdict]}
        values = fixed.get(key) or known.get(key, ())
        options = [f"{key}:{value}" for value in values if value.startswith(begun)]
    return [f"{head} {option}".lstrip() for option in options]


def term_completions(text: str, known: Mapping[str, Sequence[str]]) -> list[str]:
    """Possible completions of a filter's last word. `known` gives the values of keys such as team
    and service."""
    head, _, last = text.rpartition(" ")
    bare = last.removeprefix("-")
    sign = "-" if last.startswith("-") else ""
    key, colon, begun = bare.partition(":")
    if not colon:
        names = [f"{name}:" for name in (*TEXT_KEYS, *ATTRIBUTE_KEYS, "state", "is", *MOMENTS)]
        options = [*names, "dur>", "dur<", "age>", "age<"]
        found = [option for option in options if option.startswith(bare.lower())]
    else:
        fixed: Mapping[str, Sequence[str]] = {"state": STATES, "is": FLAGS}
        name = ALIASES.get(key, key)
        values = fixed.get(name) or known.get(name, ())
        *before, begun = begun.split(",")
        prefix = "".join(f"{value}," for value in before)
        found = [
            f"{key}:{prefix}{quoted(value)}"
            for value in values
            if value.lower().startswith(begun.lower())
        ]
    return [f"{head} {sign}{option}".lstrip() for option in found]


def known_values(spans: Iterable[Span], teams: Sequence[str]) -> dict[str, list[str]]:
    """Values to offer for each filter key, from the listed spans; it makes no query."""
    found: dict[str, set[str]] = {key: set() for key in _KNOWN_KEYS}
    found["kind"].update(Operation)
    for span in spans:
        for key in _KNOWN_KEYS:
            value = str(getattr(span, filters.TEXT_KEYS[key]))
            if value:
                found[key].add(value)
    return {"team": list(teams), **{key: sorted(values) for key, values in found.items()}}


def effective(text: str, team: str, window: str) -> str:
    """A screen's filter with the terms of the team and of the time range added."""
    terms = [text]
    if team:
        terms.append(f'team:"{team}"')
    if window:
        terms.append(window)
    return " ".join(term for term in terms if term)


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
