"""What KSeF refuses of a query for invoices beyond the bounds of its fields, in its own words.

Source: pobieranie-faktur/*.md; ksef-api#507 and #709 (the texts). KSeF says three months, and means 100 days.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import attrs

from ..models.currencies import CURRENCIES
from ..models.invoices import InvoiceFilters
from ..protocol.invoice_queries import LONGEST_RANGE
from ..protocol.wire import camel
from .refusals import InvalidInput

__all__ = ["check_query"]


def check_query(filters: InvoiceFilters, now: datetime) -> None:
    """Refuse what KSeF refuses.

    Args:
        filters: What is asked for.
        now: Where a range without an end ends.

    Raises:
        InvalidInput: With a detail for each problem.
    """
    if found := list(_problems(filters, now)):
        raise InvalidInput(*found)


def _problems(filters: InvoiceFilters, now: datetime) -> Iterator[str]:
    dates = filters.date_range
    end = dates.to_date or now
    if end < dates.from_date:
        yield "'dateRange.to' must be greater than or equal to 'dateRange.from'."
    elif end - dates.from_date > LONGEST_RANGE:
        yield "'dateRange' must not exceed 3 months."
    if not dates.date_type.is_known:
        yield "'dateRange.dateType' has a range of values which does not include it."
    if set(filters.currency_codes) - CURRENCIES:
        yield "'currencyCodes' has a range of values which does not include it."
    for name, value in attrs.asdict(filters, recurse=False).items():
        if any(getattr(each, "is_known", True) is False for each in (value if isinstance(value, tuple) else (value,))):
            yield f"'{camel(name)}' has a range of values which does not include it."
    if (amount := filters.amount) is not None and not amount.type.is_known:
        yield "'amount.type' has a range of values which does not include it."
    if (buyer := filters.buyer_identifier) is not None and not buyer.type.is_known:
        yield "'buyerIdentifier.type' has a range of values which does not include it."
