"""The journal's database: transactions on one engine, and connections that survive the cancellation of their task.

On SQLite a commit has reached the disk, and a statement runs to its end before a cancellation is raised. On PostgreSQL
what the server has closed is replaced, and what a cancelled task has half opened is closed.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, ParamSpec, Protocol, Self, TypeVar
from urllib.parse import unquote

import anyio
import anyio.to_thread
from sqlalchemy import event, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from ..calling.finishing import finish
from ..errors import ConfigurationError, quote
from .schema import migrate
from .vault import make_private

__all__ = ["Database"]

P = ParamSpec("P")
T = TypeVar("T")

# Any number will do, as long as every process takes the same: while tables are made or changed.
_MIGRATION_LOCK: Final = 5_265_877_635


class Database:
    """Transactions on the journal.

    Args:
        url: SQLAlchemy's; where it names no driver, an async one is taken.

    Raises:
        ConfigurationError: The address cannot be read, is of another kind of database, or its driver is not there.
    """

    def __init__(self, url: str) -> None:
        address = _journal_url(url)
        with _driver_is_missing(address):
            # Documents are parameters; errors must not show them.
            self.engine = create_async_engine(address, hide_parameters=True, **_pool(address))
        self._reading = self.engine.execution_options(ksef_reads=True)
        self.is_sqlite = address.get_backend_name() == "sqlite"
        if self.is_sqlite:
            _prepare_sqlite(self.engine)
        else:
            _prepare_postgresql(self.engine)
        # SQLite has one writer at a time: queueing here is fairer and quicker than its busy loop.
        self._writer = anyio.Lock()
        self.commits = 0
        """Number of transactions that this process has committed."""

    def __repr__(self) -> str:
        return f"<Database {self.engine.url.render_as_string(hide_password=True)}>"

    @property
    def file(self) -> str | None:
        """Path of the SQLite file; None for a database in memory or on a server."""
        name, query = self.engine.url.database, self.engine.url.query
        if not self.is_sqlite or not name:
            return None
        if "uri" in query and name.startswith("file:"):
            name = "" if query.get("mode") == "memory" else unquote(name.removeprefix("file:").removeprefix("//"))
        return name if name not in ("", ":memory:") else None

    @property
    def place(self) -> str:
        """Where it is, for people: never with a password."""
        url = self.engine.url
        if self.is_sqlite:
            return self.file or "in memory"
        server = f"{url.host}:{url.port or 5432}" if url.host else "the local server"
        return f"{url.database} at {server}"

    @asynccontextmanager
    async def write(self, *, shield: bool = True) -> AsyncGenerator[AsyncConnection]:
        """Begin a transaction that is committed at the end of the block.

        Args:
            shield: Finish it although it is cancelled: a connection that is left in the middle of a transaction can
                hold SQLite's write lock until it is collected. The shield holds off scopes only: the block is its
                task's own, so `finish` cannot run it in another. ``Task.cancel()`` arrives between statements, by
                the connections below, and what was written is rolled back.
        """
        with anyio.CancelScope(shield=shield):
            async with AsyncExitStack() as stack:
                if self.is_sqlite:
                    await stack.enter_async_context(self._writer)
                yield await stack.enter_async_context(self.engine.begin())
            self.commits += 1

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """Open a connection to read with, for the block."""
        with anyio.CancelScope(shield=True):
            async with AsyncExitStack() as stack:
                if self.is_sqlite and self.file is None:
                    # In memory there is but one connection, and what is rolled back after reading is all of it.
                    await stack.enter_async_context(self._writer)
                yield await stack.enter_async_context(self._reading.connect())

    async def migrate(self) -> None:
        """Make the tables, or bring them up to date; a new SQLite file is its owner's alone from its first byte."""
        if (file := self.file) is not None:
            await anyio.to_thread.run_sync(make_private, Path(file))
        async with self.write() as connection:
            if not self.is_sqlite:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _MIGRATION_LOCK})
            await connection.run_sync(migrate)

    async def aclose(self) -> None:
        """Close every connection."""
        await finish(self.engine.dispose(), math.inf)


# --- its address ----------------------------------------------------------------------------------------------

_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


def _journal_url(address: str) -> URL:
    """Return what ``address`` says, with an async driver where it names none.

    Raises:
        ConfigurationError: It is no address of SQLAlchemy's, or of no database that a journal is kept in.
    """
    if not isinstance(address, str):
        raise ConfigurationError(f"A journal's address is text, and not of type {type(address).__name__}.")
    address = address.strip()
    if "://" not in address:
        raise ConfigurationError(
            f"{quote(address, 100)!r} is no address of a journal: sqlite:///journal.db for a file in this folder, "
            "sqlite:////srv/journal.db for one elsewhere, or postgresql://USER@HOST/NAME."
        )
    scheme = address.partition("://")[0]
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        # Not what SQLAlchemy says: it repeats the address, and with it the password.
        raise ConfigurationError(
            f"The journal's address {quote(scheme, 30)}://... cannot be read; characters such as @ or / in a password "
            "are written as %40 and %2F."
        ) from None
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise ConfigurationError(f"A journal is kept in SQLite or PostgreSQL, not in {quote(kind, 30)}.")
    if kind == "sqlite" and url.host:
        raise ConfigurationError(
            "The address of an SQLite journal has three slashes before a path (sqlite:///journal.db), four before one "
            "from the root (sqlite:////srv/journal.db)."
        )
    return url


@contextmanager
def _driver_is_missing(url: URL) -> Iterator[None]:
    """Raise our own error where the driver of ``url`` is not installed, or is not an async one.

    Raises:
        ConfigurationError: It is not.
    """
    extra = "durable" if url.get_backend_name() == "sqlite" else "postgres"
    try:
        yield
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        package = error.name if isinstance(error, ModuleNotFoundError) else url.drivername
        raise ConfigurationError(f"The journal's database needs {package}: pip install 'ksef_async[{extra}]'") from None
    except SQLAlchemyError:
        raise ConfigurationError(
            f"A journal needs an async driver, and {url.drivername} is none: sqlite+aiosqlite, postgresql+asyncpg or "
            "postgresql+psycopg."
        ) from None


def _pool(address: URL) -> dict[str, Any]:
    """Return the settings of a pool that keeps its connections: by default most are opened and closed all the time."""
    dialect: Any = address.get_dialect(_is_async=True)
    if not issubclass(dialect.get_pool_class(address), QueuePool):
        return {}  # in memory: one connection
    # On SQLite more readers at once only wait for each other.
    return {"pool_size": 5 if address.get_backend_name() == "sqlite" else 15, "max_overflow": 0}


# --- SQLite ---------------------------------------------------------------------------------------------------


def _prepare_sqlite(engine: AsyncEngine) -> None:
    """Make every commit reach the disk, and every transaction that writes a writer from its start.

    Without the latter two transactions that both read first, and write then, end with "database is locked".
    """

    @event.listens_for(engine.sync_engine, "do_connect")
    def _(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        # Python begins no transaction by itself.
        options.update(async_creator_fn=_SqliteConnection, isolation_level=None)
        # Seconds until "database is locked"; an address may say otherwise (``?timeout=5``).
        options.setdefault("timeout", 30.0)

    @event.listens_for(engine.sync_engine, "connect")
    def _(connection: Any, _record: Any) -> None:  # the driver's own connection
        cursor = connection.cursor()
        for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _(connection: Connection) -> None:
        # What only reads sees what is committed when a statement begins, as on PostgreSQL.
        if not connection.get_execution_options().get("ksef_reads"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")


class _SqliteConnection:
    """A connection on a thread of its own: what SQLAlchemy's dialect asks of one of aiosqlite's, and no more.

    A statement of aiosqlite's runs on in its thread when its task is cancelled. SQLAlchemy then closes the connection,
    and when that is cancelled too, nobody waits for its end: it can hold SQLite's write lock until it is collected.
    And each statement goes to the thread three times; here once, which saves a third of a read's CPU (0.6 ms of 0.9).

    Args:
        database: Its file.
        options: Those of `sqlite3.connect`.
    """

    def __init__(self, database: str, **options: Any) -> None:
        self._connect = partial(sqlite3.connect, database, **options)
        # The dialect rolls back and commits only what has one.
        self._connection: sqlite3.Connection | None = None
        # Threads of a pool do not keep a program from ending.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ksef-journal")
        self._closed: Future[None] | None = None

    def __await__(self) -> Generator[Any, Any, Self]:
        return self._opened().__await__()

    async def _opened(self) -> Self:
        try:
            await self.run(self._open)
        except BaseException:
            self.stop()
            raise
        return self

    def _open(self) -> None:
        self._connection = self._connect()

    async def run(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Return what ``function`` does in the connection's thread; it has ended then, however this was cancelled."""
        if self._closed is not None:
            raise ValueError("no active connection")  # as the dialect knows it
        job = partial(function, *args, **options)
        return await finish(asyncio.get_running_loop().run_in_executor(self._thread, job), math.inf)

    @property
    def _opened_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ValueError("no active connection")
        return self._connection

    def cursor(self) -> _SqliteCursor:
        return _SqliteCursor(self)

    def run_statement(self, is_many: bool, sql: str, parameters: Any) -> tuple[sqlite3.Cursor, deque[Any]]:
        """Execute a statement, in the connection's thread."""
        connection = self._opened_connection
        cursor = connection.executemany(sql, parameters) if is_many else connection.execute(sql, parameters)
        rows = deque(cursor.fetchall() if cursor.description else ())
        cursor.close()
        return cursor, rows

    async def create_function(self, *args: Any, **options: Any) -> None:
        await self.run(self._opened_connection.create_function, *args, **options)

    async def commit(self) -> None:
        await self.run(self._opened_connection.commit)

    async def rollback(self) -> None:
        # SQLAlchemy rolls back after every use; mostly there is nothing to.
        if self._opened_connection.in_transaction:
            await self.run(self._opened_connection.rollback)

    def stop(self) -> None:
        """Close it soon, without waiting for that: as when it is collected."""
        if self._closed is None:
            self._closed = Future()
            with suppress(RuntimeError):  # the program ends
                self._closed = self._thread.submit(self._end)
                self._thread.shutdown(wait=False)

    def _end(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with closing(connection):
                # Closing alone does not end a transaction while a cursor of it is still alive.
                connection.rollback()

    async def close(self) -> None:
        self.stop()
        if self._closed is not None:
            await finish(asyncio.wrap_future(self._closed), math.inf)


class _SqliteCursor:
    """Opens, executes, fetches and closes on one way to the thread and back.

    Each way takes a turn of the event loop, and another of the interpreter's lock: milliseconds while the loop is busy.
    """

    def __init__(self, connection: _SqliteConnection) -> None:
        self._connection = connection
        self._rows: deque[Any] = deque()
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    def __await__(self) -> Generator[None, None, Self]:  # as SQLAlchemy 2.0 makes one
        yield from ()
        return self

    async def __aenter__(self) -> Self:  # as 2.1 does
        return self

    async def execute(self, sql: str, parameters: Any = ()) -> Self:
        return await self._execute(False, sql, parameters)

    async def executemany(self, sql: str, parameters: Iterable[Any]) -> Self:
        return await self._execute(True, sql, parameters)

    async def _execute(self, is_many: bool, sql: str, parameters: Any) -> Self:
        cursor, self._rows = await self._connection.run(self._connection.run_statement, is_many, sql, parameters)
        self.description, self.rowcount, self.lastrowid = cursor.description, cursor.rowcount, cursor.lastrowid
        return self

    async def fetchone(self) -> Any:
        return self._rows.popleft() if self._rows else None

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        return [self._rows.popleft() for _ in range(min(size or self.arraysize, len(self._rows)))]

    async def fetchall(self) -> list[Any]:
        return await self.fetchmany(len(self._rows))

    async def close(self) -> None:
        self._rows.clear()


# --- PostgreSQL -----------------------------------------------------------------------------------------------


def _prepare_postgresql(engine: AsyncEngine) -> None:
    """Replace what the server has closed, e.g. to start again, before it is used; see `_connect_or_close`, too.

    Nothing is sent for it, as ``pool_pre_ping`` would: a task that is cancelled meanwhile would end with the driver's
    error in place of its cancellation.
    """

    @event.listens_for(engine.sync_engine, "do_connect")
    def _(dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        driver = dialect.dbapi
        connect = driver.asyncpg.connect if dialect.driver == "asyncpg" else driver.psycopg.AsyncConnection.connect
        options["async_creator_fn"] = partial(_connect_or_close, connect)

    @event.listens_for(engine.sync_engine, "checkout")
    def _(connection: Any, _record: Any, _proxy: Any) -> None:
        if _is_closed(connection.driver_connection):
            raise DisconnectionError("the server has closed the connection")


def _is_closed(connection: Any) -> bool:
    if not hasattr(connection, "pgconn"):
        return bool(connection.is_closed())  # asyncpg notices by itself
    from psycopg import OperationalError

    try:
        connection.pgconn.consume_input()  # the server's last words
        connection.pgconn.consume_input()  # its end
    except OperationalError:
        return True
    return False


# Seconds that a cancelled connecting may take to end, so that what it has made can be closed.
_GRACE: Final = 5.0


class _Closable(Protocol):
    async def close(self) -> None: ...


Opened = TypeVar("Opened", bound=_Closable)


async def _connect_or_close(
    connect: Callable[..., Coroutine[Any, Any, Opened]], *arguments: Any, **options: Any
) -> Opened:
    """Return what ``connect`` does; when cancelled meanwhile, wait up to `_GRACE` for it, and close it.

    psycopg leaves a half-made connection to the garbage collector, and the server counts it until then.
    """
    task = asyncio.ensure_future(connect(*arguments, **options))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            with suppress(TimeoutError):
                await finish(_close(task), _GRACE)
        finally:
            task.cancel()
        raise


async def _close(connecting: asyncio.Future[Opened]) -> None:
    await asyncio.wait([connecting])
    if not connecting.cancelled() and connecting.exception() is None:
        await connecting.result().close()
