"""A backlog in one batch session: KSeF processes nothing before the close, so until then it can be taken back.

What makes a package is in the journal: the documents, their order and, encrypted, the session's key. So the batch of a
worker that died is packed again, on whatever machine, to the very same parts, and only those that KSeF does not have
are uploaded. Where other parts come out of it (another deflate library, other settings) the session is left to expire,
and its documents go in a new one.

The intent to close is committed before the close. From then on the documents are taken back only when KSeF refuses the
close for want of a part; nobody uploads parts any more whose lease is lost.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from ..api.batch import CLOSE_BATCH_SESSION
from ..api.sessions import FormCode, StatusCode
from ..client import KsefClient
from ..errors import (
    BadRequestError,
    CryptoError,
    KsefError,
    LocalProtocolError,
    SessionFailedError,
)
from ..protocol.delivery import Asked, Step, judge
from ..protocol.invoices import MAX_SIZE
from ..protocol.planning import MAX_INVOICES, MAX_PART_SIZE, MAX_PARTS, Route
from ..sessions.session import Session
from ..sessions.snapshot import BATCH_SNAPSHOT, BatchSnapshot
from .claims import SPLIT
from .context_store import BATCH, ContextStore, OpenSession
from .midnight import MidnightGuard
from .models import Settings
from .trouble import Trouble

if TYPE_CHECKING:
    from ..packing import Package
    from ..sessions.batch import BatchSession

__all__ = ["BatchWork", "choose_route", "takes_batches"]

_log = logging.getLogger(__name__)

# What is not worth a batch.
_SMALLEST: Final = 20


def choose_route(client: KsefClient, form_code: FormCode, count: int, size_bytes: int, settings: Settings) -> Route:
    """Return whether ``count`` waiting submissions go one by one or in a batch.

    Args:
        client: Knows its rate limits.
        form_code: Of all of them; Peppol's go online only.
        count: How many are waiting that need not go at once.
        size_bytes: Of all together.
        settings: How long one by one may take.
    """
    if not takes_batches(form_code) or count < _SMALLEST:
        return Route.ONLINE
    within = settings.online_within
    return client.sessions.plan(count, max(1, min(size_bytes // count, MAX_SIZE)), deadline=within).route


def takes_batches(form_code: FormCode) -> bool:
    """Return whether documents of a form may be sent in a batch; Peppol's go online only."""
    return form_code.form != "PEF"


class BatchWork:
    """Sends batches of one context, new ones and those that another worker has left.

    Args:
        client: Of the context.
        journal: Of the context.
        trouble: Of the context.
        settings: How to work.
        guard: Of the context.
    """

    def __init__(
        self, client: KsefClient, journal: ContextStore, trouble: Trouble, settings: Settings, guard: MidnightGuard
    ) -> None:
        self._client = client
        self._journal = journal
        self._trouble = trouble
        self._settings = settings
        self._guard = guard
        # How many batches in a row have come to nothing.
        self._lost = 0

    def count_loss(self) -> int:
        """Count a batch that came to nothing; how many that is in a row."""
        self._lost += 1
        return self._lost

    def count_success(self) -> None:
        """Count a batch that KSeF has processed."""
        self._lost = 0

    async def send(
        self, form_code: FormCode, limit: int, *, opened: Callable[[], None], due: bool = False
    ) -> BatchSession | None:
        """Pack what is waiting, upload it and close the session.

        Args:
            form_code: Of all documents.
            limit: How many at most.
            opened: Called once the session is open, or will not be.
            due: True for those only that are Online until midnight.

        Returns:
            The session, to be followed; None when it came to nothing, and the documents are in the queue again.

        Raises:
            LeaseLostError: Another worker has taken the context over; it may go on with the batch.
            Exception: What the journal's database raised.
        """
        batch = f"{BATCH}{uuid.uuid4().hex}"
        async with AsyncExitStack() as stack:
            stack.callback(opened)
            today, last_moment = self._guard.today(), self._guard.last_moment()
            lot = await self._journal.claim_batch(form_code, batch, min(limit, MAX_INVOICES), today=today, due=due)
            if lot is None:
                return None
            try:
                package = await stack.enter_async_context(self._packed(batch))
            except (LocalProtocolError, CryptoError) as error:
                # One of the documents: which it is shows when fewer go together.
                await self._take_back(batch, error, SPLIT)
                return None
            except OSError as error:
                await self._take_back(batch, error, 1)
                return None
            session = await self._open(
                package, form_code, batch, offline=lot.offline, last_moment=None if lot.offline else last_moment
            )
            opened()
            return None if session is None else await self._deliver(session)

    async def go_on(self, saved: OpenSession) -> Session | None:
        """Upload what is missing of a batch that another worker has left, and close its session; as `send`."""
        return await self._trouble.retry(partial(self._go_on, saved))

    async def _go_on(self, saved: OpenSession) -> Session | None:
        number = saved.reference_number
        try:
            code = (await self._client.sessions.status(number)).status.code
        except KsefError as error:
            if judge(Asked.RESUME, error).step is not Step.FORGET_SESSION:
                raise
            await self._abandon(number, str(error))
            return None
        if code == StatusCode.CANCELLED and not saved.is_closing:
            await self._abandon(number, "The batch was not closed in time.")
            return None
        if code != StatusCode.OPENED or (saved.is_closing and await self._close_again(number)):
            return await self._client.sessions.attach(number)
        if saved.snapshot is None:
            await self._abandon(number, "The batch was not closed, and its key is not in the journal.")
            return None
        snapshot = BATCH_SNAPSHOT.decrypt(*saved.snapshot)
        async with AsyncExitStack() as stack:
            try:
                package = await stack.enter_async_context(self._packed(number, snapshot))
                resumed = await self._client.sessions.resume(*saved.snapshot, package=package, ledger=self._journal)
            except (LocalProtocolError, CryptoError, OSError) as error:
                await self._abandon(number, str(error))
                return None
            return await self._deliver(resumed)

    async def _close_again(self, number: str) -> bool:
        """Close a session whose parts were all in; whether KSeF can process it."""
        try:
            await self._client.call(CLOSE_BATCH_SESSION, path={"reference_number": number})
        except KsefError as error:
            judgement = judge(Asked.CLOSE_BATCH, error)
            if judgement.step in (Step.UPLOAD_AGAIN, Step.ANOTHER_SESSION):
                # KSeF does not have every part, and without them it processes nothing.
                return False
            if not isinstance(error, BadRequestError) or judgement.step is not Step.LOOK_UP:
                raise
        return True

    # --- its stages ---------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _packed(self, batch: str, snapshot: BatchSnapshot | None = None) -> AsyncGenerator[Package]:
        # Loads the archive formats, which a program that sends one by one has no use for.
        from ..packing import pack

        # The archive is hardly larger than its documents, and there must not be too many parts.
        least = await self._journal.batch_size(batch) * 11 // (MAX_PARTS * 10) + 1
        async with pack(
            self._files(batch),
            folder=self._settings.spool,
            part_size=min(max(self._settings.part_size, least), MAX_PART_SIZE),
            symmetric_key=snapshot.symmetric_key if snapshot else None,
            initialization_vector=snapshot.initialization_vector if snapshot else None,
        ) as package:
            yield package

    async def _files(self, batch: str) -> AsyncIterator[tuple[str, bytes]]:
        async for digest, document in self._journal.batch_documents(batch):
            yield f"{digest.hex()}.xml", document

    async def _open(
        self, package: Package, form_code: FormCode, batch: str, *, offline: bool, last_moment: datetime | None
    ) -> BatchSession | None:
        open_batch = partial(
            self._client.sessions.open_batch, package, form_code=form_code, offline=offline, ledger=self._journal
        )
        session = None
        now = self._client.sessions.now()
        try:
            with anyio.move_on_after(None if last_moment is None else max(0.0, (last_moment - now).total_seconds())):
                session = await self._trouble.retry(open_batch, asked=Asked.OPEN_BATCH)
        except KsefError as error:
            await self._take_back(batch, error, SPLIT)
            return None
        if session is None:
            # Opened from now on, it would make Offline what is dated today. One that KSeF opens all the same expires.
            await self._journal.session_given_up(batch, None)
            return None
        # Where this fails, the session is left to expire: it takes no invoices, and cannot be closed without its parts.
        await self._journal.session_opened(session, form_code, batch=batch)
        return session

    async def _deliver(self, session: BatchSession) -> BatchSession | None:
        """Upload what is missing and close; None when the documents are in the queue again."""
        try:
            return await self._trouble.retry(partial(self._upload, session), asked=Asked.CLOSE_BATCH)
        except KsefError as error:
            # The time is over, or the parts are not what they were: then nothing is wrong with the documents.
            await self._take_back(session.reference_number, error, 1)
            return None

    async def _upload(self, session: BatchSession) -> BatchSession:
        try:
            await session.upload()
            await self._journal.session_closing(session.reference_number)
            await session.terminate()
        except SessionFailedError:
            pass  # It has ended meanwhile; how, is for those to find out who follow it.
        return session

    # --- when it comes to nothing -------------------------------------------------------------------------

    async def _take_back(self, name: str, error: KsefError | OSError, loss: int) -> None:
        await self._journal.session_given_up(name, str(error), loss=loss)
        await self._trouble.wait_out(error, self.count_loss())

    async def _abandon(self, number: str, reason: str) -> None:
        _log.warning("batch session %s is left to expire, and its documents go in another: %s", number, reason)
        await self._journal.session_given_up(number, reason)
