"""The first page of Live before anything is received: the steps to take, and the requests as they
come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from textual.containers import Vertical
from textual.timer import Timer
from textual.widget import Widget

from vs_tui.model.time import SECOND, Instant
from vs_tui.store.queries.reader_protocol import DeliveryRow
from vs_tui.tui import first_steps
from vs_tui.tui.first_steps import Facts, Line
from vs_tui.tui.session import Session, start
from vs_tui.tui.source_status import Connection, url_with_token
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.listing import Listing, Row


class StepList(Listing):
    """A page of lines; the cursor is only on lines with a text to copy."""

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, (), id=id)
        self.head_lines = 0
        self.empty = ()

    @property
    def chosen(self) -> Line:
        """The line under the cursor."""
        row = self.selected
        return row.data if row is not None and isinstance(row.data, Line) else Line()

    def show(self, lines: Sequence[Line]) -> None:
        """Replace the lines; the cursor stays on the line with the same text to copy, else on the
        nearest one."""
        self.set_rows(
            [
                Row(
                    line.copies[1] or f"#{number}",
                    line.pieces,
                    data=line,
                    whole=True,
                    still=not line.copies[1],
                )
                for number, line in enumerate(lines)
            ]
        )


SHOW_SECRET: Final = 30 * SECOND


class SecretKeys:
    """Shows the secret of one source for a while, and copies it. It is never written to a file."""

    def __init__(self, dash: Session) -> None:
        self._dash = dash
        self.shown = ""
        """Name of the source whose secret is shown; empty if none is."""
        self._until: Instant = 0
        self._turn = 0

    def hide(self) -> None:
        """Hide the secret; the next copy begins with it."""
        self.shown, self._turn = "", 0

    def expire(self) -> None:
        """Hide the secret if its time is over."""
        if self._dash.setup.clock() > self._until:
            self.shown = ""

    def toggle(self, connection: Connection | None) -> None:
        """Show the secret of a source, or hide it."""
        if connection is None or not connection.given_secret:
            self._say_none(connection)
        elif self.shown == connection.name:
            self.shown = ""
        else:
            self.shown, self._until = connection.name, self._dash.setup.clock() + SHOW_SECRET

    def copy(self, connection: Connection | None, base: str) -> None:
        """Copy the secret; called again, the URL with the token."""
        if connection is None or not connection.given_secret:
            self._say_none(connection)
            return
        options = [("the secret", connection.secret)]
        if url := url_with_token(connection, base):
            options.append(("the URL with the token", url))
        what, text = options[self._turn % len(options)]
        self._turn += 1
        self._dash.output.copy(text)
        self._dash.notify_text(f"copied {what} of {connection.title}")

    def _say_none(self, connection: Connection | None) -> None:
        text = "there is no secret here; see the receiver's machine"
        if connection is not None and connection.makes_secret:
            text = f"{connection.title} makes the secret; there is none to copy"
        self._dash.notify_text(text)


TUNNEL_SECONDS: Final = 5.0
REQUEST_SECONDS: Final = 1.0
_EXAMPLE: Final = (
    "   shop    #12 Remember the chosen store  ○   ○  ‖   ●2/5   CI: unit 1:16   2:30 left  3h 2m",
    "           issue open, pull request open, review waits, 2 of 5 jobs done; no deploy seen yet",
)


class FirstPage(Vertical):
    """The page. It looks for a tunnel and for requests only while it is shown."""

    DEFAULT_CSS = """
    FirstPage { display: none; height: 1fr; }
    FirstPage #example { height: 4; display: none; }
    FirstPage #requests { height: 11; display: none; }
    """

    def __init__(self, look: Look, dash: Session) -> None:
        super().__init__(id="first")
        self.look, self.dash = look, dash
        self.steps = StepList(look, id="steps")
        self.example = StepList(look, id="example")
        self.requests = StepList(look, id="requests")
        self.tool = "github"
        self._public = ""
        self.secret = SecretKeys(dash)
        self._heard: Sequence[DeliveryRow] = ()
        self._facts = Facts()
        self._repeated: list[Timer] = []

    def compose(self) -> Iterable[Widget]:
        yield self.steps
        yield self.example
        yield self.requests

    def on_mount(self) -> None:
        self.example.can_focus = self.requests.can_focus = False
        self.example.set_heading([("A row will look like this", "title")])
        self.example.show([Line(((text, "dim"),)) for text in _EXAMPLE])
        self._repeat(TUNNEL_SECONDS, self._look_for_a_tunnel)
        self._repeat(REQUEST_SECONDS, self._read_requests)

    def _repeat(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        """Call `work` every `seconds` while the page is shown; starts with the first time it is
        shown."""

        def ask() -> None:
            if not self.display:
                timer.pause()
            elif self.dash.screen is self.screen and not self.dash.blurred:
                start(self, work, work.__name__, exclusive=True)

        timer = self.set_interval(seconds, ask, pause=True)
        self._repeated.append(timer)

    async def open(self) -> None:
        """Show the page with the data at hand."""
        if not self.display:
            self.display = True
            self.steps.focus()
            start(self, self._look_for_a_tunnel, "tunnel", exclusive=True)
        for timer in self._repeated:
            timer.resume()
        await self._read_requests()

    async def _look_for_a_tunnel(self) -> None:
        if self.dash.setup.find_public_url is not None:
            self._public = await self.dash.setup.find_public_url()
            await self.paint()

    async def _read_requests(self) -> None:
        page = await self.dash.reader.deliveries("", limit=first_steps.REQUESTS)
        self._heard = page.items
        await self.paint()

    async def facts(self) -> Facts:
        """The data for the page."""
        dash, setup = self.dash, self.dash.setup
        trial = " ".join(first_steps.trial(dash.url, setup.open_mode, setup.program))
        return Facts(
            url=dash.url,
            not_listening=dash.not_listening,
            public_url=self._public,
            own=setup.send_links is not None,
            open_mode=setup.open_mode,
            program=setup.program,
            connections=await dash.connections(),
            tool=self.tool,
            revealed=self.secret.shown == self.tool,
            requests=self._heard,
            any_row=dash.totals is not None and any(dash.totals.sections.values()),
            trial=trial,
            clock=dash.clock_text,
            glyphs=self.look.glyphs,
        )

    def on_resize(self) -> None:
        if self.display:
            start(self, self.paint, "paint", exclusive=True)

    async def paint(self) -> None:
        """Paint all three boxes."""
        self.secret.expire()
        self._facts = await self.facts()
        self._show(self._facts)

    def _show(self, facts: Facts) -> None:
        full = self.size.height >= 30
        lines = [self._worded(line) for line in first_steps.page(facts, full=full)]
        width = self.steps.size.width - 3
        self.steps.show([part for line in lines for part in first_steps.wrapped(line, width)])
        title = "The first minute: from your tool to a row on this screen"
        self.steps.set_heading([(title, "title")], f"{facts.done} of 5")
        self.steps.set_foot([(self.dash.worded("{yank} copies the chosen line"), "note")])
        self.requests.show(first_steps.requests(facts))
        note = self.dash.worded("{events}: all of them")
        self.requests.set_heading([("Requests as they come", "title")], note)

    def _worded(self, line: Line) -> Line:
        return replace(line, pieces=tuple((self.dash.worded(t), r) for t, r in line.pieces))

    def on_cursor_box_opened(self, message: StepList.Opened) -> None:
        message.stop()
        self.act("open")

    def act(self, action: str) -> bool:
        """Run an action of this page; returns False for others."""
        if action in ("next_tool", "previous_tool"):
            start(self, self._choose(1 if action == "next_tool" else -1), "tool")
        elif action == "reveal":
            start(self, self._reveal, "paint", exclusive=True)
        elif action == "copy_secret":
            start(self, self._copy_secret, "copy")
        elif action == "open":
            if self.steps.chosen.does:
                start(self, self._try_it, "trial", exclusive=True)
            elif self.steps.chosen.copies[1]:
                self.dash.output.yank_in_turns([self.steps.chosen.copies])
        else:
            return self.steps.act_move(action)
        return True

    def _choose(self, step: int) -> Callable[[], Awaitable[None]]:
        async def choose() -> None:
            names = first_steps.tools(await self.dash.connections())
            place = names.index(self.tool) if self.tool in names else 0
            self.tool = names[(place + step) % len(names)] if names else self.tool
            self.secret.hide()
            await self.paint()

        return choose

    async def _try_it(self) -> None:
        send = self.dash.setup.send_trial
        if send is None:
            self.dash.notify_text("this dashboard receives nothing; try it where the receiver runs")
        else:
            await send(self.dash.notify_text)

    async def _reveal(self) -> None:
        self.secret.toggle((await self.facts()).connection)
        await self.paint()

    def conceal(self) -> None:
        """Hide the secret now."""
        self.secret.hide()
        self._show(replace(self._facts, revealed=False))

    async def _copy_secret(self) -> None:
        facts = await self.facts()
        self.secret.copy(facts.connection, facts.base)
