"""The frame of every screen: header, tabs or path, body, filter box, footer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, cast

from textual.app import ComposeResult
from textual.css.query import NoMatches
from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from vs_tui.model.display import clean
from vs_tui.model.time import Instant, parse_duration
from vs_tui.model.vocabulary import Span
from vs_tui.store.queries.reader_protocol import Unreachable
from vs_tui.tui import actions, filtering
from vs_tui.tui.filtering import DEFAULT, Range
from vs_tui.tui.header import banner, header_line
from vs_tui.tui.paint import Piece, cut, fit, width_of
from vs_tui.tui.session import Session, start
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.framed import Framed
from vs_tui.tui.widgets.inputs import FilterBox, FilterNote, Line, unharmed

_SEVERITIES: Final = {"error": "fail", "warning": "wait"}
"""Severity of a notice -> role."""
TABS: Final = tuple((t.lower(), t) for t in ("Live", "Traces", "DORA", "Events", "Sources"))


class View(Screen[None]):
    """A screen with the common frame. Subclasses compose the body and read its data."""

    DEFAULT_CSS = """
    View { layout: vertical; }
    View #banner { display: none; }
    View.-filtering FilterBox, View.-banner #banner { display: block; }
    View.-maximized-view { hatch: none !important; align: left top; }
    View .-maximized { height: 1fr !important; }
    """
    AUTO_FOCUS = ""
    ALLOW_IN_MAXIMIZED_VIEW = "#notice, #filter, #problem, #footer"

    where = "everywhere"
    tab = ""
    """Name of its tab, if that differs from `where`."""
    is_opened = False
    """Whether it is opened above another screen, and shows the path instead of a tab."""
    title_text = ""
    filterable = False
    ranged = False
    """Whether it has a time range, which `t` changes."""
    usual_range = DEFAULT
    measures = False
    """Whether it shows delivery metrics; these have one time range for all screens."""
    path_note = ""
    """Text at the right of the path, on a screen that was opened from another."""
    no_span = "select a span first"
    """Why an action that needs a span does nothing while `selection` is none."""
    is_moving = False
    """Whether this screen changes every second by itself."""
    words: Mapping[str, str] = MappingProxyType({})
    """Action id -> label in the footer of this screen, if it differs from the table."""
    offered: Sequence[str] = ()
    """Ids of the actions in the footer of this screen; empty: the actions with a rank in the
    table."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look
        self.filter_text = ""
        self.sort = ""
        self.range = Range(self.usual_range, parse_duration(self.usual_range))
        self.searching: Instant | None = None
        """Time back to which an unfinished search has read; the next read goes on from there. None:
        finished."""
        self._known: Mapping[str, Sequence[str]] = {}
        """Values for completing the filter, from the rows listed when its box was opened."""

    @property
    def dash(self) -> Session:
        return cast(Session, self.app)

    def compose(self) -> ComposeResult:
        # Before anything is mounted, so that styles are computed once.
        self._suit(self.app.size)
        yield Line(self.look, id="header")
        yield Line(self.look, id="tabs")
        yield Line(self.look, id="banner")
        yield from self.body()
        yield FilterNote(self.look, id="notice")
        used = self.dash.remembered.used.setdefault(self.where, [])
        yield FilterBox(self.completions, filtering.example(self.where), used, id="filter")
        yield FilterNote(self.look, id="problem")
        yield Line(self.look, id="footer")

    # For subclasses to override.

    def body(self) -> Iterable[Widget]:
        """The widgets between the lines of the frame."""
        raise NotImplementedError

    async def load(self) -> None:
        """Read the screen's data and paint it; called after every change."""

    def tick(self, now: Instant) -> None:
        """Update ages and bars; called every second, or every minute while nothing moves."""

    def act(self, action: str) -> bool:
        """Run an action of this screen; returns False for others."""
        return False

    def retreat(self) -> bool:
        """Go back a step within the screen; returns False if there is none."""
        return False

    def conceal(self) -> None:
        """Hide a secret that is shown, before the screen is written to a file."""

    def panels(self) -> Sequence[Framed]:
        """The focusable boxes in tab order."""
        return [w for w in self.query(Framed) if w.display]

    def selection(self) -> str:
        """Key of the selected span; empty if there is none."""
        return ""

    def matched_text(self) -> str:
        """Number of matching rows: `12 of 318`."""
        return ""

    def listed_spans(self) -> Iterable[Span]:
        """Spans whose teams, services and so on complete the filter."""
        return ()

    def texts(self) -> Sequence[tuple[str, str]]:
        """(name, text) of the texts that `y` copies in turns; empty means those of the selected
        span."""
        return ()

    def export_rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """(column titles, rows) that `e` exports; empty if the screen is not a list."""
        return (), ()

    # Life.

    def on_mount(self) -> None:
        self.styles.background = self.look.palette.background or "ansi_default"
        self._paint_footer()

    def dress(self, look: Look) -> None:
        """Apply another look; cursor, folds and scroll position stay."""
        self.look = look
        for widget in self.query("Framed, Line"):
            if isinstance(widget, Framed | Line):
                widget.look = look
                widget.refresh()
        self.styles.background = self.look.palette.background or "ansi_default"

    def on_screen_suspend(self) -> None:
        if self.complete:
            self._paint_footer()

    def on_screen_resume(self) -> None:
        self.paint_frame()
        if self.dash.begun:
            self.start_reload()

    @property
    def complete(self) -> bool:
        """Whether its widgets exist. At the end of the app they are removed before timers stop."""
        return self.is_mounted and bool(self.query("#footer"))

    def start_reload(self) -> None:
        """Start a new read; this cancels one in progress."""
        start(self, self.reload, "load", exclusive=True)

    async def reload(self) -> None:
        """Run load(), again while a search is unfinished, and show the rows found, or errors."""
        if not self.complete:  # it reads once it is shown
            return
        came = self.searching = None
        try:
            await self.load()
            # A search makes no progress while the receiver is unreachable.
            while self.searching != came and self.is_current and not self.dash.blurred:
                came = self.searching
                self.paint_frame()
                await self.load()
        except ValueError as error:
            self.show_problem(str(error))
        except Unreachable as error:
            # Keep the rows read before; the banner reports a reader that fails.
            if not self.dash.unreadable:
                self.show_problem(str(error))
        except NoMatches:
            if self.complete:
                raise  # else it was closed while it read
        if self.complete:
            self.paint_frame()

    def on_resize(self) -> None:
        if self._suit(self.size):
            self.update_node_styles()
        self.paint_frame()

    def _suit(self, size: Size) -> bool:
        """Set the style classes for a size; returns whether they changed."""
        before = self.classes
        self.set_class(size.width < 76, "-narrow", update=False)
        self.set_class(size.width >= 100, "-wide", update=False)
        self.set_class(size.width >= 112, "-side", update=False)
        self.set_class(size.width >= 160, "-broad", update=False)
        self.set_class(size.height >= 32, "-tall", update=False)
        self.set_class(size.height >= 48, "-high", update=False)
        return self.classes != before

    # The frame.

    def paint_frame(self) -> None:
        """Paint header, tabs, banner and footer."""
        width = max(self.size.width, 10)
        self.paint_header()
        self.paint_tabs()
        text = banner(self.dash, width)
        self.set_class(bool(text), "-banner")
        if text:
            self.query_one("#banner", Line).show([(text, "banner")])
        self._paint_footer()
        self.paint_notice()

    def paint_notice(self) -> None:
        """Paint the current notice in its own lines, on the view on which it was given."""
        text, severity = self.dash.notice if self.dash.notice_of is self else ("", "")
        self.query_one("#notice", FilterNote).say(text, _SEVERITIES.get(severity, "title"))

    def paint_header(self) -> None:
        """Paint the first line, which shows the time."""
        self.query_one("#header", Line).show(*header_line(self.dash, max(self.size.width, 10)))

    def paint_tabs(self) -> None:
        """Paint the second line: the tabs, or the path to this screen."""
        tabs, right = self._tabs()
        self.query_one("#tabs", Line).show(tabs, right, self._tab_targets(len(tabs), len(right)))

    def _is_tab(self) -> bool:
        named = self.tab or self.where
        return not self.is_opened and any(named == name for name, _ in TABS)

    def _tabs(self) -> tuple[list[Piece], list[Piece]]:
        if not self._is_tab():
            return self._path()
        left: list[Piece] = [(" ", "text")]
        shown = self.tab or self.where
        for number, (name, label) in enumerate(TABS, 1):
            text = f"{number} {label}" if self.size.width >= 56 or name == shown else f"{number}"
            tab = (f"[{text}]", "title") if name == shown else (f" {text} ", "dim")
            left += [tab, (" ", "text")]
        if not self.filterable:
            return left, []
        told = [(clean(self.filter_text or "all"), "match" if self.filter_text else "dim")]
        counts, room = self.matched_text(), self.size.width - width_of(left) - 6
        if len(counts) + width_of(told) > room:
            counts = counts.partition(" + ")[0]  # without what has ended or not begun
        told = cut(told, max(room - len(counts), 4), self.look.glyphs.ellipsis)
        return left, [("/ ", "key"), *told, (f"  {counts} ", "dim")]

    def _tab_targets(self, left: int, right: int) -> dict[int, str]:
        """Piece index -> action of a click in the line of tabs."""
        if not self._is_tab():
            return {1: "back"}
        found = {1 + 2 * index: name for index, (name, _) in enumerate(TABS)}
        return found | dict.fromkeys(range(left, left + right), "filter")

    def _path(self) -> tuple[list[Piece], list[Piece]]:
        """The line with the path to this screen, and with the filter of the view below it."""
        path = f" {self.look.glyphs.arrow} ".join(self.dash.navigation.crumbs())
        width = max(self.size.width - 2, 4)
        kept = self.dash.navigation.kept_filter
        text = f"/ kept: {fit(kept, min(len(kept), 40))} " if kept else ""
        note = f"{self.path_note} " if self.path_note else ""
        if len(note) + len(text) + 20 < width:
            text = f"{note}  {text}" if text else note
        right: list[Piece] = [(text, "dim")] if text else []
        left = fit(path, max(width - width_of(right), 4), ellipsis=self.look.glyphs.ellipsis)
        return [(" ", "text"), (left.rstrip(), "crumb")], right

    def _paint_footer(self) -> None:
        covered = () if self.app.screen is self else actions.ASKED
        told = actions.FILTERING if self.filtering else covered
        if told:
            pairs = [((f" {key}", "key"), (f" {label} ", "dim")) for key, label in told]
            self.query_one("#footer", Line).show([piece for pair in pairs for piece in pair])
            return
        width, frozen = max(self.size.width, 20), self.dash.frozen_at is not None
        words = {**({"freeze": "resume"} if frozen else {}), **self.words}
        shown = actions.footer(
            self.dash.actions, self.where, width, words=words, offered=self.offered
        )
        pieces: list[Piece] = []
        targets: dict[int, str] = {}
        for action in shown:
            targets |= dict.fromkeys((len(pieces), len(pieces) + 1), action.id)
            pieces += [(f" {action.key}", "key"), (f" {action.label} ", "dim")]
        self.query_one("#footer", Line).show(pieces, (), targets)

    def on_line_pressed(self, message: Line.Pressed) -> None:
        message.stop()
        self.dash.do(message.value)

    # Panels.

    def focus_next_panel(self) -> None:
        """Focus the next box."""
        if panels := [p for p in self.panels() if p.can_focus and p.region.height]:
            index = panels.index(self.focused) if self.focused in panels else -1
            panels[(index + 1) % len(panels)].focus()

    def toggle_zoom(self) -> None:
        """Show the focused box on the whole screen but for the footer, or restore it."""
        if self.maximized is not None:
            self.minimize()
        elif self.focused is not None:
            self.maximize(self.focused)

    # The filter.

    @property
    def filtering(self) -> bool:
        """Whether the filter box is open."""
        return self.has_class("-filtering")

    def completions(self, text: str) -> Sequence[str]:
        """Possible completions of a filter, from the language and the listed rows."""
        return unharmed(filtering.completions(text, self.where, self._known))

    def show_problem(self, text: str) -> None:
        """Show an error below the list; an empty text removes all but that of the open filter."""
        written = self.query_one(FilterBox).value if self.filtering else ""
        ways = self.completions(written)
        text = text or filtering.problem_so_far(written, self.where, ways)
        going_on = filtering.ways_to_go_on(written, ways) if self.filtering else ""
        self.query_one("#problem", FilterNote).say(text or going_on, "fail" if text else "dim")

    def show_gone(self, what: str) -> None:
        """Say that what this screen shows was pruned."""
        self.show_problem(self.dash.worded(f"{what} is gone: it was pruned; {{back}} goes back"))

    def start_filter(self) -> None:
        """Open the filter box."""
        if not self.filterable:
            self.dash.notify_text("there is nothing to filter here")
            return
        box = self.query_one(FilterBox)
        self._known = filtering.known_values(self.listed_spans(), self.dash.teams)
        self.add_class("-filtering")
        box.value = self.filter_text
        box.focus()
        self.show_problem("")
        self._paint_footer()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.filtering:
            self.set_filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if problem := filtering.problem(event.value, self.where):
            self.show_problem(problem)
        else:
            self.end_filter()

    def take_filter_key(self, key: str) -> bool:
        """Handle a key while the filter box is open; returns False to leave the key to the box."""
        if key == "escape":
            self.set_filter("")
            self.end_filter()
        return key == "escape"

    def set_filter(self, text: str) -> None:
        """Filter by a text. On an error, show it below the box and keep the list."""
        problem = filtering.problem(text, self.where)
        self.show_problem("" if self.filtering else problem)
        if not problem and text != self.filter_text:
            self.filter_text = text
            self.dash.remember()
            self.start_reload()

    def end_filter(self) -> None:
        """Close the filter box."""
        self.remove_class("-filtering")
        self.show_problem("")
        self._paint_footer()
        for panel in self.panels()[:1]:
            panel.focus()
