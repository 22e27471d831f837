"""Lists that come in pages, as async iterators. Source: OpenAPI 2.9.0, header ``x-continuation-token``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

__all__ = ["TokenPages"]

T = TypeVar("T")


class TokenPages(Generic[T]):
    """A list paged by continuation tokens: ``async for item in ...``, or ``async for page in ... .pages()``.

    Each iteration starts at the first page and asks for a page only when it is wanted.
    """

    def __init__(self, fetch: Callable[[str | None], Awaitable[tuple[tuple[T, ...], str | None]]]) -> None:
        self._fetch = fetch

    async def pages(self) -> AsyncIterator[tuple[T, ...]]:
        """One page at a time; a page may be short, or even empty, though more follow."""
        token = None
        while True:
            items, token = await self._fetch(token)
            yield items
            if not token:
                return

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page:
                yield item
