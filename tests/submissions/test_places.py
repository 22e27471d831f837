"""Contexts that share few places: whoever is done makes room, and whose sessions die waits."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio
import attrs
import pytest
from clients import ONCE, QUICK, connected

from ksef_async import KsefClient, KsefToken
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.submissions import Submissions, SubmissionState

from .conftest import QUICK_SETTINGS

NIPS = ("5265877635", "1111111111", "7010002137")


async def test_context_that_is_done_gives_its_place_to_the_next(sqlite_url: str, sandbox: Sandbox) -> None:
    async with AsyncExitStack() as stack:
        clients = {
            nip: await stack.enter_async_context(
                KsefClient(
                    sandbox.environment,
                    KsefToken(nip=nip, token=sandbox.issue_token(nip)),
                    pacer=Pacer.unlimited(),
                    retry=QUICK,
                )
            )
            for nip in NIPS
        }
        settings = attrs.evolve(QUICK_SETTINGS, max_contexts=1)
        submissions = await stack.enter_async_context(Submissions(sqlite_url, client=clients, settings=settings))
        for nip in NIPS:
            await submissions.submit(sample_invoice(nip, "FV/1"))

        async with submissions.running():
            with anyio.fail_after(20):
                await submissions.wait_until_settled()

        assert (await submissions.count())[SubmissionState.ACCEPTED] == 3


@pytest.mark.parametrize("dies", ["while it becomes active", "while it takes invoices"])
async def test_another_session_is_not_opened_at_once_after_one_that_came_to_nothing(
    sqlite_url: str, sandbox: Sandbox, dies: str
) -> None:
    settings = attrs.evolve(QUICK_SETTINGS, first_pause=3600.0, longest_pause=3600.0)
    sandbox.faults.add("open_online_session", Fault.wrong_key(), times=1000)
    if dies == "while it becomes active":
        sandbox.faults.add("get_session_status", Fault.wait(0.3), times=1000)
    async with (
        connected(sandbox, retry=ONCE) as client,
        Submissions(sqlite_url, client=client, settings=settings) as submissions,
    ):
        await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))

        async with submissions.running():
            with anyio.fail_after(20):
                while not await submissions.troubles():
                    await anyio.sleep(0.01)
            await anyio.sleep(0.3)

        assert len(sandbox.world.sessions) == 1
        told = (await submissions.troubles())[sandbox.nip]
        assert told.startswith(("SessionFailedError: ", "InvoiceRejectedError: "))


async def test_trouble_that_is_over_is_no_longer_told_while_the_delivery_goes_on(
    sqlite_url: str, sandbox: Sandbox
) -> None:
    sandbox.faults.add("send_invoice", Fault.html(502), times=2)
    sandbox.faults.add("send_invoice", Fault.stuck())
    async with (
        connected(sandbox, retry=ONCE) as client,
        Submissions(sqlite_url, client=client, settings=QUICK_SETTINGS) as submissions,
    ):
        await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))

        async with submissions.running():
            with anyio.fail_after(20):
                while "502" not in (await submissions.troubles()).get(sandbox.nip, ""):
                    await anyio.sleep(0.01)
                while (await submissions.count())[SubmissionState.TAKEN_IN] != 1:
                    await anyio.sleep(0.01)
                # KSeF does not decide on it.
                while await submissions.troubles():
                    await anyio.sleep(0.01)

        assert (await submissions.count())[SubmissionState.TAKEN_IN] == 1
