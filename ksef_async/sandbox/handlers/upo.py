"""Receipts by their operations; the signed links to the same bytes are in `storage`."""

from __future__ import annotations

import hashlib
from base64 import b64encode

from ...models.sessions import InvoiceStatusCode, StatusCode
from ...protocol.error_codes import ErrorCode
from ..lookup import find_invoice, find_session
from ..refusals import Refusal
from ..router import Call, Document
from ..storage import invoice_receipt, upo_pages
from ..world import Invoice, Session

__all__ = ["get_invoice_upo", "get_invoice_upo_by_ksef_number", "get_session_upo_page"]


async def get_invoice_upo(call: Call) -> Document:
    """GET /sessions/{referenceNumber}/invoices/{invoiceReferenceNumber}/upo."""
    session = find_session(call)
    return await _receipt(call, session, find_invoice(call, session))


async def get_invoice_upo_by_ksef_number(call: Call) -> Document:
    """GET /sessions/{referenceNumber}/invoices/ksef/{ksefNumber}/upo."""
    session = find_session(call)
    number = call.path["ksef_number"]
    for invoice in session.invoices_at(call.now):
        if invoice.verdict.ksef_number == number:
            return await _receipt(call, session, invoice)
    raise _no_upo(number, session)


async def get_session_upo_page(call: Call) -> Document:
    """GET /sessions/{referenceNumber}/upo/{upoReferenceNumber}."""
    session = find_session(call)
    wanted = call.path["upo_reference_number"]
    if session.code_at(call.now) == StatusCode.PROCESSED_OK:
        for reference_number, page in await upo_pages(session, call.now):
            if reference_number == wanted:
                return _document(page)
    detail = f"UPO o numerze referencyjnym {wanted} dla sesji {session.reference_number} nie zostało znalezione."
    raise Refusal(ErrorCode.UNKNOWN_UPO, detail)


async def _receipt(call: Call, session: Session, invoice: Invoice) -> Document:
    if invoice.code_at(call.now) is not InvoiceStatusCode.ACCEPTED:
        raise _no_upo(invoice.reference_number, session)
    return _document(await invoice_receipt(session, invoice))


def _document(xml: bytes) -> Document:
    return Document(xml, b64encode(hashlib.sha256(xml).digest()).decode("ascii"))


def _no_upo(number: str, session: Session) -> Refusal:
    detail = (
        f"UPO o numerze KSeF {number} i numerze referencyjnym sesji {session.reference_number} nie zostało znalezione."
    )
    return Refusal(ErrorCode.UNKNOWN_UPO, detail)
