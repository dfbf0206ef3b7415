"""Presets: ready-made sources that are described by a table.

Each tool has one TOML file in the form of a `[sources.NAME]` table, with links to its documentation
and sample bodies. The fields are those of the vendor's documentation; the values of the samples are
invented.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from vs_tui.sources.base import Inbound
from vs_tui.sources.expressions import Run, TooManySteps
from vs_tui.sources.mapped import MappedSource

FOLDER: Final = Path(__file__).parent


@cache
def presets() -> Mapping[str, MappedSource]:
    """Name -> preset; expressions are compiled on first use."""
    return {
        path.stem: MappedSource(path.stem, _read(path)) for path in sorted(FOLDER.glob("*.toml"))
    }


def _read(path: Path) -> Mapping[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


def recognised(
    inbound: Inbound, body: Any, sources: Iterable[MappedSource] | None = None
) -> MappedSource | None:
    """The only one of `sources` (by default the presets) that recognises the body; None if there is
    none or more than one."""
    found = []
    for source in presets().values() if sources is None else sources:
        try:
            if source.enabled and source.recognises(Run(inbound, body)):
                found.append(source)
        except TooManySteps:
            continue
    return found[0] if len(found) == 1 else None
