"""The same document again, now as issued offline: what waits as an online invoice becomes an offline one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiosqlite
import anyio
import asyncpg
import attrs
import psycopg
import pytest
from certificates import NIP
from sqlalchemy.engine import URL

from ksef_async import InvoicingMode, KsefClient, LocalProtocolError, OfflineMode
from ksef_async.protocol.polish_calendar import end_of_day, polish_day, working_day_after
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.submissions import Late, Submissions, SubmissionState

from .conftest import QUICK_SETTINGS, deliver, run_until
from .test_issuing import FOREVER, SIGNER, modes_at_ksef

OFFLINE24 = OfflineMode.OFFLINE24
EMERGENCY = OfflineMode.EMERGENCY


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(nip=NIP, rate_limits=None) as sandbox:
        yield sandbox


async def test_what_is_queued_as_an_online_invoice_goes_as_an_offline_one(
    journal_url: str, sandbox: Sandbox, client: KsefClient
) -> None:
    document = sample_invoice(NIP)
    async with Submissions(journal_url, client=client, settings=QUICK_SETTINGS) as submissions:
        online = await submissions.submit(document, key="till 1", priority=7)
        offline = await submissions.submit(document, offline=OFFLINE24, signer=SIGNER)

        assert (online.offline, online.due_by, online.certificate_link) == (None, None, None)
        assert offline == await submissions.get(online.id)
        due_by = end_of_day(working_day_after(polish_day(datetime.now(UTC))))
        assert (offline.offline, offline.due_by, offline.state) == (OFFLINE24, due_by, SubmissionState.QUEUED)
        assert (offline.key, offline.priority, offline.is_late) == ("till 1", 7, False)
        assert offline.certificate_link is not None
        assert f"/certificate/Nip/{NIP}/" in offline.certificate_link
        # As often as one likes; and handed in without a mode it stays what it is.
        assert await submissions.submit(document, offline=OFFLINE24, signer=SIGNER) == offline
        assert await submissions.submit(document) == offline

        await deliver(submissions)
        assert (await submissions.get(online.id)).invoicing_mode is InvoicingMode.OFFLINE
    assert modes_at_ksef(sandbox) == [InvoicingMode.OFFLINE]


async def test_mode_of_an_offline_invoice_stays_and_its_missing_link_is_added(submissions: Submissions) -> None:
    document = sample_invoice(NIP)
    first = await submissions.submit(document, offline=OFFLINE24)

    second = await submissions.submit(document, offline=EMERGENCY, signer=SIGNER)

    assert second.certificate_link is not None
    assert attrs.evolve(second, certificate_link=None) == first


async def test_both_in_one_group_are_one_offline_invoice(submissions: Submissions) -> None:
    documents = [sample_invoice(NIP, f"FV/{number}") for number in range(5)]

    async def submit(document: bytes, offline: OfflineMode | None) -> None:
        await submissions.submit(document, offline=offline)

    async with anyio.create_task_group() as tasks:
        for document in documents:
            tasks.start_soon(submit, document, None)
            tasks.start_soon(submit, document, OFFLINE24)

    assert [one.offline for one in await submissions.list_page()] == [OFFLINE24] * 5


async def test_transaction_that_is_rolled_back_changes_nothing(journal_url: str) -> None:
    document = sample_invoice(NIP)
    async with Submissions(journal_url) as submissions:
        online = await submissions.submit(document)
        with pytest.raises(ZeroDivisionError):
            async with submissions.begin() as connection:
                offline = await submissions.submit(document, offline=OFFLINE24, tx=connection)
                assert (offline.id, offline.offline) == (online.id, OFFLINE24)
                raise ZeroDivisionError
        assert await submissions.get(online.id) == online


async def test_connection_of_aiosqlite_does_it_as_well(sqlite_url: str, tmp_path: Path) -> None:
    document = sample_invoice(NIP)
    async with Submissions(sqlite_url) as submissions, aiosqlite.connect(tmp_path / "journal.db") as connection:
        online = await submissions.submit(document)
        offline = await submissions.submit(document, offline=OFFLINE24, tx=connection)
        await connection.commit()
        assert (offline.id, offline.offline) == (online.id, OFFLINE24)
        assert await submissions.get(online.id) == offline


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_connection_to_postgresql_does_it_as_well(postgres_database: URL, driver: str) -> None:
    document = sample_invoice(NIP)
    url = postgres_database.set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)
    plain = postgres_database.set(drivername="postgresql").render_as_string(hide_password=False)
    async with Submissions(url) as submissions:
        online = await submissions.submit(document)
        if driver == "asyncpg":
            connection_of_asyncpg = await asyncpg.connect(plain)
            try:
                async with connection_of_asyncpg.transaction():
                    offline = await submissions.submit(document, offline=OFFLINE24, tx=connection_of_asyncpg)
            finally:
                await connection_of_asyncpg.close()
        else:
            async with await psycopg.AsyncConnection.connect(plain) as connection:
                offline = await submissions.submit(document, offline=OFFLINE24, tx=connection)
        assert (offline.id, offline.offline) == (online.id, OFFLINE24)
        assert await submissions.get(online.id) == offline


async def test_what_is_held_goes_as_an_offline_invoice(journal_url: str, sandbox: Sandbox, client: KsefClient) -> None:
    yesterday = polish_day(datetime.now(UTC)) - timedelta(days=1)
    document = sample_invoice(NIP, issued_on=yesterday)
    settings = attrs.evolve(QUICK_SETTINGS, late=Late.HOLD)
    async with Submissions(journal_url, client=client, settings=settings) as submissions:
        held = await submissions.submit(document)
        await deliver(submissions)
        await submissions.acknowledge(held.id)
        assert (await submissions.get(held.id)).state is SubmissionState.HELD

        offline = await submissions.submit(document, offline=EMERGENCY, signer=SIGNER)
        assert (offline.state, offline.offline, offline.is_late) == (SubmissionState.QUEUED, EMERGENCY, False)
        assert (offline.reason, offline.is_acknowledged) == (None, False)
        assert offline.due_by == end_of_day(working_day_after(yesterday, 7))
        assert await submissions.troubles() == {}

        await deliver(submissions)
    assert modes_at_ksef(sandbox) == [InvoicingMode.OFFLINE]


async def test_what_was_late_is_no_longer_so_once_it_is_told_that_it_was_issued_offline(
    submissions: Submissions, sandbox: Sandbox
) -> None:
    document = sample_invoice(NIP, issued_on=polish_day(datetime.now(UTC)) - timedelta(days=1))
    late = await submissions.submit(document)
    sandbox.faults.add("open_online_session", Fault.html(503), times=FOREVER)

    async def is_late() -> bool:
        return (await submissions.get(late.id)).is_late

    await run_until(submissions, is_late)
    assert (await submissions.get(late.id)).offline is OFFLINE24

    offline = await submissions.submit(document, offline=EMERGENCY)
    assert (offline.id, offline.offline, offline.is_late) == (late.id, EMERGENCY, False)


async def test_what_ksef_may_have_goes_on_as_it_was_begun(submissions: Submissions, sandbox: Sandbox) -> None:
    document = sample_invoice(NIP)
    sandbox.faults.add("send_invoice", Fault.drop_after())
    sandbox.faults.add("list_session_invoices", Fault.html(503), times=FOREVER)
    async with submissions.running():
        online = await submissions.submit(document)
        with anyio.fail_after(20):
            while not [*sandbox.world.invoices()]:
                await anyio.sleep(0.01)
        with pytest.raises(LocalProtocolError, match="sending, but not as the technical correction"):
            await submissions.submit(document, offline=OFFLINE24, corrects=bytes(32))
        offline = await submissions.submit(document, offline=OFFLINE24, signer=SIGNER)
        assert (offline.id, offline.state, offline.offline) == (online.id, SubmissionState.SENDING, OFFLINE24)

        sandbox.faults.clear()
        with anyio.fail_after(20):
            await submissions.wait_until_settled()

    delivered = await submissions.get(online.id)
    assert (delivered.offline, delivered.invoicing_mode) == (OFFLINE24, InvoicingMode.ONLINE)
    assert len([*sandbox.world.invoices()]) == 1


async def test_what_ksef_has_decided_on_stays_as_it_is(submissions: Submissions, sandbox: Sandbox) -> None:
    document = sample_invoice(NIP)
    await submissions.submit(document)
    await deliver(submissions)
    (accepted,) = await submissions.list_page()

    assert await submissions.submit(document, offline=OFFLINE24, signer=SIGNER) == accepted
    assert accepted.offline is None


async def test_what_is_queued_becomes_a_technical_correction(submissions: Submissions) -> None:
    document = sample_invoice(NIP)
    online = await submissions.submit(document)

    correction = await submissions.submit(document, offline=OFFLINE24, corrects=bytes(32))

    assert (correction.id, correction.offline, correction.corrects) == (online.id, OFFLINE24, bytes(32))
