"""Statements, in whatever transaction the caller has: SQLAlchemy's, or a driver's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import asyncpg as _asyncpg
from sqlalchemy.dialects.postgresql import psycopg as _psycopg
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.sql import ClauseElement, ColumnElement
from sqlalchemy.sql.compiler import Compiled

from ..errors import LocalProtocolError

__all__ = ["Transaction", "execute", "insert_missing"]

Transaction: TypeAlias = Any
"""An AsyncConnection, an AsyncSession, or a connection of asyncpg, psycopg (async) or aiosqlite. The drivers are
optional, so their types cannot be named here.
"""

_DIALECTS: Final[dict[str, Dialect]] = {
    "asyncpg": _asyncpg.dialect(),  # type: ignore[no-untyped-call]
    "psycopg": _psycopg.dialect(),  # type: ignore[no-untyped-call]
    "aiosqlite": sqlite.dialect(),
}


async def execute(tx: Transaction, statement: ClauseElement) -> list[Sequence[Any]]:
    """Run ``statement`` in the caller's transaction; return its rows.

    Raises:
        LocalProtocolError: ``tx`` is nothing a statement can be run in.
    """
    if isinstance(tx, AsyncConnection | AsyncSession):
        # Statements of ours are all executable; ClauseElement is what can be compiled, too.
        result: Any = await tx.execute(statement)  # type: ignore[call-overload]
        return list(result.all())
    driver = _driver(tx)
    # By itself SQLAlchemy spells an IN clause out on execution only.
    compiled = statement.compile(dialect=_DIALECTS[driver], compile_kwargs={"render_postcompile": True})
    return await _run(tx, driver, compiled, {**(compiled.params or {})})


async def insert_missing(
    tx: Transaction, table: Table, rows: Sequence[Mapping[str, Any]], returning: Sequence[ColumnElement[Any]]
) -> list[Sequence[Any]]:
    """Insert rows, skipping those that conflict with an existing row; return columns of those inserted.

    Args:
        tx: The caller's transaction.
        table: Where to.
        rows: Values by the names of their columns; all rows have the same names.
        returning: The columns to return.

    Raises:
        LocalProtocolError: ``tx`` is nothing a statement can be run in.
    """
    if isinstance(tx, AsyncConnection | AsyncSession):
        dialect = tx.dialect if isinstance(tx, AsyncConnection) else tx.get_bind().dialect
        # All rows in one statement, whose text is kept: with the rows in it, it would be made anew each time.
        result: Any = await tx.execute(_insert(table, dialect, returning), [*rows])
        return list(result.all())
    driver = _driver(tx)
    compiled = _insert(table, _DIALECTS[driver], returning).compile(dialect=_DIALECTS[driver], column_keys=[*rows[0]])
    return [found for row in rows for found in await _run(tx, driver, compiled, {**compiled.params, **row})]


def _insert(table: Table, dialect: Dialect, returning: Sequence[ColumnElement[Any]]) -> Any:
    insert: Any = sqlite.insert if dialect.name == "sqlite" else postgresql.insert
    return insert(table).on_conflict_do_nothing().returning(*returning)


async def _run(tx: Transaction, driver: str, compiled: Compiled, parameters: dict[str, Any]) -> list[Sequence[Any]]:
    """Run a statement in a driver's own transaction."""
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
