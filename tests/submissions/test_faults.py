"""Faults of the journal's database: each is one error of ours, with a sentence and without what SQLAlchemy adds."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster
from clients import connected
from sqlalchemy import text
from sqlalchemy.engine import make_url

from ksef_async import ConfigurationError, KsefError, LocalProtocolError
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.submissions import JournalError, Submissions
from ksef_async.submissions.database import Database
from ksef_async.submissions.faults import fault_of

INVOICE = sample_invoice("5265877635")


@pytest.fixture(autouse=True)
def looking_at_paths(no_blocking_calls: BlockBuster) -> None:
    # SQLAlchemy looks at the path of the file as it connects.
    no_blocking_calls.functions["os.path.abspath"].can_block_in(
        "sqlalchemy/dialects/sqlite/pysqlite.py", "create_connect_args"
    )


def lines_of(error: BaseException) -> int:
    return len("".join(traceback.format_exception(error)).splitlines())


async def failure_of(url: str) -> KsefError:
    """The error of entering the journal."""
    with pytest.raises(KsefError) as caught:
        async with Submissions(url):
            pass
    printed = "".join(traceback.format_exception(caught.value))
    assert "sqlalche.me" not in printed
    assert len(printed.splitlines()) < 60
    return caught.value


# --- addresses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:///journal.db", "sqlite+aiosqlite"),
        (" sqlite+aiosqlite:////srv/journal.db\n", "sqlite+aiosqlite"),
        ("sqlite://", "sqlite+aiosqlite"),
        ("postgresql://me@db.example/ksef", "postgresql+asyncpg"),
        ("postgres://me@db.example/ksef", "postgresql+asyncpg"),
        ("postgresql+psycopg://me@db.example/ksef", "postgresql+psycopg"),
    ],
)
async def test_address_without_an_async_driver_gets_one(url: str, driver: str) -> None:
    database = Database(url)

    assert database.engine.url.drivername == driver
    await database.aclose()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("journal.db", "sqlite:///journal.db for a file in this folder"),
        ("/srv/journal.db", "sqlite:////srv/journal.db for one elsewhere"),
        ("", "is no address of a journal"),
        ("sqlite://journal.db", "has three slashes before a path"),
        ("mysql+aiomysql://db/x", "in SQLite or PostgreSQL, not in mysql"),
        ("postgresql+psycopg2://db/x", "psycopg2"),
        ("postgresql://me:SEC RET/@db:port/x", "%40 and %2F"),
        (None, "not of type NoneType"),
        (Path("journal.db"), "Path"),
    ],
    ids=repr,
)
def test_address_is_refused(url: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        Submissions(url)

    assert "SEC" not in str(caught.value)


# --- SQLite -----------------------------------------------------------------------------------------------


async def test_folder_is_missing(tmp_path: Path) -> None:
    error = await failure_of(f"sqlite:///{tmp_path}/none/journal.db")

    assert isinstance(error, JournalError)
    assert not error.passes
    assert f"The journal {tmp_path}/none/journal.db cannot be opened: its folder has to be there" in str(error)


async def test_path_is_that_of_a_folder(tmp_path: Path) -> None:
    assert "cannot be opened" in str(await failure_of(f"sqlite:///{tmp_path}"))


async def test_file_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"Dear diary, " * 100)

    error = await failure_of(f"sqlite:///{tmp_path}/journal.db")

    assert "is not an SQLite database: name another file" in str(error)


async def test_database_is_read_only(tmp_path: Path) -> None:
    async with Submissions(f"sqlite:///{tmp_path}/journal.db"):
        pass
    async with Submissions(f"sqlite:///file:{tmp_path}/journal.db?mode=ro&uri=true") as journal:
        assert (await journal.list_page()) == ()
        with pytest.raises(JournalError, match="cannot be written: give this user the right to write") as caught:
            await journal.submit(INVOICE)

    assert not caught.value.passes
    assert lines_of(caught.value) < 60


async def test_journal_of_a_later_version(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    async with Submissions(url) as journal, journal.begin() as connection:
        await connection.execute(text("UPDATE ksef_schema SET version = 99"))

    error = await failure_of(url)

    assert isinstance(error, LocalProtocolError)
    assert "The journal has version 99" in str(error)
    assert str(error).endswith(": update it.")


async def test_tables_that_are_gone(tmp_path: Path) -> None:
    async with Submissions(f"sqlite:///{tmp_path}/journal.db") as journal:
        async with journal.begin() as connection:
            await connection.execute(text("ALTER TABLE ksef_submissions RENAME TO elsewhere"))

        for use in (journal.submit(INVOICE), journal.get(1), journal.count()):
            with pytest.raises(JournalError, match="has not the tables that it had") as caught:
                await use
            assert not caught.value.passes
            assert lines_of(caught.value) < 60


def real_error(cause: Callable[[sqlite3.Connection], object], path: Path) -> sqlite3.Error:
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        cause(connection)
    except sqlite3.Error as error:
        return error
    finally:
        connection.close()
    raise AssertionError("it did not fail")


def lock(connection: sqlite3.Connection) -> None:
    (path,) = (row[2] for row in connection.execute("PRAGMA database_list"))
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        connection.execute("BEGIN IMMEDIATE")
    finally:
        other.close()


def fill(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (x)")
    connection.execute("PRAGMA max_page_count = 2")
    connection.execute("INSERT INTO t VALUES (zeroblob(1000000))")


@pytest.mark.parametrize(
    ("cause", "said"), [(lock, "is locked: another program"), (fill, "the disk is full: make room")]
)
def test_fault_that_passes(cause: Callable[[sqlite3.Connection], object], said: str, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/journal.db")

    fault = fault_of(real_error(cause, tmp_path / "journal.db"), database)

    assert fault is not None
    assert fault.passes
    assert said in str(fault)


async def test_errors_of_the_users_own_statements_are_left_as_they_are(tmp_path: Path) -> None:
    async with Submissions(f"sqlite:///{tmp_path}/journal.db") as journal:
        with pytest.raises(Exception, match="no such table: orders") as caught:
            async with journal.begin() as connection:
                await connection.execute(text("INSERT INTO orders VALUES (1)"))

    assert not isinstance(caught.value, KsefError)


async def test_delivery_ends_with_the_fault(sandbox: Sandbox, tmp_path: Path) -> None:
    async with connected(sandbox) as client, Submissions(f"sqlite:///{tmp_path}/j.db", client=client) as journal:
        async with journal.begin() as connection:
            await connection.execute(text("ALTER TABLE ksef_contexts RENAME TO elsewhere"))

        with pytest.raises(JournalError, match="has not the tables that it had") as caught:
            async with journal.running():
                await journal.wait_until_settled()
                await journal.results().__anext__()

    assert lines_of(caught.value) < 60


# --- PostgreSQL -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_nobody_listens(driver: str, unused_port: int) -> None:
    error = await failure_of(f"postgresql+{driver}://me:SECRET@127.0.0.1:{unused_port}/ksef")

    assert isinstance(error, JournalError)
    assert error.passes
    assert f"The journal ksef at 127.0.0.1:{unused_port} cannot be reached: is it running" in str(error)
    assert "SECRET" not in str(error)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_database_that_is_not_there(driver: str, postgres: str) -> None:
    url = make_url(postgres).set(drivername=f"postgresql+{driver}", database="nowhere")

    error = await failure_of(url.render_as_string(hide_password=False))

    assert isinstance(error, JournalError)
    assert not error.passes
    assert "does not exist: create the database" in str(error)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_user_whom_the_server_does_not_know(driver: str, postgres: str) -> None:
    url = make_url(postgres).set(drivername=f"postgresql+{driver}", username="nobody_at_all", password="SECRET")

    error = await failure_of(url.render_as_string(hide_password=False))

    assert "refuses the user or the password" in str(error)
    assert "SECRET" not in str(error)
