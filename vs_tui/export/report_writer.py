"""Tables as aligned text, CSV and Markdown, and whole reports, also as JSON. Rows of a report come
in pages, so that years of pull requests are never in memory at once."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Final
from unicodedata import combining, east_asian_width

import orjson

from vs_tui.export.report_tables import Column, raw_cells, record, said_cells
from vs_tui.metrics import texts
from vs_tui.metrics.cards import (
    delta_text,
    goal_text,
    is_small,
    remarks,
    since_text,
    trend_of,
    value_text,
)
from vs_tui.metrics.definitions import Figure
from vs_tui.metrics.report import Detail, Scorecard
from vs_tui.model.display import clean, escaped_json

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""Characters that start a formula; spreadsheets in Japanese and Chinese accept the wide ones."""


def csv_cell(value: str) -> str:
    """The value, quoted so that no spreadsheet reads it as a formula. A lone `-` means missing and
    is unchanged."""
    if value[:1].isalnum():
        return value
    begins = value.startswith(_FORMULA) or value.lstrip().startswith(_FORMULA)
    return f"'{value}" if begins and value != "-" else value


def csv_text(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV (RFC 4180), with formulas neutralised; None is empty. Without titles the text
    continues a table."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    if titles:
        writer.writerow(titles)
    writer.writerows([_raw(value) for value in row] for row in rows)
    return out.getvalue()


def _raw(value: object) -> object:
    """The value with text made safe to open; numbers and None are unchanged."""
    if isinstance(value, str):
        return csv_cell(clean(value))
    return str(value).lower() if isinstance(value, bool) else value


def markdown_text(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows as a table in GitHub's Markdown. Without titles the text continues a table. Event text
    cannot end a cell or start markup."""
    lines = [f"| {' | '.join(titles)} |", f"|{' --- |' * len(titles)}"] if titles else []
    lines += [f"| {' | '.join(_markdown_cell(value) for value in row)} |" for row in rows]
    return "".join(f"{line}\n" for line in lines)


def _markdown_cell(value: str) -> str:
    shown = clean(value)
    for sign in "\\`*_[]<>|#~&$":
        shown = shown.replace(sign, f"\\{sign}")
    return shown


def plain_text(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, width: int = 0, labels: int = 1
) -> str:
    """Rows as aligned columns. Columns that do not fit in `width` cells (0: no limit) follow in
    further tables, which repeat the first `labels` columns."""
    shown = [list(titles), *([clean(value) for value in row] for row in rows)]
    widths = [max(_cells(row[i]) for row in shown) for i in range(len(titles))]
    return "\n".join(
        "".join(f"{_line([row[i] for i in part], [widths[i] for i in part])}\n" for row in shown)
        for part in _parts(widths, width, labels)
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell + " " * (width - _cells(cell)) for cell, width in zip(cells, widths, strict=True)
    )
    return "  ".join(padded).rstrip()


def _cells(text: str) -> int:
    """Terminal cells that a text takes: two for a wide character."""
    if text.isascii():
        return len(text)
    return sum(1 + (east_asian_width(c) in "WF") for c in text if not combining(c))


def _parts(widths: Sequence[int], width: int, labels: int) -> list[list[int]]:
    """The columns of each table, so that it fits in `width`."""
    first = list(range(min(labels, len(widths))))
    parts = [list(first)]
    for column in range(len(first), len(widths)):
        together = [*parts[-1], column]
        if width and len(parts[-1]) > len(first) and _sum(widths, together) > width:
            parts.append([*first, column])
        else:
            parts[-1] = together
    return parts


def _sum(widths: Sequence[int], columns: Sequence[int]) -> int:
    return sum(widths[i] + 2 for i in columns) - 2


Pages = AsyncIterator[Sequence[Any]]
_INDENT: Final = "    "
_PAGE: Final = 1_000


async def at_once(rows: Sequence[Any]) -> Pages:
    """Pages of rows that fit in memory, although all their texts may not."""
    for first in range(0, len(rows), _PAGE):
        yield rows[first : first + _PAGE]


@dataclass(frozen=True, slots=True)
class Report:
    """A report, ready to be written."""

    title: str
    columns: Sequence[Column]
    pages: Pages
    head: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the JSON object beside the items."""
    document: Any = None
    """The JSON document if it is not a list of rows."""
    remarks: Sequence[str] = ()
    nothing: str = ""
    """The message if there are no rows."""
    labels: int = 1
    """Number of first columns that identify a row; a narrow terminal repeats them."""


async def written(report: Report, form: str, width: int = 0) -> AsyncIterator[str]:
    """The report in a format, in pieces. Text wraps at `width` cells (0: never). Event text is
    cleaned before it reaches the terminal."""
    parts = {"json": _json(report), "csv": _csv(report), "markdown": _markdown(report)}
    async for piece in parts.get(form) or _text(report, width):
        yield piece


async def _json(report: Report) -> AsyncIterator[str]:
    if report.document is not None:
        yield f"{_dump(report.document)}\n"
        return
    whole = _dump({**report.head, "items": []})
    yield whole.removesuffix("]\n}")
    begun = False
    async for page in report.pages:
        for row in page:
            item = _dump(record(report.columns, row)).replace("\n", f"\n{_INDENT}")
            yield f"{',' if begun else ''}\n{_INDENT}{item}"
            begun = True
    yield "\n  ]\n}\n" if begun else "]\n}\n"


def _dump(value: Any) -> str:
    return escaped_json(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


async def _csv(report: Report) -> AsyncIterator[str]:
    yield csv_text([column.name for column in report.columns if column.name], ())
    async for page in report.pages:
        yield csv_text((), (raw_cells(report.columns, row) for row in page))


async def _markdown(report: Report) -> AsyncIterator[str]:
    yield f"### {report.title}\n\n{markdown_text(_titles(report), ())}"
    begun = False
    async for page in report.pages:
        begun = begun or bool(page)
        yield markdown_text((), [said_cells(report.columns, row) for row in page])
    for remark in _remarks(report, begun):
        yield f"\n{remark}\n"


async def _text(report: Report, width: int) -> AsyncIterator[str]:
    """The report as text. All cells are held in memory, because the widest cell sets a column's
    width."""
    rows = [said_cells(report.columns, row) async for page in report.pages for row in page]
    table = plain_text(_titles(report), rows, width=width, labels=report.labels)
    yield f"{report.title}\n\n{table}"
    for remark in _remarks(report, bool(rows)):
        yield f"{remark}\n"


def _titles(report: Report) -> list[str]:
    return [column.title for column in report.columns if column.title is not None]


def _remarks(report: Report, begun: bool) -> Iterator[str]:
    yield from map(clean, report.remarks)
    if report.nothing and not begun:
        yield clean(report.nothing)


def digest_rows(cards: Sequence[Scorecard], details: Sequence[Detail]) -> list[tuple[str, str]]:
    """(team, sentence) rows of `vs-tui report digest`, the results of the teams in a week;
    `details` are the lead times of the cards."""
    found = []
    for card, detail in zip(cards, details, strict=True):
        found += [(card.name or "(all)", line) for line in _lines(card, detail)]
    return found


def _lines(card: Scorecard, detail: Detail) -> Iterator[str]:
    figures = card.figures
    if not any(figure.n or figure.open for figure in figures.values()):
        yield "No production deployment."
        return
    for figure in figures.values():
        if figure.n or figure.open:
            about = _figure(figure, card.window.zone)
            yield f"{figure.definition.title.capitalize()}: {about}"
    if beside := card.beside:
        counts = [
            (beside.merged_pull_requests, "pull request", "merged"),
            (beside.incidents, "incident", "began"),
        ]
        said = [f"{n} {noun}{'' if n == 1 else 's'} {verb}" for n, noun, verb in counts if n]
        if said:
            yield f"{', '.join(said)}."
    if detail.bottleneck:
        yield f"The bottleneck is {detail.bottleneck}."
    for slower in detail.regressions:
        yield (
            f"{slower.name} takes {texts.brief(slower.median)}; it took "
            f"{texts.brief(slower.before)} in the period before."
        )


def _figure(figure: Figure, zone: tzinfo) -> str:
    changed, trend = delta_text(figure), trend_of(figure)
    if trend.startswith("few"):
        changed = ""
    elif changed:
        changed = "as before" if trend in ("same", "") else f"{changed} {trend} than before"
    small = f"n={figure.n}, a small sample" if is_small(figure) else ""
    goal = goal_text(figure)
    since = since_text(figure, zone)
    parts = [value_text(figure), changed, since, *remarks(figure), goal, small]
    return ", ".join(part for part in parts if part)
