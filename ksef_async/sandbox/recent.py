"""What the sandbox keeps for its page only, and only for a while: requests."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Final

import attrs

__all__ = ["Recent", "SeenRequest"]

_REQUESTS: Final = 200


@attrs.frozen(kw_only=True)
class SeenRequest:
    """A request that was answered; its path is without the query, which can hold a signature."""

    number: int
    at: datetime
    #: Name of the operation; ``storage`` for a signed link.
    operation: str
    method: str
    path: str
    #: 0 where the connection was dropped on purpose.
    status: int
    seconds: float
    #: What went wrong on purpose; None for nothing.
    fault: str | None = None
    #: KSeF's words where it refused.
    refusal: str | None = None


class Recent:
    """The last requests; the oldest make room."""

    def __init__(self) -> None:
        self.requests: deque[SeenRequest] = deque(maxlen=_REQUESTS)
        #: How many there ever were.
        self.request_count = 0

    def saw(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        at: datetime,
        status: int,
        seconds: float,
        fault: str | None = None,
        refusal: str | None = None,
    ) -> None:
        """Remember a request."""
        self.request_count += 1
        seen = SeenRequest(
            number=self.request_count,
            at=at,
            operation=operation,
            method=method,
            path=path,
            status=status,
            seconds=seconds,
            fault=fault,
            refusal=refusal,
        )
        self.requests.append(seen)
