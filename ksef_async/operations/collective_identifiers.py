"""Collective identifiers. Source: OpenAPI 2.9.0, /collective-identifiers."""

from __future__ import annotations

from http import HTTPMethod

from ..models.collective_identifiers import (
    CollectiveIdentifierFilter,
    CollectiveIdentifierInvoicePage,
    CollectiveIdentifierInvoicesRequest,
    CollectiveIdentifierOfInvoicePage,
    CollectiveIdentifierPage,
    CreateCollectiveIdentifierRequest,
    CreateCollectiveIdentifierResponse,
)
from .operation import Operation, RateGroup

__all__ = [
    "CREATE_COLLECTIVE_IDENTIFIER",
    "LIST_COLLECTIVE_IDENTIFIERS",
    "LIST_COLLECTIVE_IDENTIFIERS_OF_INVOICE",
    "LIST_COLLECTIVE_IDENTIFIER_INVOICES",
]

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
