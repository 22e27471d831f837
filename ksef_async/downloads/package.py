"""A package that was fetched: its invoices, one by one, each checked against its metadata."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Final, Self

import anyio.to_thread
import attrs

from ..api.invoices import InvoiceMetadata, InvoicePackage
from ..calling.events import AnswerIncomplete, Event
from ..errors import RemoteProtocolError
from ..protocol.numbers import file_name
from .archives import PackageArchive, UnpackLimits, open_archive
from .metadata import Row, read_metadata
from .parts import close_spool

__all__ = ["DownloadedPackage", "ExportedInvoice"]

# Documents are read until they have this many bytes together, so that a thread is not entered for each.
_HANDFUL: Final = 1_000_000
# Notes that are kept of what cannot be read.
_MOST_NOTES: Final = 1_000


@attrs.frozen
class ExportedInvoice:
    """An invoice out of a package."""

    metadata: InvoiceMetadata
    """The metadata that KSeF gives of it; only its KSeF number, where the rest of that cannot be read."""
    xml: bytes | None = attrs.field(repr=False)
    """As it was sent; None in a package of metadata only."""


class DownloadedPackage:
    """The invoices of an export: ``async for invoice in package``, oldest first by the date that was asked by.

    The first iteration and each further one go through the whole archive, which lies decrypted in memory or in a
    temporary file without a name until the package is closed.
    """

    def __init__(
        self,
        info: InvoicePackage,
        spool: IO[bytes] | None,
        archive: PackageArchive | None,
        metadata: dict[str, InvoiceMetadata],
        unread_rows: int,
        limits: UnpackLimits,
        *,
        only_metadata: bool,
    ) -> None:
        self.info = info
        """What KSeF says of the package."""
        self.unread_rows = unread_rows
        """How many invoices nothing can be read of but what is in their documents."""
        self._limits = limits
        self._spool = spool
        self._archive = archive
        self._metadata = metadata
        self._only_metadata = only_metadata

    def __repr__(self) -> str:
        return f"<DownloadedPackage of {len(self._metadata)} invoices{', truncated' if self.info.is_truncated else ''}>"

    @classmethod
    async def open(
        cls,
        info: InvoicePackage,
        spool: IO[bytes] | None,
        limits: UnpackLimits,
        *,
        only_metadata: bool,
        report: Callable[[Event], None],
    ) -> Self:
        """Read the metadata of the invoices, in a thread.

        Args:
            info: What KSeF says of the package.
            spool: The archive, closed with the package; None for an empty result without one.
            limits: The most it may hold.
            only_metadata: Whether the documents were left out.
            report: Called with an event for each thing that cannot be read.

        Raises:
            RemoteProtocolError: Broken, or not what KSeF said.
        """
        contents = _Contents()
        if spool is not None:
            try:
                contents = await anyio.to_thread.run_sync(_read, info, spool, limits)
            except BaseException:
                await close_spool(spool)
                raise
        package = cls(
            info,
            spool,
            contents.archive,
            contents.metadata,
            contents.unread_rows,
            limits,
            only_metadata=only_metadata,
        )
        count = len(contents.metadata) + contents.unread_rows
        if info.invoice_count not in (None, count):
            await package.aclose()
            raise _wrong(f"has metadata of {count} invoices, not of {info.invoice_count}")
        if contents.unread:
            report(AnswerIncomplete.of("export_package", contents.unread))
        return package

    @property
    def metadata(self) -> tuple[InvoiceMetadata, ...]:
        """Return the metadata of every invoice, in the order of the package."""
        return tuple(self._metadata.values())

    def sort(self, key: Callable[[InvoiceMetadata], datetime]) -> None:
        """Go through the invoices in another order; a TarGz is gone through as it is packed."""
        self._metadata = dict(sorted(self._metadata.items(), key=lambda item: key(item[1])))

    async def __aiter__(self) -> AsyncIterator[ExportedInvoice]:
        if self._only_metadata or self._archive is None:
            for each in self._metadata.values():
                yield ExportedInvoice(each, None)
            return
        documents = self._checked(self._archive)
        while handful := await anyio.to_thread.run_sync(_take, documents):
            for invoice in handful:
                yield invoice

    async def save(self, folder: Path) -> tuple[Path, ...]:
        """Write every document as ``{KSeF number}.xml``, and ``_metadata.json``, into ``folder``; nothing elsewhere.

        What is there under these names is replaced; a symbolic link is replaced too, not followed.

        Raises:
            RemoteProtocolError: A document is missing, or not the one described.
            OSError: A file cannot be written.
        """
        await anyio.to_thread.run_sync(_make_folder, folder)
        written = []
        async for invoice in self:
            if invoice.xml is not None:
                name = f"{file_name(invoice.metadata.ksef_number)}.xml"
                written.append(await anyio.to_thread.run_sync(_write, folder, name, (invoice.xml,)))
        if self._archive is not None:
            rows = _joined(self._archive, self._limits)
            written.append(await anyio.to_thread.run_sync(_write, folder, "_metadata.json", rows))
        return tuple(written)

    async def aclose(self) -> None:
        """Throw the archive away."""
        spool, self._spool = self._spool, None
        if spool is not None:
            await close_spool(spool)

    def _checked(self, archive: PackageArchive) -> Iterator[ExportedInvoice]:
        missing, unknown = dict(self._metadata), self.unread_rows
        for number, xml in archive.documents(tuple(self._metadata)):
            metadata = missing.pop(number, None)
            if metadata is None:
                # Its metadata is one of the rows that cannot be read: better an invoice of which little is known.
                unknown -= 1
                if unknown < 0:
                    raise _wrong(f"has a document {number} that has no metadata")
                metadata = InvoiceMetadata(ksef_number=number)
            elif not _fits(xml, metadata.invoice_hash):
                raise _wrong(f"has a document {number} that is not the one its metadata is about")
            yield ExportedInvoice(metadata, xml)
        if missing or unknown:
            which = f", {next(iter(missing))} among them" if missing else ""
            raise _wrong(f"lacks {len(missing) + unknown} documents{which}")


@attrs.define
class _Contents:
    """The metadata in a package."""

    archive: PackageArchive | None = None
    metadata: dict[str, InvoiceMetadata] = attrs.field(factory=dict)
    unread_rows: int = 0
    unread: list[tuple[str, str]] = attrs.field(factory=list)


def _read(info: InvoicePackage, spool: IO[bytes], limits: UnpackLimits) -> _Contents:
    contents = _Contents(open_archive(spool, limits))
    for row in _rows(contents.archive, limits):
        contents.unread += row.unread[: _MOST_NOTES - len(contents.unread)]
        if row.metadata is None:
            contents.unread_rows += 1
        elif row.metadata.ksef_number in contents.metadata:
            raise _wrong("lists an invoice twice")
        else:
            contents.metadata[row.metadata.ksef_number] = row.metadata
        if len(contents.metadata) + contents.unread_rows > limits.max_entries:
            raise _wrong(f"lists more than {limits.max_entries:,} invoices")
    return contents


def _rows(archive: PackageArchive | None, limits: UnpackLimits) -> Iterator[Row]:
    if archive is not None:
        for pieces in archive.metadata():
            yield from read_metadata(pieces, limits)


def _fits(xml: bytes, digest: bytes | None) -> bool:
    # Where KSeF does not give the hash, that of the part which the document came in was compared.
    return digest is None or hashlib.sha256(xml).digest() == digest


def _take(documents: Iterator[ExportedInvoice]) -> list[ExportedInvoice]:
    handful: list[ExportedInvoice] = []
    size = 0
    for invoice in documents:
        handful.append(invoice)
        size += len(invoice.xml or b"")
        if size >= _HANDFUL:
            break
    return handful


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def _write(folder: Path, name: str, pieces: Iterable[bytes]) -> Path:
    # The names were checked: a KSeF number, or this library's own.
    target, new = folder / name, folder / f".{name}.new"
    new.unlink(missing_ok=True)
    try:
        with new.open("xb") as file:
            for piece in pieces:
                file.write(piece)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return new.replace(target)


def _joined(archive: PackageArchive, limits: UnpackLimits) -> Iterator[bytes]:
    """Return the metadata of the invoices as one file."""
    before = b'{"invoices":['
    for row in _rows(archive, limits):
        yield before + row.text.encode()
        before = b","
    yield b"]}" if before == b"," else before + b"]}"


def _wrong(problem: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"KSeF's package {problem}; it must not be trusted.", operation="export_package")
