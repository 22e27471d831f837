"""KSeF certificates: applied for, issued, fetched, revoked. Source: certyfikaty-KSeF.md."""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial
from typing import Final

import anyio.to_thread
import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ...api.certificates import (
    CertificateFilter,
    CertificateLimit,
    CertificateLimits,
    CertificatePage,
    CertificateRow,
    CertificateStatus,
    Enrollment,
    EnrollmentData,
    EnrollmentRequest,
    EnrollmentStarted,
    RetrievedCertificate,
    RetrievedCertificates,
    RetrieveRequest,
    RevocationReason,
    RevokeRequest,
    UpdateCertificateRequest,
)
from ...api.common import SubjectIdentifier, SubjectType
from ...crypto.certificates import SUBJECT_NAMES, PublicKey
from ...protocol.error_codes import ErrorCode
from ...protocol.wire import camel
from ..authority import CertificateApplication, IssuedCertificate, without_ending
from ..clock import seconds
from ..handling import numbered_page_of
from ..logged_in import PEPPOL_SIGNATURE
from ..refusals import Forbidden, Gone, InvalidInput, Refusal
from ..router import Call
from ..world import SignatureProof, new_reference_number

__all__ = [
    "enroll_certificate",
    "get_certificate_limits",
    "get_enrollment",
    "get_enrollment_data",
    "list_certificates",
    "retrieve_certificates",
    "revoke_certificate",
    "set_certificate_validity",
]

_HASHES: Final = (hashes.SHA1, hashes.SHA256, hashes.SHA384, hashes.SHA512)
_ALREADY_CERTIFIED: Final = "Klucz publiczny został już certyfikowany przez inny podmiot."


async def get_certificate_limits(call: Call) -> CertificateLimits:
    """GET /certificates/limits."""
    enrollment, certificate = _limits(call)
    is_left = bool(enrollment.remaining and certificate.remaining)
    return CertificateLimits(
        can_request=call.caller.signature is not None and is_left,
        enrollment=enrollment,
        certificate=certificate,
    )


async def get_enrollment_data(call: Call) -> EnrollmentData:
    """GET /certificates/enrollments/data."""
    return _enrollment_data(call, ErrorCode.NO_ENROLLMENT_DATA)


async def enroll_certificate(call: Call) -> EnrollmentStarted:
    """POST /certificates/enrollments."""
    request: EnrollmentRequest = call.body
    data = _enrollment_data(call, ErrorCode.ENROLLMENT_NOT_ALLOWED)
    if not request.certificate_type.is_known:
        raise InvalidInput(f"The value '{request.certificate_type}' is not valid for certificateType.")
    key = await anyio.to_thread.run_sync(partial(_read_csr, request.csr, data))
    owner = _owner(call)
    enrollment, certificate = _limits(call)
    if not enrollment.remaining:
        raise Refusal(ErrorCode.ENROLLMENT_LIMIT)
    if not certificate.remaining:
        raise Refusal(ErrorCode.CERTIFICATE_LIMIT)
    decided_at = call.now + seconds(call.world.timings.enrollment_delay)
    before = call.world.authority.certified(key)
    is_taken = before is not None and before.owner not in _names(call)
    started = CertificateApplication(
        reference_number=new_reference_number("EH", call.now),
        owner=owner,
        requested_at=call.now,
        decided_at=decided_at,
        issued=None if is_taken else _issue(call, request, data, key, decided_at),
        rejection=_ALREADY_CERTIFIED if is_taken else "",
    )
    call.world.authority.enrollments[started.reference_number] = started
    return EnrollmentStarted(started.reference_number, call.now)


async def get_enrollment(call: Call) -> Enrollment:
    """GET /certificates/enrollments/{referenceNumber}."""
    found = call.world.authority.enrollments.get(call.path["reference_number"])
    if found is None or found.owner not in _names(call):
        raise Refusal(ErrorCode.UNKNOWN_ENROLLMENT)
    if call.now > found.requested_at + seconds(call.world.timings.enrollment_retention):
        raise Gone
    issued = found.issued if call.now >= found.decided_at else None
    return Enrollment(
        request_date=found.requested_at,
        status=found.status_at(call.now),
        certificate_serial_number=issued.serial_number if issued else None,
    )


async def retrieve_certificates(call: Call) -> RetrievedCertificates:
    """POST /certificates/retrieve; those that are not the caller's are left out [INF]."""
    request: RetrieveRequest = call.body
    wanted = [_visible(call, number) for number in request.certificate_serial_numbers]
    return RetrievedCertificates(
        tuple(
            RetrievedCertificate(
                certificate=issued.certificate.der,
                certificate_name=issued.name,
                certificate_serial_number=issued.serial_number,
                certificate_type=issued.type,
            )
            for issued in wanted
            if issued is not None
        )
    )


async def revoke_certificate(call: Call) -> None:
    """POST /certificates/{certificateSerialNumber}/revoke; it is blocked at once, and revoked some time later."""
    request: RevokeRequest = call.body
    _refuse_tokens(call)
    if request.revocation_reason is not None and not request.revocation_reason.is_known:
        raise InvalidInput(f"The value '{request.revocation_reason}' is not valid for revocationReason.")
    issued = _find(call, "certificate_serial_number")
    if issued.status_at(call.now) is not CertificateStatus.ACTIVE:
        raise Refusal(ErrorCode.CERTIFICATE_NOT_REVOCABLE)
    revoked_at = call.now + seconds(call.world.timings.revocation_delay)
    issued.revoke(call.now, revoked_at, request.revocation_reason or RevocationReason.UNSPECIFIED)


async def list_certificates(call: Call) -> CertificatePage:
    """POST /certificates/query."""
    wanted: CertificateFilter = call.body
    unknown = [each for each in (wanted.type, wanted.status) if each is not None and not each.is_known]
    if unknown:
        raise InvalidInput(*(f"The value '{each}' is not valid." for each in unknown))
    found = [
        issued
        for issued in call.world.authority.owned_by(_names(call))
        if _is_out(call, issued) and _fits(issued, wanted, call.now)
    ]
    rows, has_more = numbered_page_of(found, call)
    return CertificatePage(tuple(_row(issued, call.now) for issued in rows), has_more)


async def set_certificate_validity(call: Call) -> None:
    """PUT /testdata/certificates/{serialNumber}."""
    request: UpdateCertificateRequest = call.body
    issued = _find(call, "serial_number")
    if request.valid_to > issued.valid_until:
        raise InvalidInput("'validTo' must be less than or equal to the current value.")
    issued.end_at(call.now, request.valid_to)


def _signature(call: Call) -> SignatureProof:
    _refuse_tokens(call)
    if call.caller.signature is None:
        raise LookupError("a login with neither a token nor a signature")
    return call.caller.signature


def _refuse_tokens(call: Call) -> None:
    if call.caller.token is not None:
        detail = "Operacja jest niedostępna dla użytej metody uwierzytelnienia."
        raise Forbidden("auth-method-not-allowed", detail, {"authenticationMethodCategory": "Token"})


def _enrollment_data(call: Call, refusal: ErrorCode) -> EnrollmentData:
    signature = _signature(call)
    subject = signature.certificate.subject
    # [INF]: which logins get no certificate is not documented; a Peppol provider has its own.
    if signature.method is PEPPOL_SIGNATURE or not {"common_name", "country_name"} <= subject.keys():
        raise Refusal(refusal)
    return EnrollmentData(**{**subject, "common_name": without_ending(subject["common_name"])})


def _owner(call: Call) -> SubjectIdentifier:
    subject = call.caller.subject
    if subject is None:
        return SubjectIdentifier(SubjectType.NIP, call.caller.context.value)
    return SubjectIdentifier(SubjectType(subject.type), subject.value)


def _names(call: Call) -> frozenset[SubjectIdentifier]:
    """Return every identifier of the caller; a person has the same certificates by NIP and by PESEL."""
    subject = call.caller.subject
    known = () if subject is None else call.world.grants.registry.aliases(subject, call.now)
    return frozenset({_owner(call), *(SubjectIdentifier(SubjectType(each.type), each.value) for each in known)})


def _limits(call: Call) -> tuple[CertificateLimit, CertificateLimit]:
    own, names = call.world.authority, _names(call)
    granted = call.world.granted.subject(call.caller.subject) if call.caller.subject else None
    enrollments = granted.enrollment.max_enrollments if granted and granted.enrollment else None
    certificates = granted.certificate.max_certificates if granted and granted.certificate else None
    applied = sum(one.owner in names for one in own.enrollments.values())
    active = sum(one.status_at(call.now) is CertificateStatus.ACTIVE for one in own.owned_by(names))
    return (
        CertificateLimit(max(0, (enrollments or 0) - applied), enrollments or 0),
        CertificateLimit(max(0, (certificates or 0) - active), certificates or 0),
    )


def _read_csr(csr: bytes, data: EnrollmentData) -> PublicKey:
    try:
        request = x509.load_der_x509_csr(csr)
        key, names = request.public_key(), request.subject
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Refusal(ErrorCode.INVALID_CSR) from error
    is_rsa = isinstance(key, rsa.RSAPublicKey) and key.key_size == 2048
    if not is_rsa and not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)):
        raise Refusal(ErrorCode.INVALID_CSR_KEY)
    try:
        if not isinstance(request.signature_hash_algorithm, _HASHES):
            raise Refusal(ErrorCode.INVALID_CSR_ALGORITHM)
        if not request.is_signature_valid:
            raise Refusal(ErrorCode.INVALID_CSR)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Refusal(ErrorCode.INVALID_CSR_ALGORITHM) from error
    expected = {(SUBJECT_NAMES[name], value) for name, value in attrs.asdict(data).items() if value is not None}
    if {(attribute.oid, attribute.value) for attribute in names} != expected:
        raise Refusal(ErrorCode.WRONG_CSR_SUBJECT)
    assert isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)  # noqa: S101  # one of the two, as seen above
    return key


def _issue(
    call: Call, request: EnrollmentRequest, data: EnrollmentData, key: PublicKey, decided_at: datetime
) -> IssuedCertificate:
    # A certificate starts when it is wanted, never before it is issued [INF].
    start = max(request.valid_from or call.now, call.now).replace(microsecond=0)
    number, certificate = call.world.authority.issue(data, key, start, request.certificate_type)
    issued = IssuedCertificate(
        serial_number=number,
        name=request.certificate_name,
        type=request.certificate_type,
        certificate=certificate,
        owner=_owner(call),
        valid_from=certificate.valid_from,
        valid_until=certificate.valid_until,
        requested_at=call.now,
        issued_at=decided_at,
    )
    call.world.authority.issued[number] = issued
    return issued


def _is_out(call: Call, issued: IssuedCertificate) -> bool:
    return call.now >= issued.issued_at


def _visible(call: Call, number: str) -> IssuedCertificate | None:
    issued = call.world.authority.issued.get(number)
    if issued is None or issued.owner not in _names(call) or not _is_out(call, issued):
        return None
    return issued


def _find(call: Call, name: str) -> IssuedCertificate:
    number = call.path[name]
    if not re.fullmatch("[0-9A-F]{16}", number):
        raise InvalidInput(f"'{camel(name)}' is not in the correct format.")
    if (issued := _visible(call, number)) is None:
        raise Refusal(ErrorCode.UNKNOWN_CERTIFICATE)
    return issued


def _fits(issued: IssuedCertificate, wanted: CertificateFilter, now: datetime) -> bool:
    return (
        wanted.certificate_serial_number in (None, issued.serial_number)
        and (wanted.name is None or wanted.name.lower() in issued.name.lower())
        and wanted.type in (None, issued.type)
        and wanted.status in (None, issued.status_at(now))
        and (wanted.expires_after is None or issued.valid_until > wanted.expires_after)
    )


def _row(issued: IssuedCertificate, now: datetime) -> CertificateRow:
    return CertificateRow(
        certificate_serial_number=issued.serial_number,
        name=issued.name,
        type=issued.type,
        common_name=issued.certificate.subject.get("common_name", ""),
        status=issued.status_at(now),
        subject=issued.owner,
        valid_from=issued.valid_from,
        valid_to=issued.valid_until,
        last_use_date=issued.last_used_at,
        request_date=issued.requested_at,
    )
