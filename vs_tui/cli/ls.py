"""`vs-tui ls FILTER`: spans that match, for people and for scripts."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vs_tui.api.codec.traces import STANDING
from vs_tui.cli.commands import add_command, usage, whole_number
from vs_tui.cli.common import (
    add_store_options,
    load_config,
    now,
    print_json,
    reading,
    shortened,
    table_line,
)
from vs_tui.model.display import clean
from vs_tui.model.time import Instant, format_duration, to_datetime
from vs_tui.model.vocabulary import Link, Span
from vs_tui.traces.standing import Standing

if TYPE_CHECKING:
    from vs_tui.store.queries.reader import SqliteReader

PAGE: Final = 1_000
"""Spans in memory at a time."""


class Found(NamedTuple):
    """A page of spans, with their links and the refs of linked spans."""

    spans: Sequence[Span]
    links: Mapping[str, Sequence[Link]]
    refs: Mapping[str, str]
    is_first: bool = True


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "ls",
        run,
        description="The filter is the dashboard's: words, team:core, kind:deploy, state:failed, "
        "dur>10m, age<7d, -is:draft ...",
        epilog="""
        examples:
          vs-tui ls kind:deploy state:failed
          vs-tui ls 'age<1d' team:core -n 5 --sort=-duration
          vs-tui ls --json kind:deploy | jq -r .span_id
          vs-tui ls --by trace next:ana 'wait>1d'
          vs-tui ls -- -is:draft                 a term that begins with a dash
        """,
    )
    parser.add_argument(
        "filter",
        nargs="*",
        default=[],
        help="filter terms (put `--` before one that begins with -)",
    )
    parser.add_argument(
        "-n", "--limit", type=whole_number, default=50, help="at most so many (default 50)"
    )
    parser.add_argument(
        "--sort",
        default="live",
        help="live (the default), started, ended, duration, name, changed; reversed with a dash "
        "before it: --sort=-name",
    )
    parser.add_argument(
        "--by",
        choices=("span", "trace"),
        default="span",
        help="trace: the traces that are open or have just ended, where each stands and who acts "
        "next; the filter then also knows section: next: step: wait>1d over>1.5 is:long",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one span or trace a line")
    add_store_options(parser)


def run(args: argparse.Namespace) -> int:
    show = _print_json if args.json else _print_rows
    with usage(program="vs-tui ls"):
        asyncio.run(_list_traces(args) if args.by == "trace" else _list(args, show))
    return 0


async def _list(args: argparse.Namespace, show: Callable[[Found], None]) -> None:
    """Print page after page. ValueError for a wrong filter or order."""
    left, cursor, terms = args.limit, "", " ".join(args.filter)

    def judge(empty: SqliteReader) -> Awaitable[object]:
        return empty.all_spans(terms, sort=args.sort)

    async with reading(load_config(args), judge=judge) as reader:
        await reader.caught_up()
        while True:
            page = await reader.all_spans(
                terms, limit=min(left, PAGE), cursor=cursor, sort=args.sort
            )
            links, refs = await reader.links(page.items) if args.json else ({}, {})
            show(Found(page.items, links, refs, is_first=not cursor))
            if not cursor and not page.items:
                _say_none("span", terms)
            left, cursor = left - len(page.items), page.next
            if not cursor or left < 1:
                return


async def _list_traces(args: argparse.Namespace) -> None:
    """Print where traces stand. ValueError for a wrong filter or order."""
    from vs_tui.traces.board import ORDERS, ordered

    order = "state" if args.sort == "live" else args.sort
    if order.lstrip("-") not in ORDERS:
        raise ValueError(f"sort '{args.sort}' is not known for traces; use {', '.join(ORDERS)}")
    terms = " ".join(args.filter)
    async with reading(load_config(args), judge=lambda empty: empty.board(terms)) as reader:
        board = await reader.board(terms)
    if not args.json:
        print(TRACE_HEADER)
    for found in ordered(board.rows, order, now())[: args.limit]:
        if args.json:
            print_json(STANDING.write(found, now()), indent=False)
        else:
            print(trace_row(found, now()))
    if not board.rows:
        _say_none("trace that is open or has just ended", terms)


def _say_none(what: str, terms: str) -> None:
    """Say why nothing is listed. Only a header would look like a failure."""
    said = f"no {what} matches {clean(terms)}" if terms else f"there is no {what}"
    print(f"vs-tui ls: {said}", file=sys.stderr)


def _print_json(found: Found) -> None:
    from vs_tui.api.codec.spans import span_json

    for span in found.spans:
        shown = span_json(span, found.links.get(span.key, ()), found.refs)
        print_json(shown, indent=False)


def _print_rows(found: Found) -> None:
    if found.is_first:
        print(HEADER)
    for span in found.spans:
        print(row(span))


COLUMNS: Final = {
    **{"STATUS": 10, "KIND": 13, "BEGAN": 16, "TOOK": -7, "TEAM": 11, "PROJECT": 24},
    **{"NAME": 0, "REF": 0},
}
"""Title -> width of the columns of spans; 0 for those of any width."""
HEADER: Final = table_line(COLUMNS, COLUMNS.values())


def _clock(instant: Instant | None) -> str:
    """An instant in this machine's zone, to the minute."""
    if instant is None:
        return "-"
    return to_datetime(instant).astimezone().strftime("%Y-%m-%d %H:%M")


def row(span: Span) -> str:
    """One aligned line of cleaned event text."""
    cells = (
        span.status.value,
        shortened(span.operation, 13),
        _clock(span.started_at),
        format_duration(span.elapsed(now())),
        shortened(span.team, 11),
        shortened(span.project, 24),
        shortened(span.name, 80),
        clean(span.ref),
    )
    return table_line(cells, COLUMNS.values())


_SIGNS = {"": "-", "open": "o", "running": "*", "done": "+", "waiting": "=", "failed": "x",
          "expected": ".", "silent": "?", "dropped": "-", "followed": "!",
          "shipped": "~"}  # fmt: skip
TRACE_COLUMNS: Final = {
    **{"SECTION": 11, "TRACK": 6, "NEXT": 22, "WHO": 18, "FOR": -8, "USUAL": -6, "PROJECT": 20},
    "TRACE": 0,
}
TRACE_HEADER: Final = table_line(TRACE_COLUMNS, TRACE_COLUMNS.values())


def trace_row(row: Standing, now: Instant) -> str:
    """One aligned line: section, next action, who acts, since when, and the trace."""
    action = row.action
    ratio = row.over(now)
    cells = (
        row.section.value,
        "".join(_SIGNS[cell.mark] for cell in row.cells),
        shortened(f"{action.verb} {action.what}".strip(), 22),
        shortened(", ".join(action.who) or action.nobody, 18),
        format_duration(row.waited(now)),
        f"{ratio:.1f}x" if ratio is not None else "-",
        shortened(row.project, 20),
        shortened(f"{row.label} {row.title}".strip(), 80),
    )
    return table_line(cells, TRACE_COLUMNS.values())
