"""PKCS#12 files whose certificate `cryptography` refuses (see `der`): it then refuses the whole file.

Read is what OpenSSL 3, Windows and macOS write today: PBES2 with PBKDF2 and AES. Source: RFC 7292; RFC 8018.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from .der import items

__all__ = ["read_pkcs12"]

_DATA: Final = bytes.fromhex("2a864886f70d010701")
_ENCRYPTED_DATA: Final = bytes.fromhex("2a864886f70d010706")
_SHROUDED_KEY: Final = bytes.fromhex("2a864886f70d010c0a0102")
_CERTIFICATE: Final = bytes.fromhex("2a864886f70d010c0a0103")
_PBES2: Final = bytes.fromhex("2a864886f70d01050d")
_PBKDF2: Final = bytes.fromhex("2a864886f70d01050c")
_PRFS: Final = {
    bytes.fromhex("2a864886f70d0207"): hashes.SHA1(),  # noqa: S303  # what the file was written with
    bytes.fromhex("2a864886f70d0209"): hashes.SHA256(),
    bytes.fromhex("2a864886f70d020a"): hashes.SHA384(),
    bytes.fromhex("2a864886f70d020b"): hashes.SHA512(),
}
# AES-128, AES-192 and AES-256 in CBC mode, with the bytes of their keys.
_CIPHERS: Final = {
    bytes.fromhex("60864801650304012a"): 32,
    bytes.fromhex("608648016503040116"): 24,
    bytes.fromhex("608648016503040102"): 16,
}
_MOST_ITERATIONS: Final = 10_000_000


def read_pkcs12(data: bytes, password: bytes) -> tuple[object, list[bytes]]:
    """Return the private key in a file, and its certificates (DER), whatever they look like.

    The file's own checksum is not looked at: it vouches for nothing that the padding, the key and the certificate,
    which have to fit each other, do not show.

    Raises:
        ValueError: The password is wrong, or the file is of another kind.
    """
    ((_, outer, _),) = items(data)
    (_, _, _), (_, safe, _), *_ = items(outer)
    key, certificates = None, []
    for kind, value in _bags(safe, password):
        if kind == _SHROUDED_KEY:
            try:
                key = serialization.load_der_private_key(value, password)
            except (TypeError, UnsupportedAlgorithm) as error:
                raise ValueError("the key is encrypted in another way") from error
        elif kind == _CERTIFICATE:
            ((_, bag, _),) = items(value)
            (_, _, _), (_, wrapped, _) = items(bag)
            certificates.append(_inner(wrapped))
    if key is None:
        raise ValueError("there is no key")
    return key, certificates


def _bags(safe: bytes, password: bytes) -> Iterator[tuple[bytes, bytes]]:
    (_, kind, _), (_, content, _) = items(safe)
    if kind != _DATA:
        raise ValueError("not protected by a password")
    for _, part, _ in items(_inner(_inner(content))):
        (_, kind, _), (_, content, _) = items(part)
        if kind == _ENCRYPTED_DATA:
            (_, _, _), (_, encrypted, _), *_ = items(_inner(content))
            (_, _, _), (_, algorithm, _), (_, ciphertext, _) = items(encrypted)
            bags = _inner(_decrypted(algorithm, ciphertext, password))
        else:
            bags = _inner(_inner(content))
        for _, bag, _ in items(bags):
            (_, bag_kind, _), (_, value, _), *_ = items(bag)
            yield bag_kind, value


def _decrypted(algorithm: bytes, ciphertext: bytes, password: bytes) -> bytes:
    (_, scheme, _), (_, parameters, _) = items(algorithm)
    if scheme != _PBES2:
        raise ValueError("encrypted by a method of old")
    (_, derivation, _), (_, encryption, _) = items(parameters)
    (_, cipher, _), (_, iv, _) = items(encryption)
    (_, function, _), (_, details, _) = items(derivation)
    (_, salt, _), (_, rounds, _), *more = items(details)
    prfs = [kind for tag, content, _ in more if tag == 0x30 for _, kind, _ in items(content)]
    iterations = int.from_bytes(rounds, "big")
    prf = _PRFS.get(prfs[0]) if prfs else hashes.SHA1()  # noqa: S303  # the standard's default
    if function != _PBKDF2 or cipher not in _CIPHERS or prf is None or not 0 < iterations <= _MOST_ITERATIONS:
        raise ValueError("encrypted by an unknown method")
    key = PBKDF2HMAC(prf, _CIPHERS[cipher], salt, iterations).derive(password)
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    return unpadder.update(decryptor.update(ciphertext) + decryptor.finalize()) + unpadder.finalize()


def _inner(data: bytes) -> bytes:
    """The content of the one value in ``data``."""
    ((_, content, _),) = items(data)
    return content
