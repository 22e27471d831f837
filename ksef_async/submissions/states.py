"""Every state of a submission and every transition between them is in this file.

(none) ──submit──► queued ──intent committed──► sending ──KSeF has it──► taken_in ──┬─► accepted
                    │ ▲                           │ │                       │       ├─► rejected
            cancel──┘ └──KSeF does not have it────┘ └─refused at once       │       └─► conflict
            (cancelled)                               (rejected)            └─► queued  (KSeF gave it up: 405, 550)

rejected, conflict and cancelled go back to queued when they are retried.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

__all__ = ["OPEN", "TRANSITIONS", "SubmissionState", "sources_of"]


class SubmissionState(enum.StrEnum):
    """How far a submission is."""

    QUEUED = "queued"
    """In the journal, not sent yet."""
    SENDING = "sending"
    """The intent to send it is in the journal; KSeF may have it, or not."""
    TAKEN_IN = "taken_in"
    """KSeF has it and has not decided yet."""
    ACCEPTED = "accepted"
    """It has a KSeF number: it is issued."""
    REJECTED = "rejected"
    """KSeF, or this library on its behalf, does not take it; the reason says why."""
    CONFLICT = "conflict"
    """Seller, kind and number are in KSeF already, on another document or on one that KSeF does not show."""
    CANCELLED = "cancelled"
    """Taken back before it was sent."""

    @property
    def is_terminal(self) -> bool:
        """True when nothing more happens to it by itself."""
        return self not in OPEN


_S = SubmissionState

TRANSITIONS: Final[Mapping[SubmissionState, frozenset[SubmissionState]]] = {
    _S.QUEUED: frozenset({_S.SENDING, _S.CANCELLED}),
    _S.SENDING: frozenset({_S.TAKEN_IN, _S.QUEUED, _S.REJECTED}),
    _S.TAKEN_IN: frozenset({_S.ACCEPTED, _S.REJECTED, _S.CONFLICT, _S.QUEUED}),
    _S.ACCEPTED: frozenset(),
    _S.REJECTED: frozenset({_S.QUEUED}),
    _S.CONFLICT: frozenset({_S.QUEUED}),
    _S.CANCELLED: frozenset({_S.QUEUED}),
}
"""From each state, what can follow."""

OPEN: Final = frozenset({_S.QUEUED, _S.SENDING, _S.TAKEN_IN})
"""What the library still has work with."""


def sources_of(target: SubmissionState) -> tuple[SubmissionState, ...]:
    """The states from which ``target`` can be reached."""
    return tuple(state for state, following in TRANSITIONS.items() if target in following)
