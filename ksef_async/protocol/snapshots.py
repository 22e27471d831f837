"""A session's AES key as it stands in our own notes; `crypto.fernet` makes them unreadable to others."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from ..api.keys import EncryptionInfo

__all__ = ["dump_encryption", "load_encryption"]


def dump_encryption(encryption: EncryptionInfo) -> dict[str, str | None]:
    """The key, plain and wrapped, ready for JSON: to be sealed before it is stored."""
    return {
        "symmetricKey": b64encode(encryption.symmetric_key).decode(),
        "initializationVector": b64encode(encryption.initialization_vector).decode(),
        "encryptedSymmetricKey": b64encode(encryption.encrypted_symmetric_key).decode(),
        "publicKeyId": encryption.public_key_id,
    }


def load_encryption(content: Mapping[str, Any]) -> EncryptionInfo:
    """The other direction of `dump_encryption`; what else is in ``content`` does not matter."""
    return EncryptionInfo(
        symmetric_key=b64decode(content["symmetricKey"]),
        initialization_vector=b64decode(content["initializationVector"]),
        encrypted_symmetric_key=b64decode(content["encryptedSymmetricKey"]),
        public_key_id=content["publicKeyId"],
    )
