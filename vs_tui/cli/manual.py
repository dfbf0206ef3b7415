"""Make every command's `--help` like a manual page, with examples.

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
from collections.abc import Callable
from typing import Any, Final

from vs_tui.cli.streams import fill_descriptors
from vs_tui.model.errors import Explained

USAGE: Final = 2
"""Exit code for a wrong command line."""


class UsageError(Explained):
    """Ends the command with USAGE; the message says which argument is wrong and what is
    accepted."""


_NO_OUTPUT: Final = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def to_the_end(program: str, run: Callable[[], int]) -> int:
    """Run a command and return its exit code, also if a file cannot be used or the output cannot be
    written: the reader is gone, as in `vs-tui ls | head -1`, or the disk is full."""
    fill_descriptors()
    _speak_utf_8()
    try:
        code = run()
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
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
        if error.errno != errno.EPIPE:
            print(f"{program}: the output was not written: {error.strerror}", file=sys.stderr)
        return 1


def _speak_utf_8() -> None:
    """Write UTF-8 to files and pipes in every locale; a terminal with another encoding gets
    escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.encoding.lower() != "utf-8":
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="backslashreplace")
        else:
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def whole_number(text: str) -> int:
    """A number from 1 on, for argparse."""
    if not text.isdecimal() or not text.isascii() or not int(text[:18]):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number; give 1 or more")
    return int(text[:18])


def add_command(
    subparsers: Any, name: str, *, help: str, description: str = "", epilog: str, **options: Any
) -> argparse.ArgumentParser:
    """A command of `vs-tui`. `epilog` keeps its line breaks and holds the `examples:`; `options`
    go to argparse. Abbreviated options are refused, so that new options break no script."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=help,
        description=paragraph(description or f"{help[:1].upper()}{help[1:]}."),
        epilog=textwrap.dedent(epilog).strip("\n"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        **options,
    )
    return parser


def paragraph(text: str) -> str:
    """Text wrapped to a terminal's width, for a formatter that keeps line breaks."""
    return textwrap.fill(text, 78, break_long_words=False, break_on_hyphens=False)
