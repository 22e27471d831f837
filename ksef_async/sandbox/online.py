"""An online session: its states as a function of the clock. Source: sesja-interaktywna.md."""

from __future__ import annotations

from datetime import datetime

import anyio
import attrs

from ..models.common import StatusInfo
from ..models.sessions import SessionType, StatusCode
from ..protocol.lifecycle import ONLINE_SESSION_STATES
from .world import Session

__all__ = ["OnlineSession"]


@attrs.define(kw_only=True)
class OnlineSession(Session):
    """An online session."""

    kind = SessionType.ONLINE

    #: When its key turned out to be bad all the same, on purpose.
    died_at: datetime | None = None
    #: Taking in is one at a time, so that order and limits hold while the work is in a thread.
    lock: anyio.Lock = attrs.field(factory=anyio.Lock, repr=False)

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
