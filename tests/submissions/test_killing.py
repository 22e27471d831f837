"""Workers that are killed again and again, while answers are lost and KSeF fails: nothing is lost, nothing doubled.

``nox -s durable`` runs it in full size: 2,000 invoices, ten kills.
"""

from __future__ import annotations

import os
import random
import resource
import time
from typing import Any

import anyio
import pytest
from cryptography.fernet import Fernet
from killing import Worker, check, start
from sqlalchemy.engine import URL

from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.submissions import Settings, Submissions

INVOICES = int(os.environ.get("DURABLE_INVOICES", "100"))
KILLS = int(os.environ.get("DURABLE_KILLS", "2"))
SEED = int(os.environ.get("DURABLE_SEED", "20261124"))
COMPANIES = ("5265877635", "1111111111", "7010002137", "9542682097")


async def deliver_and_kill(sandbox: Sandbox, url: str, *, workers: int, engine: bool) -> None:
    chance = random.Random(SEED)
    companies = {nip: sandbox.issue_token(nip) for nip in COMPANIES}
    told: dict[str, Any] = {
        "base_url": sandbox.environment.base_url, "companies": companies, "url": url, "engine": engine,
        "keys": [Fernet.generate_key().decode()], "batches": False,
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
        await submissions.wait_until_settled()
        seconds = time.perf_counter() - started
        for worker in running:
            await worker.kill()

        await check(sandbox, submissions, documents)
        report(submissions, [*gone, *running], seconds, cpu, f"{url.partition(':')[0]}, {workers} workers")


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
