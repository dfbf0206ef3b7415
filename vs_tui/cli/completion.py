"""`vs-tui completion SHELL`: completion generated from the commands' own parsers, so that what is
offered is what is understood."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vs_tui.cli.manual import add_command

SHELLS: Final = ("bash", "zsh", "fish")

_FILE_WORDS: Final = ("FILE", "PATH", "DB", "FOLDER")


@dataclass(frozen=True, slots=True)
class Value:
    """What may stand for an option's value or for an argument."""

    words: tuple[str, ...] = ()
    files: bool = False
    command: bool = False
    """A command line of its own follows, as after `vs-tui run --`."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option with all its spellings; `value` is None for a switch."""

    flags: tuple[str, ...]
    help: str
    value: Value | None


@dataclass(frozen=True, slots=True)
class Node:
    """A command or subcommand."""

    path: str
    """The words that lead here, such as `vs-tui db verify`."""
    options: tuple[Option, ...]
    children: tuple[tuple[str, str], ...]
    """Subcommands and their one line each."""
    argument: Value


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "completion",
        help="shell completion for bash, zsh and fish",
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
    from vs_tui.cli import completion_scripts

    write = {
        "bash": completion_scripts.bash,
        "zsh": completion_scripts.zsh,
        "fish": completion_scripts.fish,
    }[args.shell]
    print(write([*vs_tui_nodes(), *vscli_nodes()]), end="")
    return 0


def vs_tui_nodes() -> Iterator[Node]:
    """Every command of `vs-tui`, as its module registers it."""
    from vs_tui.cli.main import COMMANDS, command_module

    default = next(walk(_parser_of(command_module("dashboard"), "dashboard"), "vs-tui"))
    commands = tuple((name, _plain(text)) for name, text in COMMANDS.items())
    yield Node("vs-tui", default.options, commands, Value())
    for name in COMMANDS:
        yield from walk(_parser_of(command_module(name), name), f"vs-tui {name}")


def vscli_nodes() -> Iterator[Node]:
    """`vscli`, whose options are offered with one dash, as ValueStream writes them."""
    from vs_tui.cli.vscli import vscli_parser

    for node in walk(vscli_parser(), "vscli"):
        options = tuple(
            Option(
                tuple(flag.removeprefix("-") for flag in o.flags if len(flag) > 2), o.help, o.value
            )
            for o in node.options
        )
        yield Node(node.path, options, node.children, node.argument)


def walk(parser: argparse.ArgumentParser, path: str) -> Iterator[Node]:
    """The node of a parser and those of its subcommands."""
    options: list[Option] = []
    children: dict[str, str] = {}
    below: list[Node] = []
    argument = Value()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                children[choice.dest] = _plain(choice.help)
                below.extend(walk(action.choices[choice.dest], f"{path} {choice.dest}"))
        elif action.option_strings:
            value = None if action.nargs == 0 else _value(action)
            options.append(Option(tuple(action.option_strings), _plain(action.help), value))
        else:
            argument = _value(action)
    yield Node(path, tuple(options), tuple(children.items()), argument)
    yield from below


def _parser_of(module: Any, name: str) -> argparse.ArgumentParser:
    subparsers = argparse.ArgumentParser(prog="vs-tui").add_subparsers()
    module.register(subparsers)
    parser: argparse.ArgumentParser = subparsers.choices[name]
    return parser


def _value(action: argparse.Action) -> Value:
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    offered = getattr(action.type, "words", tuple)
    return Value(
        words=tuple(str(choice) for choice in action.choices or offered()),
        files=action.type is Path or metavar.split(" ")[0] in _FILE_WORDS,
        command=action.nargs == argparse.REMAINDER,
    )


def _plain(text: str | None) -> str:
    """A help text in one line, without what a shell or its completion would read as syntax."""
    words = " ".join((text or "").split()).replace("'", "’").replace("%%", "%")
    return "".join(c for c in words if c not in '"`\\$:[]')
