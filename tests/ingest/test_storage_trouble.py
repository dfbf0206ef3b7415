"""Storage trouble as a sender sees it: 503 with Retry-After and the reason, readiness that is
true, and recovery without a restart."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ingest.faults import injecting, needs_strace
from tests.ingest.inside import START, Raw, post, receiving
from tests.ingest.server import Server, serving
from tests.patience import PATIENCE, Stopwatch
from vs_tui.model.limits import MIB
from vs_tui.store.maintenance import sweeper
from vs_tui.store.storage_errors import free_bytes

FULL = [pytest.mark.full, pytest.mark.timeout(1800)]


def start(number: object, padding: int = 0) -> bytes:
    return b'{"type":"build","id":"%s","action":"start"%s}' % (
        str(number).encode(),
        b" " * padding,
    )


def builds(server: Server) -> set[str]:
    """The builds that the log holds, folded or not."""
    with contextlib.closing(sqlite3.connect(server.db)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        sql = "SELECT j.value FROM deliveries, json_each(deliveries.keys) j"
        return {row[0].rpartition("-")[2] for row in database.execute(sql)}


async def test_503_has_retry_after_and_the_reason_and_readyz_agrees(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sweeper, "SWEEP_SECONDS", 3_600)  # only this test sweeps
    async with receiving(tmp_path) as runtime:
        await runtime.writer.run(lambda db: db.execute("PRAGMA query_only = ON").fetchall())
        connection = await Raw.to(runtime)
        for _ in range(2):
            await connection.send(post())
            status, headers, body = await connection.answer()
            assert (status, headers["retry-after"]) == (503, "15")
            assert "read-only" in body["detail"]
        await connection.send(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        status, headers, body = await connection.answer()
        assert (status, headers["retry-after"]) == (503, "15")
        assert "read-only" in body["detail"]
        await connection.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await connection.answer())[0] == 200, "alive: a restart would not help"
        await runtime.writer.sweep()
        await connection.send(post())
        assert (await connection.answer())[0] == 200, "a new connection writes again"
        connection.close()


async def test_reading_a_broken_database_is_503_and_no_bug(tmp_path) -> None:
    async with receiving(tmp_path) as runtime:
        connection = await Raw.to(runtime)
        await connection.send(post(START))
        await connection.answer()

        def break_it(db: sqlite3.Connection) -> None:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error

        async def health() -> None:
            await runtime.receiver.reader.run(break_it)

        runtime.receiver.reader.health = health  # type: ignore[method-assign, assignment]
        await connection.send(
            b"GET /api/health HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
            b"inside-token-0123456789\r\n\r\n"
        )
        status, headers, body = await connection.answer()
        assert (status, headers["retry-after"]) == (503, "15")
        assert "check the disk" in body["detail"]
        connection.close()


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 4 MiB; needs to be allowed to mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small tmpfs here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_503_and_ends_without_a_restart(small_disk) -> None:
    (small_disk / "config.toml").write_text('[store]\nlow_space = "0"\n')
    with serving(small_disk) as server:
        acknowledged = set()
        status, answer = 200, None
        for number in range(200):
            status, answer = server.call("/customhttp", start(number, 50_000))
            if status != 200:
                break
            acknowledged.add(str(number))
        assert status == 503, "the disk filled up"
        assert "free some space" in answer["detail"]
        assert server.call("/readyz")[0] == 503
        assert server.call("/api/spans?limit=5")[0] == 200, "reading goes on"
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
        assert server.wait_for(lambda: server.call("/readyz")[0] == 200, "recovery")
        assert server.call("/customhttp", start("after"))[0] == 200
        acknowledged.add("after")
    assert acknowledged <= builds(server)


def test_low_space_is_refused_before_the_disk_is_full(small_disk) -> None:
    (small_disk / "config.toml").write_text('[store]\nlow_space = "3MiB"\n')
    with serving(small_disk) as server:
        number = 0
        while free_bytes(server.db) >= 3 * MIB:
            assert server.call("/customhttp", start(number, 50_000))[0] == 200
            number += 1
        server.wait_for(lambda: server.call("/readyz")[0] == 503, "the low-space mark")
        status, answer = server.call("/customhttp", start("refused"))
        assert (status, " are free on its disk" in answer["detail"]) == (503, True)
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
        assert server.wait_for(lambda: server.call("/readyz")[0] == 200, "recovery")


@pytest.fixture
def disk_of_its_own(tmp_path) -> Iterator[tuple[Path, Path]]:
    """A mounted ext4 file system and the image it is in; needs to be allowed to mount one."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(32 * 1024 * 1024)
    mount = ["mount", "-o", "loop", str(image), str(folder)]
    if os.geteuid() != 0 or not (shutil.which("mkfs.ext4") and shutil.which("e2fsck")):
        pytest.skip("may not make a file system here")
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount an image here")
    try:
        yield image, folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_file_system_that_turns_read_only_is_503_and_keeps_what_was_acknowledged(
    disk_of_its_own,
) -> None:
    """What the system does after an error of the disk. (It refuses a plain remount while our files
    are open.) What is mounted after the repair is another file system to the running process."""
    image, folder = disk_of_its_own
    (folder / "config.toml").write_text('[store]\nlow_space = "1MiB"\n')
    server = Server(folder)
    # The configuration is kept, too; what is acknowledged needs nobody's sync.
    subprocess.run(["sync", "-f", str(folder)], check=True)
    try:
        for number in range(20):
            assert server.call("/customhttp", start(number))[0] == 200
        subprocess.run(["mount", "-o", "remount,abort", str(folder)], check=True)

        def said() -> bool:
            status, answer = server.call("/customhttp", start("lost"))
            assert (status, answer["detail"].startswith("the database")) == (503, True)
            return "cannot be written (read-only)" in answer["detail"]

        server.wait_for(said, "the reason")
        status, answer = server.call("/readyz")
        assert (status, "`dmesg` tells" in answer["detail"]) == (503, True)
        assert server.call("/healthz")[0] == 200
        assert len(server.spans()) == 20, "reading goes on"
    finally:
        server.kill()
    subprocess.run(["umount", str(folder)], check=True)
    subprocess.run(["e2fsck", "-p", str(image)], check=False, capture_output=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True)
    server.start()
    try:
        assert server.call("/customhttp", start("after"))[0] == 200
    finally:
        server.stop()
    assert builds(server) == {*map(str, range(20)), "after"}


FAULTS = [
    ("fdatasync,fsync", "error=EIO", "check the disk"),
    ("pwrite64", "error=EIO", "check the disk"),
    ("pwrite64", "error=ENOSPC", "the disk is full"),
    ("pwrite64", "error=EROFS", "check the disk"),
]


@needs_strace
def test_a_failing_disk_is_never_a_2xx_and_is_survived(tmp_path) -> None:
    with serving(tmp_path) as server:
        acknowledged = {"before"}
        assert server.call("/customhttp", start("before"))[0] == 200
        for round, (calls, error, said) in enumerate(FAULTS):
            with injecting(server.process.pid, calls, error):
                for number in range(5):
                    status, answer = server.call("/customhttp", start(f"during{round}.{number}"))
                    assert status == 503, f"the disk did not take it: {calls} {error}"
                    assert said in answer["detail"]
                    assert str(server.db) not in answer["detail"], "senders see no path"
                assert server.call("/readyz")[0] == 503
                assert server.call("/healthz")[0] == 200
            assert server.wait_for(lambda: server.call("/readyz")[0] == 200, "recovery")
            for number in range(5):
                assert server.call("/customhttp", start(f"after{round}.{number}"))[0] == 200
                acknowledged.add(f"after{round}.{number}")
        server.kill()
        assert acknowledged <= builds(server)


@needs_strace
def test_after_a_failure_a_visitor_does_not_take_the_wal_away(tmp_path) -> None:
    """Whoever looks in with another tool empties and removes the WAL on leaving, unless a lock says
    that we are there: what came after that was written into a file without a name."""
    with serving(tmp_path) as server:
        assert server.call("/customhttp", start("before"))[0] == 200
        with injecting(server.process.pid, "fdatasync", "error=EIO"):
            assert server.call("/customhttp", start("during"))[0] == 503
        server.wait_for(lambda: server.call("/readyz")[0] == 200, "recovery")
        assert server.call("/customhttp", start("between"))[0] == 200
        builds(server)
        assert server.db.with_name("t.db-wal").exists()
        assert server.call("/customhttp", start("after"))[0] == 200
        server.kill()
        assert builds(server) >= {"before", "between", "after"}


@needs_strace
@pytest.mark.parametrize("when", [3, *(pytest.param(n, marks=FULL) for n in range(1, 40, 2))])
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_one_failing_call_among_many(tmp_path, call, when) -> None:
    """Whichever call of a thread it is, of a commit or of a checkpoint: what got a 2xx is there."""
    with serving(tmp_path) as server:
        acknowledged = set()
        status = 200
        with injecting(server.process.pid, call, f"error=EIO:when={when}"):
            for number in range(60):
                status, _ = server.call("/customhttp", start(number, 2_000))
                if status != 200:
                    break
                acknowledged.add(str(number))
        assert status == 503, "it did fail"
        server.wait_for(lambda: server.call("/readyz")[0] == 200, "recovery")
        for number in range(100, 110):
            assert server.call("/customhttp", start(number, 2_000))[0] == 200
            acknowledged.add(str(number))
        server.kill()
        assert acknowledged <= builds(server)


def test_a_file_that_may_not_grow_is_503_until_it_may(tmp_path) -> None:
    """RLIMIT_FSIZE of the running process: what a quota does."""
    with serving(tmp_path) as server:
        unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (400_000, unlimited[1]))
        acknowledged = set()
        status, answer = 200, None
        for number in range(200):
            status, answer = server.call("/customhttp", start(number, 20_000))
            if status != 200:
                break
            acknowledged.add(str(number))
        assert status == 503, "the limit was reached"
        assert "check the disk" in answer["detail"] or "is full" in answer["detail"]
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)
        assert server.wait_for(lambda: server.call("/readyz")[0] == 200, "recovery")
        assert server.call("/customhttp", start("after", 20_000))[0] == 200
        server.kill()
        assert acknowledged | {"after"} <= builds(server)


@pytest.mark.parametrize("seconds", [0, pytest.param(10, marks=FULL)])
def test_a_lock_of_another_process_is_503_with_the_reason_and_ends_by_itself(
    tmp_path, seconds
) -> None:
    with serving(tmp_path) as server:
        other = sqlite3.connect(server.db, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        while True:
            status, answer = server.call("/customhttp", start("during"))
            assert status == 503
            assert "another process holds the database" in answer["detail"]
            assert str(server.db) not in answer["detail"], "senders see no path"
            if time.monotonic() - began > seconds:
                break
        other.execute("ROLLBACK")
        other.close()
        assert server.wait_for(lambda: server.call("/readyz")[0] == 200, "recovery")
        assert server.call("/customhttp", start("during"))[0] == 200


@needs_strace
def test_a_slow_disk_answers_before_the_sender_hangs_up(tmp_path) -> None:
    """Each fdatasync takes three seconds; GitHub and GitLab hang up after ten."""
    with (
        serving(tmp_path) as server,
        injecting(server.process.pid, "fdatasync", "delay_enter=3000000"),
    ):
        answers: list[tuple[float, int]] = []

        def send(number: int) -> None:
            watch = Stopwatch(server.process.pid)
            status, _ = server.call("/customhttp", start(number))
            answers.append((watch.seconds, status))

        threads = [threading.Thread(target=send, args=(n,)) for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert len(answers) == 12
        assert max(took for took, _ in answers) < 9
        assert {status for _, status in answers} <= {200, 503}
        acknowledged = sum(status == 200 for _, status in answers)
        watch = Stopwatch(server.process.pid)
        assert server.call("/api/spans?limit=5")[0] == 200
        assert watch.seconds < 2, "reading does not wait for the disk"
    assert acknowledged <= len(builds(server))


async def test_a_dead_writer_is_a_dead_receiver(tmp_path) -> None:
    async with receiving(tmp_path) as runtime:
        connection = await Raw.to(runtime)
        for task in runtime.writer._tasks:
            task.cancel()
        while runtime.writer.alive:
            await asyncio.sleep(0)
        await connection.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        status, _, body = await connection.answer()
        assert (status, body["error"]) == (503, "dead")
        connection.close()
