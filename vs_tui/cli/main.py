"""`vs-tui`: find the command and import only its module, so that `vs-tui event` starts fast; and
`vs-tui completion SHELL`: argcomplete completes from the commands' own parsers."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from vs_tui import __version__
from vs_tui.cli.commands import (
    COMMANDS,
    USAGE,
    Parser,
    UsageError,
    add_command,
    register_command,
    to_the_end,
)
from vs_tui.model.errors import Explained


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 ok, 1 failed, 2 usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return to_the_end("vs-tui", lambda: _main(arguments))


def _main(arguments: list[str]) -> int:
    if "_ARGCOMPLETE" in os.environ:
        answer(vs_tui_parser(words_before()[1:2]))
    name = _command(arguments)
    if name is None:
        return _overview(arguments)
    if arguments[:1] != [name]:
        arguments.insert(0, name)
    try:
        return _run(name, arguments)
    except ModuleNotFoundError as error:
        if (error.name or "vs_tui").partition(".")[0] == "vs_tui":
            raise
        print(
            f"vs-tui: {error.name} is not installed, and `vs-tui {name}` needs it; install vs-tui "
            "with its dependencies (pip without --no-deps)",
            file=sys.stderr,
        )
        return 1


def _run(name: str, arguments: Sequence[str]) -> int:
    parser = Parser(prog="vs-tui", allow_abbrev=False)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    command = register_command(subparsers, name)
    parsed = _parsed(parser, command, arguments)
    try:
        code: int = parsed.run(parsed)
    except Explained as error:
        program = getattr(error, "program", "vs-tui")
        print(f"{program}: {_harmless(error)}", file=sys.stderr)
        return USAGE if isinstance(error, UsageError) else 1
    except (OverflowError, UnicodeEncodeError) as error:
        if not (wrong := _unusable(error, arguments)):
            raise
        print(f"vs-tui: {_harmless(wrong)}", file=sys.stderr)
        return USAGE
    except Exception as error:
        if type(error).__module__ != "sqlite3" or not (said := _of_the_store(error, parsed)):
            raise
        print(f"vs-tui: {_harmless(said)}", file=sys.stderr)
        return 1
    return code


def _unusable(error: Exception, arguments: Sequence[str]) -> str:
    """Which argument no command can use: a text that is not UTF-8, a number or time that is too
    large; empty if the error is a bug."""
    if isinstance(error, UnicodeEncodeError):
        wrong = error.object[error.start]
        return next((f"{text!r} is not valid UTF-8" for text in arguments if wrong in text), "")
    digits = [text for text in arguments if any(character.isdigit() for character in text)]
    return f"out of range: a number or time among {', '.join(digits)}" if digits else ""


def _harmless(message: object) -> str:
    """A message cleaned for the terminal: it may quote a tool, a file or another receiver."""
    from vs_tui.model.display import clean_lines

    return clean_lines(str(message))


def _parsed(
    parser: argparse.ArgumentParser, command: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
    """Parse the command line. argparse ends a filter at the first option after one of its terms;
    the terms after that option are added to it here. `command` reports errors, because its usage
    helps."""
    parsed, rest = parser.parse_known_args(arguments)
    terms = rest[1:] if rest[:1] == ["--"] else rest
    unknown = terms is rest and any(term.startswith("-") for term in rest)
    if rest and (unknown or not hasattr(parsed, "filter")):
        options = [word for word in command.format_help().split() if word.startswith("--")]
        wrong = next((word.partition("=")[0] for word in rest if word.startswith("-")), "")
        hint = _meant(wrong, [option.strip(",[]()`;.'") for option in options])
        if hasattr(parsed, "filter") and not wrong.startswith("--"):
            hint = "; put `--` before a filter's term that begins with -"
        command.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
    if terms:
        parsed.filter = [*parsed.filter, *terms]
    return parsed


def entry() -> None:
    """For `python -m vs_tui`."""
    sys.exit(main())


def _of_the_store(error: Exception, parsed: argparse.Namespace) -> str:
    """The problem of the database and what to do about it; empty if the error is a bug."""
    from vs_tui.cli.common import load_config
    from vs_tui.store.storage_errors import explain, is_storage

    return explain(error, load_config(parsed).db) if is_storage(error) else ""


def _command(arguments: Sequence[str]) -> str | None:
    """The command in the first word; the dashboard if there are only options; None for help."""
    if not arguments:
        return "dashboard"
    first = arguments[0]
    if first in COMMANDS:
        return first
    if first in ("-h", "--help", "help", "-V", "--version") or not first.startswith("-"):
        return None
    return "dashboard"


def _meant(word: str, known: Sequence[str]) -> str:
    """`; did you mean ...?` if a known word is similar."""
    from difflib import get_close_matches

    found = get_close_matches(word, known, n=1, cutoff=0.7)
    return f"; did you mean `{found[0]}`?" if found else ""


def _versions() -> str:
    """The versions that a bug report needs."""
    import platform
    import sqlite3

    python, sqlite = platform.python_version(), sqlite3.sqlite_version
    return f"vs-tui {__version__} (Python {python}, SQLite {sqlite})"


def _overview(arguments: Sequence[str]) -> int:
    if arguments[0] in ("-V", "--version"):
        print(_versions())
        return 0
    lines = [f"  {name:<12}{text}" for name, text in COMMANDS.items()]
    text = "\n".join(
        (
            "usage: vs-tui [COMMAND] [OPTIONS]",
            "",
            "Delivery traces and DORA metrics, live in the terminal.",
            "",
            *lines,
            "",
            "`vs-tui COMMAND --help` says more. `vs-tui demo` shows it on sample data.",
        )
    )
    if arguments[0] in ("-h", "--help", "help"):
        print(text)
        return 0
    hint = _meant(arguments[0], list(COMMANDS))
    if not hint:
        print(text, end="\n\n", file=sys.stderr)
    print(f"vs-tui: {arguments[0]!r} is not a command{hint}", file=sys.stderr)
    return USAGE


SHELLS: Final = ("bash", "zsh", "fish")
PROGRAMS: Final = ("vs-tui", "vscli")

_FILE_WORDS: Final = ("FILE", "PATH", "DB", "FOLDER")


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "completion",
        completion,
        description="Print a script that completes commands, options and their values for vs-tui "
        "and vscli.",
        epilog="""
        examples:
          vs-tui completion bash > ~/.local/share/bash-completion/completions/vs-tui
          source <(vs-tui completion bash)                      for this shell only
          vs-tui completion zsh > ~/.zfunc/_vs-tui              with fpath+=(~/.zfunc) in .zshrc
          vs-tui completion fish > ~/.config/fish/completions/vs-tui.fish

        bash looks for `vscli` under its own name:
          ln -s vs-tui ~/.local/share/bash-completion/completions/vscli
        """,
    )
    parser.add_argument("shell", choices=SHELLS, help="which shell")


def completion(args: argparse.Namespace) -> int:
    from argcomplete.shell_integration import shellcode

    print(shellcode(list(PROGRAMS), shell=args.shell), end="")
    return 0


def words_before() -> list[str]:
    """The words before the cursor, when a shell asks for completions."""
    return os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])].split()


def answer(parser: argparse.ArgumentParser, end: Callable[[int], None] = os._exit) -> None:
    """Tell a shell what `parser` accepts next, and end the process."""
    from argcomplete.finders import CompletionFinder

    CompletionFinder()(
        parser,
        always_complete_options="long",
        exit_method=end,
        default_completer=_default,  # type: ignore[arg-type]  # any function of these arguments
    )


def vs_tui_parser(names: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of `vs-tui`: the named commands with all their arguments, the others by name only.
    Options without a command are those of the dashboard, which is the default."""
    default = argparse.ArgumentParser(prog="vs-tui", add_help=False).add_subparsers()
    own = register_command(default, "dashboard")
    parser = argparse.ArgumentParser(
        prog="vs-tui", parents=[own], conflict_handler="resolve", allow_abbrev=False
    )
    subparsers = parser.add_subparsers()
    for name in COMMANDS:
        if name in names:
            register_command(subparsers, name)
    for name, text in COMMANDS.items():
        if name not in subparsers.choices:
            subparsers.add_parser(name, help=text)
    return parser


def with_one_dash(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The same parser, offering its options with one dash, as ValueStream writes those of
    `vscli`."""
    for each in all_parsers(parser):
        for action in each._actions:
            shown = [name[1:] for name in action.option_strings if name.startswith("--")]
            action.option_strings = shown or action.option_strings
            each._option_string_actions.update(dict.fromkeys(shown, action))
    return parser


def all_parsers(parser: argparse.ArgumentParser) -> Iterable[argparse.ArgumentParser]:
    """A parser and those of its subcommands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in dict.fromkeys(action.choices.values()):
                yield from all_parsers(below)


def _default(prefix: str, action: argparse.Action, parsed_args: Any, **_: Any) -> Iterable[str]:
    """Words or files that may stand for a value."""
    from argcomplete.completers import FilesCompleter

    before = getattr(parsed_args, action.dest, None) or ()
    if action.nargs == argparse.REMAINDER and not [word for word in before if word != "--"]:
        return [name for name in _programs() if name.startswith(prefix)]
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    files = action.type is Path or metavar.split(" ")[0] in _FILE_WORDS
    if files or action.nargs == argparse.REMAINDER:
        return list(FilesCompleter()(prefix))
    return [str(word) for word in getattr(action.type, "words", tuple)()]


def _programs() -> list[str]:
    """The programs on PATH, for `vs-tui run`."""
    import shutil

    folders = [Path(folder) for folder in os.get_exec_path()]
    names = {file.name for folder in folders if folder.is_dir() for file in folder.iterdir()}
    return sorted(name for name in names if shutil.which(name))
