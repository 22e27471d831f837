"""Queries for invoices: what KSeF would refuse of one, and how it goes on where KSeF has cut its list off.

Source: OpenAPI 2.9.0, InvoiceQueryFilters; pobieranie-faktur/*.md.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Final

import attrs

from ..api.common import CURRENCIES
from ..api.invoices import DateRange, DateType, InvoiceFilters, InvoiceMetadata, SortOrder
from ..errors import InvalidFieldError, LocalProtocolError, RemoteProtocolError

__all__ = ["LONGEST_RANGE", "check_filters", "date_of", "narrowed"]

LONGEST_RANGE: Final = timedelta(days=100)
"""The longest time a query may span."""


def check_filters(filters: InvoiceFilters, now: datetime) -> None:
    """Refuse what KSeF would refuse with 21405.

    Args:
        filters: What to find.
        now: What time it is at KSeF; where a range without an end ends.

    Raises:
        InvalidFieldError: Names the field.
    """
    dates = filters.date_range
    for name, moment in (("date_range.from_date", dates.from_date), ("date_range.to_date", dates.to_date)):
        if moment is not None and moment.tzinfo is None:
            raise InvalidFieldError(name, f"must have a time zone; it is {moment.isoformat()}")
    end = dates.to_date or max(now, dates.from_date)
    if end < dates.from_date:
        raise InvalidFieldError("date_range.to_date", f"must not be before from_date; it is {end.isoformat()}")
    if end - dates.from_date > LONGEST_RANGE:
        raise InvalidFieldError("date_range", f"must span at most 100 days; it spans {(end - dates.from_date).days}")
    if unknown := set(filters.currency_codes) - CURRENCIES:
        raise InvalidFieldError("currency_codes", f"must be codes of ISO 4217; {unknown.pop()!r} is none")
    if (amount := filters.amount) is not None:
        for name, value in (("amount.from_amount", amount.from_amount), ("amount.to_amount", amount.to_amount)):
            if value is not None and not value.is_finite():
                raise InvalidFieldError(name, f"must be a number; it is {value}")


def date_of(invoice: InvoiceMetadata, date_type: DateType) -> datetime | None:
    """Return the date that a list by ``date_type`` is sorted by, a date of issue at midnight UTC; None if untold."""
    if date_type == DateType.INVOICING:
        return invoice.invoicing_date
    if date_type == DateType.PERMANENT_STORAGE:
        return invoice.permanent_storage_date
    return None if invoice.issue_date is None else datetime.combine(invoice.issue_date, time(), UTC)


def narrowed(filters: InvoiceFilters, last: InvoiceMetadata | None, order: SortOrder) -> InvoiceFilters:
    """Return the same query from its last row on, which comes again; after KSeF has cut a list off.

    Args:
        filters: The query.
        last: The last row whose date is known; None where there is none.
        order: How the list is sorted.

    Raises:
        LocalProtocolError: The row has the date that the query began with, so the rest cannot be reached: more
            invoices than KSeF lists share one date.
        RemoteProtocolError: KSeF does not give the row's date, or it is none that was asked for: going on from there
            would leave invoices out, or never end.
    """
    dates = filters.date_range
    border = None if last is None else date_of(last, dates.date_type)
    if border is None:
        raise _lost("KSeF has cut the list off without giving a {} date to go on from.", dates.date_type)
    if dates.date_type == DateType.ISSUE:
        border = _border_of_day(border, dates, order)
    elif border < dates.from_date or (dates.to_date is not None and border > dates.to_date):
        raise _lost("KSeF has cut the list off at a {} date that was not asked for.", dates.date_type)
    if border == (dates.to_date if order == SortOrder.DESCENDING else dates.from_date):
        raise LocalProtocolError(
            f"More invoices than KSeF lists share one {dates.date_type} date ({border.isoformat()}); "
            "narrow the query with other filters to reach the rest."
        )
    if order == SortOrder.DESCENDING:
        renewed = attrs.evolve(dates, to_date=border)
    else:
        renewed = attrs.evolve(dates, from_date=border)
    return attrs.evolve(filters, date_range=renewed)


def _border_of_day(border: datetime, dates: DateRange, order: SortOrder) -> datetime:
    """Return where a list by date of issue goes on; ``border`` is the day of its last row, at midnight UTC.

    Both ends of the range count as days of Poland (ksef-api#507), which begin an hour or two before those of UTC: in
    the evening, midnight UTC is still to come, and KSeF refuses a range that begins in the future.
    """
    # Loads the time zones, and lists are seldom cut off.
    from .polish_calendar import start_of_day

    if order == SortOrder.ASCENDING:
        try:
            border = start_of_day(border.date())
        except LocalProtocolError as error:
            raise _lost("KSeF has cut the list off at a {} date that was not asked for.", dates.date_type) from error
    # The range has times, so its first and last day may begin before it.
    border = max(border, dates.from_date)
    return border if dates.to_date is None else min(border, dates.to_date)


def _lost(problem: str, date_type: DateType) -> RemoteProtocolError:
    return RemoteProtocolError(problem.format(date_type), operation="query_invoice_metadata", path="$.invoices")
