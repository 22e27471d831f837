"""The repository: every accepted invoice, to be found by its parties once it is stored.

The promise of the high-water mark is kept by the order of things: an invoice is filed with a storage date that lies
at or after the moment it is filed, and the mark always lies before that moment. Only `Timings.index_lag` breaks it.
"""

from __future__ import annotations

import functools
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import datetime, timedelta

import attrs

from ..models.common import Context
from ..models.invoices import DateType, InvoiceFilters, InvoiceMetadata, Seller
from ..models.sessions import FormCode, InvoicingMode
from ..models.times import ServerTime
from ..protocol.invoice_queries import date_of
from .clock import seven_digits
from .documents import StoredDocument
from .intake import Document
from .matching import is_match, is_visible

__all__ = ["ArchivedInvoice", "Repository", "upper_end"]


@attrs.frozen(kw_only=True)
class ArchivedInvoice:
    """An accepted invoice."""

    metadata: InvoiceMetadata
    #: In which it was sent.
    context: Context
    stored_at: datetime
    #: From when on lists and exports find it; never before it is acquired.
    indexed_at: datetime
    stored: StoredDocument


class Repository:
    """What KSeF keeps for good."""

    def __init__(self) -> None:
        #: In the order of their storage.
        self._stored_at: list[datetime] = []
        self._invoices: list[ArchivedInvoice] = []
        self._by_number: dict[str, ArchivedInvoice] = {}

    def __len__(self) -> int:
        return len(self._invoices)

    def file(
        self,
        document: Document,
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
        """Keep an invoice that is, or will be, accepted."""
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
        """Take back what was filed before it was accepted; returns it."""
        archived = self._by_number.pop(ksef_number, None)
        if archived is not None:
            at = self._invoices.index(archived, bisect_left(self._stored_at, archived.stored_at))
            del self._invoices[at], self._stored_at[at]
        return archived

    def get(self, ksef_number: str) -> ArchivedInvoice | None:
        """The invoice of this number, stored or not yet."""
        return self._by_number.get(ksef_number)

    def find(self, context: Context, filters: InvoiceFilters, now: datetime, hwm: datetime) -> list[ArchivedInvoice]:
        """What is stored, visible to ``context`` and asked for, oldest first by the date that is asked by."""
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
    """Where a range ends: where it says, now, or at the high-water mark when it is restricted to that."""
    end = filters.date_range.to_date or now
    dates = filters.date_range
    restricted = dates.date_type == DateType.PERMANENT_STORAGE and dates.restrict_to_permanent_storage_hwm_date
    return min(end, hwm) if restricted else end


@functools.lru_cache(64)  # the invoices of a package share theirs
def _server_time(moment: datetime) -> ServerTime:
    return ServerTime.parse(seven_digits(moment))
