"""The book of `keep_open`, in memory: a document is kept until KSeF has decided on it, and sent again if need be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Final

import anyio
import attrs

from ..calling.polling import Cadence
from ..errors import InvoiceRejectedError, KsefError
from ..protocol.delivery import Asked, DocumentFate
from .book import Outgoing, Result, Undelivered
from .keeper import KeptSession
from .online import OnlineSession
from .outcomes import AcceptedInvoice, Outcome
from .session import Session
from .tracking import OUTCOME_CADENCE, SentInvoice

__all__ = ["AT_ONCE", "Impatience", "KeptInvoice", "LateSending", "MemoryBook"]

AT_ONCE: Final = 16
"""How many invoices are sent again at once."""

# Seconds that the first waits for others that are found at the same time.
_GATHERING: Final = 0.05


class Impatience:
    """The `Patience` of a caller who waits for the result: every error is raised, once the client has tried enough."""

    async def retry(self, call: Callable[[], Awaitable[Result]], *, asked: Asked | None = None) -> Result:
        """See `Patience.retry`."""
        return await call()

    async def wait_out(self, error: KsefError, tries: int) -> None:
        """See `Patience.wait_out`."""
        raise error

    async def before_another_session(self, error: KsefError, in_vain: int) -> None:
        """See `Patience.before_another_session`; the caller counts the sessions it is tried in."""


class KeptInvoice(SentInvoice):
    """An invoice that KSeF has taken in, and that is sent again in another session when KSeF fails on it.

    Args:
        sent: As it was sent first.
        outgoing: What was sent.
        send_again: Sends it again after this rejection; returns False when it is not to be.
        book: Is told of it.
    """

    __slots__ = ("_book", "_send_again", "outgoing", "times_sent")

    def __init__(self, sent: SentInvoice, outgoing: Outgoing, send_again: SendAgain, book: MemoryBook) -> None:
        self.times_sent = 0
        self.outgoing: Outgoing | None = outgoing
        """None once KSeF has decided, or the document was sent as often as it may be."""
        self._send_again = send_again
        self._book = book
        self.invoice_hash = sent.invoice_hash
        self.move_to(sent)

    def move_to(self, sent: SentInvoice) -> None:
        """Follow the invoice where it was sent last."""
        self._api, self._tracker = sent._api, sent._tracker
        self.session_reference_number = sent.session_reference_number
        self.reference_number = sent.reference_number
        self.times_sent += 1

    def settle(self) -> None:
        """Let the document go."""
        if self.outgoing is not None:
            self._book.kept_bytes -= len(self.outgoing.xml)
            self.outgoing = None

    async def outcome(self, cadence: Cadence = OUTCOME_CADENCE) -> AcceptedInvoice:
        """Wait until KSeF has decided, and send the invoice again when KSeF fails on it; see `SentInvoice.outcome`.

        Args:
            cadence: How often to look, and for how long, each time it was sent.

        Raises:
            InvoiceRejectedError: KSeF refused the document; or it failed on it as often as it was sent.
            KsefError: As `SentInvoice.outcome`; or sending it again failed.
        """
        while True:
            try:
                outcome = await super().outcome(cadence)
            except InvoiceRejectedError as error:
                if not error.may_be_sent_again or not await self._send_again(self, error):
                    self.settle()
                    raise
            else:
                self.settle()
                return outcome


SendAgain = Callable[[KeptInvoice, InvoiceRejectedError], Awaitable[bool]]


class MemoryBook:
    """A `Book` that is as old as its process.

    Args:
        send_again: As for `KeptInvoice`.
    """

    def __init__(self, send_again: SendAgain) -> None:
        self._send_again = send_again
        self.sessions: list[OnlineSession] = []
        """Every session that was opened, in order."""
        self.kept: dict[bytes, KeptInvoice] = {}
        """By SHA-256; the last, where one document was sent more than once."""
        self.kept_bytes = 0
        """Bytes of all documents that KSeF has not decided on, as far as is known."""

    async def session_opened(self, session: OnlineSession) -> None:
        """See `Book.session_opened`."""
        self.sessions.append(session)

    async def session_forgotten(self, session: OnlineSession) -> None:
        """See `Book.session_forgotten`; it is closed in the end all the same, if KSeF comes to know it."""

    def taken_in(self, outgoing: Outgoing, sent: SentInvoice) -> None:
        """See `Book.taken_in`."""
        known = self.kept.get(outgoing.sha256)
        if known is not None and known.outgoing is outgoing:
            known.move_to(sent)
            return
        if known is not None:
            known.settle()
        self.kept[outgoing.sha256] = KeptInvoice(sent, outgoing, self._send_again, self)
        self.kept_bytes += len(outgoing.xml)

    def undelivered(self, session: OnlineSession, outgoing: Outgoing, result: Undelivered) -> None:
        """See `Book.undelivered`; the caller, who has the document, is told."""

    async def decided(self, session: Session, outcome: Outcome, fate: DocumentFate) -> None:
        """See `Book.decided`."""
        if (kept := self.kept_of(outcome)) is not None:
            kept.settle()

    def kept_of(self, outcome: Outcome) -> KeptInvoice | None:
        """Return the invoice that an outcome is about; None for what was not sent here."""
        return self.kept.get(outcome.invoice_hash) if outcome.invoice_hash is not None else None

    def undecided(self) -> Iterator[KeptInvoice]:
        """Yield the invoices whose document is kept."""
        return (kept for kept in self.kept.values() if kept.outgoing is not None)

    def settle_all(self, reference_numbers: Collection[str]) -> None:
        """Let the documents go of those that KSeF has decided on."""
        for kept in self.kept.values():
            if kept.reference_number in reference_numbers:
                kept.settle()

    def forget(self, kept: KeptInvoice) -> None:
        """Know an invoice no more by its document, so that it is sent when it is given once more."""
        if self.kept.get(kept.invoice_hash) is kept:
            del self.kept[kept.invoice_hash]


@attrs.define(eq=False)
class _Waiting:
    outgoing: Outgoing
    sent: SentInvoice | None = None
    error: KsefError | None = None

    @property
    def is_over(self) -> bool:
        return self.sent is not None or self.error is not None


class LateSending:
    """Sends once the block that kept a session open is left: what waits to be sent shares one session, closed at once.

    Safe to use from many tasks.

    Args:
        open_session: Opens a session.
        book: Is told of sessions and documents.
        find_doubtful: Finds what an earlier session has taken in although its answer was lost, by its SHA-256.
    """

    def __init__(
        self,
        open_session: Callable[[], Awaitable[OnlineSession]],
        book: MemoryBook,
        find_doubtful: Callable[[bytes], Awaitable[SentInvoice | None]],
    ) -> None:
        self._open_session = open_session
        self._book = book
        self._find_doubtful = find_doubtful
        self._lock = anyio.Lock()
        self._waiting: list[_Waiting] = []

    async def send(self, outgoing: Outgoing) -> None:
        """Send a document, together with those that others send meanwhile; the book has it then.

        Raises:
            KsefError: As `SessionManager.open_online`, entering the session, and `OnlineSession.send`.
        """
        mine = _Waiting(outgoing)
        self._waiting.append(mine)
        try:
            async with self._lock:
                if not mine.is_over:
                    await anyio.sleep(_GATHERING)
                    await self._send_all([each for each in self._waiting if not each.is_over])
        finally:
            self._waiting.remove(mine)
        if mine.error is not None:
            raise mine.error

    async def _send_all(self, lot: list[_Waiting]) -> None:
        for each in lot:
            try:
                each.sent = await self._find_doubtful(each.outgoing.sha256)
            except KsefError as error:
                # That one has to wait; the others need not.
                each.error = error
            if each.sent is not None:
                self._book.taken_in(each.outgoing, each.sent)
        lot = [each for each in lot if not each.is_over]
        if not lot:
            return
        at_once = anyio.Semaphore(AT_ONCE)
        try:
            session = await self._open_session()
            await self._book.session_opened(session)
            kept = KeptSession(session, self._book)
            async with session, anyio.create_task_group() as tasks:
                for each in lot:
                    tasks.start_soon(_send_one, kept, each, at_once)
        except KsefError as error:
            # What was sent is sent, whatever became of the session: the outcomes tell, which are asked for next.
            for each in lot:
                if not each.is_over:
                    each.error = error


async def _send_one(kept: KeptSession, each: _Waiting, at_once: anyio.Semaphore) -> None:
    async with at_once:
        try:
            result = await kept.send(each.outgoing, Impatience())
        except KsefError as error:
            each.error = error
        else:
            if isinstance(result, Undelivered):
                each.error = result.error
            else:
                each.sent = result
