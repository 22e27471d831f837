"""What we write down for another process to go on with: one format for everything.

It is a JSON object with the kind of thing, the version of its fields, and the fields. What holds a secret is encrypted
with a key of the user's. Each kind of thing says beside its model what its fields are.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import attrs

from ..api.keys import EncryptionInfo
from ..crypto.fernet import decrypt, encrypt
from ..errors import LocalProtocolError
from . import json

__all__ = ["SnapshotFormat", "dump_encryption", "load_encryption"]

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class SnapshotFormat(Generic[T]):
    """The format of one kind of snapshot."""

    kind: str
    """What it is, for people, too: ``"online session"``."""
    version: int = 1
    """Of the fields; another one is not read."""
    dump: Callable[[T], Mapping[str, Any]]
    """Returns the fields of a model, ready for JSON."""
    load: Callable[[Mapping[str, Any]], T]
    """Returns the model with such fields; whatever it raises is no snapshot."""
    default: Callable[[Any], object] | None = None
    """Returns what else is in the fields, when its turn comes, as something that JSON has."""
    otherwise: str = ""
    """What to do with a snapshot of another kind, for the error."""

    def write(self, value: T) -> bytes:
        """Return the snapshot of ``value``, which is readable to everybody."""
        content = {"kind": self.kind, "version": self.version, **self.dump(value)}
        return json.dumps(content, default=self.default)

    def read(self, data: bytes | str) -> T:
        """Return what `write` was given.

        Raises:
            LocalProtocolError: It is no snapshot, or one of another kind or version.
        """
        try:
            content = json.loads(data)
            kind, version = content["kind"], content["version"]
        except (ValueError, KeyError, TypeError):
            raise LocalProtocolError(f"This is no snapshot of {_with_article(self.kind)}.") from None
        if kind != self.kind:
            raise LocalProtocolError(
                f"The snapshot is of {_with_article(kind)}, not of {_with_article(self.kind)}.{self.otherwise}"
            )
        if version != self.version:
            raise LocalProtocolError(
                f"The snapshot of {_with_article(kind)} has version {version}; "
                f"this ksef_async reads version {self.version}."
            )
        try:
            return self.load(content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # Only the name: the message may hold a value.
            name = type(error).__name__
        raise LocalProtocolError(f"The snapshot of {_with_article(kind)} is damaged ({name}).")

    def encrypt(self, value: T, key: bytes | str) -> bytes:
        """Return the snapshot of ``value``, readable only with the key (Fernet: AES-128-CBC with HMAC-SHA-256).

        Args:
            value: What to write down.
            key: From ``cryptography.fernet.Fernet.generate_key()``.

        Raises:
            CryptoError: ``key`` is no Fernet key.
        """
        return encrypt(self.write(value), key)

    def decrypt(self, data: bytes, key: bytes | str) -> T:
        """Return what `encrypt` was given.

        Raises:
            CryptoError: The key is another, or the snapshot is damaged.
            LocalProtocolError: It is of another kind or version.
        """
        return self.read(decrypt(data, key, f"The snapshot of {_with_article(self.kind)}"))


def _with_article(kind: object) -> str:
    return f"{'an' if str(kind)[:1] in 'aeiou' else 'a'} {kind}"


def dump_encryption(encryption: EncryptionInfo) -> dict[str, str | None]:
    """Return a session's key, plain and wrapped, as fields of a snapshot that is encrypted."""
    return {
        "symmetricKey": b64encode(encryption.symmetric_key).decode(),
        "initializationVector": b64encode(encryption.initialization_vector).decode(),
        "encryptedSymmetricKey": b64encode(encryption.encrypted_symmetric_key).decode(),
        "publicKeyId": encryption.public_key_id,
    }


def load_encryption(content: Mapping[str, Any]) -> EncryptionInfo:
    """Return the key in the fields of a snapshot; what else is in it does not matter."""
    return EncryptionInfo(
        symmetric_key=b64decode(content["symmetricKey"]),
        initialization_vector=b64decode(content["initializationVector"]),
        encrypted_symmetric_key=b64decode(content["encryptedSymmetricKey"]),
        public_key_id=content["publicKeyId"],
    )
