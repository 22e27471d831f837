"""Encrypted parts -> the archive -> its invoices, streamed, with limits against bombs and misleading names.

What KSeF does with names and kinds of entries that the documentation does not allow is not known: here the whole
package is refused [INF].
"""

from __future__ import annotations

import bisect
import gzip
import hashlib
import io
import itertools
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import attrs

from ..api.packages import CompressionType
from ..crypto.envelope import SessionCipher, padding_size
from ..errors import CryptoError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["ArchiveError", "DecryptedParts", "EmptyArchiveError", "Entry", "TooManyEntriesError", "unpack"]

_BLOCK: Final = 16
_READ: Final = 2**20
# The longest file name KSeF takes.
_LONGEST_NAME: Final = 128
# What an archive may unpack to besides its invoices: headers, and invoices that are too large and will be rejected.
_SLACK: Final = 1_000_000_000
# The directory of a zip file is read at once; that of 10,000 invoices has 3 MB at most.
_LARGEST_DIRECTORY: Final = 2**26
# What tar reads at once: a header, or an invoice.
_LARGEST_HEADER: Final = 2**24


class ArchiveError(Exception):
    """The archive cannot be unpacked (430)."""


class TooManyEntriesError(Exception):
    """More invoices than a session takes (420).

    Args:
        limit: How many it takes.
        found: How many there are.
    """

    def __init__(self, limit: int, found: int) -> None:
        super().__init__(limit, found)
        self.limit = limit
        self.found = found


class EmptyArchiveError(Exception):
    """No invoice at all (440)."""


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
    """The plain archive behind its encrypted parts, as a seekable file; nothing plain touches the disk.

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
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Read on somewhere else."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read on, up to the end of the part."""
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
        """Of the whole archive."""
        digest = hashlib.sha256()
        self.seek(0)
        buffer = memoryview(bytearray(_READ))
        while count := self.readinto(buffer):
            digest.update(buffer[:count])
        self.seek(0)
        return digest.digest()

    def close(self) -> None:
        """Close what is open."""
        if self._open is not None:
            self._open[1].close()
            self._open = None
        super().close()


def unpack(
    parts: DecryptedParts, compression: CompressionType, *, max_invoices: int, largest: int, slack: int = _SLACK
) -> Iterator[Entry]:
    """The archive's files, one at a time.

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
    entries = _zip_entries if compression is CompressionType.ZIP else _tar_gz_entries
    names: set[str] = set()
    budget = max_invoices * largest + slack
    try:
        for name, file in entries(io.BufferedReader(parts, _READ), parts.size, max_invoices, budget):
            _check_name(name, names)
            entry = _read_entry(name, file, largest, budget)
            budget -= entry.size
            yield entry
    except (
        zipfile.BadZipFile, tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError, NotImplementedError,
        RuntimeError, UnicodeError, ValueError, struct.error, OverflowError,
    ) as error:  # fmt: skip
        raise ArchiveError("Archiwum jest uszkodzone.") from error
    if not names:
        raise EmptyArchiveError


def _check_name(name: str, names: set[str]) -> None:
    if not name or len(name) > _LONGEST_NAME or "/" in name or "\\" in name or name in (".", "..") or "\0" in name:
        raise ArchiveError(f"Niedozwolona nazwa pliku: '{name[:_LONGEST_NAME]}'.")
    if name in names:
        raise ArchiveError(f"Nazwa pliku występuje więcej niż raz: '{name}'.")
    names.add(name)


def _read_entry(name: str, file: IO[bytes], largest: int, budget: int) -> Entry:
    content = file.read(largest + 1)
    digest, size = hashlib.sha256(content), len(content)
    while more := file.read(_READ):
        digest.update(more)
        size += len(more)
        if size > budget:
            break
    if size > budget:
        raise ArchiveError("Rozmiar archiwum po dekompresji przekracza dozwolony limit.")
    return Entry(name, size, digest.digest(), content)


def _zip_entries(file: io.BufferedReader, size: int, max_invoices: int, _: int) -> Iterator[tuple[str, IO[bytes]]]:
    count, directory_size = _end_of_zip(file, size)
    if count > max_invoices:
        raise TooManyEntriesError(max_invoices, count)
    if directory_size > _LARGEST_DIRECTORY:
        raise ArchiveError("Katalog archiwum jest zbyt duży.")
    with zipfile.ZipFile(file) as archive:
        if (found := len(archive.infolist())) > max_invoices:
            raise TooManyEntriesError(max_invoices, found)
        for info in archive.infolist():
            if info.is_dir() or info.flag_bits & 1:
                raise ArchiveError(f"Niedozwolony element archiwum: '{info.filename}'.")
            with archive.open(info) as entry:
                yield info.filename, entry


def _end_of_zip(file: io.BufferedReader, size: int) -> tuple[int, int]:
    """How many entries the end of a zip file tells of, and how long their directory is."""
    start = max(0, size - 22 - 2**16 - 20)
    file.seek(start)
    tail = file.read(size - start)
    end = tail.rfind(b"PK\x05\x06")
    if end < 0:
        raise ArchiveError("Plik nie jest archiwum Zip.")
    count, directory_size = struct.unpack_from("<HI", tail, end + 10)
    locator = end - 20
    if locator >= 0 and tail[locator : locator + 4] == b"PK\x06\x07":
        (offset,) = struct.unpack_from("<Q", tail, locator + 8)
        file.seek(offset)
        count, directory_size = struct.unpack_from("<QQ", file.read(56), 32)
    file.seek(0)
    return count, directory_size


class _Bounded:
    """The unpacked stream, for tar: nothing long is read at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._position = 0

    def read(self, size: int) -> bytes:
        if size > _LARGEST_HEADER:
            raise ArchiveError("Nagłówek archiwum jest zbyt duży.")
        data = self._file.read(size)
        self._position += len(data)
        return data

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        if position < self._position:
            raise tarfile.StreamError("seeking backwards")
        while self._position < position:
            if not self.read(min(_READ, position - self._position)):
                break
        return self._position


def _tar_gz_entries(file: io.BufferedReader, _: int, max_invoices: int, budget: int) -> Iterator[tuple[str, IO[bytes]]]:
    with gzip.GzipFile(fileobj=file) as stream:
        bounded = _Bounded(stream)  # type: ignore[arg-type]  # GzipFile reads like any file
        with tarfile.TarFile(fileobj=bounded, mode="r") as archive:  # type: ignore[arg-type]  # what tar needs of it
            members = iter(archive)
            for count, member in enumerate(members, 1):
                if count > max_invoices:
                    # An archive that unpacks to more than any package may is not read on to be counted.
                    more = sum(1 for _ in itertools.takewhile(lambda _: bounded.tell() <= budget, members))
                    raise TooManyEntriesError(max_invoices, count + more)
                entry = archive.extractfile(member) if member.isreg() and not member.issparse() else None
                if entry is None:
                    raise ArchiveError(f"Niedozwolony element archiwum: '{member.name}'.")
                yield member.name, entry
        # To the end, where gzip has its checksum; nothing but zeros, and few of them, may come before it.
        rest = bounded.read(_READ)
        if rest.strip(b"\0") or bounded.read(1):
            raise ArchiveError("Za końcem archiwum są dalsze dane.")
