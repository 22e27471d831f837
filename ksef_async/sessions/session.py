"""What every session has, online or batch: its status and history, its invoices, its one block, its close, its UPO."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any

import anyio

from ..api.operation import Operation
from ..api.sessions import (
    GET_SESSION_STATUS,
    GET_SESSION_UPO_PAGE,
    LIST_FAILED_SESSION_INVOICES,
    LIST_SESSION_INVOICES,
    SessionInvoice,
    SessionInvoicePage,
    SessionStatus,
    SessionType,
    StatusCode,
    UPODocument,
    UPOPage,
)
from ..calling.caller import Caller
from ..calling.events import SessionChanged
from ..calling.paging import TokenPages
from ..calling.polling import Cadence
from ..errors import (
    ApiError,
    BadRequestError,
    LocalProtocolError,
    RemoteProtocolError,
    SessionFailedError,
    TransportError,
)
from ..protocol.delivery import SessionFate, Step, judge_session
from ..protocol.error_codes import ErrorCode
from ..protocol.lifecycle import SESSION
from .outcomes import Outcome
from .tracking import LAG, LARGEST_PAGE, OUTCOME_CADENCE, SentInvoice, Tracker
from .transitions import TRANSITION_CADENCE, SessionHistory, Transition, Transitions
from .upo import SessionUPO, verify_upo

__all__ = ["UPO_CADENCE", "Session", "new_history", "session_type", "waiting_for_session"]

UPO_CADENCE = Cadence(interval=0.2, factor=1.5, longest=5.0, deadline=300.0)
"""How long `Session.upo` waits by default. KSeF mostly takes seconds, at times much longer."""


class Session(anyio.AsyncContextManagerMixin, abc.ABC):
    """A session at KSeF: an `OnlineSession` or a `BatchSession`.

    Args:
        api: How to call KSeF.
        reference_number: 36 characters, given by KSeF.
        history: What this process has seen of it.
    """

    def __init__(self, api: Caller, reference_number: str, history: SessionHistory) -> None:
        self._api = api
        self.reference_number = reference_number
        self._history = history
        self._tracker = Tracker(api, reference_number)
        self._entered = False
        self._owner: asyncio.Task[Any] | None = None
        self._close_lock = anyio.Lock()
        self._closed = False

    @property
    def access_token(self) -> str | None:
        """The JWT the session is used with; it is replaced as needed, so read it anew each time."""
        return self._api.access_token

    @property
    def _state_at_ksef(self) -> str | None:
        """What KSeF has called the session last, for people; None while that is open, or nothing."""
        last = self._history.last
        if last is None or last.status.code == StatusCode.OPENED:
            return None
        code = last.status.code
        return StatusCode(code).name if code in {*StatusCode} else str(code)

    @property
    def _path(self) -> dict[str, str]:
        return {"reference_number": self.reference_number}

    # --- its block ----------------------------------------------------------------------------------------

    def _enter_once(self) -> None:
        if self._entered:
            raise LocalProtocolError(f"Session {self.reference_number} was entered before; open a new one.")
        self._entered = True
        self._owner = asyncio.current_task()

    async def terminate(self) -> SessionStatus:
        """Close the session and return its status straight afterwards; leaving the block does it, too.

        Mostly that is 170 of an online session (440 when nothing was sent), and 150 of a batch, which KSeF processes
        from then on. Closing a session that is closed already is success. A part of a package that KSeF turns out not
        to have is uploaded again.

        Raises:
            UploadExpiredError: The time to upload is over, and KSeF does not have every part.
            BadRequestError: KSeF refuses the close.
            TransportError: The close, an upload, or reading the status failed; all may be tried again.
            ApiError: As for TransportError.
            RemoteProtocolError: As for TransportError.

        Source: POST /sessions/online/{referenceNumber}/close, POST /sessions/batch/{referenceNumber}/close.
        """
        await self._close()
        return await self.status()

    @abc.abstractmethod
    async def _close(self) -> None: ...

    @property
    @abc.abstractmethod
    def _is_held_open(self) -> bool:
        """Whether this object's own block is still to close the session."""

    def _check_not_held_open_by_listener(self) -> None:
        if self._is_held_open and asyncio.current_task() is self._owner:
            raise LocalProtocolError(
                f"Session {self.reference_number} is held open by the very block that waits for its next change: "
                "iterate after the block (or after terminate()), or in another task."
            )

    def _check_not_held_open(self, what: str) -> None:
        if self._is_held_open:
            raise LocalProtocolError(
                f"Session {self.reference_number} is open, and {what} after it is closed: "
                "leave the block or call terminate() first."
            )

    # --- what KSeF says of it -----------------------------------------------------------------------------

    async def status(self) -> SessionStatus:
        """Ask KSeF how far the session is.

        Raises:
            BadRequestError: KSeF does not know the session (21173).
            ForbiddenError: It belongs to somebody else.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: GET /sessions/{referenceNumber}.
        """
        return await self._history.look()

    def transitions(self, cadence: Cadence = TRANSITION_CADENCE) -> Transitions:
        """Return the session's changes of state, from the first one seen to the terminal one, as an async iterator.

        It goes on while the session is held open by its block: listen after the block, or in another task. Where the
        task of the block listens inside of it, nothing would ever change, and iterating is a `LocalProtocolError`.

        Args:
            cadence: How often to look, and for how long (by default without end).
        """
        return Transitions(self._history, self.reference_number, cadence, self._check_not_held_open_by_listener)

    def invoices(self) -> TokenPages[SessionInvoice]:
        """Return the session's invoices in the order KSeF took them in, 1,000 a page.

        Source: GET /sessions/{referenceNumber}/invoices.
        """
        return self._invoice_pages(LIST_SESSION_INVOICES)

    def failed_invoices(self) -> TokenPages[SessionInvoice]:
        """Return the rejected invoices among `invoices`.

        Source: GET /sessions/{referenceNumber}/invoices/failed.
        """
        return self._invoice_pages(LIST_FAILED_SESSION_INVOICES)

    def _invoice_pages(self, operation: Operation[None, SessionInvoicePage]) -> TokenPages[SessionInvoice]:
        # Loaded by those who list.
        from ..resources.lists import list_by_token

        return list_by_token(self._api, operation, lambda page: page.invoices, path=self._path, page_size=LARGEST_PAGE)

    async def find(self, invoice_hashes: Collection[bytes]) -> dict[bytes, str]:
        """Return which documents KSeF has taken in, however they were sent; waits out its lag while some are missing.

        Args:
            invoice_hashes: SHA-256 (32 bytes) of each, all different.

        Returns:
            The reference numbers of those that are in the session.

        Raises:
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: GET /sessions/{referenceNumber}/invoices.
        """
        return await self._tracker.find_all(invoice_hashes)

    def follow(self, cadence: Cadence = OUTCOME_CADENCE) -> AsyncIterator[Outcome]:
        """Yield what became of each of the session's invoices, once, as KSeF decides; end when none is in progress.

        Invoices that are sent meanwhile are included. Reads the list of the session, 1,000 invoices a request; what
        is settled is not read again.

        Args:
            cadence: How often to look, and how long to wait for the next decision.

        Yields:
            An `AcceptedInvoice`, or the `InvoiceRejectedError` that `SentInvoice.outcome` would raise; both have
            ``invoice_hash`` (32 bytes) and ``reference_number``.

        Raises:
            WaitTimeoutError: KSeF decided nothing for as long as ``cadence.deadline``; ask again later.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: GET /sessions/{referenceNumber}/invoices.
        """
        return self._tracker.outcomes(cadence)

    async def decided(self) -> set[str]:
        """Read KSeF's list, and return the reference numbers of the invoices that KSeF has accepted or refused.

        Raises:
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: GET /sessions/{referenceNumber}/invoices.
        """
        return await self._tracker.decided()

    def find_sent(self, invoice_hash: bytes) -> SentInvoice | None:
        """Return what was sent with this SHA-256 (32 bytes), as far as this process knows; None for nothing."""
        reference_number = self._reference_of(invoice_hash)
        return self._sent_invoice(reference_number, invoice_hash) if reference_number else None

    def _reference_of(self, invoice_hash: bytes) -> str | None:
        return self._tracker.ledger.by_hash.get(invoice_hash)

    def _sent_invoice(self, reference_number: str, invoice_hash: bytes) -> SentInvoice:
        return SentInvoice(
            self._api,
            self._tracker,
            session_reference_number=self.reference_number,
            reference_number=reference_number,
            invoice_hash=invoice_hash,
        )

    # --- its receipt --------------------------------------------------------------------------------------

    async def upo(self, cadence: Cadence = UPO_CADENCE) -> SessionUPO:
        """Wait until the session is processed, and fetch its receipt.

        Args:
            cadence: How often to look at the session, and for how long.

        Returns:
            Every page, as KSeF issued it and as read from it.

        Raises:
            LocalProtocolError: This object's own block still holds the session open: KSeF makes the receipt after
                the close.
            SessionFailedError: The session ended without a receipt. That is so, too (445), where all that was sent are
                duplicates: `SentInvoice.upo` has the receipts of their originals.
            WaitTimeoutError: It is still being processed; ask again later.
            RemoteProtocolError: The receipt is not what KSeF vouches for, or not about this session.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.

        Source: GET /sessions/{referenceNumber}, then the signed links in it; where one fails,
        GET /sessions/{referenceNumber}/upo/{upoReferenceNumber}.
        """
        self._check_not_held_open("the UPO comes")
        status = await self._processed(cadence)
        return SessionUPO(self.reference_number, await self._fetch_pages(status))

    async def upo_page(self, reference_number: str) -> UPODocument:
        """Fetch one page of the receipt by its reference number, as the session's status names it.

        It goes through the API, and so counts against the rate limits; `upo` follows KSeF's links, which do not.

        Args:
            reference_number: Of the page (36 characters).

        Raises:
            BadRequestError: KSeF does not know the page (21178).
            RemoteProtocolError: The receipt is not what KSeF vouches for, or not about this session.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.

        Source: GET /sessions/{referenceNumber}/upo/{upoReferenceNumber}.
        """
        path = self._path | {"upo_reference_number": reference_number}
        xml = await self._api.call(GET_SESSION_UPO_PAGE, path=path)
        return await verify_upo(xml, session_reference_number=self.reference_number)

    async def _processed(self, cadence: Cadence) -> SessionStatus:
        async for transition in self.transitions(cadence):
            if SESSION.is_success(transition.current):
                return await self._status_with_links()
            if transition.is_terminal:
                raise self._failure("ended without a UPO", transition.status)
        raise AssertionError("transitions end with a terminal status")

    def _failure(self, what: str, status: SessionStatus) -> SessionFailedError:
        advice = ""
        if status.status.code == StatusCode.VALIDATION_ERROR:
            advice = (
                " (an invoice that KSeF called a duplicate of the very same document, 440, is accepted all the same: "
                "its outcome() says so, and upo() of what send() or find_sent() returned fetches the original's "
                "receipt)"
            )
        return SessionFailedError(
            f"Session {self.reference_number} {what}{advice}",
            status=status.status,
            reference_number=self.reference_number,
            may_be_sent_again=judge_session(status.status.code).step is Step.ANOTHER_SESSION,
        )

    async def _status_with_links(self) -> SessionStatus:
        """Ask for the status of a processed session; the links in an earlier one may be over, and each signs new."""
        for seconds in LAG:
            # The status may be final a moment before the UPO is named.
            await anyio.sleep(seconds)
            status = await self.status()
            if status.upo is not None and status.upo.pages:
                return status
        raise RemoteProtocolError(
            f"Session {self.reference_number} is processed, but KSeF names no UPO.",
            operation=GET_SESSION_STATUS.name,
            path="$.upo",
        )

    async def _fetch_pages(self, status: SessionStatus) -> tuple[UPODocument, ...]:
        pages = () if status.upo is None else status.upo.pages
        return tuple([await self._fetch_page(page) for page in pages])

    async def _fetch_page(self, page: UPOPage) -> UPODocument:
        """Fetch a page by its link, else through the API, else by a new link: each has failed while others worked."""
        try:
            return await self._page_by_link(page)
        except (TransportError, ApiError, RemoteProtocolError) as error:
            by_link = error
        try:
            return await self.upo_page(page.reference_number)
        except (TransportError, ApiError, RemoteProtocolError) as by_api:
            by_link.add_note(f"Fetching it through the API failed as well: {by_api}")
        status = await self._status_with_links()
        for again in () if status.upo is None else status.upo.pages:
            if again.reference_number == page.reference_number:
                try:
                    return await self._page_by_link(again)
                except (TransportError, ApiError, RemoteProtocolError) as error:
                    by_link.add_note(f"So did a new link: {error}")
        raise by_link

    async def _page_by_link(self, page: UPOPage) -> UPODocument:
        if page.download_url is None:
            raise RemoteProtocolError(
                f"KSeF gives no link to page {page.reference_number} of the UPO.", operation=GET_SESSION_STATUS.name
            )
        xml = await self._api.download("session_upo", page.download_url)
        return await verify_upo(xml, session_reference_number=self.reference_number)


def new_history(api: Caller, reference_number: str, *, forget_keys: Callable[[], None]) -> SessionHistory:
    """Return a history of a session in which nothing has been seen yet.

    Args:
        api: How to call KSeF.
        reference_number: The session.
        forget_keys: Called when the session ends in a way after which the public keys are to be fetched anew.
    """

    async def look() -> SessionStatus:
        return await api.call(GET_SESSION_STATUS, path={"reference_number": reference_number})

    def changed(transition: Transition) -> None:
        if judge_session(transition.current).session is SessionFate.REPLACE_WITH_NEW_KEYS:
            forget_keys()
        api.report(
            SessionChanged(reference_number=reference_number, previous=transition.previous, current=transition.current)
        )

    return SessionHistory(look, changed)


def waiting_for_session(api: Caller, reference_number: str) -> Caller:
    """Return a caller for a session that was opened just now, which not every part of KSeF knows yet."""

    def is_early(error: ApiError) -> bool:
        return isinstance(error, BadRequestError) and error.code == ErrorCode.UNKNOWN_SESSION

    return api.waiting_for_agreement(is_early, about=reference_number)


def session_type(reference_number: str) -> SessionType:
    """Return what a reference number says: ``-SB-`` is a batch session, ``-SO-`` (and what nobody knows) online."""
    return SessionType.BATCH if reference_number[8:12] == "-SB-" else SessionType.ONLINE
