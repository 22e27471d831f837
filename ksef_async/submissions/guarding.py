"""The journal's database as users meet it: in its block only, and with its faults as errors of ours."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from .database import Database
from .faults import journal_faults

__all__ = ["Guarded", "transaction"]


class Guarded:
    """Transactions on the journal whose faults are `JournalError`.

    Args:
        database: The journal's.
        check: Raises where the journal may not be used.
    """

    def __init__(self, database: Database, check: Callable[[], None]) -> None:
        self._database = database
        self._check = check

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """Begin a transaction, as `Database.write`."""
        self._check()
        with journal_faults(self._database):
            async with self._database.write() as connection:
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """Open a connection, as `Database.read`."""
        self._check()
        with journal_faults(self._database):
            async with self._database.read() as connection:
                yield connection


@asynccontextmanager
async def transaction(database: Database) -> AsyncGenerator[AsyncConnection]:
    """Begin a transaction for a block of the user's, whose own errors are left as they are.

    Raises:
        JournalError: It cannot be begun, or not be committed.
    """
    opened = database.write(shield=False)
    with journal_faults(database):
        connection = await opened.__aenter__()
    try:
        yield connection
    except BaseException as error:
        if not await opened.__aexit__(type(error), error, error.__traceback__):
            raise
    else:
        with journal_faults(database):
            await opened.__aexit__(None, None, None)
