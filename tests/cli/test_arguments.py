"""No argument makes a command end with a traceback: it does its work, or says what is wrong."""

from __future__ import annotations

import contextlib
import io
import shlex

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vs_tui.cli import vscli
from vs_tui.cli.main import main
from vs_tui.cli.report import REPORTS
from vs_tui.store.schema import open_writer

COMMANDS = {
    "ls": "--json --by trace --limit --at --db",
    "report": "dora durations pull-requests teams --since --until --team --format json --tz --by",
    "secret": "show rotate add list revoke --scope send read --team",
    "config": "show init",
    "source": "list show test",
    "db": "stats verify prune backup restore --older-than --dry-run",
    "completion": "bash zsh fish",
    "flush": "",
    "record": "--since --until --source --delivery --db",
    "link": "show cut pin clear list --url --token",
}
ODD = [
    *("", "-", "--", "-1", "0", "1e400", "9" * 40, "\ud800", "\udc80", "a" * 5_000, "\x1b]0;x\x07"),
    *("2026-13-45", "30d", "9999999999d", "-5d", "1.5h", "0001-01-01T00:00:00Z", "kind:*"),
    *("9999-12-31T23:59:59Z", '"', "-is:", "dur>9999999999999d", "age<1e9d", "over>1e308"),
    *("/dev/null", "/", "..", "http://", "http://[", "https://:@/", "postgresql://", "A/B"),
]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("VS_CONFIG_DIR", "VS_DATA_DIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    # Nobody listens there.
    monkeypatch.setenv("VS_URL", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)


WORDS = st.sampled_from(ODD) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=()), max_size=12
)


def words_of(name: str):
    return st.sampled_from([*COMMANDS[name].split(), "--help"]) | WORDS


LINES = st.sampled_from(sorted(COMMANDS)).flatmap(
    lambda name: st.tuples(st.just(name), st.lists(words_of(name), max_size=5))
)


@pytest.mark.parametrize(
    "line",
    [
        ("report", "durations", "--since", "0001-01-01"),
        ("report", "pull-requests", "--until", "0001-01-02"),
        ("record", "--source", "\udce9"),
        ("record", "--delivery", "1" * 31),
        ("ls", "--limit", "\x1b]0;x\x07"),
        ("flush", "--nothing", "\x1b[31m"),
        ("serve", "--port", "\x1b[31m"),
        ("event", "--type", "\x1b[31m it", "start"),
        ("event", "--tag", "\x1b]0;x\x07", "start"),
        ("run", "--tag", "\x1b[31m", "--", "true"),
        ("vscli", "event", "--tag", "\x1b[31m", "start"),
        ("\x1b[31m",),
    ],
)
def test_an_argument_that_cannot_be_used_is_told_without_controlling_the_terminal(
    line, tmp_path, capsys
) -> None:
    with contextlib.closing(open_writer(tmp_path / "vs-tui.db")):
        try:
            code = vscli.main([*line[1:]]) if line[0] == "vscli" else main([*line])
        except SystemExit as ended:
            code = ended.code
    assert code == 2
    said = capsys.readouterr().err
    assert said.strip()
    assert "\x1b" not in said


WRONG = [
    *(f"report {name} --since 7" for name in REPORTS),
    *("report dora --by nothing", "report dora --by-period day", "report dora --tz Mars"),
    *("report durations dur>x", "report durations --by nothing", "report pull-requests --by year"),
    *(
        "report dora kind:build",
        "report teams --by-period week",
        "report dora --format valuestream",
    ),
    *("ls dur>x", "ls --sort nothing", "ls section:flight", "ls --by trace --sort nothing"),
    *("ls --by trace wait>x", "record --since x", "record --until x"),
    *("replay gone --speed x", "replay gone --to ftp://x", "replay gone --only github"),
    *("link show ''", "link pin a ''", "link clear ''", "link list --url ftp://x"),
    *("db prune --older-than x", "db copy-log a b", "db forget --actor ''"),
    *("view --at x", "view ftp://x", "view postgresql://host/db#part"),
    *("export postgres nowhere", "export postgres postgresql://h/d --schema 'a b'"),
    *("import github a", "import github a/b --since x", "import github a/b --to ftp://x"),
    *("connect github 'a b'", "connect github ''", "connect nothing", "connect jenkins a/b"),
    *(
        "connect github a/b --public-url x",
        "connect github a/b --api x",
        "source test nothing gone",
    ),
    *("source test github gone --header x", "secret show nothing", "secret revoke nothing"),
    *("serve --log nowhere", "serve --export-otlp nowhere", "serve --port x"),
    *("event --tag x start", "event end --event-id ''", "run --", "run --tag x -- true"),
]


@pytest.mark.parametrize("line", WRONG)
def test_arguments_are_judged_before_files_databases_and_the_network(
    line, tmp_path, monkeypatch
) -> None:
    """Nothing that these commands would use is there."""
    monkeypatch.setattr("vs_tui.cli.view.need_terminal", lambda: None)
    monkeypatch.setenv("GITHUB_TOKEN", "t")
    try:
        code = main(shlex.split(line))
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert not (tmp_path / "vs-tui.db").exists()


def test_without_a_database_a_right_call_says_so(tmp_path, capsys) -> None:
    """Which teams there are, only the database knows."""
    for line in ("report dora --team core", "report durations --team core", "ls kind:deploy"):
        assert main(line.split()) == 1
        assert "vs-tui.db does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["", "/", ".."])
def test_a_folder_is_no_file_to_write(path, tmp_path, capsys) -> None:
    with contextlib.closing(open_writer(tmp_path / "vs-tui.db")):
        assert main(["db", "backup", path]) == 1
        assert main(["record", "--out", path]) == 1
        assert capsys.readouterr().err.count(" exists; choose another") == 2


@given(LINES)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_argument_is_a_traceback(line) -> None:
    command, arguments = line
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([command, *arguments])
        except SystemExit as ended:
            code = ended.code
    assert code in (0, 1, 2, None)
    assert "Traceback" not in err.getvalue()
    assert "crash" not in err.getvalue()
    if code:
        assert err.getvalue().strip(), "a failure says why"


def test_an_address_that_is_none_is_a_wrong_call(capsys, monkeypatch) -> None:
    monkeypatch.setattr("vs_tui.cli.view.need_terminal", lambda: None)
    for address in ("ftp://jumpbox", "http://"):
        assert main(["view", address]) == 2
        assert "http://HOST:PORT" in capsys.readouterr().err
