"""The rows of Live by trace: headings, traces, and the steps of unfolded traces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from vs_tui.model.time import Instant
from vs_tui.store.queries.reader_protocol import Trace
from vs_tui.traces.board import Board, Totals
from vs_tui.traces.next_action import Section
from vs_tui.traces.standing import Standing
from vs_tui.traces.time_axis import short
from vs_tui.tui import trace_format
from vs_tui.tui.paint import Piece, fit, longest_name
from vs_tui.tui.screens.listed import WorkView
from vs_tui.tui.theme import Look
from vs_tui.tui.trace_format import Person
from vs_tui.tui.widgets.listing import Column, Row

WIDE_FROM: Final = 100
WIDE: Final = (
    Column("", 1),
    Column("PROJECT", 9, sort="project"),
    Column("WHAT", 14, flex=1, wish=30, sort="name"),
    Column("iss", 3),
    Column("pr", 2),
    Column("rev", 3),
    Column("ci", 5),
    Column("stg", 4),
    Column("prod", 4),
    Column("NOW, AND WHO ACTS NEXT", 28, sort="person"),
    Column("vs USUAL", 9, sort="over"),
    Column("AGE", 7, right=True, rank=1),
    Column("TEAM", 4, rank=2),
)
NARROW: Final = (
    Column("", 1),
    Column("WHAT", 12, flex=1, sort="name"),
    *(Column(name, 1, rank=1) for name in ("i", "p", "r")),
    Column("ci", 4, rank=1),
    *(Column(name, 2, rank=1) for name in ("s", "p")),
    Column("NOW, AND WHO NEXT", 22, sort="person"),
    Column("USUAL", 7, sort="over", rank=2),
)
MOST_TEAM, MOST_PROJECT, MOST_NOW = 12, 24, 48
"""Most cells that the longest text of a column gets from other columns."""
MOST_FINISHED: Final = 8
MOST_INCIDENTS: Final = 3
HEAD: Final = "section:"


class BoardRows(WorkView):
    """A list of traces by section. Subclasses read the board and handle keys."""

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self.board: Board | None = None
        self.unfolded: set[str] = set()
        self.folded: set[str] = {Section.NOT_STARTED.value}
        self.opened_quiet = False
        self._rows: dict[str, Standing] = {}
        self._listed: dict[str, Row] = {}
        """Trace -> its row of the list."""
        self._details: dict[str, Trace] = {}
        self._exports = False
        self._before: Mapping[str, Standing] = {}
        """The traces as they were listed last, to report where the selected row moved."""

    def take(self, board: Board) -> None:
        """Keep the traces of a read. Rows of unchanged traces are kept: to make hundreds again took
        longer than to paint those in sight."""
        self.board = board
        self._rows = {row.trace_id: row for row in board.rows}
        before, self._listed = self._listed, {}
        for trace_id, row in self._rows.items():
            kept = before.get(trace_id)
            if kept is None or kept.data is not row:
                incident = row.section is Section.INCIDENT
                failed = row.failed or incident
                kept = Row(trace_id, failed=failed, data=row, whole=incident, pinned=incident)
            self._listed[trace_id] = kept

    def _columns(self, wide: bool, lines: Sequence[Row]) -> Sequence[Column]:
        """The columns for these lines. NOW gets what 19 of 20 of its texts need; what that spares
        goes to TEAM, then to WHAT. On a wide screen projects and NOW get more before WHAT."""
        columns = WIDE if wide else NARROW
        now, zone = self.dash.now(), self.dash.zone
        rows = [line.data for line in lines if isinstance(line.data, Standing) and not line.whole]
        teams = {row.team for row in rows if row.team}
        if wide and len(teams) < 2:
            columns = columns[:-1]
        who = next(column for column in columns if column.title.startswith("NOW"))
        texts = (trace_format.now_text(row, now, zone)[0] for row in rows)
        needed = sorted(longest_name([text], MOST_NOW) for text in texts)
        longest = max([len(who.title), *needed[: -(-len(needed) * 19 // 20)]])
        longest = min(longest, who.width)
        acts = longest + longest % 2  # even: a second that passes rarely moves the columns
        team = longest_name(teams, MOST_TEAM)
        # `12/20` needs more room than `3/5`.
        counted = (
            len(trace_format.cell(row.cells[3], self.look.glyphs)[0])
            for row in rows
            if row.cells[3].all > 1
        )
        cells = {who.title: acts, "ci": max(5 if wide else 4, min(max(counted, default=0), 7))}
        cells["TEAM"] = max(4, min(team, 6 + who.width - acts))  # 2 of them from WHAT
        projects = {row.project.rpartition("/")[2] for row in rows}
        wishes = {"TEAM": team, "PROJECT": longest_name(projects, MOST_PROJECT)}
        if wide:  # in steps of four cells, which seldom moves columns as seconds pass
            wishes[who.title] = max(needed, default=0) + 3 & ~3
        return [
            replace(
                column,
                width=cells.get(column.title, column.width),
                wish=wishes.get(column.title, column.wish),
            )
            for column in columns
        ]

    def _lines(self, listed: Sequence[Standing], totals: Totals, now: Instant) -> list[Row]:
        """Headings, traces, and the steps of unfolded traces."""
        lines: list[Row] = []
        parts: Mapping[Section, list[Standing]] = {section: [] for section in Section}
        for row in listed:
            parts[row.section].append(row)
        incidents = parts[Section.INCIDENT]
        lines += [self._listed[row.trace_id] for row in incidents[:MOST_INCIDENTS]]
        if len(incidents) > MOST_INCIDENTS:
            more = Row(f"{HEAD}more-incidents", whole=True, pinned=True, data=len(incidents))
            lines.append(more)
        for section in list(Section)[1:]:
            part = parts[section]
            if not part and section in (Section.FINISHED, Section.NOT_STARTED):
                continue
            lines.append(Row(f"{HEAD}{section.value}", whole=True, heads=True, data=section))
            if section.value in self.folded:
                continue
            quiet, shown = [], part
            if section is Section.WAITING:
                quiet = [row for row in part if row.is_quiet(now)]
                # With nothing else in the section, its heading alone would look empty.
                shown = [row for row in part if not row.is_quiet(now)] or part
                quiet = quiet if shown is not part else []
            most = MOST_FINISHED if section is Section.FINISHED else len(shown)
            if section is Section.WAITING and self.sort.lstrip("-") == "person":
                lines += self._by_person(shown, now)
            else:
                lines += self._with_steps(shown[:most], now)
            if len(shown) > most:
                lines.append(Row(f"{HEAD}history", whole=True, data=len(shown) - most))
            if quiet:
                lines.append(Row(f"{HEAD}quiet", whole=True, data=tuple(quiet)))
                if self.opened_quiet:
                    lines += [self._listed[row.trace_id] for row in quiet]
        return lines

    def _by_person(self, rows: Sequence[Standing], now: Instant) -> Iterator[Row]:
        """The rows, which are in the order of the people who act next, below a line for each."""
        for who, own in groupby(rows, lambda row: row.action.who[:1]):
            person = Person("".join(who) or "nobody", tuple(own))
            name = f"who:{''.join(who)}"
            yield Row(f"{HEAD}{name}", whole=True, heads=True, data=person)
            if name not in self.folded:
                yield from self._with_steps(person.rows, now)

    def _with_steps(self, rows: Sequence[Standing], now: Instant) -> Iterator[Row]:
        for row in rows:
            yield self._listed[row.trace_id]
            if row.trace_id in self.unfolded:
                yield from self._step_rows(row, now)

    def _step_rows(self, row: Standing, now: Instant) -> list[Row]:
        trace = self._details.get(row.trace_id)
        return [
            Row(f"{row.trace_id}/{number}", whole=True, data=(row.trace_id, number, key))
            for number, (key, _) in enumerate(self._steps(row, trace, now) if trace else ())
        ]

    def _steps(
        self, row: Standing, trace: Trace, now: Instant
    ) -> list[tuple[str, tuple[Piece, ...]]]:
        lines = trace_format.steps(
            row,
            trace.spans,
            now,
            glyphs=self.look.glyphs,
            baselines=self.dash.baselines,
            past=self.dash.histories.runs,
            width=self.list.size.width - 40,
            open_key=self.dash.worded("{open}"),
        )
        if self.list.size.width < WIDE_FROM - 2:  # what has a column on a wide screen
            began = trace_format.age(max(now - row.began_at, 0), machine=False)
            where = f" {self.look.glyphs.dot} ".join(filter(None, (row.team, row.project)))
            lines.insert(0, ("", ((f"{began}  {where}".rstrip(), "dim"),)))
        return lines

    def export_rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        self._exports = True  # whole texts
        found = super().export_rows()
        self._exports = False
        return found

    def cells(self, line: Row) -> tuple[Piece, ...]:
        data, glyphs, now = line.data, self.look.glyphs, self.dash.now()
        if isinstance(data, Standing):
            if line.whole:
                outside = self.board is not None and data.trace_id in self.board.outside
                width = self.list.size.width - 3
                return trace_format.incident_line(data, glyphs, now, width, outside=outside)
            return self._cells(data, now)
        if isinstance(data, Section) and self.board is not None:
            folded = data.value in self.folded
            note = trace_format.heading_note(
                data,
                self.board.matched,
                self.dash.setup.thresholds.finished_for,
                by_state=self.sort == self.sorts[0],
            )
            width = self.list.size.width - 2
            return trace_format.heading(
                data, self.board.matched, glyphs, width, folded=folded, note=note
            )
        if isinstance(data, Person):
            folded = line.key.removeprefix(HEAD) in self.folded
            return trace_format.person_line(data, glyphs, now, self.list.size.width - 5, folded)
        if line.key == f"{HEAD}quiet" and isinstance(data, tuple):
            return self._quiet_line(data)
        if isinstance(data, tuple):
            return self._step_line(data[0], data[1], now)
        if isinstance(data, str):
            return ((data, "dim"),)
        words = {
            "history": self.dash.worded(f"  {data} more in {{traces}} Traces"),
            "more-incidents": f"  +{int(str(data)) - MOST_INCIDENTS} more incidents",
        }
        return ((words[line.key.removeprefix(HEAD)], "dim"),)

    def _quiet_line(self, quiet: Sequence[Standing]) -> tuple[Piece, ...]:
        """The number of waiting rows that nobody touched for long, and the people who act next on
        them."""
        glyphs = self.look.glyphs
        sign = glyphs.open if self.opened_quiet else glyphs.folded
        long = short(self.dash.setup.thresholds.quiet)
        left = f"{sign} {len(quiet)} more, untouched for over {long}"
        names = Counter(name for row in quiet for name in row.action.who)
        each = ", ".join(f"{name} {n}" for name, n in names.most_common(4))
        room = max(self.list.size.width - len(left) - 6, 0)
        return (left, "dim"), (fit(each, room, right=True, ellipsis=glyphs.ellipsis), "note")

    def _step_line(self, trace_id: str, number: int, now: Instant) -> tuple[Piece, ...]:
        row, trace = self._rows.get(trace_id), self._details.get(trace_id)
        lines = self._steps(row, trace, now) if row is not None and trace is not None else []
        indent = 12 if self.list.size.width >= WIDE_FROM else 4
        found = lines[number][1] if number < len(lines) else ()
        return ((" " * indent, "dim"), *found)

    def _cells(self, row: Standing, now: Instant) -> tuple[Piece, ...]:
        glyphs = self.look.glyphs
        wide = len(self.list.columns) > len(NARROW)
        fold = glyphs.open if row.trace_id in self.unfolded else glyphs.folded
        track = tuple(trace_format.cell(found, glyphs) for found in row.cells)
        what: Piece = (trace_format.title(row), "text")
        room = 0 if self._exports else self.list.cells_of("NOW")
        doing = trace_format.now_text(row, now, self.dash.zone, room)
        usual = trace_format.usual_text(row, glyphs, now, short=not wide)
        if not wide:
            return ((fold, "dim"), what, *track, doing, usual)
        return (
            (fold, "dim"),
            (row.project.rpartition("/")[2], "dim"),
            what,
            *track,
            doing,
            usual,
            (trace_format.age(max(now - row.began_at, 0), machine=False), "dim"),
            (row.team, "dim"),
        )

    def _empty(self) -> tuple[str, ...]:
        board = self.board
        if board is None or not board.terms:
            return self.dash.empty_text(bool(self.filter_text))
        each = " \u00b7 ".join(f"{term} {n}" for term, n in board.terms.items())
        return (
            "",
            f"nothing of {board.everything.listed} matches   {self.filter_text}",
            "",
            f"each term alone: {each}",
            "",
            self.dash.worded("{back} clears the filter, {filter} changes it"),
        )

    def _tell_where_it_went(self) -> None:
        selected = self.list.selected_key
        row = self._rows.get(selected)
        before = self._before.get(selected)
        moved = row is not None and before is not None and before.section is not row.section
        if row is not None and moved and self.list.touched:
            self.dash.notify_text(f"now in {trace_format.NAMES[row.section]}")
        self._before = self._rows

    def _show_foot(self) -> None:
        row = self._selected_row()
        if row is None:
            self.list.set_foot([])
            return
        dot = f" {self.look.glyphs.dot} "
        facts = [row.project, trace_format.title(row), *row.action.who[:2]]
        self.list.set_foot([(dot.join(fact for fact in facts if fact), "note")])

    def _selected_row(self) -> Standing | None:
        """The trace under the cursor, or the trace of the step under it."""
        return self._rows.get(self.list.selected_key.partition("/")[0])
