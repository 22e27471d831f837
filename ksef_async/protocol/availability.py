"""Whether KSeF is there: what the Ministry announces (Latarnia), joined with what our own calls saw.

Advice, never a reason to stop by itself: Latarnia was down or wrong at times, and for TEST and DEMO it is a dummy that
has said TOTAL_FAILURE since January 2026.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import attrs

from ..api.latarnia import LatarniaCategory, LatarniaMessage, LatarniaMessageType, LatarniaReport, LatarniaStatus
from ..errors import KsefError
from .offline import OfflineMode, Outage, OutageKind

__all__ = ["FRESH_FOR", "Availability", "AvailabilityState", "outages_of"]

FRESH_FOR: Final = timedelta(minutes=5)
"""How long what our own calls saw counts for more than what is announced."""

_KINDS: Final = {
    LatarniaCategory.MAINTENANCE: OutageKind.UNAVAILABILITY,
    LatarniaCategory.FAILURE: OutageKind.FAILURE,
    LatarniaCategory.TOTAL_FAILURE: OutageKind.TOTAL_FAILURE,
}
_MODES: Final = {
    LatarniaStatus.MAINTENANCE: OfflineMode.UNAVAILABILITY,
    LatarniaStatus.FAILURE: OfflineMode.EMERGENCY,
    LatarniaStatus.TOTAL_FAILURE: OfflineMode.TOTAL_FAILURE,
}


class AvailabilityState(enum.StrEnum):
    """The state of KSeF, as far as it is known here."""

    UP = "up"
    """KSeF answers, or nothing says that it does not."""
    DOWN = "down"
    """KSeF does not answer, or Latarnia says that it does not work."""
    UNKNOWN = "unknown"
    """Nothing has been seen yet."""


@attrs.frozen(kw_only=True)
class Availability:
    """The availability of KSeF at a moment, as far as it is known."""

    at: datetime
    """When it was put together."""
    report: LatarniaReport | None = None
    """What Latarnia says; None when it could not be asked."""
    report_error: KsefError | None = None
    """Why it could not be asked."""
    is_dummy: bool = False
    """True where Latarnia's content means nothing, on TEST and DEMO."""
    answered_at: datetime | None = None
    """When KSeF last answered a call of this client, well or with a refusal; None when it has not yet."""
    failed_at: datetime | None = None
    """When a call last failed, because no answer came or a 5xx; None when none has."""
    failures: int = 0
    """How many calls in a row have failed since the last answer."""

    @property
    def state(self) -> AvailabilityState:
        """Return what our own calls saw in the last five minutes; otherwise what is announced for production."""
        seen_at = self.failed_at if self.failures else self.answered_at
        if seen_at is not None and self.at - seen_at <= FRESH_FOR:
            return AvailabilityState.DOWN if self.failures else AvailabilityState.UP
        if self.report is None or self.is_dummy or not self.report.status.is_known:
            return AvailabilityState.UNKNOWN
        return AvailabilityState.UP if self.report.status is LatarniaStatus.AVAILABLE else AvailabilityState.DOWN

    @property
    def announced_mode(self) -> OfflineMode | None:
        """The offline mode in which invoices may be issued by what is announced; None when nothing is.

        The mode ``OFFLINE24`` is always allowed.
        """
        return None if self.report is None or self.is_dummy else _MODES.get(self.report.status)


def outages_of(messages: Iterable[LatarniaMessage]) -> tuple[Outage, ...]:
    """Return the outages that messages announce, in order of their start; for `offline_deadline`.

    Of several messages about one event the newest version counts, and for a start that it leaves out the versions
    before it. A message without a start, or about something unknown, announces none.
    """
    events: dict[object, list[LatarniaMessage]] = {}
    for number, message in enumerate(messages):
        # A message without a name of its event is an event of its own.
        name = next((each for each in (message.event_id, message.id) if each is not None), f"#{number}")
        events.setdefault(name, []).append(message)
    found = [outage for versions in events.values() if (outage := _outage(versions)) is not None]
    return tuple(sorted(found, key=lambda outage: outage.start))


def _outage(versions: list[LatarniaMessage]) -> Outage | None:
    versions = sorted(versions, key=_age)
    newest = versions[-1]
    start = next((each.start for each in reversed(versions) if each.start is not None), None)
    kind = None if newest.category is None else _KINDS.get(newest.category)
    if start is None or kind is None:
        return None
    end = newest.end
    if end is None and newest.type is LatarniaMessageType.FAILURE_END:
        end = newest.published
    if end is not None and end < start:
        return None
    return Outage(kind=kind, start=start, end=end)


def _age(message: LatarniaMessage) -> tuple[int, float]:
    return (message.version or 0, 0.0 if message.published is None else message.published.timestamp())
