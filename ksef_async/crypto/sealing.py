"""Notes to ourselves that hold secrets: JSON, readable only with a key of the user's (Fernet)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken

from ..errors import CryptoError

__all__ = ["seal", "unseal"]


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
