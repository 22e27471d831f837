"""Decrypting large ciphertexts piece by piece: AES-256-CBC with PKCS#7, as in `envelope`."""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ..errors import CryptoError

__all__ = ["decrypt_pieces"]

_BLOCK: Final = 16
#: Bytes a piece; other threads get their turn between two.
_PIECE: Final = 2**20


def decrypt_pieces(ciphertext: bytes | mmap, key: bytes, iv: bytes) -> Iterator[memoryview]:
    """The plain bytes, piece by piece; each piece must be used up before the next is asked for.

    Args:
        ciphertext: A whole one.
        key: 32 bytes.
        iv: 16 bytes.

    Raises:
        CryptoError: Not a ciphertext of this key and vector.
    """
    if not ciphertext or len(ciphertext) % _BLOCK:
        raise CryptoError(f"A ciphertext has a multiple of {_BLOCK} bytes, not {len(ciphertext)}.")
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    # `update_into` lets other threads run, and one buffer serves for all pieces.
    buffer = memoryview(bytearray(min(_PIECE, len(ciphertext)) + _BLOCK))
    view = memoryview(ciphertext)
    for start in range(0, len(view), _PIECE):
        size = decryptor.update_into(view[start : start + _PIECE], buffer)
        if start + _PIECE >= len(view):
            size -= _padding(buffer[:size])
        yield buffer[:size]


def _padding(last: memoryview) -> int:
    size = last[-1]
    if not 1 <= size <= _BLOCK or last[-size:] != bytes([size]) * size:
        raise CryptoError("The ciphertext does not fit the key: its padding is wrong.")
    return size
