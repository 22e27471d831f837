"""Delivery on one process: fates, poison, priorities, sessions, leases, and what a crash leaves."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import datetime
from hashlib import sha256

import aiohttp
import anyio
import attrs
import pytest
from clients import ONCE, QUICK, connected
from cryptography.fernet import Fernet
from sqlalchemy.engine import URL
from virtual_time import VirtualTimeLoop, mind_threads

from ksef_async import FormCode, KsefClient, KsefToken, LocalProtocolError
from ksef_async.api.rates import PRODUCTION_LIMITS
from ksef_async.api.sessions import SEND_INVOICE
from ksef_async.protocol.delivery import SEND_AGAIN_LIMIT
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import Clock, Fault, Sandbox, sample_invoice
from ksef_async.submissions import JournalBusyError, Priority, Settings, Submission, Submissions, SubmissionState

from .conftest import QUICK_SETTINGS, deliver


async def take(submissions: AsyncIterator[Submission], count: int) -> AsyncIterator[Submission]:
    async for submission in submissions:
        yield submission
        count -= 1
        if not count:
            return


def taken_in(sandbox: Sandbox) -> list[str]:
    """The numbers of what the sandbox took in, in its order."""
    return [invoice.verdict.invoice_number or "" for invoice in sandbox.world.invoices()]


async def until_taken_in(sandbox: Sandbox, number: str) -> None:
    with anyio.fail_after(20):
        while number not in taken_in(sandbox):
            await anyio.sleep(0.001)


async def test_invoice_gets_its_number_and_its_upo(submissions: Submissions, sandbox: Sandbox) -> None:
    submission = await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))

    await deliver(submissions)
    accepted = await submissions.get(submission.id)

    (invoice,) = sandbox.world.invoices()
    assert accepted.state is SubmissionState.ACCEPTED
    assert accepted.ksef_number == invoice.verdict.ksef_number
    assert accepted.acquisition_date is not None
    assert (accepted.ksef_number or "?").encode() in await submissions.upo(submission.id)


async def test_watching_ends_with_the_upo(submissions: Submissions, sandbox: Sandbox) -> None:
    submission = await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))

    async with submissions.running():
        seen = [each async for each in submissions.watch(submission.id)]

    assert seen[-1].has_upo
    assert [each.updated_at for each in seen] == sorted(each.updated_at for each in seen)


async def test_poisoned_documents_do_not_block_the_others(submissions: Submissions, sandbox: Sandbox) -> None:
    foreign = await submissions.submit(sample_invoice("1111111111", "FV/1", buyer_nip=sandbox.nip), nip=sandbox.nip)
    sandbox.faults.add("send_invoice", Fault.refuse(21405, "nie"), times=1)
    refused = await submissions.submit(sample_invoice(sandbox.nip, "FV/2"), priority=Priority.URGENT)
    good = await submissions.submit(sample_invoice(sandbox.nip, "FV/3"))

    await deliver(submissions)

    rejected = await submissions.get(refused.id)
    assert rejected.state is SubmissionState.REJECTED
    assert rejected.reason is not None
    assert rejected.reason.code == 21405
    not_permitted = await submissions.get(foreign.id)
    assert not_permitted.state is SubmissionState.REJECTED
    assert not_permitted.reason is not None
    assert not_permitted.reason.code == 410
    assert (await submissions.get(good.id)).state is SubmissionState.ACCEPTED


async def test_refused_look_at_the_list_is_no_word_on_the_document(submissions: Submissions, sandbox: Sandbox) -> None:
    submission = await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))
    sandbox.faults.add("send_invoice", Fault.drop_after())
    sandbox.faults.add("list_session_invoices", Fault.refuse(30001))

    await deliver(submissions)

    assert (await submissions.get(submission.id)).state is SubmissionState.ACCEPTED
    assert taken_in(sandbox) == ["FV/1"]


async def test_document_that_alone_breaks_the_connection_is_rejected_in_the_end(
    sqlite_url: str, sandbox: Sandbox
) -> None:
    bad = sample_invoice(sandbox.nip, "FV/BAD")
    digest = b64encode(sha256(bad).digest()).decode()

    async def breaking(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if digest in request.body.decode():
            raise aiohttp.ServerDisconnectedError
        return await handler(request)

    async with (
        aiohttp.ClientSession(middlewares=[breaking]) as session,
        connected(sandbox, http_session=session, retry=ONCE) as client,
    ):
        settings = attrs.evolve(QUICK_SETTINGS, tries=3, concurrency=4)
        async with Submissions(sqlite_url, client=client, settings=settings) as submissions:
            poison = await submissions.submit(bad)
            for number in range(40):
                await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"))
            await deliver(submissions)
            rejected = await submissions.get(poison.id)

            assert (await submissions.count())[SubmissionState.ACCEPTED] == 40
    assert rejected.state is SubmissionState.REJECTED
    assert rejected.reason is not None
    assert "3 times" in rejected.reason.text


async def test_document_in_doubt_is_not_rejected_while_the_list_cannot_be_read(
    sqlite_url: str, sandbox: Sandbox
) -> None:
    lost = sample_invoice(sandbox.nip, "FV/LOST")
    digest = b64encode(sha256(lost).digest()).decode()
    looks = 0

    async def breaking(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        nonlocal looks
        response = await handler(request)
        if request.method == "GET" and request.url.path.endswith("/invoices"):
            looks += 1
        if digest in request.body.decode():
            response.close()
            raise aiohttp.ServerDisconnectedError
        return response

    async with (
        aiohttp.ClientSession(middlewares=[breaking]) as session,
        connected(sandbox, http_session=session, retry=ONCE) as client,
    ):
        settings = attrs.evolve(QUICK_SETTINGS, tries=2, concurrency=4)
        async with Submissions(sqlite_url, client=client, settings=settings) as submissions:
            submission = await submissions.submit(lost)
            for number in range(40):
                await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"))
            sandbox.faults.add("list_session_invoices", Fault.server_error(), probability=0.999999)
            with anyio.fail_after(20):
                async with submissions.running():
                    while looks < 15:
                        await anyio.sleep(0.01)
                    state = (await submissions.get(submission.id)).state
                    sandbox.faults.clear()
                    await submissions.wait_until_settled()

            assert (await submissions.count())[SubmissionState.ACCEPTED] == 41
    assert state is SubmissionState.SENDING
    assert taken_in(sandbox).count("FV/LOST") == 1


async def test_same_document_accepted_before_is_an_acceptance_with_its_own_upo(
    submissions: Submissions, client: KsefClient, sandbox: Sandbox
) -> None:
    invoice = sample_invoice(sandbox.nip, "FV/1")
    async with await client.sessions.open_online(FormCode.FA3) as session:
        first = await (await session.send(invoice)).outcome()
    submission = await submissions.submit(invoice)

    await deliver(submissions)
    found = await submissions.get(submission.id)

    assert found.state is SubmissionState.ACCEPTED
    assert found.is_duplicate
    assert found.ksef_number == first.ksef_number
    assert first.ksef_number.encode() in await submissions.upo(submission.id)


async def test_another_document_accepted_before_is_a_conflict_that_can_be_retried(
    submissions: Submissions, client: KsefClient, sandbox: Sandbox
) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        await (await session.send(sample_invoice(sandbox.nip, "FV/1", buyer_nip="7010002137"))).outcome()
    submission = await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))

    await deliver(submissions)
    conflict = await submissions.get(submission.id)
    retried = await submissions.retry(submission.id)
    await deliver(submissions)

    assert conflict.state is SubmissionState.CONFLICT
    assert conflict.reason is not None
    assert conflict.reason.code == 440
    assert retried.state is SubmissionState.QUEUED
    assert (await submissions.get(submission.id)).state is SubmissionState.CONFLICT


async def test_rejected_submission_is_sent_again_when_retried(submissions: Submissions, sandbox: Sandbox) -> None:
    sandbox.faults.add("send_invoice", Fault.invoice_ends(450))
    submission = await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))
    await deliver(submissions)
    assert (await submissions.get(submission.id)).state is SubmissionState.REJECTED

    await submissions.retry(submission.id)
    await deliver(submissions)

    assert (await submissions.get(submission.id)).state is SubmissionState.ACCEPTED


@pytest.mark.parametrize("code", [405, 435, 500, 550])
async def test_what_ksef_failed_on_is_sent_again_by_itself(
    submissions: Submissions, sandbox: Sandbox, code: int
) -> None:
    sandbox.faults.add("send_invoice", Fault.invoice_ends(code))
    submission = await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))

    await deliver(submissions)
    accepted = await submissions.get(submission.id)

    assert accepted.state is SubmissionState.ACCEPTED
    assert accepted.attempt == 2


@pytest.mark.parametrize("code", [435, 500, 550])
async def test_what_ksef_fails_on_every_time_is_rejected_in_the_end_and_can_be_retried(
    submissions: Submissions, sandbox: Sandbox, code: int
) -> None:
    sandbox.faults.add("send_invoice", Fault.invoice_ends(code), times=SEND_AGAIN_LIMIT + 1)
    submission = await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))

    await deliver(submissions)
    rejected = await submissions.get(submission.id)

    assert rejected.state is SubmissionState.REJECTED
    assert rejected.attempt == SEND_AGAIN_LIMIT + 1
    assert rejected.reason is not None
    assert rejected.reason.code == code
    assert "-SO-" in (rejected.session_reference_number or "")
    # Its number is free, and so it may be tried again.
    await submissions.retry(submission.id)
    sandbox.faults.add("send_invoice", Fault.invoice_ends(code))
    await deliver(submissions)
    assert (await submissions.get(submission.id)).state is SubmissionState.ACCEPTED


async def test_sessions_that_die_are_never_the_documents_fault(submissions: Submissions, sandbox: Sandbox) -> None:
    sandbox.faults.add("send_invoice", Fault.invoice_ends(405), times=2 * SEND_AGAIN_LIMIT)
    submission = await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))

    await deliver(submissions, 60)

    accepted = await submissions.get(submission.id)
    assert (accepted.state, accepted.attempt) == (SubmissionState.ACCEPTED, 2 * SEND_AGAIN_LIMIT + 1)


async def test_session_under_maintenance_is_left_for_another_at_once(
    submissions: Submissions, sandbox: Sandbox
) -> None:
    sandbox.faults.add("send_invoice", Fault.refuse(21184, "Sesja chwilowo niedostępna"))
    # The one under maintenance is not closed before it is over.
    sandbox.faults.add("close_online_session", Fault.refuse(21184, "Sesja chwilowo niedostępna"), times=10_000)
    submission = await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))

    async with submissions.running():
        with anyio.fail_after(20):
            while (await submissions.get(submission.id)).state is not SubmissionState.ACCEPTED:
                await anyio.sleep(0.01)
        sandbox.faults.clear()
        with anyio.fail_after(20):
            await submissions.wait_until_settled()

    assert len(sandbox.world.sessions) == 2
    assert taken_in(sandbox) == ["FV/1"]
    assert (await submissions.get(submission.id)).has_upo


async def test_invoices_of_a_session_that_died_are_sent_in_another(submissions: Submissions, sandbox: Sandbox) -> None:
    sandbox.faults.add("open_online_session", Fault.wrong_key())
    for number in range(20):
        await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"))

    await deliver(submissions)

    assert (await submissions.count())[SubmissionState.ACCEPTED] == 20
    assert sum(invoice.is_accepted for invoice in sandbox.world.invoices()) == 20


async def test_full_session_is_replaced(sqlite_url: str) -> None:
    async with Sandbox(rate_limits=None, max_invoices=7) as sandbox, connected(sandbox) as client:
        async with Submissions(sqlite_url, client=client, settings=QUICK_SETTINGS) as submissions:
            for number in range(20):
                await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"))
            await deliver(submissions)

            assert (await submissions.count())[SubmissionState.ACCEPTED] == 20
            assert len(taken_in(sandbox)) == 20
            assert all([(await submissions.get(number)).has_upo for number in range(1, 21)])


async def test_sent_invoice_cannot_be_taken_back(submissions: Submissions, sandbox: Sandbox) -> None:
    submission = await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))
    await deliver(submissions)

    with pytest.raises(LocalProtocolError, match="accepted and cannot be taken back"):
        await submissions.cancel(submission.id)
    with pytest.raises(LocalProtocolError, match="accepted and cannot be retried"):
        await submissions.retry(submission.id)


async def test_results_are_told_until_they_are_acknowledged(submissions: Submissions, sandbox: Sandbox) -> None:
    for number in range(3):
        await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"))
    await deliver(submissions)

    heard = []
    async for submission in submissions.results():
        heard.append(submission.id)
        if len(heard) == 2:
            await submissions.acknowledge(heard[0])
            break
    again: list[int] = []
    with anyio.fail_after(5):
        again.extend([submission.id async for submission in take(submissions.results(), 2)])

    assert sorted([heard[0], *again]) == [1, 2, 3]


async def test_upo_moves_the_time_of_the_last_change_and_is_no_further_result(
    submissions: Submissions, sandbox: Sandbox
) -> None:
    submitted = await submissions.submit(sample_invoice(sandbox.nip))
    results: list[Submission] = []

    async def listen() -> None:
        async for submission in submissions.results():
            results.append(submission)  # noqa: PERF401  # as they come; it does not end

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        async with submissions.running():
            with anyio.fail_after(20):
                seen = [submission async for submission in submissions.watch(submitted.id)]
                # Others that are submitted later are heard of, so what came before them was told.
                later = await submissions.submit(sample_invoice(sandbox.nip, "FV/later"))
                while results[-1:] == [] or results[-1].id != later.id:
                    await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()

    accepted, receipt = seen[-2:]
    assert (accepted.has_upo, receipt.has_upo) == (False, True)
    assert receipt.updated_at > accepted.updated_at
    assert [result.id for result in results] == [submitted.id, later.id]


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": VirtualTimeLoop})], ids=["virtual time"])
async def test_urgent_submission_goes_before_those_that_wait_for_the_budget(start: datetime, sqlite_url: str) -> None:
    loop = asyncio.get_running_loop()
    await mind_threads()
    async with Sandbox(clock=Clock(start, monotonic=loop.time)) as sandbox:
        credentials = KsefToken(nip=sandbox.nip, token=sandbox.token)
        async with KsefClient(sandbox.environment, credentials, retry=QUICK) as client:
            async with Submissions(sqlite_url, client=client, settings=QUICK_SETTINGS) as submissions:
                for number in range(25):
                    await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"))
                async with submissions.running():
                    while len(taken_in(sandbox)) < 10:
                        await anyio.sleep(0.001)
                    await submissions.submit(sample_invoice(sandbox.nip, "FV/U"), priority=Priority.URGENT)
                    await until_taken_in(sandbox, "FV/U")

    # After those only that were about to be sent.
    assert 10 <= taken_in(sandbox).index("FV/U") <= 12


async def test_those_who_submit_are_let_by_for_a_moment(postgres_database: URL, sandbox: Sandbox) -> None:
    url = postgres_database.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
    settings = attrs.evolve(QUICK_SETTINGS, poll_interval=0.001, linger=60.0)
    async with (
        connected(sandbox) as client,
        Submissions(url, client=client, settings=settings) as submissions,
        submissions.running(),
    ):
        await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))
        await until_taken_in(sandbox, "FV/1")
        async with anyio.create_task_group() as tasks, submissions.begin() as undecided:
            await submissions.submit(sample_invoice(sandbox.nip, "FV/2"), tx=undecided)
            tasks.start_soon(submissions.submit, sample_invoice(sandbox.nip, "FV/2"))  # is answered after this block
            await anyio.sleep(0.02)
            async with submissions.begin() as transaction:
                await submissions.submit(sample_invoice(sandbox.nip, "FV/3"), tx=transaction)
            committed = time.perf_counter()
            await until_taken_in(sandbox, "FV/3")
            taken = time.perf_counter() - committed

    assert taken > 0.1


async def test_second_process_on_the_same_file_is_refused(
    submissions: Submissions, sqlite_url: str, client: KsefClient
) -> None:
    async with submissions.running(), Submissions(sqlite_url, client=client) as second:
        with pytest.raises(JournalBusyError, match=r"Process \d+ delivers"):
            async with second.running():
                pass


async def test_delivery_needs_a_client(sqlite_url: str) -> None:
    async with Submissions(sqlite_url) as submissions:
        with pytest.raises(LocalProtocolError, match="no client"):
            async with submissions.running():
                pass


@pytest.mark.parametrize("with_key", [True, False], ids=["with a key", "without a key"])
async def test_stopping_while_sending_loses_nothing(
    sqlite_url: str, client: KsefClient, sandbox: Sandbox, with_key: bool
) -> None:
    keys = [Fernet.generate_key()] if with_key else []
    sandbox.faults.add("send_invoice", Fault.drop_after(), probability=0.1)
    for round_ in range(4):
        async with Submissions(sqlite_url, client=client, keys=keys, settings=QUICK_SETTINGS) as submissions:
            for number in range(20):
                await submissions.submit(sample_invoice(sandbox.nip, f"FV/{round_}/{number}"))
            wanted = len(taken_in(sandbox)) + 7
            async with submissions.running():
                while len(taken_in(sandbox)) < wanted:
                    await anyio.sleep(0.001)
    async with Submissions(sqlite_url, client=client, keys=keys, settings=QUICK_SETTINGS) as submissions:
        await deliver(submissions)

        assert (await submissions.count())[SubmissionState.ACCEPTED] == 80
        stored = await submissions.list_page()
        assert all(submission.has_upo for submission in stored)
    assert sorted(taken_in(sandbox)) == sorted({*taken_in(sandbox)})
    # A session is gone on with only where its key could be stored.
    assert (len(sandbox.world.sessions) == 1) is with_key


async def test_unknown_company_is_a_trouble_that_passes(sqlite_url: str, client: KsefClient, sandbox: Sandbox) -> None:
    clients: dict[str, KsefClient] = {}
    async with Submissions(sqlite_url, client=clients, settings=QUICK_SETTINGS) as submissions:
        await submissions.submit(sample_invoice(sandbox.nip))
        async with submissions.running():
            while not (troubles := await submissions.troubles()):
                await anyio.sleep(0.01)
            clients[sandbox.nip] = client
            with anyio.fail_after(10):
                await submissions.wait_until_settled()

        assert "no client" in troubles[sandbox.nip]
        assert await submissions.troubles() == {}


async def test_lost_context_is_taken_over_by_another_worker_and_fenced(
    postgres_database: URL, client: KsefClient, sandbox: Sandbox
) -> None:
    url = postgres_database.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
    settings = Settings(linger=0.1, poll_interval=0.05, first_pause=0.05, lease_duration=0.6)
    async with (
        Submissions(url, client=client, settings=settings) as first,
        Submissions(url, client=client, settings=settings) as second,
    ):
        for number in range(30):
            await first.submit(sample_invoice(sandbox.nip, f"FV/{number}"))
        async with first.running(), second.running():
            while len(taken_in(sandbox)) < 5:
                await anyio.sleep(0.001)
            # As if the first had been frozen for longer than its lease.
            async with second.begin() as connection:
                await connection.exec_driver_sql("UPDATE ksef_contexts SET owner = 'somebody', expires_at = 0")
            with anyio.fail_after(20):
                await second.wait_until_settled()

        assert (await second.count())[SubmissionState.ACCEPTED] == 30
    accepted = [invoice for invoice in sandbox.world.invoices() if invoice.is_accepted]
    assert len(accepted) == 30


async def test_budget_follows_the_lease(postgres_database: URL, sandbox: Sandbox) -> None:
    url = postgres_database.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    credentials = KsefToken(nip=sandbox.nip, token=sandbox.token)
    left = []
    for number in range(2):
        async with KsefClient(sandbox.environment, credentials, pacer=Pacer(PRODUCTION_LIMITS), retry=QUICK) as client:
            async with Submissions(url, client=client, settings=QUICK_SETTINGS) as submissions:
                for invoice in range(4):
                    await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}/{invoice}"))
                await deliver(submissions)
            left.append(client.pacing.remaining(SEND_INVOICE.rate_group).per_hour)

    assert left == [176, 172]
