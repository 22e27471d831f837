"""The example's service in a process of its own: asked by many at once while it delivers, and stopped meanwhile.

``SERVICE_INVOICES=1000 SERVICE_AT_ONCE=200`` for the sizes it is made for; `benchmarks/bench_service.py` measures.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import aiohttp
from service_process import EXAMPLES, serving

from ksef_async.sandbox import Fault, Sandbox, sample_invoice

BENCHMARKS = Path(__file__).parent / "benchmarks"
INVOICES = int(os.environ.get("SERVICE_INVOICES", "40"))
AT_ONCE = int(os.environ.get("SERVICE_AT_ONCE", "50"))


async def test_service_asked_by_many_and_stopped_while_it_sends_loses_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    variables = {
        "KSEF_ENV": sandbox.environment.base_url,
        "KSEF_NIP": sandbox.nip,
        "KSEF_TOKEN": sandbox.token,
        "KSEF_JOURNAL": f"sqlite+aiosqlite:///{tmp_path / 'journal.db'}",
    }
    path = f"/ksef/{sandbox.nip}/invoices"

    # So that there is something left when it is stopped.
    sandbox.faults.add("send_invoice", Fault.wait(0.2), times=INVOICES)

    async def status_of(http: aiohttp.ClientSession, url: str) -> int:
        async with http.get(f"{url}{path}/1") as response:
            return response.status

    async def submit(http: aiohttp.ClientSession, url: str, number: int) -> int:
        async with http.post(url + path, data=sample_invoice(sandbox.nip, f"FV/{number}")) as response:
            return response.status

    def taken_in() -> int:
        return sum(1 for _ in sandbox.world.invoices())

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as http:
        async with serving("service_unpaced:app", variables, folders=(BENCHMARKS, EXAMPLES)) as service:
            statuses = Counter(await asyncio.gather(*(submit(http, service.url, number) for number in range(INVOICES))))
            assert statuses == {202: INVOICES}
            statuses = Counter(await asyncio.gather(*(status_of(http, service.url) for _ in range(AT_ONCE))))
            assert statuses == {200: AT_ONCE}
            while not taken_in():
                await asyncio.sleep(0.005)
        assert taken_in() < INVOICES
        # It has been stopped by SIGTERM; whatever had been taken over is in the journal.
        async with serving("service_unpaced:app", variables, folders=(BENCHMARKS, EXAMPLES)) as service:
            states: Counter[str] = Counter()
            while states != {"accepted": INVOICES}:
                await asyncio.sleep(0.1)
                async with http.get(service.url + path, params={"limit": 1000}) as answer:
                    states = Counter(one["state"] for one in await answer.json())
                assert sum(states.values()) == INVOICES

    assert Counter(invoice.invoice_hash for invoice in sandbox.world.invoices()).most_common(1)[0][1] == 1
    assert taken_in() == INVOICES
