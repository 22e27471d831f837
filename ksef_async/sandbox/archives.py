"""Encrypted parts -> the archive -> its invoices, streamed, with limits against bombs and misleading names.

What KSeF does with names and kinds of entries that the documentation does not allow is not known: here the whole
package is refused [INF].
"""

from __future__ import annotations

import bisect
import hashlib
import io
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import attrs

from ..api.packages import CompressionType
from ..crypto.envelope import SessionCipher, padding_size
from ..errors import CryptoError
from ..protocol.archives import Bounds, Flaw, Member, TarGzArchive, UnsafeArchiveError, ZipArchive
from ..protocol.planning import MAX_FILE_NAME

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["ArchiveError", "DecryptedParts", "EmptyArchiveError", "Entry", "TooManyEntriesError", "unpack"]

_BLOCK: Final = 16
_READ: Final = 2**20
# What an archive may unpack to besides its invoices: headers, and invoices that are too large and will be rejected.
_SLACK: Final = 1_000_000_000


class ArchiveError(Exception):
    """The archive cannot be unpacked (430)."""


class TooManyEntriesError(Exception):
    """The archive has more invoices than a session takes (420).

    Args:
        limit: How many it takes.
        found: How many there are.
    """

    def __init__(self, limit: int, found: int) -> None:
        super().__init__(limit, found)
        self.limit = limit
        self.found = found


class EmptyArchiveError(Exception):
    """The archive has no invoice (440)."""


@attrs.frozen
class Entry:
    """A file of the archive."""

    name: str
    size: int
    """In all, as is its hash."""
    sha256: bytes
    content: bytes = attrs.field(repr=False)
    """As far as an invoice may be long, and one byte more."""


class DecryptedParts(io.RawIOBase):
    """The decrypted archive as a seekable file; nothing decrypted is written to the disk.

    Args:
        paths: The encrypted parts, in order.
        cipher: The session's.
        check: Called now and then; raises when the work is to stop.

    Raises:
        CryptoError: A part cannot be decrypted; the message names it.
    """

    def __init__(self, paths: Sequence[Path], cipher: SessionCipher, check: Callable[[], None]) -> None:
        # The part that is read from; first of all, for a file is closed even where it could not be opened.
        self._open: tuple[int, IO[bytes]] | None = None
        self._paths = paths
        self._cipher = cipher
        self._check = check
        self._starts = [0, *itertools.accumulate(self._plain_size(n, path) for n, path in enumerate(paths, 1))]
        self.size = self._starts[-1]
        self._position = 0

    def _plain_size(self, number: int, path: Path) -> int:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - 2 * _BLOCK))
            tail = file.read()
        try:
            # Only the end tells whether a part fits the key: any block decrypts to something.
            if not size or size % _BLOCK:
                raise CryptoError("not a multiple of 16 bytes")
            previous, last = (tail[:_BLOCK], tail[_BLOCK:]) if len(tail) > _BLOCK else (None, tail)
            padding = padding_size(self._cipher.decrypt_blocks(last, previous))
        except CryptoError as error:
            raise CryptoError(f"Część '{number}' niepoprawnie zaszyfrowana.") from error
        return size - padding

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in the archive."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to another position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read the next bytes, at most up to the end of the part."""
        self._check()
        view = memoryview(buffer).cast("B")
        if self._position >= self.size or not view:
            return 0
        number = bisect.bisect_right(self._starts, self._position) - 1
        offset = self._position - self._starts[number]
        wanted = min(len(view), self._starts[number + 1] - self._position)
        first = offset // _BLOCK * _BLOCK
        end = -(-(offset + wanted) // _BLOCK) * _BLOCK
        file = self._part(number)
        file.seek(max(0, first - _BLOCK))
        previous = file.read(_BLOCK) if first else None
        plain = self._cipher.decrypt_blocks(file.read(end - first), previous)
        view[:wanted] = plain[offset - first : offset - first + wanted]
        self._position += wanted
        return wanted

    def _part(self, number: int) -> IO[bytes]:
        if self._open is None or self._open[0] != number:
            if self._open is not None:
                self._open[1].close()
            self._open = number, self._paths[number].open("rb", buffering=0)
        return self._open[1]

    def sha256(self) -> bytes:
        """Return the SHA-256 of the whole archive."""
        digest = hashlib.sha256()
        self.seek(0)
        buffer = memoryview(bytearray(_READ))
        while count := self.readinto(buffer):
            digest.update(buffer[:count])
        self.seek(0)
        return digest.digest()

    def close(self) -> None:
        """Close the open part."""
        if self._open is not None:
            self._open[1].close()
            self._open = None
        super().close()


def unpack(
    parts: DecryptedParts, compression: CompressionType, *, max_invoices: int, largest: int, slack: int = _SLACK
) -> Iterator[Entry]:
    """Return the archive's files, one at a time.

    Args:
        parts: The archive.
        compression: What it should be.
        max_invoices: How many files it may have.
        largest: How many bytes of each are kept at most, less one.
        slack: How many bytes all may have beyond ``max_invoices`` of the largest size.

    Raises:
        ArchiveError: It is something else, is damaged, or holds what no package may hold.
        TooManyEntriesError: It has more files.
        EmptyArchiveError: It has none.
    """
    bounds = Bounds(
        max_members=max_invoices,
        max_total_size=max_invoices * largest + slack,
        longest_name=MAX_FILE_NAME,
        counts_all=True,
    )
    kind = ZipArchive if compression is CompressionType.ZIP else TarGzArchive
    is_empty = True
    try:
        for member in kind(io.BufferedReader(parts, _READ), bounds).members():
            is_empty = False
            yield _read_entry(member, largest)
    except UnsafeArchiveError as error:
        if error.flaw is Flaw.TOO_MANY:
            raise TooManyEntriesError(max_invoices, error.count) from error
        # From what is wrong in it, where something is.
        raise ArchiveError(_FLAWS[error.flaw].format(error.name[:MAX_FILE_NAME])) from error.__cause__ or error
    if is_empty:
        raise EmptyArchiveError


def _read_entry(member: Member, largest: int) -> Entry:
    digest, kept, room = hashlib.sha256(), list[bytes](), largest + 1
    for piece in member.pieces():
        digest.update(piece)
        if room > 0:
            kept.append(piece[:room])
            room -= len(piece)
    return Entry(member.name, member.size, digest.digest(), b"".join(kept))


_FLAWS: Final = {
    Flaw.NOT_A_ZIP: "Plik nie jest archiwum Zip.",
    Flaw.BROKEN: "Archiwum jest uszkodzone.",
    Flaw.UNSAFE_NAME: "Niedozwolona nazwa pliku: '{}'.",
    Flaw.SAME_NAME: "Nazwa pliku występuje więcej niż raz: '{}'.",
    Flaw.NOT_A_FILE: "Niedozwolony element archiwum: '{}'.",
    Flaw.TOO_LARGE: "Rozmiar archiwum po dekompresji przekracza dozwolony limit.",
    Flaw.LONG_DIRECTORY: "Katalog archiwum jest zbyt duży.",
    Flaw.LONG_HEADER: "Nagłówek archiwum jest zbyt duży.",
    Flaw.LONG_TAIL: "Za końcem archiwum są dalsze dane.",
}
