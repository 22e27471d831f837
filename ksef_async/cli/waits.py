"""A line on standard error for whatever keeps a command waiting for some seconds, and for a login that ends soon."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ..calling.events import CredentialsEnding, RequestPaced, RequestRetried
from ..errors import RateLimitedError

__all__ = ["waits_told"]

_LOGGERS: Final = ("ksef_async.calling.waiting", "ksef_async.calling.caller")


@contextmanager
def waits_told() -> Iterator[None]:
    """Print what is waited for in the block, whatever the level of other logging is."""
    handler = _Waits(logging.INFO)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        if not logger.isEnabledFor(logging.INFO):
            logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)


class _Waits(logging.Handler):
    """Prints the records that tell of waits and of the login's end, and no others."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        # Many calls may wait for one limit: until when each operation's wait was told.
        self._told_until: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, if it tells of a wait that was not told yet."""
        event = getattr(record, "ksef_event", None)
        if hasattr(record, "ksef_wait") or isinstance(event, CredentialsEnding):
            print(record.getMessage(), file=sys.stderr)
        elif isinstance(event, RequestPaced | RequestRetried):
            now = time.monotonic()
            if now < self._told_until.get(event.operation, 0.0):
                return
            self._told_until[event.operation] = now + event.delay
            print(_sentence(event), file=sys.stderr)


def _sentence(event: RequestPaced | RequestRetried) -> str:
    if isinstance(event, RequestRetried) and not isinstance(event.error, RateLimitedError):
        reason = f"{event.operation} failed ({type(event.error).__name__})"
        return f"{reason}; trying again in {event.delay:.0f} s."
    return f"Waiting {event.delay:.0f} s for KSeF's limits ({event.operation})."
