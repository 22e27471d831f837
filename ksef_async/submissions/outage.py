"""Retry while the database or the engine is unreachable; an error that its owner has to mend ends the work.

A connection that is lost, a server that starts again or has no room: all of that passes. A wrong password, a database
or a table that is not there does not.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Callable
from typing import Final

import anyio

from .faults import causes
from .models import JournalError, Settings
from .trouble import gist

__all__ = ["Unreachable", "is_final"]

_log = logging.getLogger(__name__)

# What a SQLSTATE starts with: who may log in; there is no such database, schema, table, column, function; no right.
_FINAL: Final = ("28", "3D", "3F", "42P01", "42703", "42883", "42501")

# SQLite's own codes: no such table or column; damaged; no database at all.
_FINAL_IN_SQLITE: Final = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

# libpq, and so psycopg, has no SQLSTATE for a login that is refused; said in another language, it is waited for.
_REFUSED: Final = re.compile(
    r"FATAL: .*(authentication failed|no pg_hba\.conf entry|does not exist|permission denied|not permitted)", re.DOTALL
)


class Unreachable:
    """Something that cannot be reached, or works again.

    Args:
        what: Its name, for people.
        settings: How long to pause.
        describe: Returns an error as it is to be logged.
    """

    def __init__(
        self, what: str, settings: Settings, describe: Callable[[Exception], Exception] = lambda error: error
    ) -> None:
        self._describe = describe
        self._what = what
        self._settings = settings
        self._tries = 0
        self._logged: str | None = None

    async def wait_out(self, error: Exception) -> None:
        """Pause after ``error``, each time in a row for longer.

        Raises:
            Exception: ``error`` itself, when it is not over by itself.
        """
        if is_final(error):
            raise error
        described = self._describe(error)
        text = f"{type(described).__name__}: {described}"
        if (about := gist(text)) != self._logged:
            self._logged = about
            _log.warning("%s cannot be reached; trying again: %s", self._what, text)
        self._tries += 1
        await anyio.sleep(self._settings.pause(self._tries))

    def is_over(self) -> None:
        """Note that it could be reached again."""
        if self._tries:
            _log.info("%s can be reached again", self._what)
        self._tries, self._logged = 0, None


def is_final(error: BaseException) -> bool:
    """Return whether ``error`` of a database lasts until somebody repairs the cause."""
    if isinstance(error, JournalError):
        return not error.passes
    return any(_says_no(cause) for cause in causes(error))


def _says_no(error: BaseException) -> bool:
    if getattr(error, "sqlite_errorcode", None) in _FINAL_IN_SQLITE:
        return True
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith(_FINAL)
    return _REFUSED.search(str(error)) is not None
