"""The application: it holds the state that all screens share, takes keys, and runs actions by id.

It reads through the `Reader` protocol only, without HTTP or SQL. `after_paint` starts the receiver,
if there is one; the receiver does not know the screen.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import events
from textual.binding import Binding
from textual.command import CommandPalette, Provider
from textual.driver import Driver

from vs_tui.model.time import MINUTE
from vs_tui.model.vocabulary import Span
from vs_tui.tui import actions as table
from vs_tui.tui import theme as look
from vs_tui.tui.dashboard_settings import Setup
from vs_tui.tui.feed import Feed, Watching
from vs_tui.tui.navigation import Navigation, import_screens
from vs_tui.tui.screens.base import View
from vs_tui.tui.session import Session, start

if TYPE_CHECKING:
    from vs_tui.tui.output import Output

__all__ = ["Setup", "VsTuiApp"]

RECEIVER_AFTER: Final = 2.0
"""Most seconds that the receiver waits for the first rows before it starts."""


def _commands() -> type[Provider]:
    from vs_tui.tui.commands import Commands

    return Commands


class VsTuiApp(Session):
    """The dashboard."""

    TITLE = "vs-tui"
    ENABLE_COMMAND_PALETTE = False
    COMMANDS: ClassVar[set[Any]] = {_commands}
    BINDINGS: ClassVar[list[Any]] = [Binding("ctrl+q", "quit", show=False, priority=True)]
    # Some terminals lack the emoji and the thin lines of the palette.
    CSS = """
    CommandPalette SearchIcon { display: none; }
    CommandPalette #--input, CommandPalette #--input.--list-visible { border: none; }
    CommandPalette CommandList, CommandPalette CommandList:focus {
        border: none; scrollbar-size: 0 0;
    }
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        # The palette is on, but its key comes from the table, not from Textual.
        self.use_command_palette = True
        self._by_key = table.by_key(self.actions)
        self._ticked_in = 0
        """The minute since 1970 that the screen shows."""
        self.watching = Watching(self)
        self.feed = Feed(self, self.watching)
        self.navigation: Navigation = Navigation(self)

    @cached_property
    def output(self) -> Output:  # type: ignore[override]
        from vs_tui.tui.output import Output

        return Output(self)

    # Life.

    def get_driver_class(self) -> type[Driver]:
        found = super().get_driver_class()
        if found.__module__ != "textual.drivers.linux_driver":
            return found  # in a web page or on another operating system
        from vs_tui.tui.driver import TerminalDriver

        return TerminalDriver

    def on_mount(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            # Tests and threads have no main loop for signal handlers.
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self.exit)
        self.show_theme()
        self.push_screen(self.navigation.view(self.navigation.current))
        self.set_interval(1.0, self._tick)
        start(self, self.feed.run, "pump")
        start(self, self._start_receiver, "receiver")
        start(self, self._prepare, "prepare")

    async def _start_receiver(self) -> None:
        if self.setup.after_paint is None:
            return
        listen, self.setup.after_paint = self.setup.after_paint, None
        # Importing the server is as slow as reading the first rows; rows come first.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RECEIVER_AFTER):
                await self._painted()
        try:
            self.url = await listen()
            self._connections = None  # listening creates missing secrets
        except Exception as error:
            # If the port is taken, the dashboard still shows the stored data.
            self.not_listening = str(error)
        # An empty list shows the URL.
        self.reload_view()

    async def _prepare(self) -> None:
        """Import the screens that a key may open next, after the first rows are shown."""
        await self._painted()
        await asyncio.to_thread(import_screens)

    async def _painted(self) -> None:
        """Returns when the first rows are on the terminal."""
        await self.feed.shown.wait()
        painted = asyncio.Event()
        self.call_after_refresh(painted.set)
        await painted.wait()

    async def show_settings(self, told: str, problem: str, after_restart: str) -> None:
        """Apply a configuration that was read again; `setup` already holds its keys, views and
        thresholds."""
        self.actions = table.with_keys(self.setup.keys)
        self._by_key = table.by_key(self.actions)
        self.config_trouble = problem and f"{problem}; the settings before stay in force"
        self.after_restart = after_restart
        self.notify_text(told, "error" if problem else "information")
        self.teams = await self.reader.teams()
        self.reload_view()
        self.paint_frame()

    def notify_changed(self, *_: object) -> None:
        """Repaint soon, because something was committed. Call it from the event loop, as often as
        you like."""
        self.feed.wake()

    async def action_quit(self) -> None:
        """Textual's own key, also while a question is open, asks as `q` does."""
        while self.view is None and len(self.screen_stack) > 1:
            self.pop_screen()  # its answer would be below what covers the screen
        self.do_quit()

    def _tick(self) -> None:
        view = self.shown
        if self.behind:
            return
        if self.frozen_at is None and not self.blurred and view is not None and view.complete:
            now = self.now()
            if minute := now // MINUTE != self._ticked_in:
                self._ticked_in = now // MINUTE
                view.paint_frame()
            # While nothing runs, ages are in minutes and all change at the full minute.
            if self.is_moving or view.is_moving or minute:
                view.tick(now)
                view.paint_header()

    def on_app_blur(self, _: events.AppBlur) -> None:
        self.blurred = True

    def on_app_focus(self, _: events.AppFocus) -> None:
        self.blurred = False
        self.feed.wake()

    @property
    def view(self) -> View | None:
        return self.screen if self.screen_stack and isinstance(self.screen, View) else None

    @property
    def shown(self) -> View | None:
        return next((s for s in reversed(self.screen_stack) if isinstance(s, View)), None)

    # Keys and actions.

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            # A flood of keys, as of a paste into a plain terminal, leaves the receiver its turn.
            await asyncio.sleep(0)
            if self.view is not None and not self.view.is_mounted:
                self.view.call_later(self.post_message, event)  # once it has its widgets
                return
            if self._take_key(event):
                return
        await super().on_event(event)

    def _take_key(self, event: events.Key) -> bool:
        view = self.view
        if view is None:
            return False
        if view.filtering:
            return view.take_filter_key(event.key)
        named = [*self._by_key.get(event.key, ()), *self._by_key.get(event.character or "", ())]
        action = table.meant(named, view.where)
        if action is not None:
            self.do(action.id)
        elif reason := table.elsewhere(named):
            self.notify_text(reason)
        else:
            return False
        return True

    def do(self, action_id: str) -> None:
        """Run an action by its id."""
        view = self.view
        if view is None:
            return
        run: Callable[[], None] | None = getattr(self, f"do_{action_id}", None)
        if action_id in table.VIEWS:
            self.navigation.show(action_id)
        elif run is not None:
            run()
        elif not view.act(action_id):
            action = table.BY_ID.get(action_id)
            self.notify_text(f"{action.label if action else action_id}: not here")

    def get_system_commands(self, screen: Any) -> Any:
        return ()

    # Actions that do the same on every screen: `do_` and the id.

    def do_by_trace(self) -> None:
        """Switch Live between its list by trace and its list by span."""
        if self.navigation.current not in ("live", "spans"):
            self.notify_text("by trace or by span: in Live")
            return
        self.by_trace = self.navigation.current == "spans"
        self.navigation.show(self.navigation.home)
        start(self, self.feed.reread, "status")

    def do_last_view(self) -> None:
        self.navigation.show(self.navigation.previous)

    def do_back(self) -> None:
        self.navigation.back()

    def do_filter(self) -> None:
        if (view := self.view) is not None:
            view.start_filter()

    def do_freeze(self) -> None:
        self.frozen_at = self.setup.clock() if self.frozen_at is None else None
        self.pending = 0
        self.reload_view()

    def do_time(self) -> None:
        from vs_tui.tui import ranges

        ranges.ask(self)

    def do_team(self) -> None:
        teams = ["", *self.teams]
        position = teams.index(self.team) if self.team in teams else 0
        self.choose_team(teams[(position + 1) % len(teams)])

    def do_next_panel(self) -> None:
        if (view := self.view) is not None:
            view.focus_next_panel()

    def do_zoom(self) -> None:
        if (view := self.view) is not None:
            view.toggle_zoom()

    def do_theme(self) -> None:
        names = list(look.PALETTES)
        name = names[(names.index(self.look.palette.name) + 1) % len(names)]
        self.look = look.Look(look.PALETTES[name], self.look.glyphs)
        self.remembered.theme = name
        self.show_theme()
        for screen in {*self.navigation.views.values(), *self.screen_stack}:
            if isinstance(screen, View):
                screen.dress(self.look)
        self.remember()
        self.notify_text(f"theme: {name}")

    def do_redraw(self) -> None:
        self.redraw()

    def do_palette(self) -> None:
        if not isinstance(self.screen, CommandPalette):
            asked = "a command, a view or a team; esc goes back"
            self.push_screen(CommandPalette(placeholder=asked))

    def do_help(self) -> None:
        self.navigation.open_help()

    def do_quit(self) -> None:
        if self.setup.stops_receiver and not self.asked_twice("quit"):
            self.notify_text(
                self.worded("{quit} again stops the receiver: some tools never send again"),
                "warning",
            )
            return
        self.exit(0)

    def do_suspend(self) -> None:
        self.output.suspend()

    def do_undo(self) -> None:
        from vs_tui.tui import links

        links.undo(self)

    def do_export(self) -> None:
        if (view := self.view) is not None:
            self.output.export(view)

    # With the selected span.

    def do_yank(self) -> None:
        view = self.view
        if view is not None and (texts := view.texts()):
            self.output.yank_in_turns(texts)
        elif view is not None and not view.selection() and not self.health:
            from vs_tui.tui import first_steps

            setup = self.setup
            line = " ".join(first_steps.trial(self.url, setup.open_mode, setup.program))
            self.output.yank_in_turns([("the curl line", line)])
        else:
            self._with_span(self.output.yank)

    def do_browser(self) -> None:
        self._with_span(self.output.browse)

    def do_deliveries(self) -> None:
        self._with_span(self.navigation.open_deliveries_of)

    def do_watch(self) -> None:
        self._with_span(self.watching.toggle)

    def do_compare(self) -> None:
        self._with_span(self.navigation.compare)

    def _with_span(self, use: Callable[[Span], None]) -> None:

        async def work() -> None:
            view = self.view
            key = view.selection() if view is not None else ""
            span = await self.reader.span(key) if key else None
            if span is None:
                self.notify_text(self.worded(view.no_span if view is not None else View.no_span))
            else:
                use(span)

        start(self, work, "span")
