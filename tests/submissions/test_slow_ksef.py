"""A KSeF that takes longer to decide than any one wait lasts: the worker waits on. In virtual time."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import anyio
import pytest
from clients import QUICK, connected
from virtual_time import VirtualTimeLoop, mind_threads

from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import Clock, Sandbox, Timings, sample_invoice
from ksef_async.sessions.session import UPO_CADENCE
from ksef_async.submissions import Settings, Submissions, SubmissionState
from ksef_async.submissions.following import FOLLOWING

#: Longer than one wait for the invoices of a session lasts, or for its UPO.
SLOW = 60.0 + max(FOLLOWING.deadline or 0.0, UPO_CADENCE.deadline or 0.0)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


@pytest.mark.parametrize(
    "timings",
    [
        pytest.param(Timings(invoice_processing_delay=SLOW), id="invoice"),
        pytest.param(Timings(session_closing_delay=SLOW), id="session"),
    ],
)
async def test_slow_ksef_is_waited_for_without_a_word(
    start: datetime,
    sqlite_url: str,
    caplog: pytest.LogCaptureFixture,
    timings: Timings,
) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    await mind_threads()
    settings = Settings(linger=1.0, poll_interval=5.0)
    async with (
        Sandbox(rate_limits=None, clock=Clock(start, monotonic=loop.time), timings=timings) as sandbox,
        connected(sandbox, pacer=Pacer(), retry=QUICK) as client,
        Submissions(sqlite_url, client=client, settings=settings) as submissions,
    ):
        for number in range(2):
            await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"))
        started = loop.time()
        async with submissions.running():
            with anyio.fail_after(4 * SLOW):
                await submissions.wait_until_settled()
        seconds = loop.time() - started
        rows = await submissions.list_page()

        assert [(row.state, row.has_upo) for row in rows] == [(SubmissionState.ACCEPTED, True)] * 2
        assert await submissions.troubles() == {}
        assert len(sandbox.world.sessions) == 1
    assert seconds > SLOW
    assert not [record for record in caplog.records if "delivery for" in record.getMessage()]


async def test_ksef_that_decides_nothing_for_an_hour_is_told_of(start: datetime, sqlite_url: str) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    await mind_threads()
    settings = Settings(linger=1.0, poll_interval=60.0, lease_duration=600.0)
    timings = Timings(invoice_processing_delay=75 * 60)
    async with (
        Sandbox(rate_limits=None, clock=Clock(start, monotonic=loop.time), timings=timings) as sandbox,
        connected(sandbox, pacer=Pacer(), retry=QUICK) as client,
        Submissions(sqlite_url, client=client, settings=settings) as submissions,
    ):
        await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))
        async with submissions.running():
            await asyncio.sleep(55 * 60)
            early = await submissions.troubles()
            await asyncio.sleep(13 * 60)
            late = await submissions.troubles()
            await submissions.wait_until_settled()

        assert early == {}
        assert "still in progress" in late[sandbox.nip]
        assert await submissions.troubles() == {}
        (row,) = await submissions.list_page()
        assert row.state is SubmissionState.ACCEPTED
