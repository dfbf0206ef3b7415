"""Sends a stored delivery again: to this receiver, or to another address."""

from __future__ import annotations

from vs_tui.model.display import clean
from vs_tui.store.queries.reader_protocol import DeliveryDetail
from vs_tui.tui.session import Session
from vs_tui.tui.widgets.ask import Ask
from vs_tui.tui.workers import start

_NOT_HERE = "this dashboard is read-only; send it where the receiver runs"


def send_here(app: Session, detail: DeliveryDetail) -> None:
    """Send it to this dashboard's receiver, over HTTP."""
    _send(app, detail, "")


def ask_and_send(app: Session, detail: DeliveryDetail) -> None:
    """Ask for an address and send it there."""
    if app.setup.resend is None:
        app.notify_text(_NOT_HERE)
        return

    def answered(target: str | None) -> None:
        if target:
            app.last_target = target
            _send(app, detail, target)

    question = f"send delivery {abs(detail.row.id)} to (http://HOST:PORT, esc: not at all)"
    app.push_screen(Ask(app.look, question, app.last_target), answered)


def _send(app: Session, detail: DeliveryDetail, target: str) -> None:
    resend = app.setup.resend
    if resend is None:
        app.notify_text(_NOT_HERE)
        return

    async def work() -> None:
        answer = await resend(detail, target)
        app.notify_text(clean(answer, 300))

    start(app, work, "resend")
