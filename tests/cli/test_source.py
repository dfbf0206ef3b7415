"""`vs-tui source`, and what `doctor`, `secret` and `serve` say of mapped sources."""

from __future__ import annotations

import io
import json
import sys

import pytest

from tests.sources.test_mapped import TEN_LINES, deploy
from vs_tui.cli.main import main
from vs_tui.config.model import configure
from vs_tui.sources import dispatch
from vs_tui.sources.mapped import presets


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("VS_DATA_DIR", str(tmp_path))
    yield tmp_path
    configure({})


@pytest.fixture
def body(tmp_path):
    file = tmp_path / "body.json"
    file.write_text(json.dumps(deploy("failed")))
    return str(file)


def out(capsys, *arguments: str, code: int = 0) -> str:
    assert main(["source", *arguments]) == code
    return capsys.readouterr().out


def test_a_mapped_source_shows_its_events_and_stores_nothing(home, body, capsys) -> None:
    (home / "config.toml").write_text(TEN_LINES)
    shown = out(capsys, "test", "shipit", body)
    assert shown.startswith("deploy.error is accepted\n")
    assert "span_id        vstrace-shipit-deploy-7\n" in shown
    assert "environment    production" in shown
    found = json.loads(out(capsys, "test", "shipit", body, "--json"))
    assert found["verdict"] == "accepted"
    last = found["events"][-1]
    assert (last["state"], last["at"]) == ("error", "2026-03-02T10:00:00Z")
    assert last["attributes"]["service.name"] == "cart"
    assert not list(home.glob("*.db"))


def test_a_source_of_its_own_code_is_tried_with_its_headers_from_stdin(
    home, capsys, monkeypatch
) -> None:
    told = b'{"event": {"event_type": "incident.triggered", "data": {"id": "Q1", "title": "Down"}}}'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(told)))
    shown = out(capsys, "test", "pagerduty", "-")
    assert "vstrace-pagerduty-incident-Q1" in shown
    file = home / "push.json"
    file.write_text("{}")
    header = ("--header", "X-GitHub-Event: ping")
    assert out(capsys, "test", "github", str(file), *header).startswith("ping is ignored")


def test_what_the_receiver_would_not_read_is_said(home, body, capsys) -> None:
    (home / "config.toml").write_text(TEN_LINES + 'url = "lower(@)"\n')
    assert "expressions that failed" in out(capsys, "test", "shipit", body)
    (home / "bad.json").write_text('{"type": "deploy", "deploy": {"status": "done"}}')
    shown = out(capsys, "test", "shipit", str(home / "bad.json"), code=1)
    assert shown.startswith("unreadable is quarantined: events 1: id is missing (deploy.id)")
    (home / "no.json").write_text("{")
    assert main(["source", "test", "shipit", str(home / "no.json")]) == 1
    assert "would answer 400: body: is not JSON" in capsys.readouterr().err
    assert main(["source", "test", "shipit", str(home / "none.json")]) == 1
    assert "see whether it is there" in capsys.readouterr().err
    assert main(["source", "test", "shpit", body]) == 2
    assert "there is no source 'shpit'; there are alertmanager" in capsys.readouterr().err
    assert main(["source", "test", "shipit", body, "--header", "nothing"]) == 2


def test_hostile_text_of_a_body_is_harmless_on_the_terminal(home, capsys) -> None:
    (home / "config.toml").write_text(TEN_LINES)
    told = deploy("done")
    told["app"] = "cart\x1b[31m\u202e\x00"
    (home / "hostile.json").write_text(json.dumps(told))
    shown = out(capsys, "test", "shipit", str(home / "hostile.json"))
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_all_sources_are_listed_and_a_preset_can_be_copied(home, capsys, tmp_path) -> None:
    listed = {row["name"]: row for row in json.loads(out(capsys, "list", "--json"))}
    assert listed["vercel"]["paths"] == ["/vercel"]
    assert set(presets()) < set(listed)
    assert "user" not in listed, "decisions of people are no tool"
    assert "/rootly" in out(capsys, "list")
    shown = out(capsys, "show", "vercel")
    assert "[[events]]" in shown
    assert "[[samples]]" not in shown
    assert main(["source", "show", "github"]) == 2


WRONG = TEN_LINES.replace("deploy.id", "deploy.")
TOLD = "[sources.shipit] events 1, id: column 8: it ends too early, in 'deploy.'"


def test_a_wrong_expression_is_told_with_its_place_at_start_and_by_doctor(home, capsys) -> None:
    (home / "config.toml").write_text(WRONG)
    for command in (["serve", "--port", "0"], ["serve", "--port", "0", "--no-auth"]):
        assert main(command) == 1
        assert TOLD in capsys.readouterr().err
    assert main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    (mapping,) = [each for each in found if each["check"] == "mappings"]
    assert mapping["level"] == "fail"
    assert TOLD in mapping["found"]
    (home / "config.toml").write_text(TEN_LINES)
    main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    (mapping,) = [each for each in found if each["check"] == "mappings"]
    assert (mapping["level"], mapping["found"].endswith("1 of yours")) == ("ok", True)


def test_a_secret_is_made_for_each_source_that_signs_wherever_it_comes_from(home, capsys) -> None:
    signed = TEN_LINES.replace("shipit]", 'shipit]\nsignature = {header = "X-Sign"}', 1)
    assert main(["secret", "show", "github"]) == 0
    (home / "config.toml").write_text(signed)
    capsys.readouterr()
    for name in ("shipit", "vercel", "incidentio"):
        assert main(["secret", "show", name]) == 0
        assert len(capsys.readouterr().out.strip()) >= 43
    assert main(["secret", "show", "datadog"]) == 2
    assert "there is no secret for 'datadog'" in capsys.readouterr().err


def test_secrets_that_cannot_be_written_stop_no_receiver_that_has_a_token(
    home, capsys, monkeypatch
) -> None:
    from vs_tui.config import secrets as module

    assert main(["secret", "show", "github"]) == 0
    first = capsys.readouterr().out

    def refuse(*_: object) -> None:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(module, "write_secrets", refuse)
    signed = TEN_LINES.replace("shipit]", 'shipit]\nsignature = {header = "X-Sign"}', 1)
    (home / "config.toml").write_text(signed)
    assert main(["secret", "show", "github"]) == 0
    assert capsys.readouterr().out == first
    assert main(["secret", "show", "shipit"]) == 2


def test_a_plugin_that_signs_gets_a_secret_as_well(home, capsys, monkeypatch) -> None:
    import importlib.metadata

    from vs_tui.sources.alertmanager import Alertmanager

    class Plugin(Alertmanager):
        name = "plugged"
        paths = ("/plugged",)
        signature_headers = ("x-plugged",)

    class Entry:
        name = "plugged"

        @staticmethod
        def load() -> Plugin:
            return Plugin()

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Entry])
    dispatch._sources.cache_clear()
    try:
        assert main(["secret", "show", "plugged"]) == 0
        assert len(capsys.readouterr().out.strip()) >= 43
        assert "/plugged" in out(capsys, "list")
    finally:
        monkeypatch.undo()
        dispatch._sources.cache_clear()
