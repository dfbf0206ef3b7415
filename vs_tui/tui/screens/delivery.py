"""The inspector of one delivery: headers, body, verdict, and the spans it touched."""

from __future__ import annotations

from collections.abc import Iterable

import orjson
from textual.widget import Widget

from vs_tui.domain.display import clean, clean_block
from vs_tui.store.api import DeliveryDetail
from vs_tui.tui.look import Look
from vs_tui.tui.paint import Piece
from vs_tui.tui.screens.base import View
from vs_tui.tui.screens.events import size_text
from vs_tui.tui.widgets.text import TextBox, field

MAX_LINES = 5_000


class DeliveryView(View):
    """Like a request inspector's page; secrets are not in it because they are never stored."""

    where = "inspector"

    def __init__(self, look: Look, delivery_id: int) -> None:
        super().__init__(look)
        self.delivery_id = delivery_id
        self.detail: DeliveryDetail | None = None
        self.title_text = f"delivery {abs(delivery_id)}"

    def body(self) -> Iterable[Widget]:
        self.box = TextBox(self.look, id="box")
        yield self.box

    def on_mount(self) -> None:
        self.box.focus()

    async def load(self) -> None:
        if self.detail is None:
            self.detail = await self.dash.reader.delivery(self.delivery_id)
        if self.detail is None:
            self.show_problem("this delivery is gone: it was pruned; press esc")
            return
        row = self.detail.row
        self.box.set_heading([(clean(f"{row.source} {row.kind}"), "title")], row.verdict.value)
        self.box.set_lines(self._lines(self.detail))

    def _lines(self, detail: DeliveryDetail) -> list[list[Piece]]:
        row = detail.row
        lines = [
            field("received", self.zone_clock(row.received_at)),
            field("path", f"POST {detail.path}"),
            field("answered", f"{row.status} {row.verdict.value}"),
        ]
        if row.reason:
            lines.append(field("why", row.reason, role="wait"))
        if row.duplicates:
            lines.append(field("repeats", f"{row.duplicates} more of the same"))
        lines += [field("span", ref, role="run") for ref in detail.span_refs[:50]]
        lines.append(field("body", f"{size_text(row.size)}, sha256 {detail.sha256[:16]}"))
        lines += [field(name, value) for name, value in sorted(detail.headers.items())]
        lines.append([("", "text")])
        lines += [[(text, "text")] for text in pretty(detail.body)[:MAX_LINES]]
        return lines

    def act(self, action: str) -> bool:
        if action == "open" and self.detail and self.detail.span_refs:
            self.dash.open_span(self.detail.span_refs[0])
            return True
        if action == "refold":
            self.dash.refold(self.delivery_id)
            return True
        return self.box.act(action)


def pretty(body: bytes) -> list[str]:
    """A body for reading: indented JSON, else its text; cleaned in both cases."""
    try:
        text = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        text = body.decode("utf-8", "replace")
    return clean_block(text)
