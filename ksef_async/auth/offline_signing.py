"""Who vouches for an invoice issued offline: a KSeF certificate of the type Offline, and the link it signs (KOD II).

Source: kody-qr.md, section 2; certyfikaty-KSeF.md.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Self, TypeAlias

import anyio
import anyio.to_thread
import attrs

from ..api.common import Context
from ..api.environment import Environment
from ..crypto.certificates import (
    Certificate,
    load_certificate,
    load_certificate_of,
    load_pkcs12,
    load_private_key,
)
from ..crypto.link_signatures import as_link_signature, link_algorithm, sign_link
from ..errors import CryptoError, LocalProtocolError
from ..protocol.verification_links import InvoiceFingerprint, certificate_link_to_sign, signed_certificate_link

if TYPE_CHECKING:
    from ..crypto.xades import SigningKey

__all__ = ["LinkSignHook", "OfflineSigner", "certificate_link"]

LinkSignHook: TypeAlias = Callable[[bytes, str], Awaitable[bytes] | bytes]
"""Signs bytes by an algorithm: ``rsa-pss-sha256`` (MGF1 with SHA-256, salt of 32 bytes) or ``ecdsa-sha256`` (P-256).

An ECDSA signature may be DER or ``R||S``. One that is no coroutine function is called on the event loop, so it must be
quick.
"""


@attrs.frozen(kw_only=True, eq=False)
class OfflineSigner:
    """A KSeF certificate of the type Offline and its key, or a hook that signs.

    Made by `from_bytes`, `from_files`, `from_pkcs12`, `from_key` or `from_hook`.

    Args:
        certificate: Issued by KSeF, of the type Offline.
        key: Its key, or what signs like those of `cryptography`; it is called in a worker thread.
        hook: Signs in place of ``key``, and may wait for a card, a PIN or another machine.

    Raises:
        CryptoError: The certificate is of another type, or its key is none that KSeF certifies.
        LocalProtocolError: Neither or both of ``key`` and ``hook``.
    """

    certificate: Certificate
    key: SigningKey | None = attrs.field(default=None, repr=False)
    hook: LinkSignHook | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        if (self.key is None) is (self.hook is None):
            raise LocalProtocolError("An OfflineSigner needs either a key or a hook that signs.")
        link_algorithm(self.certificate.public_key)
        _check_type(self.certificate)

    @property
    def serial_number(self) -> str:
        """The certificate's serial number as KSeF gives it: 16 hex digits in capitals."""
        return f"{self.certificate.readable.serial_number:016X}"

    @classmethod
    def from_bytes(cls, certificate: bytes | str, key: bytes | str, *, password: str | bytes | None = None) -> Self:
        """From a certificate and its private key, each PEM or DER; a PEM may hold other certificates as well.

        With a ``password`` it may take tenths of a second: call it before the event loop runs, or in a thread.

        Raises:
            CryptoError: One of them cannot be read, the password is wrong, they do not belong together, or the
                certificate is not of the type Offline.
        """
        private_key = load_private_key(_bytes(key), None if password is None else _bytes(password))
        return cls(certificate=load_certificate_of(_bytes(certificate), private_key.public_key()), key=private_key)

    @classmethod
    def from_pkcs12(cls, data: bytes, password: str | bytes | None = None) -> Self:
        """From a PKCS#12 file (.p12, .pfx); may take tenths of a second, as `from_bytes`.

        Raises:
            CryptoError: The password is wrong, there is no key with its certificate, or the certificate is not of the
                type Offline.
        """
        certificate, key = load_pkcs12(data, None if password is None else _bytes(password))
        return cls(certificate=certificate, key=key)

    @classmethod
    async def from_files(
        cls,
        certificate: str | os.PathLike[str],
        key: str | os.PathLike[str] | None = None,
        *,
        password: str | bytes | None = None,
    ) -> Self:
        """From files: certificate and key (PEM or DER); or one file of both, PEM or PKCS#12, without ``key``.

        Raises:
            OSError: A file cannot be read.
            CryptoError: As `from_bytes` and `from_pkcs12`.
        """
        data = await anyio.Path(certificate).read_bytes()
        if key is None and b"-----BEGIN" not in data:
            return await anyio.to_thread.run_sync(partial(cls.from_pkcs12, data, password))
        key_data = data if key is None else await anyio.Path(key).read_bytes()
        return await anyio.to_thread.run_sync(partial(cls.from_bytes, data, key_data, password=password))

    @classmethod
    def from_key(cls, certificate: bytes | str, key: SigningKey) -> Self:
        """From a certificate (as for `from_bytes`) and a key at hand: one of `cryptography`, or what signs like it.

        Raises:
            CryptoError: The certificate cannot be read, is not of the type Offline, or the key is not its own.
        """
        # Of other keys, the first signature tells.
        if (public_key := getattr(key, "public_key", None)) is not None:
            loaded = load_certificate_of(_bytes(certificate), public_key())
        else:
            loaded = load_certificate(_bytes(certificate))
        return cls(certificate=loaded, key=key)

    @classmethod
    def from_hook(cls, certificate: bytes | str, hook: LinkSignHook) -> Self:
        """From a certificate (PEM or DER) whose key is elsewhere: on a smart card, in an HSM, behind a service.

        Where a PEM holds several certificates, the first one is taken.

        What ``hook`` raises comes out of `certificate_link` as it is; a signature of another key is a `CryptoError`.

        Raises:
            CryptoError: The certificate cannot be read, or is not of the type Offline.
        """
        return cls(certificate=load_certificate(_bytes(certificate)), hook=hook)

    async def sign(self, data: bytes, *, now: datetime | None = None) -> bytes:
        """Return the signature of a link's text, as it goes into the link.

        Args:
            data: What `certificate_link_to_sign` returns, as bytes.
            now: What time it is; by default this machine's.

        Raises:
            CryptoError: The certificate has expired or is not valid yet, or the signature is not of its key.
        """
        self.certificate.check_valid(now or datetime.now(UTC))
        public_key = self.certificate.public_key
        if self.key is not None:
            return await anyio.to_thread.run_sync(sign_link, self.key, public_key, data)
        if self.hook is None:
            raise LocalProtocolError("There is neither a key nor a hook that signs.")
        signature = self.hook(data, link_algorithm(public_key))
        if inspect.isawaitable(signature):
            signature = await signature
        return as_link_signature(signature, public_key, data)


async def certificate_link(
    invoice: bytes | InvoiceFingerprint,
    signer: OfflineSigner,
    context: Context,
    environment: Environment,
    *,
    now: datetime | None = None,
) -> str:
    """Return the link of KOD II, at which anybody can see who issued an invoice offline.

    Args:
        invoice: The file exactly as it is sent; or what is known of it.
        signer: The certificate of the type Offline, and its key.
        context: On whose behalf the invoice is issued, e.g. ``Context(ContextType.NIP, "5265877635")``.
        environment: Where it is sent.
        now: What time it is, for the certificate's dates; by default this machine's.

    Raises:
        LocalProtocolError: The file cannot be read; see `InvoiceFingerprint.of`.
        CryptoError: The certificate has expired or is not valid yet, or the signature is not of its key.

    Source: kody-qr.md, section 2.
    """
    text = certificate_link_to_sign(invoice, context, signer.serial_number, environment)
    return signed_certificate_link(text, await signer.sign(text.encode("ascii"), now=now), environment)


def _check_type(certificate: Certificate) -> None:
    """Refuse what is no certificate of the type Offline."""
    if not certificate.is_offline:
        usage = certificate.key_usage
        known = "of the type Authentication, for logging in" if usage and usage.digital_signature else "none of KSeF's"
        raise CryptoError(
            f"Only a KSeF certificate of the type Offline signs verification codes; this one is {known}. "
            "Apply for one: `ksef-async certificate FILE --type offline`, or client.certificates.renew(...)."
        )


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text
