"""One session of a context: sending in it, following its invoices, and finishing it.

What is in doubt is in the state `sending`. It leaves that state only when KSeF has said that it has the document, or
when the session is closed and KSeF's list of it, read after that, does not have it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Final

import anyio

from ..errors import (
    BadRequestError,
    DuplicateInvoiceError,
    KsefError,
    LocalProtocolError,
    ProcessingError,
    ServerError,
    SessionFailedError,
    TransportError,
    WaitTimeoutError,
)
from ..models.sessions import InvoiceStatusCode, StatusCode
from ..models.upo import UPODocument
from ..polling import Cadence
from ..sessions.keeper import ANOTHER_SESSION
from ..sessions.online import OnlineSession
from ..sessions.outcomes import AcceptedInvoice, Outcome
from .context_journal import Claim, ContextJournal, Receipt, Verdict
from .models import Reason
from .recorder import Recorder
from .settings import Settings
from .states import SubmissionState
from .trouble import Trouble

__all__ = ["SessionWork"]

_log = logging.getLogger(__name__)

#: Ends after which KSeF has nothing of the invoice, and which are not its fault: it is sent again, elsewhere.
_GIVEN_UP: Final = frozenset({InvoiceStatusCode.SESSION_FAILED, InvoiceStatusCode.CANCELLED_BY_SYSTEM})

_BATCH: Final = Cadence(interval=0.5, factor=1.5, longest=30.0)

_FOLLOWING: Final = Cadence(interval=0.25, factor=1.5, longest=10.0, deadline=300.0)


class SessionWork:
    """What this worker does with one session.

    Args:
        session: Opened, resumed or attached.
        journal: Of the context.
        recorder: Writes to it.
        trouble: Of the context.
        settings: How to work.
        wake: Called when something happened that the drain may act on.
        is_batch: It is closed already.
    """

    def __init__(
        self,
        session: OnlineSession,
        journal: ContextJournal,
        recorder: Recorder,
        trouble: Trouble,
        settings: Settings,
        wake: Callable[[], None],
        *,
        is_batch: bool = False,
    ) -> None:
        self.session = session
        self._journal = journal
        self._recorder = recorder
        self._trouble = trouble
        self._settings = settings
        self._wake = wake
        self._is_batch = is_batch
        #: True once nothing more is to be sent in it.
        self.is_spent = False
        #: Whether KSeF could not decrypt its key.
        self.has_bad_key = False
        self.under_way = 0
        self._quiet = anyio.Event()
        self._taken_in = anyio.Event()
        self._following = anyio.CancelScope()
        self._successes = 0

    def __repr__(self) -> str:
        return f"<SessionWork {self.session}, {self.under_way} under way{', spent' if self.is_spent else ''}>"

    @property
    def reference_number(self) -> str:
        """The session's."""
        return self.session.reference_number

    # --- sending ------------------------------------------------------------------------------------------

    async def send(self, claim: Claim) -> None:
        """Send one claimed submission until KSeF has it, refuses it, or this session is of no use any more."""
        tries, successes = 0, self._successes
        while not self.is_spent:
            try:
                sent = await self.session.send(claim.xml, offline=claim.offline, corrects=claim.corrects)
            except KsefError as error:
                if self._is_elsewhere(error):
                    self.is_spent = True
                elif (reason := self._refusal(error)) is not None:
                    self._reject(claim, reason)
                else:
                    tries += 1
                    # Others get through, and this one does not.
                    alone = isinstance(error, ServerError | TransportError) and self._successes > successes + tries
                    if alone and tries >= self._settings.tries:
                        self._reject(claim, Reason(None, f"KSeF failed on it {tries} times: {error}"))
                        return
                    await self._trouble.wait_out(error, tries)
                    continue
                return
            self._successes += 1
            self._trouble.is_over()
            self._recorder.add(self._verdict(sent.invoice_hash, SubmissionState.TAKEN_IN, sent.reference_number))
            self._taken_in.set()
            return

    def _is_elsewhere(self, error: KsefError) -> bool:
        if isinstance(error, SessionFailedError):
            self.has_bad_key = error.code == StatusCode.DECRYPTION_ERROR
            return True
        if isinstance(error, BadRequestError):
            return error.code in ANOTHER_SESSION
        return isinstance(error, LocalProtocolError) and not self.session.takes_invoices

    @staticmethod
    def _refusal(error: KsefError) -> Reason | None:
        """Why KSeF, or the library, does not take this very document; None for what may be over later."""
        if isinstance(error, BadRequestError):
            return Reason(error.code, str(error))
        return Reason(None, str(error)) if isinstance(error, LocalProtocolError) else None

    def _reject(self, claim: Claim, reason: Reason) -> None:
        digest = hashlib.sha256(claim.xml).digest()
        self._recorder.add(self._verdict(digest, SubmissionState.REJECTED, reason=reason))

    def _verdict(
        self,
        invoice_hash: bytes,
        state: SubmissionState,
        reference_number: str | None = None,
        *,
        reason: Reason | None = None,
    ) -> Verdict:
        return Verdict(
            session_reference_number=self.reference_number,
            invoice_hash=invoice_hash,
            state=state,
            reference_number=reference_number,
            reason=reason,
        )

    def begin(self) -> None:
        """Count a send that is about to start."""
        self.under_way += 1

    def end(self) -> None:
        """Count a send that is over."""
        self.under_way -= 1
        if not self.under_way:
            self._quiet.set()
            self._quiet = anyio.Event()

    # --- following ----------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Write what becomes of the session's invoices, until the session is to be finished."""
        with self._following:
            while True:
                await self._taken_in.wait()
                self._taken_in = anyio.Event()
                await self._follow_to_the_end()

    async def _follow_to_the_end(self) -> None:
        """Until KSeF has decided on all it has of this session."""
        await self._trouble.persist(self._write_outcomes)

    async def _write_outcomes(self) -> None:
        while True:
            try:
                async for outcome in self.session.outcomes(_FOLLOWING):
                    self._recorder.add(await self._judged(outcome))
            except WaitTimeoutError:
                continue  # KSeF takes its time; nothing is lost by asking on.
            return

    async def _judged(self, outcome: Outcome) -> Verdict:
        if isinstance(outcome, AcceptedInvoice):
            acquired = outcome.acquisition_date
            return Verdict(
                session_reference_number=self.reference_number,
                invoice_hash=outcome.invoice_hash,
                state=SubmissionState.ACCEPTED,
                reference_number=outcome.reference_number,
                ksef_number=outcome.ksef_number,
                acquired_at=acquired.timestamp() if acquired else None,
                receipt=await self._receipt(outcome) if outcome.is_duplicate else None,
            )
        reason = Reason(outcome.code, str(outcome))
        if isinstance(outcome, DuplicateInvoiceError):
            state = SubmissionState.CONFLICT
        elif outcome.code in _GIVEN_UP:
            state = SubmissionState.QUEUED
            # In this session it would be found, and not sent again.
            self.is_spent = True
            self._wake()
        else:
            state = SubmissionState.REJECTED
        return self._verdict(outcome.invoice_hash, state, outcome.reference_number, reason=reason)

    async def _receipt(self, outcome: AcceptedInvoice) -> Receipt | None:
        sent = self.session.find_sent(outcome.invoice_hash)
        if sent is None:
            return None
        return Receipt(outcome.session_reference_number, outcome.ksef_number, await sent.upo())

    # --- finishing ----------------------------------------------------------------------------------------

    async def reconcile(self) -> None:
        """Ask KSeF which of the documents in doubt it has: those are taken in, the others go back to the queue.

        Raises:
            KsefError: A call failed; nothing was written.
        """
        doubtful = await self._journal.under_way(self.reference_number, SubmissionState.SENDING)
        if not doubtful:
            return
        found = await self.session.find(doubtful)
        for digest in doubtful:
            if digest in found:
                self._recorder.add(self._verdict(digest, SubmissionState.TAKEN_IN, found[digest]))
            else:
                reason = Reason(None, "KSeF did not take in the batch it was in.") if self._is_batch else None
                self._recorder.add(self._verdict(digest, SubmissionState.QUEUED, reason=reason))
        await self._recorder.flush()
        self._taken_in.set()

    async def finish(self) -> None:
        """Close the session, settle what is in doubt, follow the rest to its end, and store the UPO."""
        self.is_spent = True
        self._following.cancel()
        while self.under_way:
            await self._quiet.wait()
        await self._trouble.persist(self._finish_in_time)

    async def _finish_in_time(self) -> None:
        while True:
            await self._recorder.flush()
            try:
                await self._finish_once()
            except WaitTimeoutError:
                continue
            return

    async def _finish_once(self) -> None:
        if self._is_batch:
            async for _ in self.session.transitions(_BATCH):
                pass
        else:
            await self.session.terminate()
        await self.reconcile()
        await self._follow_to_the_end()
        await self._recorder.flush()
        code, pages = int(StatusCode.PROCESSED_OK), tuple[UPODocument, ...]()
        try:
            pages = (await self.session.upo()).pages
        except SessionFailedError as error:
            code = error.code
        if left := await self._journal.under_way(self.reference_number, SubmissionState.TAKEN_IN):
            raise ProcessingError(
                f"KSeF does not list {len(left)} invoices that it has taken in",
                status=(await self.session.status()).status,
            )
        if left_out := await self._journal.finish_session(self.reference_number, code, pages):
            _log.error("the UPO of session %s leaves out %d accepted invoices", self.reference_number, left_out)
            raise ProcessingError(
                f"The UPO of session {self.reference_number} leaves out {left_out} accepted invoices",
                status=(await self.session.status()).status,
            )
