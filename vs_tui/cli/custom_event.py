"""Custom HTTP events of scripts: their bodies, the refs that name their spans, the options that
describe them, and tags about who runs what and where (user, host and git checkout), which join
traces.

The format is ValueStream's (see `sources.customhttp`); times come from this machine's clock, in
UTC. Names of tags are OpenTelemetry's where they exist. git runs next to the command and is waited
for at most a second; missing values are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

SOURCE: Final = "customhttp"
DEFAULT_NAMESPACE: Final = "default"
MAX_TAGS: Final = 100
MAX_VALUE: Final = 500
"""Most characters of a tag's value."""

_PREFIX: Final = f"vstrace-{SOURCE}-"
_WORD: Final = 200


class SpanId(NamedTuple):
    """The parts of a span's ref: type, namespace and id."""

    type: str
    namespace: str
    id: str

    @property
    def ref(self) -> str:
        """`vstrace-customhttp-TYPE-NAMESPACE-ID`, as the receiver writes it."""
        return f"{_PREFIX}{self.type}-{quote(f'{self.namespace}-{self.id}', safe='/._:@+~-')}"


def new_span(kind: str, namespace: str, event_id: str = "") -> SpanId:
    """A span with the given id, else with a new one that has no dashes and sorts by time."""
    return SpanId(kind, namespace, event_id or f"{time.time_ns() // 1_000_000:011x}{_random(5)}")


def named_span(text: str, kind: str, namespace: str) -> SpanId:
    """The span of an id or a ref; the parts of a ref override `kind` and `namespace`. ValueError if
    there is neither."""
    if not text.strip():
        raise ValueError("the event's id is missing; give what `start` printed")
    reference = last_reference(text)
    if not reference.startswith(_PREFIX):
        return SpanId(kind, namespace, text)
    head, _, event_id = unquote(reference.removeprefix(_PREFIX)).rpartition("-")
    # Types and namespaces may hold dashes, too: what is known of them decides where to cut.
    if head.endswith(f"-{namespace}"):
        return SpanId(head.removesuffix(f"-{namespace}"), namespace, event_id)
    if head.startswith(f"{kind}-"):
        return SpanId(kind, head.removeprefix(f"{kind}-"), event_id)
    found, _, rest = head.partition("-")
    return SpanId(found, rest, event_id)


def last_reference(text: str) -> str:
    """The ref that was meant: scripts written for ValueStream put
    `vstrace-customhttp-TYPE-default-` in front of the output of `start`, even if that is a whole
    ref."""
    at = text.rfind("vstrace-")
    return text[at:] if at >= 0 else text


def start_body(
    span: SpanId,
    *,
    name: str = "",
    parent: str = "",
    traceparent: str = "",
    tags: Mapping[str, Any] | None = None,
    at: str = "",
) -> dict[str, Any]:
    """The body of a start, now or `at` a time of now()."""
    body = _body(span, "start", name, tags, at)
    if parent:
        body["parentid"] = last_reference(parent)
    if traceparent:
        body["traceparent"] = traceparent
    return body


def end_body(
    span: SpanId,
    *,
    name: str = "",
    status: str = "ok",
    reason: str = "",
    tags: Mapping[str, Any] | None = None,
    at: str = "",
) -> dict[str, Any]:
    """The body of an end, now or `at` a time of now(). `status`: ok, error or cancelled; `reason`
    says why it is an error."""
    body = _body(span, "end", name, tags, at)
    body["status"] = status
    body["error"] = (reason[:_WORD] or True) if status == "error" else False
    return body


def _body(
    span: SpanId, action: str, name: str, tags: Mapping[str, Any] | None, at: str
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": span.type,
        "id": span.id,
        "action": action,
        "namespace": span.namespace,
        "timestamp": at or now(),
    }
    if name:
        body["name"] = name[:_WORD]
    if tags:
        body["tags"] = {
            key: value[:MAX_VALUE] if isinstance(value, str) else value
            for key, value in list(tags.items())[:MAX_TAGS]
        }
    return body


def now() -> str:
    """The current time in RFC 3339, UTC, with microseconds."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{stamp}.{nanoseconds // 1_000:06d}Z"


def parse_tags(texts: Iterable[str]) -> dict[str, str]:
    """The tags in `KEY|VALUE` words; ValueError quotes a wrong word."""
    tags = {}
    for text in texts:
        key, bar, value = text.partition("|")
        if not bar or not key.strip():
            raise ValueError(f"'{text}' is not a tag; write it like 'service|api'")
        tags[key.strip()] = value
    return tags


class TraceContext(NamedTuple):
    """A W3C trace context: our own span within a trace."""

    trace: str
    span: str

    @property
    def header(self) -> str:
        return f"00-{self.trace}-{self.span}-01"

    def child(self) -> TraceContext:
        return TraceContext(self.trace, _random(8))


def read_context(traceparent: str) -> TraceContext | None:
    """The context in a `traceparent`; None if it is not valid."""
    parts = traceparent.strip().lower().split("-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2]:
        return None
    if any(set(part) - set("0123456789abcdef") for part in parts[:4]) or not parts[1].strip("0"):
        return None
    return TraceContext(parts[1], parts[2])


def new_context() -> TraceContext:
    return TraceContext(_random(16), _random(8))


def _random(size: int) -> str:
    return os.urandom(size).hex()


def add_span_options(
    parser: argparse.ArgumentParser,
    *,
    kind: str,
    again: bool = False,
    name: str = "what people see",
    namespace: tuple[str, ...] = ("--namespace",),
) -> None:
    """Add --type (default `kind`), --name, --namespace and --tag. `again`: after another word of
    the command line, where only given options count."""

    def default(value: Any) -> Any:
        return argparse.SUPPRESS if again else value

    parser.add_argument(
        "--type",
        metavar="T",
        default=default(kind),
        help=f"build, test, deploy, pipeline, release or any other word (default {kind})",
    )
    parser.add_argument("--name", metavar="N", default=default(""), help=name)
    parser.add_argument(
        *namespace,
        metavar="NS",
        default=default(DEFAULT_NAMESPACE),
        help="keeps ids of several projects apart (default: default)",
    )
    parser.add_argument(
        "--tag",
        metavar="'K|V'",
        action="append",
        default=[],
        dest="late_tag" if again else "tag",
        help="an attribute, such as 'service|api'; may be repeated",
    )


def tags_of(args: argparse.Namespace) -> dict[str, str]:
    """The tags from the whole command line; ValueError quotes a wrong one."""
    return parse_tags([*args.tag, *getattr(args, "late_tag", ())])


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
        import subprocess  # not needed for an end

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
        from subprocess import TimeoutExpired

        process = self._process
        if process is None:
            return ""
        try:
            out, _ = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutExpired:
            process.kill()
            process.communicate()
            return ""
        return out.decode("utf-8", "replace").strip() if process.returncode == 0 else ""


def _known(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if value}
