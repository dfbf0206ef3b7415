"""`vs-tui ls FILTER`: spans that match, for people and for scripts."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from vs_tui.cli.common import add_store_options, load_config, now
from vs_tui.cli.manual import USAGE, add_command
from vs_tui.domain.instants import format_duration
from vs_tui.domain.model import Link, Span


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "ls",
        help="list spans that match a filter",
        description="The filter is the dashboard's: words, team:core, kind:deploy, state:failed, "
        "dur>10m, age<7d, -is:draft ...",
        epilog="""
        examples:
          vs-tui ls kind:deploy state:failed
          vs-tui ls 'age<1d' team:core -n 5
          vs-tui ls --json kind:deploy | jq -r .span_id
          vs-tui ls -- -is:draft                 a term that begins with a dash
        """,
    )
    parser.add_argument(
        "filter",
        nargs="*",
        default=[],
        help="filter terms (put `--` before one that begins with -)",
    )
    parser.add_argument("-n", "--limit", type=int, default=50, help="at most so many (default 50)")
    parser.add_argument(
        "--sort", default="live", help="live, started, ended, duration, name, -name ..."
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one span a line")
    add_store_options(parser)


def run(args: argparse.Namespace) -> int:
    from vs_tui.store.reader import SqliteReader

    config = load_config(args)

    async def read() -> tuple[Sequence[Span], Mapping[str, Sequence[Link]], Mapping[str, str]]:
        reader = await SqliteReader(config.db, now).open()
        try:
            terms = " ".join(args.filter)
            page = await reader.all_spans(terms, limit=args.limit, sort=args.sort)
            return page.items, *(await reader.links(page.items))
        finally:
            await reader.close()

    try:
        spans, links, refs = asyncio.run(read())
    except ValueError as error:
        from vs_tui.domain.display import clean_lines

        print(f"vs-tui ls: {clean_lines(str(error))}", file=sys.stderr)
        return USAGE
    if args.json:
        import orjson

        from vs_tui.domain.display import escaped_json
        from vs_tui.exporters.jsonable import span_json

        for span in spans:
            found = span_json(span, links.get(span.key, ()), refs)
            print(escaped_json(orjson.dumps(found).decode()))
    else:
        for span in spans:
            print(row(span))
    return 0


def row(span: Span) -> str:
    """One aligned line; event text never reaches the terminal raw."""
    from vs_tui.domain.display import clean

    took = format_duration(span.elapsed(now()))
    cells = (
        f"{span.status.value:<10}",
        f"{clean(span.operation)[:12]:<13}",
        f"{took:>7}",
        f"{clean(span.team)[:10] or '-':<11}",
        clean(span.name)[:80],
        clean(span.ref),
    )
    return "  ".join(cells)
