"""`[[notify]]` on several nodes of one log: a notice is sent by one of them, whichever dies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.export.receiving import receiver, until
from tests.export.test_notify import Chat, deploy
from tests.patience import PATIENCE
from vs_tui.cli.runtime import Runtime
from vs_tui.config.model import NotifyRule
from vs_tui.export import notifier, sending
from vs_tui.log import postgres
from vs_tui.log.address import parse_log_url
from vs_tui.log.postgres import LogAway, PostgresLog


@pytest.fixture
async def nodes(url) -> AsyncIterator[tuple[PostgresLog, PostgresLog]]:
    logs = PostgresLog(parse_log_url(url)), PostgresLog(parse_log_url(url))
    yield logs
    for log in logs:
        await log.close()


async def test_a_notice_belongs_to_the_node_that_claims_it_first(nodes) -> None:
    one, two = nodes
    assert await one.claim_notices([1, -2]) == ({1, -2}, set())
    assert await two.claim_notices([-2, 3]) == ({3}, set())
    assert await one.claim_notices([1, -2, 3]) == ({1, -2}, set()), "its own claims are renewed"
    await one.settle_notices([1], sent=True)
    assert await two.claim_notices([1, -2]) == (set(), {1})
    assert await one.claim_notices([1]) == (set(), {1})


async def test_what_one_node_could_not_send_another_may_send(nodes) -> None:
    one, two = nodes
    await one.claim_notices([1])
    await two.settle_notices([1], sent=True)
    assert await two.claim_notices([1]) == (set(), set()), "a claim is not another node's to end"
    await one.settle_notices([1], sent=False)
    assert await two.claim_notices([1]) == ({1}, set())


async def test_many_nodes_share_many_notices(nodes) -> None:
    hashes = list(range(1_000))
    found = await asyncio.gather(
        *(log.claim_notices(hashes[::step]) for log in nodes for step in (1, -1))
    )
    first, second = (found[at][0] | found[at + 1][0] for at in (0, 2))
    assert first | second == set(hashes) and not first & second


async def test_the_claim_of_a_dead_node_ends(nodes, monkeypatch) -> None:
    one, two = nodes
    monkeypatch.setattr(postgres, "CLAIMED_SECONDS", 0.0)
    await one.claim_notices([1])
    assert await two.claim_notices([1]) == ({1}, set())


@pytest.fixture
def impatient(monkeypatch) -> None:
    for name in ("LOOK_SECONDS", "BETWEEN_SECONDS"):
        monkeypatch.setattr(notifier, name, 0.01)
    monkeypatch.setattr(sending, "delay", lambda failures, asked: 0.01)


@contextlib.asynccontextmanager
async def node(folder: Path, url: str, chat: Chat) -> AsyncIterator[Runtime]:
    folder.mkdir(exist_ok=True)
    rules = (NotifyRule(("failed",), "json", chat.url),)
    settings = {"log": parse_log_url(url), "notify": rules}
    async with receiver(folder, "", settings) as runtime:
        assert runtime.notifier is not None
        await until(lambda: runtime.notifier._position is not None)
        yield runtime


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    found = Chat()
    await found.start()
    yield found
    await found.stop()


async def unsent(runtime: Runtime) -> int:
    found: int = await runtime.reader.run(
        lambda db: db.execute("SELECT COUNT(*) FROM notices").fetchone()[0]
    )
    return found


async def known(runtime: Runtime, n: int) -> None:
    """Returns when the node has found so many notices and none of them waits."""
    sql = "SELECT (SELECT COUNT(*) FROM notified), (SELECT COUNT(*) FROM notices)"
    while await runtime.reader.run(lambda db: db.execute(sql).fetchone()) != (n, 0):
        await asyncio.sleep(0.01)


async def test_two_nodes_tell_once(tmp_path, url, chat, impatient) -> None:
    async with (
        node(tmp_path / "one", url, chat) as one,
        node(tmp_path / "two", url, chat) as two,
        asyncio.timeout(PATIENCE),
    ):
        for n, runtime in enumerate((one, two, one)):
            await deploy(runtime, str(n), error=True)
        for runtime in (one, two):
            await known(runtime, 3)
    assert sorted(chat.told) == [("failed", "0"), ("failed", "1"), ("failed", "2")]


async def test_a_node_that_dies_silences_nothing(
    tmp_path, url, chat, impatient, monkeypatch
) -> None:
    dying = PostgresLog(parse_log_url(url))
    async with node(tmp_path / "one", url, chat) as one, asyncio.timeout(PATIENCE):
        claim = one.writer.claim_notices

        async def after_the_dying(hashes):
            """The other node was faster, and dies before it sends."""
            if not came:
                came.append(await dying.claim_notices(hashes))
                await dying.close()
            return await claim(hashes)

        came: list[object] = []
        monkeypatch.setattr(postgres, "CLAIMED_SECONDS", 0.05)
        monkeypatch.setattr(one.writer, "claim_notices", after_the_dying)
        await deploy(one, "1", error=True)
        await known(one, 1)
    assert len(came) == len(chat.told) == 1


async def test_notices_wait_while_the_log_is_away(
    tmp_path, url, chat, impatient, monkeypatch
) -> None:
    async with node(tmp_path / "one", url, chat) as one, asyncio.timeout(PATIENCE):
        tried = asyncio.Event()

        async def away(hashes):
            tried.set()
            raise LogAway("away")

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(one.writer, "claim_notices", away)
            await deploy(one, "1", error=True)
            await tried.wait()
            assert not chat.told and await unsent(one) == 1
        await known(one, 1)
    assert len(chat.told) == 1


async def test_a_log_that_goes_away_while_a_message_is_sent_repeats_none(
    tmp_path, url, chat, impatient, monkeypatch
) -> None:
    async with node(tmp_path / "one", url, chat) as one, asyncio.timeout(PATIENCE):
        settle = one.writer.settle_notices
        calls = []

        async def away_at_first(hashes, *, sent):
            calls.append(sent)
            if len(calls) == 1:
                raise LogAway("away")
            await settle(hashes, sent=sent)

        monkeypatch.setattr(one.writer, "settle_notices", away_at_first)
        await deploy(one, "1", error=True)
        await known(one, 1)
    assert len(chat.told) == 1 and calls == [True, True]
