"""Both kinds of session: states as functions of the clock. Source: sesja-interaktywna.md, sesja-wsadowa.md."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import anyio
import attrs

from ..api.common import StatusInfo
from ..api.packages import CompressionType
from ..api.sessions import SessionType, StatusCode
from ..protocol.lifecycle import BATCH_SESSION_STATES, ONLINE_SESSION_STATES
from .world import Session

__all__ = ["BatchSession", "OnlineSession", "Part", "Result"]


@attrs.define(kw_only=True)
class OnlineSession(Session):
    """An online session."""

    kind = SessionType.ONLINE

    died_at: datetime | None = None
    """When its key turned out to be bad all the same, on purpose."""
    lock: anyio.Lock = attrs.field(factory=anyio.Lock, repr=False)
    """Taking in is one at a time, so that order and limits hold while the work is in a thread."""

    @property
    def key_fails_at(self) -> datetime:
        """When a bad key shows."""
        return self.opened_at + self.timings.key_check_delay

    def final_since(self, now: datetime) -> datetime | None:
        """When it became final; None before."""
        if self.is_stuck:
            return None
        if self.died_at is not None:
            return self.died_at
        closed = self.closed_since(now)
        if self.cipher is None and (closed is None or self.invoices or closed >= self.key_fails_at):
            return self.key_fails_at if now >= self.key_fails_at else None
        if closed is None or not self.invoices:
            return closed
        final = (
            max(closed, *(invoice.final_at for invoice in self.invoices.values())) + self.timings.session_closing_delay
        )
        return final if now >= final else None

    def code_at(self, now: datetime) -> StatusCode:
        """How far it is."""
        if (final := self.final_since(now)) is None:
            return StatusCode.OPENED if self.closed_since(now) is None else StatusCode.CLOSED
        if self.died_at is not None or (self.cipher is None and final == self.key_fails_at):
            return StatusCode.DECRYPTION_ERROR
        if not self.invoices:
            return StatusCode.CANCELLED
        accepted = any(invoice.is_accepted for invoice in self.invoices.values())
        return StatusCode.PROCESSED_OK if accepted else StatusCode.VALIDATION_ERROR

    def status_at(self, now: datetime) -> StatusInfo:
        """How far it is, in KSeF's words."""
        code = self.code_at(now)
        state = ONLINE_SESSION_STATES[code]
        return StatusInfo(code, state.description, state.details)


@attrs.define(kw_only=True)
class Part:
    """A part that was declared, and what was uploaded of it."""

    ordinal_number: int
    declared_size: int
    """Of the encrypted part, as is its hash."""
    declared_hash: bytes
    path: Path
    stored_size: int | None = None
    """None until it is uploaded."""
    stored_hash: bytes | None = None
    uploads: int = 0
    """How often it was taken in."""


@attrs.frozen(kw_only=True)
class Result:
    """What came of the package."""

    code: StatusCode
    details: tuple[str, ...] = ()
    listed_at: datetime
    """When its invoices appear, still in progress."""
    final_at: datetime


@attrs.define(kw_only=True)
class BatchSession(Session):
    """A batch session."""

    kind = SessionType.BATCH

    offline_mode: bool
    compression: CompressionType
    declared_size: int
    """Of the plain archive, as is its hash."""
    declared_hash: bytes
    parts: dict[int, Part]
    """By their ordinal numbers."""
    upload_until: datetime
    """Checked when an upload starts."""
    forced_end: StatusCode | None = None
    """How it ends on purpose."""
    result: Result | None = None
    """None until it is closed and the package is processed."""

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
