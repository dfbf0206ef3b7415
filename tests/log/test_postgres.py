"""The log in PostgreSQL: order, repeats, and a server that comes and goes."""

from __future__ import annotations

import asyncio
import hashlib
import json

import psycopg
import pytest

from tests.log.postgres import PASSWORD, PASSWORD_IN_URL
from tests.patience import PATIENCE
from vs_tui.log.address import LogAddress, parse_log_url
from vs_tui.log.postgres import Entry, LogAway, Position, PostgresLog
from vs_tui.model.time import DAY

START = Position()


def entry(name: str, *, at: int = 1_000, body: bytes = b"", by_body: bool = False) -> Entry:
    body = body or name.encode()
    return Entry(
        id=0,
        source="customhttp",
        kind="build",
        path="/customhttp",
        headers="{}",
        body=body,
        sha256=hashlib.sha256(body).digest(),
        received_at=at,
        dedupe=f"{'sha' if by_body else 'id'}:{name}",
        verdict="accepted",
        reason="",
        status=200,
        duplicates=0,
        adapter=1,
        keys=json.dumps([name]),
    )


async def everything(log: PostgresLog, after: Position = START, limit: int = 500) -> list:
    found = []
    while True:
        entries = await log.read(after, limit)
        if not entries:
            return found
        found += entries
        after = entries[-1].position


def names(entries) -> list[str]:
    return [e.dedupe.partition(":")[2] for e in entries]


@pytest.fixture
async def log(url):
    opened = PostgresLog(parse_log_url(url))
    await opened.open()
    yield opened
    await opened.close()


async def test_what_is_appended_is_read_in_order_with_its_bytes(log) -> None:
    body = bytes(range(256)) * 3
    appended = await log.append([entry("a", body=body), entry("b"), entry("c")])
    assert [one.repeated for one in appended] == [False] * 3
    found = await everything(log, limit=2)
    assert names(found) == ["a", "b", "c"]
    assert [e.id for e in found] == [one.id for one in appended]
    assert found[0] == entry("a", body=body)._replace(id=appended[0].id, xid=found[0].xid)


async def test_a_repeat_is_counted_and_not_stored_again(log) -> None:
    (first,) = await log.append([entry("a")])
    again = await log.append([entry("a"), entry("b"), entry("a")])
    assert [(one.id == first.id, one.repeated) for one in again] == [
        (True, True),
        (False, False),
        (True, True),
    ]
    assert again[0].keys == '["a"]'
    found = await everything(log)
    assert sorted((e.verdict, e.original) for e in found) == [
        ("accepted", 0),
        ("accepted", 0),
        ("duplicate", first.id),
        ("duplicate", first.id),
    ]


async def test_a_body_without_an_id_is_new_again_after_a_day(log) -> None:
    ids = [
        (await log.append([entry("a", at=at, by_body=True)]))[0].id
        for at in (0, DAY, 2 * DAY + 1, 2 * DAY + 2)
    ]
    assert ids[0] == ids[1]
    assert ids[2] == ids[3] != ids[0]


async def test_receivers_that_append_the_same_at_once_store_it_once(url) -> None:
    logs = [PostgresLog(parse_log_url(url)) for _ in range(3)]
    try:
        # Opened together: the tables are made once.
        await asyncio.gather(*(one.open() for one in logs))
        for turn in range(5):
            batch = [entry(f"{turn}-{n}") for n in range(40)]
            orders = [batch, batch[::-1], batch[20:] + batch[:20]]
            results = await asyncio.gather(
                *(one.append(order) for one, order in zip(logs, orders, strict=True))
            )
            assert sum(not a.repeated for result in results for a in result) == 40
        found = await everything(logs[0])
        assert len([e for e in found if e.original == 0]) == 200
        assert len([e for e in found if e.original]) == 400
    finally:
        for one in logs:
            await one.close()


async def test_a_transaction_that_commits_late_is_not_skipped(log, url) -> None:
    await log.append([entry("before")])
    (found,) = await log.read(Position())
    position = found.position
    async with await psycopg.AsyncConnection.connect(url) as late:
        columns = "source, kind, path, headers, body, sha256, received_at, dedupe, generation, "
        columns += "verdict, reason, status, adapter, keys"
        await late.execute(
            f"INSERT INTO vs_tui.deliveries ({columns}) VALUES ('customhttp', 'build', "
            "'/customhttp', '{}', 'x', 'x', 1, 'id:late', 0, 'accepted', '', 200, 1, '[]')"
        )
        await log.append([entry("after-1")])
        await log.append([entry("after-2")])
        assert await log.read(position) == [], "it would skip what commits late"
        assert (await log.head()).id > position.id
        await late.commit()
    assert names(await everything(log, position)) == ["late", "after-1", "after-2"]


async def test_a_transaction_that_is_undone_holds_nothing_back(log, url) -> None:
    async with await psycopg.AsyncConnection.connect(url) as undone:
        await undone.execute("SELECT pg_current_xact_id()")
        await log.append([entry("a")])
        assert await everything(log) == []
        await undone.rollback()
    assert names(await everything(log)) == ["a"]


async def test_who_begins_to_listen_looks_again_at_once(log) -> None:
    """An entry that came after the last look and before it listened is told to nobody."""
    await log.append([entry("a")])
    await asyncio.wait_for(log.wait(10 * PATIENCE), PATIENCE)


async def test_a_connection_that_cannot_listen_is_closed(log, monkeypatch) -> None:
    made = []
    connect = psycopg.AsyncConnection.connect

    async def remembered(*given, **options):
        made.append(await connect(*given, **options))
        return made[-1]

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", remembered)
    log._listening._listen = "no such channel"
    with pytest.raises(LogAway, match="syntax error"):
        await log.wait(0)
    assert [each.closed for each in made] == [True]


async def test_who_waits_is_woken_by_a_commit(log) -> None:
    await log.wait(0.01)  # it listens from here on
    waiting = asyncio.create_task(log.wait(10 * PATIENCE))
    await log.append([entry("a")])
    await asyncio.wait_for(waiting, PATIENCE)


async def test_a_page_is_bounded_in_bytes(log, monkeypatch) -> None:
    monkeypatch.setattr("vs_tui.log.postgres.BYTES_AT_ONCE", 1_000)
    await log.append([entry(str(n), body=bytes([n]) * 600) for n in range(5)])
    first = await log.read(Position())
    assert names(first) == ["0", "1"]
    assert names(await everything(log, first[-1].position)) == ["2", "3", "4"]


async def test_a_nul_in_a_name_is_stored_as_its_picture(log) -> None:
    await log.append([entry("a\0b")])
    (again,) = await log.append([entry("a\0b")])
    assert again.repeated
    assert names(await everything(log))[0] == "a\u2400b"


async def test_a_killed_server_refuses_until_it_is_back(postgres) -> None:
    log = PostgresLog(parse_log_url(postgres.new_database()), pause=0.01)
    try:
        await log.append([entry("a")])
        await log.wait(0.01)
        waiting = asyncio.create_task(log.wait(10 * PATIENCE))
        await asyncio.sleep(0)
        postgres.kill()
        with pytest.raises(LogAway) as away:
            await log.append([entry("b")])
        assert PASSWORD not in str(away.value)
        assert "127.0.0.1" in str(away.value)
        with pytest.raises(LogAway):
            await waiting
        postgres.start()
        while True:
            try:
                await log.append([entry("b")])
                break
            except LogAway:
                await asyncio.sleep(0.01)
        assert names(e for e in await everything(log) if not e.original) == ["a", "b"]
    finally:
        await log.close()


async def test_a_log_restored_into_another_server_is_read_on(log, url) -> None:
    await log.append([entry("a"), entry("b")])
    before = await log.state(Position(), 0)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as server:
        await server.execute("UPDATE vs_tui.deliveries SET xid = '999999999'")
    assert await everything(log) == [], "ids of the future are not readable"
    again = PostgresLog(parse_log_url(url))
    try:
        await again.open()
        await again.append([entry("c")])
        assert names(await everything(again)) == ["a", "b", "c"]
        assert (await again.state(Position(), 0)).epoch != before.epoch
    finally:
        await again.close()


async def test_a_follower_sees_that_the_log_lost_what_it_had_read(log, url) -> None:
    await log.append([entry("a"), entry("b")])
    position = (await log.read(Position()))[-1].position
    assert (await log.state(position, 0)).complete
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as server:
        await server.execute("DELETE FROM vs_tui.deliveries WHERE id = %s", [position.id])
    assert not (await log.state(position, 0)).complete


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://bob:{PASSWORD_IN_URL}@db:5433/vs", "postgresql://bob@db:5433/vs"),
        ("postgresql://db/vs?sslmode=require", "postgresql://db/vs?sslmode=require"),
        ("postgresql://db/vs?user=bob&password=hunter2", "postgresql://db/vs?user=bob"),
        ("postgresql:///?service=prod", "postgresql:///?service=prod"),
        ("postgres://a:1,2@h1,h2:5/vs", "postgres://a@h1,h2:5/vs"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown) -> None:
    address = parse_log_url(url)
    assert (address.shown, str(address), repr(address)) == (shown, shown, f"LogAddress({shown})")
    quoted = f'missing "=" after "{url}" and {PASSWORD} or {PASSWORD_IN_URL}'
    hidden = address.redact(quoted) if PASSWORD_IN_URL in url else ""
    assert PASSWORD not in hidden
    assert PASSWORD_IN_URL not in hidden


@pytest.mark.parametrize("url", ["mysql://a:hunter2@db/x", "hunter2", "postgresql://a:hunter2#@d"])
def test_a_wrong_url_is_not_quoted(url) -> None:
    with pytest.raises(ValueError, match=r"postgresql://|%23") as error:
        parse_log_url(url)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace(PASSWORD_IN_URL, "wrong-Pa55word"),
        lambda url: f"{url}?sslmode=require",
        lambda url: f"{url}?nonsense=hunter2",
        lambda url: url.replace(PASSWORD_IN_URL, "hunter2%zz"),
        lambda url: url.rpartition("/")[0] + "/no-such-database",
    ],
)
async def test_no_error_holds_the_password(url, change) -> None:
    log = PostgresLog(LogAddress(change(url)))
    with pytest.raises(LogAway) as away:
        await log.open()
    for secret in (PASSWORD, PASSWORD_IN_URL, "wrong-Pa55word", "hunter2"):
        assert secret not in str(away.value)
    assert away.value.__cause__ is None
    await log.close()


def run(name: str, action: str, at: int) -> Entry:
    """What a sender without id and time says of a run."""
    return entry(name, at=at, body=action.encode())._replace(dedupe=f"run:{name}")


async def test_an_id_with_another_body_is_stored_and_flagged(log) -> None:
    bodies = [b"one", b"two", b"one", b"two", b"three"]
    appended = await log.append([entry("a", body=body) for body in bodies[:2]])
    appended += await log.append([entry("a", body=body) for body in bodies[2:]])
    assert [one.repeated for one in appended] == [False, False, True, True, False]
    assert appended[2].id == appended[0].id
    assert appended[3].id == appended[1].id
    flag = f"same id as delivery {appended[0].id}, another body"
    stored = [e for e in await everything(log) if e.original == 0]
    assert [(e.body, e.reason) for e in stored] == [(b"one", ""), (b"two", flag), (b"three", flag)]


@pytest.mark.parametrize("together", [True, False])
async def test_a_run_is_repeated_by_its_latest_delivery_only(log, together) -> None:
    said = ["start", "start", "end", "end", "start", "end", "end"]
    entries = [run("a", action, at) for at, action in enumerate(said)]
    batches = [entries] if together else [[one] for one in entries]
    batches.append([run("a", "end", 2 * DAY)])
    appended = [one for batch in batches for one in await log.append(batch)]
    expected = [False, True, False, True, False, False, True, False]
    assert [one.repeated for one in appended] == expected
    stored = [e.body for e in await everything(log) if e.original == 0]
    assert stored == [b"start", b"end", b"start", b"end", b"end"]


async def test_receivers_that_append_to_one_run_at_once_lose_nothing(url) -> None:
    logs = [PostgresLog(parse_log_url(url)) for _ in range(3)]
    try:
        await asyncio.gather(*(one.open() for one in logs))
        batches = [[run("a", f"{number} {n}", n) for n in range(5)] for number in range(3)]
        await asyncio.gather(*(one.append(b) for one, b in zip(logs, batches, strict=True)))
        stored = {e.body for e in await everything(logs[0]) if e.original == 0}
        assert stored == {e.body for batch in batches for e in batch}
    finally:
        for one in logs:
            await one.close()
