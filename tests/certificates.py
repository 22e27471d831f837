"""Certificates for tests: such as KSeF issued and `cryptography` refuses, and keys in every form they come in."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ksef_async.crypto.certificates import Certificate, PrivateKey
from ksef_async.crypto.der import items, wrap

NIP = "5265877635"

#: ecdsa-with-SHA256 as RFC 5758 has it, and as KSeF wrote it.
RIGHT = bytes.fromhex("300a06082a8648ce3d040302")
WRONG = bytes.fromhex("300c06082a8648ce3d0403020500")


def with_null_parameters(certificate: Certificate, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The certificate, with a NULL in its signature algorithm, signed by ``key``."""
    ((_, content, _),) = items(certificate.der)
    (_, body, _), *_ = items(content)
    signed = wrap(0x30, b"".join(WRONG if whole == RIGHT else whole for _, _, whole in items(body)))
    signature = key.sign(signed, ec.ECDSA(hashes.SHA256()))
    return wrap(0x30, signed + WRONG + wrap(0x03, b"\0" + signature))


def key_bytes(key: PrivateKey, *, password: bytes | None = None, der: bool = False) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    encoding = serialization.Encoding.DER if der else serialization.Encoding.PEM
    return key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, encryption)


def pem(certificate: Certificate) -> bytes:
    return certificate.readable.public_bytes(serialization.Encoding.PEM)


RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
