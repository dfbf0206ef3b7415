"""What the importers of all tools have in common: deliveries, pages of them, and steps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

JSON: Final = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook as the tool would have sent it."""

    path: str
    headers: Mapping[str, str]
    body: bytes


def delivery(
    path: str, id_header: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Delivery:
    """A delivery whose id is that of its content: what did not change since the last import is
    a duplicate for the receiver, and what did is not."""
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    named = dict(headers or {})
    mark = hashlib.sha256(json.dumps(sorted(named.items())).encode() + raw).hexdigest()[:32]
    return Delivery(path, {**JSON, **named, id_header: f"import-{mark}"}, raw)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a step's list."""

    deliveries: Sequence[Delivery]
    next: str = ""
    """Where the list goes on; empty at its end."""
    pages: int = 0
    """How many pages there are, where the API says so; 0 when it does not."""


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of object of one project, read page by page."""

    name: str
    fetch: Callable[[str], Page]
    """The page at a cursor, empty for the first one. Raises Forbidden when the token may not."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What to import."""

    since: str
    """RFC 3339, UTC; objects that changed or ran since then."""
    details: bool = True
    """Whether to ask for what only single objects tell: reviews, commits, jobs."""
    only: frozenset[str] = field(default_factory=frozenset)
    """Names of steps; empty: all."""


class Forbidden(Exception):
    """The API refuses a list, or does not have it; the message says which proof is missing."""


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a list; nothing for anything else."""
    if isinstance(value, list):
        yield from (entry for entry in value if isinstance(entry, dict))
