"""Who sees an invoice, and whether it is what was asked for. Source: OpenAPI 2.9.0, InvoiceQueryFilters."""

from __future__ import annotations

from datetime import date, datetime

from ..models.common import Context, ContextType
from ..models.invoices import (
    AmountFilter,
    AmountType,
    BuyerIdentifier,
    BuyerIdentifierType,
    DateType,
    InvoiceFilters,
    InvoiceMetadata,
    InvoiceSubject,
    ThirdSubjectIdentifierType,
)
from .intake import WARSAW

__all__ = ["ALLOWED_SUBJECTS", "is_match", "is_party", "is_visible"]

#: As what each kind of context may look (21181) [INF]: a company as everybody, the others only for what is theirs.
ALLOWED_SUBJECTS = {
    ContextType.NIP: frozenset(InvoiceSubject),
    ContextType.INTERNAL_ID: frozenset({InvoiceSubject.SELLER, InvoiceSubject.THIRD_SUBJECT}),
    ContextType.NIP_VAT_UE: frozenset({InvoiceSubject.SELLER}),
    ContextType.PEPPOL_ID: frozenset({InvoiceSubject.SELLER}),
}


def is_visible(metadata: InvoiceMetadata, sent_in: Context, context: Context, subject: InvoiceSubject) -> bool:
    """Whether ``context`` plays the part of ``subject`` in an invoice."""
    is_company = context.type == ContextType.NIP
    if subject == InvoiceSubject.SELLER:
        # What others than companies issued is told by where it was sent [INF].
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


def is_party(metadata: InvoiceMetadata, sent_in: Context, context: Context) -> bool:
    """Whether ``context`` plays any part in an invoice."""
    return any(is_visible(metadata, sent_in, context, subject) for subject in InvoiceSubject)


def is_match(metadata: InvoiceMetadata, filters: InvoiceFilters, end: datetime) -> bool:
    """Whether an invoice is asked for.

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


def _seller_nip(metadata: InvoiceMetadata) -> str | None:
    return None if metadata.seller is None else metadata.seller.nip


def _buyer(metadata: InvoiceMetadata) -> BuyerIdentifier | None:
    return None if metadata.buyer is None else metadata.buyer.identifier


def _is_dated(metadata: InvoiceMetadata, filters: InvoiceFilters, end: datetime) -> bool:
    dates = filters.date_range
    if dates.date_type == DateType.ISSUE:
        # A date of issue has no time: the days of both ends count, as Poland has them (ksef-api#507).
        return metadata.issue_date is not None and _day(dates.from_date) <= metadata.issue_date <= _day(end)
    moment = metadata.invoicing_date if dates.date_type == DateType.INVOICING else metadata.permanent_storage_date
    return moment is not None and dates.from_date <= moment <= end


def _day(moment: datetime) -> date:
    return moment.astimezone(WARSAW).date()


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
