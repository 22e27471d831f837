"""KSeF certificates. Source: OpenAPI 2.9.0, /certificates, /testdata/certificates."""

from __future__ import annotations

from http import HTTPMethod

from ..models.certificates import (
    CertificateFilter,
    CertificateLimits,
    CertificatePage,
    Enrollment,
    EnrollmentData,
    EnrollmentRequest,
    EnrollmentStarted,
    RetrievedCertificates,
    RetrieveRequest,
    RevokeRequest,
    UpdateCertificateRequest,
)
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
]

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
