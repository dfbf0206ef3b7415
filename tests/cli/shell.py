"""Scripts as people write them, run by a real shell with our commands on its PATH."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from tests.ingest.server import TOKEN, Server, run
from tests.patience import PATIENCE

_OURS = ("VS_", "TRACEPARENT", "GIT_", "GITHUB_", "GITLAB_", "CI", "MAKE", "BUILDKITE", "CIRCLE")


class Shell:
    """A machine without configuration that knows a receiver by its environment only."""

    def __init__(self, folder: Path, url: str, **more: str) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.bin = folder / "bin"
        self.data = folder / "data"
        for path in (self.work, self.bin):
            path.mkdir(parents=True)
        for name, module in (("vscli", "vs_tui.cli.vscli"), ("vs-tui", "vs_tui")):
            self.stub(name, f'exec "{sys.executable}" -m tests.cli.patient {module} "$@"')
        root = Path(__file__).parents[2]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        self.env = {
            **clean,
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PYTHONPATH": str(root),
            "HOME": str(folder),
            "USER": "ana",
            "LOGNAME": "ana",
            "VS_CONFIG_DIR": str(folder / "config"),
            "VS_DATA_DIR": str(self.data),
            "VS_URL": url,
            "VS_TOKEN": TOKEN,
            **more,
        }

    @property
    def spool(self) -> Path:
        return self.data / "spool"

    def waiting(self) -> list[Path]:
        return sorted(self.spool.glob("*.event"))

    def stub(self, name: str, script: str) -> None:
        """A command on the PATH."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def environment(self, more: Mapping[str, str | None]) -> dict[str, str]:
        """Ours, changed: None takes a variable away."""
        merged = {**self.env, **more}
        return {name: value for name, value in merged.items() if value is not None}

    def start(self, *argv: str, **options: Any) -> subprocess.Popen[str]:
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("text", True)
        env = self.environment(options.pop("env", {}))
        return subprocess.Popen(argv, cwd=self.work, env=env, **options)

    def run(self, *argv: str, stdin: str = "", **env: str | None) -> subprocess.CompletedProcess:
        return subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self.work,
            env=self.environment(env),
            timeout=PATIENCE,
        )

    def here(self, *words: str, **env: str | None) -> subprocess.CompletedProcess:
        """`vs-tui` as this machine runs it, in this process: most of its time are its imports."""
        ours = mock.patch.dict(os.environ, self.environment(env), clear=True)
        with ours, contextlib.chdir(self.work):
            return run(self.folder / "config", *words, env={"VS_DATA_DIR": str(self.data)})

    def impatient(self, *argv: str, **env: str | None) -> subprocess.CompletedProcess:
        """A command with the limits of users."""
        return self.run(*argv, IMPATIENT="", **env)

    def script(self, text: str, **env: str | None) -> subprocess.CompletedProcess:
        """Run a bash script, which must succeed."""
        path = self.work / "script.sh"
        path.write_text(text)
        done = self.run("bash", str(path), **env)
        assert done.returncode == 0, done.stderr
        return done

    def git(self, *arguments: str) -> str:
        """git in the work folder, without the user's configuration."""
        done = self.run(
            "git",
            *("-c", "user.name=Ana", "-c", "user.email=ana@example.com"),
            *("-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"),
            *arguments,
            GIT_CONFIG_GLOBAL=os.devnull,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def checkout(self, branch: str, remote: str = "git@github.com:acme/api.git") -> str:
        """Make the work folder a checkout; its commit."""
        self.git("init", "-q")
        self.git("remote", "add", "origin", remote)
        self.git("commit", "-q", "--allow-empty", "-m", "Start")
        self.git("checkout", "-q", "-B", branch)
        return self.git("rev-parse", "HEAD")


def tree(server: Server) -> dict[str, str | None]:
    """Name of each span -> name of its parent."""
    spans = server.spans()
    names = {span["span_id"]: span["name"] for span in spans}
    return {span["name"]: names.get(span["parent_span_id"]) for span in spans}


def one(spans: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """The only span with these fields."""
    found = [s for s in spans if all(s[name] == value for name, value in fields.items())]
    assert len(found) == 1, (fields, spans)
    return found[0]


def deliveries(server: Server) -> list[dict[str, Any]]:
    """All deliveries with their bodies, oldest first."""
    status, page = server.call("/api/deliveries?limit=1000")
    assert status == 200, page
    rows = sorted(page["items"], key=lambda row: row["id"])
    return [server.call(f"/api/deliveries/{row['id']}")[1] for row in rows]
