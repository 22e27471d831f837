"""KSeF certificates: limits, applications, what was issued. Source: OpenAPI 2.9.0; certyfikaty-KSeF.md."""

from __future__ import annotations

from datetime import datetime
from http import HTTPMethod

import attrs

from .common import Identifier, OpenStrEnum, StatusInfo, SubjectIdentifier, items, text, wire_name
from .operation import Operation, RateGroup

__all__ = [
    "ENROLL_CERTIFICATE",
    "GET_CERTIFICATE_LIMITS",
    "GET_ENROLLMENT",
    "GET_ENROLLMENT_DATA",
    "LIST_CERTIFICATES",
    "RETRIEVE_CERTIFICATES",
    "REVOKE_CERTIFICATE",
    "SET_CERTIFICATE_VALIDITY",
    "CertificateFilter",
    "CertificateLimit",
    "CertificateLimits",
    "CertificatePage",
    "CertificateRow",
    "CertificateStatus",
    "CertificateType",
    "Enrollment",
    "EnrollmentData",
    "EnrollmentRequest",
    "EnrollmentStarted",
    "RetrieveRequest",
    "RetrievedCertificate",
    "RetrievedCertificates",
    "RevocationReason",
    "RevokeRequest",
    "UpdateCertificateRequest",
]

_SERIAL_NUMBER = "[0-9A-F]{16}"


class CertificateType(OpenStrEnum):
    """The purpose of a KSeF certificate."""

    AUTHENTICATION = "Authentication"
    """Logging in."""
    OFFLINE = "Offline"
    """Vouching for invoices issued in an offline mode."""


class CertificateStatus(OpenStrEnum):
    """The status of a KSeF certificate; only an active one can be used."""

    ACTIVE = "Active"
    """It can be used."""
    BLOCKED = "Blocked"
    """Being revoked."""
    REVOKED = "Revoked"
    """It was revoked, and can be used no more."""
    EXPIRED = "Expired"
    """Its time is over."""


class RevocationReason(OpenStrEnum):
    """Why a certificate is revoked."""

    UNSPECIFIED = "Unspecified"
    """No reason is given."""
    SUPERSEDED = "Superseded"
    """Another certificate took its place."""
    KEY_COMPROMISE = "KeyCompromise"
    """Others know the private key, or may know it."""


@attrs.frozen
class CertificateLimit:
    """The most there may be, and how many more."""

    remaining: int | None = None
    limit: int | None = None


@attrs.frozen(kw_only=True)
class CertificateLimits:
    """The applications and certificates that are left to whoever logged in."""

    can_request: bool | None = None
    """Whether an application would be taken now."""
    enrollment: CertificateLimit = CertificateLimit()
    """Applications."""
    certificate: CertificateLimit = CertificateLimit()
    """Active certificates."""


@attrs.frozen(kw_only=True)
class EnrollmentData:
    """The subject that a request for a certificate must have, exactly."""

    common_name: str
    country_name: str | None = None
    """ISO 3166."""
    given_name: str | None = None
    surname: str | None = None
    serial_number: str | None = None
    unique_identifier: str | None = None
    organization_name: str | None = None
    organization_identifier: str | None = None


@attrs.frozen(kw_only=True)
class EnrollmentRequest:
    """Applies for a certificate."""

    certificate_name: str = attrs.field(validator=text(5, 100, r"[a-zA-Z0-9_\-\ ąćęłńóśźżĄĆĘŁŃÓŚŹŻ]+"))
    """Letters, digits, blanks, ``_`` and ``-``; 5 to 100 characters."""
    certificate_type: CertificateType
    csr: bytes = attrs.field(repr=False)
    """PKCS#10, DER."""
    valid_from: datetime | None = None


@attrs.frozen
class EnrollmentStarted:
    """An application that KSeF has taken in."""

    reference_number: Identifier
    timestamp: datetime | None = None


@attrs.frozen(kw_only=True)
class Enrollment:
    """The status of an application."""

    request_date: datetime | None = None
    status: StatusInfo
    certificate_serial_number: Identifier | None = None
    """Once it was issued: 16 hex digits."""


@attrs.frozen
class RetrieveRequest:
    """Asks for certificates."""

    certificate_serial_numbers: tuple[str, ...] = attrs.field(validator=items(1, 10, r"[0-9A-F]{16}"))
    """1 to 10, of 16 hex digits."""


@attrs.frozen(kw_only=True)
class RetrievedCertificate:
    """A certificate, as it was issued."""

    certificate: bytes = attrs.field(repr=False)
    """DER."""
    certificate_name: str | None = None
    certificate_serial_number: Identifier | None = None
    certificate_type: CertificateType | None = None


@attrs.frozen
class RetrievedCertificates:
    """Those that were found."""

    certificates: tuple[RetrievedCertificate, ...]


@attrs.frozen
class RevokeRequest:
    """Ends a certificate."""

    revocation_reason: RevocationReason | None = None


@attrs.frozen(kw_only=True)
class CertificateFilter:
    """Which certificates to list; all by default."""

    certificate_serial_number: str | None = attrs.field(default=None, validator=text(16, 16, _SERIAL_NUMBER))
    """The serial number, exactly."""
    name: str | None = None
    """Is in the name."""
    type: CertificateType | None = None
    """What the certificate is for."""
    status: CertificateStatus | None = None
    """The state that the certificate is in."""
    expires_after: datetime | None = None
    """Only certificates that are valid beyond this time."""


@attrs.frozen(kw_only=True)
class CertificateRow:
    """A certificate in a list."""

    certificate_serial_number: Identifier
    name: str | None = None
    """As it was given in the application."""
    type: CertificateType | None = None
    common_name: str | None = None
    status: CertificateStatus | None = None
    subject: SubjectIdentifier | None = attrs.field(default=None, metadata=wire_name("subjectIdentifier"))
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    last_use_date: datetime | None = None
    request_date: datetime | None = None


@attrs.frozen
class CertificatePage:
    """One page of certificates, newest application first."""

    certificates: tuple[CertificateRow, ...]
    has_more: bool


@attrs.frozen
class UpdateCertificateRequest:
    """TEST only: lets a certificate end sooner."""

    valid_to: datetime
    """Not later than it ends now."""


GET, POST, PUT = HTTPMethod.GET, HTTPMethod.POST, HTTPMethod.PUT

GET_CERTIFICATE_LIMITS: Operation[None, CertificateLimits] = Operation(
    name="get_certificate_limits", method=GET, path="/certificates/limits", success=200, response=CertificateLimits,
    rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
GET_ENROLLMENT_DATA: Operation[None, EnrollmentData] = Operation(
    name="get_enrollment_data", method=GET, path="/certificates/enrollments/data", success=200,
    response=EnrollmentData, rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
ENROLL_CERTIFICATE: Operation[EnrollmentRequest, EnrollmentStarted] = Operation(
    name="enroll_certificate", method=POST, path="/certificates/enrollments", success=202,
    request=EnrollmentRequest, response=EnrollmentStarted, rate_group=RateGroup.OTHER,
)  # fmt: skip
GET_ENROLLMENT: Operation[None, Enrollment] = Operation(
    name="get_enrollment", method=GET, path="/certificates/enrollments/{reference_number}", success=200,
    response=Enrollment, rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
RETRIEVE_CERTIFICATES: Operation[RetrieveRequest, RetrievedCertificates] = Operation(
    name="retrieve_certificates", method=POST, path="/certificates/retrieve", success=200,
    request=RetrieveRequest, response=RetrievedCertificates, rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
REVOKE_CERTIFICATE: Operation[RevokeRequest, None] = Operation(
    # Repeat-safe because a second revocation is refused, which the resource reads as "revoked".
    name="revoke_certificate", method=POST, path="/certificates/{certificate_serial_number}/revoke", success=204,
    request=RevokeRequest, rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
LIST_CERTIFICATES: Operation[CertificateFilter, CertificatePage] = Operation(
    name="list_certificates", method=POST, path="/certificates/query", success=200, request=CertificateFilter,
    response=CertificatePage, query=("page_size", "page_offset"), largest_page=50, rate_group=RateGroup.OTHER,
    repeat_safe=True,
)  # fmt: skip
SET_CERTIFICATE_VALIDITY: Operation[UpdateCertificateRequest, None] = Operation(
    name="set_certificate_validity", method=PUT, path="/testdata/certificates/{serial_number}", success=200,
    request=UpdateCertificateRequest, rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
