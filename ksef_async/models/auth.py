"""Login and tokens. Source: POST /auth/challenge, /auth/ksef-token, /auth/token/*; uwierzytelnianie.md."""

from __future__ import annotations

import enum
from datetime import datetime

import attrs

from .bounds import IP4_ADDRESS, IP4_MASK, IP4_RANGE, items
from .checked import ChallengeText, Identifier, Jwt
from .common import Context, OpenStrEnum, StatusInfo

__all__ = [
    "AccessTokenResponse",
    "AllowedIps",
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
    """What a login has to answer, within 10 minutes."""

    challenge: ChallengeText
    timestamp: datetime | None = None
    #: Milliseconds since 1970, truncated from ``timestamp`` by KSeF: to be used as given, never recomputed.
    timestamp_ms: int
    #: The caller's address as KSeF sees it.
    client_ip: str | None = None


@attrs.frozen(kw_only=True)
class AllowedIps:
    """IPv4 addresses from which the tokens of a login may be used; at most 10 in each list.

    Raises:
        InvalidFieldError: There are more, or one is written in another way.
    """

    #: ``"10.0.0.1"``
    ip4_addresses: tuple[str, ...] = attrs.field(default=(), validator=items(0, 10, IP4_ADDRESS))
    #: ``"10.0.0.1-10.0.0.9"``
    ip4_ranges: tuple[str, ...] = attrs.field(default=(), validator=items(0, 10, IP4_RANGE))
    #: ``"10.0.0.0/24"``
    ip4_masks: tuple[str, ...] = attrs.field(default=(), validator=items(0, 10, IP4_MASK))


@attrs.frozen
class AuthorizationPolicy:
    """Limits the login asks for itself."""

    allowed_ips: AllowedIps | None = None


class SubjectBy(enum.StrEnum):
    """How KSeF finds out who signed a login."""

    #: By the NIP or PESEL in the certificate's subject.
    CERTIFICATE_SUBJECT = "certificateSubject"
    #: By the SHA-256 of the certificate: for those whose subject has neither.
    CERTIFICATE_FINGERPRINT = "certificateFingerprint"


@attrs.frozen(kw_only=True)
class TokenLoginRequest:
    """Login with a KSeF token."""

    challenge: str
    context_identifier: Context
    #: RSA-OAEP of ``token|timestampMs`` (256 bytes for a 2048-bit key).
    encrypted_token: bytes = attrs.field(repr=False)
    public_key_id: str | None = None
    authorization_policy: AuthorizationPolicy | None = None


@attrs.frozen
class TokenInfo:
    """A JWT and when it ends."""

    token: Jwt = attrs.field(repr=False)
    #: None when KSeF does not tell, or a time that cannot be: the token is then used until it is refused.
    valid_until: datetime | None = None


@attrs.frozen
class LoginStarted:
    """A login under way: to be polled with the operation's own token."""

    reference_number: Identifier
    authentication_token: TokenInfo


class AuthenticationMethodCategory(OpenStrEnum):
    """How the login was proved."""

    XADES_SIGNATURE = "XadesSignature"
    NATIONAL_NODE = "NationalNode"
    TOKEN = "Token"
    OTHER = "Other"


@attrs.frozen
class AuthenticationMethodInfo:
    """How the login was proved, in detail."""

    category: AuthenticationMethodCategory | None = None
    code: str | None = None
    display_name: str | None = None


@attrs.frozen(kw_only=True)
class LoginStatus:
    """How far a login is."""

    #: None when KSeF does not tell.
    start_date: datetime | None = None
    #: Deprecated by KSeF (removal announced for 2026-11-16), so it may be absent.
    authentication_method: str | None = None
    authentication_method_info: AuthenticationMethodInfo | None = None
    status: StatusInfo
    is_token_redeemed: bool | None = None
    last_token_refresh_date: datetime | None = None
    refresh_token_valid_until: datetime | None = None


@attrs.frozen
class TokenPair:
    """What a successful login is redeemed for, once."""

    access_token: TokenInfo
    refresh_token: TokenInfo


@attrs.frozen
class AccessTokenResponse:
    """What a refresh gives; the refresh token stays as it was."""

    access_token: TokenInfo
