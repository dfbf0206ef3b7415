"""The texts of an empty dashboard: the five steps from a tool to the first row, each checked; and
those of an empty list."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from rich.cells import cell_len

from vs_tui.model.display import clean
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Verdict
from vs_tui.sources.base import USUAL
from vs_tui.store.queries.reader_protocol import DeliveryRow
from vs_tui.tui.paint import Piece, fit, width_of
from vs_tui.tui.source_status import Connection, masked, url_of, url_with_token
from vs_tui.tui.theme import Glyphs

NOTHING_MATCHES: Final = (
    "",
    "nothing matches",
    "",
    "{filter} changes the filter, {time} the time range, {team} the team; {back} clears the filter",
)


_ROOM: Final = 64
_DEFAULT_URL: Final = "http://127.0.0.1:5000"
_EVENT: Final = '{"type":"build","id":"1","action":"start"}'


def curl(
    url: str,
    path: str,
    body: str,
    *,
    open_mode: bool,
    program: str,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """The parts of a `curl` command that posts a body to the receiver; join them with blanks to
    paste it. The shell reads the token with `program`, the command that starts this program, so the
    text does not contain the token."""
    proof = f'-H "Authorization: Bearer $({program} secret show token)"'
    # curl reads a file where -d begins with an @.
    data = "--data-raw" if body.startswith("@") else "-d"
    return [
        f"curl {shlex.quote(f'{url or _DEFAULT_URL}{path}')}",
        *([] if open_mode else [proof]),
        *(f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()),
        f"{data} {shlex.quote(body)}",
    ]


def trial(url: str, open_mode: bool, program: str) -> list[str]:
    """The parts of a `curl` command that sends a first event."""
    return curl(url, "/customhttp", _EVENT, open_mode=open_mode, program=program)


def _wrapped(part: str) -> list[str]:
    """A part wrapped to the screen's width. A shell joins lines that end with a backslash, also
    within double quotes."""
    return textwrap.wrap(part, _ROOM, break_long_words=False, break_on_hyphens=False)


def cannot_receive(why: str) -> tuple[str, ...]:
    """Text for a database without deliveries while nothing can be received."""
    return ("", "Nothing was received yet, and nothing can be:", *_wrapped(why))


def first_steps(url: str, open_mode: bool, program: str) -> tuple[str, ...]:
    """Text for a database without deliveries; fits into 76 columns."""
    url = url or _DEFAULT_URL
    port = urlsplit(url).port or 5000
    first, *middle, last = trial(url, open_mode, program)
    return (
        "",
        "Nothing was received yet. Point a tool's webhook, content type JSON, at",
        f"    {url}/github",
        "    also /gitlab /jenkins /jira /customhttp ...; {sources} lists them, with secrets",
        "",
        f"From outside this machine: ngrok http {port}",
        "",
        "Or try it now ({yank} copies it):",
        f"    {first} \\",
        *(f"         {line} \\" for part in middle for line in _wrapped(part)),
        f"         {last}",
        "",
        f"Or see it with sample data: {program} demo",
    )


_NAME: Final = 23
REQUESTS: Final = 9
_IMPORTABLE: Final = {
    "github": "OWNER/REPO",
    "gitlab": "GROUP/PROJECT",
    "jira": "KEY --url https://SITE.atlassian.net --user EMAIL",
}
"""Tool -> what its `vs-tui import` needs."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the page; the cursor can select one with a text to copy."""

    pieces: tuple[Piece, ...] = ()
    copies: tuple[str, str] = ("", "")
    """(name of the text, text to copy)."""
    does: str = ""
    """Action that Enter runs instead of copying."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The data that the page shows."""

    url: str = ""
    """The receiver's URL; empty while it starts."""
    not_listening: str = ""
    public_url: str = ""
    own: bool = True
    """Whether the receiver runs in this process. A viewer knows no secrets, so it hides the steps
    that set up a tool."""
    open_mode: bool = False
    program: str = "vs-tui"
    connections: Sequence[Connection] = ()
    tool: str = USUAL[0]
    revealed: bool = False
    requests: Sequence[DeliveryRow] = ()
    """Newest first."""
    any_row: bool = False
    trial: str = ""
    """A command that sends a first event."""
    clock: Callable[[Instant | None], str] = field(default=str)
    glyphs: Glyphs = field(default_factory=Glyphs)

    @property
    def base(self) -> str:
        return self.public_url or self.url or "http://127.0.0.1:5000"

    @property
    def connection(self) -> Connection | None:
        return next((c for c in self.connections if c.name == self.tool), None)

    @property
    def done(self) -> int:
        """How many of the five steps are done."""
        last = self.requests[0] if self.requests else None
        arrived = last is not None and last.verdict is not Verdict.REJECTED
        reached = bool(self.public_url) or last is not None
        return sum((bool(self.url), reached, arrived, arrived, self.any_row))


def tools(connections: Sequence[Connection]) -> list[str]:
    """The tools to choose from: common ones first."""
    names = [connection.name for connection in connections]
    usual = [name for name in USUAL if name in names]
    return [*usual, *(name for name in names if name not in usual)]


def page(facts: Facts, *, full: bool) -> list[Line]:
    """The lines of the page. `full` adds empty lines; without it a refused request shortens the
    form of the tool."""
    gap = [Line()] if full else []
    lines = [*gap, _listens(facts)]
    if facts.own:
        # On a small screen a refused request needs the room of the form.
        refused = bool(facts.requests) and facts.requests[0].verdict is Verdict.REJECTED
        lines += [_reaches(facts), *_tell(facts, short=refused and not full)]
    lines += [*_request(facts), _row(facts)]
    if facts.own:
        lines += [*gap, Line((("   Or without a webhook", "title"),)), *_without(facts)]
    return lines


def wrapped(line: Line, width: int) -> list[Line]:
    """A line wrapped to `width`; a line with a text to copy stays whole and is cut."""
    *before, (text, role) = line.pieces or (("", "text"),)
    indent = width_of(before)
    if line.copies[1] or indent + cell_len(text) <= width or width - indent < 20:
        return [line]
    parts = textwrap.wrap(text, width - indent)
    rest = [Line(((" " * indent, "dim"), (part, role))) for part in parts[1:]]
    return [Line((*before, (parts[0], role)), line.copies), *rest]


def requests(facts: Facts) -> list[Line]:
    """The newest requests, with the problem of each refused one."""
    lines = []
    for row in facts.requests[:REQUESTS]:
        mark, role = _mark(row, facts.glyphs)
        wrong = _wrong(row, facts)
        told = wrong[0] or row.reason
        lines.append(Line((
            (f" {facts.clock(row.received_at):<13}", "dim"),
            (f"{fit(row.source, 10)} {fit(row.kind, 18)} ", "text"),
            (f"{mark} {fit(f'{row.verdict.value} {row.status}', 16)} ", role),
            (clean(told, 120), "dim"),
        )))  # fmt: skip
    return lines or [Line(((" waiting for the first one", "dim"),))]


def _step(number: int, mark: str, role: str, name: str, *pieces: Piece) -> tuple[Piece, ...]:
    return ((f" {number} ", "dim"), (f"{mark} ", role), (f"{name:<{_NAME}}", "title"), *pieces)


def _detail(name: str, *pieces: Piece) -> tuple[Piece, ...]:
    return ((f"     {name:<{_NAME}}", "dim"), *pieces)


def _listens(facts: Facts) -> Line:
    glyphs = facts.glyphs
    if facts.not_listening:
        why = (clean(facts.not_listening, 200), "fail")
        return Line(_step(1, glyphs.fail, "fail", "the receiver listens", why))
    if not facts.url:
        wait = ("it starts", "dim")
        return Line(_step(1, glyphs.queue, "queue", "the receiver listens", wait))
    host = urlsplit(facts.url).hostname or ""
    only = (
        f" {glyphs.dot} from this machine only" if host in ("127.0.0.1", "localhost", "::1") else ""
    )
    return Line(_step(1, glyphs.ok, "ok", "the receiver listens", (facts.url + only, "text")))


def _reaches(facts: Facts) -> Line:
    glyphs = facts.glyphs
    if facts.public_url:
        found = (facts.public_url, "text")
        return Line(_step(2, glyphs.ok, "ok", "your tool can reach it", found))
    if facts.requests:
        return Line(_step(2, glyphs.ok, "ok", "your tool can reach it", ("a request came", "text")))
    port = urlsplit(facts.url).port or 5000
    how = f"ngrok http {port}; not needed on this machine"
    return Line(_step(2, glyphs.wait, "wait", "your tool can reach it", (how, "text")),
                ("the command", f"ngrok http {port}"))  # fmt: skip


def _tell(facts: Facts, *, short: bool) -> list[Line]:
    glyphs, connection = facts.glyphs, facts.connection
    names = tools(facts.connections)
    place = names.index(facts.tool) if facts.tool in names else 0
    first = max(min(place - 2, len(names) - 6), 0)
    shown: list[Piece] = []
    for name in names[first : first + 6]:
        shown.append((f"[{name}] ", "key") if name == facts.tool else (f" {name}  ", "dim"))
    shown.append((f" {place + 1} of {len(names)}", "dim"))
    arrived = any(row.source == facts.tool for row in facts.requests)
    mark, role = (glyphs.ok, "ok") if arrived else (glyphs.queue, "queue")
    lines = [Line(_step(3, mark, role, "tell the tool", *shown))]
    if connection is None:
        return lines
    form, url = connection.webhook_form, url_of(connection, facts.base)
    in_url = not form.field and bool(url_with_token(connection, facts.base))
    lines.append(Line(
        _detail("URL", (url + ("?token=..." if in_url else ""), "match")),
        ("the URL", url_with_token(connection, facts.base) if in_url else url),
    ))  # fmt: skip
    if not short:
        lines.append(Line(_detail("content type", (form.content_type, "text"))))
    if facts.open_mode:
        secret: Piece = ("not asked for: started with --no-auth", "wait")
    elif connection.makes_secret:
        secret = (f"{connection.title} shows it: put it into secrets.toml", "text")
    elif not connection.secret:
        secret = (
            f"`{facts.program} secret show {connection.kept_as}` where the receiver runs",
            "dim",
        )
    else:
        shown_secret = connection.secret if facts.revealed else masked(connection.secret)
        secret = (shown_secret, "match" if facts.revealed else "text")
    no_key = facts.open_mode or connection.makes_secret
    more = ("" if no_key else "   {copy_secret} copies it, {reveal} shows it", "dim")
    lines.append(Line(_detail(form.field or "token, in the URL", secret, more)))
    if not short:
        lines.append(Line(_detail("events", (form.events, "text"))))
        lines.append(Line(_detail("where", (form.where, "text"))))
    return lines


def _mark(row: DeliveryRow, glyphs: Glyphs) -> Piece:
    if row.verdict is Verdict.REJECTED:
        return glyphs.fail, "fail"
    return (glyphs.wait, "wait") if row.verdict is Verdict.QUARANTINED else (glyphs.ok, "ok")


def _wrong(row: DeliveryRow, facts: Facts) -> tuple[str, str]:
    """(problem, what to do) of a request; empty texts if there is no problem."""
    from vs_tui.model.request_advice import Proof, advice

    proof = next((c.how for c in facts.connections if c.name == row.source), Proof())
    return advice(row.verdict, row.status, row.reason, proof)


def _request(facts: Facts) -> list[Line]:
    if not facts.requests:
        wait = ("none yet; it shows here at once, with its verdict", "dim")
        return [Line(_step(4, facts.glyphs.queue, "queue", "first request", wait))]
    last = facts.requests[0]
    mark, role = _mark(last, facts.glyphs)
    what, todo = _wrong(last, facts)
    told = f"{facts.clock(last.received_at)} {last.source} {last.kind}, "
    # Of a ping that is ignored it says "connected".
    taken = last.reason if last.verdict is Verdict.IGNORED and last.reason else last.verdict.value
    told += f"refused with {last.status}" if what and role == "fail" else taken
    lines = [Line(_step(4, mark, role, "first request", (f"{clean(told, 100)}: {what}" if what
                        else clean(told, 100), "text")))]  # fmt: skip
    if todo:
        lines.append(Line(_detail("what to do", (todo, "title"))))
    return lines


def _row(facts: Facts) -> Line:
    if facts.any_row:
        there = ("it is in Live: {first_page} goes back there", "text")
        return Line(_step(5, facts.glyphs.ok, "ok", "first row", there))
    told = "made by the first issue, pull request, push or run (a ping makes none)"
    return Line(_step(5, facts.glyphs.queue, "queue", "first row", (told, "dim")))


def _without(facts: Facts) -> list[Line]:
    tool = facts.tool if facts.tool in _IMPORTABLE else "github"
    variable = f"{tool.upper()}_TOKEN"
    project = _IMPORTABLE[tool]
    history = f"{variable}=... {facts.program} import {tool} {project} --since 30d --follow"
    demo = f"{facts.program} demo"
    lines = [
        Line(_detail("read the last 30 days", (history, "text")), ("the command", history)),
        Line(_detail("try it", ("sends a run of one job to this receiver", "text"),
                     ("   {yank} copies a curl line that does", "dim")),
             ("the curl line", facts.trial), "trial"),
        Line(_detail("look around", (demo, "text"), ("   sample data, nothing of yours", "dim")),
             ("the command", demo)),
    ]  # fmt: skip
    if tool in ("github", "gitlab"):
        made = f"{variable}=... {facts.program} connect {tool} {project}"
        lines.insert(0, Line(_detail("make the webhook", (made, "text")), ("the command", made)))
    return lines
