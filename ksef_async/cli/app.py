"""The program: finds the command, runs it in an event loop, and returns the code it ends with."""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any, Final

import anyio

from .. import __version__
from ..errors import KsefError
from .access import Access
from .arguments import Command, Parser
from .output import CREDENTIALS, EXIT_CODES, Exit, ReportedError, UsageError, describe_error, print_json

__all__ = ["main"]

_NAMES: Final = ("send", "check", "show", "status", "upo", "export", "plan", "qr", "latarnia", "sandbox", "demo")
_PROGRAM: Final = "ksef-async"
_ABOUT: Final = "Invoices to KSeF 2.0 and back: sent exactly once, resumed when interrupted."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Those of the process by default.

    Returns:
        The exit code, see `Exit`.
    """
    given = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(level=logging.ERROR)
    in_json = "--json" in given
    try:
        return anyio.run(_parse(given))
    except SystemExit as end:  # argparse has printed why
        return end.code if isinstance(end.code, int) else Exit.OK
    except UsageError as error:
        return _fail(error, Exit.USAGE, in_json=in_json)
    except (KsefError, OSError) as error:
        return _fail(error, Exit.FAILED, in_json=in_json)
    except ReportedError as report:
        return _fail(report.error, Exit.FAILED, in_json=False)
    except KeyboardInterrupt:
        print("Interrupted. Run it again to go on; nothing is sent twice.", file=sys.stderr)
        return Exit.INTERRUPTED


def _parse(arguments: Sequence[str]) -> Callable[[], Coroutine[Any, Any, int]]:
    """Return the command that is to be run, with its arguments.

    Raises:
        SystemExit: They are wrong, or ask for help, which has been printed.
        UsageError: The command needs an extra that is not installed.
    """
    if not arguments or (name := arguments[0]) not in _NAMES:
        overview = _overview()
        overview.parse(arguments)
        overview.error("the command comes first")
    command = _load(name)
    epilogue = f"{EXIT_CODES}\n{CREDENTIALS}" if command.has_access else EXIT_CODES
    parser = Parser(f"{_PROGRAM} {name}", _help(command), epilogue)
    command.add_arguments(parser)
    if command.has_access:
        Access.add_arguments(parser)
    values = parser.parse(arguments[1:])
    if command.has_access:
        values["access"] = Access.taken_from(values)
    if any(find_spec(package) is None for package in command.needs):
        raise UsageError(f"`{name}` needs the extra `cli`: pip install 'ksef_async[cli]'")
    return partial(command.run, **values)


def _load(name: str) -> Command:
    # Only the one that is run: to load the sandbox takes longer than most commands.
    command: Command = importlib.import_module(f".{name}", __package__).COMMAND
    return command


def _help(command: Command) -> str:
    return inspect.getdoc(command.run) or ""


def _overview() -> Parser:
    lines = [f"  {name:<9} {_help(_load(name)).partition(chr(10))[0]}" for name in _NAMES]
    parser = Parser(_PROGRAM, _ABOUT, "\n".join(["commands:", *lines, "", EXIT_CODES, CREDENTIALS]))
    parser.add_argument("command", choices=_NAMES, metavar="COMMAND", help="with --help, what it takes")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def _fail(error: Exception, code: Exit, *, in_json: bool) -> Exit:
    name = "" if isinstance(error, UsageError) else f"{type(error).__name__}: "
    print(f"{name}{error}", file=sys.stderr)
    if in_json:
        print_json({"error": describe_error(error)})
    return code
