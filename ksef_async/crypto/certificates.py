"""Certificates and their keys: read from PEM, DER and PKCS#12, and what KSeF reads in them.

KSeF's rules: RSA of at least 2048 bits, or an elliptic curve of at least 256; who a certificate stands for is in its
subject. Source: uwierzytelnianie.md; podpis-xades.md.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import ssl
from datetime import datetime
from typing import Final, Literal, Protocol, TypeAlias, runtime_checkable

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from ..errors import CryptoError
from .der import without_null_parameters
from .pkcs12 import read_pkcs12

__all__ = [
    "SUBJECT_NAMES",
    "Certificate",
    "ExportableKey",
    "PrivateKey",
    "PublicKey",
    "check_key",
    "check_pair",
    "load_certificate",
    "load_certificate_of",
    "load_pkcs12",
    "load_private_key",
    "private_key_pem",
]

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

SUBJECT_NAMES: Final = {
    "country_name": NameOID.COUNTRY_NAME,
    "organization_name": NameOID.ORGANIZATION_NAME,
    "organization_identifier": NameOID.ORGANIZATION_IDENTIFIER,
    "given_name": NameOID.GIVEN_NAME,
    "surname": NameOID.SURNAME,
    "serial_number": NameOID.SERIAL_NUMBER,
    "unique_identifier": NameOID.X500_UNIQUE_IDENTIFIER,
    "common_name": NameOID.COMMON_NAME,
}
"""The parts of a subject that KSeF uses, by its own names for them."""

_SMALLEST_RSA: Final = 2048
_SMALLEST_EC: Final = 256

# What the Ministry's documentation matches subjects with.
_PESEL: Final = re.compile(r"(?:PNOPL|PESEL).*?([0-9]{11})")
_NIP: Final = re.compile(r"(?:TINPL|NIP).*?([0-9]{10})")
_SEAL_NIP: Final = re.compile(r"VATPL.*?([0-9]{10})")


@attrs.frozen(eq=False)
class Certificate:
    """A certificate, as it was issued, and what can be read in it."""

    der: bytes = attrs.field(repr=False)
    """The exact bytes."""
    readable: x509.Certificate = attrs.field(repr=False)
    """Readable where the bytes themselves are not; its encoding and signature are not to be used."""

    def __repr__(self) -> str:
        return f"<Certificate {self.fingerprint[:16]}... until {self.valid_until:%Y-%m-%d}>"

    @property
    def pem(self) -> bytes:
        """The exact bytes, in PEM."""
        # Not by `cryptography`, which may not encode what KSeF wrote wrong.
        return ssl.DER_cert_to_PEM_cert(self.der).encode("ascii")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the bytes, 64 upper-case hex digits: KSeF's name for who has no NIP or PESEL."""
        return hashlib.sha256(self.der).hexdigest().upper()

    @property
    def public_key(self) -> PublicKey:
        """The key it certifies.

        Raises:
            CryptoError: KSeF takes no such key.
        """
        try:
            return check_key(self.readable.public_key())
        except (ValueError, UnsupportedAlgorithm) as error:
            raise CryptoError("The certificate's key cannot be read.") from error

    @property
    def valid_from(self) -> datetime:
        """When it starts."""
        return self.readable.not_valid_before_utc

    @property
    def valid_until(self) -> datetime:
        """When it ends."""
        return self.readable.not_valid_after_utc

    @property
    def subject(self) -> dict[str, str]:
        """The parts of its subject that KSeF uses, by the names of `SUBJECT_NAMES`."""
        found = {}
        for name, oid in SUBJECT_NAMES.items():
            if attributes := self.readable.subject.get_attributes_for_oid(oid):
                value = attributes[0].value
                found[name] = value if isinstance(value, str) else value.hex()
        return found

    @property
    def identifier(self) -> tuple[Literal["Nip", "Pesel"], str] | None:
        """The NIP or PESEL that KSeF reads in its subject; None when there is none."""
        subject = self.subject
        number = subject.get("serial_number", "")
        if match := _PESEL.search(number):
            return "Pesel", match[1]
        if match := _NIP.search(number):
            return "Nip", match[1]
        if match := _SEAL_NIP.search(subject.get("organization_identifier", "")):
            return None if subject.keys() & {"given_name", "surname"} else ("Nip", match[1])
        return None

    @property
    def is_offline(self) -> bool:
        """True for a KSeF certificate of the type Offline: KSeF tells the types by the key's use (ksef-api#378)."""
        return (usage := self.key_usage) is not None and usage.content_commitment

    @property
    def key_usage(self) -> x509.KeyUsage | None:
        """The uses of its key; None where it does not say, or not readably."""
        try:
            return self.readable.extensions.get_extension_for_class(x509.KeyUsage).value
        except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
            return None

    def certifies(self, key: PublicKey) -> bool:
        """Return whether this is the key it is about; KSeF need not take keys of its kind."""
        try:
            return self.readable.public_key() == key
        except (ValueError, UnsupportedAlgorithm):
            return False

    def check_valid(self, now: datetime) -> None:
        """Make sure that KSeF will not refuse it for its dates.

        Raises:
            CryptoError: It has expired, or is not valid yet.
        """
        if now > self.valid_until:
            raise CryptoError(
                f"The certificate expired on {self.valid_until:%Y-%m-%d %H:%M} UTC; KSeF needs a new one."
            )
        if now < self.valid_from:
            raise CryptoError(f"The certificate is valid only from {self.valid_from:%Y-%m-%d %H:%M} UTC on.")


def load_certificate(data: bytes) -> Certificate:
    """Return a certificate in PEM (the first, where there are several) or DER.

    Raises:
        CryptoError: It cannot be read.
    """
    return _load_der(_pem_blocks(data)[0] if _is_pem(data) else data, len(data))


def load_certificate_of(data: bytes, key: PublicKey) -> Certificate:
    """Return the certificate in PEM or DER that certifies a public key; authorities may stand before it, in any order.

    Raises:
        CryptoError: There is none, or it cannot be read.
    """
    if not _is_pem(data):
        certificate = _load_der(data, len(data))
        check_pair(certificate, key)
        return certificate
    unreadable: CryptoError | None = None
    for der in _pem_blocks(data):
        try:
            certificate = _load_der(der, len(data))
            if certificate.certifies(key):
                return certificate
        except CryptoError as error:
            # An authority may have a key that KSeF takes from nobody.
            unreadable = unreadable or error
    if unreadable is not None:
        raise unreadable
    raise CryptoError("The private key is not the certificate's: they do not belong together.")


def _is_pem(data: bytes) -> bool:
    return b"-----BEGIN" in data


def _load_der(der: bytes, size: int) -> Certificate:
    try:
        certificate = Certificate(der, x509.load_der_x509_certificate(_repaired(der)))
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise CryptoError(f"The certificate cannot be read: {size} bytes, neither PEM nor DER.") from error
    try:
        _ = certificate.subject, certificate.valid_from, certificate.valid_until  # read only when asked for
    except (ValueError, TypeError, KeyError) as error:
        raise CryptoError("The certificate's subject or dates cannot be read.") from error
    return certificate


def _repaired(der: bytes) -> bytes:
    # Before `cryptography` looks at it: up to 48 it complains of what KSeF wrote wrong, and from 49 on it refuses it.
    try:
        return without_null_parameters(der)
    except ValueError:
        return der  # whatever it is, it is not that


def _pem_blocks(data: bytes) -> list[bytes]:
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", data, re.DOTALL)
    if not blocks:
        raise CryptoError("There is no certificate in this PEM.")
    try:
        return [binascii.a2b_base64(b"".join(block.split()), strict_mode=True) for block in blocks]
    except binascii.Error as error:
        raise CryptoError("The certificate's PEM is damaged.") from error


def load_private_key(data: bytes, password: bytes | None = None) -> PrivateKey:
    """Return a private key in PEM or DER; with a password it may take tenths of a second.

    Raises:
        CryptoError: The password is wrong, missing or needless; or it is no key that KSeF takes.
    """
    load = serialization.load_pem_private_key if b"-----BEGIN" in data else serialization.load_der_private_key
    try:
        key = load(data, password)
    except TypeError as error:
        needed = "is encrypted: give its password" if password is None else "is not encrypted: give no password"
        raise CryptoError(f"The private key {needed}.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        wrong = "" if password is None else "the password is wrong, or "
        raise CryptoError(
            f"The private key cannot be read: {wrong}it is neither PEM nor DER of a known kind."
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise CryptoError(f"KSeF takes RSA and EC keys, not {type(key).__name__}.")
    check_key(key.public_key())
    return key


@runtime_checkable
class ExportableKey(Protocol):
    """A private key that can be written into a file, as those of `cryptography` can and a card's cannot."""

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        form: serialization.PrivateFormat,
        encryption: serialization.KeySerializationEncryption,
        /,
    ) -> bytes:
        """Return the key."""
        ...


def private_key_pem(key: ExportableKey, password: bytes | None = None) -> bytes:
    """Return a private key in PEM (PKCS#8), encrypted where there is a password."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def load_pkcs12(data: bytes, password: bytes | None = None) -> tuple[Certificate, PrivateKey]:
    """Return the key in a PKCS#12 file (.p12, .pfx) and its certificate; may take tenths of a second.

    Raises:
        CryptoError: The password is wrong, or there is no key with its certificate that KSeF takes.
    """
    try:
        key, certificates = _read_pkcs12(data, password)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CryptoError(
            "The PKCS#12 file cannot be read: its password is wrong, it is damaged, or it is of an unknown kind."
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise CryptoError("The PKCS#12 file has no RSA or EC key.")
    public_key = check_key(key.public_key())
    loaded = [load_certificate(certificate) for certificate in certificates]
    # Those of its issuers may be in the file too.
    own = next((certificate for certificate in loaded if certificate.certifies(public_key)), None)
    if own is None:
        raise CryptoError("The PKCS#12 file has no certificate of its key.")
    return own, key


def _read_pkcs12(data: bytes, password: bytes | None) -> tuple[object, list[bytes]]:
    try:
        key, certificate, more = pkcs12.load_key_and_certificates(data, password)
    except ValueError:
        # The password is wrong; or it is right, and there is a certificate that only we read.
        return read_pkcs12(data, password or b"")
    return key, [each.public_bytes(serialization.Encoding.DER) for each in (certificate, *more) if each is not None]


def check_key(key: object) -> PublicKey:
    """``key``, if KSeF takes keys of its kind and size.

    Raises:
        CryptoError: It does not.
    """
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _SMALLEST_RSA:
            raise CryptoError(f"KSeF takes RSA keys from {_SMALLEST_RSA} bits on; this one has {key.key_size}.")
        return key
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.key_size < _SMALLEST_EC:
            raise CryptoError(f"KSeF takes EC keys from {_SMALLEST_EC} bits on; this one has {key.key_size}.")
        return key
    raise CryptoError(f"KSeF takes RSA and EC keys, not {type(key).__name__}.")


def check_pair(certificate: Certificate, key: PublicKey) -> None:
    """Make sure that a key is the one that a certificate certifies.

    Raises:
        CryptoError: It is another.
    """
    if not certificate.certifies(key):
        raise CryptoError("The private key is not the certificate's: they do not belong together.")
