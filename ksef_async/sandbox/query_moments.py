"""The high-water mark, and the moment a query was begun at: the same for all its pages."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final

from ..models.common import Context
from ..models.invoices import InvoiceFilters
from .clock import Timings

__all__ = ["QueryMoments"]

#: Queries whose moments are remembered; whoever goes on with an older one gets the present.
_REMEMBERED: Final = 1_000


class QueryMoments:
    """Remembers when each query was begun.

    Args:
        timings: How far the high-water mark lies behind.
    """

    def __init__(self, timings: Timings) -> None:
        self._timings = timings
        self._begun: OrderedDict[tuple[Context, InvoiceFilters], tuple[datetime, datetime]] = OrderedDict()

    def hwm(self, now: datetime) -> datetime:
        """Up to there nothing will be added any more."""
        return now - self._timings.hwm_lag

    def moments(
        self, context: Context, filters: InvoiceFilters, now: datetime, *, is_first: bool
    ) -> tuple[datetime, datetime]:
        """The time and the high-water mark that hold for a page of a query."""
        key = (context, filters)
        if is_first or key not in self._begun:
            self._begun[key] = now, self.hwm(now)
            self._begun.move_to_end(key)
            if len(self._begun) > _REMEMBERED:
                self._begun.popitem(last=False)
        return self._begun[key]
