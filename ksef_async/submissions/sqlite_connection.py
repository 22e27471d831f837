"""SQLite connections whose statements are over before a cancellation is raised.

A statement runs in the connection's thread, and goes on there when its task is cancelled. SQLAlchemy then closes the
connection, and when that is cancelled too, nobody waits for its end: it can hold SQLite's write lock until it is
collected.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

import aiosqlite

from ..shielding import finish

__all__ = ["connect"]


class _Connection(aiosqlite.Connection):
    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._stopping: asyncio.Future[Any] | None = None

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await finish(super()._execute(fn, *args, **kwargs), math.inf)  # type: ignore[no-untyped-call]

    def stop(self) -> asyncio.Future[Any] | None:
        # The thread ends once: whoever asks for a second end would wait for ever.
        if self._stopping is None:
            # Closing alone does not end a transaction while a cursor of it is still alive.
            self._tx.put_nowait((None, self._roll_back))
            self._stopping = super().stop()
        return self._stopping

    def _roll_back(self) -> None:
        if self._connection is not None:
            self._connection.rollback()

    async def close(self) -> None:
        if (stopped := self.stop()) is not None:
            await asyncio.wait([stopped])


def connect(database: str, **options: Any) -> aiosqlite.Connection:
    """A connection to be awaited, as `aiosqlite.connect` makes one."""
    connection = _Connection(partial(sqlite3.connect, database, **options))
    # As SQLAlchemy has it: a program that ends does not wait for connections that nobody has closed.
    connection._thread.daemon = True
    return connection
