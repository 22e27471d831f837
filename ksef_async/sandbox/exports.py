"""Exports: what was asked for, and the real packages that come of it.

What goes into a package is decided when it is asked for; the package itself is made, in a thread, when it is first
looked at. Its encrypted parts lie in a temporary folder until the sandbox ends.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import anyio
import attrs

from ..crypto.envelope import SessionCipher
from ..models.common import Context, StatusInfo
from ..models.invoices import DateType, InvoiceFilters, InvoiceMetadata
from ..models.packages import CompressionType
from ..models.times import ServerTime
from ..protocol.lifecycle import EXPORT_STATES, ExportStatusCode
from .clock import Timings
from .repository import ArchivedInvoice

__all__ = ["Export", "Exports", "PackageLimits", "Part", "build_parts", "cut"]

_EXTENSIONS: Final = {CompressionType.ZIP: "zip", CompressionType.TAR_GZ: "tar.gz"}
#: PKCS#7 adds up to a block.
_BLOCK: Final = 16


@attrs.define(kw_only=True)
class PackageLimits:
    """How much one answer holds; smaller in tests that want to see what happens then."""

    #: Invoices of a query, and of a package.
    max_invoices: int = 10_000
    #: Bytes of compressed documents in a package.
    max_package_size: int = 1_000_000_000
    #: Bytes of an encrypted part.
    max_part_size: int = 50_000_000
    #: Exports of one subject in one context at once.
    max_running: int = 10


@attrs.frozen(kw_only=True)
class Part:
    """An encrypted part of a package."""

    name: str
    path: Path
    size: int
    sha256: bytes
    encrypted_size: int
    encrypted_sha256: bytes


@attrs.define(kw_only=True)
class Export:
    """An export that was asked for."""

    reference_number: str
    context: Context
    #: Who asked.
    subject: object
    filters: InvoiceFilters
    #: None when the key it came with cannot be decrypted.
    cipher: SessionCipher | None
    only_metadata: bool
    compression: CompressionType
    started_at: datetime
    timings: Timings
    #: What goes into it, and whether there was more.
    invoices: tuple[ArchivedInvoice, ...]
    is_truncated: bool
    #: None for a query by another date than that of permanent storage.
    hwm: ServerTime | None
    #: How it ends; 415 for a bad key is not in here.
    code: ExportStatusCode
    #: What becomes of the archive before it is encrypted, and of a part after, on purpose.
    change: Callable[[bytes], bytes] | None = None
    damage: Callable[[bytes], bytes] | None = None
    lock: anyio.Lock = attrs.field(factory=anyio.Lock, repr=False)
    parts: tuple[Part, ...] | None = None

    @property
    def ready_at(self) -> datetime:
        """When it ends."""
        return self.started_at + self.timings.export_delay

    @property
    def expires_at(self) -> datetime:
        """Until when the package can be fetched."""
        return self.ready_at + self.timings.package_lifetime

    def code_at(self, now: datetime) -> ExportStatusCode:
        """How far it is."""
        if now < self.ready_at:
            return ExportStatusCode.IN_PROGRESS
        if self.cipher is None:
            return ExportStatusCode.DECRYPTION_ERROR
        if self.code is ExportStatusCode.READY and now > self.expires_at:
            return ExportStatusCode.EXPIRED
        return self.code

    def status_at(self, now: datetime) -> StatusInfo:
        """How far it is, in KSeF's words."""
        code = self.code_at(now)
        state = EXPORT_STATES[code]
        return StatusInfo(code, state.description, state.details)

    @property
    def last(self) -> InvoiceMetadata | None:
        """The invoice that was cut off after."""
        return self.invoices[-1].metadata if self.is_truncated and self.invoices else None

    @property
    def date_type(self) -> DateType:
        """The date it was asked by."""
        return self.filters.date_range.date_type


class Exports:
    """Every export that was asked for."""

    def __init__(self) -> None:
        self.limits = PackageLimits()
        #: By their reference numbers.
        self.by_reference: dict[str, Export] = {}
        self._folder: Path | None = None

    def folder(self) -> Path:
        """Where parts are kept; made when it is first wanted."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="ksef-sandbox-"))
        return self._folder

    def running(self, context: Context, subject: object, now: datetime) -> int:
        """How many exports of a subject in a context are in progress."""
        return sum(
            export.context == context and export.subject == subject and now < export.ready_at
            for export in self.by_reference.values()
        )

    def part(self, reference_number: str, name: str) -> Part | None:
        """A part that was made."""
        export = self.by_reference.get(reference_number)
        return next((part for part in (export.parts if export else None) or () if part.name == name), None)

    def close(self) -> None:
        """Remove what was made."""
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder)


def cut(
    invoices: Sequence[ArchivedInvoice], limits: PackageLimits, *, only_metadata: bool
) -> tuple[tuple[ArchivedInvoice, ...], bool]:
    """As many invoices as fit into a package, and whether there are more."""
    size, count = 0, 0
    for invoice in invoices[: limits.max_invoices]:
        size += 0 if only_metadata else len(invoice.packed)
        if size > limits.max_package_size and count:
            break
        count += 1
    return tuple(invoices[:count]), count < len(invoices)


def build_parts(export: Export, metadata: bytes, folder: Path, max_part_size: int) -> tuple[Part, ...]:
    """Make the package and encrypt its parts; takes its time."""
    if export.cipher is None:
        raise ValueError("a package cannot be encrypted without a key")
    archive_path = folder / f"{export.reference_number}.plain"
    try:
        with archive_path.open("w+b") as archive:
            _PACKERS[export.compression](archive, _entries(export, metadata))
            if export.change is not None:
                archive.seek(0)
                changed = export.change(archive.read())
                archive.seek(0)
                archive.truncate()
                archive.write(changed)
            archive.seek(0)
            parts: list[Part] = []
            # Rounded down to whole blocks, so that a full part has exactly the size allowed.
            while plain := archive.read(max_part_size // _BLOCK * _BLOCK - 1):
                parts.append(_encrypt(export, export.cipher, plain, len(parts) + 1, folder))
            return tuple(parts)
    finally:
        archive_path.unlink(missing_ok=True)


def _encrypt(export: Export, cipher: SessionCipher, plain: bytes, number: int, folder: Path) -> Part:
    encrypted = cipher.encrypt(plain)
    name = f"{export.reference_number}-{number:03}.{_EXTENSIONS[export.compression]}.aes"
    path = folder / name
    path.write_bytes(encrypted if export.damage is None else export.damage(encrypted))
    return Part(
        name=name,
        path=path,
        size=len(plain),
        sha256=hashlib.sha256(plain).digest(),
        encrypted_size=len(encrypted),
        encrypted_sha256=hashlib.sha256(encrypted).digest(),
    )


def _entries(export: Export, metadata: bytes) -> Iterator[tuple[str, bytes]]:
    if not export.only_metadata:
        for invoice in export.invoices:
            yield f"{invoice.metadata.ksef_number}.xml", invoice.xml
    yield "_metadata.json", metadata


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
