"""Collective identifiers: one number for many invoices of a seller, to pay them together.

Source: OpenAPI 2.9.0, /collective-identifiers.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from http import HTTPMethod

import attrs

from ..errors import InvalidFieldError
from .common import KSEF_NUMBER, NEVER_LEFT_OUT, Cursor, Identifier, check_currency, items, text
from .operation import Operation, RateGroup

__all__ = [
    "CREATE_COLLECTIVE_IDENTIFIER",
    "LIST_COLLECTIVE_IDENTIFIERS",
    "LIST_COLLECTIVE_IDENTIFIERS_OF_INVOICE",
    "LIST_COLLECTIVE_IDENTIFIER_INVOICES",
    "CollectiveIdentifier",
    "CollectiveIdentifierFilter",
    "CollectiveIdentifierInvoice",
    "CollectiveIdentifierInvoicePage",
    "CollectiveIdentifierInvoicesRequest",
    "CollectiveIdentifierOfInvoice",
    "CollectiveIdentifierOfInvoicePage",
    "CollectiveIdentifierPage",
    "CreateCollectiveIdentifierRequest",
    "CreateCollectiveIdentifierResponse",
    "InvoicePayment",
    "InvoiceToGroup",
]

# The longest time a query may span.
_LONGEST_RANGE = timedelta(days=100)


@attrs.frozen
class InvoicePayment:
    """The payment for an invoice."""

    amount: Decimal
    currency: str = attrs.field(validator=check_currency)
    """ISO 4217."""


@attrs.frozen
class InvoiceToGroup:
    """An invoice, as it goes into a collective identifier."""

    ksef_number: str = attrs.field(validator=text(35, 36, KSEF_NUMBER))
    payment: InvoicePayment | None = None
    description: str | None = attrs.field(default=None, validator=text(most=512))
    """At most 512 characters."""


@attrs.frozen
class CreateCollectiveIdentifierRequest:
    """Groups invoices."""

    invoices: tuple[InvoiceToGroup, ...] = attrs.field(validator=items(2))
    """From 2 up to what `ContextLimits` says, 500 by default."""


@attrs.frozen
class CreateCollectiveIdentifierResponse:
    """The identifier of a group."""

    collective_identifier_number: Identifier
    """``NIP-IZYYYYMM-FFFFFFFFFFFF-CC`` (35 characters)."""


@attrs.frozen(kw_only=True)
class CollectiveIdentifierFilter:
    """Which collective identifiers to list; the times are aware, at most 100 days apart."""

    collective_identifier_number: str | None = None
    """The collective identifier, exactly."""
    date_created_from: datetime
    """Made at this time or later."""
    date_created_to: datetime
    """Made at this time or earlier."""
    invoice_count_from: int | None = None
    """Has at least as many invoices."""
    invoice_count_to: int | None = None
    """Has at most as many invoices."""
    created_in_current_context: bool | None = None
    """True for those of the current context, False for those of others in which it is the seller."""

    def __attrs_post_init__(self) -> None:
        if not timedelta() <= self.date_created_to - self.date_created_from <= _LONGEST_RANGE:
            raise InvalidFieldError("date_created_to", f"must follow the start within {_LONGEST_RANGE.days} days")


@attrs.frozen(kw_only=True)
class CollectiveIdentifier:
    """A collective identifier in a list."""

    collective_identifier_number: Identifier
    date_created: datetime | None = None
    invoice_count: int | None = None
    created_in_current_context: bool | None = None


@attrs.frozen
class CollectiveIdentifierPage:
    """One page of collective identifiers, newest first."""

    collective_identifiers: tuple[CollectiveIdentifier, ...]
    continuation_token: Cursor | None = attrs.field(default=None, metadata=NEVER_LEFT_OUT)


@attrs.frozen
class CollectiveIdentifierInvoicesRequest:
    """Asks which invoices are in collective identifiers."""

    collective_identifier_numbers: tuple[str, ...] = attrs.field(validator=items(1, 10))
    """At most 10."""


@attrs.frozen(kw_only=True)
class CollectiveIdentifierInvoice:
    """An invoice in a collective identifier."""

    ksef_number: Identifier
    collective_identifier_number: Identifier | None = None
    """None when KSeF does not tell, as in its own example."""
    payment: InvoicePayment | None = None
    description: str | None = None
    details_hidden: bool | None = None
    """True when there are details that only the creator and the invoice's parties may see."""


@attrs.frozen
class CollectiveIdentifierInvoicePage:
    """One page of invoices, by KSeF number in descending order."""

    invoices: tuple[CollectiveIdentifierInvoice, ...]
    continuation_token: Cursor | None = attrs.field(default=None, metadata=NEVER_LEFT_OUT)


@attrs.frozen(kw_only=True)
class CollectiveIdentifierOfInvoice:
    """A collective identifier an invoice is in."""

    collective_identifier_number: Identifier
    created_in_current_context: bool | None = None
    date_created: datetime | None = None


@attrs.frozen
class CollectiveIdentifierOfInvoicePage:
    """One page of collective identifiers, newest first."""

    collective_identifiers: tuple[CollectiveIdentifierOfInvoice, ...]
    continuation_token: Cursor | None = attrs.field(default=None, metadata=NEVER_LEFT_OUT)


GET, POST = HTTPMethod.GET, HTTPMethod.POST

_PERMISSIONS = ("InvoiceRead", "InvoiceWrite", "CollectiveIdentifierManage")

CREATE_COLLECTIVE_IDENTIFIER: Operation[CreateCollectiveIdentifierRequest, CreateCollectiveIdentifierResponse] = (
    Operation(
        name="create_collective_identifier", method=POST, path="/collective-identifiers", success=201,
        request=CreateCollectiveIdentifierRequest, response=CreateCollectiveIdentifierResponse,
        permissions=_PERMISSIONS, rate_group=RateGroup.COLLECTIVE_IDENTIFIER,
    )
)  # fmt: skip
LIST_COLLECTIVE_IDENTIFIERS: Operation[CollectiveIdentifierFilter, CollectiveIdentifierPage] = Operation(
    name="list_collective_identifiers", method=POST, path="/collective-identifiers/query", success=200,
    request=CollectiveIdentifierFilter, response=CollectiveIdentifierPage,
    query=("page_size",), continued=True, largest_page=200,
    permissions=_PERMISSIONS, rate_group=RateGroup.COLLECTIVE_IDENTIFIER, repeat_safe=True,
)  # fmt: skip
LIST_COLLECTIVE_IDENTIFIER_INVOICES: Operation[
    CollectiveIdentifierInvoicesRequest, CollectiveIdentifierInvoicePage
] = Operation(
    name="list_collective_identifier_invoices", method=POST, path="/collective-identifiers/invoices", success=200,
    request=CollectiveIdentifierInvoicesRequest, response=CollectiveIdentifierInvoicePage,
    query=("page_size",), continued=True, largest_page=500,
    permissions=_PERMISSIONS, rate_group=RateGroup.COLLECTIVE_IDENTIFIER, repeat_safe=True,
)  # fmt: skip
LIST_COLLECTIVE_IDENTIFIERS_OF_INVOICE: Operation[None, CollectiveIdentifierOfInvoicePage] = Operation(
    name="list_collective_identifiers_of_invoice", method=GET, path="/collective-identifiers/ksef/{ksef_number}",
    success=200, response=CollectiveIdentifierOfInvoicePage,
    query=("page_size",), continued=True, largest_page=200,
    permissions=_PERMISSIONS, rate_group=RateGroup.COLLECTIVE_IDENTIFIER, repeat_safe=True,
)  # fmt: skip
