"""Several receivers, several followers, one PostgreSQL: nothing acknowledged is lost, and every
node shows the same."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.ingest.projection import KEPT, PROJECTION, projection
from tests.ingest.server import TOKEN, Nearby, Server, nearby, run, serving
from tests.log.postgres import PASSWORD, PASSWORD_IN_URL
from tests.patience import PATIENCE
from tests.store.conftest import T, custom
from vs_tui.cli.logs import write_report
from vs_tui.cli.view import _follow
from vs_tui.config import load
from vs_tui.log.address import parse_log_url
from vs_tui.log.postgres import BEGINNING, PostgresLog
from vs_tui.model.limits import Retention
from vs_tui.model.time import DAY, HOUR
from vs_tui.store import shared_writer
from vs_tui.store.clock import Uptime
from vs_tui.store.maintenance import sweeper
from vs_tui.store.maintenance.sweeper import WriterSettings
from vs_tui.store.schema import StoreError
from vs_tui.store.shared_writer import SharedWriter

FULL = [pytest.mark.full, pytest.mark.timeout(1800)]


class Sender(threading.Thread):
    """Sends as a tool behind a load balancer: to any node that answers, until it gets its 2xx."""

    def __init__(self, nodes: list[Server], name: str) -> None:
        super().__init__(daemon=True)
        self.nodes = nodes
        self.prefix = name
        self.acknowledged: list[str] = []
        self.refused = 0
        self.stopped = threading.Event()
        self._random = random.Random(name)

    def run(self) -> None:
        number = 0
        while not self.stopped.is_set():
            event_id = f"{self.prefix}-{number}"
            events = [("start", {}), ("end", {"error": number % 7 == 0})]
            for action, more in events:
                body = {"type": "build", "id": event_id, "action": action, **more}
                while not self._send(body) and not self.stopped.is_set():
                    self.stopped.wait(0.02)
            if not self.stopped.is_set():
                self.acknowledged.append(event_id)
            number += 1
            self.stopped.wait(0.03)  # nodes that start again need the machine as well

    def _send(self, body: dict) -> bool:
        parts = urlsplit(self._random.choice(self.nodes).url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        try:
            connection.request("POST", "/customhttp", json.dumps(body), headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        if response.status == 503:
            assert response.headers["Retry-After"]
            self.refused += 1
        return response.status == 200


def started(folder: Path, url: str, *names: str, kind: type[Server] = Nearby) -> list[Server]:
    """Nodes of one log, started at the same time."""

    def node(name: str) -> Server:
        return kind(folder, db=f"{name}.db", env={"VS_LOG": url})

    with ThreadPoolExecutor() as pool:
        return list(pool.map(node, names))


def shown_ids(found: dict[str, list[dict]]) -> set[str]:
    return {span["key"].rpartition("-default-")[2] for span in found["spans"]}


def wait_until_the_same(
    nodes: list[Server], wanted: set[str], tables: Sequence[str] = tuple(PROJECTION)
) -> dict[str, list[dict]]:
    deadline = time.monotonic() + PATIENCE
    while True:
        found = [projection(one.db, tables) for one in nodes]
        if wanted <= shown_ids(found[0]) and all(each == found[0] for each in found):
            return found[0]
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    for one, each in zip(nodes, found, strict=True):
        state = one.call("/readyz"), each.get("deliveries")
        assert wanted <= shown_ids(each), f"{one.db} lost what was acknowledged: {state}"
        for name, rows in each.items():
            assert rows == found[0][name], f"{name} of {one.db} differs"
    raise AssertionError


@pytest.mark.parametrize(
    ("rounds", "each"),
    [pytest.param(1, 2, marks=pytest.mark.timeout(400)), pytest.param(20, 3, marks=FULL)],
)
def test_any_node_and_the_server_killed_under_load_lose_nothing(
    tmp_path, postgres, rounds, each
) -> None:
    url = postgres.new_database()
    names = [*(f"receiver-{n}" for n in range(each)), *(f"follower-{n}" for n in range(each - 1))]
    nodes = started(tmp_path, url, *names, kind=Server)
    receivers, followers = nodes[:each], nodes[each:]
    senders = [Sender(receivers, f"s{n}") for n in range(each + 1)]
    try:
        for sender in senders:
            sender.start()

        def more(n: int) -> None:
            before = sum(len(sender.acknowledged) for sender in senders)
            receivers[0].wait_for(
                lambda: sum(len(sender.acknowledged) for sender in senders) >= before + n,
                f"{n} more acknowledged",
            )

        for turn in range(rounds):
            for victim in [*receivers, *followers]:
                more(10 + turn)
                victim.kill()
                more(10 + turn)
                victim.start()
            more(10)
            postgres.kill()
            receivers[0].wait_for(
                lambda: all(sender.refused for sender in senders), "503 for every sender"
            )
            assert followers[0].call("/api/spans?limit=1")[0] == 200, "dashboards go on"
            followers[0].wait_for(
                lambda: followers[0].call("/readyz")[0] == 503, "503 of a follower"
            )
            postgres.start()
            more(10)
        for sender in senders:
            sender.stopped.set()
            sender.join(PATIENCE)
        acknowledged = {event for sender in senders for event in sender.acknowledged}
        assert len(acknowledged) > 50 * rounds
        found = wait_until_the_same([*receivers, *followers], acknowledged)
        ends = {span["key"]: span["status"] for span in found["spans"]}
        for event in acknowledged:
            failed = int(event.rpartition("-")[2]) % 7 == 0
            assert ends[f"vstrace-customhttp-build-default-{event}"] == (
                "error" if failed else "ok"
            )
        print(len(acknowledged), "acknowledged, 0 lost")
    finally:
        for sender in senders:
            sender.stopped.set()
        for one in [*receivers, *followers]:
            one.stop()


@pytest.fixture
def pair(tmp_path, url):
    """Two nodes of one log."""
    nodes = started(tmp_path, url, "a", "b")
    yield nodes
    for one in nodes:
        one.stop()


@pytest.fixture(scope="module")
def shared_pair(tmp_path_factory, postgres):
    """The same for tests that only send."""
    nodes = started(tmp_path_factory.mktemp("nodes"), postgres.new_database(), "a", "b")
    yield nodes
    for one in nodes:
        one.stop()


def build(name: str, action: str = "start") -> dict:
    return {"type": "build", "id": name, "action": action}


def test_what_one_node_acknowledged_the_other_shows_at_once(shared_pair) -> None:
    a, b = shared_pair
    before = len(b.spans())
    for n in range(20):
        assert a.call("/customhttp", build(f"x{n}"))[0] == 200
        assert len(b.spans()) == before + n + 1


def test_a_repeat_at_another_node_is_a_duplicate_and_counted_everywhere(shared_pair) -> None:
    a, b = shared_pair
    counts = counted(a)
    _, first = a.call("/customhttp", build("repeated"))
    status, again = b.call("/customhttp", build("repeated"))
    assert (status, again["verdict"], again["spans"]) == (200, "duplicate", first["spans"])
    assert again["reason"] == f"the same as delivery {first['delivery']}"
    for one in shared_pair:
        assert counted(one) == counts + Counter(accepted=1, duplicate=1)
    wait_until_the_same(shared_pair, {"repeated"})


def counted(one: Server) -> Counter[str]:
    items = one.call("/api/sources")[1]["items"]
    return Counter(next((i["counts"] for i in items if i["source"] == "customhttp"), {}))


def test_a_delivery_has_one_id_on_every_node(shared_pair) -> None:
    a, b = shared_pair
    for n in range(3):
        a.call("/customhttp", build("again"))  # a repeat leaves a gap in the ids
        _, answer = b.call("/customhttp", build(f"numbered{n}"))
    for one in shared_pair:
        status, found = one.call(f"/api/deliveries/{answer['delivery']}")
        assert (status, found["span_refs" if "span_refs" in found else "spans"]) == (
            200,
            answer["spans"],
        )
        ids, query = [], "limit=2"
        while True:
            page = one.call(f"/api/deliveries?{query}")[1]
            ids += [item["id"] for item in page["items"]]
            if page["next"] is None:
                break
            query = f"limit=2&cursor={page['next']}"
        assert answer["delivery"] in ids
        assert len(ids) == len(set(ids))
        quick = one.call("/api/deliveries?quick=1&limit=1")[1]["items"]
        assert quick[0]["id"] == answer["delivery"]


def test_em_metrics_sees_what_another_node_created(shared_pair) -> None:
    a, b = shared_pair
    incident = {"id": "i1", "project_id": "acme/api", "started_at": "2026-03-02T10:00:00Z"}
    assert a.call("/incidents", incident)[0] == 201
    assert b.call("/incidents/i1/restored", {"restored_at": "2026-03-02T11:00:00Z"})[0] == 200
    assert b.call("/incidents/none/restored", {"restored_at": "2026-03-02T11:00:00Z"})[0] == 404


def test_a_pinned_link_holds_on_every_node(shared_pair) -> None:
    a, b = shared_pair
    for name in ("child", "parent"):
        a.call("/customhttp", build(name))
    keys = [f"vstrace-customhttp-build-default-{name}" for name in ("child", "parent")]
    status, answer = b.call("/api/links", {"action": "pin", "child": keys[0], "parent": keys[1]})
    assert status == 200, answer
    for one in shared_pair:
        spans = {span["span_id"]: span["parent_span_id"] for span in one.spans()}
        assert spans[keys[0]] == keys[1]


def test_the_database_of_a_node_may_be_deleted(tmp_path, pair) -> None:
    a, b = pair
    for n in range(30):
        a.call("/customhttp", build(f"x{n}"))
    before = wait_until_the_same(pair, {"x29"})
    b.stop()
    for file in tmp_path.glob("b.db*"):
        file.unlink()
    b.start()
    assert wait_until_the_same(pair, {"x29"}) == before


def test_a_database_with_deliveries_of_its_own_is_refused(tmp_path, url) -> None:
    with nearby(tmp_path) as alone:
        alone.call("/customhttp", build("mine"))
    with pytest.raises(StoreError, match="copy-log") as error:
        Nearby(tmp_path, env={"VS_LOG": url})
    assert PASSWORD_IN_URL not in str(error.value)


def test_a_cache_is_no_log(tmp_path, url) -> None:
    with nearby(tmp_path, env={"VS_LOG": url}) as shared:
        shared.call("/customhttp", build("x"))
    with pytest.raises(StoreError, match="is a cache of the log"):
        Nearby(tmp_path)


def test_a_receiver_starts_while_the_log_is_away_and_says_why(tmp_path, url) -> None:
    wrong = url.replace(PASSWORD_IN_URL, "wrong-pass-word")
    with serving(tmp_path, "--log", wrong) as server:
        status, body = server.call("/customhttp", build("x"))
        assert status == 503
        ready, why = server.call("/readyz")
        assert ready == 503
        server.process.terminate()
        out, err = server.process.communicate(timeout=PATIENCE)
    printed = json.dumps([body, why]) + out + err
    assert "password authentication failed" in printed
    assert "ps" in err, "a password on the command line is warned of"
    for secret in ("wrong-pass-word", PASSWORD, PASSWORD_IN_URL):
        assert secret not in printed


def test_a_password_file_opens_the_log(tmp_path, url, monkeypatch) -> None:
    parts = urlsplit(url)
    file = tmp_path / "pgpass"
    file.write_text(f"127.0.0.1:{parts.port}:*:postgres:{PASSWORD}\n")
    file.chmod(0o600)
    without = url.replace(f":{PASSWORD_IN_URL}@", "@")
    monkeypatch.setenv("PGPASSFILE", str(file))
    with nearby(tmp_path, env={"VS_LOG": without}) as server:
        assert server.call("/customhttp", build("x"))[0] == 200


def command(tmp_path: Path, *words: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """(exit code, everything that a command printed)."""
    done = run(tmp_path, *words, env=env)
    return done.returncode, done.stdout + done.stderr


def test_a_log_is_copied_to_postgresql_and_back(tmp_path, url) -> None:
    with nearby(tmp_path) as alone:
        for n in range(5):
            alone.call("/customhttp", build(f"x{n}"))
        alone.call("/customhttp", build("x0"))
        alone.call(
            "/github", {"zen": "?"}, {"X-GitHub-Event": "unheard-of", "X-GitHub-Delivery": "g"}
        )
    before = deliveries(tmp_path / "t.db")
    assert len(before) >= 5
    for _ in range(2):  # the second one finds everything there
        code, printed = command(tmp_path, "db", "copy-log", str(tmp_path / "t.db"), url)
        assert code == 0, printed
        assert PASSWORD_IN_URL not in printed
    with nearby(tmp_path, db="node.db", env={"VS_LOG": url}) as node:
        assert len(node.spans()) == 5
        counts = node.call("/api/sources")[1]["items"][0]["counts"]
        assert counts == {"accepted": 5, "duplicate": 1}
        assert node.call("/customhttp", build("x1"))[1]["verdict"] == "duplicate"
        assert node.call("/customhttp", build("new"))[1]["verdict"] == "accepted"
    code, printed = command(tmp_path, "db", "copy-log", url, str(tmp_path / "back.db"))
    assert code == 0, printed
    back = deliveries(tmp_path / "back.db")
    changed = {(row["id"], row["duplicates"]) for row in back}
    assert {row["id"] for row in before} <= {row["id"] for row in back}
    assert (before[1]["id"], 1) in changed
    without = [{**row, "duplicates": 0} for row in back if row["id"] <= before[-1]["id"]]
    assert without == [{**row, "duplicates": 0} for row in before]
    with nearby(tmp_path, db="back.db") as alone:
        assert len(alone.spans()) == 6


def deliveries(db: Path) -> list[dict]:
    with contextlib.closing(sqlite3.connect(db)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM deliveries ORDER BY id")]


def test_what_is_copied_does_not_mix_with_other_deliveries(tmp_path, url) -> None:
    for name in ("one", "two"):
        with nearby(tmp_path, db=name) as alone:
            alone.call("/customhttp", build(name))
    assert command(tmp_path, "db", "copy-log", str(tmp_path / "one"), url)[0] == 0
    code, printed = command(tmp_path, "db", "copy-log", str(tmp_path / "two"), url)
    assert (code, "holds other deliveries" in printed) == (1, True), printed


def prune_until(tmp_path: Path, url: str, one: Server, left: set[str]) -> None:
    """Decide to prune what is older than a second, until a node has only these spans left."""

    def pruned() -> bool:
        code, printed = command(tmp_path, "db", "prune", "--older-than", "1s", env={"VS_LOG": url})
        assert code == 0, printed
        return {span["span_id"].rpartition("-default-")[2] for span in one.spans()} == left

    one.wait_for(pruned, "pruning")


def test_prune_is_a_decision_that_every_node_follows(tmp_path, pair, url) -> None:
    a, b = pair
    for one in ("old", "in-flight"):
        a.call("/customhttp", build(one))
    b.call("/customhttp", build("old", "end"))
    wait_until_the_same(pair, {"old", "in-flight"})
    for one in pair:
        prune_until(tmp_path, url, one, {"in-flight"})
    (late,) = started(tmp_path, url, "late")
    try:
        wait_until_the_same([*pair, late], {"in-flight"}, KEPT)
        with contextlib.closing(psycopg.connect(url)) as server:
            kinds = server.execute("SELECT kind FROM vs_tui.deliveries ORDER BY id").fetchall()
        assert [kind for (kind,) in kinds if kind != "prune"] == ["build.start"]
        assert ("prune",) in kinds
    finally:
        late.stop()


def test_a_follower_that_was_away_longer_than_the_retention_makes_itself_again(
    tmp_path, pair, url, caplog
) -> None:
    a, b = pair
    a.call("/customhttp", build("x"))
    wait_until_the_same(pair, {"x"})
    b.stop()
    a.call("/customhttp", build("x", "end"))
    a.call("/customhttp", build("kept"))
    assert len(a.spans()) == 2
    prune_until(tmp_path, url, a, {"kept"})
    b.start()
    found = wait_until_the_same(pair, {"kept"}, KEPT)
    assert shown_ids(found) == {"kept"}, "x would be in flight for ever"
    assert "is made again" in caplog.text


def test_a_person_is_forgotten_by_every_node(tmp_path, pair, url) -> None:
    a, _ = pair
    body = {**build("x"), "tags": ["actor|bobby"], "name": "deploy by bobby"}
    assert a.call("/customhttp", body)[0] == 200
    wait_until_the_same(pair, {"x"})
    code, printed = command(tmp_path, "db", "forget", "--actor", "bobby", env={"VS_LOG": url})
    assert code == 0, printed

    def forgotten(db: Path) -> bool:
        return b"bobby" not in db.read_bytes() + Path(f"{db}-wal").read_bytes()

    for one in pair:
        one.wait_for(lambda one=one: len(one.spans()) == 1 and forgotten(one.db), "forgetting")
    with contextlib.closing(psycopg.connect(url)) as server:
        rows = server.execute("SELECT body, kind FROM vs_tui.deliveries ORDER BY id").fetchall()
    assert all(b"bobby" not in row[0] for row in rows)
    assert rows[-1][1] == "forget"
    wait_until_the_same(pair, {"x"})


def test_doctor_and_config_show_the_log_without_its_password(tmp_path, url) -> None:
    for words in (("doctor",), ("config", "show"), ("config", "show", "--json")):
        _, printed = command(tmp_path, *words, env={"VS_LOG": url})
        assert "postgresql://postgres@127.0.0.1" in printed
        assert PASSWORD not in printed
        assert PASSWORD_IN_URL not in printed
    wrong = url.replace(PASSWORD_IN_URL, "wrong-pass-word")
    code, printed = command(tmp_path, "doctor", env={"VS_LOG": wrong})
    assert (code, "password authentication failed" in printed) == (1, True)
    assert "wrong-pass-word" not in printed


def test_doctor_finds_a_node_that_no_longer_follows_the_log(tmp_path, url) -> None:
    def said(db: Path) -> str:
        return command(tmp_path, "doctor", "--db", str(db), env={"VS_LOG": url})[1]

    with nearby(tmp_path, env={"VS_LOG": url}) as first:
        first.call("/customhttp", {"type": "build", "id": "1", "action": "start"})
        first.wait_for(lambda: len(first.spans()) == 1, "the first node to follow")
    assert "follower" not in said(first.db)
    (tmp_path / "b").mkdir()
    with nearby(tmp_path / "b", env={"VS_LOG": url}) as second:
        second.call("/customhttp", {"type": "build", "id": "2", "action": "start"})
        assert "follower" not in said(second.db)
        stale = said(first.db)
    assert f"{first.db} lacks the newest entries of the log, and no process follows it" in stale
    assert "start `vs-tui serve` or `vs-tui view` with this log" in stale


def test_a_crash_report_masks_the_password(tmp_path, url) -> None:
    config = load(env={"VS_LOG": url, "VS_CONFIG": ""}, flags={"db": tmp_path / "x.db"})
    path = write_report(ValueError(f"cannot use {url} nor {PASSWORD}"), config, tmp_path)
    text = path.read_text()
    assert PASSWORD not in text
    assert PASSWORD_IN_URL not in text
    assert PASSWORD_IN_URL not in repr(config)


async def test_a_dashboard_follows_the_log_and_a_second_one_reads_its_file(tmp_path, url) -> None:
    with nearby(tmp_path, env={"VS_LOG": url}) as receiver:
        receiver.call("/customhttp", build("x"))
    config = load(env={}, flags={"log": url, "db": tmp_path / "view.db"})
    following = await _follow(config)
    assert following is not None
    try:
        assert await following.caught_up(PATIENCE)
        assert shown_ids(projection(tmp_path / "view.db")) == {"x"}
        assert await _follow(config) is None
    finally:
        await following.close()


async def test_retention_is_decided_once_for_all_nodes(tmp_path, url, monkeypatch) -> None:
    monkeypatch.setattr(sweeper, "SWEEP_SECONDS", HOUR)  # only this test sweeps
    logs = [PostgresLog(parse_log_url(url)) for _ in range(2)]
    clock = [T + 10 * DAY]
    settings = WriterSettings(
        retention=Retention(age=DAY), uptime=lambda: Uptime("one boot", clock[0] - T)
    )
    writers = [
        SharedWriter(tmp_path / f"{n}.db", lambda: clock[0], settings, log)
        for n, log in enumerate(logs)
    ]

    async def kinds() -> list[str]:
        return [entry.kind for entry in await logs[0].read(BEGINNING)]

    async def swept() -> None:
        for writer in writers:
            assert await writer.caught_up(PATIENCE)
            await writer.sweep()

    try:
        for writer in writers:
            await writer.open()
        await writers[0].submit(custom("build", "old", "end"))
        await writers[0].submit(custom("build", "young", "start", 10 * 86_400))
        for _ in range(3):  # one decides, both follow, and then carry out
            await swept()
        assert await kinds() == ["build.start", "prune"]
        clock[0] += 2 * HOUR
        await swept()
        assert await kinds() == ["build.start", "prune"], "there is nothing more to decide"
    finally:
        for writer in writers:
            await writer.close()


async def test_a_node_that_begins_again_deletes_nothing_from_the_log(
    tmp_path, url, monkeypatch
) -> None:
    """It has no deliveries then, and would take all old ones for spent."""
    monkeypatch.setattr(sweeper, "SWEEP_SECONDS", HOUR)
    log = PostgresLog(parse_log_url(url))
    writer = SharedWriter(tmp_path / "node.db", lambda: T + 10 * DAY, None, log)
    listed = log.old

    async def old_and_begin_again(*given):
        found = await listed(*given)
        if found:
            await writer._start_over(replace(writer._place, position=BEGINNING))
        return found

    monkeypatch.setattr(log, "old", old_and_begin_again)
    await writer.open()
    try:
        await writer.submit(custom("build", "in flight", "start"))
        await writer.prune(T + DAY)
        assert [e.kind for e in await log.read(BEGINNING)] == ["build.start", "prune"]
        assert await writer.caught_up(PATIENCE)
    finally:
        await writer.close()


async def test_a_cache_that_lost_its_last_transactions_reads_on_from_there(tmp_path, url) -> None:
    """As after a failed disk, if somebody deleted its WAL."""
    writer = SharedWriter(tmp_path / "node.db", lambda: T, None, PostgresLog(parse_log_url(url)))
    await writer.open()
    try:
        await writer.submit(custom("build", "a", "start"))
        assert await writer.caught_up(PATIENCE)
        with contextlib.closing(sqlite3.connect(":memory:", check_same_thread=False)) as earlier:
            await writer.run(lambda db: db.backup(earlier, pages=-1))
            await writer.submit(custom("build", "b", "start"))
            assert await writer.caught_up(PATIENCE)
            await writer.run(earlier.backup)
        writer._condition.fail(sqlite3.OperationalError("disk I/O error"))
        writer._condition.reopen = True
        await writer.sweep()
        assert not writer.trouble
        await writer.submit(custom("build", "c", "start"))
        assert await writer.caught_up(PATIENCE)
        names = await writer.run(lambda db: db.execute("SELECT key FROM spans").fetchall())
        assert sorted(key[-1] for (key,) in names) == ["a", "b", "c"]
    finally:
        await writer.close()


async def test_a_node_looks_again_when_nothing_holds_its_entries_back(
    tmp_path, url, monkeypatch
) -> None:
    monkeypatch.setattr(shared_writer, "WAKE_SECONDS", 2 * PATIENCE)
    listening = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query ~ %s"
    log = PostgresLog(parse_log_url(url))
    writer = SharedWriter(tmp_path / "node.db", lambda: T, None, log)
    await writer.open()
    try:
        async with await psycopg.AsyncConnection.connect(url) as other:
            await other.set_autocommit(True)
            async with asyncio.timeout(PATIENCE):
                while not await (await other.execute(listening, ["^LISTEN"])).fetchone():
                    pass
            await other.set_autocommit(False)
            await other.execute("SELECT pg_current_xact_id()")
            await writer.submit(custom("build", "a", "start"))
            assert not await writer.caught_up(0.2), "the transaction might still commit before it"
            await other.rollback()
        assert await writer.caught_up(PATIENCE)
    finally:
        await writer.close()
