"""A changed file is read again once it is whole; a wrong one changes nothing and says why."""

from dataclasses import fields
from pathlib import Path

import pytest

from vs_tui.config import Config, load
from vs_tui.config.reread import AFTER_RESTART, AT_ONCE, ConfigFile, Reread

TEAM = '[teams.core]\nprojects = ["acme/*"]\n'


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text("[server]\nport = 5001\n")
    return path


def opened(path: Path, env: dict[str, str] | None = None) -> ConfigFile:
    return ConfigFile(load(path, env=env or {}), lambda: load(path, env=env or {}))


def after(file: ConfigFile, text: str) -> Reread:
    """What a look says once the file has this text and rests."""
    file.config.path.write_text(text)
    assert file.look() is None, "it may be half written"
    found = file.look()
    assert found is not None
    return found


def test_every_setting_takes_effect_at_once_or_after_a_restart() -> None:
    given = {"secrets", "path", "secrets_path", "origins"}
    assert {*AT_ONCE, *AFTER_RESTART} == {field.name for field in fields(Config)} - given
    assert not AT_ONCE.keys() & AFTER_RESTART.keys()


def test_teams_take_effect_at_once_and_a_port_after_a_restart(path) -> None:
    file = opened(path)
    found = after(file, f"[server]\nport = 5002\n{TEAM}")
    assert file.config.teams.names == ["core"] and file.config.port == 5001
    assert found.message == (
        "config.toml was read again: [teams] in force; [server] port after a restart"
    )
    assert file.look() is None
    found = after(file, f"[server]\nport = 5001\n{TEAM}\n")
    assert found.message == "config.toml was read again: nothing is different"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nport = 5001\n[teams.core\n", "line 3"),
        ("[teams.core]\nproject = ['a']\n", "teams.core"),
        ("[colours]\n", "[colours] is not a section; use one of"),
    ],
)
def test_a_wrong_file_changes_nothing_and_says_where(path, text, said) -> None:
    path.write_text(TEAM)
    file = opened(path)
    found = after(file, text)
    assert said in found.message and str(path) in found.message
    assert found.message.endswith("the settings before stay in force")
    assert file.config.teams.names == ["core"] and not found.changed
    assert after(file, TEAM + "# mended\n").problem == ""


def test_a_file_that_is_gone_changes_nothing(path) -> None:
    path.write_text(TEAM)
    file = opened(path)
    path.unlink()
    assert file.look() is None
    assert "is gone" in file.look().message
    assert file.config.teams.names == ["core"]


def test_a_file_that_appears_is_read(path) -> None:
    path.unlink()
    file = ConfigFile(
        Config(path=path), lambda: load(path, env={}) if path.is_file() else Config(path=path)
    )
    assert file.look() is None
    assert "[teams]" in after(file, TEAM).changed


def test_a_variable_beats_the_file_as_at_the_start(path) -> None:
    found = after(opened(path, {"VS_ADDR": "127.0.0.1:5005"}), "[server]\nport = 5007\n")
    assert found.restart == []
