"""The beginning of the process: loads next to nothing, so that Ctrl-C finds a handler as early as can be."""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["program"]


def program() -> int:
    """Run one command as a process of its own; see `app.run_process`.

    Returns:
        The exit code.
    """
    # Nothing has begun yet that would have to end in order, and a traceback of imports helps nobody.
    is_taken = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_taken:
        signal.signal(signal.SIGINT, _leave)
    from .app import run_process

    if is_taken:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return run_process()
    except KeyboardInterrupt:
        return 130


def _leave(number: int, _: object) -> None:
    sys.stderr.write("Interrupted.\n")
    os._exit(128 + number)
