"""The frame of every command of `vs-tui`: its help, its exit code and its standard streams.

Separate from `common` because `vs-tui event` and `run` start fast and import little.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Final, NoReturn, TextIO

from vs_tui.model.errors import Explained

COMMANDS: Final = {
    "dashboard": "receiver and dashboard in one process (the default)",
    "serve": "the receiver alone",
    "view": "the dashboard alone, read-only, on a database or a remote receiver",
    "demo": "the dashboard on sample data that keeps coming",
    "replay": "send recorded deliveries",
    "record": "write deliveries to a file that replay reads",
    "event": "start or end a span from a script",
    "run": "run a command as a span",
    "flush": "send events that were spooled while the receiver was down",
    "ls": "list spans that match a filter",
    "link": "list, show, pin or cut the links between spans",
    "report": "DORA, durations, pull requests, teams",
    "connect": "make a tool's webhook, or say what to enter where",
    "export": "keep the SQL views as tables in PostgreSQL",
    "import": "backfill history from GitHub, GitLab or Jira",
    "config": "create or show the configuration",
    "source": "list sources, or see what one makes of a body",
    "secret": "show or rotate the token and the sources' secrets",
    "doctor": "check the installation, and say what to do",
    "db": "backup, restore, verify, prune, rebuild, forget, stats, copy-log",
    "screenshot": "render the dashboard's views to files",
    "completion": "shell completion for bash, zsh and fish",
}
"""Command -> its one-line description. The register() of a module adds its command, or commands."""


_MODULES: Final = {
    **{"import": "import_", "flush": "event", "record": "recordings", "replay": "recordings"},
    **{"export": "postgres", "secret": "config", "screenshot": "demo", "completion": "main"},
}
"""Command -> the module that it shares with another one, or that has another name."""


def register_command(subparsers: Any, name: str) -> argparse.ArgumentParser:
    """The parser of a command, whose module is imported and adds all of its commands."""
    if name not in subparsers.choices:
        import_module(f"vs_tui.cli.{_MODULES.get(name, name)}").register(subparsers)
    parser: argparse.ArgumentParser = subparsers.choices[name]
    return parser


def whole_number(text: str) -> int:
    """A number from 1 on, for argparse."""
    if not text.isdecimal() or not text.isascii() or not int(text[:18]):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number; give 1 or more")
    return int(text[:18])


class Parser(argparse.ArgumentParser):
    """A parser whose errors cannot control the terminal: they quote arguments, and a script gives
    names of branches and people."""

    def error(self, message: str) -> NoReturn:
        from vs_tui.model.display import clean_lines

        super().error(clean_lines(message))


def add_command(
    subparsers: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    help: str = "",
    description: str = "",
    epilog: str,
    **more: Any,
) -> argparse.ArgumentParser:
    """A command of `vs-tui`, or of one of its commands, which then has a `help` of its own. `run`
    returns its exit code. `epilog` keeps its line breaks and holds the `examples:`; `more` goes to
    argparse. Abbreviated options are refused, so that new options break no script."""
    help = help or COMMANDS[name]
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=help,
        description=paragraph(description or f"{help[:1].upper()}{help[1:]}."),
        epilog=textwrap.dedent(epilog).strip("\n"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        **more,
    )
    parser.set_defaults(run=run)
    return parser


def paragraph(text: str) -> str:
    """Text wrapped to a terminal's width, for a formatter that keeps line breaks."""
    return textwrap.fill(text, 78, break_long_words=False, break_on_hyphens=False)


USAGE: Final = 2
"""Exit code for a wrong command line."""


class UsageError(Explained):
    """Ends the command with USAGE; the message says which argument is wrong and what is
    accepted."""

    program = "vs-tui"
    """The words in front of the message."""


@contextlib.contextmanager
def usage(option: str = "", *, program: str = "vs-tui") -> Iterator[None]:
    """What is a ValueError here is a wrong argument; `option` comes before its text."""
    try:
        yield
    except (ValueError, UsageError) as error:
        wrong = UsageError(f"{option}{error}")
        wrong.program = program
        raise wrong from None


PIPE_CLOSED: Final = 141
"""Exit code when the reader of the output has gone, as in `vs-tui ls | head -1`: 128 + SIGPIPE, as
a shell reports it of any other program."""
at_end: Final = contextlib.ExitStack()
"""Undoes what a command changed in its process, such as where it logs to: a test or a program may
run one command after another."""
_NO_OUTPUT: Final = (
    *(errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    errno.EBADF,  # a closed stdout
)


def to_the_end(program: str, run: Callable[[], int]) -> int:
    """Run a command and return its exit code, also if a file cannot be used or the output cannot be
    written: its reader is gone, or the disk is full."""
    open_streams()
    _speak_utf_8()
    at_end.pop_all()
    try:
        with at_end:
            return _flushed(run)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if error.filename is not None and error.strerror:
            from vs_tui.model.display import clean

            shown = clean(os.fsdecode(error.filename))
            advice = "see whether it is there and whether you may use it"
            print(f"{program}: {shown}: {error.strerror}; {advice}", file=sys.stderr)
            return 1
        if error.errno not in _NO_OUTPUT:
            raise
        with contextlib.suppress(OSError, ValueError):  # else Python tries once more, and says so
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:
            return PIPE_CLOSED
        print(f"{program}: the output was not written: {error.strerror}", file=sys.stderr)
        return 1


def _flushed(run: Callable[[], int]) -> int:
    """The exit code, once all output is written; also that of `--help`, which argparse ends."""
    try:
        code = run()
    except SystemExit:
        sys.stdout.flush()
        raise
    sys.stdout.flush()
    return code


def _speak_utf_8() -> None:
    """Write UTF-8 to files and pipes in every locale; a terminal with another encoding gets
    escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.encoding.lower() != "utf-8":
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="backslashreplace")
        else:
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def open_streams() -> None:
    """Open each closed standard stream. Otherwise the next opened file gets its number, and output
    could be written into the database. As for other programs, writing to a closed stdout fails, so
    that nobody takes a lost output for an empty one; what goes to a closed stderr is dropped."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one.
            os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)
            os.set_inheritable(number, True)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


class Lossy:
    """A text stream whose writes never fail: after an error all further output is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._give_up()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._give_up()

    def _give_up(self) -> None:
        """Redirect it to /dev/null, so that flushing at exit does not fail again."""
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def never_fail() -> None:
    """From now on let no printed or logged text stop this process."""
    sys.stdout = Lossy(sys.stdout)
    sys.stderr = Lossy(sys.stderr)
