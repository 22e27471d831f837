"""A batch session: its parts, and its states as a function of the clock.

100 until it is closed (or, after 12 hours, 440); 150 until the package is processed and the delays are over; then what
came of it. Source: sesja-wsadowa.md.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import attrs

from ..models.common import StatusInfo
from ..models.packages import CompressionType
from ..models.sessions import SessionType, StatusCode
from ..protocol.lifecycle import BATCH_SESSION_STATES
from .world import Session

__all__ = ["BatchSession", "Part", "Result"]


@attrs.define(kw_only=True)
class Part:
    """A part that was declared, and what was uploaded of it."""

    ordinal_number: int
    #: Of the encrypted part, as is its hash.
    declared_size: int
    declared_hash: bytes
    path: Path
    #: None until it is uploaded.
    stored_size: int | None = None
    stored_hash: bytes | None = None
    #: How often it was taken in.
    uploads: int = 0


@attrs.frozen(kw_only=True)
class Result:
    """What came of the package."""

    code: StatusCode
    details: tuple[str, ...] = ()
    #: When its invoices appear, still in progress.
    listed_at: datetime
    final_at: datetime


@attrs.define(kw_only=True)
class BatchSession(Session):
    """A batch session."""

    kind = SessionType.BATCH

    offline_mode: bool
    compression: CompressionType
    #: Of the plain archive, as is its hash.
    declared_size: int
    declared_hash: bytes
    #: By their ordinal numbers.
    parts: dict[int, Part]
    #: Checked when an upload starts.
    upload_until: datetime
    #: How it ends on purpose.
    forced_end: StatusCode | None = None
    #: None until it is closed and the package is processed.
    result: Result | None = None

    def is_visible_at(self, now: datetime) -> bool:
        """Whether KSeF knows it already."""
        return now >= self.opened_at + self.timings.batch_visibility_lag

    def lists_at(self, now: datetime) -> bool:
        """Whether its invoices are listed already: not at once after the close."""
        return self.result is not None and now >= self.result.listed_at

    def final_since(self, now: datetime) -> datetime | None:
        """When it became final; None before."""
        if self.closed_at is None:
            return self.closed_since(now)
        if self.is_stuck or self.result is None or now < self.result.final_at:
            return None
        return self.result.final_at

    def code_at(self, now: datetime) -> StatusCode:
        """How far it is."""
        is_final = self.final_since(now) is not None
        if self.closed_at is None:
            return StatusCode.CANCELLED if is_final else StatusCode.OPENED
        return self.result.code if is_final and self.result is not None else StatusCode.PROCESSING

    def status_at(self, now: datetime) -> StatusInfo:
        """How far it is, in KSeF's words."""
        code = self.code_at(now)
        details: tuple[str, ...] = ()
        if code == StatusCode.CANCELLED and self.closed_at is None:
            details = ("Przekroczono czas wysyłki",)
        elif self.final_since(now) is not None and self.result is not None:
            details = self.result.details
        return StatusInfo(code, BATCH_SESSION_STATES[code].description, details)
