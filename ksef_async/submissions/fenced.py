"""What every part of one context's journal stands on: each write is one transaction, fenced by the lease."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from typing import Final

from sqlalchemy import case, or_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ColumnElement

from ..api.sessions import FormCode
from ..protocol.delivery import SEND_AGAIN_LIMIT
from ..protocol.planning import MAX_INVOICES
from .database import Database
from .leases import Lease, check
from .models import Priority
from .schema import SUBMISSIONS
from .states import SubmissionState
from .vault import Vault

__all__ = ["MAY_BE_IN_BATCH", "ONE_BY_ONE", "SPLIT", "FencedJournal", "in_state", "largest_lot", "lost_batches_after"]

_T = SUBMISSIONS.c

# How many documents go together once so many batches that they were in have come to nothing. Nothing need be wrong
# with them: the same package mostly passes when it is sent again. In smaller ones it shows which of them is in the
# way of the others; after these each goes by itself.
_LOTS: Final = (*[MAX_INVOICES] * (SEND_AGAIN_LIMIT + 1), 1_250, 156)

SPLIT: Final = SEND_AGAIN_LIMIT + 1
"""So many lost batches make a smaller one, or none."""
ONE_BY_ONE: Final = len(_LOTS)

MAY_BE_IN_BATCH: Final = (_T.priority < int(Priority.URGENT)) & (_T.lost_batches < ONE_BY_ONE) & _T.offline.is_(False)
"""Not urgent, not offline, and not in batches that came to nothing time and again."""


def largest_lot(lost_batches: int) -> int:
    """Return how many documents may share a batch after ``lost_batches`` batches with them have come to nothing."""
    return _LOTS[lost_batches] if lost_batches < ONE_BY_ONE else 0


def lost_batches_after(loss: ColumnElement[int]) -> ColumnElement[int]:
    """Return the new count of lost batches: one more, or ``loss`` where that is more; a loss of 0 adds none."""
    more = _T.lost_batches + 1
    return case((loss == 0, _T.lost_batches), (more > loss, more), else_=loss)


class FencedJournal:
    """Transactions on the journal of one context; rows that are not this worker's any more are never touched.

    Args:
        database: Of the journal.
        vault: Opens documents.
        lease: The right to write.
    """

    def __init__(self, database: Database, vault: Vault, lease: Lease) -> None:
        self._database = database
        self.vault = vault
        self.context = lease.context
        self._lease = lease

    @asynccontextmanager
    async def _write(self) -> AsyncGenerator[AsyncConnection]:
        async with self._database.write() as connection:
            await check(connection, self._lease)
            yield connection

    def _read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._database.read()

    def _mine(self, *states: SubmissionState) -> ColumnElement[bool]:
        return (_T.context == self.context) & (_T.owner == self._lease.owner) & in_state(*states)

    def _queued(self) -> ColumnElement[bool]:
        return (_T.context == self.context) & in_state(SubmissionState.QUEUED)

    def _queued_as(self, form_code: FormCode) -> ColumnElement[bool]:
        return self._queued() & (_T.form_code == form_code.system_code)


@cache
def in_state(*states: SubmissionState) -> ColumnElement[bool]:
    """Submissions in one of ``states``."""
    # Not IN: what is executed for many rows at once has to have its parameters spelled out. Not the enum's members:
    # psycopg has ideas of its own about those.
    return or_(*(_T.state == state.value for state in states))
