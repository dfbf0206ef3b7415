"""`vs-tui record`: write stored deliveries to a recording, without secrets."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from vs_tui.cli.commands import UsageError, add_command
from vs_tui.cli.common import (
    CommandError,
    SourceName,
    add_store_options,
    load_config,
    moment,
    new_file,
)
from vs_tui.log.recording import Delivery, format_line
from vs_tui.model.display import escaped_json


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "record",
        description="Writes stored deliveries with the headers that matter and their bodies, one a "
        "line. Tokens, signatures and cookies are never stored and never written.",
        epilog="""
        examples:
          vs-tui record --out bug.jsonl --since 2h --source github
          vs-tui record --delivery 812           one delivery, on stdout
          vs-tui record --since 2026-03-02 --until 2026-03-03 | gzip > day.jsonl.gz
        """,
    )
    parser.add_argument("--out", default="-", metavar="FILE", help="where to (default: stdout)")
    parser.add_argument("--since", metavar="TIME", help="from this time on, or an age such as 2h")
    parser.add_argument("--until", metavar="TIME", help="before this time, or an age")
    parser.add_argument("--source", type=SourceName, help="only this source")
    parser.add_argument("--delivery", type=int, metavar="ID", help="only this one")
    add_store_options(parser)


def run(args: argparse.Namespace) -> int:
    from vs_tui.store.queries.read_deliveries import recorded
    from vs_tui.store.schema import open_reader

    since = moment("--since", args.since) if args.since else None
    until = moment("--until", args.until) if args.until else None
    connection = open_reader(load_config(args).db)
    try:
        found = recorded(
            connection,
            since=since,
            until=until,
            source=args.source,
            delivery_id=args.delivery,
        )
        written = _write(args.out, found)
    finally:
        connection.close()
    if not written:
        _explain(args)
    print(f"{written} deliveries", file=sys.stderr)
    return 0


def _explain(args: argparse.Namespace) -> None:
    """Why nothing was found under a given name."""
    from vs_tui.sources.dispatch import sources

    if args.source and args.source not in (known := sources()):
        raise UsageError(f"there is no source '{args.source}'; there are {', '.join(known)}")
    if args.delivery is not None:
        raise CommandError(
            f"there is no such delivery {args.delivery}, or it was pruned; Events lists them "
            "(refused requests, whose numbers are negative, are not kept whole)"
        )


def _write(out: str, deliveries: Iterator[Delivery]) -> int:
    written = 0
    if out == "-":
        for delivery in deliveries:
            line = format_line(delivery).decode("utf-8", "surrogatepass")
            sys.stdout.buffer.write(escaped_json(line).encode())
            written += 1
        return written
    try:
        descriptor = new_file(out)
    except FileExistsError:
        raise CommandError(f"{out} exists; choose another --out or remove it first") from None
    except OSError as error:
        raise CommandError(
            f"{out} cannot be written: {error.strerror}; choose another --out"
        ) from None
    with open(descriptor, "wb") as file:  # noqa: PTH123
        for delivery in deliveries:
            file.write(format_line(delivery))
            written += 1
    return written
