"""Recordings: deliveries as JSON Lines, to be replayed, moved in time and shared.

One delivery a line: `{"received_at": RFC 3339, "path": "/github", "headers": {lower-case},
"body": JSON value or string}`; a body that is no UTF-8 text has `"body_base64"` instead. A
`body` that is a string is the body's text as it was sent; any other value is the JSON that was.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from vs_tui.domain.instants import Duration, Instant, iso, parse_instant

_TIMESTAMP: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?P<gap>[T ])(?P<clock>\d\d:\d\d(?::\d\d)?)"
    r"(?P<fraction>[.,]\d{1,9})?(?P<zone> ?(?:Z|UTC|[+-]\d\d:?\d\d))?\Z",
    re.ASCII,
)
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
# A number is only moved where its key says that it is a time: ids have 10 digits as well.
_TIME_KEY: Final = re.compile(
    r"(?:_at|_on|At|[tT]ime(?:[sS]tamp)?|TIMESTAMP|_?[dD]ate|[tT]imestamp|_ts|time_?ms)\Z"
    r"|\A(?:ts|created|updated|started|finished|ended|start|end|from|to|since|until|startsAt)\Z"
)
_EPOCHS: Final = {10: 1_000_000, 13: 1_000}
"""Digits of an epoch in seconds and in milliseconds, and the microseconds of its unit."""
_SECRET: Final = re.compile(r"authorization|cookie|token|signature|secret|api-?key|password", re.I)
_KNOWN: Final = frozenset({"received_at", "path", "headers", "body", "body_base64"})


class RecordingError(ValueError):
    """A line is not a delivery; the message names file, line, the fault and the form wanted."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP request as it was received."""

    received_at: Instant
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names."""
    body: bytes = b""


def read_lines(lines: Iterable[str | bytes], name: str = "recording") -> Iterator[Delivery]:
    """The deliveries of a recording, one by one; blank lines are passed over.

    RecordingError at the first line that is not one, after those before it were given."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _delivery(line, f"{name}:{number}")


def to_line(delivery: Delivery) -> str:
    """A delivery as one line without its newline, and without its secrets."""
    record: dict[str, Any] = {
        "received_at": iso(delivery.received_at),
        "path": _without_secrets(delivery.path),
        "headers": {
            name.lower(): value
            for name, value in sorted(delivery.headers.items())
            if not _SECRET.search(name)
        },
    }
    try:
        text = delivery.body.decode()
    except UnicodeDecodeError:
        record["body_base64"] = base64.b64encode(delivery.body).decode()
    else:
        record["body"] = _json_or_text(text)
    return _dump(record)


def shift(delivery: Delivery, delta: Duration) -> Delivery:
    """The same delivery `delta` microseconds later, with every time in its JSON body.

    Each time keeps its format, zone and precision (what is finer than that is cut off).
    Integers of 10 or 13 digits move only under keys that name a time. Other bodies stay."""
    moved = delivery.received_at + delta
    try:
        value = json.loads(delivery.body)
    except (ValueError, RecursionError):
        return replace(delivery, received_at=moved)
    body = _dump(_shifted("", value, delta)).encode()
    return replace(delivery, received_at=moved, body=body)


def _dump(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate is legal in JSON's escapes but not in UTF-8.
    return text if text.isascii() or _encodes(text) else json.dumps(value, separators=(",", ":"))


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _delivery(line: str | bytes, where: str) -> Delivery:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RecordingError(
            f"{where}: is not JSON ({error}); write one delivery a line, as `vs-tui record` does"
        ) from None
    if not isinstance(record, dict):
        raise RecordingError(f"{where}: must be a JSON object, not {type(record).__name__}")
    if unknown := sorted(set(record) - _KNOWN):
        raise RecordingError(f"{where}: unknown field {unknown[0]!r}; known: {sorted(_KNOWN)}")
    received_at = record.get("received_at")
    instant = parse_instant(received_at) if isinstance(received_at, str) else None
    if instant is None:
        raise RecordingError(f"{where}: received_at must be a time like 2026-03-02T10:00:00Z")
    path = record.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        raise RecordingError(f"{where}: path must begin with a slash, like /github")
    headers = record.get("headers", {})
    if not isinstance(headers, dict) or not all(isinstance(v, str) for v in headers.values()):
        raise RecordingError(f"{where}: headers must be an object of strings")
    lowered = {name.lower(): value for name, value in headers.items()}
    return Delivery(instant, path, lowered, _body(record, where))


def _body(record: dict[str, Any], where: str) -> bytes:
    if ("body" in record) == ("body_base64" in record):
        raise RecordingError(f"{where}: needs either body or body_base64")
    if "body_base64" in record:
        try:
            return base64.b64decode(record["body_base64"], validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise RecordingError(f"{where}: body_base64 is not base64") from None
    body = record["body"]
    if isinstance(body, str):
        return body.encode("utf-8", "replace")
    return _dump(body).encode()


def _json_or_text(text: str) -> Any:
    """The JSON value, or the text itself where that would not come back the same."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if isinstance(value, str) else value


def _without_secrets(path: str) -> str:
    base, mark, query = path.partition("?")
    if not mark:
        return path
    kept = [
        pair for pair in parse_qsl(query, keep_blank_values=True) if not _SECRET.search(pair[0])
    ]
    return f"{base}?{urlencode(kept)}" if kept else base


def _shifted(key: str, value: Any, delta: Duration) -> Any:
    if isinstance(value, dict):
        return {name: _shifted(name, part, delta) for name, part in value.items()}
    if isinstance(value, list):
        return [_shifted(key, part, delta) for part in value]
    if isinstance(value, str):
        return _shifted_text(key, value, delta)
    if isinstance(value, int) and not isinstance(value, bool) and _TIME_KEY.search(key):
        unit = _EPOCHS.get(len(str(value)))
        return value + delta // unit if unit else value
    return value


def _shifted_text(key: str, text: str, delta: Duration) -> str:
    if text.isascii() and text.isdigit():
        unit = _EPOCHS.get(len(text)) if _TIME_KEY.search(key) else None
        return str(int(text) + delta // unit) if unit else text
    try:
        if match := _TIMESTAMP.match(text):
            return _shifted_timestamp(match, delta)
        if _DAY.match(text):
            moved = datetime.fromisoformat(text) + timedelta(microseconds=delta)
            return moved.date().isoformat()
    except (ValueError, OverflowError):
        pass
    return text


def _shifted_timestamp(match: re.Match[str], delta: Duration) -> str:
    clock, fraction = match["clock"], match["fraction"] or ""
    digits = fraction[1:]
    micros = int(digits[:6].ljust(6, "0")) if digits else 0
    start = datetime.fromisoformat(f"{match['day']}T{clock}")
    moved = start + timedelta(microseconds=micros + delta)
    day, later = moved.date().isoformat(), moved.strftime("%H:%M:%S")[: len(clock)]
    if digits:
        later += fraction[0] + (f"{moved.microsecond:06d}"[: len(digits)] + digits[6:])
    return f"{day}{match['gap']}{later}{match['zone'] or ''}"
