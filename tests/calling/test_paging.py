from __future__ import annotations

import pytest

from ksef_async import RemoteProtocolError
from ksef_async.calling.paging import OffsetPages, TokenPages

Page = tuple[tuple[int, ...], str | None]


class Server:
    """Pages by the token that leads to them."""

    def __init__(self, pages: dict[str | None, Page]) -> None:
        self.pages = pages
        self.asked: list[str | None] = []

    async def fetch(self, token: str | None) -> Page:
        self.asked.append(token)
        return self.pages[token]


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        pytest.param({None: ((1, 2), None)}, [(1, 2)], id="one page"),
        pytest.param({None: ((), None)}, [()], id="nothing"),
        pytest.param({None: ((1,), "")}, [(1,)], id="an empty token is the end too"),
        pytest.param(
            {None: ((1, 2), "a"), "a": ((), "b"), "b": ((3,), None)}, [(1, 2), (), (3,)], id="an empty page between"
        ),
    ],
)
async def test_pages_are_followed_by_their_tokens(
    pages: dict[str | None, Page], expected: list[tuple[int, ...]]
) -> None:
    listed: TokenPages[int] = TokenPages(Server(pages).fetch)

    assert [page async for page in listed.pages()] == expected
    assert [item async for item in listed] == [item for page in expected for item in page]


async def test_page_is_asked_for_only_when_wanted_and_each_iteration_starts_anew() -> None:
    server = Server({None: ((1, 2), "a"), "a": ((3,), None)})
    listed = TokenPages(server.fetch)
    assert server.asked == []

    items = listed.__aiter__()
    assert [await anext(items), await anext(items)] == [1, 2]
    assert server.asked == [None]
    assert await anext(items) == 3
    assert server.asked == [None, "a"]

    assert [item async for item in listed] == [1, 2, 3]
    assert server.asked == [None, "a", None, "a"]


async def test_error_reaches_the_reader() -> None:
    pages = TokenPages(Server({None: ((1,), "lost")}).fetch).pages()

    assert await anext(pages) == (1,)
    with pytest.raises(KeyError, match="lost"):
        await anext(pages)


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param([(1, 2)], id="one page"),
        pytest.param([()], id="nothing"),
        pytest.param([(1, 2), (), (3,)], id="an empty page between"),
    ],
)
async def test_pages_are_followed_by_their_numbers(pages: list[tuple[int, ...]]) -> None:
    asked: list[int] = []

    async def fetch(number: int) -> tuple[tuple[int, ...], bool]:
        asked.append(number)
        return pages[number], number + 1 < len(pages)

    listed = OffsetPages(fetch)
    assert [page async for page in listed.pages()] == pages
    assert asked == list(range(len(pages)))
    assert [item async for item in listed] == [item for page in pages for item in page]
    assert asked == [*range(len(pages)), *range(len(pages))]


async def test_numbered_page_is_asked_for_only_when_wanted() -> None:
    asked: list[int] = []

    async def fetch(number: int) -> tuple[tuple[int, ...], bool]:
        asked.append(number)
        return (number,), True

    items = OffsetPages(fetch).__aiter__()
    assert asked == []
    assert [await anext(items), await anext(items)] == [0, 1]
    assert asked == [0, 1]


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param({None: ((1,), "a"), "a": ((2,), "a")}, id="to itself"),
        pytest.param({None: ((1,), "a"), "a": ((), "b"), "b": ((2,), "a")}, id="in a circle"),
    ],
)
async def test_list_that_leads_back_ends_with_an_error(pages: dict[str | None, Page]) -> None:
    server = Server(pages)

    with pytest.raises(RemoteProtocolError, match="leads back"):
        async for _ in TokenPages(server.fetch):
            pass

    assert len(server.asked) == len(pages)


async def test_numbered_list_of_empty_pages_ends_with_an_error() -> None:
    asked = []

    async def fetch(number: int) -> tuple[tuple[int, ...], bool]:
        asked.append(number)
        return ((1,) if number == 50 else ()), True

    with pytest.raises(RemoteProtocolError, match="100 pages were empty"):
        async for _ in OffsetPages(fetch):
            pass

    assert asked == [*range(151)]
