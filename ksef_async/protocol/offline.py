"""When an invoice issued in an offline mode has to reach KSeF.

| mode           | begun by     | deadline                                                              |
| -------------- | ------------ | --------------------------------------------------------------------- |
| offline24      | the taxpayer | the working day after the invoice's date (P_1)                        |
| unavailability | the Ministry | the working day after the unavailability has ended                    |
| emergency      | the Ministry | 7 working days after the failure has ended                            |
| total failure  | the Ministry | none: such an invoice is never delivered                              |

A failure while an invoice waits gives it 7 working days from the end of that failure, and each further failure within
that time starts the count anew. A total failure while it waits lifts the deadline [INF]. Source: tryby-offline.md.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Final

import attrs

from ..errors import LocalProtocolError
from .polish_calendar import end_of_day, polish_day, start_of_day, working_day_after

__all__ = ["DAYS_AFTER_FAILURE", "Deadline", "OfflineMode", "Outage", "OutageKind", "is_on", "offline_deadline"]

DAYS_AFTER_FAILURE: Final = 7
"""Working days that a failure gives, counted from the day after its end."""
# A failure that ends at midnight sharp was over on the day before.
_MOMENT: Final = timedelta(microseconds=1)


class OfflineMode(enum.StrEnum):
    """Why an invoice is issued offline; decides when it has to reach KSeF."""

    OFFLINE24 = "offline24"
    """At the taxpayer's will, e.g. because KSeF cannot be reached from here."""
    UNAVAILABILITY = "unavailability"
    """The Ministry announced that KSeF is unavailable, e.g. for maintenance ("offline")."""
    EMERGENCY = "emergency"
    """The Ministry announced a failure of KSeF ("tryb awaryjny")."""
    TOTAL_FAILURE = "total-failure"
    """The Ministry announced a total failure: the invoice may be any paper, and is never delivered."""


class OutageKind(enum.StrEnum):
    """The kind of outage that the Ministry announced."""

    UNAVAILABILITY = "unavailability"
    """Planned work, announced before."""
    FAILURE = "failure"
    """A failure that the Ministry announced."""
    TOTAL_FAILURE = "total-failure"
    """A total failure: nothing need be delivered afterwards."""


def _utc(moment: datetime) -> datetime:
    # Two times of one zone are compared by its clocks, which show an hour of October twice.
    if moment.tzinfo is None:
        raise LocalProtocolError(f"{moment} has no time zone.")
    return moment.astimezone(UTC)


@attrs.frozen(kw_only=True)
class Outage:
    """A time in which KSeF is unavailable, as the Ministry announced it.

    Raises:
        LocalProtocolError: A moment without a time zone, or an end before the start.
    """

    kind: OutageKind
    """What kind of outage it is."""
    start: datetime = attrs.field(converter=_utc)
    """When it began or begins."""
    end: datetime | None = attrs.field(default=None, converter=attrs.converters.optional(_utc))
    """None while it lasts."""

    def __attrs_post_init__(self) -> None:
        if self.end is not None and self.end < self.start:
            raise LocalProtocolError(f"An outage cannot end ({self.end}) before it starts ({self.start}).")


def is_on(outage: Outage, start: datetime, end: datetime) -> bool:
    """Return whether an outage is on at any time from ``start`` until ``end``, which is left out."""
    return outage.start < end and (outage.end is None or outage.end > start)


@attrs.frozen(kw_only=True)
class Deadline:
    """When an offline invoice has to reach KSeF."""

    day: date | None = None
    """The last day (Poland) on which it may reach KSeF; None where there is none, or none yet."""
    is_lifted: bool = False
    """True when it need not reach KSeF at all."""
    waits_for_end: bool = False
    """True when it counts from the end of an outage that still lasts, so that no day is known yet."""

    @property
    def due_by(self) -> datetime | None:
        """The moment (UTC) at which it is too late: the end of `day` in Poland; None without a day."""
        return None if self.day is None else end_of_day(self.day)


def offline_deadline(
    mode: OfflineMode, issued_on: date, outages: Iterable[Outage] = (), *, issued_at: datetime | None = None
) -> Deadline:
    """Return when an offline invoice has to reach KSeF.

    Where only the day of issue is known, the earlier deadline is returned: an outage that ended on that very day is
    taken to have ended before the invoice was issued, unless the mode says that it was issued in it.

    Args:
        mode: In which the invoice was issued.
        issued_on: Its date (P_1).
        outages: What the Ministry has announced so far, in any order; see `outages_of`. For the modes
            ``UNAVAILABILITY`` and ``EMERGENCY`` the outage in which it was issued has to be among them.
        issued_at: The moment of issue, on that day; makes the answer exact where an outage ended on the same day.

    Raises:
        LocalProtocolError: The outage of the mode is not among ``outages``; ``issued_at`` is not on that day, or has no
            time zone.
    """
    if mode is OfflineMode.TOTAL_FAILURE:
        return Deadline(is_lifted=True)
    day_ends = end_of_day(issued_on)
    first, last = start_of_day(issued_on), day_ends - _MOMENT
    if issued_at is not None:
        if polish_day(issued_at) != issued_on:
            raise LocalProtocolError(f"{issued_at} is not on {issued_on} in Poland.")
        first = last = issued_at.astimezone(UTC)
    announced = sorted(outages, key=lambda outage: outage.start)
    if mode is OfflineMode.OFFLINE24:
        return _moved(working_day_after(issued_on), last, announced)
    kind = OutageKind.FAILURE if mode is OfflineMode.EMERGENCY else OutageKind.UNAVAILABILITY
    issued_in = [outage for outage in announced if outage.kind is kind and is_on(outage, first, last + _MOMENT)]
    if not issued_in:
        raise LocalProtocolError(
            f"No {kind.value} was announced for {issued_on}: an invoice of the mode {mode.value} needs the outage in "
            "which it was issued among `outages`."
        )
    # Several on one day: the one that leads to the earlier deadline; the others may move it.
    outage = min(issued_in, key=lambda each: (each.end is None, each.end or each.start))
    days = DAYS_AFTER_FAILURE if kind is OutageKind.FAILURE else 1
    return _moved(None if outage.end is None else _day_after(outage.end, days), last, announced)


def _moved(day: date | None, since: datetime, outages: Iterable[Outage]) -> Deadline:
    """Move a deadline by the failures, in order of their start, that come while the invoice waits.

    Args:
        day: The deadline so far; None while it waits for the end of an outage.
        since: From when on the invoice waits.
        outages: In order of their start.
    """
    for outage in outages:
        if outage.kind is OutageKind.UNAVAILABILITY or (outage.end is not None and outage.end <= since):
            continue
        if day is not None and outage.start >= end_of_day(day):
            break
        if outage.kind is OutageKind.TOTAL_FAILURE:
            return Deadline(is_lifted=True)
        if outage.end is None:
            day = None
        elif day is not None:
            day = max(day, _day_after(outage.end, DAYS_AFTER_FAILURE))
    return Deadline(day=day, waits_for_end=day is None)


def _day_after(end: datetime, count: int) -> date:
    return working_day_after(polish_day(end - _MOMENT), count)
