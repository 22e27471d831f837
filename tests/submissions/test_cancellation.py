"""A task that is cancelled in the middle of a transaction leaves neither a connection nor a lock behind."""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import anyio
import attrs
import pytest
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool

from ksef_async import KsefClient
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.submissions import Submissions, SubmissionState
from ksef_async.submissions.database import Database

from .conftest import QUICK_SETTINGS

TIMES = int(os.environ.get("CANCELLATION_TIMES", "8"))
SEED = 20261124


async def cancelled(coroutine: Coroutine[Any, Any, None], seconds: float, times: int) -> None:
    """Run a task for a while, and cancel it as asyncio does, once or again while it cleans up."""
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(seconds)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with suppress(asyncio.CancelledError):
        await task


async def check_nothing_left(submissions: Submissions, number: str, nip: str) -> None:
    with anyio.fail_after(5):
        async with submissions.begin() as connection:
            pool = connection.engine.pool
        assert isinstance(pool, QueuePool)
        while pool.checkedout():
            await anyio.sleep(0.001)
        await submissions.submit(sample_invoice(nip, number))
    gc.collect()


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_transaction_of_a_cancelled_task_is_rolled_back_at_once(
    journal_url: str, sandbox: Sandbox, times: int
) -> None:
    chance = random.Random(SEED)
    async with Submissions(journal_url) as submissions:

        async def submit(number: int) -> None:
            async with submissions.begin() as transaction:
                for each in range(3):
                    await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}/{each}"), tx=transaction)

        for number in range(TIMES):
            await cancelled(submit(number), chance.random() * 0.02, times)
            await check_nothing_left(submissions, f"AFTER/{number}", sandbox.nip)

        lots = [submission.identity.number for submission in await submissions.list_page(limit=10 * TIMES)]
        # Whole or not at all.
        assert all(sum(lot.startswith(f"FV/{number}/") for lot in lots) in (0, 3) for number in range(TIMES))
        assert sum(lot.startswith("AFTER/") for lot in lots) == TIMES


@pytest.mark.parametrize("times", [1, 3])
async def test_cancelled_delivery_leaves_no_transaction_open(
    journal_url: str, client: KsefClient, sandbox: Sandbox, times: int
) -> None:
    chance = random.Random(SEED)
    # The lease is renewed all the time.
    settings = attrs.evolve(QUICK_SETTINGS, lease_duration=0.06)
    async with Submissions(journal_url, client=client, settings=settings) as submissions:

        async def deliver() -> None:
            async with submissions.running():
                await anyio.sleep_forever()

        for number in range(TIMES // 4):
            await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"))
            await cancelled(deliver(), chance.random() * 0.2, times)
            await check_nothing_left(submissions, f"AFTER/{number}", sandbox.nip)

    # A busy machine may take longer to renew a lease than such a short one lasts.
    async with Submissions(journal_url, client=client, settings=QUICK_SETTINGS) as submissions:
        async with submissions.running():
            with anyio.fail_after(20):
                await submissions.wait_until_settled()
        assert (await submissions.count())[SubmissionState.ACCEPTED] == TIMES // 4 * 2


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
@pytest.mark.parametrize("times", [1, 2])
async def test_task_cancelled_while_it_connects_leaves_no_connection_to_the_collector(
    postgres_database: URL, driver: str, times: int
) -> None:
    url = postgres_database.set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)

    async def use(database: Database) -> None:
        async with database.read() as connection:
            await connection.exec_driver_sql("SELECT 1")

    gc.disable()
    try:
        for turns in range(0, 60, 2):
            database = Database(url)
            task = asyncio.ensure_future(use(database))
            for _ in range(turns):
                await asyncio.sleep(0.0001)
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0)
            await asyncio.wait([task])
            assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
            await database.aclose()
        kept: list[int] = []
        database = Database(url)
        with anyio.fail_after(10):  # the server takes a moment to hear of an end
            while kept != [1]:
                async with database.read() as connection:
                    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    kept = [int((await connection.exec_driver_sql(count)).scalar_one())]
                await anyio.sleep(0.05)
        await database.aclose()
    finally:
        gc.enable()
