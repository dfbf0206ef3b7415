"""`vs-tui view --web`: the read-only dashboard in browsers, served by textual-serve behind the
token.

textual-serve has no login and starts a process for each tab, so a login guards everything it
serves: the token opens a session, and then a cookie that scripts cannot read and other sites cannot
send.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import secrets as random_source
import shlex
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from vs_tui.cli.common import CommandError, load_config, stop_event, token_for
from vs_tui.config import Config
from vs_tui.model.limits import Limits
from vs_tui.sources.signatures import any_token, same

COOKIE: Final = "vs_tui_session"
SESSION_SECONDS: Final = 12 * 3600
MAX_SESSIONS: Final = 1_000
MAX_TABS: Final = 16
"""Most open tabs; each is a process with a dashboard."""
MAX_CONNECTIONS: Final = 256
HEAD_SECONDS: Final = 15.0
"""Seconds in which a request head, or the login form, must arrive."""
MAX_FORM: Final = 16_384
LOOK_SECONDS: Final = 1.0
"""Seconds between two checks of the token."""
# No font of another site is loaded; nobody may frame the page.
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws: wss:; "
    "frame-ancestors 'none'; form-action 'self'"
)
_LOGIN: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>vs-tui</title>
<style>body{font:16px monospace;background:#14171c;color:#d7dae0;margin:20vh auto;max-width:34em}
input,button{font:inherit;padding:.3em}</style>
<h1>vs-tui</h1><p>Paste the token. <code>vs-tui secret show token</code> prints it on the machine
of the receiver.</p>
<form method="post" action="/login"><input type="password" name="token" autofocus
autocomplete="current-password" aria-label="token"> <button>open</button></form></html>"""

_TAKE_KEYS: Final = """<script>
  const asked = setInterval(() => {
    const keys = document.querySelector(".xterm-helper-textarea");
    if (keys) { keys.focus(); clearInterval(asked); }
  }, 100);
</script>"""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Door:
    """Admits requests with the token, later with the session's cookie. A rotation of the token ends
    all sessions and closes their tabs."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._read_token = token
        self._token = token()
        self._sessions: dict[str, float] = {}
        self._open: set[asyncio.Task[Any]] = set()

    @property
    def tabs(self) -> int:
        """Number of open tabs."""
        return len(self._open)

    async def watch(self, _: web.Application) -> AsyncIterator[None]:
        """Check for a new token each second while the application runs."""

        async def look() -> None:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                self._look()

        looking = asyncio.create_task(look())
        yield
        looking.cancel()

    def _look(self) -> None:
        token = self._read_token()
        if not same(token, self._token):
            self._token = token
            self._sessions.clear()
            for tab in self._open:
                tab.cancel()

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await self._answer(request, handler)
        if not response.prepared:
            response.headers["Content-Security-Policy"] = _POLICY
            response.headers["Referrer-Policy"] = "no-referrer"
            response.headers["X-Content-Type-Options"] = "nosniff"
            response.headers["Cache-Control"] = "no-store"
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._look()
        if request.path == "/login" and request.method == "POST":
            offered = await _offered(request)
            return self._let_in(request) if self._is_token(offered) else _login()
        if "token" in request.query:
            # The address with the token must not stay in the browser's history or its bar.
            return self._let_in(request) if self._is_token(request.query["token"]) else _login()
        session = request.cookies.get(COOKIE, "")
        if self._sessions.get(session, 0.0) <= asyncio.get_running_loop().time():
            return _login()
        if request.path != "/ws":
            return await handler(request)
        return await self._tab(request, handler)

    async def _tab(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin", "")
        if origin and urlsplit(origin).netloc != request.host:
            return web.Response(status=403, text="this page belongs to another site")
        if self.tabs >= MAX_TABS:
            return web.Response(status=503, text=f"{MAX_TABS} tabs are open; close one")
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        with suppress(AttributeError):  # a tab is never closed to make room
            request.protocol.busy = True  # type: ignore[attr-defined]
        try:
            return await handler(request)
        finally:
            self._open.discard(task)

    def _is_token(self, offered: str) -> bool:
        return bool(self._token) and any_token(offered.strip(), [self._token])

    def _let_in(self, request: web.Request) -> web.Response:
        now = asyncio.get_running_loop().time()
        self._sessions = {s: until for s, until in self._sessions.items() if until > now}
        while len(self._sessions) >= MAX_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        session = random_source.token_urlsafe(32)
        self._sessions[session] = now + SESSION_SECONDS
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(
            COOKIE,
            session,
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="Strict",
            secure=_scheme(request) == "https",
        )
        return response


async def _offered(request: web.Request) -> str:
    """The token in the login form. Tokens are ASCII, whatever the form's charset."""
    body = b""
    with suppress(TimeoutError, ConnectionError, ValueError):
        async with asyncio.timeout(HEAD_SECONDS):
            body = await request.content.read(MAX_FORM)
    fields = parse_qs(body.decode("latin-1"), errors="replace")
    return fields.get("token", [""])[0]


def _login() -> web.Response:
    return web.Response(status=401, text=_LOGIN, content_type="text/html")


def _scheme(request: web.Request) -> str:
    forwarded = request.headers.get("X-Forwarded-Proto", "")
    return forwarded if forwarded in ("http", "https") else request.scheme


def serve(args: argparse.Namespace, what: str) -> int:
    """Serve until SIGINT or SIGTERM; prints `listening on URL` when ready."""
    try:
        import textual_serve.server  # noqa: F401
    except ImportError:
        raise CommandError("view --web needs the extra `web`: pip install 'vs-tui[web]'") from None
    host, port = args.host or "127.0.0.1", args.port
    args.host = args.port = None  # of the web server, not of the receiver
    config = load_config(args)
    command, token = child_command(args, what)
    token = token_for(what, token, config) if "://" in what else config.secrets.token
    if not token:
        raise CommandError(
            "there is no token to ask browsers for; start `vs-tui` once, or set VS_TOKEN"
        )
    # By the environment, so that no process list shows them.
    os.environ["VS_TOKEN"] = token
    if args.log:
        os.environ["VS_LOG"] = args.log
    current = (lambda: token) if "://" in what else _current_token(config)
    return asyncio.run(_serve(command, host, port, current))


def _current_token(config: Config) -> Callable[[], str]:
    """The token in the secrets file now."""
    from vs_tui.ingest.auth import SecretsFile

    secrets = SecretsFile(config)
    return lambda: secrets().token


def child_command(args: argparse.Namespace, what: str) -> tuple[str, str]:
    """(the command of each tab, the token from the address)."""
    from vs_tui.api.remote import parse_address

    token = ""
    if "://" in what:
        try:
            what, token = parse_address(what)
        except ValueError as error:
            raise CommandError(str(error)) from None
    words = [sys.executable, "-m", "vs_tui", "view", *([what] if what else [])]
    for name in ("db", "config", "at", "theme"):
        value = getattr(args, name, None)
        if value and not (name == "db" and what):
            words += [f"--{name}", str(value)]
    if args.ascii:
        words.append("--ascii")
    return shlex.join(words), token


def our_page(text: str) -> str:
    """textual-serve's page without its logo and external font; the terminal takes keys without a
    click."""
    text = re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)
    text = re.sub(r"<link[^>]*fonts\.googleapis[^>]*/>", "", text)
    return text.replace("</body>", f"{_TAKE_KEYS}</body>")


async def build(command: str, token: Callable[[], str]) -> web.Application:
    """The application of textual-serve behind the login."""
    from textual_serve.server import Server

    class Guarded(Server):
        """Uses the address in the browser for links to itself."""

        async def handle_index(self, request: web.Request) -> Any:
            self.public_url = f"{_scheme(request)}://{request.host}"
            response = await super().handle_index(request)
            if isinstance(response, web.Response):
                response.text = our_page(response.text or "")
            return response

        async def on_startup(self, app: web.Application) -> None:
            """Print no banner: stdout is data."""

    inner: web.Application = await Guarded(command, title="vs-tui")._make_app()
    door = Door(token)
    inner.middlewares.append(door.guard)
    inner.cleanup_ctx.append(door.watch)
    return inner


async def _serve(command: str, host: str, port: int, token: Callable[[], str]) -> int:
    app = await build(command, token)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0, handle_signals=False)
    await runner.setup()
    listening: asyncio.Server | None = None
    try:
        listening = await _listen(runner, host, port)
        url = _url(listening)
        print(f"listening on {url}", flush=True)
        print(
            f"vs-tui: open {url}/ and paste the token (`vs-tui secret show token`)",
            file=sys.stderr,
        )
        await stop_event().wait()
    finally:
        if listening is not None:
            listening.close()
        await runner.cleanup()
    return 0


async def _listen(runner: web.AppRunner, host: str, port: int) -> asyncio.Server:
    """Listen with the receiver's limits, which time out incomplete requests."""
    from vs_tui.ingest.connections import Connections

    assert runner.server is not None
    limits = Limits(connections=MAX_CONNECTIONS, idle_seconds=HEAD_SECONDS)
    connections = Connections(runner.server, limits, {})
    try:
        return await asyncio.get_running_loop().create_server(connections, host, port)
    except (OSError, socket.gaierror, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CommandError(
            f"cannot listen on {host}:{port} ({why}); choose another with --port"
        ) from None


def _url(listening: asyncio.Server) -> str:
    host, port = listening.sockets[0].getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
