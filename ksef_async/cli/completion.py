"""``ksef-async completion``: a script for a shell, made from the parsers of the commands."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from .arguments import Command, Parser
from .output import Exit

__all__ = ["COMMAND", "completion"]


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("shell", choices=tuple(_SCRIPTS), metavar="SHELL", help=f"one of {', '.join(_SCRIPTS)}")


async def completion(*, shell: str) -> int:
    """Print a script that completes commands and options in a shell.

    Bash: in ~/.bashrc. Zsh: in a folder of $fpath, as _ksef-async. Fish: in ~/.config/fish/completions. It is made of
    the version that is installed; print it anew after an update.
    """
    print(_SCRIPTS[shell](_described()), end="")
    return Exit.OK


@attrs.frozen
class _Argument:
    """An option, or what stands without one (no names)."""

    names: tuple[str, ...]
    about: str
    takes_value: bool
    choices: tuple[str, ...]
    is_path: bool


def _described() -> Mapping[str, tuple[str, list[_Argument]]]:
    """Return each command with its summary and what it takes."""
    # Its commands are loaded, this one too.
    from .app import COMMANDS, TOPICS, load, parser_of

    commands = {
        name: (about, [_argument(action) for action in parser_of(name, load(name)).arguments])
        for name, about in COMMANDS.items()
    }
    about = "Print the help on a command, on credentials or on exit codes."
    topic = _Argument((), "command or topic", takes_value=True, choices=(*COMMANDS, *TOPICS), is_path=False)
    return {**commands, "help": (about, [topic])}


def _argument(action: argparse.Action) -> _Argument:
    return _Argument(
        names=tuple(action.option_strings),
        about=(action.help or "").replace("\n", " "),
        takes_value=action.nargs != 0,
        choices=tuple(map(str, action.choices or ())),
        # Invoices may be named by their numbers, too, but mostly are by files.
        is_path=action.type is Path or action.metavar in ("FILE", "FOLDER", "INVOICE"),
    )


def _bash(commands: Mapping[str, tuple[str, list[_Argument]]]) -> str:
    lines = []
    for command, (_, arguments) in commands.items():
        for argument in arguments:
            if argument.names and argument.takes_value:
                pattern = "|".join(f"{command}:{name}" for name in argument.names)
                lines.append(f"        {pattern}) {_bash_values(argument)}; return ;;")
    for command, (_, arguments) in commands.items():
        names = " ".join(name for argument in arguments for name in argument.names)
        values = [_bash_values(argument) for argument in arguments if not argument.names]
        lines.append(f"        {command}:*)")
        lines.append(f'            if [[ $current == -* ]]; then COMPREPLY=($(compgen -W "{names}" -- "$current"))')
        lines.append(f"            else {values[0] if values else ':'}; fi ;;")
    cases = "\n".join(lines)
    return f"""\
# bash completion of ksef-async
_ksef_async() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}}
    COMPREPLY=()
    if [[ $COMP_CWORD == 1 ]]; then
        COMPREPLY=($(compgen -W "{" ".join(commands)} --help --version" -- "$current"))
        return
    fi
    case $command:$previous in
{cases}
    esac
}}
complete -o filenames -o bashdefault -F _ksef_async ksef-async
"""


def _bash_values(argument: _Argument) -> str:
    if argument.choices:
        return f'COMPREPLY=($(compgen -W "{" ".join(argument.choices)}" -- "$current"))'
    # One line each, for names have blanks.
    return "local IFS=$'\\n'; COMPREPLY=($(compgen -f -- \"$current\"))" if argument.is_path else ":"


def _zsh(commands: Mapping[str, tuple[str, list[_Argument]]]) -> str:
    listed = "\n".join(f"        {shlex.quote(f'{name}:{about}')}" for name, (about, _) in commands.items())
    cases = []
    for command, (_, arguments) in commands.items():
        specs = [_zsh_spec(argument, name) for argument in arguments for name in argument.names or ("*",)]
        body = " \\\n                ".join(map(shlex.quote, specs))
        cases.append(f"        {command})\n            _arguments {body} ;;")
    joined = "\n".join(cases)
    return f"""\
#compdef ksef-async
_ksef-async() {{
    local -a commands=(
{listed}
    )
    if (( CURRENT == 2 )); then
        _describe command commands
        return
    fi
    local command=$words[2]
    shift words
    (( CURRENT-- ))
    case $command in
{joined}
    esac
}}
if [[ $funcstack[1] == _ksef-async ]]; then
    _ksef-async "$@"
else
    compdef _ksef-async ksef-async
fi
"""


def _zsh_spec(argument: _Argument, name: str) -> str:
    about = argument.about.replace("[", "(").replace("]", ")").replace(":", "\\:")
    values = f"({' '.join(argument.choices)})" if argument.choices else "_files" if argument.is_path else " "
    if not argument.names:
        return f"*:{about}:{values}"
    return f"{name}[{about}]:value:{values}" if argument.takes_value else f"{name}[{about}]"


def _fish(commands: Mapping[str, tuple[str, list[_Argument]]]) -> str:
    lines = ["# fish completion of ksef-async", "complete -c ksef-async -f"]
    for command, (about, _) in commands.items():
        lines.append(f"complete -c ksef-async -n __fish_use_subcommand -a {command} -d {_fish_quoted(about)}")
    for command, (_, arguments) in commands.items():
        begin = f"complete -c ksef-async -n '__fish_seen_subcommand_from {command}'"
        for argument in arguments:
            words = [begin]
            words.extend(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in argument.names)
            if argument.choices:
                words.append(f"-x -a {_fish_quoted(' '.join(argument.choices))}")
            elif argument.is_path:
                words.append("-r -F" if argument.names else "-F")
            elif argument.names and argument.takes_value:
                words.append("-x")
            lines.append(" ".join([*words, "-d", _fish_quoted(argument.about)]))
    return "\n".join(lines) + "\n"


def _fish_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


_SCRIPTS: Final = {"bash": _bash, "zsh": _zsh, "fish": _fish}

COMMAND: Final = Command(
    run=completion,
    add_arguments=_add_arguments,
    examples=("completion bash >> ~/.bashrc", "completion fish > ~/.config/fish/completions/ksef-async.fish"),
    access=(),
)
