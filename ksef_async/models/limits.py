"""What KSeF grants: calls to a context, invoices to a session, certificates to a subject. Source: limity*.md."""

from __future__ import annotations

from typing import Final

import attrs

from .common import SubjectType, wire_name

__all__ = [
    "PRODUCTION_LIMITS",
    "UNLIMITED",
    "CertificateQuota",
    "CollectiveIdentifierLimits",
    "ContextLimits",
    "EnrollmentQuota",
    "RateLimit",
    "RateLimits",
    "RateLimitsOverride",
    "SessionLimits",
    "SetRateLimitsRequest",
    "SubjectLimits",
    "SubjectLimitsOverride",
]

#: In place of a number: any number of calls.
UNLIMITED: Final = -1


@attrs.frozen
class RateLimit:
    """How many calls fit in each window, which ends now and is not aligned to the clock; -1 for any number."""

    per_second: int
    per_minute: int
    per_hour: int


@attrs.frozen(kw_only=True)
class RateLimits:
    """What a context is granted from one address, by groups of operations."""

    online_session: RateLimit
    online_session_close: RateLimit
    batch_session: RateLimit
    batch_session_close: RateLimit
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
    anonymous: RateLimit
    #: Every call, of whatever group, from one address ("global" at KSeF).
    overall: RateLimit = attrs.field(metadata=wire_name("global"))


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

    @classmethod
    def of(cls, limits: RateLimits) -> RateLimitsOverride:
        """Those of ``limits`` that can be overridden."""
        return cls(**{field.name: getattr(limits, field.name) for field in attrs.fields(cls)})


@attrs.frozen
class SetRateLimitsRequest:
    """Overrides the rate limits of the context."""

    rate_limits: RateLimitsOverride


@attrs.frozen(kw_only=True)
class SessionLimits:
    """What a session takes; KSeF's megabyte is 1,000,000 bytes."""

    max_invoice_size_mb: int = attrs.field(metadata=wire_name("maxInvoiceSizeInMB"))
    max_invoice_with_attachment_size_mb: int = attrs.field(metadata=wire_name("maxInvoiceWithAttachmentSizeInMB"))
    max_invoices: int


@attrs.frozen
class CollectiveIdentifierLimits:
    """What a collective identifier takes."""

    max_invoices: int


@attrs.frozen(kw_only=True)
class ContextLimits:
    """What is granted to a context."""

    online_session: SessionLimits
    batch_session: SessionLimits
    collective_identifier: CollectiveIdentifierLimits


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


#: What production grants, and TEST since version 2.5, unless a context was granted more.
PRODUCTION_LIMITS: Final = RateLimits(
    online_session=RateLimit(10, 30, 120),
    online_session_close=RateLimit(20, 60, 240),
    batch_session=RateLimit(10, 20, 60),
    batch_session_close=RateLimit(20, 40, 120),
    invoice_send=RateLimit(10, 30, 180),
    invoice_status=RateLimit(30, 120, 1200),
    session_list=RateLimit(5, 10, 60),
    session_invoice_list=RateLimit(10, 20, 200),
    session_misc=RateLimit(10, 120, 1200),
    invoice_metadata=RateLimit(8, 16, 20),
    invoice_export=RateLimit(8, 16, 20),
    invoice_export_status=RateLimit(10, 60, 600),
    invoice_download=RateLimit(8, 16, 64),
    collective_identifier=RateLimit(20, 120, 240),
    other=RateLimit(10, 30, 120),
    anonymous=RateLimit(60, UNLIMITED, UNLIMITED),
    overall=RateLimit(75, UNLIMITED, UNLIMITED),
)
