"""The Ministry's public keys, and the session key wrapped for it. Source: GET /security/public-key-certificates."""

from __future__ import annotations

from datetime import datetime
from http import HTTPMethod

import attrs

from .common import OpenStrEnum
from .operation import Bearer, Operation, RateGroup

__all__ = ["LIST_PUBLIC_KEYS", "EncryptionInfo", "PublicKeyCertificate", "PublicKeyUsage"]


class PublicKeyUsage(OpenStrEnum):
    """The purpose of a public key."""

    KSEF_TOKEN_ENCRYPTION = "KsefTokenEncryption"
    SYMMETRIC_KEY_ENCRYPTION = "SymmetricKeyEncryption"


@attrs.frozen(kw_only=True)
class PublicKeyCertificate:
    """A certificate of the Ministry with the key to encrypt for."""

    certificate: bytes = attrs.field(repr=False)
    """X.509, DER."""
    certificate_id: str | None = None
    """Base64 of SHA-256 of the DER; changes when the same key is certified again."""
    public_key_id: str | None = None
    """Base64 of SHA-256 of the SubjectPublicKeyInfo (44 characters); names the key in requests."""
    valid_from: datetime | None = None
    """None when KSeF does not tell: it is then taken to be valid."""
    valid_to: datetime | None = None
    """None when KSeF does not tell: it is then taken to be valid."""
    usage: tuple[PublicKeyUsage, ...]


@attrs.frozen(kw_only=True)
class EncryptionInfo:
    """A session's AES key: as KSeF gets it, and as we use it.

    `SessionManager.new_encryption()` makes one; it can also be brought along.
    """

    encrypted_symmetric_key: bytes = attrs.field(repr=False)
    """The AES key, RSA-OAEP (SHA-256, MGF1-SHA-256) for the Ministry (256 bytes for a 2048-bit key)."""
    initialization_vector: bytes = attrs.field(repr=False)
    """16 bytes; the same for every invoice of the session, never put before the ciphertext."""
    public_key_id: str | None = None
    """Which of the Ministry's keys wrapped it. Without it KSeF tries an old one and fails only later (415)."""
    symmetric_key: bytes = attrs.field(default=b"", repr=False, metadata={"local": True})
    """The plain AES-256 key (32 bytes). It never leaves this process."""


GET = HTTPMethod.GET

LIST_PUBLIC_KEYS: Operation[None, tuple[PublicKeyCertificate, ...]] = Operation(
    name="list_public_keys", method=GET, path="/security/public-key-certificates", success=200,
    response=tuple[PublicKeyCertificate, ...],
    bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
