"""Sources: the URL for each tool, its deliveries of today, its state, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from textual.widget import Widget

from vs_tui.model.display import clean
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Verdict
from vs_tui.store.queries.reader_protocol import DeliveryRow, SourceHealth, Tally
from vs_tui.tui import source_status, span_format
from vs_tui.tui.paint import Piece
from vs_tui.tui.screens.delivery import ROLES, field, verdict_glyph
from vs_tui.tui.screens.first_page import SecretKeys
from vs_tui.tui.screens.listed import ListedView
from vs_tui.tui.session import start
from vs_tui.tui.source_status import Condition, Connection
from vs_tui.tui.widgets.document import DocLine, Document
from vs_tui.tui.widgets.listing import Column, Row

COLUMNS = (
    Column("SOURCE", 16, flex=1),
    Column("URL", 30, flex=3, rank=7),
    Column("SECRET", 8, rank=8),
    Column("LAST", 5, right=True, rank=1),
    Column("OK", 5, right=True, rank=4),
    Column("IGN", 4, right=True, rank=5),
    Column("DUP", 4, right=True, rank=6),
    Column("QUAR", 4, right=True, rank=2),
    Column("REJ", 4, right=True, rank=3),
    Column("HEALTH", 18),
)
COUNTED: Final = (
    Verdict.ACCEPTED,
    Verdict.IGNORED,
    Verdict.DUPLICATE,
    Verdict.QUARANTINED,
    Verdict.REJECTED,
)


class SourcesView(ListedView):
    """A row per source, and below the details of the selected one."""

    where = "sources"
    title_text = "Sources"
    columns = COLUMNS
    orders = MappingProxyType(
        {
            "trouble": lambda row, _: not row.failed,
            "name": lambda row, _: row.cells[0][0].lower(),
        }
    )
    sorts = ("last", *orders)
    no_span = "a source is no span: {open} lists its deliveries, {yank} copies its URL"
    nothing_failed = "all sources that have sent anything do well"
    offered = ("open", "back", "reveal", "copy_secret", "yank", "sort", "next_failed", "zoom")
    DEFAULT_CSS = """
    SourcesView #list { height: 1fr; }
    SourcesView #detail { height: 1fr; max-height: 10; }
    """

    def body(self) -> Iterable[Widget]:
        # Select the source with the last delivery until the user chooses one.
        self.list.follow = True
        self.document = Document(self.look, id="detail")
        self.connections: Sequence[Connection] | None = None
        self.health: Mapping[str, SourceHealth] = {}
        self.refused: Mapping[str, DeliveryRow] = {}
        """Source -> its newest refused request, for sources whose requests were all refused."""
        self.today = Tally({})
        self.public_url = ""
        self.secret = SecretKeys(self.dash)
        yield self.list
        yield self.document

    def on_screen_resume(self) -> None:
        # Tunnels come and go, so look each time the screen is opened. It may take half a second,
        # so do not wait for it.
        start(self, self._find_public_url, "tunnel", exclusive=True)

    def on_screen_suspend(self) -> None:
        self.secret.hide()

    async def _find_public_url(self) -> None:
        if self.dash.setup.find_public_url is not None:
            found = await self.dash.setup.find_public_url()
            if found != self.public_url:
                self.public_url = found
                self._paint()

    async def load(self) -> None:
        dash = self.dash
        if self.connections is None:
            self.connections = await dash.connections()
        self.health = {h.source: h for h in await dash.reader.sources()}
        self.refused = await source_status.refused_last(dash.reader, self.health.values())
        self._paint()
        since = source_status.midnight(dash.now(), dash.zone)
        self.today = await dash.reader.received(since, dash.frozen_at)
        self.searching = self.today.until
        self._paint()

    @property
    def is_moving(self) -> bool:  # type: ignore[override]
        return bool(self.secret.shown)

    def tick(self, now: Instant) -> None:
        self.secret.expire()
        self._paint()

    @property
    def base(self) -> str:
        """Base URL at which tools reach the receiver."""
        dash = self.dash
        return self.public_url or dash.url or dash.setup.url or "http://127.0.0.1:5000"

    def _paint(self) -> None:
        now = self.dash.now()
        listed = source_status.ordered(self.connections or (), self.health)
        self.list.set_rows(self.ordered(self._row(connection, now) for connection in listed))
        counted = "  counted today" if self.today.until is None else "  counted today, so far"
        self.list.set_heading(
            [("Sources", "title"), (counted, "dim")], self.order_note("last heard first")
        )
        self._paint_detail()

    def _row(self, connection: Connection, now: Instant) -> Row:
        health = self.health.get(connection.name)
        found = source_status.condition(connection, health, now, self.refused.get(connection.name))
        last = health.last_received_at if health is not None else None
        return Row(
            connection.name,
            (
                (connection.title, "text"),
                (source_status.url_of(connection, self.base), "dim"),
                (self._secret_text(connection), "dim"),
                (span_format.since(last if self._happened(last, now) else None, now), "text"),
                *(self._number(connection.name, verdict) for verdict in COUNTED),
                (self._health_text(found), found.role),
            ),
            failed=found.level in ("refused", "unread", "quiet"),
            data=connection,
        )

    def _happened(self, last: Instant | None, now: Instant) -> bool:
        """Whether the delivery was received by the moment on screen; later ones have no age."""
        return last is not None and not (self.dash.travelled and last > now)

    def _health_text(self, found: Condition) -> str:
        glyphs = self.look.glyphs
        sign = {
            "ok": glyphs.ok,
            "none": glyphs.dot,
            "refused": glyphs.fail,
            "quiet": glyphs.stale,
        }.get(found.level, glyphs.wait)
        return f"{sign} {found.text}"

    def _number(self, name: str, verdict: Verdict) -> Piece:
        n = self.today.counts.get(name, {}).get(verdict, 0)
        quiet = not n or verdict in (Verdict.ACCEPTED, Verdict.IGNORED, Verdict.DUPLICATE)
        return (str(n) if n else self.look.glyphs.dot, "dim" if quiet else ROLES[verdict])

    def _secret_text(self, connection: Connection) -> str:
        if self.dash.setup.open_mode:
            return "open"
        if connection.makes_secret:
            return "its own"
        return source_status.masked(connection.secret) if connection.secret else "not here"

    # The selected source.

    @property
    def selected(self) -> Connection | None:
        row = self.list.selected
        return row.data if row is not None and isinstance(row.data, Connection) else None

    def _paint_detail(self) -> None:
        connection = self.selected
        if connection is None:
            self.document.show((), start=True)
            return
        copied = connection.given_secret and not self.dash.setup.open_mode
        self.document.set_heading(
            [(clean(connection.title, 40), "title")],
            self.dash.worded(
                "{reveal} shows the secret, {copy_secret} copies it" if copied else ""
            ),
        )
        self.document.show(self._detail(connection), start=False)

    def _detail(self, connection: Connection) -> list[DocLine]:
        now = self.dash.now()
        health = self.health.get(connection.name)
        found = source_status.condition(connection, health, now, self.refused.get(connection.name))
        lines = [
            _line("health", (self._health_text(found), found.role)),
            *field("what to do", self.dash.worded(self._advice(connection, found)), "title"),
            _line("URL", (source_status.url_of(connection, self.base), "text")),
            *(
                _line("", (source_status.url_of(connection, self.base, path), "dim"))
                for path in connection.paths[1:]
            ),
            *self._reach(),
            _line("secret", *self._secret_pieces(connection)),
        ]
        if health is not None and health.last_received_at is not None:
            at = self.dash.clock_text(health.last_received_at)
            when = "after the moment shown"
            if self._happened(health.last_received_at, now):
                when = f"{span_format.since(health.last_received_at, now)} ago"
            lines.append(_line("last", (f"{at}, {when}", "text"), (f"  {health.last_kind}", "dim")))
            lines.append(_line("in all", *self._totals(health)))
        return lines

    def _advice(self, connection: Connection, found: Condition) -> str:
        n = self.today.counts.get(connection.name, {}).get(Verdict.REJECTED, 0)
        if found.level == "ok" and n:
            return f"it works, but {n} rejected today: {{open}} shows why"
        return found.advice

    def _reach(self) -> list[DocLine]:
        if self.public_url or not self.base.startswith(("http://127.", "http://localhost")):
            return []
        port = self.base.rpartition(":")[2]
        hint = f"from this machine only; `ngrok http {port}` makes it public"
        return [_line("", (hint, "dim"))]

    def _secret_pieces(self, connection: Connection) -> list[Piece]:
        if self.dash.setup.open_mode:
            return [("not asked for: started with --no-auth", "wait")]
        if connection.makes_secret:
            told = f"{connection.title} makes it: enter it in secrets.toml, [{connection.kept_as}]"
            return [(told, "dim")]
        if not connection.secret:
            command = f"`vs-tui secret show {connection.kept_as}`"
            return [(f"on the receiver's machine: {command}", "dim")]
        kind = f"  checked in {connection.proof}" if connection.proof else "  our token"
        if self.secret.shown == connection.name:
            return [(connection.secret, "match"), (kind, "dim")]
        return [(source_status.masked(connection.secret), "text"), (kind, "dim")]

    def _totals(self, health: SourceHealth) -> list[Piece]:
        pieces: list[Piece] = []
        for verdict in COUNTED:
            if n := health.counts.get(verdict, 0):
                sign = verdict_glyph(verdict, self.look.glyphs)
                pieces.append((f"{sign} {n} {verdict.value}  ", ROLES[verdict]))
        return pieces

    # Keys.

    def act(self, action: str) -> bool:
        if action == "reveal":
            self.secret.toggle(self.selected)
            self._paint_detail()
        elif action == "copy_secret":
            self.secret.copy(self.selected, self.base)
        elif self.document.has_focus and action not in ("open", "next_failed", "previous_failed"):
            return self.document.act(action)
        else:
            return super().act(action)
        return True

    def conceal(self) -> None:
        self.secret.hide()
        self._paint_detail()

    def selection(self) -> str:
        return ""

    def texts(self) -> Sequence[tuple[str, str]]:
        connection = self.selected
        if connection is None:
            return ()
        return [("the URL", source_status.url_of(connection, self.base))]

    def row_selected(self) -> None:
        self.secret.hide()
        self._paint_detail()

    def open_row(self, key: str) -> None:
        self.dash.navigation.open_deliveries(f"source:{key}")


def _line(name: str, *pieces: Piece) -> DocLine:
    """A line `name value`, cleaned."""
    return DocLine(((f"{name:<11}", "dim"), *((clean(text), role) for text, role in pieces)))
