"""Tags about who runs what and where: user, host and git checkout, which join traces.

Names are OpenTelemetry's where they exist. git runs next to the command and is waited for at most a
second; missing values are left out.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

GIT_SECONDS: Final = 1.0

# A checkout of CI has no branch; these variables of GitHub, GitLab, Jenkins, Buildkite, CircleCI,
# Azure and Bitbucket name it. The source branch of a change comes before the merge ref.
_BRANCHES: Final = (
    "GITHUB_HEAD_REF",
    "GITHUB_REF_NAME",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
    "CI_COMMIT_REF_NAME",
    "CHANGE_BRANCH",
    "BRANCH_NAME",
    "BUILDKITE_BRANCH",
    "CIRCLE_BRANCH",
    "BUILD_SOURCEBRANCHNAME",
    "BITBUCKET_BRANCH",
)
_RUN_URLS: Final = ("CI_JOB_URL", "BUILD_URL", "BUILDKITE_BUILD_URL", "CIRCLE_BUILD_URL")


def who() -> dict[str, str]:
    """Tags for the user and the machine: `user` and `host.name`."""
    return _known({"user": _user(), "host.name": os.uname().nodename})


def _user() -> str:
    for name in ("SUDO_USER", "LOGNAME", "USER"):
        if found := os.environ.get(name):
            return found
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        return ""


class Checkout:
    """Starts git at once, and reads its output when it is needed."""

    def __init__(self) -> None:
        self._head = _Question(["git", "rev-parse", "HEAD", "--abbrev-ref", "HEAD"])
        self._url = _Question(["git", "config", "--get", "remote.origin.url"])

    def tags(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Commit, branch and repository, as far as they are known."""
        from vs_tui.model.display import shown_url  # not needed by all who ask who() they are

        env = os.environ if env is None else env
        deadline = time.monotonic() + GIT_SECONDS
        lines = self._head.answer(deadline).split("\n")
        commit, branch = lines if len(lines) == 2 else ("", "")
        if branch in ("", "HEAD"):
            branch = next((env[name] for name in _BRANCHES if env.get(name)), "")
        return _known(
            {
                "vcs.ref.head.revision": commit,
                "vcs.ref.head.name": branch,
                "vcs.repository.url.full": shown_url(self._url.answer(deadline)),
                "url": run_url(env),
            }
        )


def parent(env: Mapping[str, str] | None = None) -> str:
    """The ref of the surrounding span: VS_PARENT, else the GitHub run or GitLab job that we run in,
    which sends webhooks of its own; empty if there is none."""
    env = os.environ if env is None else env
    if env.get("VS_PARENT"):
        return env["VS_PARENT"]
    repository, run = env.get("GITHUB_REPOSITORY"), env.get("GITHUB_RUN_ID")
    if env.get("GITHUB_ACTIONS") == "true" and repository and run:
        attempt = env.get("GITHUB_RUN_ATTEMPT", "1")
        suffix = f".{attempt}" if attempt.isdigit() and int(attempt) > 1 else ""
        return f"vstrace-github-pipeline-{repository}-{run}{suffix}"
    project, job = env.get("CI_PROJECT_PATH"), env.get("CI_JOB_ID")
    if env.get("GITLAB_CI") == "true" and project and job:
        return f"vstrace-gitlab-job-{project}-{job}"
    return ""


def run_url(env: Mapping[str, str]) -> str:
    """The page of the surrounding CI run; empty outside CI."""
    server, repository, run = (
        env.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")
    )
    if server and repository and run:
        return f"{server}/{repository}/actions/runs/{run}"
    return next((env[name] for name in _RUN_URLS if env.get(name)), "")


def service_of(tags: Mapping[str, str]) -> str:
    """The service that a deploy from this checkout most likely deploys: the repository's name."""
    path = tags.get("vcs.repository.url.full", "").rstrip("/").removesuffix(".git")
    return Path(path.replace(":", "/")).name


class _Question:
    """A command with a short output that is read later; its errors are ignored."""

    def __init__(self, command: list[str]) -> None:
        env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):  # no git here
            self._process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )

    def answer(self, deadline: float) -> str:
        """The command's output; empty if it failed or took too long."""
        process = self._process
        if process is None:
            return ""
        try:
            out, _ = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return ""
        return out.decode("utf-8", "replace").strip() if process.returncode == 0 else ""


def _known(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if value}
