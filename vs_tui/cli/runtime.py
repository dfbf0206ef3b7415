"""A running receiver: the writer, reader and HTTP server of one configuration, opened in order."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from vs_tui.cli.common import reader_settings
from vs_tui.config import Config, ConfigError
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Rule
from vs_tui.store.freed_memory import share_arena
from vs_tui.store.maintenance.sweeper import WriterSettings
from vs_tui.store.queries.reader import SqliteReader
from vs_tui.store.writer import Writer
from vs_tui.traces.correlation import LinkRules

if TYPE_CHECKING:
    from sqlite3 import Connection

    from vs_tui.api.server import Receiver
    from vs_tui.config.reread import Reread
    from vs_tui.export.notifier import Notifier
    from vs_tui.export.sending import OtlpExporter
    from vs_tui.log.delivery import Receipt
    from vs_tui.store.folding.span_folding import Change
    from vs_tui.store.folding.transaction import Folding
    from vs_tui.store.metrics.keeper import MetricsKeeper
    from vs_tui.store.queries.reports import Reports


def writer_settings(config: Config) -> WriterSettings:
    """The writer's part of the configuration. ConfigError names an unknown rule."""
    rules = {rule.value: rule for rule in Rule}
    if unknown := [name for name in config.disabled_rules if name not in rules]:
        raise ConfigError(
            f"[correlation] disable: there is no rule '{unknown[0]}'; there are {', '.join(rules)}"
        )
    disabled = frozenset(rules[name] for name in config.disabled_rules)
    metrics = replace(config.metrics, services=config.services)
    links = LinkRules(disabled, metrics.incident_window, config.environments, metrics)

    @cache
    def keeper() -> MetricsKeeper:
        # Importing its modules takes as long as painting the dashboard's first rows, so it waits
        # for the first span.
        from vs_tui.store.metrics.keeper import MetricsKeeper

        return MetricsKeeper(config.environments, config.teams.teams, metrics, links)

    def after_fold(
        db: Connection, changes: Sequence[Change], gone: Sequence[str], more: bool
    ) -> None:
        keeper().after_fold(db, changes, gone, more)

    def adopt(db: Connection, folding: Folding) -> bool:
        return keeper().adopt_some(db, folding)

    return WriterSettings(
        after_fold=(after_fold,),
        adopt=(adopt,),
        teams=config.teams,
        timeouts=config.timeouts,
        links=links,
        retention=config.retention,
        low_space=config.low_space,
        notice=_print_notice,
    )


def _print_notice(text: str) -> None:
    print(f"vs-tui: {text}", file=sys.stderr, flush=True)


def open_log(config: Config, clock: Callable[[], Instant], settings: WriterSettings) -> Writer:
    """Open the writer of a configuration: of its own log, or of one that several nodes share."""
    if config.log is None:
        return Writer(config.db, clock, settings)
    from vs_tui.cli.postgres import open_postgres

    shared = open_postgres(config.log, config.log_schema)
    from vs_tui.store.shared_writer import SharedWriter

    return SharedWriter(config.db, clock, settings, shared)


@dataclass
class Runtime:
    """Open the store first, listen once the screen is up, close both at the end."""

    config: Config
    clock: Callable[[], Instant]
    writer: Writer = field(init=False)
    reader: SqliteReader = field(init=False)
    """The reader of the dashboard. HTTP requests have another one, so they never delay the
    screen."""
    url: str = ""
    _api_reader: SqliteReader | None = field(init=False, default=None)
    exporters: list[OtlpExporter] = field(init=False, default_factory=list)
    notifier: Notifier | None = field(init=False, default=None)

    async def open_store(self) -> None:
        """Open the store; StoreError says what to do."""
        share_arena()
        self.writer = open_log(self.config, self.clock, writer_settings(self.config))
        await self.writer.open()
        try:
            self.reader = await self._open_reader()
        except BaseException:
            await self.writer.close()
            raise

    async def _open_reader(self) -> SqliteReader:
        return await SqliteReader(
            self.config.db,
            self.clock,
            trouble=lambda: self.writer.trouble,
            export_trouble=lambda: "; ".join(
                filter(None, (e.trouble_message for e in self.exporters))
            ),
            **reader_settings(self.config),
        ).open()

    async def listen(self) -> str:
        """Start the HTTP server and return its URL. aiohttp is imported in a thread, so the
        dashboard answers keys meanwhile."""
        await asyncio.to_thread(import_module, "vs_tui.api.server")
        from vs_tui.api.server import Receiver
        from vs_tui.cli.reachability import with_new_secrets

        self.config = await asyncio.to_thread(with_new_secrets, self.config)
        if self._api_reader is None:
            self._api_reader = await self._open_reader()
        reports = self._reports_of(self._api_reader)
        self.receiver = Receiver(self.config, self.writer, self._api_reader, self.clock, reports)
        await self.receiver.start()
        self.url = self.receiver.url
        if self.config.export.otlp:
            self.start_export()
        if self.config.notify:
            self._start_notifier()
        return self.url

    def start_export(self) -> None:
        """Start to send traces and metrics. ConfigError if the collector's address is our own."""
        from vs_tui.export.otlp import MetricExporter, TraceExporter
        from vs_tui.export.sending import leads_to

        settings = self.config.export
        if leads_to(settings.otlp, self.url, self.config.public_url):
            raise ConfigError(
                f"[export] otlp is {self.url}, this receiver itself; name a collector's address"
            )
        if "traces" in settings.signals:
            self.exporters.append(TraceExporter(settings, self.reader.run, self.writer, self.clock))
        if "metrics" in settings.signals:
            self.exporters.append(
                MetricExporter(
                    settings,
                    self.reader.run,
                    self.writer,
                    self.clock,
                    counters=self.receiver.totals,
                )
            )
        for exporter in self.exporters:
            self.receiver.metrics.show_export(exporter.signal, exporter.state)
            exporter.start()

    def _start_notifier(self) -> None:
        """Start to send notifications."""
        from vs_tui.export.notices import team_notices, waiting_notices
        from vs_tui.export.notifier import Notifier

        reader = self.reader
        self.notifier = Notifier(
            self.config.notify,
            reader.run,
            self.writer,
            self.clock,
            waiting=lambda rule: waiting_notices(reader, rule),
            of_teams=lambda rule: team_notices(self.reports, rule, self.clock()),
        )
        self.notifier.start()

    async def take_over(self, found: Reread) -> None:
        """Apply the settings of a reread configuration that need no restart."""
        config = found.config
        if found.problem or not found.changed:
            return
        notify_changed = config.notify != self.config.notify
        self.config = replace(config, secrets=self.config.secrets)
        await self.writer.reconfigure(writer_settings(config))
        for reader in (self.reader, self._api_reader):
            if reader is not None:
                reader.reconfigure(**reader_settings(config))
        if not self.url:
            return
        self.receiver.reconfigure(self.config)
        if notify_changed:
            if self.notifier is not None:
                await self.notifier.stop()
                self.notifier = None
            if config.notify:
                self._start_notifier()

    async def send_link(self, action: str, child: str, parent: str) -> None:
        """Store a person's decision about a link, like any delivery."""
        import json

        body = json.dumps({"action": action, "child": child, "parent": parent}).encode()
        await self.ingest("/api/links", {}, body)
        await self.writer.caught_up()

    async def ingest(
        self,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        at: Instant | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Receipt | None:
        """Store a delivery that did not come over HTTP (demo, decisions); None if no source
        receives at its path."""
        from vs_tui.sources.base import BadBody, Inbound
        from vs_tui.sources.dispatch import intake_of, read, route

        source = route(path)
        if source is None:
            return None
        received_at = self.writer.receipt_time() if at is None else at
        inbound = Inbound(path, headers, body, received_at, query or {})
        try:
            parsed = read(source, inbound)
        except BadBody:
            return None
        return await self.writer.submit(intake_of(source, inbound, parsed))

    async def refold(self, delivery_id: int) -> str:
        """Parse one stored delivery again with the present adapters; says what came of it."""
        from vs_tui.sources.dispatch import parse_stored
        from vs_tui.store.maintenance.rebuild import refold_one

        return await self.writer.transaction(
            lambda db, folding: refold_one(db, folding, parse_stored, delivery_id)
        )

    @property
    def reports(self) -> Reports:
        """The delivery metrics of this database."""
        return self._reports_of(self.reader)

    def _reports_of(self, reader: SqliteReader) -> Reports:
        from vs_tui.store.queries.reports import Reports

        return Reports(reader, self.config, self.clock)

    async def close(self) -> None:
        """Stop listening, commit what waits, and close the database."""
        parts: list[Notifier | OtlpExporter | Receiver] = [*self.exporters]
        if self.notifier is not None:
            parts.append(self.notifier)
        if self.url:
            parts.append(self.receiver)
        await asyncio.gather(*(part.stop() for part in parts))
        for reader in (self._api_reader, self.reader):
            if reader is not None:
                await reader.close()
        await self.writer.close()
