"""Invoices as KSeF keeps them: one document, or lists of what is told of them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final

from ..api.common import KSEF_NUMBER, StatusInfo
from ..api.invoices import (
    GET_INVOICE,
    QUERY_INVOICE_METADATA,
    InvoiceFilters,
    InvoiceMetadata,
    InvoiceMetadataPage,
    SortOrder,
)
from ..calling.caller import Caller
from ..calling.paging import Pages
from ..calling.polling import Cadence, wait_until
from ..errors import BadRequestError, InvalidFieldError, RemoteProtocolError
from ..protocol.error_codes import ErrorCode
from ..protocol.invoice_queries import check_filters, date_of, narrowed

__all__ = ["STORAGE_CADENCE", "InvoiceList", "Invoices"]

STORAGE_CADENCE: Final = Cadence(interval=2.0, factor=2.0, longest=60.0, deadline=900.0)
"""Storing for good takes seconds, at times minutes; documents may be asked for 16 times a minute, 64 times an hour."""


# Pages in a row that may bring nothing new though KSeF says that more follow: rows move while invoices come in.
_FRUITLESS: Final = 5


class Invoices:
    """Invoices the context is a party to. `KsefClient.invoices` is one."""

    def __init__(self, api: Caller) -> None:
        self._api = api

    async def get(self, ksef_number: str, *, wait: Cadence | None = None) -> bytes:
        """Return an invoice's document, as it was sent; its SHA-256 is checked against the one KSeF vouches for.

        Args:
            ksef_number: 35 characters, or 36 for one of KSeF 1.0.
            wait: How often to look, and for how long, while the invoice is accepted but not stored yet (21165);
                `STORAGE_CADENCE` is a good one. None does not wait.

        Returns:
            The XML.

        Raises:
            InvalidFieldError: Not a KSeF number; nothing was sent.
            BadRequestError: The context is no party to such an invoice (21164), or, without ``wait``, it is not
                stored yet (21165).
            WaitTimeoutError: It was still not stored when ``wait.deadline`` passed.
            RemoteProtocolError: The document is not the one KSeF vouches for.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.

        Source: GET /invoices/ksef/{ksefNumber}.
        """
        if not re.fullmatch(KSEF_NUMBER, ksef_number, re.ASCII):
            raise InvalidFieldError("ksef_number", f"must be a KSeF number; it is {ksef_number!r}")
        path = {"ksef_number": ksef_number}
        if wait is None:
            return await self._api.call(GET_INVOICE, path=path)

        async def look() -> bytes | StatusInfo:
            try:
                return await self._api.call(GET_INVOICE, path=path)
            except BadRequestError as error:
                if error.code != ErrorCode.INVOICE_NOT_STORED_YET:
                    raise
                return StatusInfo(error.code, "not stored yet", error.details)

        found = await wait_until(
            look,
            lambda seen: isinstance(seen, bytes),
            wait,
            what=f"invoice {ksef_number}",
            status=lambda seen: seen if isinstance(seen, StatusInfo) else StatusInfo(200, "stored"),
        )
        assert isinstance(found, bytes)  # noqa: S101  # what `wait_until` waited for
        return found

    def list(
        self, filters: InvoiceFilters, *, sort: SortOrder = SortOrder.ASCENDING, page_size: int = 250
    ) -> InvoiceList:
        """Return the metadata of invoices, as an async iterator; goes on where KSeF truncates a list (10,000 rows).

        KSeF takes 20 such queries an hour; for many invoices, `KsefClient.downloads` needs fewer.

        Args:
            filters: Which.
            sort: By the date of ``filters.date_range``, oldest or newest first.
            page_size: Rows a page, 10 to 250; the most need the fewest queries.

        Raises:
            InvalidFieldError: A value that KSeF would refuse; nothing was sent.

        Source: POST /invoices/query/metadata.
        """
        if not 10 <= page_size <= QUERY_INVOICE_METADATA.largest_page:
            raise InvalidFieldError("page_size", f"must be between 10 and 250; it is {page_size}")
        check_filters(filters, self._api.now())
        return InvoiceList(self._api, filters, sort, page_size)

    async def list_page(
        self,
        filters: InvoiceFilters,
        *,
        sort: SortOrder = SortOrder.ASCENDING,
        page_offset: int = 0,
        page_size: int = 250,
    ) -> InvoiceMetadataPage:
        """Return one page of `list` as KSeF gives it, with its high-water mark.

        Args:
            filters: Which.
            sort: As for `list`.
            page_offset: Which page, from 0.
            page_size: Rows a page, 10 to 250.

        Raises:
            InvalidFieldError: A value that KSeF would refuse; nothing was sent.
            BadRequestError: The range starts beyond the high-water mark it is restricted to (21183).
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: POST /invoices/query/metadata.
        """
        if page_offset < 0:
            raise InvalidFieldError("page_offset", f"must be at least 0; it is {page_offset}")
        return await self.list(filters, sort=sort, page_size=page_size).page(page_offset)


class InvoiceList(Pages[InvoiceMetadata]):
    """The invoices found: ``async for invoice in ...``, or ``async for page in ... .pages()``.

    Each invoice comes once, though the borders of the ranges KSeF is asked for overlap. Raises what a call raises,
    `LocalProtocolError` where more invoices than KSeF lists (10,000) share one date, and `RemoteProtocolError` where
    KSeF says again and again that more follow, and nothing new does.
    """

    def __init__(self, api: Caller, filters: InvoiceFilters, sort: SortOrder, page_size: int) -> None:
        self._api = api
        self._filters = filters
        self._sort = sort
        self._page_size = page_size

    async def page(self, number: int, filters: InvoiceFilters | None = None) -> InvoiceMetadataPage:
        """Return a page by its number, as KSeF gives it; of another range with ``filters``."""
        query = {"sort_order": self._sort, "page_offset": number, "page_size": self._page_size}
        return await self._api.call(QUERY_INVOICE_METADATA, filters or self._filters, query=query)

    async def pages(self) -> AsyncIterator[tuple[InvoiceMetadata, ...]]:
        """Iterate over the pages; one may be short, or even empty, though more follow."""
        filters, number, fruitless = self._filters, 0, 0
        # Numbers of this range and the one before: rows move between pages when invoices come in meanwhile.
        seen: set[str] = set()
        before: set[str] = set()
        last: InvoiceMetadata | None = None
        while True:
            page = await self.page(number, filters)
            dated = (each for each in reversed(page.invoices) if date_of(each, filters.date_range.date_type))
            last = next(dated, last)
            fruitless = fruitless + 1 if all(each.ksef_number in seen for each in page.invoices) else 0
            new = tuple(
                each for each in page.invoices if each.ksef_number not in seen and each.ksef_number not in before
            )
            seen.update(each.ksef_number for each in page.invoices)
            yield new
            if not page.has_more:
                return
            if fruitless == _FRUITLESS:
                raise RemoteProtocolError(
                    f"KSeF says that more invoices follow, and {_FRUITLESS} pages in a row have none that are new.",
                    operation=QUERY_INVOICE_METADATA.name,
                    path="$.hasMore",
                )
            if page.is_truncated:
                filters, number = narrowed(filters, last, self._sort), 0
                seen, before, last = set(), seen, None
            else:
                number += 1
