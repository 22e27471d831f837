"""What is granted, and how it is changed on TEST. Source: limity.md, limity-api.md."""

from __future__ import annotations

import attrs

from ...api.limits import ContextLimits, RateLimitsOverride, SetRateLimitsRequest, SubjectLimits, SubjectLimitsOverride
from ...api.rates import PRODUCTION_LIMITS, RateLimits
from ...protocol.limits import context_limit_problems, rate_limit_problems, subject_limit_problems
from ..refusals import InvalidInput
from ..router import Call
from ..world import Subject

__all__ = [
    "get_context_limits",
    "get_rate_limits",
    "get_subject_limits",
    "override_context_limits",
    "override_rate_limits",
    "override_subject_limits",
    "restore_context_limits",
    "restore_rate_limits",
    "restore_subject_limits",
    "use_production_rate_limits",
]


async def get_context_limits(call: Call) -> ContextLimits:
    """GET /limits/context."""
    return call.world.granted.context(call.caller.context)


async def get_subject_limits(call: Call) -> SubjectLimits:
    """GET /limits/subject."""
    return call.world.granted.subject(_subject(call))


async def get_rate_limits(call: Call) -> RateLimits:
    """GET /rate-limits."""
    return call.world.limiter.granted_to(call.caller.context)


async def override_context_limits(call: Call) -> None:
    """POST /testdata/limits/context/session."""
    limits: ContextLimits = call.body
    _refuse(*context_limit_problems(limits))
    call.world.granted.override_context(call.caller.context, limits)


async def restore_context_limits(call: Call) -> None:
    """DELETE /testdata/limits/context/session."""
    call.world.granted.restore_context(call.caller.context)


async def override_subject_limits(call: Call) -> None:
    """POST /testdata/limits/subject/certificate."""
    limits: SubjectLimitsOverride = call.body
    subject = _subject(call)
    _refuse(*subject_limit_problems(limits))
    if limits.subject_identifier_type not in (None, subject.type):
        # [INF]: the limits are those of the current subject, so no other kind of it can be meant.
        _refuse(("subjectIdentifierType", f"must be {subject.type}"))
    enrollment, certificate = limits.enrollment, limits.certificate
    call.world.granted.override_subject(
        subject,
        enrollment if enrollment and enrollment.max_enrollments is not None else None,
        certificate if certificate and certificate.max_certificates is not None else None,
    )


async def restore_subject_limits(call: Call) -> None:
    """DELETE /testdata/limits/subject/certificate."""
    call.world.granted.restore_subject(_subject(call))


async def override_rate_limits(call: Call) -> None:
    """POST /testdata/rate-limits; counts go on."""
    request: SetRateLimitsRequest = call.body
    _refuse(*rate_limit_problems(request.rate_limits))
    context = call.caller.context
    # Whether the closes follow is not known; here they stay [INF].
    changed = {group.name: getattr(request.rate_limits, group.name) for group in attrs.fields(RateLimitsOverride)}
    call.world.limiter.override(context, attrs.evolve(call.world.limiter.granted_to(context), **changed))


async def restore_rate_limits(call: Call) -> None:
    """DELETE /testdata/rate-limits."""
    call.world.limiter.override(call.caller.context, None)


async def use_production_rate_limits(call: Call) -> None:
    """POST /testdata/rate-limits/production."""
    call.world.limiter.override(call.caller.context, PRODUCTION_LIMITS)


def _subject(call: Call) -> Subject:
    return call.caller.subject or Subject("Nip", call.caller.context.value)


def _refuse(*problems: tuple[str, str]) -> None:
    if problems:
        raise InvalidInput(*(f"'{field}' {rule}." for field, rule in problems))
