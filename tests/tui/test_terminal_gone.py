"""A terminal that goes away, as when a window is closed or ssh drops, ends the dashboard; one that
is given back to the shell suspends it."""

from __future__ import annotations

import os
import shlex
import sys

import pytest

from tests.ingest.server import serving
from tests.patience import PATIENCE
from tests.tui.stage import does
from tests.tui.terminal import Terminal


def ends_with_its_terminal(tmp_path, *command: str) -> None:
    env = {**os.environ, "VS_CONFIG_DIR": str(tmp_path), "VS_DATA_DIR": str(tmp_path)}
    on = Terminal(sys.executable, "-m", "vs_tui", *command, env=env)
    try:
        on.read_until(b"Live")
        os.close(on.master)
        on.process.wait(PATIENCE)
    finally:
        on.process.kill()


def test_the_receiver_with_its_dashboard_ends(tmp_path) -> None:
    ends_with_its_terminal(tmp_path, "dashboard", "--db", str(tmp_path / "t.db"), "--port", "0")


def test_a_view_ends(tmp_path) -> None:
    with serving(tmp_path):
        ends_with_its_terminal(tmp_path, "view", str(tmp_path / "t.db"))


@does("suspend")
@pytest.mark.parametrize("command", ["view", "dashboard --port 0 --db"])
def test_ctrl_z_gives_the_terminal_to_the_shell_and_fg_brings_it_back(tmp_path, command) -> None:
    env = {**os.environ, "VS_CONFIG_DIR": str(tmp_path), "VS_DATA_DIR": str(tmp_path), "PS1": "$ "}
    with serving(tmp_path):
        pass
    # A shell that opens its terminal controls its jobs.
    on = Terminal("bash", "-c", "exec bash --norc -i <>$(tty) >&0 2>&0", env=env)
    try:
        line = f"{shlex.quote(sys.executable)} -m vs_tui {command} {tmp_path / 't.db'}\n"
        on.press(line.encode())
        on.read_until(b"LIVE")
        on.press(b"\x1a")
        if command != "view":
            on.read_until(b"again suspends the receiver")
            on.press(b"\x1a")
        on.read_until(b"Stopped")
        on.press(b"echo $((6 * 7))\n")
        on.read_until(b"42")
        on.press(b"fg\n")
        on.read_until(b"LIVE")
        on.press(b"?")
        on.read_until(b"In lists")
    finally:
        on.process.kill()


def test_without_a_shell_ctrl_z_says_so(tmp_path) -> None:
    env = {**os.environ, "VS_CONFIG_DIR": str(tmp_path), "VS_DATA_DIR": str(tmp_path)}
    with serving(tmp_path):
        pass
    on = Terminal(sys.executable, "-m", "vs_tui", "view", str(tmp_path / "t.db"), env=env)
    try:
        on.read_until(b"LIVE")
        on.press(b"\x1a")
        on.read_until(b"no shell here could resume it")
        assert on.close() == 0
    finally:
        on.process.kill()
