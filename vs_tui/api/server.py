"""The receiver: all routes on one aiohttp server in the caller's event loop."""

from __future__ import annotations

import asyncio
import errno
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from vs_tui.api.compatibility import ROOT as GRAFANA
from vs_tui.api.compatibility import EmMetricsApi, GrafanaApi, Newness
from vs_tui.api.guard import Guard, Handler, Uses
from vs_tui.api.handlers import Api, Reporting
from vs_tui.api.openapi import document
from vs_tui.config import Config
from vs_tui.export.prometheus import Metrics, MetricsPage
from vs_tui.export.series import CounterTotals
from vs_tui.ingest.admission import Admission
from vs_tui.ingest.auth import Gate, SecretsFile
from vs_tui.ingest.bodies import Resolver
from vs_tui.ingest.connections import Connection, Connections
from vs_tui.ingest.connections import Handler as PlainHandler
from vs_tui.ingest.http_errors import (
    METHODS,
    Refused,
    answer,
    in_kind,
    not_found,
    refusal,
    unexpected,
    unknown_path,
)
from vs_tui.ingest.webhooks import Prepare, Receiving, clean
from vs_tui.log.delivery import DECISION_SOURCE
from vs_tui.model.errors import Explained
from vs_tui.model.limits import LAG_SHOWN
from vs_tui.model.time import Instant
from vs_tui.sources.dispatch import routes
from vs_tui.store.queries.reader import SqliteReader
from vs_tui.store.queries.reports import Reports
from vs_tui.store.schema import spare_collector
from vs_tui.store.writer import Writer

log = logging.getLogger(__name__)

STREAM: Final = "/api/stream"
OTLP_TRACES: Final = "/v1/traces"
PLAIN: Final = web.AppKey("plain", dict[str, PlainHandler])
"""Handlers of plain requests, by path."""


SWITCH_SECONDS: Final = 0.001
"""After how long the event loop gets the interpreter back from the thread that folds. With Python's
5 ms, 99 of 100 deliveries at 500 a second were answered within 75 ms (GitHub) and 59 ms (custom)
while the dashboard was open, instead of 60 and 47 (medians of paired runs); rates are the same."""


class CannotListen(Explained):
    """The port is taken or not allowed; the message says what to do."""


@dataclass
class Receiver:
    """Start it, use `url`, stop it; the caller owns the writer and the reader."""

    config: Config
    writer: Writer
    reader: SqliteReader
    clock: Callable[[], Instant]
    reports: Reports
    metrics: Metrics = field(default_factory=Metrics)
    url: str = ""
    streams: set[asyncio.Task[object]] = field(default_factory=set)
    """Requests that end only when the client or the receiver ends them."""
    _metrics_runner: web.AppRunner | None = None

    def __post_init__(self) -> None:
        self.totals = CounterTotals(self.reader.run, self.writer, self.clock, self.config.metrics)
        self.page = MetricsPage(
            self.metrics,
            self.reader,
            self.writer,
            self.reports,
            self.totals,
            lambda: self.connections,
        )

    def reconfigure(self, config: Config) -> None:
        """Use other settings from now on; addresses, limits and secrets stay."""
        self.config = self.reports.config = config
        self.totals.rules = config.metrics

    async def start(self) -> None:
        """Listen; then `url` has the real port. CannotListen says what to do."""
        self.metrics.begin()
        self.metrics.new.is_new = not (await self.reader.health()).spans
        self._unsubscribe = self.writer.subscribe(self.metrics.observe)
        limits = self.config.limits
        app = build(self)
        self._runner = web.AppRunner(
            app, handle_signals=False, access_log=None, shutdown_timeout=limits.stop_seconds
        )
        await self._runner.setup()
        assert self._runner.server is not None
        self.connections = Connections(self._runner.server, limits, app[PLAIN])
        loop = asyncio.get_running_loop()
        try:
            self._socket = await loop.create_server(
                self.connections, self.config.host, self.config.port, backlog=512
            )
        except OSError as error:
            await self._runner.cleanup()
            port_is_the_reason = error.errno in (errno.EADDRINUSE, errno.EACCES)
            advice = "--port, 0 for any free one" if port_is_the_reason else "--host"
            raise CannotListen(
                f"cannot listen on {self.config.host}:{self.config.port} ({_why(error)}); "
                f"choose another with {advice}"
            ) from error
        if self.config.metrics_port:
            await self._listen_for_metrics()
        host, port = self._socket.sockets[0].getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        spare_collector()
        sys.setswitchinterval(SWITCH_SECONDS)

    async def _listen_for_metrics(self) -> None:
        """Serve /metrics and health without a token on a port that no tunnel leads to."""
        app = web.Application(middlewares=[_errors(self)])
        app.on_response_prepare.append(_hide_server)
        app.add_routes([*_health(self), web.get("/metrics", self.page.answer)])
        self._metrics_runner = web.AppRunner(app, handle_signals=False, access_log=None)
        await self._metrics_runner.setup()
        host, port = self.config.host, self.config.metrics_port
        try:
            await web.TCPSite(self._metrics_runner, host, port).start()
        except OSError as error:
            await self.stop()
            raise CannotListen(
                f"cannot listen on {host}:{port} for metrics ({_why(error)}); choose another "
                "metrics_port in [server]"
            ) from error

    async def stop(self) -> None:
        """Stop accepting, end the streams, and finish requests in flight."""
        self._unsubscribe()
        self._socket.close()
        if self._metrics_runner is not None:
            await self._metrics_runner.cleanup()
        await asyncio.gather(self.connections.finish(), self._runner.cleanup())


def _why(error: OSError) -> str:
    """The reason in a few words, without the address that asyncio puts first."""
    return (error.strerror or str(error)).rpartition(": ")[2]


def build(receiver: Receiver) -> web.Application:
    """The aiohttp application with every route."""
    gate = Gate(
        SecretsFile(receiver.config),
        no_auth=receiver.config.no_auth,
        public=receiver.config.no_auth_public,
        host=receiver.config.host,
        on_use=Uses(receiver.writer, receiver.clock).note,
    )
    limits = receiver.config.limits
    admission = Admission(limits, time.monotonic)
    receiving = Receiving(receiver.writer, gate, receiver.writer.receipt_time, limits, admission)
    prepare: dict[str, Prepare] = {
        DECISION_SOURCE: Resolver(receiver.reader),
        "emmetrics": Newness(receiver.reader),
    }
    app = web.Application(client_max_size=limits.body, middlewares=[_errors(receiver)])
    app.on_shutdown.append(lambda _: _end_waiting(receiver, receiving))
    app.on_response_prepare.append(_hide_server)
    app[PLAIN] = {}
    for path, source in routes():
        if source.name not in prepare and not path.endswith("/*") and path != OTLP_TRACES:
            app[PLAIN][path] = receiving.plain_handler(source)
        handler = receiving.handler(source, prepare.get(source.name))
        prefixes = ("", "/api/v1") if source.name == "emmetrics" else ("",)
        patterns = [prefix + _pattern(path) for prefix in prefixes]
        if not path.endswith("/*") and source.name != DECISION_SOURCE:
            patterns.append(f"/{{lead:/*}}{path[1:]}{{tail:/*}}")
        is_read = path == "/api/links" or path.startswith(("/deployments", "/incidents"))
        for pattern in patterns:
            app.router.add_post(pattern, handler, expect_handler=_expected)
            app.router.add_route("OPTIONS", pattern, _handshake)
            if not is_read:  # else GET answers HEAD, too
                app.router.add_route("HEAD", pattern, _head)
    guard, grafana = Guard(gate, receiver.writer), GrafanaApi(receiver.reports, receiver.reader)
    reading: dict[str, Handler] = {
        **Api(receiver.reader, receiver.writer).paths(),
        **Reporting(receiver.reports).paths(),
        **EmMetricsApi(receiver.reader).paths(),
        f"{GRAFANA}/": grafana.root,
        "/metrics": receiver.page.answer,
        "/openapi.json": _described,
    }
    for path, read in reading.items():
        # A scrape shows the lag; if it waited, each would let folding hold up a burst.
        app.router.add_get(path, guard(read, waits=path != "/metrics"))
    for path, asked in grafana.posts().items():
        app.router.add_post(path, guard(asked))
    app.add_routes(_health(receiver))
    return app


def _health(receiver: Receiver) -> list[web.RouteDef]:
    return [web.get("/healthz", _alive(receiver)), web.get("/readyz", _ready(receiver))]


def _pattern(path: str) -> str:
    return path.removesuffix("*") + "{rest:.+}" if path.endswith("/*") else path


def _errors(receiver: Receiver) -> Middleware:
    """Answer every error as JSON, and mark the connection as busy while a request is handled."""

    @web.middleware
    async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = request.protocol
        task = asyncio.current_task()
        if request.path == STREAM and task is not None:
            receiver.streams.add(task)
            task.add_done_callback(receiver.streams.discard)
        if isinstance(connection, Connection):
            connection.busy = True
        try:
            response = await handler(request)
        except Exception as error:
            refused = _refused(error, receiver.config.db)
            if isinstance(error, web.HTTPNotFound) and request.method in METHODS:
                path, secrets = clean(request.path), receiver.config.secrets.values
                at = receiver.clock()
                receiver.writer.reject(unknown_path(path, request.headers, at, refused, secrets))
            response = refusal(refused).response
            body = request.content
            if body.exception() is not None or not body.is_eof():
                response.force_close()  # what is left of the body is no next request
        finally:
            if isinstance(connection, Connection):
                connection.busy = False
        if request.path.rstrip("/") == OTLP_TRACES:
            return in_kind(response, request.headers.get("Content-Type", ""))
        return response

    return errors


def _refused(error: Exception, path: Path) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, web.HTTPNotFound):
        return not_found()
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return Refused(405, "method_not_allowed", f"use {allowed} for this path", Allow=allowed)
    if isinstance(error, web.HTTPException):
        return Refused(error.status, "bad_request", error.reason or "bad request")
    return unexpected(error, path)


async def _end_waiting(receiver: Receiver, receiving: Receiving) -> None:
    """End streams, and bodies that still arrive, which would delay a stop."""
    for task in list(receiver.streams):
        task.cancel()
    await receiving.stop()


async def _hide_server(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall("Server", None)


async def _expected(request: web.Request) -> web.StreamResponse | None:
    """Answer `Expect: 100-continue`; any other expectation is refused."""
    if request.headers.get("Expect", "").strip().lower() != "100-continue":
        detail = "the only expectation that is met is 100-continue; leave the Expect header out"
        return refusal(Refused(417, "expectation_failed", detail)).response
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # aiohttp counts what was written as part of the answer that is to come.
    request.writer.output_size = 0
    return None


async def _head(_: web.Request) -> web.Response:
    """Answers HEAD: Trello checks that the address exists before it creates a webhook."""
    return web.Response()


async def _handshake(request: web.Request) -> web.Response:
    """Answers CloudEvents' validation by OPTIONS. It permits nothing: each request still has to
    prove itself."""
    headers = {"Allow": "POST"}
    if origin := request.headers.get("WebHook-Request-Origin", "")[:253]:
        headers |= {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"}
    return web.Response(headers=headers)


async def _described(_: web.Request) -> web.Response:
    return answer(document())


def _alive(receiver: Receiver) -> Handler:
    async def alive(_: web.Request) -> web.Response:
        if not receiver.writer.alive:
            raise Refused(503, "dead", "the writer has ended; restart vs-tui and report its log")
        return answer({"status": "ok"})

    return alive


def _ready(receiver: Receiver) -> Handler:
    async def ready(_: web.Request) -> web.Response:
        if receiver.writer.trouble:
            # Everyone may ask; where our files lie is nobody's business.
            why = receiver.writer.trouble.replace(str(receiver.config.db), "the database")
            raise Refused(503, "not_ready", why, Retry_After="15")
        return answer({"status": "ready", **lag_of(receiver.writer)})

    return ready


def lag_of(writer: Writer) -> dict[str, float]:
    """How far the projection is behind the log, in seconds, if it is more than one."""
    lag = writer.lag
    seconds = {"lag_seconds": round(lag, 1)} if lag > LAG_SHOWN else {}
    return {"behind": writer.behind, **seconds}
