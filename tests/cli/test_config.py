"""What `config show` prints, what is masked, and what is warned about at the start."""

from __future__ import annotations

import json
import os
import re
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

import pytest

from vs_tui.cli import reachability
from vs_tui.cli.common import add_server_options, load_config
from vs_tui.cli.config import TEMPLATE
from vs_tui.cli.main import main
from vs_tui.cli.reachability import find_public_url
from vs_tui.config import Config, ConfigError, Secrets, load, write_secrets
from vs_tui.config.loading import from_env
from vs_tui.model.limits import Thresholds
from vs_tui.model.time import DAY, HOUR

FULL = """
[server]
public_url = "https://robot:canary-password@hooks.example/x"
[store]
low_space = "1.5GiB"
[teams.core]
projects = ["acme/api", "infra-*"]
users = ["bob"]
[environments]
production = ["prod", "live-*"]
[spans.timeouts]
deploy = "2h"
build = "never"
[metrics]
incident_window = "4h"
bots = ["renovate"]
[views]
mine = "actor:bob age<7d"
[retention]
age = "180d"
[limits]
body = "10MiB"
rate = 50
"""


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("VS_DATA_DIR", str(tmp_path))
    return tmp_path


def shown(capsys) -> dict[str, str]:
    """The lines by the setting's name."""
    assert main(["config", "show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[0]: line.partition(" ")[2].strip() for line in lines}


def test_values_are_written_as_people_write_them(home, capsys) -> None:
    (home / "config.toml").write_text(FULL)
    found = shown(capsys)
    assert found["teams"].startswith("core = {projects = [acme/api, infra-*], users = [bob]}")
    assert "production = [prod, live-*]" in found["environments"]
    assert "deploy = 2h" in found["spans.timeouts"]
    assert "build" not in found["spans.timeouts"]
    assert found["metrics"].startswith("incident_window = 4h, bots = [renovate]")
    assert found["views"].startswith("mine = actor:bob age<7d")
    assert found["retention"].startswith("age = 180d")
    assert "size = any" in found["retention"]
    assert found["store.low_space"].startswith("1.5 GiB")
    assert "body = 10.0 MiB" in found["limits"]
    assert "rate = 50" in found["limits"]
    assert found["server.no_auth"].startswith("false")
    assert found["keys"].startswith("-")
    assert found["server.public_url"].startswith("https://hooks.example/x ")
    for name, line in found.items():
        assert not any(sign in line for sign in ("'", '"', "None", "True", "Path(")), (name, line)


RULES = """
[live]
long = 2
[services.checkout]
paths = ["apps/checkout/**"]
[goals.core]
change_lead_time = "2d"
change_fail_rate = "10%"
[metrics]
failed_deploys = "ignore"
[[metrics.deployments]]
filter = "kind:pipeline name:Deploy*"
[[metrics.incidents]]
filter = "label:outage"
"""


def test_rules_and_goals_are_shown_in_the_words_of_the_file(home, capsys) -> None:
    (home / "config.toml").write_text(RULES)
    lines = shown(capsys)
    for name, said in {
        "live": "long = 2, quiet_after = 14d, finished_for = 2h, axis_breaks = 5",
        "services": "checkout = [apps/checkout/**]",
        "metrics": "failed_deploys = ignore, deployments = [kind:pipeline name:Deploy*], "
        "incidents = [label:outage]",
    }.items():
        assert said in lines[name]
    goals = "core = {change_lead_time = 2d, change_fail_rate = 10 %}"
    assert lines["goals"].startswith(goals)
    assert not [line for line in lines.values() if re.search(r"\w\(\w+=", line)]


@pytest.mark.parametrize(
    "text",
    [
        TEMPLATE.read_text("utf-8"),
        "[teams]\n[environments]\n[views]\n[keys]\n[retention]\n[limits]\n[spans]\n[ui]\n",
    ],
)
def test_an_empty_table_says_nothing(home, capsys, text) -> None:
    (home / "config.toml").write_text(text)
    assert main(["config", "show", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    origins = {n: e["origin"] for n, e in found.items() if "secret" not in n and n != "token"}
    assert set(origins.values()) == {"default"}, origins
    assert load(env={}) == replace(load(env={}), origins={}), "no setting counts as stated"


def test_every_setting_is_named_as_the_page_names_it(home, capsys) -> None:
    assert main(["config", "show", "--json"]) == 0
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8")
    named = {name for name in json.loads(capsys.readouterr().out) if "secret" not in name}
    for name in named - {"token"}:
        table, _, part = name.partition(".")
        assert f"`{name}`" in page or (f"| `{table}` |" in page and part in page), name


async def test_no_password_or_key_of_an_address_is_shown(home, capsys) -> None:
    keyed = '[export]\notlp = "http://me:canary-password@c:4318/otlp?key=canary-password"\n'
    (home / "config.toml").write_text(FULL + keyed)
    for command in (["config", "show"], ["config", "show", "--json"], ["doctor"]):
        main(command) if command[0] == "config" else None
        assert "canary-password" not in "".join(capsys.readouterr())
    configured = load(env={}).public_url
    assert await find_public_url(configured, 0) == "https://hooks.example/x"


def test_a_secret_of_a_variable_and_of_the_file_it_names(home) -> None:
    (home / "gh").write_text("from-a-file\n")
    env = {"VS_SECRET_GITHUB_FILE": str(home / "gh"), "VS_SECRET_GITLAB": "stated"}
    sources = load(env=env).secrets.sources
    assert sources == {"github": ("from-a-file",), "gitlab": ("stated",)}


@pytest.mark.parametrize("name", ["VS_TOKEN_FILE", "VS_SECRET_GITHUB_FILE", "CONFIG"])
def test_a_file_without_an_end_is_refused(home, name) -> None:
    with pytest.raises(ConfigError, match=r"/dev/zero .*more than 1,000,000 characters"):
        load(env={name: "/dev/zero"})


@pytest.mark.parametrize(("mode", "said"), [(0o600, False), (0o640, True), (0o604, True)])
def test_secrets_that_others_can_read_are_said_at_the_start(home, mode, said) -> None:
    write_secrets(home / "secrets.toml", Secrets("token"))
    (home / "secrets.toml").chmod(mode)
    found = [each for each in reachability.risks(load(env={})) if "secrets.toml" in each]
    assert bool(found) is said
    assert not said or "chmod 600" in found[0]


@pytest.mark.parametrize(("line", "said"), [(FULL, True), ("[ui]\nascii = true\n", False)])
def test_a_configuration_that_may_hold_a_secret_is_too(home, line, said) -> None:
    (home / "config.toml").write_text(line)
    (home / "config.toml").chmod(0o644)
    assert any("config.toml" in each for each in reachability.risks(load(env={}))) is said


def test_root_is_told_not_to_be(monkeypatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert any("root" in each for each in reachability.risks(Config()))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert list(reachability.risks(Config())) == []


def test_every_option_of_the_receiver_is_a_setting(home) -> None:
    """Each beats the file and the environment."""
    (home / "config.toml").write_text("[server]\nport = 7000\nmetrics_port = 7001\n")
    parser = ArgumentParser()
    add_server_options(parser)
    given = ["--host=::1", "--port=0", "--db=x.db", "--token=t", "--metrics-port=5099", "--no-auth"]
    config = load_config(parser.parse_args(given))
    assert (config.host, config.port, str(config.db)) == ("::1", 0, "x.db")
    assert (config.secrets.token, config.metrics_port, config.no_auth) == ("t", 5099, True)
    without = load_config(parser.parse_args([]))
    assert (without.port, without.metrics_port, without.no_auth) == (7000, 7001, False)


@pytest.mark.parametrize(
    ("env", "host", "port"),
    [
        ({"HOST": "0.0.0.0", "PORT": "8080"}, "0.0.0.0", 8080),
        ({"PORT": "8080"}, "127.0.0.1", 8080),
        ({"HOST": "", "PORT": "8080"}, "127.0.0.1", 8080),
        # What a shell calls the machine is no address to listen on.
        ({"HOST": "laptop"}, None, None),
        ({"HOST": "0.0.0.0", "PORT": "tcp://10.0.0.1:80"}, None, None),
        ({"HOST": "0.0.0.0", "PORT": "8080", "VS_ADDR": "127.0.0.1:7000"}, "127.0.0.1", 7000),
    ],
)
def test_em_metrics_host_and_port_are_read(env, host, port) -> None:
    found = from_env(env)
    assert (found.get("host"), found.get("port")) == (host, port)


def test_what_live_calls_long_quiet_and_history_are_settings(home, capsys) -> None:
    (home / "config.toml").write_text(
        '[live]\nlong = 2\nquiet_after = "7d"\nfinished_for = "8h"\naxis_breaks = 3\n'
    )
    found = load(home / "config.toml", env={}).thresholds
    assert found == Thresholds(2.0, 7 * DAY, 8 * HOUR, 3)
    for wrong in ("long = 0.5", 'quiet_after = "soon"', "axis_breaks = 99", "slow = 1"):
        (home / "config.toml").write_text(f"[live]\n{wrong}\n")
        with pytest.raises(ConfigError, match="live"):
            load(home / "config.toml", env={})
