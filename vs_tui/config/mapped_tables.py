"""The `[sources]` tables of this process's configuration, for the registry.

Imports nothing, because every command that reads the configuration sets them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

Tables = Mapping[str, Mapping[str, Any]]


class _InForce:
    tables: ClassVar[Tables] = {}
    edition: ClassVar[int] = 0


def configure(tables: Tables) -> None:
    """Set the mapped sources of the configuration; `registry.sources` compiles them."""
    if tables != _InForce.tables:
        _InForce.tables = dict(tables)
        _InForce.edition += 1


def in_force() -> Tables:
    return _InForce.tables


def edition() -> int:
    """A number that changes whenever the tables change."""
    return _InForce.edition
