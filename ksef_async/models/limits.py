"""What KSeF grants a session and a subject; calls are in `models.rates`. Source: limity*.md."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import attrs

from .checked import Rule
from .common import SubjectType, wire_name
from .rates import RateLimit

__all__ = [
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


#: How much, or how many.
Limit: TypeAlias = Annotated[int, Rule("a number from 0 on", lambda value: 0 <= value < 2**31)]


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
    """What a session takes; KSeF's megabyte is 1,000,000 bytes."""

    max_invoice_size_mb: Limit = attrs.field(metadata=wire_name("maxInvoiceSizeInMB"))
    max_invoice_with_attachment_size_mb: Limit = attrs.field(metadata=wire_name("maxInvoiceWithAttachmentSizeInMB"))
    max_invoices: Limit


@attrs.frozen
class CollectiveIdentifierLimits:
    """What a collective identifier takes."""

    max_invoices: Limit


_ASSUMED: Final = {"assumed": "missing, so what KSeF grants to all is assumed"}
_BY_DEFAULT: Final = SessionLimits(max_invoice_size_mb=1, max_invoice_with_attachment_size_mb=3, max_invoices=10_000)


@attrs.frozen(kw_only=True)
class ContextLimits:
    """What is granted to a context; by default what KSeF grants to all."""

    online_session: SessionLimits = attrs.field(default=_BY_DEFAULT, metadata=_ASSUMED)
    batch_session: SessionLimits = attrs.field(default=_BY_DEFAULT, metadata=_ASSUMED)
    #: Not in the API before version 2.8.
    collective_identifier: CollectiveIdentifierLimits = attrs.field(
        default=CollectiveIdentifierLimits(500), metadata=_ASSUMED
    )


@attrs.frozen
class EnrollmentQuota:
    """How often a subject may apply for a certificate."""

    max_enrollments: int | None = None


@attrs.frozen
class CertificateQuota:
    """How many active certificates a subject may have."""

    max_certificates: int | None = None


@attrs.frozen(kw_only=True)
class SubjectLimits:
    """What is granted to a subject: whoever logged in, in whatever context."""

    enrollment: EnrollmentQuota | None = None
    certificate: CertificateQuota | None = None


@attrs.frozen(kw_only=True)
class SubjectLimitsOverride:
    """Overrides the limits of the subject; what is None stays as it is."""

    subject_identifier_type: SubjectType | None = None
    enrollment: EnrollmentQuota | None = None
    certificate: CertificateQuota | None = None
