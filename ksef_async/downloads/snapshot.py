"""What is needed to fetch an export's package in another process, readable only with a key of the user's."""

from __future__ import annotations

from typing import Any, Final

import attrs

from ..crypto.sealing import seal, unseal
from ..errors import LocalProtocolError
from ..models.keys import EncryptionInfo
from ..protocol.snapshots import dump_encryption, load_encryption

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
    content: dict[str, Any] = {
        "version": _VERSION,
        "kind": "export",
        "referenceNumber": snapshot.reference_number,
        "onlyMetadata": snapshot.only_metadata,
        **dump_encryption(snapshot.encryption),
    }
    return seal(content, key)


def read_snapshot(data: bytes, key: bytes | str) -> ExportSnapshot:
    """The other direction of `write_snapshot`.

    Raises:
        CryptoError: The key is another, or the snapshot is damaged.
        LocalProtocolError: It is of something else, or was written by a later version of this library.
    """
    content = unseal(data, key, "The snapshot")
    if (content.get("kind"), content["version"]) != ("export", _VERSION):
        raise LocalProtocolError(
            f"This ksef_async reads snapshots of exports of version {_VERSION}; "
            f"this is one of {content.get('kind', 'a session')}, version {content['version']}."
        )
    return ExportSnapshot(
        reference_number=content["referenceNumber"],
        only_metadata=content["onlyMetadata"],
        encryption=load_encryption(content),
    )
