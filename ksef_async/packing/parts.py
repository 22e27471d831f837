"""Where an archive goes: cut into parts, each hashed, encrypted and spooled to disk while it grows.

Every part is encrypted on its own under the same key and initialization vector. Nothing plain reaches the disk.
Source: sesja-wsadowa.md, sections 2 and 3.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from ..crypto.envelope import SessionCipher, StreamEncryptor
from ..errors import LocalProtocolError
from ..protocol.planning import MAX_PACKAGE_SIZE, MAX_PARTS
from .deflate import Buffer
from .package import PackedPart

__all__ = ["CountingSink", "Sink", "SpooledParts"]

_AES_BLOCK: Final = 16
# What is hashed and encrypted at a time: AES slows down by half, and holds up the event loop, on much more.
_BUFFER: Final = 2**18


class Sink(Protocol):
    """A destination to which an archive is written from beginning to end."""

    def write(self, data: Buffer, /) -> int:
        """Take all of ``data``."""
        ...

    def tell(self) -> int:
        """Return how many bytes were written."""
        ...

    def close(self) -> None:
        """Let go of what is held, finished or not."""
        ...


class CountingSink:
    """Only measures."""

    complete_parts = 0
    """It makes none."""

    def __init__(self) -> None:
        self._size = 0

    def write(self, data: Buffer) -> int:
        """Count ``data``."""
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._size

    def close(self) -> None:
        """Nothing is held."""


class SpooledParts:
    """Parts in a folder. Everything here blocks, and belongs into a thread.

    Args:
        folder: Where the parts go.
        part_size: Plain bytes of each but the last.
        key: AES-256.
        iv: The initialization vector.
        max_size: The most bytes the archive may have.
    """

    def __init__(
        self, folder: Path, part_size: int, key: bytes, iv: bytes, *, max_size: int = MAX_PACKAGE_SIZE
    ) -> None:
        self._folder = folder
        self._part_size = part_size
        self._cipher = SessionCipher(key, iv)
        self._max_size = max_size
        self._plain = bytearray(_BUFFER)
        self._filled = 0
        # 16 bytes for each block, begun or added as padding.
        self._encrypted = bytearray(_BUFFER + 2 * _AES_BLOCK)
        self._size = 0
        self._digest = sha256()
        self._part: _Part | None = None
        self.parts: list[PackedPart] = []

    @property
    def complete_parts(self) -> int:
        """Return how many are on the disk for good."""
        return len(self.parts)

    @property
    def sha256(self) -> bytes:
        """Of the plain archive, once it is finished."""
        return self._digest.digest()

    def write(self, data: Buffer) -> int:
        """Take ``data``; it is encrypted as soon as there is enough of it.

        Raises:
            LocalProtocolError: The package becomes larger than KSeF takes.
            OSError: The file cannot be written.
        """
        self._size += len(data)
        if self._size > self._max_size:
            raise LocalProtocolError(f"The archive has more than {self._max_size:,} bytes; make two packages of it.")
        view = memoryview(data)
        while view:
            if not self._filled and len(view) >= _BUFFER:
                # Not through the buffer, which it would fill.
                self._take(view[:_BUFFER])
                view = view[_BUFFER:]
                continue
            taken = min(len(view), _BUFFER - self._filled)
            self._plain[self._filled : self._filled + taken] = view[:taken]
            self._filled += taken
            view = view[taken:]
            if self._filled == _BUFFER:
                self._empty_buffer()
        return len(data)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._size

    def finish(self) -> None:
        """Complete the last part.

        Raises:
            LocalProtocolError: There are more parts than KSeF takes.
            OSError: The file cannot be written.
        """
        self._empty_buffer()
        self._end_part()

    def close(self) -> None:
        """Let go of the file, finished or not."""
        if self._part is not None:
            self._part.file.close()

    def _empty_buffer(self) -> None:
        view = memoryview(self._plain)[: self._filled]
        self._filled = 0
        self._take(view)

    def _take(self, view: memoryview) -> None:
        self._digest.update(view)
        while view:
            if self._part is None:
                self._part = self._new_part()
            piece = view[: self._part_size - self._part.plain_size]
            self._part.plain_size += len(piece)
            self._spool(self._part, self._part.encryptor.update_into(piece, self._encrypted))
            view = view[len(piece) :]
            if self._part.plain_size == self._part_size:
                self._end_part()

    def _new_part(self) -> _Part:
        number = len(self.parts) + 1
        if number > MAX_PARTS:
            raise LocalProtocolError(
                f"The archive makes more than {MAX_PARTS} parts of {self._part_size:,} bytes; allow larger ones."
            )
        return _Part(self._folder / f"part-{number:02}.aes", self._cipher.encryptor())

    def _spool(self, part: _Part, size: int) -> None:
        encrypted = memoryview(self._encrypted)[:size]
        part.digest.update(encrypted)
        part.file.write(encrypted)

    def _end_part(self) -> None:
        part = self._part
        if part is None:
            return
        self._spool(part, part.encryptor.finish_into(self._encrypted))
        size = part.file.tell()
        part.file.close()
        self._part = None
        self.parts.append(
            PackedPart(ordinal_number=len(self.parts) + 1, path=part.path, size=size, sha256=part.digest.digest())
        )


class _Part:
    """The one being written."""

    def __init__(self, path: Path, encryptor: StreamEncryptor) -> None:
        self.path = path
        self.file: BinaryIO = path.open("wb")
        self.encryptor = encryptor
        self.digest = sha256()
        self.plain_size = 0
