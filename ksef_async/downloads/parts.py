"""Fetching the parts of a package: in parallel, without a token, each verified before and after decryption."""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import tempfile
import threading
from collections.abc import Awaitable, Callable
from typing import IO, Final

import anyio
import anyio.to_thread

from ..api.invoices import InvoicePackage, PackagePart
from ..api.keys import EncryptionInfo
from ..calling.caller import Caller
from ..calling.finishing import finish
from ..crypto.envelope import SessionCipher
from ..errors import ForbiddenError, RemoteProtocolError
from .archives import UnpackLimits

__all__ = ["EXPORT_PART", "FETCHED_TOGETHER", "close_spool", "fetch_package"]

EXPORT_PART: Final = "export_part"
"""What fetching a part is called in errors and events."""

FETCHED_TOGETHER: Final = 2
"""Parts under way at once: each lies on the disk as it is fetched, and has up to 50 MB."""

# A smaller package needs no file.
_IN_MEMORY: Final = 4_000_000


async def fetch_package(
    api: Caller,
    package: InvoicePackage,
    encryption: EncryptionInfo,
    *,
    limits: UnpackLimits,
    renew: Callable[[], Awaitable[InvoicePackage]],
) -> IO[bytes]:
    """Return the decrypted archive, in memory or in a temporary file without a name, to be closed.

    Args:
        api: Downloads without a token.
        package: What to fetch.
        encryption: The key it was made with.
        limits: The most it may hold.
        renew: Gives the package with fresh links when one has expired.

    Raises:
        RemoteProtocolError: A part is not what KSeF said of it.
        CryptoError: The key is another.
        TransportError: A part could not be fetched.
        ApiError: KSeF refused the call, or failed.
        OSError: The temporary file cannot be written.
    """
    parts = _checked(package, limits)
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  # the caller closes it
    try:
        writing = threading.Lock()
        together = anyio.Semaphore(FETCHED_TOGETHER)
        offset = 0
        links = _Links(parts, renew)
        async with anyio.create_task_group() as tasks:
            for part in parts:
                tasks.start_soon(_fetch_part, api, part, encryption, spool, offset, writing, together, links)
                offset += part.part_size
    except BaseException as error:
        await close_spool(spool)
        if isinstance(error, BaseExceptionGroup) and len(error.exceptions) >= 1:
            # One failed part ends the others; whoever waits for the package has use for one reason.
            raise error.exceptions[0] from None
        raise
    return spool


async def close_spool(spool: IO[bytes]) -> None:
    """Delete the archive, even when cancelled: a file left open keeps its place on the disk."""
    await finish(anyio.to_thread.run_sync(spool.close), math.inf)


def _checked(package: InvoicePackage, limits: UnpackLimits) -> list[PackagePart]:
    parts = sorted(package.parts, key=lambda part: part.ordinal_number)
    if [part.ordinal_number for part in parts] != list(range(1, len(parts) + 1)):
        raise _wrong("parts are not numbered from 1", "$.package.parts")
    for part in parts:
        if min(part.part_size, part.encrypted_part_size) < 0:
            raise _wrong(f"part {part.ordinal_number} has a size below zero", _path(part))
        if max(part.part_size, part.encrypted_part_size) > limits.max_part_size:
            raise _wrong(f"part {part.ordinal_number} has more than {limits.max_part_size:,} bytes", _path(part))
        if part.method is not None and part.method.upper() != "GET":
            raise _wrong(f"part {part.ordinal_number} is to be fetched by another method than GET", _path(part))
    if sum(part.part_size for part in parts) > limits.max_package_size:
        raise _wrong(f"parts have more than {limits.max_package_size:,} bytes", "$.package.parts")
    return parts


class _Links:
    """The links to the parts; they live about an hour, and asking for the status gives new ones."""

    def __init__(self, parts: list[PackagePart], renew: Callable[[], Awaitable[InvoicePackage]]) -> None:
        self._parts = {part.ordinal_number: part for part in parts}
        self._renew = renew
        self._lock = anyio.Lock()

    def of(self, part: PackagePart) -> str:
        """Return the newest link to a part."""
        return self._parts[part.ordinal_number].url

    async def renewed(self, part: PackagePart, refused: str) -> str:
        """Another link to a part than the one that was refused; one call serves all parts.

        Raises:
            RemoteProtocolError: KSeF describes the package in another way than before.
        """
        async with self._lock:
            if self.of(part) == refused:
                fresh = {each.ordinal_number: each for each in (await self._renew()).parts}
                if {number: _identity(each) for number, each in fresh.items()} != {
                    number: _identity(each) for number, each in self._parts.items()
                }:
                    raise _wrong("its parts are not those of before", "$.package.parts")
                self._parts = fresh
        return self.of(part)


def _identity(part: PackagePart) -> tuple[object, ...]:
    return part.part_size, part.part_hash, part.encrypted_part_size, part.encrypted_part_hash


async def _fetch_part(
    api: Caller,
    part: PackagePart,
    encryption: EncryptionInfo,
    spool: IO[bytes],
    offset: int,
    writing: threading.Lock,
    together: anyio.Semaphore,
    links: _Links,
) -> None:
    async with together:
        link = links.of(part)
        fetched: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  # closed below
        try:
            largest = part.encrypted_part_size
            try:
                await api.download(EXPORT_PART, link, largest_answer=largest, into=fetched)
            except ForbiddenError:
                fresh = await links.renewed(part, link)
                await api.download(EXPORT_PART, fresh, largest_answer=largest, into=fetched)
            await anyio.to_thread.run_sync(_unseal, part, fetched, encryption, spool, offset, writing)
        finally:
            await close_spool(fetched)


def _unseal(
    part: PackagePart,
    file: IO[bytes],
    encryption: EncryptionInfo,
    spool: IO[bytes],
    offset: int,
    writing: threading.Lock,
) -> None:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    # What lies on the disk is read from there as it is decrypted.
    fetched = file.read() if size <= _IN_MEMORY else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if size != part.encrypted_part_size or hashlib.sha256(fetched).digest() != part.encrypted_part_hash:
        raise _wrong(f"part {part.ordinal_number} is not the one KSeF described", _path(part))
    digest, size = hashlib.sha256(), 0
    cipher = SessionCipher(encryption.symmetric_key, encryption.initialization_vector)
    for piece in cipher.decrypt_pieces(fetched):
        digest.update(piece)
        with writing:
            spool.seek(offset + size)
            spool.write(piece)
        size += len(piece)
        if size > part.part_size:
            break
    if size != part.part_size or digest.digest() != part.part_hash:
        raise _wrong(f"part {part.ordinal_number} decrypts to something KSeF did not describe", _path(part))


def _path(part: PackagePart) -> str:
    return f"$.package.parts[{part.ordinal_number - 1}]"


def _wrong(problem: str, path: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"KSeF's package: {problem}; it must not be trusted.", operation=EXPORT_PART, path=path)
