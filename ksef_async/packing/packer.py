"""Making a package: `pack`."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs

from ..api.packages import CompressionType, PackageProgress, PackageStage, ProgressHook
from ..calling.finishing import in_thread
from ..crypto.envelope import SessionCipher, new_key
from ..errors import LocalProtocolError
from ..protocol.planning import MAX_INVOICES, MAX_PART_SIZE, MAX_PARTS
from .archives import new_archive
from .deflate import Deflate, find_deflate
from .package import Package, PackedInvoice
from .parts import CountingSink, SpooledParts
from .pipeline import default_workers, run_pipeline
from .sources import OpenedSource, Source, open_source
from .spool import Spool

__all__ = ["ProgressReporter", "pack"]

_log = logging.getLogger(__name__)

# How many plain bytes make one of the archive at most: XML mostly makes four to seven.
_DENSEST: Final = 20


@asynccontextmanager
async def pack(
    source: Source,
    *,
    compression: CompressionType | str = CompressionType.ZIP,
    folder: Path | None = None,
    part_size: int | None = None,
    parts: int | None = None,
    archive_size: int | None = None,
    max_invoices: int = MAX_INVOICES,
    symmetric_key: bytes | None = None,
    initialization_vector: bytes | None = None,
    deflate: str | None = None,
    workers: int | None = None,
    progress: ProgressHook | None = None,
    keep: bool = False,
) -> AsyncGenerator[Package]:
    """Pack invoices for a batch session: ``async with pack(folder) as package:``.

    Enter: archives, cuts, hashes and encrypts in one pass, in worker threads and constant memory; the encrypted
    parts go to a temporary folder, plain invoices never touch the disk. Exit: deletes that folder.

    Args:
        source: The Path of a folder, whose invoices (``*.xml`` in any case, without ``*.upo.xml`` and hidden files)
            are taken in the order of their names; or an iterable or async iterable of items: the Path of a file, or
            (file name, bytes), or (file name, bytes, key). The key is what you know the invoice by, the file name by
            default. A plain iterable is walked in worker threads.
        compression: ``Zip``; or ``TarGz``, about half the bytes when the invoices are small.
        folder: Where the temporary folder is made; by default in the system's place for such.
        part_size: Plain bytes of each part but the last; 100,000,000 by default, and at most.
        parts: About how many parts there should be, 1 to 50, instead of ``part_size``. How large they must be for
            that follows from ``archive_size``, or is measured in a pass of its own, which takes as long again.
        archive_size: About how many bytes the archive will have, for ``parts``.
        max_invoices: How many invoices a package may have: what the context was granted.
        symmetric_key: 32 bytes, with ``initialization_vector``: the same sources, options and deflate library then
            give the same parts again. By default fresh and random.
        initialization_vector: 16 bytes.
        deflate: ``"isal"``, ``"zlib-ng"`` or ``"zlib"``; by default the fastest that is installed.
        workers: How many threads compress; by default one a core.
        progress: Is told after about each megabyte.
        keep: Leave the temporary folder behind, for `Package.reopen`.

    Raises:
        LocalProtocolError: Refused, naming the file: an invoice that is empty, too large, not UTF-8 or with a byte
            order mark; a name that is used twice, too long or like a path; too many invoices. Or refused as a
            whole: no invoice, more than 5,000,000,000 bytes or 50 parts, options that do not go together.
        CryptoError: The key or the vector has the wrong length.
        OSError: A file cannot be read, or the spool not written: the disk is full. Where the sizes are known first (a
            folder, a list), a disk that cannot hold the package is refused before anything is written.
        Exception: Whatever the source raises.

    Source: sesja-wsadowa.md, sections 1 to 3.
    """
    order = _Order(
        compression=CompressionType(compression),
        deflate=find_deflate(deflate),
        workers=default_workers() if workers is None else workers,
        max_invoices=max_invoices,
        tell=ProgressReporter(progress),
    )
    _check_options(part_size, parts, order.workers)
    key, vector = _key_and_vector(symmetric_key, initialization_vector)
    spool = Spool(folder)
    is_packed = False
    try:
        opened = await open_source(source, max_invoices)
        needed = 0 if opened.total is None else opened.total // _DENSEST
        if parts is not None:
            size = await _archive_size(opened, archive_size, order)
            part_size = _part_size(size, parts)
            needed = size if archive_size is None else needed
        folder = await spool.create(needed)
        package = await _pack(opened, folder, part_size or MAX_PART_SIZE, key, vector, order)
        is_packed = True
        yield package
    finally:
        if not (keep and is_packed):
            await spool.remove()


class ProgressReporter:
    """Calls a progress hook, if there is one; an exception that it raises is logged."""

    def __init__(self, hook: ProgressHook | None) -> None:
        self._hook = hook

    def __call__(self, progress: PackageProgress) -> None:
        """Call the hook."""
        if self._hook is not None:
            try:
                self._hook(progress)
            except Exception:  # noqa: BLE001  # the caller's progress bar must not cost a package
                _log.exception("the progress hook failed on %s", progress)


@attrs.frozen(kw_only=True)
class _Order:
    """How to pack."""

    compression: CompressionType
    deflate: Deflate
    workers: int
    max_invoices: int
    tell: ProgressReporter


async def _pack(
    opened: OpenedSource,
    folder: Path,
    part_size: int,
    key: bytes,
    vector: bytes,
    order: _Order,
) -> Package:
    sink = SpooledParts(folder, part_size, key, vector)
    try:
        invoices = await _run(opened, sink, PackageStage.PACKING, order)
        await in_thread(sink.finish)
    finally:
        await in_thread(sink.close)
    size = sum(invoice.size for invoice in invoices)
    count = len(sink.parts)
    order.tell(PackageProgress(stage=PackageStage.PACKING, done=size, total=size, parts=count, parts_total=count))
    return Package(
        compression=order.compression,
        size=sink.tell(),
        sha256=sink.sha256,
        parts=tuple(sink.parts),
        invoices=tuple(invoices),
        symmetric_key=key,
        initialization_vector=vector,
        folder=folder,
    )


async def _archive_size(opened: OpenedSource, estimate: int | None, order: _Order) -> int:
    if estimate is not None:
        return estimate
    if not isinstance(opened.items, Sequence):
        raise LocalProtocolError(
            "parts= needs archive_size= with a source that can be walked only once; or give a folder, a list or "
            "part_size=."
        )
    sink = CountingSink()
    await _run(opened, sink, PackageStage.MEASURING, order)
    return sink.tell()


async def _run(
    opened: OpenedSource,
    sink: CountingSink | SpooledParts,
    stage: PackageStage,
    order: _Order,
) -> list[PackedInvoice]:
    done = 0

    def report(size: int) -> None:
        nonlocal done
        done += size
        order.tell(PackageProgress(stage=stage, done=done, total=opened.total, parts=sink.complete_parts))

    source = opened.start(order.max_invoices)
    archive = new_archive(order.compression, sink, order.deflate)
    invoices = await run_pipeline(source, archive, workers=order.workers, report=report)
    if not invoices:
        raise LocalProtocolError("The package is empty: the source holds no invoice.")
    return invoices


def _part_size(archive_size: int, parts: int) -> int:
    return max(1, min(-(-archive_size // parts), MAX_PART_SIZE))


def _check_options(part_size: int | None, parts: int | None, workers: int) -> None:
    if part_size is not None and parts is not None:
        raise LocalProtocolError("Give either part_size or parts; the one follows from the other.")
    if part_size is not None and not 1 <= part_size <= MAX_PART_SIZE:
        raise LocalProtocolError(f"part_size is 1 to {MAX_PART_SIZE:,} bytes, not {part_size:,}.")
    if parts is not None and not 1 <= parts <= MAX_PARTS:
        raise LocalProtocolError(f"A package has 1 to {MAX_PARTS} parts, not {parts}.")
    if workers < 1:
        raise LocalProtocolError(f"workers is at least 1, not {workers}.")


def _key_and_vector(key: bytes | None, vector: bytes | None) -> tuple[bytes, bytes]:
    if key is None and vector is None:
        return new_key()
    if key is None or vector is None:
        raise LocalProtocolError("symmetric_key and initialization_vector are given together.")
    SessionCipher(key, vector)  # refuses wrong lengths
    return key, vector
