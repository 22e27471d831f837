"""Draining one context: one login, one budget, one open session for each form, until nothing is left to do.

Whatever order things happen in, and wherever the process dies, what is in the journal is enough to go on.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
from anyio.abc import TaskGroup

from ..api.operation import RateGroup
from ..api.sessions import FormCode, SessionType
from ..client import KsefClient
from ..errors import CryptoError, KsefError
from ..protocol.delivery import Asked, SessionFate, Step, judge
from ..protocol.planning import MAX_INVOICES, Route
from ..sessions.keeper import is_old
from ..sessions.online import OnlineSession
from ..sessions.session import session_type
from .batch_work import BatchWork, choose_route
from .context_store import Claim, ContextStore, OpenSession, Queue
from .leases import Lease, Leases
from .models import Settings
from .recorder import Recorder
from .session_work import SessionWork
from .trouble import Trouble

if TYPE_CHECKING:
    from ..sessions.batch import BatchSession

__all__ = ["Drain"]

_log = logging.getLogger(__name__)

# A lease is renewed this many times while it lasts.
_RENEWALS: Final = 3


class Drain:
    """Delivers what the journal has for one context.

    Args:
        client: Of the context.
        journal: Of the context.
        leases: Renew the lease.
        lease: The right to do it.
        settings: How to work.
        give_way: Waits a moment while others of this process have more urgent work.
    """

    def __init__(
        self,
        client: KsefClient,
        journal: ContextStore,
        leases: Leases,
        lease: Lease,
        settings: Settings,
        give_way: Callable[[], Awaitable[None]],
    ) -> None:
        self._client = client
        self._journal = journal
        self._leases = leases
        self._lease = lease
        self._settings = settings
        self._give_way = give_way
        self._recorder = Recorder(journal)
        self._trouble = Trouble(
            lease.context, settings, partial(leases.note_trouble, lease.context, lease=lease), lease.trouble
        )
        self._batches = BatchWork(client, journal, self._trouble, settings)
        self._current: dict[FormCode, SessionWork] = {}
        # Those that were left last because nothing more was waiting: how they end is seen only afterwards.
        self._left: dict[FormCode, SessionWork] = {}
        # Forms of which a batch is being packed and uploaded.
        self._packing: set[FormCode] = set()
        # How many invoices a batch of the context may have; None until KSeF has said so.
        self._batch_limit: int | None = None
        # How many sessions in a row have come to nothing.
        self._in_vain = 0
        self._finishing = 0
        self._news = anyio.Event()
        self.is_in_a_hurry = False
        """Set from outside: do not keep sessions open for more, others want this place."""

    def __repr__(self) -> str:
        return f"<Drain of {self._lease.context}, {len(self._current)} sessions open, {self._finishing} finishing>"

    def wake(self) -> None:
        """Look into the journal: there may be something new."""
        self._news.set()

    async def run(self) -> None:
        """Deliver until nothing is left to do, and every session is finished.

        Raises:
            LeaseLostError: Another worker has taken the context over.
            Exception: What the journal's database raised.
        """
        self._client.pacing.remember(self._lease.pacing)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_lease)
            tasks.start_soon(self._recorder.run)
            await self._take_over(tasks)
            await self._work(tasks)
            await self._recorder.flush()
            self._trouble.is_over()
            await self._trouble.tell()
            tasks.cancel_scope.cancel()

    async def _keep_lease(self) -> None:
        while True:
            await anyio.sleep(self._leases.duration / _RENEWALS)
            # A lease that cannot be renewed is given up before another may take it.
            # Being done meanwhile does not break it off: a connection that is left in the middle is lost.
            limit = self._leases.duration / 2 if self._leases.are_contested else None
            with anyio.fail_after(limit, shield=True):
                await self._leases.renew(self._lease, self._client.pacing.history())

    # --- what another process left -----------------------------------------------------------------------

    async def _take_over(self, tasks: TaskGroup) -> None:
        for saved in await self._journal.take_over():
            if session_type(saved.reference_number) is SessionType.BATCH:
                self._start_batch(saved.form_code, partial(self._batches.go_on, saved), tasks)
                continue
            await self._trouble.retry_forever(partial(self._go_on_with, saved, tasks))

    async def _go_on_with(self, saved: OpenSession, tasks: TaskGroup) -> None:
        try:
            session = await self._resumed(saved)
        except KsefError as error:
            if judge(Asked.RESUME, error).step is not Step.FORGET_SESSION:
                raise
            await self._journal.session_given_up(saved.reference_number, str(error))
            return
        work = self._new_work(session)
        is_current = saved.form_code in self._current
        if session.takes_invoices and session.aes_key is not None and not self._is_old(session) and not is_current:
            await work.reconcile()
            self._adopt(work, saved.form_code, tasks)
        else:
            self._finish(work, tasks)

    async def _resumed(self, saved: OpenSession) -> OnlineSession:
        """With its key where the journal has it and can read it; otherwise to be closed and followed only."""
        for key in self._journal.vault.keys if saved.snapshot is not None else ():
            try:
                return await self._client.sessions.resume(saved.snapshot or b"", key)
            except CryptoError:
                continue
        session = await self._client.sessions.attach(saved.reference_number)
        if not isinstance(session, OnlineSession):
            raise AssertionError("its number says that it is an online session")
        return session

    # --- the loop -----------------------------------------------------------------------------------------

    async def _work(self, tasks: TaskGroup) -> None:
        idle_since: float | None = None
        while True:
            self._news = anyio.Event()
            waiting = await self._journal.waiting()
            for form_code, queue in waiting.items():
                await self._send_some(form_code, queue, tasks)
            await self._trouble.tell()
            busy = any(work.under_way for work in self._current.values())
            if waiting or busy:
                idle_since = None
                await self._wait(self._settings.poll_interval)
                continue
            now = anyio.current_time()
            idle_since = now if idle_since is None else idle_since
            left = 0.0 if self.is_in_a_hurry else idle_since + self._settings.linger - now
            if self._current and left > 0:
                await self._wait(min(left, self._settings.poll_interval))
                continue
            for form_code in [*self._current]:
                self._left[form_code] = work = self._current.pop(form_code)
                self._finish(work, tasks)
            if not self._finishing:
                await self._recorder.flush()
                if not await self._journal.waiting():
                    return
            await self._wait(self._settings.poll_interval)

    async def _wait(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._news.wait()

    async def _send_some(self, form_code: FormCode, queue: Queue, tasks: TaskGroup) -> None:
        by_batch = form_code in self._packing or await self._starts_batch(form_code, queue, tasks)
        if not queue.others and (by_batch or not queue.for_batch):
            return  # Nothing that must not wait for the batch.
        work = await self._session_for(form_code, tasks)
        await self._give_way()
        while not work.is_spent and (room := self._room(work)) > 0:
            claims = await self._journal.claim(form_code, work.reference_number, room, but_batch=by_batch)
            for claim in claims:
                work.begin()
                tasks.start_soon(self._send, work, claim)
            if len(claims) < room:
                return

    async def _starts_batch(self, form_code: FormCode, queue: Queue, tasks: TaskGroup) -> bool:
        if choose_route(self._client, form_code, queue.for_batch, queue.size_bytes, self._settings) is Route.ONLINE:
            return False
        if not (limit := await self._largest_batch()):
            return False  # The context is granted no batches.
        self._start_batch(form_code, partial(self._batches.send, form_code, limit), tasks)
        return True

    async def _largest_batch(self) -> int:
        """Return how many invoices a batch may have; the usual limit while KSeF cannot be asked."""
        if self._batch_limit is None:
            try:
                self._batch_limit = (await self._client.limits.context()).batch_session.max_invoices
            except KsefError as error:
                # One that is too large ends with 420, and goes in smaller ones then.
                _log.warning(
                    "the limits of %s are not known, so the usual ones are assumed: %s", self._lease.context, error
                )
                return MAX_INVOICES
        return self._batch_limit

    def _start_batch(
        self, form_code: FormCode, send: Callable[[], Awaitable[BatchSession | None]], tasks: TaskGroup
    ) -> None:
        self._packing.add(form_code)
        self._finishing += 1
        tasks.start_soon(self._send_batch, form_code, send, tasks)

    async def _send_batch(
        self, form_code: FormCode, send: Callable[[], Awaitable[BatchSession | None]], tasks: TaskGroup
    ) -> None:
        try:
            session = await send()
            if session is not None:
                self._finish(self._new_work(session, self._batches), tasks)
        finally:
            self._packing.discard(form_code)
            self._finishing -= 1
            self.wake()

    def _room(self, work: SessionWork) -> int:
        """How many may be claimed now. Once the budget is spent only one waits for its turn, so that whatever is
        urgent comes next."""
        free = self._settings.concurrency - work.under_way
        if free < self._settings.concurrency // 2 and work.under_way:
            return 0  # Small lots are many commits.
        left = self._client.pacing.remaining(RateGroup.INVOICE_SEND)
        windows = [calls for calls in (left.per_second, left.per_minute, left.per_hour) if calls >= 0]
        granted = min(windows, default=free)
        return min(free, max(granted, 0 if work.under_way else 1))

    async def _send(self, work: SessionWork, claim: Claim) -> None:
        try:
            await work.send(claim)
        finally:
            work.end()
            if work.is_spent or self._room(work):
                self.wake()

    # --- sessions -----------------------------------------------------------------------------------------

    async def _session_for(self, form_code: FormCode, tasks: TaskGroup) -> SessionWork:
        current = self._current.get(form_code)
        if current is not None:
            if not current.is_spent and current.online.takes_invoices and not self._is_old(current.online):
                return current
            del self._current[form_code]
            self._finish(current, tasks)
        last = self._left.pop(form_code, None) if current is None else current
        if last is not None:
            if last.failure is not None and last.was_in_vain:
                await self._pause(last.failure)
            else:
                self._in_vain = 0
        while True:
            work = self._new_work(await self._trouble.retry_forever(partial(self._open, form_code)))
            if await self._is_active(work, tasks):
                self._adopt(work, form_code, tasks)
                return work

    async def _open(self, form_code: FormCode) -> OnlineSession:
        session = await self._client.sessions.open_online(form_code)
        try:
            await self._journal.session_opened(session, form_code)
        except BaseException as error:
            # Nobody would know of it.
            try:
                await session.close_in_time()
            except KsefError as failure:
                error.add_note(f"Session {session.reference_number} stays open as well: {failure}")
            raise
        return session

    async def _is_active(self, work: SessionWork, tasks: TaskGroup) -> bool:
        """Return whether a session that was opened takes invoices; one that does not is closed or forgotten."""
        try:
            await self._trouble.retry_forever(work.online.wait_until_active, asked=Asked.ACTIVATION)
        except KsefError as error:
            judgement = judge(Asked.ACTIVATION, error)
            if judgement.session is SessionFate.REPLACE_WITH_NEW_KEYS:
                self._client.sessions.forget_keys()
            if judgement.step is Step.FORGET_SESSION:
                await self._journal.session_given_up(work.reference_number, None)
            else:
                self._finish(work, tasks)
            await self._pause(error)
            return False
        return True

    async def _pause(self, error: KsefError) -> None:
        """Wait before another session is opened: the last one came to nothing."""
        self._in_vain += 1
        await self._trouble.wait_out(error, self._in_vain)

    def _new_work(self, session: OnlineSession | BatchSession, batches: BatchWork | None = None) -> SessionWork:
        return SessionWork(
            session,
            self._journal,
            self._recorder,
            self._trouble,
            self._settings,
            self.wake,
            forget_keys=self._client.sessions.forget_keys,
            batches=batches,
        )

    def _adopt(self, work: SessionWork, form_code: FormCode, tasks: TaskGroup) -> None:
        self._current[form_code] = work
        tasks.start_soon(work.follow)

    def _finish(self, work: SessionWork, tasks: TaskGroup) -> None:
        self._finishing += 1
        tasks.start_soon(self._finish_work, work)

    async def _finish_work(self, work: SessionWork) -> None:
        try:
            await work.finish()
        finally:
            self._finishing -= 1
            self.wake()

    def _is_old(self, session: OnlineSession) -> bool:
        return is_old(session, self._client.sessions.now())
