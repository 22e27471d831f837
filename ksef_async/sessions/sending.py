"""Sending in one session: each invoice exactly once, many at a time, with no task left behind.

What is in doubt is looked up in KSeF's list of the session before it is sent again; `protocol.delivery` decides.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Hashable, Iterable
from contextlib import asynccontextmanager
from itertools import count

import anyio
import attrs

from ..api.sessions import SEND_INVOICE, SendInvoiceRequest
from ..calling.caller import Caller
from ..crypto.envelope import SessionCipher
from ..errors import KsefError, LocalProtocolError
from ..protocol.delivery import Asked, DocumentFate, Step, judge
from .tracking import SentInvoice, Tracker

__all__ = ["Alone", "Sender", "encrypt_invoice", "send_many"]


def encrypt_invoice(cipher: SessionCipher, invoice: bytes, offline: bool, corrects: bytes | None) -> SendInvoiceRequest:
    """Return one invoice encrypted and hashed, as KSeF takes it."""
    ciphertext = cipher.encrypt(invoice)
    return SendInvoiceRequest(
        invoice_hash=hashlib.sha256(invoice).digest(),
        invoice_size=len(invoice),
        encrypted_invoice_hash=hashlib.sha256(ciphertext).digest(),
        encrypted_invoice_size=len(ciphertext),
        encrypted_invoice_content=ciphertext,
        offline_mode=offline,
        hash_of_corrected_invoice=corrects,
    )


class Sender:
    """Hands the invoices of one session over, each exactly once; safe to use from many tasks.

    Args:
        api: How to call KSeF.
        tracker: What is known of the session's invoices.
        session_reference_number: The session.
        is_resumed: Whether others may have sent in it before: KSeF's list is read before the first invoice is sent.
    """

    def __init__(self, api: Caller, tracker: Tracker, session_reference_number: str, *, is_resumed: bool) -> None:
        self._api = api
        self._tracker = tracker
        self._path = {"reference_number": session_reference_number}
        self._is_resumed = is_resumed
        self._references: dict[bytes, str] = {}
        # SHA-256 of what KSeF may have, or not: the answer was lost, or nobody waited for it. To each the reference
        # numbers that the document had before.
        self._in_doubt: dict[bytes, frozenset[str]] = {}
        # Tasks that send the same document wait for each other.
        self._alone = Alone()

    def __len__(self) -> int:
        return len(self._references)

    def reference_of(self, invoice_hash: bytes) -> str | None:
        """Return the reference number of what KSeF took in with this SHA-256, as far as this process knows.

        None also for what has come to an end after which it is to be sent again: KSeF has nothing of it.
        """
        known = self._references.get(invoice_hash) or self._tracker.ledger.by_hash.get(invoice_hash)
        return None if known is None or self._tracker.is_to_be_sent_again(known) else known

    def may_have(self, invoice_hash: bytes) -> bool:
        """Return whether KSeF has, or may have (the answer was lost), the document with this SHA-256 (32 bytes)."""
        return invoice_hash in self._in_doubt or self.reference_of(invoice_hash) is not None

    async def hand_over(
        self,
        request: SendInvoiceRequest,
        *,
        again: bool,
        turned_offline: Callable[[], Awaitable[bool]] | None = None,
    ) -> str:
        """Send an invoice unless KSeF has it; the reference number.

        Args:
            request: Encrypted and hashed.
            again: Send it even so.
            turned_offline: See `Outgoing.turned_offline`.

        Raises:
            TransportError: KSeF does not have it; or it may have it, which ``maybe_delivered`` says, and next time its
                list is asked first.
            ApiError: As for TransportError.
            RemoteProtocolError: As for TransportError.
        """
        digest = request.invoice_hash
        async with self._alone.with_(digest):
            if self._is_resumed and not self._tracker.ledger.was_read:
                await self._tracker.ledger.read()
            known = self.reference_of(digest)
            if known is not None and not again:
                return known
            try:
                reference_number = await self._deliver(request, turned_offline)
            except KsefError as error:
                # Whichever call failed last: an attempt may have come through, and KSeF's list has not shown it.
                error.maybe_delivered = error.maybe_delivered or digest in self._in_doubt
                raise
            self._references[digest] = reference_number
            self._tracker.sent[reference_number] = digest
            return reference_number

    async def _deliver(self, request: SendInvoiceRequest, turned_offline: Callable[[], Awaitable[bool]] | None) -> str:
        digest = request.invoice_hash
        if found := await self.find_doubtful(digest):
            return found

        async def as_it_goes() -> SendInvoiceRequest:
            # Time may have passed before its turn: by the limits, in a pause, or while KSeF's list was read. Whatever
            # was sent before, KSeF does not have it: it was refused, did not arrive, or the list does not show it.
            nonlocal request
            if not request.offline_mode and turned_offline is not None and await turned_offline():
                request = attrs.evolve(request, offline_mode=True)
            # From here on, until KSeF has said something: a cancelled task leaves the doubt behind.
            self._in_doubt.setdefault(digest, self._earlier(digest))
            return request

        attempts = self._api.attempts()
        while True:
            was_in_doubt = digest in self._in_doubt
            try:
                response = await self._api.call(SEND_INVOICE, make_body=as_it_goes, path=self._path)
            except KsefError as error:
                judgement = judge(Asked.SEND, error, is_in_doubt=was_in_doubt)
                if judgement.document is not DocumentFate.IN_DOUBT:
                    self._in_doubt.pop(digest, None)
                # Also after a refusal, where an earlier attempt is in doubt: KSeF may refuse what it has.
                if found := await self.find_doubtful(digest):
                    return found
                may_go_better = judgement.step in (Step.LOOK_UP, Step.TRY_AGAIN)
                if not may_go_better or not attempts.may_go_on(error):
                    raise
            else:
                self._in_doubt.pop(digest, None)
                return response.reference_number
            await attempts.pause()

    async def find_doubtful(self, digest: bytes) -> str | None:
        """Return the reference number of what is in doubt, when KSeF has it; the doubt remains when it has not.

        Args:
            digest: SHA-256 (32 bytes). None is returned at once for what is not in doubt.

        Raises:
            KsefError: KSeF's list could not be read.
        """
        if (earlier := self._in_doubt.get(digest)) is None:
            return None
        found = await self._tracker.find(digest, but=earlier)
        if found is not None:
            del self._in_doubt[digest]
            self._references[digest] = found
            self._tracker.sent[found] = digest
        return found

    def _earlier(self, digest: bytes) -> frozenset[str]:
        """Return the reference numbers that the document has got so far; KSeF's list may not show the last yet."""
        sent = self._references.get(digest)
        return frozenset(self._tracker.ledger.references_of(digest) | ({sent} if sent else set()))


# --- many ----------------------------------------------------------------------------------------------------


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


# --- one at a time -------------------------------------------------------------------------------------------


class Alone:
    """Locks by key; a lock exists only while a task holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, _CountedLock] = {}

    @asynccontextmanager
    async def with_(self, key: Hashable) -> AsyncGenerator[None]:
        """Hold the lock of ``key``, as an async context manager; where it is free, other tasks get no turn first."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = _CountedLock()
        lock.users += 1
        try:
            async with lock:
                yield
        finally:
            lock.users -= 1
            if not lock.users:
                del self._locks[key]


class _CountedLock(asyncio.Lock):
    # asyncio's own, not anyio's: that one takes longer to make, and two turns of the event loop to hold.
    def __init__(self) -> None:
        super().__init__()
        self.users = 0
        """How many tasks hold it or wait for it."""
