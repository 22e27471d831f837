"""A session is what its number says: online or batch, whoever attaches it, and whatever is asked of it."""

from __future__ import annotations

import pytest
from clients import Traffic, connected
from cryptography.fernet import Fernet
from packages import packed

from ksef_async import (
    AcceptedInvoice,
    BadRequestError,
    BatchSession,
    FormCode,
    KsefClient,
    LocalProtocolError,
    OnlineSession,
    PackageProgress,
    PackageStage,
    SessionType,
    StatusCode,
)
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.sessions.session import session_type

CLOSES = ("close_online_session", "close_batch_session")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param("20250625-SO-2C3E6C8000-B675CF5D68-07", SessionType.ONLINE, id="online"),
        pytest.param("20250625-SB-2C3E6C8000-B675CF5D68-07", SessionType.BATCH, id="batch"),
        pytest.param("20250625-SX-2C3E6C8000-B675CF5D68-07", SessionType.ONLINE, id="of no known kind"),
        pytest.param("20250625-SO-SB-3E6C8000-B675CF5D68-0", SessionType.ONLINE, id="the letters elsewhere"),
        pytest.param("", SessionType.ONLINE, id="nothing"),
    ],
)
def test_number_says_what_a_session_is(number: str, expected: SessionType) -> None:
    assert session_type(number) is expected


async def test_what_is_attached_by_its_number_answers_whatever_its_kind(client: KsefClient, sandbox: Sandbox) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as online:
        await online.send(sample_invoice(sandbox.nip, "online"))
    async with packed(sandbox, 2) as package:
        batch = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        async with batch:
            pass
    opened: list[tuple[OnlineSession | BatchSession, int]] = [(online, 1), (batch, 2)]

    async with connected(sandbox) as other:
        for session, count in opened:
            attached = await other.sessions.attach(session.reference_number)

            assert type(attached) is type(session)
            assert [each.current async for each in attached.transitions()][-1] == StatusCode.PROCESSED_OK
            assert (await attached.status()).status.code == StatusCode.PROCESSED_OK
            followed = [outcome async for outcome in attached.follow()]
            assert [type(outcome) for outcome in followed] == [AcceptedInvoice] * count
            assert len([outcome async for outcome in attached.outcomes()]) == count
            assert len([*(await attached.upo()).entries]) == count
            assert (await attached.terminate()).status.code == StatusCode.PROCESSED_OK
            status = await other.sessions.status(session.reference_number)
            assert status.successful_invoice_count == count
            seen = [each.current async for each in other.sessions.transitions(session.reference_number)]
            assert seen[-1] == StatusCode.PROCESSED_OK


async def test_outcomes_of_an_attached_batch_are_named_by_ksefs_list(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox, 3) as package:
        async with await client.sessions.open_batch(package, form_code=FormCode.FA3) as session:
            pass

    async with connected(sandbox) as other:
        attached = await other.sessions.attach(session.reference_number)
        assert isinstance(attached, BatchSession)
        told = {each.file_name: each.outcome.invoice_hash async for each in attached.outcomes()}

    assert told == {invoice.file_name: invoice.sha256 for invoice in package.invoices}


async def test_block_of_an_attached_batch_closes_the_batch(sandbox: Sandbox) -> None:
    traffic = Traffic()
    async with connected(sandbox, hook=traffic) as client, packed(sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        await session.upload()

        async with await client.sessions.attach(session.reference_number) as attached:
            with pytest.raises(LocalProtocolError, match="is open, and the UPO comes after it is closed"):
                await attached.upo()

        assert len([*(await attached.upo()).entries]) == len(package.invoices)
        assert [traffic.of(close) for close in CLOSES] == [0, 1]
        # It is closed for the one that was opened, too.
        assert (await session.terminate()).status.code == StatusCode.PROCESSED_OK
        assert [traffic.of(close) for close in CLOSES] == [0, 1]


async def test_attached_batch_whose_parts_are_not_in_is_not_closed(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        attached = await client.sessions.attach(session.reference_number)

        with pytest.raises(BadRequestError):
            await attached.terminate()

        assert (await session.status()).status.code == StatusCode.OPENED
        async with session:
            pass
        await attached.upo()


async def test_attached_batch_has_no_package(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        attached = await client.sessions.attach(session.reference_number)
    assert isinstance(attached, BatchSession)

    with pytest.raises(LocalProtocolError, match=r"without its package: use resume\(\)"):
        await attached.upload()
    with pytest.raises(LocalProtocolError, match="without its package"):
        attached.snapshot(Fernet.generate_key())
    with pytest.raises(LocalProtocolError, match="without its package"):
        _ = attached.package
    assert (attached.form_code, attached.uploaded_parts) == (None, frozenset())
    assert repr(attached) == f"<BatchSession {session.reference_number} OPENED>"
    with pytest.raises(LocalProtocolError, match=r"is a batch: go on with it by resume\(package=...\)"):
        await client.sessions.attach(session.reference_number, encryption=await client.sessions.new_encryption())


@pytest.mark.parametrize("concurrency", [0, -1])
async def test_batch_that_nothing_would_upload_is_not_opened(
    client: KsefClient, sandbox: Sandbox, concurrency: int
) -> None:
    async with packed(sandbox) as package:
        with pytest.raises(LocalProtocolError, match="concurrency is at least 1"):
            await client.sessions.open_batch(package, form_code=FormCode.FA3, concurrency=concurrency)

    assert not sandbox.world.sessions


async def test_everybody_who_goes_on_with_a_batch_is_told_of_its_progress(client: KsefClient, sandbox: Sandbox) -> None:
    told: dict[str, list[PackageProgress]] = {"first": [], "second": []}
    key = Fernet.generate_key()
    async with packed(sandbox) as package:
        first = await client.sessions.open_batch(package, form_code=FormCode.FA3, progress=told["first"].append)
        snapshot = first.snapshot(key)
        second = await client.sessions.resume(snapshot, key, package=package, progress=told["second"].append)
        async with second:
            pass

        await first.upo()

    for name, progress in told.items():
        processed = [each.done for each in progress if each.stage is PackageStage.PROCESSING]
        assert processed, name
        assert processed[-1] == len(package.invoices), name
