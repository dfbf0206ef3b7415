"""What holds for every test: a machine that is busy with other work makes no test fail, and none
waits for a disk that it does not test."""

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.patience import PATIENCE
from vs_tui.model import limits

# An answer holds all that was acknowledged before it, however busy the machine is. Before other
# modules take it for a default.
limits.READ_WAIT_SECONDS = PATIENCE

# The same examples in every run, so that none fails by chance. To look for new ones:
# `pytest --hypothesis-profile search`.
settings.register_profile(
    "patient",
    deadline=None,
    derandomize=True,
    # Traces every line once an example has failed, until the time of the test is up.
    phases=[phase for phase in Phase if phase is not Phase.explain],
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "search", settings.get_profile("patient"), derandomize=False, database=None, print_blob=True
)
settings.load_profile("patient")

# Without bytecode each of some hundred processes would compile all modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

MEMORY = Path("/dev/shm")

if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 2 << 30:
    # Every delivery is an fdatasync: of a file in memory it takes no time. What such calls promise
    # is tested by the calls themselves (strace), so that the kind of disk does not matter.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@pytest.hookimpl(optionalhook=True, wrapper=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """`-n auto`: one more than there are processors, because tests also wait for time and disks."""
    return (yield) + 1
