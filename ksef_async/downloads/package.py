"""A package that was fetched: its invoices, one by one, each checked against what is told of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Final, Self

import anyio.to_thread
import attrs

from ..errors import RemoteProtocolError
from ..models.invoices import InvoiceMetadata, InvoicePackage
from .archives import Archive, open_archive
from .limits import UnpackLimits
from .metadata import read_metadata
from .parts import close_spool

__all__ = ["DownloadedPackage", "ExportedInvoice"]

#: Documents are read until they have this many bytes together, so that a thread is not entered for each.
_HANDFUL: Final = 1_000_000


@attrs.frozen
class ExportedInvoice:
    """An invoice out of a package."""

    metadata: InvoiceMetadata
    #: As it was sent; None in a package of metadata only.
    xml: bytes | None = attrs.field(repr=False)


class DownloadedPackage:
    """The invoices of an export: ``async for invoice in package``, oldest first by the date that was asked by.

    The first iteration and each further one go through the whole archive, which lies decrypted in memory or in a
    temporary file without a name until the package is closed.
    """

    def __init__(
        self,
        info: InvoicePackage,
        spool: IO[bytes] | None,
        archive: Archive | None,
        metadata: dict[str, InvoiceMetadata],
        *,
        only_metadata: bool,
    ) -> None:
        #: What KSeF says of the package.
        self.info = info
        self._spool = spool
        self._archive = archive
        self._metadata = metadata
        self._only_metadata = only_metadata

    def __repr__(self) -> str:
        return f"<DownloadedPackage of {len(self._metadata)} invoices{', truncated' if self.info.is_truncated else ''}>"

    @classmethod
    async def open(
        cls, info: InvoicePackage, spool: IO[bytes] | None, limits: UnpackLimits, *, only_metadata: bool
    ) -> Self:
        """Read what is told of the invoices.

        Args:
            info: What KSeF says of the package.
            spool: The archive, closed with the package; None for an empty result without one.
            limits: The most it may hold.
            only_metadata: Whether the documents were left out.

        Raises:
            RemoteProtocolError: Broken, or not what KSeF said.
        """
        archive: Archive | None = None
        metadata: dict[str, InvoiceMetadata] = {}
        if spool is not None:
            try:
                archive, metadata = await anyio.to_thread.run_sync(_read, info, spool, limits)
            except BaseException:
                await close_spool(spool)
                raise
        if len(metadata) != info.invoice_count:
            package = cls(info, spool, archive, metadata, only_metadata=only_metadata)
            await package.aclose()
            raise _wrong(f"tells of {len(metadata)} invoices, not of {info.invoice_count}")
        return cls(info, spool, archive, metadata, only_metadata=only_metadata)

    @property
    def metadata(self) -> tuple[InvoiceMetadata, ...]:
        """What is told of every invoice, in the order of the package."""
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
            RemoteProtocolError: A document is missing, or not the one that is told of.
            OSError: A file cannot be written.
        """
        await anyio.to_thread.run_sync(_make_folder, folder)
        written = []
        async for invoice in self:
            if invoice.xml is not None:
                name = f"{invoice.metadata.ksef_number}.xml"
                written.append(await anyio.to_thread.run_sync(_write, folder, name, invoice.xml))
        if self._archive is not None:
            told = await anyio.to_thread.run_sync(self._archive.metadata)
            written.append(await anyio.to_thread.run_sync(_write, folder, "_metadata.json", _joined(told)))
        return tuple(written)

    async def aclose(self) -> None:
        """Throw the archive away."""
        spool, self._spool = self._spool, None
        if spool is not None:
            await close_spool(spool)

    def _checked(self, archive: Archive) -> Iterator[ExportedInvoice]:
        missing = dict(self._metadata)
        for number, xml in archive.documents(tuple(self._metadata)):
            told = missing.pop(number, None)
            if told is None:
                raise _wrong(f"has a document {number} that nothing is told of")
            if hashlib.sha256(xml).digest() != told.invoice_hash:
                raise _wrong(f"has a document {number} that is not the one its metadata is about")
            yield ExportedInvoice(told, xml)
        if missing:
            raise _wrong(f"lacks {len(missing)} documents, {next(iter(missing))} among them")


def _read(info: InvoicePackage, spool: IO[bytes], limits: UnpackLimits) -> tuple[Archive, dict[str, InvoiceMetadata]]:
    archive = open_archive(spool, info.compression_type, limits)
    told = [each for data in archive.metadata() for each in read_metadata(data)]
    found = {each.ksef_number: each for each in told}
    if len(found) != len(told):
        raise _wrong("tells of an invoice twice")
    return archive, found


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


def _write(folder: Path, name: str, data: bytes) -> Path:
    # The names were checked when the archive was read: a KSeF number, or this library's own.
    target, new = folder / name, folder / f".{name}.new"
    new.unlink(missing_ok=True)
    with new.open("xb") as file:
        file.write(data)
    return new.replace(target)


def _joined(told: tuple[bytes, ...]) -> bytes:
    if len(told) == 1:
        return told[0]
    invoices = [each for data in told for each in json.loads(data)["invoices"]]
    return json.dumps({"invoices": invoices}, ensure_ascii=False).encode()


def _wrong(problem: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"KSeF's package {problem}; it must not be trusted.", operation="export_package")
