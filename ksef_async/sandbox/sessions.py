"""Both kinds of session: states as functions of the clock. Source: sesja-interaktywna.md, sesja-wsadowa.md."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import anyio
import attrs

from ..api.packages import CompressionType
from ..api.sessions import SessionType, StatusCode
from ..protocol.lifecycle import BATCH_SESSION, ONLINE_SESSION
from .clock import seconds
from .sent import Session
from .timeline import Step

__all__ = ["BatchSession", "DeclaredPart", "OnlineSession", "Result"]


@attrs.define(kw_only=True)
class OnlineSession(Session):
    """An online session."""

    kind = SessionType.ONLINE
    lifecycle = ONLINE_SESSION

    lock: anyio.Lock = attrs.field(factory=anyio.Lock, repr=False)
    """Held while an invoice is taken in and while the session is closed, so that order and limits hold while the work
    is in a thread.
    """

    @property
    def key_fails_at(self) -> datetime:
        """Return when a key that cannot be decrypted shows."""
        return self.opened_at + seconds(self.timings.key_check_delay)

    def schedule(self, now: datetime) -> None:
        """Plan its further states, as they are if KSeF closes it after 12 hours."""
        if self.code_at(now) == StatusCode.OPENED:
            self.timeline.plan(now, *self._steps(self.expires_at))

    def close(self, now: datetime) -> None:
        """Close it; it is final once all its invoices are."""
        self.timeline.plan(now, *self._steps(now))

    def die(self, now: datetime) -> None:
        """End it with 415, as if its key could not be decrypted."""
        self.timeline.plan(now, Step(now, StatusCode.DECRYPTION_ERROR))

    def _steps(self, closed_at: datetime) -> list[Step[StatusCode]]:
        """Return what follows the opening if it is closed at ``closed_at``."""
        closed = Step(closed_at, StatusCode.CLOSED)
        if self.is_stuck:
            return [closed]
        failed = Step(self.key_fails_at, StatusCode.DECRYPTION_ERROR)
        if self.cipher is None and closed_at >= self.key_fails_at:
            return [failed]
        if not self.invoices:
            return [Step(closed_at, StatusCode.CANCELLED)]
        if self.cipher is None:
            return [closed, failed]
        accepted = any(invoice.is_accepted for invoice in self.invoices.values())
        final_at = max(closed_at, *(invoice.final_at for invoice in self.invoices.values()))
        code = StatusCode.PROCESSED_OK if accepted else StatusCode.VALIDATION_ERROR
        return [closed, Step(final_at + seconds(self.timings.session_closing_delay), code)]


@attrs.define(kw_only=True)
class DeclaredPart:
    """A declared part of a package, and its upload."""

    ordinal_number: int
    declared_size: int
    """The size of the encrypted part, to which its hash belongs, too."""
    declared_hash: bytes
    path: Path
    stored_size: int | None = None
    """None until it is uploaded."""
    stored_hash: bytes | None = None
    uploads: int = 0
    """The number of accepted uploads."""


@attrs.frozen(kw_only=True)
class Result:
    """The outcome of a package."""

    code: StatusCode
    details: tuple[str, ...] = ()
    listed_at: datetime
    """When its invoices appear, still in progress."""
    final_at: datetime


@attrs.define(kw_only=True)
class BatchSession(Session):
    """A batch session."""

    kind = SessionType.BATCH
    lifecycle = BATCH_SESSION

    offline_mode: bool
    compression: CompressionType
    declared_size: int
    """The size of the plain archive, to which its hash belongs, too."""
    declared_hash: bytes
    parts: dict[int, DeclaredPart]
    """By their ordinal numbers."""
    upload_until: datetime
    """Checked when an upload starts."""
    closed_at: datetime | None = None
    """When its owner closed it."""
    forced_end: StatusCode | None = None
    """The code of its end where a fault decides it."""
    result: Result | None = None
    """None until it is closed and the package is processed."""

    def is_visible_at(self, now: datetime) -> bool:
        """Return whether KSeF knows it already."""
        return now >= self.opened_at + seconds(self.timings.batch_visibility_lag)

    def lists_at(self, now: datetime) -> bool:
        """Return whether its invoices are listed already: not at once after the close."""
        return self.result is not None and now >= self.result.listed_at

    def schedule(self, now: datetime) -> None:
        """Plan its end for the case that nobody closes it."""
        self.timeline.plan(now, Step(self.expires_at, StatusCode.CANCELLED, ("Przekroczono czas wysyłki",)))

    def close(self, now: datetime) -> None:
        """Close it; it stays in progress until the package is processed."""
        self.closed_at = now
        self.timeline.plan(now, Step(now, StatusCode.PROCESSING))

    def finish(self, now: datetime, result: Result) -> None:
        """Plan its end: the outcome of the package shows at ``result.final_at``."""
        self.result = result
        if not self.is_stuck:
            self.timeline.plan(now, Step(result.final_at, result.code, result.details))
