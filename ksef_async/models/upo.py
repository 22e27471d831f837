"""The UPO as a document, read from its XML. Source: XSD http://upo.schematy.mf.gov.pl/KSeF/v4-3."""

from __future__ import annotations

from datetime import date, datetime

import attrs

from .common import Context
from .sessions import InvoicingMode

__all__ = ["UPODocument", "UPOEntry"]


@attrs.frozen(kw_only=True)
class UPOEntry:
    """One accepted invoice in a UPO."""

    seller_nip: str
    ksef_number: str
    #: The seller's number (P_2).
    invoice_number: str
    issue_date: date
    #: When KSeF took the document in.
    invoicing_date: datetime
    #: When the KSeF number was given.
    acquisition_date: datetime
    #: SHA-256 of the invoice (32 bytes).
    invoice_hash: bytes
    #: Absent in UPO older than version 4-3.
    invoicing_mode: InvoicingMode | None = None


@attrs.frozen(kw_only=True)
class UPODocument:
    """One UPO document: a page of a session's receipt, or the receipt of one invoice."""

    #: The exact bytes KSeF issued: what an archive must keep.
    xml: bytes = attrs.field(repr=False)
    session_reference_number: str
    #: On whose behalf the invoices were sent.
    context: Context
    #: Who confirms: outside production its name says which environment this is.
    issuer: str
    #: System code of the form, e.g. ``"FA (3)"``.
    form: str
    #: This page, from 1, and how many there are; 1 of 1 for the receipt of one invoice.
    page: int = 1
    page_count: int = 1
    entries: tuple[UPOEntry, ...] = attrs.field(repr=lambda entries: f"<{len(entries)} entries>")
