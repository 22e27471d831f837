"""Production's limits, in virtual time: over real sockets, and with the sandbox's own limiter watching."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest
from clients import Traffic, connected
from virtual_time import VirtualTimeLoop, mind_threads

from ksef_async import AcceptedInvoice, FormCode, KsefClient
from ksef_async.protocol.pacing import Pacer
from ksef_async.protocol.retry import RetryPolicy
from ksef_async.sandbox import Clock, Sandbox, Timings, sample_invoice

#: ``nox -s limits`` sends 10,000.
INVOICES = int(os.environ.get("LIMITS_INVOICES", "600"))
PATIENT = RetryPolicy(patience=float("inf"), deadline=float("inf"))


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


def client_of(sandbox: Sandbox, traffic: Traffic) -> KsefClient:
    return connected(sandbox, pacer=Pacer(), retry=PATIENT, hook=traffic, answer_timeout=1e6)


@pytest.mark.timeout(300)
async def test_hours_of_invoices_fit_production_limits(capsys: pytest.CaptureFixture[str]) -> None:
    await mind_threads()
    loop, traffic = asyncio.get_running_loop(), Traffic()
    # One session for all of them, which production would not keep open for 56 hours; `keep_open` has its own test.
    timings = Timings(session_lifetime=7 * 86400)
    async with Sandbox(clock=Clock(monotonic=loop.time), timings=timings) as sandbox:

        def invoices() -> Iterator[bytes]:
            return (sample_invoice(sandbox.nip, f"FV/{number}") for number in range(INVOICES))

        async with client_of(sandbox, traffic) as client:
            async with await client.sessions.open_online(FormCode.FA3) as session:
                started = loop.time()
                hashes = {sent.invoice_hash async for sent in session.send_many(invoices())}
                hours = (loop.time() - started) / 3600
                before = traffic.of("get_session_invoice", "list_session_invoices")
                outcomes = [outcome async for outcome in session.outcomes()]
            followed = traffic.of("get_session_invoice", "list_session_invoices") - before

    # 180 an hour, and those of the last hour at 30 a minute.
    ideal = INVOICES // 180 + (INVOICES % 180 - 1) // 30 / 60
    with capsys.disabled():
        print(
            f"\n{INVOICES:,} invoices: {hours:.2f} h of {ideal:.2f} h that the limits allow, "
            f"{followed} requests to follow them, {traffic.refused} answers of 429"
        )
    assert len(hashes) == INVOICES
    assert {outcome.invoice_hash for outcome in outcomes if isinstance(outcome, AcceptedInvoice)} == hashes
    assert traffic.refused == 0
    assert followed <= 60
    assert hours <= ideal * 1.02
