"""What the importers share: deliveries, pages and steps."""

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
    """A delivery with an id made from its content: the receiver takes an unchanged object for a
    duplicate, and a changed one for a new delivery."""
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    named = dict(headers or {})
    mark = hashlib.sha256(json.dumps(sorted(named.items())).encode() + raw).hexdigest()[:32]
    return Delivery(path, {**JSON, **named, id_header: f"import-{mark}"}, raw)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a step's list."""

    deliveries: Sequence[Delivery]
    next: str = ""
    """The cursor of the next page; empty at the end."""
    pages: int = 0
    """Number of pages, if the API says it; else 0."""


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of object of one project, read page by page."""

    name: str
    fetch: Callable[[str], Page]
    """The page at a cursor; the empty cursor means the first page. Raises Forbidden if the token
    may not read it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What to import."""

    since: str
    """RFC 3339, UTC; objects that changed since then are imported."""
    details: bool = True
    """Whether to request what the lists leave out: reviews, commits, jobs."""
    only: frozenset[str] = field(default_factory=frozenset)
    """Names of steps; empty: all."""


class Forbidden(Exception):
    """The API refuses a list or does not have it; the message says which permission is missing."""


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a list; empty for anything else."""
    if isinstance(value, list):
        yield from (entry for entry in value if isinstance(entry, dict))
