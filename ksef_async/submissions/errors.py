"""What can go wrong with a journal, besides what can go wrong at KSeF."""

from __future__ import annotations

from ..errors import LocalProtocolError

__all__ = ["IdentityTakenError", "JournalBusyError", "LeaseLostError", "UnknownSubmissionError"]


class IdentityTakenError(LocalProtocolError):
    """Another document of the same company has the same seller, kind and number, or the same key."""

    def __init__(self, message: str, *, submission_id: int) -> None:
        super().__init__(message)
        self.submission_id = submission_id
        """The submission that has it."""


class UnknownSubmissionError(LocalProtocolError):
    """There is no such submission in the journal."""


class JournalBusyError(LocalProtocolError):
    """Another process delivers from this SQLite journal."""


class LeaseLostError(Exception):
    """Another worker has taken this context over; nothing was written. It never leaves the runner."""
