"""Fernet: what is readable only with a key of the user's."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken

from ..errors import CryptoError

__all__ = ["check_key", "decrypt", "encrypt"]


def encrypt(plain: bytes, key: bytes | str) -> bytes:
    """Return ``plain`` encrypted (AES-128-CBC with HMAC-SHA-256).

    Args:
        plain: Any bytes.
        key: From ``cryptography.fernet.Fernet.generate_key()``.

    Raises:
        CryptoError: ``key`` is no Fernet key.
    """
    return _fernet(key).encrypt(plain)


def decrypt(data: bytes, key: bytes | str, what: str) -> bytes:
    """Return what was encrypted.

    Args:
        data: What `encrypt` returned.
        key: The one it was encrypted with.
        what: For the error's message: ``"The snapshot"``.

    Raises:
        CryptoError: The key is another, or the data is damaged.
    """
    try:
        return _fernet(key).decrypt(data)
    except InvalidToken:
        raise CryptoError(f"{what} cannot be read: the key is another, or it is damaged.") from None


def check_key(key: bytes | str) -> None:
    """Make sure that ``key`` is a Fernet key.

    Raises:
        CryptoError: It is none.
    """
    _fernet(key)


def _fernet(key: bytes | str) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        raise CryptoError("The key is 32 bytes in URL-safe Base64, as Fernet.generate_key() makes them.") from None
