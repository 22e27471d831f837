"""The repository: every accepted invoice, which its parties find once it is stored.

The promise of the high-water mark is kept by the order of things: an invoice is filed with a storage date that lies
at or after the moment it is filed, and the mark always lies before that moment. Only `Timings.index_lag` breaks it.
Source: OpenAPI 2.9.0, InvoiceQueryFilters; pobieranie-faktur/*.md.
"""

from __future__ import annotations

import functools
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import datetime, timedelta

import attrs

from ..api.common import Context, ContextType, ServerTime
from ..api.invoices import (
    AmountFilter,
    AmountType,
    BuyerIdentifier,
    BuyerIdentifierType,
    DateType,
    InvoiceFilters,
    InvoiceMetadata,
    InvoiceSubject,
    Seller,
    ThirdSubjectIdentifierType,
)
from ..api.sessions import FormCode, InvoicingMode
from ..protocol.invoice_queries import date_of
from ..protocol.polish_calendar import polish_day
from .clock import seven_digits
from .document_file import StoredDocument
from .intake import CheckedInvoice

__all__ = ["ALLOWED_SUBJECTS", "ArchivedInvoice", "Repository", "is_match", "is_party", "is_visible", "upper_end"]


@attrs.frozen(kw_only=True)
class ArchivedInvoice:
    """An accepted invoice."""

    metadata: InvoiceMetadata
    context: Context
    """The context in which it was sent."""
    stored_at: datetime
    indexed_at: datetime
    """The time from which lists and exports find it; never before it is acquired."""
    stored: StoredDocument


class Repository:
    """The permanent storage of accepted invoices."""

    def __init__(self) -> None:
        # In the order of their storage.
        self._stored_at: list[datetime] = []
        self._invoices: list[ArchivedInvoice] = []
        self._by_number: dict[str, ArchivedInvoice] = {}

    def __len__(self) -> int:
        return len(self._invoices)

    def file(
        self,
        document: CheckedInvoice,
        stored: StoredDocument,
        *,
        ksef_number: str,
        invoice_hash: bytes,
        mode: InvoicingMode,
        form_code: FormCode,
        context: Context,
        received_at: datetime,
        final_at: datetime,
        stored_at: datetime,
        index_lag: timedelta = timedelta(),
        corrected_hash: bytes | None = None,
    ) -> ArchivedInvoice:
        """Store an invoice that is, or will be, accepted."""
        facts = document.facts
        metadata = InvoiceMetadata(
            ksef_number=ksef_number,
            invoice_number=document.invoice_number,
            issue_date=document.issued_on,
            invoicing_date=_server_time(received_at),
            acquisition_date=final_at,
            permanent_storage_date=_server_time(stored_at),
            seller=Seller(document.seller_nip, facts.seller_name),
            buyer=facts.buyer,
            net_amount=facts.net_amount,
            gross_amount=facts.gross_amount,
            vat_amount=facts.vat_amount,
            currency=facts.currency,
            invoicing_mode=mode,
            invoice_type=facts.invoice_type,
            form_code=form_code,
            is_self_invoicing=facts.is_self_invoicing,
            has_attachment=document.has_attachment,
            invoice_hash=invoice_hash,
            hash_of_corrected_invoice=corrected_hash,
            third_subjects=facts.third_subjects,
            authorized_subject=facts.authorized_subject,
        )
        archived = ArchivedInvoice(
            metadata=metadata,
            context=context,
            stored_at=stored_at,
            indexed_at=max(stored_at, final_at) + index_lag,
            stored=stored,
        )
        at = bisect_right(self._stored_at, stored_at)
        self._stored_at.insert(at, stored_at)
        self._invoices.insert(at, archived)
        self._by_number[ksef_number] = archived
        return archived

    def remove(self, ksef_number: str) -> ArchivedInvoice | None:
        """Remove an invoice that was filed but not accepted, and return it."""
        archived = self._by_number.pop(ksef_number, None)
        if archived is not None:
            at = self._invoices.index(archived, bisect_left(self._stored_at, archived.stored_at))
            del self._invoices[at], self._stored_at[at]
        return archived

    def get(self, ksef_number: str) -> ArchivedInvoice | None:
        """Return the invoice of this number, stored or not yet."""
        return self._by_number.get(ksef_number)

    def find(self, context: Context, filters: InvoiceFilters, now: datetime, hwm: datetime) -> list[ArchivedInvoice]:
        """Return the stored invoices that ``context`` sees and the filters fit, oldest first by the filters' date."""
        dates = filters.date_range
        end = min(upper_end(filters, now, hwm), now)
        stored = self._invoices[: bisect_right(self._stored_at, now)]
        if dates.date_type == DateType.PERMANENT_STORAGE:
            stored = self._between(dates.from_date, end)
        found = [
            each
            for each in stored
            if each.indexed_at <= now
            and is_visible(each.metadata, each.context, context, filters.subject_type)
            and is_match(each.metadata, filters, end)
        ]
        if dates.date_type != DateType.PERMANENT_STORAGE:
            found.sort(
                key=lambda each: (date_of(each.metadata, dates.date_type) or each.stored_at, each.metadata.ksef_number)
            )
        return found

    def _between(self, start: datetime, end: datetime) -> list[ArchivedInvoice]:
        return self._invoices[bisect_left(self._stored_at, start) : bisect_right(self._stored_at, end)]

    def __iter__(self) -> Iterator[ArchivedInvoice]:
        return iter(self._invoices)


def upper_end(filters: InvoiceFilters, now: datetime, hwm: datetime) -> datetime:
    """Return the end of a range: its own end, else now; at most the high-water mark where it is restricted to that."""
    end = filters.date_range.to_date or now
    dates = filters.date_range
    restricted = dates.date_type == DateType.PERMANENT_STORAGE and dates.restrict_to_permanent_storage_hwm_date
    return min(end, hwm) if restricted else end


@functools.lru_cache(64)  # the invoices of a package share theirs
def _server_time(moment: datetime) -> ServerTime:
    return ServerTime.parse(seven_digits(moment))


# --- who sees an invoice, and whether it is asked for ----------------------------------------------------------------

ALLOWED_SUBJECTS = {
    ContextType.NIP: frozenset(InvoiceSubject),
    ContextType.INTERNAL_ID: frozenset({InvoiceSubject.SELLER, InvoiceSubject.THIRD_SUBJECT}),
    ContextType.NIP_VAT_UE: frozenset({InvoiceSubject.SELLER}),
    ContextType.PEPPOL_ID: frozenset({InvoiceSubject.SELLER}),
}
"""The roles in which each kind of context may query (21181) [INF]: companies in all, the others for their own only."""


def is_party(metadata: InvoiceMetadata, sent_in: Context, context: Context) -> bool:
    """Return whether ``context`` plays any part in an invoice."""
    return any(is_visible(metadata, sent_in, context, subject) for subject in InvoiceSubject)


def is_visible(metadata: InvoiceMetadata, sent_in: Context, context: Context, subject: InvoiceSubject) -> bool:
    """Return whether ``context`` plays the part of ``subject`` in an invoice."""
    is_company = context.type == ContextType.NIP
    if subject == InvoiceSubject.SELLER:
        # An invoice of others than companies is known by the context in which it was sent [INF].
        return _seller_nip(metadata) == context.value if is_company else sent_in == context
    if subject == InvoiceSubject.BUYER:
        return is_company and _buyer(metadata) == BuyerIdentifier(BuyerIdentifierType.NIP, context.value)
    if subject == InvoiceSubject.THIRD_SUBJECT:
        kinds = {
            ContextType.NIP: ThirdSubjectIdentifierType.NIP,
            ContextType.INTERNAL_ID: ThirdSubjectIdentifierType.INTERNAL_ID,
        }
        wanted = (kinds.get(context.type), context.value)
        identifiers = [each.identifier for each in metadata.third_subjects if each.identifier is not None]
        return any((each.type, each.value) == wanted for each in identifiers)
    authorized = metadata.authorized_subject
    return is_company and authorized is not None and authorized.nip == context.value


def is_match(metadata: InvoiceMetadata, filters: InvoiceFilters, end: datetime) -> bool:
    """Return whether an invoice fits the filters of a query.

    Args:
        metadata: Of the invoice.
        filters: What is asked for.
        end: Where the range ends.
    """
    identifier = filters.buyer_identifier
    return (
        _is_dated(metadata, filters, end)
        and filters.ksef_number in (None, metadata.ksef_number)
        and filters.invoice_number in (None, metadata.invoice_number)
        and filters.seller_nip in (None, _seller_nip(metadata))
        and filters.invoicing_mode in (None, metadata.invoicing_mode)
        and filters.is_self_invoicing in (None, metadata.is_self_invoicing)
        and filters.has_attachment in (None, metadata.has_attachment)
        and (not filters.currency_codes or metadata.currency in filters.currency_codes)
        and (not filters.invoice_types or metadata.invoice_type in filters.invoice_types)
        and (
            filters.form_type is None
            or (metadata.form_code is not None and filters.form_type == metadata.form_code.form)
        )
        and (filters.amount is None or _costs(metadata, filters.amount))
        and (
            identifier is None
            or (
                (buyer := _buyer(metadata)) is not None
                and identifier.type == buyer.type
                and identifier.value in (None, buyer.value)
            )
        )
    )


def _is_dated(metadata: InvoiceMetadata, filters: InvoiceFilters, end: datetime) -> bool:
    dates = filters.date_range
    if dates.date_type == DateType.ISSUE:
        # A date of issue has no time: the days of both ends count, as Poland has them (ksef-api#507).
        return metadata.issue_date is not None and polish_day(dates.from_date) <= metadata.issue_date <= polish_day(end)
    moment = metadata.invoicing_date if dates.date_type == DateType.INVOICING else metadata.permanent_storage_date
    return moment is not None and dates.from_date <= moment <= end


def _costs(metadata: InvoiceMetadata, wanted: AmountFilter) -> bool:
    amounts = {
        AmountType.GROSS: metadata.gross_amount,
        AmountType.NET: metadata.net_amount,
        AmountType.VAT: metadata.vat_amount,
    }
    amount = amounts[wanted.type]
    return (
        amount is not None
        and (wanted.from_amount is None or wanted.from_amount <= amount)
        and (wanted.to_amount is None or amount <= wanted.to_amount)
    )


def _seller_nip(metadata: InvoiceMetadata) -> str | None:
    return None if metadata.seller is None else metadata.seller.nip


def _buyer(metadata: InvoiceMetadata) -> BuyerIdentifier | None:
    return None if metadata.buyer is None else metadata.buyer.identifier
