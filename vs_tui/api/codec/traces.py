"""Where traces stand, as JSON and back: the answers of `/api/board`, `/api/traces` and `vs-tui ls
--by trace --json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from vs_tui.api.codec import (
    COUNT,
    COUNTS,
    INSTANT,
    MAYBE_TEXT,
    RATIO,
    SECONDS,
    TEXT,
    TIME,
    TRUTH,
    Field,
    Shape,
    Type,
    computed,
    list_of,
    maybe,
    word_of,
    written,
)
from vs_tui.api.codec.spans import SPAN, SUMMARY, TRACE, page_of, refs_of
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Span
from vs_tui.store.queries.reader_protocol import Trace, TracePage, TraceSummary
from vs_tui.traces.baseline import Baseline
from vs_tui.traces.board import Board, Totals, of_row
from vs_tui.traces.critical_path import Path, path_of
from vs_tui.traces.next_action import NextAction, Section
from vs_tui.traces.standing import CELLS, Cell, DeployBefore, Standing

_WAITS: Final = Shape(
    "", Baseline, {"n": COUNT, "p50_s": Field(SECONDS, "p50"), "p90_s": Field(SECONDS, "p90")}
)
_BEFORE: Final = Shape(
    "", DeployBefore, {"name": TEXT, "gap_s": Field(SECONDS, "gap"), "is_named": TRUTH}
)
_CELL: Final = Shape(
    "",
    Cell,
    {
        "station": computed(TEXT, lambda _, name: name),
        "mark": MAYBE_TEXT,
        "done": COUNT,
        "all": COUNT,
    },
)


def _cells(row: Standing, _: Instant) -> list[dict[str, Any]]:
    return [_CELL.write(cell, name) for name, cell in zip(CELLS, row.cells, strict=True)]


def _over(row: Standing, now: Instant) -> float | None:
    ratio = row.over(now)
    return None if ratio is None else round(ratio, 3)


def _nobody(row: Standing, _: Instant) -> str:
    return "" if row.action.who else row.action.nobody


NEXT: Final = Shape(
    "Next",
    dict[str, Any],
    {
        "section": Field(word_of(Section), "action.section"),
        "rule": Field(TEXT, "action.rule"),
        "verb": Field(MAYBE_TEXT, "action.verb"),
        "what": Field(MAYBE_TEXT, "action.what"),
        "who": Field(list_of(TEXT, tuple), "action.who"),
        "nobody": Field(MAYBE_TEXT, "action.nobody", _nobody),
        "since": Field(TIME, "action.since"),
        "for_s": computed(SECONDS, lambda row, now: row.waited(now)),
        "over_usual": computed(RATIO, _over),
        "usual": maybe(_WAITS.type),
        "step": computed(MAYBE_TEXT, lambda row, _: row.action.step and row.action.step.ref),
        "more": Field(COUNT, "action.more"),
        "why": Field(MAYBE_TEXT, "action.why"),
        "cells": Field(written(list_of(_CELL.type, tuple)), "cells", _cells),
        "label": MAYBE_TEXT,
        "title": TEXT,
        "after": maybe(_BEFORE.type),
        "fix": MAYBE_TEXT,
        "began_at": INSTANT,
        "last_sign_at": INSTANT,
    },
)
"""Where a trace stands at a moment, and who acts next; durations are seconds."""


def _short(span: Span) -> dict[str, Any]:
    """A step with the attributes that a row shows; `/api/spans/{ref}` has all of them."""
    return SPAN.write(of_row(span))


_SHORT: Final = SPAN.type._replace(write=_short)


def _standing(next: dict[str, Any], action: dict[str, Any], **more: Any) -> Standing:
    told = next.pop("action")
    return Standing(action=NextAction(**told, **action), **next, **more)


STANDING: Final = Shape(
    "Standing",
    _standing,
    {
        "trace_id": TEXT,
        "project": MAYBE_TEXT,
        "team": MAYBE_TEXT,
        "next": Field(written(NEXT.type), "next", NEXT.write),
        "root": _SHORT,
        "step": Field(maybe(_SHORT), "action.step"),
    },
)
"""A row of the list of traces."""
TOTALS: Final = Shape(
    "Totals",
    Totals,
    {"sections": COUNTS, **dict.fromkeys(("long", "jobs_done", "jobs", "deploys"), COUNT)},
)


def _unchanged(board: Board, _: Instant, limit: int) -> dict[str, int]:
    return {trace_id: place for trace_id, place in board.unchanged.items() if place < limit}


BOARD: Final = Shape(
    "Board",
    Board,
    {
        "items": Field(
            written(list_of(STANDING.type)),
            "rows",
            lambda board, now, limit: [
                STANDING.write(row, now)
                for row in board.rows[:limit]
                if row.trace_id not in board.unchanged
            ],
        ),
        "matched": TOTALS.type,
        "everything": TOTALS.type,
        "outside": Type(list_of(TEXT).schema, sorted, frozenset),
        "terms": COUNTS,
        "version": MAYBE_TEXT,
        "unchanged": Field(COUNTS, "unchanged", _unchanged),
    },
)
"""The list of traces up to a limit, with the counts of the whole list. `items` leaves out the
unchanged rows."""
LISTED: Final = Shape(
    "TraceSummary",
    TraceSummary,
    {
        **SUMMARY.fields,
        "next": computed(maybe(written(NEXT.type)), lambda _, next: next),
    },
)
"""A trace in the list of all traces, with its current state."""


def _traces(
    items: Sequence[TraceSummary], next: str, more: bool = False, searched: Instant | None = None
) -> TracePage:
    return TracePage(items, more or bool(next), searched)


TRACES: Final = page_of(LISTED, _traces, more=TRUTH, searched=TIME)


def listed_json(summary: TraceSummary, row: Standing | None, now: Instant) -> dict[str, Any]:
    """A trace with where it stands, if that is known."""
    return LISTED.write(summary, row and NEXT.write(row, now))


def _waits(trace: Trace, path: Path, _: object) -> list[dict[str, Any]]:
    refs = refs_of(trace)
    return [_WAIT.write(wait, lambda key: refs.get(key, key) or None) for wait in path.waits]


def _critical_path(trace: Trace, path: Path, _: object) -> list[str]:
    refs = refs_of(trace)
    return [refs.get(key, wait_id(key)) for key in path.keys]


_WAIT: Final = Shape(
    "Wait",
    dict[str, Any],
    {
        "id": computed(TEXT, lambda wait, _: wait_id(wait.key)),
        "name": TEXT,
        "who": list_of(TEXT, tuple),
        "began_at": Field(INSTANT, "begins"),
        "ended_at": computed(TIME, lambda wait, _: None if wait.is_open else wait.ends),
        "duration_s": Field(SECONDS, "duration"),
        "parent": computed(MAYBE_TEXT, lambda wait, ref: ref(wait.parent)),
        "after": computed(MAYBE_TEXT, lambda wait, ref: ref(wait.after)),
        "until": computed(MAYBE_TEXT, lambda wait, ref: ref(wait.until)),
    },
)
"""A time without work of people or machines, with the two spans that bound it."""
TRACE_VIEW: Final = Shape(
    "Trace",
    dict[str, Any],
    {
        **TRACE.fields,
        "next": computed(maybe(written(NEXT.type)), lambda _trace, _path, next: next),
        "waits": computed(written(list_of(_WAIT.type)), _waits),
        "critical_path": computed(list_of(TEXT), _critical_path),
    },
)
"""A trace as its screen shows it: current state, waits, and the critical path."""


def wait_id(key: str) -> str:
    """A wait's key in a form that is valid in JSON and URLs."""
    return key.replace("\0", "/")


def trace_json(trace: Trace, row: Standing | None, now: Instant) -> dict[str, Any]:
    """A trace with its waits and the critical path at a moment."""
    return TRACE_VIEW.write(trace, path_of(trace.spans, now), row and NEXT.write(row, now))


SHAPES: Final[Sequence[Shape[Any]]] = (NEXT, STANDING, TOTALS, BOARD, LISTED, _WAIT, TRACE_VIEW)
