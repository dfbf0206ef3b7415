"""`vs-tui db`: what a person sees, and exit codes a script can use."""

import asyncio
import json
import os
import sqlite3
from pathlib import Path

import pytest

from tests.store.conftest import Clock, custom
from vs_tui.cli.common import now
from vs_tui.cli.main import main
from vs_tui.store.clock import Uptime
from vs_tui.store.maintenance.sweeper import WriterSettings
from vs_tui.store.writer import Writer


@pytest.fixture
def db(tmp_path, monkeypatch) -> Path:
    """A database of two finished builds, the first a hundred days old, and one in flight."""
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("VS_DATA_DIR", str(tmp_path))
    path = tmp_path / "t.db"

    async def fill() -> None:
        clock = Clock()
        writer = Writer(path, clock, WriterSettings(uptime=lambda: Uptime("an earlier boot", 0)))
        await writer.open()
        age = (now() - clock.now) // 1_000_000
        for number, action, at in (
            ("old", "end", age - 100 * 86_400),
            ("flying", "start", age - 100 * 86_400),
            ("new", "end", age - 60),
        ):
            await writer.submit(custom("build", number, action, at))
        await writer.close()

    asyncio.run(fill())
    return path


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(["db", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def spans(path: Path) -> set[str]:
    with sqlite3.connect(path) as database:
        return {row[0].rpartition("-")[2] for row in database.execute("SELECT key FROM spans")}


def test_backup_and_verify(db, tmp_path, capsys) -> None:
    copy = tmp_path / "copy.db"
    code, out, _ = run(capsys, "backup", "--db", str(db), str(copy))
    assert code == 0
    assert str(copy) in out
    assert spans(copy) == {"old", "flying", "new"}
    code, out, _ = run(capsys, "verify", "--db", str(copy), "--json")
    assert code == 0
    assert json.loads(out)["problems"] == []
    code, _, err = run(capsys, "backup", "--db", str(db), str(copy))
    assert code == 1
    assert "choose another name" in err


def test_verify_of_a_damaged_copy_exits_1_and_says_what_to_do(db, capsys) -> None:
    raw = bytearray(db.read_bytes())
    raw[raw.index(b'"id":"new"') + 6] ^= 1
    db.write_bytes(raw)
    code, out, _ = run(capsys, "verify", "--db", str(db))
    assert code == 1
    assert "does not match its hash" in out
    assert "vs-tui db restore BACKUP" in out


def test_restore_puts_a_backup_back_and_keeps_what_was_there(db, tmp_path, capsys) -> None:
    copy = tmp_path / "copy.db"
    run(capsys, "backup", "--db", str(db), str(copy))
    damaged = b"garbage!" * 512
    db.write_bytes(damaged)
    code, out, _ = run(capsys, "restore", "--db", str(db), str(copy))
    assert code == 0
    kept = db.with_name("t.db.replaced-1")
    assert f"previous database  {kept}" in out
    assert kept.read_bytes() == damaged
    assert spans(db) == {"old", "flying", "new"}
    assert db.stat().st_mode & 0o777 == 0o600
    code, out, _ = run(capsys, "verify", "--db", str(db))
    assert code == 0
    assert out.splitlines()[::2] == ["ok                 yes", "problems           none"]


def test_restore_refuses_what_is_no_whole_backup_and_changes_nothing(db, tmp_path, capsys) -> None:
    copy = tmp_path / "copy.db"
    run(capsys, "backup", "--db", str(db), str(copy))
    raw = bytearray(copy.read_bytes())
    raw[raw.index(b'"id":"new"') + 6] ^= 1
    copy.write_bytes(raw)
    before = db.read_bytes()
    for bad, why in (
        (copy, "is damaged itself"),
        (tmp_path / "none.db", "is no file; name one that"),
        (db, "is the database itself"),
    ):
        code, _, err = run(capsys, "restore", "--db", str(db), str(bad))
        assert (code, why in err) == (1, True), err
    assert db.read_bytes() == before
    assert not list(tmp_path.glob("*.replaced*"))


def test_a_restore_that_cannot_be_finished_leaves_the_database_in_its_place(
    db, tmp_path, capsys, monkeypatch
) -> None:
    from vs_tui.store.maintenance import backup
    from vs_tui.store.schema import StoreError

    copy = tmp_path / "copy.db"
    run(capsys, "backup", "--db", str(db), str(copy))

    def full(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(backup, "backup", full)
    assert run(capsys, "restore", "--db", str(db), str(copy))[0] == 1
    assert spans(db) == {"old", "flying", "new"}


def test_prune_says_first_and_deletes_then_but_nothing_in_flight(db, capsys) -> None:
    code, out, _ = run(
        capsys, "prune", "--db", str(db), "--older-than", "30d", "--dry-run", "--json"
    )
    said = json.loads(out)
    assert (code, said["traces"], said["deleted"]) == (0, 1, False)
    assert spans(db) == {"old", "flying", "new"}
    code, out, _ = run(capsys, "prune", "--db", str(db), "--older-than", "30d", "--json")
    done = json.loads(out)
    assert (code, done["traces"], done["spans"], done["deleted"]) == (0, 1, 1, True)
    assert spans(db) == {"flying", "new"}
    assert done["copies_that_still_hold_it"] == []


def test_prune_names_the_copies_that_still_hold_it_and_deletes_them_when_asked(db, capsys) -> None:
    copy = db.with_name("t.db.v1.bak")
    copy.write_bytes(db.read_bytes())
    prune = ("prune", "--db", str(db), "--older-than", "30d")
    _, out, _ = run(capsys, *prune)
    assert str(copy) in out
    assert "--delete-copies" in out
    _, out, _ = run(capsys, *prune, "--delete-copies", "--json")
    assert json.loads(out)["copies_that_still_hold_it"] == []
    assert not copy.exists()
    assert spans(db) == {"flying", "new"}


def test_prune_takes_the_age_of_the_configuration(db, tmp_path, capsys) -> None:
    code, _, err = run(capsys, "prune", "--db", str(db))
    assert code == 2
    assert "--older-than 90d" in err
    config = tmp_path / "vs.toml"
    config.write_text('[retention]\nage = "30d"\n')
    code, out, _ = run(capsys, "prune", "--db", str(db), "--config", str(config), "--json")
    assert (code, json.loads(out)["traces"]) == (0, 1)


def test_a_wrong_age_is_explained(db, capsys) -> None:
    code, _, err = run(capsys, "prune", "--db", str(db), "--older-than", "soon")
    assert code == 2
    assert "write it like" in err


def test_stats_and_rebuild(db, capsys) -> None:
    code, out, _ = run(capsys, "stats", "--db", str(db), "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["deliveries"], found["verdicts"]) == (3, {"accepted": 3})
    code, out, _ = run(capsys, "stats", "--db", str(db))
    assert "KiB" in out
    assert "verdicts           3 accepted" in out
    code, out, _ = run(capsys, "rebuild", "--db", str(db), "--json")
    assert code == 0
    assert json.loads(out)["spans"] == 3


@pytest.mark.parametrize("action", ["verify", "stats", "rebuild", "prune"])
def test_a_database_that_is_not_there_is_not_created(tmp_path, monkeypatch, capsys, action) -> None:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    path = tmp_path / "none.db"
    extra = ["--older-than", "1d"] if action == "prune" else []
    code, _, err = run(capsys, action, "--db", str(path), *extra)
    assert code == 1
    assert "name the database with --db" in err
    assert not path.exists()


@pytest.mark.parametrize("action", ["prune --older-than 30d", "restore COPY"])
async def test_a_running_receivers_database_is_not_changed_from_outside(
    db, tmp_path, capsys, action
) -> None:
    copy = tmp_path / "copy.db"
    run(capsys, "backup", "--db", str(db), str(copy))
    writer = Writer(db, now)
    await writer.open()
    command = action.replace("COPY", str(copy)).split()
    code, _, err = await asyncio.to_thread(run, capsys, *command, "--db", str(db))
    await writer.close()
    assert code == 1
    assert f"in use by the receiver with process id {os.getpid()}: stop it, run `vs-tui db" in err
    assert ("set age in [retention]" in err) == action.startswith("prune")
    assert spans(db) == {"old", "flying", "new"}
