"""The book of `keep_open`, in memory: a document is kept until KSeF has decided on it, and sent again if need be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator

from ..api.sessions import InvoicingMode
from ..calling.events import Event, InvoiceTurnedOffline
from ..calling.polling import Cadence
from ..errors import InvoiceRejectedError, KsefError
from ..protocol.delivery import Asked, DocumentFate
from .book import Outgoing, Result, Undelivered
from .online import OnlineSession
from .outcomes import AcceptedInvoice, Outcome
from .session import Session
from .tracking import OUTCOME_CADENCE, SentInvoice

__all__ = ["Impatience", "KeptInvoice", "MemoryBook"]


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
        book: Keeps it.
    """

    __slots__ = ("_book", "_is_reported", "_send_again", "_was_offline", "failures", "outgoing", "times_sent")

    def __init__(self, sent: SentInvoice, outgoing: Outgoing, send_again: SendAgain, book: MemoryBook) -> None:
        self.times_sent = 0
        self.failures = 0
        """How often it was sent again because KSeF failed on this very document, rather than on its session."""
        self.outgoing: Outgoing | None = outgoing
        """None once KSeF has decided, or the document was sent as often as it may be."""
        self._was_offline = outgoing.offline
        self._is_reported = False
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

    def has_turned_offline(self, outcome: AcceptedInvoice) -> bool:
        """Return, once, whether KSeF regards it as Offline although it was sent as an online invoice."""
        is_news = outcome.invoicing_mode is InvoicingMode.OFFLINE and not (
            self._was_offline or self._is_reported or outcome.is_duplicate
        )
        self._is_reported = self._is_reported or is_news
        return is_news

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
                self._book.accepted(self, outcome)
                return outcome


SendAgain = Callable[[KeptInvoice, InvoiceRejectedError], Awaitable[bool]]


class MemoryBook:
    """A `Book` that is as old as its process.

    Args:
        send_again: As for `KeptInvoice`.
        report: Called with each event.
    """

    def __init__(self, send_again: SendAgain, report: Callable[[Event], None]) -> None:
        self._send_again = send_again
        self._report = report
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
        """See `Book.undelivered`; the caller, who has the document, gets the error."""

    async def decided(self, session: Session, outcome: Outcome, fate: DocumentFate) -> None:
        """See `Book.decided`."""
        if (kept := self.kept_of(outcome)) is None:
            return
        if isinstance(outcome, AcceptedInvoice):
            self.accepted(kept, outcome)
        else:
            kept.settle()

    def accepted(self, kept: KeptInvoice, outcome: AcceptedInvoice) -> None:
        """Let the document of an accepted invoice go; report one that is Offline though it was sent online."""
        if kept.has_turned_offline(outcome):
            self._report(
                InvoiceTurnedOffline(
                    ksef_number=outcome.ksef_number,
                    session_reference_number=outcome.session_reference_number,
                    reference_number=outcome.reference_number,
                )
            )
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
