"""The session key, and its wrapping for the Ministry.

AES-256-CBC with PKCS#7, one key and one initialization vector for the whole session, the vector never put before
the ciphertext; RSA-OAEP with SHA-256 and MGF1-SHA-256. Source: sesja-interaktywna.md, section 1; what the
documentation says of a prefix contradicts every client that works.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from mmap import mmap
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ..errors import CryptoError

__all__ = [
    "IV_SIZE",
    "KEY_SIZE",
    "SessionCipher",
    "StreamEncryptor",
    "encrypted_size",
    "load_public_key",
    "new_key",
    "padding_size",
    "rsa_decrypt",
    "rsa_encrypt",
]

Buffer: TypeAlias = bytes | bytearray | memoryview

KEY_SIZE = 32
IV_SIZE = 16
_BLOCK = 16
# Bytes up to which copying takes less time than avoiding it.
_SMALL = 64_000
# Bytes decrypted at a time; other threads get their turn between two.
_PIECE = 2**20

_OAEP = padding.OAEP(mgf=padding.MGF1(algorithm=hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


def new_key() -> tuple[bytes, bytes]:
    """Return a random AES-256 key (32 bytes) and initialization vector (16 bytes)."""
    return secrets.token_bytes(KEY_SIZE), secrets.token_bytes(IV_SIZE)


def encrypted_size(size: int) -> int:
    """Bytes of the ciphertext of ``size`` plain bytes: PKCS#7 always adds 1 to 16."""
    return (size // _BLOCK + 1) * _BLOCK


class SessionCipher:
    """Encrypts and decrypts under one session's key; safe to use from many threads.

    Args:
        key: 32 bytes.
        iv: 16 bytes.

    Raises:
        CryptoError: A length is wrong.
    """

    def __init__(self, key: bytes, iv: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise CryptoError(f"An AES-256 key has {KEY_SIZE} bytes, not {len(key)}.")
        if len(iv) != IV_SIZE:
            raise CryptoError(f"An initialization vector has {IV_SIZE} bytes, not {len(iv)}.")
        self._key = algorithms.AES(key)
        self._cipher = Cipher(self._key, modes.CBC(iv))

    def encryptor(self) -> StreamEncryptor:
        """Return an encryptor for one stream, piece by piece."""
        return StreamEncryptor(self._cipher)

    def encrypt(self, plain: bytes) -> bytes:
        """Return the ciphertext: `encrypted_size(len(plain))` bytes."""
        if len(plain) < _SMALL:
            return self._cipher.encryptor().update(plain + _padding(len(plain)))
        stream = self.encryptor()
        out = bytearray(encrypted_size(len(plain)) + _BLOCK)
        written = stream.update_into(plain, out)
        written += stream.finish_into(memoryview(out)[written:])
        return bytes(memoryview(out)[:written])

    def encrypt_pieces(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """As `encrypt`, of something too large to be held at once: what comes of each piece, and then the end."""
        stream = self.encryptor()
        for piece in pieces:
            out = bytearray(len(piece) + _BLOCK)
            yield bytes(memoryview(out)[: stream.update_into(piece, out)])
        out = bytearray(2 * _BLOCK)
        yield bytes(memoryview(out)[: stream.finish_into(out)])

    def decrypt(self, ciphertext: bytes) -> bytes:
        """Return the plain bytes.

        Raises:
            CryptoError: Not a ciphertext of this key and vector.
        """
        return b"".join(map(bytes, self.decrypt_pieces(ciphertext)))

    def decrypt_pieces(self, ciphertext: bytes | mmap) -> Iterator[memoryview]:
        """Return the plain bytes, piece by piece; each piece must be used up before the next is asked for.

        Args:
            ciphertext: A whole one.

        Raises:
            CryptoError: Not a ciphertext of this key and vector.
        """
        if not ciphertext or len(ciphertext) % _BLOCK:
            raise CryptoError(f"A ciphertext has a multiple of {_BLOCK} bytes, not {len(ciphertext)}.")
        decryptor = self._cipher.decryptor()
        # `update_into` lets other threads run, and one buffer serves for all pieces.
        buffer = memoryview(bytearray(min(_PIECE, len(ciphertext)) + _BLOCK))
        view = memoryview(ciphertext)
        for start in range(0, len(view), _PIECE):
            size = decryptor.update_into(view[start : start + _PIECE], buffer)
            if start + _PIECE >= len(view):
                size -= padding_size(buffer[:size])
            yield buffer[:size]

    def decrypt_blocks(self, blocks: bytes, previous: bytes | None) -> bytes:
        """Return the plain bytes of some blocks out of a ciphertext, padding and all.

        Args:
            blocks: A multiple of 16 bytes.
            previous: The block of ciphertext before them (16 bytes); None when they are the first.
        """
        cipher = self._cipher if previous is None else Cipher(self._key, modes.CBC(previous))
        return cipher.decryptor().update(blocks)


class StreamEncryptor:
    """Encrypts one stream, piece by piece; made by `SessionCipher.encryptor`.

    Args:
        cipher: Key and vector.
    """

    def __init__(self, cipher: Cipher[modes.CBC]) -> None:
        self._encryptor = cipher.encryptor()
        self._size = 0

    def update_into(self, plain: Buffer, out: Buffer) -> int:
        """Encrypt the next piece; other threads run meanwhile.

        Args:
            plain: The piece.
            out: Where the ciphertext goes; it has room for 15 bytes more than ``plain`` has.

        Returns:
            How many bytes were written: whole blocks.
        """
        self._size += len(plain)
        return self._encryptor.update_into(plain, out)

    def finish_into(self, out: Buffer) -> int:
        """Pad the end by PKCS#7 and encrypt it.

        Args:
            out: Where it goes; it has room for 31 bytes.

        Returns:
            How many bytes were written: 16.
        """
        return self._encryptor.update_into(_padding(self._size), out)


def _padding(size: int) -> bytes:
    missing = _BLOCK - size % _BLOCK
    return bytes([missing]) * missing


def padding_size(last: Buffer) -> int:
    """Return how many bytes of padding end what was decrypted.

    Args:
        last: The last plain block, or more.

    Raises:
        CryptoError: There is no padding by PKCS#7: the key is another.
    """
    size = last[-1]
    if not 1 <= size <= _BLOCK or last[-size:] != bytes([size]) * size:
        raise CryptoError("The ciphertext does not fit the key: its padding is wrong.")
    return size


def load_public_key(certificate: bytes) -> rsa.RSAPublicKey:
    """Return the RSA key in a DER certificate.

    Raises:
        CryptoError: Not a certificate, or not of an RSA key.
    """
    # Importing x509 takes as long as everything else here together, and a key is loaded once in some hours.
    from cryptography import x509

    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CryptoError("KSeF's public key certificate cannot be read.") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise CryptoError(f"KSeF's public key is a {type(key).__name__}; only RSA is specified.")
    return key


def rsa_encrypt(key: rsa.RSAPublicKey, plain: bytes) -> bytes:
    """RSA-OAEP; as many bytes as the key's modulus (256 for a 2048-bit key).

    Raises:
        CryptoError: ``plain`` is too long for the key.
    """
    try:
        return key.encrypt(plain, _OAEP)
    except ValueError as error:
        raise CryptoError(f"{len(plain)} bytes are too many for a {key.key_size}-bit RSA key.") from error


def rsa_decrypt(key: rsa.RSAPrivateKey, ciphertext: bytes) -> bytes:
    """Decrypt what `rsa_encrypt` encrypted.

    Raises:
        CryptoError: Not encrypted for this key, or by another method.
    """
    try:
        return key.decrypt(ciphertext, _OAEP)
    except ValueError as error:
        raise CryptoError("The ciphertext does not fit the RSA key.") from error
