"""How `ksef-client` sends and receives invoices."""

from __future__ import annotations

from interop.ksef_client_logins import Walker
from interop.steps import BUYER, MANY, accepted, confirmed, hash_of, hashes, samples, until, yesterday
from ksef_client import models
from ksef_client.services.crypto import build_encryption_data
from ksef_client.services.sessions import AsyncBatchSessionHandle
from ksef_client.services.workflows import AsyncBatchSessionWorkflow, AsyncExportWorkflow, AsyncOnlineSessionWorkflow
from packages import tarred, zipped

from ksef_async.sandbox import sample_invoice

FA3 = models.FormCode(system_code="FA (3)", schema_version="1-0E", value="FA")


async def send_online(walker: Walker, access: str) -> None:
    steps, invoice = walker.steps, sample_invoice(walker.sandbox.nip, "FV/1", buyer_nip=BUYER)
    with steps.step("online session opened"):
        session = await AsyncOnlineSessionWorkflow(walker.client.sessions).open_session(
            form_code=FA3,
            public_certificate=walker.session_key.certificate,
            public_key_id=walker.session_key.public_key_id,
            access_token=access,
        )
        stored = walker.sandbox.world.sessions[session.reference_number]
        assert stored.cipher is not None
    with steps.step("invoice sent and accepted"):
        sent = await session.send_invoice(invoice)
        status = await until(
            lambda: session.get_invoice_status(sent.reference_number), lambda seen: seen.status.code >= 200
        )
        assert status.status.code == 200
        assert status.ksef_number is not None
        assert hash_of(invoice) in accepted(walker.sandbox)
    with steps.step("the same invoice refused, and listed as failed"):
        again = await session.send_invoice(invoice)
        await until(lambda: session.get_invoice_status(again.reference_number), lambda seen: seen.status.code > 200)
        (failed,) = (await session.list_failed_invoices()).invoices
        assert (failed.reference_number, failed.status.code) == (again.reference_number, 440)
        extensions = failed.status.extensions or {}
        assert extensions["originalKsefNumber"] == status.ksef_number
    with steps.step("UPO of the invoice, by both its numbers"):
        for upo in (
            await session.get_invoice_upo_by_ref(sent.reference_number),
            await session.get_invoice_upo_by_ksef(status.ksef_number),
        ):
            assert confirmed(upo) == {hash_of(invoice)}
    with steps.step("session closed, UPO of the session"):
        await session.close()
        closed = await until(session.get_status, lambda seen: seen.status.code >= 200)
        assert closed.status.code == 200
        assert closed.upo is not None
        assert (closed.successful_invoice_count, closed.failed_invoice_count) == (1, 1)
        upo = await session.get_upo(closed.upo.pages[0].reference_number)
        assert confirmed(upo) == {hash_of(invoice)}


async def open_batch(walker: Walker, access: str, compression: str, invoices: list[bytes]) -> AsyncBatchSessionHandle:
    files = [(f"{number}.xml", invoice) for number, invoice in enumerate(invoices)]
    return await AsyncBatchSessionWorkflow(walker.client.sessions, walker.client.http_client).open_session(
        form_code=FA3,
        archive_bytes=zipped(files) if compression == "Zip" else tarred(files),
        compression_type=compression,
        public_certificate=walker.session_key.certificate,
        public_key_id=walker.session_key.public_key_id,
        access_token=access,
    )


async def send_batch(walker: Walker, access: str, compression: str) -> None:
    invoices = samples(walker.sandbox, compression)
    with walker.steps.step(f"batch of {MANY} invoices, {compression}, uploaded"):
        session = await open_batch(walker, access, compression, invoices)
        await session.upload_parts()
        await session.close()
    with walker.steps.step(f"batch, {compression}, accepted, UPO of the session"):
        status = await until(session.get_status, lambda seen: seen.status.code >= 200)
        assert (status.status.code, status.successful_invoice_count) == (200, MANY)
        assert status.upo is not None
        upo = await session.get_upo(status.upo.pages[0].reference_number)
        assert confirmed(upo) == hashes(invoices)
        assert hashes(invoices) <= accepted(walker.sandbox)
    with walker.steps.step(f"invoices of the batch, {compression}, listed page by page"):
        page = await session.list_invoices(page_size=10)
        rows = [*page.invoices]
        while page.continuation_token:
            page = await session.list_invoices(page_size=10, continuation_token=page.continuation_token)
            rows += page.invoices
        assert {row.invoice_hash for row in rows} == hashes(invoices)
        assert len(rows) == MANY


async def list_sessions(walker: Walker, access: str) -> None:
    with walker.steps.step("sessions listed, online and batch"):
        listed = [
            row.reference_number
            for kind in ("Online", "Batch")
            for row in (await walker.client.sessions.get_sessions(session_type=kind, access_token=access)).sessions
        ]
        assert sorted(listed) == sorted(walker.sandbox.world.sessions)


async def receive(walker: Walker, access: str) -> None:
    steps, repository = walker.steps, walker.sandbox.world.repository
    with steps.step("metadata queried as the seller, page by page"):

        async def look() -> list[models.InvoiceMetadata]:
            pages = walker.client.invoices.iter_invoice_metadata(stored(), access_token=access, page_size=10)
            return [row async for row in pages]

        rows = await until(look, lambda seen: len(seen) == len(repository))
        assert {row.invoice_hash for row in rows} == accepted(walker.sandbox)
    with steps.step("metadata queried as the buyer, who logged in too"):
        buyer = await walker.token_login(BUYER, walker.sandbox.issue_token(BUYER))
        found = await walker.client.invoices.query_invoice_metadata_by_date_range(
            subject_type="Subject2",
            date_type="PermanentStorage",
            date_from=yesterday().isoformat(),
            access_token=buyer.access_token,
            page_size=100,
        )
        assert {row.invoice_hash for row in found.invoices} == accepted(walker.sandbox)
        assert {row.seller.nip for row in found.invoices if row.seller} == {walker.sandbox.nip}
    with steps.step("invoice downloaded by the buyer"):
        one = found.invoices[0]
        assert one.ksef_number is not None
        content = await walker.client.invoices.get_invoice_bytes(one.ksef_number, access_token=buyer.access_token)
        assert hash_of(content.content) == content.sha256_base64 == one.invoice_hash


async def export(walker: Walker, access: str, compression: str) -> None:
    with walker.steps.step(f"export asked for and ready, {compression}"):
        encryption = build_encryption_data(
            walker.session_key.certificate, public_key_id=walker.session_key.public_key_id
        )
        assert encryption.encryption_info is not None
        started = await walker.client.invoices.export_invoices(
            models.InvoiceExportRequest(
                encryption=encryption.encryption_info,
                filters=stored(),
                compression_type=models.CompressionType(compression),
            ),
            access_token=access,
        )
        status = await until(
            lambda: walker.client.invoices.get_export_status(started.reference_number, access_token=access),
            lambda seen: seen.status.code >= 200,
        )
        assert status.status.code == 200
        assert status.package is not None
        assert status.package.invoice_count == len(walker.sandbox.world.repository)
    with walker.steps.step(f"package downloaded, decrypted and unpacked, {compression}"):
        workflow = AsyncExportWorkflow(walker.client.invoices, walker.client.http_client)
        package = await workflow.download_and_process_package(status.package, encryption)
        documents = [document.encode() for document in package.invoice_xml_files.values()]
        assert hashes(documents) == accepted(walker.sandbox)
        assert {row["invoiceHash"] for row in package.metadata_summaries} == accepted(walker.sandbox)


def stored() -> models.InvoiceQueryFilters:
    """What the seller sent, as far as KSeF promises that nothing is still to come."""
    return models.InvoiceQueryFilters(
        date_range=models.InvoiceQueryDateRange(
            date_type=models.InvoiceQueryDateType.PERMANENTSTORAGE,
            from_=yesterday().isoformat(),
            restrict_to_permanent_storage_hwm_date=True,
        ),
        subject_type=models.InvoiceQuerySubjectType.SUBJECT1,
    )
