"""Packages, over real sockets: made, fetched, verified, unpacked, found again."""

from __future__ import annotations

import hashlib
import io
import random
import zipfile
from collections.abc import Callable
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from clients import QUICK, RecordingTransport, Traffic
from cryptography.fernet import Fernet
from parties import client_of, grant
from receiving import BUYER, everything, feed, feed_samples, settle
from virtual_time import VirtualTimeLoop

from ksef_async import (
    BadRequestError,
    Cadence,
    Context,
    ContextType,
    CryptoError,
    ExportFailedError,
    GoneError,
    KsefClient,
    KsefToken,
    LocalProtocolError,
    Pacer,
    ServerError,
)
from ksef_async.api.invoices import DateType, InvoiceSubject
from ksef_async.api.packages import CompressionType
from ksef_async.errors import InvalidFieldError, RemoteProtocolError
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.sandbox.grants import GrantKind
from ksef_async.sandbox.subjects import Subject

AT_ONCE = Cadence(interval=0.01, factor=1.0, deadline=20)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


@pytest.mark.parametrize("compression", CompressionType)
async def test_package_brings_every_invoice_with_its_metadata(
    sandbox: Sandbox, buyer: KsefClient, compression: CompressionType
) -> None:
    numbers = feed_samples(sandbox, 30)
    settle(sandbox)

    export = await buyer.downloads.export(everything(sandbox), compression=compression)
    invoices = [invoice async for invoice in export.invoices(AT_ONCE)]

    assert [invoice.metadata.ksef_number for invoice in invoices] == numbers
    for invoice in invoices:
        assert invoice.xml is not None
        assert hashlib.sha256(invoice.xml).digest() == invoice.metadata.invoice_hash
        assert (invoice.metadata.invoice_number or "-").encode() in invoice.xml


@pytest.mark.parametrize("compression", CompressionType)
async def test_package_in_many_parts_is_put_together(
    sandbox: Sandbox, buyer: KsefClient, compression: CompressionType
) -> None:
    numbers = feed_samples(sandbox, 60)
    settle(sandbox)
    sandbox.world.exports.limits.max_part_size = 1_024

    export = await buyer.downloads.export(everything(sandbox), compression=compression)
    status = await export.wait(AT_ONCE)
    found = [invoice.metadata.ksef_number async for invoice in export.invoices()]

    assert status.package is not None
    assert len(status.package.parts) > 5
    assert max(part.encrypted_part_size for part in status.package.parts) <= 1_024
    assert found == numbers


@pytest.mark.parametrize("compression", CompressionType)
async def test_package_is_cut_where_it_would_become_too_large(
    sandbox: Sandbox, buyer: KsefClient, compression: CompressionType
) -> None:
    noise = random.Random(1).randbytes(200_000).hex().encode()
    documents = [
        sample_invoice(sandbox.nip, f"FV/{n}", buyer_nip=BUYER) + b"<!--" + noise[n * 40_000 :][:40_000] + b"-->"
        for n in range(10)
    ]
    numbers = [number for document in documents for number in feed(sandbox, [document])]
    settle(sandbox)
    sandbox.world.exports.limits.max_package_size = 130_000

    export = await buyer.downloads.export(everything(sandbox), compression=compression)
    package = (await export.wait(AT_ONCE)).package
    found = [invoice async for invoice in export.invoices()]

    assert package is not None
    assert package.is_truncated
    assert package.invoice_count is not None
    assert package.size is not None
    assert 2 <= package.invoice_count < 10
    assert package.size <= 135_000  # with its metadata
    assert [invoice.metadata.ksef_number for invoice in found] == numbers[: package.invoice_count]
    assert [invoice.xml for invoice in found] == documents[: package.invoice_count]
    assert package.last_permanent_storage_date == found[-1].metadata.permanent_storage_date


async def test_metadata_alone_and_nothing_at_all(sandbox: Sandbox, buyer: KsefClient) -> None:
    nothing = await buyer.downloads.export(everything(sandbox))
    async with nothing.package(AT_ONCE) as package:
        assert (package.info.invoice_count, package.info.parts, package.metadata) == (0, (), ())
        assert [invoice async for invoice in package] == []
    numbers = feed_samples(sandbox, 3)
    settle(sandbox)

    only_metadata = await buyer.downloads.export(everything(sandbox), only_metadata=True)

    invoices = [invoice async for invoice in only_metadata.invoices(AT_ONCE)]
    assert [(invoice.metadata.ksef_number, invoice.xml) for invoice in invoices] == [(each, None) for each in numbers]


async def test_package_is_thrown_away_although_its_block_is_cancelled(sandbox: Sandbox, buyer: KsefClient) -> None:
    feed_samples(sandbox, 3)
    settle(sandbox)
    export = await buyer.downloads.export(everything(sandbox))

    with anyio.CancelScope() as scope:
        async with export.package(AT_ONCE) as package:
            scope.cancel()
            await anyio.sleep_forever()

    with pytest.raises(RemoteProtocolError, match="closed file"):
        await anext(aiter(package))


async def test_package_is_saved_into_its_folder_only(sandbox: Sandbox, buyer: KsefClient, tmp_path: Path) -> None:
    numbers = feed_samples(sandbox, 3)
    settle(sandbox)
    folder, outside = tmp_path / "new" / "folder", tmp_path / "outside.xml"
    folder.mkdir(parents=True)
    outside.write_text("mine")
    (folder / f"{numbers[0]}.xml").symlink_to(outside)

    export = await buyer.downloads.export(everything(sandbox))
    files = await export.save(folder, AT_ONCE)

    assert {file.name for file in files} == {f"{each}.xml" for each in numbers} | {"_metadata.json"}
    assert {file.name for file in folder.iterdir()} == {file.name for file in files}
    assert outside.read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"new", "outside.xml"}


async def test_package_that_is_cut_off_says_where(sandbox: Sandbox, buyer: KsefClient) -> None:
    numbers = feed_samples(sandbox, 25)
    settle(sandbox)
    sandbox.world.exports.limits.max_invoices = 10

    for date_type, name in (
        (DateType.PERMANENT_STORAGE, "last_permanent_storage_date"),
        (DateType.INVOICING, "last_invoicing_date"),
        (DateType.ISSUE, "last_issue_date"),
    ):
        export = await buyer.downloads.export(everything(sandbox, date_type=date_type))
        package = (await export.wait(AT_ONCE)).package

        assert package is not None
        assert (package.is_truncated, package.invoice_count) == (True, 10)
        given = [
            field
            for field in ("last_permanent_storage_date", "last_invoicing_date", "last_issue_date")
            if getattr(package, field) is not None
        ]
        assert given == [name]
        assert (package.permanent_storage_hwm_date is not None) == (date_type == DateType.PERMANENT_STORAGE)
    last = sandbox.world.repository.get(numbers[9])
    assert last is not None


async def test_export_is_found_again_with_its_key(sandbox: Sandbox, buyer: KsefClient) -> None:
    numbers = feed_samples(sandbox, 2)
    settle(sandbox)
    key = Fernet.generate_key()
    export = await buyer.downloads.export(everything(sandbox))
    snapshot = export.snapshot(key)

    resumed = buyer.downloads.resume(snapshot, key)

    assert resumed.reference_number == export.reference_number
    assert [invoice.metadata.ksef_number async for invoice in resumed.invoices(AT_ONCE)] == numbers
    with pytest.raises(CryptoError):
        buyer.downloads.resume(snapshot, Fernet.generate_key())
    with pytest.raises(CryptoError):
        buyer.downloads.resume(snapshot[:-5], key)
    session = Fernet(key).encrypt(b'{"version": 1}')
    with pytest.raises(LocalProtocolError):
        buyer.downloads.resume(session, key)


async def test_expired_link_is_asked_for_anew(sandbox: Sandbox) -> None:
    numbers = feed_samples(sandbox, 2)
    settle(sandbox)
    traffic = Traffic()
    async with (
        aclosing(RecordingTransport()) as transport,
        KsefClient(
            sandbox.environment,
            KsefToken(nip=BUYER, token=sandbox.issue_token(BUYER)),
            transport=transport,
            pacer=Pacer.unlimited(),
            retry=QUICK,
            hook=traffic,
        ) as buyer,
    ):
        export = await buyer.downloads.export(everything(sandbox))
        await export.wait(AT_ONCE)
        seen = transport.answers("get_export_status")[-1]
        sandbox.clock.advance(2 * 3600)
        await buyer.refresh()
        # Links that were good when the status was seen, and are not when the part is fetched.
        sandbox.faults.add("get_export_status", Fault.answer_becomes(body=seen))

        found = [invoice.metadata.ksef_number async for invoice in export.invoices(AT_ONCE)]

    assert found == numbers
    assert sandbox.faults.happened["get_export_status"] == 1
    assert [status for (operation, status) in traffic.answers if operation == "export_part" and status != 200] == [403]


# --- how exports end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [500, 550])
async def test_failed_export_is_said_to_have_failed(sandbox: Sandbox, buyer: KsefClient, code: int) -> None:
    sandbox.faults.add("export_invoices", Fault.export_ends(code))

    export = await buyer.downloads.export(everything(sandbox))
    with pytest.raises(ExportFailedError) as caught:
        await export.wait(AT_ONCE)

    assert (caught.value.code, caught.value.reference_number) == (code, export.reference_number)


async def test_bad_key_shows_later(sandbox: Sandbox, buyer: KsefClient) -> None:
    sandbox.faults.add("export_invoices", Fault.wrong_key())

    export = await buyer.downloads.export(everything(sandbox))
    with pytest.raises(ExportFailedError) as caught:
        await export.wait(AT_ONCE)

    assert caught.value.code == 415


async def test_withdrawn_key_is_replaced(sandbox: Sandbox, buyer: KsefClient) -> None:
    await buyer.downloads.export(everything(sandbox))
    await sandbox.rotate_keys()

    export = await buyer.downloads.export(everything(sandbox))

    assert (await export.wait(AT_ONCE)).status.code == 200


async def test_old_export_is_gone(sandbox: Sandbox, buyer: KsefClient) -> None:
    export = await buyer.downloads.export(everything(sandbox))
    await export.wait(AT_ONCE)
    sandbox.clock.advance(7 * 86400 + 60)

    with pytest.raises(GoneError):
        await export.status()


async def test_ten_exports_run_at_once(sandbox: Sandbox, buyer: KsefClient) -> None:
    sandbox.world.exports.limits.max_running = 2
    sandbox.faults.clear()
    object.__setattr__(sandbox.world.timings, "export_delay", 60.0)
    for _ in range(2):
        await buyer.downloads.export(everything(sandbox))

    with pytest.raises(BadRequestError) as caught:
        await buyer.downloads.export(everything(sandbox))

    assert caught.value.code == 21182


async def test_what_ksef_would_refuse_is_not_sent(sandbox: Sandbox, buyer: KsefClient) -> None:
    start = sandbox.clock.now() - timedelta(days=101)

    with pytest.raises(InvalidFieldError) as caught:
        await buyer.downloads.export(everything(sandbox, start=start))

    assert caught.value.field == "date_range"


# --- packages that must not be trusted -------------------------------------------------------------------------


def rezipped(change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> Callable[[bytes], bytes]:
    """A zip with other entries."""

    def rewrite(archive: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(archive)) as old:
            entries = {name: old.read(name) for name in old.namelist()}
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
            for name, data in change(entries).items():
                new.writestr(name, data)
        return file.getvalue()

    return rewrite


def without_a_document(entries: dict[str, bytes]) -> dict[str, bytes]:
    return dict(list(entries.items())[1:])


def with_a_document_changed(entries: dict[str, bytes]) -> dict[str, bytes]:
    first = next(iter(entries))
    return entries | {first: entries[first].replace(b"1230.00", b"1.00")}


BROKEN = {
    "truncated": lambda archive: archive[:-100],
    "not an archive": lambda archive: b"x" * len(archive),
    "damaged inside": lambda archive: archive[:200] + b"\x00" * 50 + archive[250:],
    "traversal": rezipped(lambda entries: {"../evil.xml": b"<a/>", **entries}),
    "absolute": rezipped(lambda entries: {"/tmp/evil.xml": b"<a/>", **entries}),
    "backslashes": rezipped(lambda entries: {"..\\evil.xml": b"<a/>", **entries}),
    "drive": rezipped(lambda entries: {"C:evil.xml": b"<a/>", **entries}),
    "bomb": rezipped(lambda entries: {**entries, next(iter(entries)): b"\x00" * 20_000_000}),
    "document missing": rezipped(without_a_document),
    "document changed": rezipped(with_a_document_changed),
    "document nobody tells of": rezipped(
        lambda entries: {"5265877635-20250826-0100001AF629-AF.xml": b"<a/>", **entries}
    ),
    "metadata missing": rezipped(lambda entries: {k: v for k, v in entries.items() if k != "_metadata.json"}),
    "metadata broken": rezipped(lambda entries: entries | {"_metadata.json": entries["_metadata.json"][:-50]}),
    "metadata of another shape": rezipped(lambda entries: entries | {"_metadata.json": b'{"invoices":[{}]}'}),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_package_that_is_not_what_it_should_be_is_refused(
    sandbox: Sandbox, buyer: KsefClient, tmp_path: Path, kind: str
) -> None:
    feed_samples(sandbox, 3)
    settle(sandbox)
    sandbox.faults.add("export_invoices", Fault.package_becomes(BROKEN[kind]))
    folder = tmp_path / "folder"

    export = await buyer.downloads.export(everything(sandbox))
    with pytest.raises(RemoteProtocolError):
        await export.save(folder, AT_ONCE)

    assert {path.name for path in tmp_path.iterdir()} <= {"folder"}
    # What was written before the fault was found is whole, and only KSeF's names are there.
    for file in folder.iterdir() if folder.exists() else ():
        assert file.suffix == ".xml"
        found = sandbox.world.repository.get(file.stem)
        assert found is not None
        assert file.read_bytes() == await anyio.to_thread.run_sync(found.stored.read)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda part: part[:-16], id="shorter"),
        pytest.param(lambda part: part[:100] + b"\x00" + part[101:], id="one byte"),
        pytest.param(lambda part: b"", id="empty"),
    ],
)
async def test_part_that_was_tampered_with_is_refused(
    sandbox: Sandbox, buyer: KsefClient, damage: Callable[[bytes], bytes]
) -> None:
    feed_samples(sandbox, 3)
    settle(sandbox)
    sandbox.faults.add("export_invoices", Fault.part_becomes(damage))

    export = await buyer.downloads.export(everything(sandbox))

    with pytest.raises(RemoteProtocolError):
        _ = [invoice async for invoice in export.invoices(AT_ONCE)]


async def test_metadata_is_read_exactly(sandbox: Sandbox, buyer: KsefClient) -> None:
    document = sample_invoice(sandbox.nip, "FV/1", buyer_nip=BUYER)
    document = document.replace(b"<P_15>1230.00</P_15>", b"<P_15>9999999999999999.99</P_15>")
    feed(sandbox, [document])
    settle(sandbox)

    export = await buyer.downloads.export(everything(sandbox), only_metadata=True)
    (invoice,) = [each async for each in export.invoices(AT_ONCE)]

    assert str(invoice.metadata.gross_amount) == "9999999999999999.99"
    listed = [each async for each in buyer.invoices.list(everything(sandbox))]
    assert listed == [invoice.metadata]


async def test_company_may_look_as_everybody(sandbox: Sandbox, buyer: KsefClient) -> None:
    for subject in InvoiceSubject:
        export = await buyer.downloads.export(everything(sandbox, subject))
        assert (await export.wait(AT_ONCE)).status.code == 200


PARTS = {
    Context(ContextType.NIP, BUYER): {*InvoiceSubject},
    Context(ContextType.INTERNAL_ID, "6824515772-12343"): {InvoiceSubject.SELLER, InvoiceSubject.THIRD_SUBJECT},
    Context(ContextType.NIP_VAT_UE, f"{BUYER}-DE123456789"): {InvoiceSubject.SELLER},
    Context(ContextType.PEPPOL_ID, "PPL123456"): {InvoiceSubject.SELLER},
}


@pytest.mark.parametrize("context", PARTS, ids=lambda context: context.type.value)
async def test_each_kind_of_context_exports_only_as_what_it_can_be(sandbox: Sandbox, context: Context) -> None:
    who = Subject("Nip", BUYER)
    grant(sandbox, GrantKind.PERSON, context, who, "InvoiceRead")
    refusals = {}
    async with client_of(sandbox, who, context) as client:
        for part in InvoiceSubject:
            try:
                await client.downloads.export(everything(sandbox, part))
            except BadRequestError as error:
                refusals[part] = error.code

    assert refusals == dict.fromkeys({*InvoiceSubject} - PARTS[context], 21181)
    assert len(sandbox.world.exports.by_reference) == len(PARTS[context])


@pytest.mark.parametrize(
    "fault",
    [Fault.html(502), Fault.html(502, after_effect=True), Fault.server_error(after_effect=True), Fault.drop_after()],
    ids=["502", "502 after it was begun", "500 after it was begun", "answer lost"],
)
async def test_export_is_begun_again_after_a_lost_answer(sandbox: Sandbox, buyer: KsefClient, fault: Fault) -> None:
    numbers = feed_samples(sandbox, 1)
    settle(sandbox)
    sandbox.faults.add("export_invoices", fault)

    export = await buyer.downloads.export(everything(sandbox))

    assert [invoice.metadata.ksef_number async for invoice in export.invoices(AT_ONCE)] == numbers
    assert len(sandbox.world.exports.by_reference) == (2 if fault.after_effect else 1)


async def test_export_that_is_never_answered_is_given_up(sandbox: Sandbox, buyer: KsefClient) -> None:
    sandbox.faults.add("export_invoices", Fault.html(502), times=100)

    with pytest.raises(ServerError):
        await buyer.downloads.export(everything(sandbox))

    assert sandbox.faults.happened["export_invoices"] == QUICK.attempts
