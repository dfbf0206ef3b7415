"""How every command's `--help` is made: like a manual page, with examples.

Apart from `common` because `vs-tui event` and `run` start fast and import little.
"""

from __future__ import annotations

import argparse
import textwrap
from typing import Any, Final

from vs_tui.domain.errors import Explained

USAGE: Final = 2
"""Exit code of a command line that is wrong."""


class UsageError(Explained):
    """Ends the command with USAGE: an argument means nothing; the message says what would."""


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
    """A text in lines of a terminal's width, for a formatter that leaves lines as they are."""
    return textwrap.fill(text, 78, break_long_words=False, break_on_hyphens=False)
