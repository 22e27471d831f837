"""How far limits can be overridden on TEST. Source: OpenAPI 2.9.0, SetSessionLimitsRequest; limity-api.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from ..api.limits import ContextLimits, RateLimitsOverride, SubjectLimitsOverride
from ..api.rates import PRODUCTION_LIMITS, UNLIMITED, RateLimit, RateLimits
from .wire import camel

__all__ = [
    "CONTEXT_BOUNDS",
    "RATE_FACTOR",
    "context_limit_problems",
    "override_of",
    "rate_limit_problems",
    "subject_limit_problems",
]

_SESSION: Final = {
    "max_invoice_size_mb": (0, 5),
    "max_invoice_with_attachment_size_mb": (0, 10),
    "max_invoices": (0, 100_000),
}
CONTEXT_BOUNDS: Final[Mapping[str, Mapping[str, tuple[int, int]]]] = {
    "online_session": _SESSION,
    "batch_session": _SESSION,
    "collective_identifier": {"max_invoices": (2, 5000)},
}
"""Least and most, for each value of `ContextLimits`."""
RATE_FACTOR: Final = 10
"""How many times what production grants."""


def context_limit_problems(limits: ContextLimits) -> Iterator[tuple[str, str]]:
    """Return what KSeF would refuse: the field, in KSeF's names, and the rule it breaks."""
    for part, bounds in CONTEXT_BOUNDS.items():
        given = getattr(limits, part)
        for name, (least, most) in bounds.items():
            wire_name = attrs.fields_dict(type(given))[name].metadata.get("wire_name") or camel(name)
            yield from _problem(f"{camel(part)}.{wire_name}", getattr(given, name), least, most)


def rate_limit_problems(limits: RateLimitsOverride) -> Iterator[tuple[str, str]]:
    """Return what KSeF would refuse: the field, in KSeF's names, and the rule it breaks."""
    for group in attrs.fields(RateLimitsOverride):
        granted: RateLimit = getattr(PRODUCTION_LIMITS, group.name)
        given: RateLimit = getattr(limits, group.name)
        for window in attrs.fields(RateLimit):
            path = f"rateLimits.{camel(group.name)}.{camel(window.name)}"
            yield from _problem(path, getattr(given, window.name), 1, RATE_FACTOR * getattr(granted, window.name))


def override_of(limits: RateLimits) -> RateLimitsOverride:
    """Return the groups of ``limits`` that can be overridden; in place of "no limit", the most that KSeF grants."""
    return RateLimitsOverride(
        **{
            group.name: _bounded(getattr(limits, group.name), getattr(PRODUCTION_LIMITS, group.name))
            for group in attrs.fields(RateLimitsOverride)
        }
    )


def _bounded(limit: RateLimit, production: RateLimit) -> RateLimit:
    # KSeF answers "no limit", but takes numbers from 1 on only.
    pairs = zip(attrs.astuple(limit), attrs.astuple(production), strict=True)
    return RateLimit(*(RATE_FACTOR * most if given == UNLIMITED else given for given, most in pairs))


def subject_limit_problems(limits: SubjectLimitsOverride) -> Iterator[tuple[str, str]]:
    """Return what KSeF would refuse: the field, in KSeF's names, and the rule it breaks."""
    values: dict[str, Any] = {
        "enrollment.maxEnrollments": limits.enrollment and limits.enrollment.max_enrollments,
        "certificate.maxCertificates": limits.certificate and limits.certificate.max_certificates,
    }
    for path, value in values.items():
        if value is not None and value < 0:
            yield path, f"must be greater than or equal to '0'. You entered {value}"


def _problem(path: str, value: int, least: int, most: int) -> Iterator[tuple[str, str]]:
    if not least <= value <= most:
        yield path, f"must be between {least} and {most}. You entered {value}"
