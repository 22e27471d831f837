"""What the journal tells of a submission."""

from __future__ import annotations

import enum
from datetime import datetime

import attrs

from ..api.sessions import FormCode
from .states import SubmissionState

__all__ = ["Identity", "Priority", "Reason", "Submission"]


class Priority(enum.IntEnum):
    """Which submissions of a context go first; any number will do, the higher the sooner."""

    NORMAL = 0
    URGENT = 100
    """Before all others, and never in a batch."""


@attrs.frozen(kw_only=True)
class Identity:
    """What must be unique in KSeF: seller, kind and number."""

    seller_nip: str
    kind: str
    """VAT, KOR, ZAL, ... (RodzajFaktury)"""
    number: str
    """The seller's number (P_2)."""
    form_code: FormCode
    """What kind of document it is."""

    def __str__(self) -> str:
        return f"{self.kind} {self.number} of {self.seller_nip}"


@attrs.frozen
class Reason:
    """Why a submission ended without a KSeF number, or was put back into the queue."""

    code: int | None
    """KSeF's code: of the invoice's status (e.g. 450), or of the refusal (e.g. 21405); None where this library refused.
    """
    text: str
    """For people; KSeF's part of it in Polish."""


@attrs.frozen(kw_only=True)
class Submission:
    """An invoice handed over for delivery, as the journal knows it at one moment."""

    id: int
    """In the order of submission."""
    key: str | None
    """The caller's own, unique among those of the same context."""
    nip: str
    """The context it is sent in: the NIP that logs in."""
    identity: Identity
    invoice_hash: bytes
    """SHA-256 of the document (32 bytes)."""
    state: SubmissionState
    priority: int
    offline: bool
    """Issued in an offline mode."""
    corrects: bytes | None
    """Of a technical correction: SHA-256 of the rejected offline invoice (32 bytes)."""
    attempt: int
    """How often the intent to send it was committed."""
    session_reference_number: str | None
    reference_number: str | None
    """Given by KSeF when it took the document in."""
    ksef_number: str | None
    acquisition_date: datetime | None
    """When the KSeF number was given."""
    is_duplicate: bool
    """Accepted, because this very document was in KSeF already (440)."""
    reason: Reason | None
    """None while nothing is amiss."""
    has_upo: bool
    """Whether its UPO is in the journal: it comes after the session is closed."""
    is_acknowledged: bool
    submitted_at: datetime
    updated_at: datetime
