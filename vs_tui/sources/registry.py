"""The registry of sources: built-in ones, presets, configured ones, and third parties' by entry
point."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any, Final

from vs_tui.config.model import edition, in_force
from vs_tui.model.errors import ConfigError
from vs_tui.sources.base import Source

log = logging.getLogger(__name__)

ENTRY_POINT_GROUP: Final = "vs_tui.sources"
PACKAGE: Final = "vs_tui.sources"


def built_in() -> Iterator[Source]:
    """The sources of this package: of every module with a `SOURCE`, whose name is the module's."""
    for module in iter_modules(import_module(PACKAGE).__path__):
        if (source := _of_module(module.name)) is not None:
            yield source


def _of_module(name: str) -> Source | None:
    found: Source | None = getattr(import_module(f"{PACKAGE}.{name}"), "SOURCE", None)
    return found


def sources() -> Mapping[str, Source]:
    """Name -> source. ConfigError names the wrong setting of a configured source. A third party's
    source that fails to load is logged and left out; it cannot replace a built-in source."""
    return _sources(edition())


@lru_cache(maxsize=2)
def _sources(_: int) -> Mapping[str, Source]:
    from importlib.metadata import entry_points

    found = {source.name: source for source in built_in()}
    for source in _mapped(found):
        found[source.name] = source
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            source = entry.load()
            found.setdefault(source.name, source)
        except Exception:
            log.exception("the source %s could not be loaded; reinstall its package", entry.name)
    return found


def _mapped(built_in: Mapping[str, Source]) -> Iterator[Source]:
    """Presets and configured sources. A table with a preset's name overrides settings of that
    preset."""
    from vs_tui.sources.mapped import MappedSource, presets

    ready, configured = presets(), in_force()
    taken = {path: name for name, source in built_in.items() for path in source.paths}
    for name in dict.fromkeys((*configured, *ready)):  # a configured path precedes a preset's
        table = configured.get(name)
        if name in built_in:
            raise ConfigError(f"[sources.{name}]: vs-tui has a source of this name; choose another")
        if table is None:
            source = ready[name]
        else:
            preset = dict(ready[name].definition) if name in ready else {}
            if "path" in table:
                preset.pop("paths", None)
            source = MappedSource(name, {**preset, **table}).check()
        if source.enabled:
            for path in source.paths:
                below = (path[:n] + "/*" for n, letter in enumerate(path) if letter == "/")
                wider = next((taken[pattern] for pattern in below if pattern in taken), name)
                if (owner := taken.setdefault(path, wider)) != name:
                    raise ConfigError(
                        f"[sources.{name}] path: {path} is the path of {owner}; choose another"
                    )
            yield source


def signing_sources() -> list[str]:
    """Names of the sources whose tool has a secret of its own for signing."""
    return [name for name, source in sources().items() if source.signature_headers]


def portable(source: Source) -> str | tuple[str, Any]:
    """A value by which another process finds this source: its name, or the definition of a mapped
    source."""
    from vs_tui.sources.mapped import MappedSource

    return (source.name, source.definition) if isinstance(source, MappedSource) else source.name


def one_source(found: str | tuple[str, Any]) -> Source:
    """The source for a value of `portable`. Imports only that source if it is built in."""
    from vs_tui.sources.mapped import MappedSource

    if isinstance(found, tuple):
        return MappedSource(*found)
    own = _of_module(found) if find_spec(f"{PACKAGE}.{found}") else None
    return own or sources()[found]


def routes() -> Iterator[tuple[str, Source]]:
    """(path, source) for every path of every enabled source."""
    for source in sources().values():
        if getattr(source, "enabled", True) is False:
            continue
        for path in source.paths:
            yield path, source
