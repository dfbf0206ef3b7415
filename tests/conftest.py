"""What holds for every test: a machine that is busy with other work makes no test fail, and none
waits for a disk that it does not test."""

import os
import shutil
from pathlib import Path

from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

MEMORY = Path("/dev/shm")

if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 2 << 30:
    # Every delivery is an fdatasync: of a file in memory it takes no time. What such calls promise
    # is tested by the calls themselves (strace), so that the kind of disk does not matter.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
