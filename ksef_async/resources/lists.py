"""Operations that give a list, as async iterators: by continuation token, or by the number of a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from ..api.operation import Operation
from ..calling.caller import Caller
from ..calling.paging import OffsetPages, TokenPages
from ..protocol.requests import CONTINUATION_HEADER

__all__ = ["ContinuedPage", "NumberedPage", "list_by_offset", "list_by_token"]

RequestT = TypeVar("RequestT")
RowT = TypeVar("RowT")


class ContinuedPage(Protocol):
    """A page that knows how to ask for the next."""

    @property
    def continuation_token(self) -> str | None:
        """For the next page; None or empty after the last."""
        ...


class NumberedPage(Protocol):
    """A page that knows whether there is another."""

    @property
    def has_more(self) -> bool:
        """Return whether another page follows."""
        ...


ContinuedPageT = TypeVar("ContinuedPageT", bound=ContinuedPage)
NumberedPageT = TypeVar("NumberedPageT", bound=NumberedPage)


def list_by_token(
    api: Caller,
    operation: Operation[RequestT, ContinuedPageT],
    rows: Callable[[ContinuedPageT], tuple[RowT, ...]],
    *,
    page_size: int,
    body: RequestT | None = None,
    path: Mapping[str, str] | None = None,
    query: Mapping[str, object] | None = None,
) -> TokenPages[RowT]:
    """Return the list an operation gives page by page, each named by the one before.

    Args:
        api: How to call KSeF.
        operation: The row; one with ``continued``.
        rows: Takes them out of a page.
        page_size: Rows a page; the fewest requests come with the most KSeF gives.
        body: As for `Caller.call`.
        path: As for `Caller.call`.
        query: As for `Caller.call`, without the size of the page.
    """
    query = {**(query or {}), "page_size": page_size}

    async def fetch(token: str | None) -> tuple[tuple[RowT, ...], str | None]:
        headers = {CONTINUATION_HEADER: token} if token else None
        page = await api.call(operation, body, path=path, query=query, headers=headers)
        return rows(page), page.continuation_token

    return TokenPages(fetch)


def list_by_offset(
    api: Caller,
    operation: Operation[RequestT, NumberedPageT],
    rows: Callable[[NumberedPageT], tuple[RowT, ...]],
    *,
    page_size: int,
    body: RequestT | None = None,
    path: Mapping[str, str] | None = None,
    query: Mapping[str, object] | None = None,
) -> OffsetPages[RowT]:
    """Return the list an operation gives page by page, by their numbers; the arguments are those of `list_by_token`."""

    async def fetch(number: int) -> tuple[tuple[RowT, ...], bool]:
        numbered = {**(query or {}), "page_offset": number, "page_size": page_size}
        page = await api.call(operation, body, path=path, query=numbered)
        return rows(page), page.has_more

    return OffsetPages(fetch)
