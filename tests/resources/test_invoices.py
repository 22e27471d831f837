"""Invoices one by one and as lists, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from clients import QUICK, Traffic, connected
from packages import packed
from receiving import BUYER, everything, feed, feed_samples, settle

from ksef_async import (
    AcceptedInvoice,
    BadRequestError,
    Cadence,
    FormCode,
    KsefClient,
    KsefToken,
    LocalProtocolError,
    Pacer,
    WaitTimeoutError,
)
from ksef_async.api.invoices import (
    AmountFilter,
    AmountType,
    BuyerIdentifier,
    BuyerIdentifierType,
    DateRange,
    DateType,
    FormType,
    InvoiceFilters,
    InvoiceSubject,
    InvoiceType,
    SortOrder,
)
from ksef_async.api.sessions import InvoicingMode
from ksef_async.errors import InvalidFieldError
from ksef_async.sandbox import Sandbox, sample_invoice

AT_ONCE = Cadence(interval=0.01, factor=1.0, deadline=5)


@pytest.fixture
async def buyer(sandbox: Sandbox) -> AsyncIterator[KsefClient]:
    credentials = KsefToken(nip=BUYER, token=sandbox.issue_token(BUYER))
    async with KsefClient(sandbox.environment, credentials, pacer=Pacer.unlimited(), retry=QUICK) as client:
        yield client


async def found_by(client: KsefClient, filters: InvoiceFilters, **options: Any) -> list[str]:
    return [each.ksef_number async for each in client.invoices.list(filters, **options)]


# --- fetching ------------------------------------------------------------------------------------------------


async def test_both_parties_fetch_the_document_as_it_was_sent(sandbox: Sandbox, buyer: KsefClient) -> None:
    document = sample_invoice(sandbox.nip, buyer_nip=BUYER)
    (number,) = feed(sandbox, [document])
    settle(sandbox)

    assert await buyer.invoices.get(number) == document
    async with connected(sandbox) as seller:
        assert await seller.invoices.get(number) == document


async def test_to_a_stranger_an_invoice_does_not_exist(sandbox: Sandbox, buyer: KsefClient) -> None:
    (number,) = feed(sandbox, [sample_invoice(sandbox.nip, buyer_nip="1111111111")])
    settle(sandbox)

    with pytest.raises(BadRequestError) as caught:
        await buyer.invoices.get(number)

    assert caught.value.code == 21164


async def test_invoice_that_is_not_stored_yet_is_waited_for_when_asked_to(sandbox: Sandbox, buyer: KsefClient) -> None:
    object.__setattr__(sandbox.world.timings, "storage_lag", 30.0)
    (number,) = feed(sandbox, [sample_invoice(sandbox.nip, buyer_nip=BUYER)])
    sandbox.clock.advance(1)

    with pytest.raises(BadRequestError) as caught:
        await buyer.invoices.get(number)
    assert caught.value.code == 21165
    with pytest.raises(WaitTimeoutError) as late:
        await buyer.invoices.get(number, wait=Cadence(interval=0.01, deadline=0.1))
    assert late.value.last_status is not None
    assert late.value.last_status.code == 21165
    sandbox.clock.advance(30)

    assert await buyer.invoices.get(number, wait=AT_ONCE)


@pytest.mark.parametrize("number", ["", "..", "5265877635", "5265877635-20251326-0100001AF629-AF"])
async def test_what_is_no_ksef_number_is_not_asked_for(buyer: KsefClient, number: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        await buyer.invoices.get(number)

    assert caught.value.field == "ksef_number"


# --- lists ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sort", SortOrder)
@pytest.mark.parametrize("date_type", [DateType.PERMANENT_STORAGE, DateType.INVOICING])
async def test_list_goes_on_where_ksef_cuts_it_off(
    sandbox: Sandbox, buyer: KsefClient, sort: SortOrder, date_type: DateType
) -> None:
    numbers = feed_samples(sandbox, 95)
    settle(sandbox)
    sandbox.world.exports.limits.max_invoices = 20

    found = await found_by(buyer, everything(sandbox, date_type=date_type), sort=sort, page_size=10)

    assert found == (numbers if sort is SortOrder.ASCENDING else numbers[::-1])


async def test_list_that_is_cut_off_within_one_date_says_so(sandbox: Sandbox, buyer: KsefClient) -> None:
    feed_samples(sandbox, 25)
    settle(sandbox)
    sandbox.world.exports.limits.max_invoices = 20

    found = []
    with pytest.raises(LocalProtocolError, match="narrow the query"):
        async for each in buyer.invoices.list(everything(sandbox, date_type=DateType.ISSUE), page_size=10):
            found.append(each.ksef_number)  # noqa: PERF401  # what came before the error counts

    assert len(found) == len(set(found)) == 20


async def test_one_page_at_a_time(sandbox: Sandbox, buyer: KsefClient) -> None:
    numbers = feed_samples(sandbox, 25)
    settle(sandbox)
    query = everything(sandbox)

    pages = [len(page) async for page in buyer.invoices.list(query, page_size=10).pages()]
    third = await buyer.invoices.list_page(query, page_offset=2, page_size=10)

    assert pages == [10, 10, 5]
    assert [each.ksef_number for each in third.invoices] == numbers[20:]
    assert (third.has_more, third.is_truncated) == (False, False)


async def test_high_water_mark_is_the_same_for_all_pages(sandbox: Sandbox, buyer: KsefClient) -> None:
    feed_samples(sandbox, 30)
    settle(sandbox)
    query = everything(sandbox)

    first = await buyer.invoices.list_page(query, page_size=10)
    sandbox.clock.advance(60)
    feed_samples(sandbox, 5, start=30)
    settle(sandbox)
    others = [await buyer.invoices.list_page(query, page_offset=page, page_size=10) for page in (1, 2)]
    anew = await buyer.invoices.list_page(query, page_size=10)

    assert first.permanent_storage_hwm_date is not None
    assert {page.permanent_storage_hwm_date for page in others} == {first.permanent_storage_hwm_date}
    assert [page.has_more for page in others] == [True, False]
    assert anew.permanent_storage_hwm_date is not None
    assert anew.permanent_storage_hwm_date > first.permanent_storage_hwm_date


async def test_range_beyond_the_high_water_mark_is_refused_when_restricted_to_it(
    sandbox: Sandbox, buyer: KsefClient
) -> None:
    dates = DateRange(DateType.PERMANENT_STORAGE, sandbox.clock.now(), restrict_to_permanent_storage_hwm_date=True)

    with pytest.raises(BadRequestError) as caught:
        await buyer.invoices.list_page(InvoiceFilters(subject_type=InvoiceSubject.BUYER, date_range=dates))

    assert caught.value.code == 21183


FITTING: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "invoice number": ({"invoice_number": "FV/0"}, {"invoice_number": "FV/7"}),
    "seller": ({}, {"seller_nip": BUYER}),
    "buyer": (
        {"buyer_identifier": BuyerIdentifier(BuyerIdentifierType.NIP, BUYER)},
        {"buyer_identifier": BuyerIdentifier(BuyerIdentifierType.VAT_UE)},
    ),
    "gross": (
        {"amount": AmountFilter(AmountType.GROSS, Decimal("1230.00"), Decimal(1230))},
        {"amount": AmountFilter(AmountType.GROSS, Decimal("1230.01"))},
    ),
    "net": (
        {"amount": AmountFilter(AmountType.NET, to_amount=Decimal(1000))},
        {"amount": AmountFilter(AmountType.NET, to_amount=Decimal("999.99"))},
    ),
    "tax": (
        {"amount": AmountFilter(AmountType.VAT, Decimal(230))},
        {"amount": AmountFilter(AmountType.VAT, Decimal(231))},
    ),
    "currency": ({"currency_codes": ("EUR", "PLN")}, {"currency_codes": ("EUR",)}),
    "mode": ({"invoicing_mode": InvoicingMode.ONLINE}, {"invoicing_mode": InvoicingMode.OFFLINE}),
    "self-invoicing": ({"is_self_invoicing": False}, {"is_self_invoicing": True}),
    "form": ({"form_type": FormType.FA}, {"form_type": FormType.PEF}),
    "type": (
        {"invoice_types": (InvoiceType.CORRECTION, InvoiceType.VAT)},
        {"invoice_types": (InvoiceType.CORRECTION,)},
    ),
    "attachment": ({"has_attachment": False}, {"has_attachment": True}),
}


@pytest.mark.parametrize("kind", FITTING)
async def test_filter_finds_what_fits_and_nothing_else(sandbox: Sandbox, buyer: KsefClient, kind: str) -> None:
    (number,) = feed(sandbox, [sample_invoice(sandbox.nip, "FV/0", buyer_nip=BUYER)])
    settle(sandbox)
    query = everything(sandbox)
    fitting, other = FITTING[kind]

    def with_filters(filters: dict[str, Any]) -> InvoiceFilters:
        return InvoiceFilters(subject_type=query.subject_type, date_range=query.date_range, **filters)

    assert await found_by(buyer, with_filters(fitting)) == [number]
    assert await found_by(buyer, with_filters(other)) == []


async def test_ksef_number_is_a_filter(sandbox: Sandbox, buyer: KsefClient) -> None:
    numbers = feed_samples(sandbox, 3)
    settle(sandbox)
    query = everything(sandbox)

    one = InvoiceFilters(subject_type=query.subject_type, date_range=query.date_range, ksef_number=numbers[1])

    assert await found_by(buyer, one) == [numbers[1]]


async def test_invoices_of_a_batch_are_found_too(sandbox: Sandbox) -> None:
    async with connected(sandbox) as seller, packed(sandbox, 12) as package:
        async with await seller.sessions.open_batch(package, form_code=FormCode.FA3) as session:
            pass
        outcomes = [each.outcome async for each in session.outcomes()]
        settle(sandbox)
        found = await found_by(seller, everything(sandbox, InvoiceSubject.SELLER))

    assert len(found) == 12
    assert set(found) == {each.ksef_number for each in outcomes if isinstance(each, AcceptedInvoice)}


async def test_two_companies_see_what_is_theirs_as_what_they_are(sandbox: Sandbox, buyer: KsefClient) -> None:
    (sold,) = feed(sandbox, [sample_invoice(sandbox.nip, "A/1", buyer_nip=BUYER)])
    (bought,) = feed(sandbox, [sample_invoice(BUYER, "B/1", buyer_nip=sandbox.nip)], nip=BUYER)
    feed(sandbox, [sample_invoice(sandbox.nip, "C/1", buyer_nip="1111111111")])
    settle(sandbox)

    async with connected(sandbox) as seller:
        by_part = {
            (name, subject.value): await found_by(client, everything(sandbox, subject))
            for name, client in (("first", seller), ("second", buyer))
            for subject in InvoiceSubject
        }

    assert by_part["second", "Subject1"] == [bought]
    assert by_part["second", "Subject2"] == [sold]
    assert by_part["first", "Subject2"] == [bought]
    assert len(by_part["first", "Subject1"]) == 2
    assert all(by_part[name, part] == [] for name in ("first", "second") for part in ("Subject3", "SubjectAuthorized"))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"end": timedelta(days=101)}, "date_range"),
        ({"end": timedelta(days=-1)}, "date_range.to_date"),
    ],
)
async def test_range_that_ksef_would_refuse_is_not_sent(
    sandbox: Sandbox, buyer: KsefClient, changes: dict[str, timedelta], field: str
) -> None:
    start = sandbox.clock.now() - timedelta(days=200)

    with pytest.raises(InvalidFieldError) as caught:
        buyer.invoices.list(everything(sandbox, start=start, end=start + changes["end"]))

    assert caught.value.field == field


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"invoice_number": "x" * 257}, "invoice_number"),
        ({"seller_nip": "0000000000"}, "seller_nip"),
        ({"ksef_number": "x" * 35}, "ksef_number"),
        ({"currency_codes": ("ZŁ",)}, "currency_codes"),
        ({"amount": AmountFilter(AmountType.NET, Decimal("NaN"))}, "amount.from_amount"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_value_that_ksef_would_refuse_is_not_sent(
    sandbox: Sandbox, buyer: KsefClient, values: dict[str, Any], field: str
) -> None:
    query = everything(sandbox)
    with pytest.raises(InvalidFieldError) as caught:
        buyer.invoices.list(InvoiceFilters(subject_type=query.subject_type, date_range=query.date_range, **values))

    assert caught.value.field == field


@pytest.mark.parametrize("size", [9, 251])
async def test_page_sizes_are_bounded(sandbox: Sandbox, buyer: KsefClient, size: int) -> None:
    with pytest.raises(InvalidFieldError, match="page_size"):
        buyer.invoices.list(everything(sandbox), page_size=size)
    with pytest.raises(InvalidFieldError, match="page_offset"):
        await buyer.invoices.list_page(everything(sandbox), page_offset=-1)


async def test_list_asks_for_no_more_pages_than_are_wanted(sandbox: Sandbox) -> None:
    feed_samples(sandbox, 30)
    settle(sandbox)
    traffic = Traffic()
    async with connected(sandbox, hook=traffic) as seller:
        async for _ in seller.invoices.list(everything(sandbox, InvoiceSubject.SELLER), page_size=10):
            break

    assert traffic.of("query_invoice_metadata") == 1
