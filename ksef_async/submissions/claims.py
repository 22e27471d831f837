"""Which submissions of a context are claimed together, and how many wait, as values and as conditions in SQL.

An invoice issued online can be Online until the midnight that ends its date: it is due on that day, and late later on.
Only what is not late is claimed; `ContextStore.mark_late` says what becomes of the rest.
"""

from __future__ import annotations

import enum
from datetime import date
from typing import Final

import attrs
from sqlalchemy import ColumnElement, not_

from ..protocol.delivery import SEND_AGAIN_LIMIT
from ..protocol.planning import MAX_INVOICES
from .models import Priority
from .schema import SUBMISSIONS

__all__ = [
    "FIT",
    "MAY_BE_IN_BATCH",
    "ONE_BY_ONE",
    "SPLIT",
    "Among",
    "Claim",
    "Lot",
    "Queue",
    "Today",
    "is_due",
    "is_late",
    "largest_lot",
]

_T = SUBMISSIONS.c

# How many documents go together once so many batches that they were in have come to nothing. Nothing need be wrong
# with them: the same package mostly passes when it is sent again. In smaller ones it shows which of them is in the
# way of the others; after these each goes by itself.
_LOTS: Final = (*[MAX_INVOICES] * (SEND_AGAIN_LIMIT + 1), 1_250, 156)

SPLIT: Final = SEND_AGAIN_LIMIT + 1
"""After so many lost batches a submission goes in a smaller batch."""
ONE_BY_ONE: Final = len(_LOTS)
"""After so many lost batches a submission goes online."""

FIT: Final = (_T.lost_batches < ONE_BY_ONE) & _T.corrects.is_(None)
"""Of those that can be sent in a batch: not lost in batches time and again, and no technical corrections, which KSeF
takes in online sessions only. Offline invoices go in batches of their own.
"""
MAY_BE_IN_BATCH: Final = (_T.priority < int(Priority.URGENT)) & FIT
"""Of those that are sent in a batch when there are many."""


class Among(enum.Enum):
    """The submissions that are claimed now to go one by one."""

    ALL = "all"
    DUE = "due"
    """Those that are to be sent before the next midnight."""
    NOT_DUE = "not due"
    """All but those."""


@attrs.frozen
class Queue:
    """The queued submissions of one form."""

    for_batch: int
    """Number of those that may go in a batch."""
    size_bytes: int
    """Their stored size in all."""
    others: int
    """Number of those that may not."""
    due: int = 0
    """Number of those, of all, that are to be sent before the next midnight."""
    due_for_batch: int = 0
    """Number of those among them, urgent ones too, that can be Online and may go in a batch to stay so."""
    due_size_bytes: int = 0
    """Stored size of the last in all."""
    late: int = 0
    """Number of those issued online whose date is over, besides all others: they are not claimed."""

    def claimable(self, among: Among, *, but_batch: bool) -> int:
        """Return how many may be claimed to go one by one, at most.

        Args:
            among: Which of them.
            but_batch: True where those that may go in a batch wait for one; of interest for `Among.ALL` only.
        """
        if among is Among.ALL:
            return self.others if but_batch else self.for_batch + self.others
        return self.due if among is Among.DUE else self.for_batch + self.others - self.due


@attrs.frozen
class Today:
    """The day in Poland that is counted by; both in seconds since 1970."""

    now: float
    """What time it is at KSeF."""
    midnight: float
    """When the day ends."""


@attrs.frozen
class Lot:
    """The submissions that were claimed for a batch."""

    count: int
    offline: bool
    """Whether they are sent as offline invoices, all of them."""


@attrs.frozen(kw_only=True)
class Claim:
    """A submission whose sending has been committed as an intent."""

    id: int
    attempt: int
    xml: bytes = attrs.field(repr=False)
    offline: bool
    corrects: bytes | None
    issued_on: date | None
    """Its date (P_1), where that is known."""


def largest_lot(lost_batches: int) -> int:
    """Return how many documents may share a batch after ``lost_batches`` batches with them have come to nothing."""
    return _LOTS[lost_batches] if lost_batches < ONE_BY_ONE else 0


def is_late(today: Today) -> ColumnElement[bool]:
    """Return the condition that a submission issued online can be Online no more: the midnight of its date is over."""
    return _T.offline.is_(False) & (_T.send_by <= today.now)


def is_due(today: Today) -> ColumnElement[bool]:
    """Return the condition that a submission is to be sent today: its date, or its deadline, ends."""
    return (_T.send_by <= today.midnight) & not_(is_late(today))
