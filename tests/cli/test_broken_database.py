"""A database file that is broken: every command says so, names what to do, and leaves it alone."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.ingest.test_restart import fill
from vs_tui.cli.main import main

PAGE = 4096


def random_pages(raw: bytes) -> bytes:
    broken = bytearray(raw)
    chance = random.Random(4)
    # The root pages of tables and indexes are among the first.
    for page in (*range(3, 30, 3), *chance.sample(range(30, len(raw) // PAGE), 5)):
        broken[page * PAGE : (page + 1) * PAGE] = chance.randbytes(PAGE)
    return bytes(broken)


DAMAGES = {
    "garbage header": lambda raw: b"garbage!" * 512 + raw[PAGE:],
    "half": lambda raw: raw[: len(raw) // 2],
    "half a page more": lambda raw: raw[: len(raw) // 2 + 1000],
    "random pages": random_pages,
    "empty": lambda raw: b"",
}
READING = ("db verify", "db stats", "db backup COPY", "doctor", "doctor --deep", "ls", "view")
WRITING = ("serve --port 0", "db rebuild", "db prune --older-than 1d")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "t.db"
    asyncio.run(fill(path, 2_000))
    return path.read_bytes()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_file_is_refused_in_clear_words_and_left_alone(
    tmp_path, monkeypatch, capsys, whole, damage
) -> None:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("VS_DATA_DIR", str(tmp_path))
    path = tmp_path / "t.db"
    broken = DAMAGES[damage](whole)
    path.write_bytes(broken)
    path.chmod(0o600)
    lock = tmp_path / "t.db.lock"
    lock.write_text("1 opened".ljust(40))
    lock.chmod(0o600)
    # With a few broken pages most can be read, and is not refused: they are found by looking.
    opens = damage == "random pages"
    commands = (*READING[:5], "db rebuild") if opens else READING + WRITING
    for command in commands:
        words = command.replace("COPY", str(tmp_path / "copy.db")).split()
        code = main([*words, "--db", str(path)])
        out, err = capsys.readouterr()
        said = out + err
        assert code == 1, (command, said)
        assert "vs-tui db restore" in said, (command, said)
        assert str(path) in said, command
        assert "Traceback" not in said
        assert path.read_bytes() == broken, command
        assert not (tmp_path / "copy.db").exists()


def test_what_is_broken_can_be_restored_and_is_kept(tmp_path, monkeypatch, capsys, whole) -> None:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    path, backup = tmp_path / "t.db", tmp_path / "backup.db"
    backup.write_bytes(whole)
    for number, damage in enumerate(DAMAGES, 1):
        broken = DAMAGES[damage](whole)
        path.write_bytes(broken)
        assert main(["db", "restore", str(backup), "--db", str(path)]) == 0
        assert main(["db", "verify", "--db", str(path)]) == 0
        assert Path(f"{path}.replaced-{number}").read_bytes() == broken
    capsys.readouterr()


@pytest.mark.skipif(not shutil.which("sqlite3"), reason="needs SQLite's shell")
def test_what_can_be_read_is_saved_as_the_docs_say(tmp_path, monkeypatch, capsys, whole) -> None:
    """Damage at the end of the file: all deliveries that can be read are in the saved file."""
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    page = Path(__file__).parents[2] / "docs" / "operations.md"
    command = (
        page.read_text("utf-8").partition("It saves less, by\n\n```sh\n")[2].partition("```")[0]
    )
    assert ".dump" in command
    (tmp_path / "vs-tui.db").write_bytes(whole[:-PAGE] + b"\xff" * PAGE)
    subprocess.run(command, shell=True, cwd=tmp_path, check=True, timeout=60)

    saved = str(tmp_path / "saved.db")
    assert main(["db", "verify", "--db", saved]) == 0
    assert main(["db", "rebuild", "--db", saved]) == 0
    assert main(["db", "verify", "--db", saved]) == 0
    capsys.readouterr()
    assert main(["db", "stats", "--db", saved, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["deliveries"] > 1_000
