"""One open session, whatever happens to it: renewed when it is full, old, dead or under maintenance.

What KSeF fails on, for no fault of the document's, is sent again; `protocol.delivery` decides.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Final, Self

import anyio

from ..calling.finishing import finish
from ..calling.polling import Cadence
from ..errors import InvoiceRejectedError, KsefError, LocalProtocolError, SessionFailedError
from ..protocol.delivery import SEND_AGAIN_LIMIT, SESSIONS_LIMIT, Asked, Step, judge
from .alone import Alone
from .kept import Document, KeptInvoice
from .late import LateSending
from .online import OnlineSession
from .outcomes import Outcome
from .sending import send_many
from .session import UPO_CADENCE
from .tracking import OUTCOME_CADENCE, SentInvoice
from .upo import SessionUPO

__all__ = ["KEPT_BYTES", "SessionKeeper", "is_old"]

KEPT_BYTES: Final = 64 * 1024 * 1024
"""Bytes of documents that are kept before KSeF is asked which of them it has decided on."""

# How many invoices are sent again at once.
_CONCURRENCY: Final = 16


class SessionKeeper(anyio.AsyncContextManagerMixin):
    """Keeps one session open for sending; get one from `SessionManager.keep_open`. Safe to use from many tasks.

    The first session is opened by the first `send`. A session that is full (21155), under maintenance (21184),
    closed, dead, or near its end after 12 hours is closed and replaced. Leaving the block closes the last; then
    `outcomes` and `upos` tell of all of them.

    An invoice that KSeF fails on, because its session died (405, after 415) or for reasons of KSeF's own (435, 500,
    550), is sent again when that is seen: by `SentInvoice.outcome`, or by `outcomes`. That happens at most
    `SEND_AGAIN_LIMIT` times, after the block in a session of its own that is closed at once. So each document is kept
    in memory until KSeF has decided on it.

    Args:
        open_session: Opens a session.
        now: KSeF's time.
        room: Bytes of documents that are kept before KSeF is asked which of them it has decided on.
    """

    def __init__(
        self,
        open_session: Callable[[], Awaitable[OnlineSession]],
        now: Callable[[], datetime],
        *,
        room: int = KEPT_BYTES,
    ) -> None:
        self._open_session = open_session
        self._now = now
        self._lock = anyio.Lock()
        self._alone = Alone()
        self._current: OnlineSession | None = None
        self._entered = False
        self._left = False
        self._sessions: list[OnlineSession] = []
        self._late = LateSending(open_session, self._sessions.append, self._find_doubtful)
        # By SHA-256; the last, where one document was sent more than once.
        self._kept: dict[bytes, KeptInvoice] = {}
        # Reference numbers of failures after which the document was sent again.
        self._superseded: set[str] = set()
        self._kept_bytes = 0
        self._least_room = self._room = room

    def __repr__(self) -> str:
        return f"<SessionKeeper, {len(self._sessions)} sessions, now {self._current}>"

    @property
    def sessions(self) -> tuple[OnlineSession, ...]:
        """Every session it has opened, in order."""
        return tuple(self._sessions)

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
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
        for session in self._sessions:
            try:
                await session.close_in_time()
            except KsefError as error:
                failures.append(error)

    # --- sending ------------------------------------------------------------------------------------------

    async def send(
        self, invoice: bytes, *, offline: bool = False, corrects: bytes | None = None, again: bool = False
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
        digest = sha256(invoice).digest()
        async with self._alone.with_(digest):
            if not again and (kept := self._kept.get(digest)) is not None:
                return kept
            document = Document(xml=invoice, offline=offline, corrects=corrects)
            sent = await self._send(document, digest, again=again)
            kept = KeptInvoice(sent, document, self._send_again, self._settle)
            if (replaced := self._kept.get(digest)) is not None:
                self._settle(replaced)
            self._kept[digest] = kept
            self._kept_bytes += len(invoice)
        await self._make_room()
        return kept

    async def _send(
        self, document: Document, digest: bytes, *, again: bool = False, instead_of: OnlineSession | None = None
    ) -> SentInvoice:
        if not again and (found := await self._find_doubtful(digest)):
            return found
        session, rotations = instead_of, 0
        while True:
            rotations += 1
            try:
                session = await self._session(instead_of=session)
                return await session.send(
                    document.xml, offline=document.offline, corrects=document.corrects, again=again
                )
            except KsefError as error:
                takes_invoices = session is None or session.takes_invoices
                step = judge(Asked.SEND, error, takes_invoices=takes_invoices).step
                if step is not Step.ANOTHER_SESSION or rotations == SESSIONS_LIMIT:
                    raise

    async def _find_doubtful(self, digest: bytes) -> SentInvoice | None:
        """Ask the sessions that are left behind for a document of which nobody knows whether they have it."""
        for session in self._sessions:
            if (self._left or session is not self._current) and (found := await session.find_doubtful(digest)):
                return found
        return None

    def send_many(
        self, invoices: Iterable[bytes] | AsyncIterable[bytes], *, offline: bool = False, concurrency: int = 16
    ) -> AsyncIterator[SentInvoice]:
        """Send many invoices, over as many sessions as it takes; see `OnlineSession.send_many`."""
        return send_many(partial(self.send, offline=offline), invoices, concurrency)

    async def _send_again(self, kept: KeptInvoice, failed: InvoiceRejectedError) -> bool:
        """Send what KSeF failed on once more; False when it was sent as often as it may be."""
        async with self._alone.with_(kept.invoice_hash):
            if kept.reference_number != failed.reference_number:
                return True  # Another task has done it.
            document = kept.document
            if document is None or kept.times_sent > SEND_AGAIN_LIMIT:
                # Whoever gives it to `send` once more has it sent.
                if self._kept.get(kept.invoice_hash) is kept:
                    del self._kept[kept.invoice_hash]
                return False
            if self._left:
                sent = await self._late.send(document)
            else:
                is_first = kept.times_sent == 1
                failing = next(s for s in self._sessions if s.reference_number == kept.session_reference_number)
                # An open session may do it the next time; when it fails again, another.
                sent = await self._send(document, kept.invoice_hash, instead_of=None if is_first else failing)
            self._superseded.add(failed.reference_number)
            kept.move_to(sent)
            return True

    def _settle(self, kept: KeptInvoice) -> None:
        """Let the document go."""
        if kept.document is not None:
            self._kept_bytes -= len(kept.document.xml)
            kept.document = None

    async def _make_room(self) -> None:
        if self._kept_bytes <= self._room:
            return
        # When KSeF has decided on few of them, do not ask with every invoice.
        self._room = 2 * self._kept_bytes
        try:
            undecided = {kept.session_reference_number for kept in self._kept.values() if kept.document is not None}
            asked = [session for session in self._sessions if session.reference_number in undecided]
            decided = {number for session in asked for number in await session.decided()}
        except KsefError:
            return  # It may be asked later; the invoice at hand is sent.
        for kept in self._kept.values():
            if kept.reference_number in decided:
                self._settle(kept)
        self._room = max(self._least_room, 2 * self._kept_bytes)

    # --- what became of it --------------------------------------------------------------------------------

    async def outcomes(self, cadence: Cadence = OUTCOME_CADENCE) -> AsyncIterator[Outcome]:
        """What became of the invoices of every session so far, session by session; see `Session.outcomes`.

        What KSeF failed on is sent again, and yielded once KSeF has decided on it.

        Raises:
            KsefError: As `Session.outcomes`; or sending again failed, and asking once more tries it again.
        """
        given: set[str] = set()
        place = 0
        while place < len(self._sessions):
            session = self._sessions[place]
            failed: list[tuple[KeptInvoice, InvoiceRejectedError]] = []
            async for outcome in session.outcomes(cadence):
                if outcome.reference_number in given or outcome.reference_number in self._superseded:
                    continue
                given.add(outcome.reference_number)
                kept = self._kept.get(outcome.invoice_hash) if outcome.invoice_hash is not None else None
                if kept is not None and isinstance(outcome, InvoiceRejectedError) and outcome.may_be_sent_again:
                    failed.append((kept, outcome))
                    continue
                if kept is not None:
                    self._settle(kept)
                yield outcome
            for kept, outcome in await self._send_all_again(failed):
                self._settle(kept)
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
        at_once = anyio.Semaphore(_CONCURRENCY)

        async def send_again(kept: KeptInvoice, outcome: InvoiceRejectedError) -> None:
            async with at_once:
                try:
                    if not await self._send_again(kept, outcome):
                        final.append((kept, outcome))
                except KsefError as error:
                    errors.append(error)

        async with anyio.create_task_group() as tasks:
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

    # --- sessions -----------------------------------------------------------------------------------------

    async def _session(self, *, instead_of: OnlineSession | None) -> OnlineSession:
        """The open session; a new one when there is none, when it is old, or when it is ``instead_of``."""
        async with self._lock:
            if self._left:
                raise _outside()
            current = self._current
            if current is None or current is instead_of or not current.takes_invoices or is_old(current, self._now()):
                self._current = None
                if current is not None:
                    await self._retire(current)
                current = await self._open_session()
                self._sessions.append(current)
                if self._left:
                    # The block was left meanwhile, and whoever closed its sessions did not know of this one.
                    await current.close_in_time()
                    raise _outside()
                self._current = current
                await current.wait_until_active()
            return current

    async def _retire(self, session: OnlineSession) -> None:
        # It is closed at the end, and told then when that fails; the invoice at hand goes into another.
        with suppress(KsefError):
            await session.close_in_time()


def is_old(session: OnlineSession, now: datetime) -> bool:
    """Whether ``session`` is to be replaced: KSeF closes it by itself soon, or has."""
    return session.renew_at is not None and now >= session.renew_at


def _outside() -> LocalProtocolError:
    return LocalProtocolError("A SessionKeeper sends inside of its block only.")
