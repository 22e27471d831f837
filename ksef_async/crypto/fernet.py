"""Fernet, readable only with a key of the user's: a whole value, or a stream in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from mmap import mmap
from typing import Any, Final

import orjson
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ..errors import CryptoError

__all__ = ["decrypt_pieces", "seal", "unseal"]


def seal(content: dict[str, Any], key: bytes | str, *, plain: Callable[[Any], object] | None = None) -> bytes:
    """``content`` as JSON, encrypted (AES-128-CBC with HMAC-SHA-256).

    Args:
        content: Anything orjson writes.
        key: From ``cryptography.fernet.Fernet.generate_key()``.
        plain: What else is in it as something orjson writes, asked for when its turn comes.

    Raises:
        CryptoError: ``key`` is no Fernet key.
    """
    return _fernet(key).encrypt(orjson.dumps(content, default=plain))


def unseal(data: bytes, key: bytes | str, what: str) -> dict[str, Any]:
    """The other direction of `seal`.

    Args:
        data: What `seal` returned.
        key: The one it was sealed with.
        what: For the error's message: ``"The snapshot"``.

    Raises:
        CryptoError: The key is another, or the data is damaged.
    """
    try:
        content: dict[str, Any] = orjson.loads(_fernet(key).decrypt(data))
    except InvalidToken:
        raise CryptoError(f"{what} cannot be read: the key is another, or it is damaged.") from None
    return content


def _fernet(key: bytes | str) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        raise CryptoError("The key is 32 bytes in URL-safe Base64, as Fernet.generate_key() makes them.") from None


_BLOCK: Final = 16
# Bytes a piece; other threads get their turn between two.
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
