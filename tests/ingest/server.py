"""A real receiver in a process of its own, and small HTTP calls to it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

TOKEN = "test-token-0123456789"
SECRETS = {
    "github": "gh-secret",
    "gitlab": "gl-secret",
    "jira": "jira-secret",
    "customhttp": "vs-secret",
}


def configure(folder: Path) -> None:
    """Write the known secrets."""
    lines = [f'token = "{TOKEN}"']
    for name, secret in SECRETS.items():
        lines += [f"[{name}]", f'secrets = ["old-{secret}", "{secret}"]']
    path = folder / "secrets.toml"
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)


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
                "-m",
                "vs_tui",
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
            _, error = self.process.communicate(timeout=10)
            raise AssertionError(f"it did not start: {line}{error}")
        self.url = line.split("listening on ")[1].strip()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(10)
        self._close()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code after a signal."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(15)
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
            with urllib.request.urlopen(request, timeout=15) as response:
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
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"{what} did not happen")


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
