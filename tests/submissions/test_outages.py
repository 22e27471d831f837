"""A database that is gone for a while is waited for, and nothing is lost or doubled; one that says no ends the work."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import anyio
import anyio.to_thread
import attrs
import psycopg
import pytest
from blockbuster import BlockBuster
from clients import connected
from cryptography.fernet import Fernet
from killing import check
from postgres_server import NO_SERVER, PostgresServer, throwaway_server
from procrastinate.exceptions import ConnectorException
from sqlalchemy.engine import URL, make_url

from ksef_async import KsefClient
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.submissions import Engine, JournalError, Submissions
from ksef_async.submissions.faults import is_final
from ksef_async.submissions.procrastinate import ProcrastinateEngine

from .conftest import QUICK_SETTINGS

INVOICES = 150
SETTINGS = attrs.evolve(QUICK_SETTINGS, longest_pause=0.5)


@pytest.fixture(autouse=True)
def procrastinate_may_read_its_schema(no_blocking_calls: BlockBuster) -> None:
    functions = no_blocking_calls.functions
    for name in ("io.TextIOWrapper.read", "io.BufferedReader.read"):
        functions[name].can_block_in("procrastinate/schema.py", "get_schema")


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with throwaway_server() as server:
        if server is None:
            pytest.skip(NO_SERVER)
        yield server


def engine(url: URL | str) -> Engine:
    address = url if isinstance(url, str) else url.render_as_string(hide_password=False)
    return ProcrastinateEngine(address, heartbeat=0.5, stalled_after=2.0, polling_interval=0.2)


def journal(url: URL | str, driver: str) -> str:
    return make_url(url).set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)


async def settled(submissions: Submissions) -> None:
    """Wait for the end; who looks while the server is gone is told so."""
    while True:
        try:
            await submissions.wait_until_settled()
        except JournalError:
            await anyio.sleep(0.05)
        else:
            return


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGINT], ids=["crash", "restart"])
@pytest.mark.parametrize(("driver", "with_engine"), [("asyncpg", False), ("psycopg", False), ("asyncpg", True)])
async def test_server_that_restarts_in_the_middle_loses_and_doubles_nothing(
    server: PostgresServer, sandbox: Sandbox, driver: str, with_engine: bool, how: signal.Signals
) -> None:
    documents = [sample_invoice(sandbox.nip, f"FV/{number}") for number in range(INVOICES)]
    sandbox.faults.add("send_invoice", Fault.drop_after(), probability=0.05)
    sandbox.faults.add("send_invoice", Fault.wait(0.02), times=100_000)
    async with (
        connected(sandbox) as client,
        Submissions(
            journal(server.url, driver),
            client=client,
            keys=[Fernet.generate_key()],
            engine=engine(server.url) if with_engine else None,
            settings=SETTINGS,
        ) as submissions,
    ):
        async with submissions.begin() as transaction:
            for document in documents:
                await submissions.submit(document, tx=transaction)
        async with submissions.running():
            for moment in (INVOICES // 4, INVOICES // 2):
                while sum(1 for _ in sandbox.world.invoices()) < moment:
                    await anyio.sleep(0.001)
                await anyio.to_thread.run_sync(server.stop, how)
                with pytest.raises(JournalError):
                    while True:
                        await submissions.count()
                await anyio.to_thread.run_sync(server.start)
            with anyio.fail_after(60):
                await settled(submissions)

        await check(sandbox, submissions, documents)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_connections_that_a_restart_has_closed_are_replaced(server: PostgresServer, driver: str) -> None:
    async with Submissions(journal(server.url, driver)) as submissions:

        async def use() -> None:
            await asyncio.gather(*(submissions.count() for _ in range(10)))
            for number in range(10):
                await submissions.submit(sample_invoice("5265877635", f"FV/{number}"))

        await use()
        for how in (signal.SIGINT, signal.SIGQUIT):
            await anyio.to_thread.run_sync(server.stop, how)
            await anyio.to_thread.run_sync(server.start)
            await use()

        assert len(await submissions.list_page()) == 10


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_table_that_is_gone_ends_the_delivery(postgres_database: URL, client: KsefClient, driver: str) -> None:
    url = journal(postgres_database, driver)
    async with Submissions(url, client=client, settings=SETTINGS) as submissions:
        with anyio.fail_after(20), pytest.raises(JournalError, match="ksef_contexts"):
            async with submissions.running():
                async with submissions.begin() as connection:
                    await connection.exec_driver_sql("DROP TABLE ksef_contexts")
                await anyio.sleep_forever()


async def test_table_that_is_gone_from_sqlite_ends_the_delivery(submissions: Submissions) -> None:
    with anyio.fail_after(20), pytest.raises(JournalError, match="no such table: ksef_contexts"):
        async with submissions.running():
            async with submissions.begin() as connection:
                await connection.exec_driver_sql("DROP TABLE ksef_contexts")
            await anyio.sleep_forever()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
@pytest.mark.parametrize("with_engine", [False, True], ids=["embedded", "engine"])
async def test_login_that_is_refused_ends_the_delivery(
    postgres: str, postgres_database: URL, client: KsefClient, driver: str, with_engine: bool
) -> None:
    role = f"worker_{postgres_database.database}"
    own = postgres_database.set(username=role)
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN")
        admin.execute(f"ALTER DATABASE {postgres_database.database} OWNER TO {role}")
        async with Submissions(
            journal(own, driver),
            client=client,
            engine=engine(own) if with_engine else None,
            settings=SETTINGS,
        ) as submissions:
            refused = (JournalError, ConnectorException)
            with anyio.fail_after(40), pytest.raises(refused) as caught:
                async with submissions.running():
                    admin.execute(f"ALTER ROLE {role} NOLOGIN")
                    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role])
                    await anyio.sleep_forever()
        assert is_final(caught.value)
        admin.execute(f"ALTER DATABASE {postgres_database.database} OWNER TO CURRENT_USER")
        admin.execute(f"GRANT {role} TO CURRENT_USER")
        with psycopg.connect(postgres_database.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER")
        admin.execute(f"DROP ROLE {role}")


async def test_engine_without_its_tables_ends_the_delivery(postgres_database: URL, client: KsefClient) -> None:
    url = journal(postgres_database, "asyncpg")
    async with Submissions(url, client=client, engine=engine(postgres_database), settings=SETTINGS) as submissions:
        with anyio.fail_after(40), pytest.raises(ConnectorException):
            async with submissions.running():
                async with submissions.begin() as connection:
                    await connection.exec_driver_sql("DROP TABLE procrastinate_jobs CASCADE")
                await anyio.sleep_forever()


async def test_engine_whose_connections_are_ended_goes_on(postgres_database: URL, sandbox: Sandbox) -> None:
    async with (
        connected(sandbox) as client,
        Submissions(
            journal(postgres_database, "asyncpg"), client=client, engine=engine(postgres_database), settings=SETTINGS
        ) as submissions,
    ):
        async with submissions.running():
            for number in range(3):
                await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"))
                with anyio.fail_after(30):
                    await settled(submissions)
                # Only the engine's: its listener and its pool.
                async with submissions.begin() as connection:
                    await connection.exec_driver_sql(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                        "AND pid <> pg_backend_pid() AND query ILIKE '%%procrastinate%%'"
                    )

        await check(sandbox, submissions, [sample_invoice(sandbox.nip, f"FV/{number}") for number in range(3)])


def at_work() -> set[str]:
    """Tasks of the worker's, or of ours, that are running."""
    files = {task: getattr(task.get_coro(), "cr_code", None) for task in asyncio.all_tasks()}
    rooms = ("procrastinate/worker.py", "procrastinate/job_manager.py", "ksef_async/submissions")
    return {str(task) for task, code in files.items() if code and any(room in code.co_filename for room in rooms)}


@pytest.mark.parametrize("sent", [1, 20, 40])
async def test_engine_that_is_left_in_the_middle_leaves_no_task(
    postgres_database: URL, sandbox: Sandbox, sent: int
) -> None:
    sandbox.faults.add("send_invoice", Fault.wait(0.02), times=100_000)
    async with (
        connected(sandbox) as client,
        Submissions(
            journal(postgres_database, "asyncpg"), client=client, engine=engine(postgres_database), settings=SETTINGS
        ) as submissions,
    ):
        async with submissions.begin() as transaction:
            for number in range(60):
                await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"), tx=transaction)

        async with submissions.running():
            while sum(1 for _ in sandbox.world.invoices()) < sent:
                await anyio.sleep(0.001)

        assert at_work() == set()
        async with submissions.begin() as connection:
            # Given back: another worker need not wait.
            held = await connection.exec_driver_sql("SELECT expires_at FROM ksef_contexts")
            assert held.scalar_one() == 0
            assert (await connection.exec_driver_sql("SELECT count(*) FROM procrastinate_workers")).scalar_one() == 0


def _sqlite(statement: str) -> Exception:
    try:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute(statement)
    except sqlite3.Error as error:
        return error
    raise AssertionError("it worked")


def _with_state(state: str) -> Exception:
    error = Exception(state)
    error.sqlstate = state  # type: ignore[attr-defined]
    return error


def _raised_from(cause: Exception) -> Exception:
    error = Exception("what the engine calls it")
    error.__cause__ = cause
    return error


def _fatal(text: str) -> Exception:
    return psycopg.OperationalError(f'connection failed: connection to server at "127.0.0.1" failed: FATAL:  {text}')


@pytest.mark.parametrize(
    ("error", "final"),
    [
        pytest.param(_with_state("28P01"), True, id="wrong password"),
        pytest.param(_with_state("3D000"), True, id="no such database"),
        pytest.param(_with_state("42P01"), True, id="no such table"),
        pytest.param(_with_state("42501"), True, id="no right"),
        pytest.param(_with_state("57P01"), False, id="server is shut down"),
        pytest.param(_with_state("57P03"), False, id="server is starting"),
        pytest.param(_with_state("53300"), False, id="too many connections"),
        pytest.param(_with_state("40P01"), False, id="deadlock"),
        pytest.param(_with_state("25006"), False, id="a standby"),
        pytest.param(ConnectionRefusedError(111, "refused"), False, id="refused"),
        pytest.param(_raised_from(ConnectionResetError()), False, id="reset, as the engine tells it"),
        pytest.param(_raised_from(_with_state("42883")), True, id="no such function, as the engine tells it"),
        pytest.param(ExceptionGroup("two", [OSError(), _with_state("28000")]), True, id="in a group"),
        pytest.param(_fatal('password authentication failed for user "ksef"'), True, id="wrong password, psycopg"),
        pytest.param(_fatal('no pg_hba.conf entry for host "10.0.0.1"'), True, id="not let in, psycopg"),
        pytest.param(_fatal('role "ksef" is not permitted to log in'), True, id="no longer let in, psycopg"),
        pytest.param(_fatal('database "ksef" does not exist'), True, id="no such database, psycopg"),
        pytest.param(_fatal("the database system is starting up"), False, id="server is starting, psycopg"),
        pytest.param(_fatal("sorry, too many clients already"), False, id="too many connections, psycopg"),
        pytest.param(_sqlite("SELECT 1 FROM nowhere"), True, id="no such table, SQLite"),
    ],
)
def test_what_passes_is_told_from_what_does_not(error: Exception, final: bool) -> None:
    assert is_final(error) is final
