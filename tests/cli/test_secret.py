"""`vs-tui secret` and `config`: rotation without a lost delivery; masked wherever shown."""

import json
import stat
from pathlib import Path

import pytest

from tests.ingest.server import Server
from vs_tui.cli.main import main
from vs_tui.config import ConfigError, load


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("VS_DATA_DIR", str(tmp_path))
    return tmp_path


def out(capsys, *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out.strip()


def test_the_first_use_makes_private_secrets_that_stay(home, capsys) -> None:
    first = out(capsys, "secret", "show", "github")
    assert len(first) >= 43
    assert out(capsys, "secret", "show", "github") == first
    assert out(capsys, "secret", "show", "token") != first
    assert stat.S_IMODE((home / "secrets.toml").stat().st_mode) == 0o600


def test_a_rotation_keeps_the_last_one_valid_and_no_older_one(home, capsys) -> None:
    first = out(capsys, "secret", "show", "github")
    second = out(capsys, "secret", "rotate", "github")
    third = out(capsys, "secret", "rotate", "github")
    assert len({first, second, third}) == 3
    assert load().secrets.of("github") == [third.encode(), second.encode()]


@pytest.mark.parametrize(
    ("name", "source"), [("VS_SECRET_GITHUB", "github"), ("VS_TOKEN", "token")]
)
def test_what_the_environment_sets_is_not_rotated(home, capsys, monkeypatch, name, source) -> None:
    """It would go before the new one, and be written into the file."""
    out(capsys, "secret", "show", source)
    before = (home / "secrets.toml").read_text()
    monkeypatch.setenv(name, "from-the-environment-0123456789")
    assert main(["secret", "rotate", source]) == 2
    assert "unset it and rotate again" in capsys.readouterr().err
    assert (home / "secrets.toml").read_text() == before
    rotated = out(capsys, "secret", "rotate", "gitlab")
    assert "from-the-environment" not in (home / "secrets.toml").read_text()
    assert load().secrets.of("gitlab")[0] == rotated.encode()


@pytest.mark.parametrize("name", ["nonsense", "user"])  # decisions are signed with the token
def test_an_unknown_source_is_named_with_those_there_are(home, capsys, name) -> None:
    assert main(["secret", "show", name]) == 2
    told = capsys.readouterr().err
    assert f"there is no secret for '{name}'; there are token, bitbucket" in told
    assert ", trello, vercel" in told


def test_config_show_says_where_each_value_comes_from_and_masks_secrets(
    home, capsys, monkeypatch
) -> None:
    secret = out(capsys, "secret", "show", "github")
    (home / "config.toml").write_text(
        '[retention]\nage = "180d"\nsize = "5GiB"\n[limits]\nrate = 50\nbody = "1MiB"\n'
    )
    monkeypatch.setenv("VS_ADDR", "127.0.0.1:5999")
    text = out(capsys, "config", "show", "--json")
    shown = json.loads(text)
    assert secret not in text
    assert shown["secret.github"]["value"] == "(set)"
    assert (shown["server.port"]["value"], shown["server.port"]["origin"]) == (5999, "environment")
    assert shown["retention"]["value"]["size"] == 5 * 1024**3
    assert shown["limits"]["value"]["rate"] == 50
    assert shown["limits"]["origin"] == str(home / "config.toml")
    assert secret not in out(capsys, "config", "show")


def test_config_init_writes_a_file_that_reads_as_the_defaults(home, capsys) -> None:
    path = Path(out(capsys, "config", "init"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load().limits == load(env={}).limits
    uncommented = "\n".join(
        line[2:] if line.startswith("# ") and (" = " in line or line.startswith("# [")) else line
        for line in path.read_text().splitlines()
    )
    path.write_text(uncommented)
    config = load()
    assert config.retention.size == 5 * 1024**3
    assert config.limits.connections == 2000
    assert main(["config", "init"]) == 1
    assert "move it away first" in capsys.readouterr().err


@pytest.mark.parametrize("by_flag", [True, False])
def test_the_command_that_a_missing_configuration_names_creates_it(
    home, capsys, monkeypatch, by_flag
) -> None:
    missing = home / "else" / "mine.toml"
    if not by_flag:
        monkeypatch.setenv("VS_CONFIG", str(missing))
    options = ["--config", str(missing)] if by_flag else []
    assert main(["config", "show", *options]) != 0
    command = capsys.readouterr().err.split("`")[1]
    assert Path(out(capsys, *command.split()[1:])) == missing
    assert out(capsys, "config", "show", *options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[limits]\nspeed = 1\n", r"\[limits\] speed is not a setting; use one of body"),
        ('[limits]\nrate = "fast"\n', r"\[limits\] rate must be a whole number"),
        ('[limits]\nbody = "big"\n', "write it like 500MiB"),
        ('[retention]\nsize = "5 apples"\n', "write it like 500MiB"),
        ('[retention]\nage = "old"\n', "write it like"),
        ("[metrics]\nincident_window = 24\n", r"incident_window: '24' is not .* 2h .*, or 0 for"),
        ('[metrics]\nbots = "renovate"\n', r'metrics.bots must be a list of texts, .*"renovate"'),
        ("[metrics]\nrobots = []\n", r"\[metrics\] robots is not a setting; use one of incident"),
        ("[retention]\nforever = true\n", r"\[retention\] forever is not a setting"),
        ('[store]\nlow_space = "x"\n', "store.low_space: 'x' is not a size; write it like 500MiB"),
        ('[spans.timeouts]\ndeploy = "2 parsecs"\n', "spans.timeouts.deploy: '2 parsecs' is not a"),
        ('[retention]\nage = "x"\n', "retention.age: 'x' is not a duration"),
        ('[retention]\nsize = "x"\n', "retention.size: 'x' is not a size"),
        ("[limits]\nbody = -1\n", "limits.body: '-1' is not a size"),
        ('[store]\ndb = "/tmp"\n', "/tmp is a folder; name a file in it, such as /tmp/vs-tui.db"),
        (
            "[spans]\ntimeout = {deploy = '1h'}\n",
            r"\[spans\] timeout is not a setting; use one of t",
        ),
        ('[spans]\ntimeouts = "1h"\n', r"spans.timeouts must be a table: \[spans.timeouts\]"),
        ('[correlation]\ndisabled = ["ships"]\n', r"disabled is not a setting; use one of disable"),
        ('[views]\nmine = ["x"]\n', r"\[views\] mine must be a text, not \['x'\]"),
        ("[teams.core]\nteam = 1\n", r"\[teams.core\] team is not a setting; use one of projects"),
        ("[server]\nport = 70000\n", r"port \(from .*config.toml\) is 70000; use 0 to 65535"),
        ("[server]\nport = true\n", r"\[server\] port must be a whole number, not True"),
        ('token = "canary"\n[server', "cannot be read"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_accepted(home, text, message) -> None:
    (home / "config.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load()


def test_a_broken_secrets_file_is_not_quoted(home) -> None:
    (home / "secrets.toml").write_text('token = "canary-1234\n')
    with pytest.raises(ConfigError, match="move it away to create a new one") as raised:
        load()
    assert "canary" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_no_secret_in_the_repr_of_a_configuration(home, capsys) -> None:
    secret = out(capsys, "secret", "show", "github")
    assert secret not in repr(load())


def test_a_receiver_that_starts_first_makes_the_same_secrets(home, capsys) -> None:
    server = Server(home)
    server.stop()
    assert out(capsys, "secret", "show", "github") == "old-gh-secret"
    assert stat.S_IMODE((home / "secrets.toml").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["log_level", "log_format", "theme"])
def test_a_word_that_no_setting_knows_is_told_what_is_accepted(tmp_path, monkeypatch, name) -> None:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    variable = f"VS_{name.upper()}"
    with pytest.raises(ConfigError, match=rf"{name} \(from environment\) is 'loud'; use one of "):
        load(env={variable: "loud"})
    accepted = {"log_level": "WARNING", "log_format": "JSON", "theme": "Mono"}[name]
    assert getattr(load(env={variable: accepted}), name) == accepted.lower()
