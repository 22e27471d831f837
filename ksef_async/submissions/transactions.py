"""One statement, in whatever transaction the caller has: SQLAlchemy's, or a driver's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import asyncpg as _asyncpg
from sqlalchemy.dialects.postgresql import psycopg as _psycopg
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.sql import ClauseElement

from ..errors import LocalProtocolError

__all__ = ["Transaction", "execute", "insert_for"]

#: An AsyncConnection, an AsyncSession, or a connection of asyncpg, psycopg (async) or aiosqlite. The drivers are
#: optional, so their types cannot be named here.
Transaction: TypeAlias = Any

_DIALECTS: Final[dict[str, Dialect]] = {
    "asyncpg": _asyncpg.dialect(),  # type: ignore[no-untyped-call]
    "psycopg": _psycopg.dialect(),  # type: ignore[no-untyped-call]
    "aiosqlite": sqlite.dialect(),
}


def insert_for(tx: Transaction) -> Any:
    """The ``insert`` with ``on_conflict_do_nothing`` of the database behind ``tx``."""
    if isinstance(tx, AsyncConnection):
        name = tx.dialect.name
    elif isinstance(tx, AsyncSession):
        name = tx.get_bind().dialect.name
    else:
        name = "sqlite" if _driver(tx) == "aiosqlite" else "postgresql"
    return sqlite.insert if name == "sqlite" else postgresql.insert


async def execute(tx: Transaction, statement: ClauseElement) -> list[Sequence[Any]]:
    """Run ``statement`` in the caller's transaction; the rows it gives.

    Raises:
        LocalProtocolError: ``tx`` is nothing a statement can be run in.
    """
    if isinstance(tx, AsyncConnection | AsyncSession):
        # Statements of ours are all executable; ClauseElement is what can be compiled, too.
        result: Any = await tx.execute(statement)  # type: ignore[call-overload]
        return list(result.all())
    driver = _driver(tx)
    dialect = _DIALECTS[driver]
    compiled = statement.compile(dialect=dialect)
    parameters: dict[str, Any] = {**(compiled.params or {})}
    # An IN clause would be spelled out on execution only; there is none in the statements given to this.
    positions: list[str] | None = getattr(compiled, "positiontup", None)
    ordered = [parameters[name] for name in positions or ()]
    if driver == "asyncpg":
        return list(await tx.fetch(str(compiled), *ordered))
    if driver == "psycopg":
        cursor = await tx.execute(str(compiled), parameters)
        # psycopg's rows may be dictionaries or models, as the caller's row factory likes.
        names = [column.name for column in cursor.description or ()]
        return [_in_order(row, names) for row in await cursor.fetchall()]
    cursor = await tx.execute(str(compiled), ordered)
    return [tuple(row) for row in await cursor.fetchall()]


def _in_order(row: Any, names: list[str]) -> Sequence[Any]:
    if isinstance(row, tuple):
        return row
    if isinstance(row, dict):
        return tuple(row[name] for name in names)
    return tuple(getattr(row, name) for name in names)


def _driver(tx: Transaction) -> str:
    # asyncpg's pool hands out proxies, and subclasses live in the caller's modules.
    for cls in type(tx).__mro__:
        if (package := cls.__module__.partition(".")[0]) in _DIALECTS:
            return package
    raise LocalProtocolError(
        f"tx is a {type(tx).__name__}; it has to be an SQLAlchemy AsyncConnection or AsyncSession, or a connection "
        "of asyncpg, psycopg or aiosqlite."
    )
