"""Watched spans: a notice, a bell and the user's command when one ends."""

from __future__ import annotations

from collections.abc import Sequence

from vs_tui.model.vocabulary import Span
from vs_tui.tui.session import Session


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
