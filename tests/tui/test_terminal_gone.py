"""A terminal that goes away, as when a window is closed or ssh drops, ends the dashboard."""

from __future__ import annotations

import os
import sys

from tests.ingest.server import serving
from tests.patience import PATIENCE
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
