"""What is needed to go on with a session in another process, readable only with a key of the user's.

What was sent is not in it: KSeF's own list is the truth about that, also about what was sent after the snapshot.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import datetime
from typing import Any, Final

import attrs
import orjson
from cryptography.fernet import Fernet, InvalidToken

from ..errors import CryptoError, LocalProtocolError
from ..models.keys import EncryptionInfo
from ..models.sessions import FormCode

__all__ = ["Snapshot", "read_snapshot", "write_snapshot"]

_VERSION: Final = 1


@attrs.frozen(kw_only=True)
class Snapshot:
    """A session to go on with."""

    reference_number: str
    valid_until: datetime | None
    form_code: FormCode | None
    encryption: EncryptionInfo = attrs.field(repr=False)


def write_snapshot(snapshot: Snapshot, key: bytes | str) -> bytes:
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
        "referenceNumber": snapshot.reference_number,
        "validUntil": snapshot.valid_until and snapshot.valid_until.isoformat(),
        "formCode": snapshot.form_code and snapshot.form_code.system_code,
        "symmetricKey": b64encode(encryption.symmetric_key).decode(),
        "initializationVector": b64encode(encryption.initialization_vector).decode(),
        "encryptedSymmetricKey": b64encode(encryption.encrypted_symmetric_key).decode(),
        "publicKeyId": encryption.public_key_id,
    }
    return _fernet(key).encrypt(orjson.dumps(content))


def read_snapshot(data: bytes, key: bytes | str) -> Snapshot:
    """The other direction of `write_snapshot`.

    Raises:
        CryptoError: The key is another, or the snapshot is damaged.
        LocalProtocolError: It was written by a later version of this library.
    """
    try:
        content = orjson.loads(_fernet(key).decrypt(data))
    except InvalidToken:
        raise CryptoError("The snapshot cannot be read: the key is another, or it is damaged.") from None
    if content["version"] != _VERSION:
        raise LocalProtocolError(
            f"The snapshot has version {content['version']}; this ksef_async reads version {_VERSION}."
        )
    return Snapshot(
        reference_number=content["referenceNumber"],
        valid_until=content["validUntil"] and datetime.fromisoformat(content["validUntil"]),
        form_code=content["formCode"] and FormCode(content["formCode"]),
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
