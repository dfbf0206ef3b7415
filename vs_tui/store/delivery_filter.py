"""The filter of the Events view: words, and `source:`, `verdict:`, `kind:` to narrow one."""

from __future__ import annotations

import shlex
from typing import Final

_FIELDS: Final = {"source": "source", "verdict": "verdict", "kind": "kind", "reason": "reason"}


def delivery_where(text: str) -> tuple[str, list[str]]:
    """(condition, parameters) over deliveries; ValueError says what is accepted."""
    try:
        words = shlex.split(text)
    except ValueError:
        raise ValueError('a quote is not closed; write it like "two words"') from None
    conditions: list[str] = []
    parameters: list[str] = []
    for word in words:
        negated = word.startswith("-") and len(word) > 1
        term = word[1:] if negated else word
        name, colon, value = term.partition(":")
        if colon and name in _FIELDS:
            wanted = [v for v in value.split(",") if v]
            condition = " OR ".join(f"{_FIELDS[name]} LIKE ? ESCAPE '\\'" for _ in wanted) or "0"
            parameters.extend(_like(v, exact=name != "reason") for v in wanted)
        elif colon and name.isidentifier():
            raise ValueError(
                f"'{name}:' is not known here; use {', '.join(_FIELDS)} or plain words"
            )
        else:
            condition = " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in _FIELDS.values())
            parameters.extend([_like(term, exact=False)] * len(_FIELDS))
        conditions.append(f"NOT ({condition})" if negated else f"({condition})")
    return " AND ".join(conditions) or "1", parameters


def _like(value: str, *, exact: bool) -> str:
    escaped = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%") if exact else f"%{escaped}%"
