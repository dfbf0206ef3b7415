"""A command as users run it, with limits that a busy machine does not reach: `-m` with
`tests.cli.patient` before the name of its module."""

import os
import runpy
import sys

from tests.patience import PATIENCE
from vs_tui.cli import client, custom_event


def be_patient() -> None:
    """Wait for receivers and for git as long as it takes."""
    client.Client.send.__defaults__ = (PATIENCE,)
    client.QUICK_LIMIT = custom_event.GIT_SECONDS = PATIENCE


if __name__ == "__main__":
    if "IMPATIENT" not in os.environ:
        be_patient()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
