"""Packages for tests: of sample invoices, or of any archive, however wrong."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ksef_async.api.packages import CompressionType
from ksef_async.crypto.envelope import SessionCipher, new_key
from ksef_async.packing import Package, PackedPart, pack
from ksef_async.sandbox import Sandbox, sample_invoice

__all__ = ["BROKEN", "craft", "packed", "samples", "tarred", "zipped"]

BROKEN = b"<Faktura/>"


def samples(sandbox: Sandbox, count: int, prefix: str = "FV") -> list[tuple[str, bytes, str]]:
    """Invoices of the sandbox's company, with keys of the caller's own."""
    return [
        (f"{prefix}-{n}.xml", sample_invoice(sandbox.nip, f"{prefix}/{n}"), f"key of {prefix}/{n}")
        for n in range(1, count + 1)
    ]


@asynccontextmanager
async def packed(sandbox: Sandbox, count: int = 3, **options: Any) -> AsyncGenerator[Package]:
    """A package of ``count`` invoices; in three parts or so."""
    options.setdefault("part_size", 800 * count // 3)
    async with pack(samples(sandbox, count), **options) as package:
        yield package


def zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def craft(
    folder: Path, archive: bytes, compression: CompressionType = CompressionType.ZIP, part_size: int = 10**6
) -> Package:
    """A package of whatever ``archive`` is, declared truly; it knows of no invoice."""
    key, vector = new_key()
    parts: list[PackedPart] = []
    for start in range(0, len(archive), part_size):
        content = SessionCipher(key, vector).encrypt(archive[start : start + part_size])
        number = len(parts) + 1
        path = folder / f"part-{number}"
        path.write_bytes(content)
        digest = hashlib.sha256(content).digest()
        parts.append(PackedPart(ordinal_number=number, path=path, size=len(content), sha256=digest))
    return Package(
        compression=compression,
        size=len(archive),
        sha256=hashlib.sha256(archive).digest(),
        parts=tuple(parts),
        invoices=(),
        symmetric_key=key,
        initialization_vector=vector,
        folder=folder,
    )
