"""Where commands log: on stderr, or in a file of their own where they draw on the terminal."""

from __future__ import annotations

import json
import logging
import os
import stat
from dataclasses import replace

import pytest

from vs_tui.cli.commands import to_the_end
from vs_tui.cli.logs import log_to_file, set_up_logging
from vs_tui.config import load


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("VS_DATA_DIR", str(tmp_path))
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield load(env={})
    for handler in root.handlers:
        handler.close()
    root.handlers, root.level = handlers, level


def test_the_log_file_is_its_owners_alone_and_says_what_the_configuration_asks(config, tmp_path):
    before = os.umask(0)
    try:
        log_to_file(replace(config, log_level="error", log_format="json"))
        for _ in range(3):
            logging.getLogger("vs_tui.x").error("disk \x1b[31mfull" + "." * 400_000)
        logging.getLogger("vs_tui.x").warning("not asked for")
    finally:
        os.umask(before)

    files = sorted(tmp_path.glob("vs-tui.log*"))
    assert [file.name for file in files] == ["vs-tui.log", "vs-tui.log.1"], "it is turned over"
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert {(line["level"], line["logger"]) for line in lines} == {("error", "vs_tui.x")}
    assert len(lines) == 3


def test_one_printable_line_a_record_on_stderr(config, capsys):
    set_up_logging(config)
    logging.getLogger("vs_tui.x").warning("two\nlines \x1b]0;title\x07")

    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert line.endswith(r"WARNING vs_tui.x two\nlines \x1b]0;title\x07")


def test_a_command_leaves_no_handler_behind(config, tmp_path, capsys):
    root, server = logging.getLogger(), logging.getLogger("aiohttp.server")
    before = root.handlers[:], root.level, server.level
    files = []

    def command() -> int:
        log_to_file(config)
        logging.getLogger("vs_tui.x").warning("told")
        files.extend(root.handlers)
        raise SystemExit(2)

    for _ in range(2):
        with pytest.raises(SystemExit):
            to_the_end("vs-tui", command)
        assert (root.handlers, root.level, server.level) == before
    assert [handler.stream for handler in files] == [None, None], "they are closed"
    assert (tmp_path / "vs-tui.log").read_text().count("told") == 2
    assert capsys.readouterr().err == ""
