"""A real receiver in a process or in a thread of its own, and small HTTP calls to it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE, free_port, wait_for
from vs_tui.cli.common import now
from vs_tui.cli.runtime import Runtime
from vs_tui.config import load

PATIENT = (
    "-c",
    "from vs_tui.model import limits\n"
    f"limits.READ_WAIT_SECONDS = {PATIENCE}\n"
    "from vs_tui.ingest import bodies\n"
    f"bodies.SECONDS = {PATIENCE}\n"
    "from vs_tui.cli.main import entry\n"
    "entry()",
)
"""`-m vs_tui`, with limits that a busy machine does not reach (conftest.py sets the same here)."""
TOKEN = "test-token-0123456789"
SECRETS = {
    "github": "gh-secret",
    "gitlab": "gl-secret",
    "jira": "jira-secret",
    "customhttp": "vs-secret",
}


def configure(folder: Path) -> None:
    """Write the known secrets, at once: another node of this folder may read them right now."""
    lines = [f'token = "{TOKEN}"']
    for name, secret in SECRETS.items():
        lines += [f"[{name}]", f'secrets = ["old-{secret}", "{secret}"]']
    descriptor, written = tempfile.mkstemp(dir=folder)  # for this user only
    with os.fdopen(descriptor, "w") as out:
        out.write("\n".join(lines) + "\n")
    Path(written).replace(folder / "secrets.toml")


class Server:
    """`vs-tui serve` on a free port, with known secrets."""

    def __init__(
        self, folder: Path, *options: str, db: str = "t.db", env: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.env = env or {}
        self.db = folder / db
        self.options = options
        self._configure()
        self.start()

    def _configure(self) -> None:
        configure(self.folder)

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                *PATIENT,
                "serve",
                "--port",
                "0",
                "--db",
                str(self.db),
                *self.options,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "VS_CONFIG_DIR": str(self.folder),
                "VS_DATA_DIR": str(self.folder),
                **self.env,
            },
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            _, error = self.process.communicate(timeout=PATIENCE)
            raise AssertionError(f"it did not start: {line}{error}")
        self.url = line.split("listening on ")[1].strip()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self._close()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code after a signal."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(PATIENCE)
        self._close()
        return code

    def _close(self) -> None:
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def call(
        self,
        path: str,
        body: bytes | dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        method: str = "",
        token: str = TOKEN,
    ) -> tuple[int, Any]:
        """(status, decoded JSON or text). A dict is sent as JSON; no body is a GET."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token:
            sent.setdefault("Authorization", f"Bearer {token}")
        request = urllib.request.Request(
            self.url + path,
            data=data,
            headers=sent,
            method=method or ("POST" if data is not None else "GET"),
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return response.status, _decoded(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _decoded(error.read())

    def spans(self, query: str = "") -> list[dict[str, Any]]:
        status, body = self.call(f"/api/spans?limit=1000{query}")
        assert status == 200, body
        return body["items"]

    def wait_for(self, condition: Any, what: str) -> Any:
        """Ask until something is there."""
        return wait_for(condition, what)


class Nearby(Server):
    """A receiver in a thread of the tests, which starts in a twentieth of the time and comes back
    on the same port. Where the process matters (signals, kill -9, its files, its output) use
    `Server`."""

    def __init__(
        self,
        folder: Path,
        db: str = "t.db",
        env: Mapping[str, str] | None = None,
        **flags: object,
    ) -> None:
        self._flags = {"port": free_port(), "db": folder / db, **flags}
        super().__init__(folder, db=db, env=env)

    def start(self) -> None:
        config = self.folder / "config.toml"
        config.touch(mode=0o600)
        self._config = load(config, env=self.env, flags=self._flags)
        url: Future[str] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(url)))
        self._thread.start()
        self.url = url.result(PATIENCE)

    async def _serve(self, url: Future[str]) -> None:
        runtime = Runtime(self._config, now)
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        try:
            await runtime.open_store()
        except Exception as error:
            url.set_exception(error)
            return
        try:
            url.set_result(await runtime.listen())
            await self._told.wait()
        except Exception as error:
            url.set_exception(error)
        finally:
            await runtime.close()

    def kill(self) -> None:
        """Gone: nobody answers."""
        self.stop()

    def stop(self, *_: object) -> int:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._told.set)
            self._thread.join(PATIENCE)
            assert not self._thread.is_alive(), "it does not stop"
        return 0


def run(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`vs-tui` with the configuration of a folder, run in this process: most of the time of a
    command is its imports."""
    from vs_tui.cli.main import main

    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2)]
    own = {"VS_CONFIG_DIR": str(folder), "VS_DATA_DIR": str(folder), **(env or {})}
    mask = os.umask(0)
    os.umask(mask)
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
    ):
        for name, value in own.items():
            patch.setenv(name, value)
        try:
            code = main(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            os.umask(mask)  # commands that write make theirs narrower
    out, err = (_written(stream) for stream in streams)
    return subprocess.CompletedProcess(arguments, code, out, err)


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode()  # type: ignore[attr-defined]


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")


@contextlib.contextmanager
def serving(folder: Path, *options: str, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    server = Server(folder, *options, env=env)
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def nearby(
    folder: Path, *, db: str = "t.db", env: Mapping[str, str] | None = None, **flags: object
) -> Iterator[Nearby]:
    """A receiver in a thread, with options by their names; `serving` has one in a process."""
    server = Nearby(folder, db, env, **flags)
    try:
        yield server
    finally:
        server.stop()
