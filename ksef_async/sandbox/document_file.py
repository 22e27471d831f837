"""The documents themselves, sound or not: in one file that only grows, so that the sandbox's memory does not."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import IO

import attrs

__all__ = ["Documents", "StoredDocument"]


@attrs.frozen
class StoredDocument:
    """The place of a document in the file of all documents."""

    path: Path = attrs.field(repr=False)
    offset: int
    size: int
    """Bytes."""

    def read(self) -> bytes:
        """Return the document, as it was decrypted; call it in a worker thread."""
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.offset)
            return file.read(self.size)


class Documents:
    """The file of all documents; any thread may add one.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._size = 0
        self._lock = Lock()

    def keep(self, document: bytes) -> StoredDocument:
        """Write a document and return its place; call it in a worker thread."""
        with self._lock:
            if self._file is None:
                # Not buffered: what is kept can be read at once.
                self._file = self._path.open("xb", buffering=0)
            stored = StoredDocument(self._path, self._size, len(document))
            rest = memoryview(document)
            while rest:
                rest = rest[self._file.write(rest) :]
            self._size += len(document)
            return stored

    def close(self) -> None:
        """Close the file; no document can be added any more."""
        if self._file is not None:
            self._file.close()
