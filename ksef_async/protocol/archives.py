"""Reading an archive that came from somewhere else: a zip or a tar.gz, within bounds.

The rule: nothing that the archive says of itself is believed. Names that lead elsewhere, the same name twice, whatever
is no plain file, directories and headers that are long, and more members or bytes than `Bounds` allow are refused
before they are unpacked; a checksum that does not fit is refused afterwards. Both sides read by it: the client what
KSeF has exported, the sandbox what a client has packed.
"""

from __future__ import annotations

import enum
import errno
import gzip
import io
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, Final

import attrs

__all__ = ["Bounds", "Flaw", "Member", "TarGzArchive", "UnsafeArchiveError", "ZipArchive"]

_UNSAFE: Final = re.compile(r"[/\\:\x00-\x1f]|^\.{0,2}$")
# Bytes that a member takes in a zip's directory, with room for long names and notes.
_DIRECTORY_ENTRY: Final = 1_000
# The longest header of a tar's member, and the longest filling after the last one.
_LONGEST_HEADER: Final = 2**20
# Bytes that are unpacked at a time, where not all are wanted at once.
_PIECE: Final = 2**16
# The end of a zip: its record, before it the note that leads to the one of zip64, after it a comment.
_END, _LOCATOR, _LONGEST_COMMENT = 22, 20, 2**16
# Other methods unpack without a bound.
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BROKEN: Final = (
    zipfile.BadZipFile, zipfile.LargeZipFile, tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError, struct.error,
    NotImplementedError, ValueError, RuntimeError, OverflowError, UnicodeError,
)  # fmt: skip


class Flaw(enum.Enum):
    """Why an archive is refused."""

    NOT_A_ZIP = enum.auto()
    """It has no directory, as a zip has at its end."""
    BROKEN = enum.auto()
    """It cannot be unpacked, or a checksum or a length in it is wrong."""
    UNSAFE_NAME = enum.auto()
    """A name is empty, too long, or leads elsewhere."""
    SAME_NAME = enum.auto()
    """Two members have one name."""
    NOT_A_FILE = enum.auto()
    """A member is a folder, a link, a device, encrypted, or packed in an unknown way."""
    TOO_MANY = enum.auto()
    """It has more members than are allowed."""
    TOO_LARGE = enum.auto()
    """It unpacks to more than is allowed."""
    LONG_DIRECTORY = enum.auto()
    """A zip's directory is longer than so many members need."""
    LONG_HEADER = enum.auto()
    """A tar's header is longer than any that is needed."""
    LONG_TAIL = enum.auto()
    """Something follows the last member of a tar."""


class UnsafeArchiveError(Exception):
    """An archive is refused.

    Args:
        flaw: Why.
        name: Of the member it is about, if of one.
        count: How many members there are, if those are too many.
        problem: What exactly is broken.
    """

    def __init__(self, flaw: Flaw, name: str = "", *, count: int = 0, problem: str = "") -> None:
        super().__init__(flaw, name)
        self.flaw = flaw
        self.name = name
        self.count = count
        self.problem = problem


@attrs.frozen(kw_only=True)
class Bounds:
    """The most that an archive may hold."""

    max_members: int
    max_total_size: int
    """Bytes of all members together, unpacked."""
    longest_name: int = 255
    """Characters."""
    counts_all: bool = False
    """Whether those members are counted, too, that are too many; their bytes only up to ``max_total_size``."""


@attrs.frozen
class Member:
    """A file in an archive."""

    name: str
    size: int
    """Bytes, unpacked, as the archive says; less or more is refused on reading."""
    _open: Callable[[], IO[bytes]] = attrs.field(repr=False)

    def read(self) -> bytes:
        """Return the whole content.

        Raises:
            UnsafeArchiveError: It is broken.
        """
        with _translated(), self._open() as file:
            # One byte more than there is: only at the end its checksum is compared.
            data = file.read(self.size + 1)
        if len(data) != self.size:
            raise self._wrong_length()
        return data

    def pieces(self) -> Iterator[bytes]:
        """Return the content in pieces.

        Raises:
            UnsafeArchiveError: It is broken.
        """
        if self.size <= _PIECE:
            yield self.read()
            return
        left = self.size
        with _translated():
            file = self._open()
        with file:
            while True:
                with _translated():
                    piece = file.read(_PIECE)
                if not piece:
                    break
                left -= len(piece)
                yield piece
        if left:
            raise self._wrong_length()

    def _wrong_length(self) -> UnsafeArchiveError:
        return UnsafeArchiveError(Flaw.BROKEN, self.name, problem=f"{self.name} is not as long as it says")


class _Register:
    """Checks the names and sizes of the members as they come."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._names: set[str] = set()
        self._total = 0

    @property
    def is_full(self) -> bool:
        return len(self._names) >= self._bounds.max_members

    def admit(self, name: str, size: int) -> None:
        if len(name) > self._bounds.longest_name or _UNSAFE.search(name):
            raise UnsafeArchiveError(Flaw.UNSAFE_NAME, name)
        if name in self._names:
            raise UnsafeArchiveError(Flaw.SAME_NAME, name)
        self._names.add(name)
        self._total += size
        if self._total > self._bounds.max_total_size:
            raise UnsafeArchiveError(Flaw.TOO_LARGE, name)


class ZipArchive:
    """A zip, whose members can be read in any order.

    Args:
        file: At any position; it stays open.
        bounds: The most it may hold.

    Raises:
        UnsafeArchiveError: It is no zip, is broken, or its directory is too long.
    """

    def __init__(self, file: IO[bytes], bounds: Bounds) -> None:
        self._bounds = bounds
        with _translated():
            # Before it is read into memory as a whole.
            count, directory_size = _end_of_zip(file)
        if count > bounds.max_members:
            raise UnsafeArchiveError(Flaw.TOO_MANY, count=count)
        if directory_size > bounds.max_members * _DIRECTORY_ENTRY:
            raise UnsafeArchiveError(Flaw.LONG_DIRECTORY)
        with _translated():
            self._zip = zipfile.ZipFile(file)
        if (count := len(self._zip.infolist())) > bounds.max_members:
            raise UnsafeArchiveError(Flaw.TOO_MANY, count=count)

    def members(self) -> Iterator[Member]:
        """Return the members in the order of the directory.

        Raises:
            UnsafeArchiveError: One of them must not be unpacked, or all together are too large.
        """
        register = _Register(self._bounds)
        for info in self._zip.infolist():
            register.admit(info.filename, info.file_size)
            if info.flag_bits & 1 or info.compress_type not in _METHODS:
                raise UnsafeArchiveError(Flaw.NOT_A_FILE, info.filename)
            yield Member(info.filename, info.file_size, partial(self._zip.open, info))


def _end_of_zip(file: IO[bytes]) -> tuple[int, int]:
    """Return how many members the end of a zip declares, and how long their directory is."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END - _LONGEST_COMMENT - _LOCATOR))
    tail = file.read(_END + _LONGEST_COMMENT + _LOCATOR)
    end = tail.rfind(b"PK\x05\x06")
    if end < 0:
        raise UnsafeArchiveError(Flaw.NOT_A_ZIP)
    count, directory_size = struct.unpack_from("<HI", tail, end + 10)
    locator = end - _LOCATOR
    if locator >= 0 and tail[locator : locator + 4] == b"PK\x06\x07":
        (offset,) = struct.unpack_from("<Q", tail, locator + 8)
        file.seek(offset)
        count, directory_size = struct.unpack_from("<QQ", file.read(56), 32)
    file.seek(0)
    return count, directory_size


class TarGzArchive:
    """A tar.gz, whose members are read in their order, each before the next.

    Args:
        file: At any position; it stays open.
        bounds: The most it may hold.
    """

    def __init__(self, file: IO[bytes], bounds: Bounds) -> None:
        self._file = file
        self._bounds = bounds

    def members(self) -> Iterator[Member]:
        """Return the members, from the first one on whenever it is called.

        Raises:
            UnsafeArchiveError: It is no tar.gz, or broken; a member must not be unpacked, or all together are too many
                or too large.
        """
        register = _Register(self._bounds)
        with _translated():
            self._file.seek(0)
            stream = _BoundedStream(gzip.GzipFile(fileobj=self._file, mode="rb"))
            tar = tarfile.TarFile(fileobj=stream, mode="r")  # type: ignore[arg-type]  # what tar needs of a file
        while (info := _next_of(tar, stream)) is not None:
            if register.is_full:
                count = self._bounds.max_members + 1 + self._count_rest(tar, stream)
                raise UnsafeArchiveError(Flaw.TOO_MANY, count=count)
            if not info.isreg() or info.issparse():
                raise UnsafeArchiveError(Flaw.NOT_A_FILE, info.name)
            register.admit(info.name, info.size)
            stream.allowed = max(info.size, _LONGEST_HEADER)
            yield Member(info.name, info.size, partial(_extract, tar, info))
        with _translated():
            # To the end, where gzip has its checksum. What tar takes for its end may be a header that is broken.
            rest = stream.read(_LONGEST_HEADER)
            if rest.strip(b"\0") or stream.read(1):
                raise UnsafeArchiveError(Flaw.LONG_TAIL)

    def _count_rest(self, tar: tarfile.TarFile, stream: _BoundedStream) -> int:
        count = 0
        if self._bounds.counts_all:
            # An archive that unpacks to more than is allowed is not read on to be counted.
            while stream.tell() <= self._bounds.max_total_size and _next_of(tar, stream) is not None:
                count += 1
        return count


def _next_of(tar: tarfile.TarFile, stream: _BoundedStream) -> tarfile.TarInfo | None:
    with _translated():
        stream.allowed = _LONGEST_HEADER
        info = tar.next()
    tar.members = []  # type: ignore[attr-defined]  # it would remember all of them
    return info


def _extract(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(info)
    assert file is not None, "a plain file has a content"  # noqa: S101  # only of the others there is none
    return file


class _BoundedStream:
    """What is unpacked, for `tarfile`: a tar's headers say themselves how long they are, so reading has a bound."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self._position = 0
        self.allowed = _LONGEST_HEADER

    def read(self, size: int) -> bytes:
        if size > self.allowed:
            raise UnsafeArchiveError(Flaw.LONG_HEADER)
        data = self._file.read(size)
        self._position += len(data)
        return data

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        if position < self._position:
            raise tarfile.StreamError("seeking backwards")
        while self._position < position:
            if not self.read(min(_PIECE, position - self._position)):
                break
        return self._position


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise _broken(error) from error
    except OSError as error:
        # A position that there cannot be; anything else is the disk's.
        if error.errno != errno.EINVAL:
            raise
        raise _broken(error) from error


def _broken(error: Exception) -> UnsafeArchiveError:
    return UnsafeArchiveError(Flaw.BROKEN, problem=f"{type(error).__name__}: {error}")
