"""The clock of the machine jumps, under the running process: nothing is lost, nobody waits, and no
negative duration is shown. Needs faketime (apt install faketime)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.ingest.server import Server, serving
from tests.tui.terminal import Terminal

# The wrapper program is not used: it ends with an error where a killed process of its number left
# shared memory behind.
LIBRARY = next(
    (
        str(found)
        for folder in ("lib*/*", "lib*")
        for found in Path("/usr").glob(f"{folder}/faketime/libfaketime.so.1")
    ),
    "",
)

pytestmark = pytest.mark.skipif(not LIBRARY, reason="faketime is missing")

HOUR, DAY = 3_600, 86_400
NEGATIVE = re.compile(rb"-\d+(?::\d\d|[smhd]\b|d )")


def jumping(folder: Path) -> dict[str, str]:
    """The environment of a process whose clock is what a file says."""
    set_clock(folder, 0)
    return {
        "LD_PRELOAD": LIBRARY,
        "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else each short wait takes a second
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "TZ": "Europe/Berlin",
    }


def set_clock(folder: Path, ahead: float) -> None:
    new = folder / "clock.new"
    new.write_text(f"{ahead:+.3f}\n")
    new.replace(folder / "clock")  # never half written


def until_utc(moment: str) -> float:
    """How far ahead the clock must be to show a moment."""
    import datetime

    return datetime.datetime.fromisoformat(moment).timestamp() - time.time()


def send(server: Server, name: str, action: str, **more: object) -> None:
    began = time.monotonic()
    body = {"type": "build", "id": name, "action": action, **more}
    status, answer = server.call("/customhttp", body)
    assert status == 200, answer
    assert time.monotonic() - began < 20, "nothing waits for the clock"


def ls(folder: Path, database: Path, env: Mapping[str, str], *options: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "vs_tui", "ls", "--db", str(database), *options],
        env={**os.environ, "VS_CONFIG_DIR": str(folder), "VS_DATA_DIR": str(folder), **env},
        capture_output=True,
        check=True,
    )
    return done.stdout


def test_jumps_of_a_day_summer_time_and_a_leap_second(tmp_path) -> None:
    env = jumping(tmp_path)
    jumps = {
        "forward": DAY,
        "back": -DAY,
        "spring": until_utc("2027-03-28T00:59:59.500+00:00"),  # 02:00 becomes 03:00 in Berlin
        "autumn": until_utc("2026-10-25T00:59:59.500+00:00"),  # 03:00 becomes 02:00
        "leap": until_utc("2016-12-31T23:59:59.500+00:00"),
        "again": 0,
    }
    stated = 1_700_000_000
    today = time.strftime("%Y-%m-%d", time.gmtime())
    with serving(tmp_path, env=env) as server:
        send(server, "through", "start")
        for name, ahead in jumps.items():
            send(server, f"{name}-open", "start")
            send(server, f"{name}-done", "start")
            set_clock(tmp_path, ahead)
            send(server, f"{name}-done", "end")
            send(server, f"{name}-stated", "start", timestamp=stated)
            send(server, f"{name}-stated", "end", timestamp=stated + 90)
            assert server.call("/readyz")[0] == 200
            if name == "back":
                shown = ls(tmp_path, server.db, env)
                assert not NEGATIVE.search(shown), shown
        send(server, "through", "end")
        spans = {span["name"] or span["span_id"]: span for span in server.spans()}
        assert len(spans) == 1 + 3 * len(jumps)
        for key, span in spans.items():
            assert span["duration_s"] is None or span["duration_s"] >= 0, span
            if key.endswith("-stated"):
                assert span["duration_s"] == 90, "the sender's times, not ours"
            if key.endswith("autumn-open"):
                assert span["started_at"][:10] == "2027-03-28", "it did jump"
            if key.endswith("again-open"):
                assert span["started_at"] >= today, "a clock of 2016 dates nothing back"
        set_clock(tmp_path, -DAY)  # all that is in flight began tomorrow
        terminal = Terminal(
            *(sys.executable, "-m", "vs_tui", "view", str(server.db)),
            env={**os.environ, "VS_CONFIG_DIR": str(tmp_path), "VS_DATA_DIR": str(tmp_path), **env},
        )
        terminal.read_until(b"-open")
        terminal.press(b"2")
        terminal.read_until(b"[2 Traces]")
        terminal.press(b"\r")
        terminal.read_until("Traces › ".encode(), again=b"\r")
        assert terminal.close() == 0
        assert not NEGATIVE.search(re.sub(rb"\x1b\[[0-9;]*[A-Za-z]", b" ", terminal.written))
        doctor = subprocess.run(
            [sys.executable, "-m", "vs_tui", "doctor", "--db", str(server.db)],
            env={**os.environ, "VS_CONFIG_DIR": str(tmp_path), "VS_DATA_DIR": str(tmp_path), **env},
            capture_output=True,
            check=False,
        )
        assert not NEGATIVE.search(doctor.stdout), doctor.stdout
