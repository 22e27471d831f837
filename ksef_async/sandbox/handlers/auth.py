"""Logins: by KSeF token or certificate, their tokens, those that can still be refreshed; and the public keys.

Source: uwierzytelnianie.md; podpis-xades.md; sesje-uwierzytelniania.md.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

import anyio.to_thread

from ...api.auth import (
    AccessTokenResponse,
    AuthSession,
    AuthSessionPage,
    Challenge,
    LoginStarted,
    LoginStatus,
    SubjectBy,
    TokenLoginRequest,
    TokenPair,
)
from ...api.certificates import CertificateStatus, CertificateType
from ...api.common import Context, ContextType
from ...api.keys import PublicKeyUsage
from ...api.operation import Bearer
from ...api.tokens import TokenStatus
from ...crypto.certificates import Certificate
from ...crypto.envelope import rsa_decrypt
from ...errors import CryptoError
from ...protocol.error_codes import ErrorCode
from ...protocol.lifecycle import LoginStatusCode
from ..authority import IssuedCertificate
from ..clock import seconds
from ..handling import is_callers, login_fields, page_of
from ..logged_in import KSEF_CERTIFICATE, PEPPOL_SIGNATURE, QUALIFIED_SEAL, QUALIFIED_SIGNATURE, LoginMethod
from ..logins import issue_token, start_login, take_challenge
from ..refusals import Gone, InvalidInput, Refusal
from ..router import Call, check_alive, status_of_token
from ..world import Login, SignatureProof, StoredToken, Subject, new_reference_number

if TYPE_CHECKING:
    from ...crypto.verification import SignedDocument
    from ..auth_documents import AuthTokenRequest

__all__ = [
    "get_challenge",
    "get_login_status",
    "list_auth_sessions",
    "list_public_keys",
    "log_in_with_signature",
    "log_in_with_token",
    "redeem_tokens",
    "refresh_access_token",
    "revoke_auth_session",
    "revoke_current_login",
]


_log = logging.getLogger("ksef_async.sandbox")
_NIP: Final = r"[1-9](\d[1-9]|[1-9]\d)\d{7}"
_CONTEXTS: Final[Mapping[str, str]] = {
    ContextType.NIP: _NIP,
    ContextType.INTERNAL_ID: rf"{_NIP}-\d{{5}}",
    ContextType.NIP_VAT_UE: rf"{_NIP}-[A-Z]{{2}}[A-Z0-9+*]{{1,12}}",
    ContextType.PEPPOL_ID: r"P[A-Z]{2}\d{6}",
}
# Where the sandbox is the one that lacks something; KSeF has no such answer.
_NO_EXTRA: Final = "Symulator nie weryfikuje podpisów: wymaga instalacji ksef_async z dodatkiem 'xades'."


async def list_public_keys(call: Call) -> object:
    """GET /security/public-key-certificates."""
    return call.world.ministry.certificates


async def get_challenge(call: Call) -> Challenge:
    """POST /auth/challenge."""
    challenge = new_reference_number("CR", call.now)
    milliseconds = int(call.now.timestamp() * 1000)
    call.world.challenges[challenge] = (milliseconds, call.now)
    return Challenge(
        challenge=challenge, timestamp=call.now, timestamp_ms=milliseconds, client_ip=call.client_ip or "127.0.0.1"
    )


# --- login with a KSeF token -----------------------------------------------------------------------------------------


async def log_in_with_token(call: Call) -> LoginStarted:
    """POST /auth/ksef-token; a bad token shows only in the status."""
    request: TokenLoginRequest = call.body
    _check_context(request.context_identifier)
    if request.public_key_id is not None and len(request.public_key_id) != 44:
        raise InvalidInput("'publicKeyId' must be 44 characters in length.")
    timestamp_ms = take_challenge(call, request.challenge)
    key = call.world.ministry.private_key(PublicKeyUsage.KSEF_TOKEN_ENCRYPTION, request.public_key_id)
    if key is None:
        raise Refusal(
            ErrorCode.UNKNOWN_PUBLIC_KEY, f"Klucz o identyfikatorze {request.public_key_id} nie jest wspierany."
        )
    token, problem = None, None
    try:
        plain = rsa_decrypt(key, request.encrypted_token).decode()
    except CryptoError:
        problem = "Nieprawidłowe szyfrowanie tokena"
    except UnicodeDecodeError:
        problem = "Nieprawidłowe kodowanie tokena"
    else:
        token, problem = _check_token(call, request, plain, timestamp_ms)
    return start_login(
        call,
        context=request.context_identifier,
        subject=token.author if token else None,
        token=token,
        policy=request.authorization_policy,
        code=LoginStatusCode.INVALID_TOKEN if problem else LoginStatusCode.SUCCEEDED,
        details=(problem,) if problem else (),
    )


def _check_context(context: Context) -> None:
    if not re.fullmatch(_CONTEXTS.get(context.type, "(?!)"), context.value, re.ASCII):
        raise InvalidInput("'contextIdentifier' is not in the correct format.")


def _check_token(
    call: Call, request: TokenLoginRequest, plain: str, timestamp_ms: int
) -> tuple[StoredToken | None, str | None]:
    # The token itself has vertical bars in it.
    secret, separator, timestamp = plain.rpartition("|")
    if not separator or not (timestamp.isascii() and timestamp.isdecimal()):
        return None, "Nieprawidłowe kodowanie tokena"
    if int(timestamp) != timestamp_ms:
        return None, "Nieprawidłowy czas tokena"
    token = call.world.tokens.get(secret)
    if token is None:
        return None, "Nieprawidłowy token"
    if token.context != request.context_identifier:
        return None, f"Token nie może być użyty w kontekście {request.context_identifier.value}"
    status = status_of_token(call.world, token, call.now)
    if status in (TokenStatus.REVOKING, TokenStatus.REVOKED):
        return None, "Token unieważniony"
    if status != TokenStatus.ACTIVE:
        return None, "Token nieaktywny"
    token.last_used_at = call.now
    return token, None


# --- login with a certificate ----------------------------------------------------------------------------------------


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


# --- tokens of a login -----------------------------------------------------------------------------------------------


async def get_login_status(call: Call) -> LoginStatus:
    """GET /auth/{referenceNumber}."""
    reference_number = call.path["reference_number"]
    login = call.world.logins.get(reference_number)
    if login is None or login is not call.caller:
        raise _unknown_login(reference_number)
    if call.now > login.started_at + seconds(call.world.timings.login_retention):
        raise Gone
    return LoginStatus(**login_fields(login, call.now))


def _unknown_login(reference_number: str) -> Refusal:
    detail = f"Operacja uwierzytelniania o numerze referencyjnym {reference_number} nie została znaleziona."
    return Refusal(ErrorCode.UNKNOWN_LOGIN, detail)


async def redeem_tokens(call: Call) -> TokenPair:
    """POST /auth/token/redeem; once."""
    login = call.caller
    code = login.status_at(call.now).code
    if code != LoginStatusCode.SUCCEEDED:
        detail = f"Status uwierzytelniania ({code}) nie pozwala na pobranie tokenów."
        raise Refusal(ErrorCode.NOT_AUTHORIZED, detail)
    _check_token_lives(call, login)
    if login.is_redeemed:
        detail = f"Tokeny dla operacji uwierzytelniania {login.reference_number} zostały już pobrane."
        raise Refusal(ErrorCode.NOT_AUTHORIZED, detail)
    check_alive(call.world, login)
    login.is_redeemed = True
    login.refresh_until = call.now + seconds(call.world.timings.refresh_token_lifetime)
    return TokenPair(issue_token(call, login, Bearer.ACCESS), issue_token(call, login, Bearer.REFRESH))


async def refresh_access_token(call: Call) -> AccessTokenResponse:
    """POST /auth/token/refresh."""
    login = call.caller
    code = login.status_at(call.now).code
    if code != LoginStatusCode.SUCCEEDED:
        detail = f"Status uwierzytelniania ({code}) nie pozwala na odświeżenie tokenu dostępowego."
        raise Refusal(ErrorCode.NOT_AUTHORIZED, detail)
    _check_token_lives(call, login)
    check_alive(call.world, login)
    login.refreshed_at = call.now
    return AccessTokenResponse(issue_token(call, login, Bearer.ACCESS))


def _check_token_lives(call: Call, login: Login) -> None:
    if login.token is not None and login.token.revoked_at is not None:
        raise Refusal(ErrorCode.NOT_AUTHORIZED, "Token KSeF został unieważniony.")


# --- logins that can be refreshed ------------------------------------------------------------------------------------


async def list_auth_sessions(call: Call) -> AuthSessionPage:
    """GET /auth/sessions."""
    active = [login for login in reversed(call.world.logins.values()) if _is_visible(call, login)]
    rows, token = page_of(active, call, call.query["page_size"])
    return AuthSessionPage(
        tuple(
            AuthSession(
                **login_fields(login, call.now),
                reference_number=login.reference_number,
                is_current=login is call.caller,
            )
            for login in rows
        ),
        token,
    )


def _is_visible(call: Call, login: Login) -> bool:
    return (
        _is_own(call, login)
        and login.timeline.is_success_at(call.now)
        and login.refresh_until is not None
        and call.now < login.refresh_until
    )


async def revoke_auth_session(call: Call) -> None:
    """DELETE /auth/sessions/{referenceNumber}; issued access tokens live on."""
    reference_number = call.path["reference_number"]
    login = call.world.logins.get(reference_number)
    if login is None or not _is_own(call, login) or not _has_let_in(call, login):
        # [INF]: this operation has no code of its own for what it does not find. A login that is in progress, or has
        # failed, is no session yet, or never was.
        detail = f"Sesja uwierzytelnienia o numerze referencyjnym {reference_number} nie została znaleziona."
        raise InvalidInput(detail)
    login.revoke(call.now)


def _has_let_in(call: Call, login: Login) -> bool:
    return login.is_revoked or login.timeline.is_success_at(call.now)


def _is_own(call: Call, login: Login) -> bool:
    # [INF]: one sees the logins of the same subject in the same context.
    if login.context != call.caller.context:
        return False
    return login.subject == call.caller.subject or (login.subject is not None and is_callers(call, login.subject))


async def revoke_current_login(call: Call) -> None:
    """DELETE /auth/sessions/current; issued access tokens live on."""
    call.caller.revoke(call.now)
