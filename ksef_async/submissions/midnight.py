"""Sees to it that what is dated today is sent before midnight in Poland, and says what becomes of what was not.

KSeF's time counts, not this machine's. How the queue is divided is decided by `protocol.midnight.divide`, anew in each
round of the worker: what cannot go one by one goes in a batch opened before midnight. Nothing is claimed whose date is
over, so nothing goes out as Offline unnoticed: first it is marked, as `Settings.late` says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import anyio

from ..api.batch import OPEN_BATCH_SESSION
from ..api.operation import RateGroup
from ..api.sessions import SEND_INVOICE, FormCode
from ..calling.events import InvoicesLate
from ..client import KsefClient
from ..protocol.midnight import LAST_CALL, Division, Evening, divide, online_until, seconds_left
from ..protocol.planning import MAX_INVOICES
from ..protocol.polish_calendar import next_midnight
from .claims import Among, Claim, Queue, Today
from .context_store import ContextStore
from .models import Late, Settings
from .trouble import Trouble

__all__ = ["MidnightGuard"]

# Seconds that one invoice may take to be sent, while the limits allow it, before others wait for it no more.
_SLOW: Final = 15.0
# Seconds for which sending one by one counts as stuck once no session could be opened for it.
_STUCK: Final = 60.0
# KSeF's time is known to a second or so: a day is over so much sooner here.
_INACCURACY: Final = timedelta(seconds=2)
# The most batch sessions that are counted.
_MOST_BATCHES: Final = 100


class MidnightGuard:
    """The guard of one context.

    Args:
        client: Of the context.
        journal: Of the context.
        trouble: Of the context.
        settings: Whether there is a guard at all, and what becomes of what is late.
    """

    def __init__(self, client: KsefClient, journal: ContextStore, trouble: Trouble, settings: Settings) -> None:
        self._client = client
        self._journal = journal
        self._trouble = trouble
        self._settings = settings
        # When each send that is under way began.
        self._sends: dict[int, float] = {}
        self._stuck_until = 0.0

    def today(self) -> Today | None:
        """Return the day in Poland; None if no midnight counts."""
        if not self._settings.guards_midnight:
            return None
        now = self._now()
        return Today(now.timestamp(), next_midnight(now).timestamp())

    def last_moment(self) -> datetime | None:
        """Return until when a batch opened today keeps its invoices online; None if no midnight counts."""
        if not self._settings.guards_midnight:
            return None
        return next_midnight(self._now()) - _INACCURACY

    def send_before(self, claim: Claim) -> datetime | None:
        """Return until when a claimed submission can be sent as it is; None without end."""
        if not self._settings.guards_midnight or claim.offline or claim.issued_on is None:
            return None
        return online_until(claim.issued_on) - _INACCURACY

    def _now(self) -> datetime:
        return self._client.sessions.now() + _INACCURACY

    # --- what is late -------------------------------------------------------------------------------------

    async def mark_late(self, waiting: Mapping[FormCode, Queue]) -> bool:
        """Mark what is late among what waits, and report it; return whether anything is different now.

        Raises:
            LeaseLostError: Another worker has taken the context over.
        """
        if not any(queue.late for queue in waiting.values()):
            return False
        # KSeF's time is known once it has answered: a wrong clock of this machine must not decide.
        await self._trouble.retry(self._client.log_in)
        today = self.today()
        if today is None:
            return False
        late = self._settings.late
        for day, count in (await self._journal.mark_late(today, late)).items():
            self._client.report(
                InvoicesLate(nip=self._journal.context, issued_on=day, count=count, are_held=late is Late.HOLD)
            )
        return True

    # --- what is due --------------------------------------------------------------------------------------

    async def divide(self, queue: Queue, largest_batch: Callable[[], Awaitable[int]]) -> Division | None:
        """Return how what is due today goes; None if nothing is due.

        Args:
            queue: What waits of one form.
            largest_batch: Returns how many invoices a batch of it may have; only called when not all can go one by one.
        """
        if not self._settings.guards_midnight or not queue.due:
            return None
        now = self._now()
        left = seconds_left(now)
        pacing = self._client.pacing
        sends = 0
        if left > 0 and not (left <= LAST_CALL and self._is_stuck()):
            sends = pacing.starts_within(SEND_INVOICE, left, most=queue.due)
        batches, batch_limit = 0, 0
        if sends < queue.due and left > 0:
            batches = pacing.starts_within(OPEN_BATCH_SESSION, left, most=_MOST_BATCHES)
            batch_limit = min(await largest_batch(), MAX_INVOICES)
        evening = Evening(
            waiting=queue.due,
            for_batch=queue.due_for_batch,
            size_bytes=queue.due_size_bytes,
            sends=sends,
            batches=batches,
            batch_limit=batch_limit,
        )
        return divide(now, evening)

    def among(self, division: Division | None) -> Among:
        """Return what may be claimed now to go one by one: near midnight what is due, unless that goes in batches.

        Args:
            division: How what is due goes.
        """
        if division is None:
            return Among.ALL
        if not division.online:
            return Among.NOT_DUE
        return Among.DUE if seconds_left(self._now()) <= LAST_CALL else Among.ALL

    # --- whether sending one by one gets on ---------------------------------------------------------------

    def begin(self, claim: Claim) -> None:
        """Note that a send begins."""
        self._sends[claim.id] = anyio.current_time()

    def end(self, claim: Claim) -> None:
        """Note that a send is over."""
        self._sends.pop(claim.id, None)

    def opening_failed(self) -> None:
        """Note that no session could be opened to send in."""
        self._stuck_until = anyio.current_time() + _STUCK

    def _is_stuck(self) -> bool:
        now = anyio.current_time()
        if now < self._stuck_until:
            return True
        oldest = min(self._sends.values(), default=now)
        # One that only waits for its turn is not slow.
        left = self._client.pacing.remaining(RateGroup.INVOICE_SEND)
        return now - oldest > _SLOW and 0 not in (left.per_second, left.per_minute, left.per_hour)
