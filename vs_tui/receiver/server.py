"""The receiver: all routes on one aiohttp server inside the caller's event loop."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from aiohttp import web

from vs_tui.config import Config
from vs_tui.domain.cards import Card
from vs_tui.domain.instants import Duration, Instant
from vs_tui.receiver.api import Api, Handler
from vs_tui.receiver.auth import Gate
from vs_tui.receiver.errors import Refused, answer, not_found, refusal
from vs_tui.receiver.links import Resolver
from vs_tui.receiver.metrics import Metrics
from vs_tui.receiver.receiving import MAX_BODY, Receiving
from vs_tui.sources.registry import routes
from vs_tui.store.api import Reader
from vs_tui.store.writer import Writer

log = logging.getLogger(__name__)

STOP_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 15.0
"""A connection without a complete request head for so long is closed (aiohttp's default is an
hour, which lets a slowloris take every file descriptor)."""


class CannotListen(Exception):
    """The port is taken or not allowed; the message says what to do."""


@dataclass
class Receiver:
    """Start it, use `url`, stop it; the writer and the reader are the caller's."""

    config: Config
    writer: Writer
    reader: Reader
    clock: Callable[[], Instant]
    cards: Callable[[str, Duration], Awaitable[Sequence[Card]]]
    metrics: Metrics = field(default_factory=Metrics)
    url: str = ""

    async def start(self) -> None:
        """Listen; afterwards `url` holds the real port. CannotListen says what to do."""
        self._unsubscribe = self.writer.subscribe(self.metrics.observe)
        app = build(self)
        self._runner = web.AppRunner(
            app,
            handle_signals=False,
            access_log=None,
            shutdown_timeout=STOP_SECONDS,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=2.0,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.config.host, self.config.port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise CannotListen(
                f"cannot listen on {self.config.host}:{self.config.port} ({error.strerror}); "
                "choose another with --port, or --port 0 for any free one"
            ) from error
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def stop(self) -> None:
        """Stop accepting, finish what is in flight (at most 5 s)."""
        self._unsubscribe()
        await self._runner.cleanup()


def build(receiver: Receiver) -> web.Application:
    """The aiohttp application with every route."""
    gate = Gate(receiver.config.secrets, no_auth=receiver.config.no_auth)
    receiving = Receiving(receiver.writer, gate, receiver.clock)
    api = Api(receiver.reader, receiver.writer, gate)
    prepare = {"user": Resolver(receiver.reader)}
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_errors])
    app.on_response_prepare.append(_hide_server)
    for path, source in routes():
        handler = receiving.handler(source, prepare.get(source.name))
        for prefix in ("", "/api/v1") if source.name == "emmetrics" else ("",):
            app.router.add_post(prefix + _pattern(path), handler)
            if path != "/api/links" and not path.startswith(("/deployments", "/incidents")):
                app.router.add_route("HEAD", prefix + _pattern(path), _head)
    app.add_routes(api.routes())
    app.router.add_get("/api/cards", api.guarded(_cards(receiver)))
    app.add_routes(
        [
            web.get("/healthz", _alive),
            web.get("/readyz", _ready(receiver)),
            web.get("/metrics", api.guarded(_metrics(receiver))),
        ]
    )
    return app


def _pattern(path: str) -> str:
    return path.removesuffix("*") + "{rest:.+}" if path.endswith("/*") else path


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return refusal(refused)
    except web.HTTPNotFound:
        return refusal(not_found())
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return refusal(
            Refused(405, "method_not_allowed", f"use {allowed} for this path", Allow=allowed)
        )
    except web.HTTPException as error:
        return refusal(Refused(error.status, "bad_request", error.reason or "bad request"))
    except Exception:
        log.exception("a request failed; please report it")
        return refusal(Refused(500, "internal", "this is a bug in vs-tui; see its log"))


async def _hide_server(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "vs-tui"


async def _head(_: web.Request) -> web.Response:
    """Trello asks whether the address exists before it creates a webhook."""
    return web.Response()


async def _alive(_: web.Request) -> web.Response:
    return answer({"status": "ok"})


def _ready(receiver: Receiver) -> Handler:
    async def ready(_: web.Request) -> web.Response:
        if receiver.writer.trouble:
            raise Refused(503, "not_ready", receiver.writer.trouble, Retry_After="15")
        return answer({"status": "ready"})

    return ready


def _cards(receiver: Receiver) -> Handler:
    async def cards(request: web.Request) -> web.Response:
        window = request.query.get("window", "0")
        if not window.isdigit():
            raise ValueError("window must be microseconds, 0 for 30 days")
        found = await receiver.cards(request.query.get("team", ""), int(window))
        return answer({"items": [asdict(card) for card in found]})

    return cards


def _metrics(receiver: Receiver) -> Handler:
    async def metrics(_: web.Request) -> web.Response:
        shown = receiver.metrics
        counts = await receiver.reader.counts()
        shown.in_flight.set(counts.in_flight)
        shown.waiting.set(receiver.writer.waiting)
        shown.ready.set(0 if receiver.writer.trouble else 1)
        for health in await receiver.reader.sources():
            for verdict, n in health.counts.items():
                shown.deliveries.labels(health.source, verdict).set(n)
        return web.Response(body=shown.render(), content_type="text/plain", charset="utf-8")

    return metrics
