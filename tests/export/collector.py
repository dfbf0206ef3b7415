"""An OTLP collector that keeps what it is sent, parsed by the official messages."""

from __future__ import annotations

import gzip
from collections.abc import Callable

from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """Start it, send to `url`, read `spans`; `answers` are (status, headers) for the next calls."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.partial: ExportTraceServiceResponse | None = None
        self.partial_metrics: ExportMetricsServiceResponse | None = None
        self.tries = 0
        self.on_request: Callable[[], None] = lambda: None

    async def start(self, port: int = 0) -> None:
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/v1/traces", self._traces)
        app.router.add_post("/v1/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        await self._runner.cleanup()

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    async def _body(self, request: web.Request) -> bytes:
        self.tries += 1
        self.on_request()
        assert request.headers["Content-Encoding"] == "gzip"
        assert request.content_type == "application/x-protobuf"
        raw = await request.read()  # aiohttp has decompressed it
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw

    async def _traces(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        if self.answers:
            status, headers = self.answers.pop(0)
            return web.Response(status=status, headers=headers)
        message = ExportTraceServiceRequest()
        message.ParseFromString(body)
        self.requests.append(message)
        self.headers.append(dict(request.headers))
        answer = self.partial or ExportTraceServiceResponse()
        return web.Response(body=answer.SerializeToString(), content_type="application/x-protobuf")

    async def _metrics(self, request: web.Request) -> web.Response:
        message = ExportMetricsServiceRequest()
        message.ParseFromString(await self._body(request))
        self.metrics.append(message)
        answer = self.partial_metrics or ExportMetricsServiceResponse()
        return web.Response(body=answer.SerializeToString(), content_type="application/x-protobuf")
