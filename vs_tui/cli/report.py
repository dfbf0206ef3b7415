"""`vs-tui report`: the delivery metrics as a table, JSON, CSV or Markdown."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from vs_tui.cli.common import add_store_options, load_config, now
from vs_tui.cli.manual import USAGE, add_command

if TYPE_CHECKING:
    from vs_tui.store.reports import Reports

VALUESTREAM: Final = "valuestream"
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


@dataclass(frozen=True, slots=True)
class Report:
    """A report ready to be printed."""

    title: str
    shown: tuple[Sequence[str], Sequence[Sequence[str]]]
    """Titles and rows for people."""
    raw: tuple[Sequence[str], Sequence[Sequence[str]]]
    """Rows for machines, as CSV."""
    document: Any
    """The report as JSON."""
    remarks: Sequence[str] = field(default=())
    labels: int = 1
    """Columns that name a row; a narrow terminal repeats them."""


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "report",
        help="DORA, durations, pull requests, teams",
        description="Prints a report; docs/metrics.md defines each number. What is missing is `-`, "
        "empty in CSV, null in JSON.",
        epilog="""
        examples:
          vs-tui report dora --since 30d
          vs-tui report dora --team core --format markdown
          vs-tui report dora --since 90d --by-period month
          vs-tui report durations kind:build --by operation,team
          vs-tui report pull-requests --since 90d --by week --format csv
          vs-tui report pull-requests --since 90d --format valuestream > pull-requests.csv
          vs-tui report expected --json
          vs-tui report digest --format markdown
        """,
    )
    parser.add_argument(
        "report", choices=tuple(REPORTS), metavar="REPORT", help="; ".join(_choices())
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


def _choices() -> list[str]:
    return [f"{name}: {text}" for name, text in REPORTS.items()]


def run(args: argparse.Namespace) -> int:
    from vs_tui.store.reader import SqliteReader
    from vs_tui.store.reports import Reports

    config = load_config(args)

    form = "json" if args.json else args.format

    async def read() -> Report | None:
        reader = await SqliteReader(config.db, now).open()
        await reader.caught_up()
        try:
            reports = Reports(reader, config, now)
            is_list = (args.report, args.by) == ("pull-requests", "")
            if form == VALUESTREAM and not is_list:
                raise ValueError(
                    "--format valuestream prints the list of `report pull-requests` without --by"
                )
            if is_list and form in ("csv", VALUESTREAM):
                await _write_pull_requests(reports, args, form)
                return None
            return await _READ[args.report](reports, args)
        finally:
            await reader.close()

    try:
        found = asyncio.run(read())
    except ValueError as error:
        from vs_tui.model.display import clean_lines

        print(f"vs-tui report: {clean_lines(str(error))}", file=sys.stderr)
        return USAGE
    if found is not None:
        sys.stdout.write(render(found, form))
    return 0


def render(report: Report, form: str) -> str:
    """A report in one of the formats, with event text cleaned."""
    from vs_tui.export.table import csv_text, markdown_text, plain_text
    from vs_tui.model.display import clean, escaped_json

    if form == "json":
        import orjson

        return (
            escaped_json(orjson.dumps(report.document, option=orjson.OPT_INDENT_2).decode()) + "\n"
        )
    if form == "csv":
        return csv_text(*report.raw)
    if form == "markdown":
        remarks = "".join(f"\n{clean(remark)}\n" for remark in report.remarks)
        return f"### {report.title}\n\n{markdown_text(*report.shown)}{remarks}"
    remarks = "".join(f"{clean(remark)}\n" for remark in report.remarks)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    table = plain_text(*report.shown, width=width, labels=report.labels)
    return f"{report.title}\n\n{table}{remarks}"


def _asked(args: argparse.Namespace) -> Any:
    from vs_tui.store.report_query import Asked

    if args.filter and args.report != "durations":
        raise ValueError(f"'{args.filter[0]}': only `report durations` takes a filter")
    if args.by_period and args.report != "dora":
        raise ValueError("only `report dora` takes --by-period")
    return Asked(args.since, args.until, args.team, args.by, args.tz, args.by_period)


async def _dora(reports: Reports, args: argparse.Namespace) -> Report:
    from vs_tui.export import report_json as out
    from vs_tui.export.span_reports import window_title
    from vs_tui.model.time import iso

    cards = await reports.scorecards(_asked(args))
    since = cards[0].data_since if cards else None
    remarks = [f"The first deployment known is of {iso(since)}."] if since else []
    seen = await reports.seen(_asked(args))
    window = _asked(args).window(reports.config, reports.clock())
    remarks += out.explained(cards, window, seen)
    periods = await reports.periods(_asked(args))
    return Report(
        f"DORA, {window_title(window)}",
        out.period_table(cards, periods) if periods else out.dora_table(cards),
        out.period_cells(periods) if periods else out.dora_cells(cards),
        out.dora_json(cards, window, seen, periods),
        remarks,
        labels=2,
    )


async def _teams(reports: Reports, args: argparse.Namespace) -> Report:
    from vs_tui.export import report_json as out
    from vs_tui.export.span_reports import window_title

    cards = await reports.scorecards(_asked(args))
    window = _asked(args).window(reports.config, reports.clock())
    items = [
        {"team": card.name or None, **out.beside_json(card.beside)} for card in cards if card.beside
    ]
    return Report(
        f"Teams, {window_title(window)}",
        out.teams_table(cards),
        out.teams_cells(cards),
        {"window": out.window_json(window), "items": items},
    )


async def _durations(reports: Reports, args: argparse.Namespace) -> Report:
    from vs_tui.export import span_reports as out
    from vs_tui.export.report_json import window_json

    window, grouping, groups = await reports.durations(_asked(args), " ".join(args.filter))
    records = out.duration_records(grouping, groups)
    return Report(
        f"Durations, {out.window_title(window)}",
        out.duration_table(grouping, groups),
        out.cells(records),
        {"window": window_json(window), "items": records},
        labels=len(grouping),
    )


async def _pull_requests(reports: Reports, args: argparse.Namespace) -> Report:
    from vs_tui.export import span_reports as out
    from vs_tui.export.report_json import window_json
    from vs_tui.metrics.windows import MONDAY, SUNDAY

    asked = _asked(args)
    if asked.by:
        start = SUNDAY if args.week_start == "sunday" else MONDAY
        records = out.period_records(await reports.pull_request_periods(asked, start))
        window = asked.window(reports.config, reports.clock())
        shown = _rounded(records)
    else:
        window, found = await reports.pull_requests(asked)
        records = out.pull_request_records(found, window.now)
        shown = out.pull_request_table(found, window.now)
    titles = () if asked.by else out.PULL_REQUEST_COLUMNS
    return Report(
        f"Pull requests created {out.window_title(window)}",
        shown,
        out.cells(records, titles),
        {"window": window_json(window), "items": records},
        labels=3 if asked.by else 2,
    )


async def _write_pull_requests(reports: Reports, args: argparse.Namespace, form: str) -> None:
    """All of them as CSV, a page at a time: years of them are not held in memory."""
    from vs_tui.export import span_reports as out
    from vs_tui.export import valuestream_csv
    from vs_tui.export.table import csv_text

    asked = _asked(args)
    now_ = asked.window(reports.config, reports.clock()).now
    is_valuestream = form == VALUESTREAM
    titles = valuestream_csv.COLUMNS if is_valuestream else out.PULL_REQUEST_COLUMNS
    sys.stdout.write(csv_text(titles, ()))
    async for page in reports.pull_request_pages(asked):
        if is_valuestream:
            sys.stdout.write(csv_text((), valuestream_csv.rows(page, now_)))
        else:
            _, rows = out.cells(out.pull_request_records(page, now_), titles)
            sys.stdout.write(csv_text((), rows))


def _rounded(
    records: Sequence[Mapping[str, Any]],
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Records for people: two decimals, `-` for what is missing."""
    titles = tuple(name.replace("_", " ") for name in records[0]) if records else ()
    return titles, [[_shown(value) for value in record.values()] for record in records]


def _shown(value: object) -> str:
    if value is None or value == "":
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


async def _stages(reports: Reports, args: argparse.Namespace) -> Report:
    from vs_tui.export import report_json as out
    from vs_tui.export import span_reports

    detail = await reports.stages(_asked(args))
    records = [out.stage_json(stage) for stage in detail.stages]
    remarks = [f"The bottleneck is {detail.bottleneck}."] if detail.bottleneck else []
    if not any(stage.n for stage in detail.stages):
        remarks = ["No pull request with known moments was shipped to production in this window."]
    document = {
        "window": out.window_json(detail.window),
        "bottleneck": detail.bottleneck or None,
        "regressions": [out.regression_json(found) for found in detail.regressions],
        "items": records,
    }
    return Report(
        f"Stages of the lead time, {span_reports.window_title(detail.window)}",
        span_reports.stage_table(detail),
        span_reports.cells(records),
        document,
        remarks,
    )


async def _flaky(reports: Reports, args: argparse.Namespace) -> Report:
    from vs_tui.export import span_reports as out

    jobs = await reports.flaky(_asked(args))
    records = out.flaky_records(jobs)
    window = _asked(args).window(reports.config, reports.clock())
    return Report(
        f"Flaky jobs, {out.window_title(window)}",
        out.flaky_table(jobs, window.zone),
        out.cells(records),
        {"items": records},
        () if records else ("No job had both results on one commit.",),
    )


async def _expected(reports: Reports, args: argparse.Namespace) -> Report:
    from vs_tui.export import span_reports as out

    asked = _asked(args)
    zone = asked.window(reports.config, reports.clock()).zone
    entries = await reports.expected(asked)
    records = out.expected_records(entries)
    return Report(
        f"In flight, and when it should end by the last 20 successes of its series ({zone})",
        out.expected_table(entries, zone),
        out.cells(records),
        {"items": records},
        () if records else ("Nothing is in flight.",),
        labels=2,
    )


async def _digest(reports: Reports, args: argparse.Namespace) -> Report:
    from dataclasses import replace

    from vs_tui.export.digest import digest_rows
    from vs_tui.export.report_json import window_json
    from vs_tui.export.span_reports import window_title

    asked = _asked(args)
    asked = replace(asked, since=asked.since or "7d")
    cards = await reports.scorecards(asked)
    details = [await reports.stages(replace(asked, team=card.name)) for card in cards]
    rows = digest_rows(cards, details)
    window = asked.window(reports.config, reports.clock())
    items = [{"team": team, "text": text} for team, text in rows]
    shown = [
        (team if number == 0 or rows[number - 1][0] != team else "", text)
        for number, (team, text) in enumerate(rows)
    ]
    return Report(
        f"Delivery, {window_title(window)}",
        (("team", ""), shown),
        (("team", "text"), rows),
        {"window": window_json(window), "items": items},
    )


_READ: Final[Mapping[str, Callable[[Reports, argparse.Namespace], Awaitable[Report]]]] = {
    "dora": _dora,
    "teams": _teams,
    "durations": _durations,
    "pull-requests": _pull_requests,
    "stages": _stages,
    "flaky": _flaky,
    "expected": _expected,
    "digest": _digest,
}
