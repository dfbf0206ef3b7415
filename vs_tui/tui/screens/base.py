"""What every screen shares: header, tabs or path, body, filter box, footer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from vs_tui.domain.instants import Instant
from vs_tui.tui import actions, faces
from vs_tui.tui.look import Look
from vs_tui.tui.paint import Piece, fit
from vs_tui.tui.widgets.framed import Framed
from vs_tui.tui.widgets.lines import Line

if TYPE_CHECKING:
    from vs_tui.tui.app import VsTuiApp

TABS = (("live", "Live"), ("traces", "Traces"), ("dora", "DORA"), ("events", "Events"))


class View(Screen[None]):
    """A screen with the common frame. Subclasses compose a body and read their data."""

    DEFAULT_CSS = """
    View { layout: vertical; }
    View Input { height: 1; border: none; padding: 0 1; display: none; }
    View Input:focus { border: none; }
    View.-filtering Input { display: block; }
    View #problem { display: none; }
    View.-problem #problem { display: block; }
    View #banner { display: none; }
    View.-banner #banner { display: block; }
    """
    AUTO_FOCUS = ""

    where = "everywhere"
    title_text = ""
    filterable = False

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look
        self.filter_text = ""
        self.zoomed: Widget | None = None

    @property
    def dash(self) -> VsTuiApp:
        return cast("VsTuiApp", self.app)

    def compose(self) -> ComposeResult:
        yield Line(self.look, id="header")
        yield Line(self.look, id="tabs")
        yield Line(self.look, id="banner")
        yield from self.body()
        yield Input(placeholder="team:core kind:deploy state:failed dur>10m age<7d", id="filter")
        yield Line(self.look, id="problem")
        yield Line(self.look, id="footer")

    def body(self) -> Iterable[Widget]:
        """The widgets between the frame's lines."""
        raise NotImplementedError

    async def load(self) -> None:
        """Read what the screen shows and paint it; called when something changed."""

    def tick(self, now: Instant) -> None:
        """A second has passed: move ages and bars of what is in flight."""

    def act(self, action: str) -> bool:
        """Do an action of this screen; False when it is not its own."""
        return False

    def panels(self) -> Sequence[Framed]:
        """Focusable boxes, in the order of the tab key."""
        return [w for w in self.query(Framed) if w.display]

    def selection(self) -> str:
        """Key of the selected span, `` when there is none."""
        return ""

    def export_rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """(column titles, rows) of what is listed, for `e`; empty when it is no list."""
        return (), ()

    def on_mount(self) -> None:
        self._paint_background()
        field = self.query_one(Input)
        field.cursor_blink = False
        self._paint_footer()

    def dress(self, look: Look) -> None:
        """Put on another look, in place: cursor, folds and scroll stay as they are."""
        self.look = look
        for widget in self.query("Framed, Line"):
            if isinstance(widget, Framed | Line):
                widget.look = look
                widget.refresh()
        self._paint_background()

    def _paint_background(self) -> None:
        self.styles.background = self.look.palette.background or "ansi_default"

    def on_screen_resume(self) -> None:
        self.paint_frame()
        self.run_worker(self.reload(), exclusive=True, group="load")

    async def reload(self) -> None:
        """load(), with its faults shown on the screen instead of ending the app."""
        try:
            await self.load()
        except ValueError as error:
            self.show_problem(str(error))
        self.paint_frame()

    # The frame.

    def paint_frame(self) -> None:
        self.query_one("#header", Line).show(*self.dash.header(self))
        tabs, right = self._tabs()
        targets = {i: f"view:{TABS[i // 2][0]}" for i in range(1, 2 * len(TABS), 2)}
        self.query_one("#tabs", Line).show(tabs, right, targets if self._is_tab() else {})
        banner = self.dash.banner()
        self.set_class(bool(banner), "-banner")
        if banner:
            width = max(self.size.width, 10)
            self.query_one("#banner", Line).show([(fit(f" {banner}", width), "banner")])
        self._paint_footer()

    def _is_tab(self) -> bool:
        return any(self.where == name for name, _ in TABS)

    def _tabs(self) -> tuple[list[Piece], list[Piece]]:
        if not self._is_tab():
            path = f" {self.look.glyphs.arrow} ".join(self.dash.crumbs())
            return [(" ", "text"), (fit(path, max(self.size.width - 2, 4)).rstrip(), "crumb")], []
        left: list[Piece] = [(" ", "text")]
        for index, (name, label) in enumerate(TABS):
            text = f"{index + 1} {label}"
            left.append((f"[{text}]", "title") if name == self.where else (f" {text} ", "dim"))
            left.append((" ", "text"))
        right: list[Piece] = []
        if self.filterable:
            shown = self.filter_text or "all"
            room = max(self.size.width - 50, 10)
            right = [
                ("/ ", "key"),
                (fit(shown, min(len(shown), room)), "match" if self.filter_text else "dim"),
                (f"  {self.matched_text()} ", "dim"),
            ]
        return left, right

    def matched_text(self) -> str:
        """`12 of 318`."""
        return ""

    def _paint_footer(self) -> None:
        pieces: list[Piece] = []
        pairs = actions.footer(self.dash.actions, self.where, max(self.size.width, 20))
        for key, label in pairs:
            pieces += [(f" {key}", "key"), (f" {label} ", "dim")]
        self.query_one("#footer", Line).show(pieces)

    def show_problem(self, text: str) -> None:
        """A line under the filter; `` takes it away."""
        self.set_class(bool(text), "-problem")
        if text:
            self.query_one("#problem", Line).show(
                [(fit(f" {text}", max(self.size.width, 10)), "fail")]
            )

    # The filter.

    def start_filter(self) -> None:
        if not self.filterable:
            return
        field = self.query_one(Input)
        self.add_class("-filtering")
        field.value = self.filter_text
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.has_class("-filtering"):
            self.set_filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.end_filter()

    def set_filter(self, text: str) -> None:
        """Filter by a text; errors are shown below the box, and the list stays as it was."""
        problem = self.dash.filter_problem(text, self.where)
        self.show_problem(problem)
        if not problem and text != self.filter_text:
            self.filter_text = text
            self.dash.remember()
            self.run_worker(self.reload(), exclusive=True, group="load")

    def end_filter(self) -> None:
        self.remove_class("-filtering")
        panels = self.panels()
        if panels:
            panels[0].focus()

    def on_line_pressed(self, message: Line.Pressed) -> None:
        message.stop()
        self.dash.do(message.value.partition(":")[2])

    def on_resize(self) -> None:
        self.set_class(self.size.width >= 100, "-wide")
        self.set_class(self.size.height >= 32, "-tall")
        self.paint_frame()

    def zone_clock(self, instant: Instant | None) -> str:
        return faces.clock(instant, self.dash.zone, self.dash.now())
