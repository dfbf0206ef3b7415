"""Reads the configuration again when its file changes, and says what takes effect at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from vs_tui.config.errors import ConfigError
from vs_tui.config.model import Config

AT_ONCE: Final[Mapping[str, str]] = {
    "teams": "[teams]",
    "environments": "[environments]",
    "metrics": "[metrics]",
    "services": "[services]",
    "goals": "[goals]",
    "timeouts": "[spans]",
    "disabled_rules": "[correlation]",
    "views": "[views]",
    "keys": "[keys]",
    "retention": "[retention]",
    "notify": "[[notify]]",
    "thresholds": "[live]",
    "watch_command": "[ui] watch_command",
    "low_space": "[store] low_space",
}
"""Fields of `Config` that take effect while vs-tui runs, and what the file calls them."""
AFTER_RESTART: Final[Mapping[str, str]] = {
    **{
        name: f"[server] {name}"
        for name in ("host", "port", "public_url", "no_auth", "no_auth_public", "metrics_port")
    },
    "log_level": "[server] log_level",
    "log_format": "[server] log_format",
    "db": "[store] db",
    "log": "[log] url",
    "log_schema": "[log] schema",
    "theme": "[ui] theme",
    "ascii": "[ui] ascii",
    "zone": "[ui] zone",
    "people": "[ui] people",
    "limits": "[limits]",
    "sources": "[sources]",
    "export": "[export]",
}
"""Fields that are read at the start only."""


@dataclass(frozen=True, slots=True)
class Reread:
    """What a changed file came to."""

    config: Config
    """In force from now on."""
    changed: Sequence[str] = ()
    """What takes effect now, as the file calls it."""
    restart: Sequence[str] = ()
    """What differs from what is in force and takes effect with the next start."""
    problem: str = ""
    """Why the file cannot be used; then the settings before stay in force."""

    @property
    def told(self) -> str:
        """One line for people."""
        if self.problem:
            return f"{self.problem}; the settings before stay in force"
        name = self.config.path.name
        changed = f"{', '.join(self.changed)} in force" if self.changed else ""
        parts = [part for part in (changed, self.after_restart) if part]
        return f"{name} was read again: {'; '.join(parts) or 'nothing is different'}"

    @property
    def after_restart(self) -> str:
        """What waits for a restart; empty when nothing does."""
        return f"{', '.join(self.restart)} after a restart" if self.restart else ""


class ConfigFile:
    """The configuration in force. `read` reads and checks all of it again, raising ConfigError."""

    def __init__(self, config: Config, read: Callable[[], Config]) -> None:
        self.config = config
        self._read = read
        self._stamp = self._seen = stamp(config.path)

    def look(self) -> Reread | None:
        """Read the file if it changed and is the same as at the last look: an editor may be in the
        middle of writing it. None when there is nothing new."""
        now, before = stamp(self.config.path), self._seen
        self._seen = now
        if now != before or now == self._stamp:
            return None
        self._stamp = now
        if now is None:
            return Reread(self.config, problem=f"{self.config.path} is gone; put it back")
        try:
            found = self._read()
        except ConfigError as error:
            return Reread(self.config, problem=str(error))
        differs = self._differs(found, AT_ONCE)
        self.config = replace(self.config, **{name: getattr(found, name) for name in differs})
        later = self._differs(found, AFTER_RESTART)
        return Reread(
            self.config,
            [AT_ONCE[name] for name in differs],
            [AFTER_RESTART[name] for name in later],
        )

    def _differs(self, found: Config, names: Iterable[str]) -> list[str]:
        """Those that differ; a variable or a flag beats the file, whatever it says."""
        now = self.config
        from_file = (name for name in names if now.origins.get(name) not in ("environment", "flag"))
        return [name for name in from_file if getattr(found, name) != getattr(now, name)]


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What tells one state of a file from another; None when there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
