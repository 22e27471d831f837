"""Logging in: challenge -> prove -> wait -> redeem. Source: uwierzytelnianie.md."""

from __future__ import annotations

from ..caller import Caller
from ..crypto.envelope import rsa_encrypt
from ..errors import LoginFailedError
from ..keys import PublicKey, PublicKeys
from ..models.auth import LoginStarted, LoginStatus, TokenLoginRequest, TokenPair
from ..models.keys import PublicKeyUsage
from ..operations.auth import GET_CHALLENGE, GET_LOGIN_STATUS, LOG_IN_WITH_TOKEN, REDEEM_TOKENS
from ..polling import Cadence, wait_until
from ..protocol.lifecycle import is_success, is_terminal
from .credentials import KsefToken

__all__ = ["LOGIN_CADENCE", "log_in"]

#: A token login takes KSeF well under a second, mostly.
LOGIN_CADENCE = Cadence(interval=0.1, factor=1.6, longest=2.0, deadline=120.0)


async def log_in(
    caller: Caller, keys: PublicKeys, credentials: KsefToken, *, cadence: Cadence = LOGIN_CADENCE
) -> TokenPair:
    """Log in; from the start again when an answer on the way is lost.

    Args:
        caller: How to reach KSeF.
        keys: The Ministry's public keys.
        credentials: Who logs in, and how.
        cadence: How often to look at the login, and for how long.

    Returns:
        The access token (about 15 minutes) and the refresh token (up to 7 days).

    Raises:
        LoginFailedError: KSeF refused; ``code`` and ``details`` say why.
        WaitTimeoutError: KSeF had not decided when ``cadence.deadline`` passed.
        CryptoError: KSeF offers no usable key.
        TransportError, ApiError, RemoteProtocolError: A call failed.

    Source: POST /auth/challenge, /auth/ksef-token, GET /auth/{referenceNumber}, POST /auth/token/redeem.
    """
    # A challenge, and what it leads to, can be used once: when an answer is lost, so is all that came before.
    return await caller.begin_anew(lambda: _log_in_once(caller, keys, credentials, cadence))


async def _log_in_once(caller: Caller, keys: PublicKeys, credentials: KsefToken, cadence: Cadence) -> TokenPair:
    started = await _prove(caller, keys, credentials)
    bearer = started.authentication_token.token

    async def look() -> LoginStatus:
        return await caller.call(GET_LOGIN_STATUS, path={"reference_number": started.reference_number}, bearer=bearer)

    outcome = await wait_until(
        look,
        lambda login: is_terminal(login.status.code),
        cadence,
        what=f"Login {started.reference_number}",
        status=lambda login: login.status,
    )
    if not is_success(outcome.status.code):
        raise LoginFailedError(f"KSeF refused the login for {credentials.context}", status=outcome.status)
    return await caller.call(REDEEM_TOKENS, bearer=bearer)


async def _prove(caller: Caller, keys: PublicKeys, credentials: KsefToken) -> LoginStarted:
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
