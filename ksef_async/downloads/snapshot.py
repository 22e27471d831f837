"""What is needed to fetch an export's package in another process, readable only with a key of the user's."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any, Final

import attrs
import orjson
from cryptography.fernet import Fernet, InvalidToken

from ..errors import CryptoError, LocalProtocolError
from ..models.keys import EncryptionInfo

__all__ = ["ExportSnapshot", "read_snapshot", "write_snapshot"]

_VERSION: Final = 1


@attrs.frozen(kw_only=True)
class ExportSnapshot:
    """An export to go on with."""

    reference_number: str
    only_metadata: bool
    encryption: EncryptionInfo = attrs.field(repr=False)


def write_snapshot(snapshot: ExportSnapshot, key: bytes | str) -> bytes:
    """The snapshot as versioned JSON, encrypted (Fernet: AES-128-CBC with HMAC-SHA-256).

    Args:
        snapshot: What to keep.
        key: From ``cryptography.fernet.Fernet.generate_key()``.

    Raises:
        CryptoError: ``key`` is no Fernet key.
    """
    encryption = snapshot.encryption
    content: dict[str, Any] = {
        "version": _VERSION,
        "kind": "export",
        "referenceNumber": snapshot.reference_number,
        "onlyMetadata": snapshot.only_metadata,
        "symmetricKey": b64encode(encryption.symmetric_key).decode(),
        "initializationVector": b64encode(encryption.initialization_vector).decode(),
        "encryptedSymmetricKey": b64encode(encryption.encrypted_symmetric_key).decode(),
        "publicKeyId": encryption.public_key_id,
    }
    return _fernet(key).encrypt(orjson.dumps(content))


def read_snapshot(data: bytes, key: bytes | str) -> ExportSnapshot:
    """The other direction of `write_snapshot`.

    Raises:
        CryptoError: The key is another, or the snapshot is damaged.
        LocalProtocolError: It is of something else, or was written by a later version of this library.
    """
    try:
        content = orjson.loads(_fernet(key).decrypt(data))
    except InvalidToken:
        raise CryptoError("The snapshot cannot be read: the key is another, or it is damaged.") from None
    if (content.get("kind"), content["version"]) != ("export", _VERSION):
        raise LocalProtocolError(
            f"This ksef_async reads snapshots of exports of version {_VERSION}; "
            f"this is one of {content.get('kind', 'a session')}, version {content['version']}."
        )
    return ExportSnapshot(
        reference_number=content["referenceNumber"],
        only_metadata=content["onlyMetadata"],
        encryption=EncryptionInfo(
            symmetric_key=b64decode(content["symmetricKey"]),
            initialization_vector=b64decode(content["initializationVector"]),
            encrypted_symmetric_key=b64decode(content["encryptedSymmetricKey"]),
            public_key_id=content["publicKeyId"],
        ),
    )


def _fernet(key: bytes | str) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        raise CryptoError(
            "A snapshot's key is 32 bytes in URL-safe Base64, as Fernet.generate_key() makes them."
        ) from None
