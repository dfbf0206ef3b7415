"""Asks for the time range of a view."""

from __future__ import annotations

from vs_tui.tui.filtering import parse_range
from vs_tui.tui.session import Session
from vs_tui.tui.widgets.inputs import RangePicker


def ask(app: Session) -> None:
    """Open the list of time ranges for the view at the bottom of the stack."""
    base = app.navigation.base
    if base is None or not base.ranged:
        app.notify_text("this view has no time range")
        return

    def problem(text: str) -> str:
        try:
            parse_range(text, app.now(), app.zone)
        except ValueError as error:
            return str(error)
        return ""

    def chosen(text: str | None) -> None:
        view = app.navigation.ranged
        if text and view is not None:
            view.range = parse_range(text, app.now(), app.zone)
            app.remember()
            app.reload_view()

    app.push_screen(RangePicker(app.look, app.range.text, problem), chosen)
