"""Exports: what was asked for, and the real packages that come of it.

What may go into a package is decided when it is asked for; the package itself is made, in a thread, when it is first
looked at, and only then it shows where it is cut for its size. Its encrypted parts lie in the spool until the sandbox
ends.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Final

import anyio
import attrs

from ..api.common import Context, ServerTime, StatusInfo
from ..api.invoices import DateType, InvoiceFilters, InvoiceMetadata
from ..api.packages import CompressionType
from ..crypto.envelope import SessionCipher
from ..protocol.lifecycle import EXPORT, ExportStatusCode
from .clock import Timings, seconds
from .repository import ArchivedInvoice
from .timeline import Step, Timeline

__all__ = ["ExportPart", "Exports", "PackageLimits", "RequestedExport", "build_parts"]

_EXTENSIONS: Final = {CompressionType.ZIP: "zip", CompressionType.TAR_GZ: "tar.gz"}
# How long what hangs on purpose stays in progress.
_STUCK: Final = timedelta(days=365)
# PKCS#7 adds up to a block.
_BLOCK: Final = 16
# Encrypted at a time.
_PIECE: Final = 2**20


@attrs.define(kw_only=True)
class PackageLimits:
    """The limits of one answer; tests make them smaller."""

    max_invoices: int = 10_000
    """Invoices of a query, and of a package."""
    max_package_size: int = 1_000_000_000
    """Bytes of a package: of compressed documents."""
    max_part_size: int = 50_000_000
    """Bytes of an encrypted part."""
    max_running: int = 10
    """Exports of one subject in one context at once."""


@attrs.frozen(kw_only=True)
class ExportPart:
    """An encrypted part of a package."""

    name: str
    path: Path
    size: int
    sha256: bytes
    encrypted_size: int
    encrypted_sha256: bytes


@attrs.define(kw_only=True)
class RequestedExport:
    """An export that was asked for."""

    reference_number: str
    context: Context
    subject: object
    """The subject that asked for it."""
    filters: InvoiceFilters
    cipher: SessionCipher | None
    """None when the key it came with cannot be decrypted."""
    only_metadata: bool
    compression: CompressionType
    started_at: datetime
    timings: Timings
    invoices: Sequence[ArchivedInvoice]
    """The invoices that fit into it; `is_truncated` says whether there are more."""
    is_truncated: bool
    hwm: ServerTime | None
    """None for a query by another date than that of permanent storage."""
    code: ExportStatusCode
    """The code of its end, except 415 for a bad key."""
    is_stuck: bool = False
    """Whether it stays in progress."""
    change: Callable[[bytes], bytes] | None = None
    """Changes the archive before it is encrypted, and `damage` a part afterwards; for faults."""
    damage: Callable[[bytes], bytes] | None = None
    lock: anyio.Lock = attrs.field(factory=anyio.Lock, repr=False)
    parts: tuple[ExportPart, ...] | None = None
    ready_at: datetime = attrs.field(init=False)
    """When it ends, well or not."""
    expires_at: datetime = attrs.field(init=False)
    """The end of the time in which the package can be fetched."""
    timeline: Timeline[ExportStatusCode] = attrs.field(
        init=False, default=attrs.Factory(lambda self: Timeline(EXPORT, self.started_at), takes_self=True)
    )

    def __attrs_post_init__(self) -> None:
        self.ready_at = self.started_at + (_STUCK if self.is_stuck else seconds(self.timings.export_delay))
        self.expires_at = self.ready_at + seconds(self.timings.package_lifetime)
        end = Step(self.ready_at, self.code if self.cipher else ExportStatusCode.DECRYPTION_ERROR)
        # It can be fetched during the whole of its last moment.
        expiry = Step(self.expires_at + datetime.resolution, ExportStatusCode.EXPIRED)
        self.timeline.plan(self.started_at, *([end, expiry] if end.code is ExportStatusCode.READY else [end]))

    def status_at(self, now: datetime) -> StatusInfo:
        """Return its status in KSeF's words."""
        return self.timeline.status_at(now)

    @property
    def last(self) -> InvoiceMetadata | None:
        """Return the last invoice of a truncated package; None for a whole one."""
        return self.invoices[-1].metadata if self.is_truncated and self.invoices else None

    @property
    def date_type(self) -> DateType:
        """Return the kind of date by which the invoices are selected."""
        return self.filters.date_range.date_type


class Exports:
    """Every export that was asked for."""

    def __init__(self) -> None:
        self.limits = PackageLimits()
        self.folder = "/storage/00/{reference}/invoice-part"
        """Where signed links to their parts lead to; below ``/storage/06/{reference}/invoice-package`` on production.
        """
        self.by_reference: dict[str, RequestedExport] = {}
        """By their reference numbers."""

    def running(self, context: Context, subject: object, now: datetime) -> int:
        """Return how many exports of a subject in a context are in progress."""
        return sum(
            export.context == context and export.subject == subject and not export.timeline.is_terminal_at(now)
            for export in self.by_reference.values()
        )

    def part(self, reference_number: str, name: str) -> ExportPart | None:
        """Return a part by its name; None for an unknown one."""
        export = self.by_reference.get(reference_number)
        return next((part for part in (export.parts if export else None) or () if part.name == name), None)


def build_parts(
    export: RequestedExport, describe: Callable[[Sequence[ArchivedInvoice]], bytes], folder: Path, limits: PackageLimits
) -> tuple[ExportPart, ...]:
    """Make the package and return its encrypted parts; slow, so call it in a worker thread.

    An invoice that might not fit any more, and all after it, are left out of the export.

    Args:
        export: What it is made of.
        describe: What ``_metadata.json`` says of the invoices in the package.
        folder: Where the parts go.
        limits: How large they, and all of them, are at most.
    """
    if export.cipher is None:
        raise ValueError("a package cannot be encrypted without a key")
    archive_path = folder / f"{export.reference_number}.plain"
    try:
        with archive_path.open("w+b") as archive:
            _PACKERS[export.compression](archive, _entries(export, archive, describe, limits.max_package_size))
            if export.change is not None:
                archive.seek(0)
                changed = export.change(archive.read())
                archive.seek(0)
                archive.truncate()
                archive.write(changed)
            size = archive.seek(0, io.SEEK_END)
            archive.seek(0)
            # Rounded down to whole blocks, so that a full part has exactly the size allowed.
            largest = limits.max_part_size // _BLOCK * _BLOCK - 1
            return tuple(
                _encrypt(export, export.cipher, archive, min(largest, size - start), number, folder)
                for number, start in enumerate(range(0, size, largest), 1)
            )
    finally:
        archive_path.unlink(missing_ok=True)


def _encrypt(
    export: RequestedExport, cipher: SessionCipher, archive: IO[bytes], size: int, number: int, folder: Path
) -> ExportPart:
    """Make a part of the next ``size`` bytes."""
    name = f"{export.reference_number}-{number:03}.{_EXTENSIONS[export.compression]}.aes"
    path = folder / name
    plain, encrypted = hashlib.sha256(), hashlib.sha256()
    with path.open("wb") as file:
        for piece in cipher.encrypt_pieces(_pieces(archive, size, plain.update)):
            encrypted.update(piece)
            file.write(piece)
        encrypted_size = file.tell()
    if export.damage is not None:
        path.write_bytes(export.damage(path.read_bytes()))
    return ExportPart(
        name=name,
        path=path,
        size=size,
        sha256=plain.digest(),
        encrypted_size=encrypted_size,
        encrypted_sha256=encrypted.digest(),
    )


def _pieces(archive: IO[bytes], size: int, tell: Callable[[bytes], None]) -> Iterator[bytes]:
    while size:
        piece = archive.read(min(size, _PIECE))
        size -= len(piece)
        tell(piece)
        yield piece


def _entries(
    export: RequestedExport, archive: IO[bytes], describe: Callable[[Sequence[ArchivedInvoice]], bytes], max_size: int
) -> Iterator[tuple[str, bytes]]:
    if not export.only_metadata:
        for count, invoice in enumerate(export.invoices):
            # How KSeF tells beforehand what will fit is not known [INF].
            if count and archive.tell() + invoice.stored.size > max_size:
                export.invoices, export.is_truncated = export.invoices[:count], True
                break
            yield f"{invoice.metadata.ksef_number}.xml", invoice.stored.read()
    yield "_metadata.json", describe(export.invoices)


def _pack_zip(archive: io.BufferedRandom, entries: Iterator[tuple[str, bytes]]) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for name, data in entries:
            packed.writestr(name, data)


def _pack_tar(archive: io.BufferedRandom, entries: Iterator[tuple[str, bytes]]) -> None:
    with (
        gzip.GzipFile(fileobj=archive, mode="wb", compresslevel=1) as zipped,
        tarfile.TarFile(fileobj=zipped, mode="w") as packed,
    ):
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))


_PACKERS: Final = {CompressionType.ZIP: _pack_zip, CompressionType.TAR_GZ: _pack_tar}
