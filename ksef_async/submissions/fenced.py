"""What every part of one context's journal stands on: each write is one transaction, fenced by the lease."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from typing import Final

from sqlalchemy import or_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ColumnElement

from ..models.sessions import FormCode
from .database import Database
from .leases import Lease, check
from .models import Priority
from .schema import SUBMISSIONS
from .states import SubmissionState
from .vault import Vault

__all__ = ["MAY_BE_IN_BATCH", "FencedJournal", "in_state"]

_T = SUBMISSIONS.c

#: Not urgent, not offline, and not in a batch that failed before.
MAY_BE_IN_BATCH: Final = (_T.priority < int(Priority.URGENT)) & (_T.attempt == 0) & _T.offline.is_(False)


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
