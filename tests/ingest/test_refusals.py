"""Bad input: each kind gets its status, a JSON error that says what to do, and shows in Events."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hmac
import http.client
import itertools
import json
import os
import re
import runpy
import socket
import sqlite3
import zlib
from urllib.parse import urlsplit

import pytest

from tests.ingest.bodies import zstd
from tests.ingest.server import SECRETS, TOKEN, Server, nearby, serving
from tests.patience import PATIENCE
from vs_tui.ingest import bodies

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
        ("/customhttp", b'{"type":"build","id":"1"}', "action"),
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


def test_readyz_does_not_tell_where_our_files_lie(tmp_path) -> None:
    with nearby(tmp_path) as server:
        server.db.rename(tmp_path / "elsewhere.db")

        def unready() -> str:
            status, answer = server.call("/readyz", token="")
            return answer["detail"] if status == 503 else ""

        detail = server.wait_for(unready, "that it is noticed")
        assert str(tmp_path) not in detail
        assert "the database" in detail


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
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
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
        {"Content-Encoding": "br"},
    ):
        status, answer = shared.call("/customhttp", START, headers)
        refused(shared, status, answer, 415, "send")


def test_gzip_is_read_and_broken_gzip_is_400(shared) -> None:
    headers = {"Content-Encoding": "gzip"}
    assert shared.call("/customhttp", gzip.compress(START), headers)[0] == 200
    assert shared.call("/customhttp", b"\x1f\x8bbroken", headers)[0] == 400


def test_without_its_package_zstd_is_415_and_the_others_are_named(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert runpy.run_path(bodies.__file__)["ENCODINGS"] == ("gzip", "x-gzip", "deflate")


@pytest.mark.parametrize("padding", [0, 50_000])
def test_a_compressed_body_is_whole_or_refused(shared, padding) -> None:
    """Without its checksum nobody knows whether the end of it is missing."""
    body = json.dumps({"type": "build", "id": "z", "action": "start", "x": "a" * padding}).encode()
    whole = gzip.compress(body)
    stream = zlib.compressobj(wbits=-15)
    bare = stream.compress(body) + stream.flush()
    packed = zstd(body)
    for encoding, sent, expected in (
        ("gzip", whole, 200),
        ("x-gzip", whole, 200),
        ("GZIP", gzip.compress(body[:20]) + gzip.compress(body[20:]), 200),
        ("deflate", zlib.compress(body), 200),
        ("deflate", bare, 200),
        ("gzip", whole[:-8], 400),
        ("gzip", whole[:-4], 400),
        ("gzip", whole[:-8] + bytes(8), 400),
        ("gzip", whole + b"more", 400),
        ("gzip", b"", 400),
        ("deflate", zlib.compress(body)[:-4], 400),
        ("deflate", bare[:-2], 400),
        ("deflate", zlib.compress(body) + b"more", 400),
        ("zstd", packed, 200),
        ("zstd", zstd(body[:20]) + zstd(body[20:]), 200),
        ("zstd", packed[:-2], 400),
        ("zstd", packed + b"more", 400),
        ("zstd", whole, 400),
        ("zstd", b"", 400),
        ("gzip", gzip.compress(b"") * 50 + whole, 200),
        ("zstd", zstd(b"") * 50 + packed, 200),
    ):
        status, answer = shared.call("/customhttp", sent, {"Content-Encoding": encoding})
        assert status == expected, (encoding, len(sent), answer)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_body_of_very_many_parts_is_refused_at_once(encoding) -> None:
    """The rest of the body is copied after each part: the time grew with the square of it."""
    part = {"gzip": gzip.compress(b""), "zstd": zstd(b"")}[encoding]
    pieces = bodies.decoded(encoding, part * 1_000)
    assert len(list(itertools.islice(pieces, bodies.MOST_PARTS))) == bodies.MOST_PARTS
    with pytest.raises(bodies.Broken, match="too many parts"):
        next(pieces)


@pytest.mark.parametrize(
    "body",
    [b"broken", gzip.compress(b"{}")[:-8], gzip.compress(b"{}")],
    ids=["broken", "cut", "whole"],  # gzip writes the time: bytes as an id differ between workers
)
@pytest.mark.parametrize("path", ["/nothing", "/customhttp"])
def test_after_a_refusal_the_connection_goes_on_or_says_that_it_ends(shared, path, body) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
    head += f"Authorization: {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
    again = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    host, _, port = shared.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as line:
        line.sendall(head.encode() + body + again)
        answers = b"".join(iter(lambda: line.recv(65_536), b""))
    first, _, rest = answers.partition(b"\r\n\r\n")
    assert first.startswith((b"HTTP/1.1 40", b"HTTP/1.1 20"))
    assert b"connection: close" in first.lower() or b'"status":"ok"' in rest


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate"])
def test_a_body_without_a_proof_yet_grows_little(shared, encoding) -> None:
    """The signature of a stranger's 24 KB would be that of 24 MiB."""
    pack = {"gzip": gzip.compress, "zstd": zstd, "deflate": zlib.compress}[encoding]
    headers = {"X-Hub-Signature-256": f"sha256={64 * '0'}", "X-GitHub-Event": "ping"}
    headers["Content-Encoding"] = encoding
    status, answer = shared.call("/github", pack(b" " * 24 * 1024 * 1024), headers)
    assert (status, answer["detail"]) == (413, "the body is larger than 50 times its packed size")
    pieces = bodies.decoded(encoding, pack(b" " * 1024 * 1024), 1_000)
    assert {len(piece) for piece in itertools.islice(pieces, 100)} <= set(range(1_001))


def test_a_signed_body_may_be_compressed(shared) -> None:
    body = json.dumps({"type": "build", "id": "packed", "action": "start"}).encode()
    for secret, expected in ((SECRETS["customhttp"], 200), ("wrong", 401)):
        mac = hmac.new(secret.encode(), body, "sha256").hexdigest()
        headers = {"Content-Encoding": "gzip", "X-VS-Signature": mac, "Authorization": ""}
        assert shared.call("/customhttp", gzip.compress(body), headers)[0] == expected


def test_a_gzip_bomb_is_413(shared) -> None:
    bomb = gzip.compress(b"0" * (60 * 1024 * 1024))
    assert shared.call("/customhttp", bomb, {"Content-Encoding": "gzip"})[0] == 413


def test_paths_and_methods(shared) -> None:
    status, answer = shared.call("/nope/<script>")
    refused(shared, status, answer, 404, "openapi.json lists all paths")
    assert "script" not in str(answer)
    status, answer = shared.call("/customhttp", method="GET")
    refused(shared, status, answer, 405, "POST")
    assert shared.call("/trello", method="HEAD", token="")[0] == 200
    assert shared.call("/healthz", token="")[0] == 200
    assert shared.call("/readyz", token="") == (200, {"status": "ready", "behind": 0})


def test_a_page_in_a_browser_cannot_post(shared) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        status, answer = shared.call("/customhttp", START, headers)
        refused(shared, status, answer, 403, "web pages")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:5000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/customhttp", "/github", "/deployments", "/api/links"])
def test_no_page_posts_even_with_the_token(shared, headers, path) -> None:
    assert shared.call(path, START, headers)[0] == 403


def test_no_page_may_read_what_it_asks_for(shared) -> None:
    """Without Access-Control-* a browser keeps answers from a page of another origin, and asks
    nothing that needs a header, as the token does."""
    for method in ("OPTIONS", "GET", "POST"):
        headers, _ = answered(
            shared,
            f"{method} /api/spans HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\n"
            "Access-Control-Request-Headers: authorization\r\nContent-Length: 0\r\n\r\n",
        )
        assert b"access-control" not in headers.lower(), method


def answered(server: Server, request: str) -> tuple[bytes, bytes]:
    """(status line and headers, body), as they came."""
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as connection:
        connection.sendall(request.encode("latin-1"))
        got = b""
        while not got.endswith(b"}"):
            piece = connection.recv(65_536)
            if not piece:
                break
            got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    return head, body


UNKNOWN = (
    "/", "/admin", "/.env", "/.git/config", "/api", "/api/", "/api/spans/", "/api/v1",
    "/api/v2/spans", "/github/x", "/%00", "/%2e%2e/%2e%2e/etc/passwd", "/docs",
    "/canary-echo?x=canary", "/metrics/canary", "/debug/pprof", "/replay", "/-/reload",
    "/openapi.yaml", "/static/x.js",
)  # fmt: skip


def test_unknown_paths_have_one_constant_answer(shared) -> None:
    """With and without the token, by any method: nothing tells the paths apart."""
    seen = set()
    for path in UNKNOWN:
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            for token in ("", TOKEN):
                status, answer = shared.call(path, method=method, token=token)
                answer.pop("request_id")
                seen.add((status, json.dumps(answer)))
    assert len(seen) == 1, seen
    ((status, text),) = seen
    assert status == 404
    assert "canary" not in text


def test_no_answer_says_which_server_it_is(shared) -> None:
    for request in (
        "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /api/spans HTTP/1.1\r\nHost: x\r\n\r\n",
        "PUT /customhttp HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "NONSENSE\r\n\r\n",
        "POST /github HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET /healthz HTTP/9.9\r\n\r\n",
    ):
        head, body = answered(shared, request)
        assert head.startswith(b"HTTP/1."), request
        assert b"server:" not in head.lower(), request
        for word in (b"python", b"aiohttp", b"traceback"):
            assert word not in (head + body).lower(), request


def test_only_health_is_open_to_all(shared) -> None:
    described = shared.call("/openapi.json")[1]["paths"]
    for path, methods in described.items():
        sample = re.sub(r"\{\w+\}", "7", path)
        for method in methods:
            status, answer = shared.call(sample, b"{}" if method == "post" else None, token="")
            assert (status == 401) is (path not in ("/healthz", "/readyz")), (path, answer)


def test_reading_changes_nothing(server) -> None:
    server.call("/customhttp", START)
    server.call("/customhttp", b"{")
    refused = "/api/deliveries?filter=verdict:rejected"
    server.wait_for(lambda: server.call(refused)[1]["items"], "the refusal")

    def stored() -> list[str]:
        with contextlib.closing(sqlite3.connect(server.db)) as database:
            return list(database.iterdump())

    before = stored()
    (span,) = server.spans()
    described = server.call("/openapi.json")[1]["paths"]
    asked = 0
    for path, methods in described.items():
        if "get" not in methods or path == "/api/stream":
            continue
        for value in (span["span_id"], span["trace_id"], "1", "-1"):
            filled = re.sub(r"\{\w+\}", value, path)
            for method in ("GET", "HEAD"):
                status, _ = server.call(filled, method=method)
                assert status in (200, 400, 404), (method, filled)
                asked += 1
    assert asked > 100
    assert stored() == before


def test_a_refusal_can_be_found_again_by_its_id(server) -> None:
    _, answer = server.call("/customhttp", b'{"type":"build","id":"1"}')
    assert len(answer["request_id"]) == 12
    _, other = server.call("/customhttp", b"{")
    assert other["request_id"] != answer["request_id"]
    refused = "/api/deliveries?filter=verdict:rejected"
    items = server.wait_for(lambda: server.call(refused)[1]["items"][1:], "refusals in Events")
    _, detail = server.call(f"/api/deliveries/{items[-1]['id']}")
    assert detail["headers"]["x-request-id"] == answer["request_id"]


BAD: tuple[tuple[str, str], ...] = (
    ("malformed", "NONSENSE\r\n\r\n"),
    ("two lengths", "POST /github HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
    ("a NUL in a header", "GET / HTTP/1.1\r\nX: a\0b\r\n\r\n"),
    ("an ESC in the path", "GET /\x1b]0;owned\x07 HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a line break in the query", "GET /x?a=%0d%0aERROR%20forged HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("no proof", "POST /customhttp HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"),
    (
        "bad gzip",
        f"POST /customhttp HTTP/1.1\r\nAuthorization: {TOKEN}\r\nContent-Encoding: gzip\r\n"
        "Content-Length: 4\r\n\r\n\x1f\x8bxx",
    ),
    (
        "half a body",
        f"POST /customhttp HTTP/1.1\r\nAuthorization: {TOKEN}\r\nContent-Length: 99\r\n\r\n{{",
    ),
    ("a long line", f"GET /{'x' * 9_000} HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("many headers", "GET / HTTP/1.1\r\n" + "X: y\r\n" * 300 + "\r\n"),
)


def test_a_thousand_bad_requests_are_few_lines_of_log(tmp_path) -> None:
    """Half of the senders hang up at once, so that answers fail as well."""
    os.environ["VS_LOG_FORMAT"] = "json"
    try:
        server = Server(tmp_path)
    finally:
        del os.environ["VS_LOG_FORMAT"]
    parts = urlsplit(server.url)
    for number in range(1_000):
        _, request = BAD[number % len(BAD)]
        with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as connection:
            connection.sendall(request.encode("latin-1"))
            if number % 20 < 10 and request.count("Content-Length: 99") == 0:
                connection.recv(65_536)
    assert server.call("/healthz", token="")[0] == 200
    server.process.terminate()
    _, errors = server.process.communicate(timeout=PATIENCE)
    lines = errors.splitlines()
    assert len(lines) < 20, lines[:20]
    for line in lines:
        entry = json.loads(line)
        assert entry["level"] in ("info", "warning", "error")
    assert "listening" in errors, "it does log"
    assert "forged" not in errors
    assert not re.search("[\x1b\x07\0]", errors)


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
    server.call("/customhttp", b'{"type":"build","id":"1"}')

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
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as connection:
        connection.sendall(raw)
        answer = connection.recv(4096)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), answer[:80]
    assert shared.call("/healthz", token="")[0] == 200


def test_metrics_keep_valuestreams_names(shared) -> None:
    shared.call("/customhttp", {"type": "job", "id": "m", "action": "start"})
    shared.call("/customhttp", {"type": "job", "id": "m", "action": "end", "error": True})
    shared.call("/api/counts")  # waits for folding, which a scrape does not
    _, text = shared.call("/metrics")
    assert 'webhooks_event_start_total{event_source="custom_http",event_type="job"} 1.0' in text
    assert (
        'webhooks_event_end_total{error="true",event_source="custom_http",event_type="job"} 1.0'
        in text
    )
    assert "traces_stores_buffered_spans_total" in text
    assert "webhooks_event_duration_bucket" in text


def test_a_lagging_reader_of_the_stream_is_no_error(tmp_path) -> None:
    """It is sent more than it reads, then its line breaks in the middle of a message."""
    with serving(tmp_path) as server:
        host, _, port = server.url.removeprefix("http://").rpartition(":")
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        line.connect((host, int(port)))
        line.sendall(
            f"GET /api/stream HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\n\r\n".encode()
        )
        line.recv(1)
        text = {f"t{n}": "v" * 1_900 for n in range(90)}
        for number in range(60):
            body = {"type": "build", "id": str(number), "action": "start", "tags": text}
            assert server.call("/customhttp", body)[0] == 200
            server.call("/api/counts")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        line.close()
        assert server.call("/healthz")[0] == 200
        server.process.terminate()
        _, said = server.process.communicate(timeout=PATIENCE)
    assert "ERROR" not in said, said
