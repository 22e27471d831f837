"""What became of an invoice: accepted with a KSeF number, or rejected with KSeF's reasons."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal, TypeAlias

import attrs

from ..api.sessions import GET_SESSION_INVOICE, InvoiceStatusCode, InvoiceStatusInfo, InvoicingMode, SessionInvoice
from ..errors import DuplicateInvoiceError, InvoiceRejectedError, RemoteProtocolError
from ..protocol.delivery import DocumentFate, judge_invoice
from ..protocol.lifecycle import INVOICE

__all__ = ["AcceptedInvoice", "Outcome", "duplicate_error", "judge", "original_of"]

# Shapes of identifiers, so that the Polish around them does not matter.
_KSEF_NUMBER = re.compile(r"\b\d{10}-\d{8}-[0-9A-F]{6}-?[0-9A-F]{6}-[0-9A-F]{2}\b", re.ASCII)
_SESSION_NUMBER = re.compile(r"\b20\d{6}-S[OB]-[0-9A-F]{10}-[0-9A-F]{10}-[0-9A-F]{2}\b", re.ASCII)


@attrs.frozen(kw_only=True)
class AcceptedInvoice:
    """An invoice with a KSeF number: it is issued."""

    ksef_number: str
    """The invoice's number in KSeF (35 or 36 characters), by which it is known from now on."""
    invoice_number: str | None
    """The seller's number (P_2)."""
    reference_number: str
    """KSeF's reference number of this invoice in its session."""
    session_reference_number: str
    """The session whose UPO confirms it."""
    invoice_hash: bytes | None
    """SHA-256 of the invoice (32 bytes); None where KSeF does not say."""
    invoicing_date: datetime | None
    """When it was sent; None where KSeF does not say."""
    acquisition_date: datetime | None
    """When the KSeF number was given."""
    invoicing_mode: InvoicingMode | None
    """Whether KSeF regards it as issued online or offline."""
    is_duplicate: bool = False
    """True when KSeF called what was sent a duplicate (440) of this very document, accepted before: number, session and
    dates are those of the first.
    """

    @property
    def accepted(self) -> Literal[True]:
        """Return True: KSeF accepted the invoice."""
        return True


Outcome: TypeAlias = AcceptedInvoice | InvoiceRejectedError
"""A rejection is a value here, as one of many outcomes; `SentInvoice.outcome` raises it."""


def judge(invoice: SessionInvoice, session_reference_number: str) -> Outcome:
    """Return the outcome of an invoice whose status is final; a duplicate is not looked up.

    Raises:
        RemoteProtocolError: It is accepted, but without a KSeF number.
    """
    if INVOICE.is_success(invoice.status.code):
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
    if invoice.status.code == InvoiceStatusCode.DUPLICATE:
        return duplicate_error(invoice, session_reference_number, "KSeF rejected invoice {number}")
    judgement = judge_invoice(invoice.status.code)
    may_be_sent_again = judgement.document is DocumentFate.SEND_AGAIN
    number = invoice.invoice_number or invoice.reference_number
    advice = f" ({judgement.reason} Send it again in another session.)" if may_be_sent_again else ""
    return InvoiceRejectedError(
        f"KSeF rejected invoice {number}{advice}",
        status=invoice.status,
        reference_number=invoice.reference_number,
        session_reference_number=session_reference_number,
        invoice_hash=invoice.invoice_hash,
        may_be_sent_again=may_be_sent_again,
    )


def duplicate_error(invoice: SessionInvoice, session_reference_number: str, message: str) -> DuplicateInvoiceError:
    """Return the error for an invoice that ended with 440; ``{number}`` in ``message`` becomes its number."""
    ksef_number, session = original_of(invoice.status)
    return DuplicateInvoiceError(
        message.format(number=invoice.invoice_number or invoice.reference_number),
        status=invoice.status,
        reference_number=invoice.reference_number,
        session_reference_number=session_reference_number,
        invoice_hash=invoice.invoice_hash,
        original_ksef_number=ksef_number,
        original_session=session,
    )


def original_of(status: InvoiceStatusInfo) -> tuple[str | None, str | None]:
    """KSeF number and session of the invoice that came first, from the extensions, or else the details."""
    details = " ".join(status.details)
    ksef_number = status.extensions.get("originalKsefNumber") or _found(_KSEF_NUMBER, details)
    session = status.extensions.get("originalSessionReferenceNumber") or _found(_SESSION_NUMBER, details)
    return ksef_number, session


def _found(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match[0] if match else None
