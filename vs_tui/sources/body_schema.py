"""Checks bodies against the schema of an endpoint; a violation is answered with 400 and the
field."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import orjson
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, WithJsonSchema

from vs_tui.model.time import Instant, parse_instant
from vs_tui.sources.base import BadBody

Model = TypeVar("Model", bound=BaseModel)

# pydantic puts the members of a union in an error's path; no field has such a name.
_UNION_MEMBERS: Final = frozenset({"bool", "str", "int", "float", "none"})
MAX_DEPTH: Final = 50


def _instant(value: Any) -> Instant | None:
    if value is None or value == "":
        return None
    instant = parse_instant(value)
    if instant is None:
        raise ValueError("is not a time; send RFC 3339 such as 2026-03-02T10:00:00Z")
    return instant


_SENT_TIME: Final = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "null"},
    ],
    "description": "RFC 3339, UTC without an offset; or seconds, ms, us or ns since 1970",
}
Timestamp = Annotated[
    Instant | None, BeforeValidator(_instant), WithJsonSchema(_SENT_TIME, mode="validation")
]
"""Any supported time format; None if missing."""
Word = Annotated[str, Field(min_length=1, max_length=200)]
OptionalWord = Annotated[
    str,
    BeforeValidator(lambda value: value or ""),
    Field(max_length=500),
    WithJsonSchema({"type": ["string", "null"], "maxLength": 500}, mode="validation"),
]
"""A text that may be missing, null or empty."""


def validated(model: type[Model], payload: dict[str, Any]) -> Model:
    """The payload as a model. BadBody names the first wrong field and the reason."""
    try:
        return model.model_validate(_checked(payload))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = [str(part) for part in first["loc"]]
        names = [p for p in path if p not in _UNION_MEMBERS and "[" not in p]
        raise BadBody(".".join(names) or "body", first["msg"].removeprefix("Value error, ")) from (
            None
        )


def _checked(payload: dict[str, Any]) -> Any:
    """The payload as `_printable` returns it; most payloads have nothing to replace and are not
    walked."""
    try:
        dumped = orjson.dumps(payload)
    except TypeError:  # nested deeper than orjson writes
        return _printable(payload)
    is_flat = dumped.count(b"{") + dumped.count(b"[") <= MAX_DEPTH
    return payload if is_flat and b"\\u0000" not in dumped else _printable(payload)


def _printable(value: Any, depth: int = 0) -> Any:
    """The value with NULs replaced in all texts, because SQLite and terminals end a text there."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if depth > MAX_DEPTH:
        raise BadBody("body", f"is nested deeper than {MAX_DEPTH} levels; send it flatter")
    if isinstance(value, dict):
        return {_printable(k): _printable(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_printable(item, depth + 1) for item in value]
    return value
