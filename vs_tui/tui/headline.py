"""The first line of every screen: live or frozen, receiver, team, time range and counts."""

from __future__ import annotations

from typing import Final

from vs_tui.model.display import clean
from vs_tui.model.vocabulary import Verdict
from vs_tui.traces.next_action import Section
from vs_tui.tui import span_format
from vs_tui.tui.paint import Piece, fit, width_of
from vs_tui.tui.session import Session

WIDE: Final = 100
"""From this many columns on, words are written in full if they fit."""
_FULL, _SHORT, _LEAST = 2, 1, 0


def headline(app: Session, width: int) -> tuple[list[Piece], list[Piece], dict[int, str]]:
    """(left pieces, right pieces, piece index -> action of a click). If they do not fit, words
    about the receiver are shortened first; the running and failed counts are never cut."""
    for words in (_FULL, _SHORT) if width >= WIDE else (_SHORT,):
        left, right, targets = _pieces(app, words)
        if width_of([*left, *right]) < width:
            return left, right, targets
    return _pieces(app, _LEAST)


def _pieces(app: Session, words: int) -> tuple[list[Piece], list[Piece], dict[int, str]]:
    signs = app.look.glyphs
    left: list[Piece] = [(" vs-tui ", "title")]
    if app.frozen_at is not None:
        at = span_format.clock(app.frozen_at, app.zone, app.setup.clock())
        left.append((f"{signs.frozen} FROZEN {'at ' if words else ''}{at}", "wait"))
        if app.pending:
            how = app.worded(", {freeze} to resume") if words else ""
            left.append((f"  +{app.pending} new{how}", "wait"))
    else:
        left.append(
            (f"{signs.stale} STALE", "wait") if app.unreadable else (f"{signs.live} LIVE", "ok")
        )
        if (words and not app.unreadable) or _trouble(app):
            left.append((f"  {_hooks(app, words)}", "fail" if _trouble(app) else "dim"))
    targets = {1: "freeze", len(left) + 1: "team", len(left) + 2: "time"}
    team = fit(app.team, min(len(app.team), 20)) if app.team else "all"
    left += [("  ", "dim"), (f"team {team}  ", "dim")]
    if app.navigation.base is None or app.navigation.base.ranged:
        left.append((app.range_name, "dim"))
    right = _counts(app, words)
    if app.frozen_at is not None:
        return left, [*right, (" ", "text")] if not app.travelled else [], targets
    clock = span_format.clock(app.now(), app.zone, app.now())
    # Show seconds only while something runs, so that a quiet screen writes nothing.
    right.append((f"  {clock if app.is_moving else clock[:-3]} ", "dim"))
    return left, right, targets


def _counts(app: Session, words: int) -> list[Piece]:
    """Counts of all open work, regardless of team and filter."""
    signs, totals = app.look.glyphs, app.totals
    if not app.by_trace or totals is None:
        what = "in flight" if words == _FULL else "run"
        found: list[Piece] = [(f"{app.in_flight} {what}", "run")]
        if app.failed:
            found.append((f" {signs.dot} {app.failed} {signs.fail}", "fail"))
        return found
    incidents = totals.of(Section.INCIDENT)
    running, waiting = totals.of(Section.RUNNING), totals.of(Section.WAITING)
    found = []
    if incidents:
        word = "" if words != _FULL else " incident" if incidents == 1 else " incidents"
        found += [(f"! {incidents}{word}", "fail"), (f" {signs.dot} ", "dim")]
    found.append((f"{running} {'running' if words == _FULL else 'run'}", "run"))
    found.append((f" {signs.dot} {waiting} {'waiting' if words == _FULL else 'wait'}", "wait"))
    if totals.long:
        found.append((f", {totals.long} long", "wait"))
    return found


def _trouble(app: Session) -> bool:
    """Whether deliveries cannot be received. Unreadable deliveries do not count."""
    return bool(app.trouble or app.not_listening)


def _hooks(app: Session, words: int) -> str:
    if _trouble(app):
        return "hooks: trouble"
    place = clean(app.url.removeprefix("http://"), 60)
    if app.setup.source_name:
        return f"reading {clean(app.setup.source_name, 60)}"
    if not place:
        return "hooks: starting"
    last = max((h.last_received_at or 0 for h in app.health), default=0)
    seen = span_format.clock(last, app.zone, app.setup.clock())
    rejected = sum(h.counts.get(Verdict.REJECTED, 0) for h in app.health)
    dot = app.look.glyphs.dot
    if not last:
        return f"hooks {place} ok {dot} none yet" if words == _FULL else "no hooks yet"
    if words == _FULL:
        return f"hooks {place} ok {dot} last {seen} {dot} {rejected} rejected"
    return f"hooks ok {dot} last {seen}"
