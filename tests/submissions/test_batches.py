"""A backlog that would take hours one by one goes in a batch, and is as safe there."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import anyio
import pytest
from clients import QUICK, connected

from ksef_async import InvoicingMode, KsefClient, OfflineMode
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.submissions import Priority, Submissions, SubmissionState

BACKLOG = 300


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[KsefClient]:
    """A client that keeps to production's limits: 180 sends an hour."""
    async with connected(sandbox, pacer=Pacer(), retry=QUICK) as client:
        yield client


async def submit_backlog(submissions: Submissions, sandbox: Sandbox) -> None:
    async with submissions.begin() as transaction:
        for number in range(BACKLOG):
            await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"), tx=transaction)


async def check_delivered(submissions: Submissions, sandbox: Sandbox, count: int = BACKLOG) -> None:
    accepted = Counter(i.verdict.invoice_number for i in sandbox.world.invoices() if i.is_accepted)
    assert len(accepted) == count
    assert set(accepted.values()) == {1}
    assert (await submissions.count())[SubmissionState.ACCEPTED] == count
    assert all(submission.has_upo for submission in await submissions.list_page(limit=count))


def kinds(sandbox: Sandbox) -> Counter[str]:
    return Counter(number.split("-")[1] for number in sandbox.world.sessions)


async def test_backlog_goes_in_a_batch_and_what_is_urgent_online(submissions: Submissions, sandbox: Sandbox) -> None:
    await submit_backlog(submissions, sandbox)
    urgent = await submissions.submit(sample_invoice(sandbox.nip, "FV/U"), priority=Priority.URGENT)

    async with submissions.running():
        with anyio.fail_after(40):
            await submissions.wait_until_settled()

    await check_delivered(submissions, sandbox, BACKLOG + 1)
    assert kinds(sandbox) == {"SB": 1, "SO": 1}
    assert "-SO-" in ((await submissions.get(urgent.id)).session_reference_number or "")


async def test_many_offline_invoices_go_in_a_batch_of_their_own(submissions: Submissions, sandbox: Sandbox) -> None:
    async with submissions.begin() as transaction:
        for number in range(BACKLOG):
            document = sample_invoice(sandbox.nip, f"FV/{number}")
            await submissions.submit(document, tx=transaction, offline=OfflineMode.OFFLINE24)
    online = await submissions.submit(sample_invoice(sandbox.nip, "FV/U"), priority=Priority.URGENT)

    async with submissions.running():
        with anyio.fail_after(40):
            await submissions.wait_until_settled()

    await check_delivered(submissions, sandbox, BACKLOG + 1)
    assert kinds(sandbox) == {"SB": 1, "SO": 1}
    delivered = await submissions.list_page(limit=BACKLOG + 1)
    assert {one.id for one in delivered if one.invoicing_mode is InvoicingMode.ONLINE} == {online.id}


@pytest.mark.parametrize("seconds", [0.2, 0.5])
async def test_stopping_while_a_batch_is_on_its_way_loses_nothing(
    submissions: Submissions, sandbox: Sandbox, seconds: float
) -> None:
    await submit_backlog(submissions, sandbox)
    async with submissions.running():
        await anyio.sleep(seconds)

    async with submissions.running():
        with anyio.fail_after(40):
            await submissions.wait_until_settled()

    await check_delivered(submissions, sandbox)


async def test_lost_answer_to_the_close_of_a_batch_doubles_nothing(submissions: Submissions, sandbox: Sandbox) -> None:
    sandbox.faults.add("close_batch_session", Fault.drop_after())
    await submit_backlog(submissions, sandbox)

    async with submissions.running():
        with anyio.fail_after(40):
            await submissions.wait_until_settled()

    await check_delivered(submissions, sandbox)
    assert kinds(sandbox)["SB"] == 1
