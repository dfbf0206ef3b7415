"""The application: change feed, freeze, navigation, and what the actions do.

It reads through `store.api.Reader` only, and knows nothing of HTTP or SQL. The receiver, when
there is one, is started by `after_paint` and told nothing of the screen.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from textual import events
from textual.app import App
from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from vs_tui.domain import filters
from vs_tui.domain.cards import Card
from vs_tui.domain.display import clean
from vs_tui.domain.instants import Instant
from vs_tui.domain.model import Span, Verdict
from vs_tui.store.api import Baseline, Reader, SourceHealth, Trace
from vs_tui.tui import actions as table
from vs_tui.tui import faces, look
from vs_tui.tui.moment import trace_at
from vs_tui.tui.output import Output
from vs_tui.tui.paint import Piece
from vs_tui.tui.screens.base import View
from vs_tui.tui.screens.delivery import DeliveryView
from vs_tui.tui.screens.dora import DoraView
from vs_tui.tui.screens.events import EventsView
from vs_tui.tui.screens.help import HelpView
from vs_tui.tui.screens.live import RANGES, LiveView
from vs_tui.tui.screens.trace import TraceView
from vs_tui.tui.screens.traces import TracesView
from vs_tui.tui.state import Remembered

POLL_SECONDS: Final = 0.15
BLURRED_POLL_SECONDS: Final = 5.0
BASELINE_SECONDS: Final = 60
_VIEWS: Final = {"live": LiveView, "traces": TracesView, "dora": DoraView, "events": EventsView}

CardsReader = Callable[[str, int], Awaitable[Sequence[Card]]]
"""(team or ``, window in microseconds, 0 for 30 days) -> cards."""


async def no_cards(_team: str, _window: int) -> Sequence[Card]:
    """When there is nothing to compute metrics with."""
    return ()


@dataclass
class Setup:
    """Everything the dashboard is given."""

    reader: Reader
    clock: Callable[[], Instant]
    cards: CardsReader = no_cards
    after_paint: Callable[[], Awaitable[str]] | None = None
    """Starts the receiver once the first screen is up; returns its URL."""
    send_links: Callable[[str, str, str], Awaitable[None]] | None = None
    """(action, child key, parent key): a person's decision about a link."""
    refold: Callable[[int], Awaitable[str]] | None = None
    url: str = ""
    open_mode: bool = False
    theme: str = "auto"
    ascii: bool = False
    zone: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    views: Mapping[str, str] = field(default_factory=dict)
    watch_command: str = ""
    state_path: str = ""
    at: Instant | None = None
    """Show this past moment, frozen."""
    source_name: str = ""
    """What is looked at, for `view`."""


class VsTuiApp(App[int]):
    """The dashboard."""

    TITLE = "vs-tui"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[Any]] = [Binding("ctrl+q", "quit", show=False)]
    CSS = """
    Toast { padding: 0 1; }
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.setup = setup
        self.reader = setup.reader
        self.actions = table.with_keys(setup.keys)
        self._by_key = table.by_key(self.actions)
        self.remembered = Remembered.load(setup.state_path)
        theme = setup.theme if setup.theme != "auto" else self.remembered.theme or "auto"
        self.look = look.choose(theme, ascii_only=setup.ascii, env=os.environ)
        self.zone: tzinfo | None = ZoneInfo(setup.zone) if setup.zone else faces.local_zone()
        self.frozen_at: Instant | None = setup.at
        self.pending = 0
        self.baselines: dict[str, Baseline] = {}
        self._learnt_at: dict[str, Instant] = {}
        self.range_index = self.remembered.range_index
        self.team = self.remembered.team
        self.health: Sequence[SourceHealth] = ()
        self.trouble = ""
        self.url = setup.url
        self.watched: dict[str, str] = {}
        self.in_flight = 0
        self.failed = 0
        self._seq = 0
        self._views: dict[str, View] = {}
        self._current = "live"
        self._previous = "traces"
        self._marked_trace = ""
        self._dirty = asyncio.Event()
        self._blurred = False
        self.output = Output(self)
        self.ansi_color = self.look.palette.name in ("ansi", "mono")

    # Life.

    def on_mount(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            # In a test or a thread there is no main loop to hang handlers on.
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self.exit)
        self._show_theme()
        self._open_views()
        self.set_interval(1.0, self._tick)
        self.run_worker(self._pump(), group="pump", exit_on_error=False)
        self.call_after_refresh(self._start_receiver)

    def _open_views(self) -> None:
        self._views = {name: kind(self.look) for name, kind in _VIEWS.items()}
        for name, view in self._views.items():
            view.filter_text = self.remembered.filters.get(name, "")
            # An installed screen keeps its widgets, and so its place, when another one is shown.
            self.install_screen(view, name)
        self.push_screen(self._views[self._current])

    async def _start_receiver(self) -> None:
        if self.setup.after_paint is None:
            return
        start, self.setup.after_paint = self.setup.after_paint, None
        try:
            self.url = await start()
        except Exception as error:
            # A taken port must not end the dashboard; what is stored can still be looked at.
            self.trouble = str(error)
        self._paint_frame()

    def notify_changed(self, *_: object) -> None:
        """Something was committed; may be called from the loop at any rate."""
        self._dirty.set()

    async def _pump(self) -> None:
        """Follow the change feed; at most a repaint every 150 ms however fast events come."""
        while True:
            wait = BLURRED_POLL_SECONDS if self._blurred else POLL_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._follow()
            except Exception as error:
                self.trouble = f"cannot read: {clean(str(error), 200)}"
                self._paint_frame()
            await asyncio.sleep(POLL_SECONDS)

    async def _follow(self) -> None:
        changes = await self.reader.changes(self._seq)
        if changes.seq == self._seq:
            return
        first, self._seq = self._seq == 0, changes.seq
        if self.frozen_at is not None:
            if first:
                await self._read_status()
            else:
                self.pending += max(len(changes.keys), 1)
            self.trouble = (await self.reader.health()).trouble
            self._paint_frame()
            return
        await self._read_status()
        await self._check_watched(changes.keys)
        view = self.view
        if view is not None:
            await view.reload()

    async def _read_status(self) -> None:
        self.health = await self.reader.sources()
        counts = await self.reader.counts()
        self.in_flight, self.failed = counts.in_flight, counts.failed
        self.trouble = (await self.reader.health()).trouble

    def _tick(self) -> None:
        if self.frozen_at is None and not self._blurred and (view := self.view) is not None:
            view.tick(self.now())

    def on_app_blur(self, _: events.AppBlur) -> None:
        self._blurred = True

    def on_app_focus(self, _: events.AppFocus) -> None:
        self._blurred = False
        self._dirty.set()

    # What screens ask.

    @property
    def view(self) -> View | None:
        return self.screen if self.screen_stack and isinstance(self.screen, View) else None

    def now(self) -> Instant:
        """The clock, or the moment the screen is frozen at."""
        return self.frozen_at if self.frozen_at is not None else self.setup.clock()

    async def trace(self, trace_id: str) -> Trace | None:
        """A trace, as it stood when the screen was frozen."""
        found = await self.reader.trace(trace_id)
        return trace_at(found, self.frozen_at) if found is not None else None

    async def learn(self, spans: Sequence[Span]) -> None:
        """Know the history of these spans' series; asked again after a minute."""
        now = self.setup.clock()
        missing = [
            span
            for span in spans
            if now - self._learnt_at.get(span.key, 0) > BASELINE_SECONDS * 1_000_000
        ]
        if not missing:
            return
        found = await self.reader.baselines(missing)
        if len(self._learnt_at) > 20_000:
            self._learnt_at.clear()
            self.baselines.clear()
        self._learnt_at.update(dict.fromkeys((span.key for span in missing), now))
        self.baselines.update(found)

    async def cards(self) -> Sequence[Card]:
        return await self.setup.cards(self.team, RANGES[self.range_index][1])

    @property
    def range_name(self) -> str:
        return RANGES[self.range_index][0]

    def effective_filter(self, text: str) -> str:
        """A screen's filter with the team and the time range chosen for all screens."""
        terms = [text]
        if self.team:
            terms.append(f'team:"{self.team}"')
        window = RANGES[self.range_index][0]
        if RANGES[self.range_index][1]:
            terms.append(f"fresh<{window}")
        return " ".join(term for term in terms if term)

    def filter_problem(self, text: str, where: str) -> str:
        """What is wrong with a filter, `` when nothing."""
        if where == "events":
            from vs_tui.store.delivery_filter import delivery_where

            try:
                delivery_where(text)
            except ValueError as error:
                return str(error)
            return ""
        try:
            filters.parse(text)
        except filters.FilterError as error:
            return str(error)
        return ""

    def empty_text(self, filtered: bool) -> tuple[str, ...]:
        """What an empty list says: how to get the first event, or that the filter hides all."""
        if filtered or self.team or (self.health and self.range_index != len(RANGES) - 1):
            return (
                "nothing matches",
                "",
                "/ changes the filter, t the time range, m the team; esc clears the filter",
            )
        url = self.url or "http://127.0.0.1:5000"
        token = (
            ""
            if self.setup.open_mode
            else "-H 'Authorization: Bearer '$(vs-tui secret show token) "
        )
        return (
            "",
            "nothing was received yet. Point a webhook at",
            "",
            f"    {url}/github   /gitlab   /jenkins   /jira   /customhttp",
            "",
            "secrets: `vs-tui secret show github`; from outside: `ngrok http PORT`. Or try it now:",
            "",
            f"    curl {token}{url}/customhttp \\",
            '      -d \'{"type":"build","id":"1","action":"start"}\'',
            "",
            "`vs-tui demo` shows it with sample data.",
        )

    def header(self, view: View) -> tuple[list[Piece], list[Piece]]:
        """The first line."""
        signs = self.look.glyphs
        wide = view.size.width >= 100
        if self.frozen_at is not None:
            at = faces.clock(self.frozen_at, self.zone, self.setup.clock())
            left: list[Piece] = [(" vs-tui ", "title"), (f"{signs.frozen} FROZEN at {at}", "wait")]
            if self.pending:
                left.append((f"  +{self.pending} new, p to resume", "wait"))
        else:
            left = [(" vs-tui ", "title"), (f"{signs.live} LIVE", "ok")]
            left.append((f"  {self._hooks(wide)}", "fail" if self.trouble else "dim"))
        left.append((f"  team {self.team or 'all'}  {self.range_name}", "dim"))
        right: list[Piece] = [
            (f"{self.in_flight} in flight" if wide else f"{self.in_flight} run", "run")
        ]
        if self.failed:
            right.append((f" {signs.dot} {self.failed} {signs.fail}", "fail"))
        right.append((" ", "text"))
        return left, right

    def _hooks(self, wide: bool) -> str:
        if self.trouble:
            return "hooks: trouble"
        last = max((h.last_received_at or 0 for h in self.health), default=0)
        seen = faces.clock(last, self.zone, self.setup.clock()) if last else "none yet"
        rejected = sum(h.counts.get(Verdict.REJECTED, 0) for h in self.health)
        place = self.url.removeprefix("http://") or self.setup.source_name
        if wide:
            dot = self.look.glyphs.dot
            return f"hooks {place} ok {dot} last {seen} {dot} {rejected} rejected"
        return f"last {seen}"

    def banner(self) -> str:
        """What needs attention, most urgent first."""
        if self.trouble:
            return self.trouble
        if self.setup.open_mode:
            return "open: everyone who reaches the port can send (--no-auth)"
        quarantined = sum(h.counts.get(Verdict.QUARANTINED, 0) for h in self.health)
        if quarantined and self._current != "events":
            return f"{quarantined} deliveries could not be read: 4 shows why (verdict:quarantined)"
        return ""

    def crumbs(self) -> list[str]:
        """Titles of the screens below this one."""
        return [screen.title_text for screen in self.screen_stack if isinstance(screen, View)]

    def notify_text(self, text: str, severity: str = "information") -> None:
        """A toast; the text is never read as markup."""
        self.notify(clean(text), severity=severity, timeout=4, markup=False)  # type: ignore[arg-type]

    # Keys and actions.

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and self._take_key(event):
            return
        await super().on_event(event)

    def _take_key(self, event: events.Key) -> bool:
        view = self.view
        if view is None or not self.screen_stack or self.screen is not view:
            return False
        if view.has_class("-filtering"):
            if event.key == "escape":
                view.set_filter("")
                view.end_filter()
                return True
            return False
        action = table.meant(self._by_key.get(event.key, ()), view.where)
        if action is None and event.character:
            action = table.meant(self._by_key.get(event.character, ()), view.where)
        if action is None:
            return False
        self.do(action.id)
        return True

    def action_do(self, action_id: str) -> None:
        self.do(action_id)

    def do(self, action_id: str) -> None:
        """Do an action by its id."""
        view = self.view
        if view is None:
            return
        own = getattr(self, f"_do_{action_id}", None)
        if own is not None:
            own()
        elif not view.act(action_id):
            action = table.BY_ID.get(action_id)
            self.notify_text(f"{action.label if action else action_id}: not here")

    def reload_view(self) -> None:
        """Read the current screen again."""
        if (view := self.view) is not None:
            view.run_worker(view.reload(), exclusive=True, group="load")

    def _paint_frame(self) -> None:
        if (view := self.view) is not None and view.is_mounted:
            view.paint_frame()

    def _show_view(self, name: str) -> None:
        while len(self.screen_stack) > 2:
            self.pop_screen()
        if name != self._current:
            self._previous, self._current = self._current, name
            self.switch_screen(self._views[name])
        self.remember()

    def _do_live(self) -> None:
        self._show_view("live")

    def _do_traces(self) -> None:
        self._show_view("traces")

    def _do_dora(self) -> None:
        self._show_view("dora")

    def _do_events(self) -> None:
        self._show_view("events")

    def _do_last_view(self) -> None:
        self._show_view(self._previous)

    def _do_back(self) -> None:
        view = self.view
        if view is not None and view.zoomed is not None:
            self._do_zoom()
        elif len(self.screen_stack) > 2:
            self.pop_screen()
        elif view is not None and view.filter_text:
            view.set_filter("")
        elif self._current != "live":
            self._show_view("live")

    def _do_filter(self) -> None:
        if (view := self.view) is not None:
            view.start_filter()

    def _do_freeze(self) -> None:
        if self.frozen_at is None:
            self.frozen_at, self.pending = self.setup.clock(), 0
        else:
            self.frozen_at, self.pending = None, 0
        self.reload_view()

    def _do_time(self) -> None:
        self.range_index = (self.range_index + 1) % len(RANGES)
        self.remember()
        self.reload_view()

    def _do_team(self) -> None:
        self.run_worker(self._next_team(), group="team")

    async def _next_team(self) -> None:
        teams = ["", *await self.reader.teams()]
        position = teams.index(self.team) if self.team in teams else 0
        self.team = teams[(position + 1) % len(teams)]
        self.remember()
        self.reload_view()

    def _do_next_panel(self) -> None:
        if (view := self.view) is not None:
            panels = [panel for panel in view.panels() if panel.can_focus and panel.region.height]
            if panels:
                focused = view.focused
                index = panels.index(focused) if focused in panels else -1
                panels[(index + 1) % len(panels)].focus()

    def _do_zoom(self) -> None:
        view = self.view
        if view is None:
            return
        if view.zoomed is not None:
            view.minimize()
            view.zoomed = None
        elif view.focused is not None:
            view.zoomed = view.focused
            view.maximize(view.focused)

    def _do_theme(self) -> None:
        names = list(look.PALETTES)
        name = names[(names.index(self.look.palette.name) + 1) % len(names)]
        self.look = look.Look(look.PALETTES[name], self.look.glyphs)
        self.remembered.theme = name
        self._show_theme()
        for screen in {*self._views.values(), *self.screen_stack}:
            if isinstance(screen, View):
                screen.dress(self.look)
        self.remember()
        self.notify_text(f"theme: {name}")

    def _show_theme(self) -> None:
        """What Textual's own widgets (toasts, palette, input) are drawn with."""
        self.ansi_color = self.look.palette.name in ("ansi", "mono")
        self.theme = "textual-dark" if self.look.palette.dark else "textual-light"

    def _do_palette(self) -> None:
        self.action_command_palette()

    def _do_help(self) -> None:
        if not isinstance(self.screen, HelpView):
            self.push_screen(HelpView(self.look))

    def _do_quit(self) -> None:
        self.exit(0)

    def _do_yank(self) -> None:
        self.run_worker(self._with_span(self.output.yank), group="yank")

    def _do_browser(self) -> None:
        self.run_worker(self._with_span(self.output.browse), group="browse")

    def _do_export(self) -> None:
        if (view := self.view) is not None:
            self.output.export(view)

    def _do_watch(self) -> None:
        self.run_worker(self._with_span(self._watch), group="watch")

    def _do_compare(self) -> None:
        self.run_worker(self._with_span(self._compare), group="compare")

    async def _with_span(self, use: Callable[[Span], None]) -> None:
        view = self.view
        key = view.selection() if view is not None else ""
        span = await self.reader.span(key) if key else None
        if span is None:
            self.notify_text("select a span first")
        else:
            use(span)

    def _watch(self, span: Span) -> None:
        if span.key in self.watched:
            del self.watched[span.key]
            self.notify_text(f"not watching {span.name} any more")
        elif not span.in_flight:
            self.notify_text(f"{span.name} has ended already")
        else:
            self.watched[span.key] = span.name
            self.notify_text(f"watching {span.name}: toast and bell when it ends")

    async def _check_watched(self, keys: Sequence[str]) -> None:
        for key in [key for key in self.watched if key in keys]:
            span = await self.reader.span(key)
            if span is not None and not span.in_flight:
                name = self.watched.pop(key)
                severity = "error" if span.status.failed else "information"
                self.notify_text(f"{name}: {span.status.value}", severity)
                self.bell()
                self.output.run_watch_command(span, self.setup.watch_command)

    def _compare(self, span: Span) -> None:
        from vs_tui.tui.screens.compare import CompareView

        if not self._marked_trace or self._marked_trace == span.trace_id:
            self._marked_trace = span.trace_id
            self.notify_text("marked; go to another trace and press c again")
            return
        marked, self._marked_trace = self._marked_trace, ""
        self.push_screen(CompareView(self.look, marked, span.trace_id))

    # Drill-down.

    def open_span(self, key: str) -> None:
        """The trace of a span, with the span selected."""
        self.run_worker(self._open_span(key), exclusive=True, group="open")

    def open_ref(self, ref: str) -> None:
        self.open_span(ref)

    async def _open_span(self, ref: str) -> None:
        span = await self.reader.span(ref)
        if span is None:
            self.notify_text("this span is gone: it was pruned")
        else:
            self.push_screen(TraceView(self.look, span.trace_id, span.key))

    def open_trace(self, trace_id: str) -> None:
        self.push_screen(TraceView(self.look, trace_id))

    def open_delivery(self, delivery_id: int) -> None:
        self.push_screen(DeliveryView(self.look, delivery_id))

    def open_deployments(self, team: str, metric: str) -> None:
        """The deployments behind a number, in the Live view."""
        view = self._views["live"]
        terms = ["kind:deploy is:production"]
        if team:
            terms.append(f'team:"{team}"')
        if metric in ("fail", "restore"):
            terms.append("state:failed")
        self._show_view("live")
        view.set_filter(" ".join(terms))

    def cut_link(self, child: str, parent: str) -> None:
        """Separate a span from its parent; survives a rebuild."""
        if self.setup.send_links is None:
            self.notify_text("this dashboard is read-only; cut links where the receiver runs")
            return
        self.run_worker(self.setup.send_links("cut", child, parent), group="links")
        self.notify_text("link cut; it can be pinned again over the API")

    def refold(self, delivery_id: int) -> None:
        """Read a delivery again with today's adapters."""
        if self.setup.refold is None:
            self.notify_text("this dashboard is read-only; `vs-tui db rebuild` folds all again")
            return

        async def work() -> None:
            assert self.setup.refold is not None
            self.notify_text(await self.setup.refold(delivery_id))

        self.run_worker(work(), group="refold")

    def remember(self) -> None:
        """Keep filters, range, team and theme for the next start."""
        self.remembered.filters = {n: v.filter_text for n, v in self._views.items()}
        self.remembered.range_index = self.range_index
        self.remembered.team = self.team
        self.remembered.save(self.setup.state_path)
        self._paint_frame()

    def get_system_commands(self, screen: Any) -> Any:
        return ()

    COMMANDS: ClassVar[set[Any]] = set()


class Commands(Provider):
    """Every action of the table and every named view, by name."""

    async def discover(self) -> Hits:
        for name, help_text, run in self._all():
            yield DiscoveryHit(Content(name), run, name, help_text)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, help_text, run in self._all():
            score = matcher.match(name)
            if score > 0:
                yield Hit(score, Content(name), run, name, help_text)

    def _all(self) -> list[tuple[str, str, Callable[[], None]]]:
        app = self.app
        assert isinstance(app, VsTuiApp)
        found: list[tuple[str, str, Callable[[], None]]] = [
            (f"{a.label} ({a.key})", a.help, lambda a=a: app.do(a.id))  # type: ignore[misc]
            for a in app.actions
            if a.id != "palette"
        ]
        for name, text in app.setup.views.items():
            found.append((f"view {name}", text, lambda text=text: _named(app, text)))  # type: ignore[misc]
        return found


def _named(app: VsTuiApp, text: str) -> None:
    app.do("live")
    if (view := app.view) is not None:
        view.set_filter(text)


VsTuiApp.COMMANDS = {Commands}
