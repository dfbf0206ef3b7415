"""The filter of the Events view.

Plain words match several columns; `source:`, `verdict:`, `kind:` and `reason:` match one. `span:`
finds the deliveries of a span; `since:` and `until:` limit the time of receipt.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vs_tui.model.filters import MAX_LENGTH, MAX_TERMS, MAX_VALUES, moment
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Verdict
from vs_tui.store.queries.filter_sql import escaped

_FIELDS: Final = {"source": "source", "verdict": "verdict", "kind": "kind", "reason": "reason"}
_EXAMPLES: Final = {
    "source": "github",
    "verdict": "rejected",
    "kind": "pull_request",
    "reason": "signature",
}
_OF_SPAN: Final = (
    "instr(keys, json_quote(COALESCE("
    "(SELECT s.key FROM spans s WHERE s.short_ref = ? AND s.short_ref <> s.key "
    "ORDER BY s.started_at DESC, s.key LIMIT 1), "
    "(SELECT s.key FROM spans s WHERE s.full_ref = ? AND s.full_ref <> '' "
    "ORDER BY s.started_at DESC, s.key LIMIT 1), "
    "(SELECT MIN(o.key) FROM offers o WHERE o.token = 'ref:' || ?), ?)))"
)
"""SQL: finds deliveries by the span's key or displayed ref, including refs from before a rename."""
_MOMENTS: Final = {"since": ">=", "until": "<="}


def delivery_where(text: str) -> tuple[str, list[str | int]]:
    """(condition, parameters) over deliveries; ValueError says what is accepted."""
    conditions: list[str] = []
    parameters: list[str | int] = []
    for negated, term in _terms(text):
        name, colon, value = term.partition(":")
        if colon and name in _FIELDS:
            wanted = _values(name, value)
            condition = " OR ".join(f"{_FIELDS[name]} LIKE ? ESCAPE '\\'" for _ in wanted)
            parameters.extend(_like(v, exact=name != "reason") for v in wanted)
        elif colon and name == "span":
            condition = _OF_SPAN
            parameters.extend([_span(value)] * 4)
        elif colon and name in _MOMENTS:
            condition = f"received_at {_MOMENTS[name]} ?"
            parameters.append(moment(name, value))
        elif colon and name.isidentifier():
            known = ", ".join((*_FIELDS, "span", *_MOMENTS))
            raise ValueError(f"'{name}:' is not known here; use {known} or plain words")
        else:
            condition = " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in _FIELDS.values())
            parameters.extend([_like(term, exact=False)] * len(_FIELDS))
        conditions.append(f"NOT ({condition})" if negated else f"({condition})")
    return " AND ".join(conditions) or "1", parameters


@dataclass(frozen=True, slots=True)
class Reach:
    """The rows that can match, derived from the terms that every match must meet."""

    stored: bool = True
    refused: bool = True
    since: Instant = 0


def delivery_reach(text: str) -> Reach:
    """The rows that can match a filter; the others need not be read. ValueError as
    `delivery_where`."""
    stored = refused = True
    since = 0
    for negated, term in _terms(text):
        name, _, value = term.partition(":")
        if negated:
            continue
        if name == "verdict" and "*" not in value:
            wanted = {v.lower() for v in _values(name, value)}
            stored = stored and wanted != {Verdict.REJECTED.value}
            refused = refused and Verdict.REJECTED.value in wanted
        elif name == "span":
            refused = False  # a refused request makes no span
        elif name == "since":
            since = max(since, moment(name, value))
    return Reach(stored, refused, since)


def _terms(text: str) -> Iterator[tuple[bool, str]]:
    """(negated, term) of each term in the filter."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the filter has {len(text)} characters; it can have {MAX_LENGTH}")
    try:
        words = shlex.split(text)
    except ValueError:
        raise ValueError('a quote is not closed; write it like "two words"') from None
    if len(words) > MAX_TERMS or sum(word.count(",") for word in words) > MAX_VALUES:
        raise ValueError(
            f"the filter has more than {MAX_TERMS} terms or {MAX_VALUES} values; leave some out"
        )
    for word in words:
        negated = word.startswith("-") and len(word) > 1
        yield negated, word[1:] if negated else word


def _values(name: str, value: str) -> list[str]:
    wanted = [v for v in value.split(",") if v]
    if not wanted:
        raise ValueError(f"'{name}:' needs a value; such as {name}:{_EXAMPLES[name]}")
    if name == "verdict":
        known = [verdict.value for verdict in Verdict]
        unknown = next((v for v in wanted if "*" not in v and v.lower() not in known), None)
        if unknown is not None:
            raise ValueError(f"verdict: '{unknown}' is not known; use {', '.join(known)}")
    return wanted


def _span(value: str) -> str:
    if not value:
        raise ValueError("'span:' needs a value; such as span:vstrace-github-deploy-api-7")
    return value


def _like(value: str, *, exact: bool) -> str:
    return escaped(value).replace("*", "%") if exact else f"%{escaped(value)}%"
