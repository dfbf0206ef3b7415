"""Bad input: each kind gets its status, a JSON error that says what to do, and shows in Events."""

from __future__ import annotations

import base64
import gzip
import http.client
import socket
from urllib.parse import urlsplit

import pytest

from tests.receiver.server import TOKEN, Server

START = b'{"type":"build","id":"1","action":"start"}'


def refused(server: Server, status: int, answer: object, code: int, detail: str) -> None:
    assert status == code, answer
    assert isinstance(answer, dict)
    assert answer["error"]
    assert detail in answer["detail"], answer


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("/customhttp", b"not json", "is not JSON"),
        ("/customhttp", b"[" * 100_000, "is not JSON"),
        ("/customhttp", b'"text"', "must be a JSON object"),
        ("/customhttp", b'{"id":"1","action":"start"}', "type"),
        ("/customhttp", b'{"type":"build","action":"start"}', "id"),
        ("/customhttp", b'{"type":"build","id":"1","action":"jump"}', "action"),
        (
            "/customhttp",
            b'{"type":"build","id":"1","action":"end","timestamp":"soon"}',
            "timestamp",
        ),
        ("/github", b"{", "is not JSON"),
    ],
)
def test_what_breaks_the_schema_is_400_and_names_the_field(shared, path, body, detail) -> None:
    status, answer = shared.call(path, body, {"X-GitHub-Event": "issues"})
    refused(shared, status, answer, 400, detail)


def test_wrong_and_missing_tokens_are_401(shared) -> None:
    for token in ("", "wrong", TOKEN + "x", TOKEN[:-1]):
        status, answer = shared.call("/customhttp", START, token=token)
        refused(shared, status, answer, 401, "token")
        assert TOKEN not in str(answer)
    status, answer = shared.call("/api/spans", token="")
    refused(shared, status, answer, 401, "Authorization")


@pytest.mark.parametrize(
    "value",
    [
        TOKEN,
        f"Bearer {TOKEN}",
        f"token {TOKEN}",
        "Basic " + base64.b64encode(f"any:{TOKEN}".encode()).decode(),
        "Basic " + base64.b64encode(f"{TOKEN}:".encode()).decode(),
    ],
)
def test_every_form_of_the_token_is_accepted(shared, value) -> None:
    assert shared.call("/customhttp", START, {"Authorization": value})[0] == 200


def test_the_token_in_the_url_is_for_receiving_only(shared) -> None:
    assert shared.call(f"/jenkins?token={TOKEN}", b'{"configFile":"x"}', token="")[0] == 200
    assert shared.call(f"/github?token={TOKEN}", START, token="")[0] == 401
    assert shared.call(f"/api/spans?token={TOKEN}", token="")[0] == 401


def test_too_large_is_413_before_the_body_is_read(shared) -> None:
    parts = urlsplit(shared.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.putrequest("POST", "/customhttp")
    connection.putheader("Authorization", f"Bearer {TOKEN}")
    connection.putheader("Content-Length", str(26 * 1024 * 1024))
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 413
    assert b"25 MiB" in response.read()
    connection.close()


def test_a_body_of_24_mib_is_taken(shared) -> None:
    body = b'{"type":"build","id":"big","action":"start","x":"' + b"a" * (24 * 1024 * 1024) + b'"}'
    assert shared.call("/customhttp", body)[0] == 200


def test_other_types_and_encodings_are_415(shared) -> None:
    for headers in (
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/xml"},
        {"Content-Encoding": "compress"},
    ):
        status, answer = shared.call("/customhttp", START, headers)
        refused(shared, status, answer, 415, "send")


def test_gzip_is_read_and_broken_gzip_is_400(shared) -> None:
    headers = {"Content-Encoding": "gzip"}
    assert shared.call("/customhttp", gzip.compress(START), headers)[0] == 200
    assert shared.call("/customhttp", b"\x1f\x8bbroken", headers)[0] == 400


def test_a_gzip_bomb_is_413(shared) -> None:
    bomb = gzip.compress(b"0" * (60 * 1024 * 1024))
    assert shared.call("/customhttp", bomb, {"Content-Encoding": "gzip"})[0] == 413


def test_paths_and_methods(shared) -> None:
    status, answer = shared.call("/nope/<script>")
    refused(shared, status, answer, 404, "nothing at this path")
    assert "script" not in str(answer)
    status, answer = shared.call("/customhttp", method="GET")
    refused(shared, status, answer, 405, "POST")
    assert shared.call("/trello", method="HEAD", token="")[0] == 200
    assert shared.call("/healthz", token="")[0] == 200
    assert shared.call("/readyz", token="") == (200, {"status": "ready"})


def test_a_page_in_a_browser_cannot_post(shared) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        status, answer = shared.call("/customhttp", START, headers)
        refused(shared, status, answer, 403, "web pages")


def test_unknown_events_of_a_known_tool_are_2xx_and_kept(shared) -> None:
    status, answer = shared.call("/github", {"zen": "x"}, {"X-GitHub-Event": "brand_new_event"})
    assert (status, answer["verdict"]) == (200, "ignored")


def test_what_cannot_be_read_is_quarantined_with_2xx(shared) -> None:
    status, answer = shared.call("/github", {"action": "opened"}, {"X-GitHub-Event": "issues"})
    assert (status, answer["verdict"]) == (200, "quarantined")
    assert answer["reason"]


def test_refusals_show_in_events_with_the_reason_and_without_secrets(server) -> None:
    server.call("/customhttp", b"not json")
    server.call("/customhttp", START, token="wrong-token-value")
    server.call("/customhttp", b'{"type":"build","id":"1","action":"jump"}')

    def rejected() -> list[dict]:
        _, body = server.call("/api/deliveries?filter=verdict:rejected")
        return body["items"] if len(body["items"]) == 3 else []

    items = server.wait_for(rejected, "three refusals in Events")
    assert [item["status"] for item in items] == [400, 401, 400]
    assert "action" in items[0]["reason"]
    assert "wrong-token-value" not in str(items)
    _, sources = server.call("/api/sources")
    (health,) = sources["items"]
    assert health["counts"] == {"rejected": 3}


def test_bad_filters_and_limits_are_400(shared) -> None:
    for path in ("/api/spans?filter=stat:x", "/api/spans?limit=0", "/api/spans?sort=color"):
        assert shared.call(path)[0] == 400


SMUGGLING = [
    b"POST /customhttp HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /customhttp HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /customhttp HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
    b"POST /customhttp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    b"NONSENSE\r\n\r\n",
]


@pytest.mark.parametrize("raw", SMUGGLING)
def test_smuggled_requests_are_400_and_the_server_lives(shared, raw) -> None:
    parts = urlsplit(shared.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(raw)
        answer = connection.recv(4096)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), answer[:80]
    assert shared.call("/healthz", token="")[0] == 200


def test_metrics_keep_valuestreams_names(shared) -> None:
    shared.call("/customhttp", {"type": "job", "id": "m", "action": "start"})
    shared.call("/customhttp", {"type": "job", "id": "m", "action": "end", "error": True})
    _, text = shared.call("/metrics")
    assert 'webhooks_event_start_total{event_source="customhttp",event_type="job"} 1.0' in text
    assert (
        'webhooks_event_end_total{error="true",event_source="customhttp",event_type="job"} 1.0'
        in text
    )
    assert "traces_stores_buffered_spans_total" in text
    assert "webhooks_event_duration_bucket" in text
