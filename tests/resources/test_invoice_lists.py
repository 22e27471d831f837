"""Lists of invoices that KSeF answers oddly: every invoice once, or one of our errors; never without end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
import orjson
import pytest
from clients import QUICK
from receiving import BUYER, everything, feed_samples, settle

from ksef_async import KsefClient, KsefToken, LocalProtocolError, Pacer
from ksef_async.api.common import ServerTime
from ksef_async.api.invoices import DateRange, DateType, InvoiceFilters, InvoiceMetadata, InvoiceSubject, SortOrder
from ksef_async.errors import RemoteProtocolError
from ksef_async.protocol.invoice_queries import narrowed
from ksef_async.sandbox import Fault, Sandbox

Page = dict[str, Any]


@pytest.fixture
async def buyer(sandbox: Sandbox) -> AsyncIterator[KsefClient]:
    credentials = KsefToken(nip=BUYER, token=sandbox.issue_token(BUYER))
    async with KsefClient(sandbox.environment, credentials, pacer=Pacer.unlimited(), retry=QUICK) as client:
        yield client


def each_page_becomes(sandbox: Sandbox, change: Callable[[Page], Page]) -> None:
    """Let a function change each page of a list."""
    fault = Fault.answer_becomes(body=lambda body: orjson.dumps(change(orjson.loads(body))))
    sandbox.faults.add("query_invoice_metadata", fault, times=10_000)


async def listed(buyer: KsefClient, filters: InvoiceFilters) -> list[str]:
    return [each.ksef_number async for each in buyer.invoices.list(filters, page_size=10)]


def the_first_again() -> Callable[[Page], Page]:
    first: Page = {}

    def change(page: Page) -> Page:
        first.update(first or page)
        return {**first, "hasMore": True}

    return change


ENDLESS: dict[str, Callable[[], Callable[[Page], Page]]] = {
    "the first page again and again": the_first_again,
    "always more, though all was told": lambda: lambda page: {**page, "hasMore": True},
    "empty pages": lambda: lambda page: {**page, "invoices": [], "hasMore": True},
    "the same page, cut off": lambda: lambda page: {**page, "hasMore": True, "isTruncated": True},
    "cut off, and empty": lambda: lambda page: {**page, "invoices": [], "hasMore": True, "isTruncated": True},
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_list_that_never_ends_is_given_up(sandbox: Sandbox, buyer: KsefClient, kind: str) -> None:
    numbers = feed_samples(sandbox, 12)
    settle(sandbox)
    each_page_becomes(sandbox, ENDLESS[kind]())
    found: list[str] = []

    with pytest.raises(RemoteProtocolError if "cut off" not in kind else (RemoteProtocolError, LocalProtocolError)):
        async for each in buyer.invoices.list(everything(sandbox), page_size=10):
            found.append(each.ksef_number)  # noqa: PERF401  # what came before the error counts

    assert found == numbers[: len(found)]
    assert sandbox.faults.happened["query_invoice_metadata"] < 12


async def test_few_empty_pages_are_no_end(sandbox: Sandbox, buyer: KsefClient) -> None:
    numbers = feed_samples(sandbox, 25)
    settle(sandbox)
    pages: list[Page] = []

    def change(page: Page) -> Page:
        pages.append(page)
        return {**page, "hasMore": True, "invoices": []} if len(pages) in (2, 3) else page

    each_page_becomes(sandbox, change)

    found = await listed(buyer, everything(sandbox))

    # What KSeF does not give is not there; what it gives afterwards is.
    assert found == numbers[:10]
    assert len(pages) >= 4


NOON = datetime(2026, 7, 10, 12, tzinfo=UTC)
BORDERS: dict[str, tuple[DateType, SortOrder, datetime | None, timedelta | type[Exception]]] = {
    # type, order, date of the last row; where the query goes on, from noon
    "ascending": (DateType.INVOICING, SortOrder.ASCENDING, NOON + timedelta(hours=1), timedelta(hours=1)),
    "descending": (DateType.INVOICING, SortOrder.DESCENDING, NOON + timedelta(hours=1), timedelta(hours=1)),
    "at the start": (DateType.INVOICING, SortOrder.ASCENDING, NOON, LocalProtocolError),
    "at the end": (DateType.INVOICING, SortOrder.DESCENDING, NOON + timedelta(days=2), LocalProtocolError),
    "before the start": (DateType.INVOICING, SortOrder.ASCENDING, NOON - timedelta(hours=1), RemoteProtocolError),
    "after the end": (DateType.INVOICING, SortOrder.ASCENDING, NOON + timedelta(days=3), RemoteProtocolError),
    "descending, before the start": (
        DateType.INVOICING,
        SortOrder.DESCENDING,
        NOON - timedelta(hours=1),
        RemoteProtocolError,
    ),
    "without a date": (DateType.INVOICING, SortOrder.ASCENDING, None, RemoteProtocolError),
    # Poland's day begins at 22:00 UTC in summer.
    "day of issue": (DateType.ISSUE, SortOrder.ASCENDING, NOON + timedelta(days=1), timedelta(hours=10)),
    "descending, day of issue": (DateType.ISSUE, SortOrder.DESCENDING, NOON + timedelta(days=1), timedelta(hours=12)),
    "day of issue, year 1": (DateType.ISSUE, SortOrder.ASCENDING, datetime(1, 1, 1, tzinfo=UTC), RemoteProtocolError),
    "day that the range begins in": (DateType.ISSUE, SortOrder.ASCENDING, NOON, LocalProtocolError),
    "descending, day that the range begins in": (DateType.ISSUE, SortOrder.DESCENDING, NOON, timedelta()),
}


@pytest.mark.parametrize("kind", BORDERS)
async def test_list_goes_on_within_the_range_or_not_at_all(sandbox: Sandbox, buyer: KsefClient, kind: str) -> None:
    feed_samples(sandbox, 1)
    settle(sandbox)
    (row,) = [each async for each in buyer.invoices.list(everything(sandbox))]
    date_type, order, moment, expected = BORDERS[kind]
    last = _dated(row, moment)
    dates = DateRange(date_type, NOON, NOON + timedelta(days=2))
    filters = InvoiceFilters(subject_type=InvoiceSubject.BUYER, date_range=dates)

    if isinstance(expected, timedelta):
        renewed = narrowed(filters, last, order).date_range
        changed = renewed.to_date if order == SortOrder.DESCENDING else renewed.from_date
        assert changed == NOON + expected
    else:
        with pytest.raises(expected):
            narrowed(filters, last, order)


def _dated(row: InvoiceMetadata, moment: datetime | None) -> InvoiceMetadata | None:
    if moment is None:
        return None
    invoicing_date = ServerTime.parse(moment.isoformat())
    return attrs.evolve(row, invoicing_date=invoicing_date, issue_date=date(moment.year, moment.month, moment.day))
