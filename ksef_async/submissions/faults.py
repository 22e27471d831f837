"""Faults of the journal's database: each as one error of ours with a sentence that says what to do, and which pass.

By SQLite's codes (sqlite.org/rescode.html), SQLSTATE (PostgreSQL, appendix A), errno, and for libpq, which has no
SQLSTATE for a connection that fails, by its words.
"""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection

from ..errors import quote
from .database import Database
from .models import JournalError

__all__ = ["Guarded", "fault_of", "is_final", "journal_faults", "transaction"]

_OURS: Final = ("sqlalchemy", "sqlite3", "aiosqlite", "asyncpg", "psycopg", "psycopg_pool")

# What is wrong, and whether it may be over by itself: of faults that have more than one kind of code.
_UNREACHABLE: Final = ("cannot be reached: is it running, and are host and port right?", True)
_LOGIN_REFUSED: Final = ("refuses the user or the password", False)
_NO_DATABASE: Final = ("does not exist: create the database", False)
_NO_TABLES: Final = ("has not the tables that it had when it was opened", False)
_DISK_FULL: Final = ("cannot grow, for the disk is full: make room", True)

_IN_SQLITE: Final[Mapping[int, tuple[str, bool]]] = {
    sqlite3.SQLITE_BUSY: ("is locked: another program has had a transaction open on it for too long; end that", True),
    sqlite3.SQLITE_LOCKED: ("is locked by another connection of this program", True),
    sqlite3.SQLITE_READONLY: ("cannot be written: give this user the right to write the file and its folder", False),
    sqlite3.SQLITE_PERM: ("cannot be used: give this user the right to read and write it", False),
    sqlite3.SQLITE_FULL: _DISK_FULL,
    sqlite3.SQLITE_IOERR: ("cannot be read or written: look at the disk, and at the space left on it", True),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened: its folder has to be there, and this user has to have the right to write to it",
        False,
    ),
    sqlite3.SQLITE_CORRUPT: ("is damaged: restore it from a backup", False),
    sqlite3.SQLITE_NOTADB: ("is not an SQLite database: name another file", False),
    sqlite3.SQLITE_ERROR: _NO_TABLES,
}
_BY_STATE: Final[tuple[tuple[str, str, bool], ...]] = (
    ("28", *_LOGIN_REFUSED),
    ("3D", *_NO_DATABASE),
    ("3F", "has not the schema that is named", False),
    ("42501", "does not give this user the rights it needs: CREATE on the schema, and all on the tables", False),
    ("42", *_NO_TABLES),
    ("25006", "is read-only: connect to the primary server", True),
    ("53100", "cannot grow, for the server's disk is full: make room", True),
    ("53300", "takes no more connections: raise max_connections, or run fewer workers", True),
    ("53", "has no room left", True),
    ("55P03", "is locked by another transaction", True),
    ("40", "gave the transaction up; do it again", True),
    ("57P", "is shutting down, or starting", True),
    ("57014", "gave the statement up: it took too long", True),
    ("08", "has lost the connection", True),
)
_BY_WORDS: Final[tuple[tuple[re.Pattern[str], str, bool], ...]] = (
    (re.compile("password authentication failed|no pg_hba|no password supplied"), *_LOGIN_REFUSED),
    (re.compile('database ".*" does not exist'), *_NO_DATABASE),
    (re.compile("role .* does not exist|not permitted"), *_LOGIN_REFUSED),
    (re.compile("too many (clients|connections)|remaining connection slots"), "takes no more connections", True),
    (re.compile("starting up|shutting down"), "is shutting down, or starting", True),
    (
        re.compile("Connection refused|could not connect|connection failed|failed to resolve|could not translate"),
        *_UNREACHABLE,
    ),
)
_BY_ERRNO: Final[Mapping[int, tuple[str, bool]]] = {
    errno.ECONNREFUSED: _UNREACHABLE,
    errno.ENOENT: ("cannot be opened: its folder, or its socket, does not exist", False),
    errno.EACCES: ("cannot be used: give this user the right to read and write it and its folder", False),
    errno.EPERM: ("cannot be used: give this user the right to read and write it and its folder", False),
    errno.EROFS: ("cannot be written, for its file system is read-only", False),
    errno.ENOSPC: _DISK_FULL,
    errno.EISDIR: ("cannot be opened: its path is that of a folder", False),
}


@contextmanager
def journal_faults(database: Database) -> Iterator[None]:
    """Raise faults of the database as `JournalError`; what else is raised in the block is left as it is."""
    try:
        yield
    except Exception as error:
        if (fault := fault_of(error, database)) is None:
            raise
        # What SQLAlchemy says of it has hundreds of lines, of which this is the gist.
        raise fault from None


def fault_of(error: BaseException, database: Database) -> JournalError | None:
    """Return the fault of the database behind ``error``; None for anything else, an unmet constraint too."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        (error,) = error.exceptions
    package = type(error).__module__.partition(".")[0]
    if isinstance(error, IntegrityError) or not (package in _OURS or isinstance(error, OSError)):
        return None
    what, passes = _verdict(error, is_sqlite=database.is_sqlite)
    origin = getattr(error, "orig", None) or error
    said = quote(" ".join(str(origin).split()), 300) or type(origin).__name__
    return JournalError(f"The journal {database.place} {what}. ({type(origin).__name__}: {said})", passes=passes)


def _verdict(error: BaseException, *, is_sqlite: bool) -> tuple[str, bool]:
    if isinstance(error, PoolTimeoutError):
        return "has all its connections in use: end transactions sooner, or begin fewer at once", True
    for cause in _causes(error):
        code = getattr(cause, "sqlite_errorcode", None)
        if isinstance(code, int) and (known := _IN_SQLITE.get(code & 0xFF)) is not None:
            return known
        state = getattr(cause, "sqlstate", None)
        if isinstance(state, str):
            for beginning, what, passes in _BY_STATE:
                if state.startswith(beginning):
                    return what, passes
        if isinstance(cause, OSError) and (known := _BY_ERRNO.get(cause.errno or 0)) is not None:
            return known
        for words, what, passes in _BY_WORDS:
            if words.search(str(cause)):
                return what, passes
        if isinstance(cause, OSError):
            return _UNREACHABLE
    return ("cannot be used" if is_sqlite else "cannot be used, or has lost the connection"), True


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error``, the errors of a group, what SQLAlchemy wraps, and what each was raised from."""
    yield error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for each in (*inner, getattr(error, "orig", None), error.__cause__):
        if isinstance(each, BaseException):
            yield from _causes(each)


# --- which faults end the delivery ------------------------------------------------------------------------------

# Fewer than those that do not pass for a caller: a worker waits until a missing socket or folder is back.

# What a SQLSTATE starts with: who may log in; there is no such database, schema, table, column, function; no right.
_FINAL: Final = ("28", "3D", "3F", "42P01", "42703", "42883", "42501")

# SQLite's own codes: no such table or column; damaged; no database at all.
_FINAL_IN_SQLITE: Final = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

# libpq, and so psycopg, has no SQLSTATE for a login that is refused; said in another language, it is waited for.
_REFUSED: Final = re.compile(
    r"FATAL: .*(authentication failed|no pg_hba\.conf entry|does not exist|permission denied|not permitted)", re.DOTALL
)


def is_final(error: BaseException) -> bool:
    """Return whether ``error`` of a database lasts until somebody repairs the cause."""
    if isinstance(error, JournalError):
        return not error.passes
    return any(_says_no(cause) for cause in _causes(error))


def _says_no(error: BaseException) -> bool:
    if getattr(error, "sqlite_errorcode", None) in _FINAL_IN_SQLITE:
        return True
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith(_FINAL)
    return _REFUSED.search(str(error)) is not None


# --- for users -------------------------------------------------------------------------------------------------


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
