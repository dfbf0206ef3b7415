"""`vs-tui ls --by trace`."""

from __future__ import annotations

import json
import sqlite3

import pytest

from tests.store.tracing import World
from tests.traces.test_next_action import pull
from vs_tui.cli.main import main


@pytest.fixture
def database(tmp_path, monkeypatch):
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("VS_DATA_DIR", str(tmp_path))
    path = tmp_path / "t.db"
    file = sqlite3.connect(path)
    World().deliver(pull(title="Cache \x1b[31minvoices")).db.backup(file)
    file.close()
    return str(path)


def test_a_line_says_who_acts_next_and_no_event_text_is_raw(database, capsys) -> None:
    assert main(["ls", "--by", "trace", "next:cid", "--db", database]) == 0
    header, shown = capsys.readouterr().out.splitlines()
    assert header.index("WHO") == shown.index("cid")
    assert shown.startswith("waiting") and "review" in shown
    assert "\x1b" not in shown


def test_json_has_the_fields_of_the_api(database, capsys) -> None:
    assert main(["ls", "--by", "trace", "--json", "--db", database]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["next"]["section"] == "waiting" and found["next"]["who"] == ["cid"]
    assert found["next"]["cells"][0]["station"] == "issue"


def test_a_wrong_order_and_a_wrong_term_are_usage_errors(database, capsys) -> None:
    assert main(["ls", "--by", "trace", "--sort", "size", "--db", database]) == 2
    assert "use state, over" in capsys.readouterr().err
    assert main(["ls", "--by", "trace", "section:", "--db", database]) == 2
