"""`vs-tui view --web`: nothing is served without the token, and then a dashboard comes."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys

import aiohttp
import aiohttp.web
import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.ingest.server import TOKEN, serving
from tests.patience import PATIENCE
from vs_tui.cli import web
from vs_tui.cli.common import CommandError
from vs_tui.cli.main import main

STATIC = "/static/js/textual.js"


@pytest.fixture
async def client():
    app = await web.build(f"{sys.executable} -c pass", lambda: TOKEN)
    async with TestClient(TestServer(app), cookie_jar=aiohttp.CookieJar(unsafe=True)) as found:
        yield found


@pytest.mark.parametrize("path", ["/", STATIC, "/static/", "/ws", "/download/1", "/nothing"])
async def test_nothing_without_the_token(client, path) -> None:
    for query in ("", "?token=wrong", "?token="):
        response = await client.get(path + query, allow_redirects=False)
        assert response.status == 401
        text = await response.text()
        assert 'type="password"' in text
        assert TOKEN not in text
        assert "googleapis" not in text
    response = await client.get(path, cookies={web.COOKIE: "guessed"})
    assert response.status == 401


async def test_the_token_in_the_address_becomes_a_cookie(client) -> None:
    response = await client.get(f"/?token={TOKEN}", allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (303, "/")
    cookie = response.cookies[web.COOKIE]
    assert cookie["httponly"] and cookie["samesite"] == "Strict"
    assert TOKEN not in cookie.value
    page = await client.get("/")
    assert page.status == 200
    text = await page.text()
    assert f"ws://{page.url.host}:{page.url.port}/ws" in text
    assert "xterm-helper-textarea" in text, "it takes keys without a click"
    assert "googleapis" not in text and "<svg" not in text
    assert "font-src 'self'" in page.headers["Content-Security-Policy"]
    assert (await client.get(STATIC)).status == 200


async def test_the_form(client) -> None:
    assert (await client.post("/login", data={"token": "wrong"})).status == 401
    assert (await client.post("/login")).status == 401
    response = await client.post("/login", data={"token": f" {TOKEN}\n"}, allow_redirects=False)
    assert response.status == 303
    assert (await client.get("/")).status == 200


async def test_a_rotation_ends_the_sessions_and_closes_their_tabs(monkeypatch) -> None:
    tokens = ["before"]
    spawn, started = asyncio.create_subprocess_shell, []

    async def spawned(*words: str, **more: object) -> asyncio.subprocess.Process:
        started.append(await spawn(*words, **more))
        return started[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_shell", spawned)
    app = await web.build(f"{sys.executable} -c pass", lambda: tokens[0])
    monkeypatch.setattr(web, "LOOK_SECONDS", 0.01)
    jar = aiohttp.CookieJar(unsafe=True)
    async with TestClient(TestServer(app), cookie_jar=jar) as client:
        await client.get("/?token=before")
        assert (await client.get("/")).status == 200
        tab = await client.ws_connect("/ws")
        tokens[0] = "after"
        while not tab.closed:
            await tab.receive(timeout=PATIENCE)
        assert (await client.get("/")).status == 401
        assert (await client.get("/?token=before", allow_redirects=False)).status == 401
        assert (await client.get("/?token=after", allow_redirects=False)).status == 303
        for process in started:  # else the loop ends before the dashboard of the tab
            await process.wait()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded; charset=nothing", b"token=x"),
        ("application/x-www-form-urlencoded; charset=utf-7", b"token=%ff%fe"),
        ("multipart/form-data", b"token"),
        ("multipart/form-data; boundary=a", b"--a\r\n\r\n"),
        ("application/x-www-form-urlencoded", b"token=" + b"\xff" * 40_000),
        ("text/plain; charset=\xff", b"\x00"),
    ],
)
async def test_an_odd_login_form_is_refused(client, kind, body) -> None:
    response = await client.post("/login", data=body, headers={"Content-Type": kind})
    assert response.status == 401
    assert 'type="password"' in await response.text()


async def test_half_a_request_is_not_waited_for(monkeypatch) -> None:
    monkeypatch.setattr(web, "HEAD_SECONDS", 0.2)
    app = await web.build(f"{sys.executable} -c pass", lambda: TOKEN)
    runner = aiohttp.web.AppRunner(app, access_log=None)
    await runner.setup()
    listening = await web._listen(runner, "127.0.0.1", 0)
    try:
        port = int(web._url(listening).rpartition(":")[2])
        for part in (b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n", b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(part)
            await asyncio.wait_for(reader.read(), PATIENCE)  # until it is closed
            assert reader.at_eof()
            writer.close()
    finally:
        listening.close()
        await runner.cleanup()


async def test_behind_https_the_cookie_and_the_links_are_secure(client) -> None:
    secure = {"X-Forwarded-Proto": "https"}
    response = await client.get(f"/?token={TOKEN}", allow_redirects=False, headers=secure)
    assert response.cookies[web.COOKIE]["secure"]
    value = response.cookies[web.COOKIE].value
    page = await client.get("/", headers={**secure, "Cookie": f"{web.COOKIE}={value}"})
    assert "wss://" in await page.text()


async def test_other_sites_and_too_many_tabs(client, monkeypatch) -> None:
    await client.get(f"/?token={TOKEN}")
    response = await client.get("/ws", headers={"Origin": "https://evil.example"})
    assert response.status == 403
    monkeypatch.setattr(web, "MAX_TABS", 0)
    assert (await client.get("/ws")).status == 503


def arguments(**values: object) -> argparse.Namespace:
    known = {"db": None, "config": None, "at": None, "theme": None, "ascii": None}
    return argparse.Namespace(**{**known, **values})


def test_the_token_is_not_in_the_command_of_a_tab() -> None:
    command, token = web.child_command(arguments(at="2h", theme="light"), f"http://:{TOKEN}@jump")
    assert token == TOKEN
    assert TOKEN not in command
    assert command.endswith("-m vs_tui view http://jump --at 2h --theme light")


@pytest.mark.parametrize("words", [[], ["--log"]], ids=["address", "option"])
def test_a_tab_reads_the_shared_log_that_was_named(words, tmp_path, monkeypatch) -> None:
    made = []

    async def serve(command: str, *_: object) -> int:
        made.append((command, os.environ.get("VS_LOG")))
        return 0

    monkeypatch.setattr(web, "_serve", serve)
    for name in ("VS_CONFIG_DIR", "VS_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("VS_LOG", "postgresql://elsewhere/log")
    monkeypatch.setenv("VS_TOKEN", TOKEN)
    assert main(["view", "--web", *words, "postgresql://ana:pw@db/vstui"]) == 0
    [(command, log)] = made
    assert log == "postgresql://ana:pw@db/vstui"
    assert command.endswith("-m vs_tui view"), "and no process list shows its password"


def test_a_hostile_path_stays_one_word() -> None:
    command, _ = web.child_command(arguments(db="a b; rm -rf /"), "a b; rm -rf /")
    assert command.endswith("view 'a b; rm -rf /'")


def test_without_the_extra_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "textual_serve.server", None)
    with pytest.raises(CommandError, match=r"pip install 'vs-tui\[web\]'"):
        web.serve(arguments(host=None, port=0), "")


async def test_a_dashboard_in_a_tab(tmp_path) -> None:
    with serving(tmp_path) as receiver:
        receiver.call("/customhttp", {"type": "build", "id": "w-1", "action": "start"})
        env = {**os.environ, "VS_CONFIG_DIR": str(tmp_path), "VS_DATA_DIR": str(tmp_path)}
        process = subprocess.Popen(
            [sys.executable, "-m", "vs_tui", "view", str(receiver.db), "--web", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=env,
        )
        try:
            assert process.stdout is not None
            url = (await asyncio.to_thread(process.stdout.readline)).split()[-1]
            seen = await first_words(url, ["w-1", "RUNNING"])
            assert "w-1" in seen
            assert TOKEN not in seen
        finally:
            process.terminate()
            assert process.wait(PATIENCE) == 0
            process.stdout.close()


async def first_words(url: str, words: list[str]) -> str:
    """What a tab is sent until all the words have come."""
    jar = aiohttp.CookieJar(unsafe=True)
    seen = ""
    async with aiohttp.ClientSession(cookie_jar=jar) as session, asyncio.timeout(PATIENCE):
        await session.get(f"{url}/?token={TOKEN}")
        async with session.ws_connect(f"{url}/ws?width=120&height=40") as socket:
            async for message in socket:
                if isinstance(message.data, bytes):
                    seen += message.data.decode("utf-8", "replace")
                if all(word in seen for word in words):
                    break
    return seen
