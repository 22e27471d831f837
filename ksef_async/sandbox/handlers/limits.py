"""What the context is granted. Source: limity-api.md."""

from __future__ import annotations

from ...models.limits import RateLimits
from ..router import Call

__all__ = ["get_rate_limits"]


async def get_rate_limits(call: Call) -> RateLimits:
    """GET /rate-limits."""
    return call.world.rate_limits
