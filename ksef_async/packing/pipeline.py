"""One pass over a source: lots are read in turn, compressed by several threads at once, and written in their order.

As many threads as cores each take a lot, compress it, and write what is complete by then; so none waits for work while
another has too much, and none asks the event loop for it, which is only told how far they are. (What an async iterable
gives is taken on the event loop, lot by lot.) Only so many lots are under way that memory stays constant. Whatever goes
wrong, no thread works on afterwards.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable
from threading import Lock, Semaphore
from typing import Final

import anyio
import anyio.to_thread

from ..calling.finishing import ended, finish
from ..errors import KsefError, LocalProtocolError
from .archives import ArchiveWriter, Lot
from .package import PackedInvoice
from .sources import AsyncInvoiceSource, InvoiceSource

__all__ = ["default_workers", "run_pipeline"]

# Lots that may be complete while one before them is not.
_SPARE: Final = 2


class _Pipeline:
    def __init__(
        self,
        source: InvoiceSource | AsyncInvoiceSource,
        archive: ArchiveWriter,
        workers: int,
        report: Callable[[int], None],
    ) -> None:
        self._source = source
        self._archive = archive
        self._workers = workers
        self._report = report
        # A limiter of our own: anyio's common one is for the application.
        self._threads = anyio.CapacityLimiter(workers)
        self._reading = Lock()
        self._reading_async = anyio.Lock()
        self._slots = Semaphore(workers + _SPARE)
        self._slots_async = anyio.Semaphore(workers + _SPARE)
        self._read = 0
        self._is_read = False
        self._is_stopped = False
        self._writing = Lock()
        self._written = 0
        # By number: lots to be written; or what was refused in their place, to be raised when its turn comes.
        self._ready: dict[int, Lot | KsefError] = {}
        self.packed: list[PackedInvoice] = []

    async def run(self) -> None:
        # The thread calls stand in child tasks: those a task group cancels by scopes, which anyio's threads outlast.
        async with anyio.create_task_group() as tasks:
            for _ in range(self._workers):
                if isinstance(self._source, AsyncInvoiceSource):
                    tasks.start_soon(self._work_async, self._source)
                else:
                    tasks.start_soon(self._work, self._source)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, self._archive.finish)

    async def _work(self, source: InvoiceSource) -> None:
        call = anyio.to_thread.run_sync(self._work_in_thread, source, asyncio.get_running_loop(), limiter=self._threads)
        thread = asyncio.ensure_future(call)
        try:
            await asyncio.wait([thread])
        except BaseException as error:
            self._stop()
            await finish(ended(thread), math.inf)
            if (failure := thread.exception()) is not None:
                error.add_note(f"At the same time: {failure!r}")
            raise
        thread.result()

    def _work_in_thread(self, source: InvoiceSource, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while (taken := self._next(source)) is not None:
                for size in self._take(*taken):
                    self._slots.release()
                    # Before the event loop hears that this is over.
                    loop.call_soon_threadsafe(self._report, size)
        except BaseException:
            self._stop()
            raise

    def _stop(self) -> None:
        """Let the threads end with the lots that they have."""
        self._is_stopped = True
        self._slots.release(self._workers)

    def _next(self, source: InvoiceSource) -> tuple[int, Lot | KsefError] | None:
        """Read the next lot; None when there is none. Blocks until there is room for it."""
        self._slots.acquire()
        with self._reading:
            if self._is_read or self._is_stopped:
                self._slots.release()
                return None
            number = self._read
            lot: Lot | KsefError | None
            try:
                lot = source.take_lot(self._archive.prepare)
            except KsefError as refusal:
                lot = refusal
            self._read += 1
            self._is_read = not isinstance(lot, Lot)
        if lot is None:
            self._slots.release()
            return None
        return number, lot

    async def _work_async(self, source: AsyncInvoiceSource) -> None:
        while True:
            await self._slots_async.acquire()
            async with self._reading_async:
                if self._is_read:
                    self._slots_async.release()
                    return
                number = self._read
                lot: Lot | KsefError | None
                try:
                    lot = await source.next_lot(self._archive.prepare)
                except KsefError as refusal:
                    lot = refusal
                self._read += 1
                self._is_read = not isinstance(lot, Lot)
            if lot is not None:
                for size in await anyio.to_thread.run_sync(self._take, number, lot, limiter=self._threads):
                    self._slots_async.release()
                    self._report(size)

    def _take(self, number: int, lot: Lot | KsefError) -> list[int]:
        """Compress a lot and write what is complete; the plain sizes of what was written. Blocks."""
        if isinstance(lot, Lot):
            try:
                self._archive.compress(lot)
            except KsefError as refusal:
                lot = refusal
        sizes = []
        with self._writing:
            self._ready[number] = lot
            while (complete := self._ready.pop(self._written, None)) is not None:
                if not isinstance(complete, Lot):
                    raise complete
                self._write(complete)
                self._written += 1
                self.packed += complete.packed
                sizes.append(complete.plain_size)
        return sizes

    def _write(self, lot: Lot) -> None:
        try:
            self._archive.write(lot)
        except LocalProtocolError as error:
            first, last = lot.packed[0].file_name, lot.packed[-1].file_name
            raise LocalProtocolError(f"Somewhere from {first!r} to {last!r}: {error}") from None


async def run_pipeline(
    source: InvoiceSource | AsyncInvoiceSource, archive: ArchiveWriter, *, workers: int, report: Callable[[int], None]
) -> list[PackedInvoice]:
    """Put everything from ``source`` into ``archive``.

    Args:
        source: Where the invoices come from.
        archive: Where they go.
        workers: How many threads compress.
        report: Is told after each lot how many plain bytes it had.

    Raises:
        LocalProtocolError: An invoice or the package is refused; it is the first such invoice in the source's order.
        OSError: A file or the spool.
        Exception: Whatever the source raises.
    """
    pipeline = _Pipeline(source, archive, workers, report)
    try:
        await pipeline.run()
    except BaseExceptionGroup as group:
        first, *others = group.exceptions
        for other in others:
            first.add_note(f"At the same time: {other!r}")
        raise first from None
    return pipeline.packed


def default_workers() -> int:
    """Return one thread a core that this process may use, up to eight: each holds some megabytes."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), 8)
    return min(os.cpu_count() or 1, 8)
