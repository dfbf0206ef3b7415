"""Without authentication: this machine and its network only, unless more is said in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ingest.server import Server, nearby, run
from vs_tui.cli import reachability
from vs_tui.cli.common import CommandError
from vs_tui.cli.reachability import refuse_open
from vs_tui.config import Config, ConfigError, load

START = b'{"type":"build","id":"1","action":"start"}'
OPEN = Config(no_auth=True, port=5000)


@pytest.fixture
def no_agent(monkeypatch) -> None:
    monkeypatch.setattr(reachability, "agent_url", lambda _: "")


@pytest.mark.parametrize(
    "config",
    [
        replace(OPEN, public_url="https://hooks.example"),
        replace(OPEN, public_url="https://user:canary@hooks.example"),
        replace(OPEN, host="0.0.0.0"),
        replace(OPEN, host="::"),
        replace(OPEN, host="192.0.2.7"),
        replace(OPEN, host=""),
    ],
)
def test_open_to_others_is_refused_unless_it_is_said(no_agent, config) -> None:
    with pytest.raises(CommandError, match="--no-auth-public") as refusal:
        refuse_open(config)
    assert "canary" not in str(refusal.value)
    refuse_open(replace(config, no_auth_public=True))
    refuse_open(replace(config, no_auth=False))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_open_on_this_machine_is_allowed(no_agent, host) -> None:
    refuse_open(replace(OPEN, host=host))


def test_a_running_tunnel_counts_as_a_public_url(monkeypatch) -> None:
    monkeypatch.setattr(reachability, "agent_url", lambda port: f"https://x.example/{port}")
    with pytest.raises(CommandError, match=r"https://x\.example/5000"):
        refuse_open(OPEN)
    refuse_open(replace(OPEN, no_auth_public=True))
    refuse_open(replace(OPEN, no_auth=False))


@pytest.mark.parametrize(
    ("value", "found"),
    [("public", (True, True)), ("1", (True, False)), ("0", (False, False)), ("", (False, False))],
)
def test_the_variable(tmp_path, monkeypatch, value, found) -> None:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    config = load(env={"VS_NO_AUTH": value})
    assert (config.no_auth, config.no_auth_public) == found


def test_the_setting_and_a_word_that_is_none(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    (tmp_path / "config.toml").write_text("[server]\nno_auth_public = true\n")
    config = load(env={})
    assert (config.no_auth, config.no_auth_public) == (True, True)
    with pytest.raises(ConfigError, match="write 1, 0 or public"):
        load(env={"VS_NO_AUTH": "maybe"})


def test_serve_does_not_start_open_on_every_address(tmp_path) -> None:
    done = run(tmp_path, "serve", "--port", "0", "--no-auth", "--host", "0.0.0.0")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "--no-auth-public" in done.stderr
    assert not list(tmp_path.glob("*.db*")), "it stopped before it made anything"


FROM_AFAR = (
    {"X-Forwarded-For": "203.0.113.7"},
    {"Forwarded": "for=203.0.113.7"},
    {"X-Forwarded-Proto": "https"},
    {"CF-Connecting-IP": "203.0.113.7"},
    {"Via": "1.1 proxy"},
    {"Host": "abc.ngrok.app"},
    {"Host": "rebound.evil.example:5000"},
    {"Host": "127.0.0.1.evil.example"},
)
NEARBY = ({}, {"Host": "localhost:5000"}, {"Host": "[::1]:5000"}, {"Host": "receiver"})


def statuses(server: Server, headers: dict[str, str]) -> tuple[int, int]:
    """Of a delivery and of a reader, both without a token."""
    return (
        server.call("/customhttp", START, headers, token="")[0],
        server.call("/api/spans", None, headers, token="")[0],
    )


def test_an_open_receiver_answers_nobody_from_afar(tmp_path) -> None:
    with nearby(tmp_path, no_auth=True) as server:
        for headers in NEARBY:
            assert statuses(server, headers) == (200, 200), headers
        for headers in FROM_AFAR:
            assert statuses(server, headers) == (403, 403), headers
        status, answer = server.call("/metrics", None, FROM_AFAR[0], token="")
        assert status == 403
        assert "--no-auth-public" in answer["detail"]


def test_it_does_when_that_is_wanted(tmp_path) -> None:
    with nearby(tmp_path, no_auth=True, no_auth_public=True, host="0.0.0.0") as server:
        for headers in (*NEARBY, *FROM_AFAR):
            assert statuses(server, headers) == (200, 200), headers


def test_with_authentication_a_proxy_is_welcome(tmp_path) -> None:
    with nearby(tmp_path) as server:
        for headers in FROM_AFAR:
            assert server.call("/customhttp", START, headers)[0] == 200, headers
            assert statuses(server, headers) == (401, 401)
