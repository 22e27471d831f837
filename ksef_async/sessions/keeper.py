"""One open session, whatever happens to it: renewed when it is full, old, dead or under maintenance."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Final, Self

import anyio

from ..errors import BadRequestError, KsefError, LocalProtocolError, SessionFailedError
from ..polling import Cadence
from ..protocol.error_codes import ErrorCode
from ..shielding import finish
from .online import OnlineSession
from .outcomes import Outcome
from .sending import send_many
from .session import UPO_CADENCE
from .tracking import OUTCOME_CADENCE, SentInvoice
from .upo import SessionUPO

__all__ = ["ANOTHER_SESSION", "SessionKeeper", "is_old"]

#: A session is replaced this long before KSeF closes it by itself.
RENEWAL_MARGIN: Final = timedelta(minutes=10)

#: How many sessions one invoice may be tried in.
_ROTATIONS: Final = 3

#: Refusals that say: not in this session. The invoice was not taken in.
ANOTHER_SESSION: Final = frozenset({ErrorCode.SESSION_FULL, ErrorCode.SESSION_NOT_OPEN, ErrorCode.SESSION_UNAVAILABLE})


class SessionKeeper(anyio.AsyncContextManagerMixin):
    """Keeps one session open for sending; get one from `SessionManager.keep_open`. Safe to use from many tasks.

    The first session is opened by the first `send`. A session that is full (21155), under maintenance (21184),
    closed, dead, or near its end after 12 hours is terminated and replaced. Leaving the block terminates the last;
    then `outcomes` and `upos` tell of all of them.

    Invoices that a session took in before it died (415) end with 405 in `outcomes`: they are not issued, and KSeF
    has nothing of them, so they are to be sent again.

    Args:
        open_session: Opens a session.
        now: KSeF's time.
    """

    def __init__(self, open_session: Callable[[], Awaitable[OnlineSession]], now: Callable[[], datetime]) -> None:
        self._open_session = open_session
        self._now = now
        self._lock = anyio.Lock()
        self._current: OnlineSession | None = None
        self._entered = False
        self._left = False
        self._sessions: list[OnlineSession] = []

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

    async def send(
        self, invoice: bytes, *, offline: bool = False, corrects: bytes | None = None, again: bool = False
    ) -> SentInvoice:
        """Send one invoice, exactly once, in whichever session is open; see `OnlineSession.send`.

        Raises:
            LocalProtocolError: Outside of the block; or as `OnlineSession.send`.
            KsefError: As `SessionManager.open_online` and `OnlineSession.send`, when another session did not help.
        """
        if not self._entered or self._left:
            raise _outside()
        if not again and (sent := self._find_sent(invoice)):
            return sent
        session = None
        for _ in range(_ROTATIONS - 1):
            session = await self._session(instead_of=session)
            try:
                return await session.send(invoice, offline=offline, corrects=corrects, again=again)
            except SessionFailedError:
                pass  # It is dead, and another is opened; where its key was the reason, with new keys.
            except BadRequestError as error:
                if error.code not in ANOTHER_SESSION:
                    raise
            except LocalProtocolError:
                if session.takes_invoices:
                    raise
        session = await self._session(instead_of=session)
        return await session.send(invoice, offline=offline, corrects=corrects, again=again)

    def _find_sent(self, invoice: bytes) -> SentInvoice | None:
        digest = sha256(invoice).digest()
        return next(filter(None, (session.find_sent(digest) for session in reversed(self._sessions))), None)

    def send_many(
        self, invoices: Iterable[bytes] | AsyncIterable[bytes], *, offline: bool = False, concurrency: int = 16
    ) -> AsyncIterator[SentInvoice]:
        """Send many invoices, over as many sessions as it takes; see `OnlineSession.send_many`."""
        return send_many(partial(self.send, offline=offline), invoices, concurrency)

    async def outcomes(self, cadence: Cadence = OUTCOME_CADENCE) -> AsyncIterator[Outcome]:
        """What became of the invoices of every session so far, session by session; see `Session.outcomes`."""
        for session in self.sessions:
            async for outcome in session.outcomes(cadence):
                yield outcome

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
        try:
            await session.terminate()
        except BadRequestError as error:
            # Under maintenance: it is closed at the end, or by KSeF after its 12 hours.
            if error.code != ErrorCode.SESSION_UNAVAILABLE:
                raise


def is_old(session: OnlineSession, now: datetime) -> bool:
    """Whether ``session`` is to be replaced: KSeF closes it by itself soon, or has."""
    return session.valid_until is not None and now >= session.valid_until - RENEWAL_MARGIN


def _outside() -> LocalProtocolError:
    return LocalProtocolError("A SessionKeeper sends inside of its block only.")
