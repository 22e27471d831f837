"""Login and tokens. Source: POST /auth/challenge, /auth/ksef-token, /auth/token/*; uwierzytelnianie.md."""

from __future__ import annotations

import enum
from datetime import datetime
from http import HTTPMethod

import attrs

from .common import (
    IP4_ADDRESS,
    IP4_MASK,
    IP4_RANGE,
    NEVER_LEFT_OUT,
    ChallengeText,
    Context,
    Cursor,
    Identifier,
    Jwt,
    OpenStrEnum,
    StatusInfo,
    items,
)
from .operation import Bearer, Operation, RateGroup

__all__ = [
    "GET_CHALLENGE",
    "GET_LOGIN_STATUS",
    "LIST_AUTH_SESSIONS",
    "LOG_IN_WITH_SIGNATURE",
    "LOG_IN_WITH_TOKEN",
    "REDEEM_TOKENS",
    "REFRESH_ACCESS_TOKEN",
    "REVOKE_AUTH_SESSION",
    "REVOKE_CURRENT_LOGIN",
    "AccessTokenResponse",
    "AllowedIps",
    "AuthSession",
    "AuthSessionPage",
    "AuthenticationMethodCategory",
    "AuthenticationMethodInfo",
    "AuthorizationPolicy",
    "Challenge",
    "LoginStarted",
    "LoginStatus",
    "SubjectBy",
    "TokenInfo",
    "TokenLoginRequest",
    "TokenPair",
]


@attrs.frozen(kw_only=True)
class Challenge:
    """A challenge that a login has to answer within 10 minutes."""

    challenge: ChallengeText
    timestamp: datetime | None = None
    timestamp_ms: int
    """Milliseconds since 1970, truncated from ``timestamp`` by KSeF: to be used as given, never recomputed."""
    client_ip: str | None = None
    """The caller's address as KSeF sees it."""


@attrs.frozen(kw_only=True)
class AllowedIps:
    """IPv4 addresses from which the tokens of a login may be used; at most 10 in each list.

    Raises:
        InvalidFieldError: There are more, or one is written in another way.
    """

    ip4_addresses: tuple[str, ...] = attrs.field(default=(), validator=items(0, 10, IP4_ADDRESS))
    """``"10.0.0.1"``"""
    ip4_ranges: tuple[str, ...] = attrs.field(default=(), validator=items(0, 10, IP4_RANGE))
    """``"10.0.0.1-10.0.0.9"``"""
    ip4_masks: tuple[str, ...] = attrs.field(default=(), validator=items(0, 10, IP4_MASK))
    """``"10.0.0.0/24"``"""


@attrs.frozen
class AuthorizationPolicy:
    """Limits the login asks for itself."""

    allowed_ips: AllowedIps | None = None
    """The addresses from which the login may be used; None for all."""


class SubjectBy(enum.StrEnum):
    """The way KSeF identifies who signed a login."""

    CERTIFICATE_SUBJECT = "certificateSubject"
    """By the NIP or PESEL in the certificate's subject."""
    CERTIFICATE_FINGERPRINT = "certificateFingerprint"
    """By the SHA-256 of the certificate: for those whose subject has neither."""


@attrs.frozen(kw_only=True)
class TokenLoginRequest:
    """Login with a KSeF token."""

    challenge: str
    context_identifier: Context
    encrypted_token: bytes = attrs.field(repr=False)
    """RSA-OAEP of ``token|timestampMs`` (256 bytes for a 2048-bit key)."""
    public_key_id: str | None = None
    authorization_policy: AuthorizationPolicy | None = None


@attrs.frozen
class TokenInfo:
    """A JWT and when it ends."""

    token: Jwt = attrs.field(repr=False)
    valid_until: datetime | None = None
    """None when KSeF does not tell, or a time that cannot be: the token is then used until it is refused."""


@attrs.frozen
class LoginStarted:
    """A login under way: to be polled with the operation's own token."""

    reference_number: Identifier
    authentication_token: TokenInfo


class AuthenticationMethodCategory(OpenStrEnum):
    """The kind of proof with which somebody logged in."""

    XADES_SIGNATURE = "XadesSignature"
    NATIONAL_NODE = "NationalNode"
    TOKEN = "Token"
    OTHER = "Other"


@attrs.frozen
class AuthenticationMethodInfo:
    """The proof with which somebody logged in, in detail."""

    category: AuthenticationMethodCategory | None = None
    code: str | None = None
    display_name: str | None = None


@attrs.frozen(kw_only=True)
class LoginStatus:
    """The status of a login."""

    start_date: datetime | None = None
    """None when KSeF does not tell."""
    authentication_method: str | None = None
    """Deprecated by KSeF (removal announced for 2026-11-16), so it may be absent."""
    authentication_method_info: AuthenticationMethodInfo | None = None
    status: StatusInfo
    is_token_redeemed: bool | None = None
    last_token_refresh_date: datetime | None = None
    refresh_token_valid_until: datetime | None = None


@attrs.frozen
class TokenPair:
    """The two tokens for which a successful login is redeemed, once."""

    access_token: TokenInfo
    refresh_token: TokenInfo


@attrs.frozen
class AccessTokenResponse:
    """The answer to a refresh: a new access token; the refresh token stays as it was."""

    access_token: TokenInfo


@attrs.frozen(kw_only=True)
class AuthSession(LoginStatus):
    """A login that was redeemed, and whose refresh token lives."""

    reference_number: Identifier
    is_current: bool = False
    """Whether it is the one this list was asked for with."""


@attrs.frozen
class AuthSessionPage:
    """One page of logins, newest first."""

    items: tuple[AuthSession, ...]
    continuation_token: Cursor | None = attrs.field(default=None, metadata=NEVER_LEFT_OUT)


GET, POST, DELETE = HTTPMethod.GET, HTTPMethod.POST, HTTPMethod.DELETE

GET_CHALLENGE: Operation[None, Challenge] = Operation(
    name="get_challenge", method=POST, path="/auth/challenge", success=200, response=Challenge,
    bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
LOG_IN_WITH_TOKEN: Operation[TokenLoginRequest, LoginStarted] = Operation(
    name="log_in_with_token", method=POST, path="/auth/ksef-token", success=202,
    request=TokenLoginRequest, response=LoginStarted, bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS,
)  # fmt: skip
LOG_IN_WITH_SIGNATURE: Operation[bytes, LoginStarted] = Operation(
    name="log_in_with_signature", method=POST, path="/auth/xades-signature", success=202, request=bytes,
    response=LoginStarted, query=("verify_certificate_chain",), bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS,
)  # fmt: skip
GET_LOGIN_STATUS: Operation[None, LoginStatus] = Operation(
    name="get_login_status", method=GET, path="/auth/{reference_number}", success=200, response=LoginStatus,
    bearer=Bearer.LOGIN, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
REDEEM_TOKENS: Operation[None, TokenPair] = Operation(
    name="redeem_tokens", method=POST, path="/auth/token/redeem", success=200, response=TokenPair,
    bearer=Bearer.LOGIN, rate_group=RateGroup.ANONYMOUS,
)  # fmt: skip
REFRESH_ACCESS_TOKEN: Operation[None, AccessTokenResponse] = Operation(
    name="refresh_access_token", method=POST, path="/auth/token/refresh", success=200,
    response=AccessTokenResponse, bearer=Bearer.REFRESH, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
REVOKE_CURRENT_LOGIN: Operation[None, None] = Operation(
    # KSeF takes the refresh token here as well as the access token.
    name="revoke_current_login", method=DELETE, path="/auth/sessions/current", success=204,
    bearer=Bearer.REFRESH, rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip


GET, DELETE = HTTPMethod.GET, HTTPMethod.DELETE

LIST_AUTH_SESSIONS: Operation[None, AuthSessionPage] = Operation(
    name="list_auth_sessions", method=GET, path="/auth/sessions", success=200, response=AuthSessionPage,
    query=("page_size",), continued=True, rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
REVOKE_AUTH_SESSION: Operation[None, None] = Operation(
    name="revoke_auth_session", method=DELETE, path="/auth/sessions/{reference_number}", success=204,
    rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
