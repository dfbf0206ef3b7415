"""Actions that do the same on every screen, the palette, and watched spans. Each method of
`GlobalActions` has the name of its action id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from vs_tui.model.display import clean
from vs_tui.model.vocabulary import Span
from vs_tui.tui import theme as look
from vs_tui.tui.actions import VIEWS
from vs_tui.tui.navigation import Navigation
from vs_tui.tui.output import Output
from vs_tui.tui.screens.base import View
from vs_tui.tui.session import Session, start


class Watching:
    """Watches spans until the dashboard ends, also while the screen is frozen."""

    def __init__(self, app: Session) -> None:
        self._app = app
        self.names: dict[str, str] = {}
        """Key -> name of each watched span."""

    def toggle(self, span: Span) -> None:
        """Watch a span, or stop watching it."""
        if span.key in self.names:
            del self.names[span.key]
            self._app.notify_text(f"not watching {span.name} any more")
        elif not span.in_flight:
            self._app.notify_text(f"{span.name} has ended already")
        else:
            self.names[span.key] = span.name
            self._app.notify_text(f"watching {span.name}: toast and bell when it ends")

    async def check(self, changed: Sequence[str]) -> None:
        """Announce the watched spans among the changed ones that have ended."""
        for key in [key for key in self.names if key in changed]:
            span = await self._app.reader.span(key)
            if span is not None and not span.in_flight:
                name = self.names.pop(key)
                severity = "error" if span.status.failed else "information"
                self._app.notify_text(f"{name}: {span.status.value}", severity)
                self._app.bell()
                self._app.output.run_watch_command(span, self._app.setup.watch_command)


class GlobalActions:
    """The global actions of one app."""

    def __init__(
        self, app: Session, navigation: Navigation, output: Output, watching: Watching
    ) -> None:
        self._app = app
        self._navigation, self._output, self._watching = navigation, output, watching

    @property
    def _view(self) -> View | None:
        """The screen on top; None while the palette is open."""
        view = self._app.view
        return view if isinstance(view, View) else None

    def find(self, action_id: str) -> Callable[[], None] | None:
        """The function of an action; None if the screen itself handles the action."""
        if action_id in VIEWS:
            return lambda: self._navigation.show(action_id)
        found: Callable[[], None] | None = getattr(self, action_id, None)
        return found

    def by_trace(self) -> None:
        """Switch Live between its list by trace and its list by span."""
        app = self._app
        if self._navigation.current not in ("live", "spans"):
            app.notify_text("by trace or by span: in Live")
            return
        app.by_trace = self._navigation.current == "spans"
        self._navigation.show(self._navigation.home)

    def last_view(self) -> None:
        self._navigation.show(self._navigation.previous)

    def back(self) -> None:
        self._navigation.back()

    def filter(self) -> None:
        if (view := self._view) is not None:
            view.start_filter()

    def freeze(self) -> None:
        app = self._app
        app.frozen_at = app.setup.clock() if app.frozen_at is None else None
        app.pending = 0
        app.reload_view()

    def time(self) -> None:
        app = self._app
        base = self._navigation.base
        if base is None or not base.ranged:
            app.notify_text("this view has no time range")
            return
        from vs_tui.tui.widgets.inputs import RangePicker

        picker = RangePicker(app.look, app.range.text, app.range_problem)
        app.push_screen(picker, app.choose_range)

    def team(self) -> None:
        app = self._app
        teams = ["", *app.teams]
        position = teams.index(app.team) if app.team in teams else 0
        app.choose_team(teams[(position + 1) % len(teams)])

    def next_panel(self) -> None:
        if (view := self._view) is not None:
            view.focus_next_panel()

    def zoom(self) -> None:
        if (view := self._view) is not None:
            view.toggle_zoom()

    def theme(self) -> None:
        app = self._app
        names = list(look.PALETTES)
        name = names[(names.index(app.look.palette.name) + 1) % len(names)]
        app.look = look.Look(look.PALETTES[name], app.look.glyphs)
        app.remembered.theme = name
        app.show_theme()
        for screen in {*self._navigation.views.values(), *app.screen_stack}:
            if isinstance(screen, View):
                screen.dress(app.look)
        app.remember()
        app.notify_text(f"theme: {name}")

    def redraw(self) -> None:
        self._app.redraw()

    def palette(self) -> None:
        if not isinstance(self._app.screen, CommandPalette):
            asked = "a command, a view or a team; esc goes back"
            self._app.push_screen(CommandPalette(placeholder=asked))

    def help(self) -> None:
        self._navigation.open_help()

    def quit(self) -> None:
        app = self._app
        if app.setup.stops_receiver and not app.asked_twice("quit"):
            app.notify_text(
                app.worded("{quit} again stops the receiver: some tools never send again"),
                "warning",
            )
            return
        app.exit(0)

    def undo(self) -> None:
        self._app.undo_cut()

    def export(self) -> None:
        if (view := self._view) is not None:
            self._output.export(view)

    # With the selected span.

    def yank(self) -> None:
        view = self._view
        if view is not None and (texts := view.texts()):
            self._output.yank_in_turns(texts)
        elif view is not None and not view.selection() and not self._app.health:
            from vs_tui.tui import first_minute

            setup = self._app.setup
            line = " ".join(first_minute.trial(self._app.url, setup.open_mode, setup.program))
            self._output.yank_in_turns([("the curl line", line)])
        else:
            self._with_span(self._output.yank)

    def browser(self) -> None:
        self._with_span(self._output.browse)

    def deliveries(self) -> None:
        self._with_span(self._navigation.open_deliveries_of)

    def watch(self) -> None:
        self._with_span(self._watching.toggle)

    def compare(self) -> None:
        self._with_span(self._navigation.compare)

    def _with_span(self, use: Callable[[Span], None]) -> None:
        app = self._app

        async def work() -> None:
            view = self._view
            key = view.selection() if view is not None else ""
            span = await app.reader.span(key) if key else None
            if span is None:
                app.notify_text(app.worded(view.no_span if view is not None else View.no_span))
            else:
                use(span)

        start(app, work, "span")


Command = tuple[str, str, Callable[[], None]]
"""(name, help text, function to call)."""


class Commands(Provider):
    """The palette's commands. Names are `Content`, so a team's or a view's name is never read as
    markup."""

    async def discover(self) -> Hits:
        for name, help_text, run in self._all():
            yield DiscoveryHit(Content(name), run, name, help_text.replace("[", r"\["))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, help_text, run in self._all():
            score = matcher.match(name) or (query.lower() in help_text.lower()) / 10
            if score > 0:
                yield Hit(score, Content(name), run, name, help_text.replace("[", r"\["))

    def _all(self) -> list[Command]:
        """All commands: views and teams first, then actions."""
        app = cast(Session, self.app)
        actions = sorted(app.actions, key=lambda action: action.id not in VIEWS)
        found: list[Command] = [
            (
                f"{action.label} ({action.key})" if action.keys else action.label,
                action.help,
                partial(app.do, action.id),
            )
            for action in actions
            if action.id != "palette"
        ]
        places: list[Command] = [
            (f"view {clean(name, 80)}", clean(text), partial(app.navigation.named_view, text))
            for name, text in app.setup.views.items()
        ]
        places += [
            (f"team {clean(team, 80) or 'all'}", "only this team", partial(app.choose_team, team))
            for team in ("", *app.teams)
        ]
        found[len(VIEWS) : len(VIEWS)] = places
        return found
