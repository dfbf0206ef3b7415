"""The filter of the Events view: words, `source:`, `verdict:`, `kind:` and `reason:` to narrow one,
`since:` and `until:` for the time of receipt."""

from __future__ import annotations

import re
import shlex
from typing import Final

from vs_tui.domain.instants import parse_instant

_FIELDS: Final = {"source": "source", "verdict": "verdict", "kind": "kind", "reason": "reason"}
_MOMENTS: Final = {"since": ">=", "until": "<="}


def delivery_where(text: str) -> tuple[str, list[str | int]]:
    """(condition, parameters) over deliveries; ValueError says what is accepted."""
    try:
        words = shlex.split(text)
    except ValueError:
        raise ValueError('a quote is not closed; write it like "two words"') from None
    conditions: list[str] = []
    parameters: list[str | int] = []
    for word in words:
        negated = word.startswith("-") and len(word) > 1
        term = word[1:] if negated else word
        name, colon, value = term.partition(":")
        if colon and name in _FIELDS:
            wanted = [v for v in value.split(",") if v]
            condition = " OR ".join(f"{_FIELDS[name]} LIKE ? ESCAPE '\\'" for _ in wanted) or "0"
            parameters.extend(_like(v, exact=name != "reason") for v in wanted)
        elif colon and name in _MOMENTS:
            condition = f"received_at {_MOMENTS[name]} ?"
            parameters.append(_moment(name, value))
        elif colon and name.isidentifier():
            known = ", ".join((*_FIELDS, *_MOMENTS))
            raise ValueError(f"'{name}:' is not known here; use {known} or plain words")
        else:
            condition = " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in _FIELDS.values())
            parameters.extend([_like(term, exact=False)] * len(_FIELDS))
        conditions.append(f"NOT ({condition})" if negated else f"({condition})")
    return " AND ".join(conditions) or "1", parameters


def _moment(name: str, value: str) -> int:
    day = re.fullmatch(r"\d{4}-\d\d-\d\d", value)
    instant = parse_instant(f"{value}T00:00:00Z" if day else value)
    if instant is None:
        raise ValueError(f"{name}: write a day such as 2026-11-01, or a time in RFC 3339")
    return instant


def _like(value: str, *, exact: bool) -> str:
    escaped = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%") if exact else f"%{escaped}%"
