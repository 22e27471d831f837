"""What is needed to go on with a session in another process, readable only with a key of the user's.

What was sent is not in it: KSeF's own list is the truth about that, also about what was sent after the snapshot. Nor is
it told which parts of a package were uploaded: a list beside the parts is kept up to date for that.

Version 1 is an online session, version 2 a batch session.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from ..api.keys import EncryptionInfo
from ..api.sessions import FormCode
from ..crypto.fernet import seal, unseal
from ..errors import LocalProtocolError
from ..protocol.snapshots import dump_encryption, load_encryption
from ..protocol.wire import WIRE

if TYPE_CHECKING:
    from ..api.batch import PartUploadRequest

__all__ = [
    "BatchSnapshot",
    "Snapshot",
    "read_batch_snapshot",
    "read_snapshot",
    "write_batch_snapshot",
    "write_snapshot",
]

_VERSION: Final = 1
_BATCH_VERSION: Final = 2


@attrs.frozen(kw_only=True)
class Snapshot:
    """A session to go on with."""

    reference_number: str
    valid_until: datetime | None
    form_code: FormCode | None
    encryption: EncryptionInfo = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class BatchSnapshot:
    """A batch session to go on with; its parts are in the package, or packed again with the key."""

    reference_number: str
    form_code: FormCode | None
    symmetric_key: bytes = attrs.field(repr=False)
    """32 bytes."""
    initialization_vector: bytes = attrs.field(repr=False)
    """16 bytes."""
    part_hashes: tuple[bytes, ...] = attrs.field(repr=False)
    """SHA-256 of each encrypted part (32 bytes), in their order."""
    upload_until: datetime
    part_upload_requests: tuple[PartUploadRequest, ...] = attrs.field(repr=False)


def write_snapshot(snapshot: Snapshot, key: bytes | str) -> bytes:
    """The snapshot as versioned JSON, encrypted (Fernet: AES-128-CBC with HMAC-SHA-256).

    Args:
        snapshot: What to keep.
        key: From ``cryptography.fernet.Fernet.generate_key()``.

    Raises:
        CryptoError: ``key`` is no Fernet key.
    """
    content: dict[str, Any] = {
        "version": _VERSION,
        "referenceNumber": snapshot.reference_number,
        "validUntil": snapshot.valid_until and snapshot.valid_until.isoformat(),
        "formCode": snapshot.form_code and snapshot.form_code.system_code,
        **dump_encryption(snapshot.encryption),
    }
    return seal(content, key)


def read_snapshot(data: bytes, key: bytes | str) -> Snapshot:
    """The other direction of `write_snapshot`.

    Raises:
        CryptoError: The key is another, or the snapshot is damaged.
        LocalProtocolError: It was written by a later version of this library.
    """
    content = _open(data, key, _VERSION)
    return Snapshot(
        reference_number=content["referenceNumber"],
        valid_until=content["validUntil"] and datetime.fromisoformat(content["validUntil"]),
        form_code=content["formCode"] and FormCode(content["formCode"]),
        encryption=load_encryption(content),
    )


def write_batch_snapshot(snapshot: BatchSnapshot, key: bytes | str) -> bytes:
    """As `write_snapshot`, for a batch session.

    Raises:
        CryptoError: ``key`` is no Fernet key.
    """
    content: dict[str, Any] = {
        "version": _BATCH_VERSION,
        "referenceNumber": snapshot.reference_number,
        "formCode": snapshot.form_code and snapshot.form_code.system_code,
        "symmetricKey": b64encode(snapshot.symmetric_key).decode(),
        "initializationVector": b64encode(snapshot.initialization_vector).decode(),
        "partHashes": [digest.hex() for digest in snapshot.part_hashes],
        "uploadUntil": snapshot.upload_until.isoformat(),
        "partUploadRequests": WIRE.dump(snapshot.part_upload_requests),
    }
    return seal(content, key)


def read_batch_snapshot(data: bytes, key: bytes | str) -> BatchSnapshot:
    """The other direction of `write_batch_snapshot`.

    Raises:
        CryptoError: The key is another, or the snapshot is damaged.
        LocalProtocolError: It is of an online session, or was written by a later version of this library.
    """
    from ..api.batch import PartUploadRequest

    content = _open(data, key, _BATCH_VERSION)
    return BatchSnapshot(
        reference_number=content["referenceNumber"],
        form_code=content["formCode"] and FormCode(content["formCode"]),
        symmetric_key=b64decode(content["symmetricKey"]),
        initialization_vector=b64decode(content["initializationVector"]),
        part_hashes=tuple(bytes.fromhex(digest) for digest in content["partHashes"]),
        upload_until=datetime.fromisoformat(content["uploadUntil"]),
        part_upload_requests=tuple(WIRE.load(each, PartUploadRequest) for each in content["partUploadRequests"]),
    )


def _open(data: bytes, key: bytes | str, version: int) -> dict[str, Any]:
    content = unseal(data, key, "The snapshot")
    found = content["version"]
    if found == version:
        return content
    if found == _BATCH_VERSION:
        raise LocalProtocolError("The snapshot is of a batch session: resume it with package=...")
    if found == _VERSION:
        raise LocalProtocolError("The snapshot is of an online session: resume it without a package.")
    raise LocalProtocolError(
        f"The snapshot has version {found}; this ksef_async reads versions {_VERSION} and {_BATCH_VERSION}."
    )
