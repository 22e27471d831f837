"""What a context and a subject are granted, and how that is changed on TEST.

Source: OpenAPI 2.9.0, /limits/*, /rate-limits, /testdata/limits/*, /testdata/rate-limits.
"""

from __future__ import annotations

from http import HTTPMethod

from ..models.limits import ContextLimits, SetRateLimitsRequest, SubjectLimits, SubjectLimitsOverride
from ..models.rates import RateLimits
from .operation import Operation, RateGroup

__all__ = [
    "GET_CONTEXT_LIMITS",
    "GET_RATE_LIMITS",
    "GET_SUBJECT_LIMITS",
    "OVERRIDE_CONTEXT_LIMITS",
    "OVERRIDE_RATE_LIMITS",
    "OVERRIDE_SUBJECT_LIMITS",
    "RESTORE_CONTEXT_LIMITS",
    "RESTORE_RATE_LIMITS",
    "RESTORE_SUBJECT_LIMITS",
    "USE_PRODUCTION_RATE_LIMITS",
]

GET, POST, DELETE = HTTPMethod.GET, HTTPMethod.POST, HTTPMethod.DELETE

GET_CONTEXT_LIMITS: Operation[None, ContextLimits] = Operation(
    name="get_context_limits", method=GET, path="/limits/context", success=200, response=ContextLimits,
    rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
GET_SUBJECT_LIMITS: Operation[None, SubjectLimits] = Operation(
    name="get_subject_limits", method=GET, path="/limits/subject", success=200, response=SubjectLimits,
    rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
GET_RATE_LIMITS: Operation[None, RateLimits] = Operation(
    name="get_rate_limits", method=GET, path="/rate-limits", success=200, response=RateLimits,
    rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip

# --- TEST only -------------------------------------------------------------------------------------------

OVERRIDE_CONTEXT_LIMITS: Operation[ContextLimits, None] = Operation(
    name="override_context_limits", method=POST, path="/testdata/limits/context/session", success=200,
    request=ContextLimits, rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
RESTORE_CONTEXT_LIMITS: Operation[None, None] = Operation(
    name="restore_context_limits", method=DELETE, path="/testdata/limits/context/session", success=200,
    rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
OVERRIDE_SUBJECT_LIMITS: Operation[SubjectLimitsOverride, None] = Operation(
    name="override_subject_limits", method=POST, path="/testdata/limits/subject/certificate", success=200,
    request=SubjectLimitsOverride, rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
RESTORE_SUBJECT_LIMITS: Operation[None, None] = Operation(
    name="restore_subject_limits", method=DELETE, path="/testdata/limits/subject/certificate", success=200,
    rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
OVERRIDE_RATE_LIMITS: Operation[SetRateLimitsRequest, None] = Operation(
    name="override_rate_limits", method=POST, path="/testdata/rate-limits", success=200,
    request=SetRateLimitsRequest, rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
RESTORE_RATE_LIMITS: Operation[None, None] = Operation(
    name="restore_rate_limits", method=DELETE, path="/testdata/rate-limits", success=200,
    rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
USE_PRODUCTION_RATE_LIMITS: Operation[None, None] = Operation(
    name="use_production_rate_limits", method=POST, path="/testdata/rate-limits/production", success=200,
    rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
