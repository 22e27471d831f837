"""Lists that come in pages, as async iterators. Source: OpenAPI 2.9.0, ``x-continuation-token``, ``pageOffset``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Final, Generic, TypeVar

from ..errors import RemoteProtocolError

__all__ = ["OffsetPages", "Pages", "TokenPages", "check_leads_on"]

T = TypeVar("T")

# Empty pages in a row, of those that have numbers, after which no more is expected.
_FRUITLESS: Final = 100


def check_leads_on(token: str, used: Collection[str | None]) -> None:
    """Check that a continuation token leads to a page that was not read before.

    Raises:
        RemoteProtocolError: It was used before, so the list would never end.
    """
    if token in used:
        raise RemoteProtocolError("KSeF's list leads back to a page that was read before, so it has no end.")


class Pages(Generic[T]):
    """A list that comes in pages: ``async for item in ...``, or ``async for page in ... .pages()``.

    Each iteration starts at the first page and asks for a page only when it is wanted.
    """

    def pages(self) -> AsyncIterator[tuple[T, ...]]:
        """Iterate over the pages; one may be short, or even empty, though more follow."""
        raise NotImplementedError

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page:
                yield item


class TokenPages(Pages[T]):
    """A list paged by continuation tokens.

    Args:
        fetch: Gives the page a token leads to (None for the first), and the token of the next, if there is one.
    """

    def __init__(self, fetch: Callable[[str | None], Awaitable[tuple[tuple[T, ...], str | None]]]) -> None:
        self._fetch = fetch

    async def pages(self) -> AsyncIterator[tuple[T, ...]]:
        """Iterate over the pages; one may be short, or even empty, though more follow."""
        token: str | None = None
        used: set[str | None] = set()
        while True:
            used.add(token)
            items, token = await self._fetch(token)
            yield items
            if not token:
                return
            check_leads_on(token, used)


class OffsetPages(Pages[T]):
    """A list paged by ``pageOffset``, which at KSeF is the number of a page and not of a row.

    What is added to the list meanwhile moves its rows: one may be seen twice, or missed.

    Args:
        fetch: Gives the page of a number (from 0), and whether more follow.
    """

    def __init__(self, fetch: Callable[[int], Awaitable[tuple[tuple[T, ...], bool]]]) -> None:
        self._fetch = fetch

    async def pages(self) -> AsyncIterator[tuple[T, ...]]:
        """Iterate over the pages; one may be short, or even empty, though more follow."""
        number, fruitless, has_more = 0, 0, True
        while has_more:
            items, has_more = await self._fetch(number)
            yield items
            number += 1
            fruitless = 0 if items else fruitless + 1
            if has_more and fruitless == _FRUITLESS:
                raise RemoteProtocolError(f"KSeF's list goes on, though its last {fruitless} pages were empty.")
