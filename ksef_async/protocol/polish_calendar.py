"""Poland's calendar: which day it is there, when that day ends, and which days are working days.

KSeF compares calendar days of Poland, and its deadlines count working days: Monday to Friday without the 14 public
holidays. Source: tryby-offline.md; ustawa o dniach wolnych od pracy (24 December since 2025).
"""

from __future__ import annotations

import functools
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from ..errors import LocalProtocolError

__all__ = [
    "WARSAW",
    "end_of_day",
    "holidays",
    "is_calendar_year",
    "is_working_day",
    "next_midnight",
    "polish_day",
    "start_of_day",
    "working_day_after",
]

WARSAW: Final = ZoneInfo("Europe/Warsaw")

_DAY: Final = timedelta(days=1)
_SATURDAY: Final = 5
# Month and day of the holidays that do not move.
_FIXED: Final = ((1, 1), (1, 6), (5, 1), (5, 3), (8, 15), (11, 1), (11, 11), (12, 25), (12, 26))
# Days from Easter Sunday: itself, Easter Monday, Whit Sunday, Corpus Christi.
_MOVABLE: Final = (0, 1, 49, 60)
_CHRISTMAS_EVE_SINCE: Final = 2025
# Beyond these years nothing is issued, and dates reckoned from them stay within the calendar.
_YEARS: Final = range(1900, 3000)


def polish_day(moment: datetime) -> date:
    """Return the calendar day in Poland at ``moment``.

    Raises:
        LocalProtocolError: ``moment`` has no time zone.
    """
    if moment.tzinfo is None:
        raise LocalProtocolError(f"{moment} has no time zone, so the day it is in Poland is not known.")
    return moment.astimezone(WARSAW).date()


def start_of_day(day: date) -> datetime:
    """Return the moment at which ``day`` begins in Poland (UTC).

    Raises:
        LocalProtocolError: The year is not between 1900 and 2999.
    """
    day = _checked(day)
    return datetime(day.year, day.month, day.day, tzinfo=WARSAW).astimezone(UTC)


def end_of_day(day: date) -> datetime:
    """Return the moment at which ``day`` is over in Poland (UTC): the first moment of the next day.

    Raises:
        LocalProtocolError: The year is not between 1900 and 2999.
    """
    return start_of_day(_checked(day) + _DAY)


def next_midnight(moment: datetime) -> datetime:
    """Return the next midnight in Poland (UTC), always later than ``moment``.

    Raises:
        LocalProtocolError: ``moment`` has no time zone.
    """
    return end_of_day(polish_day(moment))


@functools.lru_cache(32)
def holidays(year: int) -> frozenset[date]:
    """Return the public holidays of a year: 14 since 2025, 13 before."""
    easter = _easter_sunday(year)
    days = [date(year, month, day) for month, day in _FIXED]
    days += [easter + each * _DAY for each in _MOVABLE]
    if year >= _CHRISTMAS_EVE_SINCE:
        days.append(date(year, 12, 24))
    return frozenset(days)


def is_working_day(day: date) -> bool:
    """Return whether ``day`` is a working day: Monday to Friday, and no public holiday."""
    return day.weekday() < _SATURDAY and day not in holidays(day.year)


def working_day_after(day: date, count: int = 1) -> date:
    """Return the working day that is number ``count`` (from 1) after ``day``; ``day`` itself never counts.

    Raises:
        LocalProtocolError: The year is not between 1900 and 2999.
    """
    found = _checked(day)
    while count > 0:
        found += _DAY
        count -= is_working_day(found)
    return found


def is_calendar_year(year: int) -> bool:
    """Return whether days of a year can be reckoned with here: it is between 1900 and 2999."""
    return year in _YEARS


def _checked(day: date) -> date:
    if not is_calendar_year(day.year):
        raise LocalProtocolError(f"{day} is no day that an invoice is issued on: the year is {day.year}.")
    return day


def _easter_sunday(year: int) -> date:
    """The day of Easter by the Gregorian calendar (Meeus, Jones and Butcher)."""
    golden, (century, rest) = year % 19, divmod(year, 100)
    leap_centuries, century_rest = divmod(century, 4)
    correction = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - leap_centuries - correction + 15) % 30
    leap_years, year_rest = divmod(rest, 4)
    weekday = (32 + 2 * century_rest + 2 * leap_years - epact - year_rest) % 7
    shift = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * shift + 114, 31)
    return date(year, month, day + 1)
