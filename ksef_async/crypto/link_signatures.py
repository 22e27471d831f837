"""Signatures of verification links (KOD II): RSASSA-PSS with a salt of 32 bytes, or ECDSA on P-256 as ``R || S``.

Both with SHA-256; an ECDSA signature in DER is taken, too. Source: kody-qr.md, section 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from ..errors import CryptoError
from .certificates import PublicKey

if TYPE_CHECKING:
    from .xades import SigningKey

__all__ = ["as_link_signature", "is_link_signature", "link_algorithm", "sign_link"]

_HASH: Final = hashes.SHA256()
_PSS: Final = padding.PSS(mgf=padding.MGF1(_HASH), salt_length=32)
_ECDSA: Final = ec.ECDSA(_HASH)
# Bytes of R and of S on P-256.
_HALF: Final = 32


def link_algorithm(key: PublicKey) -> str:
    """Return the name of the algorithm for a signature hook: ``rsa-pss-sha256`` or ``ecdsa-sha256``.

    Raises:
        CryptoError: KSeF certifies no such key for offline invoices.
    """
    if isinstance(key, rsa.RSAPublicKey):
        return "rsa-pss-sha256"
    if isinstance(key.curve, ec.SECP256R1):
        return "ecdsa-sha256"
    raise CryptoError(f"KSeF's offline certificates have RSA or P-256 keys, not {key.curve.name}.")


def sign_link(key: SigningKey, public_key: PublicKey, data: bytes) -> bytes:
    """Sign the text of a link with the private key of a certificate.

    Raises:
        CryptoError: The signature is not that of ``public_key``.
    """
    if isinstance(public_key, rsa.RSAPublicKey):
        return as_link_signature(key.sign(data, padding=_PSS, algorithm=_HASH), public_key, data)
    return as_link_signature(key.sign(data, signature_algorithm=_ECDSA), public_key, data)


def as_link_signature(signature: bytes, public_key: PublicKey, data: bytes) -> bytes:
    """Return a signature as it goes into the link: of ECDSA always ``R || S``.

    Raises:
        CryptoError: It is not the signature of ``data`` by the certificate's key.
    """
    if not is_link_signature(signature, public_key, data):
        raise CryptoError("The signature of the link is not that of the certificate's key.")
    if isinstance(public_key, rsa.RSAPublicKey) or len(signature) == 2 * _HALF:
        return signature
    r, s = utils.decode_dss_signature(signature)
    return r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big")


def is_link_signature(signature: bytes, public_key: PublicKey, data: bytes) -> bool:
    """Return whether ``signature`` is one that KSeF takes, of ``data`` by ``public_key``."""
    try:
        if isinstance(public_key, rsa.RSAPublicKey):
            public_key.verify(signature, data, _PSS, _HASH)
        else:
            public_key.verify(_as_der(signature), data, _ECDSA)
    except InvalidSignature:
        return False
    return True


def _as_der(signature: bytes) -> bytes:
    if len(signature) != 2 * _HALF:
        return signature  # DER on P-256 has 70 bytes or so; 64 of it are as good as impossible
    r, s = (int.from_bytes(half, "big") for half in (signature[:_HALF], signature[_HALF:]))
    return utils.encode_dss_signature(r, s)
