"""The engine of both ways of sending: an open session, replaced as needed, and documents handed over in it.

`protocol.delivery` decides, a `Book` remembers, a `Patience` says what to do about trouble. `SessionManager.keep_open`
and the journal's worker send with what is here; what they add is their own: documents that are kept in memory and
results that are returned to the caller, or a queue, leases and receipts in a database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

import anyio

from ..calling.polling import Cadence
from ..errors import KsefError, LocalProtocolError, ProcessingError
from ..protocol.delivery import Asked, DocumentFate, Step, fails_alone, judge, judge_invoice
from .book import Book, Outgoing, Patience, Undelivered
from .online import OnlineSession
from .outcomes import AcceptedInvoice, Outcome
from .session import Session
from .tracking import SentInvoice

__all__ = ["Keeper", "KeptSession", "decisions", "is_old"]


class KeptSession:
    """A session that documents are handed over in, until it takes no more.

    Args:
        session: Opened, or resumed with its key.
        book: Where it is written down what becomes of documents.
        now: KSeF's time.
        tries: How often one document may fail by itself, while others get through; None for any number.
    """

    def __init__(
        self,
        session: OnlineSession,
        book: Book,
        *,
        now: Callable[[], datetime],
        tries: int | None = None,
    ) -> None:
        self.session = session
        self._book = book
        self._now = now
        self._tries = tries
        self.is_active = False
        """True once KSeF has been seen to take invoices in it."""
        self.is_spent = False
        """True once nothing more is to be sent in it."""
        self.failure: KsefError | None = None
        """Why, where something has gone wrong."""
        self.successes = 0
        """How many documents were taken in."""
        self.has_accepted = False
        """Whether one of them was seen to be accepted."""

    def __repr__(self) -> str:
        return f"<KeptSession {self.session}{', spent' if self.is_spent else ''}>"

    @property
    def came_to_nothing(self) -> bool:
        """Return whether something was wrong with it before it was of use, so that the next one may end alike."""
        if isinstance(self.failure, ProcessingError):
            return not self.has_accepted
        return self.failure is not None and not self.successes

    def spend(self, failure: KsefError | None = None) -> None:
        """Send nothing more in it.

        Where its key was wrong (`SessionFate.REPLACE_WITH_NEW_KEYS`), whoever saw its status has seen to that.

        Args:
            failure: What was wrong with it.
        """
        self.is_spent = True
        self.failure = failure or self.failure

    async def send(
        self,
        outgoing: Outgoing,
        patience: Patience,
        *,
        again: bool = False,
    ) -> SentInvoice | Undelivered:
        """Hand one document over until KSeF has it, refuses it, or the session is of no use any more.

        Args:
            outgoing: The document.
            patience: What to do about errors that may pass.
            again: Send it although KSeF has it.

        Raises:
            KsefError: What ``patience`` did not wait out.
        """
        result: SentInvoice | Undelivered | None = None
        seconds = self._seconds_for(outgoing)
        # A scope of no time would let it go out: it cancels only where something is waited for.
        if seconds is None or seconds > 0.0:
            with anyio.move_on_after(seconds):
                result = await self._send(outgoing, patience, again)
        if result is None:
            result = self._too_late(outgoing)
        if isinstance(result, Undelivered):
            self._book.undelivered(self.session, outgoing, result)
        else:
            self.successes += 1
            self._book.taken_in(outgoing, result)
        return result

    async def _send(self, outgoing: Outgoing, patience: Patience, again: bool) -> SentInvoice | Undelivered:
        session, tries, successes = self.session, 0, self.successes
        while not self.is_spent:
            try:
                return await session.send(
                    outgoing.xml,
                    offline=outgoing.offline,
                    corrects=outgoing.corrects,
                    again=again,
                    _turned_offline=outgoing.turned_offline,
                )
            except KsefError as error:
                tries += 1
                judgement = judge(
                    Asked.SEND,
                    error,
                    takes_invoices=session.takes_invoices,
                    is_in_doubt=session.may_have(outgoing.sha256),
                )
                if judgement.session.is_over:
                    self.spend(error)
                    break
                if judgement.step in (Step.GIVE_UP, Step.SETTLE):
                    return Undelivered(error=error, step=judgement.step, fate=judgement.document)
                if self._tries is not None:
                    others = self.successes - successes
                    is_alone = fails_alone(judgement, tries=tries, successes=others, limit=self._tries)
                    if is_alone and await self._is_absent(outgoing):
                        return Undelivered(error=error, step=Step.GIVE_UP, fate=DocumentFate.REFUSED, failures=tries)
                await patience.wait_out(error, tries)
        is_in_doubt = session.may_have(outgoing.sha256)
        return Undelivered(
            error=self.failure or LocalProtocolError(f"Session {session.reference_number} takes no more invoices."),
            step=Step.ANOTHER_SESSION,
            fate=DocumentFate.IN_DOUBT if is_in_doubt else DocumentFate.NOT_TAKEN_IN,
        )

    def _seconds_for(self, outgoing: Outgoing) -> float | None:
        if outgoing.send_before is None:
            return None
        return (outgoing.send_before - self._now()).total_seconds()

    def _too_late(self, outgoing: Outgoing) -> Undelivered:
        error = LocalProtocolError(f"It was not sent before {outgoing.send_before}.")
        if not self.session.may_have(outgoing.sha256):
            return Undelivered(error=error, step=Step.ANOTHER_SESSION, fate=DocumentFate.NOT_TAKEN_IN)
        # The session's list settles it once the session is closed.
        self.spend()
        return Undelivered(error=error, step=Step.SETTLE, fate=DocumentFate.IN_DOUBT)

    async def _is_absent(self, outgoing: Outgoing) -> bool:
        """Return whether KSeF's list, read now, does not have the document; False when the list cannot be read."""
        try:
            return await self.session.find_doubtful(outgoing.sha256) is None
        except KsefError:
            return False


class Keeper:
    """Keeps one session open. Safe to use from many tasks.

    A session that is full, under maintenance, closed, dead, or near its end after 12 hours is retired, and another is
    opened when it is asked for.

    Args:
        open_session: Opens a session.
        book: Where sessions and documents are written down.
        now: KSeF's time.
        retire: Called with a session that is replaced, before another is opened.
        tries: As for `KeptSession`.
    """

    def __init__(
        self,
        open_session: Callable[[], Awaitable[OnlineSession]],
        book: Book,
        *,
        now: Callable[[], datetime],
        retire: Callable[[KeptSession], Awaitable[None]],
        tries: int | None = None,
    ) -> None:
        self._open_session = open_session
        self._book = book
        self._now = now
        self._retire = retire
        self._tries = tries
        self._lock = anyio.Lock()
        self.current: KeptSession | None = None
        """The session that is open; None before the first, and between two."""
        # The one before: whether it came to nothing may show only after it was left.
        self._last: KeptSession | None = None
        self._in_vain = 0

    def __repr__(self) -> str:
        return f"<Keeper of {self.current}>"

    def adopt(self, session: OnlineSession) -> KeptSession:
        """Go on with a session that takes invoices, and is written down already."""
        kept = self.current = self._kept(session)
        kept.is_active = True
        return kept

    async def session(self, patience: Patience) -> KeptSession:
        """Return the session to send in: the open one, or another that is opened now.

        It is spent already when KSeF turns out not to take invoices in it; another is opened the next time.

        Args:
            patience: What to do about errors that may pass.

        Raises:
            KsefError: What ``patience`` did not wait out; a session that was opened is kept.
            Exception: What the book raised.
        """
        async with self._lock:
            kept = self.current
            if kept is not None and not self._is_of_use(kept):
                await self._leave()
                kept = None
            if kept is None:
                await self._pause(patience)
                kept = self.current = self._kept(await patience.retry(self._open))
            if not kept.is_active:
                await self._activate(kept, patience)
            return kept

    async def leave(self, kept: KeptSession | None = None) -> None:
        """Retire the open session; given one, only when it is that."""
        async with self._lock:
            if kept is None or kept is self.current:
                await self._leave()

    async def _leave(self) -> None:
        kept, self.current = self.current, None
        if kept is not None:
            self._last = kept
            await self._retire(kept)

    def _kept(self, session: OnlineSession) -> KeptSession:
        return KeptSession(session, self._book, now=self._now, tries=self._tries)

    def _is_of_use(self, kept: KeptSession) -> bool:
        return not kept.is_spent and kept.session.takes_invoices and not is_old(kept.session, self._now())

    async def _pause(self, patience: Patience) -> None:
        last, self._last = self._last, None
        if last is None:
            return
        if last.failure is None or not last.came_to_nothing:
            self._in_vain = 0
            return
        self._in_vain += 1
        await patience.before_another_session(last.failure, self._in_vain)

    async def _open(self) -> OnlineSession:
        session = await self._open_session()
        try:
            await self._book.session_opened(session)
        except BaseException as error:
            # Nobody would know of it.
            try:
                await session.close_in_time()
            except KsefError as failure:
                error.add_note(f"Session {session.reference_number} stays open as well: {failure}")
            raise
        return session

    async def _activate(self, kept: KeptSession, patience: Patience) -> None:
        try:
            await patience.retry(kept.session.wait_until_active, asked=Asked.ACTIVATION)
        except KsefError as error:
            judgement = judge(Asked.ACTIVATION, error)
            if not judgement.session.is_over:
                raise
            kept.spend(error)
            if judgement.step is Step.FORGET_SESSION:
                self.current, self._last = None, kept
                await self._book.session_forgotten(kept.session)
            else:
                await self._leave()
        else:
            kept.is_active = True


def is_old(session: OnlineSession, now: datetime) -> bool:
    """Return whether ``session`` is to be replaced: KSeF closes it by itself soon, or has."""
    return session.renew_at is not None and now >= session.renew_at


async def decisions(session: Session, cadence: Cadence) -> AsyncIterator[tuple[Outcome, DocumentFate]]:
    """Yield what became of each document that is followed in a session, and what that means; see `Session.follow`.

    Args:
        session: The session, of either kind.
        cadence: How often to look, and how long to wait for the next decision.
    """
    async for outcome in session.follow(cadence):
        if isinstance(outcome, AcceptedInvoice):
            yield outcome, DocumentFate.ACCEPTED
        else:
            yield outcome, judge_invoice(outcome.code).document
