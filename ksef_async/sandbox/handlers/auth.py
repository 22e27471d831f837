"""Login, tokens and public keys. Source: uwierzytelnianie.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ...crypto.envelope import rsa_decrypt
from ...errors import CryptoError
from ...models.auth import (
    AccessTokenResponse,
    Challenge,
    LoginStarted,
    LoginStatus,
    TokenLoginRequest,
    TokenPair,
)
from ...models.common import Context, ContextType
from ...models.keys import PublicKeyUsage
from ...models.tokens import TokenStatus
from ...operations import Bearer
from ...protocol.error_codes import ErrorCode
from ...protocol.lifecycle import LoginStatusCode
from ..admission import check_alive, status_of_token
from ..logins import issue_token, start_login, take_challenge
from ..lookup import login_fields
from ..refusals import Gone, InvalidInput, Refusal
from ..router import Call
from ..world import Login, StoredToken, new_reference_number

__all__ = [
    "get_challenge",
    "get_login_status",
    "list_public_keys",
    "log_in_with_token",
    "redeem_tokens",
    "refresh_access_token",
    "revoke_current_login",
]

_NIP: Final = r"[1-9](\d[1-9]|[1-9]\d)\d{7}"
_CONTEXTS: Final[Mapping[str, str]] = {
    ContextType.NIP: _NIP,
    ContextType.INTERNAL_ID: rf"{_NIP}-\d{{5}}",
    ContextType.NIP_VAT_UE: rf"{_NIP}-[A-Z]{{2}}[A-Z0-9+*]{{1,12}}",
    ContextType.PEPPOL_ID: r"P[A-Z]{2}\d{6}",
}


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


async def get_login_status(call: Call) -> LoginStatus:
    """GET /auth/{referenceNumber}."""
    reference_number = call.path["reference_number"]
    login = call.world.logins.get(reference_number)
    if login is None or login is not call.caller:
        raise _unknown_login(reference_number)
    if call.now > login.started_at + call.world.timings.login_retention:
        raise Gone
    return LoginStatus(**login_fields(login, call.now))


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
    login.refresh_until = call.now + call.world.timings.refresh_token_lifetime
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


async def revoke_current_login(call: Call) -> None:
    """DELETE /auth/sessions/current; issued access tokens live on."""
    call.caller.is_revoked = True


def _unknown_login(reference_number: str) -> Refusal:
    detail = f"Operacja uwierzytelniania o numerze referencyjnym {reference_number} nie została znaleziona."
    return Refusal(ErrorCode.UNKNOWN_LOGIN, detail)
