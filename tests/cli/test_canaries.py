"""Secrets of the environment on a real terminal: neither what we start, nor a crash of a screen or
of the receiver, nor any file has them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.patience import PATIENCE, free_port, wait_for
from tests.tui.terminal import Terminal
from vs_tui.config import take_secrets_out

CANARY = "canaryBEEF0123456789"
SECRETS = {
    "VS_TOKEN": f"{CANARY}-token",
    "VS_SECRET_GITHUB": f"{CANARY}-github",
    "VS_PUBLIC_URL": f"https://u:{CANARY}@hooks.example",
    "EM_METRICS_TOKEN_AUTH": f"{CANARY}-em",
}
CRASHING = """
import sys
from vs_tui.cli.main import main
from vs_tui.tui.screens.help import HelpView

def bug(self, *_):
    mine = [self.app.setup.known_secrets, self.app.setup.connections()]
    raise RuntimeError(f"a bug about {mine}")

HelpView.load = HelpView.on_mount = bug
sys.exit(main())
"""
BROKEN_RECEIVER = """
import sys
from vs_tui.cli.main import main
from vs_tui.cli.runtime import Runtime

async def bug(self):
    mine = self.config.secrets
    raise RuntimeError(f"a bug about {mine.token} {mine.sources}")

Runtime.listen = bug
sys.exit(main(["serve", "--port", "0"]))
"""


def environment(folder: Path) -> dict[str, str]:
    here = {"VS_CONFIG_DIR": str(folder), "VS_DATA_DIR": str(folder), "TERM": "xterm-256color"}
    return {**os.environ, **SECRETS, **here}


def noting(folder: Path, name: str) -> Path:
    """A program that writes down what it was given."""
    script = folder / name
    script.write_text(
        f'#!/bin/sh\n{{ env; echo "$@"; tr "\\0" " " </proc/$PPID/cmdline; }} '
        f'>"{folder}/{name}.new"\nmv "{folder}/{name}.new" "{folder}/{name}.out"\n'
    )
    script.chmod(0o700)
    return script


def without_canaries(folder: Path) -> dict[str, int]:
    """How often they stand in each file, where they do."""
    found = {path: path.read_bytes().count(CANARY.encode()) for path in folder.rglob("*.*")}
    return {path.name: hits for path, hits in found.items() if hits}


def test_children_and_the_crash_of_a_screen(tmp_path) -> None:
    port = free_port()
    watch, browser = noting(tmp_path, "watch"), noting(tmp_path, "browser")
    (tmp_path / "config.toml").write_text(f'[ui]\nwatch_command = "{watch} --now"\n')
    env = {**environment(tmp_path), "BROWSER": str(browser), "DISPLAY": ":0"}

    def listening() -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", port)) == 0

    def send(action: str) -> None:
        body = {"type": "deploy", "id": "1", "action": action, "name": "shop"}
        told = {**body, "tags": {"url": "https://ci.example/1"}}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/customhttp?token={CANARY}-not-here",
            json.dumps(told).encode(),
            {"Authorization": f"Bearer {SECRETS['VS_TOKEN']}", "Cookie": CANARY},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            assert answer.status == 200

    options = ("dashboard", "--port", str(port), "--db", str(tmp_path / "t.db"))
    terminal = Terminal(sys.executable, "-c", CRASHING, *options, env=env)
    try:
        terminal.read_until(b"Live")
        wait_for(listening, "a receiver")
        send("start")
        terminal.read_until(b"RUNNING 1")
        terminal.press(b"w")
        terminal.press(b"o")
        wait_for((tmp_path / "browser.out").exists, "a browser")
        send("end")
        wait_for((tmp_path / "watch.out").exists, "a watch command")
        terminal.press(b"?")
        terminal.read_until(b"in another terminal shows the dashboard")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.process.wait(PATIENCE) == 1
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.master)
    assert CANARY.encode() not in terminal.written
    assert "https://ci.example/1" in (tmp_path / "browser.out").read_text()
    assert "--now -- shop ok" in (tmp_path / "watch.out").read_text()
    (crash,) = (tmp_path / "crashes").iterdir()
    assert "a bug about" in crash.read_text()
    assert "(secret)" in crash.read_text(), "it was there to be masked"
    assert without_canaries(tmp_path) == {}


def test_a_crash_of_the_receiver(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BROKEN_RECEIVER],
        env=environment(tmp_path), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "is a bug in vs-tui; the report" in done.stderr
    assert CANARY not in done.stdout + done.stderr
    (crash,) = (tmp_path / "crashes").iterdir()
    assert "(secret)" in crash.read_text()
    assert without_canaries(tmp_path) == {}


def test_what_is_taken_out_of_an_environment() -> None:
    env = {**SECRETS, "VS_SECRET_GITHUB_FILE": "/run/github", "VS_DB": "t.db", "PATH": "/bin"}
    take_secrets_out(env)
    assert env == {"VS_SECRET_GITHUB_FILE": "/run/github", "VS_DB": "t.db", "PATH": "/bin"}
