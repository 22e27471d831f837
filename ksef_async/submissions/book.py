"""The book of a worker, in the database: what becomes known within a moment goes into one transaction."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from ..calling.events import Event, InvoiceTurnedOffline
from ..calling.finishing import finish
from ..errors import DuplicateInvoiceError
from ..protocol.delivery import DocumentFate, is_failure_on_document
from ..sessions.book import Outgoing, Undelivered
from ..sessions.online import OnlineSession
from ..sessions.outcomes import AcceptedInvoice, Outcome
from ..sessions.session import Session
from ..sessions.tracking import SentInvoice
from .claims import SPLIT
from .context_store import ContextStore, DocumentVerdict, Receipt
from .models import Reason, SubmissionState

__all__ = ["JournalBook"]

# Seconds that the last transaction may take when a worker is stopped.
_GRACE = 5.0

# Seconds that a verdict may wait for others, so that there are fewer transactions. What is lost with the process is
# asked of KSeF again.
_GATHERING = 0.05

# The most verdicts in one transaction: others write to the journal as well.
_LARGEST = 500


class JournalBook:
    """A `Book` whose sessions are committed at once, and whose verdicts are in the order they are given.

    That a document is about to be sent is committed by `ContextStore.claim`, before the engine gets it.

    Args:
        store: Of the context.
        report: Called with each event.
    """

    def __init__(self, store: ContextStore, report: Callable[[Event], None]) -> None:
        self._store = store
        self._report = report
        self._waiting: list[DocumentVerdict] = []
        self._news = anyio.Event()
        self._is_urgent = anyio.Event()
        self._done = anyio.Condition()
        self._given = 0
        self._written = 0

    # --- what the engine reports --------------------------------------------------------------------------

    async def session_opened(self, session: OnlineSession) -> None:
        """See `Book.session_opened`.

        Raises:
            LeaseLostError: Another worker has taken the context over.
        """
        if session.form_code is None:
            raise AssertionError("a session that was opened has a form")
        await self._store.session_opened(session, session.form_code)

    async def session_forgotten(self, session: OnlineSession) -> None:
        """See `Book.session_forgotten`."""
        await self._store.session_given_up(session.reference_number, None)

    def taken_in(self, outgoing: Outgoing, sent: SentInvoice) -> None:
        """See `Book.taken_in`."""
        self.found(sent.session_reference_number, outgoing.sha256, sent.reference_number)

    def found(self, session_reference_number: str, invoice_hash: bytes, reference_number: str) -> None:
        """Write that KSeF has a document, as its list says."""
        self._add(
            DocumentVerdict(
                session_reference_number=session_reference_number,
                invoice_hash=invoice_hash,
                state=SubmissionState.TAKEN_IN,
                reference_number=reference_number,
            )
        )

    def undelivered(self, session: OnlineSession, outgoing: Outgoing, result: Undelivered) -> None:
        """See `Book.undelivered`: refused, or in the queue again; what is in doubt waits for its session's close."""
        if result.fate is DocumentFate.IN_DOUBT:
            return
        is_refused = result.fate is DocumentFate.REFUSED
        self._add(
            DocumentVerdict(
                session_reference_number=session.reference_number,
                invoice_hash=outgoing.sha256,
                state=SubmissionState.REJECTED if is_refused else SubmissionState.QUEUED,
                reason=Reason(result.code, str(result)) if is_refused else None,
            )
        )

    async def decided(self, session: Session, outcome: Outcome, fate: DocumentFate, *, loss: int = 0) -> None:
        """See `Book.decided`.

        Args:
            session: The session.
            outcome: What became of the document.
            fate: What that means.
            loss: Of a batch that came to nothing; see `DocumentVerdict.loss`.

        Raises:
            KsefError: The receipt of a duplicate could not be fetched.
        """
        if isinstance(outcome, AcceptedInvoice):
            acquired = outcome.acquisition_date
            self._add(
                DocumentVerdict(
                    session_reference_number=session.reference_number,
                    invoice_hash=outcome.invoice_hash,
                    state=SubmissionState.ACCEPTED,
                    reference_number=outcome.reference_number,
                    ksef_number=outcome.ksef_number,
                    acquired_at=acquired.timestamp() if acquired else None,
                    invoicing_mode=outcome.invoicing_mode,
                    receipt=await _receipt(session, outcome) if outcome.is_duplicate else None,
                )
            )
            return
        state, has_failed = SubmissionState.REJECTED, False
        if isinstance(outcome, DuplicateInvoiceError):
            state = SubmissionState.CONFLICT
        elif fate is DocumentFate.SEND_AGAIN:
            state, has_failed = SubmissionState.QUEUED, is_failure_on_document(outcome.code)
        self._add(
            DocumentVerdict(
                session_reference_number=session.reference_number,
                invoice_hash=outcome.invoice_hash,
                state=state,
                reference_number=outcome.reference_number,
                reason=Reason(outcome.code, str(outcome)),
                has_failed=has_failed,
                loss=0 if has_failed or state is not SubmissionState.QUEUED else min(loss, SPLIT),
            )
        )

    # --- group commit -------------------------------------------------------------------------------------

    def _add(self, verdict: DocumentVerdict) -> None:
        self._waiting.append(verdict)
        self._given += 1
        self._news.set()

    async def flush(self) -> None:
        """Wait until everything given so far is written."""
        wanted = self._given
        self._is_urgent.set()
        async with self._done:
            while self._written < wanted:
                await self._done.wait()

    async def run(self) -> None:
        """Write until cancelled; what was given before that is written all the same.

        Raises:
            LeaseLostError: Another worker has taken the context over.
        """
        try:
            while True:
                await self._news.wait()
                with anyio.move_on_after(_GATHERING):
                    await self._is_urgent.wait()
                self._news, self._is_urgent = anyio.Event(), anyio.Event()
                await self._write()
                if self._waiting:
                    self._news.set()
        except anyio.get_cancelled_exc_class():
            if self._waiting:
                await finish(self._write_rest(), _GRACE)
            raise

    async def _write_rest(self) -> None:
        while self._waiting:
            await self._write()

    async def _write(self) -> None:
        lot = self._waiting[:_LARGEST]
        # A lot whose writing is cancelled stays, and is written again: that changes nothing.
        for verdict in await self._store.record(lot):
            self._report(
                InvoiceTurnedOffline(
                    ksef_number=verdict.ksef_number or "",
                    session_reference_number=verdict.session_reference_number,
                    reference_number=verdict.reference_number,
                )
            )
        del self._waiting[: len(lot)]
        async with self._done:
            self._written += len(lot)
            self._done.notify_all()


async def _receipt(session: Session, outcome: AcceptedInvoice) -> Receipt | None:
    sent = session.find_sent(outcome.invoice_hash) if outcome.invoice_hash else None
    if sent is None:
        return None
    return Receipt(outcome.session_reference_number, outcome.ksef_number, await sent.upo())
