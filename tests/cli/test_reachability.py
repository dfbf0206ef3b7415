"""The public URL in front of the receiver."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from vs_tui.cli.reachability import agent_url, find_public_url


@contextmanager
def agent(answer: bytes, status: int = 200, at: str = "/api/tunnels") -> Iterator[str]:
    """An ngrok agent's local API, with one resource."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == at
            self.send_response(status if found else 404)
            self.end_headers()
            self.wfile.write(answer if found else b'{"error_code":100,"status_code":404}')

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api"
    finally:
        server.shutdown()
        server.server_close()


def tunnels(*pairs: tuple[str, str]) -> bytes:
    listed = [{"public_url": url, "config": {"addr": addr}, "proto": "http"} for url, addr in pairs]
    return json.dumps({"tunnels": listed, "uri": "/api/tunnels"}).encode()


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ([("https://a.ngrok.app", "http://localhost:5000")], "https://a.ngrok.app"),
        ([("https://a.ngrok.app", "http://localhost:3000")], ""),
        ([("http://a.ngrok.app", "5000"), ("https://a.ngrok.app", "5000")], "https://a.ngrok.app"),
        ([("https://b.app", "localhost:3000"), ("https://a.app", "localhost:5000")], "https://a.app"),
        ([("", "http://localhost:5000")], ""),
        ([("tcp://1.tcp.ngrok.io:2", "localhost:5000")], ""),
        ([("https://b.app", "http://[bad"), ("https://a.app", "5000")], "https://a.app"),
        ([], ""),
    ],
)  # fmt: skip
def test_the_tunnel_to_our_port(listed, expected) -> None:
    with agent(tunnels(*listed)) as url:
        assert agent_url(5000, url) == expected


@pytest.mark.parametrize(
    "answer",
    [b"", b"no json", b"[]", b"{}", b'{"tunnels":[{"public_url":"https://x"}]}', b'{"tunnels":7}',
     b'{"tunnels":[{"public_url":"https://x","config":{"addr":"http://[bad"}}]}',
     b"\xff" * 400_000],
)  # fmt: skip
def test_another_program_on_the_agents_port(answer) -> None:
    with agent(answer) as url:
        assert agent_url(5000, url) == ""


def test_a_newer_agent_that_lists_endpoints_alone() -> None:
    def endpoint(name: str, url: str, upstream: str) -> dict[str, object]:
        return {"name": name, "url": url, "upstream": {"url": upstream, "protocol": "http1"}}

    listed = [
        endpoint("web", "https://b.ngrok.app", "http://localhost:3000"),
        endpoint("plain", "http://a.ngrok.app", "http://localhost:5000"),
        endpoint("hooks", "https://a.ngrok.app", "http://localhost:5000"),
        {"name": "no upstream", "url": "https://c.ngrok.app", "upstream": None},
    ]
    answer = json.dumps({"endpoints": listed, "uri": "/api/endpoints"}).encode()
    with agent(answer, at="/api/endpoints") as url:
        assert agent_url(5000, url) == "https://a.ngrok.app"
        assert agent_url(7000, url) == ""


def test_an_agent_that_is_silent_is_not_waited_for(monkeypatch) -> None:
    monkeypatch.setattr("vs_tui.cli.reachability.SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert agent_url(5000, f"http://127.0.0.1:{silent.getsockname()[1]}/api") == ""


def test_no_agent_and_a_failing_one() -> None:
    assert agent_url(5000, "http://127.0.0.1:1/api") == ""
    with agent(b"", 500) as url:
        assert agent_url(5000, url) == ""


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    with agent(tunnels(("https://a.app", "5000"))) as url:
        assert agent_url(5000, url) == "https://a.app"


async def test_what_is_configured_comes_first() -> None:
    assert await find_public_url("https://hooks.example", 5000) == "https://hooks.example"
