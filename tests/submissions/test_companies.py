"""Many companies in one process, in virtual time: all delivered, within everybody's rate limits.

``nox -s durable`` runs it with 1,000 companies.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

import aiohttp
import pytest
from clients import Traffic
from virtual_time import VirtualTimeLoop, mind_threads

from ksef_async import KsefClient, KsefToken
from ksef_async.protocol.numbers import has_valid_check_digit
from ksef_async.protocol.pacing import AddressBudget, Pacer
from ksef_async.sandbox import Clock, Sandbox, sample_invoice
from ksef_async.submissions import Settings, Submissions, SubmissionState

COMPANIES = int(os.environ.get("DURABLE_COMPANIES", "12"))
INVOICES = 10


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


def nips(count: int) -> list[str]:
    valid = (str(number) for number in range(5_260_000_000, 9_999_999_999) if has_valid_check_digit(str(number)))
    return [next(valid) for _ in range(count)]


@pytest.mark.timeout(900)
async def test_every_company_is_delivered_within_its_limits(start: datetime, sqlite_url: str) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    await mind_threads()
    traffic = Traffic()
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(clock=Clock(start, monotonic=loop.time)))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        address = AddressBudget()
        clients = {
            nip: await stack.enter_async_context(
                KsefClient(
                    sandbox.environment,
                    KsefToken(nip=nip, token=sandbox.issue_token(nip)),
                    http_session=session,
                    pacer=Pacer(address=address),
                    hook=traffic,
                )
            )
            for nip in nips(COMPANIES)
        }
        settings = Settings(linger=1.0, max_contexts=50)
        submissions = await stack.enter_async_context(Submissions(sqlite_url, client=clients, settings=settings))
        async with submissions.begin() as transaction:
            for number in range(INVOICES):
                for nip in clients:
                    await submissions.submit(sample_invoice(nip, f"FV/{number}"), tx=transaction)

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started, virtual = time.perf_counter(), loop.time()
        async with submissions.running():
            await submissions.wait_until_settled()
        seconds, virtual = time.perf_counter() - started, loop.time() - virtual
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

        counts = await submissions.count()
        print(
            f"\n{COMPANIES} companies, {INVOICES} invoices each: {seconds:.1f} s ({virtual:.0f} s of virtual time), "
            f"{traffic.refused} times 429, {submissions.commits} commits, {grown / 1024:.0f} MB more memory at most, "
            f"{before / 1024:.0f} MB before, sandbox included"
        )
        assert counts[SubmissionState.ACCEPTED] == COMPANIES * INVOICES
        stored = await submissions.list_page(limit=COMPANIES * INVOICES)
        assert all(submission.has_upo for submission in stored)
    assert traffic.refused == 0
    assert sum(invoice.is_accepted for invoice in sandbox.world.invoices()) == COMPANIES * INVOICES
