"""`vs-tui demo` leaves nothing behind, not even what a killed one left."""

from __future__ import annotations

import asyncio
import fcntl
import os
import tempfile
import threading
import time

import pytest

from tests.ingest.inside import receiving
from tests.patience import PATIENCE
from vs_tui.cli import demo
from vs_tui.cli.demo import demo_config, locked, remove_leftovers
from vs_tui.cli.logs import write_report
from vs_tui.cli.main import main
from vs_tui.config import complete_secrets
from vs_tui.tui.feed import Feed


def test_folders_of_killed_demos_are_removed_and_no_others(tmp_path):
    hour_ago = time.time() - 3_600
    elsewhere = tmp_path / "elsewhere"
    names = ("killed", "running", "starting", "linked")
    killed, running, starting, linked = (tmp_path / f"vs-tui-demo-{name}" for name in names)
    for folder in (elsewhere, killed, running, starting):
        folder.mkdir()
        (folder / "demo.db").write_bytes(b"x")
    linked.symlink_to(elsewhere)
    (tmp_path / "vs-tui-demo-file").write_bytes(b"x")
    for path in (killed, running, linked, tmp_path / "vs-tui-demo-file"):
        os.utime(path, (hour_ago, hour_ago), follow_symlinks=False)
    descriptor = os.open(running, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        remove_leftovers(tmp_path, time.time())
    finally:
        os.close(descriptor)

    assert not killed.exists()
    for folder in (running, starting, linked, elsewhere):
        assert (folder / "demo.db").exists(), folder.name
    assert (tmp_path / "vs-tui-demo-file").exists()

    remove_leftovers(tmp_path, time.time() + 3_600)
    assert not running.exists(), "its lock went with its process"


@pytest.mark.parametrize("crashes", [False, True])
def test_a_demo_leaves_nothing_but_the_report_of_a_crash(crashes, tmp_path, monkeypatch):
    reports = []

    async def dashboard(folder, args):
        config = demo_config(folder)
        (folder / "demo.db").write_bytes(b"x")
        (folder / "secrets").mkdir()
        if crashes:
            reports.append(write_report(RuntimeError("a bug"), config))
        return 1

    for name in ("VS_CONFIG_DIR", "VS_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(demo, "_demo", dashboard)
    monkeypatch.setattr(demo, "need_terminal", lambda: None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert main(["demo"]) == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == reports
    assert bool(list(tmp_path.iterdir())) == crashes


def test_a_demo_does_not_wait_for_itself(tmp_path):
    """It holds its folder's lock while its secrets are made under that of theirs."""
    made = threading.Thread(
        target=complete_secrets, args=(demo_config(tmp_path).secrets_path,), daemon=True
    )
    with locked(tmp_path):
        made.start()
        made.join(PATIENCE)
        assert not made.is_alive()


def test_a_picture_waits_for_a_slow_disk(tmp_path, monkeypatch):
    """Nobody gets a picture of "reading\u2026", and a key finds the rows that it is for."""
    follow = Feed._follow

    async def slowly(feed: Feed) -> None:
        """The first rows come after the picture would be taken, were it not waiting for them."""
        for _ in range(0 if feed.shown.is_set() else 150):
            await asyncio.sleep(0.01)
        await follow(feed)

    async def make() -> None:
        async with receiving(tmp_path) as runtime:
            for number in range(3):
                body = (
                    f'{{"type": "build", "id": "{number}", "action": "start", "name": "a build"}}'
                )
                await runtime.ingest("/customhttp", {}, body.encode())

    asyncio.run(make())
    monkeypatch.setenv("VS_DATA_DIR", str(tmp_path))  # put back afterwards
    monkeypatch.setattr(Feed, "_follow", slowly)
    monkeypatch.setattr(demo, "SIZES", ((80, 24),))
    monkeypatch.setattr(demo, "SHOTS", (("live", ()), ("live-spans", ("b", demo.STAR))))
    database, out = str(tmp_path / "inside.db"), tmp_path / "out"
    assert main(["screenshot", "--db", database, "--out", str(out)]) == 0
    for name in ("live", "live-spans"):
        shown = (out / f"{name}-80x24.txt").read_text()
        assert shown.count("a build") >= 3
        assert "reading" not in shown
