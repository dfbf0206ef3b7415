"""Hostile texts in a real terminal: what the dashboard writes holds none of their sequences."""

from __future__ import annotations

import json
import os
import re
import sys

from tests.receiver.server import serving
from tests.tui.hostile import SEQUENCES
from tests.tui.terminal import Terminal

WALK = (
    ("2", "[2 Traces]"),
    ("3", "[3 DORA]"),
    ("4", "accepted"),
    ("\r", "Events › "),
    ("]", ""),
    ("\x1b", "[4 Events]"),
    ("5", "[5 Sources]"),
    ("1", "[1 Live]"),
    ("\r", "Live › "),
    ("\x1b", "[1 Live]"),
)
"""Keys, and what is on the screen when the next one may be pressed."""


def test_no_sequence_of_an_event_reaches_the_terminal(tmp_path) -> None:
    with serving(tmp_path) as server:
        for number, text in enumerate(SEQUENCES):
            shown = text.encode("utf-8", "replace").decode()
            body = {
                "type": "deploy", "id": f"h-{number}", "action": "start",
                "name": f"PWN{shown}PWN", "tags": {f"k{shown}": shown, "environment": shown},
            }  # fmt: skip
            status, answer = server.call("/customhttp", json.dumps(body).encode())
            assert status in (200, 400), answer
        env = {
            **os.environ,
            "VS_CONFIG_DIR": str(tmp_path),
            "VS_DATA_DIR": str(tmp_path),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
        }
        env.pop("NO_COLOR", None)
        terminal = Terminal(
            sys.executable, "-m", "vs_tui", "view", str(server.db), "--theme", "dark", env=env
        )
        terminal.read_until(b"PWN")
        for key, words in WALK:
            terminal.press(key.encode())
            if words:
                terminal.read_until(words.encode())
        assert terminal.close() == 0
    written = terminal.written
    text = written.decode("utf-8", "replace")
    # Textual itself sends CSI and the shape of the pointer (OSC 22); nothing else is expected.
    text = re.sub("\x1b\\]22;[a-z-]*\x07", "", text)
    assert not re.search("\x1b[^\\[]", text)
    assert not re.search("[\x80-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c\ufeff]", text)
    assert "\x07" not in text
    assert b"\x1b[?1049l" in written[-400:], "the terminal is given back"
    assert written.count(b"\x1b[?1049l") == 1
