"""One delivery: as lines (request, verdict, what to do, spans, headers, body), on a whole screen,
and sent again."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from textual.widget import Widget

from vs_tui.model.display import clean
from vs_tui.model.request_advice import NOT_KEPT, Proof, advice
from vs_tui.model.time import Instant, iso
from vs_tui.model.vocabulary import Span, Verdict
from vs_tui.store.queries.reader_protocol import DeliveryDetail, DeliveryRow
from vs_tui.tui import first_steps, span_format
from vs_tui.tui.paint import Piece, fit
from vs_tui.tui.screens.base import View
from vs_tui.tui.session import Session, start
from vs_tui.tui.theme import Glyphs, Look
from vs_tui.tui.widgets.document import (
    HIDDEN,
    DocLine,
    Document,
    body_lines,
    hide,
    is_secret_name,
    is_text,
    plain,
)
from vs_tui.tui.widgets.inputs import Ask

MAX_SPANS: Final = 20
"""Most spans of a delivery that are read for their names and states; others show only their
refs."""
_LISTED_SPANS: Final = 500
_UNFOLDED_LINES: Final = 12
VALUE_WIDTH: Final = 62
"""Characters of a value per line, so that a line fits 80 columns."""
_NOT_SENT_AGAIN: Final = ("content-length", "host", "user-agent", "accept-encoding")
"""Headers that curl writes itself."""
_IN_LOOP: Final = 64 * 1024
"""Bytes; the lines of a larger body are made in a thread, so that keys keep working."""

ROLES: Final[Mapping[Verdict, str]] = {
    Verdict.ACCEPTED: "ok",
    Verdict.IGNORED: "dim",
    Verdict.DUPLICATE: "dim",
    Verdict.QUARANTINED: "wait",
    Verdict.REJECTED: "fail",
}


def verdict_glyph(verdict: Verdict, glyphs: Glyphs) -> str:
    """The sign of a verdict, readable without colour."""
    return {
        Verdict.ACCEPTED: glyphs.ok,
        Verdict.IGNORED: glyphs.dot,
        Verdict.DUPLICATE: glyphs.even,
        Verdict.QUARANTINED: glyphs.wait,
        Verdict.REJECTED: glyphs.fail,
    }[verdict]


def size_text(size: int) -> str:
    """A size in bytes, short: `812`, `13k`, `2.4M`."""
    if size < 1024:
        return str(size)
    return f"{size // 1024}k" if size < 1024 * 1024 else f"{size / 1024 / 1024:.1f}M"


def what_to_do(row: DeliveryRow, proof: Proof) -> str:
    """The problem of a delivery and what to do about it; empty if there is none."""
    found = advice(row.verdict, row.status, row.reason, proof)
    if not found.what:
        return ""
    again = ""
    if row.verdict is Verdict.QUARANTINED:
        again = "; {refold} reads this one again"
    elif row.id > 0 and (row.status in (400, 404, 415) or row.status >= 500):
        again = "; {resend} sends this one again"
    return f"{found.what}: {found.do}{again}"


async def delivery_lines(app: Session, detail: DeliveryDetail) -> list[DocLine]:
    """All lines of a delivery."""
    spans: dict[str, Span] = {}
    for ref in detail.span_refs[:MAX_SPANS]:
        span = await app.reader.span(ref)
        if span is not None:
            spans[ref] = span
    proof = Proof()
    if detail.row.verdict is Verdict.REJECTED:
        known_sources = {c.name: c.how for c in await app.connections()}
        proof = known_sources.get(detail.row.source, proof)
    known = app.setup.known_secrets
    if len(detail.body) > _IN_LOOP:
        body = await asyncio.to_thread(body_lines, detail.body, known)
    else:
        body = body_lines(detail.body, known)
    return [
        *_summary(app, detail, proof),
        *_spans(app, detail.span_refs, spans),
        *_headers(detail, known),
        _heading("body", f"{detail.row.size} bytes, sha256 {detail.sha256[:16] or '-'}"),
        *body,
    ]


def _summary(app: Session, detail: DeliveryDetail, proof: Proof) -> list[DocLine]:
    row = detail.row
    received = (
        f"{span_format.clock(row.received_at, app.zone, app.now())}  ({iso(row.received_at)})"
    )
    verdict = f"{verdict_glyph(row.verdict, app.look.glyphs)} {row.verdict.value}"
    lines = [
        DocLine((*_name("verdict"), (verdict, ROLES[row.verdict]), (f"  {row.status}", "dim")))
    ]
    if row.reason:
        lines += field("reason", row.reason, "wait")
    if todo := what_to_do(row, proof):
        lines += field("what to do", app.worded(todo), "title")
    lines += [*field("received", received), *field("request", f"POST {detail.path}")]
    if row.duplicates:
        lines += field("repeats", f"{row.duplicates} more of the same")
    return lines


def _spans(app: Session, refs: Sequence[str], spans: Mapping[str, Span]) -> list[DocLine]:
    if not refs:
        return [_heading("spans", "it touched none")]
    listed = refs[:_LISTED_SPANS]
    glyphs, now = app.look.glyphs, app.now()
    lines = [
        DocLine(_span_pieces(ref, spans.get(ref), glyphs, now), 1, target=ref) for ref in listed
    ]
    if len(refs) > len(listed):
        lines.append(DocLine(((f"and {len(refs) - len(listed)} more", "dim"),), 1))
    note = app.worded(f"it touched {len(refs)}; {{open}} opens the trace")
    return [_heading("spans", note, lines), *lines]


def _span_pieces(ref: str, span: Span | None, glyphs: Glyphs, now: Instant) -> tuple[Piece, ...]:
    if span is None:
        return ((clean(ref), "run"),)
    glyph, word, role = span_format.state(span, glyphs, now)
    return (
        (fit(f"{glyph} {word}", 9), role),
        (fit(span_format.kind(span), 13), "dim"),
        (clean(span.name, 120), "text"),
        (f"  {clean(span.ref, 200)}", "dim"),
    )


def _headers(detail: DeliveryDetail, known: Sequence[str]) -> list[DocLine]:
    lines = [
        DocLine(
            (
                (fit(name, 24) + " ", "run"),
                (HIDDEN if is_secret_name(name) else clean(hide(value, known)), "text"),
            ),
            1,
        )
        for name, value in sorted(detail.headers.items())
    ]
    note = f"{len(lines)} kept; those with a proof or a secret never are"
    return [_heading("headers", note, lines), *lines]


def _heading(name: str, note: str, block: Sequence[DocLine] = ()) -> DocLine:
    pieces: tuple[Piece, ...] = ((f"{name:<8}", "title"), (f" {note}", "dim"))
    folds = len(block) > _UNFOLDED_LINES
    return DocLine(pieces, block=len(block), folded_pieces=pieces, folds=folds, path=f"/{name}")


def _name(name: str) -> tuple[Piece, ...]:
    return ((f"{name:<11}", "dim"),)


def field(name: str, value: str, role: str = "text") -> list[DocLine]:
    """`name value`, wrapped to fit 80 columns."""
    parts = textwrap.wrap(clean(value), VALUE_WIDTH) or ["-"]
    return [DocLine((*_name(name if not i else ""), (part, role))) for i, part in enumerate(parts)]


def delivery_texts(app: Session, detail: DeliveryDetail) -> list[tuple[str, str]]:
    """(name, text) of the texts that `y` copies in turns: the body, a curl command, the reason."""
    body = plain(detail.body, app.setup.known_secrets)
    found = [("the body", body)]
    if is_text(detail.body):
        found.append(("a curl line", _curl(app, detail, body)))
    if detail.row.reason:
        found.append(("the reason", clean(detail.row.reason)))
    return found


def _curl(app: Session, detail: DeliveryDetail, body: str) -> str:
    """A curl command that sends the delivery again."""
    headers = {
        clean(name): clean(value)
        for name, value in sorted(detail.headers.items())
        if name.lower() not in _NOT_SENT_AGAIN and not is_secret_name(name)
    }
    setup = app.setup
    path = clean(detail.path)
    return " ".join(
        first_steps.curl(
            app.url, path, body,
            open_mode=setup.open_mode, program=setup.program, headers=headers,
        )
    )  # fmt: skip


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
    """Send it over HTTP, to this dashboard's receiver if the target is empty."""
    resend = app.setup.resend
    if resend is None:
        app.notify_text("this dashboard is read-only; send it where the receiver runs")
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
            self.show_gone("this delivery")
            return
        # Of a stored delivery only the verdict and the number of repeats change.
        if detail != self.detail:
            self.detail = detail
            row = detail.row
            self.document.set_heading([(clean(f"{row.source} {row.kind}"), "title")], row.verdict)
            self.document.show(await delivery_lines(self.dash, detail), start=first)

    def act(self, action: str) -> bool:
        if self.detail is not None and act_on(self, self.detail, action):
            return True
        return self.document.act(action)

    def selection(self) -> str:
        return span_of(self.detail, self.document)

    def texts(self) -> Sequence[tuple[str, str]]:
        return delivery_texts(self.dash, self.detail) if self.detail is not None else ()

    def on_cursor_box_opened(self, message: Document.Opened) -> None:
        message.stop()
        self.dash.navigation.open_span(message.key)


def _refold(app: Session, delivery_id: int) -> None:
    """Fold a delivery again with the current adapters."""
    refold = app.setup.refold
    if refold is None:
        app.notify_text("this dashboard is read-only; `vs-tui db rebuild` folds all again")
        return

    async def work() -> None:
        app.notify_text(await refold(delivery_id))

    start(app, work, "refold")


def act_on(view: View, detail: DeliveryDetail, action: str) -> bool:
    """Fold a delivery again or send it again; returns False for other actions."""
    if action == "refold":
        _refold(view.dash, detail.row.id)
    elif action == "resend":
        _send(view.dash, detail, "")
    elif action == "resend_to":
        ask_and_send(view.dash, detail)
    else:
        return False
    return True
