"""Collective identifiers: made of accepted invoices, and found again. Source: identyfikatory-zbiorcze.md."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import attrs

from ...api.collective_identifiers import (
    CollectiveIdentifier,
    CollectiveIdentifierFilter,
    CollectiveIdentifierInvoice,
    CollectiveIdentifierInvoicePage,
    CollectiveIdentifierInvoicesRequest,
    CollectiveIdentifierOfInvoice,
    CollectiveIdentifierOfInvoicePage,
    CollectiveIdentifierPage,
    CreateCollectiveIdentifierRequest,
    CreateCollectiveIdentifierResponse,
    InvoiceToGroup,
)
from ...api.common import Context, ContextType
from ...protocol.error_codes import ErrorCode
from ...protocol.numbers import KsefNumber, with_check_digits
from ..handling import page_of
from ..intake import CheckedInvoice
from ..memory import Group
from ..refusals import InvalidInput, Refusal
from ..router import Call

__all__ = [
    "create_collective_identifier",
    "list_collective_identifier_invoices",
    "list_collective_identifiers",
    "list_collective_identifiers_of_invoice",
]

# How many groups of one context an invoice can be in.
_MOST_GROUPS: Final = 132


async def create_collective_identifier(call: Call) -> CreateCollectiveIdentifierResponse:
    """POST /collective-identifiers."""
    request: CreateCollectiveIdentifierRequest = call.body
    context = call.caller.context
    most = call.world.granted.context(context).collective_identifier.max_invoices
    if len(request.invoices) > most:
        raise InvalidInput(f"'invoices' must contain at most {most} items.")
    documents = _check_invoices(call, context, [invoice.ksef_number for invoice in request.invoices])
    seller = documents[0].seller_nip
    number = with_check_digits(f"{seller}-IZ{call.now:%Y%m}-{secrets.token_hex(6).upper()}")
    call.world.groups[number] = Group(
        number=number, context=context, seller_nip=seller, created_at=call.now, invoices=request.invoices
    )
    return CreateCollectiveIdentifierResponse(number)


def _check_invoices(call: Call, context: Context, numbers: list[str]) -> list[CheckedInvoice]:
    if repeated := next((number for number in numbers if numbers.count(number) > 1), None):
        raise Refusal(ErrorCode.REPEATED_KSEF_NUMBER, f"Powtórzony numer KSeF {repeated}.")
    accepted = _accepted(call)
    documents: list[CheckedInvoice] = []
    for number in numbers:
        document = accepted.get(number)
        # [INF]: to somebody who is no party to it, an invoice does not exist.
        if document is None or not _is_party(context, document):
            detail = f"Faktura o numerze KSeF {number} nie została znaleziona."
            raise Refusal(ErrorCode.UNKNOWN_GROUPED_INVOICE, detail)
        if documents and document.seller_nip != documents[0].seller_nip:
            raise Refusal(ErrorCode.DIFFERENT_SELLERS, f"Faktura o numerze KSeF {number} ma innego sprzedawcę.")
        if sum(group.context == context and number in group for group in call.world.groups.values()) >= _MOST_GROUPS:
            detail = (
                f"Faktura o numerze KSeF {number} jest już przypisana do maksymalnej liczby Identyfikatorów Zbiorczych."
            )
            raise Refusal(ErrorCode.TOO_MANY_COLLECTIVE_IDENTIFIERS, detail)
        documents.append(document)
    return documents


async def list_collective_identifiers(call: Call) -> CollectiveIdentifierPage:
    """POST /collective-identifiers/query."""
    wanted: CollectiveIdentifierFilter = call.body
    found = [group for group in _newest_first(call.world.groups.values()) if _fits(call, group, wanted)]
    rows, token = page_of(found, call, call.query["page_size"])
    return CollectiveIdentifierPage(
        tuple(
            CollectiveIdentifier(
                collective_identifier_number=group.number,
                date_created=group.created_at,
                invoice_count=len(group.invoices),
                created_in_current_context=group.context == call.caller.context,
            )
            for group in rows
        ),
        token,
    )


def _fits(call: Call, group: Group, wanted: CollectiveIdentifierFilter) -> bool:
    context = call.caller.context
    own = group.context == context
    is_seller = context.type == ContextType.NIP and context.value == group.seller_nip
    count = len(group.invoices)
    return (
        (own or is_seller)
        and wanted.collective_identifier_number in (None, group.number)
        and wanted.date_created_from <= group.created_at <= wanted.date_created_to
        and (wanted.invoice_count_from is None or wanted.invoice_count_from <= count)
        and (wanted.invoice_count_to is None or count <= wanted.invoice_count_to)
        and wanted.created_in_current_context in (None, own)
    )


async def list_collective_identifier_invoices(call: Call) -> CollectiveIdentifierInvoicePage:
    """POST /collective-identifiers/invoices."""
    request: CollectiveIdentifierInvoicesRequest = call.body
    numbers = dict.fromkeys(request.collective_identifier_numbers)
    groups = [call.world.groups[number] for number in numbers if number in call.world.groups]
    found = [(invoice, group) for group in groups for invoice in group.invoices]
    found.sort(key=lambda pair: pair[0].ksef_number, reverse=True)
    rows, token = page_of(found, call, call.query["page_size"])
    accepted = _accepted(call)
    return CollectiveIdentifierInvoicePage(
        tuple(_row(call.caller.context, invoice, group, accepted) for invoice, group in rows), token
    )


def _row(
    context: Context, invoice: InvoiceToGroup, group: Group, accepted: Mapping[str, CheckedInvoice]
) -> CollectiveIdentifierInvoice:
    row = CollectiveIdentifierInvoice(
        ksef_number=invoice.ksef_number,
        collective_identifier_number=group.number,
        payment=invoice.payment,
        description=invoice.description,
        details_hidden=False,
    )
    if group.context == context or _is_party(context, accepted[invoice.ksef_number]):
        return row
    hidden = invoice.payment is not None or invoice.description is not None
    return attrs.evolve(row, payment=None, description=None, details_hidden=hidden)


async def list_collective_identifiers_of_invoice(call: Call) -> CollectiveIdentifierOfInvoicePage:
    """GET /collective-identifiers/ksef/{ksefNumber}."""
    number = call.path["ksef_number"]
    try:
        KsefNumber.parse(number)
    except ValueError:
        raise InvalidInput("'ksefNumber' is not in the correct format.") from None
    context = call.caller.context
    document = _accepted(call).get(number)
    is_party = document is not None and _is_party(context, document)
    found = [
        group
        for group in _newest_first(call.world.groups.values())
        if number in group and (is_party or group.context == context)
    ]
    rows, token = page_of(found, call, call.query["page_size"])
    return CollectiveIdentifierOfInvoicePage(
        tuple(
            CollectiveIdentifierOfInvoice(
                collective_identifier_number=group.number,
                created_in_current_context=group.context == context,
                date_created=group.created_at,
            )
            for group in rows
        ),
        token,
    )


def _newest_first(groups: Iterable[Group]) -> list[Group]:
    def key(group: Group) -> tuple[datetime, str]:
        return group.created_at, group.number

    return sorted(groups, key=key, reverse=True)


def _accepted(call: Call) -> dict[str, CheckedInvoice]:
    """Return the contents of all accepted invoices, by their KSeF numbers."""
    return {
        invoice.verdict.ksef_number: invoice.verdict.document
        for invoice in call.world.invoices()
        if invoice.is_accepted
        and invoice.timeline.is_terminal_at(call.now)
        and invoice.verdict.ksef_number is not None
        and invoice.verdict.document is not None
    }


def _is_party(context: Context, document: CheckedInvoice) -> bool:
    return context.value in document.parties
