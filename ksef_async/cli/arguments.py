"""What a command is, and what it takes: a parser with argparse, and the kinds of values it understands."""

from __future__ import annotations

import argparse
import math
import textwrap
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs

from ..protocol.numbers import nip_problem

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

__all__ = [
    "LOCAL",
    "NETWORK",
    "NETWORK_AND_JOURNAL",
    "Command",
    "Parser",
    "day_or_time",
    "folder",
    "nip",
    "number",
    "positive",
    "whole_number",
]

LOCAL: Final = ("--credentials", "--json")
"""The options of `Access` that a command takes which asks KSeF nothing."""
NETWORK: Final = (*LOCAL, "--proxy", "--ca-file")
NETWORK_AND_JOURNAL: Final = (*NETWORK, "--journal")

_WIDTH = 80


class Parser(argparse.ArgumentParser):
    """The arguments of one command, in any order: files may stand before, between and after the options.

    Args:
        name: What the user types.
        about: Paragraphs that say what it does.
        epilogue: Printed below its help, as it is.
    """

    arguments: list[argparse.Action]
    """What it takes, in order."""

    def __init__(self, name: str, about: str, epilogue: str) -> None:
        # Before argparse adds --help.
        self.arguments = []
        self._positional: list[str] = []
        self._needs: list[tuple[str, tuple[str, ...]]] = []
        super().__init__(
            prog=name,
            description="\n\n".join(textwrap.fill(part, _WIDTH) for part in about.split("\n\n")),
            epilog=epilogue,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:  # those of argparse
        """Add an argument, as `argparse.ArgumentParser.add_argument`."""
        action = super().add_argument(*names, **settings)
        self.arguments.append(action)
        if not action.option_strings:
            name = action.metavar if isinstance(action.metavar, str) else action.dest
            # Now: intermixed parsing changes nargs meanwhile.
            form = {"*": f"[{name} ...]", "+": f"{name} ...", "?": f"[{name}]"}.get(str(action.nargs), name)
            self._positional.append(form)
        return action

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Print the help; argparse itself would be silent about an output that is closed or full."""
        print(self.format_help(), end="", file=file)

    def format_usage(self) -> str:
        """Return the line of usage: options are listed below it."""
        return f"usage: {self._short_usage()}\n"

    def format_help(self) -> str:
        """Return the help, with one line of usage."""
        self.usage = self._short_usage()
        return super().format_help()

    def _short_usage(self) -> str:
        words = [self.prog, "[OPTIONS]"]
        return " ".join([*words, *self._positional])

    def parse(self, arguments: Sequence[str]) -> dict[str, object]:
        """Return the values by their names.

        Raises:
            SystemExit: An argument is wrong, which has been printed; or help was asked for.
        """
        values, unknown = self.parse_known_intermixed_args(arguments)
        if unknown:
            # Only names: the value of an option that there is not may be a secret.
            named = [each.partition("=")[0] for each in unknown if each.startswith("-")]
            self.error(f"unrecognized arguments: {' '.join(named) or len(unknown)}")
        for name, others in self._needs:
            if self._is_given(values, name) and not any(self._is_given(values, other) for other in others):
                self.error(f"{name} has no effect without {' or '.join(others)}")
        return vars(values)

    def _is_given(self, values: argparse.Namespace, name: str) -> bool:
        (action,) = (one for one in self.arguments if name in (one.option_strings or (one.metavar,)))
        return bool(getattr(values, action.dest) != action.default)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong in one line, and end with 2."""
        self.exit(2, f"{self.prog}: {message}\n")

    def add_need(self, name: str, *others: str) -> None:
        """Refuse an option that is given without one of others, as it would have no effect.

        Args:
            name: The option.
            others: Options, or arguments by what they are called in the help.
        """
        self._needs.append((name, others))

    def add_flag(self, name: str, about: str) -> None:
        """Add an option without a value."""
        self.add_argument(name, action="store_true", help=about)


@attrs.frozen(kw_only=True)
class Command:
    """A command of the program."""

    run: Callable[..., Coroutine[Any, Any, int]]
    """Takes the parsed arguments by their names, and returns the exit code; its docstring is the command's help."""
    add_arguments: Callable[[Parser], object]
    """Tells a parser which arguments it takes."""
    examples: tuple[str, ...]
    """Lines as they are typed, without the name of the program."""
    access: tuple[str, ...] = NETWORK
    """Which of the options of `Access` it takes, too: those that have an effect."""
    needs: tuple[str, ...] = ()
    """The packages of the extra ``cli`` without which it cannot run."""


# argparse prints what such a function raises.
def whole_number(least: int, most: float = math.inf) -> Callable[[str], int]:
    """Return a function that reads a whole number within bounds."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return read


def number(text: str, most: float = math.inf) -> float:
    """Return a number from zero to ``most``."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan  # which is within no bounds
    if not 0 <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {most:g}")
    return value


def positive(text: str) -> float:
    """Return a number above zero."""
    if not (value := number(text)):
        raise argparse.ArgumentTypeError("it has to be above zero")
    return value


def nip(text: str) -> str:
    """Return a NIP."""
    if problem := nip_problem(text):
        raise argparse.ArgumentTypeError(problem)
    return text


def folder(text: str) -> Path:
    """Return a folder that exists."""
    if not (path := Path(text)).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a folder")
    return path


def day_or_time(text: str) -> datetime:
    """Return a time in ISO 8601, in UTC where it has no zone."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day or a time, such as 2026-02-01") from None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
