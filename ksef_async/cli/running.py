"""Running a command: signals end it in order, and what it raises becomes an exit code.

The first Ctrl-C (or SIGTERM, SIGHUP) cancels the command, which closes what it has open at KSeF; the second one leaves
at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import anyio

from ..errors import (
    ApiError,
    ForbiddenError,
    InvoiceRejectedError,
    KsefError,
    LocalProtocolError,
    LoginFailedError,
    RateLimitedError,
    ServerError,
    TransportError,
    UnauthorizedError,
    WaitTimeoutError,
)
from .output import BusyError, Exit, UsageError

__all__ = ["InterruptedCommandError", "exit_code", "leaves", "may_pass", "run"]

_SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
# Of a login: KSeF itself failed, and may well take the same credentials a minute later.
_OWN_FAILURES: Final = (500, 550)
# By their names in the table of operations; KSeF refuses the credentials already here.
_LOGIN_CALLS: Final = ("log_in_with_token", "log_in_with_signature")
_SHOW_CURSOR: Final = "\x1b[?25h"


class InterruptedCommandError(Exception):
    """A signal has ended the command.

    Args:
        number: Of the signal.
        notes: What could not be finished, e.g. a session that KSeF did not confirm to be closed.
    """

    def __init__(self, number: int, notes: tuple[str, ...] = ()) -> None:
        super().__init__(f"Interrupted by {signal.Signals(number).name}.")
        self.code = 128 + number
        """The exit code, as shells have it: 130 for Ctrl-C, 143 for SIGTERM."""
        self.notes = notes
        """What could not be finished."""


def run(command: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run a command in an event loop of its own.

    Returns:
        Its exit code.

    Raises:
        InterruptedCommandError: A signal came before its end.
        KeyboardInterrupt: Ctrl-C came before the loop ran, or where the loop cannot take signals (Windows).
    """
    return anyio.run(_watched, command)


async def _watched(command: Callable[[], Coroutine[Any, Any, int]]) -> int:
    received: list[int] = []
    notes: list[str] = []
    with anyio.CancelScope() as scope:

        def interrupt(number: int) -> None:
            received.append(number)
            if len(received) > 1:
                _leave(number)
            scope.cancel()
            _say("Interrupted: ending what is open. Once more leaves at once.")

        with _signals_to(interrupt):
            try:
                return await command()
            except asyncio.CancelledError as error:
                notes.extend(_notes(error))
                raise
            except Exception as error:
                if not received:
                    raise
                # What was interrupted may end with an error of its own.
                notes.extend([f"{type(error).__name__}: {error}", *_notes(error)])
    raise InterruptedCommandError(received[0], tuple(notes))


@contextmanager
def _signals_to(interrupt: Callable[[int], None]) -> Iterator[None]:
    """Take the signals that are not ignored (as nohup and background jobs of scripts ignore them)."""
    if threading.current_thread() is not threading.main_thread() or sys.platform == "win32":
        yield
        return
    loop = asyncio.get_running_loop()
    taken = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    for number in taken:
        loop.add_signal_handler(number, interrupt, number)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)


def _notes(error: BaseException) -> Iterator[str]:
    """Return the notes of an error, and of those that it came from."""
    seen: set[int] = set()
    next_error: BaseException | None = error
    while next_error is not None and id(next_error) not in seen:
        seen.add(id(next_error))
        yield from getattr(next_error, "__notes__", ())
        next_error = next_error.__cause__ or next_error.__context__


def _leave(number: int) -> None:
    """End the process without waiting for anything."""
    # A progress bar hides the cursor.
    cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
    _say(f"{cursor}Left at once. A session that is open at KSeF ends by itself after 12 hours.")
    os._exit(128 + number)


def _say(text: str) -> None:
    # The terminal, or whoever read this, may be gone.
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Return the errors in a group of errors, however deep; of any other error, itself."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error


def may_pass(error: KsefError) -> bool:
    """Return whether KSeF, or the way to it, has failed for now, and the same call may go well later."""
    if isinstance(error, LoginFailedError):
        return error.code in _OWN_FAILURES
    return isinstance(error, TransportError | ServerError | RateLimitedError | WaitTimeoutError)


def exit_code(error: BaseException) -> Exit | None:
    """Return the exit code that an error means; None for one that is nobody's but a fault of this program."""
    match error:
        case UsageError():
            return Exit.USAGE
        case InvoiceRejectedError():
            return Exit.REJECTED
        case LoginFailedError():
            return Exit.FAILED if error.code in _OWN_FAILURES else Exit.USAGE
        case UnauthorizedError() | ForbiddenError() | LocalProtocolError():
            return Exit.USAGE
        case ApiError() if error.operation in _LOGIN_CALLS and error.http_status == 400:
            return Exit.USAGE
        case WaitTimeoutError():
            return Exit.UNFINISHED
        case KsefError() | OSError() | BusyError():
            return Exit.FAILED
    return None
