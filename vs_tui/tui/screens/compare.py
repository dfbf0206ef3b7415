"""Two traces side by side: stage by stage, what got slower."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.widget import Widget

from vs_tui.domain.compare import Pair, compare
from vs_tui.domain.display import clean
from vs_tui.domain.instants import format_duration
from vs_tui.tui.look import Look
from vs_tui.tui.screens.base import View
from vs_tui.tui.widgets.listing import Column, Listing, Row


class CompareView(View):
    """A is the marked trace, B the other one."""

    where = "compare"
    title_text = "compare"

    def __init__(self, look: Look, first: str, second: str) -> None:
        super().__init__(look)
        self._ids = (first, second)

    def body(self) -> Iterable[Widget]:
        columns = (
            Column("KIND", 9),
            Column("SPAN", 20, flex=1),
            Column("A", 8, right=True),
            Column("B", 8, right=True),
            Column("B - A", 9, right=True),
            Column("", 12),
        )
        self.list = Listing(self.look, columns, id="list")
        yield self.list

    def on_mount(self) -> None:
        self.list.focus()

    async def load(self) -> None:
        traces = [await self.dash.trace(trace_id) for trace_id in self._ids]
        first, second = traces
        if first is None or second is None:
            self.show_problem("one of the traces is gone: it was pruned; press esc")
            return
        pairs = compare(first.spans, second.spans, self.dash.now())
        self.list.set_rows([self._row(number, pair) for number, pair in enumerate(pairs)])
        names = f"A {clean(first.root.name, 40)}  B {clean(second.root.name, 40)}"
        self.list.set_heading([(names, "title")], "largest change marked")

    def _row(self, number: int, pair: Pair) -> Row:
        glyphs = self.look.glyphs
        word, role = {
            "slower": (f"{glyphs.up} slower", "bad"),
            "faster": (f"{glyphs.down} faster", "good"),
        }.get(pair.verdict, (pair.verdict, "dim"))
        delta = "-"
        if pair.delta is not None:
            sign = "+" if pair.delta >= 0 else "-"
            delta = sign + format_duration(abs(pair.delta)).strip()
        return Row(
            str(number),
            (
                (pair.operation.replace("_", " "), "dim"),
                (pair.name, "text"),
                (format_duration(pair.first).strip(), "text"),
                (format_duration(pair.second).strip(), "text"),
                (delta, role),
                (word, role),
            ),
            failed=pair.verdict == "slower",
        )

    def act(self, action: str) -> bool:
        if action in ("next_failed", "previous_failed"):
            return self.list.next_failed(1 if action == "next_failed" else -1) or True
        return self.list.act(action)

    def export_rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        titles = ("kind", "span", "a", "b", "delta", "verdict")
        return titles, [[text for text, _ in row.cells] for row in self.list.rows]
