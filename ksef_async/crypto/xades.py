"""XAdES signatures in a document (enveloped, BES): made by signxml, and completed by whoever has the key.

Inclusive C14N 1.1, because signxml's exclusive form leaves out a transform and does not verify; SHA-256 for every
digest; ECDSA as raw ``R||S``. The document is written once, after the signature is in it. Needs the extra ``xades``;
importing it takes a quarter of a second, so import this module late and in a worker thread. Source: podpis-xades.md.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import attrs
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureConstructionMethod, SignatureMethod
from signxml.xades.xades import XAdESSigner

from ..errors import CryptoError
from .certificates import Certificate, PublicKey

__all__ = ["SigningKey", "UnsignedDocument", "ds_tag", "prepare", "sign_with_key", "xades_tag"]

_DS: Final = "http://www.w3.org/2000/09/xmldsig#"
_XADES: Final = "http://uri.etsi.org/01903/v1.3.2#"

_METHODS: Final = {
    "rsa-sha256": (SignatureMethod.RSA_SHA256, hashes.SHA256()),
    "ecdsa-sha256": (SignatureMethod.ECDSA_SHA256, hashes.SHA256()),
    "ecdsa-sha384": (SignatureMethod.ECDSA_SHA384, hashes.SHA384()),
    "ecdsa-sha512": (SignatureMethod.ECDSA_SHA512, hashes.SHA512()),
}


class SigningKey(Protocol):
    """A key that signs like those of `cryptography`: a smart card's or an HSM's may stand in for it."""

    @property
    def sign(self) -> Any:  # RSA: (data, *, padding, algorithm); EC: (data, *, signature_algorithm)
        """Sign."""
        ...


@attrs.frozen
class UnsignedDocument:
    """A document in which all is ready but the value of its signature."""

    to_sign: bytes = attrs.field(repr=False)
    """What is to be signed: hashed by the signing algorithm, not before."""
    algorithm: str
    """``rsa-sha256`` (PKCS#1 v1.5), ``ecdsa-sha256``, ``ecdsa-sha384`` or ``ecdsa-sha512``."""
    _public_key: PublicKey = attrs.field(repr=False)
    _root: etree._Element = attrs.field(repr=False)

    def complete(self, signature: bytes) -> bytes:
        """Return the signed document, UTF-8.

        Args:
            signature: Of `to_sign`; by an EC key as DER or as ``R||S``.

        Raises:
            CryptoError: It was not made with the certificate's key and this algorithm.
        """
        value = self._checked(signature)
        for node in self._root.iter(ds_tag("SignatureValue")):
            node.text = b64encode(value).decode("ascii")
        return etree.tostring(self._root, xml_declaration=True, encoding="UTF-8")

    def _checked(self, signature: bytes) -> bytes:
        digest = _METHODS[self.algorithm][1]
        for value, verifiable in _forms(self._public_key, signature):
            try:
                if isinstance(self._public_key, rsa.RSAPublicKey):
                    self._public_key.verify(verifiable, self.to_sign, padding.PKCS1v15(), digest)
                else:
                    self._public_key.verify(verifiable, self.to_sign, ec.ECDSA(digest))
            except InvalidSignature:
                continue
            return value
        raise CryptoError(
            "The signature does not fit the certificate: it was made with another key, or not by "
            f"{self.algorithm} (a signature of {len(signature)} bytes)."
        )


def ds_tag(name: str) -> str:
    """Return the tag of an element of XML Signature."""
    return f"{{{_DS}}}{name}"


def xades_tag(name: str) -> str:
    """Return the tag of an element of XAdES."""
    return f"{{{_XADES}}}{name}"


def prepare(root: etree._Element, certificate: Certificate, signing_time: datetime) -> UnsignedDocument:
    """Put a signature without its value into a document.

    Args:
        root: Of the document; a copy is signed.
        certificate: Of whoever signs.
        signing_time: What the signature says of when it was made.

    Raises:
        CryptoError: KSeF takes no such key.
    """
    algorithm = _algorithm_for(certificate.public_key)
    recorder = _Recorder(certificate.public_key)
    signer = _Signer(_METHODS[algorithm][0], certificate, signing_time)
    # The certificate goes in as it is: signxml would have to read it, and cannot read some that KSeF issued.
    signed = signer.sign(root, key=recorder, key_info=_key_info(certificate), always_add_key_value=False)  # type: ignore[arg-type]  # duck-typed, as signxml documents
    return UnsignedDocument(recorder.seen, algorithm, certificate.public_key, signed)


def sign_with_key(key: SigningKey, document: UnsignedDocument) -> bytes:
    """Return the signature of ``document.to_sign``, as ``key`` gives it."""
    digest = _METHODS[document.algorithm][1]
    if document.algorithm.startswith("rsa"):
        signature: bytes = key.sign(document.to_sign, padding=padding.PKCS1v15(), algorithm=digest)
    else:
        signature = key.sign(document.to_sign, signature_algorithm=ec.ECDSA(digest))
    return signature


def _algorithm_for(key: PublicKey) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        return "rsa-sha256"
    sizes = {256: "ecdsa-sha256", 384: "ecdsa-sha384", 521: "ecdsa-sha512"}
    if key.key_size not in sizes:
        raise CryptoError(f"KSeF takes signatures by P-256, P-384 and P-521, not by {key.curve.name}.")
    return sizes[key.key_size]


def _forms(key: PublicKey, signature: bytes) -> list[tuple[bytes, bytes]]:
    """What a signature may be: as it is written in XML, and as `cryptography` verifies it."""
    if isinstance(key, rsa.RSAPublicKey):
        return [(signature, signature)]
    size = (key.key_size + 7) // 8
    forms = []
    if len(signature) == 2 * size:
        r, s = (int.from_bytes(half, "big") for half in (signature[:size], signature[size:]))
        forms.append((signature, utils.encode_dss_signature(r, s)))
    try:
        r, s = utils.decode_dss_signature(signature)
        forms.append((r.to_bytes(size, "big") + s.to_bytes(size, "big"), signature))
    except (ValueError, OverflowError):
        pass
    return forms


def _key_info(certificate: Certificate) -> etree._Element:
    key_info = etree.Element(ds_tag("KeyInfo"), nsmap={"ds": _DS})
    data = etree.SubElement(key_info, ds_tag("X509Data"))
    etree.SubElement(data, ds_tag("X509Certificate")).text = b64encode(certificate.der).decode("ascii")
    return key_info


class _Recorder:
    """In place of a key: keeps what is to be signed, so that it can be signed anywhere, even by waiting."""

    def __init__(self, key: PublicKey) -> None:
        self.key_size = key.key_size
        self._is_rsa = isinstance(key, rsa.RSAPublicKey)
        self.seen = b""

    def sign(self, data: bytes, **_: object) -> bytes:
        self.seen = data
        return b"" if self._is_rsa else utils.encode_dss_signature(1, 1)


class _Signer(XAdESSigner):
    def __init__(self, method: SignatureMethod, certificate: Certificate, signing_time: datetime) -> None:
        super().__init__(
            method=SignatureConstructionMethod.enveloped,
            signature_algorithm=method,
            digest_algorithm=DigestAlgorithm.SHA256,
        )
        self._certificate = certificate
        self._signing_time = signing_time

    def add_signing_time(self, signed_signature_properties: Any, sig_root: Any, signing_settings: Any) -> None:
        node = etree.SubElement(signed_signature_properties, xades_tag("SigningTime"), nsmap=self.namespaces)
        node.text = self._signing_time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def add_signing_certificate(self, signed_signature_properties: Any, sig_root: Any, signing_settings: Any) -> None:
        node = etree.SubElement(signed_signature_properties, xades_tag("SigningCertificateV2"), nsmap=self.namespaces)
        digest = etree.SubElement(etree.SubElement(node, xades_tag("Cert")), xades_tag("CertDigest"))
        etree.SubElement(digest, ds_tag("DigestMethod"), Algorithm=DigestAlgorithm.SHA256.value)
        value = hashlib.sha256(self._certificate.der).digest()
        etree.SubElement(digest, ds_tag("DigestValue")).text = b64encode(value).decode("ascii")
