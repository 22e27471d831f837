from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from clients import connected
from official import SAMPLES, needs

from ksef_async import (
    DuplicateInvoiceError,
    FormCode,
    InvoiceRejectedError,
    InvoicingMode,
    KsefClient,
    LocalProtocolError,
    SessionFilter,
    SessionOutcome,
    SessionType,
    StatusCode,
)
from ksef_async.protocol.xml import parse_xml
from ksef_async.sandbox import Sandbox, sample_invoice

TODAY = datetime.now(UTC).date()


@needs(SAMPLES)
@pytest.mark.parametrize("number", range(1, 13))
async def test_official_sample_invoice_is_accepted(number: int) -> None:
    # Each in a sandbox of its own: some of the samples share seller, kind and number.
    xml = (SAMPLES / f"fa3-example-{number}.xml").read_bytes()
    nip = parse_xml(xml).findtext("{*}Podmiot1/{*}DaneIdentyfikacyjne/{*}NIP")

    async with (
        Sandbox(nip=nip) as sandbox,
        connected(sandbox) as client,
        await client.sessions.open_online(FormCode.FA3) as session,
    ):
        accepted = await (await session.send(xml)).outcome()

    assert accepted.ksef_number.startswith("9999999999-")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(lambda xml: xml[:-9], 450, id="not well-formed"),
        pytest.param(lambda xml: xml.replace(b"FA (3)", b"FA (2)"), 450, id="another form"),
        pytest.param(lambda _: sample_invoice("1111111111"), 410, id="another seller"),
        pytest.param(
            lambda xml: xml.replace(TODAY.isoformat().encode(), (TODAY + timedelta(days=3)).isoformat().encode()),
            450,
            id="issued in the future",
        ),
    ],
)
async def test_rejected_invoice_carries_what_ksef_said(
    client: KsefClient, sandbox: Sandbox, change: Callable[[bytes], bytes], code: int
) -> None:
    invoice = change(sample_invoice(sandbox.nip, issued_on=TODAY))

    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(invoice)
        with pytest.raises(InvoiceRejectedError) as caught:
            await sent.outcome()

    error = caught.value
    assert error.code == code
    assert error.status.description in str(error)
    assert error.invoice_hash == hashlib.sha256(invoice).digest()
    assert error.session_reference_number == session.reference_number


@pytest.mark.parametrize(
    "change",
    [
        pytest.param((b"<Faktura", b"<?php x?><Faktura"), id="processing instruction"),
        pytest.param((b"<Faktura", b"<!DOCTYPE a><Faktura"), id="DTD"),
        pytest.param((b"UTF-8", b"ISO-8859-2"), id="declared as iso-8859-2"),
    ],
)
async def test_file_that_every_ksef_refuses_is_not_sent(
    client: KsefClient, sandbox: Sandbox, change: tuple[bytes, bytes]
) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        with pytest.raises(LocalProtocolError, match="KSeF takes"):
            await session.send(sample_invoice(sandbox.nip).replace(*change))

    assert not list(sandbox.world.invoices())


async def test_session_of_rejected_invoices_only_ends_with_445(client: KsefClient) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        await session.send(b"<Faktura/>")

    last = [transition async for transition in session.transitions()][-1]

    assert last.current == StatusCode.VALIDATION_ERROR
    assert (last.status.invoice_count, last.status.failed_invoice_count) == (1, 1)


async def test_duplicate_of_another_document_names_the_original(client: KsefClient, sandbox: Sandbox) -> None:
    invoice = sample_invoice(sandbox.nip)
    async with await client.sessions.open_online(FormCode.FA3) as first:
        original = await (await first.send(invoice)).outcome()

    async with await client.sessions.open_online(FormCode.FA3) as second:
        sent = await second.send(invoice + b"<!-- another file -->")
        with pytest.raises(DuplicateInvoiceError, match="Another document") as caught:
            await sent.outcome()

    assert caught.value.original_ksef_number == original.ksef_number
    assert caught.value.original_session == first.reference_number


async def test_duplicate_of_the_same_document_is_its_acceptance(client: KsefClient, sandbox: Sandbox) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as first:
        original = await (await first.send(sample_invoice(sandbox.nip))).outcome()

    async with await client.sessions.open_online(FormCode.FA3) as second:
        sent = await second.send(sample_invoice(sandbox.nip))
        again = await sent.outcome()

        receipt = await sent.upo()

    assert again.is_duplicate
    assert receipt.session_reference_number == first.reference_number
    assert [entry.ksef_number for entry in receipt.entries] == [original.ksef_number]
    assert again.reference_number == sent.reference_number
    assert (again.ksef_number, again.session_reference_number) == (original.ksef_number, first.reference_number)


async def test_offline_invoice_is_issued_offline_and_can_be_corrected(client: KsefClient, sandbox: Sandbox) -> None:
    broken = sample_invoice(sandbox.nip).replace(b"<KodWaluty>PLN</KodWaluty>", b"")
    broken = broken.replace(b"</Fa>", b"<Fa>")
    async with await client.sessions.open_online(FormCode.FA3) as session:
        rejected = await session.send(broken, offline=True)
        with pytest.raises(InvoiceRejectedError) as caught:
            await rejected.outcome()

        corrected = await session.send(sample_invoice(sandbox.nip), offline=True, corrects=caught.value.invoice_hash)
        accepted = await corrected.outcome()

    assert accepted.invoicing_mode is InvoicingMode.OFFLINE


async def test_invoice_of_an_earlier_day_counts_as_issued_offline(client: KsefClient, sandbox: Sandbox) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(sample_invoice(sandbox.nip, issued_on=date(2026, 2, 1)))

        assert (await sent.outcome()).invoicing_mode is InvoicingMode.OFFLINE


async def test_lists_find_sessions_and_their_invoices(client: KsefClient, sandbox: Sandbox) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = [await session.send(sample_invoice(sandbox.nip, f"FV/{number}")) for number in range(3)]
        sent.append(await session.send(b"<Faktura/>"))
    await session.upo()

    listed = [invoice async for invoice in session.invoices()]
    failed = [invoice async for invoice in session.failed_invoices()]
    sessions = [summary async for summary in client.sessions.list(SessionFilter(session_type=SessionType.ONLINE))]

    assert [invoice.invoice_hash for invoice in listed] == [invoice.invoice_hash for invoice in sent]
    assert [invoice.ordinal_number for invoice in listed] == [1, 2, 3, 4]
    assert [invoice.reference_number for invoice in failed] == [sent[-1].reference_number]
    assert [summary.reference_number for summary in sessions] == [session.reference_number]
    assert (sessions[0].total_invoice_count, sessions[0].failed_invoice_count) == (4, 1)


async def test_sessions_can_be_filtered(client: KsefClient, sandbox: Sandbox) -> None:
    open_session = await client.sessions.open_online(FormCode.FA3)
    empty = await client.sessions.open_online(FormCode.FA3)
    await empty.terminate()

    async def found(**criteria: object) -> list[str]:
        wanted = SessionFilter(session_type=SessionType.ONLINE, **criteria)  # type: ignore[arg-type]
        return [summary.reference_number async for summary in client.sessions.list(wanted)]

    assert await found(statuses=(SessionOutcome.CANCELLED,)) == [empty.reference_number]
    assert await found(statuses=(SessionOutcome.IN_PROGRESS,)) == [open_session.reference_number]
    assert await found(reference_number=empty.reference_number) == [empty.reference_number]
    assert await found(date_created_to=datetime(2025, 1, 1, tzinfo=UTC)) == []


async def test_long_lists_come_page_by_page(client: KsefClient, sandbox: Sandbox) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        for number in range(1005):
            await session.send(sample_invoice(sandbox.nip, f"FV/{number}"))

        pages = [len(page) async for page in session.invoices().pages()]

    assert pages == [1000, 5]
