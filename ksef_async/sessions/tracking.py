"""A sent invoice, and what became of it."""

from __future__ import annotations

from datetime import datetime

import attrs

from ..caller import Api
from ..errors import DuplicateInvoiceError, InvoiceRejectedError, RemoteProtocolError
from ..models.sessions import InvoiceStatusCode, InvoicingMode, SessionInvoice
from ..models.upo import UPODocument
from ..operations import GET_INVOICE_UPO, GET_SESSION_INVOICE
from ..polling import Cadence, wait_until
from ..protocol.lifecycle import is_success, is_terminal
from .upo import verify_upo

__all__ = ["OUTCOME_CADENCE", "AcceptedInvoice", "SentInvoice", "read_outcome"]

#: KSeF mostly decides within two seconds, at times much later; 120 looks a minute are allowed to a context.
OUTCOME_CADENCE = Cadence(interval=0.25, factor=1.5, longest=10.0, deadline=300.0)


@attrs.frozen(kw_only=True)
class AcceptedInvoice:
    """An invoice with a KSeF number: it is issued."""

    ksef_number: str
    #: The seller's number (P_2).
    invoice_number: str | None
    reference_number: str
    session_reference_number: str
    #: SHA-256 of the invoice (32 bytes).
    invoice_hash: bytes
    #: When it was sent.
    invoicing_date: datetime
    #: When the KSeF number was given.
    acquisition_date: datetime | None
    #: Whether KSeF regards it as issued online or offline.
    invoicing_mode: InvoicingMode | None


def read_outcome(invoice: SessionInvoice, session_reference_number: str) -> AcceptedInvoice:
    """What became of an invoice whose status is final.

    Raises:
        DuplicateInvoiceError: 440: seller, kind and number are already in KSeF.
        InvoiceRejectedError: KSeF rejected it.
        RemoteProtocolError: It is accepted, but without a KSeF number.
    """
    if is_success(invoice.status.code):
        if invoice.ksef_number is None:
            raise RemoteProtocolError(
                f"Invoice {invoice.reference_number} is accepted, but KSeF gives no KSeF number.",
                operation=GET_SESSION_INVOICE.name,
                path="$.ksefNumber",
            )
        return AcceptedInvoice(
            ksef_number=invoice.ksef_number,
            invoice_number=invoice.invoice_number,
            reference_number=invoice.reference_number,
            session_reference_number=session_reference_number,
            invoice_hash=invoice.invoice_hash,
            invoicing_date=invoice.invoicing_date,
            acquisition_date=invoice.acquisition_date,
            invoicing_mode=invoice.invoicing_mode,
        )
    message = f"KSeF rejected invoice {invoice.invoice_number or invoice.reference_number}"
    if invoice.status.code == InvoiceStatusCode.DUPLICATE:
        raise DuplicateInvoiceError(
            message,
            status=invoice.status,
            reference_number=invoice.reference_number,
            session_reference_number=session_reference_number,
            invoice_hash=invoice.invoice_hash,
            original_ksef_number=invoice.status.extensions.get("originalKsefNumber"),
            original_session=invoice.status.extensions.get("originalSessionReferenceNumber"),
        )
    raise InvoiceRejectedError(
        message,
        status=invoice.status,
        reference_number=invoice.reference_number,
        session_reference_number=session_reference_number,
        invoice_hash=invoice.invoice_hash,
    )


class SentInvoice:
    """An invoice KSeF has taken in.

    Args:
        api: How to call KSeF.
        session_reference_number: The session it was sent in.
        reference_number: Given by KSeF (36 characters).
        invoice_hash: SHA-256 of the plain invoice (32 bytes).
    """

    __slots__ = ("_api", "invoice_hash", "reference_number", "session_reference_number")

    def __init__(self, api: Api, *, session_reference_number: str, reference_number: str, invoice_hash: bytes) -> None:
        self._api = api
        self.session_reference_number = session_reference_number
        self.reference_number = reference_number
        self.invoice_hash = invoice_hash

    def __repr__(self) -> str:
        return f"<SentInvoice {self.reference_number} in {self.session_reference_number}>"

    @property
    def _path(self) -> dict[str, str]:
        return {
            "reference_number": self.session_reference_number,
            "invoice_reference_number": self.reference_number,
        }

    async def status(self) -> SessionInvoice:
        """Ask KSeF how far the invoice is.

        Raises:
            RemoteProtocolError: KSeF answers about another document.
            TransportError, ApiError: The call failed.

        Source: GET /sessions/{referenceNumber}/invoices/{invoiceReferenceNumber}.
        """
        invoice = await self._api.call(GET_SESSION_INVOICE, path=self._path)
        if invoice.invoice_hash != self.invoice_hash:
            raise RemoteProtocolError(
                f"KSeF's status of invoice {self.reference_number} is about a document with another SHA-256.",
                operation=GET_SESSION_INVOICE.name,
                path="$.invoiceHash",
            )
        return invoice

    async def outcome(self, cadence: Cadence = OUTCOME_CADENCE) -> AcceptedInvoice:
        """Wait until KSeF has decided.

        Args:
            cadence: How often to look, and for how long.

        Raises:
            DuplicateInvoiceError: 440: seller, kind and number are already in KSeF.
            InvoiceRejectedError: KSeF rejected it; ``status`` says why.
            WaitTimeoutError: KSeF has not decided yet; ask again later.
            TransportError, ApiError, RemoteProtocolError: A call failed.
        """
        decided = await wait_until(
            self.status,
            lambda invoice: is_terminal(invoice.status.code),
            cadence,
            what=f"Invoice {self.reference_number}",
            status=lambda invoice: invoice.status,
        )
        return read_outcome(decided, self.session_reference_number)

    async def upo(self) -> UPODocument:
        """The receipt of this invoice alone; there is one as soon as it is accepted, even in an open session.

        Raises:
            BadRequestError: It is not accepted (21178).
            RemoteProtocolError: The receipt is not what KSeF vouches for, or about another document.
            TransportError, ApiError: The call failed.

        Source: GET /sessions/{referenceNumber}/invoices/{invoiceReferenceNumber}/upo.
        """
        xml = await self._api.call(GET_INVOICE_UPO, path=self._path)
        document = await verify_upo(xml, session_reference_number=self.session_reference_number)
        if [entry.invoice_hash for entry in document.entries] != [self.invoice_hash]:
            raise RemoteProtocolError(
                f"KSeF's UPO of invoice {self.reference_number} is about another document.",
                operation=GET_INVOICE_UPO.name,
                path="Dokument/SkrotDokumentu",
            )
        return document
