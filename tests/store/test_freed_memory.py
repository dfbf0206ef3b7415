"""What the C library keeps of freed memory."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

ARENAS = """
import ctypes, os, tempfile, threading
from vs_tui.store.freed_memory import share_arena

if {share}:
    share_arena()
held = []
begin = threading.Barrier(3)

def allocate():
    begin.wait()
    held.append([bytes(5_000) for _ in range(100)])

threads = [threading.Thread(target=allocate) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
library = ctypes.CDLL(None)
library.fopen.restype = ctypes.c_void_p
with tempfile.NamedTemporaryFile() as file:
    stream = ctypes.c_void_p(library.fopen(file.name.encode(), b"w"))
    library.malloc_info(0, stream)
    library.fclose(stream)
    print(file.read().count(b"<heap nr="))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of the GNU C library")
def test_all_threads_allocate_from_one_arena_unless_the_environment_says_otherwise() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    assert _arenas(env, share=False) > 1
    assert _arenas(env, share=True) == 1
    assert _arenas({**env, "MALLOC_ARENA_MAX": "8"}, share=True) > 1


def _arenas(env: dict[str, str], *, share: bool) -> int:
    code = ARENAS.format(share=share)
    return int(subprocess.check_output([sys.executable, "-c", code], env=env, text=True))
