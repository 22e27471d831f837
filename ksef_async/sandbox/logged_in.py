"""KSeF tokens, proofs and logins; and the methods of logging in, in KSeF's words.

The specification shows the code of one method only, the seal; the others are inferred [INF]. Source:
uwierzytelnianie.md; tokeny-ksef.md; sesje-uwierzytelniania.md.
"""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from typing import Final

import attrs

from ..api.auth import AuthenticationMethodCategory, AuthorizationPolicy
from ..api.common import Context, StatusInfo
from ..api.tokens import TokenStatus
from ..crypto.certificates import Certificate
from ..protocol.lifecycle import LOGIN, LoginStatusCode
from ..protocol.resource_lifecycles import TOKEN as TOKEN_LIFECYCLE
from .subjects import Subject
from .timeline import Step, Timeline

__all__ = [
    "KSEF_CERTIFICATE",
    "PEPPOL_SIGNATURE",
    "QUALIFIED_SEAL",
    "QUALIFIED_SIGNATURE",
    "TOKEN",
    "Login",
    "LoginMethod",
    "SignatureProof",
    "StoredToken",
]


# --- methods ---------------------------------------------------------------------------------------------------------


@attrs.frozen
class LoginMethod:
    """A method of logging in."""

    name: str
    """The deprecated ``authenticationMethod``, which is also in every JWT (``aum``)."""
    code: str
    display_name: str
    category: AuthenticationMethodCategory = AuthenticationMethodCategory.XADES_SIGNATURE


TOKEN: Final = LoginMethod("Token", "token.ksef", "Token KSeF", AuthenticationMethodCategory.TOKEN)
KSEF_CERTIFICATE: Final = LoginMethod("InternalCertificate", "xades.internal-certificate", "Certyfikat KSeF")
QUALIFIED_SEAL: Final = LoginMethod("QualifiedSeal", "xades.qualified-seal", "Pieczęć kwalifikowana")
QUALIFIED_SIGNATURE: Final = LoginMethod("QualifiedSignature", "xades.qualified-signature", "Podpis kwalifikowany")
PEPPOL_SIGNATURE: Final = LoginMethod("PeppolSignature", "xades.peppol-signature", "Podpis dostawcy usług Peppol")


# --- proofs and logins -----------------------------------------------------------------------------------------------


@attrs.define(kw_only=True)
class StoredToken:
    """A KSeF token that was issued."""

    reference_number: str
    context: Context
    author: Subject
    permissions: tuple[str, ...]
    description: str
    created_at: datetime
    active_at: datetime
    """The time from which one can log in with it."""
    failure: str = attrs.field(init=False, default="")
    """Why it never will be; empty otherwise."""
    revoked_at: datetime | None = None
    """When somebody revoked it; None where it died because its author lost all permissions."""
    last_used_at: datetime | None = None
    timeline: Timeline[TokenStatus] = attrs.field(
        init=False, default=attrs.Factory(lambda self: Timeline(TOKEN_LIFECYCLE, self.created_at), takes_self=True)
    )

    def __attrs_post_init__(self) -> None:
        self.timeline.plan(self.created_at, Step(self.active_at, TokenStatus.ACTIVE))

    def status_at(self, now: datetime) -> TokenStatus:
        """Return its status."""
        return self.timeline.code_at(now)

    def fail(self, now: datetime, reason: str) -> None:
        """Plan that it fails in place of becoming active."""
        self.failure = reason
        self.timeline.plan(now, Step(self.active_at, TokenStatus.FAILED))

    def revoke(self, now: datetime, gone_at: datetime) -> None:
        """Revoke it: nobody can use it from ``now`` on, and the revocation is done at ``gone_at``."""
        self.revoked_at = now
        self.timeline.plan(now, Step(now, TokenStatus.REVOKING), Step(gone_at, TokenStatus.REVOKED))


@attrs.frozen(kw_only=True)
class SignatureProof:
    """The proof of a login by certificate."""

    certificate: Certificate
    document_hash: bytes
    """SHA-256 of the signed document."""
    method: LoginMethod


@attrs.define(kw_only=True)
class Login:
    """A login and, once redeemed, its auth session."""

    reference_number: str
    context: Context
    subject: Subject | None
    """None when the proof did not tell."""
    token: StoredToken | None
    """The KSeF token that proved it; None for a certificate."""
    policy: AuthorizationPolicy | None
    client_ip: str
    started_at: datetime
    signature: SignatureProof | None = None
    """None for a token."""
    is_redeemed: bool = False
    refreshed_at: datetime | None = None
    refresh_until: datetime | None = None
    timeline: Timeline[LoginStatusCode] = attrs.field(
        init=False, default=attrs.Factory(lambda self: Timeline(LOGIN, self.started_at), takes_self=True)
    )

    @property
    def is_revoked(self) -> bool:
        """Return whether its refresh token was revoked."""
        return self.timeline.last.code is LoginStatusCode.REVOKED

    def status_at(self, now: datetime) -> StatusInfo:
        """Return its status in KSeF's words."""
        return self.timeline.status_at(now)

    def decide(self, at: datetime, code: LoginStatusCode, details: tuple[str, ...] = ()) -> None:
        """Plan its outcome."""
        self.timeline.plan(self.started_at, Step(at, code, details))

    def revoke(self, now: datetime) -> None:
        """Revoke it; does nothing where it is revoked already."""
        self.timeline.observe(now, LoginStatusCode.REVOKED)

    @property
    def method(self) -> LoginMethod:
        """Return the method by which it was proved."""
        return self.signature.method if self.signature else TOKEN

    def admits(self, address: str) -> bool:
        """Return whether its tokens may be used from ``address`` (IPv4)."""
        allowed = self.policy.allowed_ips if self.policy else None
        if allowed is None:
            return True
        ip = IPv4Address(address)
        return (
            any(ip == IPv4Address(one) for one in allowed.ip4_addresses)
            or any(IPv4Address(first) <= ip <= IPv4Address(last) for first, last in map(_ends, allowed.ip4_ranges))
            or any(ip in IPv4Network(mask, strict=False) for mask in allowed.ip4_masks)
        )


def _ends(ip_range: str) -> tuple[str, str]:
    first, _, last = ip_range.partition("-")
    return first, last
