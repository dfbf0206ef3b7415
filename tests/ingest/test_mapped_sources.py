"""Mapped sources and presets over HTTP: closed by default, read in another process when large,
hostile bodies answered without a 5xx; requests to unknown paths are seen."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import pytest

from tests.ingest.server import Server, serving
from tests.sources.test_mapped import TEN_LINES, deploy
from tests.sources.test_presets import inbounds
from vs_tui.sources.mapped import presets

SECRET = "shipit-secret-0123456789"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("mapped")
    config = folder / "mapped.toml"
    signed = (
        'shipit]\nsignature = {header = "X-Sign", prefix = "sha256="}\ndelivery_header = "X-Id"'
    )
    config.write_text(TEN_LINES.replace("shipit]", signed, 1))
    env = {"VS_SECRET_SHIPIT": SECRET, "VS_SECRET_VERCEL": SECRET}
    with serving(folder, "--config", str(config), env=env) as found:
        yield found


def sign(body: bytes) -> dict[str, str]:
    return {"X-Sign": "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}


def raw(status: str, **more: object) -> bytes:
    return json.dumps({**deploy(status), **more}).encode()


def test_a_configured_source_takes_its_signature_or_the_token(server: Server) -> None:
    body = raw("running")
    status, answer = server.call("/shipit", body, sign(body), token="")
    assert (status, answer["verdict"]) == (200, "accepted")
    assert answer["spans"] == ["vstrace-shipit-deploy-7"]
    status, answer = server.call("/shipit", raw("failed"))
    assert (status, answer["verdict"]) == (200, "accepted")
    span = server.call("/api/spans/vstrace-shipit-deploy-7")[1]
    assert (span["status"], span["name"]) == ("error", "cart to production")


def test_it_is_closed_by_default(server: Server) -> None:
    body = raw("done")
    for headers in ({}, {"X-Sign": "sha256=00"}, sign(body + b" ")):
        status, answer = server.call("/shipit", body, headers, token="")
        assert status == 401
        assert "vs-tui secret show shipit" in answer["detail"]
        assert SECRET not in str(answer)
    assert server.call("/datadog", body, token="")[0] == 401
    status, answer = server.call("/vercel", body, {"X-Vercel-Signature": "00"})
    assert status == 401
    assert (
        "Vercel shows the secret; it belongs into secrets.toml, under [vercel]" in answer["detail"]
    )


def test_a_retry_with_the_senders_delivery_id_is_a_duplicate(server: Server) -> None:
    first, other = raw("done", n=1), raw("done", n=2)
    verdicts = [
        server.call("/shipit", body, {**sign(body), "X-Id": "d-1"}, token="")[1]["verdict"]
        for body in (first, first, other)
    ]
    assert verdicts == ["accepted", "duplicate", "accepted"], "another body is no retry"


def test_a_large_body_is_read_in_a_process_that_has_no_configuration(server: Server) -> None:
    body = raw("done", pad="x" * 1_200_000, deploy={"id": 8, "status": "done"})
    status, answer = server.call("/shipit", body, sign(body), token="")
    assert (status, answer["verdict"]) == (200, "accepted")
    assert answer["spans"] == ["vstrace-shipit-deploy-8"]


@pytest.mark.parametrize("name", sorted(presets()))
def test_presets_are_on_at_their_path(server: Server, name) -> None:
    for inbound in inbounds(name):
        status, answer = server.call(inbound.path, inbound.body, inbound.headers)
        assert (status, answer["verdict"]) == (200, "accepted")
        assert answer["spans"][0].startswith(f"vstrace-{name}-")


@pytest.mark.parametrize("path", ["/shipit", "/opsgenie", "/aws"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"7",
        b'"\xff"',
        b"[" * 100_000,
        b"[" * 900 + b"]" * 900,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b'{"detail-type": [], "source": {}, "detail": "x", "alert": [], "action": {}}',
        b'{"type": "deploy", "deploy": {"id": ' + b"9" * 400 + b', "status": "done"}}',
    ],
)
def test_hostile_bodies_are_never_a_5xx(server: Server, path, body) -> None:
    status, _ = server.call(path, body, method="POST")
    assert status in (200, 400)


def test_the_delivery_keeps_headers_that_matter_and_no_proof(server: Server) -> None:
    body = raw("done", n="kept")
    server.call("/shipit", body, {**sign(body), "X-Id": "d-2"}, token="")
    newest = server.call("/api/deliveries?limit=1")[1]["items"][0]
    detail = server.call(f"/api/deliveries/{newest['id']}")[1]
    assert detail["headers"]["x-id"] == "d-2"
    assert "x-sign" not in detail["headers"]


def unknown(server: Server) -> list[dict]:
    rows = server.call("/api/deliveries?limit=500")[1]["items"]
    return [row for row in rows if row["source"] == "unknown"]


def test_a_request_to_an_unknown_path_is_seen_in_events(server: Server) -> None:
    headers = {"User-Agent": "Shippy-Hookshot/1.0"}
    for _ in range(3):
        status, answer = server.call(f"/shippit/{SECRET}?token=abc", b"{}", headers, token="")
        assert (status, answer["error"]) == (404, "not_found")
        assert "shippit" not in str(answer)
    row = server.wait_for(lambda: (unknown(server) or [None])[0], "that it is listed")
    assert (row["verdict"], row["status"]) == ("rejected", 404)
    detail = server.wait_for(
        lambda: (d := server.call(f"/api/deliveries/{row['id']}")[1])["duplicates"] == 2 and d,
        "that repeats are counted",
    )
    assert detail["path"] == "/shippit/(secret)"
    assert detail["headers"]["user-agent"] == "Shippy-Hookshot/1.0"
    assert "source list" in detail["reason"]
    assert SECRET not in str(detail)
    assert server.call("/favicon.ico", token="")[0] == 404
    assert len(unknown(server)) == 1


def test_a_scanner_leaves_room_for_what_tools_were_refused(server: Server) -> None:
    server.call("/shipit", raw("done"), {"X-Sign": "sha256=00"}, token="")
    for n in range(150):
        server.call(f"/scan/{n}", b"{}", token="")

    def counted() -> bool:
        text = server.call("/metrics")[1]
        line = next(line for line in text.splitlines() if 'source="unknown"' in line)
        return float(line.rpartition(" ")[2]) >= 150

    server.wait_for(counted, "that all are counted")
    assert 0 < len(unknown(server)) <= 100
    rows = server.call("/api/deliveries?limit=500")[1]["items"]
    assert any(row["source"] == "shipit" and row["verdict"] == "rejected" for row in rows)
