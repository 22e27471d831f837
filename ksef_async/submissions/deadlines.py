"""Deadlines as the journal keeps them: when a submission is due, and in which order submissions are sent.

An invoice issued offline is due by the rules of `protocol.offline`. One issued online is to be sent before the midnight
that ends its date, for after that KSeF regards it as Offline (`protocol.midnight`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from sqlalchemy import exists, not_

from ..errors import LocalProtocolError
from ..protocol.midnight import online_until
from ..protocol.offline import DAYS_AFTER_FAILURE, Deadline, OfflineMode, Outage, offline_deadline
from ..protocol.polish_calendar import end_of_day, working_day_after
from .models import SubmissionState
from .schema import NEVER, SUBMISSIONS

__all__ = ["NEAR", "OUTSTANDING", "PASSED", "deadline_in", "first_deadline", "send_by"]

_T = SUBMISSIONS.c

_LATER: Final = SUBMISSIONS.alias("later")

# Nothing was handed in for it since: neither its technical correction, nor another document with its number.
_IS_LAST: Final = not_(
    exists().where(
        _LATER.c.seller_nip == _T.seller_nip,
        _LATER.c.kind == _T.kind,
        _LATER.c.number == _T.number,
        _LATER.c.context == _T.context,
        _LATER.c.id > _T.id,
    )
)

_REJECTED: Final = SubmissionState.REJECTED.value

# Not an OR of whole conditions: within one SQLite uses no partial index, and reads all that a context has in the queue.
OUTSTANDING: Final = (
    _T.mode.is_not(None)
    & _T.state.in_([SubmissionState.QUEUED.value, SubmissionState.SENDING.value, _REJECTED])
    & ((_T.state != _REJECTED) | _IS_LAST)
)
"""Of those issued offline that KSeF does not have, or may not have. One that KSeF has rejected is due as well, for the
customer has it on paper: until its technical correction is handed in, or another document in its place.
"""

NEAR: Final = 1
"""In ``due_told``: it was reported that the deadline is near."""
PASSED: Final = 2
"""In ``due_told``: it was reported that the deadline has passed."""

# Working days that each mode gives after the end of its outage; OFFLINE24 counts from the invoice's date.
_WORKING_DAYS: Final = {
    OfflineMode.OFFLINE24: 1,
    OfflineMode.UNAVAILABILITY: 1,
    OfflineMode.EMERGENCY: DAYS_AFTER_FAILURE,
}


def first_deadline(mode: OfflineMode, issued_on: date) -> datetime:
    """Return the earliest deadline that an invoice can have, as if its outage had ended on its date.

    It holds while Latarnia has not been asked, or announces nothing about the outage.

    Raises:
        LocalProtocolError: The mode has no deadline, or the year is not between 1900 and 2999.
    """
    if mode not in _WORKING_DAYS:
        raise LocalProtocolError("An invoice issued in a total failure of KSeF is never delivered.")
    return end_of_day(working_day_after(issued_on, _WORKING_DAYS[mode]))


def deadline_in(mode: OfflineMode, issued_on: date, outages: Sequence[Outage]) -> Deadline:
    """Return the deadline by what was announced, whether or not the outage of the mode is among it.

    Where it is not, its end is taken to have been on the invoice's date; what was announced later moves the deadline.

    Raises:
        LocalProtocolError: As for `first_deadline`.
    """
    try:
        return offline_deadline(mode, issued_on, outages)
    except LocalProtocolError:
        moved = offline_deadline(OfflineMode.OFFLINE24, issued_on, outages)
        earliest = working_day_after(issued_on, _WORKING_DAYS[mode])
        return moved if moved.day is None else Deadline(day=max(earliest, moved.day))


def send_by(issued_on: date | None, due_by: float | None) -> float:
    """Return when a submission should be with KSeF, in seconds since 1970: the sooner, the earlier it is claimed.

    Args:
        issued_on: Its date (P_1); None where it is not known.
        due_by: The deadline of one issued offline, in seconds since 1970.
    """
    if due_by is not None:
        return due_by
    return NEVER if issued_on is None else online_until(issued_on).timestamp()
