"""The program: finds the command, runs it, and returns the code it ends with.

Nothing is loaded but the command that is run, so that help and completion answer at once.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

from .. import __version__
from ..errors import ConnectError
from .arguments import Command, Parser
from .output import (
    CREDENTIALS,
    EXIT_CODES,
    BusyError,
    Exit,
    ReportedError,
    UsageError,
    describe_error,
    need_extra,
    print_json,
)

__all__ = ["COMMANDS", "PROGRAM", "TOPICS", "load", "main", "parser_of", "run_process"]

PROGRAM: Final = "ksef-async"
COMMANDS: Final = {
    "send": "Send invoices, each exactly once, and wait for numbers and UPO.",
    "issue": "Issue an invoice while the customer waits, online or offline.",
    "correct": "Send the technical correction of a rejected offline invoice.",
    "check": "Say what KSeF would refuse in invoices, and what is odd.",
    "show": "Write an invoice as a page of HTML or as PDF, to read and print.",
    "status": "Show how far invoices are, from the journal.",
    "upo": "Save the UPO of invoices, from the journal.",
    "export": "Fetch every invoice that KSeF has stored since a day, each once.",
    "plan": "Say how to send invoices soonest within KSeF's limits.",
    "qr": "Print the verification link of an invoice, or draw its QR code.",
    "latarnia": "Show whether the Ministry announces an outage of KSeF.",
    "certificate": "Apply for a KSeF certificate, and save it with its key in a file.",
    "doctor": "Report what works from here, on the way to KSeF and in it.",
    "sandbox": "Serve a simulated KSeF on 127.0.0.1, with a page to look at.",
    "demo": "Send invoices through one session and print the timeline.",
    "completion": "Print a script that completes commands and options in a shell.",
}
"""Every command with the first line of its help, which is read here so that the overview loads no command."""
_ABOUT: Final = "Invoices to KSeF 2.0 and back: sent exactly once, resumed when interrupted."
TOPICS: Final = {"credentials": CREDENTIALS, "exit-codes": EXIT_CODES}
_MORE: Final = f"""\
{PROGRAM} help COMMAND      what it takes, with examples
{PROGRAM} help credentials  where certificate, token and company come from
"""
# As a process that a closed pipe ends is reported by a shell.
_BROKEN_PIPE: Final = 141


def run_process() -> int:
    """Run one command as a process of its own: as `main`, and its output reaches whoever reads it, or is told lost.

    Returns:
        The exit code; 141 where whoever read the output has gone.
    """
    for stream in (sys.stdout, sys.stderr):
        # None where a process has no terminal and no file (pythonw).
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a letter shows its code.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = main()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        code = _BROKEN_PIPE
    except OSError as error:
        code = Exit.FAILED
        print(f"The output cannot be written: {error}", file=sys.stderr)
    # All is done: nothing is left to interrupt but Python's own end, which would print a traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if code in (_BROKEN_PIPE, Exit.FAILED):
        _drop_what_is_unwritten()
    return code


def _drop_what_is_unwritten() -> None:
    # Python writes what is left when it ends, and would fail once more.
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Those of the process by default.

    Returns:
        The exit code, see `Exit`.

    Raises:
        BrokenPipeError: Whoever read the output has gone.
    """
    given = sys.argv[1:] if arguments is None else arguments
    # A handler takes whatever its logger lets pass: those of waits let INFO pass, which is told in words (see `waits`).
    errors_only = logging.StreamHandler()
    errors_only.setLevel(logging.ERROR)
    logging.basicConfig(level=logging.ERROR, handlers=[errors_only])
    in_json = "--json" in given
    try:
        command = _parse(given)
    except SystemExit as end:  # argparse has printed why
        return end.code if isinstance(end.code, int) else Exit.OK
    except UsageError as error:
        return _fail(error, Exit.USAGE, in_json=in_json)
    except KeyboardInterrupt:
        return _end_interrupted(Exit.INTERRUPTED, ())
    return _run(command, in_json=in_json)


def _run(command: Callable[[], Coroutine[Any, Any, int]], *, in_json: bool) -> int:
    try:
        # These load the client, which help has no use for.
        from .running import InterruptedCommandError, exit_code, leaves, run
        from .waits import waits_told

        try:
            with waits_told():
                return run(command)
        except InterruptedCommandError as interrupted:
            return _end_interrupted(interrupted.code, interrupted.notes)
        except BrokenPipeError:
            raise
        except ReportedError as report:
            return _fail(report.error, exit_code(report.error) or Exit.FAILED, in_json=False)
        except Exception as error:
            errors = [*leaves(error)]
            codes = [exit_code(each) for each in errors]
            if (code := codes[0]) is None or None in codes:
                raise
            for other in errors[1:]:
                print(_described(other), file=sys.stderr)
            return _fail(errors[0], code, in_json=in_json)
    except KeyboardInterrupt:
        return _end_interrupted(Exit.INTERRUPTED, ())


def _end_interrupted(code: int, notes: Sequence[str]) -> int:
    for note in notes:
        print(note, file=sys.stderr)
    print("Interrupted. Run it again to go on; what the journal holds is sent once.", file=sys.stderr)
    return code


def _parse(arguments: Sequence[str]) -> Callable[[], Coroutine[Any, Any, int]]:
    """Return the command that is to be run, with its arguments.

    Raises:
        SystemExit: They are wrong, or ask for help, which has been printed.
        UsageError: The command needs an extra that is not installed.
    """
    if arguments and arguments[0] == "help":
        _print_help(arguments[1:])
    if not arguments or (name := arguments[0]) not in COMMANDS:
        overview = _overview()
        overview.parse(arguments)
        overview.error("the command comes first")
    command = load(name)
    values = parser_of(name, command).parse(arguments[1:])
    if command.access:
        from .access import Access

        values["access"] = Access.taken_from(values)
    need_extra(name, "cli", *command.needs)
    return partial(command.run, **values)


def _print_help(arguments: Sequence[str]) -> None:
    """Print the help on a topic, a command, or all of them.

    Raises:
        SystemExit: Always.
    """
    if not arguments:
        _overview().parse(["--help"])
    topic = arguments[0]
    if topic in TOPICS:
        print(TOPICS[topic], end="")
        raise SystemExit(Exit.OK)
    if topic not in COMMANDS:
        _overview().error(f"help is for {', '.join([*COMMANDS, *TOPICS])}")
    parser_of(topic, load(topic)).parse(["--help"])


def load(name: str) -> Command:
    """Return a command; loads its module, and no other command's."""
    command: Command = importlib.import_module(f".{name}", __package__).COMMAND
    return command


def parser_of(name: str, command: Command) -> Parser:
    """Return the parser of a command's arguments."""
    lines = [f"examples:\n{''.join(f'  {PROGRAM} {example}{chr(10)}' for example in command.examples)}"]
    lines.append(f"Exit codes: {PROGRAM} --help.")
    if command.access:
        lines.append(f"Credentials: {PROGRAM} help credentials.")
    parser = Parser(f"{PROGRAM} {name}", inspect.getdoc(command.run) or "", f"{lines[0]}\n{' '.join(lines[1:])}")
    command.add_arguments(parser)
    if command.access:
        from .access import Access

        Access.add_arguments(parser, command.access)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(__version__)
        parser.exit()


def _overview() -> Parser:
    lines = [f"  {name:<11} {about}" for name, about in COMMANDS.items()]
    parser = Parser(PROGRAM, _ABOUT, "\n".join(["commands:", *lines, "", EXIT_CODES, _MORE]))
    parser.add_argument("command", choices=tuple(COMMANDS), metavar="COMMAND", help="one of those below")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    return parser


def _described(error: BaseException) -> str:
    if isinstance(error, UsageError | BusyError):
        return str(error)
    hint = " `ksef-async doctor` tells where the way to KSeF ends." if isinstance(error, ConnectError) else ""
    return f"{type(error).__name__}: {error}{hint}"


def _fail(error: BaseException, code: Exit, *, in_json: bool) -> Exit:
    print(_described(error), file=sys.stderr)
    if in_json:
        print_json({"error": describe_error(error)})
    return code
