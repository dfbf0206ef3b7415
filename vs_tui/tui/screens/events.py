"""Events: every delivery received, its verdict and why: the debugging and onboarding screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.widget import Widget

from vs_tui.domain.model import Verdict
from vs_tui.store.api import DeliveryRow
from vs_tui.tui.look import Glyphs
from vs_tui.tui.moment import deliveries_at
from vs_tui.tui.screens.base import View
from vs_tui.tui.widgets.listing import Column, Listing, Row

COLUMNS = (
    Column("RECEIVED", 12),
    Column("SOURCE", 10),
    Column("EVENT", 18, flex=1),
    Column("VERDICT", 13),
    Column("HTTP", 4, rank=2),
    Column("SIZE", 6, right=True, rank=1),
    Column("WHY", 14, flex=2),
)
_ROLES = {
    Verdict.ACCEPTED: "ok",
    Verdict.IGNORED: "dim",
    Verdict.DUPLICATE: "dim",
    Verdict.QUARANTINED: "wait",
    Verdict.REJECTED: "fail",
}


def verdict_glyph(verdict: Verdict, glyphs: Glyphs) -> str:
    """A sign for a verdict, so that colour is not needed."""
    return {
        Verdict.ACCEPTED: glyphs.ok,
        Verdict.IGNORED: glyphs.dot,
        Verdict.DUPLICATE: glyphs.even,
        Verdict.QUARANTINED: glyphs.wait,
        Verdict.REJECTED: glyphs.fail,
    }[verdict]


def size_text(size: int) -> str:
    """`812`, `13k`, `2.4M`."""
    if size < 1024:
        return str(size)
    return f"{size // 1024}k" if size < 1024 * 1024 else f"{size / 1024 / 1024:.1f}M"


class EventsView(View):
    """The list of deliveries."""

    where = "events"
    title_text = "Events"
    filterable = True

    def body(self) -> Iterable[Widget]:
        self.list = Listing(self.look, COLUMNS, id="list")
        self.deliveries: Sequence[DeliveryRow] = ()
        yield self.list

    def on_mount(self) -> None:
        self.list.focus()

    async def load(self) -> None:
        found = await self.dash.reader.deliveries(self.filter_text, limit=500)
        self.deliveries = deliveries_at(found, self.dash.frozen_at)
        if not self.deliveries:
            self.list.empty = self.dash.empty_text(bool(self.filter_text))
        self.list.set_rows([self._row(row) for row in self.deliveries])
        self.list.set_heading([("Events", "title")], "newest first")
        self.show_problem("")

    def _row(self, row: DeliveryRow) -> Row:
        glyph = verdict_glyph(row.verdict, self.look.glyphs)
        why = row.reason
        if row.duplicates:
            why = f"{row.duplicates}x more {why}".strip()
        return Row(
            str(row.id),
            (
                (self.zone_clock(row.received_at), "dim"),
                (row.source, "text"),
                (row.kind, "text"),
                (f"{glyph} {row.verdict.value}", _ROLES[row.verdict]),
                (str(row.status), "dim"),
                (size_text(row.size), "dim"),
                (why, "dim"),
            ),
            failed=row.verdict in (Verdict.REJECTED, Verdict.QUARANTINED),
            data=row,
        )

    def matched_text(self) -> str:
        return f"{len(self.deliveries)} newest"

    def act(self, action: str) -> bool:
        if action in ("next_failed", "previous_failed"):
            return self.list.next_failed(1 if action == "next_failed" else -1) or True
        return self.list.act(action)

    def on_listing_opened(self, message: Listing.Opened) -> None:
        message.stop()
        self.dash.open_delivery(int(message.key))

    def export_rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        return [c.title for c in COLUMNS], [[t for t, _ in row.cells] for row in self.list.rows]
