"""What a hook is told: enough to hang metrics or traces on, and nothing secret."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import attrs

from ..errors import KsefError

__all__ = [
    "AnswerIncomplete",
    "Event",
    "ExportReplaced",
    "Hook",
    "LimitsUnknown",
    "RequestAnswered",
    "RequestFailed",
    "RequestPaced",
    "RequestRetried",
    "RequestSent",
    "SessionChanged",
    "SystemWarning",
    "log_level",
]

_MOST_PARTS: Final = 20
#: Seconds from which on a pause is told at level INFO.
_LONG_PAUSE: Final = 5.0


@attrs.frozen(kw_only=True)
class RequestPaced:
    """A request waits, so that KSeF's rate limits hold."""

    #: Name of the operation, e.g. ``"send_invoice"``.
    operation: str
    #: Seconds.
    delay: float


@attrs.frozen(kw_only=True)
class RequestSent:
    """A request is on its way."""

    operation: str
    #: From 1; higher for repeats.
    attempt: int


@attrs.frozen(kw_only=True)
class RequestAnswered:
    """A complete answer came, good or bad."""

    operation: str
    attempt: int
    http_status: int
    #: From sending until the last byte of the answer.
    seconds: float


@attrs.frozen(kw_only=True)
class AnswerIncomplete:
    """A part of an answer could not be read; it was left out, and the rest was taken.

    A row of a list is left out as a whole. A limit that KSeF does not tell, or not in a usable way, is taken to be
    the one that its documentation tells.
    """

    operation: str
    #: Where, in KSeF's own names, and what was expected there: ``"$.invoices[3].referenceNumber: expected a string"``.
    #: At most 20, and never what stands there.
    parts: tuple[str, ...]
    #: How many there are in all.
    count: int
    #: True when nothing is wrong: all of it are limits that KSeF does not tell, as older versions do not.
    is_assumed: bool = False

    @classmethod
    def of(cls, operation: str, unread: Sequence[tuple[str, str]], *, is_assumed: bool = False) -> AnswerIncomplete:
        """Return the event that tells of each path and what was expected there."""
        parts = tuple(f"{path}: {reason}" for path, reason in unread[:_MOST_PARTS])
        return cls(operation=operation, parts=parts, count=len(unread), is_assumed=is_assumed)


@attrs.frozen(kw_only=True)
class LimitsUnknown:
    """KSeF could not be asked what it grants: calls are paced by the limits there are, production's unless told."""

    error: KsefError


@attrs.frozen(kw_only=True)
class RequestFailed:
    """No complete answer came."""

    operation: str
    attempt: int
    error: KsefError
    seconds: float


@attrs.frozen(kw_only=True)
class RequestRetried:
    """A request will be repeated."""

    operation: str
    #: The one that failed.
    attempt: int
    error: KsefError
    #: Seconds until the next.
    delay: float


@attrs.frozen(kw_only=True)
class ExportReplaced:
    """An export hangs, failed or is damaged; it is given up, and another one will be begun."""

    #: None when it was not even begun.
    reference_number: str | None
    #: How many in a row, from 1.
    attempt: int
    #: Why.
    error: KsefError
    #: Seconds until the next.
    delay: float


@attrs.frozen(kw_only=True)
class SystemWarning:
    """KSeF warns of something (``X-System-Warning``), although it did what was asked."""

    operation: str
    text: str


@attrs.frozen(kw_only=True)
class SessionChanged:
    """A session was seen in a new state."""

    reference_number: str
    #: None for the first state seen.
    previous: int | None
    current: int


Event: TypeAlias = (
    RequestPaced
    | RequestSent
    | RequestAnswered
    | AnswerIncomplete
    | LimitsUnknown
    | RequestFailed
    | RequestRetried
    | SystemWarning
    | SessionChanged
    | ExportReplaced
)

#: Called on the event loop with each event, so it must be quick; what it raises is logged and goes no further.
Hook: TypeAlias = Callable[[Event], None]


_OF_EVERY_CALL: Final = frozenset((RequestSent, RequestAnswered))


def log_level(event: Event) -> int:
    """Return the level of an event in the log: what stands still for long looks like a fault, so it is told."""
    if type(event) in _OF_EVERY_CALL:
        return logging.DEBUG
    if isinstance(event, AnswerIncomplete):
        return logging.INFO if event.is_assumed else logging.WARNING
    if isinstance(event, ExportReplaced | LimitsUnknown | SystemWarning):
        return logging.WARNING
    is_long = isinstance(event, RequestPaced | RequestRetried) and event.delay >= _LONG_PAUSE
    return logging.INFO if is_long else logging.DEBUG
