"""The journal at rest: documents and UPO are encrypted with the user's keys, and an SQLite file is its owner's alone.

Fernet is AES-128-CBC with HMAC-SHA-256. Session keys are encrypted by the session layer, in its snapshots.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from ..calling.finishing import offload
from ..errors import CryptoError

__all__ = ["Vault", "make_private"]

_log = logging.getLogger(__name__)

# What every Fernet token starts with (its version, 0x80, in Base64); no XML document does.
_TOKEN: Final = b"gAAAA"


class Vault:
    """Encrypts what the journal stores.

    Args:
        keys: Fernet keys, the newest first; none stores documents in clear.

    Raises:
        CryptoError: One of them is no Fernet key.
    """

    def __init__(self, keys: Sequence[bytes | str] = ()) -> None:
        self.keys = tuple(keys)
        """For session snapshots, which are encrypted by the session layer."""
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys]) if keys else None
        except ValueError:
            raise CryptoError(
                "A journal's key is 32 bytes in URL-safe Base64, as Fernet.generate_key() makes them."
            ) from None

    def __repr__(self) -> str:
        return f"<Vault with {len(self.keys)} keys>"

    async def lock(self, document: bytes) -> bytes:
        """Return what to store of ``document``."""
        if self._fernet is None:
            return document
        return await offload(len(document), self._fernet.encrypt, document)

    async def unlock(self, stored: bytes) -> bytes:
        """Return the document that was stored; one from before there was a key is read as it is.

        Raises:
            CryptoError: It was encrypted with another key.
        """
        if not stored.startswith(_TOKEN):
            return stored
        if self._fernet is None:
            raise CryptoError("The journal's documents are encrypted, and no key is given (keys= or KSEF_JOURNAL_KEY).")
        try:
            return await offload(len(stored), self._fernet.decrypt, stored)
        except InvalidToken:
            raise CryptoError("A document in the journal was encrypted with another key, or is damaged.") from None

    def with_key(self, snapshot: bytes) -> tuple[bytes, bytes | str] | None:
        """Return a session's snapshot with the key that it was encrypted with; None where none of the keys is that."""
        for key in self.keys:
            with suppress(InvalidToken):
                Fernet(key).decrypt(snapshot)
                return snapshot, key
        return None


def make_private(path: Path) -> None:
    """Make the file of a journal, readable for its owner only, whatever the umask; what SQLite puts beside it follows.

    A file that is there keeps its mode, since who shares a journal among users of one group has set it; that others
    can read it is logged.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        mode = stat.S_IMODE(path.stat().st_mode)
        # Elsewhere a mode means nothing.
        if os.name == "posix" and mode & 0o077:
            _log.warning(
                "journal %s can be used by others than its owner (mode %03o): chmod 600 it and what lies beside it",
                path,
                mode,
            )
    except OSError:
        return  # SQLite says what is wrong when it opens it.
