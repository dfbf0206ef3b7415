"""`vs-tui export postgres`: the SQL views as tables in PostgreSQL."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any, Final

from vs_tui.cli.commands import UsageError, add_command
from vs_tui.cli.common import add_store_options, load_config, pause
from vs_tui.config import ConfigError
from vs_tui.log.address import LogAddress, check_schema_name, parse_log_url
from vs_tui.model.time import SECOND

DEFAULT_SCHEMA: Final = "vs_tui_views"


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "export",
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


def run(args: argparse.Namespace) -> int:
    config = load_config(args)
    address = _address(args.url) if args.url else config.log
    if address is None:
        raise UsageError("name a database: vs-tui export postgres postgresql://USER@HOST/DATABASE")
    try:
        schema = check_schema_name(args.schema)
    except ValueError as error:
        raise UsageError(f"--schema {error}") from None
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
    try:
        return parse_log_url(url)
    except ValueError as error:
        raise UsageError(f"the URL {error}") from None
