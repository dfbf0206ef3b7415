"""Events, the screen for debugging and onboarding: every received delivery with its verdict and
reason.

On a high screen the delivery under the cursor is shown below the list.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from textual.widget import Widget

from vs_tui.model import request_advice
from vs_tui.model.display import clean
from vs_tui.model.request_advice import Proof
from vs_tui.model.time import MINUTE, iso
from vs_tui.model.vocabulary import Verdict
from vs_tui.store.queries.reader_protocol import DeliveryDetail, DeliveryPage, DeliveryRow
from vs_tui.tui.screens.delivery import (
    NO_SPAN,
    ROLES,
    act_on,
    delivery_lines,
    delivery_texts,
    size_text,
    span_of,
    verdict_glyph,
)
from vs_tui.tui.screens.listed import ListedView
from vs_tui.tui.session import start
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.document import DocLine, Document
from vs_tui.tui.widgets.listing import Column, Row

COLUMNS = (
    Column("RECEIVED", 12, rank=1),
    Column("SOURCE", 12, rank=2),
    Column("EVENT", 16, flex=2),
    Column("VERDICT", 13),
    Column("HTTP", 4, rank=5),
    Column("SIZE", 5, right=True, rank=4),
    Column("WHY", 13, flex=3, rank=3),
)
_WORST_FIRST = (
    Verdict.REJECTED,
    Verdict.QUARANTINED,
    Verdict.ACCEPTED,
    Verdict.IGNORED,
    Verdict.DUPLICATE,
)


class EventsView(ListedView):
    """The list of deliveries and the selected delivery."""

    where = "events"
    ranged = True
    title_text = "Events"
    heading = "Events"
    filterable = True
    columns = COLUMNS
    orders = MappingProxyType(
        {
            "trouble": lambda row, _: _WORST_FIRST.index(row.verdict),
            "source": lambda row, _: row.source,
            "size": lambda row, _: -row.size,
        }
    )
    sorts = ("newest", *orders)
    no_span = NO_SPAN
    nothing_failed = "nothing in this list was rejected or quarantined"
    DEFAULT_CSS = """
    EventsView #list { height: 2fr; }
    EventsView #detail { height: 3fr; display: none; }
    EventsView.-tall #detail { display: block; }
    """

    def body(self) -> Iterable[Widget]:
        self.document = Document(self.look, id="detail")
        self.deliveries: Sequence[DeliveryRow] = ()
        self.page = DeliveryPage(())
        self._proofs: Mapping[str, Proof] = {}
        """Source -> how its requests prove where they come from."""
        self.detail: DeliveryDetail | None = None
        self._shown: DeliveryDetail | None = None
        """The delivery in the box below the list."""
        yield self.list
        yield self.document

    def question(self) -> str:
        """The filter for the reader, with the time range."""
        dash = self.dash
        terms = [self.filter_text]
        since, until = dash.range.window(dash.now())
        if since is not None:
            # Rounded to minutes: a search goes on only while its filter stays the same.
            terms.append(f"since:{iso(since - since % MINUTE)}")
        if dash.frozen_at is not None or dash.range.until is not None:
            terms.append(f"until:{iso(until)}")
        return " ".join(term for term in terms if term)

    async def load(self) -> None:
        dash = self.dash
        wanted = self.wanted
        self.page = await dash.reader.deliveries(self.question(), limit=wanted)
        self.searched = self.page.searched
        self.searching = self.searched
        self.deliveries = self.ordered(self.page.items)
        read = len(self.deliveries)
        self.made_of = read if read < self.page.matched else 0
        self.show_rows([self._row(row) for row in self.deliveries], wanted)
        self.list.set_total(self.page.matched)
        self.list.set_heading([(clean(self.heading, 60), "title")], self.order_note("newest first"))
        await self._load_detail()
        if not self._proofs and any(row.status == 401 for row in self.deliveries):
            # After the rows, because the first call imports all adapters.
            self._proofs = {c.name: c.how for c in await dash.connections()}
            self.list.set_rows([self._row(row) for row in self.deliveries])

    async def _load_detail(self) -> None:
        row = self.list.selected
        if row is None:
            self.detail = self._shown = None
            self.document.show([DocLine((("no delivery is selected", "dim"),))], start=True)
            self.document.set_heading(())
            return
        detail = await self.dash.reader.delivery(int(row.key))
        if detail is None or detail == self._shown:
            return
        other = self._shown is None or self._shown.row.id != detail.row.id
        self.detail = detail
        name = clean(f"{detail.row.source} {detail.row.kind}", 120)
        self.document.set_heading([(name, "title")], self.dash.worded("{open}: whole screen"))
        if self.document.display:
            self.document.show(await delivery_lines(self.dash, detail), start=other)
            self._shown = detail

    def on_resize(self) -> None:
        if self.document.display and self.list.selected is not None:
            start(self, self._load_detail, "detail", exclusive=True)

    def _row(self, row: DeliveryRow) -> Row:
        glyph = verdict_glyph(row.verdict, self.look.glyphs)
        proof, why = self._proofs.get(row.source), row.reason
        if proof is not None or row.status != 401:
            why = request_advice.why(row.verdict, row.status, why, proof or Proof())
        if row.duplicates:
            why = f"{row.duplicates}x more {why}".strip()
        role = ROLES[row.verdict]
        return Row(
            str(row.id),
            (
                (self.dash.clock_text(row.received_at), "dim"),
                (row.source, "text"),
                (row.kind, "text"),
                (f"{glyph} {row.verdict.value}", role),
                (str(row.status), "dim"),
                (size_text(row.size), "dim"),
                (why, role if row.verdict is Verdict.REJECTED else "dim"),
            ),
            failed=row.verdict in (Verdict.REJECTED, Verdict.QUARANTINED),
            data=row,
        )

    def matched_text(self) -> str:
        if self.list.is_unread:
            return "-"
        count = f"{self.page.matched}{'+' if self.page.more else ''}"
        return f"{count} {'delivery' if count == '1' else 'deliveries'}"

    def act(self, action: str) -> bool:
        if self.detail is not None and act_on(self, self.detail, action):
            return True
        moves = self.document.has_focus and action not in ("next_failed", "previous_failed")
        if moves or action in ("fold_body", "unfold_body"):
            return self.document.act(action)
        return super().act(action)

    def selection(self) -> str:
        return span_of(self.detail, self.document)

    def texts(self) -> Sequence[tuple[str, str]]:
        return delivery_texts(self.dash, self.detail) if self.detail is not None else ()

    def row_selected(self) -> None:
        start(self, self._load_detail, "detail", exclusive=True)

    def open_row(self, key: str) -> None:
        self.dash.navigation.open_delivery(int(key))


class SpanDeliveriesView(EventsView):
    """The deliveries that one span was made from, of any time, and the body of the selected one.
    Opened above the screen with the span."""

    ranged = False
    filterable = False
    is_opened = True
    DEFAULT_CSS = """
    SpanDeliveriesView #list { height: 1fr; }
    SpanDeliveriesView #detail { height: 2fr; display: block; }
    """

    def __init__(self, look: Look, span_key: str, name: str) -> None:
        super().__init__(look)
        self._span_key = span_key
        self.heading = f"Deliveries of {name}"
        self.title_text = "deliveries"

    def question(self) -> str:
        return f"span:{shlex.quote(self._span_key)}"
