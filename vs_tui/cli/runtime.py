"""A running receiver: writer, reader and HTTP server of one configuration, opened in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from vs_tui.config import Config
from vs_tui.domain.instants import Instant
from vs_tui.domain.model import Rule
from vs_tui.store.reader import SqliteReader
from vs_tui.store.writer import Settings, Writer


def writer_settings(config: Config) -> Settings:
    """What the writer needs of the configuration."""
    rules = {rule.value: rule for rule in Rule}
    disabled = frozenset(rules[name] for name in config.disabled_rules if name in rules)
    return Settings(teams=config.teams, timeouts=config.timeouts, disabled_rules=disabled)


@dataclass
class Runtime:
    """Open the store first, start listening when the screen is up, close both at the end."""

    config: Config
    clock: Callable[[], Instant]
    writer: Writer = field(init=False)
    reader: SqliteReader = field(init=False)
    url: str = ""

    async def open_store(self) -> None:
        """StoreError says what to do."""
        self.writer = Writer(self.config.db, self.clock, writer_settings(self.config))
        await self.writer.open()
        try:
            self.reader = SqliteReader(
                self.config.db,
                self.clock,
                team_names=self.config.teams.names,
                trouble=lambda: self.writer.trouble,
            )
            await self.reader.open()
        except BaseException:
            await self.writer.close()
            raise

    async def listen(self) -> str:
        """Start the HTTP server and return its URL; aiohttp is imported only here."""
        from vs_tui.receiver.server import Receiver

        self._receiver = Receiver(self.config, self.writer, self.reader, self.clock)
        await self._receiver.start()
        self.url = self._receiver.url
        return self.url

    async def close(self) -> None:
        """Stop listening, commit what waits, close the database."""
        if self.url:
            await self._receiver.stop()
        await self.reader.close()
        await self.writer.close()
