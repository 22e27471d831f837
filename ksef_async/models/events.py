"""What a hook is told: enough to hang metrics or traces on, and nothing secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs

from ..errors import KsefError

__all__ = [
    "Event",
    "Hook",
    "RequestAnswered",
    "RequestFailed",
    "RequestPaced",
    "RequestRetried",
    "RequestSent",
    "SessionChanged",
    "SystemWarning",
]


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
    RequestPaced | RequestSent | RequestAnswered | RequestFailed | RequestRetried | SystemWarning | SessionChanged
)

#: Called on the event loop with each event, so it must be quick; what it raises is logged and goes no further.
Hook: TypeAlias = Callable[[Event], None]
