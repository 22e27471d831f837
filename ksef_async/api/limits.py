"""What KSeF grants a session and a subject, and the calls about limits; rates are in `rates`. Source: limity*.md."""

from __future__ import annotations

from http import HTTPMethod
from typing import Annotated, Final, TypeAlias

import attrs

from .common import Rule, SubjectType, wire_name
from .operation import Operation, RateGroup
from .rates import RateLimit, RateLimits

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
    "CertificateQuota",
    "CollectiveIdentifierLimits",
    "ContextLimits",
    "EnrollmentQuota",
    "Limit",
    "RateLimitsOverride",
    "SessionLimits",
    "SetRateLimitsRequest",
    "SubjectLimits",
    "SubjectLimitsOverride",
]

Limit: TypeAlias = Annotated[int, Rule("a number from 0 on", lambda value: 0 <= value < 2**31)]
"""How much, or how many."""


@attrs.frozen(kw_only=True)
class RateLimitsOverride:
    """The groups of `RateLimits` that can be overridden on TEST: all but the closes and those counted by address."""

    online_session: RateLimit
    batch_session: RateLimit
    invoice_send: RateLimit
    invoice_status: RateLimit
    session_list: RateLimit
    session_invoice_list: RateLimit
    session_misc: RateLimit
    invoice_metadata: RateLimit
    invoice_export: RateLimit
    invoice_export_status: RateLimit
    invoice_download: RateLimit
    collective_identifier: RateLimit
    other: RateLimit


@attrs.frozen
class SetRateLimitsRequest:
    """Overrides the rate limits of the context."""

    rate_limits: RateLimitsOverride


@attrs.frozen(kw_only=True)
class SessionLimits:
    """The limits of a session; KSeF's megabyte is 1,000,000 bytes."""

    max_invoice_size_mb: Limit = attrs.field(metadata=wire_name("maxInvoiceSizeInMB"))
    """Size of an invoice without attachments, in MB of 1,000,000 bytes."""
    max_invoice_with_attachment_size_mb: Limit = attrs.field(metadata=wire_name("maxInvoiceWithAttachmentSizeInMB"))
    """Size of an invoice with attachments, in MB of 1,000,000 bytes."""
    max_invoices: Limit
    """Invoices in one session."""


@attrs.frozen
class CollectiveIdentifierLimits:
    """The limits of a collective identifier."""

    max_invoices: Limit


_ASSUMED: Final = {"assumed": "missing, so what KSeF grants to all is assumed"}
_BY_DEFAULT: Final = SessionLimits(max_invoice_size_mb=1, max_invoice_with_attachment_size_mb=3, max_invoices=10_000)


@attrs.frozen(kw_only=True)
class ContextLimits:
    """The limits of a context; by default those that KSeF grants to all."""

    online_session: SessionLimits = attrs.field(default=_BY_DEFAULT, metadata=_ASSUMED)
    """What one online session takes."""
    batch_session: SessionLimits = attrs.field(default=_BY_DEFAULT, metadata=_ASSUMED)
    """What one batch session takes."""
    collective_identifier: CollectiveIdentifierLimits = attrs.field(
        default=CollectiveIdentifierLimits(500), metadata=_ASSUMED
    )
    """Not in the API before version 2.8."""


@attrs.frozen
class EnrollmentQuota:
    """The number of times a subject may apply for a certificate."""

    max_enrollments: int | None = None


@attrs.frozen
class CertificateQuota:
    """The number of active certificates a subject may have."""

    max_certificates: int | None = None


@attrs.frozen(kw_only=True)
class SubjectLimits:
    """The limits of a subject: whoever logged in, in whatever context."""

    enrollment: EnrollmentQuota | None = None
    certificate: CertificateQuota | None = None


@attrs.frozen(kw_only=True)
class SubjectLimitsOverride:
    """Overrides the limits of the subject; what is None stays as it is."""

    subject_identifier_type: SubjectType | None = None
    enrollment: EnrollmentQuota | None = None
    certificate: CertificateQuota | None = None


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
