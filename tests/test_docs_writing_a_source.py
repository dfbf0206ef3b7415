"""The example of docs/writing-a-source.md is a source: it is run as it is printed."""

from __future__ import annotations

import hashlib
import hmac
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.ingest.inside import Raw, post, receiving
from tests.sources.webhook_tools import RECEIVED
from vs_tui.model.vocabulary import State, Verdict
from vs_tui.sources import dispatch
from vs_tui.sources.base import Inbound, Unauthorized, Unreadable
from vs_tui.sources.mapped import MappedSource

PAGE = (Path(__file__).parents[1] / "docs" / "writing-a-source.md").read_text("utf-8")
TABLE, CODE, ENTRY_POINT, REQUEST = re.findall(r"```(?:\w*)\n(.*?)```", PAGE, re.DOTALL)
BODY = REQUEST.partition("\n\n")[2].strip().encode()
SECRET = "secret-of-nightly"


@pytest.fixture
def source(monkeypatch) -> Any:
    """The example, installed as its entry point says."""
    ((name, target),) = tomllib.loads(ENTRY_POINT)["project"]["entry-points"][
        dispatch.ENTRY_POINT_GROUP
    ].items()
    module = ModuleType(target.partition(":")[0])
    exec(compile(CODE, "writing-a-source.md", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    entry = metadata.EntryPoint(name, target, dispatch.ENTRY_POINT_GROUP)
    found = {dispatch.ENTRY_POINT_GROUP: [entry]}
    monkeypatch.setattr(metadata, "entry_points", lambda group: found.get(group, []))
    dispatch._sources.cache_clear()
    yield dispatch.sources()[name]
    dispatch._sources.cache_clear()


def signed(body: bytes) -> str:
    return hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def inbound(body: bytes, signature: str = "") -> Inbound:
    return Inbound("/nightly", {"x-nightly-signature": signature}, body, RECEIVED)


def test_the_table_is_a_source() -> None:
    ((name, table),) = tomllib.loads(TABLE)["sources"].items()
    assert len(TABLE.strip().splitlines()) <= 10
    body = b'{"deploy": {"id": 77, "status": "done"}, "app": "api", "env": "prod", "tag": "1.2"}'
    *_, event = MappedSource(name, table).check().parse(Inbound("/shipit", {}, body, 1)).events
    assert (event.key, event.state) == ("vstrace-shipit-deploy-77", State.OK)
    assert (event.service, event.environment) == ("api", "prod")


async def test_a_receiver_takes_what_the_page_posts(tmp_path, source) -> None:
    async with receiving(tmp_path, secrets={"nightly": (SECRET,)}) as runtime:
        connection = await Raw.to(runtime)
        ended = BODY.replace(b"status=started", b"status=done").replace(b"01:00", b"01:20")
        for body in (ended, BODY):  # in any order
            proof = f"X-Nightly-Signature: {signed(body)}"
            await connection.send(post(body, "/nightly", proof))
            status, _, answer = await connection.answer()
            assert (status, answer["verdict"]) == (200, "accepted")
            assert answer["spans"] == ["vstrace-nightly-build-reindex-812"]
        await connection.send(post(BODY, "/nightly", f"X-Nightly-Signature: {signed(b'other')}"))
        assert (await connection.answer())[0] == 401
        connection.close()
        assert await runtime.writer.caught_up()
        (span,) = (await runtime.reader.spans()).items
    assert (span.name, span.project, span.status.value) == ("reindex", "acme/search", "ok")
    assert span.duration == 20 * 60 * 1_000_000


def test_what_it_does_not_know_is_ignored_or_quarantined(source) -> None:
    with pytest.raises(Unauthorized):
        source.verify(inbound(BODY, "odd"), [SECRET.encode()])
    with pytest.raises(Unreadable):
        source.parse(inbound(b"job=reindex"))
    parsed = source.parse(inbound(b"job=reindex&run=1&status=queued"))
    assert (parsed.verdict, parsed.kind) == (Verdict.IGNORED, "job.queued")


def test_it_signs_as_our_own_sources_do(source) -> None:
    assert "nightly" in dispatch.signing_sources()
    assert ("/nightly", source) in dispatch.routes()
