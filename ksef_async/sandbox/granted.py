"""What contexts and subjects are granted by the sandbox, and what was overridden for them."""

from __future__ import annotations

from typing import Protocol

from ..models.common import Context
from ..models.limits import (
    CertificateQuota,
    CollectiveIdentifierLimits,
    ContextLimits,
    EnrollmentQuota,
    SessionLimits,
    SubjectLimits,
)

__all__ = ["Granted", "Holder"]


class Holder(Protocol):
    """Whoever is granted certificates: a `world.Subject`, by its kind and value."""

    @property
    def type(self) -> str:
        """``Nip``, ``Pesel`` or ``Fingerprint``."""
        ...


class Granted:
    """The limits that are no rate limits; those are the `RateLimiter`'s.

    Args:
        max_invoices: How many invoices a session takes.
    """

    def __init__(self, max_invoices: int) -> None:
        session = SessionLimits(max_invoice_size_mb=1, max_invoice_with_attachment_size_mb=3, max_invoices=max_invoices)
        self._default = ContextLimits(
            online_session=session, batch_session=session, collective_identifier=CollectiveIdentifierLimits(500)
        )
        self._contexts: dict[Context, ContextLimits] = {}
        self._subjects: dict[Holder, SubjectLimits] = {}

    def context(self, context: Context) -> ContextLimits:
        """What a context is granted."""
        return self._contexts.get(context, self._default)

    def override_context(self, context: Context, limits: ContextLimits) -> None:
        """Grant a context other limits."""
        self._contexts[context] = limits

    def restore_context(self, context: Context) -> None:
        """Grant a context what all others are granted."""
        self._contexts.pop(context, None)

    def subject(self, subject: Holder) -> SubjectLimits:
        """What a subject is granted: 300 applications and 100 certificates with a NIP, otherwise 12 and 6."""
        enrollments, certificates = (300, 100) if subject.type == "Nip" else (12, 6)
        default = SubjectLimits(enrollment=EnrollmentQuota(enrollments), certificate=CertificateQuota(certificates))
        return self._subjects.get(subject, default)

    def override_subject(
        self, subject: Holder, enrollment: EnrollmentQuota | None, certificate: CertificateQuota | None
    ) -> None:
        """Grant a subject other limits; None leaves one as it is."""
        limits = self.subject(subject)
        self._subjects[subject] = SubjectLimits(
            enrollment=enrollment or limits.enrollment, certificate=certificate or limits.certificate
        )

    def restore_subject(self, subject: Holder) -> None:
        """Grant a subject what all others of its kind are granted."""
        self._subjects.pop(subject, None)
