"""What the sandbox keeps for its page only, and only for a while: requests, and documents as they were decrypted."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from threading import Lock
from typing import Final

import attrs

__all__ = ["Recent", "SeenRequest"]

_REQUESTS: Final = 200
_DOCUMENTS: Final = 500
_DOCUMENT_BYTES: Final = 32_000_000


@attrs.frozen(kw_only=True)
class SeenRequest:
    """A request that was answered; its path is without the query, which can hold a signature."""

    number: int
    at: datetime
    #: Name of the operation; ``storage`` for a signed link.
    operation: str
    method: str
    path: str
    #: 0 where the connection was dropped on purpose.
    status: int
    seconds: float
    #: What went wrong on purpose; None for nothing.
    fault: str | None = None
    #: KSeF's words where it refused.
    refusal: str | None = None


class Recent:
    """The last requests and documents; the oldest make room."""

    def __init__(self) -> None:
        self.requests: deque[SeenRequest] = deque(maxlen=_REQUESTS)
        #: How many there ever were.
        self.request_count = 0
        self._documents: dict[bytes, bytes] = {}
        self._size_bytes = 0
        # Documents are decrypted in threads.
        self._lock = Lock()

    def saw(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        at: datetime,
        status: int,
        seconds: float,
        fault: str | None = None,
        refusal: str | None = None,
    ) -> None:
        """Remember a request."""
        self.request_count += 1
        seen = SeenRequest(
            number=self.request_count,
            at=at,
            operation=operation,
            method=method,
            path=path,
            status=status,
            seconds=seconds,
            fault=fault,
            refusal=refusal,
        )
        self.requests.append(seen)

    def keep(self, declared_hash: bytes, document: bytes) -> None:
        """Remember a document as it was decrypted, sound or not, by the hash it was sent with."""
        with self._lock:
            self._size_bytes += len(document) - len(self._documents.pop(declared_hash, b""))
            self._documents[declared_hash] = document
            while len(self._documents) > _DOCUMENTS or self._size_bytes > _DOCUMENT_BYTES:
                self._size_bytes -= len(self._documents.pop(next(iter(self._documents))))

    def document(self, declared_hash: bytes) -> bytes | None:
        """A document; None when it is too long ago, or could not be decrypted."""
        return self._documents.get(declared_hash)
