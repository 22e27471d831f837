"""Staying within KSeF's rate limits: a slot for each call, in order, in sliding windows.

KSeF counts calls per context and address in the last second, minute and hour, by groups of operations, all windows
at once; whoever exceeds one is locked out for as long as it likes. So the n-th call of a window may start when the
call n places before it has left the window. Source: limity-api.md; OpenAPI 2.9.0 (``x-rate-limits``).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

import attrs

from ..operations import Operation, RateGroup

__all__ = ["DEFAULT_LIMITS", "MARGIN", "UNLIMITED", "Pacer", "RateLimit"]

#: Seconds added to each window: KSeF counts when calls arrive, we when they leave.
MARGIN: Final = 0.25

UNLIMITED: Final = -1


@attrs.frozen
class RateLimit:
    """How many calls fit in each window; -1 for any number."""

    per_second: int = UNLIMITED
    per_minute: int = UNLIMITED
    per_hour: int = UNLIMITED

    @property
    def windows(self) -> Iterator[tuple[int, float]]:
        """The limited windows: how many calls, and how long in seconds."""
        for calls, seconds in ((self.per_second, 1.0), (self.per_minute, 60.0), (self.per_hour, 3600.0)):
            if calls != UNLIMITED:
                yield calls, seconds


#: What production grants (and TEST since version 2.5) unless a context was granted more.
DEFAULT_LIMITS: Final[Mapping[RateGroup, RateLimit]] = {
    RateGroup.ONLINE_SESSION: RateLimit(10, 30, 120),
    RateGroup.ONLINE_SESSION_CLOSE: RateLimit(20, 60, 240),
    RateGroup.INVOICE_SEND: RateLimit(10, 30, 180),
    RateGroup.INVOICE_STATUS: RateLimit(30, 120, 1200),
    RateGroup.SESSION_LIST: RateLimit(5, 10, 60),
    RateGroup.SESSION_INVOICE_LIST: RateLimit(10, 20, 200),
    RateGroup.SESSION_MISC: RateLimit(10, 120, 1200),
    RateGroup.OTHER: RateLimit(10, 30, 120),
    RateGroup.ANONYMOUS: RateLimit(60),
}


class _Queue:
    """The calls counted together: when each started, or will."""

    def __init__(self, limit: RateLimit, margin: float) -> None:
        self.limit = limit
        self.margin = margin
        self.starts: deque[float] = deque(maxlen=max((calls for calls, _ in limit.windows), default=1))
        self.blocked_until = -math.inf

    def earliest(self, now: float) -> float:
        starts = self.starts
        earliest = max(now, self.blocked_until)
        if starts:
            earliest = max(earliest, starts[-1])  # first come, first served
        for calls, seconds in self.limit.windows:
            if len(starts) >= calls:
                earliest = max(earliest, starts[-calls] + seconds + self.margin)
        return earliest

    def remaining(self, now: float) -> RateLimit:
        left = [
            calls if calls == UNLIMITED else calls - sum(start > now - seconds for start in self.starts)
            for calls, seconds in zip(attrs.astuple(self.limit), (1.0, 60.0, 3600.0), strict=True)
        ]
        return RateLimit(*left)


class Pacer:
    """Hands out the times at which calls may start; it never waits itself, so any clock will do.

    Args:
        limits: Calls per window for each group; a group that is missing is not limited.
        margin: Seconds added to each window.
    """

    def __init__(self, limits: Mapping[RateGroup, RateLimit] = DEFAULT_LIMITS, *, margin: float = MARGIN) -> None:
        self._limits = dict(limits)
        self._margin = margin
        self._queues: dict[str, _Queue] = {}

    @classmethod
    def unlimited(cls) -> Self:
        """A pacer that lets every call go at once; a server's ``Retry-After`` still holds."""
        return cls({})

    def reserve(self, operation: Operation[Any, Any], now: float) -> float:
        """The time, not before ``now``, at which a call may start; it is taken from then on."""
        queue = self._queue(operation)
        start = queue.earliest(now)
        queue.starts.append(start)
        return start

    def release(self, operation: Operation[Any, Any], start: float) -> None:
        """Give a reserved time back: the call is not made after all."""
        queue = self._queue(operation)
        if start in queue.starts:
            queue.starts.remove(start)

    def block(self, operation: Operation[Any, Any], until: float) -> None:
        """Let no call of the operation's group start before ``until``: the server said so."""
        queue = self._queue(operation)
        queue.blocked_until = max(queue.blocked_until, until)

    def blocked_until(self, operation: Operation[Any, Any]) -> float:
        """Until when the server has forbidden calls of the operation's group."""
        return self._queue(operation).blocked_until

    def remaining(self, group: RateGroup, now: float) -> RateLimit:
        """How many more calls fit into each window ending ``now``; -1 for any number.

        For ``other``, where each operation is counted on its own, the least of them.
        """
        queues = [queue for key, queue in self._queues.items() if key.partition(":")[0] == group]
        if not queues:
            return self._limits.get(group, RateLimit())
        left = zip(*(attrs.astuple(queue.remaining(now)) for queue in queues), strict=True)
        return RateLimit(*(min(window) for window in left))

    def adopt(self, limits: Mapping[RateGroup, RateLimit]) -> None:
        """Replace the limits by those KSeF grants this context; what was counted so far stays counted."""
        self._limits = dict(limits)
        for key, queue in self._queues.items():
            renewed = self._queues[key] = _Queue(self._limit_of(key), self._margin)
            renewed.starts.extend(queue.starts)
            renewed.blocked_until = queue.blocked_until

    def _queue(self, operation: Operation[Any, Any]) -> _Queue:
        group = operation.rate_group
        key = f"{group}:{operation.name}" if group is RateGroup.OTHER else group.value
        if key not in self._queues:
            self._queues[key] = _Queue(self._limit_of(key), self._margin)
        return self._queues[key]

    def _limit_of(self, key: str) -> RateLimit:
        return self._limits.get(RateGroup(key.partition(":")[0]), RateLimit())
