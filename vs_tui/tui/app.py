"""The application: it holds what all screens share, takes keys, and does actions by their id.

It reads through `store.api.Reader` only, and knows nothing of HTTP or SQL. The receiver, when
there is one, is started by `after_paint` and told nothing of the screen.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Sequence
from datetime import tzinfo
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import events
from textual.binding import Binding
from textual.driver import Driver
from textual.timer import Timer

from vs_tui.model.display import clean
from vs_tui.model.time import SECOND, Duration, Instant
from vs_tui.model.vocabulary import Span
from vs_tui.store.reader_protocol import Baseline, SourceHealth, Trace
from vs_tui.traces.board import Totals
from vs_tui.traces.next_action import Section
from vs_tui.tui import actions as table
from vs_tui.tui import filtering, onboarding, span_format
from vs_tui.tui import theme as look
from vs_tui.tui.commands import Commands
from vs_tui.tui.dashboard_settings import Setup
from vs_tui.tui.diff_renderer import SparingApp
from vs_tui.tui.feed import Feed
from vs_tui.tui.global_actions import Deeds
from vs_tui.tui.navigation import Navigation, import_screens
from vs_tui.tui.output import Output
from vs_tui.tui.past_runs_cache import Histories
from vs_tui.tui.ranges import DEFAULT, Range, parse_range
from vs_tui.tui.saved_state import Remembered
from vs_tui.tui.screens.base import View
from vs_tui.tui.trace_snapshot import trace_at
from vs_tui.tui.watching import Watching
from vs_tui.tui.workers import start

if TYPE_CHECKING:
    from vs_tui.metrics.cards import Card
    from vs_tui.tui.source_status import Connection

__all__ = ["Setup", "VsTuiApp"]

BASELINE_AGE: Final = 60 * SECOND
"""How long the history of a series is taken for known."""
RECEIVER_AFTER: Final = 2.0
"""Seconds after which the receiver starts whether rows could be read or not."""
MAX_BASELINES: Final = 20_000
NOTICE_SECONDS: Final = 4.0
QUIET_TICK: Final = 10 * SECOND
"""How often what is shown moves on while nothing is in flight: then only minutes are shown."""


def _zone(name: str) -> tzinfo | None:
    if not name:
        return span_format.local_zone()
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


class VsTuiApp(SparingApp[int]):
    """The dashboard."""

    TITLE = "vs-tui"
    ENABLE_COMMAND_PALETTE = False
    _asked: tuple[tuple[str, str], float] = ("", ""), 0.0
    """What was asked for last, of what, and when."""
    COMMANDS: ClassVar[set[Any]] = {Commands}
    BINDINGS: ClassVar[list[Any]] = [Binding("ctrl+q", "quit", show=False)]
    # Not every terminal has the emoji and the thin lines of the palette.
    CSS = """
    CommandPalette SearchIcon { display: none; }
    CommandPalette #--input, CommandPalette #--input.--list-visible { border: none; }
    CommandPalette CommandList, CommandPalette CommandList:focus {
        border: none; scrollbar-size: 0 0;
    }
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        # The palette is there, but its key is the table's and not Textual's own.
        self.use_command_palette = True
        self.setup = setup
        self.reader = setup.reader
        self.actions = table.with_keys(setup.keys)
        self._by_key = table.by_key(self.actions)
        self.remembered = Remembered.load(setup.state_path)
        theme = setup.theme if setup.theme != "auto" else self.remembered.theme or "auto"
        self.look = look.choose(theme, ascii_only=setup.ascii, env=os.environ)
        self.zone = _zone(setup.zone)
        self.frozen_at: Instant | None = setup.at
        self.pending = 0
        """Changes since the screen was frozen."""
        self.team = self.remembered.team
        self.teams: Sequence[str] = ()
        self.by_trace = setup.by_trace
        self.totals: Totals | None = None
        """Counts of all traces that are open; None before they are known."""
        self.baselines: dict[str, Baseline] = {}
        self._learnt_at: dict[str, Instant] = {}
        self._ticked_at: Instant = 0
        self.health: Sequence[SourceHealth] = ()
        self.in_flight = 0
        self.failed = 0
        self.trouble = ""
        """What is wrong with the store."""
        self.notices: deque[str] = deque(maxlen=20)
        """What was said last."""
        self.notice = "", ""
        """What is said now, and how grave it is."""
        self.cut_last: tuple[str, str] | None = None
        """(child, parent) of the link that was cut last."""
        self._notice_timer: Timer | None = None
        self.unreadable = ""
        """Why the last reading failed."""
        self.not_listening = ""
        """Why the receiver did not start."""
        self.clock_trouble = ""
        self.url = setup.url
        self.blurred = False
        self.feed = Feed(self)
        self.histories = Histories(self)
        self.navigation = Navigation(self)
        self.watching = Watching(self)
        self.output = Output(self)
        self._deeds = Deeds(self)
        self.last_target = ""
        """Where a delivery was sent last."""
        self._connections: Sequence[Connection] | None = None
        self.ansi_color = self.look.palette.name in ("ansi", "mono")

    # Life.

    def get_driver_class(self) -> type[Driver]:
        found = super().get_driver_class()
        if found.__module__ != "textual.drivers.linux_driver":
            return found  # a web page's, or another system's
        from vs_tui.tui.driver import TerminalDriver

        return TerminalDriver

    def on_mount(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            # In a test or a thread there is no main loop to hang handlers on.
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self.exit)
        self.show_theme()
        self.navigation.open_first()
        self.set_interval(1.0, self._tick)
        start(self, self.feed.run, "pump")
        start(self, self._start_receiver, "receiver")
        start(self, self._prepare, "prepare")

    async def _start_receiver(self) -> None:
        if self.setup.after_paint is None:
            return
        listen, self.setup.after_paint = self.setup.after_paint, None
        # Importing the server takes as long as reading the first rows: people first.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RECEIVER_AFTER):
                await self._painted()
        try:
            self.url = await listen()
            self._connections = None  # listening makes the secrets that are missing
        except Exception as error:
            # A taken port must not end the dashboard; what is stored can still be looked at.
            self.not_listening = str(error)
        # An empty list names the address.
        self.reload_view()

    async def _prepare(self) -> None:
        """Import what a key can ask for next, once there is something to press it for."""
        await self._painted()
        await asyncio.to_thread(import_screens)

    async def _painted(self) -> None:
        """Returns when the first rows are on the terminal."""
        await self.feed.shown.wait()
        painted = asyncio.Event()
        self.call_after_refresh(painted.set)
        await painted.wait()

    def notify_changed(self, *_: object) -> None:
        """Something was committed; may be called from the loop at any rate."""
        self.feed.wake()

    def _tick(self) -> None:
        view = self.view
        if self.behind:
            return
        if self.frozen_at is None and not self.blurred and view is not None and view.complete:
            now = self.now()
            quiet = 0 <= now - self._ticked_at < QUIET_TICK
            if self.is_moving or not quiet:
                view.tick(now)
                view.paint_header()
            if not quiet:
                self._ticked_at = now
                view.paint_frame()

    def on_app_blur(self, _: events.AppBlur) -> None:
        self.blurred = True

    def on_app_focus(self, _: events.AppFocus) -> None:
        self.blurred = False
        self.feed.wake()

    # What screens ask.

    @property
    def view(self) -> View | None:
        """The screen on top; None while the palette is."""
        return self.screen if self.screen_stack and isinstance(self.screen, View) else None

    def now(self) -> Instant:
        """The clock, or the moment the screen is frozen at."""
        return self.frozen_at if self.frozen_at is not None else self.setup.clock()

    @property
    def is_moving(self) -> bool:
        """Whether something on the screen changes by the second."""
        if self.by_trace and self.totals is not None:
            return self.totals.of(Section.RUNNING) > 0
        return self.in_flight > 0

    @property
    def travelled(self) -> bool:
        """Whether the screen shows a moment before it was started; counts of then are unknown."""
        return self.frozen_at is not None and self.frozen_at == self.setup.at

    async def trace(self, trace_id: str) -> Trace | None:
        """A trace, as it stood when the screen was frozen."""
        found = await self.reader.trace(trace_id)
        return trace_at(found, self.frozen_at) if found is not None else None

    async def learn(self, spans: Sequence[Span]) -> None:
        """Know the history of these spans' series; asked again after a minute."""
        now = self.setup.clock()
        missing = [s for s in spans if now - self._learnt_at.get(s.key, 0) > BASELINE_AGE]
        if not missing:
            return
        found = await self.reader.baselines(missing)
        if len(self._learnt_at) > MAX_BASELINES:
            self._learnt_at.clear()
            self.baselines.clear()
        self._learnt_at.update(dict.fromkeys((span.key for span in missing), now))
        self.baselines.update(found)

    async def connections(self) -> Sequence[Connection]:
        """How each tool reaches us. The first time all adapters are imported, which takes longer
        than a key may, so it is done in a thread."""
        if self._connections is not None:
            return self._connections
        url, found = self.url, await asyncio.to_thread(self.setup.connections)
        if self.url == url:
            self._connections = found
        return found

    async def cards(self) -> Sequence[Card]:
        length, at = self.range_back
        return await self.setup.cards(self.team, length, at)

    @property
    def range(self) -> Range:
        """The time range of the view that is shown, or that was left for what is shown."""
        base = self.navigation.base
        return base.range if base is not None else Range(DEFAULT)

    @property
    def range_name(self) -> str:
        return self.range.text

    @property
    def range_back(self) -> tuple[Duration, Instant | None]:
        """The range as (length, 0 for all time; the moment it is back from, None: now)."""
        chosen = self.range
        since, until = chosen.window(self.now())
        at = self.frozen_at if chosen.until is None or until != chosen.until else until
        return (until - since if since is not None else 0), at

    def range_problem(self, text: str) -> str:
        """Why a text is no time range; `` when it is one."""
        try:
            parse_range(text, self.now(), self.zone)
        except ValueError as error:
            return str(error)
        return ""

    def choose_range(self, text: str | None) -> None:
        """Give the view another time range; `` keeps it."""
        base = self.navigation.base
        if text and base is not None:
            base.range = parse_range(text, self.now(), self.zone)
            self.remember()
            self.reload_view()

    def effective_filter(self, text: str) -> str:
        """A screen's filter with the team of all screens and its own time range."""
        return filtering.effective(text, self.team, self.range.terms)

    def empty_text(self, filtered: bool) -> tuple[str, ...]:
        """What an empty list says: how to get the first event, or that the filter hides all."""
        if filtered or self.team or (self.health and self.range_name != "all"):
            lines: tuple[str, ...] = onboarding.NOTHING_MATCHES
        elif self.not_listening:
            lines = onboarding.cannot_receive(self.not_listening)
        else:
            setup = self.setup
            lines = onboarding.first_steps(self.url, setup.open_mode, setup.program)
        return tuple(map(self.worded, lines))

    def clock_text(self, instant: Instant | None) -> str:
        """A moment in the user's zone."""
        return span_format.clock(instant, self.zone, self.now())

    def worded(self, text: str) -> str:
        """A text of ours, with the keys as they are bound now in the place of `{id}`."""
        return table.worded(text, self.actions)

    def notify_text(self, text: str, severity: str = "information") -> None:
        """Say something for a while, in a line of its own above the keys, instead of what was said
        before; the text is never read as markup."""
        if severity == "error":
            text = f"{self.look.glyphs.fail} {text}"
        self.notices.append(clean(text))
        if self._notice_timer is not None:
            self._notice_timer.stop()
        self._notice_timer = self.set_timer(NOTICE_SECONDS, self.clear_notice)
        self.notice = self.notices[-1], severity
        self._show_notice()

    def clear_notice(self) -> None:
        """Stop saying it."""
        self.notice = "", ""
        self._show_notice()

    def _show_notice(self) -> None:
        if (view := self.view) is not None and view.complete:
            view.paint_notice()

    def cut_link(self, child: str, parent: str) -> None:
        """Separate a span from its parent; survives a rebuild."""
        send = self.setup.send_links
        if send is None:
            self.notify_text("this dashboard is read-only; cut links where the receiver runs")
            return

        if not self.asked_twice("cut", child):
            self.notify_text(self.worded("{cut} again cuts this span off its parent"))
            return

        async def work() -> None:
            await send("cut", child, parent)
            self.cut_last = child, parent
            self.notify_text(
                self.worded(f"link cut; {{undo}} joins them again, or vs-tui link clear {child}")
            )

        start(self, work, "links")

    def undo_cut(self) -> None:
        """Let the rules decide again about the link that was cut last."""
        send, cut = self.setup.send_links, self.cut_last
        if send is None or cut is None:
            self.notify_text("nothing was cut here that could be joined again")
            return

        async def work() -> None:
            await send("clear", *cut)
            self.cut_last = None
            self.notify_text("the link is decided by the rules again")

        start(self, work, "links")

    def asked_twice(self, what: str, of: str = "") -> bool:
        """Whether the same was asked for a moment ago: what costs something is asked for twice."""
        asked, now = (what, of), monotonic()
        before, self._asked = self._asked, (asked, now)
        return before[0] == asked and now - before[1] < NOTICE_SECONDS

    def refold(self, delivery_id: int) -> None:
        """Read a delivery again with today's adapters."""
        refold = self.setup.refold
        if refold is None:
            self.notify_text("this dashboard is read-only; `vs-tui db rebuild` folds all again")
            return

        async def work() -> None:
            self.notify_text(await refold(delivery_id))

        start(self, work, "refold")

    # Keys and actions.

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and self._take_key(event):
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
        """Do an action by its id."""
        view = self.view
        if view is None:
            return
        deed = self._deeds.find(action_id)
        if deed is not None:
            deed()
        elif not view.act(action_id):
            action = table.BY_ID.get(action_id)
            self.notify_text(f"{action.label if action else action_id}: not here")

    def choose_team(self, team: str) -> None:
        """Show one team only in every view, `` for all."""
        self.team = team
        self.remember()
        self.reload_view()

    def reload_view(self) -> None:
        """Read the current screen again."""
        if (view := self.view) is not None:
            view.start_reload()

    def tell_trouble(self, text: str) -> None:
        """Show over every screen what failed, until reading works again."""
        self.unreadable = clean(text, 200)
        self.paint_frame()

    def paint_frame(self) -> None:
        if (view := self.view) is not None and view.complete:
            view.paint_frame()

    def show_theme(self) -> None:
        """What Textual's own widgets (toasts, palette, input) are drawn with."""
        self.ansi_color = self.look.palette.name in ("ansi", "mono")
        self.theme = "textual-dark" if self.look.palette.dark else "textual-light"

    def remember(self) -> None:
        """Keep filters, sorts, ranges, team and theme for the next start."""
        for name, view in self.navigation.views.items():
            self.remembered.filters[name] = view.filter_text
            if view.sort:
                self.remembered.sorts[name] = view.sort
            if view.ranged:
                self.remembered.ranges[name] = view.range.text
        self.remembered.team = self.team
        self.remembered.save(self.setup.state_path)
        self.paint_frame()

    def get_system_commands(self, screen: Any) -> Any:
        return ()
