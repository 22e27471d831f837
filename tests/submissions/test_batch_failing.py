"""Batch sessions that die as a whole, through no fault of their documents, are begun anew. In virtual time.

``BATCH_BACKLOG=10000`` for the size it is made for; it prints what that took.
"""

from __future__ import annotations

import asyncio
import os
import time
from datetime import datetime
from typing import Any

import anyio
import pytest
from clients import QUICK, connected
from virtual_time import VirtualTimeLoop, mind_threads

from ksef_async.api.sessions import StatusCode
from ksef_async.calling.events import Event, RequestSent
from ksef_async.protocol.delivery import DocumentFate, SessionFate, judge_session
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import Clock, Fault, Sandbox, sample_invoice
from ksef_async.submissions import Settings, Submissions, SubmissionState

BACKLOG = int(os.environ.get("BATCH_BACKLOG", "60"))
#: A backlog in batches is over sooner than one by one.
SETTINGS = Settings(linger=1.0, poll_interval=1.0, online_within=1.0)

SENT_AGAIN = [int(code) for code in StatusCode if judge_session(code).document is DocumentFate.SEND_AGAIN]


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


class Delivered:
    """A backlog that was delivered: in which sessions, and what was called for it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.seconds = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, RequestSent):
            self.calls.append(event.operation)

    async def deliver(self, sandbox: Sandbox, url: str) -> None:
        """Deliver a backlog; all of it is accepted, each once."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        await mind_threads()
        async with (
            connected(sandbox, pacer=Pacer(), retry=QUICK, hook=self) as client,
            Submissions(url, client=client, settings=SETTINGS) as submissions,
        ):
            async with submissions.begin() as transaction:
                for number in range(BACKLOG):
                    await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"), tx=transaction)
            self.calls.clear()
            started = loop.time()
            async with submissions.running():
                with anyio.fail_after(4 * 3600):
                    await submissions.wait_until_settled()
            self.seconds = loop.time() - started

            assert (await submissions.count())[SubmissionState.ACCEPTED] == BACKLOG
            assert not [one for one in await submissions.list_page(limit=BACKLOG) if not one.has_upo]
            assert await submissions.troubles() == {}
        numbers = [i.verdict.invoice_number for i in sandbox.world.invoices() if i.is_accepted]
        assert len(numbers) == len({*numbers}) == BACKLOG


def batches(sandbox: Sandbox) -> list[str]:
    return [number for number in sandbox.world.sessions if "-SB-" in number]


@pytest.mark.timeout(1200)
async def test_backlog_whose_first_two_batches_die_goes_in_the_third(start: datetime, sqlite_url: str) -> None:
    loop = asyncio.get_running_loop()
    delivered, started = Delivered(), time.perf_counter()
    async with Sandbox(rate_limits=None, clock=Clock(start, monotonic=loop.time)) as sandbox:
        for code in (415, 500):
            sandbox.faults.add("open_batch_session", Fault.session_ends(code))

        await delivered.deliver(sandbox, sqlite_url)

        print(
            f"\n{BACKLOG} invoices, the first two batches died: {delivered.seconds:.0f} s of virtual time, "
            f"{time.perf_counter() - started:.1f} s in all"
        )
        assert len(batches(sandbox)) == 3
        assert len(sandbox.world.sessions) == 3
    assert "send_invoice" not in delivered.calls


@pytest.mark.parametrize("code", SENT_AGAIN)
async def test_batch_that_dies_is_sent_again_as_a_batch(sandbox: Sandbox, sqlite_url: str, code: int) -> None:
    sandbox.faults.add("open_batch_session", Fault.session_ends(code))
    delivered = Delivered()

    await delivered.deliver(sandbox, sqlite_url)

    assert len(batches(sandbox)) == len(sandbox.world.sessions) == 2
    # For the login once; with a key that KSeF could not use, once more.
    has_wrong_key = judge_session(code).session is SessionFate.REPLACE_WITH_NEW_KEYS
    assert delivered.calls.count("list_public_keys") == 1 + has_wrong_key


async def test_batches_that_die_every_time_come_to_an_end_and_their_documents_go_one_by_one(
    sandbox: Sandbox, sqlite_url: str
) -> None:
    sandbox.faults.add("open_batch_session", Fault.session_ends(430), times=10_000)
    delivered = Delivered()

    await delivered.deliver(sandbox, sqlite_url)

    # Four times as it is, twice in smaller ones.
    assert len(batches(sandbox)) == 6
    assert delivered.calls.count("send_invoice") == BACKLOG
    # Each pause is longer than the last: 1, 2, 4, 8, 16 and 32 s.
    assert delivered.seconds > 63


async def test_batches_that_ksef_does_not_open_come_to_an_end_and_their_documents_go_one_by_one(
    sandbox: Sandbox, sqlite_url: str
) -> None:
    sandbox.faults.add("open_batch_session", Fault.refuse(21157, "nie"), times=10_000)
    delivered = Delivered()

    await delivered.deliver(sandbox, sqlite_url)

    assert not batches(sandbox)
    assert 1 < delivered.calls.count("open_batch_session") < 7
    assert delivered.calls.count("send_invoice") == BACKLOG


async def test_trouble_with_batches_is_told_while_it_lasts(
    sandbox: Sandbox, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.faults.add("open_batch_session", Fault.session_ends(500), times=4)

    await Delivered().deliver(sandbox, sqlite_url)

    told = [record.getMessage() for record in caplog.records if "delivery for" in record.getMessage()]
    assert len(told) == 1
    assert "came to nothing: 500" in told[0]
