"""Tables as CSV, Markdown and aligned text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from unicodedata import combining, east_asian_width

from vs_tui.model.display import clean

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""Characters that start a formula; spreadsheets in Japanese and Chinese accept the wide ones."""


def csv_cell(value: str) -> str:
    """The value, quoted so that no spreadsheet reads it as a formula. A lone `-` means missing and
    is unchanged."""
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
    lines += [f"| {' | '.join(_markdown(value) for value in row)} |" for row in rows]
    return "".join(f"{line}\n" for line in lines)


def _markdown(value: str) -> str:
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
