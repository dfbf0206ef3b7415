"""Hostile texts in a real terminal: what the dashboard writes holds none of their sequences."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

from tests.receiver.server import serving
from tests.tui.hostile import SEQUENCES

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


class Terminal:
    """A dashboard on a pty of 120x40, and all that it has written."""

    def __init__(self, *command: str, env: dict[str, str]) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True
        )
        os.close(slave)
        self.written = b""

    def read_until(self, words: bytes) -> None:
        """Until something new holds the words."""
        start = len(self.written)
        deadline = time.monotonic() + 30
        while words not in self.written[start:]:
            assert time.monotonic() < deadline, (words, self.written[start:][-2_000:])
            if select.select([self.master], [], [], 0.1)[0]:
                self.written += os.read(self.master, 65_536)

    def press(self, key: bytes) -> None:
        os.write(self.master, key)

    def close(self) -> int:
        """Quit and read to the end."""
        self.press(b"q")
        try:
            while chunk := os.read(self.master, 65_536):
                self.written += chunk
        except OSError:
            pass  # the other end is closed
        os.close(self.master)
        return self.process.wait(15)


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
