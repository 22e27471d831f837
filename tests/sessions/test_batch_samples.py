"""The twelve official samples and 500 invoices more in one package; three of them broken.

A session takes invoices of one seller, and a number once: in memory, the samples get the sandbox's NIP for their
seller's, and the one that shares its number with another gets a number of its own. Nothing else in them changes.
"""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread
import pytest
from clients import connected
from official import FA_SCHEMAS, SAMPLES, needs

from ksef_async import AcceptedInvoice, FormCode, InvoiceRejectedError
from ksef_async.api.packages import CompressionType
from ksef_async.packing import pack
from ksef_async.protocol.xml import parse_xml
from ksef_async.sandbox import Sandbox, sample_invoice

pytestmark = needs(SAMPLES)


def official(nip: str) -> list[tuple[str, bytes, str]]:
    """The samples under one seller, each with a number of its own."""
    numbers: set[str] = set()
    invoices = []
    for path in sorted((SAMPLES).glob("*.xml")):
        xml = path.read_bytes()
        root = parse_xml(xml)
        seller = root.findtext("{*}Podmiot1/{*}DaneIdentyfikacyjne/{*}NIP")
        number = root.findtext("{*}Fa/{*}P_2")
        assert seller is not None
        assert number is not None
        xml = xml.replace(seller.encode(), nip.encode())
        if number in numbers:
            xml = xml.replace(number.encode(), f"{number}/{path.stem}".encode())
        numbers.add(number)
        invoices.append((path.name, xml, f"official {path.stem}"))
    return invoices


def broken(nip: str) -> list[tuple[str, bytes, str]]:
    good = sample_invoice(nip, "FV/broken")
    return [
        ("no-xml.xml", b"no invoice", "broken 1"),
        ("another-seller.xml", sample_invoice("1111111111", "FV/1"), "broken 2"),
        ("no-number.xml", good.replace(b"<P_2>FV/broken</P_2>", b""), "broken 3"),
    ]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("compression", "schemas"),
    [
        pytest.param(CompressionType.ZIP, FA_SCHEMAS, id="zip, by the schemas"),
        pytest.param(CompressionType.TAR_GZ, None, id="tar.gz, by the library's data"),
    ],
)
async def test_official_samples_and_500_more_in_one_package(compression: CompressionType, schemas: Path | None) -> None:
    async with Sandbox(schema_folder=schemas) as sandbox, connected(sandbox) as client:
        generated = [(f"{n}.xml", sample_invoice(sandbox.nip, f"FV/{n}"), f"own {n}") for n in range(497)]
        samples = await anyio.to_thread.run_sync(official, sandbox.nip)
        invoices = [*samples, *generated, *broken(sandbox.nip)]
        assert len(invoices) == 12 + 500

        async with pack(invoices, compression=compression, part_size=50_000) as package:
            session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
            async with session:
                pass
            outcomes = {outcome.key: outcome.outcome async for outcome in session.outcomes()}
            upo = await session.upo()
        status = await session.status()

    accepted = {key: each for key, each in outcomes.items() if isinstance(each, AcceptedInvoice)}
    rejected = {key: each for key, each in outcomes.items() if isinstance(each, InvoiceRejectedError)}
    assert (status.invoice_count, status.successful_invoice_count, status.failed_invoice_count) == (512, 509, 3)
    assert (len(accepted), len(rejected)) == (509, 3)
    assert accepted.keys() == {key for _, _, key in [*samples, *generated]}
    assert {key: each.code for key, each in rejected.items()} == {"broken 1": 450, "broken 2": 410, "broken 3": 450}
    assert all(each.details for each in rejected.values())
    confirmed = {entry.invoice_hash: entry.ksef_number for entry in upo.entries}
    assert confirmed == {each.invoice_hash: each.ksef_number for each in accepted.values()}
    packed = {invoice.key: invoice.sha256 for invoice in package.invoices}
    assert {key: each.invoice_hash for key, each in outcomes.items()} == packed
