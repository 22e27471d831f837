"""Following invoices to their end: all that wait in one process share each look, and the cheapest look is taken.

A page of the list shows 1,000 invoices for one request, but KSeF grants six times as many single looks as pages;
so a few invoices are looked at one by one, and more by the list. Source: limity-api.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from typing import TypeVar

import anyio
import anyio.lowlevel
import attrs

from ..api.sessions import (
    GET_INVOICE_UPO,
    GET_INVOICE_UPO_BY_KSEF_NUMBER,
    GET_SESSION_INVOICE,
    LIST_SESSION_INVOICES,
    SessionInvoice,
    SessionInvoicePage,
    UPODocument,
)
from ..calling.caller import Caller
from ..calling.polling import Cadence
from ..calling.waiting import LongWait
from ..errors import BadRequestError, DuplicateInvoiceError, ForbiddenError, RemoteProtocolError, WaitTimeoutError
from ..protocol.delivery import DocumentFate, judge_invoice
from ..protocol.error_codes import ErrorCode
from ..protocol.requests import CONTINUATION_HEADER
from .ledger import Ledger, is_settled
from .outcomes import AcceptedInvoice, Outcome, duplicate_error, judge, original_of
from .upo import verify_upo

__all__ = ["GIVEN_AT_ONCE", "LAG", "LARGEST_PAGE", "OUTCOME_CADENCE", "SentInvoice", "Tracker"]

T = TypeVar("T")

OUTCOME_CADENCE = Cadence(interval=0.25, factor=1.5, longest=10.0, deadline=300.0)
"""KSeF mostly decides within two seconds, at times much later."""

LARGEST_PAGE = 1000
"""The most KSeF gives at once: a budget counts pages, not rows."""

# Invoices without a SHA-256 that are asked about one by one.
_MOST_ASKED = 20
# 1,200 single looks an hour are granted, and 200 pages; 120 and 20 a minute.
_LOOKS_A_PAGE = 6

GIVEN_AT_ONCE = 100
"""How many outcomes that are known are given before others may use the event loop."""

LAG = (0.0, 0.5, 1.5)
"""Seconds before each look for something that KSeF may show a little late."""


class Tracker:
    """The outcomes of the invoices of one session.

    Args:
        api: How to call KSeF.
        session_reference_number: The session.
    """

    def __init__(self, api: Caller, session_reference_number: str) -> None:
        self._api = api
        self._session = session_reference_number
        self._lock = anyio.Lock()
        self._waiting: Counter[str] = Counter()
        self._looked_at = 0.0
        self._looks_in_vain = 0
        self._wait = LongWait(f"decisions about invoices of session {session_reference_number}")
        # Rejections, so that each is one object, and what KSeF calls duplicates, which takes requests to find out; an
        # acceptance is read from the list again.
        self._outcomes: dict[str, Outcome] = {}
        self.sent: dict[str, bytes] = {}
        """What this process has sent, whether KSeF lists it already or not: SHA-256 by reference number."""
        self.ledger = Ledger(self.fetch_page)

    async def fetch_page(self, token: str | None) -> SessionInvoicePage:
        """Return the page of the session's list that a continuation token leads to; the first for None."""
        headers = {CONTINUATION_HEADER: token} if token else None
        path, query = {"reference_number": self._session}, {"page_size": LARGEST_PAGE}
        return await self._api.call(LIST_SESSION_INVOICES, path=path, query=query, headers=headers)

    async def find(self, invoice_hash: bytes, *, but: Collection[str] = ()) -> str | None:
        """Return the reference number of the invoice with this SHA-256, when KSeF has it; waits out KSeF's lag.

        Args:
            invoice_hash: 32 bytes.
            but: Reference numbers that do not count.

        Raises:
            KsefError: A call failed.
        """

        def found() -> str | None:
            if not but:
                return self.ledger.by_hash.get(invoice_hash)
            return next(iter(self.ledger.references_of(invoice_hash) - {*but}), None)

        return await self._look_for(found, lambda reference_number: reference_number is not None)

    async def find_all(self, invoice_hashes: Collection[bytes]) -> dict[bytes, str]:
        """As `find`, for many at once: the reference numbers of those that KSeF has taken in."""

        def found() -> dict[bytes, str]:
            listed = self.ledger.by_hash
            return {digest: listed[digest] for digest in invoice_hashes if digest in listed}

        return await self._look_for(found, lambda references: len(references) == len(invoice_hashes))

    async def _look_for(self, found: Callable[[], T], is_all: Callable[[T], bool]) -> T:
        """Read the list until all is found, or KSeF's lag is over; then also ask about rows without a SHA-256."""
        for seconds in LAG:
            await anyio.sleep(seconds)
            await self.ledger.read()
            if is_all(result := found()):
                return result
        for reference_number in self.ledger.without_hash(self.sent)[:_MOST_ASKED]:
            self.ledger.note(await self._look(reference_number))
        if not is_all(result := found()):
            self.ledger.check_absence(self.sent)
        return result

    async def outcome(self, reference_number: str, cadence: Cadence) -> Outcome:
        """Wait until KSeF has decided on one invoice.

        Raises:
            WaitTimeoutError: It has not when ``cadence.deadline`` passed.
            KsefError: A call failed.
        """
        self._waiting[reference_number] += 1
        try:
            with anyio.move_on_after(cadence.deadline):
                while not self._is_final(reference_number):
                    async with self._lock:
                        # Another task may have looked for this one too while it waited for the lock.
                        if not self._is_final(reference_number):
                            await self._look_when_due(cadence, self._waiting)
                return await self._judge(self.ledger.invoices[reference_number])
        finally:
            self._waiting[reference_number] -= 1
            if not self._waiting[reference_number]:
                del self._waiting[reference_number]
        last = self.ledger.invoices.get(reference_number)
        raise WaitTimeoutError(
            f"Invoice {reference_number}: still in progress after {cadence.deadline} s",
            last_status=last.status if last else None,
        )

    async def outcomes(self, cadence: Cadence) -> AsyncIterator[Outcome]:
        """Iterate over the outcomes of the session's invoices, each as it becomes final, until none is in progress.

        Raises:
            WaitTimeoutError: None became final for as long as ``cadence.deadline``.
            KsefError: A call failed.
        """
        given: set[str] = set()
        await self.ledger.read()
        self._looked_at = anyio.current_time()
        give_up_at = cadence.give_up_at(anyio.current_time())
        while True:
            known = self.sent.keys() | self.ledger.invoices.keys()
            for reference_number in [number for number in self.ledger.invoices if number not in given]:
                if self._is_final(reference_number):
                    given.add(reference_number)
                    yield await self._judge(self.ledger.invoices[reference_number])
                    if len(given) % GIVEN_AT_ONCE == 0:
                        await anyio.lowlevel.checkpoint()
                    give_up_at = cadence.give_up_at(anyio.current_time())
            pending = known - given
            if not pending and known == self.sent.keys() | self.ledger.invoices.keys():
                return
            with anyio.CancelScope(deadline=give_up_at) as scope:
                async with self._lock:
                    await self._look_when_due(cadence, pending)
            if scope.cancelled_caught:
                raise WaitTimeoutError(
                    f"Session {self._session}: {len(pending)} invoices are still in progress after {cadence.deadline} s"
                )

    async def outcome_of(self, listed: SessionInvoice, cadence: Cadence) -> Outcome:
        """Return the outcome of an invoice that KSeF lists; waits, as `outcome` does, while it is in progress.

        Raises:
            WaitTimeoutError: It was not final when ``cadence.deadline`` passed.
            KsefError: A call failed.
        """
        if is_settled(listed):
            return await self._judge(listed)
        return await self.outcome(listed.reference_number, cadence)

    async def decided(self) -> set[str]:
        """Read the list, and return the reference numbers of what KSeF has accepted or refused."""
        await self.ledger.read()
        undecided = (DocumentFate.TAKEN_IN, DocumentFate.SEND_AGAIN)
        return {
            number
            for number, invoice in self.ledger.invoices.items()
            if judge_invoice(invoice.status.code).document not in undecided
        }

    def is_to_be_sent_again(self, reference_number: str) -> bool:
        """Return whether an invoice has been seen to end in a way that is not its document's fault."""
        invoice = self.ledger.invoices.get(reference_number)
        return invoice is not None and judge_invoice(invoice.status.code).document is DocumentFate.SEND_AGAIN

    def known_duplicate(self, reference_number: str) -> AcceptedInvoice | None:
        """Return the acceptance that an invoice turned out to be a duplicate of, if its outcome was asked for."""
        outcome = self._outcomes.get(reference_number)
        return outcome if isinstance(outcome, AcceptedInvoice) else None

    def _is_final(self, reference_number: str) -> bool:
        invoice = self.ledger.invoices.get(reference_number)
        return invoice is not None and is_settled(invoice)

    async def _look_when_due(self, cadence: Cadence, wanted: Counter[str] | set[str]) -> None:
        pages = self.ledger.pages_to_read
        # A look that takes many requests is taken more seldom.
        due = self._looked_at + pages * cadence.pause(self._looks_in_vain)
        self._wait.pause(max(0.0, due - anyio.current_time()))
        await anyio.sleep_until(due)
        pending = [number for number in wanted if not self._is_final(number)]
        if len(pending) <= pages * _LOOKS_A_PAGE:
            for reference_number in pending:
                self.ledger.note(await self._look(reference_number))
        else:
            await self.ledger.read()
        self._looked_at = anyio.current_time()
        in_vain = not any(self._is_final(number) for number in pending)
        self._looks_in_vain = self._looks_in_vain + 1 if in_vain else 1
        if not in_vain:
            self._wait.is_over()

    async def _look(self, reference_number: str) -> SessionInvoice:
        path = {"reference_number": self._session, "invoice_reference_number": reference_number}
        return await self._api.call(GET_SESSION_INVOICE, path=path)

    async def _judge(self, invoice: SessionInvoice) -> Outcome:
        if known := self._outcomes.get(invoice.reference_number):
            return known
        if invoice.invoice_hash is None:
            invoice = attrs.evolve(invoice, invoice_hash=self.sent.get(invoice.reference_number))
        outcome = judge(invoice, self._session)
        if isinstance(outcome, DuplicateInvoiceError):
            outcome = await self._look_into(invoice)
        if not isinstance(outcome, AcceptedInvoice) or outcome.is_duplicate:
            self._outcomes[invoice.reference_number] = outcome
        return outcome

    async def _look_into(self, duplicate: SessionInvoice) -> Outcome:
        """Return whether the original is the same document, by the receipt KSeF gives for it."""
        ksef_number, session = original_of(duplicate.status)
        if ksef_number is None or session is None:
            message = "KSeF calls invoice {number} a duplicate, without naming the original"
            return duplicate_error(duplicate, self._session, message)
        receipt = await self._receipt(session, ksef_number)
        if receipt is None:
            message = (
                "KSeF calls invoice {number} a duplicate, but shows no receipt of the original, "
                "so it may be this document or another under the same number"
            )
            return duplicate_error(duplicate, self._session, message)
        (entry,) = receipt.entries
        if entry.invoice_hash != duplicate.invoice_hash:
            message = "Another document with the number of invoice {number} was accepted before"
            return duplicate_error(duplicate, self._session, message)
        return AcceptedInvoice(
            ksef_number=entry.ksef_number,
            invoice_number=entry.invoice_number,
            reference_number=duplicate.reference_number,
            session_reference_number=session,
            invoice_hash=entry.invoice_hash,
            invoicing_date=entry.invoicing_date,
            acquisition_date=entry.acquisition_date,
            invoicing_mode=entry.invoicing_mode,
            is_duplicate=True,
        )

    async def _receipt(self, session: str, ksef_number: str) -> UPODocument | None:
        path = {"reference_number": session, "ksef_number": ksef_number}
        for seconds in LAG:
            # The original may be in progress itself.
            await anyio.sleep(seconds)
            try:
                xml = await self._api.call(GET_INVOICE_UPO_BY_KSEF_NUMBER, path=path)
            except BadRequestError as error:
                if error.code != ErrorCode.UNKNOWN_UPO:
                    return None
            except ForbiddenError:
                # The session KSeF names has been seen wrong; it may be somebody else's.
                return None
            else:
                return await verify_upo(xml, session_reference_number=session)
        return None


class SentInvoice:
    """An invoice KSeF has taken in.

    Args:
        api: How to call KSeF.
        tracker: What is known of the session's invoices.
        session_reference_number: The session it was sent in.
        reference_number: Given by KSeF (36 characters).
        invoice_hash: SHA-256 of the plain invoice (32 bytes).
    """

    __slots__ = ("_api", "_tracker", "invoice_hash", "reference_number", "session_reference_number")

    def __init__(
        self,
        api: Caller,
        tracker: Tracker,
        *,
        session_reference_number: str,
        reference_number: str,
        invoice_hash: bytes,
    ) -> None:
        self._api = api
        self._tracker = tracker
        self.session_reference_number = session_reference_number
        self.reference_number = reference_number
        self.invoice_hash = invoice_hash

    def __repr__(self) -> str:
        return f"<SentInvoice {self.reference_number} in {self.session_reference_number}>"

    @property
    def _path(self) -> dict[str, str]:
        return {
            "reference_number": self.session_reference_number,
            "invoice_reference_number": self.reference_number,
        }

    async def status(self) -> SessionInvoice:
        """Ask KSeF how far the invoice is.

        Raises:
            RemoteProtocolError: KSeF answers about another document.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.

        Source: GET /sessions/{referenceNumber}/invoices/{invoiceReferenceNumber}.
        """
        invoice = await self._api.call(GET_SESSION_INVOICE, path=self._path)
        self._check(invoice.invoice_hash)
        return attrs.evolve(invoice, invoice_hash=self.invoice_hash)

    async def outcome(self, cadence: Cadence = OUTCOME_CADENCE) -> AcceptedInvoice:
        """Wait until KSeF has decided. However many tasks wait for invoices of one session, they share the looks.

        A duplicate (440) of this very document is an acceptance: it is in KSeF, once.

        Args:
            cadence: How often to look, and for how long.

        Raises:
            DuplicateInvoiceError: 440: seller, kind and number are already in KSeF, on another document, or on one
                that KSeF does not show.
            InvoiceRejectedError: KSeF rejected it; ``status`` says why.
            WaitTimeoutError: KSeF has not decided yet; ask again later.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.
        """
        outcome = await self._tracker.outcome(self.reference_number, cadence)
        self._check(outcome.invoice_hash)
        if isinstance(outcome, AcceptedInvoice):
            return attrs.evolve(outcome, invoice_hash=self.invoice_hash)
        outcome.invoice_hash = self.invoice_hash
        raise outcome

    def _check(self, invoice_hash: bytes | None) -> None:
        if invoice_hash not in (None, self.invoice_hash):
            raise RemoteProtocolError(
                f"KSeF's status of invoice {self.reference_number} is about a document with another SHA-256.",
                operation=GET_SESSION_INVOICE.name,
                path="$.invoiceHash",
            )

    async def upo(self) -> UPODocument:
        """Return the receipt of this invoice alone; there is one as soon as it is accepted, even in an open session.

        For a duplicate of this very document, as `outcome` has found it, it is the receipt of the first.

        Raises:
            BadRequestError: It is not accepted (21178).
            RemoteProtocolError: The receipt is not what KSeF vouches for, or about another document.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.

        Source: GET /sessions/{referenceNumber}/invoices/{invoiceReferenceNumber}/upo.
        """
        if first := self._tracker.known_duplicate(self.reference_number):
            session = first.session_reference_number
            path = {"reference_number": session, "ksef_number": first.ksef_number}
            xml = await self._api.call(GET_INVOICE_UPO_BY_KSEF_NUMBER, path=path)
        else:
            session = self.session_reference_number
            xml = await self._api.call(GET_INVOICE_UPO, path=self._path)
        document = await verify_upo(xml, session_reference_number=session)
        if [entry.invoice_hash for entry in document.entries] != [self.invoice_hash]:
            raise RemoteProtocolError(
                f"KSeF's UPO of invoice {self.reference_number} is about another document.",
                operation=GET_INVOICE_UPO.name,
                path="Dokument/SkrotDokumentu",
            )
        return document
