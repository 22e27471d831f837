"""What a worker does with a session beside sending: follow its documents, finish it, and store its receipt.

What is in doubt is in the state `sending`. It leaves that state only when KSeF has said that it has the document, or
when the session is closed and KSeF's list of it, read after that, does not have it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from ..api.sessions import SessionStatus, StatusCode, UPODocument
from ..calling.polling import Cadence
from ..errors import InvoiceRejectedError, ProcessingError, SessionFailedError, WaitTimeoutError, describe
from ..protocol.delivery import DocumentFate, Step, judge_session
from ..sessions.keeper import KeptSession, decisions
from ..sessions.session import Session
from .book import JournalBook
from .claims import ONE_BY_ONE, SPLIT
from .context_store import ContextStore
from .models import Reason, SubmissionState
from .trouble import Trouble

if TYPE_CHECKING:
    from .batch_work import BatchWork

__all__ = ["FOLLOWING", "Following"]

_log = logging.getLogger(__name__)

_BATCH: Final = Cadence(interval=0.5, factor=1.5, longest=30.0, deadline=300.0)

FOLLOWING: Final = Cadence(interval=0.25, factor=1.5, longest=10.0, deadline=300.0)
"""After its deadline the same invoices are asked for again."""

# How many waits in a row, of 300 seconds each, are not reported.
_QUIET_WAITS: Final = 12


class Following:
    """Follows one session to its end.

    Args:
        session: Opened, resumed or attached.
        store: Of the context.
        book: Where it is written down what becomes of documents.
        trouble: Of the context.
        wake: Called when there is something to send again.
        batches: For a batch, which is closed already: counts how they end.
    """

    def __init__(
        self,
        session: Session,
        store: ContextStore,
        book: JournalBook,
        trouble: Trouble,
        wake: Callable[[], None],
        *,
        batches: BatchWork | None = None,
    ) -> None:
        self.session = session
        self.kept: KeptSession | None = None
        """Of a session that documents are sent in: nothing more is sent in it once one of them is to be sent again."""
        self._store = store
        self._book = book
        self._trouble = trouble
        self._wake = wake
        self._batches = batches
        # Of a batch: how it ended, once that is known.
        self._end: SessionStatus | None = None
        self.under_way = 0
        """How many claimed documents are being sent."""
        self._quiet = anyio.Event()
        self._taken_in = anyio.Event()
        self._scope = anyio.CancelScope()

    def __repr__(self) -> str:
        return f"<Following {self.session}, {self.under_way} under way>"

    @property
    def reference_number(self) -> str:
        """The session's."""
        return self.session.reference_number

    def begin(self) -> None:
        """Count a send that is about to start."""
        self.under_way += 1

    def end(self, *, is_taken_in: bool) -> None:
        """Count a send that is over, and follow what was taken in."""
        self.under_way -= 1
        if is_taken_in:
            self._taken_in.set()
        if not self.under_way:
            self._quiet.set()
            self._quiet = anyio.Event()

    # --- following ----------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Write what becomes of the session's invoices, until the session is to be finished."""
        with self._scope:
            while True:
                await self._taken_in.wait()
                self._taken_in = anyio.Event()
                await self._follow_to_the_end()

    async def _follow_to_the_end(self) -> None:
        """Write outcomes until KSeF has decided on all it has of this session."""
        await self._trouble.retry(partial(self._ask_on, self._write_outcomes))

    async def _ask_on(self, ask: Callable[[], Awaitable[None]]) -> None:
        """Await ``ask`` again while KSeF has not decided: nothing is lost by it, but after an hour it is reported."""
        waits = 0
        while True:
            try:
                return await ask()
            except WaitTimeoutError as error:
                waits += 1
                if waits >= _QUIET_WAITS:
                    await self._trouble.wait_out(error, waits)

    async def _write_outcomes(self) -> None:
        async for outcome, fate in decisions(self.session, FOLLOWING):
            await self._book.decided(self.session, outcome, fate, loss=self._loss)
            if self.kept is None:
                continue
            if fate is DocumentFate.ACCEPTED:
                self.kept.has_accepted = True
            elif fate is DocumentFate.SEND_AGAIN and isinstance(outcome, InvoiceRejectedError):
                # In this session the failure would be found and written once more.
                self.kept.spend(outcome)
                self._wake()

    # --- finishing ----------------------------------------------------------------------------------------

    @property
    def _loss(self) -> int:
        """The loss to count for the documents of a batch that KSeF does not have; see `DocumentVerdict.loss`."""
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

    async def settle(self) -> None:
        """Ask KSeF which of the documents in doubt it has: those are taken in, the others go back to the queue.

        Raises:
            KsefError: A call failed; nothing was written.
        """
        doubtful = await self._store.under_way(self.reference_number, SubmissionState.SENDING)
        if not doubtful:
            return
        found = await self.session.find(doubtful)
        for digest, reference_number in found.items():
            self._book.found(self.reference_number, digest, reference_number)
        await self._book.flush()
        if len(found) < len(doubtful):
            # At once: what is queued little by little would go in many small batches.
            await self._store.put_back(self.reference_number, self._why_lost(), loss=self._loss)
        self._taken_in.set()

    async def finish(self) -> None:
        """Close the session, settle what is in doubt, follow the rest to its end, and store the UPO."""
        if self.kept is not None:
            self.kept.spend()
        while self.under_way:
            await self._quiet.wait()
        await self._trouble.retry(partial(self._ask_on, self._finish_once))

    async def _finish_once(self) -> None:
        await self._book.flush()
        if self._batches is not None:
            await self._follow_batch(self._batches)
        else:
            await self.session.terminate()
        # Until it can be closed its invoices are followed: that may take hours (21184).
        self._scope.cancel()
        await self.settle()
        await self._follow_to_the_end()
        await self._book.flush()
        code, pages = int(StatusCode.PROCESSED_OK), tuple[UPODocument, ...]()
        try:
            pages = (await self.session.upo()).documents
        except SessionFailedError as error:
            code = error.code
        if left := await self._store.under_way(self.reference_number, SubmissionState.TAKEN_IN):
            raise ProcessingError(
                f"KSeF does not list {len(left)} invoices that it has taken in",
                status=(await self.session.status()).status,
            )
        if left_out := await self._store.session_over(self.reference_number, code, pages):
            _log.error("the UPO of session %s leaves out %d accepted invoices", self.reference_number, left_out)
            raise ProcessingError(
                f"The UPO of session {self.reference_number} leaves out {left_out} accepted invoices",
                status=(await self.session.status()).status,
            )

    async def _follow_batch(self, batches: BatchWork) -> None:
        """Wait for the end of a batch; one that came to nothing is reported, and its documents wait a while."""
        if self._end is not None:
            return
        async for _ in self.session.transitions(_BATCH):
            pass
        self._end = await self.session.status()
        status = self._end.status
        if judge_session(status.code).step is Step.LOOK_UP:
            batches.count_success()
            return
        number = self.reference_number
        error = SessionFailedError(f"Batch session {number} came to nothing", status=status, reference_number=number)
        await self._trouble.wait_out(error, batches.count_loss())
