"""The Ministry's public keys: fetched, chosen, kept for some hours, fetched again when KSeF rotates them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import anyio
import anyio.to_thread
import attrs
from cryptography.hazmat.primitives.asymmetric import rsa

from ..api.keys import LIST_PUBLIC_KEYS, EncryptionInfo, PublicKeyCertificate, PublicKeyUsage
from ..crypto.envelope import load_public_key, new_key, rsa_encrypt
from ..errors import BadRequestError, CryptoError
from ..protocol.error_codes import ErrorCode
from .caller import Caller

__all__ = ["PublicKey", "PublicKeys", "choose_certificate", "wrap_new_key"]

T = TypeVar("T")

MAX_AGE = timedelta(hours=6)
"""KSeF announces a planned rotation long before; an emergency shows as 21470."""


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@attrs.frozen
class PublicKey:
    """A key of the Ministry, ready for use."""

    public_key_id: str | None
    """What requests name it by, so that KSeF tries this key and no other; None before version 2.5 of the API."""
    key: rsa.RSAPublicKey = attrs.field(repr=False)


def choose_certificate(
    certificates: Sequence[PublicKeyCertificate], usage: PublicKeyUsage, now: datetime
) -> PublicKeyCertificate:
    """Return the certificate to encrypt with: right usage, valid now, newest ``valid_from``.

    Raises:
        CryptoError: There is none.
    """
    valid = [c for c in certificates if usage in c.usage and (c.valid_from or now) <= now <= (c.valid_to or now)]
    if not valid:
        raise CryptoError(
            f"None of KSeF's {len(certificates)} certificates serves {usage} at {now:%Y-%m-%d %H:%M} UTC."
        )
    return max(valid, key=lambda c: c.valid_from or _LONG_AGO)


class PublicKeys:
    """The keys of one environment; safe to use from many tasks.

    Args:
        api: Where to ask; no login is needed.
    """

    def __init__(self, api: Caller) -> None:
        self._api = api
        self._lock = anyio.Lock()
        self._certificates: tuple[PublicKeyCertificate, ...] = ()
        self._fetched_at: datetime | None = None

    async def get(self, usage: PublicKeyUsage) -> PublicKey:
        """Return the key to encrypt with for ``usage``.

        Raises:
            CryptoError: KSeF offers no usable key.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.
        """
        async with self._lock:
            now = self._api.now()
            if self._fetched_at is None or now - self._fetched_at > MAX_AGE:
                self._certificates = await self._api.call(LIST_PUBLIC_KEYS)
                self._fetched_at = now = self._api.now()
        try:
            certificate = choose_certificate(self._certificates, usage, now)
            # The first one loads all that reads certificates, which takes long enough to hold up an event loop.
            key = await anyio.to_thread.run_sync(load_public_key, certificate.certificate)
        except CryptoError:
            # A list that is of no use must not stand for hours: KSeF may give a better one the next time.
            self.forget()
            raise
        return PublicKey(certificate.public_key_id, key)

    async def use(self, usage: PublicKeyUsage, request: Callable[[PublicKey], Awaitable[T]]) -> T:
        """Make ``request`` with a key; when KSeF has withdrawn the key since it was fetched (21470), once more.

        Raises:
            KsefError: As `get`, and whatever ``request`` raises.
        """
        try:
            return await request(await self.get(usage))
        except BadRequestError as error:
            if error.code != ErrorCode.UNKNOWN_PUBLIC_KEY:
                raise
        self.forget()
        return await request(await self.get(usage))

    def forget(self) -> None:
        """Fetch the keys anew when they are wanted next: KSeF has withdrawn one (21470)."""
        self._fetched_at = None


def wrap_new_key(public_key: PublicKey) -> EncryptionInfo:
    """Return a fresh session key (AES-256, 32 bytes; vector 16 bytes), wrapped for the Ministry."""
    key, iv = new_key()
    return EncryptionInfo(
        encrypted_symmetric_key=rsa_encrypt(public_key.key, key),
        initialization_vector=iv,
        public_key_id=public_key.public_key_id,
        symmetric_key=key,
    )
