from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ksef_async import KsefClient
from ksef_async.api.collective_identifiers import CollectiveIdentifierFilter, InvoicePayment, InvoiceToGroup
from ksef_async.errors import InvalidFieldError

FIRST = "5265877635-20250826-0100001AF629-AF"
SECOND = "5265877635-20250916-010040741B3E-46"
OTHER_SELLER = "1111111111-20260612-6310EC800000-DA"


@pytest.mark.parametrize(
    ("invoices", "message"),
    [
        pytest.param([FIRST], "invoices must have a number of items of at least 2", id="one"),
        pytest.param([FIRST, SECOND, FIRST], f"{FIRST} is there twice", id="twice"),
        pytest.param([FIRST, OTHER_SELLER], "must be of one seller", id="two sellers"),
        pytest.param([FIRST, "FV/1"], "ksef_number must have a length between 35 and 36", id="no KSeF number"),
        pytest.param([FIRST, SECOND.replace("-01", "-XY")], "ksef_number must be written as", id="wrong digits"),
    ],
)
async def test_group_that_cannot_be_is_refused_before_anything_is_sent(
    client: KsefClient, invoices: list[str], message: str
) -> None:
    with pytest.raises(InvalidFieldError, match=message):
        await client.collective_identifiers.create(invoices)


def test_details_are_held_to_their_bounds() -> None:
    with pytest.raises(InvalidFieldError, match="currency must be one of KSeF's currency codes"):
        InvoicePayment(Decimal(1), "pln")
    with pytest.raises(InvalidFieldError, match="description must have a length between 0 and 512"):
        InvoiceToGroup(FIRST, description="x" * 513)


@pytest.mark.parametrize("days", [-1, 101])
def test_query_spans_at_most_100_days(days: int) -> None:
    start = datetime(2026, 7, 1, tzinfo=UTC)

    with pytest.raises(InvalidFieldError, match="within 100 days"):
        CollectiveIdentifierFilter(date_created_from=start, date_created_to=start + timedelta(days=days))


@pytest.mark.parametrize("count", [0, 11])
async def test_query_names_one_to_ten_groups(client: KsefClient, count: int) -> None:
    with pytest.raises(InvalidFieldError, match="between 1 and 10"):
        client.collective_identifiers.list_invoices(*["x"] * count)
