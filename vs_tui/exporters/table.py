"""Tables as CSV, Markdown and aligned text."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from vs_tui.domain.display import clean

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_cell(value: str) -> str:
    """A cell that no spreadsheet takes for a formula; a lone `-` means missing and stays."""
    return f"'{value}" if value.startswith(_FORMULA) and value != "-" else value


def csv_text(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """RFC 4180, with formulas neutralised."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(titles)
    writer.writerows([csv_cell(clean(value)) for value in row] for row in rows)
    return out.getvalue()


def markdown_text(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that GitHub renders; event text cannot end a cell or begin markup."""
    lines = [f"| {' | '.join(titles)} |", f"|{' --- |' * len(titles)}"]
    lines += [f"| {' | '.join(_markdown(value) for value in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _markdown(value: str) -> str:
    shown = clean(value)
    for sign in "\\`*_[]<>|#":
        shown = shown.replace(sign, f"\\{sign}")
    return shown


def plain_text(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns."""
    shown = [list(titles), *([clean(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in shown) for i in range(len(titles))]
    return (
        "\n".join(
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in shown
        )
        + "\n"
    )
