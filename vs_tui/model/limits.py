"""Limits of what the receiver accepts and keeps, and of what Live calls long. The defaults suit one
small machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from vs_tui.model.time import DAY, HOUR, Duration

KIB: Final = 1024
MIB: Final = 1024 * KIB
LOW_SPACE: Final = 64 * MIB
"""Bytes that stay free on the database's disk. SQLite cannot delete rows on a full disk, so pruning
needs this room."""

READ_AT_ONCE: Final = 20_000
"""Values of a body that may be read on the event loop; that takes a few milliseconds."""
READ_AT_MOST: Final = 2_000_000
"""Values that a body may have. 25 MiB of `[],` are eight million lists, which take 1.5 GB and 20
seconds. A push that names 400,000 files has fewer than a million values."""
_SMALL: Final = 64 * KIB
_FOR_SMALL: Final = 8
"""One part in this many of the room for bodies is reserved for small ones. Nearly every webhook is
small, and a flood of large bodies must not keep them out."""
_OPENINGS: Final = (b",", b"[", b"{")
_PROTOBUF_TAGS: Final = tuple(bytes([field << 3 | 2]) for field in range(1, 10))
"""The bytes that begin a text, a list entry or a nested message in protobuf."""

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(b|kib|kb|mib|mb|gib|gb|tib|tb)?", re.IGNORECASE)
_UNITS: Final = {"k": KIB, "m": MIB, "g": 1024 * MIB, "t": 1024 * 1024 * MIB}


@dataclass(frozen=True, slots=True)
class Limits:
    """What the receiver refuses with 413, 408 or 503 before it costs memory."""

    body: int = 25 * MIB
    """Bytes of one body, after decompression (413). GitHub and GitLab send up to 25 MB."""
    bodies: int = 64 * MIB
    """Bytes of all bodies in memory (503); an eighth of it is for small ones."""
    concurrent: int = 1_000
    """Requests handled at once (503); one source may take three quarters of them, and so may those
    whose body is still arriving."""
    connections: int = 2_000
    """Open connections; one more closes the connection that has been idle longest."""
    rate: float = 5_000
    """Requests a second for each source (503 beyond), after a burst of five seconds' worth; 0 means
    no limit."""
    read_seconds: float = 18
    """Seconds for a whole body (408). A refused sender gets one second more to read the answer; a
    slow connection is closed within twenty seconds."""
    idle_seconds: float = 15
    """Seconds for a request head, between requests, and without reading an answer; then the
    connection is closed. aiohttp's hour lets a slowloris attack take every file descriptor."""
    stop_seconds: float = 2
    """Seconds that requests in flight get when the receiver stops."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept; 0 keeps everything."""

    age: Duration = 0
    """Traces whose last event is older are deleted once nothing in them is in flight."""
    size: int = 0
    """Bytes in use; above this the oldest finished traces are deleted, whatever their age."""

    def __bool__(self) -> bool:
        return bool(self.age or self.size)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """`[live]`: when Live calls a trace long or quiet, and how long it lists a finished one."""

    long: float = 1.5
    """A step is long from this multiple of its usual duration."""
    quiet: Duration = 14 * DAY
    """A waiting trace is quiet after this time without an event."""
    finished_for: Duration = 2 * HOUR
    """How long a finished trace is listed."""
    axis_breaks: int = 5
    """Most breaks on the time axis of a trace."""


DEFAULT_THRESHOLDS: Final = Thresholds()


def format_size(size: int) -> str:
    """Bytes for people, in powers of 1024: `512 B`, `38.8 MiB`, `740 GiB`."""
    if size < KIB:
        return f"{size} B"
    amount, units = size / KIB, ["TiB", "GiB", "MiB", "KiB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        units.pop()
    return f"{amount:.1f} {units[-1]}" if amount < 100 else f"{amount:.0f} {units[-1]}"


def parse_size(text: str) -> int:
    """`64MiB`, `2GB`, `1.5g` or bytes as a number; units are powers of 1024. ValueError says so."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is not a size; write it like 500MiB or 2GiB")
    unit = (match[2] or "b")[0].lower()
    return int(float(match[1]) * _UNITS.get(unit, 1))


def fits(held: int, size: int, room: int, whole: int) -> bool:
    """Whether `size` more bytes of a body fit into a room of which `held` are taken; `whole` is the
    size of the body with them."""
    return held + size <= (room if whole <= _SMALL else room - room // _FOR_SMALL)


def values_in(body: bytes, content_type: str = "") -> int:
    """An estimate of the number of values in a body, which is the cost of reading it. It is never
    much too low; text that only looks like a value counts, too. 0 for a body too small to
    matter."""
    if len(body) <= _SMALL:
        return 0
    signs = _PROTOBUF_TAGS if "protobuf" in content_type else _OPENINGS
    return sum(body.count(sign) for sign in signs)


READ_WAIT_SECONDS: Final = 2.0
"""The longest time that a read waits until the deliveries acknowledged before it are folded."""
LAG_SHOWN: Final = 1.0
"""Seconds of lag from which the dashboard says that folding is behind."""
