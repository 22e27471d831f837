"""A worker that is killed while a batch is packed, opened, uploaded, closed or processed loses and doubles nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest
from cryptography.fernet import Fernet
from killing import check, start

from ksef_async.sandbox import Fault, Sandbox, Timings, sample_invoice
from ksef_async.sandbox.batch import BatchSession
from ksef_async.sandbox.faults import UPLOAD_PART
from ksef_async.submissions import Submissions, SubmissionState

INVOICES = 60


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """One whose batches take their time: long enough to be killed at each stage."""
    async with Sandbox(rate_limits=None, timings=Timings(invoice_processing_delay=timedelta(seconds=1))) as sandbox:
        for operation in ("open_batch_session", UPLOAD_PART, "close_batch_session"):
            sandbox.faults.add(operation, Fault.wait(0.5), times=1000)
        yield sandbox


def batches(sandbox: Sandbox) -> list[BatchSession]:
    return [session for session in sandbox.world.sessions.values() if isinstance(session, BatchSession)]


#: When the worker is killed: the stage has begun, and what ends it has not happened.
Stage = Callable[[Sandbox, Submissions], Awaitable[bool]]


async def packing(sandbox: Sandbox, submissions: Submissions) -> bool:
    return (await submissions.count())[SubmissionState.SENDING] > 0


async def opened_unheard(sandbox: Sandbox, submissions: Submissions) -> bool:
    return bool(batches(sandbox))


async def uploading(sandbox: Sandbox, submissions: Submissions) -> bool:
    return any(part.uploads for batch in batches(sandbox) for part in batch.parts.values())


async def closed_unheard(sandbox: Sandbox, submissions: Submissions) -> bool:
    return any(batch.closed_at is not None for batch in batches(sandbox))


async def processing(sandbox: Sandbox, submissions: Submissions) -> bool:
    return any(batch.result is not None for batch in batches(sandbox))


async def kill_at(stage: Stage, told: dict[str, Any], sandbox: Sandbox, submissions: Submissions) -> None:
    worker = await start(told)
    while not await stage(sandbox, submissions):
        await anyio.sleep(0.001)
        assert worker.process.returncode is None
    await worker.kill()


@pytest.mark.timeout(120)
async def test_batch_killed_at_every_stage_is_sent_again_or_followed(sandbox: Sandbox, sqlite_url: str) -> None:
    told: dict[str, Any] = {
        "base_url": sandbox.environment.base_url, "companies": {sandbox.nip: sandbox.token}, "url": sqlite_url,
        "engine": False, "keys": [Fernet.generate_key().decode()], "batches": True,
    }  # fmt: skip
    documents = [sample_invoice(sandbox.nip, f"FV/{number}") for number in range(INVOICES)]
    async with Submissions(sqlite_url, keys=told["keys"]) as submissions:
        async with submissions.begin() as transaction:
            for document in documents:
                await submissions.submit(document, tx=transaction)

        for stage in (packing, opened_unheard, uploading, closed_unheard, processing):
            await kill_at(stage, told, sandbox, submissions)
        last = await start(told)
        with anyio.fail_after(60):
            await submissions.settled()
        await last.kill()

        await check(sandbox, submissions, documents)
        # All of them in one batch, however often it was begun: one by one they would take minutes.
        assert [len(batch.invoices) for batch in batches(sandbox) if batch.closed_at is not None] == [INVOICES]
        assert len(batches(sandbox)) == len(sandbox.world.sessions)
