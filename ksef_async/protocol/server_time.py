"""What time it is at KSeF: whether a token has expired is decided by its clock, not by ours."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["ServerClock", "read_http_date"]

#: What is reckoned from a time must not leave the calendar, which ends with the year 9999.
_YEARS: Final = range(1970, 3000)


@functools.lru_cache(16)  # the answers of a second have theirs in common
def read_http_date(text: str) -> datetime | None:
    """Return the time that a header tells (UTC); None for what is no time, or none of these centuries."""
    try:
        moment = parsedate_to_datetime(text)
        utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return None
    return utc if utc.year in _YEARS else None


class ServerClock:
    """KSeF's time, from the ``Date`` of its answers (RFC 9110, 6.6.1); the local time until the first.

    Between answers it goes on by a monotonic clock, so a step of the local wall clock does no harm.
    """

    def __init__(self) -> None:
        self._seen: tuple[datetime, float] | None = None

    def observe(self, date: str | None, monotonic: float) -> None:
        """Note the ``Date`` of an answer that came at ``monotonic`` (seconds); a missing or odd one is ignored."""
        if moment := read_http_date(date or ""):
            self._seen = (moment, monotonic)

    def now(self, monotonic: float) -> datetime:
        """The time at ``monotonic`` (UTC); late by up to a second and the answer's way here."""
        if self._seen is None:
            return datetime.now(UTC)
        moment, at = self._seen
        return moment + timedelta(seconds=monotonic - at)
