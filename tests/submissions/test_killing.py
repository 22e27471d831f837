"""Workers that are killed again and again, while answers are lost and KSeF fails: nothing is lost, nothing doubled.

``nox -s durable`` runs it in full size: 2,000 invoices, ten kills.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography.fernet import Fernet
from sqlalchemy.engine import URL

from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.sessions.upo import parse_upo
from ksef_async.submissions import Settings, Submissions, SubmissionState

CHILD = Path(__file__).with_name("working_process.py")
INVOICES = int(os.environ.get("DURABLE_INVOICES", "100"))
KILLS = int(os.environ.get("DURABLE_KILLS", "2"))
SEED = int(os.environ.get("DURABLE_SEED", "20261124"))
COMPANIES = ("5265877635", "1111111111", "7010002137", "9542682097")


class Worker:
    """A process that delivers, and what it has told so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.told: dict[str, Any] = {"commits": 0, "late_ms": 0.0}
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.endswith(b"\n"):
                self.told = json.loads(line)

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()
        await self._reading


async def start(told: dict[str, Any]) -> Worker:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, CHILD, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    process.stdin.write(json.dumps(told).encode() + b"\n")
    await process.stdin.drain()
    return Worker(process)


async def deliver_and_kill(sandbox: Sandbox, url: str, *, workers: int, engine: bool) -> None:
    chance = random.Random(SEED)
    companies = {nip: sandbox.issue_token(nip) for nip in COMPANIES}
    told: dict[str, Any] = {
        "base_url": sandbox.environment.base_url, "companies": companies, "url": url, "engine": engine,
        "keys": [Fernet.generate_key().decode()],
    }  # fmt: skip
    sandbox.faults.seed(SEED)
    sandbox.faults.add("send_invoice", Fault.drop_after(), probability=0.05)
    sandbox.faults.add(None, Fault.html(502), probability=0.02)
    settings = Settings(poll_interval=0.1)
    async with Submissions(url, keys=told["keys"], settings=settings) as submissions:
        documents = [sample_invoice(COMPANIES[number % len(COMPANIES)], f"FV/{number}") for number in range(INVOICES)]
        async with submissions.begin() as transaction:
            for document in documents:
                await submissions.submit(document, tx=transaction)
        started, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)

        running = [await start(told) for _ in range(workers)]
        gone: list[Worker] = []
        for number, moment in enumerate(sorted(chance.sample(range(1, INVOICES), KILLS))):
            while sum(1 for _ in sandbox.world.invoices()) < moment:
                await anyio.sleep(0.001)
                assert all(worker.process.returncode is None for worker in running)
            victim = running.pop(chance.randrange(len(running)))
            await victim.kill()
            gone.append(victim)
            # One of several never comes back.
            if number or workers == 1:
                running.append(await start(told))
        await submissions.settled()
        seconds = time.perf_counter() - started
        for worker in running:
            await worker.kill()

        await check(sandbox, submissions, documents)
        report(submissions, [*gone, *running], seconds, cpu, f"{url.partition(':')[0]}, {workers} workers")


async def check(sandbox: Sandbox, submissions: Submissions, documents: list[bytes]) -> None:
    taken_in = Counter(invoice.invoice_hash for invoice in sandbox.world.invoices())
    numbers = {invoice.invoice_hash: invoice.verdict.ksef_number for invoice in sandbox.world.invoices()}
    assert len(taken_in) == len(documents)  # lost
    assert set(taken_in.values()) == {1}  # doubled
    assert all(invoice.is_accepted for invoice in sandbox.world.invoices())
    counts = await submissions.count()
    assert {state for state, count in counts.items() if count} == {SubmissionState.ACCEPTED}
    stored = await submissions.list(limit=len(documents) + 1)
    assert [submission.ksef_number for submission in stored] == [numbers[s.invoice_hash] for s in stored]
    confirmed: set[tuple[str, bytes]] = set()
    sessions = {submission.session_reference_number: submission.id for submission in stored}
    for submission_id in sessions.values():
        upo = parse_upo(await submissions.upo(submission_id))
        confirmed |= {(entry.ksef_number, entry.invoice_hash) for entry in upo.entries}
    assert all(submission.has_upo for submission in stored)
    assert {(submission.ksef_number, submission.invoice_hash) for submission in stored} == confirmed


def report(
    submissions: Submissions, workers: list[Worker], seconds: float, cpu: resource.struct_rusage, what: str
) -> None:
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - cpu.ru_utime - cpu.ru_stime
    commits = sum(worker.told["commits"] for worker in workers)
    late = max(worker.told["late_ms"] for worker in workers)
    print(
        f"\n{what}: {INVOICES} invoices, {KILLS} kills: lost 0, doubled 0, {seconds:.1f} s, {INVOICES / seconds:.0f}/s"
    )
    print(
        f"workers' CPU {used:.1f} s, {commits / INVOICES:.2f} commits an invoice, event loop late {late:.0f} ms at most"
    )


@pytest.mark.timeout(600)
async def test_nothing_is_lost_or_doubled_with_sqlite(sandbox: Sandbox, sqlite_url: str) -> None:
    await deliver_and_kill(sandbox, sqlite_url, workers=1, engine=False)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [1, 3])
async def test_nothing_is_lost_or_doubled_with_postgresql(
    sandbox: Sandbox, postgres_database: URL, workers: int
) -> None:
    url = postgres_database.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)

    await deliver_and_kill(sandbox, url, workers=workers, engine=True)
