"""The JSON shapes of the API. The server, the reader over HTTP, `--json` and exports use them.

Here is how an object is described once: how its fields are written and read, and its OpenAPI
schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from operator import attrgetter
from typing import Any, Final, Generic, NamedTuple, TypeVar

from vs_tui.model.time import SECOND, iso, parse_instant

Schema = dict[str, Any]
T = TypeVar("T")


def _same(value: Any) -> Any:
    return value


class Type(NamedTuple):
    """The type of a field: its schema, and the conversion of a value to JSON and back."""

    schema: Schema
    write: Callable[[Any], Any] = _same
    read: Callable[[Any], Any] = _same


class Field(NamedTuple):
    """A field of a shape."""

    type: Type
    attribute: str = ""
    """Attribute of the object that gets the value that was read; `a.b` means `b` of the object in
    `a`. Empty for a computed field."""
    get: Callable[..., Any] | None = None
    """Returns the value to write, if it is not the attribute. Arguments: the object, and the
    further arguments of `write`."""
    when: Callable[..., bool] | None = None
    """Returns whether the field is written, with the same arguments; None for always."""


class Shape(Generic[T]):
    """Fields by their JSON names; a bare `Type` stands for the attribute of the same name. `make`
    builds the object from the attributes that were read."""

    def __init__(
        self, name: str, make: Callable[..., T], fields: Mapping[str, Type | Field]
    ) -> None:
        self.name = name
        self._make = make
        self.fields: Final = {
            key: field if isinstance(field, Field) else Field(field, key)
            for key, field in fields.items()
        }
        self._writers = [
            (
                key,
                field.when,
                field.get is not None,
                field.get or attrgetter(field.attribute),
                field.type.write,
            )
            for key, field in self.fields.items()
        ]
        self._readers = [
            (key, field.attribute.partition("."), field.type.read)
            for key, field in self.fields.items()
            if field.attribute
        ]

    def write(self, value: Any, *given: Any) -> dict[str, Any]:
        """The object as JSON."""
        return {
            key: write(get(value, *given) if computed else get(value))
            for key, when, computed, get, write in self._writers
            if when is None or when(value, *given)
        }

    def read(self, item: Mapping[str, Any]) -> T:
        """The object from JSON. Fields that an older receiver does not send get their defaults."""
        found: dict[str, Any] = {}
        for key, (name, _, inner), read in self._readers:
            if key in item:
                into = found.setdefault(name, {}) if inner else found
                into[inner or name] = read(item[key])
        return self._make(**found)

    @property
    def schema(self) -> Schema:
        always: Schema = {}
        sometimes: Schema = {}
        for key, field in self.fields.items():
            (always if field.when is None else sometimes)[key] = field.type.schema
        return object_of(always, sometimes)

    @property
    def type(self) -> Type:
        """The type of a field that holds such an object."""
        schema = ref_to(self.name) if self.name else self.schema
        return Type(schema, self.write, self.read)

    def inside(self, attribute: str) -> dict[str, Field]:
        """The same fields in a shape whose object has this one as an attribute."""
        return {
            key: Field(field.type, f"{attribute}.{field.attribute}")
            for key, field in self.fields.items()
        }


def object_of(properties: Schema, optional: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": sorted(properties),
        "additionalProperties": False,
    }


def ref_to(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def computed(kind: Type, get: Callable[..., Any], when: Callable[..., bool] | None = None) -> Field:
    """A field that follows from others and is not read back."""
    return Field(kind, "", get, when)


def written(kind: Type) -> Type:
    """A computed field whose `get` returns JSON."""
    return kind._replace(write=_same)


def list_of(kind: Type, make: Callable[[Iterable[Any]], Any] = list) -> Type:
    """A list; `make` converts it when it is read."""
    return Type(
        {"type": "array", "items": kind.schema},
        lambda values: [kind.write(value) for value in values],
        lambda values: make(kind.read(value) for value in values),
    )


def maybe(kind: Type) -> Type:
    """Such a value, or None."""
    return Type(
        {"oneOf": [kind.schema, {"type": "null"}]},
        lambda value: None if value is None else kind.write(value),
        lambda value: None if value is None else kind.read(value),
    )


def table_of(kind: Type) -> Type:
    """An object whose keys are data; `kind` is the type of all its values."""
    return Type(
        {"type": "object", "additionalProperties": kind.schema},
        lambda found: {key: kind.write(value) for key, value in found.items()},
        lambda found: {key: kind.read(value) for key, value in found.items()},
    )


def word_of(values: type[Enum]) -> Type:
    """A member of an enumeration, by its value."""
    schema = {"type": "string", "enum": [value.value for value in values]}
    return Type(schema, lambda member: member.value, values)


def _seconds(micros: float | None) -> float | None:
    return None if micros is None else micros / SECOND


def _micros(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * SECOND)


_TIME: Final[Schema] = {"type": ["string", "null"], "description": "RFC 3339, UTC"}

TEXT: Final = Type({"type": "string"})
MAYBE_TEXT: Final = Type(
    {"type": ["string", "null"]}, lambda text: text or None, lambda text: text or ""
)
"""Null in JSON, the empty string in Python."""
NUMBER: Final = Type({"type": "integer"})
COUNT: Final = Type({"type": "integer", "minimum": 0})
TRUTH: Final = Type({"type": "boolean"})
RATIO: Final = Type({"type": ["number", "null"]})
SECONDS: Final = Type({"type": ["number", "null"]}, _seconds, _micros)
"""Seconds in JSON, microseconds in Python."""
TIME: Final = Type(_TIME, iso, parse_instant)
INSTANT: Final = Type(_TIME, iso, lambda text: parse_instant(text) or 0)
"""An instant that is always known."""
OBJECT: Final = Type({"type": "object"}, dict)
TEXTS: Final = table_of(TEXT)
COUNTS: Final = table_of(COUNT)
