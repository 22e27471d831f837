"""What is needed to go on with a session in another process, readable only with a key of the user's.

What was sent is not in it: KSeF's own list is the truth about that, also about what was sent after the snapshot. Nor
is which parts of a package were uploaded: a list beside the parts is kept up to date for that.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from ..api.keys import EncryptionInfo
from ..api.sessions import FormCode
from ..protocol.snapshots import SnapshotFormat, dump_encryption, load_encryption
from ..protocol.wire import WIRE

if TYPE_CHECKING:
    from ..api.batch import PartUploadRequest

__all__ = ["BATCH_SNAPSHOT", "ONLINE_SNAPSHOT", "BatchSnapshot", "Snapshot"]


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


def _dump_online(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "referenceNumber": snapshot.reference_number,
        "validUntil": snapshot.valid_until and snapshot.valid_until.isoformat(),
        "formCode": snapshot.form_code and snapshot.form_code.system_code,
        **dump_encryption(snapshot.encryption),
    }


def _load_online(content: Mapping[str, Any]) -> Snapshot:
    return Snapshot(
        reference_number=content["referenceNumber"],
        valid_until=content["validUntil"] and datetime.fromisoformat(content["validUntil"]),
        form_code=content["formCode"] and FormCode(content["formCode"]),
        encryption=load_encryption(content),
    )


def _dump_batch(snapshot: BatchSnapshot) -> dict[str, Any]:
    return {
        "referenceNumber": snapshot.reference_number,
        "formCode": snapshot.form_code and snapshot.form_code.system_code,
        "symmetricKey": b64encode(snapshot.symmetric_key).decode(),
        "initializationVector": b64encode(snapshot.initialization_vector).decode(),
        "partHashes": [digest.hex() for digest in snapshot.part_hashes],
        "uploadUntil": snapshot.upload_until.isoformat(),
        "partUploadRequests": WIRE.dump(snapshot.part_upload_requests),
    }


def _load_batch(content: Mapping[str, Any]) -> BatchSnapshot:
    from ..api.batch import PartUploadRequest

    return BatchSnapshot(
        reference_number=content["referenceNumber"],
        form_code=content["formCode"] and FormCode(content["formCode"]),
        symmetric_key=b64decode(content["symmetricKey"]),
        initialization_vector=b64decode(content["initializationVector"]),
        part_hashes=tuple(bytes.fromhex(digest) for digest in content["partHashes"]),
        upload_until=datetime.fromisoformat(content["uploadUntil"]),
        part_upload_requests=tuple(WIRE.load(each, PartUploadRequest) for each in content["partUploadRequests"]),
    )


ONLINE_SNAPSHOT: Final = SnapshotFormat(
    kind="online session",
    dump=_dump_online,
    load=_load_online,
    otherwise=" Resume a batch session with package=...",
)
"""How a `Snapshot` is written down."""

BATCH_SNAPSHOT: Final = SnapshotFormat(
    kind="batch session",
    dump=_dump_batch,
    load=_load_batch,
    otherwise=" Resume an online session without a package.",
)
"""How a `BatchSnapshot` is written down."""
