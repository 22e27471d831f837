"""Whether an invoice is Online or Offline by KSeF's rule, and how a queue stays Online.

KSeF compares calendar days of Poland: an invoice whose date (P_1) is earlier than the day on which it is sent is
Offline, whatever it was sent as. In an online session the moment of sending counts, in a batch session the moment of
its opening, whenever the package is uploaded. Source: automatyczne-okreslanie-trybu-offline.md.

`planning.plan` divides a known number of invoices once; `divide` divides a queue, anew whenever it has changed.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import attrs

from ..api.sessions import InvoicingMode
from .planning import BATCH_START, BEFORE_MIDNIGHT
from .polish_calendar import end_of_day, next_midnight, polish_day

__all__ = [
    "LAST_CALL",
    "PACKING_RATE",
    "WORTH_A_BATCH",
    "Division",
    "Evening",
    "divide",
    "mode_of",
    "online_until",
    "seconds_left",
]

WORTH_A_BATCH: Final = 20
"""Invoices for which a batch is opened at once; fewer wait for more to come, until `LAST_CALL`."""
LAST_CALL: Final = 600.0
"""Seconds before midnight from which on a batch is opened for however few, first now and then, at last at once."""
PACKING_RATE: Final = 10_000_000
"""Bytes a second that are packed and encrypted at least; a batch is opened once its package is complete."""

# When few invoices are not made to wait for more: for so many seconds from each of these on, and all the time at last.
_CALLS: Final = (LAST_CALL, 300.0, 150.0, 75.0)
_CALL: Final = 15.0
_AT_LAST: Final = 45.0
# The last sessions that may be opened are kept for what may still come, and used at such intervals before midnight.
_KEPT: Final = 3
_SPACING: Final = 15.0


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


def seconds_left(now: datetime) -> float:
    """Return for how long invoices dated today can still be sent as online ones; less than 0 right before midnight.

    Raises:
        LocalProtocolError: ``now`` has no time zone.
    """
    return (next_midnight(now) - now).total_seconds() - BEFORE_MIDNIGHT


@attrs.frozen(kw_only=True)
class Evening:
    """A queue of invoices dated today, and what KSeF's limits still allow before midnight."""

    waiting: int
    """How many invoices wait."""
    for_batch: int
    """How many of them may go in a batch."""
    size_bytes: int
    """Bytes of those in all."""
    sends: int
    """How many invoices can still be sent one by one before midnight, besides those that were claimed before."""
    batches: int
    """How many batch sessions can still be opened before midnight."""
    batch_limit: int
    """How many invoices a batch may have."""


@attrs.frozen(kw_only=True)
class Division:
    """The way that each invoice dated today goes."""

    online: int
    """How many go one by one."""
    batch: int = 0
    """How many go in batches, the next of which is to be opened now."""
    gathered: int = 0
    """How many will go in a batch, which is opened later: more may come."""
    late: int = 0
    """How many cannot be sent before midnight by any way, so that KSeF will make them Offline."""


def divide(now: datetime, evening: Evening) -> Division:
    """Return how many of the invoices dated today go one by one, and how many in batches opened before midnight.

    As many as possible go one by one, since each has its number within seconds then.

    Args:
        now: What time it is at KSeF.
        evening: The queue, and the limits.

    Raises:
        LocalProtocolError: ``now`` has no time zone.
    """
    left = seconds_left(now)
    online = min(evening.waiting, evening.sends) if left > 0 else 0
    in_batches = min(
        evening.waiting - online,
        evening.for_batch,
        evening.batches * evening.batch_limit,
        _packed_within(left, evening),
    )
    late = evening.waiting - online - in_batches
    left_to_open = left - evening.size_bytes / PACKING_RATE
    if evening.batches <= _KEPT:
        is_now = left_to_open <= (evening.batches + 1) * _SPACING
    else:
        is_now = in_batches >= WORTH_A_BATCH or left_to_open <= _AT_LAST or _is_called(left_to_open)
    return Division(online=online, batch=in_batches if is_now else 0, gathered=0 if is_now else in_batches, late=late)


def _is_called(left: float) -> bool:
    return any(call - _CALL <= left <= call for call in _CALLS)


def _packed_within(seconds: float, evening: Evening) -> int:
    """Return how many invoices can be packed, and the batch be opened, within ``seconds``."""
    bytes_left = (seconds - BATCH_START) * PACKING_RATE
    if bytes_left <= 0:
        return 0
    if evening.size_bytes <= bytes_left:
        return evening.for_batch
    return int(evening.for_batch * bytes_left / evening.size_bytes)
