"""Reads the configuration again when its file changes, while a receiver or a dashboard runs, and
says what takes effect at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from vs_tui.config.document import names_in_file
from vs_tui.config.model import Config
from vs_tui.model.errors import ConfigError

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
_NAMES: Final = names_in_file()
AT_ONCE: Final[Mapping[str, str]] = {
    name: _NAMES[name]
    for name in (
        *("teams", "people_names", "environments", "metrics", "services", "goals", "timeouts"),
        *("disabled_rules", "views", "keys", "retention", "notify", "thresholds"),
        *("watch_command", "low_space"),
    )
}
"""Fields of `Config` that take effect while vs-tui runs -> their names in the file."""
AFTER_RESTART: Final = {name: _NAMES[name] for name in _NAMES if name not in AT_ONCE}
"""Fields that are read at the start only."""


@dataclass(frozen=True, slots=True)
class Reread:
    """The result of reading a changed file."""

    config: Config
    """The configuration in force from now on."""
    changed: Sequence[str] = ()
    """Names of the settings that take effect now."""
    restart: Sequence[str] = ()
    """Names of changed settings that take effect at the next start."""
    problem: str = ""
    """Why the file cannot be used; the settings before stay in force."""

    @property
    def message(self) -> str:
        """The result in one line for people."""
        if self.problem:
            return f"{self.problem}; the settings before stay in force"
        name = self.config.path.name
        changed = f"{', '.join(self.changed)} in force" if self.changed else ""
        parts = [part for part in (changed, self.after_restart) if part]
        return f"{name} was read again: {'; '.join(parts) or 'nothing is different'}"

    @property
    def after_restart(self) -> str:
        """The settings that wait for a restart, in words; empty without any."""
        return f"{', '.join(self.restart)} after a restart" if self.restart else ""


Listener = Callable[[Reread], Awaitable[None]]


@asynccontextmanager
async def following(
    config: Config, read: Callable[[], Config], *listeners: Listener
) -> AsyncIterator[None]:
    """Read the file again whenever it changed, and await each listener with what that came to.
    `read` reads and checks all of it; it raises ConfigError for settings that cannot be used."""

    async def follow(file: ConfigFile) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            found = file.look()
            if found is None:
                continue
            log.log(logging.ERROR if found.problem else logging.INFO, "%s", found.message)
            for listener in listeners:
                try:
                    await listener(found)
                except Exception:
                    log.exception("a changed configuration is not in force everywhere")

    task = asyncio.create_task(follow(ConfigFile(config, read)), name="configuration")
    try:
        yield
    finally:
        task.cancel()


class ConfigFile:
    """The configuration in force. `read` reads and checks all of it again, raising ConfigError."""

    def __init__(self, config: Config, read: Callable[[], Config]) -> None:
        self.config = config
        self._read = read
        self._stamp = self._seen = stamp(config.path)

    def look(self) -> Reread | None:
        """Read the file if it has changed, but not since the last look: an editor may still be
        writing it. None if there is nothing new."""
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
        """The fields that differ. A variable or a flag overrides the file, so they do not."""
        now = self.config
        from_file = (name for name in names if now.origins.get(name) not in ("environment", "flag"))
        return [name for name in from_file if getattr(found, name) != getattr(now, name)]


def stamp(path: Path) -> tuple[int, int, int] | None:
    """A value that changes whenever the file changes: (mtime, inode, size); None without a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
