"""What a context is granted. Source: OpenAPI 2.9.0, /limits/*, /rate-limits."""

from __future__ import annotations

from http import HTTPMethod

from ..models.limits import RateLimits
from .operation import Operation, RateGroup

__all__ = [
    "GET_RATE_LIMITS",
]

GET = HTTPMethod.GET

GET_RATE_LIMITS: Operation[None, RateLimits] = Operation(
    name="get_rate_limits", method=GET, path="/rate-limits", success=200, response=RateLimits,
    rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
