"""Reads fields of JSON bodies. Only `required` and `meaning` raise for missing fields, nulls or
changed types."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, TypeGuard, TypeVar

import orjson

from vs_tui.model.keys import whole_number
from vs_tui.model.limits import MIB, READ_AT_ONCE, values_in
from vs_tui.model.time import Instant, parse_instant
from vs_tui.sources.base import BadBody, Inbound, Unreadable

T = TypeVar("T")


class Inexact(Unreadable):
    """A number of more than 64 bits was needed as text, but decoding had rounded it."""

    def __init__(self) -> None:
        super().__init__("a number has more than 64 bits; send it as text")


_MAY_ROUND: Final = re.compile(rb"\d[eE]\+?\d\d|\d{19}")
_DIGITS: Final = bytes(0x30 if 0x30 <= code <= 0x39 else 0x20 for code in range(256))
_MANY: Final = b"0" * 19
_NUMBER: Final = re.compile(rb"(?:[:\[,]|\A)\s*-?[0-9]{19}")
"""Matches the start of a number with at least 19 digits, but not of a hash in quotes."""
_SMALL: Final = 4096
"""Most bytes of a body that is searched for long numbers; in larger bodies `text` finds them."""


def exact(value: T) -> T:
    """The value, unchanged. Raises Inexact for a number that decoding has rounded."""
    if isinstance(value, float) and abs(value) >= 2**63:
        raise Inexact
    return value


def has_rounded(found: object) -> bool:
    """Whether an object contains a number that decoding has rounded."""
    values = found.values() if isinstance(found, dict) else ()
    return any(abs(value) >= 2**63 for value in values if type(value) is float)


def with_exact_numbers(inbound: Inbound) -> Inbound:
    """The request with numbers of more than 64 bits as text, so that ids of 30 digits are not
    rounded."""

    def integer(digits: str) -> int | str:
        return int(digits) if len(digits) < 21 and abs(int(digits)) < 2**63 else digits

    def real(digits: str) -> float | str:
        value = float(digits)
        return value if abs(value) < 2**63 else digits

    for is_mended in (False, True):  # a charset may be wrong
        with suppress(ValueError, RecursionError, TypeError):
            body = _mended(inbound) if is_mended else inbound.body
            exact = json.loads(body, parse_int=integer, parse_float=real)
            return inbound._replace(body=orjson.dumps(exact))
    return inbound


def json_body(inbound: Inbound) -> Any:
    """The decoded JSON. Raises BadBody, with the position, if it is not JSON."""
    body = inbound.body
    if len(body) <= _SMALL and _MANY in body.translate(_DIGITS) and _NUMBER.search(body):
        inbound = with_exact_numbers(inbound)
    try:
        return orjson.loads(inbound.body)
    except orjson.JSONDecodeError as error:
        try:
            return orjson.loads(_mended(inbound))
        except orjson.JSONDecodeError:
            raise BadBody("body", f"is not JSON: {str(error)[:200]}") from None


_SURROGATES: Final = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([\w.:-]{1,40})", re.IGNORECASE)


def _mended(inbound: Inbound) -> bytes:
    """The body in UTF-8, without a byte order mark. Invalid characters, such as half an emoji or
    bytes of another encoding, become U+FFFD."""
    body = inbound.body
    named = _CHARSET.search(inbound.header("content-type"))
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        body = body.decode("utf-16", "replace").encode()
    else:
        try:
            words = body.decode(named[1] if named else "utf-8", "replace")
        except (LookupError, ValueError):
            words = body.decode("utf-8", "replace")
        body = words.encode("utf-8", "replace").removeprefix(b"\xef\xbb\xbf")
    return _SURROGATES.sub(lambda m: m[1] + (m[2] or b"\\ufffd"), body)


def json_object(inbound: Inbound) -> dict[str, Any]:
    """The decoded JSON object. Raises BadBody for other types."""
    payload = json_body(inbound)
    if not isinstance(payload, dict):
        raise BadBody("body", f"must be a JSON object, not {type(payload).__name__}")
    return payload


def small_object(inbound: Inbound) -> dict[str, Any]:
    """The JSON object of a body that is small enough to decode at once; {} for a larger body and
    for other content. Used to read single fields, such as an id, in the event loop; numbers are
    exact."""
    if len(inbound.body) > MIB or values_in(inbound.body) > READ_AT_ONCE:
        return {}
    if _MAY_ROUND.search(inbound.body):
        inbound = with_exact_numbers(inbound)
    try:
        return json_object(inbound)
    except BadBody:
        return {}


def obj(container: object, *path: str) -> dict[str, Any]:
    """The object at a path of keys; {} if any part is missing or not an object."""
    for name in path:
        if type(container) is not dict:
            return {}
        container = container.get(name)
    return container if type(container) is dict else {}


def items(container: object, *path: str) -> list[Any]:
    """The list at a path of keys, at most 5,000 entries; [] if there is none."""
    return every(container, *path)[:5000]


def every(container: object, *path: str) -> list[Any]:
    """The whole list at a path of keys, for entries that become spans; [] if there is none."""
    *parents, last = path
    found = obj(container, *parents).get(last)
    return found if isinstance(found, list) else []


def text(container: object, *path: str, limit: int = 500) -> str:
    """The string (or number, as digits) at a path; empty if there is none. NULs are replaced.
    Raises Inexact for a number of more than 64 bits; `dispatch.read` then parses the body again."""
    value = container
    for name in path:
        if type(value) is not dict:
            return ""
        value = value.get(name)
    if value is None:
        return ""
    if type(value) is str:
        if len(value) <= limit and "\0" not in value:
            return value
        return value[:limit].replace("\0", "\ufffd")
    return str(exact(value))[:limit] if _is_number(value) else ""


def texts(container: object, *path: str, most: int = 100, limit: int = 100) -> list[str]:
    """The strings among the first entries of the list at a path, without NULs."""
    return [text(each, limit=limit) for each in items(container, *path)[:most] if type(each) is str]


def lowered(container: object, *path: str) -> str:
    """The text at a path in lower case, for states and actions: their case differs between the
    versions of an API, and a state that is not recognised would be lost."""
    return text(container, *path, limit=60).lower()


def number(container: object, *path: str) -> int | None:
    """The integer at a path, also from digits; None if there is none or it exceeds 2**63."""
    value = container
    for name in path:
        if type(value) is not dict:
            return None
        value = value.get(name)
    if type(value) is int:
        return value if -(2**63) < value < 2**63 else None
    if type(value) is str:
        return whole_number(value)
    # NaN and infinity compare false.
    return int(value) if _is_number(value) and abs(value) < 2**63 else None


def _is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a JSON number."""
    return type(value) is int or type(value) is float


def unreadable(event: str, what: str) -> Unreadable:
    return Unreadable(f"{event}: {what}; compare the body in Events with the tool's docs")


def required(event: str, container: object, *path: str) -> int:
    """The number at a path, which the event cannot do without. Raises Unreadable if there is
    none."""
    value = number(container, *path)
    if value is None:
        raise unreadable(event, f"{'.'.join(path)} is missing or no number")
    return value


def meaning(event: str, words: Mapping[str, T], word: str, what: str = "state") -> T:
    """What a tool's word means. Raises Unreadable for a word that is not known."""
    if word not in words:
        raise unreadable(event, f"the {what} {word or 'none'!r} is not known")
    return words[word]


def time_of(container: object, *names: str) -> Instant | None:
    """The first of the named fields that is a time."""
    if isinstance(container, dict):
        for name in names:
            if (at := parse_instant(container.get(name))) is not None:
                return at
    return None


def web_url(url: str) -> str:
    """The URL if its scheme is http or https, so that it may be shown and opened; else empty."""
    return url if url.startswith(("https://", "http://")) else ""


class _Dotted(dict[str, str]):
    """Keyword -> name of the attribute, with dots."""

    def __missing__(self, keyword: str) -> str:
        self[keyword] = name = keyword.replace("__", ".")
        return name


_dotted: Final = _Dotted()


def known(**attributes: object) -> dict[str, Any]:
    """The attributes that are not None or empty; `__` in a name becomes a dot."""
    return dotted(attributes)


def dotted(attributes: Mapping[str, object]) -> dict[str, Any]:
    """`known` for attributes that are in a mapping."""
    return {
        _dotted[name]: value
        for name, value in attributes.items()
        if value is not None and value != ""
    }
