"""Completion scripts for bash, zsh and fish out of a table of commands.

bash and zsh share one plan: a function answers what may stand below a path of commands, another
one walks the words typed so far to find that path.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from vs_tui.cli.completion import Node, Option, Value

_PROGRAMS: Final = ("vs-tui", "vscli")


def bash(nodes: Sequence[Node]) -> str:
    """Needs no bash-completion package, and uses it after `run --` where it is there."""
    cases = "".join(
        f"        {_quoted(node.path)})\n"
        f"            children={_quoted(_join(name for name, _ in node.children))}\n"
        f"            options={_quoted(_join(_flags(node)))}\n"
        f"            valued={_quoted(_join(_flags(node, valued=True)))}\n"
        f"            argument={_quoted(_kind(node.argument))} ;;\n"
        for node in nodes
    )
    values = "".join(
        f"        {_quoted(f'{node.path} {flag}')}) value={_quoted(_kind(value))} ;;\n"
        for node in nodes
        for flag, value in _values(node)
    )
    return _BASH.format(cases=cases, values=values, programs=_join(_PROGRAMS))


def zsh(nodes: Sequence[Node]) -> str:
    """A file for a folder of `fpath`; sourced after compinit it works as well."""
    cases = "".join(
        f"        {_quoted(node.path)})\n"
        f"            children=({_join(_described(node.children))})\n"
        f"            options=({_join(_described(_option_lines(node)))})\n"
        f"            valued=({_join(_flags(node, valued=True))})\n"
        f"            argument={_quoted(_kind(node.argument))} ;;\n"
        for node in nodes
    )
    values = "".join(
        f"        {_quoted(f'{node.path} {flag}')}) value={_quoted(_kind(value))} ;;\n"
        for node in nodes
        for flag, value in _values(node)
    )
    return _ZSH.format(cases=cases, values=values, programs=_join(_PROGRAMS))


def fish(nodes: Sequence[Node]) -> str:
    """One `complete` line for every word that may come."""
    lines = [_FISH.format(paths=_join(_quoted(node.path) for node in nodes))]
    for node in nodes:
        program, _, _ = node.path.partition(" ")
        start = f"complete -c {program} -n {_quoted(f'__vs_tui_at {_quoted(node.path)}')}"
        if node.argument.command:
            valued = _join(_flags(node, valued=True))
            lines.append(f"{start} -xa {_quoted(f'(__vs_tui_command {valued})')}")
        elif not node.argument.files:
            words = f" -a {_quoted(_join(node.argument.words))}" if node.argument.words else ""
            lines.append(f"{start} -f{words}")
        for name, help in node.children:
            lines.append(f"{start} -a {name} -d {_quoted(help)}")
        for option in node.options:
            lines.append(start + _fish_option(option))
    return "\n".join(lines) + "\n"


def _fish_option(option: Option) -> str:
    words = []
    for flag in option.flags:
        if flag.startswith("--"):
            words.append(f"-l {flag[2:]}")
        else:  # one dash: a letter, or one of vscli's words
            words.append(f"-{'s' if len(flag) == 2 else 'o'} {flag[1:]}")
    if option.value is not None:
        words.append("-r" if option.value.files else "-x")
        if option.value.words:
            words.append(f"-a {_quoted(_join(option.value.words))}")
    return f" {_join(words)} -d {_quoted(option.help)}"


def _flags(node: Node, *, valued: bool = False) -> list[str]:
    return [
        flag
        for option in node.options
        if option.value is not None or not valued
        for flag in option.flags
    ]


def _values(node: Node) -> list[tuple[str, Value]]:
    return [
        (flag, option.value)
        for option in node.options
        if option.value is not None and (option.value.words or option.value.files)
        for flag in option.flags
    ]


def _kind(value: Value) -> str:
    """`=file`, `=command`, or the words that may stand here."""
    if value.command:
        return "=command"
    return "=file" if value.files else _join(value.words)


def _option_lines(node: Node) -> list[tuple[str, str]]:
    return [(flag, option.help) for option in node.options for flag in option.flags]


def _described(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [_quoted(f"{name}:{help}") for name, help in pairs]


def _join(words: Iterable[str]) -> str:
    return " ".join(words)


def _quoted(text: str) -> str:
    """Between quotes in which no shell reads anything; help texts hold neither of both kinds."""
    return f'"{text}"' if "'" in text else f"'{text}'"


_BASH: Final = """\
# Completion of vs-tui and vscli for bash, made by `vs-tui completion bash`.

_vs_tui_below() {{
    children= options= valued= argument=
    case $1 in
{cases}    esac
}}

_vs_tui_value() {{
    value=
    case $1 in
{values}    esac
}}

_vs_tui_offer() {{
    case $1 in
        '=file') compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$2")) ;;
        *) COMPREPLY=($(compgen -W "$1" -- "$2")) ;;
    esac
}}

_vs_tui_command() {{
    if [[ $(type -t _command_offset) == function ]]; then
        _command_offset "$1"
    elif ((COMP_CWORD == $1)); then
        COMPREPLY=($(compgen -c -- "$cur"))
    else
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$cur"))
    fi
}}

_vs_tui() {{
    local IFS=$' \\t\\n'
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}
    local at=${{COMP_WORDS[0]##*/}} children options valued argument value word i
    COMPREPLY=()
    _vs_tui_below "$at"
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        if [[ " $valued " == *" $word "* ]]; then
            # The value follows, maybe behind a `=`, which readline makes a word of its own.
            [[ ${{COMP_WORDS[i+1]}} == = ]] && ((i++))
            ((i++))
        elif [[ $word == -- || $word != -* ]]; then
            if [[ $argument == '=command' ]]; then
                [[ $word == -- ]] && ((i++))
                _vs_tui_command "$i"
                return
            elif [[ " $children " == *" $word "* ]]; then
                at="$at $word"
                _vs_tui_below "$at"
            fi
        fi
    done
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    if [[ " $valued " == *" $prev "* ]]; then
        _vs_tui_value "$at $prev"
        _vs_tui_offer "$value" "$cur"
    elif [[ $cur == -* ]]; then
        _vs_tui_offer "$options" "$cur"
    elif [[ -n $children ]]; then
        _vs_tui_offer "$children" "$cur"
    elif [[ $argument == '=command' ]]; then
        _vs_tui_command "$COMP_CWORD"
    else
        _vs_tui_offer "$argument" "$cur"
    fi
}}

complete -F _vs_tui {programs}
"""

_ZSH: Final = """\
#compdef {programs}
# Completion of vs-tui and vscli for zsh, made by `vs-tui completion zsh`.

_vs_tui_below() {{
    children=() options=() valued=() argument=
    case $1 in
{cases}    esac
}}

_vs_tui_value() {{
    value=
    case $1 in
{values}    esac
}}

_vs_tui_offer() {{
    case $1 in
        '=file') _files ;;
        ?*) compadd -- ${{=1}} ;;
    esac
}}

_vs_tui() {{
    local at=${{words[1]:t}} argument value word i
    local -a children options valued
    _vs_tui_below "$at"
    for ((i = 2; i < CURRENT; i++)); do
        word=${{words[i]}}
        if (( ${{valued[(Ie)$word]}} )); then
            ((i++))
        elif [[ $word == -- || $word != -* ]]; then
            if [[ $argument == '=command' ]]; then
                [[ $word == -- ]] && ((i++))
                words=("${{(@)words[i,-1]}}")
                ((CURRENT -= i - 1))
                _normal
                return
            elif (( ${{children[(I)$word:*]}} )); then
                at="$at $word"
                _vs_tui_below "$at"
            fi
        fi
    done
    local cur=${{words[CURRENT]}} prev=${{words[CURRENT-1]}}
    if [[ $cur == -*=* ]] && (( ${{valued[(Ie)${{cur%%=*}}]}} )); then
        _vs_tui_value "$at ${{cur%%=*}}"
        compset -P '*='
        _vs_tui_offer "$value"
    elif (( ${{valued[(Ie)$prev]}} )); then
        _vs_tui_value "$at $prev"
        _vs_tui_offer "$value"
    elif [[ $cur == -* ]]; then
        _describe -o option options
    elif (( ${{#children}} )); then
        _describe command children
    elif [[ $argument == '=command' ]]; then
        words=("${{(@)words[CURRENT,-1]}}")
        CURRENT=1
        _normal
    else
        _vs_tui_offer "$argument"
    fi
}}

if [[ $funcstack[1] == _vs-tui ]]; then
    _vs_tui "$@"
else
    compdef _vs_tui {programs}
fi
"""

_FISH: Final = """\
# Completion of vs-tui and vscli for fish, made by `vs-tui completion fish`.

# Whether the words typed so far lead to the command $argv[1].
function __vs_tui_at
    set -l commands {paths}
    set -l typed (commandline -opc)
    set -l found (string replace -r '.*/' '' -- $typed[1])
    for word in $typed[2..]
        if contains -- "$found $word" $commands
            set found "$found $word"
        end
    end
    test "$found" = "$argv[1]"
end

# Completes the command line that `vs-tui run` is given; $argv are the options with a value.
function __vs_tui_command
    set -l words (commandline -opc) (commandline -ct)
    set words $words[3..]
    while string match -q -- '-*' $words[1]
        set -l option $words[1]
        set -e words[1]
        test "$option" = --; and break
        contains -- "$option" $argv; and set -e words[1]
    end
    complete -C "$words"
end
"""
