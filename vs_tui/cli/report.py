"""`vs-tui report`: the delivery metrics as a table, JSON, CSV or Markdown."""

from __future__ import annotations

import argparse
import asyncio
import gc
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from vs_tui.cli.commands import add_command, usage, whole_number
from vs_tui.cli.common import add_store_options, load_config, now, reading

if TYPE_CHECKING:
    from vs_tui.export.report_tables import Column
    from vs_tui.export.report_writer import Report
    from vs_tui.metrics.windows import Window
    from vs_tui.store.queries.reader import SqliteReader
    from vs_tui.store.queries.reports import Asked, Reports

VALUESTREAM: Final = "valuestream"
MOST_SHOWN: Final = 100
"""Groups that a person is shown: there are as many names as branches, and most have one span."""
MOST_WRITTEN: Final = 1_000
REPORTS: Final = {
    "dora": "the five metrics of every team, or by project, service, environment, product",
    "durations": "how often, how long, how well, how much at once: any spans in any grouping",
    "pull-requests": "a row a pull request, or figures a day, week or month (--by)",
    "teams": "incidents, deploys, merged pull requests and innovation of every team",
    "stages": "the lead time by stage, its bottleneck, and what became slower",
    "flaky": "jobs with both results on one commit",
    "expected": "when what is in flight should end",
    "digest": "how the teams did in a week, in sentences",
}


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "report",
        run,
        help="DORA, durations, pull requests, teams",
        description="Prints a report; docs/metrics.md defines each number. What is missing is `-`, "
        "empty in CSV, null in JSON.",
        epilog="""
        examples:
          vs-tui report dora --since 30d
          vs-tui report dora --team core --format markdown
          vs-tui report dora --since 90d --by-period month
          vs-tui report durations kind:build --by operation,team
          vs-tui report durations --by name --limit 10
          vs-tui report pull-requests --since 90d --by week --format csv
          vs-tui report pull-requests --since 90d --format valuestream > pull-requests.csv
          vs-tui report expected --json
          vs-tui report digest --format markdown
        """,
    )
    parser.add_argument(
        "report",
        choices=tuple(REPORTS),
        metavar="REPORT",
        help="; ".join(f"{name}: {text}" for name, text in REPORTS.items()),
    )
    parser.add_argument(
        "filter",
        nargs="*",
        default=[],
        help="durations: only spans that match (the dashboard's filter)",
    )
    parser.add_argument("--since", default="", help="7d, 12h, 2026-03-02, a time (default 30d)")
    parser.add_argument("--until", default="", help="a day, a time, today or now (the default)")
    parser.add_argument("--team", default="", help="this team only")
    parser.add_argument(
        "--by",
        default="",
        help="dora: team, project, service, environment, product, all; durations: operation, "
        "name, team ...; pull-requests: day, week, month",
    )
    parser.add_argument(
        "--by-period", default="", metavar="PERIOD", help="dora: a column a week or month"
    )
    parser.add_argument(
        *("-n", "--limit"),
        type=whole_number,
        help="durations: at most so many groups, those with the most finished spans (default "
        f"{MOST_SHOWN}, as JSON or CSV {MOST_WRITTEN:,})",
    )
    parser.add_argument("--tz", default="", help="time zone of days, such as Europe/Berlin")
    parser.add_argument(
        "--week-start", choices=("monday", "sunday"), default="monday", help="for --by week"
    )
    parser.add_argument(
        "--format",
        choices=("table", "json", "csv", "markdown", VALUESTREAM),
        default="table",
        help="how to print it (default table); valuestream: pull requests as the CSV that "
        "ValueStream's vsperformancereport aggregates",
    )
    parser.add_argument("--json", action="store_true", help="the same as --format json")
    add_store_options(parser)


def run(args: argparse.Namespace) -> int:
    from vs_tui.store.queries.reports import Reports

    config = load_config(args)
    form = args.format = "json" if args.json else args.format
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0

    async def write() -> None:
        from vs_tui.export.report_writer import written

        asked, read = _asked(args), _READ[args.report]
        of_any = replace(asked, team="")  # which teams there are, the database says

        def judge(empty: SqliteReader) -> Awaitable[Report]:
            return read(Reports(empty, config, now), of_any, args)

        async with reading(config, judge=judge) as reader:
            await reader.caught_up()
            report = await read(Reports(reader, config, now), asked, args)
            async for piece in written(report, "csv" if form == VALUESTREAM else form, width):
                sys.stdout.write(piece)

    gc.disable()  # hundreds of thousands of groups, none of them garbage
    try:
        with usage(program="vs-tui report"):
            asyncio.run(write())
    finally:
        gc.enable()
    return 0


def _asked(args: argparse.Namespace) -> Asked:
    from vs_tui.store.queries.reports import Asked

    if args.filter and args.report != "durations":
        raise ValueError(f"'{args.filter[0]}': only `report durations` takes a filter")
    if args.limit is not None and args.report != "durations":
        raise ValueError("only `report durations` takes --limit")
    if args.by_period and args.report != "dora":
        raise ValueError("only `report dora` takes --by-period")
    if args.format == VALUESTREAM and (args.report, args.by) != ("pull-requests", ""):
        raise ValueError(
            "--format valuestream prints the list of `report pull-requests` without --by"
        )
    return Asked(args.since, args.until, args.team, args.by, args.tz, args.by_period)


async def _dora(reports: Reports, asked: Asked, args: argparse.Namespace) -> Report:
    from vs_tui.api.codec.metrics import DORA
    from vs_tui.export import report_tables as tables
    from vs_tui.export.report_writer import Report, at_once
    from vs_tui.metrics.missing import explained

    cards = await reports.scorecards(asked)
    seen, window = await reports.seen(asked), reports.window(asked)
    periods = await reports.periods(asked)
    rows = tables.figures_of(cards)
    columns: Sequence[Column] = tables.FIGURES
    if periods and args.format == "csv":
        rows = [row for period in periods for row in tables.figures_of(period)]
        columns = tables.PERIOD_FIGURES
    elif periods:
        columns = tables.by_period(periods)
    return Report(
        f"DORA, {tables.window_title(window)}",
        columns,
        at_once(rows),
        document=DORA.write(cards, window, seen, periods),
        remarks=explained(cards, window, seen),
        labels=2,
    )


async def _teams(reports: Reports, asked: Asked, _: argparse.Namespace) -> Report:
    from vs_tui.export.report_tables import TEAMS

    cards = [card for card in await reports.scorecards(asked) if card.beside]
    return _report("Teams", reports.window(asked), TEAMS, cards)


async def _durations(reports: Reports, asked: Asked, args: argparse.Namespace) -> Report:
    from vs_tui.export.report_tables import duration_columns

    grouping = [name.strip() for name in (asked.by or "operation").split(",")]
    most: int | None = args.limit
    if most is None:
        most = MOST_WRITTEN if args.format in ("json", "csv") else MOST_SHOWN
    groups, of = await reports.durations(asked, grouping, " ".join(args.filter), most)
    window, left = reports.window(asked), of - len(groups)
    more = [f"And {left:,} more; --limit {of} lists all."] if left else []
    if more and args.format == "csv":
        print(*more, file=sys.stderr)
    report = _report(
        "Durations", window, duration_columns(grouping, window), groups, labels=len(grouping)
    )
    return replace(
        report,
        head={**report.head, "more": left},
        remarks=more,
        nothing="No span that matches was in flight or ended in this window.",
    )


async def _pull_requests(reports: Reports, asked: Asked, args: argparse.Namespace) -> Report:
    from vs_tui.export import report_tables as tables
    from vs_tui.export.report_writer import at_once
    from vs_tui.metrics.windows import MONDAY, SUNDAY

    window = reports.window(asked)
    if asked.by:
        start = SUNDAY if args.week_start == "sunday" else MONDAY
        pages = at_once(await reports.pull_request_periods(asked, start))
        columns = tables.PULL_REQUEST_PERIODS
    else:
        pages = await reports.pull_request_pages(asked)
        is_theirs = args.format == VALUESTREAM
        named = tables.valuestream_columns if is_theirs else tables.pull_request_columns
        columns = named(window.now)
    return replace(
        _report("Pull requests created", window, columns, (), labels=3 if asked.by else 2),
        title=f"Pull requests created {tables.window_title(window)}",
        pages=pages,
        nothing="No pull request was created in this window.",
    )


async def _stages(reports: Reports, asked: Asked, _: argparse.Namespace) -> Report:
    from vs_tui.api.codec.metrics import REGRESSION
    from vs_tui.export.report_tables import stage_columns

    detail = await reports.stages(asked)
    remarks = [f"The bottleneck is {detail.bottleneck}."] if detail.bottleneck else []
    if not any(stage.n for stage in detail.stages):
        remarks = ["No pull request with known moments was shipped to production in this window."]
    report = _report("Stages of the lead time", detail.window, stage_columns(detail), detail.stages)
    head = {
        **report.head,
        "bottleneck": detail.bottleneck or None,
        "regressions": [REGRESSION.write(found) for found in detail.regressions],
    }
    return replace(report, head=head, remarks=remarks)


async def _flaky(reports: Reports, asked: Asked, _: argparse.Namespace) -> Report:
    from vs_tui.export.report_tables import flaky_columns

    jobs, window = await reports.flaky(asked), reports.window(asked)
    report = _report("Flaky jobs", window, flaky_columns(window.zone), jobs)
    return replace(report, head={}, nothing="No job had both results on one commit.")


async def _expected(reports: Reports, asked: Asked, _: argparse.Namespace) -> Report:
    from vs_tui.export.report_tables import expected_columns

    window, entries = reports.window(asked), await reports.expected(asked)
    return replace(
        _report("", window, expected_columns(window.zone), entries, labels=2),
        title="In flight, and when it should end by the last 20 successes of its series "
        f"({window.zone})",
        head={},
        nothing="Nothing is in flight.",
    )


async def _digest(reports: Reports, asked: Asked, _: argparse.Namespace) -> Report:
    from vs_tui.export.report_tables import DIGEST
    from vs_tui.export.report_writer import digest_rows

    asked = replace(asked, since=asked.since or "7d")
    cards = await reports.scorecards(asked)
    details = [await reports.stages(replace(asked, team=card.name)) for card in cards]
    rows = digest_rows(cards, details)
    teams = [team for team, _ in rows]
    named = [(*row, n == 0 or teams[n - 1] != row[0]) for n, row in enumerate(rows)]
    return _report("Delivery", reports.window(asked), DIGEST, named)


def _report(
    what: str, window: Window, columns: Sequence[Column], rows: Sequence[Any], labels: int = 1
) -> Report:
    """A report over a window, with a row per item."""
    from vs_tui.api.codec.metrics import WINDOW
    from vs_tui.export.report_tables import window_title
    from vs_tui.export.report_writer import Report, at_once

    title, head = f"{what}, {window_title(window)}", {"window": WINDOW.write(window)}
    return Report(title, columns, at_once(rows), head, labels=labels)


_READ: Final[Mapping[str, Callable[..., Awaitable[Report]]]] = {
    "dora": _dora,
    "teams": _teams,
    "durations": _durations,
    "pull-requests": _pull_requests,
    "stages": _stages,
    "flaky": _flaky,
    "expected": _expected,
    "digest": _digest,
}
