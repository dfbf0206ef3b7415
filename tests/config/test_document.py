"""config.toml: what is wrong is said by its setting and with what it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from vs_tui.config import ConfigError, load
from vs_tui.config.document import from_file
from vs_tui.config.loading import proxy_for
from vs_tui.model.limits import MIB
from vs_tui.model.time import DAY, HOUR


def test_a_team_has_its_people_by_all_their_names(tmp_path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        '[teams.core]\nprojects = ["acme/*"]\nusers = ["bob", "dan"]\n'
        '[teams.web]\nusers = ["Zoë Ann"]\n'
        '[people]\nbob = ["Bob Builder"]\nzoe = ["Zoe-Ann", "z@acme.example"]\n'
    )
    config = load(path, env={})
    assert [team.users for team in config.teams.teams] == [
        ("bob", "dan", "Bob Builder"),
        ("Zoë Ann", "zoe", "Zoe-Ann", "z@acme.example"),
    ]
    assert config.teams.of("TP", "", "bob builder") == "core"
    names = (
        "Bob Builder",
        "bob_builder",
        "BOB",
        "bob@acme.example",
        "zoë.ann",
        "dan",
        "佐藤花",
        "",
    )
    assert [config.people_names.of(name) for name in names] == [
        *("bob", "bob", "bob", "bob", "zoe", "dan", "佐藤花", "")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "[severs]",
            "[severs] is not a section; use one of correlation, environments, export, goals,",
        ),
        (
            "[server]\nprot = 1",
            "[server] prot is not a setting; use one of host, port, public_url, no_auth,",
        ),
        ('[server]\nport = "80"', "[server] port must be a whole number, not '80'"),
        ("[server]\nport = true", "[server] port must be a whole number, not True"),
        ("[server]\nno_auth = 1", "[server] no_auth must be true or false, not 1"),
        ("server = 3", "server must be a table: [server]"),
        (
            '[store]\nlow_space = "lots"',
            "store.low_space: 'lots' is not a size; write it like 500MiB or 2GiB",
        ),
        (
            '[log]\nurl = "mysql://x"',
            "[log] url must begin with postgresql://, such as postgresql://USER@HOST/DATABASE",
        ),
        (
            '[log]\nschema = "a b"',
            "[log] schema is 'a b', which is no name of a schema; use lower-case letters, digits",
        ),
        ('[people]\nann = ["Ann Lee"]\nbob = ["Ann"]', "people: 'Ann' is a name of ann and of bob"),
        ("teams = 1", "teams must be a table: [teams]"),
        ("[teams]\ncore = 1", "teams.core must be a table: [teams.core]"),
        (
            '[teams.core]\nproject = ["a"]',
            "[teams.core] project is not a setting; use one of projects, users",
        ),
        (
            '[teams.core]\nprojects = "acme/api"',
            'teams.core.projects must be a list of texts, such as ["acme/api", "infra-*"]',
        ),
        (
            '[environments]\nproduction = "prod"',
            'environments.production must be a list of texts, such as ["acme/api", "infra-*"]',
        ),
        ("[spans]\ntimeout = {}", "[spans] timeout is not a setting; use one of timeouts"),
        (
            '[spans.timeouts]\ndeploy = "soon"',
            "spans.timeouts.deploy: 'soon' is not a duration; write it like 90s, 15m, 2h or 1d12h",
        ),
        (
            '[correlation]\ndisable = "proximity"',
            'correlation.disable must be a list of texts, such as ["proximity"]',
        ),
        ("[views]\nmine = 1", "[views] mine must be a text, not 1"),
        ("[keys]\nquit = 1", "[keys] quit must be a text, not 1"),
        (
            '[retention]\nage = "old"',
            "retention.age: 'old' is not a duration; write it like 90s, 15m, 2h or 1d12h",
        ),
        (
            '[retention]\nsize = "big"',
            "retention.size: 'big' is not a size; write it like 500MiB or 2GiB",
        ),
        ('[retention]\nagee = "1d"', "[retention] agee is not a setting; use one of age, size"),
        (
            '[metrics]\nbots = "x"',
            'metrics.bots must be a list of texts, such as ["renovate", "ci-*"]',
        ),
        (
            '[metrics]\nincident_window = "x"',
            "metrics.incident_window: 'x' is not a duration; write it like 90s, 15m, 2h or",
        ),
        (
            '[metrics]\nfailed_deploys = "no"',
            "[metrics] failed_deploys must be count or ignore, not 'no'",
        ),
        (
            "[metrics]\ndeployments = 1",
            "metrics.deployments must be tables: [[metrics.deployments]]",
        ),
        (
            '[[metrics.deployments]]\nfilter = "kind:"',
            "[[metrics.deployments]] filter: 'kind:' needs a value; such as kind:name, with * as",
        ),
        (
            '[[metrics.deployments]]\nenvironment = "x"',
            "[[metrics.deployments]] needs a filter, such as 'kind:pipeline name:\"Deploy*\"'",
        ),
        (
            "[[metrics.deployments]]\nfilter = 1",
            "[[metrics.deployments]] filter must be a text, not 1",
        ),
        (
            '[[metrics.deployments]]\nfilter = "kind:deploy"\ncolour = "x"',
            "[metrics.deployments] colour is not a setting; use one of filter, environment,",
        ),
        (
            '[[metrics.incidents]]\nfilter = ""',
            "[[metrics.incidents]] needs a filter, such as 'kind:pipeline name:\"Deploy*\"'",
        ),
        ('[services.api]\npath = ["x"]', "[services.api] path is not a setting; use one of paths"),
        (
            '[services.api]\npaths = "x"',
            'services.api.paths must be a list of texts, such as ["apps/checkout/**"]',
        ),
        (
            '[goals.core]\nspeed = "1d"',
            "[goals.core] speed is not a metric; use one of deployment_frequency,",
        ),
        (
            '[goals.core]\nchange_lead_time = "x"',
            "[goals.core] change_lead_time must be a duration such as \"2d\", not 'x'",
        ),
        ('[limits]\nbody = "x"', "limits.body: 'x' is not a size; write it like 500MiB or 2GiB"),
        ("[limits]\nrate = -1", "[limits] rate must be a whole number, not -1"),
        ("[limits]\nrate = 1.5", "[limits] rate must be a whole number, not 1.5"),
        ("[limits]\nread_seconds = 0", "[limits] read_seconds must be seconds above 0, not 0"),
        (
            "[limits]\ntempo = 0",
            "[limits] tempo is not a setting; use one of body, bodies, concurrent, connections,",
        ),
        ("[sources]\nshipit = 1", "sources.shipit must be a table: [sources.shipit]"),
        (
            '[export]\notlp = "collector:4318"',
            "[export] otlp must be a URL such as http://collector:4318",
        ),
        ("[export]\notlp = 1", "[export] otlp must be a text, not 1"),
        (
            '[export]\nfilter = "kind:"',
            "[export] filter: 'kind:' needs a value; such as kind:name, with * as wildcard",
        ),
        (
            "[export]\nheaders = {a = 1}",
            '[export] headers must be texts, such as { Authorization = "..." }',
        ),
        (
            '[export]\nsettle = "x"',
            "export.settle: 'x' is not a duration; write it like 90s, 15m, 2h or 1d12h",
        ),
        ('[export]\nsignals = ["logs"]', "[export] signals: 'logs' is none of traces, metrics"),
        (
            '[export]\nprotocol = "x"',
            "[export] protocol is not a setting; use one of otlp, filter, service_name,",
        ),
        (
            '[[notify]]\ncolour = "x"',
            "[[notify]] colour is not a setting; use one of on, format, url, headers, command,",
        ),
    ],
)
def test_what_is_wrong_is_named_with_what_it_takes(tmp_path: Path, written: str, said: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(written)
    with pytest.raises(ConfigError) as error:
        from_file(file)
    assert str(error.value).startswith(f"{file}: {said}")


@pytest.mark.parametrize("broken", [b"[server", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, broken: bytes) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(broken)
    with pytest.raises(
        ConfigError, match=r"config.toml cannot be read: .*; fix it or move it away"
    ):
        from_file(file)


def test_no_file_says_nothing(tmp_path: Path) -> None:
    assert from_file(tmp_path / "config.toml") == {}


def test_values_are_read_as_they_are_meant(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        """
        [store]
        low_space = "1.5MiB"
        [spans.timeouts]
        deploy = "2h"
        build = "never"
        [retention]
        age = "30d"
        [metrics]
        incident_window = 0
        [limits]
        rate = 0
        read_seconds = 2.5
        [teams]
        [environments]
        production = ["prod", "live-*"]
        """
    )
    found = from_file(file)
    assert found["low_space"] == 1.5 * MIB
    assert found["timeouts"]["deploy"] == 2 * HOUR
    assert "build" not in found["timeouts"], "it never times out"
    assert (found["retention"].age, found["retention"].size) == (30 * DAY, 0)
    assert found["metrics"].incident_window == 0
    assert (found["limits"].rate, found["limits"].read_seconds) == (0, 2.5)
    assert "teams" not in found, "an empty table says nothing"
    assert found["environments"].globs["production"] == ("prod", "live-*")


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://api.github.com/repos", "http://proxy:3128"),
        ("http://collector:4318", "http://plain:80"),
        ("https://git.acme.example", None),
        ("https://localhost:4318", None),
        ("http://[::1]:4318", None),
        ("http://127.1.2.3", None),
    ],
)
def test_the_proxy_of_the_environment(monkeypatch, url: str, proxy: str | None) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("http_proxy", "plain:80")
    monkeypatch.setenv("NO_PROXY", ".acme.example")
    assert proxy_for(url) == proxy
