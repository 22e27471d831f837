"""A package that is ready to be uploaded: what stands in it, and where its encrypted parts are."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import attrs

from ..api.packages import CompressionType
from ..calling.finishing import in_thread
from ..calling.whole_files import replace_file
from ..errors import LocalProtocolError
from ..protocol.snapshots import SnapshotFormat
from .spool import remove_folder

__all__ = ["MANIFEST", "Package", "PackedInvoice", "PackedPart"]

MANIFEST: Final = "manifest"
"""The manifest's name in the spool folder."""


@attrs.frozen(kw_only=True)
class PackedPart:
    """One encrypted part in the spool."""

    ordinal_number: int
    """From 1."""
    path: Path
    size: int
    """Of the encrypted part, as is its hash."""
    sha256: bytes = attrs.field(repr=False)
    """32 bytes."""


@attrs.frozen(kw_only=True)
class PackedInvoice:
    """One invoice in the archive."""

    file_name: str
    """Its name in the archive."""
    size: int
    """Of the plain invoice, as is its hash."""
    sha256: bytes = attrs.field(repr=False)
    """32 bytes."""
    key: Any
    """What the caller knows it by; the file name by default."""


@attrs.frozen(kw_only=True)
class Package:
    """Everything that opening a batch session needs; made by `pack`."""

    compression: CompressionType
    """How the archive is compressed."""
    size: int
    """Of the plain archive, as is its hash."""
    sha256: bytes = attrs.field(repr=False)
    """32 bytes."""
    parts: tuple[PackedPart, ...] = attrs.field(repr=False)
    """The parts of the encrypted archive, in order."""
    invoices: tuple[PackedInvoice, ...] = attrs.field(repr=False)
    """In the archive's order."""
    symmetric_key: bytes = attrs.field(repr=False)
    """The AES key (32 bytes). A secret."""
    initialization_vector: bytes = attrs.field(repr=False)
    """The initialization vector (16 bytes)."""
    folder: Path
    """The spool: the parts, and the manifest once it is written."""

    @property
    def encrypted_size(self) -> int:
        """Bytes to upload."""
        return sum(part.size for part in self.parts)

    def by_file_name(self, file_name: str) -> PackedInvoice | None:
        """Return the invoice of that name; None when there is none."""
        return self._by_file_name.get(file_name)

    def by_sha256(self, sha256: bytes) -> tuple[PackedInvoice, ...]:
        """Return the invoices of that hash: several, when the same bytes stand in the package under several names."""
        return tuple(self._by_sha256.get(sha256, ()))

    @cached_property
    def _by_file_name(self) -> dict[str, PackedInvoice]:
        return {invoice.file_name: invoice for invoice in self.invoices}

    @cached_property
    def _by_sha256(self) -> dict[bytes, list[PackedInvoice]]:
        invoices = defaultdict(list)
        for invoice in self.invoices:
            invoices[invoice.sha256].append(invoice)
        return dict(invoices)

    async def write_manifest(self, key: bytes | str) -> None:
        """Write to the spool folder what `reopen` needs; the parts are safe on the disk before it appears.

        Args:
            key: From ``cryptography.fernet.Fernet.generate_key()``; the manifest holds the session key.

        Raises:
            CryptoError: ``key`` is no Fernet key.
            LocalProtocolError: An invoice's key is neither a string nor a whole number nor None.
            OSError: The folder or a file in it cannot be written.
        """
        await in_thread(self._write_manifest, key)

    @classmethod
    async def reopen(cls, folder: Path, key: bytes | str) -> Package:
        """Return a package that an earlier process packed; the parts' sizes are checked, their hashes are not.

        Args:
            folder: Its `folder`.
            key: The one its manifest was written with.

        Raises:
            CryptoError: The key is another, or the manifest is damaged.
            LocalProtocolError: There is no manifest, a part is missing or has another size, or it was written by a
                later version of this library.
        """
        return await in_thread(cls._read_manifest, folder, key)

    async def remove(self) -> None:
        """Delete the spool folder; a cancellation that comes meanwhile is raised afterwards."""
        await in_thread(remove_folder, self.folder)

    def _write_manifest(self, key: bytes | str) -> None:
        for invoice in self.invoices:
            if not isinstance(invoice.key, str | int | None):
                raise LocalProtocolError(
                    f"{invoice.file_name}: a manifest keeps keys that are strings or whole numbers, "
                    f"not {type(invoice.key).__name__}."
                )
        manifest = _FORMAT.encrypt(self, key)
        for part in self.parts:
            with part.path.open("r+b") as file:
                os.fsync(file.fileno())
        replace_file(self.folder / MANIFEST, manifest)

    @classmethod
    def _read_manifest(cls, folder: Path, key: bytes | str) -> Package:
        try:
            manifest = (folder / MANIFEST).read_bytes()
        except FileNotFoundError:
            raise LocalProtocolError(f"{folder} holds no manifest; the package must be packed again.") from None
        saved = _FORMAT.decrypt(manifest, key)
        parts = tuple(attrs.evolve(part, path=folder / part.path) for part in saved.parts)
        for part in parts:
            found = part.path.stat().st_size if part.path.exists() else None
            if found != part.size:
                raise LocalProtocolError(
                    f"{part.path} should have {part.size:,} bytes "
                    f"{'but is missing' if found is None else f'but has {found:,}'}; the package must be packed again."
                )
        return attrs.evolve(saved, parts=parts, folder=folder)


def _dump(package: Package) -> dict[str, Any]:
    return {
        "compression": package.compression,
        "size": package.size,
        "sha256": package.sha256.hex(),
        "symmetricKey": b64encode(package.symmetric_key).decode(),
        "initializationVector": b64encode(package.initialization_vector).decode(),
        "parts": [[part.path.name, part.size, part.sha256.hex()] for part in package.parts],
        "invoices": package.invoices,
    }


def _load(content: Mapping[str, Any]) -> Package:
    """Return the package as if its folder were the current one: a manifest may be moved with its parts."""
    return Package(
        compression=CompressionType(content["compression"]),
        size=content["size"],
        sha256=bytes.fromhex(content["sha256"]),
        parts=tuple(
            PackedPart(ordinal_number=number, path=Path(name), size=size, sha256=bytes.fromhex(digest))
            for number, (name, size, digest) in enumerate(content["parts"], 1)
        ),
        invoices=tuple(
            PackedInvoice(file_name=name, size=size, sha256=bytes.fromhex(digest), key=own)
            for name, size, digest, own in content["invoices"]
        ),
        symmetric_key=b64decode(content["symmetricKey"]),
        initialization_vector=b64decode(content["initializationVector"]),
        folder=Path(),
    )


def _row(invoice: PackedInvoice) -> list[Any]:
    """An invoice in the manifest."""
    return [invoice.file_name, invoice.size, invoice.sha256.hex(), invoice.key]


_FORMAT: Final = SnapshotFormat(kind="package", dump=_dump, load=_load, default=_row)
