"""One open session, whatever happens to it, for callers who wait for each result: the engine with a book in memory.

What KSeF fails on, for no fault of the document's, is sent again when somebody asks what became of it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Final, Self

import anyio

from ..calling.events import Event
from ..calling.finishing import finish
from ..calling.polling import Cadence
from ..errors import InvoiceRejectedError, KsefError, LocalProtocolError, SessionFailedError
from ..protocol.delivery import (
    SEND_AGAIN_LIMIT,
    SESSIONS_LIMIT,
    Asked,
    DocumentFate,
    Step,
    is_failure_on_document,
    is_full,
    judge,
)
from .book import Outgoing
from .checking import check_document
from .keeper import Keeper, KeptSession, decisions
from .memory import Impatience, KeptInvoice, MemoryBook
from .online import OnlineSession
from .outcomes import Outcome
from .sending import Alone, send_many
from .session import UPO_CADENCE
from .tracking import OUTCOME_CADENCE, SentInvoice
from .upo import SessionUPO

__all__ = ["KEPT_BYTES", "SessionKeeper"]

KEPT_BYTES: Final = 64 * 1024 * 1024
"""Bytes of documents that are kept before KSeF is asked which of them it has decided on."""

# How many invoices are sent again at once.
_AT_ONCE: Final = 16

_IMPATIENCE: Final = Impatience()


class SessionKeeper(anyio.AsyncContextManagerMixin):
    """Keeps one session open for sending; get one from `SessionManager.keep_open`. Safe to use from many tasks.

    The first session is opened by the first `send`. A session that is full (21155), under maintenance (21184),
    closed, dead, or near its end after 12 hours is closed and replaced. Leaving the block closes the last; then
    `outcomes` and `upos` cover all of them.

    An invoice that KSeF fails on, because its session died (405, after 415) or for reasons of KSeF's own (435, 500,
    550), is sent again when that is seen: by `SentInvoice.outcome`, or by `outcomes`. That happens at most
    `SEND_AGAIN_LIMIT` times for each of the two, after the block in a session of its own that is closed at once. So
    each document is kept in memory until KSeF has decided on it.

    Args:
        open_session: Opens a session.
        now: KSeF's time.
        report: Called with each event.
        room: Bytes of documents that are kept before KSeF is asked which of them it has decided on.
    """

    def __init__(
        self,
        open_session: Callable[[], Awaitable[OnlineSession]],
        now: Callable[[], datetime],
        *,
        report: Callable[[Event], None],
        room: int = KEPT_BYTES,
    ) -> None:
        self._open_session = open_session
        self._alone = Alone()
        self._entered = False
        self._left = False
        self._book = MemoryBook(self._send_again, report)
        self._keeper = Keeper(self._open, self._book, now=now, retire=_retire)
        # How many tasks send again although the block is left.
        self._late = 0
        # Reference numbers of failures after which the document was sent again.
        self._superseded: set[str] = set()
        self._least_room = self._room = room

    def __repr__(self) -> str:
        return f"<SessionKeeper, {len(self._book.sessions)} sessions, now {self._keeper.current}>"

    @property
    def sessions(self) -> tuple[OnlineSession, ...]:
        """Every session it has opened, in order."""
        return tuple(self._book.sessions)

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        """Start sending; at the end of the block, close the session that is open."""
        if self._entered:
            raise LocalProtocolError("This SessionKeeper was entered before; make a new one.")
        self._entered = True
        try:
            yield self
        except BaseException as error:
            self._left = True
            for failure in await self._terminate_all():
                error.add_note(f"Closing a session failed as well: {failure}")
            raise
        self._left = True
        if failures := await self._terminate_all():
            for failure in failures[1:]:
                failures[0].add_note(f"Closing another session failed as well: {failure}")
            raise failures[0]

    async def _terminate_all(self) -> list[KsefError]:
        failures: list[KsefError] = []
        try:
            # All of them, each in its time: `Task.cancel()` would otherwise end with the one at hand.
            await finish(self._terminate_each(failures), math.inf)
        except asyncio.CancelledError as cancelled:
            for failure in failures:
                cancelled.add_note(f"Closing a session failed as well: {failure}")
            raise
        return failures

    async def _terminate_each(self, failures: list[KsefError]) -> None:
        for session in self._book.sessions:
            try:
                await session.close_in_time()
            except KsefError as error:
                failures.append(error)

    # --- sending ------------------------------------------------------------------------------------------

    async def send(
        self,
        invoice: bytes,
        *,
        offline: bool = False,
        corrects: bytes | None = None,
        again: bool = False,
        check: bool = False,
    ) -> SentInvoice:
        """Send one invoice, exactly once, in whichever session is open; see `OnlineSession.send`.

        Returns:
            The invoice to follow; its ``outcome`` sends it again when KSeF fails on it.

        Raises:
            LocalProtocolError: Outside of the block; or as `OnlineSession.send`.
            KsefError: As `SessionManager.open_online` and `OnlineSession.send`, when another session did not help.
        """
        if not self._entered or self._left:
            raise _outside()
        if check:
            # Before a session is opened for it.
            await check_document(invoice)
        outgoing = Outgoing(xml=invoice, offline=offline, corrects=corrects)
        async with self._alone.with_(outgoing.sha256):
            if not again and (kept := self._book.kept.get(outgoing.sha256)) is not None:
                return kept
            await self._send(outgoing, again=again)
            kept = self._book.kept[outgoing.sha256]
        await self._make_room()
        return kept

    async def _send(self, outgoing: Outgoing, *, again: bool = False) -> None:
        """Send a document in whichever session takes it; the book has it then.

        `SESSIONS_LIMIT` of them may fail, while one that others have filled says nothing about this document.
        """
        sessions = 0
        while True:
            # What a session has taken in before it was left is not sent in another.
            if not again and (found := await self._find_doubtful(outgoing.sha256)):
                self._book.taken_in(outgoing, found)
                return
            try:
                kept = await self._keeper.session(_IMPATIENCE)
            except KsefError as error:
                sessions += 1
                if judge(Asked.OPEN, error).step is not Step.ANOTHER_SESSION or sessions == SESSIONS_LIMIT:
                    raise
                continue
            result = await kept.send(outgoing, _IMPATIENCE, again=again)
            if isinstance(result, SentInvoice):
                return
            sessions += not (is_full(result.error) and kept.successes)
            if result.step is not Step.ANOTHER_SESSION or sessions == SESSIONS_LIMIT:
                raise result.error
            await self._keeper.leave(kept)

    async def _find_doubtful(self, digest: bytes) -> SentInvoice | None:
        """Ask the sessions that are left behind for a document of which nobody knows whether they have it."""
        for session in self._book.sessions:
            current = self._keeper.current
            is_left = current is None or session is not current.session or not session.takes_invoices
            if is_left and (found := await session.find_doubtful(digest)):
                return found
        return None

    async def _open(self) -> OnlineSession:
        if self._left and not self._late:
            raise _outside()
        session = await self._open_session()
        if self._left and not self._late:
            # The block was left meanwhile, and whoever closed its sessions did not know of this one.
            await session.close_in_time()
            raise _outside()
        return session

    def send_many(
        self,
        invoices: Iterable[bytes] | AsyncIterable[bytes],
        *,
        offline: bool = False,
        concurrency: int = 16,
        check: bool = False,
    ) -> AsyncIterator[SentInvoice]:
        """Send many invoices, over as many sessions as it takes; see `OnlineSession.send_many`."""
        return send_many(partial(self.send, offline=offline, check=check), invoices, concurrency)

    async def _send_again(self, kept: KeptInvoice, failed: InvoiceRejectedError) -> bool:
        """Send what KSeF failed on once more; False when it was sent as often as it may be."""
        async with self._alone.with_(kept.invoice_hash):
            if kept.reference_number != failed.reference_number:
                return True  # Another task has done it.
            outgoing = kept.outgoing
            failures = kept.failures + is_failure_on_document(failed.code)
            # A session's failure says nothing about its documents, and has a bound of its own.
            if outgoing is None or max(failures, kept.times_sent - failures) > SEND_AGAIN_LIMIT:
                # Whoever gives it to `send` once more has it sent.
                self._book.forget(kept)
                return False
            current = self._keeper.current
            # An open session may do it the next time; when it fails again, another.
            has_failed_twice = kept.times_sent > 1
            if has_failed_twice and current and current.session.reference_number == failed.session_reference_number:
                current.spend(failed)
            async with self._sending_again():
                await self._send(outgoing)
            kept.failures = failures
            self._superseded.add(failed.reference_number)
            return True

    @asynccontextmanager
    async def _sending_again(self) -> AsyncGenerator[None]:
        """Once the block is left, share a session with whoever sends again at the same time, and close it then."""
        self._late += 1
        try:
            yield
        finally:
            self._late -= 1
            if self._left and not self._late:
                await finish(self._keeper.leave(), math.inf)

    async def _make_room(self) -> None:
        if self._book.kept_bytes <= self._room:
            return
        # When KSeF has decided on few of them, do not ask with every invoice.
        self._room = 2 * self._book.kept_bytes
        with suppress(KsefError):  # It may be asked later; the invoice at hand is sent.
            undecided = {kept.session_reference_number for kept in self._book.undecided()}
            asked = [session for session in self._book.sessions if session.reference_number in undecided]
            self._book.settle_all({number for session in asked for number in await session.decided()})
            self._room = max(self._least_room, 2 * self._book.kept_bytes)

    # --- what became of it --------------------------------------------------------------------------------

    async def outcomes(self, cadence: Cadence = OUTCOME_CADENCE) -> AsyncIterator[Outcome]:
        """Iterate over the outcomes of the invoices of every session so far; see `Session.outcomes`.

        What KSeF failed on is sent again, and yielded once KSeF has decided on it.

        Raises:
            KsefError: As `Session.outcomes`; or sending again failed, and asking once more tries it again.
        """
        given: set[str] = set()
        place = 0
        while place < len(self._book.sessions):
            session = self._book.sessions[place]
            failed: list[tuple[KeptInvoice, InvoiceRejectedError]] = []
            async for outcome, fate in decisions(session, cadence):
                if outcome.reference_number in given or outcome.reference_number in self._superseded:
                    continue
                given.add(outcome.reference_number)
                kept = self._book.kept_of(outcome)
                if fate is DocumentFate.SEND_AGAIN and kept is not None and isinstance(outcome, InvoiceRejectedError):
                    failed.append((kept, outcome))
                    continue
                await self._book.decided(session, outcome, fate)
                yield outcome
            for kept, outcome in await self._send_all_again(failed):
                kept.settle()
                yield outcome
            if all(kept.session_reference_number != session.reference_number for kept, _ in failed):
                place += 1

    async def _send_all_again(
        self, failed: list[tuple[KeptInvoice, InvoiceRejectedError]]
    ) -> list[tuple[KeptInvoice, InvoiceRejectedError]]:
        """Send again what KSeF failed on; those that were sent as often as they may be are returned.

        Raises:
            KsefError: What the first that could not be sent raised; the others were tried.
        """
        final: list[tuple[KeptInvoice, InvoiceRejectedError]] = []
        errors: list[KsefError] = []
        at_once = anyio.Semaphore(_AT_ONCE)

        async def send_again(kept: KeptInvoice, outcome: InvoiceRejectedError) -> None:
            async with at_once:
                try:
                    if not await self._send_again(kept, outcome):
                        final.append((kept, outcome))
                except KsefError as error:
                    errors.append(error)

        async with self._sending_again(), anyio.create_task_group() as tasks:
            for kept, outcome in failed:
                tasks.start_soon(send_again, kept, outcome)
        if errors:
            raise errors[0]
        return final

    async def upos(self, cadence: Cadence = UPO_CADENCE) -> tuple[SessionUPO, ...]:
        """Wait until every session is processed, and fetch the receipts; a session without a valid invoice has none.

        Raises:
            LocalProtocolError: Inside of the block: a session is still open.
            KsefError: As `OnlineSession.upo`.
        """
        receipts = []
        for session in self.sessions:
            try:
                receipts.append(await session.upo(cadence))
            except SessionFailedError:
                continue  # It ended without a receipt; its invoices' outcomes say why.
        return tuple(receipts)


async def _retire(kept: KeptSession) -> None:
    # It is closed at the end, where a failure is raised; the invoice at hand goes into another.
    with suppress(KsefError):
        await kept.session.close_in_time()


def _outside() -> LocalProtocolError:
    return LocalProtocolError("A SessionKeeper sends inside of its block only.")
