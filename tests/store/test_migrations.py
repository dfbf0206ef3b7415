"""Databases of every released schema open with today's code, or are refused with advice; a kill in
the middle of a migration leaves the old schema or the new one."""

import contextlib
import json
import os
import signal
import sqlite3
import stat
from pathlib import Path

import pytest

from tests.store.conftest import custom, rebuilt, rows_of
from vs_tui.cli.common import now
from vs_tui.cli.runtime import Runtime
from vs_tui.config import Config
from vs_tui.metrics.windows import Window
from vs_tui.model.teams import Environments, Teams
from vs_tui.store import schema
from vs_tui.store.lock import DatabaseLock, InUse
from vs_tui.store.maintenance.backup import restore, verify
from vs_tui.store.metrics.keeper import MetricsKeeper
from vs_tui.store.metrics.metric_rows import read_detail
from vs_tui.store.metrics.scorecards import read_scorecards
from vs_tui.store.schema import NewerSchema, StoreError, open_reader
from vs_tui.store.writer import Writer

SCHEMAS = sorted(Path(__file__).with_name("schemas").glob("v*.sql"))

NEXT = """
CREATE TABLE added (id INTEGER PRIMARY KEY, body BLOB);
INSERT INTO added SELECT id, body FROM deliveries;
ALTER TABLE deliveries ADD COLUMN extra TEXT NOT NULL DEFAULT '';
UPDATE deliveries SET extra = 'moved';
CREATE INDEX added_body ON added (body);
"""


def load(script: Path, target: Path) -> None:
    with contextlib.closing(sqlite3.connect(target)) as database:
        database.executescript(script.read_text("utf-8"))


def shape(path: Path) -> list[tuple]:
    """Tables and indexes with their definition, whatever the white space."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        rows = database.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
        ).fetchall()
    return [(kind, name, " ".join(sql.split())) for kind, name, sql in rows]


def version(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute("PRAGMA user_version").fetchone()[0]


def test_there_is_a_database_of_every_schema_before_todays() -> None:
    named = {int(path.stem[1:]) for path in SCHEMAS}
    assert named >= set(range(1, schema.SCHEMA_VERSION)) | {1}


@pytest.mark.parametrize("script", SCHEMAS, ids=lambda path: path.stem)
async def test_a_released_database_opens_and_loses_nothing(tmp_path, clock, script) -> None:
    path = tmp_path / "vs.db"
    load(script, path)
    old = version(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        deliveries = database.execute("SELECT id, body FROM deliveries").fetchall()
    assert deliveries, "the test database holds something"
    writer = Writer(path, clock)
    await writer.open()
    found = await writer.run(lambda db: db.execute("SELECT id, body FROM deliveries").fetchall())
    assert found == deliveries
    before = await rows_of(writer)
    assert len(before[0]) >= 4
    await writer.submit(custom("build", "new", "start"))
    await rebuilt(writer)
    after = await rows_of(writer)
    await writer.close()
    assert {row[0] for row in before[0]} < {row[0] for row in after[0]}
    assert version(path) == schema.SCHEMA_VERSION
    assert verify(path) == []
    backup = path.with_name(f"vs.db.v{old}.bak")
    assert backup.exists() == (old < schema.SCHEMA_VERSION)

    fresh = Writer(tmp_path / "fresh.db", clock)
    await fresh.open()
    await fresh.close()
    assert shape(path) == shape(tmp_path / "fresh.db"), "migrated and new databases are alike"


@pytest.mark.parametrize("script", SCHEMAS, ids=lambda path: path.stem)
async def test_a_start_says_that_it_migrates_and_what_it_keeps(tmp_path, script, capsys) -> None:
    path = tmp_path / "vs.db"
    load(script, path)
    old = version(path)
    for expected in (old < schema.SCHEMA_VERSION, False):
        runtime = Runtime(Config(db=path), now)
        await runtime.open_store()
        await runtime.close()
        said = capsys.readouterr().err
        assert (f"from schema {old} to {schema.SCHEMA_VERSION} first" in said) == expected
        assert (f"a copy as it was stays in vs.db.v{old}.bak\n" in said) == expected


async def test_a_database_in_use_is_not_said_to_be_migrated(tmp_path, capsys) -> None:
    path = tmp_path / "vs.db"
    load(SCHEMAS[0], path)
    lock = DatabaseLock(path)
    lock.take()
    try:
        with pytest.raises(InUse):
            await Runtime(Config(db=path), now).open_store()
    finally:
        lock.release()
    assert capsys.readouterr().err == ""
    assert version(path) < schema.SCHEMA_VERSION


@pytest.fixture
def next_schema(monkeypatch) -> int:
    """A version to come, with a migration that copies and alters."""
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, NEXT))
    monkeypatch.setattr(schema, "SCHEMA_VERSION", schema.SCHEMA_VERSION + 1)
    return schema.SCHEMA_VERSION


async def filled(path: Path, clock, number: int) -> None:
    writer = Writer(path, clock)
    await writer.open()
    for n in range(number):
        await writer.submit(custom("build", n, "start"))
    await writer.close()


async def test_a_migration_keeps_a_private_backup_of_the_old_schema(
    tmp_path, clock, request
) -> None:
    path = tmp_path / "vs.db"
    await filled(path, clock, 20)
    now = schema.SCHEMA_VERSION
    request.getfixturevalue("next_schema")
    schema.open_writer(path).close()
    backup = tmp_path / f"vs.db.v{now}.bak"
    assert version(path) == now + 1
    assert version(backup) == now
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with contextlib.closing(sqlite3.connect(backup)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT COUNT(*) FROM deliveries").fetchone() == (20,)


async def test_a_failing_migration_leaves_the_old_schema(tmp_path, clock, monkeypatch) -> None:
    path = tmp_path / "vs.db"
    await filled(path, clock, 5)
    before, was = shape(path), schema.SCHEMA_VERSION
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, NEXT + "SELECT nonsense;"))
    monkeypatch.setattr(schema, "SCHEMA_VERSION", was + 1)
    with pytest.raises(StoreError, match="nonsense"):
        schema.open_writer(path)
    assert (shape(path), version(path)) == (before, was)


def test_a_full_disk_leaves_the_old_schema_and_says_what_to_do(tmp_path) -> None:
    path = tmp_path / "vs.db"
    load(next(script for script in SCHEMAS if script.stem == "v6"), path)  # it gets an index
    before, was = shape(path), version(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages}")
        advice = f"full; free some space and start vs-tui again; .* it still has schema {was}"
        with pytest.raises(StoreError, match=advice):
            schema.migrate(database, path)
    assert (shape(path), version(path)) == (before, was)
    assert shape(schema.backup_name(path, was)) == before
    schema.open_writer(path).close()


def test_a_backup_that_fails_leaves_the_one_before_it(tmp_path) -> None:
    path = tmp_path / "vs.db"
    load(SCHEMAS[-1], path)
    backup = schema.backup_name(path, version(path))
    backup.write_bytes(b"the one before")
    path.write_bytes(path.read_bytes()[:-8192])
    with pytest.raises(StoreError):
        schema.open_writer(path)
    assert backup.read_bytes() == b"the one before"
    assert sorted(found.name for found in tmp_path.glob("*.bak*")) == [backup.name]


async def test_a_kill_at_fifty_moments_of_a_migration_leaves_old_or_new(
    tmp_path, clock, request
) -> None:
    path = tmp_path / "vs.db"
    await filled(path, clock, 200)
    raw = path.read_bytes()
    was = schema.SCHEMA_VERSION
    old_shape = shape(path)
    request.getfixturevalue("next_schema")
    seen = set()
    for moment in range(50):
        for leftover in tmp_path.iterdir():
            leftover.unlink()
        path.write_bytes(raw)
        child = os.fork()
        if child == 0:
            die_after(path, 20 + moment * 150)
        _, status = os.waitpid(child, 0)
        found = version(path)
        seen.add((found, os.WIFSIGNALED(status)))
        with contextlib.closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert database.execute("SELECT COUNT(*) FROM deliveries").fetchone() == (200,)
            if found != was:
                moved = "SELECT COUNT(*) FROM added JOIN deliveries USING (id) WHERE extra <> ''"
                assert database.execute(moved).fetchone() == (200,)
        if found == was:
            assert shape(path) == old_shape
            schema.open_writer(path).close()
            assert version(path) == was + 1, "the next start migrates"
    assert (was, True) in seen, "some moments were in the middle"


def die_after(path: Path, operations: int) -> None:
    """In a child: migrate, and kill -9 itself after so many steps of SQLite's machine."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.set_progress_handler(lambda: os.kill(os.getpid(), signal.SIGKILL), operations)
    schema.migrate(connection, path)
    os._exit(0)


async def test_a_newer_schema_is_refused_by_writers_and_readers_and_left_alone(
    tmp_path, clock
) -> None:
    path = tmp_path / "vs.db"
    await filled(path, clock, 1)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    for attempt in (schema.open_writer, open_reader):
        with pytest.raises(NewerSchema, match=r"has schema 99, .* upgrade vs-tui"):
            attempt(path)
    assert version(path) == 99


async def test_after_a_downgrade_the_backup_of_the_upgrade_is_named_and_can_be_restored(
    tmp_path, clock
) -> None:
    path = tmp_path / "vs.db"
    await filled(path, clock, 5)
    was = schema.SCHEMA_VERSION
    with pytest.MonkeyPatch.context() as upgraded:
        upgraded.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, NEXT))
        upgraded.setattr(schema, "SCHEMA_VERSION", was + 1)
        await filled(path, clock, 9)
    newer, backup = path.read_bytes(), tmp_path / f"vs.db.v{was}.bak"
    with pytest.raises(NewerSchema, match=f"upgrade vs-tui, or run `vs-tui db restore {backup}`"):
        schema.open_writer(path)
    assert path.read_bytes() == newer
    done = restore(backup, path)
    assert done.deliveries == 5
    assert done.kept is not None
    assert done.kept.read_bytes() == newer, "what came in since the upgrade is kept"
    await filled(path, clock, 7)
    assert version(path) == was
    assert verify(path) == []


async def test_a_backup_of_an_older_schema_is_restored_and_migrated_by_the_next_start(
    tmp_path, clock
) -> None:
    path, old = tmp_path / "vs.db", tmp_path / "old.db"
    load(SCHEMAS[0], old)
    assert restore(old, path).kept is None
    writer = Writer(path, clock)
    await writer.open()
    await writer.close()
    assert version(path) == schema.SCHEMA_VERSION
    assert version(old) == 1
    assert verify(path) == []


async def test_a_reader_of_an_older_schema_says_how_to_migrate(tmp_path, clock, request) -> None:
    path = tmp_path / "vs.db"
    await filled(path, clock, 1)
    request.getfixturevalue("next_schema")
    with pytest.raises(StoreError, match="vs-tui serve --db"):
        open_reader(path)


async def test_what_pruned_traces_contributed_is_counted_as_before(tmp_path, clock) -> None:
    """Two deployments of the database of schema 5 have no spans any more: one shipped a change of
    an unknown begin, the other one of a day and failed; what came after them is judged anew.
    """
    path = tmp_path / "vs.db"
    load(SCHEMAS[4], path)
    with contextlib.closing(sqlite3.connect(path)) as old:
        gone = "SELECT key FROM dora_deployments WHERE span NOT IN (SELECT key FROM spans)"
        keys = [key for (key,) in old.execute(gone)]
        assert len(keys) == 2
        times = {"started_at": 1772086600000000, "ended_at": 1772087600000000}
        signals = json.dumps([{"kind": "incident", "key": "i#1", **times}])
        old.execute(
            "UPDATE dora_deployments SET reasons = 'incident', verdict = json_set(verdict, "
            "'$.signals', json(?), '$.blames', json(?)) WHERE key LIKE '%v5-1'",
            (signals, json.dumps([{"key": "i#1", "span": "i"}])),
        )
        old.execute(
            "INSERT INTO dora_episodes SELECT key, 1772086600000000, 1772087600000000, project, "
            "service, environment, ended_at FROM dora_deployments WHERE key LIKE '%v5-1'"
        )
        merged = '[["author","","ada","merges",[1772086500000000]]]'
        old.execute("INSERT INTO dora_members (key, records) VALUES ('pruned-pr', ?)", (merged,))
        old.commit()
    keeper = MetricsKeeper(Environments())
    db = schema.open_writer(path)
    for _ in range(2):  # as migrated, then judged anew
        window = Window(1772000000000000, 1772445700000000, 1772445700000000)
        (card,) = read_scorecards(db, window, teams=Teams(), by="all", beside=True)
        figures = card.figures
        assert (figures["deploys"].n, figures["fail"].hits, figures["fail"].n) == (4, 2, 5)
        assert figures["restore"].n == 2
        assert figures["restore"].value == (1_000_000_000 + 86_400_000_000) / 2
        assert figures["lead"].n + figures["lead"].unknown == 4
        assert card.beside is not None
        assert card.beside.merged_pull_requests == 1
        detail = read_detail(db, window, "", "fail")
        assert [(line.version, line.note) for line in detail.behind[:2]] == [
            ("1.2", "deploy failed"),
            ("1.1", "incident"),
        ]
        rows = "SELECT * FROM dora_changes WHERE deployment IN (?, ?) ORDER BY 1"
        kept = db.execute(rows, keys).fetchall()
        assert [(row[7], row[8], row[-2]) for row in kept] == [
            (None, "", 120_000_000),
            (86_400_000_000, "previous deployment", 120_000_000),
        ]
        while keeper.adopt_some(db):
            pass
    db.close()
