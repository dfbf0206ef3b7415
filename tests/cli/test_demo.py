"""`vs-tui demo` leaves nothing behind, not even what a killed one left."""

from __future__ import annotations

import fcntl
import os
import time

from vs_tui.cli.demo import remove_leftovers


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
