"""Latarnia ("lighthouse"): where the Ministry announces outages of KSeF. No part of KSeF's own API, so in no table.

Its answers are advice: it was itself down or wrong at times, and what it says of TEST and DEMO is a dummy's. So nothing
but the status is required of them. Source: the Ministry's latarnia repository.
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPMethod
from typing import Final

import attrs

from .common import OpenStrEnum
from .operation import Bearer, Operation, RateGroup

__all__ = [
    "GET_LATARNIA_MESSAGES",
    "GET_LATARNIA_STATUS",
    "LatarniaCategory",
    "LatarniaMessage",
    "LatarniaMessageType",
    "LatarniaReport",
    "LatarniaStatus",
]

_LARGEST: Final = 1_000_000


class LatarniaStatus(OpenStrEnum):
    """The state of KSeF, by what the Ministry announced."""

    AVAILABLE = "AVAILABLE"
    """KSeF works."""
    MAINTENANCE = "MAINTENANCE"
    """KSeF is being worked on."""
    FAILURE = "FAILURE"
    """KSeF fails."""
    TOTAL_FAILURE = "TOTAL_FAILURE"
    """KSeF fails as a whole."""


class LatarniaCategory(OpenStrEnum):
    """The subject of a message."""

    MAINTENANCE = "MAINTENANCE"
    """Planned work."""
    FAILURE = "FAILURE"
    """KSeF fails, and the Ministry has announced it."""
    TOTAL_FAILURE = "TOTAL_FAILURE"
    """A total failure: invoices need not be delivered to KSeF afterwards."""


class LatarniaMessageType(OpenStrEnum):
    """The kind of a message."""

    MAINTENANCE_ANNOUNCEMENT = "MAINTENANCE_ANNOUNCEMENT"
    """Work is planned."""
    FAILURE_START = "FAILURE_START"
    """A failure begins."""
    FAILURE_END = "FAILURE_END"
    """A failure is over."""


@attrs.frozen(kw_only=True)
class LatarniaMessage:
    """A message of the Ministry. Those with one `event_id` are versions of one event."""

    id: str | None = None
    """E.g. ``K/2026/AWR/02``."""
    event_id: int | None = None
    """The event that the message tells of."""
    category: LatarniaCategory | None = None
    """What kind of event it is."""
    type: LatarniaMessageType | None = None
    """Whether it begins, ends, or is announced."""
    title: str | None = None
    """For people, in Polish."""
    text: str | None = None
    """For people, in Polish."""
    start: datetime | None = None
    """May lie in the future."""
    end: datetime | None = None
    """When the event ended or will end; None while that is not known."""
    version: int | None = None
    """Higher for later messages of one event."""
    published: datetime | None = None
    """When the message was published."""


@attrs.frozen
class LatarniaReport:
    """Latarnia's report on KSeF at present."""

    status: LatarniaStatus
    """Whether KSeF works."""
    messages: tuple[LatarniaMessage, ...] = ()
    """Those that the status follows from; none when KSeF is available."""


GET = HTTPMethod.GET

GET_LATARNIA_STATUS: Operation[None, LatarniaReport] = Operation(
    name="get_latarnia_status", method=GET, path="/status", success=200, response=LatarniaReport,
    largest_answer=_LARGEST, bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
GET_LATARNIA_MESSAGES: Operation[None, tuple[LatarniaMessage, ...]] = Operation(
    name="get_latarnia_messages", method=GET, path="/messages", success=200, response=tuple[LatarniaMessage, ...],
    largest_answer=_LARGEST, bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
