"""`vs-tui run`: a span around a command, whose result never depends on us.

The command is started first and reported meanwhile. For the same reason all further imports happen
in the reporting thread.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vs_tui.cli.commands import add_command, usage
from vs_tui.cli.custom_event import (
    Checkout,
    SpanId,
    add_span_options,
    end_body,
    new_context,
    new_span,
    now,
    read_context,
    service_of,
    start_body,
    tags_of,
    who,
)
from vs_tui.cli.custom_event import parent as parent_reference

if TYPE_CHECKING:
    from vs_tui.cli.client import Client, Report

DEFAULT_TYPE: Final = "build"
NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127

_STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_PASSED_ON: Final = (*_STOPPING, signal.SIGUSR1, signal.SIGUSR2)
_GRACE: Final = 0.1
"""Seconds for a command to end by itself after it got the same signal as we did."""

_EXAMPLES: Final = """\
examples:
  vs-tui run -- make test
  vs-tui run --type deploy --environment prod --service api -- ./deploy.sh
  vs-tui run --type pipeline --name nightly -- sh -c 'vs-tui run -- make && vs-tui run -- make it'

A run inside a run is its child: the command finds VS_PARENT and TRACEPARENT in its environment.
`--type deploy --environment prod` makes it a deployment that counts for DORA.

exit code: the command's own; 127 not found, 126 not executable, 128+N ended by signal N. A command
that was interrupted ends as cancelled, one that failed as an error.

Sent: type, name, times, exit code, user, host, and the git commit, branch and repository of the
current folder; of the command line only the program and its first word, never its options. When
the receiver cannot be reached the command runs all the same, and the events are kept and sent
later (see `vs-tui flush`, and `vs-tui event --help` for VS_URL and VS_TOKEN).
"""


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "run",
        run,
        usage="vs-tui run [--type T] [--name N] [--environment E] [--service S] [--tag 'K|V'] "
        "-- CMD...",
        description="Run a command and report when it starts and how it ends.",
        epilog=_EXAMPLES,
    )
    add_span_options(parser, kind=DEFAULT_TYPE, name="what people see (default: the command)")
    parser.add_argument("--environment", metavar="E", help="where a deploy goes, such as prod")
    parser.add_argument(
        "--service", metavar="S", help="what is deployed (default for deploys: the repository)"
    )
    parser.add_argument("argv", metavar="CMD", nargs=argparse.REMAINDER, help="after `--`")


def run(args: argparse.Namespace) -> int:
    argv: list[str] = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
    kind = args.type.strip().lower()
    with usage(program="vs-tui run"):
        if not argv or not kind:
            raise ValueError("the command is missing; write `vs-tui run -- CMD...`")
        tags = tags_of(args)
    tags = {
        "process.executable.name": Path(argv[0]).name,
        **({"deployment.environment.name": args.environment} if args.environment else {}),
        **({"service": args.service} if args.service else {}),
        **tags,
    }
    return _run(argv, new_span(kind, args.namespace), args.name or short_name(argv), tags)


def short_name(argv: Sequence[str]) -> str:
    """The program and its first word: `make test`. Options are left out because they may hold
    secrets."""
    words = [Path(argv[0]).name]
    if len(argv) > 1 and argv[1].replace("-", "").replace(":", "").isalnum() and argv[1][0] != "-":
        words.append(argv[1])
    return " ".join(words)


def _run(argv: list[str], span: SpanId, name: str, tags: dict[str, str]) -> int:
    incoming = os.environ.get("TRACEPARENT", "")
    parent = read_context(incoming)
    context = parent.child() if parent else new_context()
    own = {**tags, "vs.traceparent": context.header}
    reporter = Reporter(span, name, own, Checkout(), now())
    if parent:
        reporter.traceparent = incoming
    env = {**os.environ, "VS_PARENT": span.ref, "TRACEPARENT": context.header}
    # Whoever started us may ignore it, and then no command could be waited for.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    watched = {signal.SIGCHLD} | {
        number for number in _PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN
    }
    # Blocked here and waited for below, so that none is missed and none ends us.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    try:
        pid = os.posix_spawnp(
            argv[0],
            argv,
            env,
            setsigmask=mask,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores these two
        )
    except (OSError, ValueError) as error:
        # A ValueError is an empty name: no shell finds that either.
        reporter.start()
        why = error if isinstance(error, OSError) else FileNotFoundError()
        return _cannot_run(argv[0], why, reporter)
    reporter.start()
    status, stops = _wait(pid, watched)
    ended = now()
    ending = ending_of(status, stops)
    reporter.end(ending, ended)
    if os.WIFSIGNALED(status):
        _end_by(os.WTERMSIG(status), mask)
    return ending.code


def _end_by(number: int, mask: set[int]) -> None:
    """End as the command ended, so that ctrl-c stops a shell's loop. Returns for signals that would
    dump our own core."""
    if number not in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _cannot_run(program: str, error: OSError, reporter: Reporter) -> int:
    missing = isinstance(error, FileNotFoundError)
    why = "command not found" if missing else error.strerror or "cannot be executed"
    print(f"vs-tui run: {program}: {why}", file=sys.stderr)
    code = NOT_FOUND if missing else NOT_EXECUTABLE
    reporter.end(Ending(code, "error", why), now())
    return code


class Ending(NamedTuple):
    """The result of a command."""

    code: int
    """The exit code as a shell would report it."""
    status: str
    """ok, error or cancelled."""
    reason: str = ""
    signal: str = ""


def ending_of(status: int, stops: Sequence[int] = ()) -> Ending:
    """The meaning of a wait status, given the stop signals that arrived meanwhile."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        name = _signal_name(-code)
        called_off = -code == signal.SIGINT or -code in stops
        return Ending(128 - code, "cancelled" if called_off else "error", name, name)
    if code == 0:
        return Ending(0, "ok")
    # A command that catches its ctrl-c says so with 128 + SIGINT, by a shell's custom.
    if stops or code == 128 + signal.SIGINT:
        number = stops[-1] if stops else signal.SIGINT
        return Ending(code, "cancelled", f"exit {code}", _signal_name(number))
    return Ending(code, "error", f"exit {code}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _wait(pid: int, watched: set[signal.Signals]) -> tuple[int, list[int]]:
    """Wait for the command and forward signals; returns its wait status and the stop signals that
    arrived."""
    stops: list[int] = []
    while True:
        number, from_terminal = _next_signal(watched)
        if (status := _ended(pid)) is not None:
            return status, stops
        if number == signal.SIGCHLD:
            continue
        if number in _STOPPING:
            stops.append(number)
        # The terminal signals its whole foreground group, the command included.
        if from_terminal:
            continue
        status = _ended_within(pid, _GRACE) if number in _STOPPING else None
        if status is not None:
            return status, stops
        os.kill(pid, number)


def _next_signal(watched: set[signal.Signals]) -> tuple[int, bool]:
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(watched)
        return info.si_signo, info.si_code > 0  # from the kernel, not from a process
    number = signal.sigwait(watched)
    return number, number in (signal.SIGINT, signal.SIGQUIT) and os.isatty(0)


def _ended(pid: int) -> int | None:
    done, status = os.waitpid(pid, os.WNOHANG)
    return status if done else None


def _ended_within(pid: int, seconds: float) -> int | None:
    """The wait status of a command that a signal to the whole process group ends as well."""
    deadline = time.monotonic() + seconds
    while (status := _ended(pid)) is None and time.monotonic() < deadline:
        time.sleep(0.005)
    return status


class Reporter:
    """Reports to the receiver in the background, without effect on the result."""

    def __init__(
        self, span: SpanId, name: str, tags: dict[str, str], checkout: Checkout, started: str
    ) -> None:
        self.span = span
        self.name = name
        self.parent = parent_reference()
        self.traceparent = ""
        """The trace that we were started in."""
        self.tags = tags
        self.checkout = checkout
        self.started = started
        self._client: Client | None = None
        self._thread = threading.Thread(target=self._begin, daemon=True)

    def start(self) -> None:
        """Send the start while the command runs."""
        self._thread.start()

    def end(self, ending: Ending, at: str) -> None:
        """Send the end; waits at most two seconds, and briefly for the start."""
        self._thread.join(_START_SECONDS)
        if self._client is None:
            # Still reading on a dead disk, say; nothing can be kept there either.
            print("vs-tui run: neither start nor end could be reported in time", file=sys.stderr)
            return
        tags: dict[str, Any] = {"process.exit.code": ending.code}
        if ending.signal:
            tags["vs.signal"] = ending.signal
        body = end_body(self.span, status=ending.status, reason=ending.reason, tags=tags, at=at)
        try:
            self._client.add(body)
            self._explain(self._client.send())
        except Exception as error:  # never the command's problem
            print(f"vs-tui run: the end could not be reported: {error}", file=sys.stderr)

    def _begin(self) -> None:
        try:
            from vs_tui.cli.client import Client

            client = Client()
            found = {**who(), **self.checkout.tags()}
            if self.span.type == "deploy" and (service := service_of(found)):
                found["service"] = service
            client.add(
                start_body(
                    self.span,
                    name=self.name,
                    parent=self.parent,
                    traceparent=self.traceparent,
                    tags={**found, **self.tags},
                    at=self.started,
                )
            )
            self._client = client
            client.send()
        except Exception as error:  # never the command's problem
            print(f"vs-tui run: the start could not be reported: {error}", file=sys.stderr)

    def _explain(self, report: Report) -> None:
        from vs_tui.cli.event import explain

        # Trouble is told once, not by each of a build's hundred runs.
        if report.refused or report.lost or report.waiting <= _FIRST:
            explain(report, "vs-tui run")


_START_SECONDS: Final = 2.5
_FIRST: Final = 2
"""Number of waiting events at which a run is the first to find the receiver away."""
