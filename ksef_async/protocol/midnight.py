"""Whether an invoice is Online or Offline by KSeF's rule.

KSeF compares calendar days of Poland: an invoice whose date (P_1) is earlier than the day on which it is sent is
Offline, whatever it was sent as. In an online session the moment of sending counts, in a batch session the moment of
its opening, whenever the package is uploaded. Source: automatyczne-okreslanie-trybu-offline.md.
"""

from __future__ import annotations

from datetime import date, datetime

from ..api.sessions import InvoicingMode
from .polish_calendar import end_of_day, polish_day

__all__ = ["mode_of", "online_until"]


def mode_of(issued_on: date, moment: datetime, *, offline: bool = False) -> InvoicingMode:
    """Return the mode that KSeF gives an invoice.

    Args:
        issued_on: The invoice's date (P_1).
        moment: When it is sent in an online session; when the session is opened, for a batch.
        offline: It is sent as an offline invoice (``offlineMode: true``).

    Raises:
        LocalProtocolError: ``moment`` has no time zone.
    """
    return InvoicingMode.OFFLINE if offline or issued_on < polish_day(moment) else InvoicingMode.ONLINE


def online_until(issued_on: date) -> datetime:
    """Return the moment (UTC) from which on an invoice is Offline: the midnight after its date (P_1).

    Raises:
        LocalProtocolError: The year is not between 1900 and 2999.
    """
    return end_of_day(issued_on)
