"""Logging in: challenge -> prove -> wait -> redeem. Source: uwierzytelnianie.md."""

from __future__ import annotations

from functools import partial

from ..api.auth import (
    GET_CHALLENGE,
    GET_LOGIN_STATUS,
    LOG_IN_WITH_SIGNATURE,
    LOG_IN_WITH_TOKEN,
    REDEEM_TOKENS,
    LoginStarted,
    TokenLoginRequest,
    TokenPair,
)
from ..api.keys import PublicKeyUsage
from ..calling.caller import Caller
from ..calling.keys import PublicKey, PublicKeys
from ..calling.polling import Cadence, wait_until
from ..crypto.envelope import rsa_encrypt
from ..errors import ApiError, BadRequestError, LoginFailedError, UnauthorizedError
from ..protocol.error_codes import ErrorCode
from ..protocol.lifecycle import LOGIN, LoginStatusCode
from .credentials import Credentials, KsefToken

__all__ = ["CERTIFICATE_LOGIN_CADENCE", "LOGIN_CADENCE", "log_in"]

LOGIN_CADENCE = Cadence(interval=0.1, factor=1.6, longest=2.0, deadline=120.0)
"""A token login takes KSeF well under a second, mostly."""
CERTIFICATE_LOGIN_CADENCE = Cadence(interval=0.1, factor=1.6, longest=10.0, deadline=2400.0)
"""A certificate's issuer is asked whether it is still good (OCSP): minutes are normal, half an hour was seen."""


async def log_in(
    caller: Caller, keys: PublicKeys, credentials: Credentials, *, cadence: Cadence | None = None
) -> TokenPair:
    """Log in; from the start again when an answer on the way is lost, or when KSeF forgets the login on the way.

    Args:
        caller: How to reach KSeF.
        keys: The Ministry's public keys.
        credentials: Who logs in, and how.
        cadence: How often to look at the login, and for how long; by default two minutes for a token, and longer for
            a certificate.

    Returns:
        The access token (about 15 minutes) and the refresh token (up to 7 days).

    Raises:
        LoginFailedError: KSeF refused; ``code`` and ``details`` say why.
        WaitTimeoutError: KSeF had not decided when ``cadence.deadline`` passed.
        CryptoError: KSeF offers no usable key; the certificate has expired, or its key does not fit.
        LocalProtocolError: The certificate needs the extra ``xades``.
        TransportError: No answer came.
        ApiError: KSeF refused the call, or failed.
        RemoteProtocolError: The answer is not what KSeF's API describes.

    Source: POST /auth/challenge, /auth/ksef-token, /auth/xades-signature, /auth/token/redeem,
    GET /auth/{referenceNumber}.
    """
    if cadence is None:
        cadence = LOGIN_CADENCE if isinstance(credentials, KsefToken) else CERTIFICATE_LOGIN_CADENCE
    # A challenge, and what it leads to, can be used once: when an answer is lost, so is all that came before.
    attempt = partial(caller.begin_anew, partial(_log_in_once, caller, keys, credentials, cadence))
    try:
        return await attempt()
    except (BadRequestError, UnauthorizedError) as error:
        if not _is_early(error):
            raise
    # KSeF said that the login was good, and then never knew it: another one is.
    return await attempt()


async def _log_in_once(caller: Caller, keys: PublicKeys, credentials: Credentials, cadence: Cadence) -> TokenPair:
    started = await _prove(caller, keys, credentials)
    path = {"reference_number": started.reference_number}
    caller = caller.with_bearer(started.authentication_token.token).waiting_for_agreement(_is_early)
    outcome = await wait_until(
        partial(caller.call, GET_LOGIN_STATUS, path=path),
        lambda login: LOGIN.is_terminal(login.status.code),
        cadence,
        what=f"Login {started.reference_number}",
        status=lambda login: login.status,
    )
    if not LOGIN.is_success(outcome.status.code):
        who = _by_whom(credentials, outcome.status.code)
        raise LoginFailedError(f"KSeF refused the login for {credentials.context}{who}", status=outcome.status)
    return await caller.call(REDEEM_TOKENS)


def _by_whom(credentials: Credentials, code: int) -> str:
    """Return whose certificate was refused, and for want of a permission what to do."""
    if isinstance(credentials, KsefToken):
        return ""
    who = f" by the certificate of {credentials.holder}"
    if code != LoginStatusCode.NO_PERMISSIONS:
        return who
    return f"{who} (the company has to grant it a permission; or log in for another company, or with its certificate)"


def _is_early(error: ApiError) -> bool:
    """Return whether KSeF does not know, in one part, a login that it knows in another."""
    if isinstance(error, BadRequestError):
        return error.code in (ErrorCode.NOT_AUTHORIZED, ErrorCode.UNKNOWN_LOGIN)
    return isinstance(error, UnauthorizedError)


async def _prove(caller: Caller, keys: PublicKeys, credentials: Credentials) -> LoginStarted:
    if not isinstance(credentials, KsefToken):
        # Loaded by those who log in with certificates.
        from .signing import sign_login

        challenge = await caller.call(GET_CHALLENGE)
        # By KSeF's clock: a signature from the future is refused, and this machine's clock may be ahead.
        document = await sign_login(credentials, challenge.challenge, challenge.timestamp or caller.now())
        query = {"verify_certificate_chain": credentials.verify_certificate_chain or None}
        return await caller.call(LOG_IN_WITH_SIGNATURE, document, query=query)

    async def prove_with(public_key: PublicKey) -> LoginStarted:
        challenge = await caller.call(GET_CHALLENGE)
        proof = f"{credentials.token}|{challenge.timestamp_ms}".encode()
        request = TokenLoginRequest(
            challenge=challenge.challenge,
            context_identifier=credentials.context,
            encrypted_token=rsa_encrypt(public_key.key, proof),
            public_key_id=public_key.public_key_id,
            authorization_policy=credentials.policy,
        )
        return await caller.call(LOG_IN_WITH_TOKEN, request)

    return await keys.use(PublicKeyUsage.KSEF_TOKEN_ENCRYPTION, prove_with)
