"""Sending once the block that kept a session open is left: what waits to be sent shares one session, closed at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Final

import anyio
import attrs

from ..errors import KsefError
from .kept import Document
from .online import OnlineSession
from .tracking import SentInvoice

__all__ = ["LateSending"]

# Seconds that the first waits for others that are found at the same time.
_GATHERING: Final = 0.05

_CONCURRENCY: Final = 16


@attrs.define(eq=False)
class _Waiting:
    document: Document
    sent: SentInvoice | None = None
    error: KsefError | None = None

    @property
    def is_over(self) -> bool:
        return self.sent is not None or self.error is not None

    def result(self) -> SentInvoice:
        if self.error is not None:
            raise self.error
        if self.sent is None:
            raise AssertionError("a lot is sent as a whole")
        return self.sent


class LateSending:
    """Sends documents, as many in one session as are there; safe to use from many tasks.

    Args:
        open_session: Opens a session.
        opened: Is told of each.
        find_doubtful: Finds what an earlier session has taken in although nobody heard of it, by its SHA-256.
    """

    def __init__(
        self,
        open_session: Callable[[], Awaitable[OnlineSession]],
        opened: Callable[[OnlineSession], None],
        find_doubtful: Callable[[bytes], Awaitable[SentInvoice | None]],
    ) -> None:
        self._open_session = open_session
        self._opened = opened
        self._find_doubtful = find_doubtful
        self._lock = anyio.Lock()
        self._waiting: list[_Waiting] = []

    async def send(self, document: Document) -> SentInvoice:
        """Send a document, together with those that others send meanwhile.

        Raises:
            KsefError: As `SessionManager.open_online`, entering the session, and `OnlineSession.send`.
        """
        mine = _Waiting(document)
        self._waiting.append(mine)
        try:
            async with self._lock:
                if not mine.is_over:
                    await anyio.sleep(_GATHERING)
                    await self._send_all([each for each in self._waiting if not each.is_over])
        finally:
            self._waiting.remove(mine)
        return mine.result()

    async def _send_all(self, lot: list[_Waiting]) -> None:
        at_once = anyio.Semaphore(_CONCURRENCY)
        for each in lot:
            try:
                each.sent = await self._find_doubtful(sha256(each.document.xml).digest())
            except KsefError as error:
                # That one has to wait; the others need not.
                each.error = error
        try:
            lot = [each for each in lot if not each.is_over]
            if not lot:
                return
            session = await self._open_session()
            self._opened(session)
            async with session, anyio.create_task_group() as tasks:
                for each in lot:
                    tasks.start_soon(_send_one, session, each, at_once)
        except KsefError as error:
            # What was sent is sent, whatever became of the session: the outcomes tell, which are asked for next.
            for each in lot:
                if not each.is_over:
                    each.error = error


async def _send_one(session: OnlineSession, each: _Waiting, at_once: anyio.Semaphore) -> None:
    document = each.document
    async with at_once:
        try:
            each.sent = await session.send(document.xml, offline=document.offline, corrects=document.corrects)
        except KsefError as error:
            each.error = error
