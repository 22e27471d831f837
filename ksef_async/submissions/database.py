"""The journal's database: one engine, with the settings that make a commit on SQLite a promise."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import anyio
import anyio.to_thread
from sqlalchemy import event, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from ..errors import LocalProtocolError
from .privacy import make_private
from .schema import migrate

__all__ = ["Database"]

# Any number will do, as long as every process takes the same: while tables are made or changed.
_MIGRATION_LOCK: Final = 5_265_877_635


class Database:
    """Transactions on the journal.

    Args:
        url: SQLAlchemy's, with an async driver.

    Raises:
        LocalProtocolError: The database is neither SQLite nor PostgreSQL.
    """

    def __init__(self, url: str) -> None:
        address = make_url(url)
        if (kind := address.get_backend_name()) not in ("sqlite", "postgresql"):
            raise LocalProtocolError(f"A journal is kept in SQLite or PostgreSQL, not in {kind}.")
        # Documents are parameters; errors must not tell them.
        self.engine = create_async_engine(address, hide_parameters=True, **_pool(address))
        self.is_sqlite = kind == "sqlite"
        if self.is_sqlite:
            _promise(self.engine)
        else:
            _replace_closed(self.engine)
        # SQLite has one writer at a time: queueing here is fairer and quicker than its busy loop.
        self._writer = anyio.Lock()
        self.commits = 0
        """How many transactions were committed by this process."""

    def __repr__(self) -> str:
        return f"<Database {self.engine.url.render_as_string(hide_password=True)}>"

    @property
    def file(self) -> str | None:
        """The SQLite file; None for a database in memory or on a server."""
        name, query = self.engine.url.database, self.engine.url.query
        if not self.is_sqlite or not name:
            return None
        if "uri" in query and name.startswith("file:"):
            name = "" if query.get("mode") == "memory" else unquote(name.removeprefix("file:").removeprefix("//"))
        return name if name not in ("", ":memory:") else None

    @asynccontextmanager
    async def write(self, *, shield: bool = True) -> AsyncGenerator[AsyncConnection]:
        """A transaction that is committed at the end of the block.

        Args:
            shield: Finish it although it is cancelled: a connection that is left in the middle of a transaction can
                hold SQLite's write lock until it is collected.
        """
        with anyio.CancelScope(shield=shield):
            async with AsyncExitStack() as stack:
                if self.is_sqlite:
                    await stack.enter_async_context(self._writer)
                yield await stack.enter_async_context(self.engine.begin())
            self.commits += 1

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """A connection to read with."""
        with anyio.CancelScope(shield=True):
            async with AsyncExitStack() as stack:
                if self.is_sqlite and self.file is None:
                    # In memory there is but one connection, and what is rolled back after reading is all of it.
                    await stack.enter_async_context(self._writer)
                connection = await stack.enter_async_context(self.engine.connect())
                if self.is_sqlite:
                    connection = await connection.execution_options(ksef_reads=True)
                yield connection

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
        with anyio.CancelScope(shield=True):
            await self.engine.dispose()


def _pool(address: URL) -> dict[str, Any]:
    """As many connections as are kept: SQLAlchemy's own choice opens and closes most of them all the time."""
    dialect: Any = address.get_dialect(_is_async=True)
    if not issubclass(dialect.get_pool_class(address), QueuePool):
        return {}  # in memory: one connection
    # On SQLite more readers at once only wait for each other.
    return {"pool_size": 5 if address.get_backend_name() == "sqlite" else 15, "max_overflow": 0}


def _promise(engine: AsyncEngine) -> None:
    """Every commit reaches the disk, and every transaction that writes is a writer from its start.

    Without the latter two transactions that both read first, and write then, end with "database is locked".
    """

    from .sqlite_connection import connect

    @event.listens_for(engine.sync_engine, "do_connect")
    def _(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        options["async_creator_fn"] = connect

    @event.listens_for(engine.sync_engine, "connect")
    def _(connection: Any, _record: Any) -> None:  # the driver's own connection
        connection.isolation_level = None
        cursor = connection.cursor()
        for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _(connection: Connection) -> None:
        # What only reads sees what is committed when a statement begins, as on PostgreSQL.
        if not connection.get_execution_options().get("ksef_reads"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")


def _replace_closed(engine: AsyncEngine) -> None:
    """What the server has closed, e.g. to start again, is replaced before it is used; see `connect_or_close`, too.

    Nothing is sent for it, as ``pool_pre_ping`` would: a task that is cancelled meanwhile would end with the driver's
    error in place of its cancellation.
    """

    from .postgres_connection import connect_or_close

    @event.listens_for(engine.sync_engine, "do_connect")
    def _(dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        driver = dialect.dbapi
        connect = driver.asyncpg.connect if dialect.driver == "asyncpg" else driver.psycopg.AsyncConnection.connect
        options["async_creator_fn"] = partial(connect_or_close, connect)

    @event.listens_for(engine.sync_engine, "checkout")
    def _(connection: Any, _record: Any, _proxy: Any) -> None:
        if _is_closed(connection.driver_connection):
            raise DisconnectionError("the server has closed the connection")


def _is_closed(connection: Any) -> bool:
    if not hasattr(connection, "pgconn"):
        return bool(connection.is_closed())  # asyncpg hears of it by itself
    from psycopg import OperationalError

    try:
        connection.pgconn.consume_input()  # the server's last words
        connection.pgconn.consume_input()  # its end
    except OperationalError:
        return True
    return False
