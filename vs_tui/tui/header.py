"""The lines above every screen: live or frozen, receiver, team, time range and counts; below it the
worst problem and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len

from vs_tui.model.display import clean, counted
from vs_tui.model.limits import LAG_SHOWN
from vs_tui.model.time import SECOND, Duration, Instant, format_duration
from vs_tui.model.vocabulary import Span, Verdict
from vs_tui.store.queries.reader_protocol import SourceHealth
from vs_tui.traces.next_action import Section
from vs_tui.tui import span_format
from vs_tui.tui.paint import Piece, fit, width_of
from vs_tui.tui.session import Session

_FOLDERS: Final = re.compile(r"(?<!\S)/\S*/(?=[^\s/])")
"""The folders of a path. A short line omits them, because the problem matters more than the
path."""
LOOK_EVERY: Final = 10 * SECOND
"""Shortest time between two comparisons of clocks."""


def banner(app: Session, width: int) -> str:
    """The worst problem in `width` cells, and the number of others; empty if there is no
    problem."""
    found = [app.worded(text) for text in concerns(app)]
    if not found:
        return ""
    more = app.worded(f"  +{len(found) - 1}: {{sources}}") if len(found) > 1 else ""
    text, room, ellipsis = f" {found[0]}", width - cell_len(more), app.look.glyphs.ellipsis
    if cell_len(text) > room:
        text = _FOLDERS.sub(f"{ellipsis}/", text)
    return fit(text, room, ellipsis=ellipsis) + more


def concerns(app: Session) -> Iterator[str]:
    """All problems, the worst first."""
    for text in (app.trouble, app.unreadable, app.not_listening):
        if text:
            yield clean(text, 400)
    if app.config_trouble:
        yield clean(app.config_trouble, 400)
    if app.setup.open_mode:
        yield "open: all who reach the port can send and read; restart without --no-auth"
    if clock := app.waits_for_clock or app.clock_trouble:
        yield clean(clock, 300)
    if app.after_restart:
        yield f"the configuration file changed: {app.after_restart}"
    if app.export_trouble:
        yield clean(app.export_trouble, 200)
    if is_behind(app):
        what = counted(app.unfolded, "delivery", "deliveries")
        behind = f"{app.lag / SECOND:.0f} s behind"
        yield f"{behind}: {what} stored and not shown yet; it catches up by itself"
    yield from _quarantined(app.health, here=app.navigation.current == "events")
    yield from _silent(app.health, app.setup.clock())


def is_behind(app: Session) -> bool:
    """Whether folding is so late that it is said."""
    return app.lag > LAG_SHOWN * SECOND


def _quarantined(health: Sequence[SourceHealth], *, here: bool) -> Iterator[str]:
    counts = {h.source: h.counts.get(Verdict.QUARANTINED, 0) for h in health}
    number = sum(counts.values())
    if number:
        what = counted(number, "delivery", "deliveries")
        how = "{refold} reads it again" if here else "{events} shows why"
        names = ", ".join(clean(name, 40) for name, n in counts.items() if n)
        yield f"{what} could not be read: {how}; nothing is lost ({names})"


def _silent(health: Sequence[SourceHealth], now: Instant) -> Iterator[str]:
    if not health:
        return
    from vs_tui.tui.source_status import is_silent  # not for the first rows

    silent = [h for h in health if is_silent(h, now)]
    if len(silent) == 1:
        name, ago = clean(silent[0].source, 40), span_format.since(silent[0].last_received_at, now)
        where = "see there whether its webhook is off; {sources} says more"
        yield f"{name} is silent since {ago}: {where}"
    elif silent:
        names = ", ".join(clean(h.source, 40) for h in silent)
        yield f"{len(silent)} sources are silent: see whether their webhooks are off ({names})"


def clock_trouble(
    now: Instant, health: Sequence[SourceHealth], newest: Span | None, remote: Duration = 0
) -> str:
    """The clock that is wrong, and how to set it: this machine's, the receiver's or a sender's;
    empty if none seems wrong.

    `newest` is the span in flight that began last; `remote` is how far the clock of a receiver on
    another machine is ahead of this one.
    """
    last = max((h.last_received_at or 0 for h in health), default=0)
    if abs(remote) > span_format.SKEW:
        how = "ahead of" if remote > 0 else "behind"
        return f"the receiver's clock is {_about(remote)} {how} this one's: synchronise both (NTP)"
    if last - now > span_format.SKEW:
        behind = _about(last - now)
        return f"this clock is {behind} behind what was received: set it right (timedatectl)"
    if (
        newest is not None
        and newest.started_at is not None
        and newest.started_at - now > span_format.SKEW
    ):
        ahead = _about(newest.started_at - now)
        return f"the clock of {clean(newest.source, 40)} is {ahead} ahead: synchronise it (NTP)"
    return ""


def _about(duration: Duration) -> str:
    return format_duration(abs(duration))


WIDE: Final = 100
"""From this many columns on, words are written in full if they fit."""
_FULL, _SHORT, _LEAST, _BARE = 3, 2, 1, 0


def header_line(app: Session, width: int) -> tuple[list[Piece], list[Piece], dict[int, str]]:
    """(left pieces, right pieces, piece index -> action of a click). If they do not fit, words
    about the receiver are shortened first, then the clock goes, then team and range; the running
    and failed counts are never cut. The clock names its time zone on a wide screen with room."""
    for words in (_FULL, _SHORT, _LEAST) if width >= WIDE else (_SHORT, _LEAST):
        left, right, targets = _pieces(app, words)
        if (room := width - width_of([*left, *right])) > 0:
            zone = span_format.zone_name(app.now(), app.zone)
            if width >= WIDE and room > len(zone) + 1 and app.frozen_at is None:
                right[-1] = (f"{right[-1][0]}{zone} ", "dim")
            return left, right, targets
    if width_of([*left, *right[:-1]]) >= width:
        left, right, targets = _pieces(app, _BARE)
    return left, right if app.frozen_at is not None else right[:-1], targets


def _pieces(app: Session, words: int) -> tuple[list[Piece], list[Piece], dict[int, str]]:
    signs = app.look.glyphs
    left: list[Piece] = [(" vs-tui ", "title")]
    if app.frozen_at is not None:
        at = span_format.clock(app.frozen_at, app.zone, app.setup.clock())
        if words == _FULL:
            at = f"{at} {span_format.zone_name(app.frozen_at, app.zone)}"
        left.append((f"{signs.frozen} FROZEN {'at ' if words > _LEAST else ''}{at}", "wait"))
        if app.pending:
            how = app.worded(", {freeze} to resume") if words > _LEAST else ""
            left.append((f"  +{app.pending} new{how}", "wait"))
    else:
        left.append(
            (f"{signs.stale} STALE", "wait") if app.unreadable else (f"{signs.live} LIVE", "ok")
        )
        if (words > _LEAST and not app.unreadable) or _trouble(app):
            left.append((f"  {_hooks(app, words)}", "fail" if _trouble(app) else "dim"))
    targets = {1: "freeze"}
    if words:
        targets |= {len(left) + 1: "team", len(left) + 2: "time"}
        team = fit(app.team, min(len(app.team), 20)) if app.team else "all"
        left += [("  ", "dim"), (f"team {team}  ", "dim")]
        if app.navigation.base is None or app.navigation.base.ranged:
            left.append(("all time" if app.range_name == "all" else app.range_name, "dim"))
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
        what = "in flight" if words == _FULL else "open"  # open issues count, too
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
