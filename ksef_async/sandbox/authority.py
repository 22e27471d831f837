"""The sandbox's own certification authority: certificates it has issued, and applications for them.

Source: certyfikaty-KSeF.md; ksef-api#378 (names and key usage).
"""

from __future__ import annotations

import secrets
from collections.abc import Container
from datetime import datetime, timedelta
from typing import Final

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ..api.certificates import CertificateStatus, CertificateType, EnrollmentData, RevocationReason
from ..api.common import StatusInfo, SubjectIdentifier
from ..crypto.certificates import Certificate, PublicKey, load_certificate
from ..crypto.issuing import build_name
from ..protocol.lifecycle import ENROLLMENT, EnrollmentStatusCode
from ..protocol.resource_lifecycles import CERTIFICATE
from .timeline import Step, Timeline

__all__ = ["LIFETIME", "Authority", "CertificateApplication", "IssuedCertificate", "without_ending"]


LIFETIME: Final = timedelta(days=730)
"""A KSeF certificate is good for two years."""
_NAME: Final = {
    "country_name": "PL",
    "organization_name": "ksef_async sandbox",
    "common_name": "SYMULATOR CA - nie Ministerstwo Finansów",
}
# How the common name ends, and what the key may be used for, by the type of the certificate.
_ENDINGS: Final = {"Authentication": " (uwierzytelnienie)", "Offline": " (offline)"}
_USAGE: Final = {"Authentication": "digital_signature", "Offline": "content_commitment"}
_USAGES: Final = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip
# Characters of a common name (X.520).
_LONGEST_NAME: Final = 64


@attrs.define(kw_only=True)
class IssuedCertificate:
    """A certificate that the sandbox issued, with its present state."""

    serial_number: str
    name: str
    type: CertificateType
    certificate: Certificate
    owner: SubjectIdentifier
    valid_from: datetime
    valid_until: datetime
    requested_at: datetime
    issued_at: datetime
    """Nobody knows of it before."""
    reason: RevocationReason | None = None
    last_used_at: datetime | None = None
    timeline: Timeline[CertificateStatus] = attrs.field(
        init=False, default=attrs.Factory(lambda self: Timeline(CERTIFICATE, self.requested_at), takes_self=True)
    )

    def __attrs_post_init__(self) -> None:
        self._expire(self.requested_at)

    def status_at(self, now: datetime) -> CertificateStatus:
        """Return its status."""
        return self.timeline.code_at(now)

    def end_at(self, now: datetime, valid_until: datetime) -> None:
        """Change the time at which it expires."""
        self.valid_until = valid_until
        if self.status_at(now) is CertificateStatus.ACTIVE:
            self._expire(now)

    def _expire(self, now: datetime) -> None:
        # It is good for the whole of its last moment.
        self.timeline.plan(now, Step(self.valid_until + datetime.resolution, CertificateStatus.EXPIRED))

    def revoke(self, now: datetime, revoked_at: datetime, reason: RevocationReason) -> None:
        """Block it at once, and plan that it is revoked at ``revoked_at``."""
        self.reason = reason
        self.timeline.plan(now, Step(now, CertificateStatus.BLOCKED), Step(revoked_at, CertificateStatus.REVOKED))


@attrs.define(kw_only=True)
class CertificateApplication:
    """An application for a certificate."""

    reference_number: str
    owner: SubjectIdentifier
    requested_at: datetime
    decided_at: datetime
    issued: IssuedCertificate | None
    """The certificate; None when the application is rejected."""
    rejection: str = ""
    timeline: Timeline[EnrollmentStatusCode] = attrs.field(
        init=False, default=attrs.Factory(lambda self: Timeline(ENROLLMENT, self.requested_at), takes_self=True)
    )

    def __attrs_post_init__(self) -> None:
        issued = Step(self.decided_at, EnrollmentStatusCode.ISSUED)
        rejected = Step(self.decided_at, EnrollmentStatusCode.REJECTED, (self.rejection,))
        self.timeline.plan(self.requested_at, issued if self.issued else rejected)

    def status_at(self, now: datetime) -> StatusInfo:
        """Return its status in KSeF's words."""
        return self.timeline.status_at(now)


class Authority:
    """Issues certificates and keeps their records.

    Args:
        now: From when on it is one.
    """

    def __init__(self, now: datetime) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = build_name(_NAME)
        start = now - timedelta(days=1)
        self.certificate = self._sign(self._name, self._key.public_key(), start, LIFETIME * 5, usage="key_cert_sign")
        self.issued: dict[str, IssuedCertificate] = {}
        """By their serial numbers, those of applications still under way included."""
        self.enrollments: dict[str, CertificateApplication] = {}
        """By their reference numbers."""

    def issue(
        self, subject: EnrollmentData, key: PublicKey, valid_from: datetime, purpose: CertificateType
    ) -> tuple[str, Certificate]:
        """Return a certificate for two years, and its serial number in 16 hex digits.

        What it is for stands in its common name and in its key usage, which is critical (ksef-api#378).
        """
        number = f"01{secrets.token_hex(7).upper()}"
        name = build_name({**attrs.asdict(subject), "common_name": _with_ending(subject.common_name, purpose)})
        return number, self._sign(name, key, valid_from, LIFETIME, int(number, 16), usage=_USAGE[purpose.value])

    def find(self, certificate: Certificate, now: datetime) -> IssuedCertificate | None:
        """Return the record of a certificate; None for one that was not issued here."""
        issued = self.issued.get(f"{certificate.readable.serial_number:016X}")
        if issued is None or issued.certificate.der != certificate.der or now < issued.issued_at:
            return None
        return issued

    def claims_to_have_issued(self, certificate: Certificate) -> bool:
        """Return whether a certificate names this authority as its issuer."""
        return certificate.readable.issuer == self._name

    def has_issued(self, certificate: Certificate) -> bool:
        """Return whether a certificate bears this authority's signature."""
        try:
            certificate.readable.verify_directly_issued_by(self.certificate.readable)
        except (InvalidSignature, ValueError, TypeError):
            return False
        return True

    def owned_by(self, names: Container[SubjectIdentifier]) -> list[IssuedCertificate]:
        """Return the certificates of a subject under any of its identifiers, newest first."""
        return [issued for issued in reversed(self.issued.values()) if issued.owner in names]

    def certified(self, key: PublicKey) -> IssuedCertificate | None:
        """Return the certificate of a key."""
        return next((one for one in self.issued.values() if one.certificate.public_key == key), None)

    def _sign(
        self,
        name: x509.Name,
        key: PublicKey,
        start: datetime,
        lifetime: timedelta,
        number: int | None = None,
        *,
        usage: str,
    ) -> Certificate:
        start = start.replace(microsecond=0)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(number or x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + lifetime)
            .add_extension(x509.BasicConstraints(ca=usage == "key_cert_sign", path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**{each: each == usage for each in _USAGES}), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        return load_certificate(certificate.public_bytes(serialization.Encoding.DER))


def without_ending(common_name: str) -> str:
    """Return a common name without the ending of an issued certificate; an application has the name without it."""
    for ending in _ENDINGS.values():
        common_name = common_name.removesuffix(ending)
    return common_name


def _with_ending(common_name: str, purpose: CertificateType) -> str:
    ending = _ENDINGS[purpose.value]
    return f"{common_name[: _LONGEST_NAME - len(ending)].rstrip()}{ending}"
