"""A disk that fails or is slow: system calls of a running process answered by strace instead."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.patience import PATIENCE

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@contextlib.contextmanager
def injecting(process: int, calls: str, what: str) -> Iterator[None]:
    """While the block runs, `calls` (such as `fdatasync,fsync`) of a process do `what` (such as
    `error=EIO`). Skips the test where strace may not attach."""
    strace = subprocess.Popen(
        [
            *("strace", "-f", "-p", str(process), "-o", "/dev/null"),
            *("-e", f"trace={calls}", "-e", f"inject={calls}:{what}"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert strace.stderr is not None
    try:
        if "attached" not in strace.stderr.readline():
            pytest.skip("strace may not attach here")
        yield
    finally:
        strace.terminate()
        strace.wait(PATIENCE)
        strace.stderr.close()


def slowly(command: tuple[str, ...], calls: str, what: str) -> tuple[str, ...]:
    """A command with `calls` answered by strace from its start on. Other calls cost nothing more,
    as they do where strace attaches later. Skips the test where strace may not."""
    strace = ("strace", "-f", "--seccomp-bpf", "-o", "/dev/null")
    traced = (*strace, "-e", f"trace={calls}", "-e", f"inject={calls}:{what}")
    if subprocess.run((*traced, "true"), capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here")
    return (*traced, *command)
