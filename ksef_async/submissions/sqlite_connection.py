"""SQLite connections that run a statement in one go, and to its end before a cancellation is raised.

A statement runs in the connection's thread, and goes on there when its task is cancelled. SQLAlchemy then closes the
connection, and when that is cancelled too, nobody waits for its end: it can hold SQLite's write lock until it is
collected.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections import deque
from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Any, Self

import aiosqlite

from ..calling.finishing import finish

__all__ = ["connect"]


class _Connection(aiosqlite.Connection):
    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._stopping: asyncio.Future[Any] | None = None

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not self._running or self._connection is None:
            raise ValueError("Connection closed")
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._tx.put_nowait((done, partial(fn, *args, **kwargs)))
        return await finish(done, math.inf)

    def cursor(self) -> _Cursor:  # type: ignore[override]
        return _Cursor(self)

    async def rollback(self) -> None:
        # SQLAlchemy rolls back after every use; mostly there is nothing to.
        if self.in_transaction:
            await super().rollback()

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


class _Cursor(aiosqlite.Cursor):
    """Opens, executes, fetches and closes on one way to the thread and back.

    Each way takes a turn of the event loop, and another of the interpreter's lock: milliseconds while the loop is busy.
    """

    def __init__(self, connection: _Connection) -> None:
        super().__init__(connection, None)  # type: ignore[arg-type]
        self._home = connection
        self._rows: deque[Any] = deque()

    def __await__(self) -> Generator[None, None, Self]:
        yield from ()
        return self

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> Self:
        self._cursor, self._rows = await self._home._execute(_run, self._home._conn, sql, parameters or ())
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> Self:
        self._cursor, self._rows = await self._home._execute(_run_many, self._home._conn, sql, parameters)
        return self

    async def fetchone(self) -> Any:
        return self._rows.popleft() if self._rows else None

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        return [self._rows.popleft() for _ in range(min(size or 1, len(self._rows)))]

    async def fetchall(self) -> list[Any]:
        return await self.fetchmany(len(self._rows))

    async def close(self) -> None:
        self._rows.clear()


def _run(connection: sqlite3.Connection, sql: str, parameters: Iterable[Any]) -> tuple[sqlite3.Cursor, deque[Any]]:
    cursor = connection.execute(sql, parameters)  # type: ignore[arg-type]
    rows = deque(cursor.fetchall() if cursor.description else ())
    cursor.close()
    return cursor, rows


def _run_many(
    connection: sqlite3.Connection, sql: str, parameters: Iterable[Iterable[Any]]
) -> tuple[sqlite3.Cursor, deque[Any]]:
    cursor = connection.executemany(sql, parameters)  # type: ignore[arg-type]
    cursor.close()
    return cursor, deque()


def connect(database: str, **options: Any) -> aiosqlite.Connection:
    """A connection to be awaited, as `aiosqlite.connect` makes one."""
    connection = _Connection(partial(sqlite3.connect, database, **options))
    # As SQLAlchemy has it: a program that ends does not wait for connections that nobody has closed.
    connection._thread.daemon = True
    return connection
