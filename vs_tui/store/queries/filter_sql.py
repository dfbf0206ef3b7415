"""The filter language in SQL. It means the same as `Filter.matches`; a test compares the two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vs_tui.model.filters import (
    ATTRIBUTE_KEYS,
    NUMBERED,
    QUIET_BY_NATURE,
    STALE_AFTER,
    TEXT_KEYS,
    Filter,
    Term,
    lowered,
    numbered,
    parse,
)
from vs_tui.model.teams import DEFAULT_ENVIRONMENTS, PRODUCTION
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import State

FAILED: Final = "status IN ('error', 'timed_out')"
_OPEN: Final = "status = 'in_flight'"
_STATES: Final[Mapping[str, str]] = {
    "in_flight": _OPEN,
    "open": _OPEN,
    "ended": "status <> 'in_flight'",
    "running": f"({_OPEN} AND state = {int(State.RUNNING)})",
    "queued": f"({_OPEN} AND state = {int(State.QUEUED)})",
    "waiting": f"({_OPEN} AND state = {int(State.WAITING)})",
    "ok": "status = 'ok'",
    "failed": FAILED,
    "error": "status = 'error'",
    "cancelled": "status = 'cancelled'",
    "timed_out": "status = 'timed_out'",
}
_STALE: Final = (
    f"({_STATES['running']} AND ? - last_event_at > ?"
    f" AND operation NOT IN ({', '.join('?' * len(QUIET_BY_NATURE))}))"
)
_FLAGS: Final[Mapping[str, str]] = {
    "draft": "COALESCE(json_extract(attributes, '$.\"vs.pr.draft\"') = 1, 0)",
    "open": _OPEN,
    "inflight": _OPEN,
    "failed": _STATES["failed"],
    "root": "parent_key = ''",
    "production": "("
    + " OR ".join(f"lower(environment) GLOB '{glob}'" for glob in DEFAULT_ENVIRONMENTS[PRODUCTION])
    + ")",
    "rework": "COALESCE(json_extract(attributes, '$.\"vs.rework\"') = 1, 0)",
    "reopened": "reopens > 0",
}
_SEARCHED: Final = ("name", "ref", "project", "service", "actor", "stage")
_NUMBERED: Final = ", ".join(f"'{kind}'" for kind in NUMBERED)
_LAST_MOMENT: Final = "COALESCE(ended_at, last_event_at)"
_AT: Final = "COALESCE(started_at, ended_at, last_event_at)"


def span_where(text: str, now: Instant) -> tuple[str, list[Any]]:
    """(condition, parameters) for a filter's text; `1` if it is empty. FilterError as parse()."""
    return where(parse(text), now)


def where(wanted: Filter, now: Instant) -> tuple[str, list[Any]]:
    """(condition, parameters) over the columns of `spans`."""
    conditions: list[str] = []
    parameters: list[Any] = []
    for term in wanted.terms:
        condition, bound = _condition(term, now)
        conditions.append(f"NOT ({condition})" if term.negated else f"({condition})")
        parameters.extend(bound)
    return " AND ".join(conditions) or "1", parameters


def _condition(term: Term, now: Instant) -> tuple[str, list[Any]]:
    if term.key == "":
        word = f"%{escaped(lowered(term.values[0], term.values[0]))}%"
        tests = [_like(column, word) for column in _SEARCHED]
        bound: list[Any] = [word] * len(tests)
        if end := numbered(term.values[0]):
            tests.append(f"(operation IN ({_NUMBERED}) AND ref LIKE ?)")
            bound.append(f"%{end}")
        return " OR ".join(tests), bound
    if term.key in ("state", "is"):
        known = {**_STATES, "stale": _STALE} if term.key == "state" else _FLAGS
        stale = [now, STALE_AFTER, *map(str, QUIET_BY_NATURE)]
        bound = stale * (term.values.count("stale") if term.key == "state" else 0)
        return " OR ".join(known[value] for value in term.values), bound
    if term.key == "dur":
        # Python's elapsed(): never negative, unknown without a start.
        elapsed = "MAX(COALESCE(ended_at, ?) - started_at, 0)"
        return f"COALESCE({elapsed} {term.op} ?, 0)", [now, term.number]
    if term.key == "age":
        return f"? - {_LAST_MOMENT} {term.op} ?", [now, term.number]
    if term.key == "fresh":
        return f"({_OPEN} AND 0 {term.op} ?) OR (NOT {_OPEN} AND ? - {_LAST_MOMENT} {term.op} ?)", [
            term.number,
            now,
            term.number,
        ]
    if term.key == "since":
        return f"{_LAST_MOMENT} >= ?", [term.number]
    if term.key == "until":
        return f"{_AT} < ?", [term.number]
    if term.key in ATTRIBUTE_KEYS:
        return _listed(ATTRIBUTE_KEYS[term.key], term.values)
    return _text(TEXT_KEYS[term.key], term.values)


def _listed(names: tuple[str, ...], values: tuple[str, ...]) -> tuple[str, list[Any]]:
    """SQL: whether one of the comma-separated words in these attributes equals one of the
    values."""
    tests: list[str] = []
    parameters: list[Any] = []
    for name in names:
        column = f"(',' || COALESCE(json_extract(attributes, '$.\"{name}\"'), '') || ',')"
        for value in values:
            pattern = escaped(lowered(value, value)).replace("*", "%")
            for found in (f"%,{pattern},%", *([] if "/" in value else [f"%/{pattern},%"])):
                tests.append(_like(column, found))
                parameters.append(found)
    return " OR ".join(tests), parameters


def _text(column: str, values: tuple[str, ...]) -> tuple[str, list[Any]]:
    tests: list[str] = []
    parameters: list[Any] = []
    for value in values:
        if column == "trace_id" and "*" not in value:
            tests.append("trace_id = ?")  # indexed, and always lower case
            parameters.append(value.lower())
            continue
        pattern = escaped(lowered(value, value)).replace("*", "%")
        tests.append(_like(column, pattern))
        parameters.append(pattern)
        if "/" not in value:
            tests.append(_like(column, pattern))
            parameters.append(f"%/{pattern}")
    return " OR ".join(tests), parameters


def _like(column: str, pattern: str) -> str:
    # LIKE ignores ASCII case by itself; our function costs a call for each row.
    subject = column if pattern.isascii() else f"vs_lower({column})"
    return f"{subject} LIKE ? ESCAPE '\\'"


def escaped(text: str) -> str:
    r"""Text that LIKE matches literally, with `\` as ESCAPE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
