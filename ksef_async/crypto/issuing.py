"""New keys, certificates that sign themselves (KSeF takes them on TEST only), and requests for certificates.

Source: auth/testowe-certyfikaty-i-podpisy-xades.md; certyfikaty-KSeF.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ..errors import CryptoError
from .certificates import SUBJECT_NAMES, Certificate, PrivateKey, load_certificate

__all__ = [
    "LIFETIME",
    "KeyKind",
    "build_csr",
    "build_name",
    "new_private_key",
    "self_signed",
    "self_signed_person",
    "self_signed_seal",
]

KeyKind: TypeAlias = Literal["ec", "rsa"]
"""P-256 and RSA with 2048 bits: what KSeF certifies."""

LIFETIME: Final = 730 * 24 * 3600.0
"""As long as KSeF's own certificates last."""


def new_private_key(kind: KeyKind = "ec") -> PrivateKey:
    """Return a new key; an RSA one takes tenths of a second."""
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def build_name(parts: Mapping[str, str | None]) -> x509.Name:
    """Return a subject; ``parts`` by the names of `certificates.SUBJECT_NAMES`, those that are None left out.

    Raises:
        CryptoError: A part cannot be written in a subject.
    """
    try:
        return x509.Name(
            [x509.NameAttribute(oid, parts[name] or "") for name, oid in SUBJECT_NAMES.items() if parts.get(name)]
        )
    except ValueError as error:
        raise CryptoError(f"This cannot be written as a certificate's subject: {error}.") from error


def self_signed(
    subject: Mapping[str, str | None],
    key: PrivateKey,
    *,
    valid_from: datetime | None = None,
    lifetime: float = LIFETIME,
) -> Certificate:
    """Return a certificate that vouches for itself, from an hour ago unless ``valid_from`` says otherwise."""
    name = build_name(subject)
    start = valid_from or datetime.now(UTC) - timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(seconds=lifetime))
        .sign(key, hashes.SHA256())
    )
    return load_certificate(certificate.public_bytes(serialization.Encoding.DER))


def self_signed_seal(
    nip: str,
    key: PrivateKey,
    *,
    name: str = "Test",
    valid_from: datetime | None = None,
    lifetime: float = LIFETIME,
) -> Certificate:
    """Return a company's seal for TEST: its NIP is in the organization identifier."""
    subject = {
        "country_name": "PL",
        "organization_name": name,
        "organization_identifier": f"VATPL-{nip}",
        "common_name": name,
    }
    return self_signed(subject, key, valid_from=valid_from, lifetime=lifetime)


def self_signed_person(
    key: PrivateKey,
    *,
    pesel: str | None = None,
    nip: str | None = None,
    given_name: str = "Jan",
    surname: str = "Test",
    valid_from: datetime | None = None,
    lifetime: float = LIFETIME,
) -> Certificate:
    """Return a person's certificate for TEST: the PESEL or the NIP is in the subject's serial number.

    Raises:
        CryptoError: Neither or both of ``pesel`` and ``nip``.
    """
    if (pesel is None) is (nip is None):
        raise CryptoError("A person's certificate has either a PESEL or a NIP.")
    subject = {
        "country_name": "PL",
        "given_name": given_name,
        "surname": surname,
        "serial_number": f"PNOPL-{pesel}" if pesel else f"TINPL-{nip}",
        "common_name": f"{given_name} {surname}",
    }
    return self_signed(subject, key, valid_from=valid_from, lifetime=lifetime)


def build_csr(subject: Mapping[str, str | None], key: PrivateKey) -> bytes:
    """Return a request for a certificate (PKCS#10, DER).

    Args:
        subject: By the names of `certificates.SUBJECT_NAMES`; for KSeF, exactly what its enrolment data say.
        key: What is to be certified.

    Raises:
        CryptoError: A part cannot be written in a subject.
    """
    request = x509.CertificateSigningRequestBuilder().subject_name(build_name(subject)).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)
