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
    #: Before all others, and never in a batch.
    URGENT = 100


@attrs.frozen(kw_only=True)
class Identity:
    """What must be unique in KSeF: seller, kind and number."""

    seller_nip: str
    #: VAT, KOR, ZAL, ... (RodzajFaktury)
    kind: str
    #: The seller's number (P_2).
    number: str
    #: What kind of document it is.
    form_code: FormCode

    def __str__(self) -> str:
        return f"{self.kind} {self.number} of {self.seller_nip}"


@attrs.frozen
class Reason:
    """Why a submission ended without a KSeF number, or was put back into the queue."""

    #: KSeF's code: of the invoice's status (e.g. 450), or of the refusal (e.g. 21405); None where this library refused.
    code: int | None
    #: For people; KSeF's part of it in Polish.
    text: str


@attrs.frozen(kw_only=True)
class Submission:
    """An invoice handed over for delivery, as the journal knows it at one moment."""

    #: In the order of submission.
    id: int
    #: The caller's own, unique among those of the same context.
    key: str | None
    #: The context it is sent in: the NIP that logs in.
    nip: str
    identity: Identity
    #: SHA-256 of the document (32 bytes).
    invoice_hash: bytes
    state: SubmissionState
    priority: int
    #: Issued in an offline mode.
    offline: bool
    #: Of a technical correction: SHA-256 of the rejected offline invoice (32 bytes).
    corrects: bytes | None
    #: How often the intent to send it was committed.
    attempt: int
    session_reference_number: str | None
    #: Given by KSeF when it took the document in.
    reference_number: str | None
    ksef_number: str | None
    #: When the KSeF number was given.
    acquisition_date: datetime | None
    #: Accepted, because this very document was in KSeF already (440).
    is_duplicate: bool
    #: None while nothing is amiss.
    reason: Reason | None
    #: Whether its UPO is in the journal: it comes after the session is closed.
    has_upo: bool
    is_acknowledged: bool
    submitted_at: datetime
    updated_at: datetime
