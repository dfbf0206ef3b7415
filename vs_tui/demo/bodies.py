"""Webhook bodies from templates, one JSON file of them for each kind of tools in `bodies/`.

Templates have the tools' documented shapes, with only the fields that a delivery tool reads.
`{name}` or `{name.attribute}` stands for a value, and `{name|filter}` for what a function makes of
it. A string that is nothing else becomes the value itself, of any type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import orjson

from vs_tui.model.time import iso

Body = dict[str, Any]
_Make = Callable[[Mapping[str, Any]], Any]
_FIELD: Final = re.compile(r"\{(\w+)(?:\.([\w.]+))?(?:\|(\w+))?\}")
_FILTERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "iso": iso,
    "or_null": lambda value: value or None,
    "milliseconds": lambda instant: instant // 1_000,
    "first_line": lambda text: text.partition("\n")[0],
}


class Bodies:
    """The templates of one file."""

    def __init__(self, file: str, **filters: Callable[[Any], Any]) -> None:
        path = Path(__file__).parent / "bodies" / f"{file}.json"
        known = {**_FILTERS, **filters}
        self._made = {
            name: _compiled(template, known)
            for name, template in orjson.loads(path.read_bytes()).items()
        }

    def __call__(self, template: str, **values: Any) -> Body:
        """The body of a template with these values."""
        body: Body = self._made[template](values)
        return body


def _compiled(template: Any, filters: Mapping[str, Callable[[Any], Any]]) -> _Make:
    if isinstance(template, dict):
        parts = [(name, _compiled(part, filters)) for name, part in template.items()]
        return lambda values: {name: make(values) for name, make in parts}
    if isinstance(template, list):
        entries = [_compiled(part, filters) for part in template]
        return lambda values: [make(values) for make in entries]
    if not isinstance(template, str) or not (fields := [*_FIELD.finditer(template)]):
        return lambda _: template
    makes = [_value(field[1], field[2], field[3], filters) for field in fields]
    if fields[0].span() == (0, len(template)):
        return makes[0]
    text = _FIELD.sub("\0", template).replace("{", "{{").replace("}", "}}").replace("\0", "{}")
    return lambda values: text.format(*(make(values) for make in makes))


def _value(
    name: str, path: str | None, filter_name: str | None, filters: Mapping[str, Any]
) -> _Make:
    """The function that finds a field's value."""
    inside = attrgetter(path) if path else None
    change = filters[filter_name] if filter_name else None

    def make(values: Mapping[str, Any]) -> Any:
        value = values[name]
        if inside is not None:
            value = inside(value)
        return value if change is None else change(value)

    return make
