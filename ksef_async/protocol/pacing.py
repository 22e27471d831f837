"""Staying within KSeF's rate limits: a slot for each call, in order, in sliding windows.

KSeF counts calls per context and address in the last second, minute and hour, by groups of operations, all windows
at once; whoever exceeds one is locked out for as long as it likes. So the n-th call of a window may start when the
call n places before it has left the window. Source: limity-api.md; OpenAPI 2.9.0 (``x-rate-limits``).
"""

from __future__ import annotations

import copy
import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

import attrs

from ..api.operation import Operation, RateGroup
from ..api.rates import PRODUCTION_LIMITS, UNLIMITED, RateLimit, RateLimits, usable
from .wire import camel

__all__ = ["MARGIN", "UNLIMITED_RATES", "AddressBudget", "Pacer", "limits_by_group"]

MARGIN: Final = 0.25
"""Seconds added to each window: KSeF counts when calls arrive, we when they leave."""

UNLIMITED_RATES: Final = RateLimits(
    **{field.name: RateLimit(UNLIMITED, UNLIMITED, UNLIMITED) for field in attrs.fields(RateLimits)}
)
"""As many calls as one likes, in every group."""

_SECONDS: Final = (1.0, 60.0, 3600.0)


class _Queue:
    """The calls counted together: when each started, or will."""

    def __init__(self, limit: RateLimit, margin: float) -> None:
        self.limit = limit
        self.margin = margin
        self.windows = [window for window in zip(attrs.astuple(limit), _SECONDS, strict=True) if window[0] != UNLIMITED]
        # Not so many only as the largest window takes: those that wait for their turn may give it back, and what they
        # had pushed out would be missing.
        self.starts: deque[float] = deque()
        self._kept_for = max((seconds + margin for _, seconds in self.windows), default=0.0)
        self.blocked_until = -math.inf

    def earliest(self, now: float) -> float:
        starts = self.starts
        earliest = max(now, self.blocked_until)
        if starts:
            earliest = max(earliest, starts[-1])  # first come, first served
        for calls, seconds in self.windows:
            if len(starts) >= calls:
                earliest = max(earliest, starts[-calls] + seconds + self.margin)
        return earliest

    def forget(self, now: float) -> None:
        """Drop the calls that no window holds any more, but the last: others come after it."""
        while len(self.starts) > 1 and self.starts[0] + self._kept_for <= now:
            self.starts.popleft()

    def remaining(self, now: float) -> RateLimit:
        left = [
            calls if calls == UNLIMITED else calls - sum(start > now - seconds for start in self.starts)
            for calls, seconds in zip(attrs.astuple(self.limit), _SECONDS, strict=True)
        ]
        return RateLimit(*left)


class AddressBudget:
    """The rate limits of an address, whoever calls from it: share one among the pacers of many companies.

    Unlike a context's calls these are not first come, first served: one company's call in an hour holds up no other's.

    Args:
        limits: ``global`` and ``anonymous`` of them count, by the second.
        margin: Seconds added to the window.
    """

    def __init__(self, limits: RateLimits = PRODUCTION_LIMITS, *, margin: float = MARGIN) -> None:
        self._window = 1.0 + margin
        granted = limits_by_group(usable(limits))
        self._granted = {group: granted[group].per_second for group in (RateGroup.OVERALL, RateGroup.ANONYMOUS)}
        self._starts: dict[RateGroup, list[float]] = {group: [] for group in self._granted}

    def reserve(self, operation: Operation[Any, Any], now: float) -> float:
        """Return the time, not before ``now``, at which a call may start; it is taken from then on."""
        groups = self._counted(operation.rate_group)
        start = now
        while (later := max(self._free(group, start, now) for group in groups)) > start:
            start = later
        for group in groups:
            insort(self._starts[group], start)
        return start

    @staticmethod
    def _counted(group: RateGroup) -> tuple[RateGroup, ...]:
        return (RateGroup.OVERALL, group) if group is RateGroup.ANONYMOUS else (RateGroup.OVERALL,)

    def _free(self, group: RateGroup, start: float, now: float) -> float:
        calls, starts = self._granted[group], self._starts[group]
        del starts[: bisect_left(starts, now - self._window)]
        if calls == UNLIMITED:
            return start
        # No window of any kind that holds ``start`` may hold more than it should. The last that is full counts: what
        # leads out of it leads out of those before.
        near = starts[bisect_left(starts, start - self._window) : bisect_left(starts, start + self._window)]
        for first in range(len(near) - calls, -1, -1):
            if near[first + calls - 1] - near[first] < self._window and near[first] + self._window > start:
                return near[first] + self._window
        return start


class Pacer:
    """Hands out the times at which calls may start; it never waits itself, so any clock will do.

    Sends and polls never hold up what keeps sessions and logins in order: closing and refreshing have budgets of
    their own. What KSeF grants an address in all (75 calls a second) is counted only where there is an `address`:
    one context's budgets for sending and following add up to less.

    Args:
        limits: What the context is granted.
        margin: Seconds added to each window.
        address: Shared with the pacers of other contexts that call from the same address.
    """

    def __init__(
        self, limits: RateLimits = PRODUCTION_LIMITS, *, margin: float = MARGIN, address: AddressBudget | None = None
    ) -> None:
        self.address = address
        """Asked when a call is about to start: what else it had to wait for, a login for instance, is over."""
        self._granted = usable(limits)
        self._limits = limits_by_group(self._granted)
        self._margin = margin
        self._queues: dict[str, _Queue] = {}

    @classmethod
    def unlimited(cls) -> Self:
        """Return a pacer that lets every call go at once; a server's ``Retry-After`` still holds."""
        return cls(UNLIMITED_RATES)

    def reserve(self, operation: Operation[Any, Any], now: float) -> float:
        """Return the time, not before ``now``, at which a call may start; it is taken from then on."""
        queue = self._queue(_key(operation))
        queue.forget(now)
        start = queue.earliest(now)
        queue.starts.append(start)
        return start

    def starts_before(self, operation: Operation[Any, Any], now: float, until: float, *, most: int) -> int:
        """Return how many calls, up to ``most``, could start between ``now`` and ``until``; none of them is taken.

        What was called before counts, and what waits for its turn already comes first: e.g. how many invoices can still
        go online before midnight.
        """
        queue = copy.copy(self._queue(_key(operation)))
        if not queue.windows and queue.earliest(now) < until:
            return most
        queue.starts = queue.starts.copy()
        for number in range(most):
            start = queue.earliest(now)
            if start >= until:
                return number
            queue.starts.append(start)
        return most

    def release(self, operation: Operation[Any, Any], start: float) -> None:
        """Give a reserved time back: the call is not made after all."""
        queue = self._queue(_key(operation))
        if start in queue.starts:
            queue.starts.remove(start)

    def block(self, operation: Operation[Any, Any], until: float) -> None:
        """Let no call of the operation's group start before ``until``: the server said so."""
        queue = self._queue(_key(operation))
        queue.blocked_until = max(queue.blocked_until, until)

    def blocked_until(self, operation: Operation[Any, Any]) -> float:
        """Until when the server has forbidden calls of the operation's group."""
        return self._queue(_key(operation)).blocked_until

    @property
    def limits(self) -> RateLimits:
        """Return what the context is granted, as far as is known here."""
        return self._granted

    def remaining(self, group: RateGroup, now: float) -> RateLimit:
        """Return how many more calls fit into each window ending ``now``; -1 for any number.

        For ``other``, where each operation is counted on its own, the least of them.
        """
        queues = [queue for key, queue in self._queues.items() if key.partition(":")[0] == group]
        if not queues:
            return self._limits[group]
        left = zip(*(attrs.astuple(queue.remaining(now)) for queue in queues), strict=True)
        return RateLimit(*(min(window) for window in left))

    def history(self, now: float) -> dict[str, list[float]]:
        """Return how long ago (seconds) the calls of each group started, as far as they still count; for `remember`."""
        horizon = _SECONDS[-1] + self._margin
        ages = {key: [now - start for start in queue.starts] for key, queue in self._queues.items()}
        return {key: kept for key, each in ages.items() if (kept := [age for age in each if age < horizon])}

    def remember(self, history: Mapping[str, Iterable[float]], now: float) -> None:
        """Count calls that another pacer for the same context has made: its `history`, as old as it is ``now``."""
        for key, ages in history.items():
            queue = self._queue(key)
            starts = sorted([*queue.starts, *(now - age for age in ages)])
            queue.starts.clear()
            queue.starts.extend(starts)

    def adopt(self, limits: RateLimits) -> None:
        """Replace the limits by those KSeF grants this context; what was counted so far stays counted.

        A group whose numbers can be no limit, such as 0, is paced by what production grants.
        """
        self._granted = usable(limits)
        self._limits = limits_by_group(self._granted)
        for key, queue in self._queues.items():
            renewed = self._queues[key] = self._new_queue(key)
            renewed.starts.extend(queue.starts)
            renewed.blocked_until = queue.blocked_until

    def _queue(self, key: str) -> _Queue:
        if key not in self._queues:
            self._queues[key] = self._new_queue(key)
        return self._queues[key]

    def _new_queue(self, key: str) -> _Queue:
        return _Queue(self._limits[RateGroup(key.partition(":")[0])], self._margin)


def _key(operation: Operation[Any, Any]) -> str:
    group = operation.rate_group
    return f"{group.value}:{operation.name}" if group is RateGroup.OTHER else group.value


def limits_by_group(limits: RateLimits) -> dict[RateGroup, RateLimit]:
    """Return what is granted to each group."""
    fields = attrs.fields(RateLimits)
    return {RateGroup(f.metadata.get("wire_name") or camel(f.name)): getattr(limits, f.name) for f in fields}
