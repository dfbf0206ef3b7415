"""The small HTTP client of events, against servers of every manner; and where it sends."""

from __future__ import annotations

import re
import socket
import threading
import time

import pytest

from tests.patience import PATIENCE
from vs_tui import config
from vs_tui.cli import http_client
from vs_tui.cli.client import endpoint
from vs_tui.cli.common import CommandError
from vs_tui.cli.http_client import Address, Connection, HttpError, address, proxy
from vs_tui.cli.importing import Api
from vs_tui.cli.main import main
from vs_tui.cli.receiver_api import ReceiverApi
from vs_tui.log.recording import Delivery, format_line

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def request_on(connection: socket.socket) -> bytes:
    """A whole request: its head and its body may come one after the other."""
    found = b""
    while part := connection.recv(65_536):
        found += part
        head, end, body = found.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if end and len(body) >= int(length[1] if length else 0):
            break
    return found


def answering(*answers: bytes):
    """A server that gives these answers on one connection: (url, what it was sent)."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []

    def serve() -> None:
        with listener:
            connection, _ = listener.accept()
        with connection:  # the only one that it takes
            for answer in answers:
                seen.append(request_on(connection))
                for part in answer.split(b"|"):
                    connection.sendall(part)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/customhttp?x=1", seen


def posted(url: str, body: bytes = b"{}", times: int = 1, limit: float = PATIENCE):
    where = address(url)
    connection, sent = Connection(where), {"User-Agent": "vs-tui"}
    try:
        found = [
            connection.request("POST", where.path, sent, body, timeout=limit) for _ in range(times)
        ]
        pairs = [(each.status, each.body) for each in found]
        return pairs[0] if times == 1 else pairs
    finally:
        connection.close()


def test_a_request_is_plain_http():
    url, seen = answering(OK)

    assert posted(url, b'{"a": 1}') == (200, b"{}")
    head, _, body = seen[0].partition(b"\r\n\r\n")
    host = address(url).name
    assert head.decode().split("\r\n") == [
        "POST /customhttp?x=1 HTTP/1.1",
        f"Host: {host}",
        "Accept-Encoding: identity",
        "Content-Length: 8",
        "User-Agent: vs-tui",
    ]
    assert body == b'{"a": 1}'


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.0 200 OK\r\n\r\nto the |end", (200, b"to the end")),
        (b"HT|TP/1.1 503 Busy\r\nContent-|Length: 4\r\n|\r\nbu|sy", (503, b"busy")),
    ],
)
def test_answers_of_every_shape_are_read(answer, expected):
    assert posted(answering(answer)[0]) == expected


def test_a_proxy_is_asked_for_the_whole_address_and_gets_its_password():
    url, seen = answering(OK)
    where = address("http://git.example:8080/api?page=2")
    through = proxy(url.replace("http://", "http://ana:s%3Acret@").partition("/customhttp")[0])
    connection = Connection(where, through)

    assert connection.request("GET", where.path, {}, timeout=PATIENCE).status == 200
    assert seen[0].startswith(b"GET http://git.example:8080/api?page=2 HTTP/1.1\r\n")
    assert b"\r\nHost: git.example:8080\r\n" in seen[0]
    assert b"\r\nProxy-Authorization: Basic YW5hOnM6Y3JldA==" in seen[0]


def test_through_a_proxy_https_is_a_tunnel_of_which_it_sees_the_host_only():
    url, seen = answering(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    connection = Connection(address("https://git.example/api"), proxy(url.partition("/custom")[0]))

    with pytest.raises(HttpError, match="403 Forbidden"):
        connection.request("GET", "/api", {"Authorization": "Bearer s3cret"}, timeout=PATIENCE)
    assert seen[0].startswith(b"CONNECT git.example:443 HTTP/1.")
    assert b"s3cret" not in seen[0]


def test_a_proxy_of_another_kind_is_named_without_its_password():
    with pytest.raises(HttpError, match="the proxy 'proxy:1080' is not of the kind http://HOST"):
        proxy("socks5://ana:s3cret@proxy:1080")


def test_an_import_goes_through_the_proxy_of_the_environment(monkeypatch):
    url, seen = answering(OK)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", url.partition("/custom")[0])
    api = Api("http://git.example/api", {}, print)

    assert api.get("issues").value == {}
    assert seen[0].startswith(b"GET http://git.example/api/issues HTTP/1.1\r\n")


def test_the_url_of_events_leads_to_the_api_of_their_receiver():
    url, seen = answering(b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"items": [1]}')

    assert ReceiverApi(url, "s3cret").get("/api/teams") == {"items": [1]}
    assert seen[0].startswith(b"GET /api/teams HTTP/1.1\r\n")
    assert b"s3cret" not in seen[0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b'404 Not Found\r\nContent-Length: 18\r\n\r\n{"detail": "gone"}', "404: gone"),
        (b"404 Not Found\r\nContent-Length: 2\r\n\r\n<>", "not as a receiver does"),
        (b"200 OK\r\nContent-Length: 2\r\n\r\n[]", "not as a receiver does"),
        (b"403 Forbidden\r\nContent-Length: 2\r\n\r\n{}", "does not accept our token"),
    ],
)
def test_what_the_receiver_refuses_is_said(answer, said):
    url, _ = answering(b"HTTP/1.1 " + answer)

    with pytest.raises(CommandError, match=said):
        ReceiverApi(url, "s3cret").get("/api/spans/x")


def test_a_connection_is_used_again():
    url, seen = answering(OK, b"HTTP/1.1 201 Created\r\nConnection: close\r\n\r\nx")

    assert posted(url, times=2) == [(200, b"{}"), (201, b"x")]
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 abc\r\n\r\n", "does not speak HTTP"),
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "ended early"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "ended early"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, "more than 65536 bytes"),
    ],
)
def test_broken_answers_are_said(answer, hint):
    with pytest.raises(HttpError, match=hint):
        posted(answering(answer)[0])


def test_a_long_answer_is_read_to_the_limit_and_the_next_request_has_a_connection_of_its_own():
    url, _ = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n012345678")
    connection = Connection(address(url))

    found = connection.request("GET", "/", {}, timeout=PATIENCE, limit=4)

    assert found.body == b"0123"
    with pytest.raises(HttpError, match="refused"):  # that server takes one connection only
        connection.request("GET", "/", {}, timeout=PATIENCE)


@pytest.mark.parametrize("repeat", [True, False])
def test_a_request_on_a_connection_that_was_closed_is_sent_again_if_it_may_be(repeat):
    listener = socket.create_server(("127.0.0.1", 0))
    asked = []

    def serve() -> None:
        with listener:
            for _ in range(2):
                client, _ = listener.accept()
                with client:
                    asked.append(client.recv(65_536).split()[0])
                    client.sendall(OK)

    threading.Thread(target=serve, daemon=True).start()
    connection = Connection(Address(False, *listener.getsockname(), "/"))
    assert connection.request("GET", "/", {}, timeout=PATIENCE).status == 200
    if repeat:
        assert connection.request("GET", "/", {}, timeout=PATIENCE).status == 200
        assert asked == [b"GET", b"GET"]
    else:
        with pytest.raises((HttpError, OSError)):
            connection.request("POST", "/", {}, b"{}", timeout=PATIENCE, repeat=False)
    connection.close()


def test_a_silent_server_is_not_waited_for(silent):
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        posted(f"{silent}/customhttp", limit=0.3)

    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize(
    ("url", "name", "path"),
    [
        ("http://localhost:5000/customhttp", "localhost:5000", "/customhttp"),
        ("https://vs.acme.example", "vs.acme.example", "/"),
        ("HTTP://[::1]:5000/x?y=z", "[::1]:5000", "/x?y=z"),
        ("http://user:pass@host/customhttp", "host", "/customhttp"),
    ],
)
def test_addresses(url, name, path):
    where = address(url)
    assert (where.name, where.path, where.secure) == (name, path, url.startswith("https"))


@pytest.mark.parametrize(
    "url",
    ["localhost:5000", "ftp://x/", "http://", "http://h:99999/", "http://h/ü", "http://h/a b"],
)
def test_what_is_no_address_is_said(url):
    with pytest.raises(HttpError, match=f"'{url}' is not an address; set VS_URL"):
        address(url)


def test_what_is_no_address_is_said_without_its_password():
    with pytest.raises(HttpError, match="'host:x' is not an address"):
        address("http://user:pass@host:x")


@pytest.mark.parametrize(
    ("url", "env", "expected"),
    [
        ("http://h:5000", {}, "http://h:5000/customhttp"),
        ("http://h:5000/", {}, "http://h:5000/customhttp"),
        ("http://h/vs", {}, "http://h/vs/customhttp"),
        ("http://h/customhttp", {}, "http://h/customhttp"),
        ("http://h/customhttp?token=t", {}, "http://h/customhttp?token=t"),
        ("http://h/in", {"VS_CUSTOM_HTTP_EVENT_SOURCE_URL": "http://h/in"}, "http://h/in"),
        ("http://h", {"VS_CUSTOM_HTTP_EVENT_SOURCE_URL": "http://h"}, "http://h/customhttp"),
    ],
)
def test_where_events_go(url, env, expected):
    assert endpoint(url, env) == expected


@pytest.mark.parametrize("name", ["VS_TOKEN_FILE", "VS_CONFIG"])
def test_a_file_without_an_end_counts_as_empty(tmp_path, monkeypatch, name):
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    assert http_client.sender_settings({name: "/dev/zero"}).token == ""


CONFIG = '[server]\nhost = "::1"\nport = 7000\n'
SECRETS = 'token = "from the file"\n[customhttp]\nsecrets = ["s"]\n'


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"VS_URL": "http://h:1"},
        {"VS_URL": "http://h:1", "VS_TOKEN": "t"},
        {"VS_TOKEN_FILE": "FOLDER/token"},
        {"VS_ADDR": "0.0.0.0:8000"},
        {"VS_ADDR": "[::1]:8000"},
        {"EM_METRICS_TOKEN_AUTH": "em"},
        {"VS_CUSTOM_HTTP_EVENT_SOURCE_URL": "http://h/in"},
        {"VS_CUSTOM_HTTP_EVENT_SOURCE_SECRET": "sign"},
        {"VS_CONFIG": "FOLDER/config.toml"},
    ],
)
@pytest.mark.parametrize("files", [True, False])
def test_both_readers_of_the_settings_agree(tmp_path, monkeypatch, env, files):
    """The fast one for events, and the whole configuration."""
    for name in ("VS_URL", "VS_TOKEN", "VS_ADDR", "VS_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    (tmp_path / "token").write_text("out of a file\n")
    if files or "VS_CONFIG" in env:
        (tmp_path / "config.toml").write_text(CONFIG)
        (tmp_path / "secrets.toml").write_text(SECRETS)
    env = {name: value.replace("FOLDER", str(tmp_path)) for name, value in env.items()}

    whole = config.load(env=env)
    fast = http_client.sender_settings(env)

    host = f"[{whole.host}]" if ":" in whole.host else whole.host
    named = env.get("VS_URL") or env.get("VS_CUSTOM_HTTP_EVENT_SOURCE_URL")
    assert fast.url == (named or f"http://{host}:{whole.port}")
    assert fast.secret == env.get("VS_CUSTOM_HTTP_EVENT_SOURCE_SECRET", "")
    assert fast.withheld == bool(named and files and "VS_TOKEN" not in env)
    assert fast.token == ("" if fast.withheld else whole.secrets.token)


def test_blanks_around_a_variable_are_no_part_of_it(tmp_path, monkeypatch):
    """Secrets of a cluster often end with the line break of the file that they were made from."""
    env = {"VS_TOKEN": "t0ken\n", "VS_SECRET_GITHUB": " s3cret\r\n", "VS_URL": "http://h\n"}
    env["VS_CUSTOM_HTTP_EVENT_SOURCE_SECRET"] = "sign\n"
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    found = config.load(env=env).secrets
    assert (found.token, found.sources["github"]) == ("t0ken", ("s3cret",))
    assert http_client.sender_settings(env) == ("http://h", "t0ken", "sign", False)


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("http://localhost:5000", "from the file"),
        ("http://127.0.0.1:5000/customhttp", "from the file"),
        ("https://[::1]", "from the file"),
        ("http://127.evil.example", ""),
        ("http://localhost.evil.example", ""),
        ("http://127.0.0.1:5000@evil.example", ""),
        ("http://evil.example/#@localhost", ""),
        ("no address", ""),
    ],
)
def test_the_token_of_this_machine_stays_on_it(tmp_path, monkeypatch, url, token):
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    (tmp_path / "secrets.toml").write_text(SECRETS)

    found = http_client.sender_settings({"VS_URL": url})

    assert (found.token, found.withheld) == (token, not token)
    assert bool(found.refusal) is not bool(token)
    named = http_client.sender_settings({"VS_URL": url, "VS_TOKEN": "theirs"})
    assert (named.token, named.refusal) == ("theirs", "")


def test_another_machine_is_not_even_asked_without_its_token(tmp_path, monkeypatch, capsys):
    for name in ("VS_CONFIG_DIR", "VS_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("VS_TOKEN", raising=False)
    monkeypatch.setenv("VS_URL", "http://192.0.2.1:5000")
    (tmp_path / "secrets.toml").write_text(SECRETS)
    (tmp_path / "day.jsonl").write_bytes(
        format_line(Delivery(1_772_445_600_000_000, "/customhttp", b"{}", {}))
    )
    url = "http://192.0.2.1:5000"

    assert main(["event", "start"]) == 0
    told = [capsys.readouterr().err]
    for command in (
        ["link", "show", "x"],
        ["replay", str(tmp_path / "day.jsonl"), "--to", url],
        ["view", url],
    ):
        assert main(command) == 1
        told.append(capsys.readouterr().err)

    for text in told:
        assert "192.0.2.1:5000 is not this machine" in text
        assert "set VS_TOKEN" in text
    assert "1 event kept" in told[0]


@pytest.mark.parametrize("home", ["/home/ana", None])
def test_both_know_the_same_folder(monkeypatch, tmp_path, home):
    monkeypatch.delenv("VS_DATA_DIR", raising=False)
    if home:
        monkeypatch.setenv("HOME", home)
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    assert http_client.data_folder() == str(config.data_dir())


def test_a_broken_configuration_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    (tmp_path / "config.toml").write_text("[server\n")
    (tmp_path / "secrets.toml").write_bytes(b"\xff\xfe")

    assert http_client.sender_settings({}) == ("http://127.0.0.1:5000", "", "", False)
