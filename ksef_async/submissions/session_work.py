"""One session of a context: sending in it, following its invoices, and finishing it.

What is in doubt is in the state `sending`. It leaves that state only when KSeF has said that it has the document, or
when the session is closed and KSeF's list of it, read after that, does not have it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from ..api.sessions import InvoiceStatusCode, SessionStatus, StatusCode, UPODocument
from ..calling.polling import Cadence
from ..errors import (
    ApiError,
    DuplicateInvoiceError,
    KsefError,
    ProcessingError,
    SessionFailedError,
    WaitTimeoutError,
    describe,
)
from ..protocol.delivery import (
    Asked,
    DocumentFate,
    Judgement,
    SessionFate,
    Step,
    fails_alone,
    judge,
    judge_invoice,
    judge_session,
)
from ..sessions.online import OnlineSession
from ..sessions.outcomes import AcceptedInvoice, Outcome
from .context_store import ONE_BY_ONE, SPLIT, Claim, ContextStore, Receipt, Verdict
from .models import Reason, Settings, SubmissionState
from .recorder import Recorder
from .trouble import Trouble

if TYPE_CHECKING:
    from ..sessions.batch import BatchSession
    from .batch_work import BatchWork

__all__ = ["FOLLOWING", "SessionWork"]

_log = logging.getLogger(__name__)

_BATCH: Final = Cadence(interval=0.5, factor=1.5, longest=30.0, deadline=300.0)

FOLLOWING: Final = Cadence(interval=0.25, factor=1.5, longest=10.0, deadline=300.0)
"""After its deadline the same invoices are asked for again."""

# How many waits in a row, of 300 seconds each, are nothing to speak of.
_QUIET_WAITS: Final = 12


class SessionWork:
    """What this worker does with one session.

    Args:
        session: Opened, resumed or attached.
        journal: Of the context.
        recorder: Writes to it.
        trouble: Of the context.
        settings: How to work.
        wake: Called when something happened that the drain may act on.
        forget_keys: Called when KSeF could not decrypt the session's key: the Ministry's may have changed.
        batches: For a batch, which is closed already: counts how they end.
    """

    def __init__(
        self,
        session: OnlineSession | BatchSession,
        journal: ContextStore,
        recorder: Recorder,
        trouble: Trouble,
        settings: Settings,
        wake: Callable[[], None],
        *,
        forget_keys: Callable[[], None],
        batches: BatchWork | None = None,
    ) -> None:
        self.session = session
        self._journal = journal
        self._recorder = recorder
        self._trouble = trouble
        self._settings = settings
        self._wake = wake
        self._forget_keys = forget_keys
        self._batches = batches
        # Of a batch: how it ended, once that is known.
        self._end: SessionStatus | None = None
        self.is_spent = False
        """True once nothing more is to be sent in it."""
        self.failure: KsefError | None = None
        """Why, where something has gone wrong."""
        self._has_accepted = False
        self.under_way = 0
        self._quiet = anyio.Event()
        self._taken_in = anyio.Event()
        self._following = anyio.CancelScope()
        self._successes = 0

    def __repr__(self) -> str:
        return f"<SessionWork {self.session}, {self.under_way} under way{', spent' if self.is_spent else ''}>"

    @property
    def online(self) -> OnlineSession:
        """The session, to send in."""
        if not isinstance(self.session, OnlineSession):
            raise AssertionError("nothing is sent one by one in a batch")
        return self.session

    @property
    def reference_number(self) -> str:
        """The session's."""
        return self.session.reference_number

    @property
    def was_in_vain(self) -> bool:
        """Whether it came to nothing, so that another one may as well."""
        if isinstance(self.failure, ProcessingError):
            return not self._has_accepted
        return self.failure is not None and not self._successes

    # --- sending ------------------------------------------------------------------------------------------

    async def send(self, claim: Claim) -> None:
        """Send one claimed submission until KSeF has it, refuses it, or this session is of no use any more.

        What KSeF cannot have goes back to the queue, and from there into another session.
        """
        with self._trouble.lasting():
            await self._send(claim)

    async def _send(self, claim: Claim) -> None:
        tries, successes = 0, self._successes
        digest = hashlib.sha256(claim.xml).digest()
        while not self.is_spent:
            try:
                sent = await self.online.send(claim.xml, offline=claim.offline, corrects=claim.corrects)
            except KsefError as error:
                judgement = judge(
                    Asked.SEND,
                    error,
                    takes_invoices=self.online.takes_invoices,
                    is_in_doubt=self.online.may_have(digest),
                )
                if judgement.session.is_over:
                    self._spend(error, judgement)
                    break
                if judgement.document is DocumentFate.REFUSED:
                    self._reject(claim, Reason(error.code if isinstance(error, ApiError) else None, str(error)))
                    return
                if judgement.step is Step.SETTLE:
                    return
                tries += 1
                others = self._successes - successes
                is_alone = fails_alone(judgement, tries=tries, successes=others, limit=self._settings.tries)
                if is_alone and await self._is_absent(claim):
                    self._reject(claim, Reason(None, f"KSeF failed on it {tries} times: {error}"))
                    return
                await self._trouble.wait_out(error, tries)
                continue
            self._successes += 1
            self._trouble.is_over()
            self._recorder.add(self._verdict(sent.invoice_hash, SubmissionState.TAKEN_IN, sent.reference_number))
            self._taken_in.set()
            return
        # What is in doubt waits until the session is closed, and KSeF's list of it settles that.
        if not self.online.may_have(digest):
            self._recorder.add(self._verdict(digest, SubmissionState.QUEUED))

    def _spend(self, error: KsefError, judgement: Judgement) -> None:
        self.is_spent, self.failure = True, error
        if judgement.session is SessionFate.REPLACE_WITH_NEW_KEYS:
            self._forget_keys()

    async def _is_absent(self, claim: Claim) -> bool:
        """Return whether KSeF's list, read now, does not have the document; False when the list cannot be read."""
        try:
            return await self.online.find_doubtful(hashlib.sha256(claim.xml).digest()) is None
        except KsefError:
            return False

    def _reject(self, claim: Claim, reason: Reason) -> None:
        digest = hashlib.sha256(claim.xml).digest()
        self._recorder.add(self._verdict(digest, SubmissionState.REJECTED, reason=reason))

    def _verdict(
        self,
        invoice_hash: bytes | None,
        state: SubmissionState,
        reference_number: str | None = None,
        *,
        reason: Reason | None = None,
        has_failed: bool = False,
        loss: int = 0,
    ) -> Verdict:
        return Verdict(
            session_reference_number=self.reference_number,
            invoice_hash=invoice_hash,
            state=state,
            reference_number=reference_number,
            reason=reason,
            has_failed=has_failed,
            loss=loss,
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
        """Write outcomes until KSeF has decided on all it has of this session."""
        await self._trouble.retry_forever(partial(self._ask_on, self._write_outcomes))

    async def _ask_on(self, ask: Callable[[], Awaitable[None]]) -> None:
        """Await ``ask`` again while KSeF has not decided: nothing is lost by it, but after an hour it is told."""
        waits = 0
        while True:
            try:
                return await ask()
            except WaitTimeoutError as error:
                waits += 1
                if waits >= _QUIET_WAITS:
                    await self._trouble.wait_out(error, waits)

    async def _write_outcomes(self) -> None:
        async for outcome in self.session.follow(FOLLOWING):
            self._recorder.add(await self._judged(outcome))

    async def _judged(self, outcome: Outcome) -> Verdict:
        if isinstance(outcome, AcceptedInvoice):
            self._has_accepted = True
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
        state, loss, has_failed = SubmissionState.REJECTED, 0, False
        if isinstance(outcome, DuplicateInvoiceError):
            state = SubmissionState.CONFLICT
        elif judge_invoice(outcome.code).document is DocumentFate.SEND_AGAIN:
            state = SubmissionState.QUEUED
            # A session's failure is never the document's.
            has_failed = outcome.code != InvoiceStatusCode.SESSION_FAILED
            loss = 0 if has_failed else min(self._loss, SPLIT)
            # In this session it would be found, and not sent again.
            self.is_spent, self.failure = True, outcome
            self._wake()
        reason = Reason(outcome.code, str(outcome))
        return self._verdict(
            outcome.invoice_hash, state, outcome.reference_number, reason=reason, has_failed=has_failed, loss=loss
        )

    async def _receipt(self, outcome: AcceptedInvoice) -> Receipt | None:
        sent = self.session.find_sent(outcome.invoice_hash) if outcome.invoice_hash else None
        if sent is None:
            return None
        return Receipt(outcome.session_reference_number, outcome.ksef_number, await sent.upo())

    # --- finishing ----------------------------------------------------------------------------------------

    @property
    def _loss(self) -> int:
        """The loss to count for the documents of a batch that KSeF does not have; see `Verdict.loss`."""
        if self._end is None:
            return 0
        step = judge_session(self._end.status.code).step
        # What is left out of a batch that KSeF has processed is in its way.
        return {Step.ANOTHER_SESSION: 1, Step.SMALLER_PACKAGES: SPLIT}.get(step, ONE_BY_ONE)

    def _why_lost(self) -> Reason | None:
        if self._end is None:
            return None
        text = f"KSeF did not take in the batch it was in: {describe(self._end.status)}"
        return Reason(self._end.status.code, text)

    def _note_end(self, code: int) -> None:
        if judge_session(code).session is SessionFate.REPLACE_WITH_NEW_KEYS:
            self._forget_keys()

    async def reconcile(self) -> None:
        """Ask KSeF which of the documents in doubt it has: those are taken in, the others go back to the queue.

        Raises:
            KsefError: A call failed; nothing was written.
        """
        doubtful = await self._journal.under_way(self.reference_number, SubmissionState.SENDING)
        if not doubtful:
            return
        found = await self.session.find(doubtful)
        for digest, reference_number in found.items():
            self._recorder.add(self._verdict(digest, SubmissionState.TAKEN_IN, reference_number))
        await self._recorder.flush()
        if len(found) < len(doubtful):
            # At once: what is queued little by little would go in many small batches.
            await self._journal.put_back(self.reference_number, self._why_lost(), loss=self._loss)
        self._taken_in.set()

    async def finish(self) -> None:
        """Close the session, settle what is in doubt, follow the rest to its end, and store the UPO."""
        self.is_spent = True
        while self.under_way:
            await self._quiet.wait()
        await self._trouble.retry_forever(partial(self._ask_on, self._finish_once))

    async def _finish_once(self) -> None:
        await self._recorder.flush()
        if self._batches is not None:
            await self._follow_batch(self._batches)
        else:
            self._note_end((await self.session.terminate()).status.code)
        # Until it can be closed its invoices are followed: that may take hours (21184).
        self._following.cancel()
        await self.reconcile()
        await self._follow_to_the_end()
        await self._recorder.flush()
        code, pages = int(StatusCode.PROCESSED_OK), tuple[UPODocument, ...]()
        try:
            pages = (await self.session.upo()).pages
        except SessionFailedError as error:
            code = error.code
            self._note_end(code)
        if left := await self._journal.under_way(self.reference_number, SubmissionState.TAKEN_IN):
            raise ProcessingError(
                f"KSeF does not list {len(left)} invoices that it has taken in",
                status=(await self.session.status()).status,
            )
        if left_out := await self._journal.session_over(self.reference_number, code, pages):
            _log.error("the UPO of session %s leaves out %d accepted invoices", self.reference_number, left_out)
            raise ProcessingError(
                f"The UPO of session {self.reference_number} leaves out {left_out} accepted invoices",
                status=(await self.session.status()).status,
            )

    async def _follow_batch(self, batches: BatchWork) -> None:
        """Wait for the end of a batch; one that came to nothing is told, and its documents wait a while."""
        if self._end is not None:
            return
        async for _ in self.session.transitions(_BATCH):
            pass
        self._end = await self.session.status()
        status = self._end.status
        self._note_end(status.code)
        if judge_session(status.code).step is Step.LOOK_UP:
            batches.count_success()
            return
        number = self.reference_number
        error = SessionFailedError(f"Batch session {number} came to nothing", status=status, reference_number=number)
        await self._trouble.wait_out(error, batches.count_loss())
