"""What commands do with PostgreSQL: maintenance and checks of a shared log, for `vs-tui db` and
`vs-tui doctor`, and `vs-tui export postgres`: the SQL views as tables."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vs_tui.cli.commands import UsageError, add_command, usage
from vs_tui.cli.common import Bar, add_store_options, load_config, now, pause
from vs_tui.config import Config, ConfigError
from vs_tui.log.address import SCHEMES, LogAddress, check_schema_name, parse_log_url
from vs_tui.log.delivery import FORGET_PATH, PRUNE_PATH, decision
from vs_tui.model.time import SECOND, Instant, iso

if TYPE_CHECKING:
    from vs_tui.log.postgres import Entry, PostgresLog
    from vs_tui.store.maintenance.forgetting import Person


_TEXTS = ("path", "kind", "headers", "reason", "dedupe", "keys")


def open_postgres(address: LogAddress, schema: str) -> PostgresLog:
    """Connect to the log; ConfigError if psycopg is not installed."""
    try:
        from vs_tui.log.postgres import PostgresLog
    except ImportError:
        raise ConfigError(
            "a PostgreSQL log needs an extra: pip install 'vs-tui[postgres]'"
        ) from None
    return PostgresLog(address, schema)


@contextlib.asynccontextmanager
async def _opened(config: Config, address: LogAddress) -> AsyncIterator[PostgresLog]:
    log = open_postgres(address, config.log_schema)
    try:
        await log.open()
        yield log
    finally:
        await log.close()


def copy_log(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    """`db copy-log FROM TO`: one is a file, the other a URL."""
    source, target = (_end(text) for text in (args.source, args.target))
    if isinstance(source, LogAddress) == isinstance(target, LogAddress):
        raise UsageError(
            "copy-log copies between a SQLite file and a URL such as postgresql://USER@HOST/DB"
        )
    with Bar(sys.stderr) as bar:

        def progress(done: int) -> None:
            bar.show("copied", done, 0, "deliveries")

        copied = asyncio.run(_copy(config, source, target, progress))
    into = "start the receivers with --log" if isinstance(target, LogAddress) else "start with --db"
    return {
        "ok": True,
        "from": str(source),
        "to": str(target),
        "deliveries": copied,
        "next": [f"{into} {target}"],
    }


async def _copy(
    config: Config,
    source: LogAddress | Path,
    target: LogAddress | Path,
    progress: Callable[[int], None],
) -> int:
    # Imported once it is clear that psycopg is there.
    if isinstance(target, LogAddress):
        assert isinstance(source, Path)
        async with _opened(config, target) as log:
            from vs_tui.store.maintenance.copy_log import to_postgres

            return await to_postgres(source, log, progress)
    assert isinstance(source, LogAddress)
    async with _opened(config, source) as log:
        from vs_tui.store.maintenance.copy_log import to_sqlite

        return await to_sqlite(log, target, progress)


def _end(text: str) -> LogAddress | Path:
    if text.partition("://")[0] not in SCHEMES:
        return Path(text).expanduser()
    return _address(text)


def prune(config: Config, log: LogAddress, before: Instant) -> dict[str, Any]:
    """Decide for all nodes that finished traces from before an instant are deleted."""

    async def decide() -> None:
        async with _opened(config, log) as opened:
            from vs_tui.store.shared_writer import entry_of

            await opened.append([entry_of(decision(PRUNE_PATH, {"before": before}, now()))])

    asyncio.run(decide())
    return {
        "ok": True,
        "log": str(log),
        "older_than": iso(before),
        "next": ["every node deletes it by itself, those that are stopped when they start"],
    }


def forget(
    config: Config, log: LogAddress, person: Person, *, dry_run: bool, advice: Sequence[str]
) -> dict[str, Any]:
    """Replace a person's names in the shared log; every node then reads the whole log again."""
    named = 0

    def change(entry: Entry) -> Entry:
        nonlocal named
        texts: dict[str, Any] = {name: person.text(getattr(entry, name)) for name in _TEXTS}
        changed = entry._replace(body=person.body(entry.body), **texts)
        named += changed != entry
        return entry if dry_run else changed

    async def work() -> None:
        async with _opened(config, log) as opened:
            from vs_tui.store.shared_writer import entry_of

            if await opened.rewrite(change):
                decided = decision(FORGET_PATH, {"now_called": person.word}, now())
                await opened.append([entry_of(decided)])

    asyncio.run(work())
    return {
        "ok": True,
        "log": str(log),
        "deliveries": named,
        "forgotten": not dry_run,
        "now_called": None if dry_run else person.word,
        "next": [
            *advice,
            "every node makes its database again, those that are stopped at their "
            "start; backups of the server still name the person",
        ],
    }


async def look(config: Config, log: LogAddress) -> tuple[str, bool]:
    """The content of the log in words, and whether this node's database lacks some of it. LogAway
    says what is wrong with the log."""
    from vs_tui.store.schema import StoreError, open_reader
    from vs_tui.store.shared_writer import place_of

    async with _opened(config, log) as opened:
        found, behind = await opened.summary(), False
        if config.db.is_file():
            # The check of the database says what is wrong with it.
            with contextlib.suppress(StoreError), contextlib.closing(open_reader(config.db)) as db:
                behind = bool(await opened.read(place_of(db).position, 1))
        return found, behind


DEFAULT_SCHEMA: Final = "vs_tui_views"


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "export",
        export,
        description="Copies the views of docs/sql.md (spans, links, deployments, changes, "
        "incidents) into tables of the same names, all in one transaction. Traces and metrics "
        "leave by OTLP instead: see [export] of the configuration.",
        epilog="""
        examples:
          vs-tui export postgres postgresql://grafana@db.example/delivery
          vs-tui export postgres --every 5m      into the database of the shared log
        """,
    )
    parser.add_argument("to", choices=("postgres",), metavar="postgres", help="where to")
    parser.add_argument(
        "url",
        nargs="?",
        default="",
        metavar="URL",
        help="postgresql://USER@HOST/DATABASE (a password: PGPASSFILE; default: [log] url)",
    )
    parser.add_argument(
        "--schema", default=DEFAULT_SCHEMA, help=f"schema of the tables (default {DEFAULT_SCHEMA})"
    )
    parser.add_argument(
        "--every", default="", metavar="TIME", help="again after this time, such as 5m, forever"
    )
    add_store_options(parser)


def export(args: argparse.Namespace) -> int:
    config = load_config(args)
    address = _address(args.url) if args.url else config.log
    if address is None:
        raise UsageError("name a database: vs-tui export postgres postgresql://USER@HOST/DATABASE")
    with usage("--schema "):
        schema = check_schema_name(args.schema)
    every = pause("--every", args.every, SECOND, "30s or 5m") if args.every else 0
    try:
        from vs_tui.export.postgres_tables import export_tables, newest_change
    except ImportError:
        raise ConfigError("PostgreSQL needs an extra: pip install 'vs-tui[postgres]'") from None
    exported = -1
    while True:
        newest = newest_change(config.db)
        if newest != exported:
            rows = export_tables(config.db, address, schema)
            exported = newest
            said = ", ".join(f"{n} {name.removeprefix('v_')}" for name, n in rows.items())
            print(f"{said} to {address.shown}, schema {schema}", file=sys.stderr)
        if not every:
            return 0
        time.sleep(every / SECOND)


def _address(url: str) -> LogAddress:
    with usage("the URL "):
        return parse_log_url(url)
