"""Inspector of one delivery on a whole screen: verdict, reason, spans, headers and body. It sends a
delivery again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from textual.widget import Widget

from vs_tui.model.display import clean
from vs_tui.model.request_advice import NOT_KEPT
from vs_tui.store.queries.reader_protocol import DeliveryDetail
from vs_tui.tui import delivery_document
from vs_tui.tui.screens.base import View
from vs_tui.tui.session import Session, start
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.document import Document
from vs_tui.tui.widgets.inputs import Ask

_NOT_HERE = "this dashboard is read-only; send it where the receiver runs"


def send_here(app: Session, detail: DeliveryDetail) -> None:
    """Send it to this dashboard's receiver, over HTTP."""
    _send(app, detail, "")


def ask_and_send(app: Session, detail: DeliveryDetail) -> None:
    """Ask for an address and send it there."""
    if app.setup.resend is None or detail.row.id < 0:
        _send(app, detail, "")  # says why not
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
    if detail.row.id < 0:  # its body is empty here: another request than the sender's
        app.notify_text(NOT_KEPT)
        return

    async def work() -> None:
        answer = await resend(detail, target)
        app.notify_text(clean(answer, 300))

    start(app, work, "resend")


NO_SPAN: Final = "select one of the spans that this delivery touched, if there are any"


def span_of(detail: DeliveryDetail | None, document: Document) -> str:
    """Ref of the span under the document's cursor, else of the only span that the delivery
    touched; empty without one."""
    if document.has_focus and document.line is not None and document.line.target:
        return document.line.target
    return detail.span_refs[0] if detail is not None and len(detail.span_refs) == 1 else ""


class DeliveryView(View):
    """The inspector. It shows no secrets: headers with secrets are never stored, and such members
    of the body are hidden."""

    where = "inspector"
    no_span = NO_SPAN
    offered = (
        "open",
        "back",
        "refold",
        "resend",
        "resend_to",
        "freeze",
        "yank",
        "export",
        "palette",
    )

    def __init__(self, look: Look, delivery_id: int) -> None:
        super().__init__(look)
        self.delivery_id = delivery_id
        self.detail: DeliveryDetail | None = None
        self.title_text = f"delivery {abs(delivery_id)}"

    def body(self) -> Iterable[Widget]:
        self.document = Document(self.look, id="document")
        yield self.document

    def on_mount(self) -> None:
        self.document.focus()

    async def load(self) -> None:
        first = self.detail is None
        detail = await self.dash.reader.delivery(self.delivery_id)
        if detail is None:
            self.show_problem("this delivery is gone: it was pruned; press esc")
            return
        # Of a stored delivery only the verdict and the number of repeats change.
        if detail != self.detail:
            self.detail = detail
            row = detail.row
            self.document.set_heading([(clean(f"{row.source} {row.kind}"), "title")], row.verdict)
            self.document.show(await delivery_document.document(self.dash, detail), start=first)

    def act(self, action: str) -> bool:
        if self.detail is not None and act_on(self, self.detail, action):
            return True
        return self.document.act(action)

    def selection(self) -> str:
        return span_of(self.detail, self.document)

    def texts(self) -> Sequence[tuple[str, str]]:
        return delivery_document.texts(self.dash, self.detail) if self.detail is not None else ()

    def on_cursor_box_opened(self, message: Document.Opened) -> None:
        message.stop()
        self.dash.navigation.open_span(message.key)


def act_on(view: View, detail: DeliveryDetail, action: str) -> bool:
    """Fold a delivery again or send it again; returns False for other actions."""
    if action == "refold":
        view.dash.refold(detail.row.id)
    elif action == "resend":
        send_here(view.dash, detail)
    elif action == "resend_to":
        ask_and_send(view.dash, detail)
    else:
        return False
    return True
