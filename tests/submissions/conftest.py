"""Journals for tests: in SQLite, and in PostgreSQL by either driver."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from blockbuster import BlockBuster
from clients import connected
from postgres_server import NO_SERVER, postgres_server
from sqlalchemy.engine import URL, make_url

from ksef_async import KsefClient
from ksef_async.protocol.polish_calendar import polish_day, start_of_day
from ksef_async.sandbox import Sandbox
from ksef_async.submissions import Settings, Submissions

QUICK_SETTINGS = Settings(linger=0.1, poll_interval=0.05, first_pause=0.05, lease_duration=2.0)


async def deliver(submissions: Submissions, seconds: float = 20) -> None:
    """Run a worker until nothing is left to do."""
    async with submissions.running():
        with anyio.fail_after(seconds):
            await submissions.wait_until_settled()


async def run_until(submissions: Submissions, is_so: Callable[[], Awaitable[Any]], seconds: float = 20) -> None:
    """Run a worker until something is so."""
    async with submissions.running():
        with anyio.fail_after(seconds):
            while not await is_so():
                await anyio.sleep(0.001)


@pytest.fixture
def start() -> datetime:
    """Noon in Poland, so that at no time of the day midnight is near by itself."""
    return start_of_day(polish_day(datetime.now(UTC))) + timedelta(hours=12)


@pytest.fixture(autouse=True)
def drivers_may_look_at_files(no_blocking_calls: BlockBuster) -> None:
    # SQLAlchemy makes the path of an SQLite file absolute; asyncpg looks for a ~/.pgpass when it connects.
    functions = no_blocking_calls.functions
    functions["os.path.abspath"].can_block_in("sqlalchemy/dialects/sqlite/pysqlite.py", "create_connect_args")
    for function in functions.values():
        function.can_block_in("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        if url is None:
            pytest.skip(NO_SERVER)
        yield url


@pytest.fixture
def postgres_database(postgres: str) -> Iterator[URL]:
    """A database of its own for each test."""
    name = f"ksef_{secrets.token_hex(6)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield make_url(postgres).set(database=name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite+aiosqlite", "postgresql+asyncpg", "postgresql+psycopg"])
def journal_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of journal."""
    if request.param.startswith("sqlite"):
        return f"{request.param}:///{tmp_path / 'journal.db'}"
    url: URL = request.getfixturevalue("postgres_database")
    return url.set(drivername=request.param).render_as_string(hide_password=False)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path / 'journal.db'}"


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[KsefClient]:
    async with connected(sandbox) as client:
        yield client


@pytest.fixture
async def submissions(sqlite_url: str, client: KsefClient) -> AsyncIterator[Submissions]:
    """A journal in SQLite that delivers nothing until it is told to."""
    async with Submissions(sqlite_url, client=client, settings=QUICK_SETTINGS) as submissions:
        yield submissions
