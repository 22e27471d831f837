"""Writing the two archive formats, so that several threads can compress one archive.

An archive is written in lots. `prepare` and `write` are called lot after lot, `compress` for any number of lots at
once. Everything here blocks, and belongs into threads. Dates are fixed: the same invoices give the same archive.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from struct import pack as pack_struct
from tarfile import BLOCKSIZE, LENGTH_NAME, PAX_FORMAT, RECORDSIZE, TarInfo
from typing import Final, Protocol
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import attrs

from ..api.packages import CompressionType
from ..errors import LocalProtocolError
from ..protocol.invoices import check_invoice_file
from .deflate import Deflate
from .package import PackedInvoice
from .parts import Sink
from .sources import Invoice

__all__ = ["Archive", "Lot", "TarGzArchive", "ZipArchive", "new_archive", "tar_header"]

_TAR_MODE: Final = 0o600
_SIZE: Final = slice(124, 135)
_CHECKSUM: Final = slice(148, 155)


def tar_header(name: str, size: int) -> bytes:
    """What stands before a file: one block, or several for a name that is long or not in ASCII.

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


# The first day a ZIP can name.
_DATE: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o600
_UNIX: Final = 3
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
    entries: list[ZipInfo] = attrs.field(factory=list)
    """For a format with a directory: what belongs into it for each of the pieces."""
    packed: list[PackedInvoice] = attrs.field(factory=list)

    @property
    def plain_size(self) -> int:
        """Bytes of its invoices, once it is compressed."""
        return sum(invoice.size for invoice in self.packed)


class Archive(Protocol):
    """An archive in the making."""

    def prepare(self, invoices: list[Invoice]) -> Lot:
        """Do what needs to know the lot before."""
        ...

    def compress(self, lot: Lot) -> None:
        """Check, hash and compress the lot's invoices, and let go of them.

        Raises:
            LocalProtocolError: One is nothing KSeF takes.
        """
        ...

    def write(self, lot: Lot) -> None:
        """Write the lot."""
        ...

    def finish(self) -> None:
        """Write what stands at the end."""
        ...


class ZipArchive:
    """Every invoice compressed by itself; headers and directory by `zipfile`."""

    def __init__(self, sink: Sink, deflate: Deflate) -> None:
        self._sink = sink
        self._deflate = deflate
        self._directory: list[ZipInfo] = []

    def prepare(self, invoices: list[Invoice]) -> Lot:
        """Nothing to be done: every invoice stands by itself."""
        return Lot(invoices)

    def compress(self, lot: Lot) -> None:
        """Make an entry of each invoice; see `Archive.compress`."""
        for invoice in lot.invoices:
            lot.packed.append(_checked(invoice))
            info = ZipInfo(invoice.file_name, _DATE)
            info.compress_type = ZIP_DEFLATED
            info.create_system = _UNIX
            info.external_attr = _MODE << 16
            chunks = self._deflate.whole(invoice.data)
            # Known before the header is written, so that no entry needs a data descriptor behind it.
            info.CRC = self._deflate.crc32(invoice.data)
            info.file_size = len(invoice.data)
            info.compress_size = sum(map(len, chunks))
            lot.pieces.append(b"".join([info.FileHeader(zip64=False), *chunks]))
            lot.entries.append(info)
        lot.invoices.clear()

    def write(self, lot: Lot) -> None:
        """Write the entries; see `Archive.write`."""
        for info, piece in zip(lot.entries, lot.pieces, strict=True):
            info.header_offset = self._sink.tell()
            self._sink.write(piece)
        self._directory += lot.entries

    def finish(self) -> None:
        """Write the directory; see `Archive.finish`."""
        # A ZipFile that finds itself behind something else writes only its directory.
        with ZipFile(self._sink, "w") as archive:
            archive.filelist.extend(self._directory)


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
        """Put headers before the invoices; see `Archive.prepare`."""
        pieces = []
        for invoice in invoices:
            size = len(invoice.data)
            pieces += [tar_header(invoice.file_name, size), invoice.data, bytes(-size % BLOCKSIZE)]
        lot = Lot(invoices, self._dictionary, pieces)
        self._take(pieces)
        return lot

    def compress(self, lot: Lot) -> None:
        """Compress the lot; see `Archive.compress`."""
        lot.packed = [_checked(invoice) for invoice in lot.invoices]
        lot.pieces = self._deflate.stream(lot.pieces, dictionary=lot.dictionary, is_end=False)
        lot.invoices.clear()

    def write(self, lot: Lot) -> None:
        """Write the lot; see `Archive.write`."""
        if not self._sink.tell():
            # Magic number, deflate; neither flags nor a date; "unknown" as operating system. Source: RFC 1952.
            self._sink.write(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")
        for chunk in lot.pieces:
            self._sink.write(chunk)

    def finish(self) -> None:
        """End the tar archive, then the gzip stream; see `Archive.finish`."""
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


def new_archive(compression: CompressionType, sink: Sink, deflate: Deflate) -> Archive:
    """An archive of the format ``compression``.

    Raises:
        LocalProtocolError: The format is none that can be written.
    """
    if compression is CompressionType.ZIP:
        return ZipArchive(sink, deflate)
    if compression is CompressionType.TAR_GZ:
        return TarGzArchive(sink, deflate)
    raise LocalProtocolError(f"Packages are written as Zip or TarGz, not as {compression!r}.")


def _checked(invoice: Invoice) -> PackedInvoice:
    try:
        check_invoice_file(invoice.data)
    except LocalProtocolError as error:
        raise LocalProtocolError(f"{invoice.file_name}: {error}") from None
    return PackedInvoice(
        file_name=invoice.file_name,
        size=len(invoice.data),
        sha256=sha256(invoice.data).digest(),
        key=invoice.key,
    )


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
