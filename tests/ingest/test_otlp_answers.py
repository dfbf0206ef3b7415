"""What `/v1/traces` answers, in the encoding of the request."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.ingest.server import TOKEN, Server, nearby
from tests.patience import PATIENCE
from vs_tui.ingest.http_errors import status_message

SPAN = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "a"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with nearby(tmp_path_factory.mktemp("otlp")) as found:
        yield found


def send(server: Server, body: bytes, token: str = TOKEN) -> tuple[int, str, bytes]:
    request = urllib.request.Request(
        f"{server.url}/v1/traces",
        data=body,
        headers={"Content-Type": "application/x-protobuf", "Authorization": f"Bearer {token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def request_of(*spans: bytes) -> bytes:
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for number, span_id in enumerate(spans):
        span = scope.spans.add()
        span.trace_id = bytes.fromhex(SPAN["traceId"])
        span.span_id = span_id
        span.name = f"s{number}"
        span.start_time_unix_nano = 1772445600000000000
        span.end_time_unix_nano = 1772445600000000000
    return message.SerializeToString()


def test_success_is_an_export_response(server) -> None:
    status, content_type, body = send(server, request_of(bytes.fromhex(SPAN["spanId"])))
    assert (status, content_type, body) == (200, "application/x-protobuf", b"")


def test_what_was_rejected_is_counted(server) -> None:
    status, _, body = send(server, request_of(bytes.fromhex(SPAN["spanId"]), b"short"))
    message = ExportTraceServiceResponse()
    message.ParseFromString(body)
    assert status == 200
    assert message.partial_success.rejected_spans == 1
    assert "spanId" in message.partial_success.error_message


@pytest.mark.parametrize(
    ("token", "body", "status", "code"), [("wrong", b"", 401, 16), (TOKEN, b"\xff\xff", 400, 3)]
)
def test_an_error_is_a_status(server, token, body, status, code) -> None:
    found, content_type, answer = send(server, body, token)
    assert (found, content_type) == (status, "application/x-protobuf")
    assert answer[:2] == bytes((8, code))
    length = answer[3] if answer[3] < 128 else (answer[3] & 0x7F) | answer[4] << 7
    assert answer[-length:].decode().isprintable()


def test_json_is_answered_in_json(server) -> None:
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}]}]}
    status, answer = server.call("/v1/traces", json.loads(json.dumps(body)))
    assert status == 200 and answer["partialSuccess"] == {}
    assert json_format.Parse(
        json.dumps({"partialSuccess": answer["partialSuccess"]}), ExportTraceServiceResponse()
    )


def test_a_long_message_keeps_its_length() -> None:
    message = status_message(503, "x" * 300)
    assert message[:2] == b"\x08\x0e"
    assert message[2:5] == b"\x12\xac\x02" and len(message) == 305
