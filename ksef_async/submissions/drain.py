"""Draining one context: one login, one budget, one open session for each form, until nothing is left to do.

Whatever order things happen in, and wherever the process dies, what is in the journal is enough to go on.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias

import anyio

from ..api.operation import RateGroup
from ..api.sessions import FormCode, SessionType
from ..client import KsefClient
from ..errors import KsefError
from ..protocol.delivery import Asked, Step, judge
from ..protocol.planning import MAX_INVOICES, Route
from ..sessions.book import Outgoing
from ..sessions.keeper import Keeper, KeptSession, is_old
from ..sessions.online import OnlineSession
from ..sessions.session import Session, session_type
from ..sessions.tracking import SentInvoice
from .batch_work import BatchWork, choose_route, takes_batches
from .book import JournalBook
from .claims import Among, Claim, Queue
from .context_store import ContextStore, OpenSession
from .following import Following
from .leases import Lease, Leases
from .midnight import MidnightGuard
from .models import Settings
from .trouble import Trouble

__all__ = ["Drain"]

_SendBatch: TypeAlias = Callable[[], Awaitable[Session | None]]

_log = logging.getLogger(__name__)

# Seconds that opening a session may take when midnight is near, and another way may be quicker.
_LONGEST_OPENING: Final = 20.0

# Seconds for which a claim is right about whether its invoice was issued offline. Reading that again for each invoice,
# also where nothing has to wait, takes a third more CPU time for all of delivery.
_FRESH: Final = 0.1

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
        yield_to_others: Waits a moment while others of this process have more urgent work.
    """

    def __init__(
        self,
        client: KsefClient,
        journal: ContextStore,
        leases: Leases,
        lease: Lease,
        settings: Settings,
        yield_to_others: Callable[[], Awaitable[None]],
    ) -> None:
        self._client = client
        self._journal = journal
        self._leases = leases
        self._lease = lease
        self._settings = settings
        self._yield_to_others = yield_to_others
        self._book = JournalBook(journal, client.report)
        self._trouble = Trouble(
            lease.context, settings, partial(leases.note_trouble, lease.context, lease=lease), lease.trouble
        )
        self._guard = MidnightGuard(client, journal, self._trouble, settings)
        self._batches = BatchWork(client, journal, self._trouble, settings, self._guard)
        self._keepers: dict[FormCode, Keeper] = {}
        # Of the sessions that are open.
        self._followings: dict[KeptSession, Following] = {}
        # Forms of which a batch is being packed and uploaded, and those among them of which none is opened yet.
        self._packing: set[FormCode] = set()
        self._opening: set[FormCode] = set()
        # How many invoices a batch of the context may have; None until KSeF has said so.
        self._batch_limit: int | None = None
        self._tasks = anyio.create_task_group()
        # How many batches are being sent, and sessions finished, in tasks of their own.
        self._finishing = 0
        self._news = anyio.Event()
        self.is_in_a_hurry = False
        """Set from outside: do not keep sessions open for more, others want this place."""

    def __repr__(self) -> str:
        return f"<Drain of {self._lease.context}, {len(self._followings)} sessions open, {self._finishing} finishing>"

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
        async with self._tasks:
            self._tasks.start_soon(self._keep_lease)
            self._tasks.start_soon(self._book.run)
            await self._take_over()
            await self._work()
            await self._book.flush()
            self._trouble.is_over()
            await self._trouble.clear()
            self._tasks.cancel_scope.cancel()

    async def _keep_lease(self) -> None:
        while True:
            await anyio.sleep(self._leases.duration / _RENEWALS)
            # A lease that cannot be renewed is given up before another may take it.
            # Being done meanwhile does not break it off: a connection that is left in the middle is lost.
            limit = self._leases.duration / 2 if self._leases.are_contested else None
            with anyio.fail_after(limit, shield=True):
                await self._leases.renew(self._lease, self._client.pacing.history())

    # --- what another process left -----------------------------------------------------------------------

    async def _take_over(self) -> None:
        for saved in await self._journal.take_over():
            if session_type(saved.reference_number) is SessionType.BATCH:
                self._start_batch(saved.form_code, partial(self._batches.go_on, saved))
                continue
            await self._trouble.retry(partial(self._go_on_with, saved))

    async def _go_on_with(self, saved: OpenSession) -> None:
        sessions = self._client.sessions
        session: Session
        try:
            if saved.snapshot is None:
                # Without its key it can be closed and followed only.
                session = await sessions.attach(saved.reference_number)
            else:
                session = await sessions.resume(*saved.snapshot)
        except KsefError as error:
            if judge(Asked.RESUME, error).step is not Step.FORGET_SESSION:
                raise
            await self._journal.session_given_up(saved.reference_number, str(error))
            return
        following = self._new_following(session)
        keeper = self._keeper(saved.form_code)
        if (
            keeper.current is None
            and isinstance(session, OnlineSession)
            and session.aes_key is not None
            and session.takes_invoices
            and not is_old(session, sessions.now())
        ):
            await following.settle()
            self._follow(following, keeper.adopt(session))
        else:
            self._finish(following)

    # --- the loop -----------------------------------------------------------------------------------------

    async def _work(self) -> None:
        idle_since: float | None = None
        while True:
            self._news = anyio.Event()
            waiting = await self._journal.waiting(self._guard.today())
            if await self._guard.mark_late(waiting):
                waiting = await self._journal.waiting(self._guard.today())
            for form_code, queue in waiting.items():
                await self._send_some(form_code, queue)
            await self._trouble.clear()
            busy = any(following.under_way for following in self._followings.values())
            if waiting or busy:
                idle_since = None
                await self._wait(self._settings.poll_interval)
                continue
            now = anyio.current_time()
            idle_since = now if idle_since is None else idle_since
            left = 0.0 if self.is_in_a_hurry else idle_since + self._settings.linger - now
            if self._followings and left > 0:
                await self._wait(min(left, self._settings.poll_interval))
                continue
            for keeper in self._keepers.values():
                await keeper.leave()
            if not self._finishing:
                await self._book.flush()
                if not await self._journal.waiting():
                    return
            await self._wait(self._settings.poll_interval)

    async def _wait(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._news.wait()

    async def _send_some(self, form_code: FormCode, queue: Queue) -> None:
        by_batch = form_code in self._packing or await self._starts_batch(form_code, queue)
        among = await self._divide(form_code, queue)
        if among is Among.DUE:
            by_batch = False  # It cannot wait for the batch any more.
        if not queue.claimable(among, but_batch=by_batch):
            return  # Nothing that must not wait for the batch.
        kept: KeptSession | None = None
        with anyio.move_on_after(_LONGEST_OPENING if among is Among.DUE else None):
            kept = await self._keeper(form_code).session(self._trouble)
        if kept is None:
            self._guard.opening_failed()
            return
        if kept.is_spent:
            return  # KSeF takes no invoices in it, and another is opened the next time.
        if kept not in self._followings:
            self._follow(self._new_following(kept.session), kept)
        following = self._followings[kept]
        await self._yield_to_others()
        while (room := self._room(following)) > 0:
            claims = await self._journal.claim(
                form_code,
                following.reference_number,
                room,
                but_batch=by_batch,
                today=self._guard.today(),
                among=among,
            )
            for claim in claims:
                following.begin()
                self._guard.begin(claim)
                self._tasks.start_soon(self._send, kept, following, claim)
            if len(claims) < room:
                return

    async def _divide(self, form_code: FormCode, queue: Queue) -> Among:
        """Start a batch for what cannot go one by one before midnight; see `MidnightGuard.among`."""
        division = await self._guard.divide(queue, partial(self._largest_batch, form_code))
        if division is not None and division.batch and form_code not in self._opening:
            limit = min(division.batch, await self._largest_batch(form_code))
            self._start_batch(form_code, self._batch_of(form_code, limit, due=True), others_wait=False)
        return self._guard.among(division)

    async def _starts_batch(self, form_code: FormCode, queue: Queue) -> bool:
        if choose_route(self._client, form_code, queue.for_batch, queue.size_bytes, self._settings) is Route.ONLINE:
            return False
        if not (limit := await self._largest_batch(form_code)):
            return False  # The context is granted no batches.
        self._start_batch(form_code, self._batch_of(form_code, limit))
        return True

    def _batch_of(self, form_code: FormCode, limit: int, *, due: bool = False) -> _SendBatch:
        self._opening.add(form_code)
        opened = partial(self._opening.discard, form_code)
        return partial(self._batches.send, form_code, limit, opened=opened, due=due)

    async def _largest_batch(self, form_code: FormCode) -> int:
        """Return how many invoices a batch may have; the usual limit while KSeF cannot be asked."""
        if not takes_batches(form_code):
            return 0
        if self._batch_limit is None:
            try:
                self._batch_limit = (await self._client.limits.get_context()).batch_session.max_invoices
            except KsefError as error:
                # One that is too large ends with 420, and goes in smaller ones then.
                _log.warning(
                    "the limits of %s are not known, so the usual ones are assumed: %s", self._lease.context, error
                )
                return MAX_INVOICES
        return self._batch_limit

    def _start_batch(self, form_code: FormCode, send: _SendBatch, *, others_wait: bool = True) -> None:
        """Send a batch beside whatever else is done.

        Args:
            form_code: Of its documents.
            send: Sends it.
            others_wait: Whether what comes meanwhile, and may go in a batch, waits for the next.
        """
        if others_wait:
            self._packing.add(form_code)
        self._do_beside(partial(self._send_batch, form_code, send, others_wait))

    async def _send_batch(self, form_code: FormCode, send: _SendBatch, others_wait: bool) -> None:
        try:
            session = await send()
            if session is not None:
                self._finish(self._new_following(session, self._batches))
        finally:
            if others_wait:
                self._packing.discard(form_code)

    def _do_beside(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begin something that may take hours; the context is not left before it has ended."""
        self._finishing += 1
        self._tasks.start_soon(self._do, work)

    async def _do(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        finally:
            self._finishing -= 1
            self.wake()

    def _room(self, following: Following) -> int:
        """Return how many submissions may be claimed for a session now.

        Once the budget is spent only one waits for its turn, so that whatever is urgent comes next.
        """
        if following.kept is None or following.kept.is_spent:
            return 0
        free = self._settings.concurrency - following.under_way
        if free < self._settings.concurrency // 2 and following.under_way:
            return 0  # Small lots are many commits.
        left = self._client.pacing.remaining(RateGroup.INVOICE_SEND)
        windows = [calls for calls in (left.per_second, left.per_minute, left.per_hour) if calls >= 0]
        granted = min(windows, default=free)
        return min(free, max(granted, 0 if following.under_way else 1))

    async def _send(self, kept: KeptSession, following: Following, claim: Claim) -> None:
        """Send one claimed submission; what KSeF cannot have goes back to the queue, and into another session."""
        outgoing = Outgoing(
            xml=claim.xml,
            offline=claim.offline,
            corrects=claim.corrects,
            send_before=self._guard.send_before(claim),
            turned_offline=partial(self._turned_offline, claim, anyio.current_time()),
        )
        is_taken_in = False
        try:
            with self._trouble.lasting():
                is_taken_in = isinstance(await kept.send(outgoing, self._trouble), SentInvoice)
            if is_taken_in:
                self._trouble.is_over()
        finally:
            self._guard.end(claim)
            following.end(is_taken_in=is_taken_in)
            if kept.is_spent or self._room(following):
                self.wake()

    async def _turned_offline(self, claim: Claim, claimed_at: float) -> bool:
        return anyio.current_time() - claimed_at > _FRESH and await self._journal.is_offline(claim.id)

    # --- sessions -----------------------------------------------------------------------------------------

    def _keeper(self, form_code: FormCode) -> Keeper:
        """Return what keeps a session open for a form."""
        if form_code not in self._keepers:
            self._keepers[form_code] = Keeper(
                partial(self._client.sessions.open_online, form_code),
                self._book,
                now=self._client.sessions.now,
                retire=self._retire,
                tries=self._settings.tries,
            )
        return self._keepers[form_code]

    async def _retire(self, kept: KeptSession) -> None:
        followed = self._followings.pop(kept, None)
        self._finish(self._new_following(kept.session) if followed is None else followed)

    def _new_following(self, session: Session, batches: BatchWork | None = None) -> Following:
        return Following(session, self._journal, self._book, self._trouble, self.wake, batches=batches)

    def _follow(self, following: Following, kept: KeptSession) -> None:
        """Follow what is sent in a session from now on."""
        following.kept = kept
        self._followings[kept] = following
        self._tasks.start_soon(following.follow)

    def _finish(self, following: Following) -> None:
        self._do_beside(following.finish)
