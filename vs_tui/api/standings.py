"""Where traces stand as JSON, and back: what `/api/board`, `/api/traces` and `vs-tui ls --by trace`
answer with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from vs_tui.api.codec import span_json
from vs_tui.model.time import SECOND, Instant, iso, parse_instant
from vs_tui.model.vocabulary import Span
from vs_tui.traces.board import Board, Totals
from vs_tui.traces.next_action import NextAction, Section
from vs_tui.traces.standing import CELLS, Cell, Standing, Waits

_KEPT: Final = ("vs.incident.severity", "vs.issue.severity")
"""Attributes of a step that a row shows; all of them are at `/api/spans/{ref}`."""


def next_json(row: Standing, now: Instant) -> dict[str, Any]:
    """Where a trace stands and who acts next; durations are seconds."""
    action = row.action
    waited, ratio, usual = row.waited(now), row.over(now), row.usual
    return {
        "section": row.section.value,
        "rule": action.rule,
        "verb": action.verb or None,
        "what": action.what or None,
        "who": list(action.who),
        "nobody": None if action.who else action.nobody or None,
        "since": iso(action.since),
        "for_s": None if waited is None else waited / SECOND,
        "over_usual": None if ratio is None else round(ratio, 3),
        "usual": usual and {"n": usual.n, "p50_s": usual.p50 / SECOND, "p90_s": usual.p90 / SECOND},
        "step": action.step.ref if action.step is not None else None,
        "more": action.more,
        "why": action.why or None,
        "cells": [
            {"station": name, "mark": cell.mark or None, "done": cell.done, "all": cell.all}
            for name, cell in zip(CELLS, row.cells, strict=True)
        ],
        "label": row.label or None,
        "title": row.title,
        "began_at": iso(row.began_at),
        "last_sign_at": iso(row.last_sign_at),
    }


def standing_json(row: Standing, now: Instant) -> dict[str, Any]:
    """A row of the list of traces."""
    return {
        "trace_id": row.trace_id,
        "project": row.project or None,
        "team": row.team or None,
        "next": next_json(row, now),
        "root": _short(row.root),
        "step": _short(row.action.step) if row.action.step is not None else None,
    }


def board_json(board: Board, now: Instant, limit: int) -> dict[str, Any]:
    """The list of traces, as far as `limit`, with the counts of all of it."""
    return {
        "items": [standing_json(row, now) for row in board.rows[:limit]],
        "matched": _totals_json(board.matched),
        "everything": _totals_json(board.everything),
        "outside": sorted(board.outside),
        "terms": dict(board.terms),
    }


def board_of(body: Mapping[str, Any], span_of: Callable[[Mapping[str, Any]], Span]) -> Board:
    """The inverse of `board_json`."""
    return Board(
        [_standing_of(item, span_of) for item in body["items"]],
        _totals_of(body["matched"]),
        _totals_of(body["everything"]),
        frozenset(body["outside"]),
        body["terms"],
    )


def _standing_of(item: Mapping[str, Any], span_of: Callable[[Mapping[str, Any]], Span]) -> Standing:
    told, usual = item["next"], item["next"]["usual"]
    action = NextAction(
        Section(told["section"]),
        told["rule"],
        told["verb"] or "",
        told["what"] or "",
        tuple(told["who"]),
        told["nobody"] or "",
        parse_instant(told["since"]),
        span_of(item["step"]) if item["step"] else None,
        told["more"],
        told["why"] or "",
    )
    return Standing(
        item["trace_id"],
        span_of(item["root"]),
        told["label"] or "",
        told["title"],
        item["project"] or "",
        item["team"] or "",
        action,
        tuple(Cell(cell["mark"] or "", cell["done"], cell["all"]) for cell in told["cells"]),
        parse_instant(told["began_at"]) or 0,
        parse_instant(told["last_sign_at"]) or 0,
        usual and Waits(usual["n"], round(usual["p50_s"] * SECOND), round(usual["p90_s"] * SECOND)),
    )


def _short(span: Span) -> dict[str, Any]:
    kept = {name: span.attributes[name] for name in _KEPT if name in span.attributes}
    return {**span_json(span), "attributes": kept}


def _totals_json(totals: Totals) -> dict[str, Any]:
    return {
        "sections": dict(totals.sections),
        "long": totals.long,
        "jobs_done": totals.jobs_done,
        "jobs": totals.jobs,
        "deploys": totals.deploys,
    }


def _totals_of(item: Mapping[str, Any]) -> Totals:
    return Totals(**item)
