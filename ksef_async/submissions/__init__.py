"""Durable submissions: an invoice handed over in the user's own transaction is delivered once, whatever dies.

``from ksef_async.submissions import Submissions``; needs the extra ``durable``, or ``postgres``, or ``procrastinate``.
"""

from __future__ import annotations

from .engine import Engine
from .errors import IdentityTakenError, JournalBusyError, UnknownSubmissionError
from .models import Identity, Priority, Reason, Submission
from .outbox import Submissions
from .settings import Settings
from .states import SubmissionState

__all__ = [
    "Engine",
    "Identity",
    "IdentityTakenError",
    "JournalBusyError",
    "Priority",
    "Reason",
    "Settings",
    "Submission",
    "SubmissionState",
    "Submissions",
    "UnknownSubmissionError",
]
