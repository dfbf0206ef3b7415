"""Texts of a trace for the list of Live: the cells of its track, the current work, its steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Final, NamedTuple

from rich.cells import cell_len

from vs_tui.model.time import HOUR, MINUTE, Duration, Instant, format_duration
from vs_tui.model.vocabulary import Span, State, Status
from vs_tui.traces.baseline import Baseline
from vs_tui.traces.board import Totals
from vs_tui.traces.next_action import NextAction, Section
from vs_tui.traces.standing import Cell, Standing
from vs_tui.traces.steps import PastRun, step_name, upcoming
from vs_tui.traces.time_axis import short
from vs_tui.traces.trace_facts import severity
from vs_tui.tui import span_format
from vs_tui.tui.paint import Piece, fit
from vs_tui.tui.theme import Glyphs

NAMES: Final[Mapping[Section, str]] = {
    Section.INCIDENT: "INCIDENTS",
    Section.RUNNING: "RUNNING",
    Section.WAITING: "WAITING FOR SOMEONE",
    Section.FINISHED: "JUST FINISHED",
    Section.NOT_STARTED: "NOT STARTED",
}
MOST_STEPS: Final = 8
"""Most lines of an unfolded trace."""
_ROLES: Final = {
    "open": ("open_mark", "dim"),
    "running": ("run", "run"),
    "done": ("ok", "ok"),
    "waiting": ("wait", "wait"),
    "failed": ("fail", "fail"),
    "expected": ("queue", "queue"),
    "silent": ("stale", "stale"),
    "dropped": ("cancel", "cancel"),
    "followed": ("ok", "fail"),
    "shipped": ("ok", "dim"),
}


def cell(found: Cell, glyphs: Glyphs) -> Piece:
    """The text of one station of the track."""
    if not found.mark:
        return "", "dim"
    name, role = _ROLES[found.mark]
    after = {"followed": "!", "shipped": "~"}.get(found.mark, "")
    counted = f"{found.done}/{found.all}" if found.all > 1 else ""
    return f"{getattr(glyphs, name)}{counted}{after}", role


def title(row: Standing) -> str:
    return f"{row.label} {row.title}".strip()


def age(duration: Duration | None, *, machine: bool) -> str:
    """A duration: `1:55` for a machine below an hour; otherwise `48m`, `5h 12m`, `2d 2h`."""
    if duration is None:
        return "-"
    coarse = not machine and duration < HOUR
    return f"{duration // MINUTE}m" if coarse else format_duration(duration)


def now_text(row: Standing, now: Instant, zone: tzinfo | None, room: int = 0) -> Piece:
    """The current work, its duration, and the people who act next. In less `room` than that needs,
    the name of the work is cut, then that of its run."""
    action = row.action
    found = _now_text(row, action, now, zone)
    for part, least in (("what", 8), ("verb", 6 if row.section is Section.RUNNING else room)):
        name, over = getattr(action, part), cell_len(found[0]) - room
        if room and over > 0 and name:
            short = fit(name, max(cell_len(name) - over, min(cell_len(name), least)))
            action = replace(action, what=short) if part == "what" else replace(action, verb=short)
            found = _now_text(row, action, now, zone)
    return found


def _now_text(row: Standing, action: NextAction, now: Instant, zone: tzinfo | None) -> Piece:
    if row.section is Section.FINISHED:
        at = span_format.minute(action.since, zone, now)
        role = "cancel" if action.verb in ("closed", "cancelled") else "dim"
        return " ".join(part for part in (action.verb, action.what, at) if part), role
    if row.section is Section.NOT_STARTED:
        return "", "dim"
    waited = age(row.waited(now), machine=row.section is Section.RUNNING)
    if action.since is not None and action.since - now > span_format.SKEW:
        waited = "starts ahead of us?"
    if row.section is Section.INCIDENT:
        holder = f"{', '.join(action.who)} has it" if action.who else action.nobody
        return f"open {waited}, {holder}", "fail"
    colon = (
        ": " if row.section is Section.RUNNING and action.what and action.verb != "deploy" else " "
    )
    more = f" +{action.more}" if action.more else ""
    if action.rule == "silent":
        return f"check: silent {waited}", "stale"
    if row.section is Section.RUNNING:
        if action.step is not None and action.verb == row.title:
            return f"{action.what or span_format.kind(action.step)}{more} {waited}", "run"
        return f"{action.verb}{colon}{action.what}{more} {waited}".replace("  ", " "), "run"
    what = f"{action.verb} {action.what}".strip()
    role = "fail" if action.rule == "failed" else "wait"
    return f"{what} {waited}: {', '.join(action.who) or action.nobody}", role


def usual_text(row: Standing, glyphs: Glyphs, now: Instant, *, short: bool) -> Piece:
    """The time that is left by the usual duration, or the ratio to it if the step runs longer."""
    left, ratio = row.left(now), row.over(now)
    if left is not None:
        told = format_duration(left)
        return (f"~{told}" if short else f"{told} left"), "dim"
    if ratio is None:
        return ("-" if row.section in (Section.RUNNING, Section.WAITING) else ""), "dim"
    if ratio < 1:
        return "", "dim"
    long = row.is_long(now)
    told = f"{ratio:.1f}x" if ratio < 100 else f"{ratio:.0f}x"
    return f"{told} {glyphs.long}" if long else told, "wait" if long else "dim"


def heading_note(
    section: Section, totals: Totals, finished_for: Duration, *, by_state: bool
) -> str:
    """The text at the right of a section's heading; empty for a section without rows. `by_state`:
    whether the rows are in the section's own order."""
    if not totals.of(section):
        return ""
    if section is Section.RUNNING:
        parts = [f"{totals.jobs_done} of {totals.jobs} jobs done"] if totals.jobs else []
        if totals.deploys:
            parts.append(f"{totals.deploys} {'deploy' if totals.deploys == 1 else 'deploys'}")
        return ", ".join(parts)
    if section is Section.WAITING:
        long = f"{totals.long} longer than usual" if totals.long else ""
        return ", ".join(part for part in ("the longest first" if by_state else "", long) if part)
    if section is Section.FINISHED:
        return f"last {short(finished_for)}"
    return "open, nobody works on them" if section is Section.NOT_STARTED else ""


def heading(
    section: Section, totals: Totals, glyphs: Glyphs, width: int, *, folded: bool, note: str
) -> tuple[Piece, ...]:
    """A section's heading: `▾ RUNNING 7 ──── 10 of 20 jobs done`."""
    sign = glyphs.folded if folded else glyphs.open
    left = f"{sign} {NAMES[section]} {totals.of(section)} "
    right = f" {note}" if note else ""
    line = glyphs.line * max(width - len(left) - len(right) - 2, 0)
    return (left, "title"), (line, "frame"), (right, "note")


class Person(NamedTuple):
    """Who acts next, and on which waiting rows."""

    name: str
    rows: Sequence[Standing]


def person_line(
    person: Person, glyphs: Glyphs, now: Instant, width: int, folded: bool
) -> tuple[Piece, ...]:
    """What waits for a person: `▾ ben 33  change 14, fix 11 … the longest 3d 8h, 9 longer than
    usual`."""
    rows = person.rows
    verbs = Counter(row.action.verb for row in rows)
    each = ", ".join(f"{verb} {n}" for verb, n in verbs.most_common())
    note = f"the longest {age(max(row.waited(now) or 0 for row in rows), machine=False)}"
    if long := sum(row.is_long(now) for row in rows):
        note += f", {long} longer than usual"
    name = f"  {glyphs.folded if folded else glyphs.open} {person.name} {len(rows)}  "
    room = max(width - cell_len(name) - len(note), 0)
    return (name, "title"), (fit(each, room, ellipsis=glyphs.ellipsis), "dim"), (f" {note}", "note")


def incident_line(
    row: Standing, glyphs: Glyphs, now: Instant, width: int, *, outside: bool
) -> tuple[Piece, ...]:
    """An open incident in one line: who has it, the deploy before it, and the work that names it.
    If they do not fit, the place and the deploy are left out first, then the title is cut."""
    step, dot = row.action.step, f" {glyphs.dot} "
    words = ["INCIDENT", row.label, severity(step) if step else "", row.title]
    head = " ".join(word for word in words if word)
    told, role = now_text(row, now, None)
    fix = f"fix {row.fix}" if row.fix else ""
    note = " (outside the filter)" if outside else ""
    before = ""
    if row.after is not None:
        doubt = "" if row.after.is_named else "?"
        before = f"{age(row.after.gap, machine=False)} after {row.after.name}{doubt}"
    tails = [
        dot.join(part for part in parts if part)
        for parts in ((step.environment if step else "", told, before, fix), (told, before, fix),
                      (told, fix))
    ]  # fmt: skip
    room = width - cell_len(glyphs.fail) - 1 - cell_len(dot) - cell_len(note)
    tail = next((t for t in tails if cell_len(head) + cell_len(t) <= room), tails[-1])
    head = fit(head, min(cell_len(head), max(room - cell_len(tail), 20)), ellipsis=glyphs.ellipsis)
    return (f"{glyphs.fail} ", "fail"), (head, "fail"), (f"{dot}{tail}", role), (note, "dim")


def steps(
    row: Standing,
    spans: Sequence[Span],
    now: Instant,
    *,
    glyphs: Glyphs,
    baselines: Mapping[str, Baseline],
    past: Mapping[str, Sequence[PastRun]],
    width: int,
    open_key: str,
) -> list[tuple[str, tuple[Piece, ...]]]:
    """(span key or empty, line) for each line of an unfolded trace: failed, running and waiting
    steps, all succeeded steps in one line, expected steps. `open_key` shows the whole trace."""
    machines = [s for s in spans if s.operation not in _NO_STEPS and not span_format.is_phase(s)]
    above = {s.parent_key for s in machines}
    leaves = [s for s in machines if s.key not in above]
    newest: dict[tuple[str, str, str], Span] = {}
    tries: dict[tuple[str, str, str], int] = {}
    for step in sorted(leaves, key=lambda s: (s.at, s.attempt)):
        name = (step.environment, *step_name(step))
        newest[name] = step
        tries[name] = tries.get(name, 0) + 1
    again = {newest[name].key: count for name, count in tries.items() if count > 1}
    found = list(newest.values())
    failed = [s for s in found if s.status.failed]
    running = [s for s in found if s.in_flight and s.state is not State.WAITING]
    waiting = [s for s in found if s.in_flight and s.state is State.WAITING]
    good = [s for s in found if s.status is Status.OK]
    begins = min((s.at for s in [*failed, *running] if s.at <= now), default=now)
    lines: list[tuple[str, tuple[Piece, ...]]] = []
    for step in [*failed, *running, *waiting]:
        usual = span_format.usual(baselines.get(step.key))
        bar = _bar(step, begins, now, usual, glyphs, max(width // 4, 8))
        lines.append((step.key, _step_line(step, row, bar, again.get(step.key, 1), glyphs, now,
                                           baselines.get(step.key))))  # fmt: skip
    if len(lines) > MOST_STEPS - 2:
        more = len(lines) - (MOST_STEPS - 3)
        lines = lines[: MOST_STEPS - 3]
        lines.append(("", ((f"{glyphs.ellipsis} {more} more: {open_key}", "dim"),)))
    if good:
        names = ", ".join(dict.fromkeys(step_name(s)[1] for s in good))
        lines.append((good[0].key, ((f"{glyphs.ok} ", "ok"), (names, "dim"))))
    expected = [
        step.name
        for run in machines
        if run.in_flight and run.key in past
        for step in upcoming(run, [s for s in spans if s.parent_key == run.key], past[run.key], now)
    ]
    if expected:
        lines.append(("", ((f"{glyphs.queue} ", "queue"), (", ".join(expected) + " next", "dim"))))
    if not lines:
        lines.append(("", ((row.action.why or "nothing ran yet", "dim"),)))
    return lines


_NO_STEPS: Final = frozenset(
    {"issue", "pull_request", "review", "push", "sprint", "release", "stage"}
)


def _bar(
    step: Span, begins: Instant, now: Instant, usual: Baseline | None, glyphs: Glyphs, cells: int
) -> Piece:
    """The bar of a step on the time axis of the listed steps."""
    length = max(now - begins, 1)
    if usual is not None and step.in_flight:
        length = max(length, min(step.at, now) + usual.p50 - begins)
    first = min(max((min(step.at, now) - begins) * cells // length, 0), cells - 1)
    ends = now if step.ended_at is None else step.ended_at
    last = min(max((ends - begins) * cells // length, first + 1), cells)
    if step.in_flight:
        shown = " " * first + glyphs.partial * max(last - first - 1, 0) + glyphs.tip
        if usual is not None and step.at <= now:
            until = min(max((step.at + usual.p50 - begins) * cells // length, last), cells)
            shown += glyphs.expected * (until - last)
        return fit(shown, cells), "run"
    return fit(" " * first + glyphs.bar * (last - first), cells), "fail"


def _step_line(
    step: Span,
    row: Standing,
    bar: Piece,
    tries: int,
    glyphs: Glyphs,
    now: Instant,
    usual: Baseline | None,
) -> tuple[Piece, ...]:
    sign, _, role = span_format.state(step, glyphs, now, usual)
    decides = row.action.step is not None and row.action.step.key == step.key
    name = span_format.title(step) if step.operation == "deploy" else step_name(step)[1]
    name += f", {tries} tries" if tries > 1 else ""
    name += f" {glyphs.critical}" if decides and row.section is Section.RUNNING else ""
    told = age(step.elapsed(now), machine=True)
    known = span_format.usual(usual)
    if step.in_flight and known is not None and step.started_at is not None:
        left = step.started_at + known.p50 - now
        told += f"  {format_duration(left)} left" if left > 0 else ""
    if step.error:
        told += f"  {step.error}"
    return (
        (f"{sign} ", role),
        (fit(name, 26, ellipsis=glyphs.ellipsis) + " ", "text"),
        bar,
        (f" {told}", "text"),
    )
