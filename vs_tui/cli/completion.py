"""`vs-tui completion SHELL`: argcomplete completes from the commands' own parsers."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from vs_tui.cli.commands import COMMANDS, add_command, command_module

SHELLS: Final = ("bash", "zsh", "fish")
PROGRAMS: Final = ("vs-tui", "vscli")

_FILE_WORDS: Final = ("FILE", "PATH", "DB", "FOLDER")


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "completion",
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


def run(args: argparse.Namespace) -> int:
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
    command_module("dashboard").register(default)
    own = default.choices["dashboard"]
    parser = argparse.ArgumentParser(
        prog="vs-tui", parents=[own], conflict_handler="resolve", allow_abbrev=False
    )
    subparsers = parser.add_subparsers()
    for name, text in COMMANDS.items():
        if name in names:
            command_module(name).register(subparsers)
        else:
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
    folders = [Path(folder) for folder in os.get_exec_path()]
    names = {file.name for folder in folders if folder.is_dir() for file in folder.iterdir()}
    return sorted(name for name in names if shutil.which(name))
