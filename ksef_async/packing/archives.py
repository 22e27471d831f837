"""Writing the two archive formats, so that several threads can compress one archive.

An archive is written in lots. `prepare` and `write` are called lot after lot, `compress` for any number of lots at
once. Everything here blocks, and belongs into threads. Dates are fixed: the same invoices give the same archive.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from struct import Struct
from struct import pack as pack_struct
from tarfile import BLOCKSIZE, LENGTH_NAME, PAX_FORMAT, RECORDSIZE, TarInfo
from typing import Final, NamedTuple, Protocol

import attrs

from ..api.packages import CompressionType
from ..errors import LocalProtocolError
from ..protocol.invoices import check_invoice_file
from .deflate import Deflate
from .package import PackedInvoice
from .parts import Sink
from .sources import Invoice

__all__ = ["ArchiveWriter", "Lot", "TarGzArchive", "ZipArchive", "ZipEntry", "new_archive", "tar_header"]

_TAR_MODE: Final = 0o600
_SIZE: Final = slice(124, 135)
_CHECKSUM: Final = slice(148, 155)


def tar_header(name: str, size: int) -> bytes:
    """Return what stands before a file: one block, or several for a name that is long or not in ASCII.

    Args:
        name: Of the file, without folders.
        size: Of the file in bytes, less than 8 GiB.
    """
    if len(name) > LENGTH_NAME or not name.isascii():
        return _by_tarfile(name, size)
    encoded = name.encode("ascii")
    digits = b"%011o" % size
    checksum = b"%06o\0" % (_SUM + sum(encoded) + sum(digits))
    return b"".join((encoded, _EMPTY[len(encoded) : _SIZE.start], digits, _BETWEEN, checksum, _END))


def _by_tarfile(name: str, size: int) -> bytes:
    info = TarInfo(name)
    info.size = size
    info.mode = _TAR_MODE
    return info.tobuf(PAX_FORMAT)


_EMPTY: Final = _by_tarfile("", 0)
_BETWEEN: Final = _EMPTY[_SIZE.stop : _CHECKSUM.start]
_END: Final = _EMPTY[_CHECKSUM.stop :]
# Of all bytes but those of name and size; the checksum itself counts as blanks.
_SUM: Final = int(_EMPTY[_CHECKSUM][:-1], 8) - sum(_EMPTY[_SIZE])


# How far back deflate looks.
_WINDOW: Final = 2**15


@attrs.define
class Lot:
    """Some invoices on their way through an archive."""

    invoices: list[Invoice]
    dictionary: bytes = b""
    """Plain bytes in front of them, for a format that compresses across invoices."""
    pieces: list[bytes] = attrs.field(factory=list)
    """What is written, in its order; for a format that compresses across invoices, plain before compression."""
    entries: list[ZipEntry] = attrs.field(factory=list)
    """For a format with a directory: what belongs into it for each of the invoices."""
    packed: list[PackedInvoice] = attrs.field(factory=list)

    @property
    def plain_size(self) -> int:
        """Bytes of its invoices, once it is compressed."""
        return sum(invoice.size for invoice in self.packed)


class ArchiveWriter(Protocol):
    """An archive in the making."""

    def prepare(self, invoices: list[Invoice]) -> Lot:
        """Do what needs to know the lot before.

        Raises:
            LocalProtocolError: One is nothing KSeF takes.
            OSError: A file cannot be read.
        """
        ...

    def compress(self, lot: Lot) -> None:
        """Check, hash and compress the lot's invoices, and let go of them.

        Raises:
            LocalProtocolError: One is nothing KSeF takes.
            OSError: A file cannot be read.
        """
        ...

    def write(self, lot: Lot) -> None:
        """Write the lot."""
        ...

    def finish(self) -> None:
        """Write what stands at the end."""
        ...


class ZipEntry(NamedTuple):
    """The entry of one file in the directory of a ZIP archive."""

    name: bytes
    flags: int
    checksum: int
    compressed_size: int
    size: int

    def header(self) -> bytes:
        """Return what stands before the compressed bytes."""
        return _LOCAL.pack(b"PK\3\4", _VERSION, *self._described(), 0) + self.name

    def row(self, offset: int) -> bytes:
        """Return its row of the directory.

        Args:
            offset: Where its header stands in the archive.
        """
        version, extra = _VERSION, b""
        if offset >= _MAX_32:
            version, extra, offset = _VERSION_64, _OFFSET_64.pack(1, 8, offset), _MAX_32
        head = _CENTRAL.pack(b"PK\1\2", version, _UNIX, version, *self._described(), len(extra), 0, 0, 0, _MODE, offset)
        return head + self.name + extra

    def _described(self) -> tuple[int, ...]:
        return (
            self.flags, _DEFLATED, 0, _FIRST_DAY, self.checksum, self.compressed_size, self.size, len(self.name)
        )  # fmt: skip


# As APPNOTE.TXT has them: 4.3.7, 4.3.12, 4.5.3, and 4.3.14 to 4.3.16. An invoice is never so large that its own sizes
# would need 64 bits, but one may begin beyond 4 GiB.
_LOCAL: Final = Struct("<4s5H3L2H")
_CENTRAL: Final = Struct("<4s2B5H3L5H2L")
_OFFSET_64: Final = Struct("<2HQ")
_END_64: Final = Struct("<4sQ2H2L4Q")
_LOCATOR_64: Final = Struct("<4sLQL")
_END_OF_DIRECTORY: Final = Struct("<4s4H2LH")
_VERSION: Final = 20
_VERSION_64: Final = 45
_UNIX: Final = 3
_DEFLATED: Final = 8
_UTF8: Final = 0x800
# The first day a ZIP can name: 1980-01-01.
_FIRST_DAY: Final = 0x21
# Of a file that its owner alone may read and write.
_MODE: Final = 0o600 << 16
_MAX_16: Final = 0xFFFF
_MAX_32: Final = 0xFFFFFFFF


class ZipArchive:
    """Every invoice compressed by itself.

    Headers and directory are written here, not by `zipfile`, whose objects take as long as compressing an invoice, and
    as much memory as everything else.
    """

    def __init__(self, sink: Sink, deflate: Deflate) -> None:
        self._sink = sink
        self._deflate = deflate
        self._directory = bytearray()
        self._count = 0

    def prepare(self, invoices: list[Invoice]) -> Lot:
        """Nothing to be done: every invoice stands by itself."""
        return Lot(invoices)

    def compress(self, lot: Lot) -> None:
        """Make an entry of each invoice; see `ArchiveWriter.compress`."""
        for invoice in lot.invoices:
            # Read only now, so that no more than one is held.
            data = invoice.read()
            lot.packed.append(_checked(invoice, data))
            chunks = self._deflate.whole(data)
            name = invoice.file_name
            # Known before the header is written, so that no entry needs a data descriptor behind it.
            entry = ZipEntry(
                name.encode(),
                0 if name.isascii() else _UTF8,
                self._deflate.crc32(data),
                sum(map(len, chunks)),
                len(data),
            )
            lot.entries.append(entry)
            lot.pieces.append(entry.header())
            lot.pieces += chunks
        lot.invoices.clear()
        if len(lot.entries) > 1:
            # In one piece: each costs the writer as much, however small it is.
            lot.pieces = [b"".join(lot.pieces)]

    def write(self, lot: Lot) -> None:
        """Write the entries; see `ArchiveWriter.write`."""
        offset = self._sink.tell()
        for piece in lot.pieces:
            self._sink.write(piece)
        for entry in lot.entries:
            self._directory += entry.row(offset)
            offset += _LOCAL.size + len(entry.name) + entry.compressed_size
        self._count += len(lot.entries)

    def finish(self) -> None:
        """Write the directory; see `ArchiveWriter.finish`."""
        start, size, count = self._sink.tell(), len(self._directory), self._count
        self._sink.write(self._directory)
        if count >= _MAX_16 or start >= _MAX_32:
            rows = (count, count, size, start)
            self._sink.write(_END_64.pack(b"PK\6\6", _END_64.size - 12, _VERSION_64, _VERSION_64, 0, 0, *rows))
            self._sink.write(_LOCATOR_64.pack(b"PK\6\7", 0, start + size, 1))
            count, start = min(count, _MAX_16), min(start, _MAX_32)
        self._sink.write(_END_OF_DIRECTORY.pack(b"PK\5\6", 0, 0, count, count, size, start, 0))


class TarGzArchive:
    """A gzip stream of a tar archive.

    Each lot is compressed by itself, with the end of the lot before as its dictionary, and ends on a whole byte:
    so the lots make one stream together, hardly larger than if one thread had compressed it. (pigz does the same.)
    """

    def __init__(self, sink: Sink, deflate: Deflate) -> None:
        self._sink = sink
        self._deflate = deflate
        self._dictionary = b""
        self._crc = 0
        self._size = 0

    def prepare(self, invoices: list[Invoice]) -> Lot:
        """Put headers before the invoices; see `ArchiveWriter.prepare`."""
        read = [invoice._replace(content=invoice.read()) for invoice in invoices]
        pieces = []
        for invoice in read:
            data = invoice.read()
            pieces += [tar_header(invoice.file_name, len(data)), data, bytes(-len(data) % BLOCKSIZE)]
        lot = Lot(read, self._dictionary, pieces)
        self._take(pieces)
        return lot

    def compress(self, lot: Lot) -> None:
        """Compress the lot; see `ArchiveWriter.compress`."""
        lot.packed = [_checked(invoice, invoice.read()) for invoice in lot.invoices]
        lot.pieces = self._deflate.stream(lot.pieces, dictionary=lot.dictionary, is_end=False)
        lot.invoices.clear()

    def write(self, lot: Lot) -> None:
        """Write the lot; see `ArchiveWriter.write`."""
        if not self._sink.tell():
            # Magic number, deflate; neither flags nor a date; "unknown" as operating system. Source: RFC 1952.
            self._sink.write(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")
        for chunk in lot.pieces:
            self._sink.write(chunk)

    def finish(self) -> None:
        """End the tar archive, then the gzip stream; see `ArchiveWriter.finish`."""
        # Two empty blocks, filled up to a whole record; their size is that of all before, so they come last.
        end = bytes(RECORDSIZE - self._size % RECORDSIZE)
        if len(end) < 2 * BLOCKSIZE:
            end += bytes(RECORDSIZE)
        self._take([end])
        for chunk in self._deflate.stream([end]):
            self._sink.write(chunk)
        self._sink.write(pack_struct("<LL", self._crc, self._size & 0xFFFFFFFF))

    def _take(self, pieces: Sequence[bytes]) -> None:
        for piece in pieces:
            self._crc = self._deflate.crc32(piece, self._crc)
            self._size += len(piece)
        self._dictionary = _end([self._dictionary, *pieces])


def new_archive(compression: CompressionType, sink: Sink, deflate: Deflate) -> ArchiveWriter:
    """Return an archive of the format ``compression``.

    Raises:
        LocalProtocolError: The format is none that can be written.
    """
    if compression is CompressionType.ZIP:
        return ZipArchive(sink, deflate)
    if compression is CompressionType.TAR_GZ:
        return TarGzArchive(sink, deflate)
    raise LocalProtocolError(f"Packages are written as Zip or TarGz, not as {compression!r}.")


def _checked(invoice: Invoice, data: bytes) -> PackedInvoice:
    try:
        check_invoice_file(data)
    except LocalProtocolError as error:
        raise LocalProtocolError(f"{invoice.file_name}: {error}") from None
    return PackedInvoice(file_name=invoice.file_name, size=len(data), sha256=sha256(data).digest(), key=invoice.key)


def _end(pieces: Sequence[bytes]) -> bytes:
    """The last 32 KiB of ``pieces``."""
    tail = []
    missing = _WINDOW
    for piece in reversed(pieces):
        tail.append(piece[-missing:])
        missing -= len(tail[-1])
        if not missing:
            break
    return b"".join(reversed(tail))
