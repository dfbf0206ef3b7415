"""What all screens share: the reader, the look, the moment that is shown, what is said.

The application is a Session that also takes keys and starts the receiver. Views, widgets and
helpers know the Session only, so no import leads back to them.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from datetime import tzinfo
from time import monotonic
from typing import TYPE_CHECKING, Final

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
from vs_tui.tui.dashboard_settings import Setup
from vs_tui.tui.diff_renderer import SparingApp
from vs_tui.tui.interfaces import Copier, Navigator, Shown
from vs_tui.tui.past_runs_cache import Histories
from vs_tui.tui.ranges import DEFAULT, Range, parse_range
from vs_tui.tui.saved_state import Remembered
from vs_tui.tui.source_status import Connection
from vs_tui.tui.trace_summary import trace_at
from vs_tui.tui.workers import start

if TYPE_CHECKING:
    from vs_tui.metrics.cards import Card

BASELINE_AGE: Final = 60 * SECOND
"""How long the history of a series is taken for known."""
MAX_BASELINES: Final = 20_000
NOTICE_SECONDS: Final = 4.0


def _zone(name: str) -> tzinfo | None:
    if not name:
        return span_format.local_zone()
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


class Session(SparingApp[int]):
    """The state that views share, and what they may ask."""

    _asked: tuple[tuple[str, str], float] = ("", ""), 0.0
    """What was asked for last, of what, and when."""
    navigation: Navigator
    output: Copier
    config_trouble = ""
    """Why the changed configuration file is not in force."""
    after_restart = ""
    """What of the configuration file takes effect after a restart."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.setup = setup
        self.reader = setup.reader
        self.actions = table.with_keys(setup.keys)
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
        self.clock_trouble = self.waits_for_clock = ""
        """Which clock is wrong, and what the receiver does not do because its own is."""
        self.export_trouble = ""
        """Why nothing leaves by OTLP."""
        self.lag: Duration = 0
        self.unfolded = 0
        """How far the folding is behind what is stored."""
        self.url = setup.url
        self.blurred = False
        self.histories = Histories(self.reader, setup.clock, lambda: self.frozen_at)
        self.last_target = ""
        """Where a delivery was sent last."""
        self._connections: Sequence[Connection] | None = None
        self.ansi_color = self.look.palette.name in ("ansi", "mono")
        self.begun = False
        """Whether the first screen was read."""

    @property
    def view(self) -> Shown | None:
        """The screen on top; None while the palette is."""
        raise NotImplementedError

    def do(self, action_id: str) -> None:
        """Do an action by its id."""
        raise NotImplementedError

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

    async def cards(self, bucket: str = "") -> Sequence[Card]:
        length, at = self._back(self.navigation.metrics_range)
        return await self.setup.cards(self.team, length, at, bucket)

    @property
    def metrics_range_name(self) -> str:
        return self.navigation.metrics_range.text

    @property
    def range(self) -> Range:
        """The time range of what is shown."""
        view = self.navigation.ranged
        return view.range if view is not None else Range(DEFAULT)

    @property
    def range_name(self) -> str:
        return self.range.text

    @property
    def range_back(self) -> tuple[Duration, Instant | None]:
        """The range as (length, 0 for all time; the moment it is back from, None: now)."""
        return self._back(self.range)

    def _back(self, chosen: Range) -> tuple[Duration, Instant | None]:
        since, until = chosen.window(self.now())
        at = self.frozen_at if chosen.until is None or until != chosen.until else until
        return (until - since if since is not None else 0), at

    def range_problem(self, text: str) -> str:
        """Why a text is no time range; empty when it is one."""
        try:
            parse_range(text, self.now(), self.zone)
        except ValueError as error:
            return str(error)
        return ""

    def choose_range(self, text: str | None) -> None:
        """Give the view another time range; empty keeps it."""
        view = self.navigation.ranged
        if text and view is not None:
            view.range = parse_range(text, self.now(), self.zone)
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

    def choose_team(self, team: str) -> None:
        """Show one team only in every view, empty for all."""
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
        self.remembered.team, self.remembered.view = self.team, self.navigation.current
        self.remembered.save(self.setup.state_path)
        self.paint_frame()
