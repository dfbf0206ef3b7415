"""Navigation: the views, the stack of screens above them, the moves between them."""

from __future__ import annotations

import gc
from functools import cache
from importlib import import_module
from typing import Final, cast

from vs_tui.model.time import parse_duration
from vs_tui.model.vocabulary import Span
from vs_tui.tui import span_format
from vs_tui.tui.actions import VIEWS
from vs_tui.tui.filtering import METRICS_DEFAULT, Range, parse_range
from vs_tui.tui.screens.base import View
from vs_tui.tui.screens.listed import ListedView
from vs_tui.tui.session import Session, start

_SPANS: Final = "SpansView"
"""Class of Live by span. It has no action of its own; the action of Live shows it when chosen."""


def view_class(name: str) -> type[View]:
    """The class of a view, imported on demand, so that starting imports only the first view."""
    return cast(
        "type[View]", getattr(import_module(f"vs_tui.tui.screens.{name}"), VIEWS.get(name, _SPANS))
    )


@cache
def import_screens() -> None:
    """Import all screens that can be opened from the first view, so that the first key press is
    fast. What exists then lives as long as the process: the garbage collector leaves it alone from
    now on (a full collection stopped receiver and dashboard for 58 ms)."""
    for name in (*VIEWS, "spans"):
        view_class(name)
    for name in ("delivery", "help", "trace"):
        import_module(f"vs_tui.tui.screens.{name}")
    for name in ("commands", "links", "output", "ranges"):
        import_module(f"vs_tui.tui.{name}")
    gc.freeze()


class Navigation:
    """A view at the bottom and the screens opened above it; `back` goes back towards Live."""

    def __init__(self, app: Session) -> None:
        self._app = app
        self.views: dict[str, View] = {}
        """Views shown so far, by action id."""
        self.current = self.home
        last = app.remembered.view
        if app.setup.reopen and last in (*VIEWS, "spans"):
            app.by_trace = app.by_trace and last != "spans"
            self.current = last if last != "live" else self.home
        self.previous = "traces"
        self._left: tuple[str, str, str] | None = None
        """(view, filter of Events before, filter now) while Events shows what another view
        opened."""
        self.marked_trace = ""
        """The first of two traces to compare."""

    @property
    def base(self) -> View | None:
        """The view at the bottom of the stack."""
        return self.views.get(self.current)

    @property
    def ranged(self) -> View | None:
        """The view whose time range applies to the current screen. Screens of metrics share the
        range of DORA."""
        views = (s for s in reversed(self._app.screen_stack) if isinstance(s, View))
        shown = next(views, None)
        return self.view("dora") if shown is not None and shown.measures else self.base

    @property
    def metrics_range(self) -> Range:
        """The time range of delivery metrics, also before DORA was opened."""
        if "dora" in self.views:
            return self.views["dora"].range
        text = self._app.remembered.ranges.get("dora", "")
        return self._range(text, Range(METRICS_DEFAULT, parse_duration(METRICS_DEFAULT)))

    @property
    def home(self) -> str:
        """Name of Live, by trace or by span."""
        return "live" if self._app.by_trace else "spans"

    def view(self, name: str) -> View:
        """A view with the filter, sort order and range that it had last, in this run or the one
        before."""
        if name in self.views:
            return self.views[name]
        app = self._app
        view = self.views[name] = view_class(name)(app.look)
        view.filter_text = app.remembered.filters.get(name, "")
        view.range = self._range(app.remembered.ranges.get(name, ""), view.range)
        if isinstance(view, ListedView):
            view.use_sort(app.remembered.sorts.get(name, ""))
        # An installed screen keeps its widgets and scroll position while another one is shown.
        app.install_screen(view, name)
        return view

    def _range(self, text: str, usual: Range) -> Range:
        """A remembered time range; `usual` if there is none or it is no longer valid."""
        try:
            return parse_range(text, self._app.setup.clock(), self._app.zone) if text else usual
        except ValueError:
            return usual

    def show(self, name: str) -> None:
        """Show a view, and close the screens opened above the view before."""
        app = self._app
        name = self.home if name == "live" else name
        self._left = None
        while len(app.screen_stack) > 2:
            app.pop_screen()
        if name != self.current:
            self.previous, self.current = self.current, name
            app.switch_screen(self.view(name))
        app.remember()

    def back(self) -> None:
        """Go back one step: leave the zoom, close the opened screen, return from the events of a
        source, clear the filter, then show Live."""
        app = self._app
        view = app.view if isinstance(app.view, View) else None
        if view is not None and view.maximized is not None:
            view.toggle_zoom()
        elif view is not None and view.retreat():
            return
        elif len(app.screen_stack) > 2:
            app.pop_screen()
        elif self._left is not None and view is not None and view.filter_text == self._left[2]:
            name, before, _ = self._left
            view.set_filter(before)
            self.show(name)
        elif view is not None and view.filter_text:
            view.set_filter("")
        elif self.current != self.home:
            self.show(self.home)

    def crumbs(self) -> list[str]:
        """Titles of the screens in the stack, from the view at the bottom to the top."""
        return [screen.title_text for screen in self._app.screen_stack if isinstance(screen, View)]

    @property
    def kept_filter(self) -> str:
        """The filter of the view at the bottom of the stack."""
        view = self.views.get(self.current)
        return view.filter_text if view is not None else ""

    def named_view(self, filter_text: str) -> None:
        """Show Live with a filter of the configuration's [views]."""
        self._filtered(self.home, filter_text)

    def find(self, filter_text: str) -> None:
        """Show the traces of all time that match a filter."""
        self.view("traces").range = Range("all")
        self._filtered("traces", filter_text)

    def _filtered(self, name: str, filter_text: str) -> None:
        # Not `set_filter`: the view may have no widgets yet.
        self.view(name).filter_text = filter_text
        self.show(name)
        self._app.reload_view()

    # Drill-down.

    def open_span(self, ref: str) -> None:
        """Open the trace of a span, with the span selected."""

        async def work() -> None:
            span = await self._app.reader.span(ref)
            if span is None:
                self._app.notify_text("this span is gone: it was pruned")
            else:
                self.open_trace(span.trace_id, span.key)

        start(self._app, work, "open", exclusive=True)

    def open_trace(self, trace_id: str, span_key: str = "") -> None:
        from vs_tui.tui.screens.trace import TraceView

        self._app.push_screen(TraceView(self._app.look, trace_id, span_key))

    def open_delivery(self, delivery_id: int) -> None:
        from vs_tui.tui.screens.delivery import DeliveryView

        self._app.push_screen(DeliveryView(self._app.look, delivery_id))

    def open_deliveries(self, filter_text: str) -> None:
        """Show the Events view with a filter, until `back` returns to the current view."""
        view = self.view("events")
        left = self.current, view.filter_text, filter_text
        if view.is_mounted:
            self.show("events")
            view.set_filter(filter_text)
        else:
            view.filter_text = filter_text
            self.show("events")
        self._left = left

    def open_deliveries_of(self, span: Span) -> None:
        """Show the deliveries that a span was made from; for a phase, those of its parent."""
        from vs_tui.tui.screens.events import SpanDeliveriesView

        key = span.parent_key if span_format.is_phase(span) else span.key
        self._app.push_screen(SpanDeliveriesView(self._app.look, key, span_format.title(span)))

    def open_help(self) -> None:
        from vs_tui.tui.screens.help import HelpView

        if not isinstance(self._app.screen, HelpView):
            self._app.push_screen(HelpView(self._app.look))

    def compare(self, span: Span) -> None:
        """Mark the span's trace, or compare it with the trace that is marked already."""
        if not self.marked_trace or self.marked_trace == span.trace_id:
            self.marked_trace = span.trace_id
            self._app.notify_text(
                self._app.worded("marked as A; {compare} on another trace compares the two")
            )
            return
        from vs_tui.tui.screens.traces import CompareView

        marked, self.marked_trace = self.marked_trace, ""
        self._app.push_screen(CompareView(self._app.look, marked, span.trace_id))
