"""One line of `vs-tui ls --by trace`."""

from __future__ import annotations

import orjson

from vs_tui.api.standings import STANDING
from vs_tui.model.display import clean, escaped_json
from vs_tui.model.time import Instant, format_duration
from vs_tui.traces.standing import Standing

_SIGNS = {"": "-", "open": "o", "running": "*", "done": "+", "waiting": "=", "failed": "x",
          "expected": ".", "silent": "?", "dropped": "-", "followed": "!",
          "shipped": "~"}  # fmt: skip


TRACE_HEADER = "  ".join((
    f"{'SECTION':<11}", "TRACK ", f"{'NEXT':<22}", f"{'WHO':<18}", f"{'FOR':>8}", f"{'USUAL':>6}",
    f"{'PROJECT':<20}", "TRACE",
))  # fmt: skip


def trace_row(row: Standing, now: Instant) -> str:
    """One aligned line: section, next action, who acts, since when, and the trace."""
    action = row.action
    what = f"{action.verb} {action.what}".strip()
    who = ", ".join(action.who) or action.nobody
    ratio = row.over(now)
    track = "".join(_SIGNS[cell.mark] for cell in row.cells)
    cells = (
        f"{row.section.value:<11}",
        track,
        f"{clean(what)[:22] or '-':<22}",
        f"{clean(who)[:18] or '-':<18}",
        f"{format_duration(row.waited(now)):>8}",
        f"{f'{ratio:.1f}x' if ratio is not None else '-':>6}",
        f"{clean(row.project)[:20] or '-':<20}",
        clean(f"{row.label} {row.title}".strip())[:80],
    )
    return "  ".join(cells)


def trace_json_line(row: Standing, now: Instant) -> str:
    """One JSON object."""
    return escaped_json(orjson.dumps(STANDING.write(row, now)).decode())
