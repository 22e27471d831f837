"""Reading a package that came from somewhere else: no more memory than one document, no name that is not KSeF's.

A package holds ``{KSeF number}.xml`` for each invoice, and ``_metadata.json``. Names that lead elsewhere, entries that
are no plain files, twice the same name and whatever exceeds `UnpackLimits` are refused; plain names that are not
known are passed over.
"""

from __future__ import annotations

import gzip
import io
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import IO, Final, Protocol

import attrs

from ..api.common import KSEF_NUMBER
from ..errors import RemoteProtocolError

__all__ = ["Archive", "UnpackLimits", "open_archive"]


@attrs.frozen(kw_only=True)
class UnpackLimits:
    """The most that a package may hold; all sizes are bytes. KSeF's own limits fit in many times over."""

    max_package_size: int = 2_000_000_000
    """All parts together, decrypted; KSeF stops at 1 GB of compressed documents."""
    max_part_size: int = 100_000_000
    """One part as it is fetched; KSeF's have up to 50 MB."""
    max_entries: int = 11_000
    """KSeF stops at 10,000 documents."""
    max_invoice_size: int = 10_000_000
    """One document; KSeF itself takes 3 MB, and 10 MB at most on TEST."""
    max_metadata_size: int = 64_000_000
    """What is told of all documents together: of 10,000, with 6,400 bytes for each, of which most need 1,000."""
    max_row_size: int = 500_000
    """What is told of one document; the 100 third parties that FA(3) allows need 350,000, every letter escaped."""
    max_total_size: int = 50_000_000_000
    """All documents together."""


_INVOICE: Final = re.compile(rf"({KSEF_NUMBER})\.xml", re.ASCII)
_METADATA: Final = re.compile(r"_metadata[\w-]*\.json", re.ASCII)
_UNSAFE: Final = re.compile(r"[/\\:\x00-\x1f]|^\.{0,2}$")
# Bytes that an entry takes in a zip's directory, with room for long names and notes.
_DIRECTORY_ENTRY: Final = 1_000
# The longest header of a tar entry; KSeF's names are short.
_LONGEST_HEADER: Final = 2**20
# Bytes of metadata that are unpacked at a time.
_PIECE: Final = 2**16
_BROKEN: Final = (
    zipfile.BadZipFile, zipfile.LargeZipFile, tarfile.TarError, zlib.error, EOFError, OSError, struct.error,
    NotImplementedError, ValueError, RuntimeError, OverflowError, UnicodeError,
)  # fmt: skip


class Archive(Protocol):
    """A package, opened. Not for the event loop: everything reads and unpacks."""

    def metadata(self) -> Iterator[Iterator[bytes]]:
        """What is told of the documents: files of JSON, each in pieces, to be used up before the next."""
        ...

    def documents(self, wanted: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Each document with its KSeF number; those in ``wanted`` first and in this order where that is cheap."""
        ...


def open_archive(file: IO[bytes], limits: UnpackLimits) -> Archive:
    """Open a package; its first bytes tell what kind of archive it is, for not every version of KSeF does.

    Raises:
        RemoteProtocolError: Broken, or not what KSeF makes.
    """
    with _translated():
        file.seek(0)
        start = file.read(2)
    if start == b"PK":
        return _Zip(file, limits)
    if start == b"\x1f\x8b":
        return _TarGz(file, limits)
    raise _refused("is neither a zip nor a tar.gz")


def _refused(problem: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"KSeF's package {problem}; it must not be trusted.", operation="export_package")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise _refused(f"is broken ({type(error).__name__}: {error})") from error


class _Counter:
    """Looks at names and sizes as they come."""

    def __init__(self, limits: UnpackLimits) -> None:
        self._limits = limits
        self._names: set[str] = set()
        self._total = 0
        self._metadata = 0

    def admit(self, name: str, size: int) -> str | None:
        """The KSeF number of a document, ``""`` for metadata, None for what is not known."""
        if _UNSAFE.search(name):
            raise _refused(f"has an entry whose name leads elsewhere ({name[:100]!r})")
        if name in self._names:
            raise _refused(f"has two entries named {name[:100]!r}")
        self._names.add(name)
        if len(self._names) > self._limits.max_entries:
            raise _refused(f"has more than {self._limits.max_entries:,} entries")
        self._total += size
        if self._total > self._limits.max_total_size:
            raise _refused(f"unpacks to more than {self._limits.max_total_size:,} bytes")
        if match := _INVOICE.fullmatch(name):
            self.check(name, size, self._limits.max_invoice_size)
            return match[1]
        if _METADATA.fullmatch(name):
            self._metadata += size
            if self._metadata > self._limits.max_metadata_size:
                raise _refused(f"tells more than {self._limits.max_metadata_size:,} bytes of its documents")
            return ""
        return None

    @staticmethod
    def check(name: str, size: int, most: int) -> None:
        if size > most:
            raise _refused(f"has an entry {name} of {size:,} bytes, more than {most:,}")


class _Zip:
    def __init__(self, file: IO[bytes], limits: UnpackLimits) -> None:
        self._limits = limits
        self._metadata: list[zipfile.ZipInfo] = []
        self._documents: dict[str, zipfile.ZipInfo] = {}
        counter = _Counter(limits)
        with _translated():
            _check_directory(file, limits)
            self._zip = zipfile.ZipFile(file)
        for info in self._zip.infolist():
            number = counter.admit(info.filename, info.file_size)
            # The other methods unpack without a bound.
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _refused(f"has an entry {info.filename} that is encrypted or packed in an unknown way")
            if number:
                self._documents[number] = info
            elif number is not None:
                self._metadata.append(info)

    def metadata(self) -> Iterator[Iterator[bytes]]:
        return (self._pieces(info) for info in self._metadata)

    def _pieces(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        size = 0
        with _translated():
            entry = self._zip.open(info)
        with entry:
            # To its end, where its checksum is compared.
            while True:
                with _translated():
                    piece = entry.read(_PIECE)
                if not piece:
                    break
                size += len(piece)
                yield piece
        if size != info.file_size:
            raise _refused(f"has an entry {info.filename} that is not as long as it says")

    def documents(self, wanted: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        first = [number for number in wanted if number in self._documents]
        for number in dict.fromkeys([*first, *self._documents]):
            yield number, self._read(self._documents[number], self._limits.max_invoice_size)

    def _read(self, info: zipfile.ZipInfo, most: int) -> bytes:
        with _translated(), self._zip.open(info) as entry:
            # One byte more than there may be; at the end of the entry its checksum is compared.
            data = entry.read(most + 1)
        if len(data) != info.file_size or len(data) > most:
            raise _refused(f"has an entry {info.filename} that is not as long as it says")
        return data


def _check_directory(file: IO[bytes], limits: UnpackLimits) -> None:
    """Look how large a zip's directory is before it is read into memory as a whole."""
    size = file.seek(0, io.SEEK_END)
    tail_at = max(0, size - 65_557)
    file.seek(tail_at)
    tail = file.read(65_557)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise zipfile.BadZipFile("no directory")
    (directory,) = struct.unpack_from("<L", tail, at + 12)
    if directory == 0xFFFFFFFF or tail[max(0, at - 20) : at].startswith(b"PK\x06\x07"):
        (offset,) = struct.unpack_from("<Q", tail, at - 20 + 8)
        file.seek(offset)
        record = file.read(56)
        (directory,) = struct.unpack_from("<Q", record, 40)
    if directory > limits.max_entries * _DIRECTORY_ENTRY:
        raise _refused(f"has a directory of {directory:,} bytes")
    file.seek(0)


class _Bounded(io.RawIOBase):
    """Refuses to read more at once than is allowed at the moment: a tar's headers say themselves how long they are."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self.allowed = _LONGEST_HEADER

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= self.allowed:
            raise tarfile.ReadError(f"an entry wants {size:,} bytes at once")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class _TarGz:
    def __init__(self, file: IO[bytes], limits: UnpackLimits) -> None:
        self._file = file
        self._limits = limits

    def metadata(self) -> Iterator[Iterator[bytes]]:
        return (_pieces(name, size, read) for number, name, size, read in self._entries() if number == "")

    def documents(self, wanted: Sequence[str]) -> Iterator[tuple[str, bytes]]:  # a tar has one order
        for number, name, size, read in self._entries():
            if number:
                data = read(size)
                if len(data) != size:
                    raise _ends_within(name)
                yield number, data

    def _entries(self) -> Iterator[tuple[str, str, int, Callable[[int], bytes]]]:
        """KSeF number (none for metadata), name and size of each entry, and how it is read."""
        counter = _Counter(self._limits)
        with _translated():
            self._file.seek(0)
            bounded = _Bounded(gzip.GzipFile(fileobj=self._file, mode="rb"))
            tar = tarfile.TarFile(fileobj=bounded, mode="r")
        while True:
            with _translated():
                bounded.allowed = _LONGEST_HEADER
                member = tar.next()
                if member is None:
                    # What follows is checked by nobody else: gzip's own checksum comes last.
                    _drain(bounded, self._limits)
                    return
                tar.members = []  # type: ignore[attr-defined]  # it would remember all of them
            if not member.isreg():
                raise _refused(f"has an entry {member.name[:100]!r} that is no plain file")
            number = counter.admit(member.name, member.size)
            if number is None:
                continue
            with _translated():
                bounded.allowed = self._limits.max_invoice_size
                entry = tar.extractfile(member)
            yield number, member.name, member.size, partial(_read, entry)


def _read(entry: IO[bytes] | None, size: int) -> bytes:
    with _translated():
        return b"" if entry is None else entry.read(size)


def _pieces(name: str, size: int, read: Callable[[int], bytes]) -> Iterator[bytes]:
    while size:
        piece = read(min(size, _PIECE))
        if not piece:
            raise _ends_within(name)
        size -= len(piece)
        yield piece


def _ends_within(name: str) -> RemoteProtocolError:
    return _refused(f"ends within its entry {name}")


def _drain(file: _Bounded, limits: UnpackLimits) -> None:
    left = limits.max_total_size
    while left > 0 and (data := file.read(_LONGEST_HEADER)):
        left -= len(data)
