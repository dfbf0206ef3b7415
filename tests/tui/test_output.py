"""What leaves the dashboard: clipboard, browser and files."""

from __future__ import annotations

import base64
import csv
import io
import json
import stat
import subprocess

import pytest
from textual.widgets import Input

from tests.tui.fakes import FakeReader, busy_reader, span
from tests.tui.stage import stage
from vs_tui.model.time import SECOND
from vs_tui.tui import first_steps, output
from vs_tui.tui.output import is_page, wrapped


def copied(written: list[str]) -> list[str]:
    """The texts of OSC 52 sequences."""
    parts = [part for text in written for part in text.split("\x1b]52;c;")[1:]]
    return [base64.b64decode(part.partition("\a")[0]).decode() for part in parts]


def said(on) -> list[str]:
    """What was said, whole: on the screen it is wrapped."""
    return list(on.app.notices)


@pytest.fixture
def plain_terminal(monkeypatch) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.delenv("STY", raising=False)


async def test_yank_goes_from_id_to_link_to_json_to_the_panel(
    tmp_path, monkeypatch, plain_terminal
) -> None:
    async with stage(remember_to=str(tmp_path / "state.json")) as on:
        on.list.select("d-18")
        written: list[str] = []
        monkeypatch.setattr(on.app._driver, "write", written.append)
        await on.press("y", "y", "y", "y", "y")
        ref, link, row, panel, again = copied(written)
        assert (ref, link, again) == ("d-18", "https://ci.example/search/18", "d-18")
        assert json.loads(row)["name"] == "search v18"
        assert panel.splitlines()[0].startswith("┌─ In flight")
        assert "DORA" not in panel
        file = tmp_path / "yanked.txt"
        assert file.read_text() == "d-18"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_span_without_a_link_has_one_turn_less(monkeypatch, plain_terminal) -> None:
    async with stage() as on:
        on.list.select("p-8842")
        written: list[str] = []
        monkeypatch.setattr(on.app._driver, "write", written.append)
        await on.press("y", "y")
        assert copied(written)[1].startswith("{")


async def test_another_row_begins_with_its_id(monkeypatch, plain_terminal) -> None:
    async with stage() as on:
        written: list[str] = []
        monkeypatch.setattr(on.app._driver, "write", written.append)
        on.list.select("d-18")
        await on.press("y", "y")
        on.list.select("p-331")
        await on.press("y")
        assert copied(written)[-1] == "p-331"


async def test_what_is_too_long_for_a_clipboard_goes_to_the_file_alone(
    tmp_path, monkeypatch
) -> None:
    async with stage(remember_to=str(tmp_path / "state.json")) as on:
        written: list[str] = []
        monkeypatch.setattr(on.app._driver, "write", written.append)
        on.app.output.yank_in_turns([("the body", "x" * 80_000)])
        assert copied(written) == []
        await on.until(lambda: said(on), "the toast")
        assert "too long" in said(on)[0] and "yanked.txt" in said(on)[0]
        assert (tmp_path / "yanked.txt").read_text() == "x" * 80_000


def test_wrapping() -> None:
    bare = "\x1b]52;c;eA==\a"
    assert wrapped(bare, "", "") == bare
    assert wrapped(bare, "/tmp/tmux,1,0", "1.pts") == f"{bare}\x1bPtmux;\x1b{bare}\x1b\\"
    assert wrapped(bare, "", "1.pts") == "\x1bP" + bare + "\x1b\\"
    long = wrapped("\x1b]52;c;" + "A" * 2_000 + "\a", "", "1.pts")
    assert long.count("\x1bP") == 3
    assert long.replace("\x1bP", "").replace("\x1b\\", "").count("A") == 2_000


@pytest.mark.parametrize(
    "url",
    ["", "file:///etc/passwd", "javascript:alert(1)", "--new-window", "https://a b", "ftp://x",
     "https://x/\x1b]0;y\a", "https://x/\u202e", " https://x"],
)  # fmt: skip
def test_what_is_no_page(url) -> None:
    assert not is_page(url)


@pytest.mark.parametrize("url", ["https://ci.example/a?b=c#d", "http://10.0.0.1:8080/ü"])
def test_pages(url) -> None:
    assert is_page(url)


async def test_without_a_browser_the_link_is_copied(monkeypatch, plain_terminal) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(output.sys, "platform", "linux")
    async with stage() as on:
        on.list.select("d-18")
        written: list[str] = []
        monkeypatch.setattr(on.app._driver, "write", written.append)
        await on.press("o")
        await on.sees("no browser here")
        assert copied(written) == ["https://ci.example/search/18"]


async def write_all(on) -> None:
    """Ask for all formats."""
    await on.press("e")
    await on.sees("csv, json, txt, svg or all to")
    on.app.screen.query_one(Input).value = "all"
    await on.press("enter")


@pytest.mark.parametrize(
    ("keys", "stem"), [((), "live"), (("2",), "traces"), (("4",), "events"), (("5",), "sources")]
)
async def test_exports_of_lists_have_the_rows_on_screen(tmp_path, monkeypatch, keys, stem) -> None:
    monkeypatch.chdir(tmp_path)
    async with stage() as on:
        await on.press(*keys)
        shown, rows = on.text, len(on.list.rows)
        await write_all(on)
        await on.sees("wrote")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"vs-tui-{stem}.{ending}" for ending in ("csv", "json", "txt", "svg")}
    listed = list(csv.reader(io.StringIO((tmp_path / f"vs-tui-{stem}.csv").read_text())))
    assert len(listed) == rows + 1
    found = json.loads((tmp_path / f"vs-tui-{stem}.json").read_text())
    assert [list(row) for row in found] == [listed[0]] * rows
    assert (tmp_path / f"vs-tui-{stem}.txt").read_text() == shown
    assert (tmp_path / f"vs-tui-{stem}.svg").read_text().lstrip().startswith("<svg")


async def test_an_export_never_writes_over_another_file(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vs-tui-live.txt").write_text("mine")
    (tmp_path / "vs-tui-live-2.svg").symlink_to(tmp_path / "elsewhere")
    async with stage() as on:
        await write_all(on)
        await on.sees("wrote")
    assert (tmp_path / "vs-tui-live.txt").read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()


async def test_a_folder_that_cannot_be_written_is_named_and_another_taken(
    tmp_path, monkeypatch
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.chdir(tmp_path)
    real = output.os.open

    def refuse(path, *rest):
        if str(path).startswith(f"{tmp_path}/vs-tui"):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest)

    monkeypatch.setattr(output.os, "open", refuse)
    async with stage(remember_to=str(own / "state.json")) as on:
        await write_all(on)
        await on.until(lambda: len(said(on)) == 2, "both toasts")
        refused, wrote = said(on)
        assert refused.endswith("cannot be written: Permission denied")
        assert wrote.startswith("wrote vs-tui-live.csv, vs-tui-live.json")
    assert (own / "vs-tui-live.csv").exists()


async def test_formulas_and_control_characters_are_harmless_in_files(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    reader = busy_reader()
    names = ["=1+1", "+1", "-1", "@x", "\t=1", "\x1b]0;x\a", "a,b\nc", 'q"q', "\u202ex", "<b>&"]
    for index, name in enumerate(names):
        reader.put(span(f"h-{index}", "build", name, began=(index + 1) * SECOND))
    async with stage(reader) as on:
        await write_all(on)
        await on.sees("wrote")
    texts = {path.suffix: path.read_text() for path in tmp_path.iterdir()}
    for text in texts.values():
        assert not any(c in text for c in "\x1b\a\u202e\x9b")
    cells = [row[2] for row in csv.reader(io.StringIO(texts[".csv"]))]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert "'=1+1" in cells and "a,b c" in cells
    assert "<b>&" not in texts[".svg"]


async def test_before_the_first_event_y_copies_the_line_to_try(monkeypatch, plain_terminal) -> None:
    async with stage(FakeReader(), program="/opt/vs-tui") as on:
        await on.sees("Nothing was received yet", "y copies it")
        written: list[str] = []
        monkeypatch.setattr(on.app._driver, "write", written.append)
        await on.press("y")
        (line,) = copied(written)
        assert line.startswith("curl http://127.0.0.1:8787/customhttp -H ")
        assert "$(/opt/vs-tui secret show token)" in line


def test_the_first_steps_fit_the_screen_whatever_the_program_is_called() -> None:
    for program in (
        "/nowhere/vs-tui",
        "/home/somebody/.local/pipx/venvs/vs-tui/bin/python -m vs_tui",
    ):
        lines = first_steps.first_steps("http://127.0.0.1:5000", open_mode=False, program=program)
        curl = [line for line in lines if "curl" in line or line.startswith("         ")]
        assert all(len(line) <= 76 for line in curl), curl
        pasted = subprocess.run(
            ["sh", "-c", "curl() { printf '%s|' \"$@\"; }; python() { :; }\n" + "\n".join(curl)],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert pasted.startswith("http://127.0.0.1:5000/customhttp|-H|Authorization: Bearer ")
        assert pasted.endswith('|-d|{"type":"build","id":"1","action":"start"}|')
