"""One pass over a source: lots are read, compressed by several threads at once, and written in their order.

Only so many lots are under way that memory stays constant. Whatever goes wrong, no thread works on afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

import anyio
import anyio.abc
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ..errors import KsefError, LocalProtocolError
from .archives import Archive, Lot
from .package import PackedInvoice
from .sources import InvoiceSource

__all__ = ["default_workers", "run_pipeline"]

#: Lots beyond those being compressed: one that is read meanwhile, or written.
_SPARE: Final = 2


class _Job:
    """A lot on its way; or the refusal that stands in its place, to be raised when its turn comes."""

    def __init__(self) -> None:
        self.lot: Lot | None = None
        self.refusal: KsefError | None = None
        self.is_ready = anyio.Event()

    def refuse(self, refusal: KsefError) -> None:
        self.refusal = refusal
        self.is_ready.set()


class _Pipeline:
    def __init__(self, source: InvoiceSource, archive: Archive, workers: int, report: Callable[[int], None]) -> None:
        self._source = source
        self._archive = archive
        self._report = report
        # Limiters of our own: anyio's common one is for the application.
        self._compressing = anyio.CapacityLimiter(workers)
        self._writing = anyio.CapacityLimiter(1)
        self._slots = anyio.Semaphore(workers + _SPARE)
        self.packed: list[PackedInvoice] = []
        self.refusal: KsefError | None = None

    async def run(self) -> None:
        send, receive = anyio.create_memory_object_stream[_Job](self._slots.value)
        # The thread calls stand in child tasks: those a task group cancels by scopes, which anyio's threads outlast.
        with send, receive:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._read, tasks, send)
                tasks.start_soon(self._write, tasks, receive)

    async def _read(self, tasks: anyio.abc.TaskGroup, jobs: MemoryObjectSendStream[_Job]) -> None:
        async with jobs:
            while True:
                await self._slots.acquire()
                job = _Job()
                try:
                    lot = await self._source.next_lot(self._archive.prepare)
                except KsefError as refusal:
                    job.refuse(refusal)
                    await jobs.send(job)
                    return
                if lot is None:
                    return
                tasks.start_soon(self._compress, job, lot)
                await jobs.send(job)

    async def _compress(self, job: _Job, lot: Lot) -> None:
        try:
            await anyio.to_thread.run_sync(self._archive.compress, lot, limiter=self._compressing)
        except KsefError as refusal:
            job.refuse(refusal)
        else:
            job.lot = lot
            job.is_ready.set()

    async def _write(self, tasks: anyio.abc.TaskGroup, jobs: MemoryObjectReceiveStream[_Job]) -> None:
        async with jobs:
            async for job in jobs:
                await job.is_ready.wait()
                if job.lot is None:
                    self.refusal = job.refusal
                    tasks.cancel_scope.cancel()
                    return
                await anyio.to_thread.run_sync(self._write_lot, job.lot, limiter=self._writing)
                self._slots.release()
                self.packed += job.lot.packed
                self._report(job.lot.plain_size)
        await anyio.to_thread.run_sync(self._archive.finish, limiter=self._writing)

    def _write_lot(self, lot: Lot) -> None:
        try:
            self._archive.write(lot)
        except LocalProtocolError as error:
            first, last = lot.packed[0].file_name, lot.packed[-1].file_name
            raise LocalProtocolError(f"Somewhere from {first!r} to {last!r}: {error}") from None


async def run_pipeline(
    source: InvoiceSource, archive: Archive, *, workers: int, report: Callable[[int], None]
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
    if pipeline.refusal is not None:
        raise pipeline.refusal
    return pipeline.packed


def default_workers() -> int:
    """One thread a core that this process may use, up to eight: each holds some megabytes."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), 8)
    return min(os.cpu_count() or 1, 8)
