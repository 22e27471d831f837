"""The address of a journal: read leniently, and refused with a sentence that never shows its password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from ..errors import ConfigurationError, quote

__all__ = ["driver_is_missing", "journal_url"]

_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


def journal_url(address: str) -> URL:
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
def driver_is_missing(url: URL) -> Iterator[None]:
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
