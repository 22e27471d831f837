"""The invoices of a session. Source: faktury/sesja-sprawdzenie-stanu.md."""

from __future__ import annotations

from collections.abc import Sequence

from ...models.sessions import InvoiceStatusCode, InvoiceStatusInfo, SessionInvoice, SessionInvoicePage
from ...protocol.lifecycle import INVOICE_STATES, is_terminal
from ..lookup import find_invoice, find_session, page_of
from ..router import Call, WrittenAnswer
from ..storage import invoice_upo_link
from ..world import Invoice, Session

__all__ = ["get_session_invoice", "list_failed_session_invoices", "list_session_invoices"]


async def list_session_invoices(call: Call) -> WrittenAnswer:
    """GET /sessions/{referenceNumber}/invoices."""
    session = find_session(call)
    return await _page(call, session, session.invoices_at(call.now))


async def list_failed_session_invoices(call: Call) -> WrittenAnswer:
    """GET /sessions/{referenceNumber}/invoices/failed."""
    session = find_session(call)
    failed = [i for i in session.invoices_at(call.now) if is_terminal(i.code_at(call.now)) and not i.is_accepted]
    return await _page(call, session, failed)


async def get_session_invoice(call: Call) -> SessionInvoice:
    """GET /sessions/{referenceNumber}/invoices/{invoiceReferenceNumber}."""
    session = find_session(call)
    return _row(call, session, find_invoice(call, session))


async def _page(call: Call, session: Session, invoices: Sequence[Invoice]) -> WrittenAnswer:
    rows, token = page_of(invoices, call, call.query["page_size"])
    # A thousand rows, each with a link to be signed, take a tenth of a second.
    return await WrittenAnswer.of(
        lambda: SessionInvoicePage(tuple(_row(call, session, invoice) for invoice in rows), token)
    )


def _row(call: Call, session: Session, invoice: Invoice) -> SessionInvoice:
    code = invoice.code_at(call.now)
    accepted = code is InvoiceStatusCode.ACCEPTED
    final = is_terminal(code)
    verdict = invoice.verdict
    archived = call.world.repository.get(verdict.ksef_number or "")
    stored_at = archived.stored_at if archived else None
    url, url_end = invoice_upo_link(call.world, session, invoice, call.now) if accepted else (None, None)
    return SessionInvoice(
        ordinal_number=invoice.ordinal_number,
        invoice_number=verdict.invoice_number if final else None,
        ksef_number=verdict.ksef_number if accepted else None,
        reference_number=invoice.reference_number,
        invoice_hash=invoice.invoice_hash,
        invoice_file_name=invoice.file_name,
        acquisition_date=invoice.final_at if accepted else None,
        invoicing_date=invoice.received_at,
        permanent_storage_date=stored_at if accepted and stored_at and call.now >= stored_at else None,
        upo_download_url=url,
        upo_download_url_expiration_date=url_end,
        invoicing_mode=verdict.mode if accepted else None,
        status=InvoiceStatusInfo(
            code,
            INVOICE_STATES[code].description,
            invoice.details_at(call.now),
            verdict.extensions if final else {},
        ),
    )
