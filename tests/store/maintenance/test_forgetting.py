"""Forgetting a person: in spans, deliveries, refusals, read models and in the file itself."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from tests.ingest.bodies import honest
from tests.store.conftest import Clock, T, rebuilt
from vs_tui.cli.main import main
from vs_tui.cli.runtime import writer_settings
from vs_tui.config import Config
from vs_tui.log.delivery import Rejection
from vs_tui.model.teams import Team, Teams
from vs_tui.sources.base import Inbound
from vs_tui.sources.dispatch import intake_of, read, sources
from vs_tui.store.lock import DatabaseLock
from vs_tui.store.maintenance.backup import verify
from vs_tui.store.maintenance.forgetting import Person
from vs_tui.store.writer import Writer

NAME = "canary-bob"
LOGIN = re.compile(r'"(login|username|user_username|nickname|name|email)": "[^"]+"')
BINARY = {"content-type": "application/x-protobuf"}
TEAMS = Teams((Team("core", ("*",), (NAME,)),))


def named(source: str) -> list[tuple[str, dict[str, str], bytes]]:
    """A source's honest deliveries with every person in them called NAME, and much else."""
    found = []
    for path, headers, body in honest(source)[:25]:
        raw = LOGIN.sub(rf'"\1": "{NAME}"', json.dumps(body))
        found.append((path, {n.lower(): v for n, v in headers.items()}, raw.encode()))
    return found


def fill(path: Path) -> None:
    asyncio.run(_fill(path))


async def _fill(path: Path) -> None:
    """Deliveries of every source, a form, a binary one, a refusal, all about NAME."""
    clock = Clock()
    writer = Writer(path, clock, writer_settings(Config(db=path, teams=TEAMS)))
    await writer.open()
    start = {"type": "deploy", "id": "1", "action": "start", "tags": {"actor": NAME}}
    texts = {"name": f"Merge {NAME}/fix by @{NAME.upper()}", "url": f"https://x/{NAME}?u={NAME}"}
    more = [
        ("customhttp", "/customhttp", {}, orjson.dumps({**start, **texts})),
        ("customhttp", "/customhttp", {}, orjson.dumps({**start, "id": "2", NAME: [f"{NAME}!"]})),
        ("customhttp", "/customhttp", {}, b'{"type":"build","id":"J\\u00fcrgen","action":"end"}'),
        ("jenkins", "/jenkins", {}, f"payload=%7B%22user%22%3A%22{NAME}%22%7D".encode()),
        (
            "otlp",
            "/v1/traces",
            {"content-type": "application/x-protobuf"},
            b"\xff\n" + NAME.encode(),
        ),
    ]
    for name in sources():
        more += [(name, *each) for each in named(name)]
    for name, where, headers, body in more:
        source = sources()[name]
        clock.now += 1_000_000
        inbound = Inbound(where, headers, body, clock.now)
        try:
            parsed = read(source, inbound)
        except Exception:
            continue
        await writer.submit(intake_of(source, inbound, parsed))
    body = f"{{{NAME}".encode()
    writer.reject(Rejection("github", "push", f"/{NAME}", T, 400, f"bad: {NAME}", 9, {}, body))
    await writer.close()


def everywhere(path: Path) -> list[str]:
    """Files of the database that hold the name in any case."""
    parts = [path, *path.parent.glob(f"{path.name}-*")]
    return [part.name for part in parts if NAME.encode() in part.read_bytes().lower()]


def rows(path: Path) -> list[tuple]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(
            "SELECT key, actor, name, operation FROM spans ORDER BY key"
        ).fetchall()


@pytest.fixture
def db(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("VS_DATA_DIR", str(tmp_path))
    fill(tmp_path / "t.db")
    assert everywhere(tmp_path / "t.db"), "the canary is there at first"
    return tmp_path / "t.db"


def forget(capsys, path: Path, *more: str) -> dict:
    code = main(["db", "forget", "--db", str(path), "--actor", NAME, "--json", *more])
    out = capsys.readouterr().out
    assert code == 0
    return json.loads(out)


def fold_again(path: Path) -> None:
    async def work() -> None:
        writer = Writer(path, Clock(), writer_settings(Config(db=path)))
        await writer.open()
        await rebuilt(writer)
        await writer.close()

    asyncio.run(work())


def test_the_name_is_nowhere_in_the_file_and_stays_away(db, capsys) -> None:
    before = rows(db)
    dry = forget(capsys, db, "--dry-run")
    assert rows(db) == before
    assert dry["forgotten"] is False
    done = forget(capsys, db)
    assert done["deliveries"] == dry["deliveries"] > 40
    assert done["refusals"] == 1
    assert everywhere(db) == []
    assert verify(db) == []
    after = rows(db)
    assert len(after) == len(before), "no span is lost"
    word = done["now_called"]
    assert [row for row in before if row[1] == NAME], "they were an actor"
    replaced = [tuple(str(cell).replace(NAME, word) for cell in row) for row in before]
    changed = {(row[1], row[3]) for row in replaced} - {(row[1], row[3]) for row in after}
    assert changed == set(), "what they did is still one person's"
    with closing(sqlite3.connect(db)) as database:
        decided = database.execute("SELECT body FROM deliveries WHERE path = '/api/forget'")
        assert [json.loads(body) for (body,) in decided] == [{"now_called": word}]

    fold_again(db)
    assert rows(db) == after
    assert everywhere(db) == []
    assert (forget(capsys, db))["deliveries"] == 0


def test_copies_are_named_and_a_running_receiver_is_left_alone(db, capsys, tmp_path) -> None:
    (tmp_path / "t.db.v1.bak").write_bytes(NAME.encode())
    done = forget(capsys, db, "--dry-run")
    assert done["copies_that_still_name_them"] == [str(tmp_path / "t.db.v1.bak")]
    lock = DatabaseLock(db)
    lock.take()
    try:
        assert main(["db", "forget", "--db", str(db), "--actor", NAME]) == 1
        assert "is in use" in capsys.readouterr().err
    finally:
        lock.release()


def test_copies_are_deleted_when_that_is_asked_for(db, capsys, tmp_path) -> None:
    backup = tmp_path / "t.db.v1.bak"
    backup.write_bytes(db.read_bytes())
    notes = tmp_path / "t.db.notes"
    notes.write_text("no database")
    assert forget(capsys, db, "--dry-run", "--delete-copies")["copies_that_still_name_them"] == [
        str(notes),
        str(backup),
    ]
    assert backup.exists(), "a dry run deletes nothing"
    done = forget(capsys, db, "--delete-copies")
    assert done["copies_that_still_name_them"] == [str(notes)]
    assert [path.name for path in tmp_path.iterdir() if NAME.encode() in path.read_bytes()] == []


def test_a_name_too_short_is_refused(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    (tmp_path / "t.db").touch()
    assert main(["db", "forget", "--db", str(tmp_path / "t.db"), "--actor", " "]) == 2
    assert "two characters" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b'{"a":"bob"}', b'{"a":"X"}'),
        (b'{"bob":["by BOB","bob/fix","bob@acme.com"]}', b'{"X":["by X","X/fix","X@acme.com"]}'),
        (b'{"a":"bobsled bob-smith kebob _bob 1bob"}', None),
        (b'{"a":"no one","n":1.0}', None),
        (b"payload=%7B%22user%22%3A%22bob%22%7D&x=bob", b"payload=%7B%22user%22%3A%22X%22%7D&x=X"),
        (b"\xff\x03bob\xfe", b"\xff\x03xxx\xfe"),
        (b'{"a":"J\\u00fcrgen","b":"\\u0062ob"}', b'{"a":"X","b":"X"}'),
    ],
)  # fmt: skip
def test_bodies(given, expected) -> None:
    person = Person(["bob", "Jürgen"], "X")
    assert person.body(given) == (given if expected is None else expected)


def test_the_word_is_another_each_time_and_tells_nothing() -> None:
    one, two = Person(["bob"]), Person(["bob"])
    assert one.word != two.word
    assert "bob" not in one.word
