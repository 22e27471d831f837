"""Collective identifiers: one number for many invoices of a seller, to pay them together."""

from __future__ import annotations

from collections.abc import Iterable

from ..api.collective_identifiers import (
    CREATE_COLLECTIVE_IDENTIFIER,
    LIST_COLLECTIVE_IDENTIFIER_INVOICES,
    LIST_COLLECTIVE_IDENTIFIERS,
    LIST_COLLECTIVE_IDENTIFIERS_OF_INVOICE,
    CollectiveIdentifier,
    CollectiveIdentifierFilter,
    CollectiveIdentifierInvoice,
    CollectiveIdentifierInvoicesRequest,
    CollectiveIdentifierOfInvoice,
    CreateCollectiveIdentifierRequest,
    InvoiceToGroup,
)
from ..calling.caller import Caller
from ..calling.paging import TokenPages
from ..errors import InvalidFieldError
from .lists import list_by_token

__all__ = ["CollectiveIdentifiers"]


class CollectiveIdentifiers:
    """Groups of invoices. `KsefClient.collective_identifiers` is one."""

    def __init__(self, api: Caller) -> None:
        self._api = api

    async def create(self, invoices: Iterable[InvoiceToGroup | str]) -> str:
        """Group invoices of one seller under a number.

        Args:
            invoices: From 2 up to what the context is granted (500 by default); a string is a KSeF number.

        Returns:
            The collective identifier, ``NIP-IZYYYYMM-FFFFFFFFFFFF-CC``.

        Raises:
            InvalidFieldError: Fewer than 2 invoices, one of them twice, different sellers, or a field that KSeF would
                refuse; nothing was sent.
            BadRequestError: KSeF does not know an invoice (71001), or it is in too many groups (71002).
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: POST /collective-identifiers.
        """
        grouped = tuple(InvoiceToGroup(each) if isinstance(each, str) else each for each in invoices)
        numbers = [invoice.ksef_number for invoice in grouped]
        if len(set(numbers)) != len(numbers):
            repeated = next(number for number in numbers if numbers.count(number) > 1)
            raise InvalidFieldError("invoices", f"must differ; {repeated} is there twice")
        # A KSeF number starts with its seller's NIP.
        if len(sellers := {number[:10] for number in numbers}) > 1:
            raise InvalidFieldError("invoices", f"must be of one seller; these are of {', '.join(sorted(sellers))}")
        response = await self._api.call(CREATE_COLLECTIVE_IDENTIFIER, CreateCollectiveIdentifierRequest(grouped))
        return response.collective_identifier_number

    def list(self, identifier_filter: CollectiveIdentifierFilter) -> TokenPages[CollectiveIdentifier]:
        """Return the groups made in the context, and those of others in which it is the seller; newest first.

        Source: POST /collective-identifiers/query.
        """
        return list_by_token(
            self._api,
            LIST_COLLECTIVE_IDENTIFIERS,
            lambda page: page.collective_identifiers,
            page_size=LIST_COLLECTIVE_IDENTIFIERS.largest_page,
            body=identifier_filter,
        )

    def list_invoices(self, *numbers: str) -> TokenPages[CollectiveIdentifierInvoice]:
        """Return the invoices in groups.

        Args:
            numbers: Of 1 to 10 groups.

        Raises:
            InvalidFieldError: None, or more than 10; nothing was sent.

        Source: POST /collective-identifiers/invoices.
        """
        return list_by_token(
            self._api,
            LIST_COLLECTIVE_IDENTIFIER_INVOICES,
            lambda page: page.invoices,
            page_size=LIST_COLLECTIVE_IDENTIFIER_INVOICES.largest_page,
            body=CollectiveIdentifierInvoicesRequest(numbers),
        )

    def list_of_invoice(self, ksef_number: str) -> TokenPages[CollectiveIdentifierOfInvoice]:
        """Return the groups an invoice is in, newest first.

        Source: GET /collective-identifiers/ksef/{ksefNumber}.
        """
        return list_by_token(
            self._api,
            LIST_COLLECTIVE_IDENTIFIERS_OF_INVOICE,
            lambda page: page.collective_identifiers,
            page_size=LIST_COLLECTIVE_IDENTIFIERS_OF_INVOICE.largest_page,
            path={"ksef_number": ksef_number},
        )
