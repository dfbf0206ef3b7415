"""A stored delivery is sent once more: the proof goes to our own receiver and nowhere else."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.ingest.inside import receiving
from tests.ingest.server import TOKEN, Server
from vs_tui.api import remote
from vs_tui.api.remote import resend
from vs_tui.model.vocabulary import Verdict
from vs_tui.store.queries.reader_protocol import DeliveryDetail, DeliveryRow


def detail(body: bytes, path: str = "/customhttp") -> DeliveryDetail:
    row = DeliveryRow(1, "customhttp", "x", 0, Verdict.REJECTED, "", len(body), 0, 400)
    headers = {"content-type": "application/json", "content-length": "9999"}
    return DeliveryDetail(row, path, headers, body, "", "", ())


START = json.dumps({"type": "build", "id": "resend-1", "action": "start"}).encode()


async def test_to_our_own_receiver(shared: Server) -> None:
    assert (
        await resend(detail(START), "", shared.url, TOKEN) == "this receiver answered 200 accepted"
    )
    again = await resend(detail(START), "", shared.url, TOKEN)
    assert again.startswith("this receiver answered 200 duplicate")
    broken = await resend(detail(b'{"type":'), "", shared.url, TOKEN)
    assert broken.startswith("this receiver answered 400 bad_request: body")


async def test_a_token_in_the_address(shared: Server) -> None:
    target = shared.url.replace("http://", f"http://:{TOKEN}@")
    answer = await resend(detail(START), target, "http://127.0.0.1:1", "another")
    assert answer.startswith(f"{shared.url} answered 200")
    assert TOKEN not in answer


@asynccontextmanager
async def stranger(status: int = 200, **headers: str):
    """A server that is not ours; it notes what it is sent."""
    seen: list[web.Request] = []

    async def take(request: web.Request) -> web.Response:
        await request.read()
        seen.append(request)
        return web.Response(status=status, text="\x1b[31mhello", headers=headers)

    app = web.Application()
    app.router.add_post("/{rest:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


async def test_our_token_is_not_sent_to_others() -> None:
    async with stranger() as (url, seen):
        assert (
            await resend(detail(START), url, "http://127.0.0.1:1", TOKEN) == f"{url} answered 200"
        )
        assert "Authorization" not in seen[0].headers
        assert seen[0].path == "/customhttp"
        await resend(detail(START), f"{url}/other/path", "http://127.0.0.1:1", TOKEN)
        assert seen[1].path == "/other/path"


async def test_redirects_are_not_followed() -> None:
    async with stranger() as (elsewhere, seen), stranger(307, Location=elsewhere) as (url, _):
        assert await resend(detail(START), "", url, TOKEN) == "this receiver answered 307"
        assert seen == []


@pytest.mark.parametrize("target", ["jumpbox:5000", "ftp://x", "http://", "/customhttp"])
async def test_what_is_no_address(target) -> None:
    assert "http://HOST:PORT" in await resend(detail(START), target, "http://127.0.0.1:1", TOKEN)


@pytest.mark.parametrize("target", ["http://127.0.0.1:1", "http://127.0.0.1:99999", "http://a b"])
async def test_nobody_there(target) -> None:
    assert "could not be reached" in await resend(detail(START), target, "", TOKEN)


async def test_a_trial_run_goes_the_way_of_any_delivery_and_ends(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(remote, "TRIAL_SECONDS", 0.0)
    said: list[str] = []
    async with receiving(tmp_path) as runtime:
        await remote.send_trial(runtime.url, runtime.config.secrets.token, said.append)
        await runtime.writer.folded()
        spans = {span.name: span for span in (await runtime.reader.spans("")).items}
        assert spans["first job"].parent_key == spans["trial run"].key
        assert not any(span.in_flight for span in spans.values())
        await remote.send_trial(runtime.url, "another token", said.append)
    assert said[0].startswith("this receiver answered 200 accepted")
    assert all("401" in answer for answer in said[1:]) and len(said) == 5
