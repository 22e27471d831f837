"""KSeF's rate limiter: sliding windows, and a block that grows with every repeat. Source: limity-api.md."""

from __future__ import annotations

import math
from collections import deque
from datetime import datetime
from typing import Any, Final

import attrs

from ..api.common import Context
from ..api.operation import Operation, RateGroup
from ..api.rates import UNLIMITED, RateLimit, RateLimits
from ..protocol.pacing import limits_by_group
from .refusals import TooManyRequests
from .versions import NEWEST, ApiVersion

__all__ = ["RateLimiter"]

_WINDOWS: Final = ((1.0, "sekundę"), (60.0, "minutę"), (3600.0, "godzinę"))


@attrs.define
class _Budget:
    """The calls of one group, from one address, on behalf of one context."""

    limit: RateLimit
    calls: deque[float] = attrs.field(factory=deque)
    blocked_until: float = 0.0
    offences: int = 0
    """The number of excesses in the last hour."""

    def count(self, now: float) -> None:
        while self.calls and self.calls[0] <= now - _WINDOWS[-1][0]:
            self.calls.popleft()
        if not self.calls:
            self.offences = 0
        # Refused calls count as well [INF].
        self.calls.append(now)
        for allowed, (seconds, name) in zip(attrs.astuple(self.limit), _WINDOWS, strict=True):
            if allowed == UNLIMITED or len(self.calls) <= allowed:
                continue
            # Calls are in order: this one is too many when the one ``allowed`` places before it is in the window.
            if (first := self.calls[-allowed - 1]) > now - seconds:
                if now >= self.blocked_until:
                    free_in = first + seconds - now
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
        version: Of the API, whose groups calls are counted in.
    """

    def __init__(self, limits: RateLimits, version: ApiVersion = NEWEST) -> None:
        self._version = version
        self._default = limits
        self._overridden: dict[Context, RateLimits] = {}
        self._limits: dict[Context | None, dict[RateGroup, RateLimit]] = {None: limits_by_group(limits)}
        self._budgets: dict[tuple[object, ...], _Budget] = {}

    def granted_to(self, context: Context) -> RateLimits:
        """Return the limits of a context."""
        return self._overridden.get(context, self._default)

    def override(self, context: Context, limits: RateLimits | None) -> None:
        """Give a context limits of its own; None gives it the default ones again.

        What was counted stays counted, but no block outlives the limit it was for [INF].
        """
        if limits is None:
            self._overridden.pop(context, None)
            self._limits.pop(context, None)
        else:
            self._overridden[context] = limits
            # What is counted by address does not know contexts.
            by_address = (RateGroup.ANONYMOUS, RateGroup.OVERALL)
            self._limits[context] = limits_by_group(limits) | {group: self._limits[None][group] for group in by_address}
        granted = self._limits.get(context, self._limits[None])
        for key, budget in self._budgets.items():
            if key[-1] == context:
                budget.limit = granted[RateGroup(str(key[0]))]
                budget.blocked_until, budget.offences = 0.0, 0

    def count(self, operation: Operation[Any, Any], context: Context | None, address: str, now: datetime) -> None:
        """Count one call against the limits.

        Raises:
            TooManyRequests: It is one too many.
        """
        group = self._version.rate_group(operation.rate_group)
        own = (group, operation.name) if group is RateGroup.OTHER else (group,)
        whose = (address,) if group is RateGroup.ANONYMOUS else (address, context)
        limits = self._limits.get(context, self._limits[None])
        overall = self._version.rate_group(RateGroup.OVERALL)
        for counted, key in ((overall, (overall, address)), (group, (*own, *whose))):
            if counted is None:
                continue
            if key not in self._budgets:
                self._budgets[key] = _Budget(limits[counted])
            self._budgets[key].count(now.timestamp())
