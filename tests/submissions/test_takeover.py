"""What a worker does with the sessions that another has left, and with what KSeF is slow or wrong to tell of one."""

from __future__ import annotations

import anyio
import attrs
import pytest
from clients import ONCE, connected
from cryptography.fernet import Fernet

from ksef_async import KsefClient
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.sandbox.upo import session_upo_pages
from ksef_async.sandbox.world import new_reference_number
from ksef_async.submissions import Submissions, SubmissionState

from .conftest import QUICK_SETTINGS, deliver, run_until

KEY = Fernet.generate_key()
SETTINGS = attrs.evolve(QUICK_SETTINGS, longest_pause=0.2)


async def in_state(submissions: Submissions, state: SubmissionState, count: int = 1) -> bool:
    return (await submissions.count())[state] == count


async def leave_a_session(url: str, client: KsefClient, sandbox: Sandbox) -> None:
    """Submit an invoice, have KSeF take it in, and stop before it has decided."""
    sandbox.faults.add("send_invoice", Fault.stuck())
    async with Submissions(url, client=client, keys=[KEY], settings=SETTINGS) as submissions:
        await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))
        await run_until(submissions, lambda: in_state(submissions, SubmissionState.TAKEN_IN))


async def test_what_ksef_has_is_taken_in_while_ksef_is_still_at_it(
    sqlite_url: str, client: KsefClient, sandbox: Sandbox
) -> None:
    await leave_a_session(sqlite_url, client, sandbox)

    async with Submissions(sqlite_url) as submissions:
        (submission,) = await submissions.list_page()

    assert submission.state is SubmissionState.TAKEN_IN
    assert submission.reference_number in next(iter(sandbox.world.sessions.values())).invoices


async def test_session_that_ksef_does_not_know_is_forgotten_at_take_over(
    sqlite_url: str, client: KsefClient, sandbox: Sandbox
) -> None:
    await leave_a_session(sqlite_url, client, sandbox)

    async with (
        Sandbox(nip=sandbox.nip, rate_limits=None) as other,
        connected(other) as elsewhere,
        Submissions(sqlite_url, client=elsewhere, keys=[KEY], settings=SETTINGS) as submissions,
    ):
        await deliver(submissions)

        assert await in_state(submissions, SubmissionState.ACCEPTED)
        assert sum(invoice.is_accepted for invoice in other.world.invoices()) == 1


async def test_another_refusal_at_take_over_forgets_nothing(sqlite_url: str, sandbox: Sandbox) -> None:
    async with connected(sandbox, retry=ONCE) as client:
        await leave_a_session(sqlite_url, client, sandbox)
        sandbox.faults.add("get_session_status", Fault.refuse(21405, "nie"), times=3)
        async with Submissions(sqlite_url, client=client, keys=[KEY], settings=SETTINGS) as submissions:

            async def was_refused() -> bool:
                return "21405" in (await submissions.troubles()).get(sandbox.nip, "")

            await run_until(submissions, was_refused)
            assert await in_state(submissions, SubmissionState.TAKEN_IN)
            sandbox.clock.advance(366 * 86400)  # the stuck invoice is decided on

            await deliver(submissions)

            assert await in_state(submissions, SubmissionState.ACCEPTED)
    assert len(sandbox.world.sessions) == 1


@pytest.mark.parametrize("reason", ["missing-permissions", "ip-not-allowed"])
@pytest.mark.parametrize("kind", ["online", "batch"])
async def test_what_may_not_be_looked_at_for_now_is_not_forgotten(
    sqlite_url: str, sandbox: Sandbox, reason: str, kind: str
) -> None:
    async with connected(sandbox, retry=ONCE) as client:
        await leave_a_session(sqlite_url, client, sandbox)
        async with Submissions(sqlite_url, client=client, keys=[KEY], settings=SETTINGS) as submissions:
            async with submissions.begin() as connection:
                await connection.exec_driver_sql(f"UPDATE ksef_sessions SET kind = '{kind}'")
            sandbox.faults.add("get_session_status", Fault.forbidden(reason), times=6)

            async def was_refused() -> bool:
                return "403" in (await submissions.troubles()).get(sandbox.nip, "")

            await run_until(submissions, was_refused)

            assert await in_state(submissions, SubmissionState.TAKEN_IN)


async def test_session_that_ksef_has_closed_is_not_sent_in_at_take_over(
    sqlite_url: str, client: KsefClient, sandbox: Sandbox
) -> None:
    await leave_a_session(sqlite_url, client, sandbox)
    sandbox.clock.advance(366 * 86400)
    async with Submissions(sqlite_url, client=client, keys=[KEY], settings=SETTINGS) as submissions:
        await submissions.submit(sample_invoice(sandbox.nip, "FV/2"))
        sandbox.faults.add("send_invoice", Fault.wait(0.01))

        await deliver(submissions)

        assert await in_state(submissions, SubmissionState.ACCEPTED, 2)
    # Nothing was tried in the first: the fault, of the next send, happened to the one in the second.
    assert [len(session.invoices) for session in sandbox.world.sessions.values()] == [1, 1]
    assert sandbox.faults.happened["send_invoice"] == 2


async def test_session_whose_list_leaves_out_what_was_taken_in_is_not_finished(
    sqlite_url: str, sandbox: Sandbox
) -> None:
    async with connected(sandbox, retry=ONCE) as client:
        await leave_a_session(sqlite_url, client, sandbox)
        (session,) = sandbox.world.sessions.values()
        (left_out,) = session.invoices.items()
        session.invoices.clear()
        async with Submissions(sqlite_url, client=client, keys=[KEY], settings=SETTINGS) as submissions:

            async def is_told() -> bool:
                return "does not list 1 invoices" in (await submissions.troubles()).get(sandbox.nip, "")

            await run_until(submissions, is_told)
            assert await in_state(submissions, SubmissionState.TAKEN_IN)
            session.invoices.update([left_out])
            sandbox.clock.advance(366 * 86400)  # the stuck invoice is decided on

            await run_until(submissions, lambda: in_state(submissions, SubmissionState.ACCEPTED))
    assert len([*sandbox.world.invoices()]) == 1


async def test_session_whose_upo_leaves_out_an_accepted_invoice_is_not_finished(
    sqlite_url: str, client: KsefClient, sandbox: Sandbox
) -> None:
    async with Submissions(sqlite_url, client=client, keys=[KEY], settings=SETTINGS) as submissions:
        for number in (1, 2):
            await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"))
        sandbox.faults.add("close_online_session", Fault.refuse(21184), times=1000)
        await run_until(submissions, lambda: in_state(submissions, SubmissionState.ACCEPTED, 2))
        sandbox.faults.clear()
        (session,) = sandbox.world.sessions.values()
        reference_number, left_out = session.invoices.popitem()
        pages = session_upo_pages(session)
        session.upo_pages = tuple((new_reference_number("EU", sandbox.clock.now()), page) for page in pages)
        session.invoices[reference_number] = left_out

        async def is_told() -> bool:
            return "leaves out 1 accepted invoices" in (await submissions.troubles()).get(sandbox.nip, "")

        await run_until(submissions, is_told)
        assert sorted(one.has_upo for one in await submissions.list_page()) == [False, True]
        session.upo_pages = ()

        await deliver(submissions)
        assert all(one.has_upo for one in await submissions.list_page())


@pytest.mark.parametrize("keys", [[KEY], []], ids=["with a key", "without a key"])
async def test_invoice_that_takes_ksef_longer_than_anybody_waits_is_followed_on(
    sqlite_url: str, client: KsefClient, sandbox: Sandbox, keys: list[bytes]
) -> None:
    sandbox.faults.add("send_invoice", Fault.stuck())
    async with Submissions(sqlite_url, client=client, keys=keys, settings=SETTINGS) as submissions:
        await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))
        await submissions.submit(sample_invoice(sandbox.nip, "FV/2"))

        async with submissions.running():
            with anyio.fail_after(20):
                # The other is not held up by it.
                while not await in_state(submissions, SubmissionState.ACCEPTED):
                    await anyio.sleep(0.01)
            assert await in_state(submissions, SubmissionState.TAKEN_IN)
            sandbox.clock.advance(366 * 86400)
            with anyio.fail_after(30):
                await submissions.wait_until_settled()

        assert await in_state(submissions, SubmissionState.ACCEPTED, 2)
        assert all(one.has_upo for one in await submissions.list_page())
