"""A worker that is killed while a batch is packed, opened, uploaded, closed or processed loses and doubles nothing.

Whoever comes after it, in the same place or on another machine, goes on with the same session: parts that are in are
not sent again.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography.fernet import Fernet
from killing import Worker, check, start
from sqlalchemy import select
from sqlalchemy.engine import URL

from ksef_async.packing import pack
from ksef_async.sandbox import Clock, Fault, Sandbox, Timings, sample_invoice
from ksef_async.sandbox.faults import UPLOAD_PART
from ksef_async.sandbox.sessions import BatchSession
from ksef_async.sessions.manager import UPLOAD_CONCURRENCY
from ksef_async.submissions import Submissions, SubmissionState
from ksef_async.submissions.schema import SESSIONS

INVOICES = 80
PART_SIZE = 2_000

Part = tuple[str, int]


@pytest.fixture
async def sandbox(start: datetime) -> AsyncIterator[Sandbox]:
    """One whose batches take their time: long enough to be killed at each stage."""
    timings = Timings(invoice_processing_delay=1)
    async with Sandbox(rate_limits=None, clock=Clock(start), timings=timings) as sandbox:
        slow_down(sandbox)
        yield sandbox


def slow_down(sandbox: Sandbox) -> None:
    for operation in ("open_batch_session", UPLOAD_PART, "close_batch_session"):
        sandbox.faults.add(operation, Fault.wait(0.4), times=100_000)


def batches(sandbox: Sandbox) -> list[BatchSession]:
    return [session for session in sandbox.world.sessions.values() if isinstance(session, BatchSession)]


def taken_in(sandbox: Sandbox) -> dict[Part, int]:
    """How often each part was taken in."""
    return {
        (batch.reference_number, part.ordinal_number): part.uploads
        for batch in batches(sandbox)
        for part in batch.parts.values()
    }


async def written_down(submissions: Submissions) -> set[Part]:
    """The parts of which the journal knows that they are in."""
    async with submissions.begin() as connection:
        rows = (await connection.execute(select(SESSIONS.c.reference_number, SESSIONS.c.uploaded))).all()
    return {(session, int(number)) for session, uploaded in rows for number in (uploaded or "").split()}


#: When a worker is killed: the stage has begun, and what ends it has not happened.
Stage = Callable[[Sandbox, Submissions], Awaitable[bool]]


async def packing(sandbox: Sandbox, submissions: Submissions) -> bool:
    return (await submissions.count())[SubmissionState.SENDING] > 0


async def opened_unheard(sandbox: Sandbox, submissions: Submissions) -> bool:
    return bool(batches(sandbox))


async def between_parts(sandbox: Sandbox, submissions: Submissions) -> bool:
    return bool(await written_down(submissions))


async def all_in(sandbox: Sandbox, submissions: Submissions) -> bool:
    async with submissions.begin() as connection:
        return bool((await connection.exec_driver_sql("SELECT 1 FROM ksef_sessions WHERE is_closing")).first())


async def closed_unheard(sandbox: Sandbox, submissions: Submissions) -> bool:
    return any(batch.closed_at is not None for batch in batches(sandbox))


async def processing(sandbox: Sandbox, submissions: Submissions) -> bool:
    return any(batch.result is not None for batch in batches(sandbox))


STAGES = (packing, opened_unheard, between_parts, all_in, closed_unheard, processing)


async def delivering(workers: list[Worker], submissions: Submissions) -> Worker | None:
    """The one that holds the lease."""
    async with submissions.begin() as connection:
        owner = (await connection.exec_driver_sql("SELECT owner FROM ksef_contexts")).scalar() or ""
    return next((worker for worker in workers if owner.startswith(f"{worker.process.pid}-")), None)


async def kill_at(stage: Stage, workers: list[Worker], sandbox: Sandbox, submissions: Submissions) -> None:
    """Kill the one that delivers."""
    if stage is all_in:
        sandbox.faults.clear()
        sandbox.faults.add("close_batch_session", Fault.html(503), times=100_000)
    while (victim := await delivering(workers, submissions)) is None or not await stage(sandbox, submissions):
        await anyio.sleep(0.001)
        assert all(worker.process.returncode is None for worker in workers)
    workers.remove(victim)
    await victim.kill()
    sandbox.faults.clear()
    slow_down(sandbox)


async def deliver_and_kill(sandbox: Sandbox, url: str, spool: Path, *, standing_by: int) -> None:
    spool.mkdir()
    told: dict[str, Any] = {
        "base_url": sandbox.environment.base_url, "companies": {sandbox.nip: sandbox.token}, "url": url,
        "engine": False, "keys": [Fernet.generate_key().decode()], "batches": True,
        "part_size": PART_SIZE, "spool": str(spool),
    }  # fmt: skip
    documents = [sample_invoice(sandbox.nip, f"FV/{number}") for number in range(INVOICES)]
    async with Submissions(url, keys=told["keys"]) as submissions:
        async with submissions.begin() as transaction:
            for document in documents:
                await submissions.submit(document, tx=transaction)

        workers = [await start(told) for _ in range(1 + standing_by)]
        known: dict[Part, int] = {}
        for stage in STAGES:
            await kill_at(stage, workers, sandbox, submissions)
            uploads = taken_in(sandbox)
            known = {part: uploads[part] for part in await written_down(submissions)} | known
            workers.append(await start(told))
        with anyio.fail_after(60):
            await submissions.wait_until_settled()
        for worker in workers:
            await worker.kill()

        await check(sandbox, submissions, documents)
    # Of the first only KSeF had heard.
    unheard, delivered = batches(sandbox)
    assert not any(part.uploads for part in unheard.parts.values())
    assert len(delivered.invoices) == INVOICES
    assert len(delivered.parts) > UPLOAD_CONCURRENCY
    assert len(batches(sandbox)) == len(sandbox.world.sessions)
    uploads = taken_in(sandbox)
    assert {part: uploads[part] for part in known} == known
    assert len(known) == len(delivered.parts)
    assert sum(uploads.values()) <= len(delivered.parts) + UPLOAD_CONCURRENCY
    if sys.platform != "win32":
        # What the killed have left is removed by the next that packs.
        async with pack([("a.xml", b"<Faktura/>")], folder=spool):
            pass
        assert not [*spool.iterdir()]


@pytest.mark.timeout(180)
async def test_batch_killed_at_every_stage_is_gone_on_with(sandbox: Sandbox, sqlite_url: str, tmp_path: Path) -> None:
    await deliver_and_kill(sandbox, sqlite_url, tmp_path / "spool", standing_by=0)


@pytest.mark.timeout(180)
async def test_batch_of_a_killed_worker_is_taken_over_by_another(
    sandbox: Sandbox, postgres_database: URL, tmp_path: Path
) -> None:
    url = postgres_database.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)

    await deliver_and_kill(sandbox, url, tmp_path / "spool", standing_by=1)
