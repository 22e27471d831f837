"""How `ksef2` sends and receives invoices."""

from __future__ import annotations

import pytest
from interop.ksef2_logins import SOON, Walker
from interop.steps import BUYER, MANY, accepted, confirmed, hash_of, hashes, samples, until, yesterday
from ksef2 import FormSchema, KSeFInvoiceRejectedError
from ksef2.clients import AsyncAuthenticatedClient
from ksef2.models import InvoiceMetadata, InvoiceMetadataParams, InvoicesFilter

from ksef_async.sandbox import sample_invoice


async def send_online(walker: Walker, auth: AsyncAuthenticatedClient) -> None:
    steps, invoice = walker.steps, sample_invoice(walker.sandbox.nip, "FV/1", buyer_nip=BUYER)
    with steps.step("online session opened"):
        session = await auth.online_session(form_code=FormSchema.FA3)
        assert walker.sandbox.world.sessions[session.reference_number].cipher is not None
    with steps.step("invoice sent and accepted"):
        sent = await session.send_invoice(invoice)
        status = await sent.wait(timeout=10, poll_interval=SOON)
        assert status.status.code == 200
        assert hash_of(invoice) in accepted(walker.sandbox)
    with steps.step("the same invoice refused, and listed as failed"):
        again = await session.send_invoice(invoice)
        with pytest.raises(KSeFInvoiceRejectedError):
            await again.wait(timeout=10, poll_interval=SOON)
        (failed,) = (await session.list_failed_invoices()).invoices
        assert (failed.reference_number, failed.status.code) == (again.reference_number, 440)
    with steps.step("UPO of the invoice, by both its numbers"):
        for upo in (
            await sent.download_upo(),
            await session.download_invoice_upo(ksef_number=status.ksef_number),
        ):
            assert confirmed(upo) == {hash_of(invoice)}
    with steps.step("session closed, UPO of the session"):
        await session.aclose()
        closed = await session.wait(timeout=10, poll_interval=SOON)
        assert (closed.successful_invoice_count, closed.failed_invoice_count) == (1, 1)
        (upo,) = await session.download_upo()
        assert confirmed(upo) == {hash_of(invoice)}


async def send_batch(walker: Walker, auth: AsyncAuthenticatedClient) -> None:
    invoices = samples(walker.sandbox, "Zip")
    with walker.steps.step(f"batch of {MANY} invoices, Zip, uploaded"):
        session = await auth.batch.submit(await auth.batch.prepare(invoices))
    with walker.steps.step("batch accepted, UPO of the session"):
        status = await session.wait(timeout=10, poll_interval=SOON)
        assert (status.status.code, status.successful_invoice_count) == (200, MANY)
        (upo,) = await session.download_upo()
        assert confirmed(upo) == hashes(invoices)
        assert hashes(invoices) <= accepted(walker.sandbox)
    with walker.steps.step("invoices of the batch listed page by page"):
        page = await session.list_invoices(page_size=10)
        rows = [*page.invoices]
        while page.continuation_token:
            page = await session.list_invoices(page_size=10, continuation_token=page.continuation_token)
            rows += page.invoices
        assert {row.invoice_hash for row in rows} == hashes(invoices)
        assert len(rows) == MANY


async def list_sessions(walker: Walker, auth: AsyncAuthenticatedClient) -> None:
    with walker.steps.step("sessions listed, online and batch"):
        listed = [
            row.reference_number for kind in ("online", "batch") async for row in auth.invoice_sessions.list(kind)
        ]
        assert sorted(listed) == sorted(walker.sandbox.world.sessions)


async def receive(walker: Walker, auth: AsyncAuthenticatedClient) -> None:
    steps, repository = walker.steps, walker.sandbox.world.repository
    with steps.step("metadata queried as the seller, page by page"):

        async def look() -> list[InvoiceMetadata]:
            pages = auth.invoices.search(stored(), InvoiceMetadataParams(page_size=10))
            return [row async for row in pages]

        rows = await until(look, lambda seen: len(seen) == len(repository))
        assert {row.invoice_hash for row in rows} == accepted(walker.sandbox)
    with steps.step("metadata queried as the buyer, who logged in too"):
        buyer = await walker.token_login(BUYER, walker.sandbox.issue_token(BUYER))
        received = InvoicesFilter(role="buyer", date_type="permanent_storage", date_from=yesterday())
        found = [row async for row in buyer.invoices.search(received)]
        assert {row.invoice_hash for row in found} == accepted(walker.sandbox)
        assert {row.seller.nip for row in found} == {walker.sandbox.nip}
    with steps.step("invoice downloaded by the buyer"):
        document = await buyer.invoices.download(found[0].ksef_number)
        assert hash_of(document) == found[0].invoice_hash


async def export(walker: Walker, auth: AsyncAuthenticatedClient, compression: str) -> None:
    with walker.steps.step(f"export asked for, {compression}"):
        job = await auth.invoices.export(stored(), compression_type=compression)
    with walker.steps.step(f"package downloaded, decrypted and unpacked, {compression}"):
        package = await job.wait(timeout=10, poll_interval=SOON)
        documents = dict(package.invoices())
        assert hashes(list(documents.values())) == accepted(walker.sandbox)
        assert {row.ksef_number for row in package.metadata or ()} == documents.keys()


def stored() -> InvoicesFilter:
    """What the seller sent, as far as KSeF promises that nothing is still to come."""
    return InvoicesFilter(
        role="seller",
        date_type="permanent_storage",
        date_from=yesterday(),
        restrict_to_permanent_storage_hwm_date=True,
    )
