"""Sending many invoices with bounded memory, and with no task left behind when the caller stops listening."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from itertools import count

import anyio

from ..errors import KsefError, LocalProtocolError
from .tracking import SentInvoice

__all__ = ["send_many"]


async def send_many(
    send: Callable[[bytes], Awaitable[SentInvoice]], invoices: Iterable[bytes] | AsyncIterable[bytes], concurrency: int
) -> AsyncIterator[SentInvoice]:
    """Send in lots: each is under way all at once, and over before any of it is yielded.

    So no task runs while the caller holds the iterator, and breaking off leaves nothing behind.

    Args:
        send: Sends one.
        invoices: What to send.
        concurrency: The size of a lot.

    Raises:
        LocalProtocolError: ``concurrency`` is less than 1.
        KsefError: What the first that failed raised.
    """
    if concurrency < 1:
        raise LocalProtocolError(f"concurrency is at least 1, not {concurrency}.")
    numbers = count(1)
    async for lot in _lots(invoices, concurrency):
        results: list[SentInvoice | KsefError | None] = [None] * len(lot)

        async def send_one(place: int, invoice: bytes, results: list[SentInvoice | KsefError | None]) -> None:
            try:
                results[place] = await send(invoice)
            except KsefError as error:
                results[place] = error

        async with anyio.create_task_group() as tasks:
            for place, invoice in enumerate(lot):
                tasks.start_soon(send_one, place, invoice, results)
        failure = None
        for result, number in zip(results, numbers, strict=False):
            if isinstance(result, SentInvoice):
                yield result
            elif result is not None and failure is None:
                result.add_note(f"This was invoice {number} of those given to send_many (from 1).")
                failure = result
        if failure is not None:
            raise failure


async def _lots(invoices: Iterable[bytes] | AsyncIterable[bytes], size: int) -> AsyncIterator[list[bytes]]:
    lot: list[bytes] = []
    async for invoice in _one_by_one(invoices):
        lot.append(invoice)
        if len(lot) == size:
            yield lot
            lot = []
    if lot:
        yield lot


async def _one_by_one(invoices: Iterable[bytes] | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(invoices, AsyncIterable):
        async for invoice in invoices:
            yield invoice
    else:
        for invoice in invoices:
            yield invoice
