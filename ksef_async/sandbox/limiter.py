"""KSeF's rate limiter: sliding windows, and a block that grows with every repeat. Source: limity-api.md."""

from __future__ import annotations

import math
from collections import deque
from datetime import datetime
from typing import Any, Final

import attrs

from ..models.common import Context
from ..models.limits import UNLIMITED, RateLimit, RateLimits
from ..operations import Operation, RateGroup
from ..protocol.pacing import limits_by_group
from .refusals import TooManyRequests

__all__ = ["RateLimiter"]

_WINDOWS: Final = ((1.0, "sekundę"), (60.0, "minutę"), (3600.0, "godzinę"))


@attrs.define
class _Budget:
    """The calls of one group, from one address, on behalf of one context."""

    limit: RateLimit
    calls: deque[float] = attrs.field(factory=deque)
    blocked_until: float = 0.0
    #: How often it was exceeded in the last hour.
    offences: int = 0

    def count(self, now: float) -> None:
        while self.calls and self.calls[0] <= now - _WINDOWS[-1][0]:
            self.calls.popleft()
        if not self.calls:
            self.offences = 0
        # Refused calls count as well [INF].
        self.calls.append(now)
        for allowed, (seconds, name) in zip(attrs.astuple(self.limit), _WINDOWS, strict=True):
            if allowed != UNLIMITED and sum(call > now - seconds for call in self.calls) > allowed:
                if now >= self.blocked_until:
                    free_in = self.calls[-allowed - 1] + seconds - now
                    # The first block lasts until there is room again, each further one twice as long [INF].
                    self.blocked_until = now + free_in * 2**self.offences
                    self.offences += 1
                raise TooManyRequests(allowed, name, math.ceil(self.blocked_until - now))
        if now < self.blocked_until:
            raise TooManyRequests(len(self.calls), "godzinę", math.ceil(self.blocked_until - now))


class RateLimiter:
    """Counts calls by context and address.

    Args:
        limits: How many are granted.
    """

    def __init__(self, limits: RateLimits) -> None:
        self._limits = limits_by_group(limits)
        self._budgets: dict[tuple[object, ...], _Budget] = {}

    def count(self, operation: Operation[Any, Any], context: Context | None, address: str, now: datetime) -> None:
        """Count one call.

        Raises:
            TooManyRequests: It is one too many.
        """
        group = operation.rate_group
        own = (group, operation.name) if group is RateGroup.OTHER else (group,)
        whose = (address,) if group is RateGroup.ANONYMOUS else (address, context)
        for counted, key in ((RateGroup.OVERALL, (RateGroup.OVERALL, address)), (group, (*own, *whose))):
            if key not in self._budgets:
                self._budgets[key] = _Budget(self._limits[counted])
            self._budgets[key].count(now.timestamp())
