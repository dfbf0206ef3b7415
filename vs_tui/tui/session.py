"""State that all screens share: the reader, the look, the moment on screen, the notices.

The application is a Session that also takes keys and starts the receiver. Views, widgets and
helpers import only Session, which avoids import cycles.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from textual.dom import DOMNode
from textual.timer import Timer

from vs_tui.model.display import clean
from vs_tui.model.time import SECOND, Duration, Instant
from vs_tui.model.vocabulary import Span, all_as_of
from vs_tui.store.queries.reader_protocol import Reader, SourceHealth, Trace
from vs_tui.traces.baseline import Baseline
from vs_tui.traces.board import Totals
from vs_tui.traces.next_action import Section
from vs_tui.traces.steps import PastRun, has_steps
from vs_tui.tui import actions as table
from vs_tui.tui import filtering, span_format
from vs_tui.tui import theme as look
from vs_tui.tui.dashboard_settings import Copier, Navigator, Remembered, Setup, Shown
from vs_tui.tui.diff_renderer import DiffingApp
from vs_tui.tui.filtering import DEFAULT, Range

if TYPE_CHECKING:
    from vs_tui.metrics.cards import Card
    from vs_tui.tui.source_status import Connection


_log = logging.getLogger(__name__)

HISTORY_AGE: Final = 60 * SECOND
"""How long the history of a span's series stays valid."""
MAX_RUNS: Final = 200
"""Spans whose past runs are kept, 40 KB for ten runs of twenty steps. Those read longest ago go
first."""
MAX_BASELINES: Final = 20_000
NOTICE_SECONDS: Final = 4.0


class Histories:
    """How spans of the same series went before, as of the moment on screen."""

    def __init__(
        self,
        reader: Reader,
        clock: Callable[[], Instant],
        frozen_at: Callable[[], Instant | None],
    ) -> None:
        self._reader, self._clock, self._frozen_at = reader, clock, frozen_at
        self.runs: dict[str, Sequence[PastRun]] = {}
        """Span key -> last successful runs of its series."""
        self.baselines: dict[str, Baseline] = {}
        """Span key -> durations of its series."""
        self._runs_at: dict[str, Instant] = {}
        """Span key -> when its past runs were read, longest ago first."""
        self._baselines_at: dict[str, Instant] = {}
        self._moment: Instant | None = None

    async def learn(self, spans: Sequence[Span]) -> None:
        """Read the past runs of those spans for which steps can be expected."""
        moment, now = self._now()
        missing = [
            s for s in spans if has_steps(s) and now - self._runs_at.get(s.key, 0) > HISTORY_AGE
        ]
        if missing:
            found = await self._reader.past_runs(missing, at=moment)
            self.runs.update(found)
            for span in missing:
                self._runs_at.pop(span.key, None)
                self._runs_at[span.key] = now
            for key in list(self._runs_at)[: -max(MAX_RUNS, len(missing))]:
                del self._runs_at[key]
                self.runs.pop(key, None)

    async def learn_baselines(self, spans: Sequence[Span]) -> None:
        """Read the baselines of these spans' series, at most once a minute for each span."""
        moment, now = self._now()
        missing = [s for s in spans if now - self._baselines_at.get(s.key, 0) > HISTORY_AGE]
        if not missing:
            return
        found = await self._reader.baselines(missing, at=moment)
        if max(len(self.baselines), len(self._baselines_at)) > MAX_BASELINES:
            self._baselines_at.clear()
            self.baselines.clear()
        for span in missing:
            self._baselines_at[span.key] = now
            self.baselines.pop(span.key, None)
        self.baselines.update(found)

    def _now(self) -> tuple[Instant | None, Instant]:
        """(moment at which the screen is frozen, time by the clock). At another moment all is read
        again; until then the baselines before are shown."""
        moment = self._frozen_at()
        if moment != self._moment:
            self._moment = moment
            self.runs.clear()
            self._runs_at.clear()
            self._baselines_at.clear()
        return moment, self._clock()


def trace_at(trace: Trace, at: Instant | None) -> Trace | None:
    """The trace as of `at`; None if all of it began later."""
    if at is None:
        return trace
    spans = all_as_of(trace.spans, at)
    if not spans:
        return None
    root = next((span for span in spans if span.key == trace.root.key), spans[0])
    return replace(trace, root=root, spans=spans, linked=all_as_of(trace.linked, at))


class Session(DiffingApp[int]):
    """The state and functions that views share."""

    _asked: tuple[tuple[str, str], float] = ("", ""), 0.0
    """((action, its object), time) of the last action that must be repeated to confirm it."""
    navigation: Navigator
    output: Copier
    config_trouble = ""
    """Why the changed configuration file was not applied."""
    after_restart = ""
    """Changes of the configuration file that take effect after a restart."""

    notice_of: Shown | None = None
    """The view on which the notice was given."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.setup = setup
        self.reader = setup.reader
        self.actions = table.with_keys(setup.keys)
        self.remembered = Remembered.load(setup.state_path)
        theme = setup.theme if setup.theme != "auto" else self.remembered.theme or "auto"
        self.look = look.choose(theme, ascii_only=setup.ascii, env=os.environ)
        self.zone = span_format.zone_named(setup.zone)
        self.frozen_at: Instant | None = setup.at
        self.pending = 0
        """Changes since the screen was frozen."""
        self.team = self.remembered.team
        self.teams: Sequence[str] = ()
        self.by_trace = setup.by_trace
        self.totals: Totals | None = None
        """Counts of all open traces; None until they are read."""
        self.health: Sequence[SourceHealth] = ()
        self.in_flight = 0
        self.failed = 0
        self.trouble = ""
        """Problem of the store."""
        self.notices: deque[str] = deque(maxlen=20)
        """The last notices."""
        self.notice = "", ""
        """(text, severity) of the notice shown now."""
        self.cut_last: tuple[str, str] | None = None
        """(child, parent) of the link that was cut last."""
        self._notice_timer: Timer | None = None
        self.unreadable = ""
        """Why the last read failed."""
        self.not_listening = ""
        """Why the receiver did not start."""
        self.clock_trouble = self.waits_for_clock = ""
        """The clock that is wrong, and the work that the receiver suspends because its own clock is
        wrong."""
        self.export_trouble = ""
        """Why the OTLP export fails."""
        self.lag: Duration = 0
        self.unfolded = 0
        """Number of deliveries that are stored but not folded yet."""
        self.url = setup.url
        self.blurred = False
        self.histories = Histories(self.reader, setup.clock, lambda: self.frozen_at)
        self.last_target = ""
        """Address to which a delivery was last sent."""
        self._connections: Sequence[Connection] | None = None
        self.ansi_color = self.look.palette.name in ("ansi", "mono")
        self.begun = False
        """Whether the first screen has been read."""

    @property
    def view(self) -> Shown | None:
        """The screen on top; None while the palette is open."""
        raise NotImplementedError

    @property
    def shown(self) -> Shown | None:
        """The topmost screen of ours; the palette or a question may cover part of it."""
        raise NotImplementedError

    def do(self, action_id: str) -> None:
        """Run an action by its id."""
        raise NotImplementedError

    def now(self) -> Instant:
        """The current time, or the time at which the screen is frozen."""
        return self.frozen_at if self.frozen_at is not None else self.setup.clock()

    @property
    def is_moving(self) -> bool:
        """Whether the screen changes every second."""
        if self.by_trace and self.totals is not None:
            return self.totals.of(Section.RUNNING) > 0
        return self.in_flight > 0

    @property
    def travelled(self) -> bool:
        """Whether the screen was started at a past moment; the counts of that moment are
        unknown."""
        return self.frozen_at is not None and self.frozen_at == self.setup.at

    async def trace(self, trace_id: str, *, learn: bool = False) -> Trace | None:
        """A trace, as of the moment at which the screen is frozen. `learn` also reads the baselines
        and past runs of its spans."""
        found = await self.reader.trace(trace_id)
        trace = trace_at(found, self.frozen_at) if found is not None else None
        if trace is not None and learn:
            await self.histories.learn_baselines(trace.spans)
            await self.histories.learn(trace.spans)
        return trace

    @property
    def baselines(self) -> Mapping[str, Baseline]:
        """Span key -> durations of its series, where they were read."""
        return self.histories.baselines

    async def connections(self) -> Sequence[Connection]:
        """How each tool reaches the receiver. The first call imports all adapters; this is slow, so
        it runs in a thread."""
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
        """The time range of the current screen."""
        view = self.navigation.ranged
        return view.range if view is not None else Range(DEFAULT)

    @property
    def range_name(self) -> str:
        return self.range.text

    @property
    def range_back(self) -> tuple[Duration, Instant | None]:
        """(length, or 0 for all time; end, or None for now) of the range."""
        return self._back(self.range)

    def _back(self, chosen: Range) -> tuple[Duration, Instant | None]:
        since, until = chosen.window(self.now())
        at = self.frozen_at if chosen.until is None or until != chosen.until else until
        return (until - since if since is not None else 0), at

    def effective_filter(self, text: str) -> str:
        """A screen's filter with the terms of the team and of the time range added."""
        return filtering.effective(text, self.team, self.range.terms)

    def empty_text(self, filtered: bool) -> tuple[str, ...]:
        """Text of an empty list: how to get the first event, or that nothing matches the filter."""
        from vs_tui.tui import first_steps

        if filtered or self.team or (self.health and self.range_name != "all"):
            lines: tuple[str, ...] = first_steps.NOTHING_MATCHES
        elif self.not_listening:
            lines = first_steps.cannot_receive(self.not_listening)
        else:
            setup = self.setup
            lines = first_steps.first_steps(self.url, setup.open_mode, setup.program)
        return tuple(map(self.worded, lines))

    def clock_text(self, instant: Instant | None) -> str:
        """A time in the user's time zone."""
        return span_format.clock(instant, self.zone, self.now())

    def worded(self, text: str) -> str:
        """A text of ours in which each `{id}` is replaced by the key now bound to that action."""
        return table.worded(text, self.actions)

    def notify_text(self, text: str, severity: str = "information") -> None:
        """Show a notice for a few seconds in a line above the keys; it replaces the notice before.
        The text is never read as markup."""
        if severity == "error":
            text = f"{self.look.glyphs.fail} {text}"
        self.notices.append(clean(text))
        if self._notice_timer is not None:
            self._notice_timer.stop()
        self._notice_timer = self.set_timer(NOTICE_SECONDS, self.clear_notice)
        self.notice, self.notice_of = (self.notices[-1], severity), self.shown
        self._show_notice()

    def clear_notice(self) -> None:
        """Remove the notice."""
        self.notice = "", ""
        self._show_notice()

    def _show_notice(self) -> None:
        if (view := self.shown) is not None and view.complete:
            view.paint_notice()

    def asked_twice(self, what: str, of: str = "") -> bool:
        """Whether the same action was requested a moment ago. Actions with a cost need a second
        request."""
        asked, now = (what, of), monotonic()
        before, self._asked = self._asked, (asked, now)
        return before[0] == asked and now - before[1] < NOTICE_SECONDS

    def choose_team(self, team: str) -> None:
        """Show only one team in every view; empty shows all."""
        self.team = team
        self.remember()
        self.reload_view()

    def reload_view(self) -> None:
        """Read the current screen again."""
        if (view := self.shown) is not None:
            view.start_reload()

    def tell_trouble(self, text: str) -> None:
        """Show an error over every screen until a read succeeds."""
        self.unreadable = clean(text, 200)
        self.paint_frame()

    def paint_frame(self) -> None:
        if (view := self.shown) is not None and view.complete:
            view.paint_frame()

    def show_theme(self) -> None:
        """Apply the theme to Textual's own widgets (palette, inputs)."""
        self.ansi_color = self.look.palette.name in ("ansi", "mono")
        self.theme = "textual-dark" if self.look.palette.dark else "textual-light"

    def remember(self) -> None:
        """Save filters, sort orders, ranges, team, theme and the current view for the next
        start."""
        for name, view in self.navigation.views.items():
            self.remembered.filters[name] = view.filter_text
            if view.sort:
                self.remembered.sorts[name] = view.sort
            if view.ranged:
                self.remembered.ranges[name] = view.range.text
        self.remembered.team, self.remembered.view = self.team, self.navigation.current
        self.remembered.save(self.setup.state_path)
        self.paint_frame()


def start(
    node: DOMNode, work: Callable[[], Awaitable[None]], group: str, *, exclusive: bool = False
) -> None:
    """Run `work` until it ends or the node is removed; `exclusive` cancels earlier work of the
    group.

    An error is logged and shown on the screen, and the dashboard goes on, because a disk or
    receiver may come back. `work` is a function, not a coroutine, so that a worker that never
    starts because the app ends leaves no coroutine unawaited.
    """

    async def guarded() -> None:
        try:
            await work()
        except Exception as error:
            _log.exception("%s failed", group)
            cast(Session, node.app).tell_trouble(str(error) or type(error).__name__)

    run: Any = node.run_worker  # its type accepts no function that makes a coroutine
    run(guarded, group=group, exclusive=exclusive)
