"""The Ministry's twelve sample invoices, byte for byte; and files that differ in one thing KSeF does not take."""

from __future__ import annotations

import codecs
from collections.abc import Callable

import pytest
from clients import Traffic, connected
from official import SAMPLES, needs

from ksef_async import (
    DuplicateInvoiceError,
    FormCode,
    InvoiceRejectedError,
    InvoicingMode,
    KsefClient,
    LocalProtocolError,
    StatusCode,
)
from ksef_async.api.sessions import SEND_INVOICE
from ksef_async.crypto.envelope import SessionCipher
from ksef_async.protocol.xml import parse_xml
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.sessions.sending import encrypt_invoice


def sample(number: int) -> tuple[bytes, str, str]:
    """One of the samples, its seller's NIP and its number (P_2)."""
    xml = (SAMPLES / f"fa3-example-{number}.xml").read_bytes()
    root = parse_xml(xml)
    nip = root.findtext("{*}Podmiot1/{*}DaneIdentyfikacyjne/{*}NIP")
    invoice_number = root.findtext("{*}Fa/{*}P_2")
    assert nip is not None
    assert invoice_number is not None
    return xml, nip, invoice_number


@needs(SAMPLES)
@pytest.mark.parametrize("number", range(1, 13))
async def test_official_sample_is_accepted_and_confirmed(number: int) -> None:
    # Each in a sandbox of its own: some of the samples share seller, kind and number.
    xml, nip, invoice_number = sample(number)

    async with Sandbox(nip=nip) as sandbox, connected(sandbox) as client:
        async with await client.sessions.open_online(FormCode.FA3) as session:
            accepted = await (await session.send(xml)).outcome()
        upo = await session.upo()

    assert accepted.ksef_number.startswith(f"{nip}-")
    assert accepted.invoice_number == invoice_number
    # They are dated before today, and so count as issued offline.
    assert accepted.invoicing_mode is InvoicingMode.OFFLINE
    assert [(entry.ksef_number, entry.invoice_hash) for entry in upo.entries] == [
        (accepted.ksef_number, accepted.invoice_hash)
    ]


@needs(SAMPLES)
def test_there_are_twelve_official_samples() -> None:
    assert len(list(SAMPLES.glob("*.xml"))) == 12


@needs(SAMPLES)
async def test_official_samples_with_one_number_are_duplicates() -> None:
    # Both are invoice FV2026/02/150 of one seller; the documents differ.
    (first, nip, invoice_number), (second, _, _) = sample(1), sample(4)

    async with (
        Sandbox(nip=nip) as sandbox,
        connected(sandbox) as client,
        await client.sessions.open_online(FormCode.FA3) as session,
    ):
        original = await (await session.send(first)).outcome()
        duplicate = await session.send(second)
        with pytest.raises(DuplicateInvoiceError) as caught:
            await duplicate.outcome()

    assert caught.value.code == 440
    assert caught.value.original_ksef_number == original.ksef_number
    assert caught.value.original_session == session.reference_number
    assert f"number of invoice {invoice_number} was accepted before" in str(caught.value)
    assert original.ksef_number in str(caught.value)


# --- one thing wrong --------------------------------------------------------------------------------------


def in_latin_2(invoice: bytes) -> bytes:
    text = invoice.decode().replace('encoding="UTF-8"', 'encoding="ISO-8859-2"')
    assert "ISO-8859-2" in text
    return text.encode("iso-8859-2")


def of_size(invoice: bytes, size: int) -> bytes:
    return invoice + b"<!--" + b"x" * (size - len(invoice) - 7) + b"-->"


async def test_byte_order_mark_is_refused_before_it_is_sent(sandbox: Sandbox) -> None:
    await assert_not_sent(
        sandbox,
        codecs.BOM_UTF8 + sample_invoice(sandbox.nip),
        "The invoice starts with a byte order mark; KSeF takes UTF-8 without one.",
    )


async def test_latin_2_is_refused_before_it_is_sent(sandbox: Sandbox) -> None:
    invoice = in_latin_2(sample_invoice(sandbox.nip))
    place = invoice.index("ładowa".encode("iso-8859-2"))  # the first letter that is not ASCII

    await assert_not_sent(sandbox, invoice, "The invoice is in ISO-8859-2; KSeF takes UTF-8 only.")
    undeclared = invoice.replace(b' encoding="ISO-8859-2"', b"")
    shorter = len(invoice) - len(undeclared)
    await assert_not_sent(
        sandbox, undeclared, f"The invoice is not UTF-8: invalid start byte at byte {place - shorter}."
    )


async def test_one_byte_too_many_is_refused_before_it_is_sent(sandbox: Sandbox) -> None:
    await assert_not_sent(
        sandbox,
        of_size(sample_invoice(sandbox.nip), 1_000_001),
        "The invoice has 1,000,001 bytes; KSeF takes at most 1,000,000.",
    )


async def assert_not_sent(sandbox: Sandbox, invoice: bytes, message: str) -> None:
    traffic = Traffic()
    async with connected(sandbox, hook=traffic) as client:
        async with await client.sessions.open_online(FormCode.FA3) as session:
            with pytest.raises(LocalProtocolError) as caught:
                await session.send(invoice)

    assert str(caught.value) == message
    assert traffic.of("send_invoice") == 0


@pytest.mark.parametrize(
    ("spoil", "code", "detail"),
    [
        pytest.param(lambda xml: codecs.BOM_UTF8 + xml, 430, "Plik faktury zawiera znacznik BOM.", id="bom"),
        pytest.param(
            lambda xml: of_size(xml, 1_000_001),
            430,
            "Rozmiar pliku faktury przekracza dozwolony limit: 1000000 bajtów.",
            id="too large",
        ),
        pytest.param(in_latin_2, 450, "Nieprawidłowy XML", id="iso-8859-2"),
    ],
)
async def test_sandbox_rejects_what_another_client_might_send(
    client: KsefClient, sandbox: Sandbox, spoil: Callable[[bytes], bytes], code: int, detail: str
) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        assert session.aes_key is not None
        assert session.iv is not None
        request = encrypt_invoice(
            SessionCipher(session.aes_key, session.iv), spoil(sample_invoice(sandbox.nip)), False, None
        )
        await client.call(SEND_INVOICE, request, path={"reference_number": session.reference_number})
    assert [step.current async for step in session.transitions()][-1] == StatusCode.VALIDATION_ERROR

    (invoice,) = [invoice async for invoice in session.failed_invoices()]

    assert invoice.status.code == code
    assert invoice.status.details[0] == detail


async def test_largest_invoice_is_accepted(client: KsefClient, sandbox: Sandbox) -> None:
    invoice = of_size(sample_invoice(sandbox.nip), 1_000_000)
    assert len(invoice) == 1_000_000

    async with await client.sessions.open_online(FormCode.FA3) as session:
        accepted = await (await session.send(invoice)).outcome()

    assert accepted.invoice_number == "FV/1"


@pytest.mark.parametrize(
    ("damage", "detail"),
    [
        pytest.param(lambda xml: xml[:-20], "not well-formed XML", id="cut off"),
        pytest.param(lambda xml: xml.replace(b"<Fa>", b"<Fa"), "not well-formed XML", id="unclosed tag"),
    ],
)
async def test_broken_document_is_rejected_with_the_reason(
    client: KsefClient, sandbox: Sandbox, damage: Callable[[bytes], bytes], detail: str
) -> None:
    sound = sample_invoice(sandbox.nip)
    broken = damage(sound)
    assert broken != sound

    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(broken)
        with pytest.raises(InvoiceRejectedError) as caught:
            await sent.outcome()

    assert caught.value.code == 450
    assert caught.value.details[0] == "Nieprawidłowy XML"
    assert detail in caught.value.details[1]
    assert detail in str(caught.value)
    assert caught.value.reference_number == sent.reference_number
