"""Login with a certificate. Source: uwierzytelnianie.md; podpis-xades.md."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Final

import anyio.to_thread

from ...crypto.certificates import Certificate
from ...models.auth import LoginStarted, SubjectBy
from ...models.certificates import CertificateStatus, CertificateType
from ...models.common import Context, ContextType
from ...protocol.error_codes import ErrorCode
from ...protocol.lifecycle import LoginStatusCode
from ..authority import IssuedCertificate
from ..logins import start_login, take_challenge
from ..methods import KSEF_CERTIFICATE, PEPPOL_SIGNATURE, QUALIFIED_SEAL, QUALIFIED_SIGNATURE, LoginMethod
from ..refusals import Refusal
from ..router import Call
from ..world import SignatureProof, Subject

if TYPE_CHECKING:
    from ...crypto.verification import SignedDocument
    from ..auth_documents import AuthTokenRequest

__all__ = ["log_in_with_signature"]

_log = logging.getLogger("ksef_async.sandbox")

#: Where the sandbox is the one that lacks something; KSeF has no such answer.
_NO_EXTRA: Final = "Symulator nie weryfikuje podpisów: wymaga instalacji ksef_async z dodatkiem 'xades'."


async def log_in_with_signature(call: Call) -> LoginStarted:
    """POST /auth/xades-signature; what KSeF has to ask others about the certificate shows only in the status."""
    signed, request = await anyio.to_thread.run_sync(_read, call)
    take_challenge(call, request.challenge)
    issued = call.world.authority.find(signed.certificate, call.now)
    subject = _subject(request, signed.certificate, issued)
    code, details = LoginStatusCode.INVALID_CERTIFICATE, _certificate_problem(call, signed.certificate, issued)
    started = start_login(
        call,
        context=request.context,
        subject=subject,
        token=None,
        policy=request.policy,
        code=code if details else LoginStatusCode.SUCCEEDED,
        details=details,
        signature=SignatureProof(
            certificate=signed.certificate,
            document_hash=signed.sha256,
            method=_method(signed.certificate, request.context, issued),
        ),
    )
    if issued is not None:
        issued.last_used_at = call.now
    return started


def _read(call: Call) -> tuple[SignedDocument, AuthTokenRequest]:
    try:
        from ...crypto.verification import SignatureError, verify_signed_document
        from ..auth_documents import read_auth_token_request
    except ModuleNotFoundError as error:
        _log.warning("the sandbox verifies signatures with %s: install ksef_async with the extra 'xades'", error.name)
        raise Refusal(ErrorCode.INVALID_INPUT, _NO_EXTRA) from error
    try:
        signed = verify_signed_document(call.body, "AuthTokenRequest")
    except SignatureError as error:
        code = ErrorCode[error.problem.name]
        raise Refusal(code, *([error.detail] if error.detail else [])) from error
    schema = call.world.auth_schema
    if schema is not None and (problems := schema.validate(signed.root)):
        raise Refusal(ErrorCode.SCHEMA_VIOLATION, *problems)
    try:
        return signed, read_auth_token_request(signed.root)
    except ValueError as error:
        raise Refusal(ErrorCode.SCHEMA_VIOLATION, str(error)) from error


def _subject(request: AuthTokenRequest, certificate: Certificate, issued: IssuedCertificate | None) -> Subject:
    named = certificate.subject
    if request.context.type == ContextType.PEPPOL_ID:
        # A provider's certificate: the organization is the provider, the common name its identifier.
        if named.get("common_name") != request.context.value or "organization_name" not in named:
            raise Refusal(ErrorCode.WRONG_SUBJECT_FOR_CONTEXT)
        return Subject("PeppolId", request.context.value)
    if request.subject_by is SubjectBy.CERTIFICATE_FINGERPRINT:
        return Subject("Fingerprint", certificate.fingerprint)
    if issued is not None:
        return _as_subject(issued)
    if "organization_identifier" in named and named.keys() & {"given_name", "surname"}:
        # [INF]: a seal that is also a person's certificate.
        raise Refusal(ErrorCode.SIGNATURE_CONFLICT)
    if certificate.identifier is None:
        raise Refusal(ErrorCode.INVALID_CERTIFICATE, "Certyfikat nie zawiera identyfikatora podmiotu.")
    return Subject(*certificate.identifier)


def _as_subject(issued: IssuedCertificate) -> Subject:
    for kind in ("Nip", "Pesel", "Fingerprint"):
        if issued.owner.type == kind:
            return Subject(kind, issued.owner.value)
    raise LookupError(f"a certificate of {issued.owner}, who cannot have one")


def _certificate_problem(call: Call, certificate: Certificate, issued: IssuedCertificate | None) -> tuple[str, ...]:
    if issued is not None:
        return _problem_of_issued(issued, call.now)
    if not certificate.valid_from <= call.now <= certificate.valid_until:
        return ("Nieważny certyfikat",)
    if call.world.authority.claims_to_have_issued(certificate):
        # Not one that is remembered, so a forgery.
        return ("Błąd weryfikacji łańcucha certyfikatów",)
    # No authority but its own is known to the sandbox, so production would trust none of the others.
    if call.query.get("verify_certificate_chain") or call.world.is_production:
        return ("Niezaufany łańcuch certyfikatów",)
    return ()


def _problem_of_issued(issued: IssuedCertificate, now: datetime) -> tuple[str, ...]:
    status = issued.status_at(now)
    if status is CertificateStatus.REVOKED:
        return ("Certyfikat odwołany",)
    if status is CertificateStatus.BLOCKED:
        return ("Certyfikat zawieszony",)
    if status is CertificateStatus.EXPIRED or now < issued.valid_from:
        return ("Nieważny certyfikat",)
    if issued.type != CertificateType.AUTHENTICATION:
        return ("Niepoprawny certyfikat",)
    return ()


def _method(certificate: Certificate, context: Context, issued: IssuedCertificate | None) -> LoginMethod:
    if issued is not None:
        return KSEF_CERTIFICATE
    if context.type == ContextType.PEPPOL_ID:
        return PEPPOL_SIGNATURE
    return QUALIFIED_SEAL if "organization_identifier" in certificate.subject else QUALIFIED_SIGNATURE
