"""What an event costs a script: printed, not judged, because machines differ."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import pytest

RUNS = 20


def median_ms(shell, *argv: str) -> float:
    """Milliseconds of a whole process, the bytecode being there as after an installation."""
    env = shell.environment({"PYTHONPYCACHEPREFIX": str(shell.folder / "pyc")})
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    took = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        subprocess.run(argv, env=env, cwd=shell.work, check=True, capture_output=True)
        took.append((time.perf_counter() - began) * 1_000)
    return statistics.median(took[1:])


@pytest.mark.benchmark
def test_the_cost_of_an_event(server, shell):
    """Budget: 150 ms for `vscli event` with the receiver up, on an idle machine."""
    bare = median_ms(shell, sys.executable, "-c", "pass")
    print(f"\npython itself {bare:.0f} ms")
    for name, argv in {
        "vscli event": ("vscli", "event", "-type=build", "start"),
        "vs-tui event": ("vs-tui", "event", "start"),
        "vs-tui run": ("vs-tui", "run", "--", "true"),
    }.items():
        found = median_ms(shell, *argv)
        print(f"{name:<14}{found:.0f} ms, {found / bare:.1f} times python itself")
        assert found > bare
