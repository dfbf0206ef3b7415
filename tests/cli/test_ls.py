"""`vs-tui ls --by trace`."""

from __future__ import annotations

import json
import sqlite3

import pytest
from rich.cells import cell_len

from tests.store.tracing import World
from tests.traces.test_next_action import pull
from tests.tui.fakes import span
from vs_tui.cli import ls
from vs_tui.cli.main import main
from vs_tui.model.time import SECOND


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


@pytest.mark.parametrize("by", ["span", "trace"])
def test_an_empty_list_says_so_beside_its_header(database, capsys, by) -> None:
    assert main(["ls", "--by", by, "team:nobody", "--db", database]) == 0
    found = capsys.readouterr()
    assert len(found.out.splitlines()) == 1
    assert "matches team:nobody" in found.err
    assert main(["ls", "--by", by, "--json", "team:nobody", "--db", database]) == 0
    assert not capsys.readouterr().out


@pytest.mark.parametrize("name", ["platform-engineering/" * 3, "\u65e5\u672c\u8a9e" * 12, "a\x1bb"])
def test_long_and_wide_names_keep_the_columns_and_end_with_an_ellipsis(name) -> None:
    shown = span("b", "pull_request", "the name", began=60 * SECOND, team=name, project=name)
    line = ls.row(shown)
    before = line[: line.index("the name")]
    assert cell_len(before) == ls.HEADER.index("NAME")
    assert ("\u2026" in before) == (cell_len(name) > 24) and "\x1b" not in line


def test_a_term_of_traces_says_where_it_works(database, capsys) -> None:
    assert main(["ls", "section:waiting", "--db", database]) == 2
    assert "ls --by trace" in capsys.readouterr().err
